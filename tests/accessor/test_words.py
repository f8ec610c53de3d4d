"""Calls in other packages' words, by position, and with estimators named as people name them."""

import inspect
import typing

import numpy as np
import pandas as pd
import pytest

import pandas_causal
from pandas_causal import AIPW, IPW, CallawaySantAnna, CausalGraph, EntropyBalancing, FrontDoor, all_estimators
from pandas_causal.accessor.words import REMARKS, WORDS, question
from pandas_causal.errors import CausalArgumentError
from pandas_causal.estimator import SHORT_NAMES, choose
from pandas_causal.inputs.roles import ROLES
from tests.contract.data import COVARIATES, make

ALL = {"treatment": "medication", "outcome": "recovery", "covariates": COVARIATES}
ACCESSOR = pandas_causal.CausalAccessor
QUESTIONS = {name: inspect.signature(getattr(ACCESSOR, name)) for name in dir(ACCESSOR) if not name.startswith("_")}
PARAMETERS = {name: set(s.parameters) - {"self"} for name, s in QUESTIONS.items()}


def table(effect):
    return effect.table.to_numpy()


# -- other words ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "given", "ours"),
    [
        ("ate", "y", "y= is outcome= here"),
        ("ate", "outcome_name", "outcome_name= is outcome= here"),
        ("ate", "treatment_name", "treatment_name= is treatment= here"),
        ("ate", "common_causes", "common_causes= is covariates= here (a list of columns)"),
        ("ate", "confounders", "confounders= is covariates= here"),
        ("ate", "W", "W= is covariates= here"),
        ("ate", "method", "method= is estimator= here"),
        ("ate", "method_name", "method_name= is estimator= here"),
        ("ate", "alpha", "alpha= is level= here (level = 1 - alpha, so alpha=0.05 is level=0.95)"),
        ("ate", "clusters", "clusters= is cluster= here"),
        ("ate", "seed", "seed= is random_state= here"),
        ("ate", "weights", "weights= is sample_weight= here"),
        ("ate", "target_units", "target_units= is estimand= here"),
        ("ate", "n_neighbors", "n_neighbors= is no keyword of ate (it is ratio= of match)"),
        ("ate", "running_variable", "running_variable= is no keyword of ate (it is running= of rdd)"),
        ("ate", "instrument", "instrument= is no keyword of ate (it is instrument= of iv, quantiles and validate)"),
        ("ate", "outcome_model", "outcome_model= is a setting of the estimator: estimator=AIPW(outcome_model=...)"),
        ("ate", "model_t", "model_t= is a setting of the estimator: estimator=AIPW(propensity_model=...)"),
        ("ate", "covariats", "covariats= is not known (did you mean 'covariates'?)"),
        ("cate", "X", "X= is effect_modifiers= here (covariates= holds EconML's X and W together)"),
        ("cate", "estimator", "estimator= is learner= here"),
        ("cate", "model_y", "model_y= is a setting of the estimator: learner=DRLearner(outcome_model=...)"),
        ("match", "n_neighbors", "n_neighbors= is ratio= here"),
        ("match", "estimator", "estimator= is method= here"),
        ("rdd", "running_variable", "running_variable= is running= here"),
        ("rdd", "x", "x= is running= here"),
        ("rdd", "c", "c= is cutoff= here"),
        ("rdd", "threshold", "threshold= is cutoff= here"),
        ("rdd", "h", "h= is bandwidth= here"),
        ("rdd", "p", "p= is order= here"),
        ("rdd", "q", "q= is bias_order= here"),
        ("rdd", "fuzzy", "fuzzy= is treatment= here"),
        ("did", "yname", "yname= is outcome= here"),
        ("did", "gname", "gname= is cohort= here"),
        ("did", "idname", "idname= is unit= here"),
        ("did", "tname", "tname= is time= here"),
        ("did", "xformla", "xformla= is covariates= here"),
        ("event_study", "est_method", "est_method= is estimator= here"),
        ("iv", "Z", "Z= is instrument= here"),
        ("mediate", "mediator", "mediator= is mediators= here"),
        ("quantiles", "tau", "tau= is quantiles= here"),
        ("audit", "level", "level= is alpha= here (alpha = 1 - level"),
        ("do", "x", "x= is interventions= here"),
        ("do", "common_causes", "common_causes= is graph= here"),
        ("overlap", "y", "y= is outcome= here"),
        ("fit", "y", "y= is outcome= here"),
    ],
)
def test_a_word_of_others_is_answered_with_ours(asked, given, ours):
    with pytest.raises(CausalArgumentError) as error:
        getattr(make().causal, asked)(**{given: "a"})
    assert str(error.value).startswith(f"{asked}: {ours}"), error.value


