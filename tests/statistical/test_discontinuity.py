"""Known truth: the designs of Lee (2008) and of Ludwig and Miller (2007), as in Calonico, Cattaneo and Titiunik (2014).

CCT (2014), section 5 and its supplement: X = 2 Beta(2, 4) - 1, errors N(0, 0.1295^2), n = 500.
"""

import os

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

import pandas_causal  # noqa: F401 - registers df.causal
from tests.discontinuity.designs import rdrobust

FULL = os.environ.get("PANDAS_CAUSAL_MONTE_CARLO") == "full"
DRAWS = 2_000 if FULL else 200
LEE = ([0.48, 1.27, 7.18, 20.21, 21.54, 7.33], [0.52, 0.84, -3.00, 7.99, -9.01, 3.56], 0.04)
LUDWIG_MILLER = ([3.71, 2.30, 3.28, 1.45, 0.23, 0.03], [0.26, 18.49, -54.81, 74.30, -45.02, 9.83], -3.45)
# quadratic on each side, where a bias correction of order 2 is exact
QUADRATIC = ([1.0, 2, 3], [2.0, -1, 2], 1.0)


def draw(design, n, rng, noise=0.1295):
    left, right, _ = design
    x = 2 * rng.beta(2, 4, n) - 1
    mean = np.where(x < 0, np.polynomial.polynomial.polyval(x, left), np.polynomial.polynomial.polyval(x, right))
    return pd.DataFrame({"x": x, "y": mean + noise * rng.normal(size=n)})


def simulate(design, n, draws, seed):
    """Whether the conventional and the robust 95% interval cover, draw by draw; and the errors of the centre."""
    rng, truth = np.random.default_rng(seed), design[2]
    covered, errors = [], []
    for _ in range(draws):
        effect = draw(design, n, rng).causal.rdd(running="x", outcome="y")
        table = effect.diagnostics["inference"].table
        inside = (table["conf_low"] <= truth) & (truth <= table["conf_high"])
        covered.append([inside["conventional"], inside["robust"]])
        errors.append((table.loc["robust", "estimate"] - truth) / effect.std_error)
    return np.mean(covered, axis=0), np.asarray(errors)


@pytest.mark.published
@pytest.mark.parametrize("design", [LEE, LUDWIG_MILLER], ids=["Lee", "Ludwig-Miller"])
def test_draw_by_draw_like_rdrobust(design):
    rng = np.random.default_rng(11)
    for _ in range(20 if FULL else 4):
        frame = draw(design, 500, rng)
        effect = frame.causal.rdd(running="x", outcome="y")
        peer = rdrobust(frame)
        ours = [effect.estimate, effect.estimate - effect.bias[0], effect.std_error]
        np.testing.assert_allclose(ours, peer[[0, 1, 3]], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("design", [LEE, LUDWIG_MILLER], ids=["Lee", "Ludwig-Miller"])
def test_robust_intervals_cover_more_than_conventional_ones(design):
    """rdrobust, to which ours are equal, covers 88 to 93%: the bound is 88% less the binomial error of the draws."""
    (conventional, robust), _ = simulate(design, 500, DRAWS, 5)
    assert robust > conventional
    assert binom.ppf(0.0005, DRAWS, 0.88) / DRAWS <= robust <= binom.ppf(0.9995, DRAWS, 0.95) / DRAWS


@pytest.mark.slow
def test_coverage_where_the_bias_is_removed_exactly():
    """A quadratic mean on each side, n = 5,000: 95% within the binomial error of the draws, and between 93 and 97%."""
    (_, robust), errors = simulate(QUADRATIC, 5_000, DRAWS, 6)
    assert binom.ppf(0.0005, DRAWS, 0.945) / DRAWS <= robust <= binom.ppf(0.9995, DRAWS, 0.955) / DRAWS
    if FULL:
        assert 0.93 <= robust <= 0.97
    assert abs(errors.mean()) <= 4 / np.sqrt(DRAWS)
