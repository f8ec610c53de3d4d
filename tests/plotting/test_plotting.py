"""Pictures: what is drawn is what the table says, where it says it, and nothing else changes."""

import importlib
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

import pandas_causal
from pandas_causal import plotting
from pandas_causal.errors import CausalArgumentError, MissingDependencyError
from pandas_causal.plotting import forest, love, overlap, plot_effect
from pandas_causal.plotting.canvas import axes, interval_words, row_labels
from pandas_causal.plotting.colours import BLUE, OKABE_ITO, VERMILLION, looks_of_groups
from tests.effect.examples import make, welch_effect

matplotlib = pytest.importorskip("matplotlib", reason="pictures are drawn")
matplotlib.use("Agg")

plt = importlib.import_module("matplotlib.pyplot")
to_hex = importlib.import_module("matplotlib.colors").to_hex


@pytest.fixture(autouse=True)
def manners(monkeypatch):
    """No picture changes rcParams, and none is shown."""
    before = dict(matplotlib.rcParams)
    monkeypatch.setattr(plt, "show", lambda *_, **__: pytest.fail("a picture called show"))
    yield
    assert dict(matplotlib.rcParams) == before


def rows(**columns):
    table = pd.DataFrame(columns, index=pd.Index(["a", "b", "c"], name="arm"))
    return table.assign(std_error=1.0)


THREE = rows(estimate=[1.0, -2.0, 0.5], conf_low=[0.0, -3.0, 0.25], conf_high=[2.0, -1.0, 0.75])


def marks(ax, marker="o"):
    """Positions of the markers of one kind, as rows of (x, y)."""
    lines = [line for line in ax.lines if line.get_marker() == marker]
    return np.concatenate([line.get_xydata() for line in lines]) if lines else np.empty((0, 2))


def bars(ax):
    """Ends of the intervals: rows of (low, high, y)."""
    segments = np.concatenate([c.get_segments() for c in ax.collections])
    return np.column_stack([segments[:, 0, 0], segments[:, 1, 0], segments[:, 0, 1]])


def at_zero(ax):
    return [line for line in ax.lines if np.array_equal(line.get_xdata(), [0, 0])]


def tick_labels(ax):
    return {t.get_text(): y for t, y in zip(ax.get_yticklabels(), ax.get_yticks(), strict=True)}


def legend_texts(ax):
    return [t.get_text() for t in ax.get_legend().get_texts()]


# -- forest -----------------------------------------------------------------------------------------------------------


def test_forest_draws_every_row_from_the_top_with_its_interval():
    ax = forest(THREE, xlabel="effect, kg", title="n = 12")
    assert marks(ax).tolist() == [[1.0, 3.0], [-2.0, 2.0], [0.5, 1.0]]
    assert bars(ax).tolist() == [[0.0, 2.0, 3.0], [-3.0, -1.0, 2.0], [0.25, 0.75, 1.0]]
    assert tick_labels(ax) == {"a": 3, "b": 2, "c": 1}
    assert len(at_zero(ax)) == 1
    assert ax.get_xlabel() == "effect, kg"
    assert ax.get_title(loc="left") == "n = 12"
    assert {to_hex(line.get_color()).upper() for line in ax.lines if line.get_marker() == "o"} == {BLUE}
    assert {to_hex(c).upper() for c in ax.collections[0].get_colors()} == {BLUE}
    low, high = ax.get_xlim()
    assert low < -3
    assert high > 2
    assert ax.get_ylim()[0] < 1
    assert ax.get_ylim()[1] > 3


def test_line_of_no_effect_is_in_the_picture_though_every_interval_is_far_from_it():
    low, high = forest(THREE[["estimate", "conf_low", "conf_high"]] + 100).get_xlim()
    assert low < 0
    assert high > 102
    ax = forest(THREE + 100, null=1.0)
    assert not at_zero(ax)
    assert any(np.array_equal(line.get_xdata(), [1, 1]) for line in ax.lines)


