"""Refuters of comparisons of rows: each changes one thing of which it is known what should come of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.effect.bootstrap import draw_weights
from pandas_causal.effect.study import Refitted
from pandas_causal.errors import CausalError
from pandas_causal.inference.reference import Student
from pandas_causal.inputs.column_rules import as_float
from pandas_causal.inputs.encoding import Encoder
from pandas_causal.kernels.arrays import Codes, Floats, Positions
from pandas_causal.models.linear import StandardisedMatrix
from pandas_causal.robustness.refits import Collected, Plan, Question, law_of_draws

__all__ = ["REFUTERS_OF_ROWS", "Finding", "Refuter", "of_draws", "residual"]

_SHARE = 0.8
_ZERO = 1e-8


@dataclass(frozen=True, eq=False)
class Finding:
    """What a refuter found.

    Attributes
    ----------
    estimate, new_estimate : float
        Before and after the change (the mean of draws), of the row that speaks loudest.
    p_value : float
        Of the null that the refuter states; NaN where there is none to test.
    passed : bool or None
        Where no p-value says it; None: for information.
    detail : str
    draws : DataFrame or None
        Estimates and standard errors of every draw, or a row a setting.
    """

    estimate: float
    new_estimate: float
    p_value: float = np.nan
    passed: bool | None = None
    detail: str = ""
    draws: pd.DataFrame | None = field(default=None, repr=False)


@dataclass(frozen=True, eq=False)
class Refuter:
    """A change of the data or of the method, and what should come of it.

    Attributes
    ----------
    name : str
    changes : str
        What it changes.
    null : str
        What holds if nothing is wrong.
    reading : str
        What a failure means.
    sees, blind_to : str
        Faults that it can find, and those that it cannot.
    applies : callable
        ``Question -> str or None``: why it does not apply, or None.
    run : callable
        ``(Question, Plan) -> Finding``.
    """

    name: str
    changes: str
    null: str
    reading: str
    sees: str
    blind_to: str
    applies: Callable[[Question], str | None]
    run: Callable[[Question, Plan], Finding]


def of_draws(
    question: Question, collected: Collected, *, around: float | Floats, scale: float | Floats | None
) -> Finding:
    """Judge draws by their law: around what they should lie, and with which standard errors (None: their own).

    Raises
    ------
    CausalError
        Too few draws are left.
    """
    if collected.unusable:
        raise CausalError(collected.unusable)
    deviations = collected.estimates - around
    errors = collected.std_errors if scale is None else np.broadcast_to(scale, deviations.shape)
    df = collected.df if scale is None else np.full(deviations.shape, np.inf)
    law = law_of_draws(deviations, errors, df)
    j = int(np.nanargmin(law.p_value))
    estimate = float(question.found.estimates[question.kept][j])
    spread = f"; they spread {law.spread[j]:.2f} times as widely as the standard error says"
    frame = pd.DataFrame({"estimate": collected.estimates[:, j], "std_error": collected.std_errors[:, j]})
    return Finding(
        estimate,
        float(collected.estimates[:, j].mean()),
        float(min(1.0, law.p_value[j] * len(law.p_value))),
        detail=collected.notes if np.isnan(law.spread[j]) else f"{collected.notes}{spread}",
        draws=frame,
    )


# -- when they apply -------------------------------------------------------------------------------------------------


def _rows_only(question: Question) -> str | None:
    return None if question.design == "rows" else f"is for comparisons of rows, and this is a {question.in_words}"


def _rows_or_instruments(question: Question) -> str | None:
    if getattr(question.study.estimator, "estimates_levels", False):
        return "is for effects, whose value is 0 where there is none, and these are means"
    if question.design in ("rows", "instrument"):
        return None
    return f"is for comparisons of rows and for instruments, and this is a {question.in_words}"


def _has_covariates(question: Question) -> str | None:
    why = _rows_or_instruments(question)
    if why is None and not question.covariates:
        return "changes covariates, and this fit reads none"
    return why


def _can_resample(question: Question) -> str | None:
    if question.design == "discontinuity":
        return "is not for discontinuities: bandwidths are chosen anew, so that draws vary by more than by their rows"
    whole_units = question.design == "panel" and "unit" in question.study.roles and not question.is_synthetic
    if getattr(question.study.estimator, "bootstrap_refusal", None) and not whole_units:
        return "is not for estimators that resampling does not describe (matching, synthetic comparisons)"
    if np.isfinite(question.found.std_errors[question.kept]).all():
        return None
    return "compares draws with the standard error, and this fit has none"


def _can_weight(question: Question) -> str | None:
    import inspect

    why = _rows_or_instruments(question) or _can_resample(question)
    if why is None and "sample_weight" not in inspect.signature(question.study.estimator.fit).parameters:
        return "refits on weights of the rows, which this estimator does not take"
    return why


def _has_outcome_model(question: Question) -> str | None:
    why = _rows_only(question) or _has_covariates(question)
    if why is None and "mediators" in question.study.roles:
        return "is for treatments that work directly, and this one goes through mediators"
    return why


def _noise_applies(question: Question) -> str | None:
    why = _rows_or_instruments(question) or _can_resample(question)
    if why is None and np.isin(question.y, (0.0, 1.0)).all():
        return "adds noise to a number, and this outcome is 0 or 1"
    return why


# -- placebo treatment -----------------------------------------------------------------------------------------------


def placebo_order(question: Question, rng: np.random.Generator) -> Positions:
    """An order of the rows' treatments: of whole clusters where treatment is theirs, within strata where there are."""
    n, clusters = question.n, question.clusters
    if clusters is not None and question.design == "rows":
        joint = question.inputs.joint("treatment")
        assert joint is not None  # noqa: S101 - what is permuted
        treatment = pd.factorize(joint)[0]
        size = int(clusters.max()) + 1
        first = np.full(size, -1)
        first[clusters[::-1]] = np.arange(n)[::-1]
        if (treatment == treatment[first[clusters]]).all():
            group = np.zeros(size, dtype=np.intp) if question.strata is None else question.strata[first]
            return np.asarray(first[_shuffled(size, group, rng)][clusters])
    return _shuffled(n, question.strata, rng)


