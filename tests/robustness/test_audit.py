"""`df.causal.audit`: faults that were planted are found, and named; the table; bad input."""

import numpy as np
import pytest

import pandas_causal
from pandas_causal.errors import CausalArgumentError, CausalDataError
from pandas_causal.robustness import audit as audits
from tests.robustness.faults import ASKED, COVARIATES, rows

LINEAR = pandas_causal.AIPW(outcome_model="linear", propensity_model="linear")


def audit(frame, **changes):
    return frame.causal.audit(**{**ASKED, "estimator": LINEAR, **changes})


def concerns(found):
    return list(found.table.index[found.table["verdict"] == "CONCERN"])


@pytest.fixture(scope="module")
def clean():
    return audit(
        rows(800).assign(site=lambda d: np.arange(len(d)) % 40), negative_outcome="other_outcome", cluster="site"
    )


def test_a_clean_study_raises_no_concern(clean):
    assert clean.passed
    assert concerns(clean) == []
    assert list(clean.table.index) == [name for name, _ in audits._CHECKS]
    assert "does not make the answer true" in clean.summary
    assert "not checked: bad controls, graph" in clean.summary
    assert (clean.table["p_adjusted"].dropna() >= clean.table["p_value"].dropna()).all()
    assert clean.table["evidence"].map(bool).all()
    frame = rows(800).assign(site=lambda d: np.arange(len(d)) % 40)
    assert clean.effect.estimate == pytest.approx(frame.causal.ate(**ASKED, estimator=LINEAR, cluster="site").estimate)


def test_it_reads_as_text_and_as_a_picture(clean):
    text = repr(clean)
    for name in clean.table.index:
        assert f"\n{name}: " in text
    assert max(map(len, text.splitlines())) <= 130
    assert "bad controls" in clean._repr_html_()
    ax = clean.plot()
    assert [label.get_text() for label in ax.get_yticklabels()][:2] == ["the default", "regression coefficient"]
    assert clean.specifications.loc["regression coefficient", "estimate"] == pytest.approx(
        rows(800).causal.fit(pandas_causal.RegressionAdjustment(interactions=False), **ASKED).estimate
    )


def bad_control():
    rng = np.random.default_rng(0)
    frame = rows().assign(m=lambda d: d["t"] + rng.normal(size=400))
    graph = "dag { a -> t; a -> y; b -> y; c -> y; t -> m; m -> y; t -> y }"
    return frame, {"covariates": [*COVARIATES, "m"], "graph": graph}


def wrong_graph():
    return rows(), {"graph": "dag { t -> y; b -> y; a; c }"}


def hidden():
    return rows(800, hidden=1.0), {"negative_outcome": ["other_outcome"]}


def corner():
    return rows(800).assign(t=lambda d: d["t"].where((d["a"] < 0.5) | (d["b"] < 0), 1)), {}


def separated():
    return rows(800).assign(t=lambda d: (d["a"] + d["b"] > 0).astype(int)), {}


def missing():
    frame = rows(800)
    frame.loc[np.random.default_rng(0).random(800) < 0.1 + 0.2 * frame["t"], "b"] = np.nan
    return frame, {}


def neighbours():
    frame = rows(800).assign(site=np.arange(800) // 5)
    treated_others = (frame.groupby("site")["t"].transform("sum") - frame["t"]) / 4
    return frame.assign(y=frame["y"] + 2 * treated_others), {"cluster": "site"}


def wrong_outcome_model():
    return rows(4_000, bend=0.7), {}


def curved():
    return rows(1_500, bend=0.7), {"estimator": "regression"}


def apart():
    rng = np.random.default_rng(0)
    frame = rows(1_000)
    frame["t"] = (rng.random(1_000) < 1 / (1 + np.exp(-3 * frame["a"] - frame["a"] ** 3))).astype(int)
    return frame.assign(y=frame["t"] * 5 * frame["a"] + 0.1 * rng.normal(size=1_000)), {}


def outlier():
    frame = rows(800)
    frame.loc[3, "y"] = 300.0
    return frame, {}


def extrapolated():
    rng = np.random.default_rng(0)
    frame = rows(1_000)
    share = np.clip(0.5 + 0.45 * frame["a"], 0.02, 0.98)
    return frame.assign(t=(rng.random(1_000) < share).astype(int)), {
        "estimator": pandas_causal.RegressionAdjustment(interactions=False)
    }


@pytest.mark.parametrize(
    ("check", "plant"),
    [
        ("bad controls", bad_control),
        ("graph", wrong_graph),
        ("negative outcome", hidden),
        ("overlap", corner),
        ("overlap", separated),
        ("balance", apart),
        ("missing values", missing),
        ("interference", neighbours),
        ("prediction", wrong_outcome_model),
        ("counterfactual parity", apart),
        ("functional form", curved),
        ("multiverse", curved),
        ("influential rows", outlier),
        ("outcome weights", extrapolated),
        ("refuters", outlier),
    ],
    ids=lambda v: v if isinstance(v, str) else v.__name__,
)
def test_a_planted_fault_is_found(check, plant, monkeypatch, recwarn):
    monkeypatch.setattr(audits, "_CHECKS", [pair for pair in audits._CHECKS if pair[0] == check])
    frame, changes = plant()
    found = audit(frame, **changes)
    assert check in concerns(found)
    assert found.table.loc[check, "what_to_do"]
    assert not found.passed


def test_the_region_without_overlap_is_given_as_rules():
    frame, _ = corner()
    assert "where a > 0.5" in audit(frame).table.loc["overlap", "evidence"]


def test_large_frames_are_read_in_part(monkeypatch):
    monkeypatch.setattr(audits, "MOST_ROWS", 300)
    found = audit(rows(800))
    assert "(300 of 800 rows, drawn at random)" in found.table.loc["multiverse", "evidence"]
    assert found.effect.n_obs == 800


def test_a_graph_gives_the_covariates():
    graph = "dag { a -> t; a -> y; b -> y; t -> y }"
    found = rows().causal.audit(treatment="t", outcome="y", graph=graph, estimator=LINEAR)
    assert found.table.loc["bad controls", "verdict"] == "no concern"
    assert sorted(found.effect.estimator.covariates_) == ["a", "b"]


def test_categories_missing_values_weights_and_arms():
    rng = np.random.default_rng(0)
    frame = rows(600).assign(
        region=rng.choice(["north", "south", "west"], 600), w=rng.integers(1, 4, 600), t=rng.integers(0, 3, 600)
    )
    frame.loc[frame.index[:15], ["region", "y"]] = None
    found = frame.causal.audit(
        treatment="t", outcome="y", covariates=["a", "region"], sample_weight="w", missing="drop", estimator=LINEAR,
        control=1,
    )  # fmt: skip
    assert not found.table["evidence"].str.contains("could not be checked").any()
    assert len(found.specifications) == 12


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"treatment": None}, CausalArgumentError, "treatment"),
        ({"covariates": None}, CausalArgumentError, "covariates="),
        ({"alpha": 1.5}, CausalArgumentError, "alpha"),
        ({"random_state": -1}, CausalArgumentError, "random_state"),
        ({"covariates": ["nowhere"]}, CausalDataError, "nowhere"),
        ({"negative_outcome": "nowhere"}, CausalDataError, "nowhere"),
        ({"outcome": ["y", "a"]}, CausalArgumentError, "outcome"),
    ],
)
def test_bad_input_has_one_answer(changes, error, match):
    with pytest.raises(error, match=match):
        audit(rows(), **changes)
