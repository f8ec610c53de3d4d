"""Why a row is odd: its score as an outlier, laid on the noise of the nodes above the target."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.errors import CausalWarning, warn
from pandas_causal.kernels.arrays import Bools, Floats, Positions, Values
from pandas_causal.structural.attribution import (
    GROUPS,
    AttributionSettings,
    combine_errors,
    fresh_noise,
    noise_of_rows,
    read_rows,
    sentence_of_a_root,
    streams_of,
    warn_of_coupling_of_noise,
)
from pandas_causal.structural.fitted import FittedModel
from pandas_causal.structural.mechanisms import Additive, Discrete, Empirical
from pandas_causal.structural.shapley import shapley_arrays
from pandas_causal.structural.tail_statistics import TailStatistic, tail_statistic
from pandas_causal.structural.two_ways import TwoWays, Way

__all__ = ["attribute_anomaly", "conditional_scores", "oddest_rows"]

_BLOCK = 2**18  # rows times draws in one run
_FRESH, _OWN = 0, 1


def attribute_anomaly(
    model: FittedModel, rows: pd.DataFrame, target: Hashable, score: Any, settings: AttributionSettings
) -> pd.DataFrame:
    """Attribution of every row's outlier score; see :meth:`StructuralModel.attribute_anomaly`."""
    model.node(target)
    settings.checked()
    players = tuple(model.simulator.above(target))
    values, index = read_rows(model, rows, players)
    tail = tail_statistic(model.columns[target], model.factual[target], score)
    if not sentence_of_a_root(model, target):
        warn_of_coupling_of_noise(model, players)
    step = max(1, _BLOCK // settings.size)
    parts: list[tuple[Floats, Floats, Floats]] = []
    done, complete = 0, True
    for start in range(0, len(index), step):
        block = {n: v[start : start + step] for n, v in values.items()}
        try:
            part, complete = _of_block(model, block, target, players, tail, settings)
        except KeyboardInterrupt:
            if not parts:
                raise
            complete = False
        else:
            parts.append(part)
            done = min(start + step, len(index))
        if not complete:
            break
    if done < len(index):
        warn(f"interrupted: {len(index) - done:,} of {len(index):,} rows have no answer", CausalWarning)
        index = index[:done]
    attribution, error, p = (np.concatenate([part[k] for part in parts], axis=-1) for k in range(3))
    m = settings.size
    bound = p <= 1.5 / (m + 1)
    if bound.any():
        warn(
            f"{int(bound.sum()):,} of {len(index):,} rows are odder than all {m:,} draws: their score, at most"
            f" {np.log(m + 1):.2f}, is a lower bound (column bound); raise n_samples",
            CausalWarning,
        )
    k = len(players)
    table = {
        "attribution": attribution.T.ravel(),
        "std_error": error.T.ravel(),
        "score": np.repeat(-np.log(p) + 0.0, k),
        "score_std_error": np.repeat(np.sqrt((1 - p) / p / m), k),
        "bound": np.repeat(bound, k),
    }
    return pd.DataFrame(table, index=_rows_and_nodes(index, players))


def _rows_and_nodes(index: pd.Index, nodes: tuple[Any, ...]) -> pd.MultiIndex:
    labels = pd.Index(nodes, name="node", tupleize_cols=False)
    row = index.to_flat_index() if isinstance(index, pd.MultiIndex) else index
    at = np.repeat(np.arange(len(index)), len(nodes))
    return pd.MultiIndex.from_arrays(
        [row.take(at), labels.take(np.tile(np.arange(len(nodes)), len(index)))], names=[index.name or "row", "node"]
    )


def _of_block(
    model: FittedModel,
    values: dict[Any, Values],
    target: Hashable,
    players: tuple[Any, ...],
    tail: TailStatistic,
    settings: AttributionSettings,
) -> tuple[tuple[Floats, Floats, Floats], bool]:
    """Attributions and errors (k, R), the probability (R,) of a value as odd, and whether nothing interrupted it."""
    mechanisms, m = model.simulator.mechanisms, settings.size
    fresh, own = streams_of(model, settings.seed, _FRESH), streams_of(model, settings.seed, _OWN)
    off = {
        n: Way.of(model.simulator, n, mechanisms[n], fresh_noise(mechanisms[n], m, fresh[n])[None], model.factual)
        for n in players
    }
    on = {n: replace(off[n], noise=noise_of_rows(model, n, values, m, own[n])) for n in players}
    ways = TwoWays(model.simulator, target, players, off, on)
    n_rows = len(values[target])
    function = _LogTail(ways, tail, tail.of(values[target])[:, None], m)
    subsets = settings.of_subsets(len(players), n_rows * m, floor=1.0, watched=n_rows)
    found = shapley_arrays(function, pd.Index(players, name="node", tupleize_cols=False), subsets)
    attribution, error = combine_errors(found, n_rows)
    return (attribution, error, np.exp(found.empty[:n_rows])), found.complete


@dataclass(frozen=True, eq=False)
class _LogTail:
    """Log probability of a value as odd as the row's, where the nodes of a subset keep the row's noise.

    From m draws it is ``log((1 + #) / (1 + m))``: the row counts as one of them, as in a Monte Carlo test.
    """

    ways: TwoWays
    tail: TailStatistic
    observed: Floats
    m: int

    def __call__(self, masks: Bools) -> Floats:
        distinct, which = self.ways.outcomes(masks)
        return np.stack([self._of(values) for values in distinct])[which]

    def _of(self, values: Values) -> Floats:
        each = self.m // GROUPS
        hits = self.tail.at_least(values, self.observed)
        if hits.shape[1] == 1:
            by_group = np.repeat(each * hits, GROUPS, axis=1)
        else:
            by_group = hits.reshape(len(hits), GROUPS, each).sum(axis=2)
        total = by_group.sum(axis=1)
        every = np.log((1 + total) / (1 + self.m))
        left = np.log((1 + total[:, None] - by_group) / (1 + self.m - each))
        return np.concatenate([every, left.T.ravel()])


def oddest_rows(model: FittedModel, rows: pd.DataFrame, target: Hashable, n: int) -> Positions:
    """Positions of the n rows whose target lies furthest from the median of the fitted ones, the oddest first.

    Of a target whose levels are no numbers, the rarest levels.
    """
    column = model.columns[model.node(target)]
    kind = "density" if column.discrete and column.numbers is None else "median"
    tail = tail_statistic(column, model.factual[target], kind)
    values, _ = read_rows(model, rows, [target])
    return np.argsort(-tail.of(values[target]), kind="stable")[:n]


# -- node by node ----------------------------------------------------------------------------------------------------


def conditional_scores(
    model: FittedModel, rows: pd.DataFrame, score: Any, settings: AttributionSettings
) -> pd.DataFrame:
    """Outlier score of every node given its parents; see :meth:`StructuralModel.anomaly_scores`."""
    settings.checked()
    simulator = model.simulator
    values, index = read_rows(model, rows, simulator.order)
    seeds = streams_of(model, settings.seed, _FRESH)
    p = np.empty((len(index), len(simulator.order)))
    size = np.empty(len(simulator.order))
    for k, node in enumerate(simulator.order):
        p[:, k], size[k] = _given_parents(model, node, values, score, settings.size, seeds[node])
    floor = p <= 1.5 / (size + 1)
    error = np.sqrt((1 - p) / p / size)
    table = {"score": -np.log(p).ravel() + 0.0, "std_error": error.ravel(), "bound": floor.ravel()}
    return pd.DataFrame(table, index=_rows_and_nodes(index, simulator.order))


def _given_parents(
    model: FittedModel, node: Hashable, values: dict[Any, Values], score: Any, m: int, seed: np.random.SeedSequence
) -> tuple[Floats, float]:
    """Probability (n,) of a value as odd given the parents, and the number of values that it rests on."""
    simulator, column = model.simulator, model.columns[node]
    mechanism = simulator.mechanisms[node]
    n = len(values[node])
    parents = simulator.parents_of(node, values, n)
    if isinstance(mechanism, Discrete):
        # the probabilities are the model's own: no draw
        probability = mechanism.predict(parents)
        observed = probability[np.arange(n), values[node]]
        tail = np.where(probability <= observed[:, None] * (1 + 1e-9), probability, 0.0).sum(axis=1)
        return np.clip(tail, 1e-300, 1.0), np.inf
    if isinstance(mechanism, Empirical | Additive):
        noise = mechanism.noise(parents, values[node], np.random.default_rng(0))
        pool = mechanism.pool
        tail_of = tail_statistic(column, pool, "density" if column.discrete and column.numbers is None else score)
        scores = np.sort(tail_of.of(pool))
        above = len(scores) - np.searchsorted(scores, tail_of.of(noise) - tail_of.rounding, side="left")
        return (1 + above) / (1 + len(scores)), float(len(scores))
    out = np.empty(n)
    for r in range(n):
        repeated = {p: np.repeat(values[p][r : r + 1], m) for p in simulator.parents[node]}
        given = simulator.parents_of(node, repeated, m)
        drawn = mechanism.value(given, mechanism.draw(m, np.random.default_rng(seed)))
        tail_of = tail_statistic(column, drawn, "density" if column.discrete and column.numbers is None else score)
        out[r] = (1 + tail_of.at_least(drawn, tail_of.of(values[node][r : r + 1])).sum()) / (1 + m)
    return out, float(m)
