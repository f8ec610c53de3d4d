"""What models miss: statistics beside plain sums, size, power, clusters, and the words."""

import warnings

import numpy as np
import pandas as pd
import pytest

from pandas_causal import AIPW, IPW, TMLE, EntropyBalancing, RegressionAdjustment
from pandas_causal.arms.structure import Case, CovariateTerms, worst_terms
from pandas_causal.errors import AssumptionWarning

RNG = np.random.default_rng(3)
LINEAR = {"outcome_model": "linear", "propensity_model": "linear"}


def test_statistics_are_those_of_the_terms_written_out():
    X, v = RNG.normal(size=(200, 3)), RNG.normal(size=200)
    target = RNG.uniform(size=200)
    target /= target.sum()
    terms = CovariateTerms.of(X, ["a", "b", "c"])
    linear, products = terms.statistics(v, target)
    Z = np.clip((X - X.mean(axis=0)) / X.std(axis=0), -3.5, 3.5)
    for j in range(3):
        for k, found in [(None, linear[j]), *((k, products[j, k]) for k in range(3))]:
            f = Z[:, j] if k is None else Z[:, j] * Z[:, k]
            f = f - target @ f
            assert found == pytest.approx((v @ f) / np.sqrt(np.square(v) @ np.square(f)))
    assert terms.name(0, 0) == "a²"
    assert terms.name(0, 2) == "a x c"


def test_clusters_count_as_one_row_each():
    X, v = RNG.normal(size=(60, 2)), RNG.normal(size=60)
    terms, target = CovariateTerms.of(X, ["a", "b"]), np.full(60, 1 / 60)
    once = terms.by_cluster(0, 1, v, target, np.arange(60))
    twice = CovariateTerms(np.repeat(terms.Z, 2, axis=0), terms.names)
    again = twice.by_cluster(0, 1, np.repeat(v, 2), np.full(120, 1 / 120), np.repeat(np.arange(60), 2))
    assert again == pytest.approx(once)
    alone, _ = terms.statistics(v, target)
    assert terms.by_cluster(0, None, v, target, np.arange(60)) == pytest.approx(alone[0] * np.sqrt(59 / 60))


def test_constant_and_repeated_levels_have_no_statistic():
    level = (RNG.random(100) < 0.3).astype(float)
    X = np.column_stack([level, 1 - level, np.ones(100)])
    terms = CovariateTerms.of(X, ["a", "b", "c"])
    assert list(terms.names) == ["a", "b"]
    _, products = terms.statistics(RNG.normal(size=100), np.full(100, 0.01))
    assert np.isfinite(products).all()
    none = worst_terms(CovariateTerms.of(np.ones((10, 1)), ["c"]), [Case("1", np.ones(10), np.ones(10))])
    assert none.p_value == 1


def test_many_columns_and_rows_find_the_same_term():
    X = RNG.normal(size=(60_000, 110))
    v = X[:, 7] * X[:, 7] - 1 + 3 * RNG.normal(size=60_000)
    terms = CovariateTerms.of(X, [f"x{j}" for j in range(110)], 50_000)
    found = worst_terms(terms, [Case("1", v[terms.at], np.ones(50_000))])
    assert found.table.loc[0, "term"] == "x7²"


def confounded_by_a_square(seed, n=1_500, square=1.0):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(n, 4)), columns=list("abcd"))
    d = (rng.random(n) < 1 / (1 + np.exp(-X["a"] - 0.7 * square * (X["b"] ** 2 - 1)))).astype(int)
    y = pd.Series(X["a"] + square * X["b"] ** 2 + d + rng.normal(size=n), name="y")
    return X, y, d


ESTIMATORS = [AIPW(**LINEAR), TMLE(**LINEAR), RegressionAdjustment(), IPW(), EntropyBalancing()]


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_a_missed_square_is_named_and_warned_of(estimator):
    X, y, d = confounded_by_a_square(0)
    with pytest.warns(AssumptionWarning, match=r"b² in arm [01] \(t = .*the answer moves by"):
        effect = estimator.fit(X, y, treatment=d).effect()
    check = effect.diagnostics["structure"]
    assert check.passed is False
    assert check.table.loc[0, "term"] == "b²"
    assert check.table["p_value"].is_monotonic_increasing
    assert any("corrected for it" in text for text in effect.warnings)


@pytest.mark.parametrize("estimator", [*ESTIMATORS, AIPW()], ids=lambda e: type(e).__name__)
def test_nothing_is_said_where_nothing_is_missed(estimator):
    X, y, d = confounded_by_a_square(1, n=600, square=0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", AssumptionWarning)
        assert estimator.fit(X, y, treatment=d).effect().diagnostics["structure"].passed


def test_auto_learns_the_square():
    X, y, d = confounded_by_a_square(0)
    effect = AIPW().fit(X, y, treatment=d).effect()
    assert effect.diagnostics["structure"].passed
    assert abs(effect.estimate - 1) < 3 * effect.std_error


@pytest.mark.slow
def test_size_and_power():
    """At most 2% false alarms in 200 draws of linear truths; 90% found where the bias is several standard errors."""
    false = [AIPW(**LINEAR).fit(**confounded(k, 0.0)).effect().diagnostics["structure"].passed for k in range(200)]
    assert np.mean(np.logical_not(false)) <= 0.02
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [AIPW(**LINEAR).fit(**confounded(k, 0.5)).effect().diagnostics["structure"].passed for k in range(50)]
    assert np.mean(np.logical_not(found)) >= 0.9


def confounded(seed, square):
    X, y, d = confounded_by_a_square(seed, square=square)
    return {"X": X, "y": y, "treatment": d}
