"""df.causal: short methods that name columns and delegate."""

import numpy as np
import pandas as pd
import pytest

import pandas_causal
from pandas_causal import AIPW, IPW, TMLE, DifferenceInMeans, Effect, RegressionAdjustment, causal
from pandas_causal.effect.check import Check
from pandas_causal.errors import CausalArgumentError, CausalDataError
from tests.contract.data import COVARIATES, make

ROLES = {"treatment": "medication", "outcome": "recovery"}
ALL = {**ROLES, "covariates": COVARIATES}


# -- entry ---------------------------------------------------------------------------------------------------------


def test_typed_entry():
    frame = make()
    assert isinstance(causal(frame), pandas_causal.CausalAccessor)
    assert causal(frame).ab_test(**ROLES).estimate == frame.causal.ab_test(**ROLES).estimate
    for wrong in (frame["age"], frame.to_numpy(), None, {"a": [1]}):
        with pytest.raises(CausalArgumentError, match="expected a table .* got"):
            causal(wrong)


def test_no_state_and_an_untouched_frame():
    frame = make()
    copy, columns = frame.copy(deep=True), list(frame.columns)
    accessor = frame.causal
    before = dict(vars(accessor))
    accessor.ab_test(**ROLES)
    accessor.overlap(treatment="medication", covariates=COVARIATES)
    accessor.ate(**ALL, estimator="ipw")
    assert vars(accessor) == before
    assert list(frame.columns) == columns
    pd.testing.assert_frame_equal(frame, copy)


# -- questions ----------------------------------------------------------------------------------------------------


def table(effect):
    return effect.table.to_numpy()


@pytest.mark.parametrize(
    ("name", "estimator", "covariates"),
    # without covariates every nuisance is a mean, so that the default models take no time
    [
        ("aipw", AIPW(), []),
        ("tmle", TMLE(), []),
        ("ipw", IPW(), COVARIATES),
        ("regression", RegressionAdjustment(), COVARIATES),
    ],
)
def test_ate_by_short_name_is_that_estimator(name, estimator, covariates):
    frame = make()
    direct = estimator.fit(frame[[*covariates, "medication"]], frame["recovery"], treatment="medication").effect()
    asked = frame.causal.ate(**ROLES, covariates=covariates, estimator=name)
    assert np.array_equal(table(asked), table(direct))
    assert type(asked.estimator) is type(estimator)
    assert asked.estimator.get_params() == estimator.get_params()
    assert np.array_equal(table(frame.causal.ate(**ROLES, covariates=covariates, estimator=estimator)), table(direct))
    assert np.array_equal(table(frame.causal.fit(estimator, **ROLES, covariates=covariates)), table(direct))


def test_ate_is_aipw_by_default():
    effect = make().causal.ate(**ROLES, covariates=[])
    assert type(effect.estimator) is AIPW
    assert effect.estimator.get_params() == AIPW().get_params()


def test_level_of_an_instance_is_kept():
    frame = make()
    assert frame.causal.fit(DifferenceInMeans(level=0.8), **ROLES).level == 0.8
    assert frame.causal.fit(DifferenceInMeans(level=0.8), **ROLES, level=0.9).level == 0.9


@pytest.mark.parametrize("estimand", ["ATE", "ATT", "ATC"])
def test_ate_passes_estimand_control_and_roles_on(estimand):
    frame = make()
    asked = frame.causal.ate(
        **ALL, estimator="ipw", estimand=estimand, control=1, cluster="site", sample_weight="weight"
    )
    fit = IPW(estimand=estimand, control=1).fit(
        frame[[*COVARIATES, "medication", "site", "weight"]],
        frame["recovery"],
        treatment="medication",
        cluster="site",
        sample_weight="weight",
    )
    assert np.array_equal(table(asked), table(fit.effect()))
    assert estimand in asked.estimand
    assert asked.table.index.tolist() == ["0 - 1"]
    known = frame.assign(e=0.4).causal.ate(**ALL, estimator="ipw", propensity="e")
    assert "known" in known.std_error_method
    assert known.estimate != frame.causal.ate(**ALL, estimator="ipw").estimate


def test_ate_without_covariates_names_the_other_questions():
    with pytest.raises(CausalArgumentError) as error:
        make().causal.ate(**ROLES)
    for word in ("df.causal.ab_test(...)", "df.causal.association(...)", "covariates=[]"):
        assert word in str(error.value)


@pytest.mark.parametrize("estimator", ["aipw", "ipw", "regression", "tmle"])
def test_no_covariates_on_purpose(estimator):
    frame = make()
    naive = frame.causal.association(**ROLES).estimate
    effect = frame.causal.ate(**ROLES, covariates=[], estimator=estimator)
    assert effect.estimate == pytest.approx(naive, rel=0.05 if estimator in ("aipw", "tmle") else 1e-12)