def _shuffled(n: int, groups: Codes | None, rng: np.random.Generator) -> Positions:
    """A permutation of 0..n-1, within groups."""
    if groups is None:
        return rng.permutation(n)
    out = np.empty(n, dtype=np.intp)
    members = np.argsort(groups, kind="stable")
    out[members] = members[np.lexsort((rng.random(n), groups[members]))]
    return out


@dataclass(frozen=True)
class _PlaceboTreatment:
    plan: Plan

    def __call__(self, question: Question, k: int) -> Refitted:
        return question.with_order(placebo_order(question, self.plan.rng("placebo_treatment", k)))


def _placebo_treatment(question: Question, plan: Plan) -> Finding:
    collected = question.collect(_PlaceboTreatment(plan), "placebo_treatment", plan)
    return of_draws(question, collected, around=0.0, scale=None)


# -- random common cause ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _RandomCause:
    plan: Plan

    def __call__(self, question: Question, k: int) -> Refitted:
        return question.with_covariate(self.plan.rng("random_common_cause", k).standard_normal(question.n))


def _random_cause(question: Question, plan: Plan) -> Finding:
    collected = question.collect(_RandomCause(plan), "random_common_cause", plan)
    if collected.unusable:
        raise CausalError(collected.unusable)
    before = question.found.estimates[question.kept]
    changes = np.abs(collected.estimates - before)
    first, others = changes[0], changes[1:]
    p = (1 + (others >= first * (1 - 1e-12)).sum(axis=0)) / (1 + len(others))
    j = int(p.argmin())
    se = question.found.std_errors[question.kept][j]
    typical = (
        f"; a random covariate moves the estimate by {np.median(changes[:, j]) / se:.3f} standard errors" if se else ""
    )
    return Finding(
        float(before[j]),
        float(collected.estimates[0, j]),
        float(min(1.0, p[j] * len(p))),
        detail=f"{collected.notes}{typical}",
        draws=pd.DataFrame({"estimate": collected.estimates[:, j], "std_error": collected.std_errors[:, j]}),
    )


