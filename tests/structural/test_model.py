"""StructuralModel against models whose truth is known."""

import pickle
import re
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.base import clone
from sklearn.neighbors import KNeighborsClassifier

import pandas_causal
from pandas_causal import CausalGraph, Mechanism, Shift, StructuralModel
from pandas_causal.errors import (
    AssumptionWarning,
    CausalArgumentError,
    CausalDataError,
    CausalError,
    CausalWarning,
    GraphError,
    NotIdentifiedError,
    OverlapError,
    OverlapWarning,
)
from pandas_causal.structural.learning import _settle
from pandas_causal.structural.mechanisms import DiscreteNoise

QUICK = {"pressure": "linear", "medication": "ridge", "readmission": "ridge"}
CHAIN = CausalGraph("x -> m; x -> y; m -> y; w -> m; w -> y")


def linear_world(n, seed=0):
    """Noise kept, so that counterfactuals are known."""
    rng = np.random.default_rng(seed)
    w, x = rng.normal(size=n), rng.exponential(size=n)
    u_m, u_y = rng.laplace(size=n), rng.normal(size=n)
    m = 1 + 2 * x - w + u_m
    y = -1 + 0.5 * x + 1.5 * m + w + u_y
    index = pd.Index(np.arange(n)[::-1] * 3 + 7, name="unit")
    return pd.DataFrame({"y": y, "w": w, "x": x, "m": m}, index=index), u_m, u_y


def mixed_world(n=400, seed=1):
    rng = np.random.default_rng(seed)
    severity = rng.normal(size=n)
    site = rng.choice(["north", "south", "west"], n)
    medication = (rng.random(n) < 1 / (1 + np.exp(-severity))).astype(int)
    pressure = severity - medication + (site == "west") + rng.normal(size=n)
    readmission = rng.random(n) < 1 / (1 + np.exp(1 - pressure))
    frame = pd.DataFrame(
        {
            "severity": severity,
            "site": pd.Categorical(site),
            "medication": medication,
            "note": "free text",
            "pressure": pressure.astype(np.float32),
            "readmission": readmission,
        },
        index=pd.Index([f"patient {k}" for k in range(n)]),
    )
    graph = CausalGraph("severity -> medication -> pressure <- severity; site -> pressure -> readmission")
    return graph, frame


@pytest.fixture(scope="module")
def fitted():
    graph, df = mixed_world()
    return StructuralModel(graph, QUICK).fit(df)


# -- rung three ------------------------------------------------------------------------------------------------------


def test_counterfactuals_of_a_known_linear_model():
    df, u_m, u_y = linear_world(20_000)
    model = StructuralModel(CHAIN, {"m": "linear", "y": "linear"}).fit(df)
    out = model.counterfactual(df, {"x": 3.0})
    m = 1 + 2 * 3.0 - df["w"] + u_m
    y = -1 + 0.5 * 3.0 + 1.5 * m + df["w"] + u_y
    # the coefficients are known to about 1 / sqrt(n), times how far x is moved
    reach = np.abs(df["x"] - 3).to_numpy()
    for name, truth, wide in (("m", m, 1.0), ("y", y, 3.0)):
        error = np.abs(out[name] - truth).to_numpy()
        assert (error <= 5 * wide * (1 + reach) / np.sqrt(len(df))).all()
    assert (out["x"] == 3.0).all()
    pd.testing.assert_series_equal(out["w"], df["w"])
    assert list(out.columns) == list(df.columns)
    pd.testing.assert_index_equal(out.index, df.index)


def test_counterfactuals_with_given_mechanisms_are_exact():
    df, _, _ = linear_world(500)
    known = {"m": lambda p: 1 + 2 * p["x"] - p["w"], "y": lambda p: -1 + 0.5 * p["x"] + 1.5 * p["m"] + p["w"]}
    out = StructuralModel(CHAIN, known).fit(df).counterfactual(df, {"x": Shift(-0.5)})
    m = df["m"] - 1.0
    np.testing.assert_allclose(out["m"], m, atol=1e-12)
    np.testing.assert_allclose(out["y"], df["y"] - 0.25 - 1.5, atol=1e-12)


def test_a_graph_in_words_is_the_graph():
    df, _, _ = linear_world(300)
    text = "dag { x -> {m y} m -> y w -> {m y} }"
    one, other = (StructuralModel(g).fit(df) for g in (text, CHAIN))
    pd.testing.assert_frame_equal(one.do({"x": 1.0}), other.do({"x": 1.0}))
    assert clone(one).graph is text  # stored as it was given
    pd.testing.assert_frame_equal(
        df.causal.counterfactual(text, {"x": 1.0}), df.causal.counterfactual(CHAIN, {"x": 1.0})
    )


