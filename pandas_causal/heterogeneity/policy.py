"""Policies: whom to give which arm, learned from doubly robust scores, and what a policy is worth."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from pandas_causal.effect.effect import Effect
from pandas_causal.effect.estimates import Estimates
from pandas_causal.errors import CausalArgumentError, CausalDataError
from pandas_causal.inference.influence import Influence
from pandas_causal.inference.rows import RowIdentity
from pandas_causal.inputs.arms import plain
from pandas_causal.inputs.encoding import Encoder
from pandas_causal.inputs.parameters import Legal, at_least, check_settings
from pandas_causal.inputs.plain_columns import plain_frame, select_columns
from pandas_causal.inputs.roles import as_frame, common_index
from pandas_causal.inputs.types import Covariates
from pandas_causal.kernels.arrays import Bools, Codes, Floats, Ints, Positions

__all__ = ["PolicyTree", "policy_arms", "policy_values", "treat_within_budget"]


_COARSE = 65  # first splits tried in every column before any is tried finely


@dataclass(frozen=True)
class Node:
    """A split, or a leaf, whose column is -1.

    Attributes
    ----------
    column : int
        Of the encoded matrix; -1 in a leaf.
    threshold : float
        Rows at or below it go left.
    arm : int
        What a leaf's rows are given.
    left, right : Node or None
    """

    column: int = -1
    threshold: float = 0.0
    arm: int = 0
    left: Node | None = None
    right: Node | None = None

    def arms(self, X: Floats) -> Positions:
        """Arm of every encoded row."""
        if self.left is None or self.right is None:
            return np.full(len(X), self.arm, dtype=np.intp)
        below = X[:, self.column] <= self.threshold
        return np.where(below, self.left.arms(X), self.right.arms(X))


class PolicyTree(BaseEstimator):
    """The tree of covariates whose policy has the highest doubly robust value; exact up to depth 2.

    Depths 1 and 2 are searched exactly: no other tree of that depth does better on these scores. Deeper trees take the
    first split of the best tree of depth 2 and go on in its branches, so that the last two levels are exact.

    Parameters
    ----------
    depth : int
        Splits from the root to a leaf; 0 gives everybody the best arm.
    min_leaf : int
        Rows in a leaf.

    Attributes
    ----------
    tree_ : Node
    arms_ : tuple
        Labels of the arms, the columns of the scores.
    value_ : float
        Mean score under the policy on the rows it was learned from, which is more than it is worth on others.

    References
    ----------
    Zhou, Athey and Wager (2023), "Offline multi-action policy learning: generalization and optimization", Operations
    Research 71, section 5; Athey and Wager (2021), "Policy learning with observational data", Econometrica 89.

    Examples
    --------
    >>> scores = half.causal.scores(treatment="t", outcome="y", covariates=["age", "income"])  # doctest: +SKIP
    >>> policy = PolicyTree(depth=2).fit(half[["age", "income"]], scores)  # doctest: +SKIP
    """

    legal: ClassVar[Mapping[str, Legal]] = {"depth": at_least(0), "min_leaf": at_least(1)}

    def __init__(self, depth: int = 2, *, min_leaf: int = 1) -> None:
        self.depth = depth
        self.min_leaf = min_leaf

    def fit(self, X: Covariates, scores: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Learn the policy.

        Parameters
        ----------
        X : DataFrame or array-like (n, p)
            What the policy may look at: numbers, bools or categories, none missing.
        scores : DataFrame or array-like (n, K)
            Reward of every arm (less its cost, where arms cost): of ``df.causal.scores(...)``.
        sample_weight : array-like (n,), optional

        Raises
        ------
        CausalDataError
            For missing covariates or scores that are no matrix of finite numbers.
        """
        from pandas_causal.heterogeneity.ranking import weights_of

        check_settings(self.get_params(deep=False), self.legal)
        common_index({"X": X, "scores": scores, "sample_weight": sample_weight})
        frame, rewards, self.arms_ = _policy_inputs(X, scores)
        weight = weights_of(sample_weight, len(frame))
        weight = np.ones(len(frame)) if weight is None else weight
        _refuse_missing(frame)
        self.encoder_ = Encoder.fit(frame)
        Z = self._encoded(frame)
        self.n_features_in_ = frame.shape[1]
        self.columns_ = list(frame.columns)
        self._learned_from = row_hashes(frame)
        weighted = np.ascontiguousarray(rewards * weight[:, None])
        self.tree_ = grow(Z, weighted, self.depth, self.min_leaf)
        given = self.tree_.arms(Z)
        self.value_ = float(weighted[np.arange(len(Z)), given].sum() / weight.sum())
        return self

    def predict(self, X: Covariates) -> np.ndarray:
        """Arm for every row of X (m,): its label."""
        check_is_fitted(self, "tree_")
        labels = np.empty(len(self.arms_), dtype=object)
        labels[:] = self.arms_
        return np.asarray(labels[self.codes(X)].tolist())

    def codes(self, X: Covariates) -> Positions:
        """Arm for every row of X (m,): its position among ``arms_``."""
        check_is_fitted(self, "tree_")
        frame = _named_frame(X, self.columns_)
        return self.tree_.arms(self._encoded(frame))

    def has_seen(self, X: pd.DataFrame) -> Bools:
        """Whether the policy was learned from these rows (m,), by their labels and values."""
        check_is_fitted(self, "tree_")
        if any(c not in X.columns for c in self.columns_):
            return np.zeros(len(X), dtype=bool)
        return np.isin(row_hashes(_named_frame(X, self.columns_)), self._learned_from)

    def rules(self) -> str:
        """The tree in words, a line for every split and leaf."""
        check_is_fitted(self, "tree_")
        return "\n".join(_lines(self.tree_, self.encoder_.every_level.names, self.arms_, 0))

    def _encoded(self, frame: pd.DataFrame) -> Floats:
        _refuse_missing(frame)
        return np.ascontiguousarray(self.encoder_.every_level.on(self.encoder_.transform(frame)))