# -- subset and bootstrap --------------------------------------------------------------------------------------------


def _units(question: Question) -> Codes | None:
    """What is drawn whole: units of a panel, clusters."""
    if question.design == "panel" and "unit" in question.inputs.roles:
        return np.asarray(pd.factorize(question.inputs.roles["unit"])[0])
    return question.clusters


@dataclass(frozen=True)
class _Subset:
    plan: Plan

    def __call__(self, question: Question, k: int) -> Refitted:
        rng, units, n = self.plan.rng("subset", k), _units(question), question.n
        if units is None:
            rows = np.sort(rng.choice(n, size=round(_SHARE * n), replace=False))
            return question.refit(rows=rows)
        size = int(units.max()) + 1
        chosen = np.zeros(size, dtype=bool)
        chosen[rng.choice(size, size=round(_SHARE * size), replace=False)] = True
        return question.refit(rows=np.flatnonzero(chosen[units]))


def _subset(question: Question, plan: Plan) -> Finding:
    collected = question.collect(_Subset(plan), "subset", plan)
    units = _units(question)
    n = question.n if units is None else int(units.max()) + 1
    m = round(_SHARE * n)
    before, se = question.found.estimates[question.kept], question.found.std_errors[question.kept]
    return of_draws(question, collected, around=before, scale=se * np.sqrt(n / m - 1))


@dataclass(frozen=True)
class _Bootstrap:
    plan: Plan

    def __call__(self, question: Question, k: int) -> Refitted:
        units, n = question.clusters, question.n
        size = n if units is None else int(units.max()) + 1
        seed = int(self.plan.rng("bootstrap", k).integers(2**31))
        drawn = draw_weights(size, "pairs", (seed, k))
        weights = drawn if units is None else drawn[units]
        base = question.inputs.roles.get("sample_weight")
        return question.refit(sample_weight=weights if base is None else weights * as_float(base))


def _bootstrap(question: Question, plan: Plan) -> Finding:
    collected = question.collect(_Bootstrap(plan), "bootstrap", plan)
    before, se = question.found.estimates[question.kept], question.found.std_errors[question.kept]
    return of_draws(question, collected, around=before, scale=se)


# -- dummy outcomes --------------------------------------------------------------------------------------------------


def _zero_outcome(question: Question, plan: Plan) -> Finding:  # noqa: ARG001 - one signature
    refitted = question.with_outcome(np.zeros(question.n))
    estimates = refitted.estimates[question.kept]
    j = int(np.abs(estimates).argmax())
    passed = bool(np.abs(estimates[j]) <= _ZERO * max(float(question.y.std()), 1e-300))
    return Finding(float(question.found.estimates[question.kept][j]), float(estimates[j]), passed=passed)


def residual(question: Question, y: Floats) -> Floats:
    """The outcome less the effect that was found, by arm or by number."""
    treatment, estimates = question.inputs.roles["treatment"], question.effect.rows.array
    if isinstance(treatment, pd.Series) and question.arms:
        from pandas_causal.inputs.arms import resolve_arms

        arms = resolve_arms(treatment, getattr(question.study.estimator, "control", None))
        if len(estimates) == len(arms) - 1 and question.effect.rows.scale is None:
            return y - np.concatenate([[0.0], estimates])[arms.codes]
        return y - (pd.Series(y).groupby(arms.codes).transform("mean").to_numpy() - y.mean())
    return y


def _dummy_model(question: Question, plan: Plan) -> tuple[Floats, Floats]:
    """Out-of-fold predictions of the outcome without its effect, and what they leave."""
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.model_selection import KFold, cross_val_predict

    covariates = question.inputs.covariates
    encoder = Encoder.fit(covariates)
    X, y = encoder.transform(covariates), residual(question, question.y)
    if not X.shape[1]:
        return np.full(question.n, y.mean()), y - y.mean()
    model = HistGradientBoostingRegressor(max_iter=100, learning_rate=0.1, random_state=plan.seed)
    folds = KFold(5, shuffle=True, random_state=plan.seed)
    m = np.asarray(cross_val_predict(model, X, y, cv=folds))
    return m, y - m


