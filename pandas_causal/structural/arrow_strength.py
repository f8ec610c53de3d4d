"""How strong an arrow is: what cutting it, and feeding an independent copy of the cause, does to the effect's law.

Two definitions of a strength in Kullback-Leibler divergence are in use. The one here is that of Janzing, Balduzzi,
Grosse-Wentrup and Schoelkopf (2013), Annals of Statistics 41, section 4: the divergence of the law of the node *and its
parents* from their law after the cut, which is ``E_pa D(P(x | pa) || P_cut(x | pa))``. The other compares the node's
marginal laws before and after the cut; it can be 0 for an arrow that matters, and is not computed.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.effect.check import Check
from pandas_causal.effect.effect import Effect
from pandas_causal.effect.estimates import Estimates
from pandas_causal.errors import CausalArgumentError, CausalDataError
from pandas_causal.inference.draws_and_variance import Draws
from pandas_causal.inputs.parameters import is_word
from pandas_causal.kernels.arrays import Floats, Positions, Values
from pandas_causal.structural.attribution import (
    AttributionSettings,
    jackknife_error,
    warn_of_flexible,
    without,
)
from pandas_causal.structural.fitted import FittedModel
from pandas_causal.structural.learning import refit_spec
from pandas_causal.structural.linear_form import straight_line
from pandas_causal.structural.mechanisms import Additive, Discrete, Fitted
from pandas_causal.structural.refits import bootstrap_refits
from pandas_causal.structural.simulation import Simulator
from pandas_causal.structural.tail_statistics import kernel_log_density

__all__ = ["arrow_strength"]

STRENGTHS = ("variance", "kl", "gaussian_kl")
_COPIES, _COPIES_KL, _NOISES, _CONTEXTS_KL = 20, 500, 10, 200


def arrow_strength(model: FittedModel, target: Hashable, of: Any, settings: AttributionSettings) -> Effect:
    """Strength of the arrows into a node, or of all; see :meth:`StructuralModel.arrow_strength`."""
    settings.checked()
    if not is_word(of, STRENGTHS):
        raise CausalArgumentError(f"of={of!r} is not known; use one of {list(STRENGTHS)}")
    simulator = model.simulator
    if target is None:
        nodes = [node for node in simulator.order if simulator.parents[node]]
        if not nodes:
            raise CausalArgumentError("the graph has no arrow, so there is no strength to measure")
    else:
        nodes = [model.node(target)]
        if not simulator.parents[target]:
            raise CausalArgumentError(f"no arrow leads into {target!r}; name a node that has causes")
    for node in nodes:
        _can_be(model, node, of)
    arrows = [(p, node) for node in nodes for p in simulator.parents[node]]
    found, error = _strengths(simulator, model.factual, nodes, of, settings, settings.seed)
    flexible = warn_of_flexible(model, nodes, "give these nodes a mechanism of known form if you know one")

    def one(rng: np.random.Generator) -> Floats:
        rows = rng.integers(len(model), size=len(model))
        resampled = {node: values[rows] for node, values in model.factual.items()}
        learning = replace(model.settings, choose=False, n_jobs=None)
        fitted = {
            node: model.learn(node, refit_spec(model.specs[node], simulator.mechanisms[node]), resampled, learning)
            for node in nodes
        }
        seed = int(rng.integers(2**31 - 1))
        return _strengths(simulator.with_mechanisms(fitted), resampled, nodes, of, settings, seed)[0]

    replicates = bootstrap_refits(one, settings.n_draws, settings.seed, settings.n_jobs)
    index = pd.MultiIndex.from_arrays(
        [pd.Index(side, tupleize_cols=False) for side in zip(*arrows, strict=True)], names=["cause", "effect"]
    )
    scale = np.array([_variance(model, node) for _, node in arrows])
    table = pd.DataFrame(
        {
            "parent": [p for p, _ in arrows],
            "child": [node for _, node in arrows],
            "strength": found,
            "share": found / scale if of == "variance" else 1 - np.exp(-2 * found),
            "simulation_error": error,
        }
    )
    unit = {"variance": "in the square of the effect's unit", "kl": "in nats", "gaussian_kl": "in nats, normal laws"}
    where = "into " + str(target) if target is not None else "of the graph"
    return Effect(
        rows=Estimates(pd.Series(found, index=index, name="estimate"), Draws(replicates, np.eye(len(found)))),
        estimand=f"strength of the arrows {where} ({of}), {unit[of]}",
        n_obs=len(model),
        level=settings.level,
        assumptions=(
            "the graph is right: no unobserved common cause, no missing arrow",
            "the mechanisms are of the form that was fitted (see mechanisms_ and evaluate)",
            "a strength is what the arrow does to the effect's spread, not the effect of an intervention",
        ),
        diagnostics={"strengths": Check(None, table, "share: of the effect's variance, or 1 - exp(-2 KL)")},
        warnings=tuple(flexible),
        std_error_method=f"bootstrap, {len(replicates):,} refits of the mechanisms, percentile interval",
        facts={"outcome": target, "n_dropped": model.n_dropped},
    ).explained()


def _can_be(model: FittedModel, node: Hashable, of: str) -> None:
    """Refuse a measure that a node's mechanism does not have."""
    mechanism = model.simulator.mechanisms[node]
    if of == "variance":
        model.numbers(node, model.factual[node][:1])
    elif of == "gaussian_kl" and not isinstance(mechanism, Additive):
        raise CausalArgumentError(f"{node} has no additive noise, so that of='gaussian_kl' is no strength; use of='kl'")
    elif of == "kl" and not isinstance(mechanism, Additive | Discrete):
        raise CausalArgumentError(f"the mechanism of {node} has no density; use of='variance'")
    if of != "variance" and isinstance(mechanism, Additive) and not float(np.var(mechanism.pool)) > 0:
        raise CausalDataError(f"{node} has no noise: its arrows have an infinite divergence; use of='variance'")