def _refuse_missing(frame: pd.DataFrame) -> None:
    absent = [str(c) for c in frame.columns if frame[c].isna().any()]
    if absent:
        raise CausalDataError(f"the policy's covariates {absent} are missing in some rows; fill them or leave them out")


def _lines(node: Node, names: tuple[str, ...], arms: tuple[Any, ...], depth: int) -> list[str]:
    indent = "    " * depth
    if node.left is None or node.right is None:
        return [f"{indent}give {arms[node.arm]!r}"]
    name = names[node.column]
    return [
        f"{indent}{name} <= {node.threshold:.6g}:",
        *_lines(node.left, names, arms, depth + 1),
        f"{indent}{name} > {node.threshold:.6g}:",
        *_lines(node.right, names, arms, depth + 1),
    ]


def grow(X: Floats, scores: Floats, depth: int, least: int = 1, *, skip: bool = True) -> Node:
    """Best policy tree: exact to depth 2, its first split and then its branches beyond.

    Parameters
    ----------
    X : ndarray (n, p)
    scores : ndarray (n, K)
    depth, least : int
    skip : bool
        Skip first splits whose bound cannot win; the tree's value is the same without.
    """
    everyone = Node(arm=int(scores.sum(axis=0).argmax()))
    if depth == 0 or not X.shape[1] or len(X) < 2 * least:
        return everyone
    order = np.ascontiguousarray(np.argsort(X, axis=0, kind="stable").T.astype(np.int64))
    if depth == 1:
        return _single(X, order, scores, least)
    pair = _pair(X, order, scores, least, skip)
    if depth == 2 or pair.left is None or pair.right is None:
        return pair
    below = X[:, pair.column] <= pair.threshold
    left = grow(X[below], scores[below], depth - 1, least, skip=skip)
    right = grow(X[~below], scores[~below], depth - 1, least, skip=skip)
    return _merged(Node(pair.column, pair.threshold, 0, left, right))


def _single(X: Floats, order: Ints, scores: Floats, least: int) -> Node:
    from pandas_causal.heterogeneity.policy_kernels import best_single

    out = np.zeros(5)
    best_single(X, order, scores, least, out)
    return _stump(out[1:])


def _stump(found: Floats) -> Node:
    """A split and its two leaves, or one leaf, from column, threshold and arms."""
    column, threshold, left, right = found
    if column < 0:
        return Node(arm=int(left))
    return Node(int(column), float(threshold), 0, Node(arm=int(left)), Node(arm=int(right)))


