"""Checks and graphs draw themselves, and say in a notebook what they say in text."""

import importlib
import xml.etree.ElementTree as ET

import pandas as pd
import pytest

import pandas_causal
from pandas_causal import CausalGraph
from pandas_causal.effect.check import Check
from pandas_causal.errors import CausalArgumentError
from tests.discontinuity.designs import make
from tests.panels.designs import ROLES, staggered

matplotlib = pytest.importorskip("matplotlib", reason="pictures are drawn")
matplotlib.use("Agg")
plt = importlib.import_module("matplotlib.pyplot")

LALONDE = pandas_causal.datasets.load_lalonde()
ASKED = {"treatment": "treat", "covariates": ["age", "educ"]}


def test_overlap_and_balance_are_drawn_before_any_estimate():
    overlap = LALONDE.causal.overlap(**ASKED)
    ax = overlap.plot()
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["1 (n = 185)", "0 (n = 260)"]
    assert ax.get_title(loc="left").replace("\n", " ") == overlap.summary
    ax = LALONDE.causal.balance(**ASKED).plot()
    assert {t.get_text() for t in ax.get_yticklabels()} == {"age", "educ"}
    _, own = plt.subplots()
    assert overlap.plot(ax=own) is own


def test_claims_of_a_graph_are_drawn_with_their_p_values():
    check = LALONDE.causal.check_graph(CausalGraph("age -> treat; age -> re78; treat -> re78; educ -> re78"))
    ax = check.plot()
    p = check.table["p_adjusted"].sort_values()
    drawn = sorted(x for line in ax.lines for x in line.get_xdata())
    assert drawn == pytest.approx(p.tolist())
    assert [t.get_text() for t in ax.get_yticklabels()] == ["age and educ", "treat and educ"]
    assert ax.get_title(loc="left").startswith("FAILED: ")
    table = check.table.assign(rejected=[True, False], given=[("a", "b"), ()])
    ax = pandas_causal.plotting.independences(table)
    assert {line.get_label(): line.get_marker() for line in ax.lines} == {"rejected": "X", "not rejected": "o"}
    assert ax.get_yticklabels()[0].get_text() == "age and educ, given a, b"


@pytest.mark.parametrize(
    ("effect", "names"),
    [
        (
            lambda: make(300).causal.rdd(running="x", outcome="y"),
            ["bins", "density_curve", "placebo_cutoffs", "bandwidth_sensitivity", "inference", "donut"],
        ),
        (lambda: staggered(n=40).causal.did(**ROLES), ["trends"]),
        (lambda: LALONDE.causal.ate(outcome="re78", **ASKED), ["overlap", "balance", "propensity"]),
    ],
    ids=["rdd", "did", "ate"],
)
def test_checks_of_effects_draw_themselves(effect, names):
    checks = effect().diagnostics
    for name in names:
        ax = checks[name].plot()
        assert ax.lines or ax.patches or ax.collections
        assert ax.get_title(loc="left")
        plt.close(ax.figure)


def test_a_check_without_a_picture_says_what_to_read():
    with pytest.raises(CausalArgumentError, match=r"no picture \(one\): read check.table, with columns \['x'\]"):
        Check(None, pd.DataFrame({"x": [1.0]}), "one").plot()
    with pytest.raises(CausalArgumentError, match="no picture"):
        Check(None, pd.DataFrame({"estimate": [], "conf_low": [], "conf_high": []}), "none").plot()


def test_a_check_in_a_notebook_begins_with_its_verdict():
    check = Check(False, pd.DataFrame({"<b>": range(20)}), "5 < 6")
    html = check._repr_html_()
    assert html.startswith("<div><p><strong>FAILED</strong>: 5 &lt; 6</p>")
    assert "and 8 more rows" in html
    assert "&lt;b&gt;" in html
    assert "<b>" not in html


def test_a_graph_in_a_notebook_is_its_picture():
    graph = CausalGraph("dag{x [exposure]; y [outcome]; x -> y; x <-> y; z -> x}")
    ET.fromstring(graph._repr_svg_())
    ET.fromstring(graph._repr_html_())
    assert 'class="node treatment"' in graph._repr_svg_()
    assert graph._repr_html_().count('class="arrow"') == 2
    assert "&lt;CausalGraph of 3 nodes" in graph._repr_html_()
    large = CausalGraph(" -> ".join(f"v{k}" for k in range(70)))
    assert large._repr_svg_() is None
    assert "70 nodes" in large._repr_html_()


def test_an_identification_in_a_notebook_has_its_formula_typeset():
    found = CausalGraph("z -> x; z -> y; x -> y").identify(treatment="x", outcome="y")
    html = found._repr_html_()
    ET.fromstring(html)
    assert r"$$\displaystyle P(" in html
    assert r"\sum" in html
    assert 'class="node adjustment"' in html
    for line in found.explain().split("\n"):
        assert line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("'", "&#x27;") in html
    hidden = CausalGraph("x -> y; x <-> y").identify(treatment="x", outcome="y")._repr_html_()
    assert "$$" not in hidden
    assert "NOT identified" in hidden
