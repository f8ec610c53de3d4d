"""SimulatedMediation: products of coefficients, peers, and rho."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from statsmodels.stats.mediation import Mediation

from pandas_causal import SimulatedMediation
from pandas_causal.errors import CausalArgumentError, CausalDataError
from tests.mediation.test_natural_effects import make


def ask(frame, mediators="skill", outcome="wage", estimator="simulation", **settings):
    return frame.causal.mediate(
        treatment="arm", mediators=mediators, outcome=outcome, covariates=["age", "region"], estimator=estimator,
        **settings,
    )  # fmt: skip


def columns(frame, *names):
    dummies = pd.get_dummies(frame["region"], drop_first=True, dtype=float)
    return np.column_stack([np.ones(len(frame)), *(frame[c] for c in names), frame["age"], dummies])


def test_without_interaction_it_is_the_product_of_coefficients():
    frame = make()
    found = ask(frame, interactions=False).estimates
    a = np.linalg.lstsq(columns(frame, "arm"), frame["skill"], rcond=None)[0][1]
    direct, b = np.linalg.lstsq(columns(frame, "arm", "skill"), frame["wage"], rcond=None)[0][1:3]
    assert found["natural indirect"] == pytest.approx(a * b)
    assert found["pure indirect"] == pytest.approx(a * b)
    assert found["natural direct"] == pytest.approx(direct)
    total = np.linalg.lstsq(columns(frame, "arm"), frame["wage"], rcond=None)[0][1]
    assert found["total"] == pytest.approx(total)


def test_error_of_the_product_is_sobels():
    frame = make(1_000)
    effect = ask(frame, interactions=False, estimator=SimulatedMediation(n_draws=4_000))
    fits = (
        sm.OLS(frame["skill"], columns(frame, "arm")).fit(cov_type="HC0"),
        sm.OLS(frame["wage"], columns(frame, "arm", "skill")).fit(cov_type="HC0"),
    )
    a, b = fits[0].params.iloc[1], fits[1].params.iloc[2]
    sobel = np.sqrt(b**2 * fits[0].bse.iloc[1] ** 2 + a**2 * fits[1].bse.iloc[2] ** 2)
    assert effect["natural indirect"].std_error == pytest.approx(sobel, rel=0.06)


@pytest.mark.published
@pytest.mark.parametrize("kind", ["linear", "logistic outcome", "logistic mediator"])
def test_beside_statsmodels(kind):
    """Their averages are over draws of the mediator, ours exact: they agree to the noise of theirs."""
    frame = make(500, seed=3)
    frame["hired"] = (frame["wage"] > frame["wage"].median()).astype(int)
    mediator = "licence" if kind == "logistic mediator" else "skill"
    outcome = "hired" if kind == "logistic outcome" else "wage"
    frame["west"] = (frame["region"] == "west").astype(float)
    frame["south"] = (frame["region"] == "south").astype(float)
    family = sm.families.Binomial()
    right = f"arm * {mediator} + age + west + south"
    if outcome == "hired":
        y_model = sm.GLM.from_formula(f"{outcome} ~ {right}", frame, family=family)
    else:
        y_model = sm.OLS.from_formula(f"{outcome} ~ {right}", frame)
    m_formula = f"{mediator} ~ arm + age + west + south"
    m_model = (
        sm.GLM.from_formula(m_formula, frame, family=family)
        if mediator == "licence"
        else sm.OLS.from_formula(m_formula, frame)
    )
    np.random.seed(0)  # noqa: NPY002 - theirs draws from the global generator
    theirs = Mediation(y_model, m_model, "arm", mediator).fit(method="parametric", n_rep=40).summary()["Estimate"]
    found = ask(frame, mediator, outcome)
    errors = found.table["std_error"]
    for ours, name in (
        ("total", "Total effect"),
        ("natural direct", "ADE (control)"),
        ("total direct", "ADE (treated)"),
        ("natural indirect", "ACME (treated)"),
        ("pure indirect", "ACME (control)"),
    ):
        assert found.estimates[ours] == pytest.approx(theirs[name], abs=0.6 * errors[ours]), name


def test_quadrature_is_the_average_over_the_mediator():
    frame = make(400)
    frame["hired"] = (frame["wage"] > 1).astype(int)
    fitted = ask(frame, outcome="hired").estimator
    from pandas_causal.mediation.simulated_mediation import _over_normal

    z = np.random.default_rng(0).normal(size=400_000)
    for centre, spread in ((0.3, 1.0), (-2.0, 3.0), (1.0, 0.0)):
        exact = np.mean(1 / (1 + np.exp(-(centre + spread * z))))
        assert _over_normal(np.array([centre]), spread)[0] == pytest.approx(exact, abs=2e-3)
    assert fitted.mediators_ == ["skill"]


def test_seeds_order_and_units():
    frame = make()
    one = ask(frame)
    pd.testing.assert_frame_equal(one.table, ask(frame).table)
    shuffled = ask(frame.sample(frac=1, random_state=1))
    np.testing.assert_allclose(one.estimates, shuffled.estimates, rtol=1e-8)
    np.testing.assert_allclose(one.table["std_error"], shuffled.table["std_error"], rtol=1e-6)
    scaled = ask(frame.assign(wage=10 * frame["wage"]))
    np.testing.assert_allclose(10 * one.estimates, scaled.estimates, rtol=1e-8)


def test_weights_are_repeated_rows_and_clusters_widen():
    frame = make(300).assign(w=np.tile([1.0, 2.0, 1.0], 100))
    twice = frame.loc[frame.index.repeat(frame["w"].astype(int))].reset_index(drop=True)
    np.testing.assert_allclose(ask(frame, sample_weight="w").estimates, ask(twice).estimates, rtol=1e-7)
    doubled = pd.concat([frame, frame], ignore_index=True).assign(person=np.tile(np.arange(300), 2))
    plain, clustered = ask(doubled), ask(doubled, cluster="person")
    assert (clustered.table["std_error"] > 1.2 * plain.table["std_error"]).all()


# -- rho ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("interactions", [True, False])
def test_rho_of_zero_is_the_effect(interactions):
    frame = make(2_000)
    effect = ask(frame, interactions=interactions)
    table = effect.sensitivity(rhos=[0.0]).table
    for name in table.index.get_level_values("effect"):
        own = effect[[name]]
        assert table.loc[(name, 0.0), "estimate"] == pytest.approx(own.estimate, abs=0.5 * own.std_error)
        assert table.loc[(name, 0.0), "std_error"] == pytest.approx(own.std_error, rel=0.2)


def test_effect_is_zero_at_the_rho_that_the_summary_names():
    effect = ask(make(), interactions=False)
    found = effect.sensitivity("rho")
    zero = float(found.summary.rsplit("=", maxsplit=1)[1])
    near = effect.sensitivity(rhos=[zero - 0.01, zero + 0.01]).table["estimate"]
    assert near.iloc[0] > 0 > near.iloc[1]


def test_rho_of_the_confounder_gives_the_true_effect():
    """A confounder of mediator and outcome, left out: at the correlation it makes, the indirect effect is right."""
    rng = np.random.default_rng(4)
    n = 100_000
    u, arm = rng.normal(size=n), rng.integers(0, 2, n)
    skill = 0.8 * arm + u + rng.normal(size=n)
    wage = 0.5 * arm + 0.7 * skill + 1.2 * u + rng.normal(size=n)
    frame = pd.DataFrame({"arm": arm, "skill": skill, "wage": wage})
    effect = frame.causal.mediate(
        treatment="arm", mediators="skill", outcome="wage", covariates=[], estimator="simulation", interactions=False
    )
    assert effect.estimates["natural indirect"] > 0.9
    rho = np.corrcoef(u + rng.normal(size=n), 1.2 * u + rng.normal(size=n))[0, 1]
    row = effect.sensitivity(rhos=[rho]).table.iloc[0]
    assert row["estimate"] == pytest.approx(0.7 * 0.8, abs=0.02)


def test_wrong_input_is_refused():
    frame = make()
    with pytest.raises(CausalDataError, match="takes one mediator, and 2 were given"):
        ask(frame, ["skill", "licence"])
    with pytest.raises(CausalDataError, match="has 3 arms"):
        ask(make(arms=3))
    with pytest.raises(CausalDataError, match="explain one another"):
        ask(frame.assign(skill=frame["region"].map({"north": 0.0, "south": 2.0, "west": 5.0})))
    with pytest.raises(CausalDataError, match="holds no numbers"):
        ask(frame.assign(skill=np.where(frame["skill"] > 0, "high", "low")))
    with pytest.raises(CausalArgumentError, match="here mediator or outcome is 0/1"):
        ask(frame, "licence").sensitivity()
    with pytest.raises(CausalArgumentError, match="between -1 and 1"):
        ask(frame).sensitivity(rhos=[1.0])
    with pytest.raises(CausalArgumentError, match="estimator='simulation'"):
        ask(frame, estimator="doubly_robust").sensitivity("rho")
    with pytest.raises(CausalArgumentError, match="has no setting 'controlled'"):
        ask(frame, controlled={"skill": 1})