def test_open_ends_are_arrows_at_the_border():
    ax = forest(rows(estimate=[1.0, 2.0, 3.0], conf_low=[0.5, 1.5, -np.inf], conf_high=[np.inf, 2.5, np.inf]))
    left, right = ax.get_xlim()
    assert np.isfinite([left, right]).all()
    assert left < 0.5
    assert right > 3
    assert marks(ax, ">").tolist() == [[right, 3.0], [right, 1.0]]
    assert marks(ax, "<").tolist() == [[left, 1.0]]
    assert bars(ax).tolist() == [[0.5, right, 3.0], [1.5, 2.5, 2.0], [left, right, 1.0]]


def test_row_without_interval_is_a_point():
    ax = forest(rows(estimate=[1.0, 2.0, 3.0], conf_low=[np.nan, 1.0, 2.0], conf_high=[np.nan, 3.0, 4.0]))
    assert marks(ax)[:, 0].tolist() == [1.0, 2.0, 3.0]
    assert np.isfinite(ax.get_xlim()).all()
    ax = forest(rows(estimate=[0.0] * 3, conf_low=[0.0] * 3, conf_high=[0.0] * 3))
    assert ax.get_xlim()[0] < 0 < ax.get_xlim()[1]


def many(n):
    estimate = np.random.default_rng(0).permutation(n).astype(float)
    index = pd.RangeIndex(n)
    return pd.DataFrame({"estimate": estimate, "conf_low": estimate - 1, "conf_high": estimate + 1}, index=index)


def test_many_rows_are_sorted_and_not_labelled():
    ax = forest(many(41))
    assert marks(ax).tolist() == [[k, k + 1.0] for k in range(41)]
    assert bars(ax).tolist() == [[k - 1.0, k + 1.0, k + 1.0] for k in range(41)]
    assert tick_labels(ax) == {}
    assert ax.get_ylabel() == "41 rows, sorted by estimate"
    assert len(tick_labels(forest(many(40)))) == 40


def test_very_many_rows_are_thinned_evenly_and_said_to_be():
    ax = forest(many(10_000))
    drawn = marks(ax)
    assert len(drawn) == 2_000
    assert drawn[0].tolist() == [0, 1]
    assert drawn[-1].tolist() == [9_999, 10_000]
    assert np.array_equal(drawn[:, 0] + 1, drawn[:, 1])
    assert np.diff(drawn[:, 1]).max() <= 6
    assert ax.get_ylabel().split() == [
        "10,000",
        "rows,",
        "sorted",
        "by",
        "estimate",
        "(2,000",
        "drawn,",
        "evenly",
        "by",
        "rank)",
    ]


def test_comparison_names_fit_and_row_and_n():
    a, b = welch_effect(), make_two()
    ax = forest(pandas_causal.compare({"naive": a}))
    assert tick_labels(ax) == {"naive": 1}
    assert ax.get_title(loc="left") == "n = 8"
    ax = forest(pandas_causal.compare({"naive": a, "two": b}))
    assert list(tick_labels(ax)) == ["naive | 1 - 0 (n = 8)", "two | low (n = 4)", "two | high (n = 4)"]
    assert ax.get_title(loc="left") == ""


def make_two():
    from pandas_causal.inference.draws_and_variance import Variance

    return make(pd.Series([1.0, 2.0], index=["low", "high"]), Variance(np.array([1.0, 1.0])), "two rows", 4)


def test_long_names_are_wrapped_whole():
    short, long, joined = row_labels(
        pd.Index(["age", "a covariate with a very long name, level 17", "income_before_treatment_in_thousands_of_1975"])
    )
    assert short == "age"
    assert long == "a covariate with a very long name,\nlevel 17"
    assert joined == "income_before_treatment_in_\nthousands_of_1975"
    assert row_labels(pd.MultiIndex.from_tuples([("a", 1)])) == ["a | 1"]


