"""Beside linearmodels, ivmodels, pyfixest and DoubleML on the same rows."""

import numpy as np
import pytest

from pandas_causal import InstrumentalVariables, InteractiveIV, PartialLinearIV, causal
from tests.instruments.designs import COVARIATES, linear, take_up

pytestmark = [
    pytest.mark.published,
    pytest.mark.filterwarnings("ignore"),  # the peers' own
]

FRAME = linear(q=4)
Z = ["z1", "z2", "z3", "z4"]


def ours(method="2sls", treatment=("d", "d2"), instrument=Z, covariates=COVARIATES, roles=None, **settings):
    return causal(FRAME).iv(
        treatment=list(treatment), outcome="y", instrument=list(instrument), covariates=covariates,
        estimator=InstrumentalVariables(method=method, **settings), **(roles or {}),
    )  # fmt: skip


def agree(effect, fit, rel=1e-10, errors=1e-10):
    names = effect.table.index
    assert effect.table["estimate"].to_numpy() == pytest.approx(fit.params[names].to_numpy(), rel=rel)
    if errors is not None:
        assert effect.table["std_error"].to_numpy() == pytest.approx(fit.std_errors[names].to_numpy(), rel=errors)


def test_linearmodels():
    iv = pytest.importorskip("linearmodels.iv")
    data = (FRAME["y"], FRAME[COVARIATES].assign(one=1.0), FRAME[["d", "d2"]], FRAME[Z])
    two = iv.IV2SLS(*data)
    agree(ours(), two.fit(cov_type="robust"))
    agree(ours(small_sample=True), two.fit(cov_type="robust", debiased=True))
    agree(ours(covariance="unadjusted"), two.fit(cov_type="unadjusted"))
    agree(ours(covariance="unadjusted", small_sample=True), two.fit(cov_type="unadjusted", debiased=True))
    by = FRAME["g"]
    agree(ours(roles={"cluster": "g"}, small_sample=False), two.fit(cov_type="clustered", clusters=by))
    agree(ours(roles={"cluster": "g"}), two.fit(cov_type="clustered", clusters=by, debiased=True))
    ways = ours(roles={"cluster": ["g", "h"]}, small_sample=False)
    agree(ways, two.fit(cov_type="clustered", clusters=FRAME[["g", "h"]]))
    weighted = iv.IV2SLS(*data, weights=FRAME["w"])
    agree(ours(roles={"sample_weight": "w"}), weighted.fit(cov_type="robust"))
    agree(ours(roles={"sample_weight": "w"}, covariance="unadjusted"), weighted.fit(cov_type="unadjusted"))
    liml = iv.IVLIML(*data)
    agree(ours("liml", covariance="unadjusted"), liml.fit(cov_type="unadjusted"))
    agree(ours("liml"), liml.fit(cov_type="robust"), errors=2e-3)  # k-class scores here, projected regressors there
    agree(ours("fuller"), iv.IVLIML(*data, fuller=1).fit(cov_type="robust"), errors=2e-3)
    gmm = iv.IVGMM(*data).fit(cov_type="robust")
    agree(ours("gmm"), gmm, errors=5e-2)  # the noise of the weights is counted here
    agree(ours("cue"), iv.IVGMMCUE(*data).fit(), rel=2e-3, errors=None)  # its search stops earlier
    checks, fit = ours().diagnostics, two.fit()
    over = checks["overidentification"].table["statistic"]
    assert over.to_numpy() == pytest.approx(
        [fit.sargan.stat, fit.basmann.stat, fit.wooldridge_overid.stat, gmm.j_stat.stat], rel=1e-8
    )
    assert checks["exogeneity"].table["statistic"].iloc[0] == pytest.approx(fit.wu_hausman().stat, rel=1e-8)
    first, peer = checks["first_stage"].table, fit.first_stage.diagnostics
    assert first["partial_r2"].to_numpy() == pytest.approx(peer["partial.rsquared"].to_numpy(dtype=float), rel=1e-8)
    assert first["shea_r2"].to_numpy() == pytest.approx(peer["shea.rsquared"].to_numpy(dtype=float), rel=1e-8)


