"""S, T, X, R and DR learners: effects, averages by scores, projections, several arms, nested settings."""

import pickle
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression

import pandas_causal
from pandas_causal import AIPW, DRLearner, LinearDML, RLearner, SLearner, TLearner, XLearner
from pandas_causal.errors import CausalArgumentError, CausalError
from tests.heterogeneity.designs import COVARIATES, confounded

FRAME = confounded()
X, Y = FRAME[[*COVARIATES, "t"]], FRAME["y"]
MODELS = {"outcome_model": "linear", "propensity_model": "linear"}
LEARNERS = [SLearner, TLearner, XLearner, RLearner, DRLearner]
each = pytest.mark.parametrize("cls", LEARNERS)


def fit(cls, X=X, y=Y, **settings):
    roles = settings.pop("roles", {})
    return cls(**{**MODELS, **settings}).fit(X, y, treatment="t", **roles)


@each
def test_averages_are_those_of_doubly_robust_scores(cls):
    final = {} if cls in (SLearner, TLearner) else {"final_model": "ridge"}
    model = fit(cls, **final)
    aipw = AIPW(**MODELS).fit(X, Y, treatment="t").effect()
    assert model.effect().estimate == pytest.approx(aipw.estimate, rel=1e-10)
    assert model.effect().std_error == pytest.approx(aipw.std_error, rel=1e-10)
    tau = model.effect(X)
    assert tau.aggregate().estimate == pytest.approx(aipw.estimate, rel=1e-10)
    assert tau.aggregate().std_error == pytest.approx(aipw.std_error, rel=1e-10)
    group = np.where(FRAME["a"] > 0, "high", "low")
    groups = tau.aggregate(by=group)
    truth = FRAME["effect"].groupby(group).mean()
    assert (np.abs(groups.estimates - truth) < 4 * groups.table["std_error"]).all()
    some = tau[FRAME.index[group == "high"]]
    assert some.aggregate().estimate == pytest.approx(groups.estimates["high"])
    with pytest.raises(CausalError, match="leave population=True"):
        tau.aggregate(population=False)


@each
def test_rows_without_standard_errors_say_so(cls):
    final = {} if cls in (SLearner, TLearner) else {"final_model": "ridge"}
    tau = fit(cls, **final).effect(X)
    assert tau.table["std_error"].isna().all()
    assert np.isfinite(tau.table["estimate"]).all()
    assert any("no standard errors for single rows" in text for text in tau.warnings)
    again = pickle.loads(pickle.dumps(tau))
    assert again.aggregate().estimate == tau.aggregate().estimate
    assert tau.compact().averages is None


@pytest.mark.parametrize("cls", [TLearner, XLearner, RLearner, DRLearner])
def test_effects_are_found(cls):
    final = {} if cls is TLearner else {"final_model": "ridge"}
    tau = fit(cls, **final).predict(X)
    assert np.sqrt(np.mean(np.square(tau - FRAME["effect"]))) < 0.3


@pytest.mark.parametrize("cls", [RLearner, DRLearner])
def test_a_linear_final_model_has_intervals(cls):
    model = fit(cls, final_model="linear")
    tau = model.effect(X)
    assert (tau.table["std_error"] > 0).all()
    if cls is RLearner:
        same = LinearDML(outcome_model="linear", treatment_model="linear").fit(X, Y, treatment="t").effect(X)
        assert np.corrcoef(tau.estimates, same.estimates)[0, 1] > 0.999
    else:
        projection = model.best_linear_projection()
        at_means = pd.DataFrame([FRAME[COVARIATES].mean()])
        row = model.effect(at_means)
        assert row.estimate == pytest.approx(projection.table["estimate"].iloc[0], rel=1e-9)
        assert row.std_error == pytest.approx(projection.table["std_error"].iloc[0], rel=1e-9)
        # the projection's average over the rows is that of the scores
        assert tau.aggregate().estimate == pytest.approx(model.effect().estimate, rel=1e-9)
        assert tau.aggregate().std_error == pytest.approx(model.effect().std_error, rel=2e-2)


