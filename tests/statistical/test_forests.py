"""Forests where the truth is known: averages and rows are covered, rankings without effect have their size."""

import numpy as np
import pandas as pd
import pytest

from pandas_causal import CausalForest
from tests.statistical.draws import FULL, slack

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::pandas_causal.errors.OverlapWarning"),
]

DRAWS = 500 if FULL else 40


def draw(rng, effect, n=800):
    X = rng.normal(size=(n, 4))
    e = 1 / (1 + np.exp(-0.6 * X[:, 0]))
    t = (rng.random(n) < e).astype(int)
    y = X[:, 0] + X[:, 1] + t * effect(X) + rng.normal(size=n)
    return pd.DataFrame(X, columns=list("abcd")).assign(t=t), pd.Series(y, name="y")


def small(**settings):
    return CausalForest(**{"n_estimators": 200, "progress": False, "random_state": 0, **settings}).trusting()


def test_averages_and_rows_cover():
    """Rows: 90% intervals, averaged over points, at least as often as they say less what the leaves' width costs."""
    rng = np.random.default_rng(0)
    points = pd.DataFrame(np.random.default_rng(1).normal(size=(40, 4)) * 0.8, columns=list("abcd"))
    truth = 1 + np.maximum(points["b"].to_numpy(), 0)
    average, rows = 0, []
    for _ in range(DRAWS):
        X, y = draw(rng, lambda X: 1 + np.maximum(X[:, 1], 0))
        fit = small().fit(X, y, treatment="t")
        found = fit.effect()
        average += abs(found.estimate - (1 + np.sqrt(1 / (2 * np.pi)))) < 1.96 * found.std_error
        table = fit.effect(points).table
        rows.append((np.abs(table["estimate"] - truth) < 1.645 * table["std_error"]).mean())
    assert abs(average / DRAWS - 0.95) < slack(DRAWS) + 0.02
    assert np.mean(rows) > 0.82


def test_rankings_learned_on_other_rows_have_the_size_of_the_test():
    """No effect varies: AUTOC of a forest's ranking on other rows is 0, and is rejected one time in twenty."""
    rng = np.random.default_rng(5)
    rejected = []
    for _ in range(DRAWS):
        X, y = draw(rng, lambda X: np.ones(len(X)), n=600)
        first, second = X.iloc[:300].reset_index(drop=True), X.iloc[300:].reset_index(drop=True)
        ranking = small(n_estimators=100).fit(first, y.iloc[:300].reset_index(drop=True), treatment="t")
        judge = small(n_estimators=100).fit(second, y.iloc[300:].reset_index(drop=True), treatment="t")
        rejected.append(judge.rate(ranking.predict(second)).table["p_value"].iloc[0] < 0.05)
    assert np.mean(rejected) < 0.05 + slack(DRAWS)
