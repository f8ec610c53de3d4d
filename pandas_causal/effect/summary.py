"""An effect in words: one screen of text, one row of facts, one HTML block."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from html import escape
from textwrap import wrap
from typing import Any, Protocol

import numpy as np
import pandas as pd

from pandas_causal.effect.check import Check
from pandas_causal.errors import CausalArgumentError, CausalWarning

__all__ = ["compare", "digits", "glance", "p_text", "summary", "to_html", "to_latex"]

_MAX_LINES = 25
_MAX_ROWS = 8
_WIDTH = 118
_VERDICT = {True: " (passed)", False: " (FAILED)", None: ""}


class Result(Protocol):
    """What a text reads of an :class:`Effect`."""

    @property
    def estimand(self) -> str:
        """What was estimated."""
        ...

    @property
    def n_obs(self) -> int:
        """Rows used."""
        ...

    @property
    def level(self) -> float:
        """Of the intervals."""
        ...

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What must hold."""
        ...

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reviewer would object to."""
        ...

    @property
    def std_error_method(self) -> str:
        """Where the standard errors come from."""
        ...

    @property
    def population(self) -> str:
        """Whom the estimate speaks of."""
        ...

    @property
    def table(self) -> pd.DataFrame:
        """Estimates, one row per estimand."""
        ...

    @property
    def estimator(self) -> object:
        """The fitted estimator, or its name."""
        ...

    @property
    def weightings(self) -> Mapping[str, object]:
        """Named averages."""
        ...

    @property
    def diagnostics(self) -> Mapping[str, Check]:
        """Checks by name."""
        ...

    @property
    def facts(self) -> Mapping[str, Any]:
        """Further facts."""
        ...

    def aggregate(self, by: str) -> Result:
        """Average by a weighting."""
        ...

    def __len__(self) -> int: ...


def digits(value: float) -> str:
    """Three significant digits, without an exponent where a person would write none."""
    if not np.isfinite(value):
        return "NaN" if np.isnan(value) else ("inf" if value > 0 else "-inf")
    if value == 0:
        return "0"
    size = int(f"{value:.2e}".partition("e")[2])  # after rounding: 99.96 is 100
    if size < -4 or size > 8:
        return f"{value:.2e}"
    return f"{round(value, 2 - size):,.{max(0, 2 - size)}f}"


def p_text(value: float) -> str:
    """Three significant digits, ``<0.001`` below that, no stars."""
    if np.isnan(value):
        return "NaN"
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _display(effect: Result) -> tuple[Result, str]:
    """Rows that open a summary: the first attached weighting where rows are many, or cells of several dimensions."""
    if effect.weightings and (len(effect) > _MAX_ROWS or effect.table.index.nlevels > 1):
        name = next(iter(effect.weightings))
        with warnings.catch_warnings():  # the average's own warnings stand in the text
            warnings.simplefilter("ignore", CausalWarning)
            return effect.aggregate(name), f' (average "{name}" of {len(effect):,} rows)'
    return effect, ""


def _rows(effect: Result, most: int | None = _MAX_ROWS) -> pd.DataFrame:
    head = effect.table.iloc[:most]
    label = f"{100 * effect.level:g}% interval"
    return pd.DataFrame(
        {
            "estimate": [digits(v) for v in head["estimate"]],
            "std. error": [digits(v) for v in head["std_error"]],
            "p": [p_text(v) for v in head["p_value"]],
            label: [f"[{digits(a)}, {digits(b)}]" for a, b in zip(head["conf_low"], head["conf_high"], strict=True)],
        },
        index=[" ".join(map(str, i)) if isinstance(i, tuple) else str(i) for i in head.index],
    )


def _clip(text: str) -> str:
    return text if len(text) <= _WIDTH else text[: _WIDTH - 3] + "..."


def summary(effect: Result) -> str:
    """Return at most 25 lines, ending with the assumptions and warnings."""
    shown, note = _display(effect)
    who = "" if effect.estimator is None else f"{_estimator_name(effect.estimator)}, "
    lines = [_clip(effect.estimand + note), _clip(f"{who}{effect.n_obs:,} rows{_dropped(effect)}"), ""]
    lines += _rows(shown).to_string().splitlines()
    if len(shown) > _MAX_ROWS:
        lines.append(f"... {len(shown) - _MAX_ROWS:,} more rows in effect.table")
    lines += ["", _clip(f"Standard errors: {effect.std_error_method}"), _clip(f"Speaks of: {effect.population}")]
    last = [f"Assumes: {a}" for a in effect.assumptions] + [f"Warning: {w}" for w in shown.warnings]
    ending = [line for text in last for line in wrap(text, _WIDTH, subsequent_indent="    ")]
    room = _MAX_LINES - len(lines) - len(ending)
    if room < 0:  # cut within texts before cutting texts
        ending = [_clip(text) for text in last][: _MAX_LINES - len(lines)]
    checks = [_clip(f"Check {name}{_VERDICT[c.passed]}: {c.summary}") for name, c in effect.diagnostics.items()]
    if len(checks) > room:
        checks = [*checks[: max(room - 1, 0)], "(more in effect.diagnostics)"][: max(room, 0)]
    return "\n".join(lines + checks + ending)


def _dropped(effect: Result) -> str:
    n = int(effect.facts.get("n_dropped", 0))
    return f" ({n:,} dropped for missing values)" if n else ""


def _estimator_name(estimator: object) -> str:
    return estimator.split("(")[0] if isinstance(estimator, str) else type(estimator).__name__


def glance(effect: Result) -> pd.DataFrame:
    """Return one row of facts about the fit."""
    facts = {
        "estimand": effect.estimand,
        "estimator": None if effect.estimator is None else _estimator_name(effect.estimator),
        "n_obs": effect.n_obs,
        "rows": len(effect),
        "level": effect.level,
        "std_error_method": effect.std_error_method,
        "checks_failed": ", ".join(n for n, c in effect.diagnostics.items() if c.passed is False),
        "warnings": len(effect.warnings),
        **effect.facts,
    }
    return pd.DataFrame([facts])


def to_html(effect: Result) -> str:
    """Return the summary as an escaped HTML block."""
    shown, note = _display(effect)
    table = _rows(shown).to_html(border=0)  # pandas escapes cells and labels
    items = [f"<li>{escape(a)}</li>" for a in effect.assumptions]
    alerts = [f"<li><strong>Warning:</strong> {escape(w)}</li>" for w in shown.warnings]
    checks = [f"<li>{escape(n)}: {escape(c.summary)}</li>" for n, c in effect.diagnostics.items()]
    return (
        f"<div><p><strong>{escape(effect.estimand + note)}</strong><br>{effect.n_obs:,} rows; standard errors: "
        f"{escape(effect.std_error_method)}; speaks of {escape(effect.population)}</p>{table}"
        f"<p>Assumes</p><ul>{''.join(items)}{''.join(alerts)}</ul><p>Checks</p><ul>{''.join(checks)}</ul></div>"
    )


_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": "$<$", ">": "$>$",
        "|": r"\textbar{}", **{sign: "\\" + sign for sign in "&%$#_{}"},
    }
)  # fmt: skip


def _escaped(text: str) -> str:
    """Text as LaTeX prints it; a bracket that begins a row would be read as an option of the row before."""
    return ("{}" if text[:1] in ("[", "*") else "") + text.translate(_LATEX)


def to_latex(effect: Result, caption: str | None = None, label: str | None = None) -> str:
    """Return every row as a LaTeX table of booktabs, with the numbers of the text."""
    rows = _rows(effect, None)
    cells = [["", *rows.columns], *([name, *values] for name, *values in rows.itertuples(name=None))]
    head, *lines = [" & ".join(map(_escaped, row)) + r" \\" for row in cells]
    tabular = [
        r"\begin{tabular}{l" + "r" * len(rows.columns) + "}", r"\toprule", head, r"\midrule", *lines, r"\bottomrule",
        r"\end{tabular}",
    ]  # fmt: skip
    if caption is not None or label is not None:
        said = [] if caption is None else [rf"\caption{{{_escaped(caption)}}}"]
        said += [] if label is None else [rf"\label{{{label}}}"]
        tabular = [r"\begin{table}", r"\centering", *said, *tabular, r"\end{table}"]
    return "\n".join(tabular) + "\n"


def compare(effects: Mapping[str, Result]) -> pd.DataFrame:
    """Put effects side by side: one row per fit and estimand, with the columns of ``effect.table`` and n_obs.

    Parameters
    ----------
    effects : mapping of str to Effect
        Name of each fit, and the fit.

    Examples
    --------
    >>> pandas_causal.compare({"naive": a, "adjusted": b})  # doctest: +SKIP
    """
    if not isinstance(effects, dict) or not effects:
        raise CausalArgumentError('compare takes a dict of effects: compare({"naive": a, "adjusted": b})')
    tables = {}
    for name, effect in effects.items():
        if not hasattr(effect, "table"):
            raise CausalArgumentError(f"{name!r} is a {type(effect).__name__}, not an Effect")
        tables[name] = effect.table.assign(
            n_obs=effect.n_obs, estimator=_estimator_name(effect.estimator) if effect.estimator is not None else ""
        )
    out = pd.concat(tables, names=["fit"])
    return out.droplevel(list(range(1, out.index.nlevels))) if all(len(t) == 1 for t in tables.values()) else out
