"""Effects of arms and of numbers: rows, averages, readings, bad input."""

import pickle

import numpy as np
import pandas as pd
import pytest

import pandas_causal
from pandas_causal import CausalForest
from pandas_causal.errors import CausalArgumentError, CausalDataError, CausalError, CausalWarning, NotIdentifiedError
from tests.heterogeneity.designs import confounded, dosed

pytestmark = pytest.mark.filterwarnings("ignore::pandas_causal.errors.OverlapWarning")
COVARIATES = ["a", "b", "c"]


def small(**settings):
    return CausalForest(**{"n_estimators": 100, "min_samples_leaf": 5, "n_jobs": 1, **settings})


def fit(frame, treatment="t", covariates=COVARIATES, settings=None, **roles):
    taken = [v for v in roles.values() if isinstance(v, str) and v in frame]
    X = frame[[*covariates, *([treatment] if isinstance(treatment, str) else treatment), *taken]]
    return small(**(settings or {})).fit(X, frame["y"], treatment=treatment, **roles)


FRAME = confounded(n=1500)
FIT = fit(FRAME)


def test_effects_follow_the_truth_and_intervals_have_width():
    table = FIT.effect(FRAME[COVARIATES]).table
    assert np.corrcoef(table["estimate"], FRAME["effect"])[0, 1] > 0.9
    assert (table["std_error"] > 0).all()
    average = FIT.effect()
    assert abs(average.estimate - FRAME["effect"].mean()) < 4 * average.std_error


def test_fitted_rows_are_out_of_bag_and_others_are_not():
    own = FIT.effect(FRAME[COVARIATES])
    assert own.std_error_method == "little bags, pointwise, out of bag"
    np.testing.assert_allclose(own.estimates, FIT.oob_effects_)
    assert not np.allclose(own.estimates, FIT.predict(FRAME[COVARIATES]))
    part = FIT.effect(FRAME[COVARIATES].iloc[:50])
    np.testing.assert_allclose(part.estimates, FIT.predict(FRAME[COVARIATES].iloc[:50]))


def test_weights_sum_to_1_and_give_the_effect():
    new = FRAME[COVARIATES].iloc[:6]
    weights = FIT.weights(new)
    assert weights.shape == (6, 1500)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-12)
    scores = FIT.scores_of_effects_[:, 0]
    # residuals of treatment and outcome, told back from what is public
    t = (FRAME["t"] == 1).to_numpy() - FIT.propensity_[:, 1]
    base = FIT.scores_.copy()
    base[np.arange(1500), FRAME["t"]] -= (FRAME["y"].to_numpy() - _own_mean()) / _own_share()
    y = FRAME["y"].to_numpy() - (FIT.propensity_ * base).sum(axis=1)
    mean_t, mean_y = weights @ t, weights @ y
    effect = (weights @ (t * y) - mean_t * mean_y) / (weights @ (t * t) - mean_t**2)
    np.testing.assert_allclose(effect, FIT.predict(new), rtol=1e-9)
    assert len(scores) == 1500


def _own_share():
    return FIT.propensity_[np.arange(1500), FRAME["t"]]


def _own_mean():
    """Mean outcome in the own arm, from the score of it: s = m + (y - m) / e."""
    s, e = FIT.scores_[np.arange(1500), FRAME["t"]], _own_share()
    return (s - FRAME["y"].to_numpy() / e) / (1 - 1 / e)


def test_averages_of_rows_are_averages_of_scores():
    effect = FIT.effect(FRAME[COVARIATES])
    assert effect.aggregate().estimate == pytest.approx(FIT.effect().estimate, rel=1e-12)
    assert effect.aggregate().std_error == pytest.approx(FIT.effect().std_error, rel=1e-12)
    group = pd.Series(np.where(FRAME["a"] > 0, "high", "low"), index=FRAME.index)
    table = effect.aggregate(by=group).table
    for name in ("high", "low"):
        by_hand = FIT.average_effect(rows=group == name)
        assert table.loc[name, "estimate"] == pytest.approx(by_hand.estimate, rel=1e-12)
        assert table.loc[name, "std_error"] == pytest.approx(by_hand.std_error, rel=1e-9)