def _pair(X: Floats, order: Ints, scores: Floats, least: int, skip: bool) -> Node:
    from pandas_causal.heterogeneity.policy_kernels import best_pairs

    n, p = X.shape
    swing = np.zeros((p, n + 1))
    reach = scores.max(axis=1) - scores.min(axis=1)
    for j in range(p):
        swing[j, 1:] = np.cumsum(reach[order[j]])
    out, counts = np.zeros((p, 10)), np.zeros(p, dtype=np.int64)
    floor = -np.inf
    if skip:  # a coarse look at all columns says what every column has to beat
        best_pairs(X, order, scores, swing, least, skip, floor, _COARSE, out, counts)
        floor = float(out[:, 0].max())
    best_pairs(X, order, scores, swing, least, skip, floor, n, out, counts)
    j = int(out[:, 0].argmax())
    single = _single(X, order, scores, least)
    given = single.arms(X)
    value = float(scores[np.arange(n), given].sum())
    if out[j, 0] <= value + 1e-12 * abs(value):  # a second split that gains nothing is none
        return single
    return _merged(Node(j, float(out[j, 1]), 0, _stump(out[j, 2:6]), _stump(out[j, 6:10])))


def _merged(node: Node) -> Node:
    """A split whose branches are leaves of one arm is that leaf."""
    if node.left is None or node.right is None:
        return node
    leaves = node.left.left is None and node.right.left is None
    return Node(arm=node.left.arm) if leaves and node.left.arm == node.right.arm else node


def treat_within_budget(priority: ArrayLike, cost: ArrayLike, budget: float) -> Bools:
    """Whom to treat: those with the highest effect per cost, as far as the budget goes, and nobody who is harmed.

    Parameters
    ----------
    priority : array-like (n,)
        Predicted effect.
    cost : array-like (n,)
        Of treating the row, above 0.
    budget : float
        What may be spent in all.

    References
    ----------
    Sun, Du and Wager (2021), "Treatment allocation under uncertain costs".
    """
    from pandas_causal.heterogeneity.ranking import costs_of, numbers_of

    common_index({"priority": priority, "cost": cost})
    tau = numbers_of(priority, "priority")
    price = costs_of(cost, len(tau))
    if not np.isfinite(budget) or budget < 0:
        raise CausalArgumentError(f"budget must be a number of 0 or more, got {budget!r}")
    order = np.argsort(-tau / price, kind="stable")
    out = np.zeros(len(tau), dtype=bool)
    out[order[(np.cumsum(price[order]) <= budget) & (tau[order] > 0)]] = True
    return out


# -- values -----------------------------------------------------------------------------------------------------------


def policy_arms(policy: Any, X: pd.DataFrame, levels: tuple[Any, ...], scores: Floats, folds: Codes | None) -> Codes:
    """Arm that a policy gives every row (n,), as a position among the levels.

    Parameters
    ----------
    policy : PolicyTree, callable, array-like (n,) of arms, or one arm for everybody
        An unfitted PolicyTree is learned fold by fold, each fold's policy from the other rows.
    X : DataFrame (n, p)
    levels : tuple (K,)
    scores : ndarray (n, K)
    folds : ndarray (n,), optional
        For an unfitted tree.

    Raises
    ------
    CausalArgumentError
        A tree learned from these rows.
    CausalDataError
        Arms that are no level.
    """
    if isinstance(policy, PolicyTree):
        if not hasattr(policy, "tree_"):
            return _cross_fitted(policy, X, scores, folds)
        seen = int(policy.has_seen(X).sum())
        if seen:
            raise CausalArgumentError(
                f"the policy was learned from {seen:,} of these rows, on which it looks better than it is; evaluate it"
                " on others, or give an unfitted PolicyTree(...), which is cross-fitted"
            )
        given: Any = policy.predict(X)
    elif callable(policy):
        given = policy(X)
    elif isinstance(policy, str | bytes) or np.isscalar(policy):
        given = np.full(len(X), policy, dtype=object)
    else:
        given = policy
    common_index({"X": X, "policy": given})
    values = np.asarray(given, dtype=object)
    if values.shape != (len(X),):
        raise CausalDataError(f"a policy gives one arm per row: shape {values.shape} for {len(X):,} rows")
    known = {plain(level): k for k, level in enumerate(levels)}
    try:
        codes = np.array([known.get(plain(v), -1) for v in values], dtype=np.intp)
    except TypeError:
        raise CausalDataError("a policy gives one arm per row: labels of the treatment's levels") from None
    if (codes < 0).any():
        unknown = list(dict.fromkeys(map(str, values[codes < 0])))[:5]
        raise CausalDataError(
            f"the policy gives {int((codes < 0).sum()):,} rows arms that the treatment has not: {unknown}; arms:"
            f" {list(levels)}"
        )
    return codes


