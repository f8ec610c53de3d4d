"""One tree that sums up a learner's effects, with honest means in its leaves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.tree import DecisionTreeRegressor

from pandas_causal.arms.sample import Sample
from pandas_causal.effect.check import Check
from pandas_causal.effect.estimates import Estimates
from pandas_causal.errors import CausalDataError
from pandas_causal.heterogeneity.refits import effects_of_rows, fit_rows
from pandas_causal.inference.influence import Influence
from pandas_causal.kernels.arrays import Floats, Positions
from pandas_causal.models.folds import assign_folds

__all__ = ["honest_leaves", "leaf_rules"]


def honest_leaves(
    learner: Any,
    sample: Sample,
    scores: Floats,
    contrast: int,
    depth: int,
    columns: Positions,
    min_leaf: float,
    random_state: int | None,
) -> tuple[Estimates, Check]:
    """Mean score (leaves,) of one half in the leaves of a tree that the other half grew.

    Parameters
    ----------
    learner : estimator of effects for rows
        A clone is fitted to the half that grows the tree.
    sample : Sample (n,)
    scores : ndarray (n,)
        Doubly robust scores of the effect.
    contrast : int
        Column of the learner's effects.
    depth : int
    columns : ndarray of int
        Of the encoded matrix, that the tree may split by.
    min_leaf : float
        Share of the growing half's rows.
    random_state : int or None

    Raises
    ------
    CausalDataError
        Where effects are the same for all, or a leaf has fewer than 2 rows of the other half.
    """
    rng = np.random.default_rng(random_state)
    half = assign_folds(
        sample.codes, 2, rng, labels=sample.inputs.index, cluster=sample.cluster[0] if sample.cluster else None
    )
    grow, judge = np.flatnonzero(half == 0), np.flatnonzero(half == 1)
    fitted = fit_rows(learner, sample, grow)
    predicted = effects_of_rows(fitted, sample.inputs.covariates)[:, contrast]
    levels = sample.encoder.every_level
    chosen = set(columns.tolist())
    needs = [{source} if isinstance(source, int) else set(source.positions) for source in levels.columns]
    sources = [k for k, positions in enumerate(needs) if positions <= chosen]
    Z = levels.on(sample.X)[:, sources]
    if not Z.shape[1] or np.ptp(predicted[grow]) == 0:
        raise CausalDataError("the learner's effects are the same for all rows, so that no tree tells them apart")
    least = max(2, round(min_leaf * len(grow)))
    tree = DecisionTreeRegressor(max_depth=depth, min_samples_leaf=least, random_state=0)
    tree.fit(Z[grow], predicted[grow], sample_weight=None if sample.w is None else sample.w[grow])
    rules = leaf_rules(tree, [levels.names[k] for k in sources])
    leaf = tree.apply(Z)
    w = np.ones(len(sample)) if sample.w is None else sample.w
    order = sorted(rules, key=lambda node: float(tree.tree_.value[node].ravel()[0]))
    values, contributions, told = [], [], []
    for node in order:
        inside = np.zeros(len(sample), dtype=bool)
        inside[judge] = leaf[judge] == node
        if inside.sum() < 2:
            raise CausalDataError(f"the leaf {rules[node]} has {int(inside.sum())} rows to judge it; raise min_leaf=")
        share = np.where(inside, w, 0.0) / w[inside].sum()
        mean = float(share @ scores)
        values.append(mean)
        contributions.append(share * (scores - mean))
        told.append((int(inside.sum()), float(share @ predicted)))
    index = pd.Index([rules[node] for node in order], name="leaf")
    u = Influence.from_contributions(
        np.array(values), np.column_stack(contributions), sample.rows, names=index, clusters=sample.clusters
    )
    table = pd.DataFrame(told, columns=["n", "predicted"], index=index).assign(estimate=values)
    words = f"{len(order)} leaves, judged by {len(judge):,} rows that grew no tree"
    return Estimates(pd.Series(values, index=index, name="estimate"), u), Check(None, table, words)


def leaf_rules(tree: DecisionTreeRegressor, names: list[str]) -> dict[int, str]:
    """Rule of every leaf in words, by node: of each column the bounds that hold there."""
    grown = tree.tree_
    out: dict[int, str] = {}

    def walk(node: int, bounds: dict[str, tuple[float, float]]) -> None:
        if grown.children_left[node] < 0:
            out[node] = " and ".join(_bounded(name, *ends) for name, ends in bounds.items()) or "everyone"
            return
        name, cut = names[grown.feature[node]], float(grown.threshold[node])
        low, high = bounds.get(name, (-np.inf, np.inf))
        walk(grown.children_left[node], {**bounds, name: (low, min(high, cut))})
        walk(grown.children_right[node], {**bounds, name: (max(low, cut), high)})

    walk(0, {})
    return out


def _bounded(name: str, low: float, high: float) -> str:
    if np.isinf(low):
        return f"{name} <= {high:.4g}"
    return f"{name} > {low:.4g}" if np.isinf(high) else f"{low:.4g} < {name} <= {high:.4g}"