def test_the_test_of_heterogeneity():
    found = fit(DRLearner, final_model="linear").test_heterogeneity()
    assert found.table["p_value"].iloc[0] < 1e-6
    flat = confounded(seed=5, effect=lambda _: 1.0)
    none = fit(TLearner, flat[[*COVARIATES, "t"]], flat["y"]).test_heterogeneity(["a", "b"])
    assert none.table["p_value"].iloc[0] > 0.01
    assert none.table["df_num"].iloc[0] == 2
    assert fit(TLearner).test_heterogeneity([]).passed is None


@each
def test_several_arms(cls):
    frame = X.assign(t=np.where(np.arange(len(X)) % 3 == 0, 2, X["t"]))
    final = {} if cls in (SLearner, TLearner) else {"final_model": "ridge"}
    model = fit(cls, frame, **final)
    assert model.effect().table.index.tolist() == ["1 - 0", "2 - 0"]
    assert model.predict(frame).shape == (len(frame), 2)
    for arm, j in ((1, 0), (2, 1)):
        tau = model.effect(frame, arm=arm)
        assert tau.estimates.to_numpy() == pytest.approx(model.predict(frame)[:, j])
        assert tau.aggregate().estimate == pytest.approx(model.effect().estimates.iloc[j], rel=1e-10)
    with pytest.raises(CausalArgumentError, match=r"one of \[1, 2\]"):
        model.effect(frame, arm=3)
    assert np.isfinite(model.score(frame, Y))


