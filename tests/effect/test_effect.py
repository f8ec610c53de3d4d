"""Effect: maps of rows, averages, comparisons, and what is refused."""

import pickle
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pandas_causal.effect.check import Check
from pandas_causal.effect.estimates import Weighting
from pandas_causal.errors import CausalArgumentError, CausalDataError, CausalError, StandardErrorWarning
from pandas_causal.inference.influence import Influence
from pandas_causal.inference.reference import Normal
from pandas_causal.inference.rows import RowIdentity
from tests.effect.examples import (
    ARM,
    G,
    H,
    Y,
    columns_effect,
    draws_effect,
    make,
    mean_effect,
    variance_effect,
    welch_effect,
    with_rows,
)

RNG = np.random.default_rng(7)
MATRIX = RNG.normal(size=(40, 3)) @ np.array([[1, 0.5, 0], [0, 1, 0.2], [0, 0, 1]]) + [1, 2, 3]


# -- effect.md, test 1 -----------------------------------------------------------------------------------------------


def test_welch_standard_error_and_satterthwaite_degrees_of_freedom():
    effect = welch_effect()
    assert effect.std_error == pytest.approx(1.0704360482, abs=1e-9)
    assert effect.uncertainty.df()[0] == pytest.approx(5.5846153846, abs=1e-9)
    assert effect.p_value == pytest.approx(stats.ttest_ind(Y[ARM == 1], Y[ARM == 0], equal_var=False).pvalue, abs=1e-12)


def test_one_way_and_two_way_clusters():
    effect = welch_effect()
    assert effect.cluster(G).std_error == pytest.approx(0.9090593429, abs=1e-9)
    assert effect.cluster([G, H]).std_error == pytest.approx(0.5803495115, abs=1e-9)
    assert effect.cluster(G).uncertainty.df()[0] == 3
    assert effect.cluster([G, H]).uncertainty.df()[0] == 1


def test_cluster_without_small_sample_factor_is_the_raw_sum_under_the_normal():
    effect = welch_effect().cluster(G, small_sample=False)
    assert effect.std_error == pytest.approx(np.sqrt(0.53125), abs=1e-12)
    assert effect.conf_high - effect.estimate == pytest.approx(stats.norm.ppf(0.975) * effect.std_error)


# -- effect.md, test 2 -----------------------------------------------------------------------------------------------


def cells_known_exactly():
    u = Influence.from_contributions([1.0, 3.0], np.zeros((100, 2)), RowIdentity(pd.RangeIndex(100)))
    return make(pd.Series([1.0, 3.0], index=["a", "b"]), u, "cells", 100)


def shares():
    member = np.repeat([0, 1], 50)[:, None] == [0, 1]
    u = Influence.from_contributions([0.5, 0.5], (member - 0.5) / 100, RowIdentity(pd.RangeIndex(100)))
    return make(pd.Series([0.5, 0.5], index=["a", "b"]), u, "shares", 100)


def test_estimated_weights_bring_their_own_uncertainty():
    average = cells_known_exactly().aggregate(weights=shares())
    assert average.estimate == 2
    assert average.std_error == pytest.approx(0.1, abs=1e-12)
    with pytest.warns(StandardErrorWarning):
        known = cells_known_exactly().aggregate(weights=[0.5, 0.5])
    assert known.std_error == 0


def test_estimated_weights_may_be_zero_and_still_count():
    w = with_rows(shares(), values=pd.Series([0.0, 1.0], index=["a", "b"]))
    average = cells_known_exactly().aggregate(weights=w)
    assert average.estimate == 3
    # d mean / d w = (theta - 3) / 1 = (-2, 0); shares contribute +-0.5/100 each
    assert average.std_error == pytest.approx(np.sqrt(100 * (2 * 0.5 / 100) ** 2), abs=1e-12)


# -- effect.md, test 3 -----------------------------------------------------------------------------------------------


def test_difference_joins_rows_on_labels():
    a, b = mean_effect([1, 2, 3, 4], pd.Index([0, 1, 2, 3])), mean_effect([3, 4, 5, 6], pd.Index([2, 3, 4, 5]))
    difference = a.difference(b)
    assert difference.estimate == -2
    assert difference.std_error == pytest.approx(0.9013878189, abs=1e-9)


def test_an_effect_minus_itself_with_permuted_rows_is_exactly_zero():
    y, order = RNG.normal(size=50), RNG.permutation(50)
    a = mean_effect(y, pd.RangeIndex(50))
    b = mean_effect(y[order], pd.RangeIndex(50)[order])
    with pytest.warns(StandardErrorWarning, match="zero"):
        assert a.difference(b).std_error < 1e-7
    with pytest.warns(StandardErrorWarning, match="zero"):
        assert a.difference(mean_effect(y, pd.RangeIndex(50))).std_error < 1e-7


def test_collapse_sums_contributions_to_units():
    effect = mean_effect([1, 1, 5, 5], pd.RangeIndex(4))
    assert effect.std_error == pytest.approx(1.0)
    collapsed = effect.collapse(pd.Series(list("aabb"), name="unit"))
    assert collapsed.std_error == pytest.approx(1.4142135624, abs=1e-9)
    assert collapsed.uncertainty.rows.labels.name == "unit"