@pytest.mark.parametrize("asked", QUESTIONS)
def test_every_word_of_the_table_is_answered_by_every_question(asked):
    """Whatever word is given, what it "is here" exists here."""
    unknown = [word for word in WORDS if word not in PARAMETERS[asked] and not (asked == "fit" and word in ROLES)]
    with pytest.raises(CausalArgumentError) as error:
        getattr(make().causal, asked)(**dict.fromkeys(unknown, 1))
    answers = str(error.value).removeprefix(f"{asked}:\n  - ").split("\n  - ")
    assert [answer.partition("= ")[0] for answer in answers[: len(unknown)]] == unknown
    for answer in answers[: len(unknown)]:
        if "= here" in answer:
            assert answer.split("= is ")[1].partition("= here")[0] in PARAMETERS[asked]


def test_every_unknown_keyword_is_answered_at_once():
    with pytest.raises(CausalArgumentError) as error:
        make().causal.ate(y="recovery", common_causes=["age"], foo=1)
    assert str(error.value).startswith(
        "ate:\n  - y= is outcome= here\n  - common_causes= is covariates= here (a list of columns)\n"
        "  - foo= is not known\n  - ate takes treatment, outcome, covariates, "
    )


def test_the_table_leads_to_keywords_only():
    """Every word stands for a keyword of some question or a setting of some estimator; remarks are of its pairs."""
    keywords = set().union(*PARAMETERS.values())
    settings = {name for cls in all_estimators() for name in inspect.signature(cls).parameters}
    for word, candidates in WORDS.items():
        assert candidates
        assert set(candidates) <= keywords | settings, word
    assert all(ours in WORDS[word] for word, ours in REMARKS)


# -- calls that are wrong otherwise -----------------------------------------------------------------------------------


def test_what_is_missing_doubled_or_too_many_is_said():
    ask = make().causal
    for call, message in (
        (lambda: ask.did(), "did needs outcome= and time="),
        (lambda: ask.rdd(outcome="recovery"), "rdd needs running="),
        (lambda: ask.did("recovery"), "did takes nothing by position; name what you give: outcome=..., time=..."),
        (
            lambda: ask.ate("medication", "recovery", ["age"], "ipw"),
            "ate takes treatment, outcome and covariates by position, in this order, and everything else by name",
        ),
        (lambda: ask.ate("medication", treatment="medication"), "ate: treatment is given twice"),
    ):
        with pytest.raises(CausalArgumentError) as error:
            call()
        assert str(error.value).startswith(message)


def test_treatment_and_outcome_by_position():
    frame = make()
    ask = frame.causal
    first = ("medication", "recovery")
    named = {"treatment": first[0], "outcome": first[1]}
    assert ask.ab_test(*first).estimate == ask.ab_test(**named).estimate
    assert ask.association(*first).estimate == ask.ab_test(**named).estimate
    for asked in (ask.ate, ask.match):
        how = {"estimator": "ipw"} if asked.__name__ == "ate" else {}
        assert np.array_equal(table(asked(*first, ["age"], **how)), table(asked(**named, covariates=["age"], **how)))
    assert np.array_equal(table(ask.fit(IPW(), *first, ["age"])), table(ask.fit(IPW(), **named, covariates=["age"])))
    assert ask.balance("medication", ["age"]).table.equals(
        ask.balance(treatment="medication", covariates=["age"]).table
    )
    text = "age -> medication -> recovery <- age"
    assert ask.identify(text, *first).backdoor.optimal == frozenset({"age"})
    drawn = CausalGraph(text)
    assert drawn.identify(*first).backdoor.optimal == frozenset({"age"})


