"""Effects from a fitted structural model: influence functions where it is linear, refits where it is not."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.arms.overlap import overlap_check
from pandas_causal.effect.check import Check
from pandas_causal.effect.effect import Effect
from pandas_causal.effect.estimates import Estimates
from pandas_causal.errors import (
    AssumptionWarning,
    CausalArgumentError,
    CausalDataError,
    CausalWarning,
    OverlapWarning,
    warn,
)
from pandas_causal.inference.draws_and_variance import Draws
from pandas_causal.inference.influence import Influence
from pandas_causal.inference.reference import Normal, Reference, Student
from pandas_causal.inference.rows import RowIdentity
from pandas_causal.kernels.arrays import Floats, Values
from pandas_causal.models.linear import StandardisedMatrix, invert_gram
from pandas_causal.structural.fitted import FittedModel
from pandas_causal.structural.interventions import Intervention, describe
from pandas_causal.structural.learning import is_flexible, refit_spec
from pandas_causal.structural.mechanisms import Additive, Discrete, Own
from pandas_causal.structural.refits import bootstrap_refits
from pandas_causal.structural.simulation import Simulator

__all__ = ["EffectSettings", "chain_rule", "linear_contributions", "model_effect", "overlaps"]

World = dict[Any, Intervention]
# Units simulated per draw of the bootstrap, and for the estimate, where nodes between must be drawn
_UNITS, _UNITS_ONCE = 20_000, 200_000


@dataclass(frozen=True, kw_only=True)
class EffectSettings:
    """Settings of one effect: draws of the bootstrap, level of the intervals, seed, jobs."""

    n_draws: int
    level: float
    seed: int | None
    n_jobs: int | None


def model_effect(
    model: FittedModel, contrast: Mapping[Any, Any], outcome: Hashable, settings: EffectSettings
) -> Effect:
    """Average effect of one intervention against another; see :meth:`StructuralModel.effect`."""
    worlds, index = _worlds(model, contrast, outcome)
    starts = list(contrast)
    passing = [node for world in worlds for node, done in world.items() if done.needs_natural]
    between = model.simulator.between(starts, outcome, passing)
    question = _Question(model, worlds, between, outcome)
    y = model.as_given(model.numbers(outcome, model.factual[outcome]))
    rows = RowIdentity(model.index, y)
    checks: dict[str, Check] = {}
    reference: Reference = Student()
    if not between:
        text = f"{outcome} is not below {', '.join(map(str, starts))} in the graph: the effect is 0 by assumption"
        warn(text, CausalWarning)
        estimates, method, warned = _zeros(index, rows), "none: the graph says so", [text]
    else:
        checks, warned = overlaps(model, worlds[-1])
        warned += _flexible(model, between)
        shown = model.mechanism_table().loc[between]
        words = ", ".join(f"{node} {row['model']} (skill {row['skill']:.2f})" for node, row in shown.iterrows())
        checks["mechanisms"] = Check(None, shown, words)
        if question.is_linear(starts):
            estimates = _along_paths(question, index, rows)
            method = "influence functions of the coefficients along the paths (HC2), normal law"
            reference = Normal()
        else:
            estimates, n = _simulated(question, index, settings)
            method = f"pairs bootstrap, {n:,} refits of the mechanisms between, percentile interval"
    return Effect(
        rows=estimates,
        estimand=f"effect of {', '.join(map(str, starts))} on {outcome} in the structural model",
        n_obs=len(y),
        level=settings.level,
        assumptions=_ASSUMPTIONS,
        diagnostics=checks,
        warnings=tuple(warned),
        std_error_method=method,
        reference=reference,
        facts={"outcome": outcome, "treatment": ", ".join(map(str, starts)), "n_dropped": model.n_dropped},
    ).explained()


@dataclass(frozen=True, eq=False)
class _Question:
    """A fitted model, the worlds compared, the nodes between what is set and the outcome, and the outcome."""

    model: FittedModel
    worlds: list[World]
    between: list[Any]
    outcome: Any

    def is_linear(self, starts: list[Any]) -> bool:
        """Whether values are set and every mechanism on the way is least squares."""
        first = set(self.worlds[0])
        atomic = all(set(w) == first and all(d.constant is not None for d in w.values()) for w in self.worlds)
        mechanisms = [self.model.simulator.mechanisms[node] for node in self.between if node not in starts]
        return atomic and all(isinstance(m, Additive) and m.skill.model == "linear" for m in mechanisms)

    @property
    def is_drawn(self) -> bool:
        """Whether a world has to be drawn: discrete nodes on the way, the user's mechanisms, random interventions."""
        mechanisms = self.model.simulator.mechanisms
        inner = [mechanisms[node] for node in self.between if node != self.outcome]
        user_written = isinstance(mechanisms[self.outcome], Own)
        random = any(d.random for world in self.worlds for d in world.values())
        return user_written or random or any(isinstance(m, Discrete | Own) for m in inner)

    def passes(self, units: int) -> int:
        """How often the rows are simulated, so that there are so many units."""
        return max(1, -(-units // len(self.model))) if self.is_drawn else 1

    def contrasts(self, simulator: Simulator, factual: Mapping[Any, Values], seed: int | None, passes: int) -> Floats:
        """Mean outcome of every world less that of the first, with the same random numbers in each."""
        means = [simulator.expected(self.outcome, factual, world, seed, passes).mean() for world in self.worlds]
        return np.array(means[1:]) - means[0]


_ASSUMPTIONS = (
    "the graph is right: no unobserved common cause, no missing arrow",
    "the mechanisms are of the form that was fitted (see mechanisms_ and evaluate)",
    "every value that the intervention sets occurs at all values of the node's causes",
)


# -- what is compared ------------------------------------------------------------------------------------------------


def _worlds(model: FittedModel, contrast: Mapping[Any, Any], outcome: Hashable) -> tuple[list[World], pd.Index]:
    """Interventions of every world, and the names of the contrasts with the first."""
    model.node(outcome)
    if not isinstance(contrast, Mapping) or not contrast:
        raise CausalArgumentError(f'effect takes a dict of node to values: {{"node": (0, 1)}}; got {contrast!r}')
    sizes = {}
    for node, values in contrast.items():
        model.node(node)
        if node == outcome:
            raise CausalArgumentError(f"{node!r} is both treatment and outcome")
        if isinstance(values, str) or not isinstance(values, list | tuple) or len(values) < 2:
            raise CausalArgumentError(f"{node}: give at least two values to compare, e.g. (0, 1); got {values!r}")
        sizes[node] = len(values)
    if len(set(sizes.values())) > 1:
        raise CausalArgumentError(f"nodes set together need as many values each; got {sizes}")
    k = next(iter(sizes.values()))
    settings = [{node: values[j] for node, values in contrast.items()} for j in range(k)]
    worlds = [model.read({node: what for node, what in world.items() if what is not None}) for world in settings]
    if len(contrast) == 1:
        (name,) = contrast
        words = [describe(world[name]) for world in settings]
    else:
        name, words = None, [", ".join(f"{n}={describe(w)}" for n, w in world.items()) for world in settings]
    return worlds, pd.Index([f"{word} - {words[0]}" for word in words[1:]], name=None if name is None else str(name))


def _zeros(index: pd.Index, rows: RowIdentity) -> Estimates:
    """An outcome that is not below the treatment: no effect, by the graph alone."""
    zeros = np.zeros(len(index))
    influence = Influence.from_contributions(zeros, np.zeros((len(rows), len(index))), rows, names=pd.Index(index))
    values = pd.Series(zeros, index=index, name="estimate")
    return Estimates(values, influence, reference_rows=np.ones(len(index), dtype=bool))


def overlaps(model: FittedModel, world: Mapping[Any, Intervention]) -> tuple[dict[str, Check], list[str]]:
    """Positivity of every discrete treatment that is set, by the probabilities of its own mechanism.

    Raises
    ------
    OverlapError
        Where its causes separate its two levels.
    """
    checks, warned = {}, []
    for node, done in world.items():
        mechanism = model.simulator.mechanisms[node]
        if done.constant is None or not isinstance(mechanism, Discrete):
            continue
        parents = model.simulator.parents_of(node, model.factual, len(model.index))
        levels = model.columns[node].plain_levels
        check = overlap_check(mechanism.predict(parents), model.factual[node], levels)
        checks[f"overlap of {node}"] = check
        if not check.passed:
            warned.append(f"weak overlap of {node}: {check.summary}; the answer leans on the form of the mechanisms")
            warn(warned[-1], OverlapWarning)
    return checks, warned


def _flexible(model: FittedModel, between: list[Any]) -> list[str]:
    """Warn of learners that regularise what the effect is made of, which a bootstrap of them does not show."""
    flexible = [node for node in between if is_flexible(model.specs[node], model.simulator.mechanisms[node])]
    if not flexible:
        return []
    names = ", ".join(f"{node} ({model.simulator.mechanisms[node].skill.model})" for node in flexible[:5])
    text = (
        f"flexible mechanisms between treatment and outcome, {names}, shrink effects, and the interval"
        " covers the truth too rarely; df.causal.ate(treatment=..., outcome=..., graph=g) corrects for that, or give"
        " these nodes a mechanism of known form, e.g. 'linear'"
    )
    warn(text, AssumptionWarning)
    return [text]


# -- linear ----------------------------------------------------------------------------------------------------------


def _along_paths(question: _Question, index: pd.Index, rows: RowIdentity) -> Estimates:
    """Sums over paths of products of coefficients, with their influence functions."""
    model, worlds = question.model, question.worlds
    moves = [_moves(worlds[0], world, model.simulator) for world in worlds[1:]]
    effects = [
        linear_contributions(model.simulator, model.factual, move, question.between, question.outcome) for move in moves
    ]
    values = np.array([value for value, _ in effects])
    contributions = model.as_given(np.column_stack([c for _, c in effects]))
    influence = Influence.from_contributions(values, contributions, rows, names=pd.Index(index))
    return Estimates(pd.Series(values, index=index, name="estimate"), influence)


def _moves(first: World, second: World, simulator: Simulator) -> dict[Any, Floats]:
    """Change of the features of every treatment from one world to the other."""
    out = {}
    for node, done in second.items():
        column = simulator.columns[node]
        dtype = np.intp if column.discrete else np.float64
        pair = column.features(np.array([first[node].constant, done.constant], dtype=dtype))
        out[node] = pair[1] - pair[0]
    return out


def chain_rule(
    coefficients: Mapping[Any, Mapping[Any, Floats]], moves: Mapping[Any, Floats], order: list[Any], outcome: Hashable
) -> tuple[float, dict[Any, Floats], dict[Any, float]]:
    """Total effect along all paths of a linear model (Wright 1921), forwards, and its derivatives, backwards.

    Parameters
    ----------
    coefficients : mapping of node to mapping of parent to ndarray (q,)
        Slopes of the features of every parent.
    moves : mapping of treatment to ndarray (q,)
        Change of its features.
    order : list
        Nodes between, in causal order.
    outcome : node

    Returns
    -------
    total : float
    changes : dict of node to ndarray
        Change of every node's features.
    weight : dict of node to float
        Derivative of the total effect by the change of a node.
    """
    changes = {node: np.asarray(move, dtype=float) for node, move in moves.items()}
    for node in order:
        total = sum(float(slope @ changes[p]) for p, slope in coefficients[node].items() if p in changes)
        changes[node] = np.array([total])
    weight = dict.fromkeys(order, 0.0)
    weight[outcome] = 1.0
    for node in reversed(order):
        for p, slope in coefficients[node].items():
            if p in weight:
                weight[p] += weight[node] * float(slope[0])
    return float(changes[outcome][0]), changes, weight


def linear_contributions(
    simulator: Simulator,
    factual: Mapping[Any, Values],
    moves: Mapping[Any, Floats],
    between: list[Any],
    outcome: Hashable,
) -> tuple[float, Floats]:
    """Total effect and its contributions (n,): the product rule over the influence functions of the regressions.

    The coefficients of a regression move by ``(Z'Z)^-1 z_i r_i / sqrt(1 - h_i)`` (HC2; MacKinnon and White 1985).
    """
    order = [node for node in between if node not in moves]
    n = len(factual[outcome])
    fits: dict[Any, tuple[StandardisedMatrix, Floats, Floats]] = {}
    coefficients: dict[Any, dict[Any, Floats]] = {}
    for node in order:
        design = StandardisedMatrix.of(simulator.parents_of(node, factual, n).features)
        gram, moment = np.zeros((design.p, design.p)), np.zeros(design.p)
        for at, Z in design.blocks():
            gram += Z.T @ Z
            moment += Z.T @ factual[node][at]
        inverse = invert_gram(gram)
        beta = inverse @ moment
        slopes = np.zeros(len(design.scale))
        slopes[design.kept] = beta[1:] / design.scale[design.kept]
        fits[node] = design, inverse, beta
        coefficients[node] = _by_parent(simulator, node, slopes)
    total, changes, weight = chain_rule(coefficients, moves, order, outcome)
    contributions = np.zeros(n)
    for node in order:
        design, inverse, beta = fits[node]
        moved = np.concatenate([changes.get(p, np.zeros(len(s))) for p, s in coefficients[node].items()])
        if len(design.dropped) and moved.any():
            raise CausalDataError(
                f"the parents of {node} ({', '.join(map(str, simulator.parents[node]))}) are collinear or constant, so"
                " that their separate effects are not determined; remove one from the graph"
            )
        gradient = np.zeros(design.p)
        gradient[1:] = moved[design.kept] / design.scale[design.kept]
        for at, Z in design.blocks():
            path = Z @ inverse
            leverage = np.minimum(np.einsum("ij,ij->i", path, Z), 1 - 1e-12)
            residual = (factual[node][at] - Z @ beta) / np.sqrt(1 - leverage)
            contributions[at] += weight[node] * (path @ gradient) * residual
    return total, contributions


def _by_parent(simulator: Simulator, node: Hashable, slopes: Floats) -> dict[Any, Floats]:
    out, at = {}, 0
    for p in simulator.parents[node]:
        width = len(simulator.columns[p].feature_names)
        out[p] = slopes[at : at + width]
        at += width
    return out


# -- everything else -------------------------------------------------------------------------------------------------


def _simulated(question: _Question, index: pd.Index, settings: EffectSettings) -> tuple[Estimates, int]:
    """Contrasts of simulated means, and how many refits of the mechanisms stand behind their draws."""
    model = question.model
    estimate = question.contrasts(model.simulator, model.factual, settings.seed, question.passes(_UNITS_ONCE))
    replicates = _refits(question, settings)
    values = pd.Series(estimate, index=index, name="estimate")
    return Estimates(values, Draws(replicates, np.eye(len(estimate)))), len(replicates)


def _refits(question: _Question, settings: EffectSettings) -> Floats:
    """Refit the mechanisms between on resampled rows."""
    model = question.model
    n = len(model)
    specs = {node: refit_spec(model.specs[node], model.simulator.mechanisms[node]) for node in question.between}
    learning = replace(model.settings, choose=False, n_jobs=None)
    passes = question.passes(_UNITS)

    def one(rng: np.random.Generator) -> Floats:
        rows = rng.integers(n, size=n)
        resampled = {node: values[rows] for node, values in model.factual.items()}
        fitted = {node: model.learn(node, spec, resampled, learning) for node, spec in specs.items()}
        simulator = model.simulator.with_mechanisms(fitted)
        return question.contrasts(simulator, resampled, int(rng.integers(2**31 - 1)), passes)

    return bootstrap_refits(one, settings.n_draws, settings.seed, settings.n_jobs)
