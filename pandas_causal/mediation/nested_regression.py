"""Nested regressions: an outcome regressed on covariates and mediators, averaged over the mediators of another arm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.arms.estimands import EstimandPlan
from pandas_causal.kernels.arrays import Bools, Codes, Floats
from pandas_causal.models.cross_fitting import make_model, skill, squared_loss, weighted_fit
from pandas_causal.models.linear import StandardisedMatrix, solve_gram
from pandas_causal.models.nuisance import is_linear

__all__ = ["Nested", "fit_nested", "nested_report", "pairs"]


def pairs(plan: EstimandPlan, n_arms: int) -> list[tuple[int, int]]:
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
    design = StandardisedMatrix.of(X) if is_linear(spec, X) else None
    makers = [None if design is not None else make_model(m, classify=False, random_state=random_state) for m in names]
    named = None if columns is None or isinstance(spec, str) else list(columns)

    def one(fold: int) -> tuple[Bools, Floats, list[Floats]]:
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


def _linear(design: StandardisedMatrix, goals: Floats, learn: Bools, predict: Bools, w: Floats | None) -> Floats:
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
    learn: Bools,
    predict: Bools,
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
