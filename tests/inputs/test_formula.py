"""Formulas in place of covariates: what they read, what they refuse, how new rows are transformed."""

import pickle
import sys

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from sklearn.base import clone

from pandas_causal import AIPW, IPW, Matching, RegressionAdjustment, all_estimators, bootstrap
from pandas_causal.arms.base import ArmComparison
from pandas_causal.errors import CausalArgumentError, CausalDataError, CausalWarning, MissingDependencyError
from pandas_causal.inputs.formula import FormulaEncoder, formula_covariates

pytest.importorskip("formulaic", reason="formulas are an extra")
TEXT = "age * sex + bs(dose, df=4) + C(site)"
NAMES = {"treatment": "arm", "outcome": "gain"}


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    n = 400
    out = pd.DataFrame(
        {
            "age": rng.normal(40, 8, n),
            "sex": rng.choice(["f", "m"], n),
            "dose": rng.uniform(0, 10, n),
            "site": rng.choice([1, 2, 3], n, p=[0.2, 0.5, 0.3]),
            "unused": np.where(rng.random(n) < 0.3, np.nan, 1.0),
            "arm": (rng.random(n) < 0.5).astype(int),
        }
    )
    out["gain"] = out["arm"] + 0.1 * out["age"] + np.sin(out["dose"]) + rng.normal(size=n)
    return out


def test_columns_are_those_that_the_formula_names():
    columns = ["age", "site one", "dose", "x", "gain"]
    read = formula_covariates("np.log(dose) + C(`site one`):age + poly(x, 2)", columns, {})
    assert sorted(read) == ["age", "dose", "site one", "x"]
    assert formula_covariates("~ age", columns, {}) == ["age"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("age + arm", "'arm' is the treatment"),
        ("age + np.log(gain)", "'gain' is the outcome"),
        ("agee + sex", r"agee: is in the formula but is no column \(did you mean 'age'"),
        ("age + ", "cannot be read"),
        ("gain ~ age", "right-hand side alone"),
        ("nonsense(age)", "nonsense: is in the formula but is no column"),
        ("np.log(age - 40)", r"missing \(NaN\) or infinite"),
        ("np.nothing(age)", "fails on these rows"),
        ("", "right-hand side"),
    ],
)
def test_wrong_formulas_are_refused_by_name(frame, text, message):
    with pytest.raises((CausalArgumentError, CausalDataError), match=message), np.errstate(all="ignore"):
        frame.causal.ate(**NAMES, formula=text, estimator="regression")


def test_roles_beside_the_treatment_are_refused_too(frame):
    with pytest.raises(CausalArgumentError, match="'site' is the cluster"):
        frame.causal.ate(**NAMES, formula="age + C(site)", cluster="site", estimator="regression")
    with pytest.raises(CausalArgumentError, match="not both"):
        frame.causal.ate(**NAMES, formula="age", covariates=["sex"])
    with pytest.raises(CausalArgumentError, match="'arm' is the treatment"):
        AIPW(formula="age + arm").fit(frame.drop(columns="gain"), frame["gain"], treatment="arm")
    with pytest.raises(CausalArgumentError, match="'gain' is the outcome"):
        AIPW(formula="age + gain").fit(frame, frame["gain"], treatment="arm")


def test_several_outcomes(frame):
    frame["other"] = frame["gain"] + frame["dose"]
    effect = frame.causal.ate(treatment="arm", outcome=["gain", "other"], formula="age", estimator="regression")
    assert len(effect.table) == 2
    with pytest.raises(CausalArgumentError, match="'other' is the outcome"):
        frame.causal.ate(treatment="arm", outcome=["gain", "other"], formula="age + other")
    with pytest.raises(CausalArgumentError, match="outcome takes the name"):
        frame.causal.ate(treatment="arm", outcome=[["gain"]], formula="age")


def test_missing_values_are_counted_and_dropped_where_asked(frame):
    frame.loc[3:9, "dose"] = np.nan
    with pytest.raises(CausalDataError, match=r"dose: .*nothing is imputed.*7.*missing='drop'"):
        frame.causal.ate(**NAMES, formula=TEXT, estimator="regression")
    effect = frame.causal.ate(**NAMES, formula=TEXT, estimator="regression", missing="drop")
    assert effect.n_obs == 393
    assert effect.facts["n_dropped"] == 7
    with pytest.raises(CausalDataError, match="drop these rows"):
        effect.estimator.predict(frame)


