"""The law of a weighted mean: equal shares are Welch's, others by the matrix of the quadratic form."""

import numpy as np
import pytest

from pandas_causal.inference.weighted_means import weighted_mean_law


def test_equal_shares_are_welch():
    law = weighted_mean_law(np.full(8, 1 / 8))
    np.testing.assert_allclose(law.slack, 7 / 8)
    assert (law.effective, law.df) == pytest.approx((8, 7))
    two = weighted_mean_law(np.full(2, 0.5))
    assert two.known
    assert two.df == pytest.approx(1)


def test_variance_and_degrees_of_freedom_by_the_matrix():
    """e = (I - 1 h') noise; Q = (I - h 1') diag(h^2 / slack) (I - 1 h')."""
    w = np.array([1.0, 2, 0.5, 6, 3])
    h = w / w.sum()
    law = weighted_mean_law(h)
    M = np.eye(5) - np.outer(np.ones(5), h)
    np.testing.assert_allclose(law.slack, np.diag(M @ M.T))
    Q = M.T @ np.diag(h**2 / law.slack) @ M
    assert np.trace(Q) == pytest.approx(h @ h)  # unbiased for the variance of the mean
    assert law.df == pytest.approx(np.trace(Q) ** 2 / np.trace(Q @ Q))


def test_a_row_that_outweighs_the_others_is_unknown():
    law = weighted_mean_law(np.array([0.9, 0.05, 0.05]))
    assert not law.known
    assert law.refusal("3 rows of arm 1") == (
        "sample_weight: the 3 rows of arm 1 are worth 1.23, because few of them outweigh the rest; at least 2 are"
        " needed to know how they vary: check the weights, or cap them"
    )