@dataclass(frozen=True, eq=False)
class _DummyOutcome:
    plan: Plan
    m: Floats
    rest: Floats
    binary: bool

    def __call__(self, question: Question, k: int) -> Refitted:
        rng = self.plan.rng("dummy_outcome", k)
        if self.binary:
            return question.with_outcome((rng.random(question.n) < np.clip(self.m, 0.0, 1.0)).astype(float))
        clusters = question.clusters
        noise = rng.permutation(self.rest)
        if clusters is not None:  # the shock of a cluster stays with all of its rows
            size = int(clusters.max()) + 1
            counts = np.bincount(clusters, minlength=size)
            shared = np.bincount(clusters, weights=self.rest, minlength=size) / counts
            noise = rng.permutation(shared)[clusters] + rng.permutation(self.rest - shared[clusters])
        return question.with_outcome(self.m + noise)


def _dummy_outcome(question: Question, plan: Plan) -> Finding:
    """Mean of the draws beside the standard error of one: the treatments are those of the data in all of them."""
    m, rest = _dummy_model(question, plan)
    binary = bool(np.isin(question.y, (0.0, 1.0)).all())
    collected = question.collect(_DummyOutcome(plan, m, rest, binary), "dummy_outcome", plan)
    if collected.unusable:
        raise CausalError(collected.unusable)
    estimates, errors = collected.estimates, collected.std_errors
    own = estimates.std(axis=0, ddof=1)
    wide = np.sqrt(np.nanmean(np.square(errors), axis=0)) if np.isfinite(errors).any() else own
    spread = np.maximum(np.where(np.isfinite(wide), wide, own), own)
    statistic = np.abs(estimates.mean(axis=0)) / np.where(spread > 0, spread, np.inf)
    from scipy import special

    p = np.minimum(1.0, 2 * special.ndtr(-statistic) * len(statistic))
    j = int(p.argmin())
    return Finding(
        float(question.found.estimates[question.kept][j]),
        float(estimates[:, j].mean()),
        float(p[j]),
        detail=f"{collected.notes}; the method finds {statistic[j]:.1f} standard errors where zero is true",
        draws=pd.DataFrame({"estimate": estimates[:, j], "std_error": errors[:, j]}),
    )


@dataclass(frozen=True)
class _Noise:
    plan: Plan
    size: float

    def __call__(self, question: Question, k: int) -> Refitted:
        noise = self.plan.rng("add_noise", k).standard_normal(question.n)
        return question.with_outcome(question.y + self.size * noise)


def _add_noise(question: Question, plan: Plan) -> Finding:
    collected = question.collect(_Noise(plan, float(question.y.std())), "add_noise", plan)
    if collected.unusable:
        raise CausalError(collected.unusable)
    before, se = question.found.estimates[question.kept], question.found.std_errors[question.kept]
    added = np.square(collected.std_errors).mean(axis=0) - np.square(se)
    scale = np.sqrt(np.where(added > 0, added, np.nan))
    return of_draws(question, collected, around=before, scale=scale)


# -- covariates ------------------------------------------------------------------------------------------------------


def _can_leave_out(question: Question) -> str | None:
    why = _has_covariates(question)
    if why is None and getattr(question.study.estimator, "formula", None) is not None:
        return "leaves out whole covariates, and a formula names terms"
    if why is None and len(question.covariates) > 200:
        return f"refits once a covariate, and there are {len(question.covariates):,}"
    return why


def _leave_one_out(question: Question, plan: Plan) -> Finding:
    names = question.covariates
    before, se = question.found.estimates[question.kept], question.found.std_errors[question.kept]
    collected = question.collect(_LeftOut(tuple(names)), "leave_one_out", plan, len(names))
    if not len(collected):
        raise CausalError(f"no covariate could be left out: {(collected.reasons or ['interrupted'])[0]}")
    told = names if len(collected) == len(names) else names[: len(collected)]
    changes = (collected.estimates - before) / se
    j = int(np.abs(changes).max(axis=0).argmax())
    worst = int(np.abs(changes[:, j]).argmax())
    table = pd.DataFrame(
        {
            "estimate": collected.estimates[:, j],
            "std_error": collected.std_errors[:, j],
            "change_in_errors": changes[:, j],
        },
        index=pd.Index(told, name="left_out"),
    )
    return Finding(
        float(before[j]),
        float(collected.estimates[worst, j]),
        detail=f"most without {told[worst]}: by {changes[worst, j]:+.2f} standard errors",
        draws=table.sort_values("change_in_errors", key=np.abs, ascending=False),
    )


