"""Oster's formulas on populations in which the proportion of selection is known."""

import numpy as np
import pytest

from pandas_causal.inference.proportional_selection import SelectionMoments


def population(delta, beta=0.6, noise=0.4):
    """Of ``y = beta x + w1 + w2 + e``, w2 unseen: ``cov(w2, x) / var(w2) = delta cov(w1, x) / var(w1)``."""
    v1, v2, c1 = 1.5, 0.8, 0.5
    c2 = delta * c1 / v1 * v2
    xx = 2.0
    S = np.array([[xx, c1, c2], [c1, v1, 0], [c2, 0, v2]])  # of x, w1, w2
    b = np.array([beta, 1.0, 1.0])
    yy = b @ S @ b + noise

    def regress(columns):
        part = np.linalg.solve(S[np.ix_(columns, columns)], S[columns] @ b)
        return part[0], part @ S[columns] @ b / yy

    (short, r2_short), (long, r2_long), (_, r2_max) = regress([0]), regress([0, 1]), regress([0, 1, 2])
    moments = SelectionMoments(short, r2_short, long, r2_long, yy, xx, xx - c1**2 / v1)
    return moments, r2_max


@pytest.mark.parametrize("delta", [-0.7, 0.3, 1.0, 1.8])
@pytest.mark.parametrize("noise", [0.0, 0.4])
def test_delta_is_that_of_the_population(delta, noise):
    moments, r2_max = population(delta, noise=noise)
    assert moments.delta(0.6, r2_max) == pytest.approx(delta, rel=1e-9)
    assert any(value == pytest.approx(0.6, rel=1e-7) for value in moments.adjusted(delta, r2_max))


def test_no_selection_leaves_the_long_coefficient():
    moments, r2_max = population(1.0)
    assert moments.adjusted(0.0, r2_max)[0] == pytest.approx(moments.long)
    assert moments.delta(moments.long, r2_max) == pytest.approx(0.0)


def test_room_of_nothing_leaves_the_long_coefficient():
    moments, _ = population(1.0)
    assert moments.adjusted(1.0, moments.r2_long)[0] == pytest.approx(moments.long)