def test_some_rows_of_a_model_of_all():
    """Each row is what it is in the answer for all, draws included, and the warnings speak of these rows."""
    graph, df = mixed_world(300)
    df.loc[df.index[:7], "severity"] = np.nan
    with pytest.warns((CausalWarning, AssumptionWarning)):
        whole = df.causal.counterfactual(graph, {"medication": 0}, mechanisms=QUICK, missing="drop")
    treated = df["medication"] == 1
    lost = int(treated[:7].sum())
    assert 1 < lost < 7
    for rows in (treated, treated.to_numpy(), treated.astype("boolean"), df.index[treated], list(df.index[treated])):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            out = df.causal.counterfactual(graph, {"medication": 0}, mechanisms=QUICK, missing="drop", rows=rows)
        words = [str(w.message) for w in caught]
        assert any("monotone coupling" in text for text in words)
        assert f"{lost} rows with a missing value were left out" in words[0]
        pd.testing.assert_frame_equal(out, whole[whole.index.isin(df.index[treated])])
    fitted = StructuralModel(graph, QUICK).fit(df, missing="drop")
    some = df[7:]
    with warnings.catch_warnings():  # untreated rows stay as they were: nothing rests on a coupling
        warnings.simplefilter("error")
        out = fitted.counterfactual(some, {"medication": 0}, rows=some["medication"] == 0)
    pd.testing.assert_frame_equal(out, some.loc[some["medication"] == 0, list(out.columns)])


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([True, False], "a mask of 2 values for a frame of 400 rows"),
        (["patient 1", "patient x"], "'patient x', which is no label of the index"),
        ([], "chooses no row"),
        ("patient 1", "got 'patient 1'"),
        (3, "got 3"),
        (pd.DataFrame({"a": [1]}), "a DataFrame: give its index"),
        (pd.Series(True, index=range(400)), "another index than the frame's"),
        (pd.Series([pd.NA] + [True] * 399, dtype="boolean").array, r"missing \(NA\) 1 times"),
        (np.zeros(400, dtype=bool), "chooses no row"),
    ],
)
def test_rows_that_are_none(fitted, rows, words):
    with pytest.raises(CausalArgumentError, match=words):
        fitted.counterfactual(mixed_world()[1], {"medication": 0}, rows=rows)


def test_a_row_that_nothing_changes_is_returned_as_it_was():
    graph, df = mixed_world()
    model = StructuralModel(graph).fit(df)
    with pytest.warns(AssumptionWarning, match="monotone coupling"):
        out = model.counterfactual(df, {"medication": 0})
    nodes = [c for c in df if c != "note"]
    untouched = df["medication"] == 0
    pd.testing.assert_frame_equal(out[untouched], df.loc[untouched, nodes], check_dtype=False, rtol=0, atol=0)
    assert (out.loc[~untouched, "pressure"] != df.loc[~untouched, "pressure"]).all()
    # what lies above the intervention keeps its dtype; float32 with additive noise is float64 where it is changed
    assert out.dtypes.drop("pressure").equals(df[nodes].dtypes.drop("pressure"))
    assert out["pressure"].dtype == np.float64
    everywhere = df.assign(medication=0)
    pd.testing.assert_frame_equal(model.counterfactual(everywhere, {"medication": 0}), everywhere[nodes])


def enumerated(p_x, p_z, evidence, x_new):
    """P(z', y' | evidence, do(x)) in the twin network of x = u1, z = x xor u2, y = (x and z) or u3, by enumeration."""
    table = {}
    for u1 in (0, 1):
        for u2 in (0, 1):
            for u3 in (0, 1):
                weight = (p_x if u1 else 1 - p_x) * (p_z if u2 else 1 - p_z) * (0.3 if u3 else 0.7)
                z = u1 ^ u2
                if (u1, z, (u1 & z) | u3) != evidence:
                    continue
                z_new = x_new ^ u2
                key = z_new, (x_new & z_new) | u3
                table[key] = table.get(key, 0.0) + weight
    total = sum(table.values())
    return {key: value / total for key, value in table.items()}


def twin_model():
    given = {
        "x": DiscreteNoise(lambda p, u: np.full(len(p), u), (0, 1), (0.6, 0.4)),
        "z": DiscreteNoise(lambda p, u: p["x"] ^ u, (0, 1), (0.8, 0.2)),
        "y": DiscreteNoise(lambda p, u: (p["x"] & p["z"]) | u, (0, 1), (0.7, 0.3)),
    }
    seen = pd.DataFrame([(x, z, y) for x in (0, 1) for z in (0, 1) for y in (0, 1)], columns=["x", "z", "y"])
    return StructuralModel(CausalGraph("x -> z; x -> y; z -> y"), given).fit(seen)