ALIKE = (
    [f"the long name of one and the same programme, offered in region {where}, to men" for where in ("north", "south")],
    ["x" * 200 + "a" + "y" * 200, "x" * 200 + "b" + "y" * 200],
    [f"{'x' * 90}{a}{'y' * 400}{b}{'y' * 90}" for a, b in ("ac", "ad", "by")],
    ["word " * 60 + "a" + " word" * 60, "word " * 60 + "b" + " word" * 60, "word"],
    [1, "1"],
    [("a | b", "c"), ("a", "b | c")],
)


@pytest.mark.parametrize("names", ALIKE, ids=range(len(ALIKE)))
def test_labels_of_different_rows_differ(names):
    labels = row_labels(pd.Index(names, dtype=object, tupleize_cols=False))
    assert len(set(labels)) == len(names)
    assert all(label.count("\n") <= 3 for label in labels)
    assert all(len(line) <= 34 for label in labels for line in label.split("\n"))


def test_rows_of_one_name_keep_it():
    assert row_labels(pd.Index(["a", "a"])) == ["a", "a"]


TWINS = ALIKE[0]


def rows_of_twins(**columns):
    return pd.DataFrame({"estimate": [1.0, 2.0], "conf_low": 0.0, "conf_high": 3.0, **columns}, index=TWINS)


def draw_bounds_of_twins():
    ends = pd.concat({"lower": rows_of_twins(), "upper": rows_of_twins()}).swaplevel()
    return plotting.bounds(ends)


PICTURES_OF_TWINS = {
    "forest": lambda: forest(rows_of_twins()),
    "forest, n": lambda: forest(rows_of_twins(n_obs=[5, 6])),
    "love": lambda: love(pd.DataFrame({"contrast": "1 - 0", "smd_before": [0.1, 0.2]}, index=TWINS)),
    "bars": lambda: plotting.bars(rows_of_twins()),
    "waterfall": lambda: plotting.waterfall(pd.DataFrame({"attribution": [1.0, 2.0]}, index=TWINS)),
    "bounds": draw_bounds_of_twins,
    "unit_weights": lambda: plotting.unit_weights(pd.DataFrame({"unit": [0.4, 0.6]}, index=TWINS)),
    "overlap": lambda: overlap(histogram({name: [1] * 4 for name in [*TWINS, "c"]}, of=[*TWINS, "c"])),
    "contrasts": lambda: love(differences(contrasts=TWINS)),
    "group_time": lambda: plotting.group_time(cells_of_twins()),
    "trends": lambda: plotting.trends(trends_of_twins()),
    "uplift": lambda: plotting.uplift(dict.fromkeys(TWINS, curve())),
    "graph": lambda: plotting.graph(
        pd.DataFrame({"node": TWINS, "kind": "observed"}),
        pd.DataFrame({"parent": TWINS[:1], "child": TWINS[1:], "kind": "directed"}),
    ),
}


def cells_of_twins():
    index = pd.MultiIndex.from_tuples([(name, 1, 0) for name in TWINS], names=["cohort", "time", "event"])
    return pd.DataFrame({"estimate": [1.0, 2.0], "conf_low": 0.0, "conf_high": 3.0}, index=index)


def trends_of_twins():
    return pd.DataFrame({"cohort": TWINS, "time": 1, "mean": 1.0, "treated": False})


def curve():
    index = pd.Index(np.linspace(0.1, 1, 10), name="share")
    return pd.DataFrame({"toc": 1.0, "toc_low": 0.0, "toc_high": 2.0}, index=index)


@pytest.mark.parametrize("picture", PICTURES_OF_TWINS)
@pytest.mark.parametrize("width", [None, 3])
def test_no_picture_gives_two_rows_one_label(picture, width, monkeypatch):
    if width:
        small = plt.figure(figsize=(width, 2)).add_subplot
        monkeypatch.setattr(plt, "subplots", lambda **_: (None, small()))
    ax = PICTURES_OF_TWINS[picture]()
    legend = [] if ax.get_legend() is None else ax.get_legend().get_texts()
    texts = [t.get_text() for t in (*ax.get_yticklabels(), *legend, *ax.texts)]
    assert sum("north" in t.replace("\n", " ") for t in texts)


