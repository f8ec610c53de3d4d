"""Nuisances given an instrument are the same fits as those of arms, column by column."""

import numpy as np
import pandas as pd
import pytest

from pandas_causal.errors import CausalArgumentError
from pandas_causal.models.instrument_nuisances import fit_by_instrument, fit_means
from pandas_causal.models.nuisance import TrainingRows, fit_outcome, fit_propensity

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 2))
ZED = (RNG.random(120) < 0.5).astype(np.int8)
D = (RNG.random(120) < 0.3 + 0.4 * ZED).astype(float)
Y = X @ [1.0, 2.0] + D + RNG.normal(size=120)
FOLDS = np.arange(120) % 3
LABELS = pd.RangeIndex(120)
ROWS = TrainingRows(X, ZED, 2, Y)


def test_outcome_treatment_and_instrument():
    models = {"outcome_model": "linear", "treatment_model": "linear", "instrument_model": "linear"}
    found = fit_by_instrument(ROWS, D, FOLDS, LABELS, **models)
    assert np.array_equal(found.outcome.predictions, fit_outcome("linear", ROWS, FOLDS).predictions)
    taken = fit_outcome("linear", TrainingRows(X, ZED, 2, D), FOLDS)
    assert np.array_equal(found.treatment.predictions, taken.predictions)
    assert np.array_equal(found.instrument.predictions, fit_propensity("linear", ROWS, FOLDS).predictions)
    table = found.report().table
    assert table.index.tolist() == [
        "outcome | instrument 0", "outcome | instrument 1", "treatment | instrument 0", "treatment | instrument 1",
        "instrument",
    ]  # fmt: skip
    assert (table["model"] == "linear").all()
    first = fit_by_instrument(ROWS, D, FOLDS, LABELS, **dict.fromkeys(models, "auto"))
    again = fit_by_instrument(ROWS, D, FOLDS, LABELS, **dict.fromkeys(models, "auto"), before=first)
    for part in ("outcome", "treatment", "instrument"):
        heard = {name for stack in getattr(first, part).stacks for name in stack.heard()}
        kept = {name for stack in getattr(again, part).stacks for name in stack.members}
        assert kept == heard | {"ridge"}


def test_means_of_several_columns():
    columns = np.column_stack([Y, D])
    found = fit_means(
        ROWS, columns, FOLDS, LABELS, names=["y", "d"], models=["linear", "ridge"], setting_names=["a", "b"]
    )
    for k in range(3):
        inside = FOLDS == k
        design = np.column_stack([np.ones(120), X])
        beta = np.linalg.lstsq(design[~inside], Y[~inside], rcond=None)[0]
        assert found.predictions[inside, 0] == pytest.approx(design[inside] @ beta)
    assert found.report().table["model"].tolist() == ["linear", "ridge"]
    with pytest.raises(CausalArgumentError, match="a must be one of"):
        fit_means(ROWS, columns[:, :1], FOLDS, LABELS, names=["y"], models=["forest"], setting_names=["a"])