def test_default_index_of_different_data_needs_rows():
    a, b = mean_effect([1, 2, 3, 4], pd.RangeIndex(4)), mean_effect([3, 4, 5, 7], pd.RangeIndex(4))
    with pytest.raises(CausalArgumentError, match="rows='labels'.*rows='independent'"):
        a.difference(b)
    joined = a.difference(b, rows="labels")
    expected = np.square((np.array([1, 2, 3, 4]) - 2.5) / 4 - (np.array([3, 4, 5, 7]) - 4.75) / 4).sum()
    assert joined.std_error == pytest.approx(np.sqrt(expected))
    apart = a.difference(b, rows="independent")
    assert apart.std_error == pytest.approx(np.hypot(a.std_error, b.std_error))


def test_independent_fits_keep_their_own_variances():
    welch = welch_effect()
    other = with_rows(mean_effect([3, 4, 5, 7], pd.Index(list("wxyz"))), values=pd.Series([4.75], index=["1 - 0"]))
    apart = welch.difference(other, rows="independent")
    assert apart.std_error == pytest.approx(np.hypot(1.0704360482, other.std_error))


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (
            lambda: (
                mean_effect([1, 2, 3], pd.Index(["a", "a", "b"])),
                mean_effect([1, 2, 4], pd.Index(["a", "b", "c"])),
            ),
            CausalDataError,
            "collapse",
        ),
        (
            lambda: (mean_effect([1, 2], pd.Index([1, 2], name="unit")), mean_effect([1, 2], pd.Index([1, 2]))),
            CausalDataError,
            "collapse",
        ),
        (
            lambda: (columns_effect(MATRIX), mean_effect([1, 2], pd.Index([1, 2]))),
            CausalArgumentError,
            "different rows",
        ),
        (
            lambda: (columns_effect(MATRIX), columns_effect(MATRIX, index=list("abc"))),
            CausalArgumentError,
            "different rows",
        ),
        (lambda: (mean_effect([1, 2, 3], pd.RangeIndex(3)), variance_effect([1], [1])), CausalError, "contributions"),
    ],
)
def test_comparisons_that_would_guess_are_refused(make, error, match):
    a, b = make()
    with pytest.raises(error, match=match):
        a.difference(b)


def test_same_rows_declared_independent_are_refused():
    a = mean_effect([1, 2, 3], pd.RangeIndex(3))
    with pytest.raises(CausalArgumentError, match="same rows"):
        a.difference(a, rows="independent")
    with pytest.raises(CausalArgumentError, match="rows='labels' or rows='independent'"):
        a.difference(a, rows="other")


def test_difference_of_clustered_effects_clusters_the_joint_contributions():
    matrix, labels = MATRIX[:, :2], np.repeat(np.arange(10), 4)
    a, b = columns_effect(matrix[:, :1], clusters={"c": labels}), columns_effect(matrix[:, 1:], clusters={"c": labels})
    joint = a.cluster("c").difference(b.cluster("c"), rows="labels")
    direct = columns_effect(matrix).linear([[1, -1]]).cluster(labels)
    # one parameter each against two in the joint fit: both count two parameters
    assert joint.std_error == pytest.approx(direct.std_error, rel=1e-12)
    with pytest.raises(CausalArgumentError, match="cluster both"):
        a.cluster("c").difference(b, rows="labels")


# -- linear maps, transformations, selection -------------------------------------------------------------------------


def test_linear_maps_estimates_and_covariance_together():
    effect = columns_effect(MATRIX)
    W = pd.DataFrame([[1, -1, 0], [0.5, 0.25, 0.25]], index=["contrast", "average"])
    mapped = effect.linear(W)
    assert list(mapped.table.index) == ["contrast", "average"]
    np.testing.assert_allclose(mapped.table["estimate"], W.to_numpy() @ MATRIX.mean(axis=0))
    np.testing.assert_allclose(mapped.vcov, W.to_numpy() @ effect.vcov.to_numpy() @ W.to_numpy().T)
    with pytest.raises(CausalArgumentError, match="2 columns.*3 rows"):
        effect.linear([[1, 2]])


def test_transform_is_the_delta_method_with_numeric_or_given_jacobian():
    effect = columns_effect(MATRIX)
    ratio = effect.transform(lambda m: [m[0] / m[1]], index=["ratio"])
    m = MATRIX.mean(axis=0)
    jac = np.array([[1 / m[1], -m[0] / m[1] ** 2, 0]])
    exact = effect.transform(lambda m: [m[0] / m[1]], jac=jac, index=["ratio"])
    assert ratio.std_error == pytest.approx(exact.std_error, rel=1e-7)
    assert exact.std_error == pytest.approx(np.sqrt(jac @ effect.vcov.to_numpy() @ jac.T).item())
    logs = effect.transform(np.log)
    assert list(logs.table.index) == list(effect.table.index)


