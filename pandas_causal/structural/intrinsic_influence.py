"""What a node adds of its own: the part of a target's variance or entropy that the node's noise contributes."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.effect.check import Check
from pandas_causal.effect.effect import Effect
from pandas_causal.effect.estimates import Estimates
from pandas_causal.errors import CausalArgumentError
from pandas_causal.inference.draws_and_variance import Draws
from pandas_causal.inputs.parameters import is_word
from pandas_causal.kernels.arrays import Bools, Floats, Values
from pandas_causal.structural.attribution import (
    GROUPS,
    AttributionSettings,
    NodeArrays,
    combine_errors,
    fresh_noise,
    jackknife_error,
    sentence_of_a_root,
    streams_of,
    warn_of_flexible,
    without,
)
from pandas_causal.structural.fitted import FittedModel
from pandas_causal.structural.learning import is_flexible, refit_spec
from pandas_causal.structural.linear_form import linear_form, means_and_variances, straight_line
from pandas_causal.structural.mechanisms import Additive
from pandas_causal.structural.refits import bootstrap_refits
from pandas_causal.structural.shapley import shapley_arrays
from pandas_causal.structural.simulation import Simulator
from pandas_causal.structural.two_ways import TwoWays, Way

__all__ = ["intrinsic_influence"]

INFLUENCES = ("variance", "entropy")
_ONE, _OTHER = 3, 4
_ROUGH = 0.1
_OUTER, _INNER = 10 * GROUPS, 100 * GROUPS  # draws of entropies, one within the other


def intrinsic_influence(model: FittedModel, target: Hashable, of: Any, settings: AttributionSettings) -> Effect:
    """Contribution of every node's own noise; see :meth:`StructuralModel.intrinsic_influence`."""
    settings.checked()
    model.node(target)
    if not is_word(of, INFLUENCES):
        raise CausalArgumentError(f"of={of!r} is not known; use one of {list(INFLUENCES)}")
    column = model.columns[target]
    if of == "variance":
        model.numbers(target, model.factual[target][:1])
    elif not column.discrete:
        raise CausalArgumentError(
            f"{target} is continuous: given all noise its entropy is minus infinity, and there is nothing to share"
            " out; use of='variance'"
        )
    sentence_of_a_root(model, target)
    players = tuple(model.simulator.above(target))
    flexible = warn_of_flexible(model, players, "give these nodes a mechanism of known form if you know one")
    question = _Question(model, target, of, players, settings)
    found, error = question.values(model.simulator, model.factual, settings.seed)
    learning = replace(model.settings, choose=False, n_jobs=None)
    specs = {n: refit_spec(model.specs[n], model.simulator.mechanisms[n]) for n in players}

    # orders drawn for a replicate need be no more precise than the replicates are among themselves
    rough = replace(question, settings=replace(settings, tolerance=max(settings.tolerance, _ROUGH)))

    def one(rng: np.random.Generator) -> Floats:
        rows = rng.integers(len(model), size=len(model))
        resampled = {node: values[rows] for node, values in model.factual.items()}
        fitted = {node: model.learn(node, spec, resampled, learning) for node, spec in specs.items()}
        return rough.values(model.simulator.with_mechanisms(fitted), resampled, int(rng.integers(2**31 - 1)))[0]

    replicates = bootstrap_refits(one, settings.n_draws, settings.seed, settings.n_jobs)
    method = f"bootstrap, {len(replicates):,} refits of the mechanisms, percentile interval"
    if any(is_flexible(model.specs[n], model.simulator.mechanisms[n]) for n in players):
        replicates = replicates - replicates.mean(axis=0) + found  # noise of refits is not held out
        method += ", centred on the estimate"
    index = pd.Index(players, name="node", tupleize_cols=False)
    total = float(found.sum())
    share = found / total if total else np.zeros_like(found)
    table = pd.DataFrame({"estimate": found, "share": share, "simulation_error": error}, index=index)
    return Effect(
        rows=Estimates(pd.Series(found, index=index, name="estimate"), Draws(replicates, np.eye(len(found)))),
        estimand=f"{of} of {target} from each node's own noise",
        n_obs=len(model),
        level=settings.level,
        assumptions=(
            "the graph is right: no unobserved common cause, no missing arrow",
            "the mechanisms are of the form that was fitted (see mechanisms_ and evaluate)",
            "a contribution to the spread is not the effect of an intervention",
        ),
        diagnostics={"shares": Check(None, table, f"shares of the {of}, {total:.4g} in all")},
        warnings=tuple(flexible),
        std_error_method=method,
        facts={"outcome": target, "n_dropped": model.n_dropped},
    ).explained()