# -- overlap ----------------------------------------------------------------------------------------------------------

EDGES = np.linspace(0, 1, 5)


def histogram(counts, of=("1",)):
    parts = [
        pd.DataFrame({"arm": a, "propensity_of": b, "low": EDGES[:-1], "high": EDGES[1:], "count": c})
        for b in of
        for a, c in counts.items()
    ]
    return pd.concat(parts).assign(
        share=lambda t: t["count"] / t.groupby(["arm", "propensity_of"])["count"].transform("sum")
    )


def stairs(ax):
    return {p.get_label(): p for p in ax.patches}


def test_two_arms_are_mirrored_and_counted():
    ax = overlap(histogram({"0": [30, 10, 0, 0], "1": [0, 5, 10, 5]}), treatment="treat", title="Overlap, n = 60")
    steps = stairs(ax)
    assert set(steps) == {"0 (n = 40)", "1 (n = 20)"}
    assert steps["1 (n = 20)"].get_data().values.tolist() == [0, 25, 50, 25]
    assert steps["0 (n = 40)"].get_data().values.tolist() == [-75, -25, 0, 0]
    assert steps["1 (n = 20)"].get_data().edges.tolist() == EDGES.tolist()
    assert legend_texts(ax) == ["1 (n = 20)", "0 (n = 40)"]  # in the order of the picture, from the top
    assert ax.get_legend().get_title().get_text() == "treat"
    assert [to_hex(steps[k].get_facecolor()).upper() for k in ("1 (n = 20)", "0 (n = 40)")] == list(OKABE_ITO[:2])
    assert ax.get_xlabel() == "propensity: estimated P(treat = 1 | covariates)"
    assert ax.get_title(loc="left") == "Overlap, n = 60"
    assert ax.get_xlim() == (0, 1)
    assert ax.get_ylim()[1] == -ax.get_ylim()[0] > 75
    ax.figure.canvas.draw()
    assert not any(t.get_text().startswith(("-", "−")) for t in ax.get_yticklabels())  # shares have no sign


def test_several_arms_have_a_band_per_propensity():
    counts = {"a": [1, 1, 0, 0], "b": [0, 2, 2, 0], "c": [0, 0, 3, 3]}
    ax = overlap(histogram(counts, of=("a", "b", "c")), treatment="arm")
    assert legend_texts(ax) == ["a (n = 2)", "b (n = 4)", "c (n = 6)"]
    assert tick_labels(ax) == {"P(arm = a)": 2.4, "P(arm = b)": 1.4, "P(arm = c)": 0.4}
    outlines = [p for p in ax.patches if not p.get_fill()]
    assert [p.get_data().baseline for p in outlines] == [2] * 3 + [1] * 3 + [0] * 3
    assert outlines[0].get_data().values.tolist() == [2.85, 2.85, 2, 2]
    assert all(p.get_data().values.max() < p.get_data().baseline + 1 for p in outlines)
    assert [to_hex(p.get_edgecolor()).upper() for p in outlines[:3]] == list(OKABE_ITO[:3])


# -- love -------------------------------------------------------------------------------------------------------------


def differences(after=True, contrasts=("1 - 0",)):
    parts = []
    for k, contrast in enumerate(contrasts):
        part = pd.DataFrame({"contrast": contrast, "smd_before": [0.05, -0.4, 0.2]}, index=["age", "income", "sex"])
        part["smd_before"] += 0.01 * k
        if after:
            part["smd_after"] = [0.01, -0.02, 0.03]
        parts.append(part)
    return pd.concat(parts)


def stage(ax, label):
    (line,) = [one for one in ax.lines if one.get_label() == label]
    return line


