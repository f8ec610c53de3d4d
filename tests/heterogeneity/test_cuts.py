"""Cuts say on which side every value of the data lies."""

import numpy as np
import pytest

from pandas_causal.heterogeneity.cuts import cut_in_words


@pytest.mark.parametrize(
    ("low", "above", "words"),
    [
        (0.1, 0.2, "0.1"),
        (0.27344, 0.28, "0.2735"),
        (100001.0, 100002.0, "100001"),
        (100001.2, 100001.7, "100001.2"),
        (-1.23456, np.inf, "-1.234"),
        (3.0, 3.0 + 4e-16, "3"),
    ],
)
def test_as_many_digits_as_tell_neighbours_apart(low, above, words):
    assert cut_in_words(low, above) == words


def test_the_cut_between_is_what_is_rounded():
    assert cut_in_words(1.0, 2.0, 1.5) == "1.5"
    assert cut_in_words(1.00001, 1.00003, 1.00002) == "1.00002"
