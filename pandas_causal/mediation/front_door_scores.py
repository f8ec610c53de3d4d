"""The front door: scores of the means under every arm, and the regressions of a regression behind them.

Notation: A the arm, M the mediators, X the covariates, Y the outcome; ``e_a(x) = P(A = a | x)``,
``r_a(m, x) = P(A = a | m, x)``, ``mu_t(m, x) = E[Y | A = t, m, x]`` and ``nu_at(x) = E[mu_t(M, x) | A = a, x]``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pandas_causal.arms.estimands import Plan
from pandas_causal.arms.overlap import effective_sample_size
from pandas_causal.effect.check import Check
from pandas_causal.errors import OverlapError
from pandas_causal.models.linear import Design, solve_gram
from pandas_causal.models.nuisance import is_linear, make_model, skill, squared_loss, weighted_fit

__all__ = ["Nested", "fit_nested", "front_door_scores", "mediator_overlap", "mediator_weights", "pairs"]

Floats = NDArray[np.float64]
Codes = NDArray[np.integer[Any]]
_LEAST_SHARE = 0.10


def mediator_weights(propensity: Floats, given_mediators: Floats, codes: Codes, a: int) -> Floats:
    """Ratio of the mediators' densities under arm a and under the arm received, by Bayes' rule.

    ``p(m | a, x) / p(m | A, x) = (r_a / r_A) (e_A / e_a)``: two classifiers in place of a density of all mediators.

    References
    ----------
    Guo, Benkeser and Nabi (2023), "Targeted machine learning for average causal effect estimation using the front-door
    functional", arXiv 2312.10234, the estimators for continuous and multivariate mediators.
    """
    rows = np.arange(len(codes))
    return np.asarray(given_mediators[:, a] / given_mediators[rows, codes] * propensity[rows, codes] / propensity[:, a])


def front_door_scores(
    plan: Plan,
    y: Floats,
    codes: Codes,
    outcome: Floats,
    nested: Floats,
    propensity: Floats,
    given_mediators: Floats,
    w: Floats | None = None,
) -> tuple[Floats, Floats]:
    """Front-door means and their contributions.

    ``E[Y(a)]`` is ``E[Y | A = a]`` for the rows of arm a, and for those of every other arm t the mean of
    ``nu_at(X) + p(M | a, X) / p(M | t, X) (Y - mu_t(M, X))``, to which each row of arm a adds
    ``e_t / e_a (mu_t(M, X) - nu_at(X))``. That is the efficient influence function of the front-door functional; in
    it ``nu_aa`` cancels, so that only regressions across arms are needed. Of second order are
    ``(ratio - its limit) (mu - its limit)`` and ``(e - its limit) (nu - its limit)``.

    Parameters
    ----------
    plan : Plan
        Means wanted (k of them).
    y, codes : ndarray (n,)
    outcome : ndarray (n, K)
        ``mu_t`` at every row's own mediators.
    nested : ndarray (n, K, K)
        ``nu_at``, ``[:, a, t]``; the diagonal is not read.
    propensity, given_mediators : ndarray (n, K)
        ``e`` and ``r``.
    w : ndarray (n,), optional
        Sample weights.

    Returns
    -------
    values : ndarray (k,)
    contributions : ndarray (n, k)

    References
    ----------
    Fulcher, Shpitser, Marealle and Tchetgen Tchetgen (2020), "Robust inference on population indirect causal effects:
    the generalized front door criterion", JRSS B 82, Theorem 1 (without a direct effect their ``E[Y(A, M(a))]`` is
    ``E[Y(a)]``); Guo, Benkeser and Nabi (2023), arXiv 2312.10234, for the means among the treated.
    """
    n, k, K = len(y), len(plan.targets), propensity.shape[1]
    values, contributions = np.empty(k), np.empty((n, k))
    unit = np.ones(n) if w is None else w
    for j, (population, a) in enumerate(plan.targets):
        ratio = mediator_weights(propensity, given_mediators, codes, a)
        members = range(K) if population is None else (population,)
        term = np.zeros(n)
        own = codes == a
        for t in members:
            if t == a:
                term[own] += y[own]
                continue
            theirs, nu = codes == t, nested[:, a, t]
            term[theirs] += nu[theirs] + (ratio * (y - outcome[:, t]))[theirs]
            term[own] += (propensity[own, t] / propensity[own, a]) * (outcome[own, t] - nu[own])
        member = np.isin(codes, members) * unit
        total = member.sum()
        values[j] = unit @ term / total
        contributions[:, j] = (unit * term - member * values[j]) / total
    return values, contributions


def pairs(plan: Plan, n_arms: int) -> list[tuple[int, int]]:
    """Pairs (a, t) whose regression ``nu_at`` the means of a plan need."""
    out = []
    for population, a in plan.targets:
        out += [(a, t) for t in (range(n_arms) if population is None else (population,)) if t != a]
    return list(dict.fromkeys(out))


@dataclass(frozen=True, eq=False)
class Nested:
    """Out-of-fold predictions of the outer regressions.

    Attributes
    ----------
    predictions : ndarray (n, K, K)
        ``nu_at`` as ``[:, a, t]``; zero where it was not asked for.
    chosen : dict of (a, t) to str
    losses, baselines : dict of (a, t) to float
        Out-of-fold loss among the rows of arm a, and that of a constant.
    """

    predictions: Floats
    chosen: dict[tuple[int, int], str]
    losses: dict[tuple[int, int], float]
    baselines: dict[tuple[int, int], float]


def fit_nested(
    spec: Any,
    X: Floats,
    inner: Callable[[int], Floats],
    codes: Codes,
    n_arms: int,
    folds: Codes,
    wanted: Sequence[tuple[int, int]],
    *,
    w: Floats | None = None,
    columns: Sequence[str] | None = None,
    random_state: int | None = 0,
    n_jobs: int | None = None,
) -> Nested:
    """Regress the inner regression on the covariates within arms, never with a row that is predicted.

    For the rows of fold k both regressions are learned from the other folds. ``nu_at`` is learned from rows of arm a,
    ``mu_t`` from rows of arm t, so that ``mu_t`` was not fitted to the rows whose predictions are regressed.

    Parameters
    ----------
    spec : str or scikit-learn regressor
        "auto" settles every pair by its own out-of-fold loss.
    X : ndarray (n, q)
    inner : callable
        Fold to ``mu`` (n, K), by models that did not see that fold.
    codes, folds : ndarray (n,)
    wanted : sequence of (a, t)
    """
    from sklearn.utils.parallel import Parallel, delayed

    auto = isinstance(spec, str) and spec == "auto"
    names = ["linear"] if is_linear(spec, X) else ["ridge", "boosting"] if auto else [spec]
    design = Design.of(X) if is_linear(spec, X) else None
    makers = [None if design is not None else make_model(m, classify=False, random_state=random_state) for m in names]
    named = None if columns is None or isinstance(spec, str) else list(columns)

    def one(fold: int) -> tuple[NDArray[np.bool_], Floats, list[Floats]]:
        held_out, pseudo = folds == fold, inner(fold)
        found = []
        for model in makers:
            block = np.empty((int(held_out.sum()), len(wanted)))
            for a in {a for a, _ in wanted}:
                at = [j for j, (b, _) in enumerate(wanted) if b == a]
                learn, goals = (codes == a) & ~held_out, pseudo[:, [wanted[j][1] for j in at]]
                if design is not None:
                    block[:, at] = _linear(design, goals, learn, held_out, w)
                else:
                    block[:, at] = _learned(model, X, goals, learn, held_out, w, named)
            found.append(block)
        return held_out, pseudo[held_out], found

    targets = np.empty((len(codes), n_arms))
    tried = np.empty((len(names), len(codes), len(wanted)))
    for held_out, pseudo, found in Parallel(n_jobs=n_jobs)(delayed(one)(int(f)) for f in np.unique(folds)):
        targets[held_out] = pseudo
        tried[:, held_out] = found
    words = [m if isinstance(m, str) else type(m).__name__ for m in names]
    return _best(tried, words, targets, codes, wanted, n_arms, w)


def _best(
    tried: Floats,
    names: Sequence[str],
    targets: Floats,
    codes: Codes,
    wanted: Sequence[tuple[int, int]],
    n_arms: int,
    w: Floats | None,
) -> Nested:
    """Keep, pair by pair, the model whose out-of-fold loss among the rows it speaks of is smallest."""
    out = Nested(np.zeros((len(codes), n_arms, n_arms)), {}, {}, {})
    for j, (a, t) in enumerate(wanted):
        own = codes == a
        goal, unit = targets[own, t], None if w is None else w[own]
        losses = [squared_loss(goal, predictions[own, j], unit) for predictions in tried]
        best = int(np.argmin(losses))
        out.predictions[:, a, t] = tried[best, :, j]
        out.chosen[a, t], out.losses[a, t] = names[best], losses[best]
        out.baselines[a, t] = squared_loss(goal, np.full(len(goal), np.average(goal, weights=unit)), unit)
    return out


def _linear(
    design: Design, goals: Floats, learn: NDArray[np.bool_], predict: NDArray[np.bool_], w: Floats | None
) -> Floats:
    """Least squares of several targets at once on some rows, predicted on others."""
    gram, moment = np.zeros((design.p, design.p)), np.zeros((design.p, goals.shape[1]))
    for at, Z in design.blocks():
        inside = learn[at]
        z = Z[inside]
        wz = z if w is None else z * w[at][inside][:, None]
        gram += wz.T @ z
        moment += wz.T @ goals[at][inside]
    return np.asarray(design.rows(np.flatnonzero(predict)) @ solve_gram(gram, moment))


def _learned(
    model: Any,
    X: Floats,
    goals: Floats,
    learn: NDArray[np.bool_],
    predict: NDArray[np.bool_],
    w: Floats | None,
    columns: list[str] | None,
) -> Floats:
    """Fit one scikit-learn model per target on some rows, predict others."""
    from sklearn.base import clone

    out = np.empty((int(predict.sum()), goals.shape[1]))
    rows, new = (X[at] if columns is None else pd.DataFrame(X[at], columns=columns) for at in (learn, predict))
    for j, goal in enumerate(goals.T):
        fitted = weighted_fit(clone(model), rows, goal[learn], None if w is None else w[learn])
        out[:, j] = np.asarray(fitted.predict(new), dtype=float).ravel()
    return out


def nested_report(nested: Nested, levels: Sequence[Any]) -> pd.DataFrame:
    """Rows for the table of nuisances: model chosen, loss and skill of every outer regression."""
    rows = [
        (
            f"outcome of {levels[t]} by mediators of {levels[a]}",
            nested.chosen[a, t],
            "squared error",
            nested.losses[a, t],
            nested.baselines[a, t],
            skill(nested.losses[a, t], nested.baselines[a, t]),
        )
        for a, t in nested.chosen
    ]
    columns = ["nuisance", "model", "loss_kind", "loss", "baseline", "skill"]
    return pd.DataFrame(rows, columns=columns).set_index("nuisance")


def mediator_overlap(
    propensity: Floats,
    given_mediators: Floats,
    codes: Codes,
    levels: Sequence[Any],
    wanted: Sequence[tuple[int, int]],
    w: Floats | None = None,
) -> Check:
    """Whether the mediators of one arm occur in the other: the weights that carry rows of arm t to arm a.

    Returns
    -------
    Check
        One row per pair: mean weight (1 where the two classifiers agree and are right), largest weight, effective
        number and share of rows. Failed where a share is under 10%, or a mean is off 1 by over 0.25 and over four
        standard errors.

    Raises
    ------
    OverlapError
        If mediators and covariates tell the arm of every row with certainty.
    """
    rows = np.arange(len(codes))
    if float(given_mediators[rows, codes].min()) > 0.99:
        raise OverlapError(
            "perfect separation: the mediators tell the treatment of every row with certainty, so no value of theirs"
            " occurs in two arms and the front door is shut; use mediators that treatment moves but does not decide"
        )
    table, off = [], False
    for a, t in wanted:
        inside = codes == t
        ratio = mediator_weights(propensity, given_mediators, codes, a)[inside]
        unit = np.ones(len(ratio)) if w is None else w[inside]
        n_effective = effective_sample_size(ratio * unit)
        mean = float(np.average(ratio, weights=unit))
        error = float(ratio.std()) / np.sqrt(len(ratio))
        off |= abs(mean - 1) > max(0.25, 4 * error)
        table.append([str(levels[t]), str(levels[a]), len(ratio), mean, float(ratio.max()), n_effective])
    columns = ["rows_of", "carried_to", "n", "mean_weight", "largest_weight", "effective_n"]
    frame = pd.DataFrame(table, columns=columns).set_index(["rows_of", "carried_to"])
    frame["effective_share"] = frame["effective_n"] / frame["n"]
    least, furthest = float(frame["effective_share"].min()), float(frame["mean_weight"].sub(1).abs().max())
    text = (
        f"smallest effective share of an arm carried to another's mediators {100 * least:.0f}%; mean weights within"
        f" {furthest:.2f} of 1"
    )
    return Check(bool(least >= _LEAST_SHARE and not off), frame, text)