def test_covariates_are_sorted_by_the_difference_before():
    ax = love(differences(), title="Balance, n = 9")
    assert tick_labels(ax) == {"income": 3, "sex": 2, "age": 1}
    assert stage(ax, "1 - 0, before").get_xydata().tolist() == [[0.05, 1], [-0.4, 3], [0.2, 2]]
    assert stage(ax, "1 - 0, after").get_xydata().tolist() == [[0.01, 1], [-0.02, 3], [0.03, 2]]
    assert legend_texts(ax) == ["before weighting", "after weighting"]
    assert to_hex(stage(ax, "1 - 0, before").get_color()).upper() == VERMILLION
    assert stage(ax, "1 - 0, before").get_markerfacecolor() == "#ffffff"
    assert to_hex(stage(ax, "1 - 0, after").get_markerfacecolor()).upper() == BLUE
    dashed = [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == "--"]
    assert dashed == [-0.1, 0.1]
    assert ax.get_xlabel() == "standardised mean difference"
    assert ax.get_title(loc="left") == "Balance, n = 9"
    assert ax.get_xlim()[0] < -0.4
    assert ax.get_xlim()[1] > 0.2


def test_limits_are_in_the_picture_though_all_is_balanced():
    ax = love(differences().assign(smd_before=0.001, smd_after=0.0))
    assert ax.get_xlim()[0] < -0.1
    assert ax.get_xlim()[1] > 0.1


def test_infinite_differences_stand_at_the_edge_and_say_so():
    table = differences()
    table.iloc[0, table.columns.get_loc("smd_before")] = -np.inf
    ax = love(table)
    assert [text.get_text() for text in ax.texts] == ["← infinite"]
    drawn = np.concatenate([line.get_xdata() for line in ax.lines])
    assert np.isfinite(drawn.astype(float)).all()


def test_without_weights_there_is_no_after():
    ax = love(differences(after=False))
    assert legend_texts(ax) == ["1 - 0, unweighted"]
    assert not [line for line in ax.lines if line.get_label().endswith("after")]
    assert not ax.collections


def test_contrasts_have_a_marker_each_and_do_not_lie_on_each_other():
    ax = love(differences(contrasts=("b - a", "c - a")))
    assert legend_texts(ax) == ["b - a, before", "b - a, after", "c - a, before", "c - a, after"]
    assert stage(ax, "b - a, before").get_marker() == stage(ax, "b - a, after").get_marker() == "o"
    assert stage(ax, "c - a, before").get_marker() == "s"
    assert stage(ax, "b - a, before").get_ydata().tolist() == [1.25, 3.25, 2.25]
    assert stage(ax, "c - a, before").get_ydata().tolist() == [0.75, 2.75, 1.75]


def test_of_many_covariates_the_worst_are_drawn_and_said_to_be():
    table = pd.DataFrame(
        {"contrast": "1 - 0", "smd_before": np.linspace(0, 0.5, 90)}, index=[f"x{k}" for k in range(90)]
    )
    ax = love(table)
    assert list(tick_labels(ax)) == [f"x{k}" for k in range(89, 49, -1)]
    assert ax.get_xlabel().replace("\n", " ").endswith("(worst 40 of 90 covariates)")


# -- Effect.plot ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lalonde():
    frame = pandas_causal.datasets.load_lalonde()
    return pandas_causal.causal(frame).ate(treatment="treat", outcome="re78", covariates=["age", "educ"])


def test_effect_draws_its_own_table_with_estimand_and_n(lalonde):
    ax = lalonde.plot()
    assert marks(ax).tolist() == [[lalonde.estimate, 1.0]]
    assert bars(ax).tolist() == [[lalonde.conf_low, lalonde.conf_high, 1.0]]
    assert ax.get_xlabel() == lalonde.estimand
    assert ax.get_title(loc="left") == "n = 445, 95% intervals"


def test_effect_draws_its_overlap_and_balance(lalonde):
    ax = lalonde.plot("overlap")
    assert legend_texts(ax) == ["1 (n = 185)", "0 (n = 260)"]
    assert ax.get_xlabel() == "propensity: estimated P(treat = 1 | covariates)"
    assert ax.get_title(loc="left") == "Overlap, n = 445"
    ax = lalonde.plot(kind="love")
    assert set(tick_labels(ax)) == {"age", "educ"}
    assert ax.get_title(loc="left") == "Balance, n = 445"


