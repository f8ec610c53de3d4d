"""Random questions to damaged frames end in an error of ours, or in numbers that hold together (`fuzz.py`)."""

import pytest

from tests.contract import fuzz

CASES, FAST, EACH = 500, 200, 20
FURTHER = range(CASES, 2_000, 250)


def faults(seeds):
    """What is wrong with each of these cases."""
    found = [fuzz.run(seed) for seed in seeds]
    return [f"{words}\n    {text}" for words, _, texts in found for text in texts]


@pytest.mark.parametrize("first", range(0, FAST, EACH))
def test_our_error_or_numbers(first):
    assert not faults(range(first, first + EACH))


@pytest.mark.slow
@pytest.mark.parametrize("first", range(FAST, CASES, EACH))
def test_our_error_or_numbers_of_more(first):
    assert not faults(range(first, first + EACH))


@pytest.mark.slow
@pytest.mark.parametrize("first", FURTHER)
def test_our_error_or_numbers_of_many_more(first):
    assert not faults(range(first, first + 250))


@pytest.mark.slow
def test_every_question_and_estimator_is_asked_and_some_answer():
    asked = {*fuzz.METHODS, *(cls.__name__ for cls in fuzz.ESTIMATORS)}
    words = [fuzz.case(seed)[0] for seed in range(CASES)]
    named = {w.split(": ", 1)[1].partition("(")[0] for w in words}
    named |= {w.partition("fit(")[2].partition(")")[0] for w in words}
    assert asked <= named
    ends = [fuzz.run(seed)[1] for seed in range(0, CASES, 7)]
    assert 0.2 < ends.count("number") / len(ends) < 0.8  # neither all refused nor all harmless


def test_the_fuzz_can_fail(monkeypatch):
    from pandas_causal.accessor import CausalAccessor

    def raw(self, **_):
        raise KeyError("x")

    seed = next(s for s in range(CASES) if "association(" in fuzz.case(s)[0])
    monkeypatch.setattr(CausalAccessor, "association", raw)
    assert "KeyError" in faults([seed])[0]
