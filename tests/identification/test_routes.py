"""From a graph to an effect: each route finds the truth of a known model, and says what it is and what it rests on."""

import warnings

import numpy as np
import pandas as pd
import pytest

from pandas_causal import AIPW, IPW, CausalGraph, FrontDoor
from pandas_causal.errors import (
    BadControlError,
    BadControlWarning,
    CausalArgumentError,
    CausalDataError,
    CausalWarning,
    GraphError,
    NotIdentifiedError,
    StandardErrorWarning,
)

ASKED = {"treatment": "a", "outcome": "y"}
LINEAR = AIPW(outcome_model="linear", propensity_model="linear")
BACK = CausalGraph("x -> a -> m -> y <- x, w -> y, z -> a, m -> late")
FRONT = CausalGraph("a -> m -> y, a <-> y")
NAPKIN = CausalGraph("w -> z -> a -> y, w <-> a, w <-> y")


def sigmoid(v):
    return 1 / (1 + np.exp(-v))


def back_door(n=2_000, seed=0):
    rng = np.random.default_rng(seed)
    x, w, z = rng.normal(size=(3, n))
    a = (rng.random(n) < sigmoid(x + z)).astype(int)
    m = 0.8 * a + rng.normal(size=n)
    y = m + x + w + rng.normal(size=n)
    late = m + rng.normal(size=n)
    index = pd.Index(np.arange(n) * 3, name="row")
    return pd.DataFrame({"x": x, "w": w, "z": z, "a": a, "m": m, "late": late, "y": y, "unused": w}, index=index)


def front(n=2_000, seed=1):
    """A hidden cause of a and y; x drives everything."""
    rng = np.random.default_rng(seed)
    x, u = rng.normal(size=(2, n))
    a = (rng.random(n) < sigmoid(0.5 * x + u)).astype(int)
    m = 0.6 * a + 0.5 * x + rng.normal(size=n)
    return pd.DataFrame({"x": x, "a": a, "m": m, "y": 1.5 * m + u + 0.3 * x + rng.normal(size=n)})


def napkin(n=4_000, seed=2):
    """Effect 0.3 on the probability of y; its estimand is a ratio, no covariates and no mediators."""
    rng = np.random.default_rng(seed)
    u, v = rng.random((2, n)) < 0.5
    w = (rng.random(n) < 0.3 + 0.2 * u + 0.2 * v).astype(int)
    z = (rng.random(n) < 0.2 + 0.5 * w).astype(int)
    a = (rng.random(n) < 0.1 + 0.5 * z + 0.3 * u).astype(int)
    y = (rng.random(n) < 0.1 + 0.3 * a + 0.4 * v).astype(int)
    return pd.DataFrame({"w": w, "z": z, "a": a, "y": y})


def close(effect, truth):
    return abs(effect.estimate - truth) < 4 * effect.std_error


# -- questions about arms --------------------------------------------------------


TEXT = "dag { x -> a -> m -> y <- x; w -> y; z -> a; m -> late }"


def test_match_on_the_covariates_of_the_graph():
    frame = back_door(600)
    by_hand = frame.causal.match(**ASKED, covariates=["x", "w"])
    for graph in (BACK, TEXT, TEXT.replace("dag {", "").replace("}", "")):
        effect = frame.causal.match(**ASKED, graph=graph)
        pd.testing.assert_frame_equal(effect.table, by_hand.table)
    assert effect.estimand.endswith("by the back door: adjusted for x, w")
    assert effect.facts["route"] == "back door"
    # what is matched exactly is in the set, and one covariate more is one more
    half = frame.assign(z=(frame["z"] > 0).astype(int))
    effect = half.causal.match(**ASKED, graph=BACK, exact=["z"])
    pd.testing.assert_frame_equal(
        effect.table, half.causal.match(**ASKED, covariates=["x", "w", "z"], exact=["z"]).table
    )
    assert frame.causal.match(**ASKED, graph=BACK, estimand="ATC").estimand.startswith(
        "average treatment effect on the c"
    )


