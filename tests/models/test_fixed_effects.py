"""Absorbed effects: against dummies, balanced panels by hand, singletons, nested effects, components."""

import numpy as np
import pytest

from pandas_causal.models import fixed_effects
from pandas_causal.models.fixed_effects import Absorber, counted_parameters, is_nested, pseudo_inverse, singletons


def codes(values):
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def factors(k, n=400, seed=0):
    rng = np.random.default_rng(seed)
    return [codes(rng.integers(0, size, n)) for size in (60, 12, 7)[:k]]


def with_dummies(columns, absorbed, weight):
    D = np.hstack([np.eye(f.max() + 1)[f] for f in absorbed])
    root = np.ones(len(columns)) if weight is None else np.sqrt(weight)
    return columns - D @ np.linalg.lstsq(D * root[:, None], columns * root[:, None], rcond=None)[0]


@pytest.mark.parametrize("direct", [True, False], ids=["direct", "gradients"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_equals_dummies(monkeypatch, k, weighted, direct):
    """Residuals equal those of a regression on all dummies, far from zero too."""
    monkeypatch.setattr(fixed_effects, "_DIRECT_LEVELS", 1_000 if direct else 0)
    rng = np.random.default_rng(1)
    absorbed, columns = factors(k), rng.normal(size=(400, 3)) * [1, 10, 100] + 1e3
    weight = rng.random(400) + 0.1 if weighted else None
    found = Absorber.of(absorbed, weight).residuals(columns)
    np.testing.assert_allclose(found, with_dummies(columns, absorbed, weight), atol=1e-9)


def test_balanced_panel_by_hand():
    """Row less unit mean less period mean plus mean."""
    y = np.array([[1.0, 2, 6], [4, 0, 5]])
    unit, time = np.repeat([0, 1], 3), np.tile([0, 1, 2], 2)
    found = Absorber.of([unit, time]).residuals(y.reshape(-1, 1))[:, 0].reshape(2, 3)
    np.testing.assert_allclose(found, y - y.mean(1, keepdims=True) - y.mean(0) + y.mean(), atol=1e-14)


@pytest.mark.parametrize("direct", [True, False], ids=["direct", "gradients"])
def test_components_and_chains(monkeypatch, direct):
    """Levels in two unconnected parts, and a chain where alternating projections crawl: still exact."""
    monkeypatch.setattr(fixed_effects, "_DIRECT_LEVELS", 1_000 if direct else 0)
    rng = np.random.default_rng(2)
    links = np.arange(60)
    unit = codes(np.concatenate([links, links, 100 + links[:20], 100 + links[:20]]))
    time = codes(np.concatenate([links, links + 1, 200 + links[:20], 200 + (links[:20] + 1) % 20]))
    columns = rng.normal(size=(len(unit), 2))
    found = Absorber.of([unit, time]).residuals(columns)
    np.testing.assert_allclose(found, with_dummies(columns, [unit, time], None), atol=1e-9)


def test_the_columns_given_are_not_changed():
    columns = np.ones((400, 1)) * np.arange(400)[:, None]
    Absorber.of(factors(2)).residuals(columns)
    assert (columns[:, 0] == np.arange(400)).all()


def test_singletons_fall_one_after_the_other():
    """Row 3 is alone in its unit; without it row 2 is alone in its period, and without that row 1 in its unit..."""
    unit = np.array([0, 0, 1, 1, 2, 2])
    time = np.array([0, 1, 0, 2, 0, 1])
    np.testing.assert_array_equal(singletons([unit, time]), [False, False, True, True, False, False])
    assert not singletons([np.array([0, 0, 1, 1])]).any()


def test_counted_parameters_as_fixest():
    """Units nested in clusters count once in all; of further factors a level is lost."""
    unit, time = np.repeat(np.arange(10), 4), np.tile(np.arange(4), 10)
    state = unit // 5
    assert is_nested(unit, state)
    assert not is_nested(time, state)
    assert counted_parameters(2, [unit, time]) == 2 + 10 + 4 - 1
    assert counted_parameters(2, [unit, time], state) == 2 + 4
    assert counted_parameters(2, [unit, time], time) == 2 + 10


def test_pseudo_inverse_leaves_out_directions_without_curvature():
    gram = np.array([[2.0, -2, 0], [-2, 2, 0], [0, 0, 0]])
    found = pseudo_inverse(gram, np.array([2.0, 2, 0]))
    np.testing.assert_allclose(gram @ found @ gram, gram, atol=1e-12)
    assert found[2, 2] == 0