def test_axes_given_are_used(lalonde):
    _, given = plt.subplots(1, 3)
    before = plt.get_fignums()
    for ax, kind in zip(given, ("forest", "overlap", "love"), strict=True):
        assert lalonde.plot(kind, ax=ax) is ax
    assert plt.get_fignums() == before


def test_one_sided_effect_says_so():
    frame = pandas_causal.datasets.load_lalonde()
    effect = pandas_causal.causal(frame).ab_test(treatment="treat", outcome="re78", alternative="greater", level=0.9)
    ax = effect.plot()
    assert ax.get_title(loc="left") == "n = 445, one-sided 90% intervals"
    assert len(marks(ax, ">")) == 1


def test_wrong_kind_is_answered_with_those_of_this_effect(lalonde):
    with pytest.raises(CausalArgumentError, match=r"kind='loev' is not known; .*\['forest', 'overlap', 'love'\]"):
        lalonde.plot("loev")
    with pytest.raises(CausalArgumentError, match=r"needs the diagnostic 'propensity', .*one of \['forest'\]"):
        plot_effect(welch_effect(), "overlap", None)
    with pytest.raises(CausalArgumentError, match=r"draw one of \['forest'\]"):
        plot_effect(welch_effect(), ["forest"], None)
    assert not plt.get_fignums()


@pytest.mark.parametrize("draw", [forest, overlap, love])
def test_table_of_another_picture_is_refused(draw):
    with pytest.raises(CausalArgumentError, match="has no columns"):
        draw(pd.DataFrame({"x": [1.0]}))
    with pytest.raises(CausalArgumentError, match="expected a DataFrame, got Effect"):
        draw(welch_effect())
    assert not plt.get_fignums()


@pytest.mark.parametrize(
    ("draw", "table"), [(forest, THREE), (love, differences()), (overlap, histogram({"1": [1] * 4}))]
)
def test_table_without_rows_is_refused(draw, table):
    with pytest.raises(CausalArgumentError, match="no rows"):
        draw(table.iloc[:0])


@pytest.mark.parametrize(
    ("draw", "table"), [(forest, THREE), (love, differences()), (overlap, histogram({"0": [1] * 4, "1": [1] * 4}))]
)
def test_tables_are_not_changed(draw, table):
    before = table.copy()
    draw(table)
    pd.testing.assert_frame_equal(table, before)


def test_missing_matplotlib_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'pandas-causal\[plot\]'"):
        forest(THREE)


def test_failure_inside_matplotlib_is_not_hidden(monkeypatch):
    import builtins

    real = builtins.__import__

    def broken(name, *args, **kwargs):
        if name == "matplotlib":
            raise ModuleNotFoundError("No module named 'kiwisolver'", name="kiwisolver")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", broken)
    with pytest.raises(ModuleNotFoundError, match="kiwisolver") as error:
        axes(None, 1, 1)
    assert not isinstance(error.value, MissingDependencyError)


def test_importing_the_pictures_does_not_import_matplotlib():
    code = "import sys, pandas_causal.plotting; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# -- small panels -----------------------------------------------------------------------------------------------------

SIX = ["control", *(f"a long name of a programme in the {where}" for where in ("north", "south")), "d", "e", "f"]


def six_contrasts():
    index = pd.Index([f"{name} - control" for name in SIX[1:]])
    table = pd.DataFrame({"estimate": [1.0, 2, 3, 4, 5]}, index=index)
    return table.assign(conf_low=table["estimate"] - 1, conf_high=table["estimate"] + 1)


def cohorts():
    rows = [(2000 + c, 1995 + p, c + p, p >= c + 5) for c in range(12) for p in range(20)]
    return pd.DataFrame(rows, columns=["cohort", "time", "mean", "treated"])


