"""Uplift trees: criteria by formula and beside CausalML's numbers, pruning, pictures, bad input."""

import numpy as np
import pandas as pd
import pytest

from pandas_causal import UpliftForest
from pandas_causal.errors import CausalArgumentError, CausalDataError
from pandas_causal.forests.binning import Binning
from pandas_causal.forests.growing import UPLIFT, GrowthRules, TreeShape, grow_tree, uplift_sums
from pandas_causal.forests.trees import node_rows

CRITERIA = ("kl", "euclidean", "chi", "cts", "ddp", "iddp", "interaction")


def one_split(criterion, x, t, y, normalise=False, cost=()):
    """Gain of the only split that a covariate of two values has."""
    frame = pd.DataFrame({"x": x})
    binning = Binning.fit(frame)
    K = int(t.max()) + 1
    arms = (t[:, None] == np.arange(K)).astype(float)
    rows = np.arange(len(x))
    tree = grow_tree(
        binning.encode(frame, len(x)), binning, uplift_sums(np.ones(len(x)), arms, y.astype(float)),
        TreeShape(UPLIFT, K - 1, 1, K, CRITERIA.index(criterion), normalise),
        GrowthRules(1, tried=1e6, depth=1, cost=cost), (rows, rows), 0,
    )  # fmt: skip
    return tree.gains[0] if len(tree.feature) > 1 else None


def peers_data():
    rng = np.random.default_rng(42)
    n = 400
    x, t = rng.integers(0, 2, n), rng.integers(0, 2, n)
    return x, t, (rng.random(n) < 0.3 + 0.2 * x * t + 0.05 * x).astype(int)


# what causalml 0.18.0 says of the two children: tree_.impurity of UpliftTreeClassifier(evaluationFunction=...,
# max_depth=1, min_samples_leaf=1, min_samples_treatment=0, n_reg=0, normalization=False) on peers_data()
CAUSALML = {
    "kl": (0.0011575754330491392, 0.07469982077366571),
    "euclidean": (0.0009893233605226882, 0.07125495516689098),
    "chi": (0.0023462697093610636, 0.1586188934776947),
    "cts": (0.32432432432432434, 0.5294117647058824),
}


def means(t, y, at):
    return y[at & (t == 1)].mean(), y[at & (t == 0)].mean()


def divergence(criterion, p, q):
    return {
        "kl": lambda: p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q)),
        "euclidean": lambda: (p - q) ** 2 + ((1 - p) - (1 - q)) ** 2,
        "chi": lambda: (p - q) ** 2 / q + (p - q) ** 2 / (1 - q),
        "cts": lambda: max(p, q),
    }[criterion]()


@pytest.mark.parametrize("criterion", CAUSALML)
def test_criteria_are_those_of_causalml_and_of_the_paper(criterion):
    x, t, y = peers_data()
    every = np.ones(len(x), dtype=bool)
    whole = divergence(criterion, *means(t, y, every))
    for side, theirs in zip((0, 1), CAUSALML[criterion], strict=True):
        assert divergence(criterion, *means(t, y, x == side)) == pytest.approx(theirs, abs=1e-10)
    share = np.mean(x == 0)
    expected = share * CAUSALML[criterion][0] + (1 - share) * CAUSALML[criterion][1] - whole
    assert one_split(criterion, x, t, y) == pytest.approx(expected, abs=1e-10)


def test_criteria_of_differences():
    x, t, y = peers_data()
    (p0, q0), (p1, q1), (p, q) = (means(t, y, at) for at in (x == 0, x == 1, x >= 0))
    assert one_split("ddp", x, t, y) == pytest.approx(abs((p0 - q0) - (p1 - q1)), abs=1e-10)
    assert one_split("iddp", x, t, y) == pytest.approx(abs((p0 - q0) - (p1 - q1)) - abs(p - q), abs=1e-10)
    # the squared t statistic of the interaction, as least squares has it (Su et al. 2009)
    X = np.column_stack([np.ones(len(x)), x, t, x * t])
    beta, rss, *_ = np.linalg.lstsq(X, y, rcond=None)
    variance = rss[0] / (len(x) - 4) * np.linalg.inv(X.T @ X)[3, 3]
    assert one_split("interaction", x, t, y) == pytest.approx(beta[3] ** 2 / variance, rel=1e-9)


def test_normalisation_by_hand():
    """Rzepakowski and Jaroszewicz (2012), eq. 7: entropy times divergence of the arms' splits, their entropies, 1/2."""
    x, t, y = peers_data()
    H = lambda p: -p * np.log(p) - (1 - p) * np.log(1 - p)  # noqa: E731
    a, b = np.mean(x[t == 1] == 0), np.mean(x[t == 0] == 0)
    share = t.mean()
    norm = H(share) * divergence("kl", a, b) + share * H(a) + (1 - share) * H(b) + 0.5
    assert one_split("kl", x, t, y, normalise=True) == pytest.approx(one_split("kl", x, t, y) / norm, abs=1e-10)
    gini = 2 * share * (1 - share) * divergence("euclidean", a, b)
    gini += share * 2 * a * (1 - a) + (1 - share) * 2 * b * (1 - b) + 0.5
    found = one_split("euclidean", x, t, y, normalise=True)
    assert found == pytest.approx(one_split("euclidean", x, t, y) / gini, abs=1e-10)


