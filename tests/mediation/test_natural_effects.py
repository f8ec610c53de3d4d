"""NaturalEffects: its scores against the mediation formula, what it promises, and its graph."""

import itertools
import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from pandas_causal import FrontDoor, NaturalEffects, causal
from pandas_causal.errors import CausalArgumentError, CausalDataError, NotIdentifiedError, OverlapWarning
from pandas_causal.mediation.natural_scores import arm_mean_score, cell_mean_score, crossed_mean_score
from tests.mediation.test_front_door import LINEAR, saturated

RIDGE = dict.fromkeys(LINEAR, "ridge")
FAST = NaturalEffects(**LINEAR)
NATURAL = ["total", "natural direct", "natural indirect", "total direct", "pure indirect"]
pytestmark = pytest.mark.filterwarnings("ignore::pandas_causal.errors.OverlapWarning")


def make(n=400, seed=0, arms=2):
    """Treatment, two mediators of different kinds, an outcome in which treatment and a mediator interact."""
    rng = np.random.default_rng(seed)
    age, region = rng.normal(size=n), rng.choice(["north", "south", "west"], n)
    arm = np.digitize(0.5 * age + rng.logistic(size=n), np.linspace(-1, 1, arms - 1) if arms > 2 else [0.0])
    skill = 0.8 * arm + 0.5 * age + rng.normal(size=n)
    licence = (rng.uniform(size=n) < 1 / (1 + np.exp(-(arm + 0.3 * age - 0.5)))).astype(int)
    wage = arm + 0.7 * skill + 0.4 * (arm > 0) * skill + 0.6 * licence + age + (region == "west") + rng.normal(size=n)
    columns = {"age": age, "region": region, "arm": arm, "skill": skill, "licence": licence, "wage": wage}
    return pd.DataFrame(columns, index=pd.Index(np.arange(n) * 3 + 7, name="person"))


def ask(frame, mediators=("skill", "licence"), estimator=FAST, **settings):
    return frame.causal.mediate(
        treatment="arm", mediators=list(mediators), outcome="wage", covariates=["age", "region"], estimator=estimator,
        **settings,
    )  # fmt: skip


# -- scores ------------------------------------------------------------------------------------------------------------


def test_scores_are_the_mediation_formula_on_saturated_data():
    """Pearl (2001): sum over x, m of E[Y | t, m, x] P(m | a, x) P(x)."""
    f, nuisances, mu, pm, _ = saturated()
    px = f["x"].value_counts(normalize=True)
    for t, a in itertools.permutations(range(3), 2):
        score = crossed_mean_score(f["y"].to_numpy(), f["a"].to_numpy(), t, a, **nuisances)
        want = sum(px[v] * pm.loc[(a, v), m] * mu[t, m, v] for v in px.index for m in pm.columns)
        assert score.mean() == pytest.approx(want, rel=1e-12)
    regression = np.column_stack([f.groupby(["a", "x"])["y"].mean().loc[a].loc[f["x"]] for a in range(3)])
    for a in range(3):
        score = arm_mean_score(f["y"].to_numpy(), f["a"].to_numpy(), a, regression, nuisances["propensity"])
        want = sum(px[v] * pm.loc[(a, v), m] * mu[a, m, v] for v in px.index for m in pm.columns)
        assert score.mean() == pytest.approx(want, rel=1e-12)
        for m in pm.columns:
            inside = ((f["a"] == a) & (f["m"] == m)).to_numpy()
            at = mu.loc[a].xs(m, level="m").loc[f["x"]].to_numpy()
            share = (nuisances["propensity"][:, a] * pm.loc[a].loc[f["x"], m].to_numpy()).astype(float)
            score = cell_mean_score(f["y"].to_numpy(), inside, at, share)
            assert score.mean() == pytest.approx(sum(px[v] * mu[a, m, v] for v in px.index), rel=1e-12)


@pytest.mark.parametrize("wrong", ["outcome and nested", "given_mediators", "nested", "propensities"])
def test_scores_are_right_if_enough_of_the_models_are(wrong):
    """Bias of second order: with some nuisances off, the mean of the score in the population stays."""
    f, nuisances, *_ = saturated(n=2_000, seed=1)
    y, codes = f["y"].to_numpy(), f["a"].to_numpy()
    good = crossed_mean_score(y, codes, 1, 0, **nuisances).mean()
    off = dict(nuisances)
    if wrong == "outcome and nested":
        # mu off by a function of x alone, and nu with it: the ratio of densities is right
        shift = 0.7 * f["x"].to_numpy()
        off["outcome"] = off["outcome"] + shift[:, None]
        off["nested"] = off["nested"] + shift[:, None, None]
    elif wrong == "nested":
        off["nested"] = off["nested"] + 0.5 * f["x"].to_numpy()[:, None, None]
    elif wrong == "given_mediators":
        noise = np.random.default_rng(0).uniform(0.5, 1.5, (3, 2, 3))[f["m"], f["x"]]
        off["given_mediators"] = noise * off["given_mediators"]
    else:
        noise = np.random.default_rng(0).uniform(0.5, 1.5, (2, 3))[f["x"]]
        off["propensity"] = noise * off["propensity"]
    assert crossed_mean_score(y, codes, 1, 0, **off).mean() == pytest.approx(good, abs=1e-10)


