"""Cuts of numbers in words: no more digits than tell them from the data beside them."""

from __future__ import annotations

from decimal import ROUND_CEILING, Context, Decimal

__all__ = ["cut_in_words"]

_DIGITS = 4
_ALL = 17


def cut_in_words(low: float, above: float, cut: float | None = None) -> str:
    """A number that splits data as a cut does, in four digits or as many more as it needs.

    Parameters
    ----------
    low : float
        Largest value of the data that lies at or below the cut.
    above : float
        Smallest value beyond it.
    cut : float, optional
        In [low, above): what is rounded; `low` by default.
    """
    exact = low if cut is None else cut
    for digits in range(_DIGITS, _ALL):
        up = float(Context(prec=digits, rounding=ROUND_CEILING).create_decimal(Decimal(repr(float(exact)))))
        for number in (exact, up):
            text = f"{number:.{digits}g}"
            if low <= float(text) < above:
                return text
    return repr(float(exact))
