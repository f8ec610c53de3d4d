"""Published tables that are made of regression coefficients and of the parametric g-formula."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

from pandas_causal import RegressionAdjustment, bootstrap
from pandas_causal.errors import OverlapWarning
from tests.reference_data import REFERENCE

pytestmark = pytest.mark.published

PLAIN = RegressionAdjustment(interactions=False)
QUIT = {"treatment": "qsmk", "outcome": "wt82_71"}
MODEL = (
    "sex + race + age + I(age ** 2) + C(education) + smokeintensity + I(smokeintensity ** 2) + smokeyrs"
    " + I(smokeyrs ** 2) + C(exercise) + C(active) + wt71 + I(wt71 ** 2)"
)


@pytest.fixture(scope="module")
def nhefs():
    causaldata = pytest.importorskip("causaldata", reason="the data of Hernan and Robins come with causaldata")
    raw = causaldata.nhefs_complete.load_pandas().data
    categories = ["qsmk", "sex", "race", "education", "exercise", "active"]
    numbers = ["wt82_71", "age", "smokeintensity", "smokeyrs", "wt71"]
    return raw[[*categories, *numbers]].astype(dict.fromkeys(categories, int) | dict.fromkeys(numbers, float))


def test_nhefs_outcome_regression_without_product(nhefs):
    """Hernan and Robins (2020), chapter 15.1: 3.5 (95% 2.6, 4.3), least squares' own error."""
    effect = nhefs.causal.ate(**QUIT, formula=MODEL, estimator=PLAIN)
    assert round(effect.estimate, 1) == 3.5
    theirs = smf.ols(f"wt82_71 ~ qsmk + {MODEL}", nhefs)
    assert effect.estimate == pytest.approx(theirs.fit().params["qsmk"], rel=1e-8)
    assert effect.std_error == pytest.approx(theirs.fit(cov_type="HC2").bse["qsmk"], rel=1e-7)
    assert theirs.fit().conf_int().loc["qsmk"].round(1).tolist() == [2.6, 4.3]


def test_nhefs_outcome_regression_with_product(nhefs):
    """The same, with the product: 2.8 (1.5, 4.1) at 5 cigarettes a day, 4.4 (2.8, 6.1) at 40."""
    estimator = RegressionAdjustment(interactions=["smokeintensity"])
    fitted = nhefs.causal.ate(**QUIT, formula=MODEL, estimator=estimator).estimator
    for cigarettes, printed in ((5, 2.8), (40, 4.4)):
        at = fitted.effect(nhefs[:1].assign(smokeintensity=cigarettes))
        assert round(at.estimate, 1) == printed


def test_nhefs_standardised_means(nhefs):
    """Chapter 13.3 and its program: 5.2736 and 1.7562, a difference of 3.5 (95% by the bootstrap 2.6, 4.5)."""
    estimator = RegressionAdjustment(interactions=["smokeintensity"], formula=MODEL)
    effect = nhefs.causal.ate(**QUIT, formula=MODEL, estimator=estimator)
    assert effect.estimate == pytest.approx(3.52, abs=0.005)
    assert effect.parameters.estimates.round(4).tolist() == [1.7562, 5.2736]
    assert [round(effect.conf_low, 1), round(effect.conf_high, 1)] == [2.6, 4.5]
    theirs = smf.ols(f"wt82_71 ~ qsmk + qsmk:smokeintensity + {MODEL}", nhefs).fit()
    means = [theirs.predict(nhefs.assign(qsmk=arm)).mean() for arm in (0, 1)]
    np.testing.assert_allclose(effect.parameters.estimates, means, rtol=1e-8)


@pytest.mark.slow
def test_nhefs_bootstrap_of_the_standardised_difference(nhefs):
    estimator = RegressionAdjustment(interactions=["smokeintensity"], formula=MODEL)
    effect = nhefs.causal.ate(**QUIT, formula=MODEL, estimator=estimator)
    X = nhefs.drop(columns="wt82_71")
    drawn = bootstrap(estimator, X, nhefs["wt82_71"], treatment="qsmk", n_draws=400, progress=False)
    assert drawn.std_error == pytest.approx(effect.std_error, rel=0.12)


def test_lalonde_coefficient():
    """Least squares on the data of MatchIt: 1,548.24, with the classical error 781.28."""
    path = REFERENCE / "peers" / "lalonde" / "lalonde.csv"
    if not path.exists():
        pytest.skip("the data of MatchIt are not ours to ship")
    frame = pd.read_csv(path)
    names = ["age", "educ", "race", "married", "nodegree", "re74", "re75"]
    effect = frame.causal.ate(treatment="treat", outcome="re78", covariates=names, estimator=PLAIN)
    theirs = smf.ols("re78 ~ treat + age + educ + race + married + nodegree + re74 + re75", frame)
    assert effect.estimate == pytest.approx(1548.24, abs=0.005)
    assert theirs.fit().bse["treat"] == pytest.approx(781.28, abs=0.005)
    assert effect.std_error == pytest.approx(theirs.fit(cov_type="HC2").bse["treat"], rel=1e-7)
    assert (effect.estimator.weights_ < 0).sum() == effect.diagnostics["weights"].table["negative"].sum()
    assert effect.diagnostics["weights"].table["negative"].sum() > 50


def test_darfur_coefficient_with_village_effects():
    """Cinelli and Hazlett (2020), Table 1: .097 with the classical error .023, within 486 villages."""
    sensemakr = pytest.importorskip("sensemakr", reason="pip install --no-deps PySensemakr has the survey")
    frame = sensemakr.data.load_darfur()
    names = ["age", "farmer_dar", "herder_dar", "pastvoted", "hhsize_darfur", "female", "village"]
    assert frame["village"].nunique() == 486
    with pytest.warns(OverlapWarning, match=r"in categories \(village\)"):
        effect = frame.causal.ate(treatment="directlyharmed", outcome="peacefactor", covariates=names, estimator=PLAIN)
    assert effect.estimate == pytest.approx(0.0973, abs=0.00005)
    theirs = smf.ols(f"peacefactor ~ directlyharmed + {' + '.join(names)}", frame).fit()
    assert theirs.bse["directlyharmed"] == pytest.approx(0.0233, abs=0.00005)
    assert effect.estimate == pytest.approx(theirs.params["directlyharmed"], rel=1e-8)
    # HC2 as its formula has it: statsmodels divides by 1 - h, which is 0 in villages of one row
    column = list(theirs.params.index).index("directlyharmed")
    h = theirs.get_influence().hat_matrix_diag
    own = np.where(h < 1 - 1e-8, theirs.resid / np.sqrt(np.where(h < 1 - 1e-8, 1 - h, 1.0)), 0.0)
    expected = np.sqrt(np.square(np.linalg.pinv(theirs.model.exog)[column] * own).sum())
    assert effect.std_error == pytest.approx(expected, rel=1e-6)