@dataclass(frozen=True, eq=False)
class _Question:
    """A target, what of it is shared out, and the nodes that share."""

    model: FittedModel
    target: Any
    of: str
    players: tuple[Any, ...]
    settings: AttributionSettings

    def values(self, simulator: Simulator, frame: NodeArrays, seed: int | None) -> tuple[Floats, Floats]:
        """Contributions (k,) and the error of their simulation."""
        if self.of == "entropy":
            return self._entropies(simulator, seed)
        form = linear_form(simulator, self.target, frame)
        if form is not None:
            return self._of_linear(simulator, form), np.zeros(len(self.players))
        return self._variances(simulator, frame, seed)

    def _of_linear(self, simulator: Simulator, form: Any) -> Floats:
        """Noises meet additively: each contributes the variance it has where it alone varies."""
        still = {node: replace(part, covariance=np.zeros_like(part.covariance)) for node, part in form.items()}
        alone = np.eye(len(self.players), dtype=bool)
        return means_and_variances(simulator, self.target, self.players, (still, form), alone)[1]

    # -- variance --------------------------------------------------------------------------------------------------

    def _variances(self, simulator: Simulator, frame: NodeArrays, seed: int | None) -> tuple[Floats, Floats]:
        """Parts that meet additively at the target are games of their own, and their values are summed."""
        mechanisms, m = simulator.mechanisms, self.settings.size
        one, other = streams_of(self.model, seed, _ONE), streams_of(self.model, seed, _OTHER)
        off, on = (
            {
                n: Way.of(simulator, n, mechanisms[n], fresh_noise(mechanisms[n], m, seeds[n])[None], frame)
                for n in self.players
            }
            for seeds in (other, one)
        )
        at = {node: k for k, node in enumerate(self.players)}
        values, square = np.zeros(len(self.players)), np.zeros(len(self.players))
        mechanism = mechanisms[self.target]
        games: list[tuple[tuple[Any, ...], Mapping[Any, Floats] | None]] = [(self.players, None)]
        if isinstance(mechanism, Additive) and simulator.parents[self.target]:
            values[at[self.target]] = np.var(mechanism.pool)
            off[self.target] = on[self.target] = replace(off[self.target], noise=np.zeros((1, 1)))
            games = self._games(simulator, frame)
        for players, slopes in games:
            ways = TwoWays(simulator, self.target, players, off, on)
            function = _PickFreeze(ways, self.model, slopes, m)
            subsets = self.settings.of_subsets(len(players), 2 * m, watched=1)
            names = pd.Index(players, name="node", tupleize_cols=False)
            found = shapley_arrays(function, names, replace(subsets, seed=seed, n_jobs=None))
            part, error = combine_errors(found, 1)
            rows = [at[node] for node in players]
            values[rows] += part[:, 0]
            square[rows] += np.square(error[:, 0])
        return values, np.sqrt(square)

    def _games(
        self, simulator: Simulator, frame: NodeArrays
    ) -> list[tuple[tuple[Any, ...], Mapping[Any, Floats] | None]]:
        """Players of every part, and the slopes of the parents that make it; None: the whole mechanism."""
        above = tuple(node for node in self.players if node != self.target)
        line = straight_line(simulator, self.target, frame)
        if line is None:
            return [(above, None)]
        groups: list[tuple[set[Any], dict[Any, Floats]]] = []
        for p, slope in line.slopes.items():
            nodes, parts = set(simulator.above(p)), {p: slope}
            for group in [g for g in groups if g[0] & nodes]:
                nodes, parts = nodes | group[0], parts | group[1]
                groups.remove(group)
            groups.append((nodes, parts))
        return [(tuple(n for n in above if n in nodes), parts) for nodes, parts in groups]

    # -- entropy ---------------------------------------------------------------------------------------------------

    def _entropies(self, simulator: Simulator, seed: int | None) -> tuple[Floats, Floats]:
        mechanisms, m = simulator.mechanisms, min(self.settings.size, _INNER)
        one, other = streams_of(self.model, seed, _ONE), streams_of(self.model, seed, _OTHER)
        off = {n: Way(mechanisms[n], fresh_noise(mechanisms[n], m, other[n])[None]) for n in self.players}
        on = {n: Way(mechanisms[n], fresh_noise(mechanisms[n], _OUTER, one[n])[:, None]) for n in self.players}
        ways = TwoWays(simulator, self.target, self.players, off, on)
        function = _Entropy(ways, len(self.model.columns[self.target].plain_levels), m)
        subsets = self.settings.of_subsets(len(self.players), _OUTER * m, watched=1)
        names = pd.Index(self.players, name="node", tupleize_cols=False)
        found = shapley_arrays(function, names, replace(subsets, seed=seed, n_jobs=None))
        outer, inner = (jackknife_error(found.values[:, 1 + s : 1 + s + GROUPS].T) for s in (0, GROUPS))
        error = np.sqrt(np.square(outer) + np.square(inner) + np.square(found.std_errors[:, 0]))
        return found.values[:, 0], error


