"""``help(df.causal.<question>)``: every parameter, its legal values, returns, an example, none of which can drift."""

import ast
import inspect
import re

import pytest

import pandas_causal
from pandas_causal.estimator import SHORT_NAMES
from pandas_causal.inputs.parameters import LEVEL

ACCESSOR = pandas_causal.CausalAccessor
QUESTIONS = [name for name in dir(ACCESSOR) if not name.startswith("_")]
SECTIONS = ["Parameters", "Returns", "Raises", "See Also", "Examples"]
ESTIMATORS = {
    **{question: {cls for cls, _ in table.values()} for question, table in SHORT_NAMES.items()},
    "event_study": {cls for cls, _ in SHORT_NAMES["did"].values()},
    "match": {"Matching"},
    "rdd": {"RegressionDiscontinuity"},
    "ab_test": {"DifferenceInMeans"},
    "dose": {"DoseResponse"},
    "quantiles": {"QuantileEffects"},
}
# Short names that a question does not take, though they are of its table.
NOT_TAKEN = {"event_study": {"two_way", "triple_difference"}}


def sections(question):
    """Title -> lines of the docstring of a question, indentation taken off."""
    lines = inspect.getdoc(getattr(ACCESSOR, question)).splitlines()
    found, title = {"": []}, ""
    for k, line in enumerate(lines):
        if k + 1 < len(lines) and line and re.fullmatch("-{3,}", lines[k + 1]):
            title = line
            found[title] = []
        elif not re.fullmatch("-{3,}", line):
            found[title].append(line)
    return found


def entries(lines):
    """Name -> type and description of the entries of a section."""
    found, name = {}, ""
    for line in filter(None, lines):
        if not line.startswith(" "):
            name, _, kind = line.partition(" : ")
            found[name] = (kind, "")
        else:
            found[name] = (found[name][0], f"{found[name][1]} {line.strip()}".strip())
    return found


def parameters(question):
    signature = inspect.signature(getattr(ACCESSOR, question))
    return {
        f"**{name}" if p.kind is p.VAR_KEYWORD else name: p
        for name, p in signature.parameters.items()
        if name != "self"
    }


def literals(text):
    """Words and None of the first braces in a type."""
    braces = re.match(r"\{(.*?)\}", text)
    return None if braces is None else {ast.literal_eval(word.strip()) for word in braces[1].split(",")}


def choices(question, name):
    """Legal words of a setting, of all estimators of a question that have it."""
    found = set()
    for cls in ESTIMATORS.get(question, ()):
        for base in getattr(pandas_causal, cls).__mro__:
            legal = vars(base).get("legal", {})
            if name in legal and legal[name].choices:
                found |= set(legal[name].choices)
                break
    return found


@pytest.mark.parametrize("question", QUESTIONS)
def test_help_has_all_sections_and_a_first_line(question):
    found = sections(question)
    assert list(found)[1:] == SECTIONS
    first, *prose = found[""]
    assert first.endswith(".")
    assert prose[0] == ""
    assert all(any(lines) for lines in found.values())


@pytest.mark.parametrize("question", QUESTIONS)
def test_help_has_every_parameter_in_order(question):
    told = entries(sections(question)["Parameters"])
    asked = parameters(question)
    assert list(told) == list(asked)
    for name, (kind, text) in told.items():
        assert kind, name
        assert text, name
        default = asked[name].default
        if default is inspect.Parameter.empty and not name.startswith("**"):
            assert "optional" not in kind, name


@pytest.mark.parametrize("question", QUESTIONS)
def test_legal_values_are_those_of_the_estimators(question):
    """Words in braces are all that are legal, where an estimator or the table of short names says what is."""
    checked = 0
    for name, (kind, text) in entries(sections(question)["Parameters"]).items():
        told = literals(kind)
        legal = choices(question, name)
        if name in ("estimator", "learner") and question in SHORT_NAMES | {"event_study": 0, "audit": 0}:
            table = SHORT_NAMES[{"event_study": "did", "audit": "ate"}.get(question, question)]
            assert set(re.findall(r'"(\w+)"', f"{kind} {text}")) >= set(table) - NOT_TAKEN.get(question, set())
            told, legal = None, None
            checked += 1
        if legal:
            assert told is not None, f"{name}: name the legal values {legal}"
            optional = {None} if "optional" in kind else set()  # None: the estimator's own
            assert told | optional == legal | optional, name
            checked += 1
        if name == "missing":
            assert told == {"raise", "drop"}
        default = parameters(question)[name].default
        if told is not None and isinstance(default, str):
            assert default in told, name
    assert checked or question not in ("ate", "ab_test", "cate", "did", "iv", "match", "mediate", "rdd")


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_example_is_a_call_that_the_question_takes(question):
    code = "\n".join(line[4:] for line in sections(question)["Examples"] if line.startswith(">>> "))
    calls = [
        node
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == f"df.causal.{question}"
    ]
    assert calls, code
    for call in calls:
        keywords = {k.arg: None for k in call.keywords}
        inspect.signature(getattr(ACCESSOR, question)).bind(None, *call.args, **keywords)


@pytest.mark.parametrize("question", QUESTIONS)
def test_what_is_seen_also_exists(question):
    import importlib

    for entry in entries(sections(question)["See Also"]):
        for name in entry.split(", "):
            if hasattr(ACCESSOR, name) or name.startswith("pandas_causal."):
                assert hasattr(ACCESSOR, name) or hasattr(pandas_causal, name.partition(".")[2])
                continue
            first, _, rest = name.partition(".")
            if first in dir(pandas_causal):
                assert not rest or hasattr(getattr(pandas_causal, first), rest), name
                continue
            module, _, attribute = name.rpartition(".")
            assert hasattr(importlib.import_module(f"pandas_causal.{module}"), attribute), name


def test_this_file_can_fail():
    assert literals('{"a", None}, optional') == {"a", None}
    assert literals("float") is None
    assert choices("rdd", "kernel") == {"triangular", "epanechnikov", "uniform"}
    assert not choices("rdd", "cutoff")
    assert not LEVEL.choices