@pytest.mark.parametrize("evidence", [(0, 0, 0), (0, 1, 1), (1, 0, 0), (1, 0, 1), (1, 1, 1), (0, 0, 1), (0, 1, 0)])
def test_twin_network_with_given_discrete_mechanisms(evidence):
    m, x_new = 20_000, 1 - evidence[0]
    model = twin_model()
    rows = pd.DataFrame([evidence] * m, columns=["x", "z", "y"])
    out = model.counterfactual(rows, {"x": x_new}, random_state=5)
    truth = enumerated(0.4, 0.2, evidence, x_new)
    for z in (0, 1):
        for y in (0, 1):
            p = truth.get((z, y), 0.0)
            share = float(((out["z"] == z) & (out["y"] == y)).mean())
            assert share == pytest.approx(
                p, abs=4.5 * np.sqrt(p * (1 - p) / m)
            )  # exact where nothing is left to chance


def test_impossible_evidence_of_a_given_mechanism_is_an_error():
    rows = pd.DataFrame({"x": [1], "z": [1], "y": [0]})
    with pytest.raises(CausalDataError, match="y: 1 values are impossible"):
        twin_model().counterfactual(rows, {"x": 0})


@pytest.mark.parametrize("coupling", ["monotone", "gumbel"])
def test_discrete_counterfactuals_have_the_interventional_distribution(coupling):
    """Averaged over the rows, what would have been under do(x) is distributed as under do(x)."""
    rng = np.random.default_rng(4)
    n = 20_000
    x = rng.integers(0, 2, n)
    y = np.array(["low", "mid", "high"])[(x + rng.logistic(size=n)[:, None].repeat(2, 1).T > [[-1], [1]]).sum(axis=0)]
    df = pd.DataFrame({"x": x, "y": pd.Categorical(y, ["low", "mid", "high"], ordered=True)})
    model = StructuralModel(CausalGraph("x -> y"), coupling=coupling).fit(df)
    with pytest.warns(AssumptionWarning, match=coupling if coupling == "monotone" else "Gumbel-max"):
        out = model.counterfactual(df, {"x": 1})
    truth = df.loc[df["x"] == 1, "y"].value_counts(normalize=True)
    share = out["y"].value_counts(normalize=True)
    np.testing.assert_allclose(share[truth.index], truth, atol=4 * np.sqrt(0.25 / (n / 2)))
    assert out["y"].dtype == df["y"].dtype
    if coupling == "monotone":  # x raises y, so that nobody would have been lower
        assert (out["y"].cat.codes >= df["y"].cat.codes).all()


def test_warning_of_binary_nodes_holds_tian_pearl_bounds():
    graph, df = mixed_world()
    model = StructuralModel(graph, QUICK).fit(df)
    bounds = model.probabilities_of_causation(treatment="medication", outcome="readmission")
    with pytest.warns(AssumptionWarning) as caught:
        out = model.counterfactual(df, {"medication": 1})
    low, high = bounds.loc["PS"]
    said = str(caught[0].message)
    assert "of the rows with medication=0 between" in said
    assert f"between {low:.3f} and {high:.3f} of those with False would have had True" in said
    among = (df["medication"] == 0) & ~df["readmission"]
    assert low - 0.05 <= out.loc[among, "readmission"].mean() <= high + 0.05
    # the other group by the same bounds, with the levels of the outcome turned
    turned = df.assign(readmission=~df["readmission"])
    other = StructuralModel(graph, QUICK).fit(turned)
    low, high = other.probabilities_of_causation(treatment="medication", outcome="readmission").loc["PS"]
    found = re.search(r"between (\S+) and (\S+) of those with readmission=True would have had False", said)
    np.testing.assert_allclose([float(found[1]), float(found[2])], [low, high], atol=0.005)


# -- rung two --------------------------------------------------------------------------------------------------------


def test_do_has_the_truth_of_random_discrete_models():
    """Means under do(x) of models with interactions against the sum over all values of their own tables."""
    for seed in range(2):
        rng = np.random.default_rng(seed)
        p_z, p_x, p_y = 0.4, rng.uniform(0.2, 0.8, 2), rng.uniform(0.1, 0.9, (2, 2))
        n = 20_000
        z = (rng.random(n) < p_z).astype(int)
        x = (rng.random(n) < p_x[z]).astype(int)
        y = (rng.random(n) < p_y[x, z]).astype(int)
        df = pd.DataFrame({"x": x, "y": y, "z": z})
        model = StructuralModel(CausalGraph("z -> x -> y; z -> y")).fit(df)
        for value in (0, 1):
            truth = (1 - p_z) * p_y[value, 0] + p_z * p_y[value, 1]
            share = model.do({"x": value}, random_state=seed)["y"].mean()
            # sampling of the fit, of the draw, and a learner that has not quite converged
            assert share == pytest.approx(truth, abs=0.01 + 4 * np.sqrt(0.25 / (n / 4) + 0.25 / n))