@dataclass(frozen=True)
class _LeftOut:
    names: tuple[Any, ...]

    def __call__(self, question: Question, k: int) -> Refitted:
        return question.refit(covariates=question.inputs.covariates.drop(columns=[self.names[k]]))


_GRID = (0.01, 0.05, 0.1, 0.2)


def _two_arms(question: Question) -> str | None:
    why = _rows_only(question) or _has_outcome_model(question)
    if why is None and question.arms != 2:
        return "simulates a cause of two arms"
    return why


def _partial_out(X: Floats, *vectors: Floats) -> list[Floats]:
    """What an intercept and covariates leave of vectors."""
    design = StandardisedMatrix.of(X)
    Z = design.rows(slice(None))
    Q, _ = np.linalg.qr(Z)
    return [v - Q @ (Q.T @ v) for v in vectors]


def _simulated_confounder(question: Question, plan: Plan) -> Finding:
    """A covariate with given partial R2 with treatment and with outcome, on the side that shrinks the estimate."""
    from pandas_causal.inputs.arms import resolve_arms

    covariates = question.inputs.covariates
    X = Encoder.fit(covariates).transform(covariates)
    codes = resolve_arms(question.inputs.roles["treatment"], getattr(question.study.estimator, "control", None)).codes
    d, y = _partial_out(X, codes.astype(float), question.y)
    e = y - d * (d @ y) / (d @ d)
    d, e = d / d.std(), e / e.std()
    pairs = [(a, b) for a in _GRID for b in _GRID]
    side = float(np.sign(question.found.estimates[question.kept][0]) or 1.0)
    collected = question.collect(
        _Confounder(plan, tuple(pairs), d, e, X, side), "simulated_confounder", plan, len(pairs)
    )
    if collected.reasons or not len(collected):
        raise CausalError((collected.reasons or ["interrupted"])[0])
    before = float(question.found.estimates[question.kept][0])
    width = Student().critical(question.effect.level, collected.df[:, 0]) * collected.std_errors[:, 0]
    table = pd.DataFrame(
        {
            "r2_treatment": [a for a, _ in pairs[: len(collected)]],
            "r2_outcome": [b for _, b in pairs[: len(collected)]],
            "estimate": collected.estimates[:, 0],
            "conf_low": collected.estimates[:, 0] - width,
            "conf_high": collected.estimates[:, 0] + width,
        }
    )
    covers = (table["conf_low"] <= 0) & (table["conf_high"] >= 0) | (table["estimate"] * before < 0)
    weakest = table[covers].assign(size=lambda t: t["r2_treatment"] * t["r2_outcome"]).sort_values("size")
    text = "no confounder of the grid (to 0.2 each) makes the interval reach zero"
    shown = table.iloc[-1]
    if len(weakest):
        shown = weakest.iloc[0]
        text = (
            f"the interval reaches zero with a confounder of partial R2 {shown['r2_treatment']:g} with treatment and"
            f" {shown['r2_outcome']:g} with outcome"
        )
    return Finding(before, float(shown["estimate"]), detail=text, draws=table)


@dataclass(frozen=True, eq=False)
class _Confounder:
    plan: Plan
    pairs: tuple[tuple[float, float], ...]
    d: Floats
    e: Floats
    X: Floats
    side: float

    def __call__(self, question: Question, k: int) -> Refitted:
        a, b = self.pairs[k]
        noise = self.plan.rng("simulated_confounder", 0).standard_normal(question.n)  # one noise for the whole grid
        (noise,) = _partial_out(self.X, noise)
        for v in (self.d, self.e):
            noise = noise - v * (v @ noise) / (v @ v)
        noise /= noise.std()
        with_y = np.sqrt(b * (1 - a))
        u = np.sqrt(a) * self.d + self.side * with_y * self.e + np.sqrt(1 - a - with_y**2) * noise
        return question.with_covariate(u)


