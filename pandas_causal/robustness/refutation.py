"""``Effect.refute``: one table of what was changed, what came of it, and what a failure would mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.effect.check import Check
from pandas_causal.effect.effect import Effect
from pandas_causal.errors import CausalArgumentError, CausalError, suggest
from pandas_causal.inference.multiplicity import adjust_p_values
from pandas_causal.robustness.design_refuters import REFUTERS_OF_DESIGNS
from pandas_causal.robustness.refits import Plan, Question
from pandas_causal.robustness.refuters import REFUTERS_OF_ROWS, Finding, Refuter

__all__ = ["REFUTERS", "Refutation", "refute_effect", "what_refuters_see"]

REFUTERS: tuple[Refuter, ...] = (*REFUTERS_OF_ROWS, *REFUTERS_OF_DESIGNS)
_FEWEST = 10
_WIDTH = 118
_NO_EFFECT = "not refuted"
_COLUMNS = ["changes", "estimate", "new_estimate", "p_value", "p_adjusted", "passed", "verdict", "if_refuted", "detail"]


@dataclass(frozen=True, eq=False, repr=False)
class Refutation(Check):
    """Result of :meth:`Effect.refute`; that nothing is refuted does not make an estimate true.

    Attributes
    ----------
    passed : bool or None
        False where a refuter says "refuted", None where none judged.
    table : DataFrame
        One row per refuter: changes, estimate, new_estimate, p_value, p_adjusted (Holm), verdict, if_refuted, detail.
    summary : str
    sees : DataFrame
        What each of these refuters can find, and what it is blind to.
    draws : mapping of str to DataFrame
        Estimates and standard errors of every draw, or a row a setting (the grid of confounders, the covariate that is
        left out), by refuter.
    not_applied : mapping of str to str
        Why others did not run.
    """

    sees: pd.DataFrame = field(default_factory=pd.DataFrame)
    draws: dict[str, pd.DataFrame] = field(default_factory=dict)
    not_applied: dict[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        lines = [self.summary, ""]
        shown = self.table[["estimate", "new_estimate", "p_value", "verdict"]].copy()
        for column in ("estimate", "new_estimate"):
            shown[column] = [("" if np.isnan(v) else f"{v:.4g}") for v in shown[column]]
        shown["p_value"] = ["" if np.isnan(v) else ("<0.001" if v < 0.001 else f"{v:.3f}") for v in shown["p_value"]]
        lines += shown.rename(columns={"new_estimate": "new", "p_value": "p"}).to_string().splitlines()
        lines.append("")
        for name, row in self.table.iterrows():
            detail = f"; {row['detail']}" if row["detail"] else ""
            lines += _wrapped(f"{name} changes {row['changes']}{detail}")
            if row["verdict"] == "refuted":
                lines += _wrapped(f"    refuted: {row['if_refuted']}")
        lines += ["", "What they can see, and what not:"]
        for name, row in self.sees.iterrows():
            lines += _wrapped(f"  {name}: {row['sees']}; blind to {row['blind_to']}")
        return "\n".join(line.rstrip() for line in lines)

    def _repr_html_(self) -> str:
        shown = self.table[["changes", "estimate", "new_estimate", "p_value", "verdict", "if_refuted"]]
        return (
            f"<div><p><strong>{escape(self.summary)}</strong></p>"
            f"{shown.to_html(border=0, float_format='{:.4g}'.format)}{self.sees.to_html(border=0)}</div>"
        )


def _wrapped(text: str) -> list[str]:
    return wrap(text, _WIDTH, subsequent_indent="    ")


def what_refuters_see(names: Sequence[str] | None = None) -> pd.DataFrame:
    """What each refuter changes, can find and is blind to: a row a refuter."""
    chosen = REFUTERS if names is None else [r for r in REFUTERS if r.name in names]
    rows = [(r.changes, r.null, r.sees, r.blind_to) for r in chosen]
    index = pd.Index([r.name for r in chosen], name="refuter")
    return pd.DataFrame(rows, columns=["changes", "null", "sees", "blind_to"], index=index)


def refute_effect(
    effect: Effect,
    refuter: str | Sequence[str] | None = None,
    *,
    study: pd.DataFrame | None = None,
    n_simulations: int = 100,
    n_jobs: int | None = None,
    alpha: float = 0.05,
    random_state: int = 0,
    progress: bool = True,
    negative_outcome: Any = None,
    negative_exposure: Any = None,
    graph: Any = None,
) -> Refutation:
    """Run refuters on an effect: see :meth:`Effect.refute`."""
    _check(n_simulations, alpha, random_state, n_jobs)
    if effect.study is None:
        raise CausalArgumentError(
            "this effect does not come from one fit of an average (several outcomes, a difference of two fits, a row"
            " for every unit, a structural model, a functional of a graph), so there is nothing to fit again: refute"
            " the fits that it is made of"
        )
    whole = effect.study if study is None else effect.study.on(study)
    asked = {
        "negative_outcome": _listed(negative_outcome),
        "negative_exposure": _listed(negative_exposure),
        "graph": graph,
    }
    question = Question.of(effect, whole, asked)
    chosen, why_not = _chosen(refuter, question)
    plan = Plan(int(n_simulations), int(random_state), n_jobs, progress, float(alpha))
    findings: dict[str, Finding | str] = {}
    for one in chosen:
        try:
            findings[one.name] = one.run(question, plan)
        except (CausalError, np.linalg.LinAlgError) as error:
            findings[one.name] = str(error)
        except KeyboardInterrupt:
            break
        if question.stopped:
            break
    ran = [one for one in chosen if one.name in findings]
    return _arranged(ran, findings, why_not, plan.alpha)


def _check(n_simulations: object, alpha: object, random_state: object, n_jobs: object) -> None:
    whole = isinstance(n_simulations, int | np.integer) and not isinstance(n_simulations, bool)
    if not whole or int(n_simulations) < _FEWEST:  # type: ignore[call-overload]
        raise CausalArgumentError(f"n_simulations must be a whole number of at least {_FEWEST}; got {n_simulations!r}")
    if isinstance(alpha, bool) or not isinstance(alpha, int | float | np.number) or not 0 < float(alpha) < 1:
        raise CausalArgumentError(f"alpha must be a number between 0 and 1, e.g. 0.05; got {alpha!r}")
    if isinstance(random_state, bool) or not isinstance(random_state, int | np.integer) or random_state < 0:
        raise CausalArgumentError(f"random_state must be a whole number of at least 0; got {random_state!r}")
    if n_jobs is not None and (isinstance(n_jobs, bool) or not isinstance(n_jobs, int | np.integer) or n_jobs == 0):
        raise CausalArgumentError(f"n_jobs must be a whole number other than 0, or None; got {n_jobs!r}")


def _listed(names: Any) -> list[Any]:
    if names is None:
        return []
    return [names] if isinstance(names, str) or not pd.api.types.is_list_like(names) else list(names)


def _chosen(refuter: str | Sequence[str] | None, question: Question) -> tuple[list[Refuter], dict[str, str]]:
    """Refuters to run, and why others do not apply."""
    why_not = {r.name: why for r in REFUTERS if (why := r.applies(question)) is not None}
    by_name = {r.name: r for r in REFUTERS}
    fits = [name for name in by_name if name not in why_not]
    if refuter is None:
        return [by_name[name] for name in fits], why_not
    names = [refuter] if isinstance(refuter, str) else list(refuter)
    for name in names:
        if name not in by_name:
            raise CausalArgumentError(
                f"no refuter is called {name!r}{suggest(name, fits)}; of this study there are: {', '.join(fits)}"
            )
        if name in why_not:
            raise CausalArgumentError(f"{name} {why_not[name]}; of this study there are: {', '.join(fits) or 'none'}")
    return [by_name[name] for name in dict.fromkeys(names)], why_not


def _arranged(
    ran: list[Refuter], findings: dict[str, Finding | str], why_not: dict[str, str], alpha: float
) -> Refutation:
    found = {one.name: f for one in ran if isinstance(f := findings[one.name], Finding)}
    p = {name: f.p_value for name, f in found.items() if not np.isnan(f.p_value)}
    adjusted = dict(zip(p, adjust_p_values(np.array(list(p.values())), "holm"), strict=True)) if p else {}
    rows = []
    for one in ran:
        f = findings[one.name]
        if isinstance(f, str):
            detail = f"could not run: {f}"
            rows.append([one.changes, np.nan, np.nan, np.nan, np.nan, None, "could not run", one.reading, detail])
            continue
        passed = bool(adjusted[one.name] >= alpha) if one.name in adjusted else f.passed
        verdict = {True: _NO_EFFECT, False: "refuted", None: "for information"}[passed]
        rows.append(
            [one.changes, f.estimate, f.new_estimate, f.p_value, adjusted.get(one.name, np.nan), passed, verdict,
             one.reading, f.detail]
        )  # fmt: skip
    table = pd.DataFrame(rows, columns=_COLUMNS, index=pd.Index([one.name for one in ran], name="refuter"))
    table["passed"] = table["passed"].astype("boolean")
    judged = table["verdict"].isin([_NO_EFFECT, "refuted"])
    refuted = list(table.index[table["verdict"] == "refuted"])
    count = int(judged.sum())
    word = f"{count} refuter{'' if count == 1 else 's'}"
    if refuted:
        summary = f"refuted by {', '.join(refuted)} ({word} judged, level {alpha:g}, Holm)"
    elif count:
        summary = f"not refuted by {word} (level {alpha:g}, Holm), which does not make it true"
    else:
        summary = "no refuter judged"
    draws = {name: f.draws for name, f in found.items() if f.draws is not None}
    passed_all = None if not judged.any() else not refuted
    return Refutation(passed_all, table, summary, what_refuters_see([one.name for one in ran]), draws, why_not)