@each
def test_known_propensities_weights_and_clusters(cls):
    final = {} if cls in (SLearner, TLearner) else {"final_model": "ridge"}
    more = X.assign(e=0.5, w=1.0 + np.arange(len(X)) % 3, site=np.arange(len(X)) // 5)
    model = fit(cls, more, **final, roles={"propensity": "e", "sample_weight": "w", "cluster": "site"})
    assert (model.propensity_ == 0.5).all()
    assert "clustered by site" in model.effect().std_error_method
    tau = model.effect(more)
    assert tau.aggregate().estimate == pytest.approx(model.effect().estimate, rel=1e-10)
    # one parameter in the factor of CR1 here, two there
    assert tau.aggregate().std_error == pytest.approx(model.effect().std_error, rel=2e-3)


def test_effect_modifiers_and_categories():
    frame = X.assign(region=np.where(FRAME["c"] > 0, "north", "south"))
    for cls in (XLearner, RLearner, DRLearner):
        model = fit(cls, frame, final_model=HistGradientBoostingRegressor(max_iter=5), effect_modifiers=["a", "region"])
        flat = frame.assign(b=0.0, c=0.0)
        if cls is not XLearner:  # its propensity looks at all covariates
            assert model.predict(flat) == pytest.approx(model.predict(frame))
        assert np.ptp(model.predict(frame)) > 0


def test_parameters_of_a_model_that_is_a_name():
    model = DRLearner().set_params(final_model__max_depth=2)
    assert isinstance(model.final_model, HistGradientBoostingRegressor)
    assert model.final_model.max_depth == 2
    model = DRLearner(final_model=LinearRegression()).set_params(final_model__fit_intercept=False)
    assert model.final_model.fit_intercept is False
    with pytest.raises(ValueError, match="Invalid parameter"):
        DRLearner().set_params(final_model__no_such=2)
    with pytest.raises(ValueError, match="Invalid parameter"):
        DRLearner().set_params(no_such__max_depth=2)


def test_zero_one_outcomes_take_classifiers():
    from sklearn.linear_model import LogisticRegression

    binary = (Y > Y.median()).astype(int)
    for cls in (SLearner, TLearner):
        tau = fit(cls, X, binary, outcome_model=LogisticRegression()).predict(X)
        assert (np.abs(tau) <= 1).all()


def test_the_question():
    dr, dml = DRLearner(**MODELS, final_model="ridge"), LinearDML(outcome_model="linear", treatment_model="linear")
    tau = FRAME.causal.cate(treatment="t", outcome="y", covariates=COVARIATES, learner=dr)
    assert tau.table.index.equals(FRAME.index)
    assert len(tau.table) == len(FRAME)
    number = FRAME.causal.cate(
        treatment="t", outcome="y", covariates=COVARIATES, learner=dml, effect_modifiers=["a"], level=0.9
    )
    assert number.level == 0.9
    assert number.estimator.predict(FRAME[COVARIATES]) == pytest.approx(number.estimates)
    holed = FRAME.assign(y=FRAME["y"].where(FRAME["a"] > -1))
    dropped = holed.causal.cate(treatment="t", outcome="y", covariates=COVARIATES, learner=dr, missing="drop")
    assert len(dropped) == (FRAME["a"] > -1).sum()
    assert np.isfinite(dropped.aggregate().std_error)
    formula = FRAME.causal.cate(treatment="t", outcome="y", formula="a + b", learner=dml)
    assert formula.estimator.covariates_ == ["a", "b"]
    named = FRAME.causal.cate(treatment="t", outcome="y", covariates=["a"], learner="dml")
    assert type(named.estimator).__name__ == "LinearDML"
    with pytest.raises(CausalArgumentError, match="cate needs covariates="):
        FRAME.causal.cate(treatment="t", outcome="y")
    with pytest.raises(CausalArgumentError, match="learner|use one of"):
        FRAME.causal.cate(treatment="t", outcome="y", covariates=["a"], learner="trees")
    with pytest.raises(CausalArgumentError, match="has no effect for every row"):
        FRAME.causal.cate(treatment="t", outcome="y", covariates=["a"], learner=AIPW(**MODELS))
    with pytest.raises(CausalArgumentError, match="one outcome"):
        FRAME.causal.cate(treatment="t", outcome=["y"], covariates=["a"])


def test_scores_of_rows():
    scores = FRAME.causal.scores(
        treatment="t", outcome="y", covariates=COVARIATES, outcome_model="linear", propensity_model="linear"
    )
    aipw = AIPW(**MODELS).fit(X, Y, treatment="t").effect()
    assert scores.index.equals(FRAME.index)
    assert (scores[1] - scores[0]).mean() == pytest.approx(aipw.estimate, rel=1e-10)
    with pytest.raises(CausalArgumentError, match=r"covariates=\[\] says none on purpose"):
        FRAME.causal.scores(treatment="t", outcome="y")
    assert pandas_causal.DRLearner is DRLearner


@pytest.mark.parametrize("method", ["best_linear_projection", "test_heterogeneity"])
def test_columns_are_a_list(method):
    model = fit(DRLearner)
    with pytest.raises(CausalArgumentError, match=r"columns must be None \(all covariates\) or a list"):
        getattr(model, method)("age")
    with pytest.raises(CausalArgumentError, match=r"columns=\['aa'\]: 'aa' is no covariate"):
        getattr(model, method)(["aa"])


# -- covariates as they are -------------------------------------------------------------------------------------------

BOOSTED = {"outcome_model": "boosting", "propensity_model": "boosting"}


def gaps(frame=FRAME):
    X = frame[[*COVARIATES, "t"]].copy()
    X.loc[X.index[::7], "a"] = np.nan
    X["c"] = X["c"].astype("Float64")
    return X


class SeesMissing(HistGradientBoostingRegressor):
    """Remembers how many values were missing where it learned."""

    seen: ClassVar[list] = []

    def fit(self, X, y, sample_weight=None):
        self.seen.append((np.shape(X)[1], int(np.isnan(np.asarray(X, dtype=float)).sum())))
        return super().fit(X, y, sample_weight=sample_weight)


@each
def test_missing_covariates_are_passed_through(cls):
    X = gaps()
    final = {} if cls in (SLearner, TLearner) else {"final_model": "boosting"}
    settings = {**BOOSTED, **final, "outcome_model": SeesMissing(max_iter=5)}
    SeesMissing.seen.clear()
    model = fit(cls, X, Y, **settings, encode=False)
    assert all(missing > 0 and width in (3, 4) for width, missing in SeesMissing.seen)  # S: and the treatment
    assert np.isfinite(model.predict(X)).all()
    assert np.isfinite(model.score(X, Y))
    again = model.effect(X)
    assert again.table["estimate"].to_numpy() == pytest.approx(model.predict(X))
    SeesMissing.seen.clear()
    fit(cls, X, Y, **settings)
    assert all(missing == 0 and width in (4, 5) for width, missing in SeesMissing.seen)  # an indicator beside


def test_what_encode_false_does_not_take():
    for settings, words in (
        ({"outcome_model": "ridge"}, r"missing values of \['a'\] to the models, and outcome_model='ridge' takes none"),
        ({"propensity_model": "auto"}, "propensity_model='auto' takes none"),
        ({"final_model": "auto"}, "final_model='auto' takes none"),
    ):
        with pytest.raises(CausalArgumentError, match=words):
            fit(DRLearner, gaps(), Y, **{**BOOSTED, "final_model": "boosting", "encode": False, **settings})
    with pytest.raises(CausalArgumentError, match="a formula encodes the covariates"):
        fit(DRLearner, X, Y, **BOOSTED, encode=False, formula="a + b")
    with pytest.raises(CausalArgumentError, match=r"\['b'\] hold no numbers"):
        fit(DRLearner, X.assign(b=np.where(X["b"] > 0, "high", "low")), Y, **BOOSTED, encode=False)


def test_linear_effects_and_modifiers_of_covariates_as_they_are():
    model = fit(DRLearner, gaps(), Y, **BOOSTED, encode=False, final_model="linear", effect_modifiers=["b"])
    assert (model.effect(gaps()).table["std_error"] > 0).all()
    model = fit(DRLearner, gaps(), Y, **BOOSTED, encode=False, final_model="boosting", effect_modifiers=["c"])
    moved = gaps().assign(a=0.0, b=5.0)
    assert model.predict(moved) == pytest.approx(model.predict(gaps()))
    without = X.astype(float)
    same = fit(RLearner, without, Y, **BOOSTED, final_model="boosting", encode=False).predict(without)
    assert same == pytest.approx(fit(RLearner, without, Y, **BOOSTED, final_model="boosting").predict(without))


# -- refits for the effects of rows -----------------------------------------------------------------------------------


def test_refits_say_how_effects_of_rows_vary():
    new = X.iloc[:20]
    linear = DRLearner(**MODELS, final_model="linear", cv=2)
    found = pandas_causal.bootstrap(linear, X, Y, treatment="t", at=new, n_draws=40, method="bayesian", progress=False)
    exact = fit(DRLearner, final_model="linear", cv=2).effect(new)
    assert found.table.index.equals(new.index)
    assert found.table["estimate"].to_numpy() == pytest.approx(exact.table["estimate"].to_numpy())
    ratio = found.table["std_error"].to_numpy() / exact.table["std_error"].to_numpy()
    assert 0.7 < np.median(ratio) < 1.4
    trees = pandas_causal.bootstrap(TLearner(**BOOSTED, cv=2), X, Y, treatment="t", at=new, n_draws=3, progress=False)
    assert (trees.table["std_error"] > 0).all()
    assert "draws" in trees.std_error_method
    assert not trees.warnings
    with pytest.raises(CausalArgumentError, match="at most 5,000 are kept"):
        pandas_causal.bootstrap(linear, X, Y, treatment="t", at=pd.concat([X] * 10), n_draws=2)
    with pytest.raises(CausalArgumentError, match="AIPW estimates an average"):
        pandas_causal.bootstrap(AIPW(**MODELS), X, Y, treatment="t", at=new, n_draws=2)
