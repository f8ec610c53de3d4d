"""Sets of effects from p-values alone."""

import numpy as np
import pytest

from pandas_causal.inference.inversion import accepted_pieces


def test_pieces_of_a_set():
    def two_pieces(value):
        return 0.5 if 1 <= value <= 2 or -3 <= value <= -2.5 else 0.01

    pieces = accepted_pieces(two_pieces, 1.5, 1.0, 0.05)
    np.testing.assert_allclose(pieces, [(-3, -2.5), (1, 2)], atol=1e-6)
    assert accepted_pieces(lambda _: 1.0, 0.0, 1.0, 0.05) == [(-np.inf, np.inf)]
    assert accepted_pieces(lambda _: 0.0, 0.0, 1.0, 0.05) == []
    holed = accepted_pieces(lambda v: 0.01 if abs(v) < 0.01 else 0.9, 5.0, 1.0, 0.05)  # zero is always tried
    assert len(holed) == 2
    assert holed[0][1] == pytest.approx(-0.01)
