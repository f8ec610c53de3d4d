"""Single trees of a forest: their nodes with rows and rules, and splits taken back on held-out rows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pandas_causal.forests.binning import Covariate8
from pandas_causal.forests.growing import Forest
from pandas_causal.forests.kernels import CATEGORY, LEAF, MISSING_LEFT
from pandas_causal.kernels.arrays import Bools, Floats, Ints, Values

__all__ = ["TreeNode", "held_out_prune", "node_rows", "rule_of"]

_MANY_LEVELS = 4


@dataclass(frozen=True, eq=False)
class TreeNode:
    """A node of one tree.

    Attributes
    ----------
    at : int
        In the tree.
    parent : int
        -1 of the root.
    depth : int
    left : bool
        Whether it is its parent's left child.
    leaf : bool
    rows : ndarray
        That fall in it.
    tree : int
    """

    at: int
    parent: int
    depth: int
    left: bool
    leaf: bool
    rows: Ints
    tree: int


def _goes_left(forest: Forest, tree: int, at: int, codes: Values) -> Bools:
    """Whether codes (m,) of the node's covariate go left."""
    node = int(forest.starts[tree, 0]) + at
    cut, flags = int(forest.cut[node]), int(forest.flags[node])
    if flags & CATEGORY:
        mask = forest.masks[int(forest.starts[tree, 2]) + cut]
        return np.asarray(mask[codes >> 3] >> (codes & 7) & 1, dtype=bool)
    f, starts = int(forest.feature[node]), forest.binning.starts
    missing = codes == starts[f + 1] - starts[f] - 1
    return np.where(missing, bool(flags & MISSING_LEFT), codes <= cut)


def node_rows(forest: Forest, codes: Covariate8, tree: int, rows: Ints | None = None) -> list[TreeNode]:
    """Nodes of a tree, parents first, with the rows of its leaves (or those given) that fall in them."""
    first = int(forest.starts[tree, 0])
    own = forest.leaf_rows(tree)[0] if rows is None else rows
    out = [TreeNode(0, -1, 0, False, bool(forest.flags[first] & LEAF), own, tree)]
    for node in out:  # grows while it is read
        if node.leaf:
            continue
        at = first + node.at
        left = _goes_left(forest, tree, node.at, codes[node.rows, forest.feature[at]])
        child = int(forest.child[at])
        for k, part in enumerate((left, ~left)):
            leaf = bool(forest.flags[first + child + k] & LEAF)
            out.append(TreeNode(child + k, node.at, node.depth + 1, k == 0, leaf, node.rows[part], tree))
    return out


def rule_of(forest: Forest, node: TreeNode) -> str:
    """What leads from the parent to a node, in words."""
    if node.parent < 0:
        return ""
    at = int(forest.starts[node.tree, 0]) + node.parent
    f, cut, flags = int(forest.feature[at]), int(forest.cut[at]), int(forest.flags[at])
    column = forest.binning.columns[f]
    if column.levels is not None:
        known = np.arange(column.n_values)
        goes = _goes_left(forest, node.tree, node.parent, known)
        named = [str(level) for level, left in zip(column.levels, goes, strict=True) if left == node.left]
        told = ", ".join(named[:_MANY_LEVELS]) + (f" and {len(named) - _MANY_LEVELS} more" if len(named) > _MANY_LEVELS
                                                  else "")  # fmt: skip
        return f"{column.name} in {told}"
    assert column.edges is not None  # noqa: S101 - a number
    text = f"{column.name} {'<=' if node.left else '>'} {column.edges[cut]:.4g}"
    return f"{text} or missing" if column.has_missing and bool(flags & MISSING_LEFT) == node.left else text


