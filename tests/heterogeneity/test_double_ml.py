"""DoubleML and LinearDML: by hand, averages, several treatments, repeated splits, bad input."""

import numpy as np
import pandas as pd
import pytest

from pandas_causal import DoubleML, LinearDML, metrics
from pandas_causal.errors import CausalArgumentError, CausalDataError, NotIdentifiedError
from pandas_causal.heterogeneity.double_ml import median_component
from pandas_causal.heterogeneity.projection import EffectBasis, fit_on_basis
from tests.heterogeneity.designs import COVARIATES, confounded, dosed

FRAME, DOSED = confounded(), dosed()
LINEAR = {"outcome_model": "linear", "treatment_model": "linear"}


def fit(frame=FRAME, treatment="t", cls=LinearDML, covariates=COVARIATES, roles=None, **settings):
    taken = [treatment] if isinstance(treatment, str) else treatment
    return cls(**{**LINEAR, **settings}).fit(
        frame[[*covariates, *taken, *(roles or {}).values()]], frame["y"], treatment=treatment, **(roles or {})
    )


def test_least_squares_on_a_basis_by_hand():
    rng = np.random.default_rng(1)
    X, d, y, w = rng.normal(5, 2, (40, 2)), rng.normal(size=40), rng.normal(size=40), rng.uniform(0.5, 2, 40)
    basis = EffectBasis.of(X, ["u", "v"])
    found = fit_on_basis(basis, d[:, None], y, w, ["d"])
    R = d[:, None] * np.column_stack([np.ones(40), X - X.mean(axis=0)])
    bread = np.linalg.inv((R * w[:, None]).T @ R)
    theta = bread @ (R.T @ (w * y))
    assert found.values == pytest.approx(theta, rel=1e-10)
    assert found.contributions == pytest.approx((R @ bread) * (w * (y - R @ theta))[:, None], rel=1e-8)
    assert found.contributions.sum(axis=0) == pytest.approx(np.zeros(3), abs=1e-10)


def test_the_basis_is_the_same_by_blocks():
    X = np.random.default_rng(2).normal(3, 2, (50, 4))
    basis = EffectBasis.of(X, list("abcd"), np.array([2, 0]))
    Z = basis.on(X)
    assert basis.names == ("at the means", "c", "a")
    assert Z[:, 1:] == pytest.approx(X[:, [2, 0]] - X[:, [2, 0]].mean(axis=0))
    w = np.arange(1.0, 51)
    assert basis.mean(X, w) == pytest.approx(w @ Z / w.sum(), abs=1e-12)
    assert basis.combine(X, np.array([[1.0, 2, 3]])) == pytest.approx(Z @ [[1], [2], [3]])


def test_the_median_over_splits_by_hand():
    values = np.array([[1.0], [2.0], [4.0]])
    contributions = [np.array([[0.3], [0.4]]), np.array([[1.0], [0.0]]), np.array([[0.0], [2.0]])]
    # variances 0.25, 1, 4; squared distances from 2: 1, 0, 4
    assert median_component(values, contributions, ()).meat == pytest.approx(np.array([[1.25]]))


def test_effects_of_rows_and_their_averages():
    model = fit()
    tau = model.effect(FRAME)
    assert tau.table.index.equals(FRAME.index)
    assert np.corrcoef(tau.estimates, FRAME["effect"])[0, 1] > 0.95
    assert model.predict(FRAME) == pytest.approx(tau.estimates.to_numpy(), rel=1e-12)
    average = tau.aggregate()
    assert average.estimate == pytest.approx(model.effect().estimate, rel=1e-10)
    assert average.std_error == pytest.approx(model.effect().std_error, rel=1e-6)
    assert tau.aggregate(population=False).std_error < average.std_error
    group = np.where(FRAME["a"] > 0, "high", "low")
    assert tau.aggregate(by=group).estimates["high"] == pytest.approx(tau.estimates[FRAME["a"] > 0].mean())
    assert model.coefficients_.table.index.tolist() == ["at the means", *COVARIATES]
    slopes = model.coefficients_[COVARIATES]
    assert slopes.test_zero().p_value < 1e-6
    assert abs(slopes.table.loc["a", "statistic"]) > 5 > abs(slopes.table.loc["c", "statistic"])


def test_effect_modifiers():
    model = fit(effect_modifiers=["a"])
    assert model.coefficients_.table.index.tolist() == ["at the means", "a"]
    constant = fit(effect_modifiers=[])
    average = fit(cls=DoubleML)
    assert constant.coefficients_.estimate == pytest.approx(average.effect().estimate, rel=1e-10)
    n = len(FRAME)
    factor = np.sqrt(n / (n - 1))  # HC1 of coefficients, no factor of the average
    assert constant.coefficients_.std_error == pytest.approx(average.effect().std_error * factor, rel=1e-10)
    with pytest.raises(CausalArgumentError, match="'aa' is no covariate.*did you mean 'a'"):
        fit(effect_modifiers=["aa"])