# -- what it promises --------------------------------------------------------------------------------------------------


def test_effects_add_up():
    found = ask(make()).estimates
    assert list(found.index) == NATURAL
    assert found["natural direct"] + found["natural indirect"] == pytest.approx(found["total"])
    assert found["total direct"] + found["pure indirect"] == pytest.approx(found["total"])


def test_total_is_that_of_the_arms_without_mediators():
    frame = make()
    one = ask(frame, ["skill"])["total"]
    two = ask(frame, ["licence"])["total"]
    assert one.estimate == pytest.approx(two.estimate)
    from pandas_causal import AIPW

    aipw = frame.causal.ate(
        treatment="arm", outcome="wage", covariates=["age", "region"],
        estimator=AIPW(outcome_model="linear", propensity_model="linear"),
    )  # fmt: skip
    assert one.estimate == pytest.approx(aipw.estimate, abs=0.3 * aipw.std_error)
    assert one.std_error == pytest.approx(aipw.std_error, rel=0.05)


def test_several_arms_have_a_block_each():
    found = ask(make(arms=3))
    assert found.estimates.index.tolist() == [(c, e) for c in ("1 - 0", "2 - 0") for e in NATURAL]
    assert found.diagnostics["proportion"].table.index.tolist() == ["1 - 0", "2 - 0"]
    assert found[[("2 - 0", "total")]].estimate == pytest.approx(found.estimates["2 - 0", "total"])


def test_controlled_effects_are_those_at_values_of_the_mediator():
    frame = make(2_000)
    found = ask(frame, ["licence"], controlled=[{"licence": 0}, {"licence": 1}])
    labels = ["controlled direct (licence = 0)", "controlled direct (licence = 1)"]
    assert list(found.estimates.index) == [*NATURAL, *labels]
    for value, label in enumerate(labels):
        inside = frame[frame["licence"] == value]
        X = np.column_stack([np.ones(len(inside)), inside["age"], pd.get_dummies(inside["region"], drop_first=True)])
        fits = [
            np.linalg.lstsq(X[inside["arm"] == a].astype(float), inside["wage"][inside["arm"] == a], rcond=None)[0]
            for a in (0, 1)
        ]
        everyone = np.column_stack([np.ones(2_000), frame["age"], pd.get_dummies(frame["region"], drop_first=True)])
        plug_in = (everyone.astype(float) @ (fits[1] - fits[0])).mean()
        assert found.estimates[label] == pytest.approx(plug_in, abs=2 * found[label].std_error)


def test_order_of_rows_changes_nothing():
    frame = make()
    halves = [(np.arange(200), np.arange(200, 400)), (np.arange(200, 400), np.arange(200))]
    shuffled = frame.sample(frac=1, random_state=2)
    place = shuffled.index.get_indexer(frame.index)
    moved = [(place[a], place[b]) for a, b in halves]
    for settings in (LINEAR, RIDGE):
        one, other = (
            ask(f, estimator=NaturalEffects(**settings, cv=cv), controlled=None).table
            for f, cv in ((frame, halves), (shuffled, moved))
        )
        pd.testing.assert_frame_equal(one, other, rtol=1e-6)


def test_units_of_the_outcome_scale():
    frame = make()
    one, other = ask(frame), ask(frame.assign(wage=1000 * frame["wage"] + 5))
    np.testing.assert_allclose(1000 * one.estimates, other.estimates, rtol=1e-7)
    np.testing.assert_allclose(1000 * one.table["std_error"], other.table["std_error"], rtol=1e-7)


def test_swapped_arms_turn_the_effects():
    frame = make()
    one, other = ask(frame, control=0).estimates, ask(frame, control=1).estimates
    assert one["total"] == pytest.approx(-other["total"])
    assert one["natural direct"] == pytest.approx(-other["total direct"])
    assert one["natural indirect"] == pytest.approx(-other["pure indirect"])


