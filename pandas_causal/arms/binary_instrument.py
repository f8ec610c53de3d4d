"""An instrument of two values, read beside a treatment of two arms."""

from __future__ import annotations

import pandas as pd

from pandas_causal.arms.sample import Sample
from pandas_causal.errors import CausalArgumentError, CausalDataError, Problem
from pandas_causal.inputs.arms import Arms, resolve_arms

__all__ = ["binary_instrument"]


def binary_instrument(sample: Sample, taker: str, instead: str) -> Arms:
    """The instrument as two arms; treatment and instrument of more levels are refused.

    Parameters
    ----------
    sample : Sample
    taker : str
        Name of the estimator, for messages.
    instead : str
        What takes more levels.

    Raises
    ------
    CausalArgumentError
        For several instruments.
    CausalDataError
        For other than two levels.
    """
    given = sample.inputs.roles["instrument"]
    if isinstance(given, pd.DataFrame):
        raise CausalArgumentError(
            f"{taker} takes one binary instrument, and {given.shape[1]} were given; combine them, or use"
            " InstrumentalVariables"
        )
    moved = resolve_arms(given)
    problems = [
        Problem(
            str(name), f"has {len(arms)} levels, and {taker} takes two", None, f"compare two levels, or use {instead}"
        )
        for name, arms in ((given.name, moved), (sample.treatment, sample.arms))
        if len(arms) != 2
    ]
    if problems:
        raise CausalDataError(problems)
    return moved