@dataclass(frozen=True, eq=False)
class _PickFreeze:
    """Var(E[Y | noise of a subset]): the covariance of two worlds that share that noise and nothing else.

    References
    ----------
    Sobol (1993), Mathematical Modelling and Computational Experiments 1; Owen (2014), SIAM/ASA Journal on Uncertainty
    Quantification 2, for Shapley values of these variances; Janzing et al. (2024), AISTATS, eq. (6).
    """

    ways: TwoWays
    model: FittedModel
    slopes: Mapping[Any, Floats] | None
    m: int

    def __call__(self, masks: Bools) -> Floats:
        k = masks.shape[1]
        ends = np.array([np.zeros(k), np.ones(k)], dtype=bool)
        worlds = self._numbers(np.concatenate([ends, masks, ~masks]))
        none, everything = worlds[0], worlds[1]
        out = []
        for mask, subset, rest in zip(masks, worlds[2 : 2 + len(masks)], worlds[2 + len(masks) :], strict=True):
            # of no noise the variance of the mean is 0, and no draw is needed to know it
            pairs = [(everything, subset), (none, rest)] if mask.any() else []
            halves = [_covariances(a, b) for a, b in pairs]
            out.append(np.mean(halves, axis=0) if halves else np.zeros(1 + GROUPS))
        return np.stack(out)

    def _numbers(self, masks: Bools) -> list[Floats]:
        """The target, or the part of it that some parents make, in every world (m,)."""
        ways, model = self.ways, self.model
        if self.slopes is None:
            distinct, which = ways.outcomes(masks)
            numbers = [model.numbers(ways.target, np.broadcast_to(v[0], self.m)) for v in distinct]
            return [numbers[u] for u in which]
        found = ways.of_nodes(masks, list(self.slopes))
        out = []
        for s in range(len(masks)):
            total = np.zeros(self.m)
            for (p, slope), (distinct, which) in zip(self.slopes.items(), found, strict=True):
                total += model.columns[p].features(np.broadcast_to(distinct[which[s]][0], self.m)) @ slope
            out.append(total)
        return out


def _covariances(a: Floats, b: Floats) -> Floats:
    """Covariance of all draws, then without each group of them."""
    return np.array(
        [float(((x - x.mean()) * (y - y.mean())).mean()) for x, y in zip(without(a), without(b), strict=True)]
    )


@dataclass(frozen=True, eq=False)
class _Entropy:
    """H(Y) - E H(Y | noise of a subset) in nats, with the correction of Miller (1955) for the number of draws."""

    ways: TwoWays
    n_levels: int
    m: int

    def __call__(self, masks: Bools) -> Floats:
        none = np.zeros((1, masks.shape[1]), dtype=bool)
        distinct, which = self.ways.outcomes(np.concatenate([none, masks]))
        found = np.stack([self._mean_entropies(values) for values in distinct])
        return (found[which[0]] - found)[which[1:]]

    def _mean_entropies(self, values: Values) -> Floats:
        """Mean over outer draws: of all, without each group of outer draws, without each group of inner draws."""
        each = self.m // GROUPS
        grid = np.broadcast_to(values, (len(values), self.m)) if values.shape[1] == 1 else values
        cells = np.arange(len(grid))[:, None] * self.n_levels + grid
        counts = np.stack(
            [
                np.bincount(cells[:, g * each : (g + 1) * each].ravel(), minlength=len(grid) * self.n_levels).reshape(
                    len(grid), -1
                )
                for g in range(GROUPS)
            ]
        )
        total = counts.sum(axis=0)
        sure = values.shape[1] == 1  # one value for all inner draws: no entropy, and no correction
        whole = self._entropy(total, sure)
        by_outer = without(np.broadcast_to(whole, _OUTER) if len(whole) == 1 else whole)
        by_inner = [self._entropy(total - part, sure).mean() for part in counts]
        return np.array([*(part.mean() for part in by_outer), *by_inner])

    def _entropy(self, counts: Any, sure: bool) -> Floats:
        n = counts.sum(axis=1, keepdims=True)
        p = counts / n
        plain = -(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=1)
        correction = 0.0 if sure else ((counts > 0).sum(axis=1) - 1) / (2 * n[:, 0])
        return np.asarray(plain + correction)