def test_do_of_a_linear_model_and_every_kind_of_intervention():
    df, _, _ = linear_world(20_000)
    model = StructuralModel(CHAIN, {"m": "linear", "y": "linear"}).fit(df)
    slack = 5 * 4 / np.sqrt(len(df))

    def mean(what, column="y"):
        return model.do({"x": what}, random_state=1)[column].mean()

    # E y = -1 + .5 x + 1.5 (1 + 2 x) = .5 + 3.5 x, and E x = 1 as it is
    assert mean(2.0) == pytest.approx(7.5, abs=slack)
    assert mean(Shift(1.0)) == pytest.approx(7.5, abs=slack)
    assert mean(lambda x: 2 * x) == pytest.approx(7.5, abs=slack)
    assert mean({0.0: 0.5, 2.0: 0.5}) == pytest.approx(4.0, abs=slack)
    assert mean(stats.norm(2.0, 0.5)) == pytest.approx(7.5, abs=slack)
    # a regime that reads what came before: m set to w has E y = -1 + .5 + 0 + 0
    regime = model.do({"m": lambda _, before: before["w"]}, random_state=1)
    assert (regime["m"] == regime["w"]).all()
    assert regime["y"].mean() == pytest.approx(-0.5, abs=slack)
    assert model.sample(50_000)["y"].var() == pytest.approx(df["y"].var(), rel=0.05)


def test_do_keeps_columns_dtypes_and_noise(fitted):
    _, df = mixed_world()
    model = fitted
    out = model.do({"medication": 1})
    assert len(out) == len(df)
    assert list(out.columns) == ["severity", "site", "medication", "pressure", "readmission"]
    assert out["site"].dtype == df["site"].dtype
    assert out["readmission"].dtype == bool
    assert out["medication"].dtype == df["medication"].dtype
    assert out["pressure"].dtype == np.float64
    assert (out["medication"] == 1).all()
    other = model.do({"medication": 0})
    pd.testing.assert_series_equal(out["severity"], other["severity"])
    shift = (out["pressure"] - other["pressure"]).to_numpy()
    np.testing.assert_allclose(shift, shift[0])  # the same noise in both worlds


@pytest.mark.parametrize("dtype", ["Int64", "Int64[pyarrow]", "float32", "int8"])
def test_dtypes_of_roots_are_kept_and_change_no_number(dtype):
    if "pyarrow" in dtype:
        pytest.importorskip("pyarrow")
    rng = np.random.default_rng(0)
    age = rng.integers(20, 80, 300)
    df = pd.DataFrame({"age": age, "y": 0.1 * age + rng.normal(size=300)})
    graph = CausalGraph("age -> y")
    other = df.astype({"age": dtype.replace("Int64[pyarrow]", "int64[pyarrow]")})
    one, two = (StructuralModel(graph).fit(f).do({}) for f in (df, other))
    assert two["age"].dtype == other["age"].dtype
    np.testing.assert_array_equal(one.to_numpy(float), two.to_numpy(float))
    # a value that the dtype cannot hold makes a float
    assert StructuralModel(graph).fit(other).do({"age": 30.5})["age"].iloc[0] == 30.5


def test_text_in_object_columns_stays_and_numbers_there_are_read():
    rng = np.random.default_rng(0)
    s, x = rng.choice(["a", "b"], 100), rng.normal(size=100)
    df = pd.DataFrame({"s": s, "x": x, "y": (s == "a") + x + rng.normal(size=100)})
    other = df.astype({"s": object, "x": object})
    graph = CausalGraph("s -> y <- x")
    one, two = (StructuralModel(graph, {"y": "linear"}).fit(f).do({}) for f in (df, other))
    assert two["s"].dtype == object
    assert two["x"].dtype == np.float64
    np.testing.assert_array_equal(one["y"], two["y"])
    assert other.dtypes.tolist() == [object, object, np.dtype(float)]


def test_hidden_causes_are_refused_by_name_and_harmless_latent_nodes_are_not():
    df, _, _ = linear_world(100)
    with pytest.raises(NotIdentifiedError, match=r"m <-> y.*found\.distribution\(df\)"):
        StructuralModel(CausalGraph("x -> m -> y; m <-> y")).fit(df)
    with pytest.raises(NotIdentifiedError, match=r"m <-> y \(through the latent u\)"):
        StructuralModel(CausalGraph("x -> m -> y; u -> m; u -> y", latent=["u"])).fit(df)
    # a latent cause of one node is part of its noise, a latent mediator part of an arrow
    model = StructuralModel(CausalGraph("x -> u -> m -> y; v -> y", latent=["u", "v"])).fit(df)
    assert model.simulator_.parents["m"] == ("x",)


