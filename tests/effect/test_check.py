"""The result of a diagnostic, and tables that are computed when they are read."""

import pickle
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

import pandas_causal
from pandas_causal.effect.check import Check, DeferredCheck

CALLS = []


def table_of(n):
    CALLS.append(n)
    return pd.DataFrame({"x": np.arange(n)})


def test_a_deferred_table_is_computed_once_and_when_it_is_read():
    CALLS.clear()
    check = DeferredCheck(True, partial(table_of, 3), "fine")
    assert check.passed
    assert check.summary == "fine"
    assert not CALLS
    assert len(check.table) == len(check.table) == 3
    assert CALLS == [3]
    assert "Check passed: fine" in repr(check)
    assert not hasattr(check, "nothing")


def test_a_deferred_check_is_copied_pickled_and_settled():
    check = DeferredCheck(None, partial(table_of, 4), "so")
    stored = pickle.loads(pickle.dumps(check))
    assert type(stored) is Check  # nothing of what the table is made of
    assert len(stored.table) == 4
    assert replace(check, summary="thus").summary == "thus"
    settled = check.settled()
    assert type(settled) is Check
    pd.testing.assert_frame_equal(settled.table, check.table)


def test_printing_an_answer_computes_no_distribution_functions(monkeypatch):
    from pandas_causal.arms import balance

    frame = pandas_causal.datasets.load_lalonde()
    effect = frame.causal.ate(treatment="treat", outcome="re78", covariates=["age", "educ"], estimator="ipw")
    asked = []
    real = balance.weighted_ks
    monkeypatch.setattr(balance, "weighted_ks", lambda *given: asked.append(1) or real(*given))
    assert "largest standardised difference" in repr(effect)
    assert not asked
    assert effect.diagnostics["balance"].table["ks_after"].max() < 0.1
    assert len(asked) == 2
