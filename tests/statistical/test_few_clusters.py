"""Few and unequal clusters: coverage of 95% intervals that is quoted in docs/ab_test.md."""

import numpy as np
import pandas as pd
import pytest

import pandas_causal  # noqa: F401 - the accessor
from tests.statistical.draws import FULL

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:the clusters of g are few")]
SIZES = {
    "20 equal": [20] * 20,
    "8 equal": [20] * 8,
    "20, one with half the rows": [10] * 19 + [190],
    "12, each twice the last": [2**k // 4 + 2 for k in range(12)],
}
LEAST = {  # of CR2 with its own degrees of freedom, and of the wild bootstrap; whole clusters in one arm, or not
    ("20 equal", True): (0.92, 0.92), ("20 equal", False): (0.92, 0.92),
    ("8 equal", True): (0.92, 0.90), ("8 equal", False): (0.92, 0.92),
    ("20, one with half the rows", True): (0.85, 0.80), ("20, one with half the rows", False): (0.92, 0.85),
    ("12, each twice the last", True): (0.89, 0.90), ("12, each twice the last", False): (0.92, 0.91),
}  # fmt: skip


def sample(rng, sizes, nested):
    """Rows of one cluster share 30% of their variance; no effect."""
    g = np.repeat(np.arange(len(sizes)), sizes)
    arm = np.zeros(len(sizes), dtype=int)
    arm[rng.permutation(len(sizes))[: len(sizes) // 2]] = 1
    t = arm[g] if nested else rng.integers(2, size=len(g))
    y = np.sqrt(0.3) * rng.normal(size=len(sizes))[g] + np.sqrt(0.7) * rng.normal(size=len(g))
    return pd.DataFrame({"g": g, "t": t, "y": y})


def coverage(name, nested, n):
    """Of CR2 with Satterthwaite's degrees of freedom, the wild bootstrap, and CR1."""
    rng = np.random.default_rng(11)
    held = np.zeros((n, 3))
    for r in range(n):
        frame = sample(rng, SIZES[name], nested)
        question = {"treatment": "t", "outcome": "y"}
        effects = (
            frame.causal.ab_test(**question, cluster="g"),
            frame.causal.ab_test(**question, cluster="g", cluster_inference="wild"),
            frame.causal.ab_test(**question).cluster(frame["g"]),
        )
        held[r] = [e.conf_low <= 0 <= e.conf_high for e in effects]
    return held.mean(axis=0)


@pytest.mark.parametrize("nested", [True, False], ids=["nested", "crossed"])
@pytest.mark.parametrize("name", SIZES)
def test_coverage(name, nested):
    n = 1_000 if FULL else 150
    satterthwaite, wild, cr1 = coverage(name, nested, n)
    slack = 2.6 * np.sqrt(0.9 * 0.1 / n) if n < 1_000 else 0.0
    least = LEAST[name, nested]
    assert satterthwaite > least[0] - slack
    assert wild > least[1] - slack
    if "equal" not in name and nested:  # what both mend
        assert cr1 < satterthwaite