# -- mechanisms ------------------------------------------------------------------------------------------------------


def test_mechanisms_are_chosen_by_held_out_loss():
    rng = np.random.default_rng(0)
    x = rng.normal(size=1_500)
    df = pd.DataFrame(
        {"x": x, "line": x + rng.normal(size=1_500), "wave": np.cos(3 * x) + 0.3 * rng.normal(size=1_500)}
    )
    df["ring"] = np.where((np.abs(x) < 0.7) ^ (rng.random(1_500) < 0.1), "in", "out")
    model = StructuralModel(CausalGraph("x -> line; x -> wave; x -> ring")).fit(df)
    table = model.mechanisms_
    assert table["model"].to_dict() == {"x": "empirical", "line": "linear", "wave": "boosting", "ring": "boosting"}
    assert table.loc["line", "loss"] == pytest.approx(1.0, abs=0.15)
    assert table.loc["wave", "loss"] == pytest.approx(0.09, abs=0.05)
    assert table.loc["x", "skill"] == 0


def test_the_linear_model_stands_unless_another_is_better_beyond_doubt():
    """Losses differ by 0.1 in the mean; with a standard error of 0.2 that is nothing, with one of 0.05 it is."""
    candidates = {"linear": "linear", "boosting": "boosting"}
    worse = np.ones(100)
    noisy = worse - 0.1 + 2.0 * np.tile([-1.0, 1.0], 50)
    clear = worse - 0.1 + 0.5 * np.tile([-1.0, 1.0], 50)
    assert _settle(candidates, {"linear": worse, "boosting": noisy}) == "linear"
    assert _settle(candidates, {"linear": worse, "boosting": clear}) == "boosting"


def test_sklearn_models_and_own_mechanisms():
    from sklearn.linear_model import HuberRegressor, LogisticRegression

    graph, df = mixed_world()

    class Doubled(Mechanism):
        """pressure = 2 medication + noise of a known law."""

        def draw(self, n, rng):
            return rng.uniform(-1, 1, n)

        def value(self, parents, noise):
            assert list(parents.columns) == ["severity", "site", "medication"]
            assert isinstance(parents["site"].dtype, pd.CategoricalDtype)
            return 2 * parents["medication"] + noise

        def noise(self, parents, values, rng):
            return values - 2 * parents["medication"]

    model = StructuralModel(graph, {"pressure": Doubled(), "readmission": LogisticRegression()}).fit(df)
    out = model.do({"medication": 1}, n=5_000)
    assert out["pressure"].between(1, 3).all()
    assert model.mechanisms_.loc["readmission", "model"] == "LogisticRegression"
    with pytest.warns(AssumptionWarning):
        moved = model.counterfactual(df, {"medication": 1})
    up = df["medication"] == 0
    np.testing.assert_allclose(moved.loc[up, "pressure"], df.loc[up, "pressure"] + 2.0, rtol=1e-6)
    robust = StructuralModel(graph, {"pressure": HuberRegressor()}).fit(df)
    assert robust.mechanisms_.loc["pressure", "model"] == "HuberRegressor"


def test_a_mechanism_without_abduction_does_for_do_only():
    class Coin(Mechanism):
        def draw(self, n, rng):
            return rng.normal(size=n)

        def value(self, parents, noise):
            return parents["x"].to_numpy() + noise

    df, _, _ = linear_world(60)
    model = StructuralModel(CausalGraph("x -> y"), {"y": Coin()}).fit(df)
    assert len(model.do({"x": 0.0}, n=10)) == 10
    with pytest.raises(CausalError, match=r"Coin has no noise\(\)"):
        model.counterfactual(df, {"x": 0.0})


def test_numbers_of_few_values_are_discrete_unless_said_otherwise():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 4, 300)
    df = pd.DataFrame({"x": x, "y": x + rng.integers(0, 3, 300)})
    graph = CausalGraph("x -> y")
    assert StructuralModel(graph).fit(df).columns_["y"].discrete
    assert not StructuralModel(graph, {"y": "linear"}).fit(df).columns_["y"].discrete
    wide = df.assign(y=df["y"] * 10.0 + rng.integers(0, 9, 300))
    assert not StructuralModel(graph).fit(wide).columns_["y"].discrete
    with pytest.raises(CausalArgumentError, match=r"2\.5 is no level of this discrete node"):
        StructuralModel(graph).fit(df).do({"x": 2.5})