def test_match_refuses_what_the_graph_refuses():
    frame = back_door(600)
    with pytest.raises(BadControlError, match="m .mediator."):
        frame.causal.match(**ASKED, graph=BACK, covariates=["x", "m"])
    with pytest.raises(BadControlError, match="late"):
        frame.causal.match(**ASKED, covariates=["x", "late"], post_treatment=["late"])
    with pytest.warns(BadControlWarning, match="z .instrument."):
        effect = frame.causal.match(**ASKED, graph=BACK, covariates=["x", "z"])
    assert any("do no good" in text for text in effect.warnings)
    with pytest.raises(
        CausalArgumentError,
        match="the graph has no adj.* without estimator lets the graph decide",
    ):
        front().causal.match(**ASKED, graph="a -> m -> y, a <-> y, x -> a, x -> m, x -> y")
    with pytest.raises(CausalArgumentError, match="match adjusts for covariates, and none were given"):
        frame.causal.match(**ASKED)
    with pytest.raises(GraphError, match="'g' is no node"):
        frame.assign(g=1).causal.match(**ASKED, graph=BACK, exact=["g"])


def test_any_estimator_of_arms_on_the_covariates_of_the_graph():
    frame = back_door(600)
    by_hand = frame.causal.fit(IPW(), **ASKED, covariates=["x", "w"], sample_weight=np.ones(600))
    effect = frame.causal.fit(IPW(), **ASKED, graph=TEXT, sample_weight=np.ones(600))
    pd.testing.assert_frame_equal(effect.table, by_hand.table)
    with pytest.raises(BadControlError, match="late"):
        frame.causal.fit(IPW(), **ASKED, graph=TEXT, covariates=["x", "late"])
    with pytest.raises(CausalArgumentError, match="outcome= needs the name of a column"):
        frame.causal.fit(IPW(), treatment="a", covariates=["x"])


@pytest.mark.parametrize("question", ["ate", "match", "ab_test"])
def test_arms_have_to_be_named(question):
    with pytest.raises(CausalArgumentError, match=f"{question} needs treatment=, the name of a column"):
        getattr(back_door(60).causal, question)(outcome="y", covariates=["x"])


def test_overlap_and_balance_of_the_covariates_of_the_graph():
    frame = back_door(600)
    for question in ("overlap", "balance"):
        ask = getattr(frame.causal, question)
        by_hand = ask(treatment="a", covariates=["x", "w"])
        pd.testing.assert_frame_equal(ask(**ASKED, graph=TEXT).table, by_hand.table)
        marked = TEXT.replace("dag {", "dag { a [exposure] y [outcome]")
        pd.testing.assert_frame_equal(ask(graph=marked).table, by_hand.table)
        listed = pd.Index(["x", "w"])
        pd.testing.assert_frame_equal(ask(**ASKED, graph=BACK, covariates=listed).table, by_hand.table)
        with pytest.raises(BadControlError, match="late"):
            ask(**ASKED, graph=BACK, covariates=["x", "late"])
        with pytest.raises(GraphError, match="outcome= needs the name of a node; the graph marks none"):
            ask(treatment="a", graph=BACK)
        with pytest.raises(CausalArgumentError, match=f"{question} needs covariates=, a list of columns, or graph="):
            ask(treatment="a")
        with pytest.raises(CausalArgumentError, match=f"{question} needs treatment="):
            ask(covariates=["x"])
        with pytest.raises(NotIdentifiedError, match="no set of observed covariates is valid"):
            getattr(front().drop(columns="x").causal, question)(**ASKED, graph=FRONT)


def test_an_experiment_by_its_graph():
    frame = back_door(600)
    drawn = "dag { a [exposure] y [outcome] x -> y; w -> y; a -> m -> y; m -> late }"
    by_hand = frame.causal.ab_test(**ASKED, covariates=["x", "w"])
    pd.testing.assert_frame_equal(frame.causal.ab_test(graph=drawn).table, by_hand.table)
    plain = frame.causal.ab_test(**ASKED, graph=drawn, covariates=[])
    pd.testing.assert_frame_equal(plain.table, frame.causal.ab_test(**ASKED).table)
    with pytest.raises(BadControlError, match="late"):
        frame.causal.ab_test(graph=drawn, covariates=["x", "late"])
    with pytest.warns(BadControlWarning, match="side .descendant."):
        effect = frame.assign(side=frame["a"] + frame["w"]).causal.ab_test(
            graph=drawn.replace("x -> y;", "x -> y; a -> side;"), covariates=pd.Index(["x", "side"])
        )
    assert any("do no good" in text for text in effect.warnings)
    with pytest.raises(NotIdentifiedError, match="'a' was not drawn at random"):
        frame.causal.ab_test(**ASKED, graph=BACK)
    with pytest.raises(CausalArgumentError, match="ab_test needs treatment="):
        frame.causal.ab_test(outcome="y")


