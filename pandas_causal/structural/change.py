"""Why a target's distribution moved between two frames: mechanisms swapped one by one."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.effect.check import Check, Checks
from pandas_causal.effect.effect import Effect
from pandas_causal.effect.estimates import Estimates
from pandas_causal.errors import CausalArgumentError, CausalDataError, CausalWarning, warn
from pandas_causal.inference.draws_and_variance import Draws
from pandas_causal.kernels.arrays import Bools, Floats, Values
from pandas_causal.structural.attribution import (
    AttributionSettings,
    NodeArrays,
    combine_errors,
    fresh_noise,
    read_rows,
    sentence_of_a_root,
    streams_of,
    warn_of_flexible,
    without,
)
from pandas_causal.structural.change_tests import mechanism_changes
from pandas_causal.structural.fitted import FittedModel
from pandas_causal.structural.learning import is_flexible, refit_spec
from pandas_causal.structural.linear_form import linear_form, means_and_variances
from pandas_causal.structural.mechanisms import Fitted
from pandas_causal.structural.refits import bootstrap_refits
from pandas_causal.structural.shapley import Shapley, shapley_arrays
from pandas_causal.structural.target_statistics import ADDITIVE, TargetStatistic, check_statistic, gaussian_divergence
from pandas_causal.structural.two_ways import TwoWays, Way

__all__ = ["ASSUMPTIONS", "ChangeQuestion", "attribute_change", "change_effect", "read_change"]

ASSUMPTIONS = (
    "the graph is right in both frames: no unobserved common cause, no missing arrow",
    "the rows of the two frames are independent samples",
)
_SHARED, _ROUGH, _MOST_CLOSED = 2, 0.1, 16
_CLOSED = ("mean", "variance", "std", "gaussian_kl")


@dataclass(frozen=True, eq=False)
class ChangeQuestion:
    """Two frames of values, the target, what of it changed, and the dimension that splits it.

    Attributes
    ----------
    model : FittedModel
        Whose graph, columns and choice of mechanisms count.
    old, new : mapping of node to ndarray
    target : node
    of : str or callable
    players : tuple of nodes
        Those above the target (or above `by`).
    by : node or None
    settings : AttributionSettings
    labels : pair of Index
        Of the rows.
    """

    model: FittedModel
    old: NodeArrays
    new: NodeArrays
    target: Any
    of: Any
    players: tuple[Any, ...]
    by: Any
    settings: AttributionSettings
    labels: tuple[pd.Index, pd.Index]

    @property
    def sizes(self) -> tuple[int, int]:
        """Rows of the two frames."""
        return len(self.labels[0]), len(self.labels[1])

    @property
    def levels(self) -> list[Any]:
        """Levels of the dimension."""
        return [] if self.by is None else self.model.columns[self.by].plain_levels

    @property
    def words(self) -> str:
        """What of the target changed."""
        name = self.of if isinstance(self.of, str) else getattr(self.of, "__name__", "statistic")
        return f"change of the {name} of {self.target}"

    @property
    def index(self) -> pd.Index:
        """Names of the rows of the answer."""
        names = pd.Index(self.players, name="mechanism", tupleize_cols=False)
        if self.by is None:
            return names
        at = np.repeat(np.arange(len(names)), len(self.levels))
        levels = pd.Index(self.levels * len(names), tupleize_cols=False)
        return pd.MultiIndex.from_arrays([names.take(at), levels], names=["mechanism", str(self.by)])

    def learned(self, side: NodeArrays, held_out: bool) -> dict[Any, Fitted]:
        """Mechanisms of one frame, of the kind chosen at fit; flexible ones with held-out noise where asked."""
        model = self.model
        out = {}
        for node in self.players:
            before = model.simulator.mechanisms[node]
            spec = refit_spec(model.specs[node], before)
            choose = held_out and is_flexible(model.specs[node], before)
            out[node] = model.learn(node, spec, side, replace(model.settings, choose=choose, n_jobs=None))
        return out


def attribute_change(
    model: FittedModel,
    frames: tuple[pd.DataFrame | None, pd.DataFrame],
    target: Hashable,
    of: Any,
    by: Hashable,
    settings: AttributionSettings,
) -> Effect:
    """Attribution by simulation; see :meth:`StructuralModel.attribute_change`."""
    check_statistic(of)
    question = read_change(model, frames, target, of, by, settings)
    flexible = warn_of_flexible(
        model, question.players, "form='robust' corrects for that, or give these nodes a mechanism of known form"
    )
    found, ends, error = _values(question, question.old, question.new, settings.seed, True)

    # orders drawn for a replicate need be no more precise than the replicates are among themselves
    rough = replace(question, settings=replace(settings, tolerance=max(settings.tolerance, _ROUGH)))

    def one(rng: np.random.Generator) -> Floats:
        old, new = (_resampled(side, rng) for side in (question.old, question.new))
        return _values(rough, old, new, int(rng.integers(2**31 - 1)), False)[0]

    replicates = bootstrap_refits(one, settings.n_draws, settings.seed, settings.n_jobs)
    method = f"bootstrap of both frames, {len(replicates):,} refits of the mechanisms, percentile interval"
    if flexible:
        replicates = replicates - replicates.mean(axis=0) + found
        method += ", centred on the estimate"
    spread = replicates.std(axis=0, ddof=1)
    table = pd.DataFrame({"estimate": found, "simulation_error": error, "std_error": spread}, index=question.index)
    worst = float((error / np.where(spread > 0, spread, np.inf)).max())
    check = Check(None, table, f"error of the simulation at most {worst:.2f} of the standard error")
    uncertainty = Draws(replicates, np.eye(len(found)))
    return change_effect(question, found, uncertainty, ends, method, {"simulation": check}, flexible)


def read_change(
    model: FittedModel,
    frames: tuple[pd.DataFrame | None, pd.DataFrame],
    target: Hashable,
    of: Any,
    by: Hashable,
    settings: AttributionSettings,
) -> ChangeQuestion:
    """Read two frames; None for the old one stands for the rows that were fitted."""
    settings.checked()
    simulator = model.simulator
    nodes = set(simulator.above(model.node(target)))
    if by is not None:
        if model.node(by) == target or not model.columns[by].discrete:
            raise CausalArgumentError(
                f"by={by!r} must be a discrete node other than the target, whose levels split the change"
            )
        if not isinstance(of, str) or of not in ADDITIVE:
            raise CausalArgumentError(
                f"by= splits what adds up over rows, {' and '.join(ADDITIVE)}; of={of!r} does not add up"
            )
        nodes |= set(simulator.above(by))
    players = tuple(node for node in simulator.order if node in nodes)
    old, new = frames
    before = (model.factual, model.index) if old is None else read_rows(model, old, players)
    after = read_rows(model, new, players)
    for name, (_, index) in (("old", before), ("new", after)):
        if len(index) < 2:
            raise CausalArgumentError(f"the {name} frame has {len(index)} row; two or more are needed to learn from")
    if of != "kl" or not model.columns[target].discrete:
        model.numbers(target, before[0][target])
    sentence_of_a_root(model, target)
    if of == "gaussian_kl" and not float(np.var(model.numbers(target, before[0][target]))) > 0:
        raise CausalDataError(f"{target} is constant in the old frame, from which normal laws have no divergence")
    labels = before[1], after[1]
    return ChangeQuestion(model, before[0], after[0], target, of, players, by, settings, labels)


def _resampled(side: NodeArrays, rng: np.random.Generator) -> NodeArrays:
    n = len(next(iter(side.values())))
    rows = rng.integers(n, size=n)
    return {node: values[rows] for node, values in side.items()}


# -- the set function ------------------------------------------------------------------------------------------------


def _values(
    question: ChangeQuestion, old: NodeArrays, new: NodeArrays, seed: int | None, held_out: bool
) -> tuple[Floats, tuple[float, float], Floats]:
    """Shapley values (rows,), the statistic before and after, and the error of the simulation (rows,)."""
    mechanisms = tuple(question.learned(side, held_out) for side in (old, new))
    found = _closed_form(question, mechanisms, (old, new), seed)
    if found is not None:
        values = found.values[:, 0]
        return values, (float(found.empty[0]), float(found.full[0])), found.std_errors[:, 0]
    return _simulated(question, mechanisms, (old, new), seed)


def _subsets(question: ChangeQuestion, seed: int | None, cells: int, watched: int | None) -> Any:
    settings = question.settings.of_subsets(len(question.players), cells, watched=watched)
    return replace(settings, seed=question.settings.seed if seed is None else seed, n_jobs=None)


def _closed_form(
    question: ChangeQuestion,
    mechanisms: tuple[Mapping[Any, Fitted], ...],
    frames: tuple[NodeArrays, ...],
    seed: int | None,
) -> Shapley | None:
    """Values without a draw, where everything above the target is linear in both frames."""
    of, simulator, target = question.of, question.model.simulator, question.target
    if question.by is not None or not isinstance(of, str) or of not in _CLOSED:
        return None
    forms = tuple(
        linear_form(simulator.with_mechanisms(side), target, frame)
        for side, frame in zip(mechanisms, frames, strict=True)
    )
    first, second = forms
    if first is None or second is None:
        return None

    def moments(masks: Bools) -> tuple[Floats, Floats]:
        return means_and_variances(simulator, target, question.players, (first, second), masks)

    none = np.zeros((1, len(question.players)), dtype=bool)
    old_mean, old_variance = (float(part[0]) for part in moments(none))

    def value(masks: Bools) -> Floats:
        mean, variance = moments(masks)
        if of == "mean":
            return mean
        if of == "gaussian_kl":
            return gaussian_divergence(mean, np.maximum(variance, 1e-300), old_mean, old_variance)
        return variance if of == "variance" else np.sqrt(variance)

    players = pd.Index(question.players, name="mechanism", tupleize_cols=False)
    subsets = _subsets(question, seed, 1, None)
    if question.settings.method == "auto" and len(players) <= _MOST_CLOSED:  # a subset costs next to nothing here
        subsets = replace(subsets, method="exact", batch=2**13)
    return shapley_arrays(value, players, subsets)


def _simulated(
    question: ChangeQuestion,
    mechanisms: tuple[Mapping[Any, Fitted], ...],
    frames: tuple[NodeArrays, ...],
    seed: int | None,
) -> tuple[Floats, tuple[float, float], Floats]:
    model, target, m = question.model, question.target, question.settings.size
    seeds = streams_of(model, seed, _SHARED)
    off, on = (
        {
            node: Way.of(model.simulator, node, fitted, fresh_noise(fitted, m, seeds[node])[None], frame)
            for node, fitted in side.items()
        }
        for side, frame in zip(mechanisms, frames, strict=True)
    )
    ways = TwoWays(model.simulator, target, question.players, off, on)
    none = np.zeros((1, len(question.players)), dtype=bool)
    before = ways.outcomes(none)[0][0]
    column = model.columns[target]
    codes = question.of == "kl" and column.discrete
    numbers: Callable[[Values], Floats] = (
        (lambda x: np.asarray(x, dtype=float)) if codes else (lambda x: model.numbers(target, x))
    )
    reference = numbers(np.broadcast_to(before[0], m))
    statistic = TargetStatistic(question.of, reference, len(column.plain_levels))
    n_out = 1 if question.by is None else len(question.levels)
    function = _Function(ways, statistic, numbers, question.by, n_out, m)
    players = pd.Index(question.players, name="mechanism", tupleize_cols=False)
    found = shapley_arrays(function, players, _subsets(question, seed, m, n_out))
    values, error = combine_errors(found, n_out)
    ends = [float(part[:n_out].sum()) for part in (found.empty, found.full)]
    if question.by is not None and question.of == "mean":
        ends = [end + float(reference.mean()) for end in ends]
    return values.ravel(), (ends[0], ends[1]), error.ravel()


@dataclass(frozen=True, eq=False)
class _Function:
    """A statistic of the target, and the same without each group of draws, where a subset has its new mechanisms."""

    ways: TwoWays
    statistic: TargetStatistic
    numbers: Callable[[Values], Floats]
    by: Any
    n_out: int
    m: int

    def __call__(self, masks: Bools) -> Floats:
        nodes = [self.ways.target] + ([] if self.by is None else [self.by])
        found = self.ways.of_nodes(masks, nodes)
        if self.by is None:
            distinct, which = found[0]
            return np.stack([self._whole(values) for values in distinct])[which]
        (values, which), (levels, of_level) = found
        return np.stack([self._split(values[a], levels[b]) for a, b in zip(which, of_level, strict=True)])

    def _whole(self, values: Values) -> Floats:
        x = self.numbers(np.broadcast_to(values[0], self.m))
        return np.array([self.statistic(part) for part in without(x)])

    def _split(self, values: Values, levels: Values) -> Floats:
        x = self.numbers(np.broadcast_to(values[0], self.m))
        level = np.broadcast_to(levels[0], self.m)
        parts = [self.statistic.split(a, b, self.n_out) for a, b in zip(without(x), without(level), strict=True)]
        return np.concatenate(parts)


# -- the answer ------------------------------------------------------------------------------------------------------


def change_effect(
    question: ChangeQuestion,
    values: Floats,
    uncertainty: Any,
    ends: tuple[float, float],
    method: str,
    checks: Mapping[str, Check],
    warned: list[str],
) -> Effect:
    """Estimates, one row per mechanism (and level), as an Effect with what a reader needs beside them."""
    model, settings = question.model, question.settings
    changed = partial(mechanism_changes, model, question.old, question.new, question.players, settings.seed)
    identical = all(np.array_equal(question.old[n], question.new[n]) for n in question.players)
    if identical:
        text = "both frames hold the same rows: there is no change to attribute"
        warn(text, CausalWarning)
        warned = [*warned, text]
    estimates = pd.Series(values, index=question.index, name="estimate")
    start = pd.DataFrame(
        {"value": [ends[0], *estimates.groupby(level=0, sort=False).sum(), ends[1]]},
        index=pd.Index(["before", *map(str, question.players), "after"], name="step"),
    )
    moved = f"{ends[0]:.4g} before, {ends[1]:.4g} after"
    rows = Estimates(estimates, uncertainty, reference_rows=np.full(len(values), identical) if identical else None)
    return Effect(
        rows=rows,
        estimand=question.words,
        n_obs=sum(question.sizes),
        level=settings.level,
        assumptions=(*ASSUMPTIONS, *_of_method(method)),
        diagnostics=Checks(
            {
                "mechanism changes": changed,
                "waterfall": Check(None, start, f"{question.words}: {moved}"),
                **checks,
            }
        ),
        warnings=tuple(warned),
        std_error_method=method,
        facts={"outcome": question.target, "n_old": question.sizes[0], "n_new": question.sizes[1]},
        population="the two populations that the frames were sampled from",
    ).explained()


def _of_method(method: str) -> tuple[str, ...]:
    if "bootstrap" in method:
        return ("the mechanisms are of the form that was fitted, in both frames",)
    return (
        "for each combination of mechanisms the regressions or the density ratios are right (the intervals take both)",
        "the values of each frame occur in the other as well, where they are weighted to it",
    )
