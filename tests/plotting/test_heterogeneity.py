"""Pictures of who benefits draw what their tables hold."""

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")

from pandas_causal import LinearDML
from pandas_causal.errors import CausalArgumentError
from pandas_causal.plotting import effects, uplift
from tests.heterogeneity.designs import COVARIATES, confounded

FRAME = confounded(300)
CALL = {"treatment": "t", "outcome": "y", "covariates": COVARIATES}


def test_many_rows_are_a_distribution():
    tau = FRAME.causal.cate(**CALL, learner=LinearDML(outcome_model="linear", treatment_model="linear"))
    ax = tau.plot()
    heights = ax.patches[0].get_data().values
    assert heights.sum() == pytest.approx(100)
    assert ax.lines[1].get_xdata()[0] == pytest.approx(tau.estimates.mean())
    assert tau.plot("forest").get_ylabel() == "300 rows, sorted by estimate"
    few = tau[FRAME.index[:10]].plot()
    assert len(few.get_yticklabels()) == 10
    with pytest.raises(CausalArgumentError, match="no columns"):
        effects(tau.table.drop(columns="estimate"))


@pytest.mark.parametrize("kind", ["toc", "qini", "gain"])
def test_curves_of_rankings(kind):
    models = {"outcome_model": "linear", "propensity_model": "linear"}
    frame = FRAME.assign(one=FRAME["a"], two=FRAME["b"])
    effect = frame.causal.uplift(**CALL, **models, score=["one", "two"])
    ax = effect.plot(kind)
    table = effect.diagnostics["curve one"].table
    line = next(line for line in ax.lines if line.get_label() == "one")
    skipped = 4 if kind == "toc" else 0
    np.testing.assert_allclose(line.get_ydata(), table[kind].to_numpy()[skipped:])
    assert [text.get_text() for text in ax.get_legend().get_texts()][:2] == ["one", "two"]
    assert effect.plot().get_ylabel().replace("\n", " ") == "effect of those treated, beyond the mean"
    with pytest.raises(CausalArgumentError, match="'toc', 'qini', 'gain'"):
        uplift(table, kind="roc")
