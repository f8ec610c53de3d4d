"""Contrasts of cohorts' means by hand: their variance, the adjustment, other assignments."""

import itertools

import numpy as np
import pytest

from pandas_causal.difference_in_differences.cohort_contrasts import (
    Rollout,
    adjusted,
    average_contrasts,
    permuted_moments,
    rollout_moments,
)
from pandas_causal.errors import CausalDataError

# two periods; units 0, 1, 2 start in the second, 3 to 6 never
Y = np.array([[1, 4], [2, 3], [6, 9], [0, 1], [3, 2], [5, 5], [4, 8]], dtype=float)
ROLLOUT = Rollout.of(np.array([1, 1, 1, 9, 9, 9, 9]), 2)


def test_two_cohorts_and_two_periods_by_hand():
    """beta*: slopes pooled by the cohorts' variances over their sizes."""
    moments = rollout_moments(Y, ROLLOUT, average_contrasts(ROLLOUT, "simple"), 0)
    one, none = Y[:3], Y[3:]
    S1, S0 = np.cov(one.T), np.cov(none.T)
    V = S1 / 3 + S0 / 4
    level, double = one[:, 1].mean() - none[:, 1].mean(), one[:, 0].mean() - none[:, 0].mean()
    beta = V[0, 1] / V[0, 0]
    found = adjusted(moments, None)
    assert found.beta[0] == pytest.approx(beta)
    assert found.estimate[0] == pytest.approx(level - beta * double)
    assert found.std_error[0] == pytest.approx(np.sqrt(V[1, 1] - V[0, 1] ** 2 / V[0, 0]))
    did = adjusted(moments, 1.0)
    assert did.estimate[0] == pytest.approx(level - double)
    assert did.std_error[0] == pytest.approx(np.sqrt(V[1, 1] - 2 * V[0, 1] + V[0, 0]))
    assert adjusted(moments, 0.0).estimate[0] == pytest.approx(level)


@pytest.mark.parametrize("beta", [None, 1.0])
def test_taking_an_effect_out_is_taking_it_out_of_the_outcomes(beta):
    contrasts = average_contrasts(ROLLOUT, "simple")
    shifted = Y - 0.7 * ROLLOUT.treated
    pairs = [
        [rollout_moments(y, ROLLOUT, contrasts, 0) for y in (Y, shifted)],
        [permuted_moments(y, ROLLOUT, contrasts, 0, 8, np.random.default_rng(0)) for y in (Y, shifted)],
    ]
    for plain, by_hand in pairs:
        found, expected = adjusted(plain, beta, 0.7), adjusted(by_hand, beta)
        np.testing.assert_allclose(found.estimate, expected.estimate)
        np.testing.assert_allclose(found.std_error, expected.std_error)


def test_few_assignments_are_gone_through():
    moments = permuted_moments(Y, ROLLOUT, average_contrasts(ROLLOUT, "simple"), 0, 40, np.random.default_rng(0))
    change = Y[:, 1] - Y[:, 0]
    every = [
        change[list(chosen)].mean() - np.delete(change, chosen).mean()
        for chosen in itertools.combinations(range(7), 3)
        if chosen != (0, 1, 2)
    ]
    np.testing.assert_allclose(np.sort(adjusted(moments, 1.0).estimate), np.sort(every))
    assert len(every) == 34
    assert (
        len(permuted_moments(Y, ROLLOUT, average_contrasts(ROLLOUT, "simple"), 0, 20, np.random.default_rng(0)).mean)
        == 20
    )


def test_averages_of_three_cohorts_by_hand():
    """Starts 1 and 2 of 3 periods and never, 2, 1 and 3 units: the cells (1,1), (1,2), (2,2)."""
    rollout = Rollout.of(np.array([1, 1, 2, 8, 8, 8]), 3)
    means = np.array([[1.0, 5, 9], [2.0, 4, 10], [3.0, 3, 4]])
    cells = {(1, 1): 5 - (4 + 3 * 3) / 4, (1, 2): 9 - 4, (2, 2): 10 - 4}
    doubles = {(1, 1): 1 - (2 + 3 * 3) / 4, (1, 2): 1 - 3, (2, 2): 4 - 3}
    weights = {
        "simple": [{(1, 1): 2 / 5, (1, 2): 2 / 5, (2, 2): 1 / 5}],
        "cohort": [{(1, 1): 1 / 3, (1, 2): 1 / 3, (2, 2): 1 / 3}],
        "calendar": [{(1, 1): 1 / 2, (1, 2): 1 / 3, (2, 2): 1 / 6}],
        "event": [{(1, 1): 2 / 3, (2, 2): 1 / 3}, {(1, 2): 1.0}],
    }
    for average, rows in weights.items():
        contrasts = average_contrasts(rollout, average)
        assert len(contrasts.labels) == len(rows)
        for j, row in enumerate(rows):
            assert (contrasts.level[j] * means).sum() == pytest.approx(sum(w * cells[c] for c, w in row.items()))
            assert (contrasts.before[j] * means).sum() == pytest.approx(sum(w * doubles[c] for c, w in row.items()))


def test_periods_in_which_all_are_treated_have_no_cells():
    rollout = Rollout.of(np.array([1, 1, 2, 2]), 3)
    assert (average_contrasts(rollout, "simple").level[0][:, 2] == 0).all()
    with pytest.raises(CausalDataError, match="no period from treatment on has untreated units"):
        average_contrasts(Rollout.of(np.array([1, 1]), 3), "simple")
