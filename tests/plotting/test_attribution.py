"""Pictures of attributions: bars, waterfall, arrows by strength."""

import numpy as np
import pandas as pd
import pytest

from pandas_causal import plotting
from pandas_causal.errors import CausalArgumentError
from tests.structural.chains import exact_chain, known_chain

matplotlib = pytest.importorskip("matplotlib", reason="pictures are drawn")
matplotlib.use("Agg")

TABLE = pd.DataFrame(
    {"estimate": [1.0, -3.0, 0.5], "conf_low": [0.5, -4.0, -0.5], "conf_high": [1.5, -2.0, 1.5]}, index=list("abc")
)


def bars_of(ax):
    return [(p.get_x(), p.get_width()) for p in ax.patches]


def test_bars_are_the_table_with_the_largest_at_the_top():
    ax = plotting.bars(TABLE)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["b", "a", "c"]
    assert ax.get_yticks()[0] == max(ax.get_yticks())
    assert bars_of(ax) == [(0, -3.0), (0, 1.0), (0, 0.5)]
    ends = np.concatenate([c.get_segments() for c in ax.collections])[:, :, 0]
    np.testing.assert_allclose(ends, [[-4, -2], [0.5, 1.5], [-0.5, 1.5]])
    assert ax.patches[0].get_facecolor() != ax.patches[1].get_facecolor()


def test_many_bars_are_the_largest_and_say_so():
    table = pd.concat([TABLE] * 20, ignore_index=True)
    ax = plotting.bars(table)
    assert len(ax.patches) == 30
    assert "30 largest of 60 rows" in ax.get_xlabel()


def test_a_waterfall_leads_from_start_to_end():
    table = pd.DataFrame({"value": [10.0, 3.0, -1.0, 12.0]}, index=["before", "a", "b", "after"])
    ax = plotting.waterfall(table)
    assert bars_of(ax) == [(10.0, 3.0), (13.0, -1.0)]
    assert [t.get_text() for t in ax.texts] == ["10.00", "+3.00", "-1.00", "12.00"]
    of_row = plotting.waterfall(pd.DataFrame({"attribution": [2.0, 1.0]}, index=["a", "b"]))
    assert bars_of(of_row) == [(0.0, 2.0), (2.0, 1.0)]
    assert of_row.get_yticklabels()[-1].get_text() == "sum"


def test_arrows_are_as_wide_as_their_share():
    table = pd.DataFrame({"parent": ["a", "b"], "child": ["b", "c"], "share": [0.1, 0.9]})
    ax = plotting.strengths(table)
    widths = [p.get_linewidth() for p in ax.patches]
    assert widths[1] > widths[0]
    assert {t.get_text() for t in ax.texts} == {"a", "b", "c"}


def test_effects_know_their_pictures():
    df = exact_chain(100)
    model = known_chain(df)
    change = model.attribute_change(df, exact_chain(100, 1, mean=1.0), "x3", n_draws=10)
    assert len(change.plot().patches) == 3
    assert bars_of(change.plot("waterfall"))[0][0] == pytest.approx(0.0, abs=1e-9)
    strength = model.arrow_strength(n_draws=10)
    assert len(strength.plot("strengths").texts) == 3
    assert len(model.intrinsic_influence("x3", n_draws=10).plot().patches) == 3
    with pytest.raises(CausalArgumentError, match="needs the diagnostic 'waterfall'"):
        strength.plot("waterfall")
    odd = model.attribute_anomaly(df.iloc[[0]], "x3", n_samples=200)
    assert len(plotting.waterfall(odd.loc[df.index[0]]).patches) == 3


@pytest.mark.parametrize("draw", [plotting.bars, plotting.waterfall, plotting.strengths])
def test_other_tables_are_refused(draw):
    with pytest.raises(CausalArgumentError, match="has no columns"):
        draw(pd.DataFrame({"x": [1.0]}))
    with pytest.raises(CausalArgumentError, match="expected a DataFrame"):
        draw([1.0])