def test_positions_are_the_same_everywhere():
    """Questions about arms take treatment and outcome first; those of other designs name their columns."""
    order = {
        name: [p.name for p in s.parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD and p.name != "self"]
        for name, s in QUESTIONS.items()
    }
    for name in ("ate", "ab_test", "match", "cate", "scores", "dose", "quantiles", "audit", "validate"):
        assert order[name] == ["treatment", "outcome", "covariates"], name
    for name in ("association", "iv", "mediate"):
        assert order[name] == ["treatment", "outcome"]
    for name in ("did", "event_study", "rdd", "synthetic_control"):
        assert order[name] == []


# -- the decorator ----------------------------------------------------------------------------------------------------


def test_signatures_docs_and_types_are_the_methods_own():
    class Own:
        @question
        def asked(self, treatment: str, *, level: float = 0.95) -> int:
            """Doc."""
            return len(treatment)

    assert Own().asked("abc") == 3
    assert str(inspect.signature(Own.asked)) == "(self, treatment: str, *, level: float = 0.95) -> int"
    assert (Own.asked.__name__, Own.asked.__doc__) == ("asked", "Doc.")
    assert typing.get_type_hints(Own.asked)["return"] is int
    assert all(hasattr(getattr(ACCESSOR, name), "__wrapped__") for name in QUESTIONS)


def test_an_error_within_a_question_stays_what_it_is():
    class Own:
        @question
        def asked(self, value=None):
            return value + 1

    with pytest.raises(TypeError, match="unsupported operand"):
        Own().asked()


# -- estimators and estimands as people name them ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ipw", "IPW", "Ipw", IPW, IPW()], ids=str)
def test_names_in_any_case_and_classes(name):
    frame = make()
    asked = frame.causal.ate(**ALL, estimator=name)
    assert type(asked.estimator) is IPW
    assert np.array_equal(table(asked), table(frame.causal.ate(**ALL, estimator="ipw")))


def test_names_of_weights():
    frame = make(n=200)
    want = table(frame.causal.ate(**ALL, estimator=EntropyBalancing(), estimand="ATT"))
    for name in ("entropy", "Entropy", "EntropyBalancing", "entropy-balancing", EntropyBalancing):
        assert np.array_equal(table(frame.causal.ate(**ALL, estimator=name, estimand="ATT")), want)


@pytest.mark.parametrize("question", SHORT_NAMES)
def test_every_short_name_in_capitals_and_every_class_by_name(question):
    for short, (cls, stands_for) in SHORT_NAMES[question].items():
        assert choose(question, short.upper(), {}).get_params() == choose(question, short, {}).get_params()
        by_name = choose(question, cls, {})
        assert type(by_name) is type(choose(question, short, {}))
        assert type(by_name) is type(choose(question, type(by_name), {}))
        assert stands_for.items() <= choose(question, short, {}).get_params().items()


def test_what_is_no_estimator_is_refused():
    for wrong in ("Effect", "ArmComparison", "causalgraph", "psm", int, 3):
        with pytest.raises(CausalArgumentError, match="estimator=.* is not known; use one of"):
            choose("ate", wrong, {})

    class Needy(IPW):
        def __init__(self, must):
            self.must = must

    with pytest.raises(CausalArgumentError, match="Needy needs settings; give an instance"):
        choose("ate", Needy, {})


@pytest.mark.parametrize("estimand", ["att", "Att", "ATT"])
def test_estimands_in_any_case(estimand):
    frame = make()
    assert "ATT" in frame.causal.ate(**ALL, estimator="ipw", estimand=estimand).estimand
    assert "ATT" in frame.causal.match(**ALL, estimand=estimand).estimand
    roles = {"treatment": "medication", "covariates": COVARIATES}
    assert frame.causal.overlap(**roles, estimand=estimand).summary == (
        frame.causal.overlap(**roles, estimand="ATT").summary
    )
    with pytest.raises(CausalArgumentError, match="estimand='ATX' is not available here"):
        frame.causal.ate(**ALL, estimator="ipw", estimand="atx")


