"""The kernel beside plain numpy: a tree by hand, exhaustive search, subtraction, ties, missing values, levels."""

import numpy as np
import pandas as pd
import pytest

from pandas_causal.forests import kernels
from pandas_causal.forests.binning import Binning
from pandas_causal.forests.growing import (
    CAUSAL,
    INSTRUMENTAL,
    REGRESSION,
    GrowthRules,
    Sampling,
    TreeShape,
    causal_sums,
    grow_forest,
    grow_tree,
    instrumental_sums,
    regression_sums,
)


def binned(X):
    frame = pd.DataFrame(X).rename(columns=str)
    binning = Binning.fit(frame)
    return binning, binning.encode(frame, len(frame))


def arms_of(t):
    return np.column_stack([t == 0, t == 1]).astype(float)


def pseudo_outcomes(w, t, y):
    """Of a node by itself: A^-1 (t - mean) (y - mean - (t - mean) tau)."""
    t, y = t - np.average(t, weights=w), y - np.average(y, weights=w)
    A = np.average(t * t, weights=w)
    tau = np.average(t * y, weights=w) / A
    return t * (y - t * tau) / A


def test_a_tree_on_16_rows_by_hand():
    """Effects 0 where x is 0 and 4 where it is 1; one arm in two, so that every sum is a small number."""
    x = np.repeat([0.0, 1.0], 8)
    t = np.tile([0.0, 1.0], 8)
    noise = np.tile([1.0, 1.0, -1.0, -1.0], 4)
    y = noise + 4 * x * t
    d = t - 0.5
    binning, codes = binned(x[:, None])
    sums = causal_sums(np.ones(16), d[:, None], (y - 1 - 0 * x)[:, None], arms_of(t))
    rows = np.arange(16)
    tree = grow_tree(codes, binning, sums, TreeShape(CAUSAL, 1, 1, 2), GrowthRules(2, tried=1.0), (rows, rows), 1)
    assert tree.feature.tolist() == [0, 0, 0]
    assert (tree.flags & kernels.LEAF).tolist() == [0, 1, 1]
    assert tree.cut[0] == 0
    # the node: mean y 0, slope 2; pseudo-outcomes 4 (d)(y - 2 d), whose sums by side are -16 and 16
    rho = pseudo_outcomes(np.ones(16), d, y - 1)
    assert rho[:8].sum() == pytest.approx(-16)
    assert tree.gains[0] == pytest.approx(16**2 / 8 + 16**2 / 8)
    # sums of weight, treatment, outcome, products: by hand from the eight rows of a side
    assert tree.leaves[0, :5].tolist() == [8.0, 0.0, -8.0, 2.0, 0.0]
    assert tree.leaves[1, :5].tolist() == [8.0, 0.0, 8.0, 2.0, 8.0]
    for leaf, effect in zip(tree.leaves, (0.0, 4.0), strict=True):
        w, dt, dy, tt, ty = leaf[:5]
        assert (ty - dt * dy / w) / (tt - dt * dt / w) == pytest.approx(effect)


def best_gain(codes, w, rho, groups, d, least, alpha, categories=()):
    """Every cut of every covariate, each judged by the sums on its sides."""
    best = 0.0
    d = d - np.average(d, weights=w)
    parts = np.column_stack([w, w * rho, w * d, w * d * d, groups])
    total = parts.sum(axis=0)
    for j in range(codes.shape[1]):
        column = codes[:, j].astype(int)
        sums = np.column_stack([np.bincount(column, part, 256) for part in parts.T])
        sums = sums[sums[:, 0] > 0]
        if j in categories:
            sums = sums[np.argsort(sums[:, 1] / sums[:, 0], kind="stable")]
        left = np.cumsum(sums, axis=0)[:-1]
        right = total - left
        allowed = np.minimum(left[:, 4:], right[:, 4:]).min(axis=1) >= least
        own = np.column_stack([side[:, 3] - side[:, 2] ** 2 / side[:, 0] for side in (left, right)]).min(axis=1)
        allowed &= (own > 0) & (own >= alpha * total[3] * (1 - 1e-12))
        gains = left[:, 1] ** 2 / left[:, 0] + right[:, 1] ** 2 / right[:, 0]
        best = max(best, gains[allowed].max(initial=0.0))
    return best