@pytest.mark.parametrize("codes", [(-0.5, 0.5), (0.5, 1.5), (0.1, 0.25), (-1, 1)])
def test_two_values_are_two_levels_however_they_are_coded(codes):
    rng = np.random.default_rng(0)
    w = rng.normal(size=300)
    x = (rng.logistic(size=300) < w).astype(int)
    y = (rng.logistic(size=300) < x + w).astype(int)
    df = pd.DataFrame({"w": w, "x": x, "y": y})
    other = df.assign(x=np.array(codes)[x], y=np.array(codes)[y].astype("float32"))
    graph = CausalGraph("w -> x -> y; w -> y")
    plain, coded = (StructuralModel(graph, {"x": "linear", "y": "linear"}).fit(f) for f in (df, other))
    assert coded.columns_["x"].discrete
    assert coded.columns_["y"].discrete
    done, expected = coded.do({"x": codes[1]}), plain.do({"x": 1})
    np.testing.assert_array_equal(done["y"] == np.float32(codes[1]), expected["y"] == 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AssumptionWarning)
        row_by_row, peer = coded.counterfactual(other, {"x": codes[0]}), plain.counterfactual(df, {"x": 0})
    np.testing.assert_array_equal(row_by_row["y"] == np.float32(codes[1]), peer["y"] == 1)
    for found in (done, row_by_row):
        assert found.dtypes.equals(other.dtypes)
        assert set(found["y"]) <= set(other["y"])
    assert set(done["x"]) == {codes[1]}
    size = float(np.float32(codes[1])) - float(np.float32(codes[0]))
    first, second = (
        m.effect({"x": values}, outcome="y", n_draws=10).estimate for m, values in ((plain, (0, 1)), (coded, codes))
    )
    assert second == pytest.approx(first * size, rel=1e-6)


def test_a_class_that_a_linear_score_splits_off_gets_the_penalised_fit_and_says_so():
    x = np.linspace(-1, 1, 80)
    df = pd.DataFrame({"x": x, "y": np.where(x > 0, "up", "down")})
    model = StructuralModel(CausalGraph("x -> y"), {"y": "linear"}).fit(df)
    assert model.mechanisms_.loc["y", "model"] == "ridge"
    assert (model.do({"x": 1.0})["y"] == "up").mean() > 0.9


# -- evaluate --------------------------------------------------------------------------------------------------------


def test_evaluate_tells_a_right_model_from_wrong_ones():
    df, _, _ = linear_world(3_000)
    model = StructuralModel(CHAIN).fit(df)
    right = model.evaluate(df)
    assert right.passed
    assert list(right.table.index) == list(model.simulator_.order)
    assert right.table.loc["y", "skill"] > 0.8
    # a missing arrow from w to both leaves their noises dependent
    missing = StructuralModel(CausalGraph("x -> m -> y; x -> y; w")).fit(df).evaluate(df)
    assert missing.passed is False
    assert missing.table["p_noises"].min() < 1e-6
    # noise that grows with a parent is not additive
    rng = np.random.default_rng(1)
    x = rng.uniform(1, 3, 3_000)
    fans = pd.DataFrame({"x": x, "y": x + x**2 * rng.normal(size=3_000)})
    found = StructuralModel(CausalGraph("x -> y"), {"y": "linear"}).fit(fans).evaluate(fans)
    assert found.passed is False
    assert found.table.loc["y", "p_parents"] < 1e-6
    held_out = model.evaluate(linear_world(500, seed=9)[0])
    assert "500 rows" in held_out.summary


# -- seeds, order, bad input -----------------------------------------------------------------------------------------


def test_same_seed_same_rows_for_any_order_of_rows():
    graph, df = mixed_world()
    df.index = pd.RangeIndex(len(df))
    one = StructuralModel(graph, {"readmission": "boosting"}).fit(df)
    two = StructuralModel(graph, {"readmission": "boosting"}).fit(df.sample(frac=1, random_state=0))
    pd.testing.assert_frame_equal(one.do({"medication": 1}), two.do({"medication": 1}))
    assert not one.do({}, random_state=1).equals(one.do({}, random_state=2))


@pytest.mark.parametrize("coupling", ["monotone", "gumbel"])
def test_counterfactuals_of_a_row_do_not_depend_on_where_it_stands(coupling):
    graph, df = mixed_world()
    shuffled = df.sample(frac=1, random_state=0)
    model = StructuralModel(graph, QUICK, coupling=coupling).fit(df)

    # a function is called on the rows as they stand in the frame, so that it may give an array of theirs
    def asked(frame):
        own = (frame["severity"] > 0).astype(int).to_numpy()
        return [0, {0: 0.5, 1: 0.5}, lambda _: own]

    for k in range(3):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AssumptionWarning)
            one, two = (model.counterfactual(f, {"medication": asked(f)[k]}) for f in (df, shuffled))
        pd.testing.assert_frame_equal(two.loc[one.index], one, rtol=1e-12)
        pd.testing.assert_index_equal(two.index, shuffled.index)
    assert (one["medication"] == (df["severity"] > 0)).all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AssumptionWarning)
        rule = model.counterfactual(shuffled, {"medication": lambda _, before: (before["severity"] > 0).astype(int)})
    assert (rule["medication"] == (shuffled["severity"] > 0)).all()