def test_a_class_gets_the_defaults_of_its_short_name():
    """An event study is compared with one base period whether its estimator is named or given as a class."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"unit": np.repeat(np.arange(40), 6), "time": np.tile(np.arange(1, 7), 40)})
    frame["cohort"] = np.where(frame["unit"] % 2, 4, 0)
    frame["y"] = rng.normal(size=240)
    roles = {"outcome": "y", "unit": "unit", "time": "time", "cohort": "cohort"}
    named = frame.causal.event_study(**roles)
    assert np.array_equal(table(frame.causal.event_study(**roles, estimator=CallawaySantAnna)), table(named), True)


# -- seeds and jobs ---------------------------------------------------------------------------------------------------

DRAWS_NOTHING = {"association", "balance", "bounds", "fit", "identify", "rdd", "validate", "ab_test"}


def test_seeds_are_taken_wherever_something_is_random():
    assert {name for name in QUESTIONS if "random_state" not in PARAMETERS[name]} == DRAWS_NOTHING
    shares = ("ate", "cate", "scores", "uplift", "dose", "quantiles", "policy_value", "iv", "mediate", "audit", "do")
    assert all("n_jobs" in PARAMETERS[name] for name in shares)


def test_a_seed_reaches_the_estimator():
    frame = make()
    asked = frame.causal.ate(**ALL, estimator=AIPW(outcome_model="ridge", propensity_model="ridge"), random_state=7)
    assert asked.estimator.random_state == 7
    direct = AIPW(outcome_model="ridge", propensity_model="ridge", random_state=7)
    assert np.array_equal(table(asked), table(frame.causal.ate(**ALL, estimator=direct)))
    assert not np.array_equal(table(asked), table(frame.causal.ate(**ALL, estimator=direct, random_state=8)))
    graph = "age -> medication -> recovery <- age"
    for given in (IPW, "ipw", IPW()):
        drawn = frame.causal.ate("medication", "recovery", graph=graph, estimator=given, random_state=7, n_jobs=1)
        assert (drawn.estimator.random_state, drawn.estimator.n_jobs) == (7, 1)


def test_a_seed_of_what_draws_nothing_changes_nothing_and_is_checked():
    frame = make(n=200)
    want = table(frame.causal.ate(**ALL, estimator="entropy"))
    assert np.array_equal(table(frame.causal.ate(**ALL, estimator="entropy", random_state=3, n_jobs=2)), want)
    for wrong in ({"random_state": "a"}, {"n_jobs": 0}):
        with pytest.raises(CausalArgumentError, match=f"{next(iter(wrong))} must be"):
            frame.causal.ate(**ALL, estimator="entropy", **wrong)


def test_a_class_asks_for_the_front_door():
    rng = np.random.default_rng(0)
    u = rng.normal(size=200)
    x = (u + rng.normal(size=200) > 0).astype(int)
    m = (x + rng.normal(size=200) > 0.5).astype(int)
    frame = pd.DataFrame({"x": x, "m": m, "y": m + u + rng.normal(size=200)})
    by_name = frame.causal.ate("x", "y", graph="x -> m -> y; x <-> y", estimator="front door")
    assert by_name.facts["route"] == "front door"
    assert type(choose("ate", FrontDoor, {})) is FrontDoor


# -- what is seen -----------------------------------------------------------------------------------------------------


def test_public_names_only():
    frame = make()
    assert dir(frame.causal) == sorted(QUESTIONS)
    assert dir(pandas_causal.datasets) == sorted(pandas_causal.datasets.__all__)
    assert dir(pandas_causal.errors) == sorted(pandas_causal.errors.__all__)
    assert not [name for name in dir(pandas_causal) if name.startswith("_") and name != "__version__"]


def test_the_accessor_prints_its_questions():
    frame = make()
    text = repr(frame.causal)
    assert text.splitlines()[0] == f"Causal questions to {len(frame):,} rows and {frame.shape[1]} columns:"
    assert max(map(len, text.splitlines())) <= 79
    page = frame.causal._repr_html_()
    for name in QUESTIONS:
        first = getattr(ACCESSOR, name).__doc__.partition("\n")[0]
        assert f"\n  {name} " in text
        assert " ".join(text.split()).count(first) == 1
        assert f"<th>{name}</th>" in page