@pytest.mark.parametrize("many", [False, True], ids=["few rows", "whole histograms"])
def test_the_first_split_is_that_of_exhaustive_search(many):
    """1,000 random nodes, a quarter of them with histograms of all bins."""
    rng = np.random.default_rng(1 + many)
    for draw in range(250 if many else 750):
        n = int(rng.integers(256, 400)) if many else int(rng.integers(12, 120))
        X = rng.normal(size=(n, 3)).round(1)
        X[:, 2] = rng.integers(0, 4, n)
        frame = pd.DataFrame(X, columns=["a", "b", "c"])
        frame["c"] = frame["c"].map({0: "p", 1: "q", 2: "r", 3: "s"})
        binning = Binning.fit(frame)
        codes = binning.encode(frame, n)
        t = rng.integers(0, 2, n)
        d, y = t - rng.uniform(0.3, 0.7, n), rng.normal(size=n)
        w = rng.integers(1, 4, n).astype(float) if draw % 2 else np.ones(n)
        sums = causal_sums(w, d[:, None], y[:, None], arms_of(t))
        rules = GrowthRules(2, alpha=0.05, tried=1e6, depth=1)
        rows = np.arange(n)
        tree = grow_tree(codes, binning, sums, TreeShape(CAUSAL, 1, 1, 2), rules, (rows, rows), draw)
        expected = best_gain(codes, w, pseudo_outcomes(w, d, y), arms_of(t), d, 2, 0.05, categories=(2,))
        assert tree.gains[0] == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_histograms_by_subtraction_are_those_by_counting():
    """A tree whose children are subtracted is the tree of a kernel that counts each node by itself."""
    rng = np.random.default_rng(0)
    n = 4000
    X = rng.normal(size=(n, 5))
    X[rng.random((n, 5)) < 0.05] = np.nan
    binning, codes = binned(X)
    t = rng.integers(0, 2, n)
    y = rng.normal(size=n) + t * np.nan_to_num(X[:, 0])
    sums = causal_sums(np.ones(n), t[:, None] - 0.5, y[:, None], arms_of(t))
    rows = np.arange(n)
    shape = TreeShape(CAUSAL, 1, 1, 2)
    plain = kernels.grow_nodes(
        codes, binning.starts, binning.kinds, sums, rows, rows, shape.array(),
        np.array([5, 0.05, 0, 250.0, 1e6, 0.0]), np.zeros(2), np.uint64(3),
    )  # fmt: skip
    # every node of the subtracted tree: its rows, found by walking, have the gain that a fresh root of them has
    feature, flags, cut, child, _, _, gains = plain
    members = {0: rows}
    checked = 0
    for at in range(len(feature)):
        own = members[at]
        if flags[at] & kernels.LEAF:
            continue
        f = feature[at]
        code = codes[own, f].astype(int)
        missing = code == binning.starts[f + 1] - binning.starts[f] - 1
        left = np.where(missing, bool(flags[at] & kernels.MISSING_LEFT), code <= cut[at])
        members[child[at]], members[child[at] + 1] = own[left], own[~left]
        if len(own) >= 256:
            fresh = kernels.grow_nodes(
                codes, binning.starts, binning.kinds, sums, own, own, shape.array(),
                np.array([5, 0.05, 0, 250.0, 1, 0.0]), np.zeros(2), np.uint64(9),
            )  # fmt: skip
            assert (fresh[0][0], fresh[2][0], fresh[1][0]) == (f, cut[at], flags[at])
            assert fresh[6][0] == gains[at]  # exactly: sums are on a grid
            checked += 1
    assert checked > 10


