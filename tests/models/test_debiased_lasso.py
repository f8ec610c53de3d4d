"""The debiased lasso: beside EconML's, without penalty least squares, and penalties by cross-validation."""

import numpy as np
import pytest

from pandas_causal.models.debiased_lasso import cross_validated_penalty, debiased_lasso

RNG = np.random.default_rng(0)
R = RNG.normal(size=(200, 12))
R[:, 1] += 0.5 * R[:, 0]
Y = 2 * R[:, 0] - R[:, 3] + RNG.normal(size=200)


def test_with_hardly_a_penalty_it_is_least_squares():
    fit = debiased_lasso(R, Y, 1e-8, 1e-8)
    ols = np.linalg.lstsq(R, Y, rcond=None)[0]
    assert fit.values == pytest.approx(ols, abs=1e-6)
    bread = np.linalg.inv(R.T @ R)
    assert fit.contributions == pytest.approx((R @ bread) * (Y - R @ ols)[:, None], abs=1e-6)


def test_weights_are_repeated_rows():
    times = RNG.integers(1, 4, 200)
    w = times / times.mean()
    weighted = debiased_lasso(R, Y, 0.1, 0.1, w)
    repeated = debiased_lasso(np.repeat(R, times, axis=0), np.repeat(Y, times), 0.1, 0.1)
    assert weighted.values == pytest.approx(repeated.values, abs=1e-6)
    assert (weighted.lasso != 0).sum() < 12


@pytest.mark.published
@pytest.mark.filterwarnings("ignore")
def test_beside_econml():
    peer = pytest.importorskip("econml.sklearn_extensions.linear_model")
    for penalty, nodewise in ((0.05, 0.1), (0.2, 0.02)):
        theirs = peer.DebiasedLasso(alpha=penalty, alpha_cov=nodewise, fit_intercept=False, tol=1e-9, max_iter=100_000)
        theirs.fit(R, Y)
        fit = debiased_lasso(R, Y, penalty, nodewise)
        assert fit.values == pytest.approx(theirs.coef_, abs=1e-4)
        # one error variance there, each row's own here
        assert np.sqrt(np.square(fit.contributions).sum(axis=0)) == pytest.approx(theirs.coef_stderr_, rel=0.25)


def test_a_penalty_by_cross_validation():
    folds = np.arange(200) % 5
    found = cross_validated_penalty(R, Y, folds)
    assert 1e-3 < found < 0.5
    noise = cross_validated_penalty(R, RNG.normal(size=200), folds)
    assert noise > found
    assert cross_validated_penalty(R, np.zeros(200), folds) == 1.0
