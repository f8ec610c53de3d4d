"""Terms of a variance that are squared when they are asked for."""

import pickle

import numpy as np
import pandas as pd
import pytest

from pandas_causal.inference.influence import Component, Influence
from pandas_causal.inference.rows import RowIdentity

RNG = np.random.default_rng(0)
SUMS = RNG.normal(size=(40, 6))
PLAIN = Component(SUMS.T @ SUMS, 39.0, 1.1)
LAZY = Component.of_sums(SUMS, 39.0, 1.1)


@pytest.mark.parametrize(
    "loadings",
    [
        np.eye(6),
        np.eye(6)[[4, 1]],
        2 * np.eye(6)[[3]],
        RNG.normal(size=(2, 6)),
        RNG.normal(size=(9, 6)),
        np.zeros((1, 6)),
    ],
    ids=["identity", "some", "scaled", "few", "many", "nothing"],
)
def test_variances_are_those_of_the_meat(loadings):
    whole = loadings @ PLAIN.meat @ loadings.T
    for term in (PLAIN, Component.of_sums(SUMS)):
        np.testing.assert_allclose(term.variances(loadings), np.diag(whole), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(term.between(loadings), whole, rtol=1e-12, atol=1e-12)


def test_the_meat_of_many_parameters_is_not_formed_for_a_few_contrasts():
    term = Component.of_sums(SUMS)
    term.variances(np.eye(6))
    term.between(RNG.normal(size=(2, 6)))
    assert "meat" not in vars(term)
    np.testing.assert_allclose(term.meat, PLAIN.meat)
    assert "meat" in vars(term)


def test_what_was_read_before_changes_no_variance():
    """Two huge parameters whose difference is known to many digits: squared first, nothing of it would be left."""
    noise = RNG.normal(size=(40, 1))
    sums = np.hstack([1e9 + noise, 1e9 * np.ones((40, 1)), RNG.normal(size=(40, 1))])
    term, contrast = Component.of_sums(sums), np.array([[1.0, -1.0, 0.0]])
    right = np.square(sums[:, 0] - sums[:, 1]).sum()
    assert term.variances(contrast)[0] == pytest.approx(right, rel=1e-9)
    assert term.meat.shape == (3, 3)
    assert term.variances(contrast)[0] == pytest.approx(right, rel=1e-9)
    assert term.settled().variances(contrast)[0] == pytest.approx(right, rel=1e-5)


@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_what_is_not_finite_stays_so(odd):
    sums = SUMS.copy()
    sums[3, 1] = odd
    assert not np.isfinite(Component.of_sums(sums).variances(np.array([[-1.0, 1, 0, 0, 0, 0]]))).any()
    assert Component.of_sums(sums).variances(np.array([[0.0, 0, 1, 0, 0, 0]]))[0] > 0


def test_laws_and_variances_are_exchanged_alone():
    for term in (PLAIN, Component.of_sums(SUMS, 39.0, 1.1)):
        assert term.with_df(5.0).df == 5
        assert term.with_df(5.0).joint_scale == 1.1
        np.testing.assert_allclose(term.with_df(5.0).meat, PLAIN.meat)
        np.testing.assert_array_equal(term.with_meat(np.eye(6)).meat, np.eye(6))
        assert term.with_meat(np.eye(6)).df == 39


def test_storing_keeps_the_meat_and_drops_the_rows():
    u = Influence.from_contributions(np.zeros(6), SUMS, RowIdentity(pd.RangeIndex(40)))
    compact = u.compact()
    assert compact.components[0].sums.shape == (6, 6)
    contrast = np.array([[1.0, -1.0, 0, 0, 0, 0]])
    kept, whole = compact.components[0], u.components[0]
    np.testing.assert_allclose(kept.variances(contrast), whole.variances(contrast), rtol=1e-12)
    np.testing.assert_allclose(compact.std_error(), u.std_error(), rtol=1e-12)
    np.testing.assert_allclose(pickle.loads(pickle.dumps(LAZY)).meat, PLAIN.meat)
    assert not hasattr(LAZY, "nothing")
