"""``Effect.report``: the page, section by section."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from html import escape
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np
import pandas as pd

from pandas_causal.effect.effect import Effect
from pandas_causal.effect.summary import digits, p_text
from pandas_causal.errors import CausalArgumentError
from pandas_causal.plotting.graph_svg import graph_svg
from pandas_causal.report.svg import forest_svg
from pandas_causal.robustness.audit import Audit, sensitivity_check
from pandas_causal.robustness.refits import main_rows
from pandas_causal.robustness.refutation import Refutation, what_refuters_see

if TYPE_CHECKING:
    from pandas_causal.effect.study import Study

__all__ = ["report_html", "write_report"]

_MOST_ROWS = 40
_PACKAGES = ("pandas-causal", "pandas", "numpy", "scipy", "scikit-learn", "numba")
_STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --soft: #5a5a5a; --line: #d5d5d5; --paper: #ffffff; --box: #f5f6f8;
  --blue: #0072b2; --orange: #e69f00; --green: #009e73; --red: #b3400b; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --soft: #a8a8a8; --line: #444; --paper: #17181c;
  --box: #22242a; --blue: #56b4e9; --orange: #e69f00; --green: #2fbf94; --red: #ff8c52; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 28px 20px 60px; max-width: 760px; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.6em; line-height: 1.25; margin: 0 0 .3em; overflow-wrap: anywhere; }
h2 { font-size: 1.2em; margin: 2em 0 .5em; padding-top: .8em; border-top: 1px solid var(--line); }
h3 { font-size: 1em; margin: 1.4em 0 .3em; }
p, li { overflow-wrap: anywhere; }
.answer { background: var(--box); border-left: 4px solid var(--blue); padding: 12px 16px; font-size: 1.1em; }
.soft, figcaption { color: var(--soft); font-size: .9em; }
.warning { border-left: 4px solid var(--orange); padding-left: 12px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .86em; line-height: 1.4; }
th, td { text-align: left; vertical-align: top; padding: 5px 9px 5px 0; border-bottom: 1px solid var(--line);
  overflow-wrap: break-word; }
td.number, th.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
td.short { white-space: nowrap; } td { min-width: 4em; }
thead th { color: var(--soft); font-weight: 600; }
.bad { color: var(--red); font-weight: 600; } .good { color: var(--green); font-weight: 600; }
figure { margin: 1em 0; } svg { width: 100%; height: auto; font-family: inherit; }
svg text { fill: var(--ink); font-size: 13px; } svg .label { text-anchor: end; }
svg .tick { text-anchor: middle; fill: var(--soft); font-size: 12px; }
svg .null { stroke: var(--soft); stroke-dasharray: 4 3; } svg .interval { stroke: var(--blue); stroke-width: 2.4; }
svg .estimate { fill: var(--blue); } svg .arrow { fill: none; stroke: var(--soft); stroke-width: 1.5; }
svg .head { fill: var(--soft); } svg .hidden { fill: none; stroke: var(--soft); stroke-dasharray: 5 4; }
svg .node { fill: var(--paper); stroke: var(--soft); } svg .node.latent { stroke-dasharray: 4 3; }
svg .node.treatment { fill: #0072b2; stroke: none; } svg .node.outcome { fill: #e69f00; stroke: none; }
svg .node.adjustment { fill: #00795a; stroke: none; }
svg .node-label { text-anchor: middle; } svg .node-label.treatment, svg .node-label.adjustment { fill: #fff; }
svg .node-label.outcome { fill: #000; }
pre { background: var(--box); padding: 10px 12px; overflow-x: auto; font-size: .84em; white-space: pre-wrap;
  overflow-wrap: anywhere; }
@page { size: A4; margin: 18mm 16mm; }
@media print { :root { --ink: #000; --soft: #444; --line: #bbb; --paper: #fff; --box: #f3f3f3; --blue: #0072b2;
  --green: #00694d; --red: #9c3300; }
  body { max-width: none; padding: 0; font-size: 10.5pt; } h2 { break-after: avoid; }
  tr, figure, .answer { break-inside: avoid; } svg { max-height: 95mm; } .scroll { overflow: visible; } }
"""