def test_costs_are_taken_from_means():
    x, t, y = peers_data()
    (p0, q0), (p1, q1), (p, q) = (means(t, y, at) for at in (x == 0, x == 1, x >= 0))
    share, cost = np.mean(x == 0), 0.08
    best = share * max(p0 - cost, q0) + (1 - share) * max(p1 - cost, q1) - max(p - cost, q)
    assert one_split("cts", x, t, y, cost=(0.0, cost)) == pytest.approx(best, abs=1e-10)


def offers(n=6000, seed=0, numeric=False):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(n, 4)), columns=list("abcd"))
    frame["town"] = rng.choice(["north", "south", "west"], n)
    frame["offer"] = rng.integers(0, 2, n)
    frame["effect"] = 0.25 * (frame["a"] > 0) + 0.15 * (frame["town"] == "west")
    mean = 0.3 + 0.1 * (frame["b"] > 0) + frame["offer"] * frame["effect"]
    frame["y"] = mean + rng.normal(size=n) if numeric else (rng.random(n) < mean).astype(int)
    return frame


def fit(frame, treatment="offer", **settings):
    small = UpliftForest(**{"n_estimators": 40, "min_samples_leaf": 50, "max_depth": 4, "n_jobs": 1, **settings})
    return small.fit(frame[["a", "b", "c", "d", "town", treatment]], frame["y"], treatment=treatment)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_every_criterion_finds_the_effect(criterion):
    frame = offers()
    found = fit(frame, criterion=criterion)
    assert np.corrcoef(found.predict(frame), frame["effect"])[0, 1] > (0.3 if "ddp" in criterion else 0.8)
    assert abs(found.effect().estimate - frame["effect"].mean()) < 4 * found.effect().std_error


def test_numeric_outcomes_and_several_arms():
    frame = offers(numeric=True)
    assert np.corrcoef(fit(frame, criterion="interaction").predict(frame), frame["effect"])[0, 1] > 0.5
    rng = np.random.default_rng(0)
    frame["offer"] = rng.choice(["0 none", "call", "mail"], len(frame))
    frame["y"] = 2.0 * (frame["offer"] == "mail") * (frame["a"] > 0) + rng.normal(size=len(frame))
    found = fit(frame, criterion="euclidean")
    assert found.predict(frame).shape == (6000, 2)
    assert np.corrcoef(found.predict(frame)[:, 1], frame["a"] > 0)[0, 1] > 0.9


def test_pruning_on_held_out_rows_takes_back_what_they_do_not_confirm():
    frame = offers()
    frame["y"] = (np.random.default_rng(1).random(len(frame)) < 0.4).astype(int)  # no effect at all
    full, pruned = fit(frame), fit(frame, prune_fraction=0.4)
    assert len(pruned._grown.forest.feature) < 0.6 * len(full._grown.forest.feature)
    real = offers(seed=2)
    kept = fit(real, prune_fraction=0.4)
    assert np.corrcoef(kept.predict(real), real["effect"])[0, 1] > 0.8
    # every leaf has rows, and the effect of a leaf is that of the rows that did not prune
    assert (kept._grown.forest.leaves[:, 0] > 0).all()
    weights, y, offer = kept.weights(real.iloc[:3]), real["y"].to_numpy(), real["offer"].to_numpy()
    by_arm = [weights[:, offer == a] @ y[offer == a] / weights[:, offer == a].sum(axis=1) for a in (0, 1)]
    np.testing.assert_allclose(by_arm[1] - by_arm[0], kept.predict(real.iloc[:3]), rtol=1e-10)
    root = kept.tree_table(0).loc[0, "rows"]
    assert (
        root
        == len(kept._grown.forest.leaf_rows(0)[0])
        < len(kept._grown.forest.sampling.tree(kept._grown.forest.seeds[0])[1])
    )


def test_a_tree_as_table_text_and_picture():
    frame = offers()
    found = fit(frame, max_depth=2)
    table = found.tree_table(0)
    assert table.loc[0, "share"] == 1
    children = table[table["parent"] == 0]
    assert children["rows"].sum() == table.loc[0, "rows"]
    # effects and intervals from the rows of the honest half
    nodes = node_rows(found._grown.forest, found._coded.codes, 0)
    own = frame.iloc[nodes[1].rows]
    arms = own.groupby("offer")["y"]
    difference = arms.mean().diff().iloc[-1]
    error = np.sqrt((arms.var() / arms.count()).sum())
    assert table.loc[1, "effect"] == pytest.approx(difference)
    assert table.loc[1, "std_error"] == pytest.approx(error)
    text = found.tree_text(0)
    assert text.splitlines()[0].startswith("all: ")
    assert len(text.splitlines()) == len(table)
    ax = found.plot_tree(0)
    assert len(ax.texts) == len(table)
    with pytest.raises(CausalArgumentError, match="the forest has 40 trees"):
        found.tree_table(40)


def test_what_criteria_do_not_fit_is_refused():
    numeric = offers(numeric=True)
    with pytest.raises(CausalDataError, match="criterion='kl' compares shares, and y is not 0/1"):
        fit(numeric, criterion="kl")
    three = offers().assign(offer=np.random.default_rng(0).integers(0, 3, 6000).astype(str))
    with pytest.raises(CausalArgumentError, match="criterion='ddp' compares two arms, and there are 3"):
        fit(three, criterion="ddp")
    with pytest.raises(CausalArgumentError, match="costs= has no meaning"):
        fit(offers(), criterion="kl", costs={1: 0.1})
    with pytest.raises(CausalArgumentError, match="'x' is no arm"):
        fit(offers(), criterion="cts", costs={"x": 0.1})