# -- routes ------------------------------------------------------------


def test_back_door_on_the_optimal_set():
    frame = back_door()
    effect = frame.causal.ate(**ASKED, graph=BACK, estimator=LINEAR)
    by_hand = frame.causal.ate(**ASKED, covariates=["x", "w"], estimator=LINEAR)
    assert (effect.estimate, effect.std_error) == (by_hand.estimate, by_hand.std_error)
    assert close(effect, 0.8)
    assert effect.estimand.endswith("by the back door: adjusted for x, w")
    assert effect.assumptions[0].startswith("the graph is right")
    assert "adjusting for x, w closes every path of the graph from a to y that is not causal" in effect.assumptions[1]
    assert "Henckel et al. 2022" in effect.assumptions[1]
    assert not any("no unmeasured confounding" in text for text in effect.assumptions)
    assert effect.facts["route"] == "back door"
    assert effect.facts["adjusted_for"] == effect.estimator.covariates_ == ["x", "w"]


def test_what_is_asked_of_the_estimator_reaches_it():
    frame = back_door().assign(site=lambda f: np.arange(len(f)) // 4, weight=1.5)
    effect = frame.causal.ate(
        **ASKED,
        graph=BACK,
        estimator="ipw",
        estimand="ATT",
        control=1,
        cluster="site",
        sample_weight="weight",
        level=0.9,
    )
    assert isinstance(effect.estimator, IPW)
    assert effect.level == 0.9
    assert effect.table.index.tolist() == ["0 - 1"]
    assert "treated (ATT)" in effect.estimand
    assert "clustered by site" in effect.std_error_method
    found = frame.causal.identify(graph=BACK, **ASKED)
    again = found.estimate(frame, "ipw", estimand="ATT", control=1, cluster="site", sample_weight="weight", level=0.9)
    pd.testing.assert_frame_equal(again.table, effect.table)


def test_nothing_to_adjust_for():
    frame = back_door().assign(z=lambda f: (f["z"] > 0).astype(int))
    effect = frame.causal.ate(treatment="z", outcome="a", graph="z -> a", estimator=LINEAR)
    assert effect.estimand.endswith("by the back door: nothing to adjust")
    assert "no path of the graph but the causal ones is open between z and a" in effect.assumptions[1]


def test_front_door_where_the_back_door_is_shut():
    rng = np.random.default_rng(0)
    frame = front().assign(x=rng.normal(size=2_000))
    frame["m"] = 0.6 * frame["a"] + rng.normal(size=2_000)
    frame["y"] = 1.5 * frame["m"] + 2 * frame["a"] + rng.normal(size=2_000)  # 2: the hidden cause, told by the arm
    effect = frame.causal.ate(**ASKED, graph=FRONT)
    assert isinstance(effect.estimator, FrontDoor)
    assert close(effect, 0.9)
    assert "by the front door through m" in effect.estimand
    assert effect.assumptions[1].startswith("no observed set closes the paths of the graph from a to y")
    assert effect.facts["route"] == "front door"


def test_front_door_given_covariates():
    frame = front()
    graph = CausalGraph("a -> m -> y, a <-> y, x -> a, x -> m, x -> y")
    effect = frame.causal.ate(**ASKED, graph=graph)
    assert close(effect, 0.9)
    assert effect.estimator.covariates_ == ["x"]
    assert effect.estimand.endswith("by the front door through m, given x")
    assert "m is a front-door set of it given x" in effect.assumptions[1]
    mine = FrontDoor(outcome_model="linear", nested_model="linear")
    assert frame.causal.ate(**ASKED, graph=graph, estimator=mine).estimator.outcome_model == "linear"


def test_front_door_when_asked_for():
    frame = back_door()
    graph = CausalGraph("x -> a -> m -> y <- x")
    effect = frame.causal.ate(**ASKED, graph=graph, estimator=FrontDoor())
    assert close(effect, 0.8)
    assert "the front door was asked for (estimator=)" in effect.assumptions[1]


def test_a_named_estimator_is_an_order_also_where_it_is_the_default():
    """The graph opens the front door only: AIPW, asked for by name, is refused and not replaced."""
    frame = back_door()
    graph = "a -> m -> y, a <-> y"
    assert "front door" in frame.causal.ate(**ASKED, graph=graph).estimand
    with pytest.raises(CausalArgumentError, match="'aipw' does not fit: the graph has no adjustment set"):
        frame.causal.ate(**ASKED, graph=graph, estimator="aipw")


def test_functional_of_discrete_columns():
    frame = napkin()
    effect = frame.causal.ate(**ASKED, graph=NAPKIN)
    assert close(effect, 0.3)
    found = frame.causal.identify(graph=NAPKIN, **ASKED)
    table = found.distribution(frame)
    means = table["y"].mul(table["probability"]).groupby(table["a"]).sum()
    assert effect.estimate == pytest.approx(means[1] - means[0], rel=1e-12)
    assert effect.estimand.endswith(found.functional.text.splitlines()[0])
    assert "500 draws" in effect.std_error_method
    assert effect.facts["route"] == "functional"
    assert effect.conf_low < effect.estimate < effect.conf_high
    assert effect.assumptions[1].endswith("averaged over z, on which it does not depend")
    few = found.estimate(frame, n_draws=50)
    other = frame.assign(a=frame["a"].map({0: "no", 1: "yes"}).astype("category"))
    flipped = found.estimate(other, control="yes", n_draws=50)
    assert flipped.table.index.tolist() == ["no - yes"]
    np.testing.assert_allclose(flipped.table["estimate"], -few.table["estimate"], rtol=1e-12)
    np.testing.assert_allclose(flipped.table["std_error"], few.table["std_error"], rtol=1e-12)


def test_functional_with_weights_clusters_and_missing_rows():
    frame = napkin().assign(weight=lambda f: 1.0 + (np.arange(len(f)) % 2), site=lambda f: np.arange(len(f)) // 10)
    found = CausalGraph(NAPKIN).identify(**ASKED)
    weighted = found.estimate(frame, sample_weight="weight", n_draws=20)
    repeated = frame.loc[frame.index.repeat(frame["weight"].astype(int))]
    assert weighted.estimate == pytest.approx(found.estimate(repeated, n_draws=20).estimate, rel=1e-12)
    clustered = found.estimate(frame, cluster="site", n_draws=100)
    assert clustered.std_error == pytest.approx(found.estimate(frame, n_draws=100).std_error, rel=0.4)
    alike = frame.loc[frame.index.repeat(5)].assign(unit=np.repeat(np.arange(len(frame)), 5))
    whole = found.estimate(alike, cluster="unit", n_draws=100)
    assert whole.std_error == pytest.approx(found.estimate(frame, n_draws=100).std_error, rel=1e-9)
    frame.loc[frame.index[:7], "z"] = np.nan
    with pytest.raises(CausalDataError, match=r"z: is missing \(NaN\) in 7 rows"):
        found.estimate(frame)
    effect = found.estimate(frame, missing="drop", n_draws=20)
    assert (effect.n_obs, effect.facts["n_dropped"]) == (3_993, 7)


def test_bootstrap_of_the_functional_does_not_depend_on_the_order_of_rows():
    frame = napkin(1_000).assign(site=lambda f: [f"site {k % 90}" for k in range(len(f))])
    shuffled = frame.sample(frac=1, random_state=0)
    found = NAPKIN.identify(**ASKED)
    weight = frame["w"] + 1.0
    for roles, same in (
        ({}, {}),
        ({"cluster": "site"}, {"cluster": "site"}),
        ({"sample_weight": weight}, {"sample_weight": weight.loc[shuffled.index]}),
    ):
        one, two = found.estimate(frame, n_draws=30, **roles), found.estimate(shuffled, n_draws=30, **same)
        np.testing.assert_allclose(two.uncertainty.replicates, one.uncertainty.replicates, rtol=1e-10)
        assert two.std_error == pytest.approx(one.std_error, rel=1e-8)


def test_functional_needs_discrete_columns_and_filled_cells():
    frame = napkin()
    found = NAPKIN.identify(**ASKED)
    with pytest.raises(CausalDataError, match="w: has 4,000 different values.*cut it into a few groups"):
        found.estimate(frame.assign(w=np.random.default_rng(0).normal(size=4_000)))
    with pytest.raises(CausalDataError, match="y: outcome is not numeric"):
        found.estimate(frame.assign(y=frame["y"].astype(str)))
    with pytest.raises(CausalDataError, match="no row has"):
        found.estimate(frame[(frame["w"] == 0) | (frame["z"] == 1)])
    few = frame.drop(frame.index[(frame["w"] == 1) & (frame["z"] == 0)][1:])
    with pytest.raises(CausalDataError, match="of 50 bootstrap draws leave a cell empty"):
        found.estimate(few, n_draws=50)
    with pytest.raises(CausalArgumentError, match="estimand='ATT' is not available from the functional"):
        found.estimate(frame, estimand="ATT")
    with pytest.raises(CausalArgumentError, match="has no role 'propensity'"):
        found.estimate(frame, propensity="w")
    with pytest.raises(CausalArgumentError, match="n_draws must be"):
        found.estimate(frame, n_draws=3)
    two = frame.assign(c=np.arange(4_000) // 10, d=np.arange(4_000) % 10)
    for several in (["c", "d"], ("c", "d"), two[["c", "d"]], [two["c"], two["d"]]):
        with pytest.raises(CausalArgumentError, match="one cluster column here"):
            found.estimate(two, cluster=several)
    named, given = (found.estimate(two, cluster=c, n_draws=10).std_error for c in ("c", two["c"].tolist()))
    assert named == given


def test_a_few_empty_draws_are_counted():
    frame = napkin(400)
    rare = (frame["w"] == 1) & (frame["z"] == 0)
    frame = frame.drop(frame.index[rare][4:])  # absent from e^-4 of the draws
    with pytest.warns(
        CausalWarning, match="of 200 bootstrap draws could not be estimated and are left out: no row has"
    ):
        effect = NAPKIN.identify(**ASKED).estimate(frame, n_draws=200)
    assert 180 < len(effect.uncertainty.replicates) < 200


@pytest.mark.parametrize("graph", ["y -> a", "x -> a, x -> y", "a <-> y"])
def test_an_outcome_that_is_not_below_the_treatment(graph):
    with pytest.warns(StandardErrorWarning, match="no directed path leads from a to y") as caught:
        effect = back_door().causal.ate(**ASKED, graph=graph)
    assert len(caught) == 1
    assert effect.table[["estimate", "std_error"]].to_numpy().tolist() == [[0, 0]]
    assert effect.table.index.tolist() == ["1 - 0"]
    assert "the effect is 0 by assumption" in effect.warnings[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # zero by construction: the rows say so, and later steps stay silent
        assert effect["1 - 0"].estimate == 0
        assert "Warning: no directed path" in effect.summary()
        effect.glance()


# -- no route ------------------------------------------------------------


def test_an_instrument_is_named_and_not_used():
    graph = CausalGraph("z -> a -> y, a <-> y, x -> z, x -> y")
    with pytest.raises(NotIdentifiedError) as error:
        back_door().causal.ate(**ASKED, graph=graph)
    text = str(error.value)
    assert "df.causal.iv(treatment='a', outcome='y', instrument='z', covariates=['x'])" in text
    assert "never used unasked" in text


def test_nothing_identifies():
    with pytest.raises(
        NotIdentifiedError, match="does not determine the effect of 'a' on 'y'.*measure what causes both"
    ):
        back_door().causal.ate(**ASKED, graph="a -> y, a <-> y")


def test_an_estimator_that_does_not_fit():
    with pytest.raises(CausalArgumentError, match="IPW. does not fit: the graph has no adjustment set"):
        front().causal.ate(**ASKED, graph=FRONT, estimator=IPW())
    with pytest.raises(CausalArgumentError, match="FrontDoor. does not fit: the graph has no front-door set"):
        back_door().causal.ate(**ASKED, graph="x -> a -> y <- x", estimator=FrontDoor())
    with pytest.raises(CausalArgumentError, match="FrontDoor has no role 'propensity'"):
        front().assign(p=0.5).causal.ate(**ASKED, graph=FRONT, propensity="p")


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ({"graph": "a -> m -> q -> y"}, GraphError, r"'q' is a node.*no column.*CausalGraph\(..., latent=\['q'\]\)"),
        ({"graph": "a -> b -> y"}, GraphError, "'b' is a node"),
        ({"graph": "a -> m"}, GraphError, "'y' is no node of the graph"),
        ({"graph": "a -> y ->"}, GraphError, "line 1, column"),
        (
            {"graph": BACK, "post_treatment": ["m"]},
            CausalArgumentError,
            "post_treatment= is for questions without a graph",
        ),
        ({"graph": BACK, "treatment": np.zeros(2_000)}, CausalArgumentError, "treatment is the name of a node"),
        ({"graph": BACK, "level": 95}, CausalArgumentError, "level must be"),
        ({"graph": BACK, "estimator": "psm"}, CausalArgumentError, "'aipw', 'ipw', 'regression', 'tmle'"),
        ({"graph": BACK, "cluster": "nobody"}, CausalDataError, "nobody: is given as cluster but is no column"),
    ],
)
def test_bad_questions(asked, error, message):
    with pytest.raises(error, match=message):
        back_door().causal.ate(**{**ASKED, **asked})


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"level": 5}, "level must be"),
        ({"missing": "foo"}, "missing='foo' is not known"),
        ({"estimator": "nope"}, "estimator='nope' is not known"),
        ({"n_draws": 0}, "n_draws must be"),
    ],
)
@pytest.mark.parametrize("graph", ["y -> a", BACK, "a -> m -> y, a <-> y"])
def test_bad_questions_are_refused_on_every_route(graph, asked, message):
    found = CausalGraph(graph).identify(**ASKED)
    with pytest.raises(CausalArgumentError, match=message):
        found.estimate(back_door(100), **asked)
    with pytest.raises(CausalArgumentError, match="takes a pandas DataFrame; got ndarray"):
        found.estimate(back_door(100).to_numpy())