def _variance(model: FittedModel, node: Hashable) -> float:
    column = model.columns[node]
    if column.discrete and column.numbers is None:
        return np.nan
    return float(np.var(model.numbers(node, model.factual[node]))) or 1.0


# -- one node --------------------------------------------------------------------------------------------------------


def _strengths(
    simulator: Simulator,
    frame: Mapping[Any, Values],
    nodes: list[Any],
    of: str,
    settings: AttributionSettings,
    seed: int | None,
) -> tuple[Floats, Floats]:
    """Strengths of all arrows into some nodes, and the errors of their simulation."""
    found = []
    seeds = np.random.SeedSequence(seed).spawn(len(simulator.order))
    for node in nodes:
        mechanism, parents = simulator.mechanisms[node], simulator.parents[node]
        line = straight_line(simulator, node, frame) if of != "kl" else None
        arrow_seeds = seeds[simulator.order.index(node)].spawn(len(parents))
        for parent, arrow_seed in zip(parents, arrow_seeds, strict=True):
            if line is not None:
                features = simulator.columns[parent].features(frame[parent])
                values = np.array([np.var(features @ line.slopes[parent])])
            else:
                cut = _Cut.drawn(simulator, frame, node, parent, of, settings, np.random.default_rng(arrow_seed))
                values = cut.divergences() if of == "kl" else cut.variances()
            found.append(_summary(values, mechanism, of))
    return tuple(np.array(part) for part in zip(*found, strict=True))  # type: ignore[return-value]


def _summary(values: Floats, mechanism: Fitted, of: str) -> tuple[float, float]:
    """Mean over contexts and its error; with normal laws, half the log of the ratio of conditional variances."""
    means = [float(part.mean()) for part in (without(values) if len(values) > 1 else [values])]
    if of == "gaussian_kl":
        noise = float(np.var(mechanism.pool))  # type: ignore[attr-defined]
        means = [0.5 * np.log1p(max(mean, 0.0) / noise) for mean in means]
    error = float(jackknife_error(np.array(means[1:]))) if len(means) > 1 else 0.0
    return means[0], error


