"""`Effect.report`: one file, nothing loaded, nothing run, every name escaped."""

from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

import pandas_causal
from pandas_causal.errors import CausalArgumentError
from pandas_causal.plotting.graph_svg import graph_svg
from pandas_causal.report.page import report_html
from pandas_causal.report.svg import forest_svg
from tests.robustness.faults import ASKED, COVARIATES, panel, rows

VOID = {"meta", "br", "circle", "line", "rect", "polyline", "polygon", "path"}


class Balanced(HTMLParser):
    """Every tag that is opened is closed; tags and attributes are kept."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes = [], set(), []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def read(text):
    parser = Balanced()
    parser.feed(text)
    assert not parser.open
    return parser


@pytest.fixture(scope="module")
def effect():
    return rows().causal.ate(**ASKED, estimator="regression")


def safe(text):
    """Nothing is loaded or run."""
    page = read(text)
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form"} & page.tags
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in ("src", "href", "xlink:href")]
    assert "http" not in text.replace("http-equiv", "")
    assert "@import" not in text
    assert "url(" not in text
    return page


def test_the_page_has_every_section_and_loads_nothing(effect, tmp_path):
    target = effect.report(tmp_path / "study.html")
    text = target.read_text(encoding="utf-8")
    safe(text)
    for section in (
        "Question",
        "Graph",
        "Answer",
        "What it rests on",
        "What would overturn it",
        "Checks",
        "To reproduce",
    ):
        assert f"<h2>{section}" in text
    assert "@page { size: A4" in text
    assert "prefers-color-scheme: dark" in text
    for assumption in effect.assumptions:
        assert assumption.split(":")[0] in text
    assert "Nobody has tried to refute it yet" in text


def test_names_are_escaped():
    evil = "<script>alert('x')</script>"
    frame = rows().rename(columns={"a": evil, "y": "<b>&y</b>", "t": '"t"'})
    frame[evil] = frame[evil].where(frame[evil] < 2)  # a note names it
    graph = pandas_causal.CausalGraph([(evil, '"t"'), (evil, "<b>&y</b>"), ('"t"', "<b>&y</b>")])
    effect = frame.causal.ate(graph=graph, treatment='"t"', outcome="<b>&y</b>", estimator="regression")
    audit = frame.causal.audit(graph=graph, treatment='"t"', outcome="<b>&y</b>", estimator="regression")
    refutation = effect.refute(["leave_one_out", "placebo_treatment"], n_simulations=10, progress=False)
    text = report_html(effect, title=f"{evil} & more", audit=audit, refutation=refutation)
    safe(text)
    assert "<script" not in text
    assert "<b>" not in text
    assert "&lt;script&gt;" in text


def test_the_same_study_gives_the_same_page(effect):
    assert report_html(effect) == report_html(rows().causal.ate(**ASKED, estimator="regression"))
    other = rows(seed=1).causal.ate(**ASKED, estimator="regression")
    checksum = next(line for line in report_html(effect).split("<td>") if "checksum" in line)
    assert checksum not in report_html(other)


def test_what_was_tried_is_shown(effect):
    refutation = effect.refute(["subset", "zero_outcome"], n_simulations=10, progress=False)
    text = report_html(effect, refutation=refutation)
    assert "Nobody has tried" not in text
    for name in ("subset", "zero_outcome", "not refuted", "is blind to"):
        assert name in text


def test_versions_seeds_and_settings_stand_at_the_end():
    effect = rows().causal.fit(
        pandas_causal.AIPW(outcome_model="linear", propensity_model="linear", random_state=7), **ASKED
    )
    end = report_html(effect).partition("<h2>To reproduce it</h2>")[2]
    for part in ("outcome_model=&#x27;linear&#x27;", "Seed", "7", "numpy", np.__version__, pd.__version__, "checksum"):
        assert part in end


def test_effects_of_every_design_have_a_page(effect):
    did = panel().causal.did(outcome="y", unit="unit", time="time", cohort="cohort")
    several = rows().causal.ate(
        treatment="t", outcome=["y", "other_outcome"], covariates=COVARIATES, estimator="regression"
    )
    linear = effect.linear([[2.0]], index=["<twice>"])
    for one in (did, several, linear, effect.compact(), effect.estimator.effect(rows()[COVARIATES])):
        safe(report_html(one))
    assert "then .linear(" in report_html(linear)
    assert "&lt;twice&gt;" in report_html(linear)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"path": "/nowhere/at/all.html"}, "no file that can be written"),
        ({"audit": 1}, "audit="),
        ({"refutation": 1}, "refutation="),
        ({"title": 1}, "title="),
    ],
)
def test_bad_input_has_one_answer(effect, tmp_path, settings, match):
    settings = {"path": tmp_path / "a.html", **settings}
    with pytest.raises(CausalArgumentError, match=match):
        effect.report(**settings)
    with pytest.raises(CausalArgumentError, match="no file"):
        effect.report(tmp_path)


def test_pictures_hold_their_numbers():
    table = pd.DataFrame(
        {"estimate": [1.0, -1.0, np.nan], "conf_low": [0.5, -np.inf, np.nan], "conf_high": [1.5, 0.0, np.nan]},
        index=["a", "b & c", "none"],
    )
    picture = forest_svg(table, title="x < y")
    read(picture)
    assert picture.count("<circle") == 2
    assert picture.count('class="interval"') == 2
    assert "b &amp; c" in picture
    assert "x &lt; y" in picture
    nodes = pd.DataFrame({"node": ["a", "t", "y", "u"], "kind": ["adjustment", "treatment", "outcome", "latent"]})
    edges = pd.DataFrame(
        {"parent": ["a", "t", "a", "a"], "child": ["t", "y", "y", "t"], "kind": ["directed"] * 3 + ["bidirected"]}
    )
    graph = graph_svg(nodes, edges, title="graph")
    read(graph)
    assert graph.count("<rect") == 4
    assert graph.count('class="head"') == 3 + 2  # an arc has two
    assert graph.count('class="hidden"') == 1