def _cross_fitted(policy: PolicyTree, X: pd.DataFrame, scores: Floats, folds: Codes | None) -> Codes:
    assert folds is not None  # noqa: S101 - callers that take trees have folds
    out = np.empty(len(X), dtype=np.intp)
    for fold in np.unique(folds):
        inside = folds == fold
        out[inside] = clone(policy).fit(X[~inside], scores[~inside]).codes(X[inside])
    return out


def policy_values(
    scores: Floats, given: Mapping[Hashable, Codes], levels: tuple[Any, ...], rows: RowIdentity, w: Floats | None
) -> tuple[Estimates, Influence]:
    """Mean outcomes (rows, by name) under policies, and under every arm for all, with their joint contributions.

    Parameters
    ----------
    scores : ndarray (n, K)
    given : mapping of name to ndarray (n,)
    levels : tuple (K,)
    rows : RowIdentity (n,)
    w : ndarray (n,), optional
    """
    at = np.arange(len(scores))
    columns = {name: scores[at, codes] for name, codes in given.items()}
    taken = [name for name in columns if name in {f"all {level}" for level in levels}]
    if taken:
        raise CausalArgumentError(f"the name {taken[0]!r} is that of one arm for everyone; call the policy otherwise")
    columns |= {f"all {level}": scores[:, k] for k, level in enumerate(levels)}
    rewards = np.column_stack(list(columns.values()))
    unit = np.ones(len(scores)) if w is None else w
    means = unit @ rewards / unit.sum()
    index = pd.Index(list(columns), name="policy")
    u = Influence.from_contributions(means, unit[:, None] * (rewards - means) / unit.sum(), rows, names=index)
    return Estimates(pd.Series(means, index=index, name="estimate"), u), u


def value_effect(rows: Estimates, learner_effect: Effect, outcome: str, cross_fitted: bool) -> Effect:
    """Values of policies as an effect, with the words of the fit behind the scores."""
    words = "doubly robust scores, normal law"
    found = replace(
        learner_effect,
        rows=rows,
        estimand=f"mean {outcome} under each policy",
        facts={**learner_effect.facts, "levels": True},
        std_error_method=words + (", policies cross-fitted" if cross_fitted else ""),
    )
    return found.explained()


def row_hashes(frame: pd.DataFrame) -> np.ndarray:
    """Hash of labels and values, row by row."""
    return pd.util.hash_pandas_object(frame, index=True).to_numpy()


def _named_frame(X: Covariates, columns: list[Any]) -> pd.DataFrame:
    frame, named = as_frame(X)
    if not named:
        if frame.shape[1] != len(columns):
            raise CausalDataError(f"X has {frame.shape[1]} columns, the policy looks at {len(columns)}")
        return frame.set_axis(columns, axis=1)
    absent = [c for c in columns if c not in frame.columns]
    if absent:
        raise CausalDataError(f"X lacks the policy's covariates {absent}")
    return select_columns(frame, columns)


def _policy_inputs(X: Covariates, scores: Any) -> tuple[pd.DataFrame, Floats, tuple[Any, ...]]:
    frame, _ = as_frame(X)
    if isinstance(scores, pd.DataFrame):
        labels: tuple[Any, ...] = tuple(plain(c) for c in scores.columns)
    else:
        labels = tuple(range(np.shape(scores)[1])) if np.ndim(scores) == 2 else ()
    try:
        rewards = np.asarray(scores, dtype=float)
    except (TypeError, ValueError):
        raise CausalDataError("scores must be numbers, a row per row of X and a column per arm") from None
    if rewards.ndim != 2 or rewards.shape[1] < 2 or len(rewards) != len(frame):
        raise CausalDataError(
            f"scores must have a row per row of X ({len(frame):,}) and a column per arm, two or more; got shape"
            f" {rewards.shape}: use df.causal.scores(...)"
        )
    if not np.isfinite(rewards).all():
        raise CausalDataError(
            f"scores are missing or infinite in {int((~np.isfinite(rewards)).any(axis=1).sum()):,} rows"
        )
    return plain_frame(frame), np.ascontiguousarray(rewards), labels