def test_numeric_jacobian_does_not_depend_on_units():
    small = columns_effect(MATRIX * 1e-9)
    assert small.transform(lambda m: [m[0] / m[1]]).std_error == pytest.approx(
        columns_effect(MATRIX).transform(lambda m: [m[0] / m[1]]).std_error, rel=1e-6
    )


def test_transform_centres_on_estimate_minus_bias():
    biased = columns_effect(MATRIX, bias=np.array([0.5, 0.0, 0.0]))
    table = biased.table
    np.testing.assert_allclose((table["conf_low"] + table["conf_high"]) / 2, MATRIX.mean(axis=0) - [0.5, 0, 0])
    np.testing.assert_allclose(table["statistic"], (table["estimate"] - [0.5, 0, 0]) / table["std_error"])
    doubled = biased.linear(2 * np.eye(3))
    np.testing.assert_allclose(doubled.bias, [1, 0, 0])
    squared = biased.transform(np.square)
    centre = np.square(MATRIX.mean(axis=0) - [0.5, 0, 0])
    np.testing.assert_allclose(squared.table["estimate"] - squared.bias, centre)


def test_selecting_rows_slices_uncertainty_too():
    effect = columns_effect(MATRIX, index=["a", "b", "c"])
    two = effect[["c", "a"]]
    np.testing.assert_allclose(two.vcov, effect.vcov.loc[["c", "a"], ["c", "a"]])
    assert effect["b"].estimate == pytest.approx(MATRIX[:, 1].mean())
    with pytest.raises(CausalArgumentError, match="no row 'z'"):
        effect["z"]


def test_scalars_of_several_rows_name_the_table():
    with pytest.raises(CausalError, match=r"effect.table\['estimate'\]"):
        _ = columns_effect(MATRIX).estimate


def test_parameters_are_what_was_estimated():
    parameters = welch_effect().parameters
    np.testing.assert_allclose(parameters.table["estimate"], [2.5, 6.75])
    lift = parameters.transform(lambda m: [m[1] / m[0] - 1])
    assert lift.estimate == pytest.approx(1.7)


def test_nothing_mutates_and_fields_are_frozen():
    effect = welch_effect()
    before = effect.table.copy()
    effect.cluster(G), effect.linear([[2]]), effect.interval(0.5), effect.collapse(G)
    pd.testing.assert_frame_equal(effect.table, before)
    with pytest.raises(FrozenInstanceError):
        effect.level = 0.5


# -- averages --------------------------------------------------------------------------------------------------------


def test_aggregate_by_level_labels_and_weights():
    index = pd.MultiIndex.from_tuples([("x", 1), ("x", 2), ("y", 1)], names=["group", "time"])
    effect = columns_effect(MATRIX, index=index)
    by_level = effect.aggregate("group")
    m = MATRIX.mean(axis=0)
    np.testing.assert_allclose(by_level.table["estimate"], [m[:2].mean(), m[2]])
    W = np.array([[0.5, 0.5, 0], [0, 0, 1]])
    np.testing.assert_allclose(by_level.vcov, W @ effect.vcov.to_numpy() @ W.T)
    by_labels = effect.aggregate(["p", "q", "p"], weights=[1, 1, 3])
    np.testing.assert_allclose(by_labels.table["estimate"], [(m[0] + 3 * m[2]) / 4, m[1]])
    some = effect.aggregate(["p", None, "p"])
    np.testing.assert_allclose(some.table["estimate"], [(m[0] + m[2]) / 2])


def test_attached_weightings_win_and_carry_their_own():
    index = pd.Index(["a", "b", "c"], name="group")
    inner = Weighting(weights=[1.0, 3.0])
    named = {
        "simple": Weighting(weights=np.array([1.0, 1.0, 2.0])),
        "group": Weighting(
            weights=np.array([1.0, 1.0, 1.0]), groups=pd.Index(["u", "u", "v"]), then={"overall": inner}
        ),
    }
    effect = columns_effect(MATRIX, index=index, weightings=named)
    m = MATRIX.mean(axis=0)
    assert effect.aggregate("simple").estimate == pytest.approx((m[0] + m[1] + 2 * m[2]) / 4)
    assert effect.aggregate().estimate == pytest.approx((m[0] + m[1] + 2 * m[2]) / 4)
    grouped = effect.aggregate("group")
    assert list(grouped.table.index) == ["u", "v"]
    assert grouped.aggregate("overall").estimate == pytest.approx(((m[0] + m[1]) / 2 + 3 * m[2]) / 4)


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"by": "nonsense"}, CausalArgumentError, "no weighting or index level"),
        ({"by": ["a"]}, CausalDataError, "1 group labels for 3 rows"),
        ({"weights": [1, 2]}, CausalDataError, "3 finite numbers"),
        ({"weights": [1, np.nan, 1]}, CausalDataError, "finite"),
        ({"weights": [1, -1, 0]}, CausalDataError, "sum to zero"),
    ],
)
def test_wrong_aggregations_are_refused(arguments, error, match):
    with pytest.raises(error, match=match):
        columns_effect(MATRIX).aggregate(**arguments)


# -- one row per unit ------------------------------------------------------------------------------------------------


