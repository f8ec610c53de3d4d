"""Several fits to the same rows, as one."""

import numpy as np
import pandas as pd
import pytest

from pandas_causal.errors import CausalArgumentError, CausalError
from pandas_causal.inference.influence import Component, Influence
from pandas_causal.inference.rows import RowIdentity
from pandas_causal.inference.stacking import stack

RNG = np.random.default_rng(0)
N = 60
ROWS = RowIdentity(pd.RangeIndex(N), RNG.normal(size=N))
NOISE = RNG.normal(size=(N, 4))
NOISE -= NOISE.mean(axis=0)


def part(contributions, factor=1.0, df=np.inf, rows=ROWS, **more):
    meat = factor * contributions.T @ contributions
    values = np.arange(contributions.shape[1], dtype=float)
    return Influence.from_contributions(values, contributions, rows, components=(Component(meat, df),), **more)


def test_without_factors_the_covariance_is_that_of_the_contributions():
    both = stack([part(NOISE[:, :2]), part(NOISE[:, 2:])], ["a", "b"])
    np.testing.assert_allclose(both.covariance(), NOISE.T @ NOISE, rtol=1e-9)
    assert list(both.names) == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]


@pytest.mark.parametrize("dfs", [(7.0, 7.0), (7.0, 30.0)])
def test_every_fit_keeps_its_own_variance_and_degrees_of_freedom(dfs):
    left, right = part(NOISE[:, :2], 1.7, dfs[0]), part(NOISE[:, 2:], 0.8, dfs[1])
    both = stack([left, right], ["a", "b"])
    np.testing.assert_allclose(both.std_error(), [*left.std_error(), *right.std_error()], rtol=1e-9)
    np.testing.assert_allclose(both.df(), np.repeat(dfs, 2))
    cross = np.sqrt(1.7 * 0.8) * NOISE[:, :2].T @ NOISE[:, 2:]  # both variances stretched, and so their covariance
    np.testing.assert_allclose(both.covariance()[:2, 2:], cross, rtol=1e-8)
    assert np.linalg.eigvalsh(both.covariance()).min() > 0


def test_a_fit_beside_itself_differs_by_nothing():
    meat = np.diag([3.0, 1.0, 2.0, 0.5]) + 0.2
    one = Influence.from_contributions(np.arange(4.0), NOISE, ROWS, components=(Component(meat, 9.0),))
    both = stack([one, one], ["a", "b"]).linear(np.hstack([np.eye(4), -np.eye(4)]))
    assert both.std_error().max() < 1e-6


def test_units_of_the_outcome_scale_the_covariance():
    left, right = part(NOISE[:, :2], 1.4), part(NOISE[:, 2:], 1.1)
    scaled = part(NOISE[:, 2:] * [1e6, 1e-6], 1.1)
    plain, other = stack([left, right], "ab").covariance(), stack([left, scaled], "ab").covariance()
    np.testing.assert_allclose(other[:2, 2:], plain[:2, 2:] * [1e6, 1e-6], rtol=1e-7)


def test_terms_in_common_share_the_covariance_out_as_they_share_the_variances():
    """Two arms of Welch's: the term of an arm holds the covariance of that arm's means."""
    arm = np.arange(N) % 3 == 0
    parts, expected = [], []
    for column in NOISE.T[:2]:
        contributions = np.column_stack([column * arm / arm.sum(), column * ~arm / (~arm).sum()])
        terms = [Component(np.diag([(contributions[:, 0] ** 2).sum() * 20 / 19, 0.0]), 19.0)]
        terms.append(Component(np.diag([0.0, (contributions[:, 1] ** 2).sum() * 40 / 39]), 39.0))
        parts.append(Influence.from_contributions(np.zeros(2), contributions, ROWS, components=tuple(terms)))
        expected.append(contributions)
    both = stack(parts, "ab")
    for a, (component, factor) in enumerate(zip(both.components, (20 / 19, 40 / 39), strict=True)):
        assert component.meat[a, 2 + a] == pytest.approx(factor * expected[0][:, a] @ expected[1][:, a])
        assert component.meat[1 - a].any() == component.meat[3 - a].any() == False  # noqa: E712


def test_clusters_are_those_of_the_fits():
    labels = np.arange(N) % 12
    fits = [part(c).cluster([labels]) for c in (NOISE[:, :1], NOISE[:, 1:2])]
    sums = pd.DataFrame(NOISE[:, :2]).groupby(labels).sum().to_numpy()
    factor = 12 / 11 * (N - 1) / (N - 1)
    np.testing.assert_allclose(stack(fits, "ab").covariance(), factor * sums.T @ sums, rtol=1e-9)
    again = stack([part(NOISE[:, :1]), part(NOISE[:, 1:2])], "ab").cluster([labels])
    np.testing.assert_allclose(again.covariance(), factor * sums.T @ sums, rtol=1e-9)


def test_a_parameter_without_noise_stays_without():
    still = np.column_stack([NOISE[:, 0], np.zeros(N)])
    both = stack([part(still, 1.3), part(NOISE[:, 2:], 1.2)], "ab")
    assert both.std_error()[1] == 0
    assert np.isfinite(both.covariance()).all()


def test_other_rows_are_refused():
    other = part(NOISE[:, :1], rows=RowIdentity(pd.RangeIndex(1, N + 1)))
    with pytest.raises(CausalArgumentError, match="different rows"):
        stack([part(NOISE[:, :1]), other], "ab")
    with pytest.raises(CausalError, match="compact"):
        stack([part(NOISE[:, :1]).compact(), part(NOISE[:, 1:2])], "ab")