def test_more_than_one_treatment_is_refused():
    with pytest.raises(CausalArgumentError, match="one treatment on one outcome"):
        BACK.identify(treatment=["a", "w"], outcome="y").estimate(back_door())
    with pytest.raises(CausalArgumentError, match="one treatment on one outcome"):
        BACK.identify(treatment="a", outcome="y", given="w").estimate(back_door())


# -- covariates beside a graph ------------------------------------------------------------


def test_a_valid_set_runs_and_changes_no_number():
    frame = back_door()
    effect = frame.causal.ate(**ASKED, covariates=["x"], graph=BACK, estimator=LINEAR)
    plain = frame.causal.ate(**ASKED, covariates=["x"], estimator=LINEAR)
    pd.testing.assert_frame_equal(effect.table, plain.table)
    assert effect.warnings == plain.warnings


def test_bad_controls_are_refused_before_anything_is_fitted():
    frame = back_door()
    with pytest.raises(BadControlError) as error:
        frame.causal.ate(**ASKED, covariates=["x", "m", "late"], graph=BACK, estimator=LINEAR)
    path = ("a", "m", "y")
    assert error.value.controls == {"m": ("mediator", path), "late": ("descendant", path)}
    with pytest.raises(NotIdentifiedError, match="a <- x -> y"):
        frame.causal.ate(**ASKED, covariates=[], graph=BACK)
    with pytest.raises(GraphError, match="'unused' is no node of the graph"):
        frame.causal.ate(**ASKED, covariates=["unused"], graph=BACK)
    with pytest.raises(CausalDataError, match="nobody: is given as covariate but is no column"):
        frame.causal.ate(**ASKED, covariates=["nobody"], graph=BACK)


