"""Nested regressions: an outcome regressed on covariates and mediators, averaged over the mediators of another arm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.arms.estimands import EstimandPlan
from pandas_causal.inputs.types import Model
from pandas_causal.kernels.arrays import Bools, Codes, Floats
from pandas_causal.models.cross_fitting import make_model, skill, squared_loss, weighted_fit
from pandas_causal.models.linear import StandardisedMatrix, solve_gram
from pandas_causal.models.nuisance import TrainingRows, is_linear
from pandas_causal.models.stacking import join_means

__all__ = ["Nested", "fit_nested", "nested_report", "pairs"]

_MEMBERS = ("ridge", "splines", "boosting")


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
    spec: Model,
    rows: TrainingRows,
    inner: Callable[[int], Floats],
    folds: Codes,
    wanted: Sequence[tuple[int, int]],
    *,
    random_state: int | None = 0,
    n_jobs: int | None = None,
) -> Nested:
    """Regress the inner regression on the covariates within arms, never with a row that is predicted.

    For the rows of fold k both regressions are learned from the other folds. ``nu_at`` is learned from rows of arm a,
    ``mu_t`` from rows of arm t, so that ``mu_t`` was not fitted to the rows whose predictions are regressed.

    Parameters
    ----------
    spec : str or scikit-learn regressor
        "auto" joins ridge, splines and boosting, pair by pair, by out-of-fold loss.
    rows : TrainingRows (n,)
    inner : callable
        Fold to ``mu`` (n, K), by models that did not see that fold.
    folds : ndarray (n,)
    wanted : sequence of (a, t)
    """
    from sklearn.utils.parallel import Parallel, delayed

    auto = isinstance(spec, str) and spec == "auto"
    names: list[Model] = ["linear"] if is_linear(spec, rows.X) else list(_MEMBERS) if auto else [spec]
    design = rows.standardised() if is_linear(spec, rows.X) else None
    makers = [None if design is not None else make_model(m, classify=False, random_state=random_state) for m in names]
    values, columns = rows.for_learners()
    given = values if columns is None or isinstance(spec, str) else pd.DataFrame(values, columns=list(columns))

    def one(fold: int) -> tuple[Bools, Floats, list[Floats]]:
        held_out, pseudo = folds == fold, inner(fold)
        blocks = []
        for model in makers:
            block = np.empty((int(held_out.sum()), len(wanted)))
            for a in {a for a, _ in wanted}:
                at = [j for j, (b, _) in enumerate(wanted) if b == a]
                learn, goals = (rows.arms == a) & ~held_out, pseudo[:, [wanted[j][1] for j in at]]
                if design is not None:
                    block[:, at] = _linear(design, goals, learn, held_out, rows.w)
                else:
                    block[:, at] = _learned(model, given, rows.w, goals, learn, held_out)
            blocks.append(block)
        return held_out, pseudo[held_out], blocks

    targets = np.empty((len(rows), rows.n_arms))
    tried = np.empty((len(names), len(rows), len(wanted)))
    for held_out, pseudo, blocks in Parallel(n_jobs=n_jobs)(delayed(one)(int(f)) for f in np.unique(folds)):
        targets[held_out] = pseudo
        tried[:, held_out] = blocks
    words = [m if isinstance(m, str) else type(m).__name__ for m in names]
    return _joined(tried, words, targets, rows, wanted)


def _joined(
    tried: Floats,
    names: Sequence[str],
    targets: Floats,
    rows: TrainingRows,
    wanted: Sequence[tuple[int, int]],
) -> Nested:
    """Join models, pair by pair, by their out-of-fold loss among the rows they speak of."""
    out = Nested(np.zeros((len(rows), rows.n_arms, rows.n_arms)), {}, {}, {})
    for j, (a, t) in enumerate(wanted):
        of_arm = rows.arms == a
        goal, unit = targets[of_arm, t], None if rows.w is None else rows.w[of_arm]
        members = dict(zip(names, tried[:, :, j], strict=True))
        stack = join_means({name: predicted[of_arm] for name, predicted in members.items()}, goal, unit)
        out.predictions[:, a, t] = stack.join(members)
        out.chosen[a, t] = stack.name
        out.losses[a, t] = squared_loss(goal, out.predictions[of_arm, a, t], unit)
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
    X: Floats | pd.DataFrame,
    w: Floats | None,
    goals: Floats,
    learn: Bools,
    predict: Bools,
) -> Floats:
    """Fit one scikit-learn model per target on some rows, predict others."""
    from sklearn.base import clone

    out = np.empty((int(predict.sum()), goals.shape[1]))
    known, new = X[learn], X[predict]
    for j, goal in enumerate(goals.T):
        fitted = weighted_fit(clone(model), known, goal[learn], None if w is None else w[learn])
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
