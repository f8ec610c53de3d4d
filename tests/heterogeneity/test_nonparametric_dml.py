"""Effects of any shape: the weighted regression by hand, averages, kernels, EconML beside them, bad input."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.tree import DecisionTreeRegressor

from pandas_causal import KernelDML, LinearDML, NonparametricDML
from pandas_causal.errors import CausalArgumentError
from pandas_causal.heterogeneity.kernel_features import KernelRidge, median_distance
from pandas_causal.heterogeneity.nonparametric_dml import partially_linear_scores
from tests.heterogeneity.designs import COVARIATES, confounded, dosed

MODELS = {"outcome_model": "ridge", "treatment_model": "ridge"}
WAVES = lambda f: np.sin(2 * f["a"])  # noqa: E731
both = pytest.mark.parametrize("cls", [NonparametricDML, KernelDML])


def waves(n=1_500, number=True):
    if not number:
        return confounded(n, effect=WAVES)
    frame = dosed(n)
    frame["y"] += frame["price"] * (WAVES(frame) - frame["effect"])
    frame["effect"] = WAVES(frame)
    return frame


def fit(cls, frame, treatment="price", roles=None, **settings):
    X = frame[[*COVARIATES, treatment, *(roles or {}).values()]]
    return cls(**{**MODELS, **settings}).fit(X, frame["y"], treatment=treatment, **(roles or {}))


def test_scores_by_hand():
    found = partially_linear_scores(np.array([3.0]), np.array([0.5]), np.array([2.0]), np.array([0.25]))
    assert found == pytest.approx([2 + 0.5 * (3 - 1) / 0.25])


def test_it_is_the_weighted_regression():
    frame = waves(400)
    tree = DecisionTreeRegressor(max_depth=3, random_state=0)
    model = fit(NonparametricDML, frame, final_model=tree)
    y, d = model.residuals_.T
    by_hand = DecisionTreeRegressor(max_depth=3, random_state=0).fit(frame[COVARIATES], y / d, sample_weight=d**2)
    assert model.predict(frame) == pytest.approx(by_hand.predict(frame[COVARIATES]))
    assert model.effect().estimate == pytest.approx(model.scores_.mean())


@both
@pytest.mark.parametrize("number", [True, False])
def test_it_finds_what_linear_effects_do_not(cls, number):
    frame, treatment = waves(1_500 if number else 2_500, number), "price" if number else "t"
    model = fit(cls, frame, treatment, **({} if cls is KernelDML else {"final_model": "boosting"}))
    line = fit(LinearDML, frame, treatment)
    error, plain = (np.sqrt(np.mean(np.square(m.predict(frame) - frame["effect"]))) for m in (model, line))
    assert error < 0.9 * plain
    effect = model.effect()
    assert abs(effect.estimate - frame["effect"].mean()) < 4 * effect.std_error
    tau = model.effect(frame)
    assert tau.table["std_error"].isna().all()
    groups = tau.aggregate(by=np.where(frame["a"] > 0, "high", "low")).table
    truth = frame["effect"].groupby(np.where(frame["a"] > 0, "high", "low")).mean()
    assert (np.abs(groups["estimate"] - truth) < 4 * groups["std_error"]).all()
    assert model.score(frame[[*COVARIATES, treatment]], frame["y"]) > line.score(
        frame[[*COVARIATES, treatment]], frame["y"]
    )


def test_linear_is_linear_dml():
    frame = dosed(400)
    found, same = (fit(cls, frame, **extra).effect(frame).table for cls, extra in (
        (NonparametricDML, {"final_model": "linear"}), (LinearDML, {}),
    ))  # fmt: skip
    assert found["estimate"].to_numpy() == pytest.approx(same["estimate"].to_numpy())
    assert found["std_error"].to_numpy() == pytest.approx(same["std_error"].to_numpy())
    constant = fit(KernelDML, frame, effect_modifiers=[])
    assert np.ptp(constant.predict(frame)) == pytest.approx(0)


def test_kernels():
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, size=(600, 1))
    y = np.sin(3 * X[:, 0])
    assert KernelRidge().fit(X, y).predict(X) == pytest.approx(y, abs=0.15)
    wide = KernelRidge(bandwidth=100.0).fit(X, y).predict(X)
    assert np.abs(wide - y).mean() > 0.3
    w = rng.integers(1, 4, 600)
    weighted = KernelRidge(bandwidth=1.0).fit(X, y, w).predict(X)
    repeated = KernelRidge(bandwidth=1.0).fit(np.repeat(X, w, axis=0), np.repeat(y, w)).predict(X)
    assert weighted == pytest.approx(repeated, abs=0.1)  # the penalty is chosen for other numbers of rows
    assert median_distance(np.array([[0.0], [1.0], [3.0]])) == 2.0


@pytest.mark.slow
@both
def test_weights_and_clusters(cls):
    frame = waves(400).assign(w=1.0 + np.arange(400) % 2, site=np.arange(400) // 8)
    model = fit(cls, frame, roles={"cluster": "site", "sample_weight": "w"})
    assert "clustered by site" in model.effect().std_error_method
    assert model.effect(frame).aggregate().estimate == pytest.approx(model.effect().estimate)


@both
def test_bad_input(cls):
    frame = waves(200)
    with pytest.raises(CausalArgumentError, match=f"{cls.__name__} takes one contrast of a treatment, and 2 were"):
        fit(cls, frame.assign(price=np.arange(200) % 3).astype({"price": "category"}))
    if cls is KernelDML:
        with pytest.raises(CausalArgumentError, match="'median' or a number above 0"):
            fit(cls, frame, bandwidth=0)
        with pytest.raises(CausalArgumentError, match="n_landmarks"):
            fit(cls, frame, n_landmarks=0)


@pytest.mark.published
@pytest.mark.filterwarnings("ignore")
def test_econml_with_the_same_folds():
    econml = pytest.importorskip("econml.dml")
    frame = waves(900)
    pairs = [(np.flatnonzero(np.arange(900) % 3 != k), np.flatnonzero(np.arange(900) % 3 == k)) for k in range(3)]
    tree, line = DecisionTreeRegressor(max_depth=4, random_state=0), LinearRegression()
    peer = econml.NonParamDML(model_y=line, model_t=line, model_final=tree, cv=pairs, random_state=0)
    peer.fit(frame["y"], frame["price"], X=frame[COVARIATES])
    settings = {"outcome_model": "linear", "treatment_model": "linear", "final_model": tree, "cv": pairs}
    found = fit(NonparametricDML, frame, **settings).predict(frame)
    assert found == pytest.approx(peer.effect(frame[COVARIATES]), rel=1e-6)
