"""Effects of a treatment that an instrument moves."""

import numpy as np
import pandas as pd
import pytest

from pandas_causal import InstrumentalForest
from pandas_causal.errors import CausalArgumentError, CausalDataError, NotIdentifiedError, WeakInstrumentWarning


def moved(n=2500, seed=0, strength=0.7):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(n, 3)), columns=["a", "b", "c"])
    frame["z"] = (rng.random(n) < 1 / (1 + np.exp(-frame["a"]))).astype(int)
    hidden = rng.normal(size=n)
    complies = rng.random(n) < strength
    frame["t"] = np.where(complies, frame["z"], (hidden > 0).astype(int))
    frame["effect"] = 1 + np.maximum(frame["b"], 0)
    frame["y"] = frame["a"] + hidden + frame["t"] * frame["effect"] + rng.normal(size=n)
    return frame


def fit(frame, **settings):
    small = InstrumentalForest(**{"n_estimators": 200, "min_samples_leaf": 10, "n_jobs": 1, **settings})
    return small.fit(frame[["a", "b", "c", "t", "z"]], frame["y"], treatment="t", instrument="z")


FRAME = moved()
FIT = fit(FRAME)


def test_effects_are_those_of_the_moved_and_the_average_is_doubly_robust():
    assert np.corrcoef(FIT.predict(FRAME[["a", "b", "c"]]), FRAME["effect"])[0, 1] > 0.6
    average = FIT.effect()
    assert abs(average.estimate - FRAME["effect"].mean()) < 4 * average.std_error
    assert "moved by z" in average.estimand
    assert FIT.compliance_.mean() == pytest.approx(0.7, abs=0.1)
    table = FIT.effect(FRAME[["a", "b", "c"]]).table
    assert (table["std_error"] > 0).all()
    assert FIT.effect(FRAME[["a", "b", "c"]]).aggregate().estimate == pytest.approx(average.estimate)


def test_weights_give_the_effect_as_a_ratio_of_covariances():
    new = FRAME[["a", "b", "c"]].iloc[:5]
    weights = FIT.weights(new)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-12)
    z, d, y = FIT._residuals[0][:, 0], FIT._residuals[1][:, 0], FIT._residuals[2]
    top = weights @ (z * y) - (weights @ z) * (weights @ y)
    bottom = weights @ (z * d) - (weights @ z) * (weights @ d)
    np.testing.assert_allclose(top / bottom, FIT.predict(new), rtol=1e-10)


def test_units_of_instrument_and_treatment():
    scaled = fit(FRAME.assign(z=10 * FRAME["z"], t=FRAME["t"]))
    np.testing.assert_allclose(scaled.predict(FRAME[["a", "b", "c"]]), FIT.predict(FRAME[["a", "b", "c"]]), rtol=1e-6)
    numbers = FRAME.assign(t=100.0 * FRAME["t"] + np.random.default_rng(0).normal(size=len(FRAME)))
    hundredth = fit(numbers)
    assert hundredth.effect().estimate == pytest.approx(FIT.effect().estimate / 100, rel=0.15)


def test_bad_instruments():
    weak = moved(n=400, strength=0.02, seed=5)
    with pytest.warns(WeakInstrumentWarning, match="z moves t weakly"):
        fit(weak, n_estimators=20)
    with pytest.raises(CausalArgumentError, match="one instrument, and 2 were given"):
        InstrumentalForest().fit(FRAME[["a", "b", "t", "z", "c"]], FRAME["y"], treatment="t", instrument=["z", "c"])
    with pytest.raises(CausalDataError, match="3 labels"):
        fit(FRAME.assign(z=np.random.default_rng(0).choice(["p", "q", "r"], len(FRAME))))
    with pytest.raises(CausalArgumentError, match="instrument="):
        InstrumentalForest().fit(FRAME[["a", "t"]], FRAME["y"], treatment="t")
    with pytest.raises(NotIdentifiedError, match="explain"):
        fit(
            FRAME.assign(z=2 * FRAME["a"] + FRAME["b"]),
            instrument_model="linear",
            outcome_model="linear",
            treatment_model="linear",
        )
