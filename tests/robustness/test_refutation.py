"""`Effect.refute`: the table, what applies where, the same answer for any number of workers, bad input."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import pandas_causal
from pandas_causal.effect.study import Refitted
from pandas_causal.errors import CausalArgumentError, CausalDataError
from pandas_causal.robustness import refits
from pandas_causal.robustness.refits import Plan, Question, law_of_draws
from pandas_causal.robustness.refutation import REFUTERS, what_refuters_see
from pandas_causal.robustness.refuters import placebo_order
from tests.robustness.faults import ASKED, COVARIATES, instrument, jump, panel, rows

QUIET = {"progress": False, "n_simulations": 20}
FEW = {"progress": False, "n_simulations": 10}
OF_ROWS = [
    "placebo_treatment", "random_common_cause", "subset", "bootstrap", "zero_outcome", "dummy_outcome", "add_noise",
    "leave_one_out", "simulated_confounder",
]  # fmt: skip


@pytest.fixture(scope="module")
def effect():
    return rows().causal.ate(**ASKED, estimator="regression")


@pytest.fixture(scope="module")
def refutation(effect):
    return effect.refute(**QUIET)


def test_the_table_says_what_was_changed_and_what_a_failure_means(effect, refutation):
    table = refutation.table
    assert list(table.index) == OF_ROWS
    assert (table["estimate"] == effect.estimate).all()
    assert table["p_value"].dropna().between(0, 1).all()
    assert (table["p_adjusted"].dropna() >= table["p_value"].dropna()).all()
    assert set(table["verdict"]) == {"not refuted", "for information"}
    assert table.loc["zero_outcome", "new_estimate"] == pytest.approx(0, abs=1e-12)
    assert table[["changes", "if_refuted"]].map(bool).all(axis=None)
    assert refutation.passed is True
    assert "does not make it true" in refutation.summary


def test_what_each_can_see_is_printed_with_the_result(refutation):
    text = repr(refutation)
    for name in OF_ROWS:
        assert f"  {name}: {refutation.sees.loc[name, 'sees']}"[:60] in text
    assert "blind to" in text
    assert max(map(len, text.splitlines())) <= 130
    html = refutation._repr_html_()
    assert "placebo_treatment" in html
    assert "<script" not in html
    assert set(what_refuters_see().index) == {r.name for r in REFUTERS}


@pytest.mark.slow
def test_the_answer_is_the_same_for_any_number_of_workers(effect, refutation):
    names = ["placebo_treatment", "subset", "dummy_outcome"]
    several = effect.refute(names, n_jobs=2, **QUIET)
    kept = [name for name in refutation.table if name != "p_adjusted"]
    pd.testing.assert_frame_equal(several.table[kept], refutation.table.loc[names, kept])
    generic = rows().causal.ate(**ASKED, estimator="ipw")
    alone, two = (generic.refute(["placebo_treatment", "bootstrap"], n_jobs=k, **QUIET) for k in (None, 2))
    pd.testing.assert_frame_equal(alone.table, two.table)


def test_a_refuter_alone_is_the_refuter_among_others(effect, refutation):
    alone = effect.refute("subset", **QUIET)
    assert alone.table.loc["subset", "p_value"] == refutation.table.loc["subset", "p_value"]
    other = effect.refute("subset", random_state=1, **QUIET)
    assert alone.table.loc["subset", "new_estimate"] != other.table.loc["subset", "new_estimate"]


def test_shared_and_whole_refits_agree(effect):
    """The placebo on factorised covariates is the placebo through ``fit``."""
    question = Question.of(effect, effect.study, {})
    order = placebo_order(question, np.random.default_rng(0))
    assert question.shared is not None
    fast = question.with_order(order)
    question.__dict__["shared"] = None
    slow = question.with_order(order)
    np.testing.assert_allclose(fast.estimates, slow.estimates, rtol=1e-10)
    np.testing.assert_allclose(fast.std_errors, slow.std_errors, rtol=1e-9)


def test_leave_one_out_and_the_grid_are_tables(effect, refutation):
    left = refutation.draws["leave_one_out"]
    assert sorted(left.index) == COVARIATES
    without = rows().causal.ate(treatment="t", outcome="y", covariates=["b", "c"], estimator="regression")
    assert left.loc["a", "estimate"] == pytest.approx(without.estimate)
    assert left.index[0] == "a"
    assert np.isnan(refutation.table.loc["leave_one_out", "p_value"])
    grid = refutation.draws["simulated_confounder"]
    assert len(grid) == 16
    assert grid["estimate"].iloc[-1] < grid["estimate"].iloc[0] < effect.estimate


def test_the_simulated_confounder_is_that_of_omitted_variable_bias():
    """Of a coefficient: the bias is ``se sqrt(df) sqrt(r2_y r2_d / (1 - r2_d))`` (Cinelli and Hazlett 2020, eq. 11)."""
    frame = rows()
    effect = frame.causal.fit(pandas_causal.RegressionAdjustment(interactions=False), **ASKED)
    grid = effect.refute("simulated_confounder", **QUIET).draws["simulated_confounder"]
    import statsmodels.api as sm

    ols = sm.OLS(frame["y"], sm.add_constant(frame[["t", *COVARIATES]])).fit()
    a, b = grid["r2_treatment"], grid["r2_outcome"]
    bias = ols.bse["t"] * np.sqrt(ols.df_resid) * np.sqrt(b * a / (1 - a))
    np.testing.assert_allclose(grid["estimate"], ols.params["t"] - bias, rtol=1e-8)


def test_negative_controls_see_what_nobody_measured():
    frame = rows(800, hidden=1.0)
    effect = frame.causal.ate(**ASKED, estimator="regression")
    found = effect.refute(
        ["placebo_treatment", "subset", "negative_outcome", "negative_exposure"],
        negative_outcome="other_outcome",
        negative_exposure=["other_exposure"],
        **QUIET,
    )
    assert list(found.table.index[found.table["verdict"] == "refuted"]) == ["negative_outcome", "negative_exposure"]
    assert found.passed is False
    assert "refuted by negative_outcome, negative_exposure" in found.summary
    assert "refuted: something moves both" in repr(found)
    again = frame.causal.ate(treatment="t", outcome="other_outcome", covariates=COVARIATES, estimator="regression")
    assert found.table.loc["negative_outcome", "p_value"] == pytest.approx(again.p_value)


def test_whole_clusters_and_strata_are_permuted():
    frame = rows(200).assign(site=lambda d: np.arange(len(d)) // 5, block=lambda d: np.arange(len(d)) % 2)
    frame["t"] = (frame["site"] * 7 % 3 == 0).astype(int)
    effect = frame.causal.ab_test(treatment="t", outcome="y", cluster="site")
    order = placebo_order(Question.of(effect, effect.study, {}), np.random.default_rng(0))
    moved = frame["t"].to_numpy()[order]
    assert pd.Series(moved).groupby(frame["site"].to_numpy()).std().max() == 0
    assert moved.sum() == frame["t"].sum()
    assert not np.array_equal(moved, frame["t"])
    blocks = frame.causal.ab_test(treatment="t", outcome="y", strata="block")
    order = placebo_order(Question.of(blocks, blocks.study, {}), np.random.default_rng(0))
    np.testing.assert_array_equal(frame["block"].to_numpy()[order], frame["block"])
    assert sorted(order) == list(range(200))


def test_known_propensities_go_with_the_treatment():
    """A permuted treatment beside propensities that stayed would find effects of the propensities."""
    frame = rows(2_000)
    frame["e"] = 1 / (1 + np.exp(-0.8 * frame["a"]))
    effect = frame.causal.fit(pandas_causal.IPW(), **ASKED, propensity="e")
    found = effect.refute("placebo_treatment", progress=False, n_simulations=60)
    assert found.passed
    assert abs(found.table.loc["placebo_treatment", "new_estimate"]) < 0.05


def test_panels_discontinuities_and_instruments_have_refuters_of_their_own():
    did = panel().causal.did(outcome="y", unit="unit", time="time", cohort="cohort")
    assert list(did.refute(**FEW).table.index) == ["subset", "in_time", "in_space"]
    parted = panel(drift=0.4).causal.did(outcome="y", unit="unit", time="time", cohort="cohort")
    assert parted.refute("in_time", **FEW).passed is False
    synthetic = panel(40).causal.synthetic_control(
        outcome="y", unit="unit", time="time", cohort="cohort", estimator="did"
    )
    assert list(synthetic.refute(**FEW).table.index) == ["in_time"]
    rd = jump().causal.rdd(running="x", outcome="y")
    assert list(rd.refute(**FEW).table.index) == ["placebo_cutoffs"]
    iv = instrument().causal.iv(treatment="t", outcome="y", instrument="z", covariates=["a"])
    table = iv.refute(**FEW).table
    assert {"placebo_treatment", "random_common_cause", "bootstrap"} <= set(table.index)
    assert "dummy_outcome" not in table.index


def test_treatment_row_by_row_is_a_cohort():
    frame = panel()
    frame["on"] = (frame["time"] >= frame["cohort"]).astype(int)
    by_cohort = frame.causal.did(outcome="y", unit="unit", time="time", cohort="cohort").refute(**QUIET)
    by_row = frame.causal.did(outcome="y", unit="unit", time="time", treatment="on").refute(**QUIET)
    pd.testing.assert_frame_equal(by_cohort.table, by_row.table)


def test_graphs_are_tested_too():
    frame = rows()
    graph = "dag { a -> t; a -> y; t -> y; b -> y }"
    effect = frame.causal.ate(graph=graph, treatment="t", outcome="y", estimator="regression")
    found = effect.refute(["graph", "permuted_graph"], **QUIET)
    assert found.table.loc["graph", "verdict"] == "not refuted"
    assert "relabelled graphs" in found.table.loc["permuted_graph", "detail"]
    wrong = effect.refute("graph", graph="dag { t -> y; b -> y; a }", **QUIET)
    assert wrong.passed is False


def test_many_arms_and_many_cells_give_one_p_value():
    rng = np.random.default_rng(0)
    frame = rows().assign(t=rng.integers(0, 3, 400))
    effect = frame.causal.ate(**ASKED, estimator="regression")
    table = effect.refute(["placebo_treatment", "subset", "zero_outcome", "dummy_outcome"], **QUIET).table
    assert table["p_value"].dropna().between(0, 1).all()
    assert effect[["2 - 0"]].refute("placebo_treatment", **QUIET).table["estimate"].iloc[0] == pytest.approx(
        effect.estimates["2 - 0"]
    )


def test_formulas_and_dropped_rows():
    frame = rows()
    frame.loc[frame.index[:10], "y"] = np.nan
    effect = frame.causal.ate(treatment="t", outcome="y", formula="a * b", estimator="regression", missing="drop")
    found = effect.refute(["placebo_treatment", "random_common_cause", "subset", "simulated_confounder"], **QUIET)
    assert "could not run" not in set(found.table["verdict"])
    assert "leave_one_out" in found.not_applied
    assert effect.study.refit().estimate == pytest.approx(effect.estimate)


def test_a_stored_effect_takes_its_frame(effect, refutation):
    stored = pickle.loads(pickle.dumps(effect)).compact()
    found = stored.refute("subset", study=rows(), **QUIET)
    assert found.table.loc["subset", "p_value"] == pytest.approx(refutation.table.loc["subset", "p_value"])
    with pytest.raises(CausalDataError, match="not what it was"):
        stored.refute("subset", study=rows(seed=1), **QUIET)


def test_control_c_keeps_what_is_done(effect, monkeypatch):
    def stops(self, question, k):
        if k == 15:
            raise KeyboardInterrupt
        return Refitted(np.array([0.1 * (-1) ** k]), np.array([0.1]), np.array([np.inf]))

    from pandas_causal.robustness import refuters

    monkeypatch.setattr(refuters._Subset, "__call__", stops)
    table = effect.refute(["placebo_treatment", "subset", "bootstrap"], **QUIET).table
    assert list(table.index) == ["placebo_treatment", "subset"]
    assert "15 draws; interrupted: 20 were asked for" in table.loc["subset", "detail"]


def test_draws_that_fail_are_counted(effect, monkeypatch):
    from pandas_causal.robustness import refuters

    def fails(self, question, k):
        if k % self.plan.n_simulations < 1 or (self.plan.seed and k < 5):
            raise CausalDataError("no row is left")
        return Refitted(np.array([0.1 * (-1) ** k]), np.array([0.1]), np.array([np.inf]))

    monkeypatch.setattr(refuters._Subset, "__call__", fails)
    assert (
        "1 could not be estimated and are left out (no row is left)"
        in effect.refute("subset", **QUIET).table.loc["subset", "detail"]
    )
    many = effect.refute("subset", random_state=1, **QUIET)
    assert many.table.loc["subset", "verdict"] == "could not run"
    assert many.passed is None


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({"refuter": "placebo_treatmnt"}, "did you mean 'placebo_treatment'"),
        ({"refuter": "in_time"}, "is for panels, and this is a comparison of rows; of this study there are: placebo"),
        ({"refuter": "negative_outcome"}, "needs negative_outcome="),
        ({"n_simulations": 0}, "n_simulations"),
        ({"n_simulations": True}, "n_simulations"),
        ({"alpha": 2}, "alpha"),
        ({"random_state": -1}, "random_state"),
        ({"n_jobs": 0}, "n_jobs"),
        ({"study": [1]}, "DataFrame"),
    ],
)
def test_bad_input_has_one_answer(effect, asked, match):
    with pytest.raises(CausalArgumentError, match=match):
        effect.refute(**asked)


def test_effects_of_no_single_fit_say_so(effect):
    frame = rows()
    several = frame.causal.ate(
        treatment="t", outcome=["y", "other_outcome"], covariates=COVARIATES, estimator="regression"
    )
    for one in (several, effect.difference(frame.causal.ate(**ASKED, estimator="ipw"))):
        with pytest.raises(CausalArgumentError, match="nothing to fit again"):
            one.refute()


def test_an_absent_negative_control_is_named(effect):
    table = effect.refute("negative_outcome", negative_outcome="nowhere", **QUIET).table
    assert "'nowhere' is no column" in table["detail"].iloc[0]


def test_a_frame_that_gained_rows_is_no_place_for_negative_controls():
    frame = rows()
    effect = frame.causal.ate(**ASKED, estimator="regression")
    frame.loc[9_999] = frame.iloc[0]  # a row is added in place
    table = effect.refute("negative_outcome", negative_outcome="other_outcome", **QUIET).table
    assert "other rows" in table["detail"].iloc[0]


def test_array_roles_are_refuted_too():
    frame = rows()
    effect = (
        pandas_causal.RegressionAdjustment()
        .fit(frame[COVARIATES].to_numpy(), frame["y"].to_numpy(), treatment=frame["t"].to_numpy())
        .effect()
    )
    by_name = frame.causal.ate(**ASKED, estimator="regression")
    a, b = (e.refute(["placebo_treatment", "subset"], **QUIET).table for e in (effect, by_name))
    np.testing.assert_allclose(a["p_value"], b["p_value"])
    assert "needs the frame" in effect.refute("subset", negative_outcome="y", **QUIET).not_applied["negative_outcome"]


def test_the_law_of_draws_by_hand():
    d = np.array([[1.0], [-1.0], [2.0], [0.5], [-0.5]])
    law = law_of_draws(d, np.ones_like(d), np.full(d.shape, np.inf))
    assert law.p_mean[0] == pytest.approx(stats.ttest_1samp(d[:, 0], 0).pvalue)
    assert law.p_size[0] == pytest.approx(stats.kstest(d[:, 0], "norm").pvalue)
    assert law.p_value[0] == pytest.approx(min(1, 2 * min(law.p_mean[0], law.p_size[0])))
    student = law_of_draws(d, np.ones_like(d), np.full(d.shape, 3.0))
    assert student.p_size[0] == pytest.approx(stats.kstest(d[:, 0], stats.t(3).cdf).pvalue)
    without = law_of_draws(d, np.full(d.shape, np.nan), np.full(d.shape, np.inf))
    assert without.p_value[0] == without.p_mean[0]
    exact = law_of_draws(np.zeros((5, 1)), np.zeros((5, 1)), np.full((5, 1), np.inf))
    assert exact.p_value[0] == 1


def test_seeds_belong_to_a_draw():
    plan = Plan(seed=3)
    assert plan.rng("subset", 4).random() == plan.rng("subset", 4).random()
    assert len({plan.rng(name, k).random() for name in ("subset", "bootstrap") for k in (0, 1)}) == 4
    assert refits.Plan().n_simulations == 100
