"""Kernels of the discontinuity against plain numpy, on one core and on all."""

import numpy as np
import pytest
from numpy.polynomial import legendre

from pandas_causal.discontinuity import kernels as moments
from pandas_causal.discontinuity import kernels as neighbours

WEIGHTS = (lambda t: 1 - t, lambda t: 1 - t * t, np.ones_like)


@pytest.fixture(params=["one core", "all cores"])
def cores(request, monkeypatch):
    if request.param == "all cores":
        monkeypatch.setattr(moments, "_SERIAL", 10)
        monkeypatch.setattr(neighbours, "_SERIAL", 10)


@pytest.mark.usefixtures("cores")
@pytest.mark.parametrize("shape", [0, 1, 2])
@pytest.mark.parametrize("weighted", [False, True])
def test_moments_and_equivalent_kernel(shape, weighted):
    rng = np.random.default_rng(shape)
    n, h = 40_000, 0.9  # more than two chunks
    d, D = np.sort(rng.random(n) * h), rng.normal(size=(n, 2))
    weight = rng.random(n) if weighted else np.empty(0)
    t = d / h
    w = WEIGHTS[shape](t) * (weight if weighted else 1.0)
    P = legendre.legvander(2 * t - 1, 3)
    gram, cross = moments.weighted_moments(d, D, weight, h, shape, 3)
    np.testing.assert_allclose(gram, P.T @ (w[:, None] * P), rtol=1e-9, atol=1e-7)
    np.testing.assert_allclose(cross, P.T @ (w[:, None] * D), rtol=1e-9, atol=1e-7)
    a = rng.normal(size=4)
    np.testing.assert_allclose(moments.equivalent_kernel(d, weight, h, shape, a), w * (P @ a), atol=1e-12)


def plain_neighbours(x, y, matches):
    """Every row by itself: whole places are added, the nearer first, equal distances together."""
    out = np.empty_like(y)
    for i in range(len(x)):
        distance = np.abs(x - x[i])
        reach = np.sort(distance)[1 : matches + 1].max()
        group = distance <= reach + 1e-12
        others = group.copy()
        others[i] = False
        J = others.sum()
        out[i] = np.sqrt(J / (J + 1)) * (y[i] - y[others].mean())
    return out


@pytest.mark.usefixtures("cores")
@pytest.mark.parametrize("grid", [None, 32])
def test_neighbours(grid):
    rng = np.random.default_rng(1)
    x = np.sort(rng.random(200))
    x = x if grid is None else np.round(x * grid) / grid
    y = rng.normal(size=200)
    starts = np.concatenate([[0], np.flatnonzero(np.diff(x)) + 1, [200]]).astype(np.int64)
    found = neighbours.neighbour_residuals(starts, x[starts[:-1]], y[:, None], 3)[:, 0]
    np.testing.assert_allclose(found, plain_neighbours(x, y, 3), atol=1e-12)
