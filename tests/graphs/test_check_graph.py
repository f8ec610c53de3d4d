"""check_graph: a right graph passes, wrong ones fail, and the table says where."""

import numpy as np
import pandas as pd
import pytest

from pandas_causal import CausalGraph
from pandas_causal.errors import CausalArgumentError, CausalDataError, GraphError
from pandas_causal.graphs.check_graph import check_graph
from tests.structural.test_model import mixed_world

TRUE = "severity -> medication -> pressure <- severity; site -> pressure -> readmission"
COLUMNS = ["a", "b", "given", "test", "statistic", "df", "p_value", "p_adjusted", "rejected"]


@pytest.fixture(scope="module")
def df():
    return mixed_world(1_500)[1]


def test_a_right_graph_passes_with_one_row_per_pair(df):
    check = df.causal.check_graph(CausalGraph(TRUE))
    assert check.passed
    assert list(check.table.columns) == COLUMNS
    pairs = {frozenset(p) for p in zip(check.table["a"], check.table["b"], strict=True)}
    assert pairs == {
        frozenset(p)
        for p in [
            ("severity", "site"),
            ("severity", "readmission"),
            ("medication", "site"),
            ("medication", "readmission"),
            ("site", "readmission"),
        ]
    }
    tests = dict(zip(zip(check.table["a"], check.table["b"], strict=True), check.table["test"], strict=True))
    assert tests["medication", "site"] == "g"
    assert tests["medication", "readmission"] == "residual"
    assert tests["severity", "site"] == "kernel"
    assert (check.table["p_adjusted"] >= check.table["p_value"]).all()


def test_a_missing_arrow_is_found_and_named(df):
    check = df.causal.check_graph(CausalGraph(TRUE.replace(" <- severity", "")))
    assert check.passed is False
    worst = check.table.loc[check.table["p_value"].idxmin()]
    assert {worst["a"], worst["b"]} == {"severity", "pressure"}
    assert worst["rejected"]
    assert "most clearly severity and pressure | medication" in check.summary
    # declared as a hidden common cause, the pair is joined again, and medication -> pressure is confounded
    assert df.causal.check_graph(CausalGraph(TRUE.replace("<- severity", "; severity <-> pressure"))).passed


def test_a_graph_that_claims_nothing_cannot_fail(df):
    check = df.causal.check_graph(CausalGraph("severity -> medication"))
    assert check.passed is None
    assert len(check.table) == 0
    assert list(check.table.columns) == COLUMNS
    assert "no independence" in check.summary


@pytest.mark.parametrize("dtype_backend", ["numpy_nullable", "pyarrow"])
def test_other_dtypes_and_constants_change_no_number(df, dtype_backend):
    if dtype_backend == "pyarrow":
        pytest.importorskip("pyarrow")
    g = CausalGraph(TRUE)
    plain = df.assign(site=df["site"].astype(str))
    other = plain.convert_dtypes(dtype_backend=dtype_backend).assign(pressure=plain["pressure"])
    one, two = check_graph(plain, g).table, check_graph(other, g).table
    np.testing.assert_allclose(one["p_value"], two["p_value"], rtol=1e-12)
    for constant in ({"site": "north"}, {"severity": 1.0}, {"readmission": 1}):
        assert check_graph(plain.assign(**constant), g).table["p_value"].notna().all()


def test_corrections_and_tests(df):
    g = CausalGraph(TRUE)
    raw = check_graph(df, g, correction=None).table
    np.testing.assert_array_equal(raw["p_adjusted"], raw["p_value"])
    numeric = df.assign(site=df["site"].cat.codes * 1.5, medication=df["medication"] + 0.0)
    assert (check_graph(numeric, g, test="partial_correlation").table["test"] == "partial_correlation").all()
    assert (check_graph(df, g, test="kernel").table["test"] == "kernel").all()
    levels = df[["medication", "site"]].assign(other=np.arange(len(df)) % 2)
    table = check_graph(levels, CausalGraph("medication -> other; site -> other"), test="g").table
    assert list(table["test"]) == ["g"]
    with pytest.raises(CausalArgumentError, match="severity is continuous"):
        check_graph(df, g, test="g")
    with pytest.raises(CausalArgumentError, match="site has over two levels"):
        check_graph(df, g, test="partial_correlation")


