"""How far parallel trends may fail before the conclusion does.

An event study estimates effect plus difference in trends, ``beta = tau + delta``, with tau zero before treatment.
Parallel trends says delta is zero afterwards; here it may be anything that the differences before treatment make
plausible.

References
----------
Rambachan and Roth (2023), "A more credible approach to parallel trends", Review of Economic Studies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.difference_in_differences.event_study import EventStudy, read_event_study
from pandas_causal.effect.check import Check
from pandas_causal.effect.effect import Effect
from pandas_causal.errors import CausalArgumentError
from pandas_causal.inference.moment_inequalities import Inequalities, confidence_set, least_favourable, rejects, union
from pandas_causal.inference.reference import BoundedBias, Student
from pandas_causal.kernels.arrays import Bools, Floats

__all__ = ["HonestBounds", "honest_bounds"]

RESTRICTIONS = ("relative_magnitudes", "smoothness")
_DRAWS = 10_000  # of the least favourable law; with 1,000 the ends move by 0.02 standard errors
_INFINITE = np.array([np.inf])


@dataclass(frozen=True, eq=False, repr=False)
class HonestBounds(Check):
    """Confidence intervals under violations of parallel trends of bounded size.

    Attributes
    ----------
    breakdown : float
        Largest bound, to three digits, under which the interval excludes zero; 0 if none does, infinite if all do.
    restriction : str
    """

    breakdown: float = np.nan
    restriction: str = ""


def honest_bounds(
    effect: Effect,
    restriction: str = "relative_magnitudes",
    *,
    bounds: Sequence[float] | None = None,
    target: Any = None,
    level: float | None = None,
    random_state: int | None = 0,
) -> HonestBounds:
    """Confidence intervals of an effect under bounded violations of parallel trends, and where the conclusion breaks.

    "relative_magnitudes": from one period to the next after treatment, the difference in trends changes by at most
    ``bound`` times its largest change before treatment. "smoothness": its slope changes by at most ``bound`` (in units
    of the outcome) from one period to the next; 0 is a linear trend, extrapolated.

    Parameters
    ----------
    effect : Effect
        Event study: one row per integer event time about one reference period ("universal" base period).
    restriction : {"relative_magnitudes", "smoothness"}
    bounds : sequence of float, optional
        At least 0; by default 0.5, 1, 1.5 and 2 ("relative_magnitudes") or five steps from 0 to the largest change of
        slope that the periods before treatment do not rule out ("smoothness").
    target : int, "average" or mapping of event time to weight, optional
        Effect asked for: by default that of the period in which treatment starts.
    level : float, optional
        Of the intervals; the effect's own by default.
    random_state : int or None
        For the least favourable law of "relative_magnitudes".

    Returns
    -------
    HonestBounds
        Its table has a row per bound: ``conf_low`` and ``conf_high``; the first, marked ``NaN``, is the interval under
        parallel trends. ``passed`` says whether zero stays excluded at the first bound given that is positive.

    Raises
    ------
    CausalArgumentError
        For a wrong setting, or an effect that is no event study.
    CausalDataError
        Without a reference period, with gaps in event time, or with too few periods before treatment.

    Notes
    -----
    Relative magnitudes: the union over the period with the largest change and its sign of the sets that invert the
    hybrid of the least favourable and the conditional test of Andrews, Roth and Pakes (2023). Smoothness: the shortest
    interval of fixed length about an affine estimator (section 3.3 there; Armstrong and Kolesar 2018). Both rest on the
    normal law; with few clusters errors are widened by the ratio of Student's critical value to the normal one.
    """
    level = effect.level if level is None else level
    if restriction not in RESTRICTIONS:
        raise CausalArgumentError(f"restriction={restriction!r} is not known; use one of {list(RESTRICTIONS)}")
    if not isinstance(level, float) or not 0.5 <= level < 1:
        raise CausalArgumentError(f"level={level!r} is not legal; use a number in [0.5, 1)")
    original = read_event_study(effect, target)
    critical = float(Student().critical(level, np.array([original.df]))[0])
    # both methods know the normal law only: few clusters widen all errors by what they widen the effect's own interval
    wider = critical / float(Student().critical(level, _INFINITE)[0])
    study = replace(original, covariance=original.covariance * wider**2)
    interval: Callable[[float], tuple[float, float]]
    excludes: Callable[[float], bool]
    if restriction == "smoothness":
        interval = partial(fixed_length_interval, study, level=level)
        excludes = partial(_interval_excludes_zero, interval)
        default = np.linspace(0.0, largest_plausible_bend(study, level), 6)
        kind = "smoothness"
    else:
        draws = np.random.default_rng(random_state).standard_normal((_DRAWS, len(study.beta)))
        interval = partial(relative_magnitudes_interval, study, draws=draws, level=level)
        excludes = partial(relative_magnitudes_excludes_zero, study, draws=draws, level=level)
        default = np.array([0.5, 1.0, 1.5, 2.0])
        kind = "relative magnitudes"
    violations = _bounds(default if bounds is None else bounds)
    width = critical * original.std_error
    rows = [(np.nan, original.estimate - width, original.estimate + width)]
    rows += [(bound, *interval(bound)) for bound in violations]
    table = pd.DataFrame(rows, columns=["bound", "conf_low", "conf_high"]).set_index("bound")
    breakdown = breakdown_value(excludes, float(violations.max()) or study.std_error)
    first = table[table.index > 0]
    passed = None if first.empty else bool((first.conf_low.iloc[0] > 0) or (first.conf_high.iloc[0] < 0))
    unit = (
        " times the largest change before treatment" if kind == "relative magnitudes" else " per period, of the slope"
    )
    summary = (
        f"{100 * level:g}% intervals under {kind}: zero stays excluded up to a violation of {breakdown:.3g}{unit}"
        if breakdown > 0
        else f"{100 * level:g}% intervals under {kind}: zero is not excluded under the smallest violation"
    )
    return HonestBounds(passed, table, summary, breakdown=breakdown, restriction=restriction)


def _bounds(bounds: Any) -> Floats:
    values = np.atleast_1d(np.asarray(bounds, dtype=float))
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all() or (values < 0).any():
        raise CausalArgumentError(f"bounds={bounds!r}: give one or more numbers of at least 0")
    return values


def breakdown_value(excludes: Callable[[float], bool], start: float) -> float:
    """Largest bound at which zero is excluded: doubled from `start` until it is not, then bisection to three digits."""
    if not excludes(0.0):
        return 0.0
    low, high = 0.0, start
    for _ in range(12):
        if not excludes(high):
            break
        low, high = high, 2 * high
    else:
        return float("inf")
    while high - low > 5e-4 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if excludes(middle) else (low, middle)
    return low


def _interval_excludes_zero(interval: Callable[[float], tuple[float, float]], bound: float) -> bool:
    low, high = interval(bound)
    return low > 0 or high < 0


# Relative magnitudes


def relative_magnitudes_sets(study: EventStudy, bound: float) -> list[Inequalities]:
    """One set of moments for every period that may have the largest change before treatment, and its sign.

    ``|delta_{t+1} - delta_t| <= bound * (+-)(delta_{s+1} - delta_s)`` for all t after the reference period, some s
    before it (Rambachan and Roth 2023, section 2.4.1 and Lemma 2.2).
    """
    steps = study.steps
    before, after = steps[: study.n_pre], steps[study.n_pre :]
    root = study.root
    loadings = target_loadings(study)
    sets = []
    for change in before:
        for sign in (1.0, -1.0):
            A = np.vstack([after - bound * sign * change, -after - bound * sign * change])
            sets.append(Inequalities.of(A, np.zeros(len(A)), study.beta, root, loadings))
    return sets


def target_loadings(study: EventStudy) -> Floats:
    """How target (first column) and the other directions of the effects enter the estimates, (p, n_post)."""
    # complete the target to a basis: all unit vectors but that of its largest weight
    pivot = int(np.argmax(np.abs(study.target)))
    basis = np.delete(np.eye(study.n_post), pivot, axis=0)
    inverse = np.linalg.inv(np.vstack([study.target, basis]))
    return np.vstack([np.zeros((study.n_pre, study.n_post)), inverse])


def relative_magnitudes_interval(
    study: EventStudy, bound: float, *, draws: Floats, level: float
) -> tuple[float, float]:
    """Interval of the target under relative magnitudes."""
    tests = _tests(study, bound, draws, level)
    largest = np.abs(study.steps[: study.n_pre] @ study.beta).max()
    remaining = np.abs(np.cumsum(study.target[::-1])[::-1]).sum()  # a change at t moves all later periods
    spread = study.std_error + bound * remaining * np.sqrt(np.diag(study.covariance)).max()
    reach = bound * largest * remaining + 8 * spread
    return confidence_set(union(tests), study.estimate - reach, study.estimate + reach)


def relative_magnitudes_excludes_zero(study: EventStudy, bound: float, *, draws: Floats, level: float) -> bool:
    """Whether zero is rejected under relative magnitudes."""
    return not union(_tests(study, bound, draws, level))(np.zeros(1))[0]


def _tests(study: EventStudy, bound: float, draws: Floats, level: float) -> list[Callable[[Floats], Bools]]:
    alpha = 1 - level

    def test(moments: Inequalities) -> Callable[[Floats], Bools]:
        critical = least_favourable(moments, draws, alpha / 10)
        return lambda theta: ~rejects(moments, theta, critical, alpha)

    return [test(moments) for moments in relative_magnitudes_sets(study, bound)]


# Smoothness


def largest_plausible_bend(study: EventStudy, level: float) -> float:
    """Largest change of slope before treatment, in absolute value, plus its one-sided margin."""
    if study.n_pre < 2:
        return study.std_error
    bends = study.bends[: study.n_pre - 1]
    sd = np.sqrt(np.einsum("ij,jk,ik->i", bends, study.covariance, bends))
    margin = float(Student().critical(2 * level - 1, _INFINITE)[0])
    return float((np.abs(bends @ study.beta) + margin * sd).max())


def fixed_length_interval(study: EventStudy, bound: float, *, level: float) -> tuple[float, float]:
    """Shortest interval ``w'beta +- sd(w) cv(bias(w) / sd(w))`` when no change of slope exceeds `bound`.

    Weights after treatment are the target's; those before must cancel linear trends, or the bias is unbounded. The
    largest bias of w is then `bound` times the sum of the absolute weights that w gives the second differences, which
    are linear in w, so the trade-off between bias and variance is a lasso in these weights.

    References
    ----------
    Rambachan and Roth (2023), section 3.3; Armstrong and Kolesar (2018), Econometrica, section 2.
    """
    frontier = smoothness_frontier(study)
    if bound == 0:
        weights, _ = frontier(0.0)
        return _interval_of(study, weights, 0.0, level)
    from scipy.optimize import minimize_scalar

    def half_length(log_penalty: float) -> float:
        weights, bend = frontier(float(np.exp(log_penalty)))
        sd = float(np.sqrt(weights @ study.covariance @ weights))
        return sd * float(BoundedBias(bound * bend / sd).critical(level, _INFINITE)[0])

    # the penalty that is best is of the order of sd * bound; the ends of the frontier are candidates of their own
    scale = np.log(float(np.diag(study.covariance).max()) + 1e-300)
    grid = np.linspace(scale - 16, scale + 8, 49)
    lengths = np.array([half_length(at) for at in grid])
    at = int(lengths.argmin())
    best = minimize_scalar(
        half_length, bounds=(grid[max(at - 1, 0)], grid[min(at + 1, len(grid) - 1)]), method="bounded",
        options={"xatol": 1e-10},
    )  # fmt: skip
    candidates = [(half_length(float(best.x)), float(np.exp(best.x))), (lengths[at], float(np.exp(grid[at])))]
    weights, bend = frontier(min(candidates)[1])
    return _interval_of(study, weights, bound * bend, level)


def _interval_of(study: EventStudy, weights: Floats, bias: float, level: float) -> tuple[float, float]:
    estimate, sd = float(weights @ study.beta), float(np.sqrt(weights @ study.covariance @ weights))
    half = sd * float(BoundedBias(bias / sd).critical(level, _INFINITE)[0])
    return estimate - half, estimate + half


def smoothness_frontier(study: EventStudy) -> Callable[[float], tuple[Floats, float]]:
    """Weights of least ``variance / 2 + penalty * bias`` for a penalty, with their bias per unit of bound.

    With event times t about the reference period and ``w`` the weights before it, ``sum_t w_t t`` must be minus the
    target's own ``sum_t l_t t``. The second difference at -s has the weight ``k_s = sum_{t > s} (t - s) w_{-t}``, that
    at 0 (the bend at the reference period) and those after it have weights that the target fixes.
    """
    T, S = study.n_pre, study.n_post
    post = np.arange(1, S + 1)
    slope = float(study.target @ post)
    later = np.array([np.clip(post - s, 0, None) @ study.target for s in range(1, S)])
    fixed = abs(slope) + float(np.abs(later).sum())
    back = np.arange(T, 0, -1.0)  # distance of every period before the reference one, in order of time
    inner = np.arange(1, T)
    # rows: the constraint on linear trends, then k_1, ..., k_{T-1}; triangular in order of distance, so invertible
    to_bends = np.vstack([back, np.clip(back - inner[:, None], 0, None)])
    from_bends = np.linalg.inv(to_bends)
    constant = np.concatenate([from_bends[:, 0] * slope, study.target])
    through = np.vstack([from_bends[:, 1:], np.zeros((S, T - 1))])
    H, g = through.T @ study.covariance @ through, through.T @ study.covariance @ constant
    k = np.zeros(T - 1)

    def solve(penalty: float) -> tuple[Floats, float]:
        from pandas_causal.difference_in_differences.kernels import lasso

        lasso(H, g, penalty, k)  # from where the last penalty ended
        return constant + through @ k, fixed + float(np.abs(k).sum())

    return solve
