"""One effect of several outcomes: rows by outcome, with how the outcomes vary jointly."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from operator import getitem
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.effect.check import Check, Checks
from pandas_causal.effect.effect import Effect
from pandas_causal.effect.estimates import Estimates
from pandas_causal.errors import CausalArgumentError
from pandas_causal.inference.influence import Influence
from pandas_causal.inference.stacking import stack

__all__ = ["by_outcome"]

# checks that do not look at the outcome
_OF_THE_DESIGN = ("overlap", "propensity", "balance", "squares", "sample_ratio")


def by_outcome(effects: Mapping[Hashable, Effect]) -> Effect:
    """Put fits of one design to several outcomes of the same rows in one effect.

    Parameters
    ----------
    effects : mapping of outcome to Effect

    Returns
    -------
    Effect
        Rows (outcome, row of the fit). Each has the estimate, standard error and degrees of freedom of its own fit;
        comparisons and joint tests between outcomes count their covariance.

    Raises
    ------
    CausalArgumentError
        For fits without contributions of rows, or with averages that belong to one outcome.
    """
    fits = list(effects.values())
    for outcome, fit in effects.items():
        if not isinstance(fit.uncertainty, Influence) or fit.uncertainty.contributions is None or fit.weightings:
            raise CausalArgumentError(
                f"several outcomes in one call need contributions of the rows; those of {outcome!r} are not there"
                f" ({fit.std_error_method}): ask for one outcome at a time, and pandas_causal.compare the answers"
            )
    first = fits[0]
    level = first.rows.index
    names = ["outcome", *(n if n is not None else "row" for n in level.names)]
    labels = [(o, *(r if level.nlevels > 1 else (r,))) for o, fit in effects.items() for r in fit.rows.index]
    index = pd.MultiIndex.from_tuples(labels, names=names)
    bias = None
    if any(fit.bias is not None for fit in fits):
        bias = np.concatenate([np.zeros(len(fit)) if fit.bias is None else fit.bias for fit in fits])
    values = pd.Series(np.concatenate([fit.rows.array for fit in fits]), index=index, name="estimate")
    uncertainty = stack([u for fit in fits if isinstance(u := fit.uncertainty, Influence)], list(effects))
    tests = [fit.tests for fit in fits if fit.tests is not None]
    return replace(
        first,
        rows=Estimates(values, uncertainty, bias=bias, scale=first.rows.scale),
        estimand="; ".join(dict.fromkeys(fit.estimand for fit in fits)),
        assumptions=_union(fit.assumptions for fit in fits),
        diagnostics=Checks(_checks(effects)),
        warnings=_warnings(effects),
        std_error_method="; ".join(dict.fromkeys(fit.std_error_method for fit in fits)),
        estimator=repr(first.estimator),
        inversion=_inversion(effects, names),
        tests=pd.concat(tests).set_axis(index) if len(tests) == len(fits) else None,
        population="; ".join(dict.fromkeys(fit.population for fit in fits)),
        facts=_facts(effects),
        study=None,
    )


@dataclass(frozen=True, eq=False)
class _EachInversion:
    """The test inversions of several outcomes, one below the other."""

    inversions: Mapping[Hashable, Callable[[float], pd.DataFrame]]
    names: tuple[Any, ...]

    def __call__(self, level: float) -> pd.DataFrame:
        return pd.concat({o: inversion(level) for o, inversion in self.inversions.items()}, names=list(self.names))


def _inversion(effects: Mapping[Hashable, Effect], names: list[Any]) -> _EachInversion | None:
    """Sets of every outcome, where all come from inverting a test."""
    inversions = {o: fit.inversion for o, fit in effects.items() if fit.inversion is not None}
    return _EachInversion(inversions, tuple(names)) if len(inversions) == len(effects) else None


def _union(texts: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for part in texts for text in part))


def _checks(effects: Mapping[Hashable, Effect]) -> dict[str, Any]:
    """Checks of the design once, those that look at the outcome by outcome; none is computed before it is read."""
    out: dict[str, Any] = {}
    for outcome, fit in effects.items():
        for name in fit.diagnostics:
            check = partial(_read, fit.diagnostics, name)
            if name in _OF_THE_DESIGN:
                out.setdefault(name, check)
            else:
                out[f"{name} | {outcome}"] = check
    return out


def _read(checks: Mapping[str, Check], name: str) -> Check:
    return getitem(checks, name)


def _warnings(effects: Mapping[Hashable, Effect]) -> tuple[str, ...]:
    """Warnings that all fits share once, the others with their outcome."""
    common = set.intersection(*(set(fit.warnings) for fit in effects.values()))
    own = [f"{o}: {w}" for o, fit in effects.items() for w in fit.warnings if w not in common]
    shared = [w for w in next(iter(effects.values())).warnings if w in common]
    return (*shared, *own)


def _facts(effects: Mapping[Hashable, Effect]) -> dict[str, Any]:
    """Facts that all fits share."""
    first, *others = (fit.facts for fit in effects.values())
    shared = {k: v for k, v in first.items() if all(k in other and other[k] == v for other in others)}
    return {**shared, "outcome": ", ".join(map(str, effects))}
