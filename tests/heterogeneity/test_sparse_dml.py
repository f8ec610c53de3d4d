"""SparseDML: many modifiers of which few matter, against LinearDML where there are few, and EconML's on its scale."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from pandas_causal import LinearDML, SparseDML
from tests.heterogeneity.designs import COVARIATES, confounded

FRAME = confounded(600)
X, Y = FRAME[[*COVARIATES, "t"]], FRAME["y"]
MODELS = {"outcome_model": "linear", "treatment_model": "linear"}


def wide(n=400, p=80, seed=0):
    """Effects vary with x0 alone, of many covariates."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(n, p)), columns=[f"x{j}" for j in range(p)])
    frame["t"] = rng.integers(0, 2, n)
    y = frame["x1"] + frame["t"] * (1 + frame["x0"]) + rng.normal(size=n)
    return frame, y.rename("y")


def test_with_few_modifiers_it_is_near_least_squares():
    sparse, plain = (cls(**MODELS).fit(X, Y, treatment="t") for cls in (SparseDML, LinearDML))
    gap = np.abs(sparse.coefficients_.estimates - plain.coefficients_.estimates)
    assert (gap < 0.5 * plain.coefficients_.table["std_error"]).all()
    assert sparse.coefficients_.table["std_error"].to_numpy() == pytest.approx(
        plain.coefficients_.table["std_error"].to_numpy(), rel=0.1
    )
    tau = sparse.effect(X)
    assert tau.aggregate().estimate == pytest.approx(sparse.effect().estimate, rel=1e-9)
    assert "debiased lasso" in tau.std_error_method
    loose = SparseDML(**MODELS, penalty=1e-8, nodewise_penalty=1e-8).fit(X, Y, treatment="t")
    assert loose.coefficients_.estimates.to_numpy() == pytest.approx(plain.coefficients_.estimates, abs=1e-5)


def test_many_modifiers():
    frame, y = wide()
    fit = SparseDML(outcome_model="ridge", treatment_model="ridge").fit(frame, y, treatment="t")
    table = fit.coefficients_.table
    assert table.loc["x0", "p_value"] < 1e-6
    others = table.drop(index=["at the means", "x0"])
    assert 0.85 < ((others["conf_low"] < 0) & (others["conf_high"] > 0)).mean() <= 1
    assert (fit.lasso_ != 0).sum() < 40
    assert abs(fit.effect().estimate - 1) < 4 * fit.effect().std_error
    repeated = SparseDML(outcome_model="ridge", treatment_model="ridge", n_repeats=2, penalty=0.1)
    assert repeated.fit(frame.iloc[:, -11:], y, treatment="t").effect().std_error > 0


@pytest.mark.published
@pytest.mark.filterwarnings("ignore")
def test_econml_at_a_given_penalty():
    econml = pytest.importorskip("econml.dml")
    folds = np.arange(len(X)) % 5
    pairs = [(np.flatnonzero(folds != k), np.flatnonzero(folds == k)) for k in range(5)]
    line = LinearRegression()
    number = X.assign(t=X["t"] + X["c"] * 0.3)
    settings = {"outcome_model": line, "treatment_model": line, "penalty": 0.05, "nodewise_penalty": 0.05}
    fit = SparseDML(**settings, cv=pairs).fit(number, Y, treatment="t")
    # the peer penalises products as they are: they are given scaled as ours
    d = fit.residuals_[:, 1]
    basis = np.column_stack([np.ones(len(X)), X[COVARIATES] - X[COVARIATES].mean()])
    basis /= np.sqrt(np.mean(np.square(basis * d[:, None]), axis=0))
    peer = econml.SparseLinearDML(
        model_y=line, model_t=line, alpha=0.05, alpha_cov=0.05, fit_cate_intercept=False, cv=pairs, random_state=0,
        tol=1e-9, max_iter=100_000,
    )  # fmt: skip
    peer.fit(Y, number["t"], X=basis, W=X[COVARIATES].to_numpy())
    assert fit.predict(number) == pytest.approx(peer.effect(basis), abs=1e-4)