def test_the_frame_is_not_changed_and_the_model_can_be_pickled():
    graph, df = mixed_world()
    before = df.copy(deep=True)
    model = pickle.loads(pickle.dumps(StructuralModel(graph, QUICK).fit(df)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AssumptionWarning)
        model.counterfactual(df, {"medication": 1})
    pd.testing.assert_frame_equal(df, before)
    assert len(model.do({})) == len(df)
    unfitted = clone(model)
    assert unfitted.graph == graph
    assert unfitted.mechanisms == QUICK
    assert not hasattr(unfitted, "simulator_")


def test_accessor():
    graph, df = mixed_world()
    out = df.causal.do(graph, {"medication": 1}, mechanisms=QUICK)
    pd.testing.assert_frame_equal(out, StructuralModel(graph, QUICK).fit(df).do({"medication": 1}))
    with pytest.warns(AssumptionWarning):
        row_by_row = df.causal.counterfactual(graph, {"medication": 0}, mechanisms=QUICK, coupling="gumbel")
    pd.testing.assert_index_equal(row_by_row.index, df.index)
    holes = df.assign(severity=df["severity"].where(np.arange(len(df)) > 9))
    with pytest.warns(CausalWarning, match="10 rows with a missing value were left out"):
        assert len(holes.causal.do(graph, {"medication": 1}, mechanisms=QUICK, missing="drop")) == len(df)


def test_incomplete_rows_are_left_out_of_counterfactuals_and_counted():
    graph, df = mixed_world()
    holes = df.assign(severity=df["severity"].where(np.arange(len(df)) % 40 > 0))
    with pytest.raises(CausalDataError, match="severity: is missing .* in 10 rows; .* missing='drop'"):
        holes.causal.counterfactual(graph, {"medication": 0}, mechanisms=QUICK)
    with (
        pytest.warns(AssumptionWarning),
        pytest.warns(CausalWarning, match="10 rows with a missing value were left out") as caught,
    ):
        out = holes.causal.counterfactual(graph, {"medication": 0}, mechanisms=QUICK, missing="drop")
    assert sum("left out" in str(w.message) for w in caught) == 1
    complete = holes.dropna(subset="severity")
    pd.testing.assert_index_equal(out.index, complete.index)
    with pytest.warns(AssumptionWarning):
        pd.testing.assert_frame_equal(out, complete.causal.counterfactual(graph, {"medication": 0}, mechanisms=QUICK))
    with pytest.raises(CausalArgumentError, match="missing='foo' is not known"):
        df.causal.counterfactual(graph, {"medication": 0}, mechanisms=QUICK, missing="foo")


def confounded(push, n=600):
    rng = np.random.default_rng(0)
    w = rng.normal(size=n)
    x = (rng.logistic(size=n) < push * w).astype(int)
    return pd.DataFrame({"w": w, "x": x, "y": w + x + rng.normal(size=n)})


@pytest.mark.parametrize("ask", ["do", "counterfactual"])
def test_what_hardly_ever_happens_is_warned_of_and_what_never_does_is_refused(ask):
    graph, linear = CausalGraph("w -> x -> y; w -> y"), {"x": "linear", "y": "linear"}

    def answer(push, done):
        df = confounded(push)
        model = StructuralModel(graph, linear).fit(df)
        return model.do(done) if ask == "do" else model.counterfactual(df, done)

    with pytest.warns(OverlapWarning, match="weak overlap of x"):
        answer(8, {"x": 1})
    with warnings.catch_warnings():
        warnings.simplefilter("error", OverlapWarning)
        warnings.simplefilter("ignore", AssumptionWarning)
        answer(1, {"x": 1})
        answer(8, {"w": 0.0})
        answer(8, {"y": 0.0})
        answer(8, {"x": lambda x: x})
    apart = confounded(1)
    apart = apart.assign(w=apart["w"] + 100 * apart["x"])
    model = StructuralModel(graph, {"x": KNeighborsClassifier(), "y": "linear"}).fit(apart)
    with pytest.raises(OverlapError, match="perfect separation"):
        model.do({"x": 1}) if ask == "do" else model.counterfactual(apart, {"x": 1})


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda d: d.drop(columns="site"), GraphError, r"\['site'\] are no columns.*latent="),
        (lambda d: d.assign(severity=np.nan), CausalDataError, "severity: is missing .* in 400 rows"),
        (lambda d: d.assign(severity=np.inf), CausalDataError, "severity: value is infinite .* in 400 rows"),
        (lambda d: d.assign(severity=1e300), CausalDataError, "severity: value is beyond .* in 400 rows"),
        (lambda d: d.iloc[:0], CausalDataError, "no .* row"),
        (lambda d: d.assign(severity=pd.Timestamp("2020-01-01")), CausalDataError, "severity: is neither numeric"),
        (lambda d: d.assign(site=[f"s{k}" for k in range(400)]), CausalDataError, "site: has 400 levels"),
        (lambda d: d.to_numpy(), CausalArgumentError, "expected a pandas DataFrame"),
        (lambda d: d.assign(site=[[k] for k in range(400)]), CausalDataError, "site: holds lists .* in 400 rows"),
        (lambda d: d.iloc[:9], CausalDataError, "9 rows cannot tell how a node depends on severity"),
    ],
)
def test_bad_frames(change, error, words):
    graph, df = mixed_world()
    with pytest.raises(error, match=words):
        StructuralModel(graph).fit(change(df))


