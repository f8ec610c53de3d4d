"""Which analysis an effect is asked for, and with what settings."""

import numpy as np
import pandas as pd
import pytest

from pandas_causal.errors import CausalArgumentError, CausalError


def test_a_setting_of_another_analysis_is_named():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=200), "t": np.tile([0, 1], 100)})
    frame["y"] = frame["x"] + frame["t"] + rng.normal(size=200)
    effect = frame.causal.ate(treatment="t", outcome="y", covariates=["x"], estimator="regression")
    with pytest.raises(CausalArgumentError, match=r"sensitivity\('tipping_point'\) has no setting 'gammas'"):
        effect.sensitivity("tipping_point", gammas=[1])
    middle = frame.causal.quantiles(treatment="t", outcome="y", covariates=["x"], propensity_model="linear")
    with pytest.raises(CausalError, match="an E-value is asked of effects that compare arms"):
        middle.sensitivity("e_value")
    # columns that cannot stand in the outcome's place are no evidence
    frame["flat"], frame["word"] = 1.0, "a"
    for name, reason in (("flat", "fewer than two"), ("word", "no numbers"), ("x", "a covariate of this study")):
        found = effect.refute("negative_outcome", negative_outcome=name, study=frame)
        assert reason in found.table.to_string()