def test_seeds_jobs_and_order_of_rows(df):
    g = CausalGraph(TRUE)
    df = df.set_axis(pd.RangeIndex(len(df)))
    one = check_graph(df, g).table
    pd.testing.assert_frame_equal(one, check_graph(df, g, n_jobs=2).table)
    pd.testing.assert_frame_equal(one, check_graph(df.sample(frac=1, random_state=0), g).table)
    assert not one["p_value"].equals(check_graph(df, g, random_state=1).table["p_value"])


def test_missing_rows_are_counted(df):
    holes = df.assign(severity=df["severity"].where(np.arange(len(df)) >= 5))
    with pytest.raises(CausalDataError, match="severity: is missing .* in 5 rows"):
        check_graph(holes, CausalGraph(TRUE))
    assert "5 rows with missing values left out" in check_graph(holes, CausalGraph(TRUE), missing="drop").summary


def chain(n=600, seed=0, k=7):
    rng = np.random.default_rng(seed)
    values = [rng.normal(size=n)]
    for _ in range(k - 1):
        values.append(values[-1] + rng.normal(size=n))
    return pd.DataFrame({f"v{j}": v for j, v in enumerate(values)})


def test_the_whole_graph_against_relabelled_ones():
    frame = chain()
    right = check_graph(frame, CausalGraph(" -> ".join(frame)), permutations=99)
    assert right.passed
    assert right.p_value <= 0.03
    assert right.p_uninformative <= 0.03
    assert len(right.permuted) == 99
    assert right.permuted["rejected"].median() > 5
    # two swapped nodes: some claims fail, yet far fewer than of graphs that know nothing
    near = check_graph(frame, CausalGraph("v0 -> v1 -> v3 -> v2 -> v4 -> v5 -> v6"), permutations=99)
    assert near.table["rejected"].any()
    assert near.passed
    wrong = check_graph(frame, CausalGraph("v3 -> v0 -> v5 -> v1 -> v6 -> v2 -> v4"), permutations=99)
    assert wrong.passed is False
    assert wrong.p_value > 0.05
    for check in (right, near, wrong):  # graphs that fail as often count against the one given
        own = (check.table["p_value"] <= 0.05).sum()
        assert check.p_value == (1 + (check.permuted["rejected"] <= own).sum()) / 100
    assert (wrong.permuted["rejected"] == (wrong.table["p_value"] <= 0.05).sum()).any()
    # of two unjoined pairs of a collider nothing can be said: every relabelling with the same collider claims the same
    few = check_graph(frame[["v0", "v1", "v2"]], CausalGraph("v0 -> v1 <- v2"), permutations=99)
    assert few.passed is None
    assert few.p_uninformative > 0.05


def test_permutations_are_the_same_for_any_n_jobs():
    frame = chain(200)
    g = CausalGraph(" -> ".join(frame))
    one, two = (check_graph(frame, g, permutations=19, n_jobs=k) for k in (None, 2))
    pd.testing.assert_frame_equal(one.permuted, two.permuted)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"alpha": 0}, "alpha must be"),
        ({"alpha": True}, "alpha must be"),
        ({"correction": "bonferroni"}, r"correction='bonferroni' is not known; use one of \['holm'"),
        ({"test": "chi2"}, "test='chi2' is not known"),
        ({"permutations": 5}, "permutations must be 0, or at least 19"),
        ({"permutations": -1}, "permutations must be 0"),
        ({"missing": "ignore"}, "missing='ignore' is not known"),
        ({"n_jobs": 0}, "n_jobs"),
    ],
)
def test_bad_settings(df, settings, words):
    with pytest.raises(CausalArgumentError, match=words):
        check_graph(df, CausalGraph(TRUE), **settings)


def test_bad_graphs(df):
    with pytest.raises(CausalDataError, match="12 complete rows cannot test a graph"):
        df.iloc[:12].causal.check_graph(CausalGraph(TRUE))
    with pytest.raises(GraphError, match="a graph is given as text .*got int"):
        check_graph(df, 3)
    for text in (TRUE, "dag {" + TRUE + "}"):
        pd.testing.assert_frame_equal(check_graph(df, text).table, check_graph(df, CausalGraph(TRUE)).table)
    pd.testing.assert_frame_equal(df.causal.check_graph(TRUE).table, check_graph(df, CausalGraph(TRUE)).table)
    with pytest.raises(GraphError, match=r"\['age'\] are no columns"):
        df.causal.check_graph(CausalGraph("age -> severity"))
