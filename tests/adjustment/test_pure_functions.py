"""The formulas are pure functions: they leave their inputs as they were."""

import numpy as np
import pytest

from pandas_causal.adjustment.doubly_robust import aipw_scores
from pandas_causal.adjustment.inverse_probability import hajek_means
from pandas_causal.arms.estimands import ESTIMANDS, plan_estimand, target_density, target_share
from pandas_causal.arms.overlap import arm_weights
from pandas_causal.inputs.arms import Arms

RNG = np.random.default_rng(0)
N, K = 60, 3
CODES = RNG.integers(0, K, N).astype(np.int8)
Y = RNG.normal(size=N)
E = RNG.dirichlet(np.full(K, 5.0), size=N)
M = RNG.normal(size=(N, K))
ARMS = Arms(("a", "b", "c"), CODES, "control=")


@pytest.mark.parametrize("estimand", list(ESTIMANDS))
def test_inputs_are_left_alone(estimand):
    plan = plan_estimand(estimand, ARMS, "t", tuple(ESTIMANDS))
    before = [v.copy() for v in (Y, CODES, M, E)]
    target_density(estimand, plan.targets[0][0], E)[:] = 0
    target_share(plan.targets[0][0], CODES, E, estimand)[:] = 0
    hajek_means(plan, Y, CODES, E, np.ones(N))
    arm_weights(estimand, CODES, E)
    if estimand not in ("ATO", "ATM"):
        aipw_scores(plan, Y, CODES, M, E, np.ones(N, dtype=bool), np.ones(N))
    for was, now in zip(before, (Y, CODES, M, E), strict=True):
        np.testing.assert_array_equal(was, now)


@pytest.mark.parametrize("estimand", ["ATE", "ATT", "ATC"])
def test_aipw_scores_are_the_formula(estimand):
    plan = plan_estimand(estimand, ARMS, "t")
    values, contributions = aipw_scores(plan, Y, CODES, M, E)
    for j, (t, a) in enumerate(plan.targets):
        g = np.ones(N) if t is None else (CODES == t).astype(float)
        h = np.ones(N) if t is None else E[:, t]
        score = g * M[:, a] + (CODES == a) * h / E[:, a] * (Y - M[:, a])
        assert values[j] == pytest.approx(score.sum() / g.sum())
        np.testing.assert_allclose(contributions[:, j], (score - g * values[j]) / g.sum())
