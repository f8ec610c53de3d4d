"""Structural models that are linear above a target: means and variances without a draw.

A target whose causes are all linear is a sum over paths, so that its mean and variance follow from those of the noises
whichever mechanisms are swapped (Wright 1921).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pandas_causal.errors import CausalError
from pandas_causal.kernels.arrays import Bools, Floats, Values
from pandas_causal.structural.mechanisms import Additive, Empirical, Parents
from pandas_causal.structural.simulation import Simulator

__all__ = ["LinearForm", "LinearNode", "StraightLine", "linear_form", "means_and_variances", "straight_line"]

_LINEAR = 1e-10
_PROBES = 64


@dataclass(frozen=True, eq=False)
class LinearNode:
    """A node as a linear function of its parents' features, and the first two moments of its noise.

    Attributes
    ----------
    intercept : float
        Without the noise's mean.
    slopes : mapping of parent to ndarray (q,)
        Per feature of the parent.
    mean : ndarray (f,)
        Of the noise: of the features of a root, of the one number of any other node.
    covariance : ndarray (f, f)
        Of the noise, over the values it is drawn from (divided by their number).
    """

    intercept: float
    slopes: Mapping[Any, Floats]
    mean: Floats
    covariance: Floats


LinearForm = Mapping[Any, LinearNode]


def linear_form(simulator: Simulator, target: Hashable, factual: Mapping[Any, Values]) -> LinearForm | None:
    """Every node above the target (itself included) in linear form, or None where one of them is not linear.

    A mechanism counts as linear if a linear function gives its values, to a relative 1e-10, at parents drawn
    independently of one another and spread beyond the data: a curve that happens to look straight where rows are does
    not pass. Roots may be of any kind.
    """
    nodes = simulator.above(target)
    found = {}
    for node in nodes:
        mechanism = simulator.mechanisms[node]
        if not simulator.parents[node]:
            if not isinstance(mechanism, Empirical):
                return None
            features = simulator.columns[node].features(mechanism.pool)
            found[node] = LinearNode(0.0, {}, features.mean(axis=0), _covariance(features))
            continue
        line = straight_line(simulator, node, factual)
        if line is None or not isinstance(mechanism, Additive):
            return None
        noise = mechanism.pool[:, None]
        found[node] = LinearNode(line.intercept, line.slopes, noise.mean(axis=0), _covariance(noise))
    column = simulator.columns[target]
    return found if len(column.feature_names) == 1 else None


def _covariance(features: Floats) -> Floats:
    centred = features - features.mean(axis=0)
    return centred.T @ centred / len(features)


@dataclass(frozen=True, eq=False)
class StraightLine:
    """What an additive mechanism predicts, as a linear function.

    Attributes
    ----------
    intercept : float
    slopes : mapping of parent to ndarray (q,)
        Per feature of the parent.
    """

    intercept: float
    slopes: Mapping[Any, Floats]


def straight_line(simulator: Simulator, node: Hashable, factual: Mapping[Any, Values]) -> StraightLine | None:
    """The mechanism of a node as a linear function of its parents; None where it is curved, or not additive."""
    mechanism = simulator.mechanisms[node]
    if not isinstance(mechanism, Additive) or not simulator.parents[node]:
        return None
    parents = simulator.parents[node]
    rng = np.random.default_rng(0)
    widths = [len(simulator.columns[p].feature_names) for p in parents]
    n = _PROBES + 2 * sum(widths)
    state = {}
    for p in parents:
        observed = factual[p]
        drawn = observed[rng.integers(len(observed), size=n)]
        if not simulator.columns[p].discrete:
            spread = float(np.std(observed)) or 1.0
            drawn = drawn + 2 * spread * rng.normal(size=n)
        else:
            levels = len(simulator.columns[p].plain_levels)
            drawn = np.where(np.arange(n) < n // 2, drawn, rng.integers(levels, size=n)).astype(np.intp)
        state[p] = drawn
    probes: Parents = simulator.parents_of(node, state, n)
    try:
        values = np.asarray(mechanism.predict(probes), dtype=float)
    except CausalError:
        return None  # a function of the user's that is not defined beyond the data
    X = probes.features
    centre, scale = X.mean(axis=0), X.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    Z = np.column_stack([np.ones(n), (X - centre) / scale])
    coefficients = np.linalg.lstsq(Z, values, rcond=None)[0]
    rounding = 64 * np.finfo(float).eps * float(np.abs(values).max() + np.abs(X).max(initial=0.0))
    if np.abs(values - Z @ coefficients).max() > _LINEAR * float(np.ptp(values)) + rounding:
        return None
    slopes = coefficients[1:] / scale
    ends = np.cumsum(widths)
    by_parent = {p: slopes[end - width : end] for p, width, end in zip(parents, widths, ends, strict=True)}
    return StraightLine(float(coefficients[0] - slopes @ centre), by_parent)


def means_and_variances(
    simulator: Simulator,
    target: Hashable,
    players: tuple[Any, ...],
    forms: tuple[LinearForm, LinearForm],
    masks: Bools,
) -> tuple[Floats, Floats]:
    """Mean and variance (m,) of the target where the nodes of a subset have the second of two linear forms.

    Parameters
    ----------
    simulator : Simulator
        Its graph.
    target : node
    players : tuple of nodes
    forms : pair of LinearForm
        For nodes out of a subset, and in it.
    masks : ndarray (m, k) of bool
    """
    off, on = forms
    nodes = simulator.above(target)
    column = {player: masks[:, k] for k, player in enumerate(players)}
    nothing = np.zeros(len(masks), dtype=bool)

    def pick(node: Any, of: Any) -> Floats:
        first, second = (np.asarray(of(form[node]), dtype=float) for form in (off, on))
        inside = column.get(node, nothing)
        return np.where(inside.reshape(-1, *[1] * first.ndim), second, first)

    slopes = {node: {p: pick(node, lambda f, p=p: f.slopes[p]) for p in simulator.parents[node]} for node in nodes}
    mean: dict[Any, Floats] = {}
    for node in nodes:
        mean[node] = pick(node, lambda f: f.mean) + pick(node, lambda f: f.intercept)[:, None]
        for p, slope in slopes[node].items():
            mean[node] = mean[node] + (slope * mean[p]).sum(axis=1, keepdims=True)
    weight = {node: np.zeros_like(mean[node]) for node in nodes}
    weight[target] = np.ones_like(mean[target])
    variance = np.zeros(len(masks))
    for node in reversed(nodes):
        variance += np.einsum("mi,mij,mj->m", weight[node], pick(node, lambda f: f.covariance), weight[node])
        for p, slope in slopes[node].items():
            weight[p] = weight[p] + weight[node] * slope
    return mean[target][:, 0], variance