@dataclass(frozen=True, eq=False)
class _Cut:
    """Contexts (values of all parents) of a node, with copies of one parent drawn independently of them.

    Attributes
    ----------
    simulator : Simulator
    node, parent : node
    state : mapping of parent to ndarray (d,)
        Contexts.
    copies : ndarray (d, l)
        Values of the parent.
    rng : Generator
    """

    simulator: Simulator
    node: Any
    parent: Any
    state: Mapping[Any, Values]
    copies: Values
    rng: np.random.Generator

    @classmethod
    def drawn(
        cls,
        simulator: Simulator,
        frame: Mapping[Any, Values],
        node: Any,
        parent: Any,
        of: str,
        settings: AttributionSettings,
        rng: np.random.Generator,
    ) -> _Cut:
        n = len(frame[node])
        size = settings.size if of != "kl" else min(settings.size, _CONTEXTS_KL)
        rows: Positions = np.concatenate([rng.permutation(n) for _ in range(-(-size // n))])[:size]
        state = {p: frame[p][rows] for p in simulator.parents[node]}
        copies = frame[parent][rng.integers(n, size=(size, _COPIES if of != "kl" else _COPIES_KL))]
        if of == "kl":  # the context's own value is one of them, so that no density is 0 where the node is
            copies[:, 0] = state[parent]
        return cls(simulator, node, parent, state, copies, rng)

    def _with_copies(self) -> tuple[Any, int]:
        d, copies = self.copies.shape
        repeated = {p: np.repeat(values, copies) for p, values in self.state.items()}
        repeated[self.parent] = self.copies.ravel()
        return self.simulator.parents_of(self.node, repeated, d * copies), d * copies

    def variances(self) -> Floats:
        """Conditional variance after the cut less that before (d,), without bias from the number of copies."""
        mechanism = self.simulator.mechanisms[self.node]
        d, copies = self.copies.shape
        after, n = self._with_copies()
        if isinstance(mechanism, Additive):
            return mechanism.predict(after).reshape(d, copies).var(axis=1, ddof=1)
        before = self.simulator.parents_of(self.node, self.state, d)
        numbers = self.simulator.columns[self.node].numbers
        if isinstance(mechanism, Discrete) and numbers is not None:
            p, cut = mechanism.predict(before), mechanism.predict(after).reshape(d, copies, -1)
            first = cut @ numbers
            pairs = (np.square(first.sum(axis=1)) - np.square(first).sum(axis=1)) / (copies * (copies - 1))
            return (cut @ np.square(numbers)).mean(axis=1) - pairs - (p @ np.square(numbers) - np.square(p @ numbers))
        noise = mechanism.draw(n, self.rng)
        repeated = {p: np.repeat(values, copies) for p, values in self.state.items()}
        same = self.simulator.parents_of(self.node, repeated, n)
        old, new = (np.asarray(mechanism.value(parents, noise)) for parents in (same, after))
        if numbers is not None:
            old, new = numbers[old], numbers[new]
        return new.reshape(d, copies).var(axis=1, ddof=1) - old.reshape(d, copies).var(axis=1, ddof=1)

    def divergences(self) -> Floats:
        """D(P(x | pa) || P_cut(x | pa)) (d,) of every context."""
        mechanism = self.simulator.mechanisms[self.node]
        d, copies = self.copies.shape
        after, _ = self._with_copies()
        before = self.simulator.parents_of(self.node, self.state, d)
        if isinstance(mechanism, Discrete):
            p = mechanism.predict(before)
            q = mechanism.predict(after).reshape(d, copies, -1).mean(axis=1)
            inside = p > 0
            ratio = np.divide(p, np.maximum(q, 1e-300), out=np.ones_like(p), where=inside)
            return np.asarray((p * np.log(ratio)).sum(axis=1))
        assert isinstance(mechanism, Additive)  # noqa: S101 - others are refused before
        log_density = kernel_log_density(mechanism.pool)
        noise = mechanism.draw(d * _NOISES, self.rng).reshape(d, _NOISES)
        shift = mechanism.predict(before)[:, None] - mechanism.predict(after).reshape(d, copies)
        out = np.empty(d)
        for k in range(d):
            cut = np.exp(log_density(noise[k][:, None] + shift[k])).mean(axis=1)
            out[k] = (log_density(noise[k]) - np.log(np.maximum(cut, 1e-300))).mean()
        return out