def test_rows_are_not_mixed_but_through_scores():
    effect = FIT.effect(FRAME[COVARIATES].iloc[:20])
    with pytest.raises(CausalError, match="no covariance between rows"):
        effect.linear(np.full((1, 20), 0.05), ["mean"])
    with pytest.raises(CausalError, match=r"no covariance|joint"):
        effect.test_zero()


def test_estimands():
    truth = {
        "ATE": FRAME["effect"].mean(),
        "ATT": FRAME.loc[FRAME["t"] == 1, "effect"].mean(),
        "ATC": FRAME.loc[FRAME["t"] == 0, "effect"].mean(),
    }
    for name, value in truth.items():
        found = FIT.average_effect(name)
        assert abs(found.estimate - value) < 4 * found.std_error, name
        assert name in found.estimand
    assert FIT.average_effect("overlap").std_error < FIT.average_effect("ATE").std_error
    with pytest.raises(CausalArgumentError, match=r"estimand='LATE' is not known; use one of \['ATE', 'ATT', 'ATC'"):
        FIT.average_effect("LATE")
    with pytest.raises(CausalArgumentError, match="True or False for each of the 1,500 fitted rows"):
        FIT.average_effect(rows=[True, False])


def test_calibration_projection_and_rate():
    table = FIT.test_calibration().table
    assert abs(table.loc["mean", "estimate"] - 1) < 0.2
    assert table.loc["heterogeneity", "p_value"] < 1e-6
    projection = FIT.best_linear_projection(["a"]).table
    assert abs(projection.loc["a", "estimate"] - 1) < 4 * projection.loc["a", "std_error"]
    assert FIT.test_heterogeneity().table["p_value"].iloc[0] < 1e-6
    assert FIT.rate(FRAME["a"]).table["estimate"].min() > 0


def test_importance_sums_to_1_and_finds_the_covariate():
    importance = FIT.variable_importance_
    assert importance.sum() == pytest.approx(1)
    assert importance.index[0] == "a"


def test_row_order_and_threads_change_nothing():
    order = np.random.default_rng(3).permutation(len(FRAME))
    again = fit(FRAME.iloc[order], settings={"n_jobs": 2})
    np.testing.assert_allclose(again.predict(FRAME[COVARIATES]), FIT.predict(FRAME[COVARIATES]), rtol=1e-10)
    inverse = np.argsort(order)
    np.testing.assert_allclose(again.oob_effects_[inverse], FIT.oob_effects_, rtol=1e-10)
    one, two = (f.effect(frame[COVARIATES]).table for f, frame in ((FIT, FRAME), (again, FRAME.iloc[order])))
    np.testing.assert_allclose(two["std_error"].to_numpy()[inverse], one["std_error"], rtol=1e-8)


def test_monotone_maps_of_covariates_and_names_of_arms_change_nothing():
    # linear parts of the fit (overlap, projections) are not the forest's
    changed = FRAME.assign(a=np.exp(FRAME["a"]), b=FRAME["b"] ** 3, t=FRAME["t"].map({0: "no", 1: "yes"}))
    again = fit(changed)
    np.testing.assert_allclose(again.predict(changed[COVARIATES]), FIT.predict(FRAME[COVARIATES]), rtol=1e-10)


def test_pickle_is_small_and_gives_the_same():
    again = pickle.loads(pickle.dumps(FIT))
    np.testing.assert_array_equal(again.predict(FRAME[COVARIATES]), FIT.predict(FRAME[COVARIATES]))
    forest = FIT._grown.forest
    assert len(pickle.dumps(forest)) < 32 * len(forest.feature) + 20_000


