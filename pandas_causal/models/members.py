"""What "auto" is made of: a table of learners, their cross-fits, and the stack of them.

Some learners see one arm, others all arms, with the arm as a column: what arms have in common is then learned from all
rows, and weights found arm by arm settle which of the two an arm believes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pandas_causal.inputs.encoding import EveryLevel
from pandas_causal.inputs.types import Model
from pandas_causal.kernels.arrays import Codes, Floats
from pandas_causal.models.cross_fitting import PredictFunction, cross_fit, fit_by_fold, make_model, out_of_fold
from pandas_causal.models.folds import sample_of_groups
from pandas_causal.models.stacking import Stack, join_means, join_probabilities
from pandas_causal.models.training_rows import TrainingRows

__all__ = [
    "ArmPredictors",
    "cross_fit_arms",
    "cross_fit_probabilities",
    "stacked_means",
    "stacked_probabilities",
]

RowFunction = Callable[[Floats], Floats]


@dataclass(frozen=True)
class _Member:
    """A learner, whether it sees all arms at once, and the rows it needs: of every arm, or of all where it sees all."""

    model: str
    pooled: bool
    least: int


_OF_MEANS = {
    "ridge": _Member("ridge", False, 0),
    "splines": _Member("splines", False, 0),
    "boosting": _Member("boosting", False, 250),
    "pooled splines": _Member("splines", True, 0),
    "pooled boosted_splines": _Member("boosted_splines", True, 250),
    "pooled boosted_products": _Member("boosted_products", True, 250),
}
_OF_PROBABILITIES = {
    "ridge": _Member("ridge", True, 0),
    "splines": _Member("splines", True, 250),
    "boosting": _Member("boosting", True, 250),
    "boosted_splines": _Member("boosted_splines", True, 250),
}
_PLAIN = ("ridge", "boosting")  # what the stack is compared with where its own error is judged
_SUBSAMPLE = 100_000  # rows on which members without a say are found out


class CrossFit(NamedTuple):
    """Out-of-fold predictions (n, K), and a function X -> (m, K) for every fold."""

    predictions: Floats
    by_fold: tuple[RowFunction, ...]


class Stacked(NamedTuple):
    """Out-of-fold predictions (n, K) of a stack, its functions by fold, and what it is made of.

    `stacks` has one for every arm (means) or one (probabilities); `plain` is what ridge and boosting alone predict.
    """

    predictions: Floats
    by_fold: tuple[RowFunction, ...]
    stacks: tuple[Stack, ...]
    plain: Floats | None


@dataclass(frozen=True, eq=False)
class ArmPredictors:
    """The models of every arm, of one fold, as one function X -> (m, K)."""

    arms: tuple[RowFunction, ...]

    def __call__(self, X: Floats) -> Floats:
        """Predict."""
        return np.column_stack([predictor(X)[:, -1] for predictor in self.arms])


@dataclass(frozen=True, eq=False)
class _UnderEveryArm:
    """A model that takes the arm as columns, after every level of the covariates, as a function X -> (m, K)."""

    model: PredictFunction
    n_arms: int
    levels: EveryLevel | None

    def __call__(self, X: Floats) -> Floats:
        every = X if self.levels is None else self.levels.on(X)
        arms = [np.full(len(X), a, dtype=np.int8) for a in range(self.n_arms)]
        return np.column_stack([self.model(np.hstack([every, _arm_columns(of, self.n_arms)]))[:, -1] for of in arms])


@dataclass(frozen=True, eq=False)
class _StackedArms:
    """The stack of every arm, of one fold, as one function X -> (m, K)."""

    stacks: tuple[Stack, ...]
    members: Mapping[str, RowFunction]

    def __call__(self, X: Floats) -> Floats:
        each = {name: member(X) for name, member in self.members.items()}
        return _join_arms(self.stacks, each)


@dataclass(frozen=True, eq=False)
class _StackedProbabilities:
    """The stack of one fold as a function X -> (m, K)."""

    stack: Stack
    members: Mapping[str, RowFunction]

    def __call__(self, X: Floats) -> Floats:
        return self.stack.join({name: member(X) for name, member in self.members.items()})


def _arm_columns(arms: Codes, n_arms: int) -> Floats:
    """A column of 0 and 1 for every arm but the first (n, K - 1)."""
    return (arms[:, None] == np.arange(1, n_arms)).astype(float)


def cross_fit_arms(
    spec: Model, rows: TrainingRows, folds: Codes | None, random_state: int | None, n_jobs: int | None
) -> CrossFit:
    """A model of the outcome for every arm by itself."""
    classify = _classifies(spec) and rows.binary()
    y = rows.outcome()
    fits = [
        cross_fit(
            make_model(spec, classify=classify, random_state=random_state, width=rows.X.shape[1]),
            rows.X,
            y.astype(int) if classify else y,
            folds,
            use=rows.arms == a,
            n_classes=2 if classify else 0,
            w=rows.w,
            columns=None if isinstance(spec, str) else rows.columns,
            levels=rows.levels,
            n_jobs=n_jobs,
        )
        for a in range(rows.n_arms)
    ]
    by_fold = zip(*(models for _, models in fits), strict=True)
    predictions = np.column_stack([predicted[:, -1] for predicted, _ in fits])
    return CrossFit(predictions, tuple(ArmPredictors(models) for models in by_fold))


def cross_fit_probabilities(
    spec: Model, rows: TrainingRows, folds: Codes | None, random_state: int | None, n_jobs: int | None
) -> tuple[Floats, tuple[PredictFunction, ...]]:
    """A model of the arm received."""
    return cross_fit(
        make_model(spec, classify=True, random_state=random_state, width=rows.X.shape[1]),
        rows.X,
        rows.arms.astype(int),
        folds,
        n_classes=rows.n_arms,
        w=rows.w,
        columns=None if isinstance(spec, str) else rows.columns,
        levels=rows.levels,
        n_jobs=n_jobs,
    )


def _classifies(spec: Model) -> bool:
    """Whether a model of a 0/1 outcome is a classifier."""
    if isinstance(spec, str):
        return spec not in ("linear", "ridge")
    return hasattr(spec, "predict_proba")


def _cross_fit_pooled(
    names: Sequence[str], rows: TrainingRows, folds: Codes | None, random_state: int | None, n_jobs: int | None
) -> dict[str, CrossFit]:
    """Members that see all arms at once. Splines and boosted products are parts of the boosted splines."""
    every = rows.X if rows.levels is None else rows.levels.on(rows.X)
    X = np.hstack([every, _arm_columns(rows.arms, rows.n_arms)])
    classify = rows.binary()
    wanted = [_OF_MEANS[name].model for name in names]
    spec = "splines" if wanted == ["splines"] else "boosted_splines"
    model = make_model(spec, classify=classify, random_state=random_state)
    if "boosted_products" in wanted:
        model.set_params(products=True)
    y = rows.outcome()
    models = fit_by_fold(
        model, X, y.astype(int) if classify else y, folds, n_classes=2 if classify else 0, w=rows.w, n_jobs=n_jobs
    )
    fits = {}
    for name, part in zip(names, wanted, strict=True):
        parts = [of_fold if part == spec else of_fold.part(part) for of_fold in models]
        by_fold = tuple(_UnderEveryArm(of_fold, rows.n_arms, rows.levels) for of_fold in parts)
        fits[name] = CrossFit(out_of_fold(by_fold, rows.X, folds, rows.n_arms), by_fold)
    return fits


def _members_of_means(
    names: Sequence[str], rows: TrainingRows, folds: Codes | None, random_state: int | None, n_jobs: int | None
) -> dict[str, CrossFit]:
    pooled = [name for name in names if _OF_MEANS[name].pooled]
    fits = {
        name: cross_fit_arms(_OF_MEANS[name].model, rows, folds, random_state, n_jobs)
        for name in names
        if name not in pooled
    }
    if pooled:
        fits |= _cross_fit_pooled(pooled, rows, folds, random_state, n_jobs)
    return fits


def _join_arms(stacks: Sequence[Stack], each: Mapping[str, Floats]) -> Floats:
    return np.column_stack([
        stack.join({name: predicted[:, a] for name, predicted in each.items()}) for a, stack in enumerate(stacks)
    ])  # fmt: skip


def _stack_arms(rows: TrainingRows, each: Mapping[str, Floats]) -> tuple[Stack, ...]:
    """The weights of every arm."""
    y, stacks = rows.outcome(), []
    for a in range(rows.n_arms):
        own = rows.arms == a
        w = None if rows.w is None else rows.w[own]
        stacks.append(join_means({name: predicted[own, a] for name, predicted in each.items()}, y[own], w))
    return tuple(stacks)


def _with_a_say(names: Sequence[str], stacks: Sequence[Stack]) -> list[str]:
    """Members with a say in stacks that were made before, and those of the plainer answer."""
    heard = {name for stack in stacks for name in stack.heard()}
    return [name for name in names if name in heard or name in _PLAIN]


def _subsample(rows: TrainingRows, folds: Codes) -> tuple[TrainingRows, Codes] | None:
    """The rows on which members without a say are found out, where there are too many to try them all on."""
    if len(rows) <= _SUBSAMPLE:
        return None
    at = sample_of_groups(rows.arms * (int(folds.max()) + 1) + folds, _SUBSAMPLE)
    return rows.take(at), folds[at]


def stacked_means(
    rows: TrainingRows,
    folds: Codes,
    before: Sequence[Stack] | None,
    random_state: int | None,
    n_jobs: int | None,
) -> Stacked:
    """Fit the members of the outcome in every arm, and join them arm by arm.

    Parameters
    ----------
    rows : TrainingRows
    folds : ndarray (n,)
    before : sequence of Stack, optional
        Of an earlier split: members without a say there are left out.
    random_state, n_jobs : int, optional
    """
    smallest = int(np.bincount(rows.arms, minlength=rows.n_arms).min())
    if before:
        names = _with_a_say(before[0].members, before)
    else:
        names = [k for k, m in _OF_MEANS.items() if (len(rows) if m.pooled else smallest) >= m.least]
        if rows.n_arms == 1:
            names.remove("splines")  # of one arm, or of all: the same
        if (part := _subsample(rows, folds)) is not None:
            tried = _members_of_means(names, *part, random_state, n_jobs)
            stacks = _stack_arms(part[0], {name: tried[name].predictions for name in names})
            names = _with_a_say(names, stacks)
    fits = _members_of_means(names, rows, folds, random_state, n_jobs)
    each = {name: fits[name].predictions for name in names}
    stacks = _stack_arms(rows, each)
    by_fold = tuple(
        _StackedArms(stacks, dict(zip(names, models, strict=True)))
        for models in zip(*(fits[name].by_fold for name in names), strict=True)
    )
    plain = {name: each[name] for name in _PLAIN if name in each}
    return Stacked(
        _join_arms(stacks, each), by_fold, stacks, _join_arms(_stack_arms(rows, plain), plain) if plain else None
    )


def stacked_probabilities(
    rows: TrainingRows,
    folds: Codes,
    before: Sequence[Stack] | None,
    random_state: int | None,
    n_jobs: int | None,
) -> Stacked:
    """Fit the members of the probability of every arm, and join them: as :func:`stacked_means`."""

    def run(names: Sequence[str], part: TrainingRows, by: Codes | None) -> dict[str, CrossFit]:
        shared = "boosted_splines" in names and "splines" in names
        fits = {
            name: CrossFit(*cross_fit_probabilities(_OF_PROBABILITIES[name].model, part, by, random_state, n_jobs))
            for name in names
            if not (shared and name == "splines")
        }
        if shared:
            smooth = tuple(model.part("splines") for model in fits["boosted_splines"].by_fold)  # type: ignore[attr-defined]
            fits["splines"] = CrossFit(out_of_fold(smooth, part.X, by, part.n_arms), smooth)
        return fits

    def join(part: TrainingRows, each: Mapping[str, Floats]) -> Stack:
        return join_probabilities(each, part.arms, part.w)

    if before:
        names = _with_a_say(before[0].members, before)
    else:
        names = [name for name, member in _OF_PROBABILITIES.items() if len(rows) >= member.least]
        if (part := _subsample(rows, folds)) is not None:
            tried = run(names, *part)
            names = _with_a_say(names, [join(part[0], {name: tried[name].predictions for name in names})])
    fits = run(names, rows, folds)
    each = {name: fits[name].predictions for name in names}
    stack = join(rows, each)
    by_fold = tuple(
        _StackedProbabilities(stack, dict(zip(names, models, strict=True)))
        for models in zip(*(fits[name].by_fold for name in names), strict=True)
    )
    plain = {name: each[name] for name in _PLAIN if name in each}
    return Stacked(stack.join(each), by_fold, (stack,), join(rows, plain).join(plain) if plain else None)