def test_clusters_weights_and_repeats():
    frame = make().assign(firm=np.arange(400) // 8, w=np.tile([1.0, 2.0], 200))
    clustered = ask(frame, cluster="firm")
    assert "firm" in clustered.std_error_method
    weighted = ask(frame, sample_weight="w")
    assert weighted.estimates["total"] != pytest.approx(ask(frame).estimates["total"])
    repeated = ask(frame, estimator=NaturalEffects(**LINEAR, n_repeats=3))
    assert np.isfinite(repeated.table["std_error"]).all()


def test_pickle_clone_compact_and_compare():
    effect = ask(make())
    again = pickle.loads(pickle.dumps(effect))
    pd.testing.assert_frame_equal(again.table, effect.table)
    assert clone(effect.estimator).get_params() == effect.estimator.get_params()
    pd.testing.assert_frame_equal(effect.compact().table, effect.table, rtol=1e-12)
    gap = effect["natural direct"].difference(ask(make())["natural indirect"])
    assert gap.estimate == pytest.approx(effect.estimates["natural direct"] - effect.estimates["natural indirect"])


def test_score_ranks_nuisances():
    frame = make()
    X, y = frame.drop(columns="wage"), frame["wage"]
    roles = {"treatment": "arm", "mediators": ["skill", "licence"]}
    fitted = clone(FAST).fit(X, y, **roles)
    assert 0 < fitted.score(X, y) < 1


def test_proportion_is_a_ratio_with_its_interval():
    effect = ask(make())
    row = effect.diagnostics["proportion"].table.iloc[0]
    found = effect[["total", "natural indirect"]].transform(lambda v: v[1] / v[0], index=["p"])
    assert row["proportion"] == pytest.approx(found.estimate)
    assert row["std_error"] == pytest.approx(found.std_error, rel=1e-5)


@pytest.mark.parametrize(
    ("settings", "words", "error"),
    [
        ({"controlled": {"skil": 1}}, "did you mean 'skill'", CausalArgumentError),
        ({"controlled": 3}, "controlled must be None, a mapping", CausalArgumentError),
        ({"controlled": {"skill": 0.0, "licence": 1}}, "rows of arm", CausalDataError),
        ({"interactions": True}, "NaturalEffects has no setting 'interactions'", CausalArgumentError),
        ({"estimator": "product"}, "use one of \\['doubly_robust', 'simulation'\\]", CausalArgumentError),
        ({"mediators": []}, "mediate needs mediators=", CausalArgumentError),
        ({"mediators": ["skil"]}, "did you mean 'skill'", CausalDataError),
        ({"mediators": ["arm"]}, "is both", CausalDataError),
    ],
)
def test_wrong_input_is_refused(settings, words, error):
    with pytest.raises(error, match=words):
        ask(make(), **settings)


def test_covariates_must_be_named_or_declined():
    with pytest.raises(CausalArgumentError, match="mediators are not randomised"):
        causal(make()).mediate(treatment="arm", mediators="skill", outcome="wage")
    with pytest.raises(CausalDataError, match="skill.*missing"):
        ask(make().assign(skill=lambda f: f["skill"].where(f["skill"] > 0)))
    kept = ask(make().assign(skill=lambda f: f["skill"].where(f["skill"] > 0)), missing="drop")
    assert kept.n_obs < 400


# -- through a graph ---------------------------------------------------------------------------------------------------

GRAPH = "age -> arm; age -> skill; age -> wage; region -> wage; arm -> skill; arm -> wage; skill -> wage"


def test_graph_names_the_covariates():
    frame = make().drop(columns="licence")
    found = frame.causal.mediate(graph=GRAPH, treatment="arm", mediators="skill", outcome="wage", estimator=FAST)
    same = frame.causal.mediate(
        treatment="arm", mediators="skill", outcome="wage", covariates=["age", "region"], estimator=FAST
    )
    pd.testing.assert_frame_equal(found.table, same.table)
    with pytest.raises(NotIdentifiedError, match="without covariates"):
        frame.causal.mediate(graph=GRAPH, treatment="arm", mediators="skill", outcome="wage", covariates=[])


def test_graph_without_identification_is_refused():
    frame = make().drop(columns=["licence", "region"])
    for edge, words in (
        ("skill <-> wage", "a mediator and the outcome"),
        ("arm <-> skill", "treatment and a mediator"),
    ):
        drawn = GRAPH.replace("region -> wage", edge)
        with pytest.raises(NotIdentifiedError, match=words):
            frame.causal.mediate(graph=drawn, treatment="arm", mediators="skill", outcome="wage")


def test_weak_overlap_of_mediators_is_warned_of():
    frame = make().assign(skill=lambda f: f["skill"] + 3 * f["arm"])
    with pytest.warns(OverlapWarning, match="mediators"):
        ask(frame, ["skill"])


def test_front_door_and_natural_effects_share_their_nuisances():
    frame = make().drop(columns=["licence", "region"])
    X, y = frame.drop(columns="wage"), frame["wage"]
    one, other = (cls(**LINEAR).fit(X, y, treatment="arm", mediators="skill") for cls in (FrontDoor, NaturalEffects))
    np.testing.assert_allclose(one.outcome_predictions_, other.outcome_predictions_)
    np.testing.assert_allclose(one.given_mediators_, other.given_mediators_)
