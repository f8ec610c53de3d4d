"""Oster's delta of an effect, and tipping points."""

import numpy as np
import pandas as pd
import pytest

from pandas_causal import IPW, RegressionAdjustment
from pandas_causal.errors import CausalArgumentError, CausalError

PLAIN = RegressionAdjustment(interactions=False)


def clinic(n=500, seed=0):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, n))
    d = (0.6 * a + 0.4 * b + rng.normal(size=n) > 0).astype(int)
    return pd.DataFrame({"a": a, "b": b, "d": d, "y": 1.5 * d + a + b + rng.normal(size=n)})


def ask(frame, estimator=PLAIN, covariates=("a", "b"), **settings):
    return frame.causal.ate(
        treatment="d", outcome="y", covariates=list(covariates), estimator=estimator, **settings
    )  # fmt: skip


def test_moments_are_those_of_the_two_regressions():
    frame = clinic()
    row = ask(frame).sensitivity("oster").table.iloc[0]
    assert row["short"] == pytest.approx(frame.groupby("d")["y"].mean().diff().iloc[1])
    assert row["r2_short"] == pytest.approx(frame["y"].corr(frame["d"]) ** 2)
    X = np.column_stack([np.ones(500), frame[["a", "b", "d"]]])
    b = np.linalg.lstsq(X, frame["y"], rcond=None)[0]
    assert row["long"] == pytest.approx(b[3])
    assert row["r2_long"] == pytest.approx(1 - np.var(frame["y"] - X @ b) / np.var(frame["y"]))
    assert row["r2_max"] == pytest.approx(min(1.3 * row["r2_long"], 1))
    tau = ask(frame).estimator.selection_moments().residual_variance
    Z = X[:, :3]
    assert tau == pytest.approx(np.var(frame["d"] - Z @ np.linalg.lstsq(Z, frame["d"], rcond=None)[0]))


def test_leaving_out_a_covariate_of_like_strength_has_delta_one():
    """Two covariates of one kind, one unseen: delta 1 and the adjusted coefficient is the true one."""
    rng = np.random.default_rng(3)
    n = 200_000
    a, b = rng.normal(size=(2, n))
    d = (0.5 * a + 0.5 * b + rng.normal(size=n) > 0).astype(int)
    frame = pd.DataFrame({"a": a, "d": d, "y": 1.5 * d + a + b + rng.normal(size=n)})
    everything = np.column_stack([np.ones(n), a, b, d])
    r2 = 1 - np.var(frame["y"] - everything @ np.linalg.lstsq(everything, frame["y"], rcond=None)[0]) / frame["y"].var()
    effect = ask(frame, covariates=["a"])
    assert abs(effect.estimate - 1.5) > 0.3
    found = effect.sensitivity("oster", r2_max=r2, null=1.5)
    assert found.delta == pytest.approx(1.0, abs=0.05)
    assert found.adjusted == pytest.approx(1.5, abs=0.05)
    assert "selection on the unobserved must be" in found.summary


def test_what_has_no_delta_says_who_has():
    frame = clinic()
    for effect in (ask(frame, "regression"), ask(frame, covariates=[]), ask(frame.assign(d=np.arange(500) % 3))):
        with pytest.raises(CausalArgumentError, match="two arms with covariates"):
            effect.sensitivity("oster")
    with pytest.raises(CausalArgumentError, match="is below the R2"):
        ask(frame).sensitivity("oster", r2_max=0.1)
    with pytest.raises(CausalError, match="before it was mapped"):
        ask(frame).linear([[2.0]], ["double"]).sensitivity("oster")


def test_tipping_points_are_products():
    effect = ask(clinic(), IPW())
    found = effect.sensitivity("tipping_point", differences=[0.25, 0.5], null=0.5)
    table = found.table.reset_index()
    np.testing.assert_allclose(table["difference"] * table["tips_estimate"], effect.estimate - 0.5)
    np.testing.assert_allclose(table["difference"] * table["tips_interval"], effect.conf_low - 0.5)
    negative = ask(clinic().assign(y=lambda f: -f["y"]), IPW()).sensitivity("tipping_point", null=-0.5)
    np.testing.assert_allclose(negative.table, -effect.sensitivity("tipping_point", null=0.5).table)


def test_interval_that_holds_the_null_tips_by_nothing():
    effect = ask(clinic(), IPW())
    table = effect.sensitivity("tipping_point", null=effect.estimate - effect.std_error).table
    assert (table["tips_interval"] == 0).all()
    with pytest.raises(CausalArgumentError, match="numbers above 0"):
        effect.sensitivity("tipping_point", differences=[0])