def test_several_arms_and_one_contrast_at_a_time():
    rng = np.random.default_rng(4)
    frame = FRAME.assign(t=pd.Categorical(rng.choice(["none", "mail", "call"], len(FRAME)), ["none", "mail", "call"]))
    frame["y"] = frame["a"] + (frame["t"] == "mail") * (1 + frame["b"]) + rng.normal(size=len(frame))
    found = fit(frame)
    assert found.predict(frame[COVARIATES]).shape == (1500, 2)
    assert found.effect().table.index.tolist() == ["mail - none", "call - none"]
    mail = found.effect(frame[COVARIATES], arm="mail")
    assert np.corrcoef(mail.estimates, 1 + frame["b"])[0, 1] > 0.8
    with pytest.raises(CausalArgumentError, match="name the one"):
        found.effect(frame[COVARIATES])
    table = found.effect().table
    assert abs(table.loc["mail - none", "estimate"] - (1 + frame["b"].mean())) < 4 * table["std_error"].iloc[0]
    assert abs(table.loc["call - none", "estimate"]) < 4 * table["std_error"].iloc[1]


def test_treatments_that_are_numbers_one_and_two():
    frame = dosed(n=1500)
    found = fit(frame, "price")
    average = found.effect()
    assert abs(average.estimate - frame["effect"].mean()) < 4 * average.std_error
    assert np.corrcoef(found.predict(frame[COVARIATES]), frame["effect"])[0, 1] > 0.9
    # in other units: effects per unit change with it, nothing else
    cents = fit(frame.assign(price=100 * frame["price"]), "price")
    np.testing.assert_allclose(100 * cents.predict(frame[COVARIATES]), found.predict(frame[COVARIATES]), rtol=1e-8)
    frame["ads"] = np.random.default_rng(1).normal(size=len(frame))
    frame["y"] += 2 * frame["ads"]
    both = fit(frame, ["price", "ads"])
    assert both.effect().table.index.tolist() == ["price", "ads"]
    assert abs(both.effect().table.loc["ads", "estimate"] - 2) < 4 * both.effect().table.loc["ads", "std_error"]
    with pytest.raises(CausalArgumentError, match=r"\['ATE', 'overlap'\]"):
        both.average_effect("ATT", arm="ads")


def test_local_linear_correction_follows_slopes():
    frame = confounded(n=1500, effect=lambda f: 2 * f["a"], noise=0.5)
    found = fit(frame)
    new = pd.DataFrame({"a": np.linspace(-1.5, 1.5, 13), "b": 0.0, "c": 0.0})
    plain, corrected = found.predict(new), found.predict(new, linear=["a"])
    truth = 2 * new["a"]
    assert np.square(corrected - truth).mean() < 0.5 * np.square(plain - truth).mean()
    np.testing.assert_allclose(found.predict(new, linear=["a"], ridge=1e9), plain, atol=1e-6)


def test_clusters_are_drawn_whole_and_cluster_the_errors():
    frame = confounded(n=1200)
    frame["school"] = np.arange(1200) // 20
    found = fit(frame, cluster="school", settings={"equalize_clusters": False})
    rows = found._coded
    split, leaf = found._grown.forest.sampling.tree(found._grown.forest.seeds[0])
    for cluster in np.unique(rows.clusters[split]):
        assert (rows.clusters[split] == cluster).sum() == 20
    assert not set(rows.clusters[split]) & set(rows.clusters[leaf])
    assert "clustered by school" in found.effect().std_error_method