def write_report(
    effect: Effect,
    path: str | Path,
    *,
    title: str | None = None,
    audit: Audit | None = None,
    refutation: Refutation | None = None,
) -> Path:
    """Write the page of an effect: see :meth:`Effect.report`."""
    for name, value, kind in (("audit", audit, Audit), ("refutation", refutation, Refutation)):
        if value is not None and not isinstance(value, kind):
            maker = "df.causal.audit" if name == "audit" else "effect.refute()"
            raise CausalArgumentError(f"{name}= takes what {maker} returns; got {type(value).__name__}")
    if title is not None and not isinstance(title, str):
        raise CausalArgumentError(f"title= takes a text; got {type(title).__name__}")
    target = Path(path)
    if target.is_dir() or not target.parent.exists():
        raise CausalArgumentError(f"{str(path)!r} is no file that can be written: name one in a folder that exists")
    target.write_text(report_html(effect, title=title, audit=audit, refutation=refutation), encoding="utf-8")
    return target


def report_html(
    effect: Effect, *, title: str | None = None, audit: Audit | None = None, refutation: Refutation | None = None
) -> str:
    """The page as text: no network, no script; every name is escaped."""
    shown = main_rows(effect)
    head = effect.estimand if title is None else title
    parts = [
        f"<h1>{escape(head)}</h1>",
        _question(effect),
        _graph(effect),
        _answer(shown),
        _assumptions(effect),
        _overturn(effect, audit, refutation),
        _checks(effect),
        _again(effect),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(head)}</title><style>{_STYLE}</style></head><body>\n"
        + "\n".join(part for part in parts if part)
        + "\n</body></html>\n"
    )


def _question(effect: Effect) -> str:
    study, facts = effect.study, effect.facts
    lines = [f"<h2>Question</h2><p>{escape(_capital(effect.estimand))}.</p>"]
    rows = [("Rows", f"{effect.n_obs:,}" + _dropped(facts)), ("Speaks of", effect.population)]
    named = [word for word in ("treatment", "outcome") if facts.get(word) is not None]
    rows += [(_capital(word), str(facts[word])) for word in named]
    if facts.get("arm_sizes"):
        sizes = ", ".join(f"{level}: {count:,}" for level, count in facts["arm_sizes"].items())
        rows.append(("Rows by arm", f"{sizes} (compared with {facts.get('control')})"))
    if study is not None:
        names = study.names("covariate")
        rows.append(("Adjusted for", ", ".join(map(str, names)) if names else "nothing"))
        rows += [
            (_capital(role), ", ".join(map(str, study.names(role))))
            for role in study.roles
            if role not in ("treatment", "outcome")
        ]
    return "".join(lines) + _pairs(rows)


def _dropped(facts: Any) -> str:
    n = int(facts.get("n_dropped", 0) or 0)
    return f" ({n:,} dropped for missing values)" if n else ""


def _graph(effect: Effect) -> str:
    study = effect.study
    if study is None or study.graph is None:
        return (
            "<h2>Graph</h2><p>No graph was drawn: which columns are causes of both treatment and outcome is taken on"
            " trust.</p>"
        )
    from pandas_causal.graphs.graph import as_graph
    from pandas_causal.graphs.picture import tables

    graph = as_graph(study.graph)
    observed = [name for name in study.names("covariate") if name in graph.nodes]
    ends = {role: next(iter(study.names(role)), None) for role in ("treatment", "outcome")}
    nodes, edges = tables(graph, ends["treatment"], ends["outcome"], observed)
    picture = graph_svg(nodes, edges, title=f"causal graph of {len(nodes)} nodes") if len(nodes) <= 60 else ""
    said = "; ".join(f"{a} -> {b}" if k == "directed" else f"{a} <-> {b}" for a, b, k in edges.itertuples(index=False))
    return (
        f"<h2>Graph</h2><figure>{picture}<figcaption>Blue: treatment, orange: outcome, green: adjusted for; dashed: not"
        f" observed. {escape(said)}</figcaption></figure>"
    )


