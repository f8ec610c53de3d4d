"""FrontDoor: bias and coverage where the confounders are hidden, and which wrong models it bears."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from pandas_causal import AIPW, FrontDoor
from tests.adjustment.designs import front_door
from tests.mediation.test_front_door import LINEAR
from tests.statistical.draws import DRAWS, FULL, refit, slack, summarise

# a draw in some hundreds has few rows that the mediators of another arm weigh
pytestmark = pytest.mark.filterwarnings("ignore::pandas_causal.errors.OverlapWarning")
ROLES = {"treatment": "d", "mediators": ["m1", "m2"]}


@pytest.mark.slow
@pytest.mark.parametrize("arms", [2, 3])
def test_bias_and_coverage_with_hidden_confounders(arms):
    """A back-door estimator is off by the hidden cause, 1.5 per arm."""
    draws = DRAWS if FULL else 120
    rng = np.random.default_rng(arms)
    rows, truth = [], None
    for _ in range(draws):
        frame, y, truth = front_door(rng, 1_500, arms=arms)
        table = refit(FrontDoor(**LINEAR), frame.drop(columns="square"), y, **ROLES).table
        rows.append(table[["estimate", "conf_low", "conf_high"]].to_numpy())
    for k, effect in enumerate(truth):
        bias, error, covered = summarise(*np.array(rows)[:, k].T, effect)
        print(f"{arms} arms, contrast {k + 1}: bias {bias:+.4f} ({error:.4f}), coverage {covered:.3f}")
        assert abs(bias) < 3.5 * error
        assert abs(covered - 0.95) <= slack(draws)
    frame, y, _ = front_door(rng, 20_000)
    naive = AIPW(outcome_model="linear", propensity_model="linear").fit(frame[["x", "d"]], y, treatment="d").effect()
    assert naive.estimate - truth[0] > 1.3


@pytest.mark.slow
def test_coverage_with_chosen_learners():
    """The default models, which are told nothing of the design, and the ATT; every effect is the same for everyone."""
    draws = 400 if FULL else 10
    rng = np.random.default_rng(7)
    rows, truth = [], None
    for _ in range(draws):
        frame, y, truth = front_door(rng, 1_000)
        effect = refit(FrontDoor(estimand="ATT"), frame.drop(columns="square"), y, **ROLES)
        rows.append((effect.estimate, effect.conf_low, effect.conf_high))
    bias, error, covered = summarise(*np.array(rows).T, truth[0])
    print(f"ATT, default models: bias {bias:+.4f} ({error:.4f}), coverage {covered:.3f}")
    assert abs(bias) < 3.5 * error + 0.02  # penalised models
    assert abs(covered - 0.95) <= slack(draws)


# -- double robustness -----------------------------------------------------------------------------------------------


def without_square(Z):
    """All columns but the second, which is the square of x."""
    return np.delete(np.asarray(Z), 1, axis=1)


BLIND = FunctionTransformer(without_square)
HALF = make_pipeline(BLIND, LinearRegression())
HALF_LOGIT = make_pipeline(BLIND, LogisticRegression(C=np.inf, solver="newton-cholesky"))
WRONG = {
    "outcome_model": HALF,
    "propensity_model": HALF_LOGIT,
    "mediator_model": HALF_LOGIT,
    "nested_model": HALF,
}


@pytest.mark.slow
def test_consistent_under_three_pairs_of_right_models():
    """The square of x moves treatment, mediators and outcome; a model that does not see it is wrong.

    (e, r), (e, mu) and (mu, nu) are enough, whatever the others; (r, nu) and none are not. 0.02 is allowed beyond the
    error of the draws for terms of order 1 / n.
    """
    draws = 400 if FULL else 16
    e, r, mu, nu = "propensity_model", "mediator_model", "outcome_model", "nested_model"
    cases = {
        "all right": ((), True),
        "mu, nu wrong": ((mu, nu), True),
        "r, nu wrong": ((r, nu), True),
        "e, r wrong": ((e, r), True),
        "e, mu wrong": ((e, mu), False),
        "all wrong": ((e, r, mu, nu), False),
    }
    rng = np.random.default_rng(11)
    rows = {name: [] for name in cases}
    for _ in range(draws):
        frame, y, truth = front_door(rng, 3_000, square=True)
        for name, (wrong, _) in cases.items():
            models = LINEAR | {m: WRONG[m] for m in wrong}
            rows[name].append(refit(FrontDoor(**models), frame, y, **ROLES).estimate)
    for name, (_, consistent) in cases.items():
        bias, error, _ = summarise(rows[name], rows[name], rows[name], truth[0])
        print(f"{name}: bias {bias:+.4f} ({error:.4f})")
        if consistent:
            assert abs(bias) < 0.02 + 3.5 * error
        else:
            assert abs(bias) > 0.05 + 3.5 * error
