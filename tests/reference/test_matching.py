"""Matching the trainees of the NSW experiment with the CPS: numbers of MatchIt 4.5.1 and Matching 4.10 on these rows.

Both packages are under the GPL: their numbers stand here, their code does not.
"""

import numpy as np
import pandas as pd
import pytest

from pandas_causal import Matching, StableBalancing
from pandas_causal.errors import OverlapWarning
from tests.reference_data import REFERENCE

causaldata = pytest.importorskip("causaldata", reason="the published data sets come with causaldata")
pytestmark = pytest.mark.filterwarnings("ignore::pandas_causal.errors.OverlapWarning")  # few of the CPS are like them

COVARIATES = ["age", "educ", "black", "hisp", "marr", "nodegree", "re74", "re75"]


@pytest.fixture(scope="module")
def frame():
    nsw = causaldata.nsw_mixtape.load_pandas().data
    cps = causaldata.cps_mixtape.load_pandas().data
    return pd.concat([nsw[nsw["treat"] == 1], cps], ignore_index=True)[[*COVARIATES, "treat", "re78"]]


def match(frame, **settings):
    return Matching(**settings).fit(frame[[*COVARIATES, "treat"]], frame["re78"], treatment="treat")


def nearest(frame, model):
    """Distance of the nearest control of every treated row."""
    e = model.propensity_[:, 1]
    treated = frame["treat"].to_numpy() == 1
    return np.abs(e[treated][:, None] - e[~treated]).min(axis=1)


def test_ties_averaged(frame):
    model = match(frame)
    effect = model.effect()
    assert effect.estimate == pytest.approx(1793.966, abs=5e-4)
    pairs = model.matched_
    assert pairs["target"].nunique() == 185
    assert len(pairs) == 280
    per_target = pairs.groupby("target")
    np.testing.assert_allclose(per_target["weight"].sum(), 1, rtol=1e-12)
    # every pair is a nearest one, which 97 of MatchIt's are not
    assert (pairs["distance"].to_numpy() <= np.repeat(nearest(frame, model), per_target.size()) + 1e-10).all()
    shuffled = match(frame.sample(frac=1, random_state=1)).effect()
    assert shuffled.estimate == pytest.approx(effect.estimate, rel=1e-10)
    assert shuffled.std_error == pytest.approx(effect.std_error, rel=1e-8)


def test_ties_to_the_first_row(frame):
    """What picking the first of the tied rows gives: an answer that hangs on their order."""
    pairs = match(frame).matched_.sort_values(["target", "match"]).drop_duplicates("target")
    y = frame["re78"]
    assert (y[pairs["target"]].to_numpy() - y[pairs["match"]].to_numpy()).mean() == pytest.approx(2074.017, abs=5e-4)
    assert pairs["match"].nunique() == 124


def test_wider_ties_are_another_answer(frame):
    """At a tolerance of 1e-8 in place of 1e-10 it would be 1756.44."""
    e = match(frame).propensity_[:, 1]
    treated, y = frame["treat"].to_numpy() == 1, frame["re78"].to_numpy()
    D = np.abs(e[treated][:, None] - e[~treated])
    tied = D <= D.min(axis=1, keepdims=True) + 1e-8
    assert (y[treated] - tied @ y[~treated] / tied.sum(axis=1)).mean() == pytest.approx(1756.44, abs=5e-3)


def test_without_replacement_is_greedy_at_every_step(frame):
    """MatchIt 4.5.1 prints 1947.683 for this, with pairs that depend on row order."""
    model = match(frame, replace=False)
    e, treated = model.propensity_[:, 1], frame["treat"].to_numpy() == 1
    pairs = model.matched_.set_index("target")
    assert pairs["match"].is_unique
    free = ~treated
    order = sorted(pairs.index, key=lambda i: -e[i])
    for k, i in enumerate(order):
        j = pairs.loc[i, "match"]
        assert abs(e[i] - e[j]) <= np.abs(e[free] - e[i]).min() + 1e-10
        free[j] = False
        assert k == 0 or e[order[k - 1]] >= e[i]
    shuffled = match(frame.sample(frac=1, random_state=2), replace=False)
    assert shuffled.effect().estimate == pytest.approx(model.effect().estimate, rel=1e-12)
    again = shuffled.matched_.set_index("target")
    assert again.loc[pairs.index, "match"].equals(pairs["match"])


def test_bias_adjustment_and_errors_of_the_package_matching(frame):
    """Match(..., Weight = 3) on the same whitened covariates: 1923.5049, adjusted 1999.5840; J = 1: 778.876."""
    plain = match(frame, distance="mahalanobis", variance_matches=1).effect()
    assert plain.estimate == pytest.approx(1923.5049, abs=1e-4)
    # with one neighbour the package's variance is that of the paper, but for how it breaks ties of the neighbours
    assert plain.std_error == pytest.approx(778.876, abs=0.01)
    adjusted = match(frame, distance="mahalanobis", bias_adjust=True).effect()
    assert adjusted.estimate == pytest.approx(1999.5840, abs=1e-4)


def test_strata_of_matchit(frame):
    """method = "subclass": 60.6682; method = "cem": 3627.634 with 87 treated of 387 rows."""
    assert match(frame, method="subclass").effect().estimate == pytest.approx(60.6682, abs=1e-4)
    model = match(frame, method="cem")
    assert model.effect().estimate == pytest.approx(3627.634, abs=5e-4)
    assert (model.matched_["arm"] == 1).sum() == 87
    assert len(model.matched_) == 387


def test_optimal_pairs_beat_greedy_ones(frame):
    pair, greedy = match(frame, method="pair"), match(frame, replace=False)
    assert pair.matched_["distance"].sum() < greedy.matched_["distance"].sum() < 1.2 * pair.matched_["distance"].sum()


def test_weak_overlap_is_said(frame):
    with pytest.warns(OverlapWarning, match="weak overlap"):
        match(frame)


@pytest.mark.parametrize("black", ["black", "zz"])
def test_every_level_of_a_category_is_judged(black):
    """MatchIt's lalonde, 1:1 on the propensity: race differs by 1.67 before, .97 after, in any naming."""
    frame = pd.read_csv(REFERENCE / "peers/lalonde/lalonde.csv")
    frame["race"] = frame["race"].replace("black", black)
    columns = ["age", "educ", "race", "married", "nodegree", "re74", "re75"]
    question = {"treatment": "treat", "outcome": "re78", "covariates": columns}
    effect = frame.causal.match(**question, replace=False)
    table = effect.diagnostics["balance"].table
    assert table.loc[f"race_{black}", "smd_before"] == pytest.approx(1.668, abs=5e-4)
    assert table.loc[f"race_{black}", "smd_after"] == pytest.approx(0.971, abs=5e-4)
    assert f"0.97 after (race_{black})" in effect.diagnostics["balance"].summary
    stable = frame.causal.ate(**question, estimator=StableBalancing(estimand="ATT", tolerance=0.1))
    assert stable.estimate == pytest.approx(1340.56, abs=0.01)
    table = stable.diagnostics["balance"].table
    assert 0.095 < table["smd_after"].abs().max() <= 0.1
