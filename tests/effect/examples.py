"""Small effects by hand, for the tests of the spine."""

from dataclasses import replace

import numpy as np
import pandas as pd

from pandas_causal.effect.effect import Effect
from pandas_causal.effect.estimates import Estimates
from pandas_causal.inference.draws_and_variance import Draws, Variance
from pandas_causal.inference.influence import Component, Influence
from pandas_causal.inference.rows import RowIdentity

Y = np.array([1, 2, 4, 3, 7, 6, 5, 9.0])
ARM = np.array([0, 0, 0, 0, 1, 1, 1, 1])
G = np.array([0, 0, 1, 1, 2, 2, 3, 3])
H = np.array([0, 1, 0, 1, 0, 1, 0, 1])


def make(estimates, uncertainty, estimand, n_obs, **more):
    """An Effect, spelled shortly."""
    of_rows = {k: more.pop(k) for k in ("bias", "reference_rows", "units", "weightings") if k in more}
    return Effect(rows=Estimates(estimates, uncertainty, **of_rows), estimand=estimand, n_obs=n_obs, **more)


def with_rows(effect, **changes):
    """The same effect, its rows changed."""
    return replace(effect, rows=replace(effect.rows, **changes))


def mean_effect(values, labels, name="mean"):
    """The mean of some values as an Effect with contributions (y - mean) / n."""
    values = np.asarray(values, dtype=float)
    u = Influence.from_contributions(
        [values.mean()], (values - values.mean()) / len(values), RowIdentity(labels, values)
    )
    return make(pd.Series([values.mean()], index=[name]), u, "mean", len(values))


def columns_effect(matrix, index=None, rows=None, clusters=None, **more):
    """Column means of a matrix (n, k) as an Effect of k rows."""
    matrix = np.asarray(matrix, dtype=float)
    n, k = matrix.shape
    mean = matrix.mean(axis=0)
    rows = RowIdentity(pd.RangeIndex(n), matrix[:, 0]) if rows is None else rows
    u = Influence.from_contributions(mean, (matrix - mean) / n, rows, clusters=clusters)
    return make(pd.Series(mean, index=range(k) if index is None else index), u, "column means", n, **more)


def draws_effect(replicates, estimates, around="estimate"):
    replicates = np.asarray(replicates, dtype=float)
    u = Draws(replicates, np.eye(replicates.shape[1]), around)
    return make(pd.Series(np.asarray(estimates, dtype=float)), u, "drawn", 10)


def variance_effect(estimates, variances):
    u = Variance(np.asarray(variances, dtype=float))
    return make(pd.Series(np.asarray(estimates, dtype=float)), u, "pointwise", 10)


def welch_effect():
    """effect.md's first example: difference of arm means 4.25, one variance term per arm."""
    m = np.array([Y[ARM == a].mean() for a in (0, 1)])
    contributions = np.zeros((8, 2))
    for a in (0, 1):
        contributions[ARM == a, a] = (Y[ARM == a] - m[a]) / 4
    parts = [np.zeros((2, 2)), np.zeros((2, 2))]
    for a in (0, 1):
        parts[a][a, a] = np.square(contributions[:, a]).sum() * 4 / 3
    u = Influence.from_contributions(
        m,
        contributions,
        RowIdentity(pd.RangeIndex(8), Y),
        loadings=[[-1, 1]],
        components=tuple(Component(p, 3.0) for p in parts),
    )
    return make(pd.Series([4.25], index=["1 - 0"]), u, "difference", 8)
