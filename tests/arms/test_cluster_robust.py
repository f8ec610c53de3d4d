"""CR2 and its degrees of freedom beside full matrices, and on numbers that can be worked by hand."""

import numpy as np
import pandas as pd
import pytest

from pandas_causal.arms.arm_regression import fit_arm_regression
from pandas_causal.arms.cluster_robust import clustered_scores, sums_by_cluster
from pandas_causal.models.linear import StandardisedMatrix
from tests.effect.examples import ARM, G, Y

RNG = np.random.default_rng(4)
N = 90
CODES = RNG.integers(2, size=N)
X = RNG.normal(size=(N, 2))
OUTCOME = X @ [1, -2] + CODES * X[:, 0] + RNG.normal(size=N)
W = RNG.uniform(0.5, 2, N)
SHOPS = np.minimum(RNG.integers(12, size=N), 6)  # one holds half of the rows
NESTED = SHOPS * 2 + CODES
CONTRASTS = np.array([[1.0, 0], [0, 1], [-1, 1], [0.3, 2]])


def fitted(codes, groups, w=None, X=X, y=OUTCOME):
    fit = fit_arm_regression(StandardisedMatrix.of(X), y, codes, 2, w)
    centres = fit.design.rows(slice(None))[:7].mean(axis=0) * np.ones((2, 1))
    return fit, centres, *clustered_scores(fit, sums_by_cluster(fit, codes, w, groups), centres, np.arange(2))


def by_matrices(fit, codes, groups, centres, loading, w=None, y=OUTCOME):
    """Variance and degrees of freedom of one contrast, from n by n matrices in the weighted space."""
    root = np.ones(len(y)) if w is None else np.sqrt(w)
    Z = fit.design.rows(slice(None)) * root[:, None]
    A = np.hstack([Z * (codes == a)[:, None] for a in (0, 1)])
    contrast = np.concatenate([loading[0] * centres[0], loading[1] * centres[1]])
    bread = np.linalg.pinv(A.T @ A)
    H = A @ bread @ A.T
    e = (np.eye(len(y)) - H) @ (y * root)
    columns = []
    for g in np.unique(groups):
        own = groups == g
        values, vectors = np.linalg.eigh(np.eye(own.sum()) - H[np.ix_(own, own)])
        power = np.where(values > 1e-9, 1 / np.sqrt(np.maximum(values, 1e-9)), 0)
        p = np.zeros(len(y))
        p[own] = (vectors * power) @ vectors.T @ A[own] @ bread @ contrast
        columns.append(p)
    P = np.column_stack(columns)
    B = P.T @ (np.eye(len(y)) - H) @ P
    return float(np.square(P.T @ e).sum()), float(np.trace(B) ** 2 / np.square(B).sum())


@pytest.mark.parametrize("groups", [SHOPS, NESTED, np.arange(N)], ids=["crossed", "nested", "rows"])
@pytest.mark.parametrize("w", [None, W], ids=["", "weights"])
@pytest.mark.parametrize("covariates", [X, np.empty((N, 0))], ids=["two", "none"])
def test_variance_and_degrees_of_freedom_are_those_of_the_matrices(groups, w, covariates):
    fit, centres, sums, df = fitted(CODES, groups, w, covariates)
    freedom = df(CONTRASTS)
    for loading, found in zip(CONTRASTS, freedom, strict=True):
        variance, expected = by_matrices(fit, CODES, groups, centres, loading, w)
        assert np.square(sums @ loading).sum() == pytest.approx(variance, rel=1e-8)
        assert found == pytest.approx(expected, rel=1e-7)


def test_long_clusters_take_another_way_to_the_same_sums(monkeypatch):
    from pandas_causal.arms import cluster_robust

    fit = fit_arm_regression(StandardisedMatrix.of(X), OUTCOME, CODES, 2, W)
    one = sums_by_cluster(fit, CODES, W, SHOPS)
    for name, value in (("_LONG", 1), ("_BLOCK", 30)):
        with monkeypatch.context() as patch:
            patch.setattr(cluster_robust, name, value)
            other = sums_by_cluster(fit, CODES, W, SHOPS)
        np.testing.assert_allclose(other.S, one.S, rtol=1e-10, atol=1e-14)
        np.testing.assert_allclose(other.scores, one.scores, rtol=1e-10, atol=1e-12)


def test_clusters_with_fewer_rows_than_coefficients():
    """Dummies of 28 shops of some three rows: rows are kept in place of 31 by 31 sums."""
    shop = np.arange(N) // 3
    wide = np.column_stack([X, shop[:, None] == np.arange(1, 12)])
    one, groups = np.zeros(N, dtype=int), np.arange(N) // 5
    fit = fit_arm_regression(StandardisedMatrix.of(wide), OUTCOME, one, 1, W)
    kept, centres = sums_by_cluster(fit, one, W, groups), RNG.normal(size=(1, fit.design.p))
    assert kept.S is None
    sums, df = clustered_scores(fit, kept, centres, np.zeros(1, dtype=int))
    variance, expected = by_matrices(fit, one, groups, np.repeat(centres, 2, axis=0), [1.0, 0.0], W)
    assert np.square(sums).sum() == pytest.approx(variance, rel=1e-7)
    assert df(np.ones((1, 1)))[0] == pytest.approx(expected, rel=1e-6)
    R = RNG.normal(size=(len(fit.bread), fit.design.p))
    Z = fit.design.rows(slice(None)) * np.sqrt(W)[:, None] @ kept.roots[0]
    by_hand = np.stack([Z[k : k + 5].T @ (Z[k : k + 5] @ R[0]) for k in range(0, N, 5)])
    np.testing.assert_allclose(kept.along(R), by_hand, atol=1e-10)


def test_two_clusters_per_arm_by_hand():
    """Clusters of 2 among 4 rows of a mean: H_gg = J / 4 has eigenvalue 1/2, so sums of residuals grow by sqrt(2)."""
    _, _, sums, df = fitted(ARM, G, X=np.empty((8, 0)), y=Y)
    e = Y - np.where(ARM == 0, 2.5, 6.75)
    plain = pd.DataFrame({0: e * (ARM == 0) / 4, 1: e * (ARM == 1) / 4}).groupby(G).sum().to_numpy()
    np.testing.assert_allclose(sums, np.sqrt(2) * plain)
    np.testing.assert_allclose(df(np.eye(2)), 1.0)  # two clusters an arm
    np.testing.assert_allclose(df(np.array([[-1.0, 1]])), 2.0)


def test_a_cluster_that_alone_determines_a_direction_counts_nothing():
    """A dummy for one cluster: (I - H)^(-1/2) does not exist there, the generalised inverse does."""
    g = np.arange(N) // 9
    dummy = (g == 3).astype(float)[:, None]
    fit, centres, sums, df = fitted(CODES, g, X=dummy)
    variance, expected = by_matrices(fit, CODES, g, centres, np.array([-1.0, 1]))
    assert np.square(sums @ [-1, 1]).sum() == pytest.approx(variance, rel=1e-7)
    assert df(np.array([[-1.0, 1]]))[0] == pytest.approx(expected, rel=1e-6)


def test_one_cluster_with_half_the_rows_leaves_few_degrees_of_freedom():
    equal, unequal = np.arange(400) // 20, np.minimum(np.arange(400) // 10, 20)
    codes = np.arange(400) % 2
    for groups, low, high in ((equal, 18.9, 19.1), (unequal, 1.5, 4.0)):
        _, _, _, df = fitted(codes, groups, X=np.empty((400, 0)), y=np.arange(400.0) % 7)
        assert low < df(np.array([[1.0, 0.0]]))[0] < high