@pytest.mark.parametrize("question", ["ate", "fit", "ab_test", "overlap", "balance", "validate"])
def test_covariates_given_as_one_string(question):
    first = (IPW(),) if question == "fit" else ()
    roles = {"treatment": "medication"} if question in ("overlap", "balance") else ROLES
    with pytest.raises(CausalArgumentError, match=r"covariates takes a list of column names: \['age'\]"):
        getattr(make().causal, question)(*first, **roles, covariates="age")


@pytest.mark.parametrize(
    "covariates", [("age", "severity"), pd.Index(["age", "severity"]), np.array(["age", "severity"])]
)
def test_covariates_of_any_sequence(covariates):
    frame = make()
    want = frame.causal.ate(**ROLES, covariates=["age", "severity"], estimator="ipw").estimate
    assert frame.causal.ate(**ROLES, covariates=covariates, estimator="ipw").estimate == want


@pytest.mark.parametrize("wrong", ["psm", int, 3, [AIPW()]], ids=str)
def test_wrong_estimator(wrong):
    with pytest.raises(CausalArgumentError, match="'aipw', 'ipw', 'regression', 'tmle'"):
        make().causal.ate(**ALL, estimator=wrong)


def test_settings_of_the_call_override_the_instances_own():
    frame, mine = make(), IPW(trim=0.05)
    asked = frame.causal.ate(**ALL, estimator=mine, estimand="ATT", control=1)
    assert asked.estimator.get_params() == IPW(trim=0.05, estimand="ATT", control=1).get_params()
    assert mine.get_params() == IPW(trim=0.05).get_params()
    assert not hasattr(mine, "effect_")
    with pytest.raises(CausalArgumentError, match="DifferenceInMeans has no setting 'estimand'"):
        frame.causal.ate(**ALL, estimator=DifferenceInMeans(), estimand="ATT")


@pytest.mark.parametrize("wrong", ["ipw", None, int], ids=str)
def test_fit_takes_an_estimator_or_its_class(wrong):
    with pytest.raises(CausalArgumentError, match=r"fit takes an estimator or its class, e.g. AIPW\(\)"):
        make().causal.fit(wrong, **ALL)
    assert np.array_equal(table(make().causal.fit(IPW, **ALL)), table(make().causal.fit(IPW(), **ALL)))


def test_ab_test_delegates():
    frame = make()
    y, t = frame["recovery"], frame["medication"]
    plain = frame.causal.ab_test(**ROLES)
    assert plain.estimate == pytest.approx(y[t == 1].mean() - y[t == 0].mean(), rel=1e-12)
    direct = DifferenceInMeans().fit(None, y, treatment=t).effect()
    assert np.array_equal(table(plain), table(direct))
    adjusted = frame.causal.ab_test(**ALL)
    lin = DifferenceInMeans(adjustment="lin").fit(frame[[*COVARIATES, "medication"]], y, treatment="medication")
    assert np.array_equal(table(adjusted), table(lin.effect()))
    assert frame.causal.ab_test(**ROLES, relative=True).table.index.tolist() == ["1 / 0 - 1"]
    assert frame.causal.ab_test(**ROLES, control=1).estimate == pytest.approx(-plain.estimate, rel=1e-12)


def test_association_says_that_it_is_none():
    frame = make()
    effect = frame.causal.association(**ROLES)
    assert np.array_equal(table(effect), table(frame.causal.ab_test(**ROLES)))
    assert effect.estimand == "association of medication with recovery (difference in means, NOT a causal effect)"
    assert "this is an association" in effect.assumptions[0]


@pytest.mark.parametrize("question", ["ate", "ab_test", "association", "fit"])
def test_level(question):
    frame = make()
    given = ROLES if question in ("association", "ab_test") else {**ALL}
    first = (IPW(),) if question == "fit" else ()
    more = {"estimator": "ipw"} if question == "ate" else {}
    ask = getattr(frame.causal, question)
    wide, narrow = (ask(*first, **given, **more, level=level) for level in (0.99, 0.5))
    assert (wide.level, narrow.level) == (0.99, 0.5)
    assert wide.estimate == narrow.estimate
    assert wide.conf_low < narrow.conf_low < narrow.estimate < narrow.conf_high < wide.conf_high
    assert ask(*first, **given, **more).level == 0.95
    for bad in (95, 0, 1, -0.5, "high", np.nan):
        with pytest.raises(CausalArgumentError, match="level must"):
            ask(*first, **given, **more, level=bad)