def _answer(effect: Effect) -> str:
    table = effect.table
    level = f"{100 * effect.level:g}%"
    if len(effect) == 1:
        row = table.iloc[0]
        text = (
            f"<strong>{digits(row['estimate'])}</strong>, {level} interval {digits(row['conf_low'])} to"
            f" {digits(row['conf_high'])} (p {_p(row['p_value'])})"
        )
        lead = f'<p class="answer">{text}</p>'
    else:
        lead = f'<p class="answer">{len(effect):,} estimates, {level} intervals</p>'
    picture = forest_svg(table, title=f"estimates with {level} intervals") if len(effect) > 1 else ""
    more = (
        f'<p class="soft">{len(effect) - _MOST_ROWS:,} more rows are not shown.</p>' if len(effect) > _MOST_ROWS else ""
    )
    columns = {"estimate": "estimate", "std_error": "std. error", "conf_low": "from", "conf_high": "to", "p_value": "p"}
    body = _table(table.iloc[:_MOST_ROWS][list(columns)].rename(columns=columns))
    return (
        f"<h2>Answer</h2>{lead}{f'<figure>{picture}</figure>' if picture else ''}{body}{more}"
        f'<p class="soft">Standard errors: {escape(effect.std_error_method)}.</p>'
    )


def _assumptions(effect: Effect) -> str:
    items = "".join(f"<li>{escape(a)}</li>" for a in effect.assumptions)
    alerts = "".join(f'<p class="warning">{escape(w)}</p>' for w in effect.warnings)
    return f"<h2>What it rests on</h2><ul>{items or '<li>nothing was stated</li>'}</ul>{alerts}"


def _overturn(effect: Effect, audit: Audit | None, refutation: Refutation | None) -> str:
    parts = ["<h2>What would overturn it</h2>"]
    found = sensitivity_check(effect)
    if found is not None:
        parts.append(
            f"<h3>Confounding that nobody measured</h3><p>{escape(_capital(found.summary))}.</p>{_table(found.table)}"
        )
    if audit is not None:
        parts.append(f"<h3>Audit</h3><p>{escape(_capital(audit.summary))}.</p>")
        told = [f"{e}. {_capital(a)}." if a else f"{e}." for e, a in audit.table[["evidence", "what_to_do"]].to_numpy()]
        lines = audit.table[["verdict"]].assign(**{"evidence, and what to do": told})
        parts.append(_table(lines))
        if len(audit.specifications):
            caption = "The same question under other estimators, 95% intervals."
            picture = forest_svg(audit.specifications, title=caption)
            parts.append(f"<figure>{picture}<figcaption>{caption}</figcaption></figure>")
    refuted = refutation if refutation is not None else (None if audit is None else audit.refutation)
    if refuted is not None:
        shown = refuted.table[["changes", "new_estimate", "p_value", "verdict", "if_refuted"]].rename(
            columns={"new_estimate": "new estimate", "p_value": "p", "if_refuted": "a failure means"}
        )
        whose = "" if refutation is not None else " (of a linear regression on the same covariates)"
        parts.append(f"<h3>Refuters{whose}</h3><p>{escape(_capital(refuted.summary))}.</p>{_table(shown)}")
        blind = refuted.sees[["sees", "blind_to"]].rename(columns={"blind_to": "is blind to"})
        parts.append(f"<h3>What these refuters can see</h3>{_table(blind)}")
    elif audit is None:
        seen = what_refuters_see(["placebo_treatment", "dummy_outcome", "negative_outcome"])
        blind = seen[["changes", "sees", "blind_to"]].rename(columns={"blind_to": "is blind to"})
        parts.append(
            "<p>Nobody has tried to refute it yet: <code>effect.refute()</code>, <code>df.causal.audit(...)</code>."
            f" What some refuters could see:</p>{_table(blind)}"
        )
    return "".join(parts)


