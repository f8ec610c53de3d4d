"""Every level of a formula's categories, against formulaic's own matrix in which no level is left out."""

import pickle

import numpy as np
import pandas as pd
import pytest

from pandas_causal.inputs.formula import FormulaEncoder

formulaic = pytest.importorskip("formulaic", reason="formulas are an extra")


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    n = 200
    return pd.DataFrame(
        {
            "a": rng.normal(size=n),
            "b": rng.normal(size=n),
            "r": rng.choice(list("xyz"), n),
            "s": rng.choice(["u", "v"], n),
            "t": rng.choice(["k:1", "l", "m"], n),
            "site one": rng.integers(0, 3, n),
        }
    )


@pytest.mark.parametrize(
    "text",
    [
        "r", "s + a", "a * r + b", "a:r", "0 + r:a", "a:r + r", "r:s", "r * s", "a:s + a:s:r", "a:r:s + a", "a * r * s",
        "r * s * t", "(a + b + r) ** 2", "C(r):a", "a * C(r, Treatment('y'))", "a * C(`site one`)", "bs(a, df=4):r",
        "bs(a, df=4) * r", "poly(a, 2) * bs(b, df=4) * r",
    ],
)  # fmt: skip
def test_the_columns_are_those_of_a_matrix_that_leaves_none_out(frame, text):
    encoder = FormulaEncoder.fit(text, frame)
    for part in (frame, frame[:50]):
        got = encoder.every_level.on(encoder.transform(part))
        full = formulaic.Formula(text).get_model_matrix(frame, ensure_full_rank=False).to_numpy(dtype=float)
        full = full[:, (full != full[:1]).any(axis=0)][: len(part)]
        assert got.shape == full.shape
        for theirs in full.T:
            assert np.abs(got - theirs[:, None]).max(axis=0).min() < 1e-12
        for ours in got.T:
            assert np.abs(full - ours[:, None]).max(axis=0).min() < 1e-12
    assert len(set(encoder.every_level.names)) == len(encoder.every_level.names)
    again = pickle.loads(pickle.dumps(encoder))
    assert again.every_level.columns == encoder.every_level.columns


def test_cells_without_rows_have_no_column(frame):
    sparse = frame[~((frame["r"] == "x") & (frame["s"] == "u"))]
    names = FormulaEncoder.fit("r * s", sparse).every_level.names
    assert "r[T.x]:s[T.u]" not in names
    renamed = sparse.assign(r=sparse["r"].map({"x": "z", "y": "x", "z": "y"}), s=sparse["s"].map({"u": "v", "v": "u"}))
    assert len(FormulaEncoder.fit("r * s", renamed).every_level.names) == len(names)


def test_other_contrasts_keep_their_columns(frame):
    encoder = FormulaEncoder.fit("C(r, contr.sum) * a", frame)
    assert list(encoder.every_level.names) == encoder.names


def test_a_category_of_two_levels_is_one_column_of_a_distance(frame):
    assert FormulaEncoder.fit("s + a", frame).for_distances.names == ("s[T.v]", "a")
    assert FormulaEncoder.fit("s:a", frame).for_distances.names == ("s[u]:a", "s[v]:a")