# -- negative controls -----------------------------------------------------------------------------------------------


def _negative_column(role: str, question: Question) -> str | None:
    why = _rows_or_instruments(question) if role == "outcome" else _rows_only(question)
    if why is not None:
        return why
    if not question.asked.get(f"negative_{role}"):
        what = {"outcome": "columns that the treatment cannot move", "exposure": "columns that cannot move the outcome"}
        return f"needs negative_{role}=, {what[role]}"
    return None if question.study.frame is not None else "needs the frame: ask df.causal, or give study=frame"


def negative_columns(question: Question, role: str) -> pd.DataFrame:
    """Columns of the frame that serve as negative controls, on the rows of the fit.

    Raises
    ------
    CausalError
        Absent columns, or frames that have other rows.
    """
    frame, names = question.study.frame, list(question.asked[f"negative_{role}"])
    assert frame is not None  # noqa: S101 - asked before
    absent = [n for n in names if n not in frame.columns]
    if absent:
        raise CausalError(f"negative_{role}={absent[0]!r} is no column of the frame")
    if len(frame) != len(question.inputs.kept):
        raise CausalError("the frame has other rows than when the effect was estimated")
    columns = frame[names].iloc[np.flatnonzero(question.inputs.kept)]
    if role == "outcome":
        for name in names:
            _refuse_as_outcome(question, columns[name])
    return columns


def _refuse_as_outcome(question: Question, column: pd.Series[Any]) -> None:
    """What cannot stand in the outcome's place."""
    inputs, name = question.inputs, column.name
    treatment = inputs.roles.get("treatment")
    of_study = [*inputs.covariates.columns, inputs.outcome.name if inputs.outcome is not None else None]
    of_study += [treatment.name] if isinstance(treatment, pd.Series) else []
    if name in of_study:
        raise CausalError(f"{name} is the treatment, the outcome or a covariate of this study")
    if not pd.api.types.is_numeric_dtype(column.dtype):
        raise CausalError(f"{name} holds {column.dtype} values and no numbers")
    if column.nunique() < 2:
        raise CausalError(f"{name} has fewer than two different values")


def _negative_outcome(question: Question, plan: Plan) -> Finding:  # noqa: ARG001 - one signature
    columns = negative_columns(question, "outcome")
    found, tables = [], []
    for name in columns:
        column = columns[name]
        rows = np.flatnonzero(column.notna().to_numpy())
        effect = question.study.refit(
            outcome=column.set_axis(question.inputs.index), rows=None if len(rows) == len(column) else rows
        )
        found.append(effect.table[question.kept])
        tables.append(effect.table)
    return _of_tables(question, found, list(columns), tables)


def _negative_exposure(question: Question, plan: Plan) -> Finding:  # noqa: ARG001 - one signature
    """The exposure in the place of the treatment, which becomes a covariate."""
    columns = negative_columns(question, "exposure")
    treatment = question.inputs.roles["treatment"]
    beside = treatment.to_frame() if isinstance(treatment, pd.Series) else treatment
    found = []
    for name in columns:
        kept = question.inputs.covariates.drop(columns=[name], errors="ignore")
        covariates = pd.concat([kept, beside], axis=1)
        effect = question.study.refit(
            covariates=covariates, treatment=columns[name].set_axis(question.inputs.index), checked=False
        )
        found.append(effect.table)
    return _of_tables(question, found, list(columns), found)


def _of_tables(question: Question, found: list[pd.DataFrame], names: list[Any], tables: list[pd.DataFrame]) -> Finding:
    """The smallest p-value of several tables, times their number."""
    p = [float(t["p_value"].min()) for t in found]
    total = sum(len(t) for t in found)
    if not np.isfinite(p).any():
        raise CausalError(f"{', '.join(map(str, names))}: no p-value is known")
    k = int(np.nanargmin(p))
    row = found[k].iloc[int(found[k]["p_value"].argmin())]
    return Finding(
        float(question.found.estimates[question.kept][0]),
        float(row["estimate"]),
        float(min(1.0, p[k] * total)),
        detail=f"{names[k]}: {row['estimate']:.3g} [{row['conf_low']:.3g}, {row['conf_high']:.3g}]",
        draws=pd.concat(dict(zip(names, tables, strict=True))),
    )