def test_missing_drop_goes_through():
    frame = make()
    frame.loc[frame.index[:4], "recovery"] = np.nan
    for ask in (frame.causal.ab_test, frame.causal.association):
        with pytest.raises(CausalDataError, match=r"recovery: outcome is missing \(NaN\) in 4 rows.*missing='drop'"):
            ask(**ROLES)
        assert ask(**ROLES, missing="drop").n_obs == 116
    assert frame.causal.ate(**ALL, estimator="regression", missing="drop").facts["n_dropped"] == 4


def test_roles_may_be_arrays():
    frame = make()
    named = frame.causal.ate(**ALL, estimator="ipw", cluster="site", sample_weight="weight")
    arrays = frame.causal.ate(**ALL, estimator="ipw", cluster=frame["site"], sample_weight=frame["weight"].to_numpy())
    assert np.array_equal(table(arrays), table(named))
    t = frame.causal.ate(
        treatment=frame["medication"].rename("arm"), outcome="recovery", covariates=COVARIATES, estimator="ipw"
    )
    assert t.estimate == frame.causal.ate(**ALL, estimator="ipw").estimate


# -- checks -------------------------------------------------------------------------------------------------------


def test_overlap():
    frame = make(n=400)
    check = frame.causal.overlap(treatment="medication", covariates=COVARIATES)
    assert isinstance(check, Check)
    assert check.passed
    assert check.table.index.tolist() == ["0", "1"]
    assert check.table["n"].tolist() == frame["medication"].value_counts().sort_index().tolist()
    tight = frame.causal.overlap(treatment="medication", covariates=COVARIATES, bound=0.3)
    assert (tight.table["share_beyond"] > check.table["share_beyond"]).all()
    swapped = frame.causal.overlap(treatment="medication", covariates=COVARIATES, control=1)
    assert swapped.table.index.tolist() == ["1", "0"]
    for wrong, message in (
        ({"estimand": "LATE"}, "'ATE', 'ATT', 'ATC', 'ATO'"),
        ({"bound": 0.7}, "bound must lie between 0 and 0.5"),
        ({"propensity_model": "logit"}, "propensity_model must be one of"),
        ({"control": 9}, r"levels: \[0, 1\]"),
    ):
        with pytest.raises(CausalArgumentError, match=message):
            frame.causal.overlap(treatment="medication", covariates=COVARIATES, **wrong)


def test_balance():
    frame = make(n=400)
    check = frame.causal.balance(treatment="medication", covariates=COVARIATES)
    a, b = (frame.loc[frame["medication"] == t, "age"] for t in (1, 0))
    smd = (a.mean() - b.mean()) / np.sqrt((a.var() + b.var()) / 2)
    assert check.table.loc["age", "smd_before"] == pytest.approx(smd, rel=1e-12)
    assert not check.passed
    assert "smd_after" not in check.table
    fit = IPW().fit(frame[[*COVARIATES, "medication"]], frame["recovery"], treatment="medication")
    by_array = frame.causal.balance(treatment="medication", covariates=COVARIATES, weights=fit.weights_)
    by_name = frame.assign(w=fit.weights_).causal.balance(treatment="medication", covariates=COVARIATES, weights="w")
    pd.testing.assert_frame_equal(by_array.table, by_name.table)
    assert by_array.passed
    assert by_array.table["smd_after"].abs().max() < 0.1 < by_array.table["smd_before"].abs().max()


def test_validate_returns_the_frame_or_lists_everything():
    frame = make()
    assert frame.causal.validate(**ALL, cluster="site", sample_weight="weight") is frame
    assert frame.causal.validate(treatment="medication") is frame
    bad = frame.assign(weight=-1.0, age=np.inf)
    with pytest.raises(CausalDataError) as error:
        bad.causal.validate(**ALL, cluster="sight", sample_weight="weight")
    assert [(p.column, p.count) for p in error.value.problems] == [("sight", None), ("weight", 120), ("age", 120)]
    assert "sight: is no column of the frame (did you mean " in str(error.value)
    with pytest.raises(CausalDataError, match="is both treatment and covariate"):
        frame.causal.validate(treatment="medication", covariates=["medication"])


def test_every_answer_is_an_effect_or_a_check():
    frame = make()
    assert isinstance(frame.causal.ab_test(**ROLES), Effect)
    assert isinstance(frame.causal.balance(treatment="medication", covariates=["age"]), Check)
    compared = pandas_causal.compare(
        {"naive": frame.causal.association(**ROLES), "ipw": frame.causal.ate(**ALL, estimator="ipw")}
    )
    assert "naive" in repr(compared)
