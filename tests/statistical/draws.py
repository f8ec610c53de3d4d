"""How many draws a Monte Carlo takes, and the bounds that follow from their number.

By default few enough for every run of the tests; with the environment variable PANDAS_CAUSAL_MONTE_CARLO=full the 1,000
draws of the claims.
"""

import os

import numpy as np
from sklearn.base import clone

FULL = os.environ.get("PANDAS_CAUSAL_MONTE_CARLO") == "full"
DRAWS = 1_000 if FULL else 250


def slack(draws, rate=0.95, most=0.02):
    """3.5 binomial standard errors of a rate; at 1,000 draws at most `most`."""
    bound = 3.5 * np.sqrt(rate * (1 - rate) / draws)
    return min(bound, most) if draws >= 1_000 else bound


def refit(estimator, X, y, **roles):
    """Fit without the checks of the input, which are the same for every draw."""
    copy = clone(estimator)
    copy._validated = True
    return copy.fit(X, y, **roles).effect()


def summarise(estimates, lows, highs, truth):
    """Bias, its Monte Carlo error, and coverage."""
    estimates = np.asarray(estimates)
    covered = (np.asarray(lows) <= truth) & (truth <= np.asarray(highs))
    return estimates.mean() - truth, estimates.std(ddof=1) / np.sqrt(len(estimates)), covered.mean()


def coverage(make, draws, truth, seed=0):
    """Bias, Monte Carlo error and coverage of one effect per draw: ``make(rng) -> Effect`` or a pair of ends."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(draws):
        effect = make(rng)
        rows.append((effect.estimate, effect.conf_low, effect.conf_high))
    return summarise(*np.array(rows).T, truth)
