"""The pictures of designs with instruments draw what their tables hold."""

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")

from pandas_causal import causal
from pandas_causal.errors import CausalArgumentError
from pandas_causal.plotting import anderson_rubin, binned_instrument, plausible_exogeneity
from tests.instruments.designs import COVARIATES, linear

FRAME = linear()


@pytest.fixture(scope="module")
def effect():
    return causal(FRAME).iv(treatment="d", outcome="y", instrument=["z1", "z2"], covariates=COVARIATES)


@pytest.mark.parametrize(("kind", "source", "slope"), [("first_stage", 1, 1.0), ("reduced_form", 0, None)])
def test_binned_means(effect, kind, source, slope):
    ax = effect.plot(kind)
    table = effect.diagnostics[f"{kind}_bins"].table
    points = next(line for line in ax.lines if line.get_marker() == "o")
    np.testing.assert_allclose(points.get_ydata(), table["mean"])
    assert table["n"].sum() == len(FRAME)
    assert np.average(table["mean"], weights=table["n"]) == pytest.approx(FRAME["d" if source else "y"].mean())
    rise = np.polyfit(table["instrument"], table["fit"], 1)[0]
    assert rise == pytest.approx(effect.estimate if slope is None else slope, rel=1e-8)


def test_bins_of_a_binary_instrument_are_its_values():
    two = FRAME.assign(z1=(FRAME["z1"] > 0).astype(int))
    table = causal(two).iv(treatment="d", outcome="y", instrument="z1").diagnostics["first_stage_bins"].table
    assert table["instrument"].tolist() == pytest.approx([0, 1])
    assert table["mean"].tolist() == pytest.approx(two.groupby("z1")["d"].mean().tolist())
    assert table["fit"].tolist() == pytest.approx(table["mean"].tolist())


def test_the_curve_crosses_the_level_at_the_ends_of_the_set(effect):
    ax = effect.plot("anderson_rubin")
    assert len(ax.get_legend().get_texts()) == 3
    table = effect.diagnostics["anderson_rubin"].table
    inside = table.loc[table["ar"] > 0.05, "coefficient"]
    low, high = effect.confidence_set().iloc[0]
    step = np.diff(table["coefficient"]).max()
    assert low <= inside.min() <= low + step
    assert high - step <= inside.max() <= high
    single = causal(FRAME).iv(treatment="d", outcome="y", instrument="z1", covariates=COVARIATES)
    assert set(single.diagnostics["anderson_rubin"].table.columns) == {"coefficient", "ar"}
    single.plot("anderson_rubin")


def test_the_band(effect):
    table = effect.estimator.plausible_exogeneity([0.05, 0.1]).table
    ax = plausible_exogeneity(table)
    np.testing.assert_allclose(ax.lines[1].get_ydata(), table.loc["d", "conf_low"])
    assert (np.diff(table.loc["d", "conf_low"]) <= 1e-12).all()
    assert (np.diff(table.loc["d", "conf_high"]) >= -1e-12).all()


def test_wrong_tables_and_kinds(effect):
    for draw in (binned_instrument, anderson_rubin, plausible_exogeneity):
        with pytest.raises(CausalArgumentError, match="the picture draws"):
            draw(effect.table)
    pair = causal(FRAME).iv(treatment=["d", "d2"], outcome="y", instrument=["z1", "z2", "z3"], covariates=COVARIATES)
    with pytest.raises(CausalArgumentError, match="needs the diagnostic 'first_stage_bins'"):
        pair.plot("first_stage")
    pair.plot("anderson_rubin")