def test_the_coefficient_is_that_of_statsmodels(frame):
    effect = frame.causal.ate(**NAMES, formula=TEXT, estimator=RegressionAdjustment(interactions=False))
    theirs = smf.ols(f"gain ~ arm + {TEXT}", frame).fit(cov_type="HC2")
    assert effect.estimate == pytest.approx(theirs.params["arm"], rel=1e-8)
    assert effect.std_error == pytest.approx(theirs.bse["arm"], rel=1e-7)


def test_new_rows_are_transformed_as_the_rows_of_the_fit(frame):
    text = "poly(age, 2) + bs(dose, df=4) + scale(age):sex + C(site)"
    model = RegressionAdjustment(formula=text).fit(frame.drop(columns="gain"), frame["gain"], treatment="arm")
    few = frame.iloc[[5, 3, 8]]
    np.testing.assert_allclose(model.predict(few), model.predict(frame)[[5, 3, 8]])
    np.testing.assert_allclose(model.effect(few[["age", "sex", "dose", "site"]]).estimates, model.predict(few))
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_allclose(again.predict(few), model.predict(few))
    assert clone(model).formula == text
    half = model.score(frame[::2], frame["gain"][::2], treatment="arm")
    assert -1 < half < 1


def test_values_and_levels_beyond_those_seen(frame):
    model = RegressionAdjustment(formula=TEXT).fit(frame, frame["gain"].to_numpy(), treatment="arm")
    with pytest.raises(CausalDataError, match="bs"):
        model.predict(frame[:2].assign(dose=99.0))
    new = frame[:2].assign(site=9)
    with pytest.warns(CausalWarning, match="never seen at fit"):
        predicted = model.predict(new)
    np.testing.assert_allclose(predicted, model.predict(frame[:2].assign(site=1)))
    with pytest.raises(CausalDataError, match="lacks the covariates"):
        model.predict(frame.drop(columns="dose"))


def test_every_level_of_a_category_is_in_balance(frame):
    effect = frame.causal.ate(**NAMES, formula=TEXT, estimator="ipw")
    names = set(effect.diagnostics["balance"].table.index)
    assert {"age", "age:sex[T.m]", "bs(dose, df=4)[1]", "C(site)[T.1]", "C(site)[T.2]", "sex[T.f]"} <= names
    share = frame.groupby("arm")["site"].agg(lambda s: (s == 1).mean())
    assert effect.diagnostics["balance"].table.loc["C(site)[T.1]", "smd_before"] * (share[1] - share[0]) > 0


def test_a_level_without_a_column_moves_no_distance(frame):
    X = frame.drop(columns="gain")
    matched = Matching(formula="age + C(site) + sex", distance="mahalanobis").fit(X, frame["gain"], treatment="arm")
    listed = Matching(distance="mahalanobis").fit(
        frame[["age", "site", "sex", "arm"]].astype({"site": "category"}), frame["gain"], treatment="arm"
    )
    assert matched.effect().estimate == pytest.approx(listed.effect().estimate)


def test_dtypes_do_not_matter(frame):
    plain = frame.causal.ate(**NAMES, formula=TEXT, estimator="ipw").estimate
    other = frame.astype({"age": "Float64", "sex": "category", "dose": "Float32", "site": "Int8", "arm": "boolean"})
    other["dose"] = frame["dose"].astype("Float64")
    other["arm"] = frame["arm"]
    assert other.causal.ate(**NAMES, formula=TEXT, estimator="ipw").estimate == pytest.approx(plain, rel=1e-10)
    flag = frame.assign(flag=frame["sex"] == "m")
    one = flag.causal.ate(**NAMES, formula="age * flag", estimator="ipw").estimate
    assert one == pytest.approx(frame.causal.ate(**NAMES, formula="age * sex", estimator="ipw").estimate, rel=1e-8)


def test_constant_columns_are_left_out(frame):
    encoder = FormulaEncoder.fit("age + I(0 * dose)", frame[["age", "dose"]])
    assert encoder.names == ["age"]
    assert encoder.dropped == ("I(0 * dose)",)