REFUTERS_OF_ROWS = (
    Refuter(
        "placebo_treatment",
        "the treatment, permuted (within strata, whole clusters; together with its instrument)",
        "estimates lie around zero, as widely as their standard errors say",
        "the method finds effects where there are none, or its standard errors are wrong for these data",
        "wrong standard errors; a method that makes effects up",
        "confounding: permuting removes it together with the effect",
        _rows_or_instruments,
        _placebo_treatment,
    ),
    Refuter(
        "random_common_cause",
        "one more covariate, of random numbers",
        "the change is one of many by such covariates",
        "chance: the change ranks as any other would",
        "nothing: it shows how much an irrelevant covariate moves the estimate",
        "confounding: random numbers are none",
        _has_covariates,
        _random_cause,
    ),
    Refuter(
        "subset",
        "the rows: a random 80% (whole clusters, whole units)",
        "estimates differ from that of all rows by the law of draws without replacement",
        "a few rows carry the answer, or its standard error is wrong",
        "wrong standard errors; few rows that carry the answer",
        "confounding: it is in every subset",
        _can_resample,
        _subset,
    ),
    Refuter(
        "bootstrap",
        "the weights of rows, drawn with replacement",
        "estimates spread around that of all rows as its standard error says",
        "the standard error is wrong, or the estimate biased by the size of the sample",
        "wrong standard errors; bias of small samples",
        "confounding: it is in every draw",
        _can_weight,
        _bootstrap,
    ),
    Refuter(
        "zero_outcome",
        "the outcome: zero for everyone",
        "the estimate is zero exactly",
        "the method adds something of its own to the outcome",
        "a method that makes effects up",
        "everything else",
        _rows_or_instruments,
        _zero_outcome,
    ),
    Refuter(
        "dummy_outcome",
        "the outcome: simulated from a flexible model of the covariates, without an effect",
        "the mean estimate is zero",
        "the method does not undo the measured confounding: a wrong functional form",
        "a wrong functional form of what was measured",
        "unmeasured confounding: the simulated outcome has none",
        _has_outcome_model,
        _dummy_outcome,
    ),
    Refuter(
        "add_noise",
        "the outcome: noise of its own spread is added",
        "estimates stay where they were, and spread as the growth of their standard errors says",
        "the standard error is wrong, or the method bends the outcome",
        "wrong standard errors; a method that is not linear in the outcome",
        "confounding: noise is none",
        _noise_applies,
        _add_noise,
    ),
    Refuter(
        "leave_one_out",
        "the covariates: each is left out in turn",
        "no test: two good estimators of one effect differ only at second order",
        "the answer rests on that covariate: was it measured well, and is it no bad control?",
        "on which measured covariates the answer rests",
        "covariates that nobody measured",
        _can_leave_out,
        _leave_one_out,
    ),
    Refuter(
        "simulated_confounder",
        "one more covariate that moves treatment and outcome, over a grid of strengths",
        "no test: it says how strong a confounder would have to be",
        "a confounder of that strength would explain the answer",
        "how strong unmeasured confounding would have to be",
        "whether there is any",
        _two_arms,
        _simulated_confounder,
    ),
    Refuter(
        "negative_outcome",
        "the outcome: one that the treatment cannot move",
        "the estimate is zero",
        "something moves both treatment and that outcome: confounding, or selection",
        "unmeasured confounding that the negative outcome shares",
        "confounders that do not move the negative outcome",
        partial(_negative_column, "outcome"),
        _negative_outcome,
    ),
    Refuter(
        "negative_exposure",
        "the treatment: one that cannot move the outcome; the treatment becomes a covariate",
        "the estimate is zero",
        "something moves both that exposure and the outcome: confounding",
        "unmeasured confounding that the negative exposure shares",
        "confounders that do not move the negative exposure",
        partial(_negative_column, "exposure"),
        _negative_exposure,
    ),
)
