"""Synthetic comparisons on panels of known truth: sizes of tests, coverage, bias.

The unit of a draw is a panel from a factor model. Bounds are binomial.
"""

import numpy as np
import pytest
from sklearn.base import clone

from pandas_causal import AugmentedSyntheticControl, MatrixCompletion, SyntheticControl, SyntheticDiD
from tests.statistical.draws import DRAWS, FULL, slack
from tests.synthetic_control.designs import factor_panel

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::pandas_causal.errors.AssumptionWarning"),
    pytest.mark.filterwarnings("ignore::pandas_causal.errors.FewTreatedWarning"),
]
PLAIN = {"unit_weights": "equal", "time_weights": "equal"}


def fit(estimator, frame):
    model = clone(estimator)
    model._validated = True
    roles = {"unit": "unit", "time": "time", "treatment": "treated"}
    return model.fit(frame[["unit", "time", "treated"]], frame["outcome"], **roles).effect()


def sizes(estimator, draws, levels, **panel):
    p = np.array([fit(estimator, factor_panel(seed, **panel)).p_value for seed in range(draws)])
    return [float((p <= level + 1e-12).mean()) for level in levels]


@pytest.mark.parametrize("inference", ["placebo", "permutation"])
@pytest.mark.parametrize("estimator", [SyntheticControl(), SyntheticDiD(), SyntheticDiD(**PLAIN)])
def test_size_of_placebo_tests(estimator, inference):
    """Twenty exchangeable units, one of them treated without effect: p of 1/20 and 2/20 as often as it says."""
    levels = (0.05, 0.1)
    draws = DRAWS if FULL else 80
    found = sizes(clone(estimator).set_params(inference=inference), draws, levels, n=20)
    for size, level in zip(found, levels, strict=True):
        assert abs(size - level) < slack(draws, level, most=1)


def test_size_of_the_placebo_test_of_augmented_control():
    draws = DRAWS if FULL else 60
    found = sizes(AugmentedSyntheticControl(), draws, (0.1,), n=10, n_periods=12, starts=(8,))
    assert abs(found[0] - 0.1) < slack(draws, 0.1, most=1)


def test_size_of_placebo_draws_of_several_units():
    """Draws of three donors: p of at most 0.1 in at most 0.1 of the panels, up to binomial error."""
    draws = DRAWS if FULL else 80
    estimator = SyntheticDiD(n_draws=99)
    found = sizes(estimator, draws, (0.1, 0.2), n=30, n_periods=12, starts=(7, 7, 9))
    for size, level in zip(found, (0.1, 0.2), strict=True):
        assert abs(size - level) < slack(draws, level, most=1) + 0.02


CONFORMAL = [SyntheticControl(inference="conformal"), SyntheticDiD(inference="conformal", **PLAIN)]


@pytest.mark.parametrize("estimator", CONFORMAL)
def test_size_of_conformal_tests(estimator):
    """Errors independent over time: sixteen cyclic shifts, p of 2/16 and 4/16 as often as it says, or less."""
    draws = DRAWS if FULL else 80
    levels = (2 / 16, 4 / 16)
    found = sizes(estimator, draws, levels, n=12, n_periods=16, starts=(13,), alike=False)
    for size, level in zip(found, levels, strict=True):
        assert level - slack(draws, level, most=1) - 0.03 < size < level + slack(draws, level, most=1)


def test_conformal_sets_cover():
    """The set of the true effect, 2, at 75%."""
    draws = 300 if FULL else 40
    covered = []
    for seed in range(draws):
        panel = factor_panel(seed, n=12, n_periods=16, starts=(13,), alike=False, effect=2.0)
        pieces = fit(SyntheticControl(inference="conformal"), panel).confidence_set(0.75).to_numpy()
        covered.append(any(low <= 2 <= high for low, high in pieces))
    assert abs(np.mean(covered) - 0.75) < slack(draws, 0.75, most=1) + 0.02


def test_jackknife_intervals_cover():
    """Twenty treated units of sixty, effect 1. Weights are kept, so that errors are 5% small: 93% in 400 panels."""
    draws = DRAWS if FULL else 80
    inside, estimates, errors = [], [], []
    for seed in range(draws):
        panel = factor_panel(seed, n=60, n_periods=14, starts=(10,) * 20, effect=1.0)
        effect = fit(SyntheticDiD(inference="jackknife"), panel)
        inside.append(effect.conf_low <= 1 <= effect.conf_high)
        estimates.append(effect.estimate)
        errors.append(effect.std_error)
    assert np.mean(inside) > 0.93 - slack(draws)
    assert np.mean(inside) < 0.95 + slack(draws)
    assert abs(np.mean(estimates) - 1) < 3.5 * np.std(estimates) / np.sqrt(draws)
    assert 0.75 < np.mean(errors) / np.std(estimates) < 1.25


def trending(seed):
    """The treated unit loads on a trend as the fast quarter of the donors do; effect 1."""
    rng = np.random.default_rng(seed)
    frame = factor_panel(seed, n=24, n_periods=20, starts=(15,), effect=1.0, noise=0.3, alike=False)
    slope = rng.uniform(0, 1, 24)
    slope[0] = 0.8
    return frame.assign(outcome=frame["outcome"] + np.repeat(slope, 20) * frame["time"] * 0.5)


def test_weights_remove_a_bias_that_plain_differences_have():
    draws = 100 if FULL else 12
    panels = [trending(seed) for seed in range(draws)]
    found = {
        name: np.array([fit(estimator, panel).estimate - 1 for panel in panels])
        for name, estimator in {
            "did": SyntheticDiD(**PLAIN),
            "sdid": SyntheticDiD(),
            "sc": SyntheticControl(),
            "mcnnm": MatrixCompletion(penalty=0.01),
        }.items()
    }
    bias = {name: abs(values.mean()) for name, values in found.items()}
    assert bias["did"] > 0.8
    for name in ("sdid", "sc", "mcnnm"):
        assert bias[name] < bias["did"] / 2