def test_the_bootstrap_refits_the_formula(frame):
    estimator = RegressionAdjustment(interactions=False, formula=TEXT)
    drawn = bootstrap(estimator, frame.drop(columns="gain"), frame["gain"], treatment="arm", n_draws=60, progress=False)
    assert drawn.std_error == pytest.approx(
        estimator.fit(frame.drop(columns="gain"), frame["gain"], treatment="arm").effect().std_error, rel=0.35
    )


def test_interactions_by_terms(frame):
    model = RegressionAdjustment(formula=TEXT, interactions=["bs(dose,df=4)", "age"])
    effect = model.fit(frame.drop(columns="gain"), frame["gain"], treatment="arm").effect()
    theirs = smf.ols(f"gain ~ arm * bs(dose, df=4) + arm:age + {TEXT}", frame).fit()
    under = [theirs.predict(frame.assign(arm=a)).mean() for a in (0, 1)]
    assert effect.estimate == pytest.approx(under[1] - under[0], rel=1e-8)
    assert model.coefficients_.shape == (1, 1 + 3 + 4 + 2 + 1 + 5)


@pytest.mark.parametrize("question", ["ate", "match", "ab_test"])
def test_questions_take_it(frame, question):
    effect = getattr(frame.causal, question)(**NAMES, formula="age + sex")
    same = getattr(frame.causal, question)(**NAMES, covariates=["age", "sex"])
    assert effect.estimate == pytest.approx(same.estimate, abs=0.3)


def test_a_randomised_comparison_without_adjustment_ignores_it(frame):
    from pandas_causal import DifferenceInMeans

    X = frame.drop(columns="gain")
    one, two = (DifferenceInMeans(formula=f).fit(X, frame["gain"], treatment="arm") for f in ("age", None))
    assert one.effect().estimate == two.effect().estimate


def test_every_estimator_on_arms_has_the_setting():
    on_arms = [cls for cls in all_estimators() if issubclass(cls, ArmComparison)]
    assert len(on_arms) > 8
    # a curve over doses, or over quantiles, has not: its covariates are columns; nor has a stack, whose learners may
    without = {cls.__name__ for cls in on_arms if "formula" not in cls().get_params()}
    assert without == {"DoseResponse", "QuantileEffects", "LocalQuantileEffects", "CausalStack"}


def test_without_formulaic_the_extra_is_named(frame, monkeypatch):
    monkeypatch.setitem(sys.modules, "formulaic", None)
    with pytest.raises(MissingDependencyError, match=r"pandas-causal\[formula\]"):
        frame.causal.ate(**NAMES, formula="age")
    assert IPW().fit(frame[["age", "arm"]], frame["gain"], treatment="arm").effect().n_obs == 400


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("True", "yes"), ("`True`", "yes"), ("True + False", "yes + no"), ("age * True", "age * yes"),
        ("`3` + False", "three + no"), ("C(`3`)", "C(three)"), ("`('p', 'q')`", "pair"),
    ],
)  # fmt: skip
def test_labels_that_are_no_text(frame, text, plain):
    rng = np.random.default_rng(1)
    more = {True: "yes", False: "no", 3: "three", ("p", "q"): "pair"}
    named = frame.assign(**{name: rng.integers(0, 3, len(frame)) for name in more.values()})
    labels = {name: label for label, name in more.items()}
    other = named.set_axis(pd.Index([labels.get(c, c) for c in named], dtype=object, tupleize_cols=False), axis=1)
    one = named.causal.ate(**NAMES, formula=plain, estimator="regression")
    two = other.causal.ate(**NAMES, formula=text, estimator="regression")
    np.testing.assert_allclose(two.table[["estimate", "std_error"]], one.table[["estimate", "std_error"]], rtol=1e-12)
    np.testing.assert_allclose(two.estimator.predict(other[:9]), one.estimator.predict(named[:9]), rtol=1e-10)


def test_a_column_named_as_a_constant_is_no_column_of_code(frame):
    other = frame.rename(columns={"dose": False})
    with pytest.raises(CausalArgumentError, match="False is Python's constant and no column; rename"):
        other.causal.ate(**NAMES, formula="age + C(`False`)", estimator="regression")
    effect = other.causal.ate(**NAMES, formula="bs(age, df=4, include_intercept=False)", estimator="regression")
    assert np.isfinite(effect.estimate)