def _checks(effect: Effect) -> str:
    items = []
    for name, check in effect.diagnostics.items():
        word = {True: '<span class="good">passed</span>', False: '<span class="bad">failed</span>', None: ""}[
            check.passed
        ]
        items.append(f"<li>{escape(str(name))} {word}: {escape(check.summary)}</li>")
    return f"<h2>Checks</h2><ul>{''.join(items)}</ul>" if items else ""


def _again(effect: Effect) -> str:
    rows = [("Python", f"{platform.python_version()}, {platform.system()} {platform.machine()}")]
    rows += [(name, _version(name)) for name in _PACKAGES]
    study = effect.study
    if study is not None:
        rows.append(("Data", f"{len(study.marks)} columns, checksum {_checksum(study)}"))
        rows += _seeds(study.estimator)
    name = effect.estimator if isinstance(effect.estimator, str) else repr(effect.estimator)
    if study is not None:
        name = repr(study.estimator)
        if study.post:
            name += "".join(f"\n  then .{s.method}({', '.join(map(_argument, s.args))})" for s in study.post)
    return f"<h2>To reproduce it</h2><pre>{escape(str(name))}</pre>{_pairs(rows)}"


def _argument(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"<{type(value).__name__}>"


def _seeds(estimator: Any) -> list[tuple[str, str]]:
    settings = estimator.get_params(deep=False)
    return [("Seed", str(settings["random_state"]))] if "random_state" in settings else []


def _checksum(study: Study[Effect]) -> str:
    return f"{crc32(repr(sorted((role, str(name), mark) for (role, name), mark in study.marks.items())).encode()):08x}"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


# -- tables ----------------------------------------------------------------------------------------------------------


def _pairs(rows: Iterable[tuple[str, str]]) -> str:
    body = "".join(f"<tr><th>{escape(a)}</th><td>{escape(b)}</td></tr>" for a, b in rows)
    return f"<table><tbody>{body}</tbody></table>"


def _table(table: pd.DataFrame) -> str:
    """Numbers to the right, three digits; text escaped."""
    numeric = [pd.api.types.is_float_dtype(dtype) for dtype in table.dtypes]
    head = "".join(
        f'<th class="number">{escape(str(c))}</th>' if n else f"<th>{escape(str(c))}</th>"
        for c, n in zip(table.columns, numeric, strict=True)
    )
    rows = []
    for label, row in zip(table.index, table.itertuples(index=False), strict=True):
        text = " | ".join(map(str, label)) if isinstance(label, tuple) else str(label)
        cells = [_cell(v, n, str(c)) for v, n, c in zip(row, numeric, table.columns, strict=True)]
        rows.append(f"<tr><th>{escape(text)}</th>{''.join(cells)}</tr>")
    body = f"<thead><tr><th></th>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return f'<div class="scroll"><table>{body}</table></div>'


def _cell(value: Any, numeric: bool, column: str) -> str:
    if numeric:
        shown = "" if np.isnan(value) else (p_text(value) if column in ("p", "p_value") else digits(float(value)))
        return f'<td class="number">{escape(shown)}</td>'
    text = "" if value is None else str(value)
    mark = {"CONCERN": "bad", "refuted": "bad", "no concern": "good", "not refuted": "good"}.get(text)
    if column == "verdict":
        mark = f"{mark} short" if mark else "short"
    return f'<td class="{mark}">{escape(text)}</td>' if mark else f"<td>{escape(text)}</td>"


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def _p(value: float) -> str:
    shown = p_text(value)
    return shown if shown.startswith("<") else f"= {shown}"
