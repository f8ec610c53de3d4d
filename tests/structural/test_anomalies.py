"""Attributions of outlier scores: closed forms, their sum, their errors, and rows that do not depend on each other."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pandas_causal import CausalGraph, Mechanism, StructuralModel
from pandas_causal.errors import (
    AssumptionWarning,
    CausalArgumentError,
    CausalDataError,
    CausalWarning,
    GraphError,
    NotIdentifiedError,
)
from pandas_causal.structural import anomalies
from tests.structural.chains import CHAIN, KNOWN, LINEAR, MIXED, exact_chain, known_chain, mixed, wide


def normal_chain(n=20_000):
    """Noises at the quantiles of the normal law, so that the pool is the law."""
    z = stats.norm.ppf((np.arange(n) + 0.5) / n)
    rng = np.random.default_rng(0)
    x1 = rng.permutation(z)
    x2 = 2 * x1 + rng.permutation(z)
    return pd.DataFrame({"x1": x1, "x2": x2, "x3": 3 * x2 + rng.permutation(z)})


def by_closed_form(row):
    """Shapley values of log P(|X3| >= |x3|) in the normal chain: X3 = 6 u1 + 3 u2 + u3."""
    weight = np.array([6.0, 3.0, 1.0])
    u = np.array([row["x1"], row["x2"] - 2 * row["x1"], row["x3"] - 3 * row["x2"]])
    t = abs(row["x3"])
    value = {}
    for code in range(8):
        kept = np.array([bool(code >> k & 1) for k in range(3)])
        mean, spread = weight[kept] @ u[kept], np.sqrt(np.square(weight[~kept]).sum())
        if kept.all():
            value[code] = 0.0
        else:
            value[code] = np.log(stats.norm.sf((t - mean) / spread) + stats.norm.cdf((-t - mean) / spread))
    out = []
    for k in range(3):
        others = [j for j in range(3) if j != k]
        gains = [
            (value[sum(1 << j for j in s) | 1 << k] - value[sum(1 << j for j in s)]) * w
            for s, w in (([], 1 / 3), ([others[0]], 1 / 6), ([others[1]], 1 / 6), (others, 1 / 3))
        ]
        out.append(sum(gains))
    return np.array(out), -value[0]


def test_closed_form_within_the_standard_errors():
    model = known_chain(normal_chain())
    rows = pd.DataFrame({"x1": [2.0, 0.1, -1.0], "x2": [4.5, 3.2, -2.5], "x3": [14.0, 9.0, 3.0]}, index=["a", "b", "c"])
    table = model.attribute_anomaly(rows, "x3", n_samples=20_000)
    for label, row in rows.iterrows():
        truth, score = by_closed_form(row)
        found = table.loc[label]
        assert (np.abs(found["attribution"] - truth) < 3.5 * found["std_error"] + 0.002).all()
        assert found["score"].iloc[0] == pytest.approx(score, abs=3.5 * found["score_std_error"].iloc[0])
        assert found["attribution"].sum() == pytest.approx(found["score"].iloc[0], abs=1e-12)
        assert found["std_error"].max() < 0.1
    assert table.loc["a", "attribution"].idxmax() == "x1"
    assert table.loc["b", "attribution"].idxmax() == "x2"


@pytest.mark.slow
def test_standard_errors_are_the_spread_over_seeds():
    model = known_chain(normal_chain(2_000))
    row = pd.DataFrame({"x1": [2.0], "x2": [4.5], "x3": [14.0]})
    found = [model.attribute_anomaly(row, "x3", n_samples=1_000, random_state=s) for s in range(60)]
    spread = np.std([t["attribution"] for t in found], axis=0, ddof=1)
    told = np.sqrt(np.mean([np.square(t["std_error"]) for t in found], axis=0))
    np.testing.assert_allclose(told, spread, rtol=0.35)


def test_a_row_does_not_depend_on_the_others_nor_on_its_place():
    df = mixed(400)
    model = StructuralModel(MIXED).fit(df)
    found = []
    for rows in (df.iloc[:6], df.iloc[[4]], df.iloc[4], df.iloc[[4, 0, 5]]):
        with pytest.warns(AssumptionWarning, match="monotone coupling"):
            found.append(model.attribute_anomaly(rows, "x", n_samples=300))
    several, one, as_series, shuffled = found
    pd.testing.assert_frame_equal(several.loc[[4]], one)
    np.testing.assert_array_equal(as_series["attribution"], one["attribution"])
    pd.testing.assert_frame_equal(shuffled.loc[[4]], one)


def test_drawn_orders_give_each_row_its_own_answer():
    """Many nodes: orders are drawn until each row is precise, whatever the company."""
    rng = np.random.default_rng(0)
    df = pd.DataFrame(rng.normal(size=(300, 13)), columns=[f"c{k}" for k in range(13)])
    df["t"] = df.sum(axis=1) + rng.normal(size=300)
    graph = "; ".join(f"c{k} -> t" for k in range(13))
    model = StructuralModel(graph, {"t": "linear"}).fit(df)
    rows = df.iloc[:3] + np.array([[0.0], [1.0], [4.0]])
    settings = {"n_samples": 200, "tolerance": 0.2}
    all_three = model.attribute_anomaly(rows, "t", **settings)
    alone = model.attribute_anomaly(rows.iloc[[2]], "t", **settings)
    np.testing.assert_allclose(all_three.loc[[2], "attribution"], alone["attribution"], rtol=1e-12)


def test_renaming_nodes_and_doubling_rows_changes_nothing():
    df = exact_chain(100)
    rows = df.iloc[:4]
    first = known_chain(df).attribute_anomaly(rows, "x3", n_samples=500)
    names = {"x1": "z", "x2": 7, "x3": "a"}
    known = {7: lambda p: 2 * p["z"], "a": lambda p: 3 * p[7]}
    other = StructuralModel({"z": [7], 7: ["a"]}, known).fit(df.rename(columns=names))
    again = other.attribute_anomaly(rows.rename(columns=names), "a", n_samples=500)
    np.testing.assert_array_equal(first.to_numpy(), again.to_numpy())
    twice = known_chain(pd.concat([df, df], ignore_index=True)).attribute_anomaly(rows, "x3", n_samples=500)
    assert (np.abs(twice["attribution"] - first["attribution"]) < 4 * (twice["std_error"] + first["std_error"])).all()


def test_scores_beyond_all_draws_are_bounds():
    model = known_chain(exact_chain(300))
    row = pd.DataFrame({"x1": [9.0], "x2": [18.0], "x3": [54.0]})
    with pytest.warns(CausalWarning, match=r"1 of 1 rows are odder than all 200 draws.*at most 5\.30"):
        table = model.attribute_anomaly(row, "x3", n_samples=200)
    assert table["bound"].all()
    assert table["score"].iloc[0] == pytest.approx(np.log(201))
    assert table["attribution"].idxmax() == (0, "x1")


@pytest.mark.parametrize("score", ["median", "quantile", "density", "upper", "lower", lambda x: np.square(x)])
def test_statistics_of_the_tail(score):
    """A value far up is odd by all but "lower"; attributions sum to the score whatever the statistic."""
    model = known_chain(exact_chain(300))
    row = pd.DataFrame({"x1": [2.0], "x2": [4.0], "x3": [12.0]})
    table = model.attribute_anomaly(row, "x3", score=score, n_samples=1_000)
    assert table["attribution"].sum() == pytest.approx(table["score"].iloc[0], abs=1e-12)
    assert (table["score"].iloc[0] > 2) == (score != "lower")
    assert (table["score"].iloc[0] < 0.1) == (score == "lower")


def test_conditional_scores_say_where_the_row_leaves_the_model():
    model = known_chain(normal_chain(4_000))
    rows = pd.DataFrame({"x1": [2.5, 0.0], "x2": [5.0, 3.0], "x3": [15.1, 9.0]}, index=["early", "middle"])
    table = model.anomaly_scores(rows)
    by_node = wide(table["score"])
    assert by_node.idxmax(axis=1).to_dict() == {"early": "x1", "middle": "x2"}
    truth = -np.log(2 * stats.norm.sf([2.5, 3.0]))
    assert [by_node.loc["early", "x1"], by_node.loc["middle", "x2"]] == pytest.approx(truth, abs=0.15)
    assert table.loc[("early", "x1"), "std_error"] == pytest.approx(
        np.sqrt(1 / (4_000 * 2 * stats.norm.sf(2.5))), rel=0.1
    )


def test_conditional_scores_of_levels_and_of_own_mechanisms():
    class Own(Mechanism):
        def draw(self, n, rng):
            return rng.normal(size=n)

        def value(self, parents, noise):
            return parents["x"].to_numpy() + noise

    df = mixed(500)
    df["z"] = df["x"] + np.random.default_rng(1).normal(size=500)
    model = StructuralModel(MIXED + "; x -> z", {"z": Own(), "b": "ridge", "y": "ridge"}).fit(df)
    row = pd.DataFrame({"a": ["u"], "b": [1], "x": [2.0], "y": [0], "z": [5.0]})
    table = model.anomaly_scores(row, n_samples=5_000).loc[0]
    mechanism = model.simulator_.mechanisms["b"]
    parents = model.simulator_.parents_of("b", {"a": np.array([0])}, 1)
    p = mechanism.predict(parents)[0]
    assert table.loc["b", "score"] == pytest.approx(-np.log(p[p <= p[1] * (1 + 1e-9)].sum()))
    assert table.loc["b", "std_error"] == 0
    assert table.loc["z", "score"] == pytest.approx(-np.log(2 * stats.norm.sf(3.0)), abs=0.6)


def test_a_target_without_causes_is_itself():
    model = known_chain(exact_chain(200))
    with pytest.warns(CausalWarning, match="x1 has no causes in the graph: all of it is laid on x1 itself"):
        table = model.attribute_anomaly(pd.DataFrame({"x1": [2.0]}), "x1", n_samples=500)
    assert list(table.index) == [(0, "x1")]
    assert table["attribution"].iloc[0] == pytest.approx(table["score"].iloc[0])


def test_a_constant_node_has_no_part():
    df = exact_chain(200).assign(c=5.0)
    df["x3"] = df["x3"] + df["c"]
    known = {**KNOWN, "x3": lambda p: 3 * p["x2"] + p["c"]}
    model = StructuralModel(CHAIN + "; c -> x3", known).fit(df)
    table = model.attribute_anomaly(df.iloc[:3], "x3", n_samples=300)
    assert np.abs(wide(table["attribution"])["c"]).max() < 1e-15


def test_identical_rows_have_identical_answers():
    df = exact_chain(200)
    rows = pd.concat([df.iloc[[3]]] * 3, ignore_index=True)
    table = known_chain(df).attribute_anomaly(rows, "x3", n_samples=300)["attribution"]
    assert np.ptp(wide(table).to_numpy(), axis=0).max() == 0


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda m, df: m.attribute_anomaly(df, "x9"), GraphError, "'x9' is no node of the model"),
        (lambda m, df: m.attribute_anomaly(df.drop(columns="x1"), "x3"), GraphError, r"\['x1'\] are no columns"),
        (lambda m, df: m.attribute_anomaly(df.assign(x2=np.nan), "x3"), CausalDataError, "x2: is missing"),
        (lambda m, df: m.attribute_anomaly(df.assign(x2="a"), "x3"), CausalDataError, "x2 was numeric when"),
        (lambda m, df: m.attribute_anomaly(df.iloc[:0], "x3"), CausalDataError, "no .*row"),
        (lambda m, df: m.attribute_anomaly(df, "x3", score="far"), CausalArgumentError, "score='far' is not known"),
        (lambda m, df: m.attribute_anomaly(df, "x3", score=lambda x: x[:1]), CausalArgumentError, "finite numbers"),
        (lambda m, df: m.attribute_anomaly(df, "x3", n_samples=5), CausalArgumentError, "n_samples must be a whole"),
        (lambda m, df: m.attribute_anomaly(df, "x3", method="best"), CausalArgumentError, "method='best' is not"),
        (lambda m, df: m.attribute_anomaly(df, "x3", random_state=-1), CausalArgumentError, "random_state"),
        (lambda m, _: m.attribute_anomaly([1], "x3"), CausalArgumentError, "expected a pandas DataFrame, got list"),
    ],
)
def test_bad_input_is_named(call, error, words):
    df = exact_chain(100)
    with pytest.raises(error, match=words):
        call(known_chain(df), df.iloc[:3])


def test_levels_never_seen_are_named_and_unordered_targets_need_a_density():
    df = mixed(300)
    model = StructuralModel(MIXED, {"b": "ridge", "y": "ridge", "x": "linear"}).fit(df)
    with pytest.raises(CausalDataError, match="a: holds 'q', never seen in 2 rows"):
        model.attribute_anomaly(df.iloc[:2].assign(a="q"), "x")
    with pytest.raises(CausalDataError, match="no order"):
        model.attribute_anomaly(df.iloc[:2], "a")
    with pytest.warns(CausalWarning, match="no causes"):
        assert len(model.attribute_anomaly(df.iloc[:2], "a", score="density")) == 2


def test_latent_nodes_and_cycles():
    df = exact_chain(100)
    hidden = StructuralModel(CausalGraph(CHAIN + "; h -> x1", latent=["h"]), LINEAR).fit(df)
    plain = StructuralModel(CHAIN, LINEAR).fit(df)
    one, other = (m.attribute_anomaly(df.iloc[:2], "x3", n_samples=300) for m in (hidden, plain))
    pd.testing.assert_frame_equal(one, other)  # a latent cause of one node is its noise
    with pytest.raises(GraphError, match="'h' is no node of the model"):
        hidden.attribute_anomaly(df.iloc[:2], "h")
    with pytest.raises(NotIdentifiedError, match="an unobserved common cause ties x1 <-> x3"):
        df.causal.why(CHAIN + "; x1 <-> x3", target="x3", before=df)
    with pytest.raises(GraphError, match="cycle"):
        df.causal.why(CHAIN + "; x3 -> x1", target="x3", before=df)


def test_an_interruption_returns_the_rows_that_have_an_answer(monkeypatch):
    df = exact_chain(100)
    model = known_chain(df)
    rows = df.iloc[:5]
    whole = model.attribute_anomaly(rows, "x3", n_samples=200, method="permutations", tolerance=1e-9, max_draws=64)
    monkeypatch.setattr(anomalies, "_BLOCK", 400)  # two rows a block
    of, calls = anomalies._LogTail.__call__, []

    def stop(self, masks):
        calls.append(len(masks))
        if len(calls) > 4:
            raise KeyboardInterrupt
        return of(self, masks)

    monkeypatch.setattr(anomalies._LogTail, "__call__", stop)
    with pytest.warns(CausalWarning, match="interrupted: 1 of 5 rows have no answer"):
        part = model.attribute_anomaly(rows, "x3", n_samples=200, method="permutations", tolerance=1e-9, max_draws=64)
    pd.testing.assert_frame_equal(part, whole.loc[rows.index[:4]])


def test_unfitted_models_say_so():
    with pytest.raises(Exception, match="not fitted yet; call fit"):
        StructuralModel(CHAIN, LINEAR).attribute_anomaly(exact_chain(10), "x3")