SMALL = {
    "forest": lambda ax: forest(six_contrasts(), ax, xlabel="average treatment effect (ATE) of arm on y", title=SAID),
    "overlap": lambda ax: overlap(
        histogram({name: [1, 2, 2, 1] for name in SIX}, of=SIX), ax, treatment="arm", title=SAID
    ),
    "love": lambda ax: love(differences(contrasts=list(six_contrasts().index)), ax, title=SAID),
    "love, one": lambda ax: love(differences(), ax, title=SAID),
    "bars": lambda ax: plotting.bars(six_contrasts(), ax, title=SAID),
    "trends": lambda ax: plotting.trends(cohorts(), ax, title=SAID),
}
SAID = "n = 12,345, one-sided 95% intervals"


@pytest.mark.parametrize("size", [(3, 2), (9, 2.4), (6.8, 5)], ids=str)
@pytest.mark.parametrize("picture", SMALL)
def test_nothing_is_cut_or_lies_on_something_else(picture, size):
    figure, axs = plt.subplots(1, 3 if size[0] == 9 else 1, figsize=size, squeeze=False)
    for ax in axs[0]:
        SMALL[picture](ax)
    figure.canvas.draw()
    whole, renderer = figure.bbox, figure.canvas.get_renderer()
    for ax in axs[0]:
        title = ax._left_title.get_window_extent(renderer)
        low, high = ax.get_ylim()
        names = [t.get_window_extent(renderer) for t in ax.get_yticklabels() if low <= t.get_position()[1] <= high]
        legend = ax.get_legend()
        boxes = [title, ax.xaxis.label.get_window_extent(renderer), *names]
        boxes += [t.get_window_extent(renderer) for t in legend.get_texts()] if legend else []
        for box in boxes:
            assert box.x0 >= whole.x0 - 1
            assert box.x1 <= whole.x1 + 1
            assert box.y0 >= whole.y0 - 1
            assert box.y1 <= whole.y1 + 1
        names = sorted(names, key=lambda box: box.y0)
        assert all(a.y1 <= b.y0 + 1.5 for a, b in pairwise(names))
        assert ax.bbox.height > 0.15 * whole.height
        if legend:  # the letters of the title end above those of the legend, or before them
            lines = ax.get_title(loc="left").rstrip("\n").count("\n") + 1
            written = title.y1 - lines * title.height / (ax.get_title(loc="left").count("\n") + 1)
            first = min((t.get_window_extent(renderer) for t in legend.get_texts()), key=lambda box: -box.y1)
            assert first.y1 <= written + 2 or first.x0 >= title.x1 or first.x0 >= ax.bbox.x1 or first.y1 <= title.y0 + 1


def test_groups_never_look_alike():
    for n in (1, 6, 7, 12, 40):
        looks = looks_of_groups(n, "#000000")
        assert len({look.colour for look in looks}) == n
    ax = plotting.trends(cohorts())
    assert legend_texts(ax) == [str(2000 + c) for c in range(12)]
    lines = [line for line in ax.lines if not line.get_label().startswith("_")]
    assert len({line.get_color() for line in lines}) == 12


@pytest.mark.parametrize("picture", SMALL)
def test_dark_styles_lose_nothing(picture):
    with plt.style.context("dark_background"):
        ax = SMALL[picture](plt.figure().add_subplot())
    colours = [line.get_color() for line in ax.lines] + [t.get_color() for t in (*ax.texts, *ax.get_yticklabels())]
    assert not {to_hex(c) for c in colours} & {"#000000", "#333333"}
    assert "#ffffff" not in {to_hex(line.get_markerfacecolor()) for line in ax.lines if line.get_marker() in "os^Dv"}


def test_intervals_that_do_not_exist_are_not_in_the_title():
    none = THREE.assign(conf_low=np.nan, conf_high=np.nan)
    assert interval_words(none, 0.95) == ""
    assert interval_words(THREE, 0.9) == ", 90% intervals"


def test_numbers_and_dates_are_named_by_their_level():
    index = pd.MultiIndex.from_tuples([(2004, pd.Timestamp("2006-01-01"), "a")], names=["cohort", "time", "arm"])
    assert row_labels(index) == ["cohort 2004 | time 2006-01-01 | a"]