def unit_effect(x, rows, labels=None):
    """tau(x) = 1 + 2 x, coefficients known: one row per unit."""
    u = Influence.from_contributions(
        [1.0, 2.0], np.zeros((len(rows), 2)), rows, loadings=np.column_stack([np.ones(len(x)), x])
    )
    labels = rows.labels if labels is None else labels
    return make(pd.Series(1 + 2 * np.asarray(x), index=labels), u, "cate", len(rows), units=rows)


def test_average_over_sampled_units_or_over_these_very_units():
    x = np.array([-1, 0, 0, 1.0] * 25)
    rows = RowIdentity(pd.RangeIndex(100), x)
    effect = unit_effect(x, rows)
    population = effect.aggregate()
    assert population.std_error == pytest.approx(0.1414213562, abs=1e-9)
    with pytest.warns(StandardErrorWarning):
        fixed = effect.aggregate(population=False)
    assert fixed.std_error == 0
    assert "these very units" in fixed.summary()
    assert "population the rows were sampled from" in population.summary()


def test_subgroup_averages_count_the_sampling_of_their_members():
    x = np.array([-1, 0, 0, 1.0] * 25)
    groups = np.repeat(["p", "q"], [40, 60])
    by = unit_effect(x, RowIdentity(pd.RangeIndex(100), x)).aggregate(groups)
    for name in ("p", "q"):
        tau = 1 + 2 * x[groups == name]
        assert by[name].std_error == pytest.approx(np.sqrt(np.square(tau - tau.mean()).sum()) / len(tau))
    assert by.vcov.loc["p", "q"] == pytest.approx(0, abs=1e-15)


def test_covariance_of_units_and_joint_tests_are_refused():
    x = np.array([-1, 0, 0, 1.0])
    effect = unit_effect(x, RowIdentity(pd.RangeIndex(4), x))
    with pytest.raises(CausalError, match="one row per unit"):
        _ = effect.vcov
    with pytest.raises(CausalError, match="one row per unit"):
        effect.test_zero()


# -- labels for clusters ---------------------------------------------------------------------------------------------


def test_cluster_labels_by_array_series_and_kept_name():
    labels = np.repeat(np.arange(10), 4)
    effect = columns_effect(MATRIX[:, :1], clusters={"school": labels})
    expected = effect.cluster(labels).std_error
    assert effect.cluster("school").std_error == expected
    shuffled = pd.Series(labels).sample(frac=1, random_state=0)
    assert effect.cluster(shuffled).std_error == pytest.approx(expected, rel=1e-14)
    strings = np.array([f"c{v}" for v in labels])
    assert effect.cluster(strings).std_error == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(
    ("by", "error", "match"),
    [
        ("town", CausalArgumentError, "kept: .'school'"),
        (np.zeros(3), CausalDataError, "3 labels for 40"),
        (np.zeros(40), CausalDataError, "fewer than 2 clusters"),
        (pd.Series(range(39)), CausalDataError, "1 fitted rows have no label"),
        (np.array([np.nan] + [1.0] * 39), CausalDataError, "1 rows have no cluster label"),
        (np.arange(40).tolist(), None, None),
    ],
)
def test_wrong_cluster_labels_are_refused(by, error, match):
    effect = columns_effect(MATRIX[:, :1], clusters={"school": np.repeat(np.arange(10), 4)})
    if error is None:
        assert effect.cluster(by).std_error > 0
        return
    with pytest.raises(error, match=match):
        effect.cluster(by)


def test_kept_names_of_two_ways():
    labels = {"a": np.repeat(np.arange(10), 4), "b": np.tile(np.arange(8), 5)}
    effect = columns_effect(MATRIX[:, :1], clusters=labels)
    assert effect.cluster(["a", "b"]).std_error == effect.cluster([labels["a"], labels["b"]]).std_error


