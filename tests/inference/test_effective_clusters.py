"""Few or unequal clusters are said by every design that sums errors by cluster."""

import numpy as np
import pandas as pd
import pytest

from pandas_causal import (
    DoubleML,
    InstrumentalVariables,
    InteractiveIV,
    LinearDML,
    OrthoIV,
    PartialLinearIV,
    SimulatedMediation,
    causal,
)
from pandas_causal.errors import StandardErrorWarning
from pandas_causal.inference.effective_clusters import effective_clusters, few_clusters_note

SAID = r"the clusters of c are few or unequal \(\d+, worth 1\.\d of equal size\)"
MODELS = {"outcome_model": "linear", "treatment_model": "linear"}


def rows(n=800, share=0.5):
    """Twenty clusters, of which the first holds a share of the rows."""
    rng = np.random.default_rng(0)
    c = np.where(np.arange(n) < share * n, 0, rng.integers(1, 20, n))
    z, x = rng.integers(0, 2, n), rng.normal(size=n)
    d = np.where(rng.random(n) < 0.7, z, 1 - z)
    y = d + x + rng.normal(size=20)[c] + rng.normal(size=n)
    return pd.DataFrame({"c": c, "z": z, "x": x, "d": d, "y": y, "r": rng.uniform(-1, 1, n), "n": d + x})


def units(n=60, periods=4):
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"u": np.repeat(np.arange(n), periods), "t": np.tile(np.arange(periods), n)})
    frame["g"] = np.where(frame["u"] % 2 == 0, 2.0, np.nan)
    frame["d"] = (frame["t"] >= frame["g"]).astype(int)
    frame["c"] = np.where(frame["u"] < n // 2, 0, frame["u"])
    return frame.assign(y=frame["d"] + rng.normal(size=n)[frame["u"]] + rng.normal(size=len(frame)))


def by_instrument(estimator, treatment="d"):
    return lambda frame: causal(frame).fit(
        estimator, treatment=treatment, outcome="y", instrument="z", covariates=["x"], cluster="c"
    )


def over_time(estimator, **roles):
    return lambda _: causal(units()).did(time="t", unit="u", outcome="y", cluster="c", estimator=estimator, **roles)


QUESTIONS = {
    "two-stage least squares": by_instrument(InstrumentalVariables()),
    "gmm": by_instrument(InstrumentalVariables(method="gmm"), "n"),
    "complier effect": by_instrument(InteractiveIV(**MODELS, instrument_model="linear")),
    "partially linear": by_instrument(PartialLinearIV(**MODELS, instrument_model="linear")),
    "heterogeneous": by_instrument(OrthoIV(**MODELS, instrument_model="linear"), "n"),
    "discontinuity": lambda f: causal(f).rdd(running="r", outcome="y", cutoff=0, cluster="c"),
    "mediation": lambda f: causal(f).fit(
        SimulatedMediation(n_draws=50), treatment="z", mediators=["d"], outcome="y", covariates=["x"], cluster="c"
    ),
    "a number": lambda f: causal(f).fit(DoubleML(**MODELS), treatment="n", outcome="y", covariates=["r"], cluster="c"),
    "rows": lambda f: causal(f).fit(LinearDML(**MODELS), treatment="z", outcome="y", covariates=["x"], cluster="c"),
    **{name: over_time(name, cohort="g") for name in ("callaway_santanna", "imputation", "sun_abraham", "stacked")},
    "two_way": over_time("two_way", treatment="d"),
}


@pytest.mark.filterwarnings("ignore::pandas_causal.errors.CausalWarning")
@pytest.mark.parametrize("name", QUESTIONS)
def test_one_cluster_with_half_the_rows(name):
    with pytest.warns(StandardErrorWarning, match=SAID):
        effect = QUESTIONS[name](rows())
    assert sum("worth" in text for text in effect.warnings) == 1


@pytest.mark.parametrize("name", ["two-stage least squares", "discontinuity"])
def test_many_equal_clusters_are_let_pass(name):
    even = rows(1_200).assign(c=np.arange(1_200) % 40)
    assert not any("clusters" in text for text in QUESTIONS[name](even).warnings)


def test_the_number_by_hand():
    """Three clusters of 6, 2 and 2 rows: shares .6, .2, .2, squared .36, .04, .04; .44 squared over their squares."""
    labels = np.repeat(list("abc"), [6, 2, 2])
    count, worth = effective_clusters(labels)
    assert (count, worth) == (3, pytest.approx(0.44**2 / (0.36**2 + 2 * 0.04**2)))
    assert effective_clusters(np.repeat(list("abc"), 4)) == (3, pytest.approx(3))
    assert effective_clusters(labels, w=np.array([1 / 6] * 6 + [1 / 2] * 4))[1] == pytest.approx(3)
    assert few_clusters_note({}) == []
    with pytest.warns(StandardErrorWarning, match=r"the clusters of b are few \(4\), .* too small; do else"):
        texts = few_clusters_note({"a": np.arange(40), "b": np.arange(40) % 4}, remedy="do else")
    assert len(texts) == 1
