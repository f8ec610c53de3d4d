"""Known truth of bounds: they hold the effect, and their ends are covered."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pandas_causal import DifferenceInMeans, causal
from tests.statistical.draws import FULL, refit, slack

pytestmark = pytest.mark.slow
DRAWS = 1_000 if FULL else 200


def test_worst_case_and_monotone_bounds_cover_their_ends():
    rng, rows = np.random.default_rng(0), []
    p, m0, m1 = 0.4, 0.3, 0.6
    truths = {
        "manski": (m1 * p - m0 * (1 - p) - p, m1 * p + (1 - p) - m0 * (1 - p)),
        "monotone": (0.0, m1 - m0),
        "monotone_selection": (m1 * p - m0 * (1 - p) - p, m1 - m0),
    }
    for _ in range(DRAWS):
        d = (rng.uniform(size=300) < p).astype(int)
        frame = pd.DataFrame({"d": d, "y": (rng.uniform(size=300) < np.where(d, m1, m0)).astype(int)})
        effect = refit(DifferenceInMeans(), frame[[]], frame["y"], treatment=d)
        for method, truth in truths.items():
            low, high = effect.bounds(method).confidence_set().iloc[0]
            rows.append((method, low <= truth[0] <= high, low <= truth[1] <= high))
    covered = pd.DataFrame(rows, columns=["method", "low", "high"]).groupby("method").mean()
    assert (covered >= 0.95 - slack(DRAWS)).all(axis=None)
    assert (covered.loc[["manski", "monotone_selection"]] <= 0.95 + slack(DRAWS)).all(axis=None)


def test_lee_bounds_cover_the_effect_on_the_always_observed():
    """Selection by a normal index; the true bounds are trimmed means of a normal outcome."""
    rng, rows = np.random.default_rng(1), []
    s0, s1 = 0.55, 0.7
    p = 1 - s0 / s1
    tail = stats.norm.pdf(stats.norm.ppf(p)) / (1 - p)
    truth = np.array([1.0 - tail, 1.0 + tail])  # outcome independent of selection, variance 1
    for _ in range(DRAWS):
        d = rng.integers(0, 2, 800)
        seen = rng.uniform(size=800) < np.where(d, s1, s0)
        frame = pd.DataFrame({"d": d, "y": np.where(seen, d + rng.normal(size=800), np.nan)})
        found = causal(frame).bounds("lee", treatment="d", outcome="y")
        rows.append([*found.estimates, *found.table["std_error"], *found.confidence_set().iloc[0]])
    table = np.array(rows)
    assert table[:, :2].mean(axis=0) == pytest.approx(truth, abs=0.02)
    assert table[:, 2:4].mean(axis=0) == pytest.approx(table[:, :2].std(axis=0), rel=0.2)
    for end in truth:
        covered = np.mean((table[:, 4] <= end) & (end <= table[:, 5]))
        assert 0.95 - slack(DRAWS) <= covered <= 0.95 + slack(DRAWS)


@pytest.mark.filterwarnings("ignore:in 1 of 2 cells")  # noise in a few draws
def test_lee_bounds_in_cells_cover_too():
    rng, rows = np.random.default_rng(2), []
    shares = {0: (0.4, 0.6), 1: (0.7, 0.8)}
    ends = []
    for s0, s1 in shares.values():
        p = 1 - s0 / s1
        tail = stats.norm.pdf(stats.norm.ppf(p)) / (1 - p)
        ends.append((1.0 - tail, 1.0 + tail))
    weight = np.array([0.4, 0.7]) / 1.1
    truth = weight @ np.array(ends)
    for _ in range(DRAWS):
        d, x = rng.integers(0, 2, (2, 800))
        at = np.array([shares[k] for k in (0, 1)])[x, d]
        frame = pd.DataFrame({"d": d, "x": x})
        frame["y"] = np.where(rng.uniform(size=800) < at, d + 3 * x + rng.normal(size=800), np.nan)
        found = causal(frame).bounds("lee", treatment="d", outcome="y", covariates=["x"])
        rows.append([*found.estimates, *found.table["std_error"], *found.confidence_set().iloc[0]])
    table = np.array(rows)
    assert table[:, :2].mean(axis=0) == pytest.approx(truth, abs=0.03)
    assert table[:, 2:4].mean(axis=0) == pytest.approx(table[:, :2].std(axis=0), rel=0.2)
    for end in truth:
        assert np.mean((table[:, 4] <= end) & (end <= table[:, 5])) >= 0.95 - slack(DRAWS)
