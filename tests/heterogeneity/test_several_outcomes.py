"""Several outcomes in one fit: each as by itself, how they covary, rows, missing ones, bad input."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import Ridge

from pandas_causal import DoubleML, DRLearner, LinearDML, SparseDML
from pandas_causal.errors import CausalArgumentError, CausalDataError
from tests.heterogeneity.designs import COVARIATES, confounded, dosed

FRAME = confounded(500)
FRAME["z"] = 0.5 * FRAME["y"] + FRAME["c"] + np.random.default_rng(1).normal(size=500)
X, Y = FRAME[[*COVARIATES, "t"]], FRAME[["y", "z"]]
LINEAR = {"outcome_model": "linear", "treatment_model": "linear"}
each = pytest.mark.parametrize("model", [
    DoubleML(**LINEAR), DoubleML(**LINEAR, n_repeats=2), LinearDML(**LINEAR), SparseDML(**LINEAR, penalty=0.1),
], ids=["DoubleML", "repeated", "LinearDML", "SparseDML"])  # fmt: skip


@each
def test_each_is_as_by_itself(model):
    fit = clone(model).fit(X, Y, treatment="t")
    table = fit.effect().table
    assert table.index.tolist() == [("y", "1 - 0"), ("z", "1 - 0")]
    for name in Y:
        alone = clone(model).fit(X, Y[name], treatment="t").effect().table.iloc[0]
        assert table.loc[name].iloc[0].to_numpy() == pytest.approx(alone.to_numpy())
    assert fit.folds_.tolist() == clone(model).fit(X, Y["y"], treatment="t").folds_.tolist()


def test_their_covariance_is_that_of_their_contributions():
    fit = DoubleML(**LINEAR).fit(X, Y, treatment="t")
    parts = [f.effect_.uncertainty.contributions[:, 0] for f in fit.fits_.values()]
    assert fit.effect().vcov.to_numpy() == pytest.approx(np.cov(parts, ddof=0) * len(X), rel=1e-9)
    half = fit.effect().linear(np.array([[0.5, -1.0]]), pd.Index(["gap"]))
    direct = (
        DoubleML(**LINEAR).fit(X, 0.5 * Y["y"] - Y["z"], treatment="t").effect()
    )  # residuals of linear models add up
    assert half.estimate == pytest.approx(direct.estimate)
    assert half.std_error == pytest.approx(direct.std_error)
    assert fit.effect().test_zero().df_num == 2


def test_effects_of_rows_are_asked_by_outcome():
    fit = LinearDML(**LINEAR).fit(X, Y, treatment="t")
    alone = LinearDML(**LINEAR).fit(X, Y["z"], treatment="t")
    assert fit.effect(X, outcome="z").table["std_error"].to_numpy() == pytest.approx(
        alone.effect(X).table["std_error"].to_numpy()
    )
    assert fit.predict(X)[:, 1] == pytest.approx(alone.predict(X))
    assert fit.predict(X).shape == (500, 2)
    assert fit.coefficients_.table.index[0] == ("y", "at the means")
    assert fit.score(X, Y) == pytest.approx(
        np.mean([LinearDML(**LINEAR).fit(X, Y[c], treatment="t").score(X, Y[c]) for c in Y])
    )
    with pytest.raises(
        CausalArgumentError, match=r"outcome=None: effects for rows are of one outcome; name it, one of"
    ):
        fit.effect(X)
    with pytest.raises(CausalDataError, match=r"score takes them all: \['y', 'z'\]"):
        fit.score(X, Y["y"])
    again = fit.fit(X, Y["y"], treatment="t")  # fitted to one outcome again
    assert again.predict(X).shape == (500,)


class Counted(Ridge):
    """Counts its fits."""

    n = 0

    def fit(self, X, y, sample_weight=None):
        Counted.n += 1
        return super().fit(X, y, sample_weight)


def test_models_of_the_treatment_are_fitted_once():
    frame = dosed(300)
    frame["z"] = frame["y"] + frame["a"] ** 2
    model = DoubleML(outcome_model="ridge", treatment_model=Counted(), cv=3)
    model.fit(frame[[*COVARIATES, "price"]], frame[["y", "z"]], treatment="price")
    assert Counted.n == 3


def test_rows_that_lack_one_outcome_count_for_none():
    gaps = Y.copy()
    gaps.iloc[:20, 0] = np.nan
    gaps.iloc[10:40, 1] = np.nan
    with pytest.raises(CausalDataError, match="y: "):
        DoubleML(**LINEAR).fit(X, gaps, treatment="t")
    effect = DoubleML(**LINEAR).fit(X, gaps, treatment="t", missing="drop").effect()
    assert effect.n_obs == 460
    whole = DoubleML(**LINEAR).fit(X.iloc[40:], Y.iloc[40:], treatment="t").effect()
    assert effect.table["estimate"].to_numpy() == pytest.approx(whole.table["estimate"].to_numpy(), abs=0.05)


def test_clusters_generators_of_folds_and_what_is_refused():
    rows = X.assign(site=np.arange(500) // 5)
    folds = np.arange(500) // 5 % 4
    pairs = ((np.flatnonzero(folds != k), np.flatnonzero(folds == k)) for k in range(4))
    effect = LinearDML(**LINEAR, cv=pairs).fit(rows, Y, treatment="t", cluster="site").effect()
    assert "clustered by site" in effect.std_error_method
    with pytest.raises(CausalDataError, match=r"outcomes have the same name: \['y'\]"):
        DoubleML(**LINEAR).fit(X, Y.set_axis(["y", "y"], axis=1), treatment="t")
    with pytest.raises(CausalDataError, match="columns"):
        DRLearner(outcome_model="linear", propensity_model="linear").fit(X, Y, treatment="t")
    one = DoubleML(**LINEAR).fit(X, Y[["y"]], treatment="t").effect()
    assert one.table.index.tolist() == ["1 - 0"]