@pytest.mark.parametrize(
    ("interventions", "error", "words"),
    [
        ({"medicaton": 1}, GraphError, "did you mean 'medication'"),
        ({"medication": 2}, CausalArgumentError, r"2 is no level .* \[0, 1\]"),
        ({"severity": "high"}, CausalArgumentError, "severity is numeric"),
        ({"severity": np.nan}, CausalArgumentError, "an intervention on 'severity' is a value"),
        ({"severity": None}, CausalArgumentError, "an intervention on 'severity' is a value"),
        ({"site": Shift(1)}, CausalArgumentError, "site has levels .* cannot be shifted"),
        ({"severity": Shift(np.inf)}, CausalArgumentError, "Shift takes a finite number"),
        ({"medication": {0: 0.5, 1: 0.6}}, CausalArgumentError, "must sum to 1"),
        ({"severity": lambda x: x * np.nan}, CausalDataError, "400 NaN"),
        ({"severity": lambda x: x[:5]}, CausalDataError, "5 values for 400 rows"),
        ({"medication": lambda x: x + 1}, CausalDataError, "medication: holds 2, never seen"),
        ([("medication", 1)], CausalArgumentError, "interventions are a dict"),
    ],
)
def test_bad_interventions(interventions, error, words, fitted):
    with pytest.raises(error, match=words):
        fitted.do(interventions)


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"coupling": "independent"}, CausalArgumentError, "coupling='independent' is not known"),
        ({"random_state": -1}, CausalArgumentError, "random_state"),
        ({"n_jobs": 0}, CausalArgumentError, "n_jobs"),
        ({"mechanisms": {"pressur": "linear"}}, GraphError, "did you mean 'pressure'"),
        ({"mechanisms": {"pressure": "forest"}}, CausalArgumentError, "mechanism of 'pressure' must be one of"),
        ({"mechanisms": {"severity": "linear"}}, CausalArgumentError, "'severity' has no parents"),
        ({"mechanisms": {"pressure": "empirical"}}, CausalArgumentError, "'pressure' has parents"),
        ({"mechanisms": ["linear"]}, CausalArgumentError, "mechanisms is a dict"),
        ({"mechanisms": {"pressure": lambda p: p["severity"][:3]}}, CausalDataError, "must give 400 finite numbers"),
    ],
)
def test_bad_settings(settings, error, words):
    graph, df = mixed_world()
    with pytest.raises(error, match=words):
        StructuralModel(graph, **settings).fit(df)


def test_bad_calls(fitted):
    graph, df = mixed_world()
    with pytest.raises(GraphError, match="a graph is given as text"):
        StructuralModel(None).fit(df)
    with pytest.raises(CausalError, match="not fitted yet"):
        StructuralModel(graph).do({})
    model = fitted
    with pytest.raises(CausalArgumentError, match="n must be"):
        model.do({}, n=0)
    with pytest.raises(CausalDataError, match="site: holds 'east', never seen in 1 row"):
        model.counterfactual(df.assign(site=["east", *df["site"][1:]]), {"medication": 1})
    with pytest.raises(CausalDataError, match=r"severity: is missing .* pass missing='drop' to leave these"):
        model.counterfactual(df.assign(severity=np.nan), {"medication": 1})
    with pytest.raises(CausalArgumentError, match="'severity' is not binary"):
        model.probabilities_of_causation(treatment="severity", outcome="readmission")
    with pytest.raises(CausalArgumentError, match="'medication' is both treatment and outcome"):
        model.probabilities_of_causation(treatment="medication", outcome="medication")
    assert pandas_causal.StructuralModel is StructuralModel