def test_sums_are_exact_so_that_the_order_of_rows_changes_nothing():
    rng = np.random.default_rng(2)
    n = 3000
    X, y, t = rng.normal(size=(n, 4)), rng.normal(size=n) * 1e3, rng.integers(0, 2, n)
    binning, codes = binned(X)
    order = rng.permutation(n)
    shape, rules = TreeShape(CAUSAL, 1, 1, 2), GrowthRules(5, tried=4.0)
    rows = np.arange(n)
    one = grow_tree(
        codes, binning, causal_sums(np.ones(n), t[:, None] - 0.4, y[:, None], arms_of(t)), shape, rules, (rows, rows), 4
    )
    two = grow_tree(
        codes[order], binning,
        causal_sums(np.ones(n), t[order][:, None] - 0.4, y[order][:, None], arms_of(t[order])), shape, rules,
        (rows, rows), 4,
    )  # fmt: skip
    for a, b in zip(one[:-1], two[:-1], strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(one.gains, two.gains, rtol=1e-12)


def test_missing_values_are_tried_on_both_sides():
    n = 400
    rng = np.random.default_rng(0)
    x = np.where(np.arange(n) % 2, np.nan, rng.normal(size=n))
    x[:40] = -5.0
    y = np.where(np.isnan(x) | (x < -4), 10.0, 0.0) + 0.1 * rng.normal(size=n)
    binning, codes = binned(x[:, None])
    sums = regression_sums(np.ones(n), (y - y.mean())[:, None])
    rows = np.arange(n)
    tree = grow_tree(
        codes, binning, sums, TreeShape(REGRESSION, 0, 1, 1), GrowthRules(5, tried=1.0, depth=1), (rows, rows), 0
    )
    assert tree.flags[0] & kernels.MISSING_LEFT
    assert tree.cut[0] == 0
    means = tree.leaves[:, 1] / tree.leaves[:, 0] + y.mean()
    assert means == pytest.approx([10.0, 0.0], abs=0.1)


def test_levels_are_ordered_by_their_means_at_the_node():
    rng = np.random.default_rng(0)
    n = 600
    level = rng.choice(list("abcdef"), n)
    y = np.isin(level, ["a", "d", "f"]) * 5.0 + rng.normal(size=n)
    frame = pd.DataFrame({"level": level})
    binning = Binning.fit(frame)
    codes = binning.encode(frame, n)
    rows = np.arange(n)
    tree = grow_tree(
        codes, binning, regression_sums(np.ones(n), (y - y.mean())[:, None]), TreeShape(REGRESSION, 0, 1, 1),
        GrowthRules(5, tried=1.0, depth=1), (rows, rows), 0,
    )  # fmt: skip
    left = {b for b in range(6) if tree.masks[0, b >> 3] >> (b & 7) & 1}
    assert left == {1, 2, 4}


def test_several_treatments_beside_numpy():
    """Pseudo-outcomes of two treatments, and the gain as the sum over both."""
    rng = np.random.default_rng(5)
    n = 300
    x = rng.integers(0, 30, n).astype(float)
    D, y = rng.normal(size=(n, 2)), rng.normal(size=n)
    w = rng.integers(1, 3, n).astype(float)
    groups = np.hstack([D > 0, D <= 0]).astype(float)
    binning, codes = binned(x[:, None])
    rows = np.arange(n)
    tree = grow_tree(
        codes, binning, causal_sums(w, D, y[:, None], groups), TreeShape(CAUSAL, 2, 1, 4),
        GrowthRules(3, alpha=0.0, tried=1.0, depth=1), (rows, rows), 0,
    )  # fmt: skip
    T, Y = D - np.average(D, axis=0, weights=w), y - np.average(y, weights=w)
    A = (T * w[:, None]).T @ T / w.sum()
    tau = np.linalg.solve(A, (T * w[:, None]).T @ Y / w.sum())
    rho = (T * (Y - T @ tau)[:, None]) @ np.linalg.inv(A)
    gains = []
    for cut in np.unique(x)[:-1]:
        left = x <= cut
        if min(groups[left].sum(axis=0).min(), groups[~left].sum(axis=0).min()) >= 3:
            gains.append(sum(np.square(w[s] @ rho[s]).sum() / w[s].sum() for s in (left, ~left)))
    assert tree.gains[0] == pytest.approx(max(gains), rel=1e-9)


def test_instruments_beside_numpy():
    rng = np.random.default_rng(6)
    n = 300
    x = rng.integers(0, 30, n).astype(float)
    z = rng.normal(size=n)
    d = z + rng.normal(size=n)
    y = d + rng.normal(size=n)
    groups = np.column_stack([z > 0, z <= 0]).astype(float)
    binning, codes = binned(x[:, None])
    rows = np.arange(n)
    tree = grow_tree(
        codes, binning, instrumental_sums(np.ones(n), z, d, y, groups), TreeShape(INSTRUMENTAL, 1, 1, 2),
        GrowthRules(3, alpha=0.0, tried=1.0, depth=1), (rows, rows), 0,
    )  # fmt: skip
    Z, T, Y = z - z.mean(), d - d.mean(), y - y.mean()
    tau = (Z @ Y) / (Z @ T)
    rho = Z * (Y - T * tau) / np.mean(Z * T)
    gains = []
    for cut in np.unique(x)[:-1]:
        left = x <= cut
        if min(groups[left].sum(axis=0).min(), groups[~left].sum(axis=0).min()) >= 3:
            gains.append(rho[left].sum() ** 2 / left.sum() + rho[~left].sum() ** 2 / (~left).sum())
    assert tree.gains[0] == pytest.approx(max(gains), rel=1e-9)


def test_a_leaf_without_rows_gives_way_to_its_sibling():
    """Honest leaves are estimated on rows with x of 0 only: the split on x cannot stand."""
    rng = np.random.default_rng(0)
    x = np.repeat([0.0, 1.0], 50)
    y = 5 * x + rng.normal(size=100)
    binning, codes = binned(x[:, None])
    sums = regression_sums(np.ones(100), y[:, None])
    tree = grow_tree(
        codes, binning, sums, TreeShape(REGRESSION, 0, 1, 1), GrowthRules(5, tried=1.0),
        (np.arange(100), np.arange(50)), 0,
    )  # fmt: skip
    assert len(tree.feature) == 1
    assert tree.leaves[0, 0] == 50


def test_both_arms_are_held_in_every_leaf():
    rng = np.random.default_rng(3)
    n = 2000
    X, t = rng.normal(size=(n, 3)), (rng.random(n) < 0.1).astype(int)
    y = rng.normal(size=n) + t * X[:, 0]
    binning, codes = binned(X)
    sums = causal_sums(np.ones(n), t[:, None] - 0.1, y[:, None], arms_of(t))
    rows = np.arange(n)
    tree = grow_tree(codes, binning, sums, TreeShape(CAUSAL, 1, 1, 2), GrowthRules(7, tried=3.0), (rows, rows), 0)
    assert len(tree.leaves) > 5
    assert tree.leaves[:, 5:7].min() >= 7


def test_a_draw_is_of_the_size_asked_and_even():
    counts = np.zeros(50)
    for seed in range(2000):
        rows = kernels.draw_rows(50, 20, np.uint64(seed))
        assert len(np.unique(rows)) == 20
        counts[rows] += 1
    assert abs(counts / 2000 - 0.4).max() < 0.05


def test_the_same_forest_for_any_number_of_threads():
    rng = np.random.default_rng(0)
    n = 1500
    X, t, y = rng.normal(size=(n, 4)), rng.integers(0, 2, n), rng.normal(size=n)
    binning, codes = binned(X)
    sums = causal_sums(np.ones(n), t[:, None] - 0.5, y[:, None], arms_of(t))
    forests = [
        grow_forest(
            codes, binning, sums, TreeShape(CAUSAL, 1, 1, 2), GrowthRules(5, tried=4.0),
            Sampling.of(n, 0.5, 0.5, pairs=True), 12, 0, n_jobs=jobs,
        )
        for jobs in (1, 2, 3)
    ]  # fmt: skip
    moments = [forest.moments(codes, forest.bags(j), j)[0] for j, forest in enumerate(forests, 1)]
    for other, m in zip(forests[1:], moments[1:], strict=True):
        for name in ("feature", "flags", "cut", "child", "leaves", "seeds"):
            np.testing.assert_array_equal(getattr(forests[0], name), getattr(other, name))
        np.testing.assert_array_equal(moments[0], m)
    assert forests[0].nbytes <= 32 * len(forests[0].feature) + 8 * (3 * 13 + 5 * 12)