def held_out_prune(forest: Forest, codes: Covariate8, sums: Floats, share: float) -> Forest:
    """Take back splits of uplift trees that held-out rows do not confirm, and estimate the leaves on the others.

    A side's best arm, and whether it helps or harms, is told by the rows that chose the splits; a split stays where,
    on the held-out rows, these differences are larger on its sides than that of the node (the maximum difference of
    Rzepakowski and Jaroszewicz 2012, section 3.5).

    Parameters
    ----------
    forest : Forest
        Of uplift trees.
    codes : ndarray (n, p)
    sums : ndarray (n, S)
    share : float
        Of the rows of leaves, that prune.
    """
    forest = replace(forest, pruned=share)
    m = forest.shape.n_moments
    parts = []
    for tree in range(forest.n_trees):
        split = forest.sampling.tree(forest.seeds[tree])[0]
        kept, taken = forest.leaf_rows(tree)
        chosen = node_rows(forest, codes, tree, split)
        held = node_rows(forest, codes, tree, taken)
        final = node_rows(forest, codes, tree, kept)
        ends = _kept_leaves(chosen, held, final, sums[:, :m])
        parts.append(_cut_back(forest, tree, ends, {n.at: sums[n.rows, :m].sum(axis=0) for n in final}))
    sizes = np.array([[len(p[0]), len(p[4]), len(p[5])] for p in parts])
    starts = np.vstack([np.zeros((1, 3), dtype=np.int64), np.cumsum(sizes, axis=0)])
    feature, flags, cut, child, leaves, masks = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return replace(
        forest, starts=starts, feature=feature, flags=flags, cut=cut, child=child, leaves=leaves, masks=masks
    )


def _differences(sums: Floats) -> Floats:
    """Effect of every arm, NaN where an arm has no rows."""
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums[2::3] / sums[1::3]
    return np.asarray(means[1:] - means[0])


def _kept_leaves(chosen: list[TreeNode], held: list[TreeNode], final: list[TreeNode], sums: Floats) -> set[int]:
    """Nodes that are leaves after pruning."""
    told, value, size, rows = {}, {}, {}, {}
    for c, h, f in zip(chosen, held, final, strict=True):
        effects = _differences(sums[c.rows].sum(axis=0))
        arm = int(np.nanargmax(np.abs(effects))) if np.isfinite(effects).any() else 0
        seen = _differences(sums[h.rows].sum(axis=0))[arm]
        told[c.at] = float(np.sign(effects[arm]) * seen) if np.isfinite(seen) else -np.inf
        size[c.at], rows[c.at] = float(sums[h.rows, 0].sum()), len(f.rows)
    children: dict[int, list[int]] = {}
    for node in chosen:
        children.setdefault(node.parent, []).append(node.at)
    leaves: dict[int, set[int]] = {}
    for node in reversed(chosen):
        below = children.get(node.at, [])
        value[node.at], leaves[node.at] = told[node.at], {node.at}
        if below and min(rows[b] for b in below) > 0 and size[node.at] > 0:
            with np.errstate(invalid="ignore"):
                split = sum(size[b] * value[b] for b in below) / size[node.at]
            if split > told[node.at]:
                value[node.at] = split
                leaves[node.at] = set().union(*(leaves[b] for b in below))
    return leaves[0]


def _cut_back(forest: Forest, tree: int, leaves: set[int], sums: dict[int, Floats]) -> tuple[Values, ...]:
    """Arrays of one tree that ends at some nodes."""
    first, last = forest.starts[tree], forest.starts[tree + 1]
    own = slice(int(first[0]), int(last[0]))
    feature, flags, cut, child = (getattr(forest, name)[own].copy() for name in ("feature", "flags", "cut", "child"))
    queue = [0]
    moments: list[Floats] = []
    at = 0
    place: dict[int, int] = {}
    while at < len(queue):
        node = queue[at]
        if node not in leaves:
            place[node] = len(queue)
            queue += [int(child[node]), int(child[node]) + 1]
        at += 1
    out = [a[queue] for a in (feature, flags, cut, child)]
    for k, node in enumerate(queue):
        if node in leaves:
            out[1][k], out[2][k], out[3][k] = LEAF, len(moments), 0
            total = sums[node]
            moments.append(np.concatenate([total[:1], total[1:] / max(total[0], 1e-300)]))
        else:
            out[3][k] = place[node]
    return (*out, np.array(moments), forest.masks[int(first[2]) : int(last[2])])
