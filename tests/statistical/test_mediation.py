"""Known truth of direct and indirect effects: bias and coverage."""

import numpy as np
import pandas as pd
import pytest
from scipy import special

from pandas_causal import NaturalEffects, SimulatedMediation
from tests.mediation.test_front_door import LINEAR
from tests.statistical.draws import FULL, refit, slack

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::pandas_causal.errors.OverlapWarning")]
DRAWS = 1_000 if FULL else 100
FAST = NaturalEffects(**LINEAR, cv=2)


def draw(rng, n=500, binary=False):
    x = rng.normal(size=n)
    d = (rng.uniform(size=n) < special.expit(0.5 * x)).astype(int)
    if binary:
        m = (rng.uniform(size=n) < special.expit(d + 0.5 * x - 0.5)).astype(float)
    else:
        m = 0.8 * d + 0.5 * x + rng.normal(size=n)
    y = 1.0 * d + 0.7 * m + 0.4 * d * m + x + rng.normal(size=n)
    return pd.DataFrame({"x": x, "m": m}), d, y


def truth(binary):
    """Of y linear in m with slope 0.7 + 0.4 d: what m is on average under either arm."""
    x = np.random.default_rng(0).normal(size=1_000_000)
    m0, m1 = (special.expit(0.5 * x - 0.5).mean(), special.expit(0.5 + 0.5 * x).mean()) if binary else (0.0, 0.8)
    out = {"natural direct": 1 + 0.4 * m0, "natural indirect": 1.1 * (m1 - m0)}
    out |= {"total direct": 1 + 0.4 * m1, "pure indirect": 0.7 * (m1 - m0)}
    return {"total": out["natural direct"] + out["natural indirect"], **out}


@pytest.mark.parametrize("binary", [False, True], ids=["a number", "0/1"])
@pytest.mark.parametrize("estimator", [FAST, SimulatedMediation(n_draws=200)], ids=["doubly robust", "simulation"])
def test_coverage(estimator, binary):
    rng, tables, true = np.random.default_rng(1), [], truth(binary)
    for _ in range(DRAWS):
        X, d, y = draw(rng, binary=binary)
        tables.append(refit(estimator, X, y, treatment=d, mediators="m").table)
    every = pd.concat(tables, keys=range(DRAWS))
    for name, value in true.items():
        part = every.xs(name, level=1)
        error = part["estimate"].std() / np.sqrt(DRAWS)
        assert part["estimate"].mean() == pytest.approx(value, abs=4 * error), name
        covered = ((part["conf_low"] <= value) & (value <= part["conf_high"])).mean()
        assert covered >= 0.95 - slack(DRAWS) - 0.005, name
        assert part["std_error"].mean() == pytest.approx(part["estimate"].std(), rel=0.25), name


def test_controlled_effects_cover():
    rng, rows = np.random.default_rng(2), []
    estimator = NaturalEffects(**LINEAR, cv=2, controlled=[{"m": 0.0}, {"m": 1.0}])
    for _ in range(DRAWS):
        X, d, y = draw(rng, binary=True)
        rows.append(refit(estimator, X, y, treatment=d, mediators="m").table.iloc[5:])
    every = pd.concat(rows, keys=range(DRAWS))
    for name, value in zip(every.index.get_level_values(1).unique(), (1.0, 1.4), strict=True):
        part = every.xs(name, level=1)
        assert part["estimate"].mean() == pytest.approx(value, abs=4 * part["estimate"].std() / np.sqrt(DRAWS))
        assert ((part["conf_low"] <= value) & (value <= part["conf_high"])).mean() >= 0.95 - slack(DRAWS)


def test_several_mediators_jointly_with_learned_interactions():
    """Two mediators, one caused by the other: jointly the indirect effect is what passes through either."""
    rng, tables = np.random.default_rng(3), []
    for _ in range(DRAWS):
        x = rng.normal(size=500)
        d = (rng.uniform(size=500) < special.expit(0.5 * x)).astype(int)
        m = 0.6 * d + 0.5 * x + rng.normal(size=500)
        k = 0.5 * m + 0.3 * d + rng.normal(size=500)
        y = d + 0.5 * m + 0.8 * k + x + rng.normal(size=500)
        X = pd.DataFrame({"x": x, "m": m, "k": k})
        tables.append(refit(FAST, X, y, treatment=d, mediators=["m", "k"]).table)
    every = pd.concat(tables, keys=range(DRAWS))
    for name, value in (("natural direct", 1.0), ("natural indirect", 0.6 * 0.5 + 0.8 * (0.3 + 0.5 * 0.6))):
        part = every.xs(name, level=1)
        assert part["estimate"].mean() == pytest.approx(value, abs=4 * part["estimate"].std() / np.sqrt(DRAWS))
        assert ((part["conf_low"] <= value) & (value <= part["conf_high"])).mean() >= 0.95 - slack(DRAWS) - 0.01
