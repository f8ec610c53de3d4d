"""Local polynomials by hand: they reproduce polynomials, and contribute as weighted least squares does."""

import numpy as np
import pytest

from pandas_causal.inference.local_curves import local_curve, rule_of_thumb_bandwidth

RNG = np.random.default_rng(0)
A = RNG.uniform(-2, 2, 400)


def test_polynomials_are_reproduced():
    curve = local_curve(A, 1 + 2 * A - A**2, np.array([-1.0, 0.5]), 0.7)
    assert curve.level == pytest.approx([1 - 2 - 1, 1 + 1 - 0.25])
    assert curve.slope == pytest.approx([4.0, 1.0])
    assert np.abs(curve.by_level).max() < 1e-10


def test_contributions_are_those_of_weighted_least_squares():
    y, w, at, h = np.sin(A) + RNG.normal(size=400), RNG.uniform(0.5, 2, 400), 0.3, 0.8
    curve = local_curve(A, y, np.array([at]), h, w, degree=1)
    weight = w * np.maximum(0.75 * (1 - ((A - at) / h) ** 2), 0)
    Z = np.column_stack([np.ones(400), A - at])
    bread = np.linalg.inv((Z * weight[:, None]).T @ Z)
    beta = bread @ (Z.T @ (weight * y))
    assert [curve.level[0], curve.slope[0]] == pytest.approx(beta)
    rows = (Z @ bread) * (weight * (y - Z @ beta))[:, None]
    assert np.column_stack([curve.by_level[:, 0], curve.by_slope[:, 0]]) == pytest.approx(rows, abs=1e-12)


def test_points_without_rows_are_missing():
    curve = local_curve(A, A, np.array([10.0]), 0.5)
    assert np.isnan(curve.level).all()


def test_the_bandwidth_follows_curvature_and_noise():
    wavy, flat = (np.sin(k * A) + 0.3 * RNG.normal(size=400) for k in (2.0, 1.0))
    assert rule_of_thumb_bandwidth(A, wavy) < rule_of_thumb_bandwidth(A, flat)
    assert rule_of_thumb_bandwidth(10 * A, wavy) == pytest.approx(10 * rule_of_thumb_bandwidth(A, wavy))
    assert rule_of_thumb_bandwidth(A, flat * 0 + A + RNG.normal(size=400)) <= A.std() + 1e-12