def test_numbers_and_several_treatments():
    model = fit(DOSED, "price")
    assert model.effect().table.index.tolist() == ["price"]
    assert abs(model.coefficients_.estimates["a"] - 0.5) < 4 * model.coefficients_.table.loc["a", "std_error"]
    two = fit(DOSED, ["price", "c"], covariates=["a", "b"])
    assert two.effect().table.index.tolist() == ["price", "c"]
    assert two.predict(DOSED[["a", "b"]]).shape == (len(DOSED), 2)
    with pytest.raises(CausalArgumentError, match="name the one, one of .*'price', 'c'"):
        two.effect(DOSED)
    one = two.effect(DOSED, arm="price")
    assert one.estimates.to_numpy() == pytest.approx(two.predict(DOSED)[:, 0], rel=1e-12)
    joint = fit(DOSED, ["price", "c"], cls=DoubleML, covariates=["a", "b"]).effect()
    assert abs(joint.vcov.iloc[0, 1]) > 0


def test_several_arms_name_the_one():
    frame = FRAME.assign(t=np.where(np.arange(len(FRAME)) % 3 == 0, "new", FRAME["t"].map({0: "none", 1: "old"})))
    model = fit(frame, control="none")
    assert model.effect().table.index.tolist() == ["new - none", "old - none"]
    with pytest.raises(CausalArgumentError, match="name the one to compare with 'none'"):
        model.effect(frame)
    table = model.effect(frame, arm="old").table
    assert np.isfinite(table.to_numpy()).all()


@pytest.mark.parametrize("cls", [DoubleML, LinearDML])
def test_repeats_clusters_and_weights(cls):
    frame = FRAME.assign(site=np.arange(len(FRAME)) // 6, w=1 + np.arange(len(FRAME)) % 3)
    once = fit(frame, cls=cls, roles={"cluster": "site"})
    assert "clustered by site" in once.effect().std_error_method
    sizes = pd.Series(once.folds_).groupby(frame["site"].to_numpy()).agg(lambda f: len(set(f)))
    assert (sizes == 1).all()
    many = fit(frame, cls=cls, n_repeats=3)
    single = fit(frame, cls=cls)
    assert many.effect().estimate == pytest.approx(single.effect().estimate, abs=0.1)
    assert many.effect().std_error > 0
    weighted = fit(frame, cls=cls, roles={"sample_weight": "w"}).effect()
    assert weighted.estimate != single.effect().estimate
    both = fit(frame, cls=cls, n_repeats=3, roles={"cluster": "site"}).effect()
    assert both.std_error > 0


def test_mean_and_median_of_splits():
    mean, median = (fit(cls=DoubleML, n_repeats=5, combine=c).effect() for c in ("mean", "median"))
    assert mean.estimate == pytest.approx(median.estimate, abs=0.05)
    assert mean.estimate != median.estimate


def test_a_known_propensity_is_used():
    rng = np.random.default_rng(4)
    frame = FRAME.assign(t=(rng.random(len(FRAME)) < 0.5).astype(int))
    frame["y"] = frame["a"] + frame["t"] + rng.normal(size=len(frame))
    model = fit(frame.assign(e=0.5), roles={"propensity": "e"})
    assert model.residuals_[:, 1] == pytest.approx(frame["t"] - 0.5)


def test_bad_input():
    with pytest.raises(NotIdentifiedError, match="explain the treatment price exactly"):
        fit(DOSED.assign(price=DOSED["a"] + DOSED["b"]), "price")
    wide = DOSED.iloc[:20].assign(**{f"x{j}": np.random.default_rng(j).normal(size=20) for j in range(25)})
    with pytest.raises(CausalDataError, match="gives .* coefficients for 20 rows"):
        fit(wide, "price", covariates=[f"x{j}" for j in range(25)], outcome_model="ridge", treatment_model="ridge")
    model = fit()
    with pytest.raises(CausalDataError, match=r"lacks the covariates \['c'\]"):
        model.effect(FRAME[["a", "b"]])
    with pytest.raises(CausalArgumentError, match="has no effect for every row"):
        fit(cls=DoubleML).effect(FRAME)
    number = fit(DOSED, "price")
    with pytest.raises(CausalDataError, match="treatment is numbers; use r_score"):
        metrics.dr_score(number, DOSED[[*COVARIATES, "price"]], DOSED["y"])


def test_new_rows_with_a_level_never_seen():
    frame = FRAME.assign(region=np.where(FRAME["c"] > 0, "north", "south"))
    model = fit(frame, covariates=[*COVARIATES, "region"])
    with pytest.warns(UserWarning, match="region: 1 rows hold a level"):
        model.effect(frame.assign(region=["west", *frame["region"].iloc[1:]]))


def test_score_ranks_the_basis_that_holds_the_effect():
    train, test = FRAME.iloc[:400], FRAME.iloc[400:]
    right, constant = (fit(train, effect_modifiers=m) for m in (["a"], []))
    X = test[[*COVARIATES, "t"]]
    assert right.score(X, test["y"]) > 0.05 > constant.score(X, test["y"])
    number = fit(DOSED.iloc[:400], "price")
    assert number.score(DOSED.iloc[400:][[*COVARIATES, "price"]], DOSED["y"].iloc[400:]) > 0