def test_no_way_is_left_out_whichever_form_it_comes_in():
    labels = pd.DataFrame({"a": np.arange(40) // 2, "b": np.arange(40) % 13, "c": np.arange(40) * 7 % 11})
    effect = columns_effect(MATRIX[:, :1], clusters={name: labels[name].to_numpy() for name in labels})
    by_arrays = effect.cluster([labels[name] for name in labels])
    assert by_arrays.std_error != effect.cluster(labels["a"]).std_error
    assert "three ways" in by_arrays.std_error_method
    assert effect.cluster(labels).std_error == by_arrays.std_error
    assert effect.cluster(["a", "b", "c"]).std_error == by_arrays.std_error


# -- draws and pointwise variances -----------------------------------------------------------------------------------


def test_draws_around_the_estimate_give_percentile_intervals():
    replicates = RNG.normal(size=(999, 2)) + [1, 0]
    effect = draws_effect(replicates, [1, 0])
    np.testing.assert_allclose(effect.table["std_error"], replicates.std(axis=0, ddof=1))
    np.testing.assert_allclose(effect.table["conf_low"], np.quantile(replicates, 0.025, axis=0))
    below = (replicates[:, 0] <= 0).sum()
    assert effect.table["p_value"].iloc[0] == pytest.approx(2 * (1 + below) / 1000)
    contrast = effect.linear([[1, -1]])
    assert contrast.std_error == pytest.approx((replicates[:, 0] - replicates[:, 1]).std(ddof=1))


def test_a_null_distribution_gives_a_p_value_and_no_percentile_interval():
    null = RNG.normal(size=(99, 1))
    effect = draws_effect(null, [2.0], around="null")
    assert effect.p_value == pytest.approx((1 + (np.abs(null) >= 2).sum()) / 100)
    assert np.isnan(effect.conf_low)
    with pytest.raises(CausalError, match="null distribution"):
        effect.interval()
    with pytest.raises(CausalError, match="cannot be clustered"):
        effect.cluster([1, 2])


def test_pointwise_variances_refuse_what_they_cannot_know():
    effect = variance_effect([1.0, 2.0], [0.04, 0.09])
    np.testing.assert_allclose(effect.table["std_error"], [0.2, 0.3])
    np.testing.assert_allclose(effect.linear([[2, 0], [0, 1]]).table["std_error"], [0.4, 0.3])
    for refused in (
        lambda: effect.linear([[1, -1]]),
        lambda: effect.aggregate(),
        lambda: effect.test_zero(),
        lambda: effect.vcov,
    ):
        with pytest.raises(CausalError, match="covariance|no covariances"):
            refused()
    with pytest.raises(CausalError, match="no contributions"):
        effect.cluster([1, 2])
    other = variance_effect([0.5, 1.0], [0.05, 0.07])
    np.testing.assert_allclose(effect.difference(other, rows="independent").table["std_error"], np.sqrt([0.09, 0.16]))


# -- confidence sets, references, one-sided --------------------------------------------------------------------------


def two_pieces(level):
    assert 0 < level < 1
    return pd.DataFrame({"conf_low": [-np.inf, 2.0], "conf_high": [0.0, np.inf]}, index=[0, 0])


def test_confidence_set_returns_the_inversion_never_wald():
    effect = columns_effect(MATRIX, inversion=two_pieces)
    assert len(effect.confidence_set()) == 2
    assert len(effect[[0]].confidence_set(0.9)) == 2
    assert len(effect[[1]].confidence_set(0.9)) == 0
    pickle.loads(pickle.dumps(effect[[0]]))
    pd.testing.assert_frame_equal(columns_effect(MATRIX).confidence_set(0.9), columns_effect(MATRIX).interval(0.9))
    assert effect.linear(np.eye(3)).inversion is None


def test_one_sided_alternatives():
    two = columns_effect(MATRIX[:, :1])
    greater, less = replace(two, alternative="greater"), replace(two, alternative="less")
    assert greater.p_value == pytest.approx(two.p_value / 2)
    assert less.p_value == pytest.approx(1 - two.p_value / 2)
    assert greater.conf_high == np.inf
    assert greater.conf_low == pytest.approx(two.estimate - stats.norm.ppf(0.95) * two.std_error)
    assert less.conf_low == -np.inf


def test_reference_law_can_be_replaced():
    effect = replace(welch_effect(), reference=Normal())
    assert effect.p_value == pytest.approx(2 * stats.norm.sf(abs(effect.table["statistic"].iloc[0])))


def test_reference_rows_have_no_p_value_and_no_warning():
    matrix = MATRIX.copy()
    matrix[:, 1] = 0
    effect = columns_effect(matrix, reference_rows=np.array([False, True, False])).explained()
    assert effect.table["std_error"].iloc[1] == 0
    assert np.isnan(effect.table["p_value"].iloc[1])
    assert effect.warnings == ()
    assert effect.test_zero().df_num == 2


def test_missing_standard_errors_are_explained():
    u = Influence.from_contributions([1.0], np.array([[np.nan], [0.0]]), RowIdentity(pd.RangeIndex(2)))
    with pytest.warns(StandardErrorWarning, match="standard errors are missing"):
        effect = make(pd.Series([1.0]), u, "nan", 2).explained()
    assert effect.warnings


def test_a_negative_two_way_variance_is_refused():
    # clusters of the interaction hold all the variance, the ways none: V_a + V_b - V_ab < 0
    y = np.array([1, -1, -1, 1.0] * 3)
    effect = mean_effect(y, pd.RangeIndex(12))
    a, b = np.tile([0, 0, 1, 1], 3), np.tile([0, 1, 0, 1], 3)
    with pytest.raises(CausalError, match="variance is negative"):
        _ = effect.cluster([a, b]).std_error


@pytest.mark.parametrize("level", [0, 1, 95, -0.1])
def test_levels_outside_zero_and_one_are_refused(level):
    with pytest.raises(CausalArgumentError, match="between 0 and 1"):
        columns_effect(MATRIX).interval(level)


# -- reading and storing ---------------------------------------------------------------------------------------------


def test_pickle_and_compact():
    effect = columns_effect(MATRIX, clusters={"c": np.repeat(np.arange(10), 4)}, estimator="AIPW(cv=3)")
    again = pickle.loads(pickle.dumps(effect))
    pd.testing.assert_frame_equal(again.table, effect.table)
    small = effect.compact()
    pd.testing.assert_frame_equal(small.table, effect.table)
    assert small.uncertainty.contributions is None
    assert len(pickle.dumps(small)) < len(pickle.dumps(effect)) / 1.3
    for use in (lambda: small.cluster("c"), lambda: small.collapse(range(40)), lambda: small.difference(small)):
        with pytest.raises(CausalError, match="compact|no column kept"):
            use()
    assert small.linear([[1, -1, 0]]).std_error == pytest.approx(effect.linear([[1, -1, 0]]).std_error)


def test_summary_fits_one_screen_and_ends_with_assumptions_and_warnings():
    many = columns_effect(
        RNG.normal(size=(30, 20)),
        assumptions=("first", "second"),
        warnings=("a reviewer would object",),
        diagnostics={f"check {k}": Check(True, pd.DataFrame(), "fine") for k in range(20)},
    )
    lines = many.summary().splitlines()
    assert len(lines) <= 25
    assert lines[-1] == "Warning: a reviewer would object"
    assert "Assumes: first" in many.summary()
    assert "more rows in effect.table" in many.summary()
    assert max(map(len, lines)) <= 120
    assert repr(many) == many.summary()


def test_html_is_escaped():
    effect = columns_effect(MATRIX[:, :1], index=["<b>row</b>"], assumptions=("<script>alert(1)</script>",))
    html = effect._repr_html_()
    assert "<script>" not in html
    assert "<b>row" not in html
    assert "&lt;script&gt;" in html


def test_glance_is_one_row_of_facts():
    facts = columns_effect(MATRIX, facts={"treatment": "t"}).glance()
    assert len(facts) == 1
    assert facts["n_obs"].item() == 40
    assert facts["treatment"].item() == "t"


def test_maketables_reads_an_effect():
    maketables = pytest.importorskip("maketables", reason="maketables cannot be installed at the floors")
    effect = columns_effect(MATRIX, index=["a", "b", "c"], facts={"outcome": "y"})
    table = effect.__maketables_coef_table__
    assert {"b", "se", "t", "p"} <= set(table.columns)
    typeset = maketables.ETable([effect]).make(type="tex")
    for value in effect.table["estimate"]:
        assert f"{value:.3f}" in typeset
    assert "40" in typeset
    assert "y" in typeset.split(r"\midrule")[0]
    cells = columns_effect(MATRIX, index=pd.MultiIndex.from_tuples([("x", 1), ("x", 2), ("y", 1)], names=["g", "t"]))
    for value in cells.table["estimate"]:
        assert f"{value:.3f}" in maketables.ETable([cells]).make(type="tex")
    assert cells.table.index.names == ["g", "t"]
    assert effect.table.index.name is None


# -- corner cases of maps and comparisons ----------------------------------------------------------------------------


def test_transform_of_draws_transforms_every_replicate():
    replicates = RNG.normal(size=(500, 1)) + 1
    effect = draws_effect(replicates, [1.0]).transform(np.exp)
    assert effect.estimate == pytest.approx(np.e)
    assert effect.conf_low == pytest.approx(np.exp(np.quantile(replicates, 0.025)), rel=0.01)
    with pytest.raises(CausalError, match="null distribution"):
        draws_effect(replicates, [1.0], around="null").transform(np.exp)


def test_numeric_jacobian_where_the_estimate_is_zero():
    y = np.array([-1.0, 1.0, -2.0, 2.0])
    effect = mean_effect(y, pd.RangeIndex(4))
    assert effect.estimate == 0
    assert effect.transform(np.exp).std_error == pytest.approx(effect.std_error, rel=1e-6)


def test_estimated_weights_are_matched_to_rows_by_label():
    w = shares()
    assert cells_known_exactly().aggregate(weights=w[["b", "a"]]).std_error == pytest.approx(0.1)


def test_linear_reads_column_labels():
    effect = columns_effect(MATRIX, index=["a", "b", "c"])
    picked = effect.linear(pd.DataFrame([[1.0, 0.0, 0.0]], columns=["c", "a", "b"], index=["just c"]))
    assert picked.estimate == pytest.approx(MATRIX[:, 2].mean())
    with pytest.raises(CausalArgumentError, match="columns of W"):
        effect.linear(pd.DataFrame([[1.0, 0.0, 0.0]], columns=["c", "a", "z"]))


def test_some_of_the_fitted_units_keep_their_clusters():
    x, labels = np.array([-1, 0, 0, 1.0] * 25), np.repeat(np.arange(20), 5)
    rows = RowIdentity(pd.RangeIndex(100), x)
    effect = unit_effect(x, rows)
    clustered = with_rows(effect, uncertainty=effect.uncertainty.cluster([labels]))
    mask = np.arange(100) < 40
    by = clustered.aggregate(np.where(mask, "first", "second"))["first"]
    with pytest.warns(StandardErrorWarning, match="taken as known"):
        some = clustered[mask].aggregate()
    assert some.std_error == pytest.approx(by.std_error, rel=0.01)  # but for the number of parameters in the factor


def test_units_that_are_not_the_fitted_rows_of_a_clustered_fit_are_refused():
    x = np.array([-1, 0, 0, 1.0])
    effect = unit_effect(x, RowIdentity(pd.RangeIndex(4), x))
    u = effect.uncertainty.cluster([[0, 0, 1, 1]])
    foreign = with_rows(effect, uncertainty=u, units=RowIdentity(pd.RangeIndex(4), x + 1))
    with pytest.raises(CausalError, match="clusters of these units are unknown"):
        foreign.aggregate()


def test_bands_refuse_laws_they_do_not_hold_under():
    from pandas_causal.inference.reference import Anytime

    effect = columns_effect(MATRIX)
    for other in (replace(effect, alternative="greater"), replace(effect, reference=Anytime(40, 0.1))):
        with pytest.raises(CausalError, match="simultaneous bands"):
            other.interval(simultaneous=True)
    with pytest.raises(CausalError, match="null distribution"):
        draws_effect(RNG.normal(size=(9, 2)), [1, 2], around="null").interval(simultaneous=True)


def test_joint_test_does_not_depend_on_units_of_rows():
    effect = columns_effect(MATRIX)
    scaled = effect.linear(np.diag([1, 1e9, 1e-9]))
    assert scaled.test_zero().statistic == pytest.approx(effect.test_zero().statistic, rel=1e-9)


def test_effects_under_different_laws_are_not_compared():
    a = columns_effect(MATRIX[:, :1])
    for b in (replace(a, alternative="less"), replace(a, reference=Normal())):
        with pytest.raises(CausalArgumentError, match="different laws"):
            a.difference(b)


def test_comparisons_keep_the_clusters_law_and_reference_rows():
    labels = np.repeat(np.arange(10), 4)
    a, b = columns_effect(MATRIX[:, :1]), columns_effect(MATRIX[:, 1:2])
    raw = a.cluster(labels, small_sample=False).difference(b.cluster(labels, small_sample=False), rows="labels")
    assert np.isinf(raw.uncertainty.df()[0])
    zero = MATRIX.copy()
    zero[:, 1] = 0
    marked = columns_effect(zero, reference_rows=np.array([False, True, False]))
    other = columns_effect(2 * zero, reference_rows=np.array([False, True, False]))
    assert marked.difference(other, rows="labels").warnings == ()


def test_the_table_is_a_copy():
    effect = columns_effect(MATRIX)
    mine = effect.table
    before = mine["estimate"].iloc[0]
    mine.iloc[0, 0] = 99
    assert effect.table["estimate"].iloc[0] == before


@pytest.mark.parametrize(
    ("use", "error"),
    [
        (lambda e: e.cluster(None), CausalArgumentError),
        (lambda e: e[[True, False]], CausalArgumentError),
        (lambda e: e.linear([[1, 0, 0]], index=["a", "b"]), CausalArgumentError),
        (lambda e: e.linear([["a", "b", "c"]]), CausalArgumentError),
        (lambda e: e.transform(np.exp, index=["a"]), CausalArgumentError),
        (lambda e: e.transform(np.exp, jac=[1.0]), CausalArgumentError),
        (lambda e: e.aggregate(3), CausalArgumentError),
        (lambda e: e.aggregate([np.nan] * 3), CausalDataError),
        (lambda e: e.aggregate(weights=["a", "b", "c"]), CausalArgumentError),
        (lambda e: e.interval("a"), CausalArgumentError),
        (lambda e: e.difference(5), CausalArgumentError),
        (lambda e: e[[]].test_zero(), CausalDataError),
    ],
)
def test_wrong_uses_of_an_effect_get_one_clear_error(use, error):
    with pytest.raises(error):
        use(columns_effect(MATRIX))


def test_rows_are_selected_by_a_mask_and_clustered_by_a_frame():
    effect = columns_effect(MATRIX, index=["a", "b", "c"])
    assert list(effect[[True, False, True]].table.index) == ["a", "c"]
    labels = pd.DataFrame({"g": np.repeat(np.arange(10), 4), "h": np.tile(np.arange(8), 5)})
    two = columns_effect(MATRIX[:, :1])
    assert two.cluster(labels).std_error == two.cluster([labels["g"], labels["h"]]).std_error


@pytest.mark.parametrize(
    "labels",
    [{"a"}, ("a", "b"), slice("x", 1), {"a": 1}, pd.DataFrame({"a": [1]}), "z", None, float("nan"), ["a", "z"]],
    ids=str,
)
def test_rows_that_do_not_exist_are_refused_in_words(labels):
    effect = columns_effect(MATRIX, index=["a", "b", "c"])
    with pytest.raises(CausalArgumentError, match="no row .*; rows: \\['a', 'b', 'c'\\]"):
        effect[labels]


@pytest.mark.parametrize("by", [pd.DataFrame({"a": [1, 2, 3]}), np.zeros((3, 2)), {1, 2, 3}, 3, len])
def test_groups_are_a_name_or_a_label_per_row(by):
    with pytest.raises(CausalArgumentError, match="by takes the name of a weighting or of an index level, or one"):
        columns_effect(MATRIX).aggregate(by=by)


@pytest.mark.parametrize("seed", ["x", 1.5, -1, [1]])
@pytest.mark.parametrize("simultaneous", [False, True])
def test_a_seed_is_a_whole_number(seed, simultaneous):
    with pytest.raises(CausalArgumentError, match="random_state must be None or a whole number of at least 0"):
        columns_effect(MATRIX).interval(random_state=seed, simultaneous=simultaneous)


def test_one_replicate_has_no_spread():
    """Nor does it warn as numpy does."""
    from pandas_causal.inference.draws_and_variance import Draws

    one = Draws(np.ones((1, 2)), np.eye(2))
    assert np.isnan(one.std_error()).all()
    assert np.isnan(one.covariance()).all()


# -- statsmodels' and broom's names, floats, rows one by one, attributes that do not exist ---------------------------


def test_names_of_statsmodels_are_columns_of_the_table():
    effect = columns_effect(MATRIX, index=list("abc"))
    for name, column in (
        ("params", "estimate"),
        ("bse", "std_error"),
        ("tvalues", "statistic"),
        ("pvalues", "p_value"),
    ):
        pd.testing.assert_series_equal(getattr(effect, name), effect.table[column], check_index_type=False)
        copied = getattr(effect, name)
        copied.iloc[0] = 99
        assert effect.table[column].iloc[0] != 99
    assert (effect.nobs, effect.cov_type, effect.endog_names) == (40, effect.std_error_method, "outcome")
    own, wide = effect.conf_int(), effect.conf_int(alpha=0.01)
    assert own.columns.tolist() == [0, 1]
    assert np.array_equal(own, effect.table[["conf_low", "conf_high"]])
    assert np.array_equal(wide, effect.interval(0.99))
    for wrong in (0, 1, "0.05", True, 95):
        with pytest.raises(CausalArgumentError, match="alpha must be"):
            effect.conf_int(wrong)


def test_intervals_of_a_test_are_those_of_the_table():
    effect = replace(
        welch_effect(),
        inversion=lambda level: pd.DataFrame({"conf_low": [-level], "conf_high": [level]}, index=["1 - 0"]),
        tests=pd.DataFrame({"statistic": [1.0], "p_value": [0.5]}, index=["1 - 0"]),
    )
    effect = with_rows(effect, values=effect.rows.values.set_axis(["1 - 0"]))
    assert effect.conf_int().to_numpy().tolist() == [[-0.95, 0.95]]
    assert effect.conf_int(0.2).to_numpy().tolist() == [[-0.8, 0.8]]


def test_tidy_is_the_table_with_terms():
    index = pd.MultiIndex.from_tuples([("x", 1), ("x", 2), ("y", 1)])
    effect = columns_effect(MATRIX, index=index)
    tidy = effect.tidy()
    assert tidy.columns.tolist() == ["term", *effect.table.columns]
    assert tidy["term"].tolist() == ["x 1", "x 2", "y 1"]
    assert np.array_equal(tidy.drop(columns="term"), effect.table)
    assert columns_effect(MATRIX).tidy()["term"].tolist() == ["0", "1", "2"]


def test_float_of_one_row():
    effect = welch_effect()
    assert float(effect) == effect.estimate
    with pytest.raises(CausalError, match="has 3 rows"):
        float(columns_effect(MATRIX))


@pytest.mark.parametrize("index", [list("abc"), [True, False, 3], [("a", 1), ("a", 2), ("b", 1)], ["a", "a", "b"]])
def test_iteration_goes_through_labels_and_rows(index):
    index = pd.MultiIndex.from_tuples(index) if isinstance(index[0], tuple) else pd.Index(index)
    effect = columns_effect(MATRIX, index=index)
    seen = list(effect)
    assert [label for label, _ in seen] == list(index)
    for k, (_, row) in enumerate(seen):
        assert len(row) == 1
        assert row.table.equals(effect.table.iloc[[k]])
    assert dict(columns_effect(MATRIX, index=list("abc")))["b"].estimate == effect.table["estimate"].iloc[1]


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("std_eror", "did you mean 'std_error'"),
        ("assumption", "did you mean 'assumptions'"),
        ("ate", "; that is effect.estimate"),
        ("pvalue", "; that is effect.p_value"),
        ("ci", r"; that is effect.interval\(\)"),
        ("zstat", r'; that is effect.table\["statistic"\]'),
        ("xyzzy", "'Effect' object has no attribute 'xyzzy'$"),
        ("_repr_markdown_", "'Effect' object has no attribute '_repr_markdown_'$"),
    ],
)
def test_an_unknown_attribute_names_the_near_one(name, answer):
    with pytest.raises(AttributeError, match=answer):
        getattr(welch_effect(), name)


def test_names_elsewhere_lead_to_what_there_is():
    from pandas_causal.effect import effect as module

    effect = welch_effect()
    for theirs, ours in module._ELSEWHERE.items():
        assert not hasattr(effect, theirs), theirs
        assert hasattr(effect, ours.split("(")[0].split("[")[0]), ours


def test_copies_and_pickles_know_their_attributes():
    import copy

    for effect in (
        copy.copy(welch_effect()),
        copy.deepcopy(welch_effect()),
        pickle.loads(pickle.dumps(welch_effect())),
    ):
        assert effect.estimate == welch_effect().estimate
        assert not hasattr(effect, "nothing")