def test_a_useless_control_is_warned_of_and_reported():
    with pytest.warns(BadControlWarning, match="z .instrument.") as caught:
        effect = back_door().causal.ate(**ASKED, covariates=["x", "z"], graph=BACK, estimator=LINEAR)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert any("z (instrument)" in text for text in effect.warnings)
    assert close(effect, 0.8)


def test_marks_without_a_graph():
    frame = back_door()
    with pytest.raises(BadControlError, match=r"\['m'\] is marked as post_treatment") as error:
        frame.causal.ate(**ASKED, covariates=["x", "m"], post_treatment=["m", "late"])
    assert error.value.controls == {"m": ("descendant", ("a", "m"))}
    with pytest.raises(BadControlError, match="what 'treatment' may have moved"):
        frame.causal.ate(treatment=frame["a"].to_numpy(), outcome="y", covariates=["m"], post_treatment=["m"])
    effect = frame.causal.ate(**ASKED, covariates=["x"], post_treatment=["m", "late"], estimator=LINEAR)
    assert close(effect, 0.8)
    with pytest.raises(
        CausalDataError, match="layte: is given as post_treatment but is no column.*did you mean 'late'"
    ):
        frame.causal.ate(**ASKED, covariates=["x"], post_treatment=["layte"])
    with pytest.raises(CausalArgumentError, match="takes a list of column names"):
        frame.causal.ate(**ASKED, covariates=["x"], post_treatment="late")
