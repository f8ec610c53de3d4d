"""What can be said of an effect without assuming how treatment was chosen, or who is observed.

References
----------
Manski (1990), "Nonparametric bounds on treatment effects", AER 80. Manski (1997), "Monotone treatment response",
Econometrica 65. Manski and Pepper (2000), "Monotone instrumental variables", Econometrica 68. Lee (2009), "Training,
wages, and sample selection: estimating sharp bounds on treatment effects", Review of Economic Studies 76.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.effect.check import Check
from pandas_causal.effect.effect import Effect
from pandas_causal.effect.estimates import Estimates
from pandas_causal.errors import (
    AssumptionWarning,
    CausalArgumentError,
    CausalDataError,
    CausalError,
    Problem,
    suggest,
    warn,
)
from pandas_causal.inference.identified_sets import IdentifiedSets
from pandas_causal.inference.influence import Influence
from pandas_causal.inference.rows import RowIdentity
from pandas_causal.inputs.arms import resolve_arms
from pandas_causal.inputs.column_rules import as_float, is_numeric
from pandas_causal.inputs.parameters import LEVEL, check_settings, one_of
from pandas_causal.kernels.arrays import Bools, Codes, Floats

__all__ = ["bounds_of", "lee_bounds", "worst_case_bounds"]

METHODS_OF_BOUNDS = ("manski", "monotone_response", "monotone_selection", "monotone", "balke_pearl")
_RULES = {
    "method": one_of(*METHODS_OF_BOUNDS),
    "response": one_of("increasing", "decreasing"),
    "selection": one_of("positive", "negative"),
    "estimand": one_of("ATE", "ATT"),
    "level": LEVEL,
}
_MOST_VALUES = 20
_ENDS = ("lower", "upper")


def bounds_of(effect: Effect, method: str | None = None, **settings: Any) -> Effect | Check:
    """Bounds of the effect that an effect asks for; called by ``Effect.bounds``.

    Raises
    ------
    CausalArgumentError
        For a method that is not known, or that this design does not have.
    """
    if method is not None and (not isinstance(method, str) or method not in METHODS_OF_BOUNDS):
        if method == "lee":
            raise CausalArgumentError(
                "Lee bounds are of outcomes that some rows lack, which a fit leaves out; ask the frame:"
                " df.causal.bounds('lee', treatment=..., outcome=...)"
            )
        known = list(METHODS_OF_BOUNDS)
        raise CausalArgumentError(f"bounds({method!r}) is not known{suggest(method, known)}; use one of {known}")
    is_instrument = "instrument" in effect.facts or "instruments" in effect.facts
    if method == "balke_pearl" or (method is None and is_instrument):
        found = effect.diagnostics.get("bounds")
        if found is None or settings:
            raise CausalArgumentError(
                "Balke and Pearl's bounds are of a 0/1 outcome, treatment and instrument, and take no settings:"
                " df.causal.iv(..., estimator='interactive').bounds()"
            )
        return found
    return worst_case_bounds(effect, "manski" if method is None else method, **settings)


@dataclass(frozen=True, eq=False)
class _Arms:
    """Outcome and arm of every row, in the order in which the arms are more treatment."""

    y: Floats
    codes: Codes
    w: Floats
    levels: tuple[Any, ...]

    @property
    def n_arms(self) -> int:
        return len(self.levels)

    def share(self, arms: Sequence[int]) -> tuple[float, Floats]:
        """Share of rows in some arms, and its contributions."""
        inside = np.isin(self.codes, arms).astype(float)
        value = float(self.w @ inside) / self.w.sum()
        return value, self.w * (inside - value) / self.w.sum()

    def total(self, arms: Sequence[int]) -> tuple[float, Floats]:
        """``E[Y 1{A in arms}]``."""
        part = np.where(np.isin(self.codes, arms), self.y, 0.0)
        value = float(self.w @ part) / self.w.sum()
        return value, self.w * (part - value) / self.w.sum()

    def mean(self, arm: int) -> tuple[float, Floats]:
        """``E[Y | A = arm]``."""
        inside = self.w * (self.codes == arm)
        value = float(inside @ self.y) / inside.sum()
        return value, inside * (self.y - value) / inside.sum()


@dataclass(frozen=True, eq=False)
class _End:
    """A bound with its contributions."""

    value: float
    contributions: Floats

    def __add__(self, other: _End) -> _End:
        return _End(self.value + other.value, self.contributions + other.contributions)

    def __sub__(self, other: _End) -> _End:
        return _End(self.value - other.value, self.contributions - other.contributions)

    def times(self, other: _End) -> _End:
        """Product of two, by the delta method."""
        slope = self.value * other.contributions + other.value * self.contributions
        return _End(self.value * other.value, slope)

    def scaled(self, factor: float) -> _End:
        """A known multiple."""
        return _End(factor * self.value + 0.0, factor * self.contributions)


def worst_case_bounds(
    effect: Effect,
    method: str = "manski",
    *,
    outcome_range: tuple[float, float] | None = None,
    response: str = "increasing",
    selection: str = "positive",
    estimand: str = "ATE",
    level: float | None = None,
) -> Effect:
    """Bounds of the average effect of arms, without or with weak assumptions on how they were chosen.

    Parameters
    ----------
    effect : Effect
        Of any estimator that compares arms of rows; only outcome, arms, weights and clusters are read, no covariates.
    method : {"manski", "monotone_response", "monotone_selection", "monotone"}
        "manski": the outcome has a range, nothing else. "monotone_response": nobody is harmed, arms in their order.
        "monotone_selection": those in a later arm would have had a higher mean under every arm. "monotone": both.
    outcome_range : (float, float), optional
        Least and largest outcome that is possible; (0, 1) of 0/1 outcomes, else that of the rows, which is said.
    response : {"increasing", "decreasing"}
        Direction of the response.
    selection : {"positive", "negative"}
        Whether those in later arms have higher or lower outcomes.
    estimand : {"ATE", "ATT"}
    level : float, optional
        The effect's own by default.

    Returns
    -------
    Effect
        Two rows per contrast, "lower" and "upper"; ``confidence_set()`` has the interval of the effect itself (Imbens
        and Manski 2004).

    References
    ----------
    Manski (1990); Manski (1997), proposition 1; Manski and Pepper (2000), eq. (13), (17) and (27).
    """
    level = effect.level if level is None else level
    check_settings(
        {"method": method, "response": response, "selection": selection, "estimand": estimand, "level": level}, _RULES
    )
    data, rows, clustering = _read(effect)
    binary = bool(np.isin(data.y, (0.0, 1.0)).all())
    low, high, said = _range(data.y, outcome_range, binary)
    turned = response == "decreasing" and method in ("monotone_response", "monotone")
    sign = -1.0 if turned else 1.0  # with the outcome's sign turned the response increases
    mirrored = replace(data, y=sign * data.y)
    ends = (low, high) if sign > 0 else (-high, -low)
    rising = (selection == "positive") == (sign > 0)
    found = [_contrast(mirrored, a, ends, method, estimand, rising=rising) for a in range(1, data.n_arms)]
    pairs = [(lower, upper) if sign > 0 else (upper.scaled(-1), lower.scaled(-1)) for lower, upper in found]
    contrasts = pd.Index([f"{v} - {data.levels[0]}" for v in data.levels[1:]])
    outcome, treatment = effect.facts.get("outcome", "outcome"), effect.facts.get("treatment", "treatment")
    words = "average treatment effect" + ("" if estimand == "ATE" else " on the treated")
    return _arranged(
        pairs, contrasts, rows, clustering,
        estimand=f"bounds of the {words} ({estimand}) of {treatment} on {outcome}, {_METHOD_WORDS[method]}",
        assumptions=_assumptions(method, said, response, selection, data.levels), level=level, facts=dict(effect.facts),
        name=str(treatment),
    )  # fmt: skip


_METHOD_WORDS = {
    "manski": "whatever decided treatment",
    "monotone_response": "monotone in response",
    "monotone_selection": "monotone in selection",
    "monotone": "monotone in response and selection",
}


def _assumptions(method: str, said: str, response: str, selection: str, levels: tuple[Any, ...]) -> tuple[str, ...]:
    order = " <= ".join(map(str, levels))
    out = [said]
    if method in ("monotone_response", "monotone"):
        which = "lowers" if response == "increasing" else "raises"
        out.append(f"monotone response: more treatment ({order}) {which} nobody's outcome (cannot be tested)")
    if method in ("monotone_selection", "monotone"):
        which = "at least" if selection == "positive" else "at most"
        out.append(
            f"monotone selection: those in a later arm ({order}) would have had {which} the mean outcome of those"
            " before them, under every arm (cannot be tested)"
        )
    out.append("no interference between units, and one version of each arm")
    return tuple(out)


def _read(effect: Effect) -> tuple[_Arms, RowIdentity, Sequence[Any]]:
    """Outcome and arms of the rows behind an effect."""
    u, codes = effect.uncertainty, getattr(effect.estimator, "arm_codes_", None)
    rows = u.rows if isinstance(u, Influence) else None
    y = None if rows is None else rows.content
    if not isinstance(u, Influence) or rows is None or y is None or codes is None or len(codes) != len(y):
        raise CausalError(
            "bounds are asked of effects that compare arms of rows (ate, match, ab_test, association), as they were"
            " fitted, or of the frame: df.causal.bounds(treatment=..., outcome=...)"
        )
    w = effect.estimator.row_weights_
    weights = np.ones(len(y)) if w is None else np.asarray(w)
    data = _Arms(np.asarray(y, dtype=float), codes, weights, tuple(effect.estimator.arms_))
    return data, rows, u.clustering or ()


def _range(y: Floats, given: Any, binary: bool) -> tuple[float, float, str]:
    """Least and largest outcome that is possible, and how that is known."""
    if given is None:
        low, high = (0.0, 1.0) if binary else (float(y.min()), float(y.max()))
        said = "" if binary else " (the range of these rows; give outcome_range= if more is possible)"
        return low, high, f"the outcome lies between {low:g} and {high:g}{said}"
    try:
        low, high = (float(v) for v in given)
    except (TypeError, ValueError):
        raise CausalArgumentError(f"outcome_range={given!r}: give the least and the largest outcome") from None
    if not (np.isfinite([low, high]).all() and low < high):
        raise CausalArgumentError(f"outcome_range={given!r}: give two finite numbers, the least first")
    outside = int(((y < low) | (y > high)).sum())
    if outside:
        raise CausalDataError(f"the outcome lies outside of outcome_range={given!r} in {outside:,} rows; widen it")
    return low, high, f"the outcome lies between {low:g} and {high:g}"


def _contrast(
    data: _Arms, arm: int, ends: tuple[float, float], method: str, estimand: str, *, rising: bool
) -> tuple[_End, _End]:
    """Lower and upper bound of an arm against the control."""
    responding = method in ("monotone_response", "monotone")
    nothing = _End(0.0, np.zeros(len(data.y)))
    if estimand == "ATT":
        own, control = _End(*data.mean(arm)), _End(*data.mean(0))
        lowest, highest = (_End(end, nothing.contributions) for end in ends)  # of E[Y(0) | A = arm]
        if method in ("monotone_selection", "monotone"):
            lowest, highest = (control, highest) if rising else (lowest, control)
        upper = own - lowest
        return (nothing, upper) if responding else (own - highest, upper)
    (low_t, high_t), (low_0, high_0) = (_mean_bounds(data, a, ends, method, rising=rising) for a in (arm, 0))
    return (nothing, high_t - low_0) if responding else (low_t - high_0, high_t - low_0)


def _mean_bounds(data: _Arms, arm: int, ends: tuple[float, float], method: str, *, rising: bool) -> tuple[_End, _End]:
    """Bounds of ``E[Y(arm)]``: what is known of the rows of other arms, one by one."""
    out = []
    for side, end in enumerate(ends):
        total = _End(*data.total([arm]))
        for other in range(data.n_arms):
            if other == arm:
                continue
            share = _End(*data.share([other]))
            later = other > arm
            # monotone response: their own outcome bounds what they would have had under `arm` from one side
            responds = method in ("monotone_response", "monotone") and later == bool(side)
            # monotone selection: the mean of the arm bounds theirs from one side
            selected = method in ("monotone_selection", "monotone") and (later == rising) != bool(side)
            if responds:
                total = total + _End(*data.total([other]))
            elif selected:
                total = total + _End(*data.mean(arm)).times(share)
            else:
                total = total + share.scaled(end)
        out.append(total)
    return out[0], out[1]


def _arranged(
    pairs: Sequence[tuple[_End, _End]],
    contrasts: pd.Index,
    rows: RowIdentity,
    clustering: Sequence[Any],
    *,
    estimand: str,
    assumptions: tuple[str, ...],
    level: float,
    facts: dict[str, Any],
    name: str,
    warned: tuple[str, ...] = (),
) -> Effect:
    """An effect of two rows per contrast, whose confidence set is that of the effect between them."""
    values = np.array([end.value for pair in pairs for end in pair])
    contributions = np.column_stack([end.contributions for pair in pairs for end in pair])
    index = pd.MultiIndex.from_product([contrasts, _ENDS], names=[name, "end"])
    u = Influence.from_contributions(
        values, contributions, rows, names=pd.Index([" ".join(map(str, i)) for i in index])
    )
    if len(clustering):
        u = u.cluster(list(clustering))
    crossed = [str(c) for c, (low, high) in zip(contrasts, pairs, strict=True) if low.value > high.value + 1e-12]
    if crossed:
        text = f"the bounds of {', '.join(crossed[:5])} cross: the rows contradict what is assumed, if this is no noise"
        warn(text, AssumptionWarning)
        warned = (*warned, text)
    m, known = len(pairs), np.asarray(~contributions.any(axis=0))
    by_end = u.take(np.concatenate([np.arange(0, 2 * m, 2), np.arange(1, 2 * m, 2)]))
    method = "influence function, normal law; of the effect: Imbens and Manski (2004), see confidence_set()"
    return Effect(
        rows=Estimates(
            pd.Series(values, index=index, name="estimate"), u, reference_rows=known if known.any() else None
        ),
        estimand=estimand,
        n_obs=len(rows),
        level=level,
        assumptions=assumptions,
        warnings=warned,
        std_error_method=method,
        inversion=IdentifiedSets(by_end, contrasts.rename(name)),
        facts=facts,
    )


# -- who is observed -----------------------------------------------------------------------------------------------


def lee_bounds(
    frame: pd.DataFrame,
    *,
    treatment: Hashable,
    outcome: Hashable,
    selected: Hashable = None,
    covariates: Sequence[Hashable] = (),
    cluster: Hashable = None,
    sample_weight: Hashable = None,
    control: Hashable = None,
    level: float = 0.95,
) -> Effect:
    """Lee's bounds: a randomised treatment that also decides whose outcome is seen.

    Wages are seen of the employed only, and training may employ. If treatment moves being observed in one direction
    only, the effect on those who would be observed under either arm lies between two trimmed differences: the arm with
    more observed rows loses its surplus, once from the top, once from the bottom.

    Parameters
    ----------
    frame : DataFrame
    treatment : name
        Two arms, randomised.
    outcome : name
        Missing where it is not observed, unless `selected` says so.
    selected : name, optional
        0/1 or bool: whether the outcome is observed (employed).
    covariates : sequence of names
        Categories (at most 20 values each) fixed before treatment: trimming within their cells gives tighter bounds.
    cluster, sample_weight : name, optional
    control : level, optional
    level : float

    Returns
    -------
    Effect
        Rows "lower" and "upper"; ``confidence_set()`` has the interval of the effect (Imbens and Manski 2004).
        ``diagnostics["selection"]`` holds shares observed and trimmed, by cell.

    Raises
    ------
    CausalDataError
        For absent columns, other than two arms, or a cell without observed rows in both.

    References
    ----------
    Lee (2009), Review of Economic Studies 76, proposition 1a (bounds), 1b (covariates) and 3 (errors, here by influence
    functions: the trimmed share is estimated).
    """
    check_settings({"level": level}, {"level": LEVEL})
    names = [v for v in (treatment, outcome, selected, cluster, sample_weight, *covariates) if v is not None]
    absent = [name for name in names if not pd.api.types.is_hashable(name) or name not in frame.columns]
    if absent:
        known = suggest(absent[0], frame.columns)
        raise CausalDataError(
            [Problem(str(absent[0]), f"is no column of the frame{known}", None, "give names of columns")]
        )
    lacking = [name for name in names if name != outcome and frame[name].isna().any()]
    if lacking:
        count = int(frame[lacking[0]].isna().sum())
        raise CausalDataError([Problem(str(lacking[0]), "is missing", count, "only the outcome may be")])
    arms = resolve_arms(frame[treatment], control)
    if len(arms) != 2:
        raise CausalDataError(
            [Problem(str(treatment), f"has {len(arms)} arms, and Lee bounds compare two", None, "select two arms")]
        )
    seen, y = _observed(frame, outcome, selected)
    w = np.ones(len(frame)) if sample_weight is None else _weights(frame[sample_weight])
    cells, labels = _cells(frame, covariates)
    for code, arm in enumerate(arms.levels):
        if not (w * seen)[arms.codes == code].any():
            raise CausalDataError(
                [Problem(str(outcome), f"is observed in no row of arm {arm!r}", None, "nothing can be compared")]
            )
    treated = np.asarray(arms.codes == 1)
    shares = [float((w * seen)[treated == a].sum() / w[treated == a].sum()) for a in (False, True)]
    rises = shares[1] >= shares[0]
    more = treated if rises else ~treated  # the arm that is trimmed
    lower, upper, table = _trimmed(y, seen, more, w, cells, labels)
    if not rises:
        lower, upper = upper.scaled(-1), lower.scaled(-1)
    table.insert(0, "trimmed_arm", str(arms.levels[int(rises)]))
    warned = []
    against = int((table["trimmed"] == 0).sum()) if len(table) > 1 else 0
    if against:
        text = (
            f"in {against} of {len(table)} cells treatment moves being observed the other way (or not at all); nothing"
            " is trimmed there: with few rows a cell this is noise, else monotone selection fails"
        )
        warned = [text]
        warn(text, AssumptionWarning)
    effect = _arranged(
        [(lower, upper)], pd.Index(arms.contrasts), RowIdentity(frame.index, np.where(seen, y, 0.0)),
        [] if cluster is None else [frame[cluster].to_numpy()],
        estimand=f"bounds of the average effect of {treatment} on {outcome} among those observed under either arm",
        assumptions=(
            f"{treatment} was randomised",
            f"monotone selection: {treatment} moves being observed in one direction only (cannot be tested)",
            "no interference between units, and one version of each arm",
        ),
        level=level, name=str(treatment), warned=tuple(warned),
        facts={
            "treatment": str(treatment), "outcome": str(outcome), "control": arms.levels[0],
            "share_observed": dict(zip(map(str, arms.levels), shares, strict=True)),
        },
    )  # fmt: skip
    trimmed = float(np.average(table["trimmed"], weights=table["weight"]))
    text = f"observed: {shares[1]:.1%} of the treated, {shares[0]:.1%} of the controls; {trimmed:.1%} are trimmed"
    return replace(effect, diagnostics={"selection": Check(None, table, text)}, population="the always observed")


def _observed(frame: pd.DataFrame, outcome: Hashable, selected: Hashable) -> tuple[Bools, Floats]:
    """Who is observed, and the outcome (0 where not)."""
    column = frame[outcome]
    if not is_numeric(column):
        raise CausalDataError([Problem(str(outcome), "outcome holds no numbers", None, "give a numeric column")])
    y = as_float(column)
    if selected is None:
        seen = ~column.isna().to_numpy()
    else:
        flags = frame[selected]
        if not flags.isin([0, 1]).all():
            raise CausalDataError([Problem(str(selected), "is not 0/1", None, "give 1 where the outcome is observed")])
        seen = flags.to_numpy().astype(bool)
        lost = int((seen & column.isna().to_numpy()).sum())
        if lost:
            raise CausalDataError(
                [Problem(str(outcome), f"is missing where {selected} says it is observed", lost, "correct one of them")]
            )
    if not np.isfinite(y[seen]).all():
        raise CausalDataError(
            [Problem(str(outcome), "is infinite", int((~np.isfinite(y[seen])).sum()), "correct these rows")]
        )
    return seen, np.where(seen, y, 0.0)


def _weights(column: pd.Series[Any]) -> Floats:
    w = as_float(column) if is_numeric(column) else np.full(len(column), np.nan)
    if not (np.isfinite(w).all() and (w >= 0).all() and w.sum() > 0):
        raise CausalDataError([Problem(str(column.name), "weights must be numbers of 0 or more", None, "correct them")])
    return w / w.mean()


def _cells(frame: pd.DataFrame, covariates: Sequence[Hashable]) -> tuple[Codes, list[str]]:
    """Cell of every row, and what the cells are called."""
    if isinstance(covariates, str):
        raise CausalArgumentError(f"covariates takes a list of column names: [{covariates!r}]")
    if not len(covariates):
        return np.zeros(len(frame), dtype=np.intp), ["all rows"]
    many = [c for c in covariates if frame[c].nunique() > _MOST_VALUES]
    if many:
        raise CausalDataError(
            [
                Problem(
                    str(c), f"has {frame[c].nunique():,} values, and cells are made of at most {_MOST_VALUES}", None,
                    "cut it into a few classes (pd.qcut)",
                )
                for c in many
            ]
        )  # fmt: skip
    groups = frame.groupby(list(covariates), observed=True, sort=True)
    codes = groups.ngroup().to_numpy()
    firsts = frame.iloc[np.unique(codes, return_index=True)[1]]
    labels = [" | ".join(str(firsts[c].iloc[k]) for c in covariates) for k in range(len(firsts))]
    return codes, labels


def _trimmed(
    y: Floats, seen: Bools, more: Bools, w: Floats, cells: Codes, labels: list[str]
) -> tuple[_End, _End, pd.DataFrame]:
    """Bounds of the mean of the arm with more observed rows less that of the other, averaged over cells."""
    n = len(y)
    less_seen = w * (~more & seen)
    weight = np.bincount(cells, weights=less_seen, minlength=len(labels)) / less_seen.sum()
    lower, upper, rows = [], [], []
    for c, label in enumerate(labels):
        inside = cells == c
        a, b = w * (inside & more), w * (inside & ~more)
        if not ((a * seen).any() and (b * seen).any()):
            raise CausalDataError(
                f"cell {label!r} has no observed row in one of the arms; use fewer covariates, or coarser ones"
            )
        s_a, s_b = float(a @ seen / a.sum()), float(b @ seen / b.sum())
        p = 1 - s_b / s_a
        of_p = (s_b / s_a**2) * a * (seen - s_a) / a.sum() - (1 / s_a) * b * (seen - s_b) / b.sum()
        if p <= 0:
            p, of_p = 0.0, np.zeros(n)
        mean = float(b @ (seen * y) / (b @ seen))
        of_mean = b * seen * (y - mean) / (b @ seen)
        ends = []
        for sign in (-1.0, 1.0):  # lower: the largest are trimmed
            top, by_row, slope = _trimmed_mean(sign * y, a * seen, p)
            ends.append(_End(sign * top - mean, sign * (by_row + slope * of_p) - of_mean))
        lower.append(ends[0])
        upper.append(ends[1])
        rows.append((float(w[inside].sum()), s_a, s_b, p, float(weight[c])))
    columns = ["rows", "observed_in_trimmed_arm", "observed_in_other", "trimmed", "weight"]
    table = pd.DataFrame(rows, columns=columns, index=pd.Index(labels, name="cell"))
    return _averaged(lower, weight, cells, less_seen), _averaged(upper, weight, cells, less_seen), table


def _averaged(ends: list[_End], weight: Floats, cells: Codes, less_seen: Floats) -> _End:
    """Average over cells, by their estimated shares among the observed of the other arm."""
    values = np.array([end.value for end in ends])
    total = float(weight @ values)
    parts = np.sum([share * end.contributions for share, end in zip(weight, ends, strict=True)], axis=0)
    return _End(total, parts + less_seen * (values[cells] - total) / less_seen.sum())


def _trimmed_mean(y: Floats, w: Floats, p: float) -> tuple[float, Floats, Floats]:
    """Mean above the quantile p, what every row adds to it, and its slope in p."""
    order = np.argsort(y, kind="stable")
    total = float(w.sum())
    before = np.cumsum(w[order]) - w[order]
    kept = np.clip((before + w[order] - p * total), 0.0, w[order])  # part of a row's weight above the quantile
    q = float(y[order][min(int(np.searchsorted(np.cumsum(w[order]), p * total, side="right")), len(y) - 1)])
    mean = float(kept @ y[order] / kept.sum())
    by_row = w * (np.maximum(y - q, 0.0) - (1 - p) * (mean - q)) / ((1 - p) * total)
    return mean, by_row, np.asarray((mean - q) / (1 - p))