@pytest.mark.filterwarnings("ignore::pandas_causal.errors.StandardErrorWarning")  # unequal on purpose
def test_equal_clusters_give_as_many_rows_as_the_smallest():
    frame = confounded(n=1200)
    frame["school"] = np.where(np.arange(1200) < 600, np.arange(1200) // 100, np.arange(1200) // 10)
    found = fit(frame, cluster="school", settings={"equalize_clusters": True})
    split, _ = found._grown.forest.sampling.tree(found._grown.forest.seeds[0])
    assert set(np.bincount(found._coded.clusters[split])) == {0, 10}


def test_weights_that_are_all_equal_change_nothing():
    again = fit(FRAME.assign(w=2.5), sample_weight="w")
    np.testing.assert_allclose(again.predict(FRAME[COVARIATES]), FIT.predict(FRAME[COVARIATES]), rtol=1e-9)


def test_known_propensity_and_other_models():
    known = fit(FRAME.assign(e=0.5), propensity="e")
    assert set(known.propensity_.ravel()) == {0.5}
    other = fit(FRAME, settings={"outcome_model": "linear", "propensity_model": "linear", "cv": 2})
    assert abs(other.effect().estimate - FRAME["effect"].mean()) < 4 * other.effect().std_error
    assert "linear" in str(other.effect().diagnostics["nuisance"].table["model"].tolist())


def test_least_leaf_is_chosen_by_the_loss():
    found = fit(FRAME, settings={"min_samples_leaf": "auto"})
    assert found.min_samples_leaf_ == found.tuning_["loss"].idxmin()
    assert found.effect().facts["min_samples_leaf"] == found.min_samples_leaf_


def test_accessor():
    named = FRAME.causal.cate(treatment="t", outcome="y", covariates=COVARIATES, learner=small())
    np.testing.assert_allclose(named.estimates, FIT.oob_effects_, rtol=1e-12)
    assert pandas_causal.estimator.choose("cate", "forest", {}).n_estimators == 2000


# -- bad input ----------------------------------------------------------------------------------------------------


def test_odd_numbers_of_trees_are_rounded_up_and_said():
    found = fit(FRAME.iloc[:300], settings={"n_estimators": 31})
    assert found._grown.forest.n_trees == 32
    assert any("n_estimators=31 is odd" in w for w in found.effect().warnings)


def test_too_few_rows_for_a_split_is_said():
    found = fit(FRAME.iloc[:60], settings={"min_samples_leaf": 40})
    assert any("leaves no split" in w for w in found.effect().warnings)
    assert np.ptp(found.predict(FRAME[COVARIATES])) < 1e-12


def test_a_treatment_that_covariates_explain():
    frame = dosed(n=300)
    frame["price"] = 0.0 + (frame["a"] > 0) * 2.0 + (frame["a"] > 1) * 1.0
    with pytest.raises((NotIdentifiedError, CausalDataError)):
        small(outcome_model="linear", propensity_model="linear").fit(
            frame[COVARIATES].assign(price=2 * frame["a"] + frame["b"]), frame["y"], treatment="price"
        )


def test_duplicate_rows_constant_and_missing_columns():
    frame = pd.concat([FRAME.iloc[:300]] * 2).reset_index(drop=True)
    frame["none"], frame["same"] = np.nan, 3.0
    frame.loc[::7, "b"] = np.nan
    found = fit(frame, covariates=[*COVARIATES, "same"])
    assert np.isfinite(found.effect().estimate)
    assert np.isfinite(found.predict(frame)).all()
    with pytest.raises(CausalDataError, match="none"):
        fit(frame, covariates=[*COVARIATES, "none"])


def test_unseen_levels_of_new_rows():
    frame = FRAME.assign(c=np.where(FRAME["c"] > 0, "north", "south"))
    found = fit(frame)
    new = frame[COVARIATES].iloc[:4].assign(c=["north", "west", "south", "east"])
    with pytest.warns(CausalWarning, match="c: 2 rows hold a level never seen at fit"):
        table = found.effect(new).table
    assert np.isfinite(table["estimate"]).all()


def test_many_levels_are_refused_by_name():
    frame = FRAME.assign(c=[f"town {k % 300}" for k in range(len(FRAME))])
    with pytest.raises(CausalDataError, match="c: has 300 levels, and forests take at most 255"):
        fit(frame)


def test_a_time_with_an_event_is_refused():
    frame = FRAME.iloc[:200]
    X = frame[[*COVARIATES, "t"]]
    followed = pd.DataFrame({"days": frame["y"].abs(), "died": frame["y"] > 0})
    pairs = np.array([(True, 1.0)] * 200, dtype=[("event", bool), ("time", float)])
    for y in (followed, pairs):
        with pytest.raises(CausalDataError, match="a time with an event indicator is not an outcome"):
            small().fit(X, y, treatment="t")
    with pytest.raises(CausalDataError, match="one value per row"):
        small().fit(X, frame[["y", "effect"]], treatment="t")


def test_one_cluster_and_one_arm():
    frame = FRAME.iloc[:200].assign(g=1)
    with pytest.raises(CausalError):
        fit(frame, cluster="g")
    with pytest.raises(CausalDataError):
        fit(FRAME[FRAME["t"] == 1])