def test_ivmodels():
    tests = pytest.importorskip("ivmodels.tests")
    data = {"Z": FRAME[Z].to_numpy(), "y": FRAME["y"].to_numpy(), "C": FRAME[COVARIATES].to_numpy()}
    data |= {"X": FRAME[["d"]].to_numpy(), "fit_intercept": True}
    easy = FRAME.assign(y=FRAME["y"] + 0.5 * FRAME["d2"])
    data["y"] = easy["y"].to_numpy()
    peers = {
        "ar": (tests.anderson_rubin_test, tests.inverse_anderson_rubin_test),
        "k": (tests.lagrange_multiplier_test, tests.inverse_lagrange_multiplier_test),
        "clr": (tests.conditional_likelihood_ratio_test, tests.inverse_conditional_likelihood_ratio_test),
    }
    for name, (test, inverse) in peers.items():
        effect = causal(easy).iv(
            treatment="d", outcome="y", instrument=Z, covariates=COVARIATES,
            estimator=InstrumentalVariables(weak_set=name, covariance="unadjusted"),
        )  # fmt: skip
        accepted = inverse(**data, alpha=0.05)
        if hasattr(accepted, "boundaries"):
            found = effect.confidence_set().to_numpy()
            assert found == pytest.approx(np.asarray(accepted.boundaries)[: len(found)], abs=1e-5), name
        for b in (0.7, 1.3):
            assert effect.inversion.p_value(b) == pytest.approx(test(**data, beta=np.array([b]))[1], abs=1e-6)


def test_pyfixest_absorbed():
    peer = pytest.importorskip("pyfixest")
    fit = peer.feols("y ~ a + b | firm + year | d ~ z1 + z2 + z3 + z4", FRAME, vcov="hetero")
    effect = ours(treatment=["d"], roles={"absorb": ["firm", "year"]}, small_sample=True)
    assert effect.estimate == pytest.approx(float(fit.coef()["d"]), rel=1e-6)
    assert effect.std_error == pytest.approx(float(fit.se()["d"]), rel=1e-6)
    clustered = peer.feols("y ~ a + b | firm + year | d ~ z1 + z2 + z3 + z4", FRAME, vcov={"CRV1": "firm"})
    effect = ours(treatment=["d"], roles={"absorb": ["firm", "year"], "cluster": FRAME["firm"].to_numpy()})
    assert effect.estimate == pytest.approx(float(clustered.coef()["d"]), rel=1e-6)
    assert effect.std_error == pytest.approx(float(clustered.se()["d"]), rel=1e-6)


def test_doubleml():
    dml = pytest.importorskip("doubleml")
    from sklearn.linear_model import LinearRegression, LogisticRegression

    line, logit = LinearRegression(), LogisticRegression(C=1e6, max_iter=2_000, tol=1e-10)
    for one_sided in (False, True):
        frame = take_up(800, one_sided=one_sided).reset_index(drop=True)
        folds = np.arange(len(frame)) % 4
        pairs = [(np.flatnonzero(folds != k), np.flatnonzero(folds == k)) for k in range(4)]
        data = dml.DoubleMLData(frame[[*COVARIATES, "z", "d", "y"]], "y", "d", x_cols=COVARIATES, z_cols="z")
        groups = {"always_takers": not one_sided, "never_takers": True}
        peer = dml.DoubleMLIIVM(data, line, logit, logit, n_folds=4, draw_sample_splitting=False, subgroups=groups)
        peer.set_sample_splitting([pairs])
        peer.fit()
        estimator = InteractiveIV(
            outcome_model=line, treatment_model=logit, instrument_model=logit, cv=pairs, always_takers=not one_sided
        )
        call = {"treatment": "d", "outcome": "y", "instrument": "z", "covariates": COVARIATES}
        effect = causal(frame).iv(**call, estimator=estimator)
        assert effect.estimate == pytest.approx(peer.coef[0], rel=1e-6)
        assert effect.std_error == pytest.approx(peer.se[0], rel=1e-6)
        partial = dml.DoubleMLPLIV(data, line, line, line, n_folds=4, draw_sample_splitting=False)
        partial.set_sample_splitting([pairs])
        partial.fit()
        estimator = PartialLinearIV(outcome_model=line, treatment_model=line, instrument_model=line, cv=pairs)
        effect = causal(frame).iv(**call, estimator=estimator)
        assert effect.estimate == pytest.approx(partial.coef[0], rel=1e-6)
        assert effect.std_error == pytest.approx(partial.se[0], rel=1e-6)
