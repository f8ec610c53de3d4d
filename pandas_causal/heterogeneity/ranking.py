"""Rankings of rows by who should be treated first, judged by doubly robust scores: TOC, AUTOC, Qini, gains.

The curves and areas here are those of Yadlowsky et al. (2025). What scikit-uplift and CausalML call Qini and AUUC is
defined otherwise, and is offered under their names.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.integrate import trapezoid

from pandas_causal.effect.check import Check, Checks
from pandas_causal.effect.effect import Effect
from pandas_causal.effect.estimates import Estimates
from pandas_causal.errors import CausalArgumentError, CausalDataError
from pandas_causal.heterogeneity.projection import EffectBasis, LinearEffects, fit_on_basis
from pandas_causal.inference.influence import Influence
from pandas_causal.inference.rows import RowIdentity
from pandas_causal.inputs.parameters import check_settings
from pandas_causal.inputs.roles import common_index
from pandas_causal.kernels.arrays import Bools, Codes, Floats, Positions, Values

__all__ = [
    "Ranking",
    "auuc",
    "budget_curve",
    "calibration",
    "costs_of",
    "qini",
    "rank_areas",
    "ranking_of",
    "rate",
    "uplift_at_k",
    "uplift_curve",
]

_GRID = np.linspace(0.01, 1.0, 100)
_TWO = 2


@dataclass(frozen=True, eq=False)
class Ranking:
    """Rows in the order of a priority, the highest first, ties averaged.

    Attributes
    ----------
    order : ndarray (n,)
        Positions of the rows in that order.
    tie : ndarray (n,)
        Number of the group of equal priorities, in that order.
    scores : ndarray (n,)
        Scores in that order, the mean of their ties.
    w : ndarray (n,)
        Weights in that order, with sum 1.
    """

    order: Positions
    tie: Codes
    scores: Floats
    w: Floats

    def averaged(self, values: Floats) -> Floats:
        """Values in the order of the ranking, the weighted mean within ties."""
        n_ties = int(self.tie[-1]) + 1
        if n_ties == len(values):
            return values
        totals = np.bincount(self.tie, self.w * values, n_ties) / np.bincount(self.tie, self.w, n_ties)
        return np.asarray(totals[self.tie])

    def in_rows(self, values: Floats) -> Floats:
        """Values in the order of the rows again."""
        out = np.empty_like(values)
        out[self.order] = values
        return out


def ranking_of(scores: Floats, priority: Floats, w: Floats | None = None) -> Ranking:
    """Sort rows by priority, the highest first."""
    order = np.argsort(-priority, kind="stable")
    ranked = priority[order]
    tie = np.concatenate([[0], np.cumsum(ranked[1:] != ranked[:-1])])
    weight = np.full(len(scores), 1.0 / len(scores)) if w is None else w[order] / w.sum()
    raw = Ranking(order, tie, scores[order], weight)
    return Ranking(order, tie, raw.averaged(scores[order]), weight)


def rank_areas(scores: Floats, priority: Floats, w: Floats | None = None) -> tuple[Floats, Floats]:
    """AUTOC and Qini of a ranking, and their contributions.

    With G(q) the mean of ``1{among the first q} score``: ``AUTOC = int G(q) / q dq - G(1)`` and
    ``Qini = int G(q) - q G(1) dq``. A row at rank u contributes what its score adds, and, since ranks are estimated,
    what the rows below it lose: with g the scores' mean at a rank, ``-log(u) s - int_u^1 g / q - (s - G(1))`` and
    ``(1 - u) s + G(u) - (s - G(1)) / 2``, centred.

    Parameters
    ----------
    scores : ndarray (n,)
        Doubly robust scores of the effect.
    priority : ndarray (n,)
        Ties are averaged.
    w : ndarray (n,), optional

    Returns
    -------
    values : ndarray (2,)
    contributions : ndarray (n, 2)

    References
    ----------
    Yadlowsky, Fleming, Shah, Brunskill and Wager (2025), "Evaluating treatment prioritization rules via rank-weighted
    average treatment effects", JASA, sections 2 and 3.
    """
    r = ranking_of(scores, priority, w)
    raw = scores[r.order]
    share = np.cumsum(r.w)  # u of every row, its own weight counted
    G = np.cumsum(r.w * r.scores)
    mean = G[-1]
    steps = r.w / share
    log_rank = np.cumsum(steps[::-1])[::-1]  # sum of w / share from the row on: about -log(u)
    below = np.concatenate([np.cumsum((steps * r.scores)[::-1])[::-1][1:], [0.0]])
    autoc = float(r.w @ (G / share)) - mean
    area = float(r.w @ G)
    values = np.array([autoc, area - mean * float(r.w @ share)])
    first = r.averaged(log_rank) * raw - r.averaged(below) - raw
    second = (1 - r.averaged(share)) * raw + r.averaged(G) - raw / 2
    parts = np.column_stack([first, second])
    parts -= r.w @ parts
    return values, np.column_stack([r.in_rows(r.w * part) for part in parts.T])


def gain_curve(
    scores: Floats, priority: Floats, w: Floats | None = None, *, n_draws: int = 200, random_state: int | None = 0,
    level: float = 0.95,
) -> pd.DataFrame:  # fmt: skip
    """Gain, Qini and TOC at every hundredth of the rows, with bands from random halves of them.

    Parameters
    ----------
    scores, priority : ndarray (n,)
    w : ndarray (n,), optional
    n_draws : int
        Random halves.
    random_state : int or None
    level : float

    Returns
    -------
    DataFrame
        Index ``share`` of rows treated; columns ``gain`` (per row of the population), ``qini`` (gain beyond that of
        treating at random), ``toc`` (mean effect of those treated beyond that of all), each with ``_low``, ``_high``
        (pointwise) and ``_std_error``.

    References
    ----------
    Yadlowsky et al. (2025), JASA: the half-sample bootstrap of Praestgaard and Wellner (1993).
    """
    from pandas_causal.heterogeneity.ranking_kernels import half_sample_gains
    from pandas_causal.inference.reference import Normal

    r = ranking_of(scores, priority, w)
    seeds = np.random.SeedSequence(random_state).generate_state(n_draws, dtype=np.uint64)
    drawn = np.empty((n_draws, len(_GRID)))
    half_sample_gains(np.ascontiguousarray(r.scores), np.ascontiguousarray(r.w), seeds, _GRID, drawn)
    reached, G = np.concatenate([[0.0], np.cumsum(r.w)]), np.concatenate([[0.0], np.cumsum(r.w * r.scores)])
    gain = np.interp(_GRID, reached, G)
    width = float(Normal().critical(level, np.array([np.inf]))[0])
    columns: dict[str, Floats] = {}
    for name, of in (
        ("gain", lambda g: g),
        ("qini", lambda g: g - _GRID * g[..., -1:]),
        ("toc", lambda g: g / _GRID - g[..., -1:]),
    ):
        value, error = of(gain), of(drawn).std(axis=0, ddof=1)
        columns |= {name: value, f"{name}_std_error": error}
        columns |= {f"{name}_low": value - width * error, f"{name}_high": value + width * error}
    return pd.DataFrame(columns, index=pd.Index(_GRID.round(2), name="share"))


def budget_curve(
    scores: ArrayLike | pd.Series[float],
    priority: ArrayLike | pd.Series[float],
    cost: ArrayLike | pd.Series[float],
    *,
    sample_weight: ArrayLike | None = None,
    n_draws: int = 200,
    random_state: int | None = 0,
    level: float = 0.95,
) -> pd.DataFrame:
    """What every budget gains if rows are treated by predicted effect per cost, the highest first: Qini over budgets.

    Parameters
    ----------
    scores : array-like (n,)
        Doubly robust scores of the effect, of rows that the predictions did not see.
    priority : array-like (n,)
        Predicted effects.
    cost : array-like (n,)
        Of treating the row, above 0.
    sample_weight : array-like (n,), optional
    n_draws : int
        Random halves of the rows, for the bands.
    random_state : int or None
    level : float

    Returns
    -------
    DataFrame
        Index ``budget``, a hundredth to all of what treating everybody costs; columns ``gain``, in units of the
        outcome summed over rows, and ``qini``, the gain beyond that of spending as much at random, each with
        ``_std_error``, ``_low`` and ``_high`` (pointwise).

    References
    ----------
    Sun, Du and Wager (2021), "Treatment allocation under uncertain costs", section 2; Imai and Li (2023), "Experimental
    evaluation of individualized treatment rules", JASA, for budgets; bands: Yadlowsky et al. (2025).
    """
    common_index({"scores": scores, "priority": priority, "cost": cost, "sample_weight": sample_weight})
    check_settings({"n_draws": n_draws, "random_state": random_state, "level": level})
    gamma = numbers_of(scores, "scores")
    tau, price = numbers_of(priority, "priority", len(gamma)), costs_of(cost, len(gamma))
    given = weights_of(sample_weight, len(gamma))
    w = np.ones(len(gamma)) if given is None else given
    spent = float(w @ price)
    curve = gain_curve(gamma / price, tau / price, w * price, n_draws=n_draws, random_state=random_state, level=level)
    wanted = [c for c in curve if str(c).startswith(("gain", "qini"))]
    return (curve[wanted] * spent).set_axis(pd.Index(_GRID * spent, name="budget"))


def weights_of(sample_weight: Any, n: int) -> Floats | None:
    """Weights (n,) of 0 or more, some of them above, or one error; None where none are given."""
    if sample_weight is None:
        return None
    w = numbers_of(sample_weight, "sample_weight", n)
    if (w < 0).any():
        raise CausalDataError(
            f"sample_weight is negative in {int((w < 0).sum()):,} of {n:,} rows; weights are 0 or more"
        )
    if not w.any():
        raise CausalDataError(f"sample_weight is 0 in all {n:,} rows, so that no row counts")
    return w


def costs_of(cost: Any, n: int) -> Floats:
    """Costs (n,) above 0, or one error."""
    price = numbers_of(cost, "cost", n)
    if (price <= 0).any():
        raise CausalDataError(f"cost must be above 0, and is not in {int((price <= 0).sum()):,} rows")
    return price


def curve_check(
    scores: Floats, priority: Floats, w: Floats | None, name: str, random_state: int | None, level: float = 0.95
) -> Check:
    """The curves of a ranking as a check that informs."""
    table = gain_curve(scores, priority, w, random_state=random_state, level=level)
    best, most = table["gain"].idxmax(), float(table["gain"].max())
    words = f"the gain is largest, {most:.4g} per row, where {best:.0%} are treated"
    if most <= 0:
        words = (
            f"whatever share is treated in this order, nothing is gained ({most:.4g} per row at best, where {best:.0%}"
            " are): treating nobody does better"
        )
    return Check(None, table, f"{name}: {words}")


def rate(
    scores: ArrayLike | pd.Series[float],
    priority: ArrayLike | pd.Series[float] | pd.DataFrame | Mapping[Hashable, ArrayLike],
    *,
    cost: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    cluster: ArrayLike | None = None,
    level: float = 0.95,
    random_state: int | None = 0,
) -> Effect:
    """Rank-weighted average effects of one ranking or several: AUTOC and Qini, with their joint covariance.

    AUTOC weighs those ranked first most and finds effects of few; Qini weighs all ranks evenly. Both are 0 for a
    ranking that says nothing of the effect. Errors are right for rankings learned on other rows.

    Parameters
    ----------
    scores : array-like (n,)
        Doubly robust scores of the effect, of one contrast: of ``df.causal.scores(...)``.
    priority : array-like (n,), DataFrame or mapping
        Who is treated first (highest), of one ranking or several by name.
        What is a Series or a DataFrame must have the index of the scores: nothing is used by position.
    cost : array-like (n,), optional
        Of treating the row, above 0. Shares are then shares of what treating all costs, effects those per unit of
        cost, and Qini is the area under the cost curve above that of treating at random (AUCC).
    sample_weight, cluster : array-like (n,), optional
    level : float
    random_state : int or None
        Of the bands of ``diagnostics["curve ..."]``.

    Returns
    -------
    Effect
        Rows (ranking, measure).

    References
    ----------
    Yadlowsky et al. (2025), JASA.
    """
    given = {"priority": priority} if not isinstance(priority, Mapping) or isinstance(priority, pd.DataFrame) else {
        f"priority {name!r}": values for name, values in priority.items()
    }  # fmt: skip
    common_index({"scores": scores, **given, "cost": cost, "sample_weight": sample_weight, "cluster": cluster})
    gamma = numbers_of(scores, "scores")
    rankings = _rankings(priority, len(gamma))
    w = weights_of(sample_weight, len(gamma))
    labels = scores.index if isinstance(scores, pd.Series) else pd.RangeIndex(len(gamma))
    content = gamma
    if cost is not None:
        price = costs_of(cost, len(gamma))
        gamma, w = gamma / price, price if w is None else w * price
    parts = {name: rank_areas(gamma, values, w) for name, values in rankings.items()}
    index = pd.MultiIndex.from_product([list(rankings), ["AUTOC", "Qini"]], names=["ranking", "measure"])
    flat: pd.Index = index if len(rankings) > 1 else index.droplevel(0)
    values = np.concatenate([v for v, _ in parts.values()])
    u = Influence.from_contributions(
        values, np.hstack([c for _, c in parts.values()]), RowIdentity(labels, content), names=flat
    )
    if cluster is not None:
        u = u.cluster([np.asarray(cluster)])
    checks: dict[str, Any] = {
        f"curve {name}" if len(rankings) > 1 else "curve": partial(
            curve_check, gamma, ranked, w, str(name), random_state, level
        )
        for name, ranked in rankings.items()
    }
    return Effect(
        rows=Estimates(pd.Series(values, index=flat, name="estimate"), u),
        estimand="rank-weighted average treatment effects: what treating in this order gains beyond random order"
        + ("" if cost is None else ", per unit of cost"),
        n_obs=len(gamma),
        level=level,
        assumptions=("the ranking was learned on other rows", "the scores are those of the effect (doubly robust)"),
        diagnostics=Checks(checks),
        std_error_method="influence function, ranks estimated" + ("" if cluster is None else ", clustered (CR1)"),
    ).explained()


def calibration(
    scores: ArrayLike | pd.Series[float],
    predicted: ArrayLike | pd.Series[float],
    *,
    sample_weight: ArrayLike | None = None,
    groups: int = 5,
) -> Effect:
    """Whether predicted effects are right on average, and whether their differences are: both coefficients are 1.

    Doubly robust scores of rows that the predictions did not see, regressed on the mean prediction and on what
    predictions differ from it.

    Parameters
    ----------
    scores, predicted : array-like (n,)
        Of the same rows: two Series with different indexes are refused, never used by position.
    sample_weight : array-like (n,), optional
    groups : int
        Of equal size by prediction, in ``diagnostics["groups"]``: mean prediction beside mean score.

    Returns
    -------
    Effect
        Rows "mean prediction" and "differential prediction".

    References
    ----------
    Chernozhukov, Demirer, Duflo and Fernandez-Val (2025), "Fisher-Schultz lecture: generic machine learning inference
    on heterogeneous treatment effects", Econometrica, eq. (2.1).
    """
    common_index({"scores": scores, "predicted": predicted, "sample_weight": sample_weight})
    gamma = numbers_of(scores, "scores")
    tau = numbers_of(predicted, "predicted", len(gamma))
    w = weights_of(sample_weight, len(gamma))
    if np.ptp(tau) == 0:
        raise CausalDataError("the predicted effects are all the same, so that no difference can be judged")
    mean = float(np.average(tau, weights=w))
    if abs(mean) < 1e-12 * np.abs(tau).max():
        raise CausalDataError("the mean predicted effect is 0, so that the mean score cannot be compared with it")
    basis = EffectBasis.of(tau[:, None], ["differential prediction"])
    fit = fit_on_basis(basis, np.ones((len(gamma), 1)), gamma, w, ["effect"])
    # the basis is centred at the unweighted mean
    moved = np.array([[1.0, mean - tau.mean()], [0.0, 1.0]]) / np.array([[mean], [1.0]])
    labels = scores.index if isinstance(scores, pd.Series) else pd.RangeIndex(len(gamma))
    linear = LinearEffects.of(basis, fit.values, fit.contributions, RowIdentity(labels, gamma), ["effect"])
    u = linear.uncertainty.linear(moved)
    index = pd.Index(["mean prediction", "differential prediction"])
    return Effect(
        rows=Estimates(pd.Series(moved @ fit.values, index=index, name="estimate"), u),
        estimand="calibration of predicted effects: 1 where they are right",
        n_obs=len(gamma),
        assumptions=("the predictions were learned on other rows",),
        diagnostics=Checks({"groups": partial(_calibration_groups, gamma, tau, w, groups)}),
        std_error_method="HC1, doubly robust scores",
    ).explained()


def _calibration_groups(scores: Floats, predicted: Floats, w: Floats | None, groups: int) -> Check:
    """Mean prediction and mean score by fifths (or others) of the prediction."""
    codes = pd.qcut(predicted, groups, labels=False, duplicates="drop")
    unit = np.ones(len(scores)) if w is None else w
    rows = []
    for g in range(int(codes.max()) + 1):
        inside = codes == g
        own = unit[inside] / unit[inside].sum()
        mean = float(own @ scores[inside])
        error = float(np.sqrt(np.square(own * (scores[inside] - mean)).sum()))
        rows.append((int(inside.sum()), float(own @ predicted[inside]), mean, error))
    table = pd.DataFrame(rows, columns=["n", "predicted", "estimate", "std_error"]).rename_axis("group")
    gap = float(((table["estimate"] - table["predicted"]) / table["std_error"]).abs().max())
    return Check(None, table, f"the mean score is at most {gap:.1f} standard errors from the mean prediction")


# -- definitions of other packages ------------------------------------------------------------------------------------


def uplift_curve(
    y: ArrayLike, treatment: ArrayLike, score: ArrayLike, *, kind: str = "qini", definition: str = "scikit-uplift"
) -> pd.DataFrame:
    """Curve of a ranking as another package defines it.

    Let R_t, R_c be the treated's and the controls' sums of outcomes among the first k rows, N_t, N_c their numbers.
    "qini" is ``R_t - R_c N_t / N_c``, "uplift" (gain) is ``(R_t / N_t - R_c / N_c) k``. scikit-uplift has a point after
    every group of ties, CausalML one after every row; where an arm is absent the former counts its rate as 0, the
    latter interpolates.

    Parameters
    ----------
    y, treatment, score : array-like (n,)
        Treatment 0/1.
    kind : {"qini", "uplift"}
    definition : {"scikit-uplift", "causalml"}

    Returns
    -------
    DataFrame
        Columns ``rows`` (the first k) and ``value``, from 0 rows on.
    """
    _one_of("kind", kind, ("qini", "uplift"))
    _one_of("definition", definition, ("scikit-uplift", "causalml"))
    y, d, s = _binary_arms(y, treatment, score)
    if definition == "causalml":
        order = np.argsort(-s, kind="stable")
        ends = np.arange(len(s))
    else:
        order = np.argsort(s, kind="stable")[::-1]
        ranked = s[order]
        ends = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(s) - 1)
    y, d = y[order], d[order]
    k = ends + 1.0
    n_treated, sum_treated = np.cumsum(d)[ends], np.cumsum(y * d)[ends]
    n_control, sum_control = k - n_treated, np.cumsum(y * (1 - d))[ends]
    if definition == "causalml":
        with np.errstate(divide="ignore", invalid="ignore"):
            lift = sum_treated / n_treated - sum_control / n_control
            raw = lift if kind == "uplift" else sum_treated - sum_control * n_treated / n_control
        filled = pd.Series(np.append(0.0, np.where(np.isinf(raw), np.nan, raw))).interpolate().to_numpy()
        value = filled * np.append(0.0, k) if kind == "uplift" else filled
        return pd.DataFrame({"rows": np.append(0.0, k), "value": value})
    rate_treated, rate_control = _ratio(sum_treated, n_treated), _ratio(sum_control, n_control)
    value = (rate_treated - rate_control) * k if kind == "uplift" else (
        sum_treated - sum_control * _ratio(n_treated, n_control)
    )  # fmt: skip
    return pd.DataFrame({"rows": np.append(0.0, k), "value": np.append(0.0, value)})


def qini(
    y: ArrayLike,
    treatment: ArrayLike,
    score: ArrayLike,
    *,
    definition: str = "scikit-uplift",
    negative_effect: bool = True,
) -> float:
    """Qini coefficient of a ranking as another package defines it; :func:`rate` has one with a standard error.

    "scikit-uplift": area between the Qini curve and the diagonal, beside that of a perfect ranking (0/1 outcomes; with
    `negative_effect` the perfect curve falls for those whom treatment harms). "causalml": mean height of the curve,
    divided by its end, above the diagonal.

    Parameters
    ----------
    y, treatment, score : array-like (n,)
    definition : {"scikit-uplift", "causalml"}
    negative_effect : bool
    """
    curve = uplift_curve(y, treatment, score, kind="qini", definition=definition)
    if definition == "causalml":
        height = curve["value"].to_numpy() / abs(curve["value"].iloc[-1])
        return float((height - np.linspace(height[0], height[-1], len(height))).mean())
    perfect = _perfect_qini(*_binary_arms(y, treatment, score)[:2], negative_effect)
    return _beside_perfect(curve, perfect)


def auuc(y: ArrayLike, treatment: ArrayLike, score: ArrayLike, *, definition: str = "scikit-uplift") -> float:
    """Area under the uplift (gain) curve of a ranking as another package defines it.

    "scikit-uplift": its area between curve and diagonal, beside that of a perfect ranking (0/1 outcomes). "causalml":
    mean height of the gain curve divided by its end; 0.5 for a ranking at random.

    Parameters
    ----------
    y, treatment, score : array-like (n,)
    definition : {"scikit-uplift", "causalml"}
    """
    curve = uplift_curve(y, treatment, score, kind="uplift", definition=definition)
    if definition == "causalml":
        return float((curve["value"] / abs(curve["value"].iloc[-1])).mean())
    outcome, d, _ = _binary_arms(y, treatment, score)
    _binary_outcome(outcome)
    responds, harmed = ((outcome == 1) & (d == 0)).sum(), ((outcome == 0) & (d == 1)).sum()
    ideal = _TWO * (outcome == d) + (outcome if responds > harmed else d)
    return _beside_perfect(curve, uplift_curve(outcome, d, ideal, kind="uplift"))


def uplift_at_k(y: ArrayLike, treatment: ArrayLike, score: ArrayLike, *, k: float = 0.3, by_arm: bool = False) -> float:
    """Difference of mean outcomes among the first share k of the rows, or of each arm's rows (scikit-uplift).

    Parameters
    ----------
    y, treatment, score : array-like (n,)
    k : float
        Between 0 and 1.
    by_arm : bool
    """
    outcome, d, s = _binary_arms(y, treatment, score)
    if not isinstance(k, int | float | np.number) or not 0 < k < 1:
        raise CausalArgumentError(f"k must lie between 0 and 1, e.g. 0.3; got {k!r}")
    order = np.argsort(s, kind="stable")[::-1]
    outcome, d = outcome[order], d[order]
    if by_arm:
        parts = [outcome[d == a][: int((d == a).sum() * k)] for a in (0, 1)]
    else:
        first = int(len(d) * k)
        parts = [outcome[:first][d[:first] == a] for a in (0, 1)]
    if not all(map(len, parts)):
        raise CausalDataError(f"the first {k:.0%} of the rows hold one arm only; take a larger k")
    return float(parts[1].mean() - parts[0].mean())


def _perfect_qini(y: Floats, d: Floats, negative_effect: bool) -> pd.DataFrame:
    _binary_outcome(y)
    if negative_effect:
        return uplift_curve(y, d, y * d - y * (1 - d), kind="qini")
    top = y[d == 1].sum() - (d == 1).sum() * y[d == 0].sum() / (d == 0).sum()
    return pd.DataFrame({"rows": [0.0, top, len(y)], "value": [0.0, top, top]})


def _beside_perfect(curve: pd.DataFrame, perfect: pd.DataFrame) -> float:
    """Area above the diagonal beside that of the perfect curve."""
    diagonal = float(perfect["rows"].iloc[-1] * perfect["value"].iloc[-1] / 2)
    own, best = (trapezoid(c["value"], c["rows"]) - diagonal for c in (curve, perfect))
    return float(own / best)


def _ratio(a: Floats, b: Floats) -> Floats:
    return np.divide(a, b, out=np.zeros_like(a, dtype=float), where=b != 0)


def _binary_arms(y: ArrayLike, treatment: ArrayLike, score: ArrayLike) -> tuple[Floats, Floats, Floats]:
    common_index({"y": y, "treatment": treatment, "score": score})
    outcome = numbers_of(y, "y")
    d, s = numbers_of(treatment, "treatment", len(outcome)), numbers_of(score, "score", len(outcome))
    if not _is_binary(d).all() or len(np.unique(d)) < _TWO:
        raise CausalDataError("treatment must be 0 and 1, and hold both: a curve compares two arms; take one contrast")
    return outcome, d, s


def _binary_outcome(y: Floats) -> None:
    if not _is_binary(y).all():
        raise CausalDataError(
            "this definition's perfect curve needs a 0/1 outcome; use rate(scores, priority), or definition='causalml'"
        )


def _is_binary(values: Floats) -> Bools:
    return np.isin(values, (0.0, 1.0))


def numbers_of(values: Any, name: str, n: int | None = None) -> Floats:
    """Values as (n,) finite numbers, or one error that says what is wrong.

    Raises
    ------
    CausalDataError
    """
    try:
        out: Values = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise CausalDataError(f"{name} must be numbers, one per row") from None
    if out.ndim != 1:
        raise CausalDataError(f"{name} must be one column, got shape {out.shape}; take one contrast at a time")
    if n is not None and len(out) != n:
        raise CausalDataError(f"{name} has {len(out):,} values for {n:,} rows")
    bad = int((~np.isfinite(out)).sum())
    if bad:
        raise CausalDataError(f"{name} is missing or infinite in {bad:,} rows; leave them out")
    return out


def _rankings(priority: Any, n: int) -> dict[Hashable, Floats]:
    if isinstance(priority, pd.DataFrame):
        named: dict[Hashable, Any] = {name: priority[name] for name in priority}
    elif isinstance(priority, Mapping):
        named = dict(priority)
    else:
        named = {getattr(priority, "name", None) or "ranking": priority}
    rankings = {name: numbers_of(values, f"priority {name!r}", n) for name, values in named.items()}
    flat = [name for name, values in rankings.items() if values.min() == values.max()]
    if flat:
        raise CausalDataError(f"priority {flat[0]!r} is the same in every row, so that it ranks nobody")
    return rankings


def _one_of(name: str, value: object, legal: tuple[str, ...]) -> None:
    if not isinstance(value, str) or value not in legal:
        raise CausalArgumentError(f"{name}={value!r} is not known; use one of {list(legal)}")
