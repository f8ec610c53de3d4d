"""Effects before treatment, where there should be none: a joint test of parallel trends in the periods before."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from pandas_causal.check import Check
from pandas_causal.diagnostics.pre_trend_power import pre_trend_power
from pandas_causal.errors import CausalDataError, CausalError, CausalWarning

__all__ = ["pre_trends", "trend_checks"]

_LEVEL = 0.05


def trend_checks(effect: Any, anticipation: int = 0) -> dict[str, Callable[[], Check]]:
    """Checks of the periods before treatment, computed when read; the test's power where one reference period allows.

    Parameters
    ----------
    effect : Effect
        One row per event time, or with a weighting "event" that leads there.
    anticipation : int
        Periods before treatment in which effects may be.
    """
    checks: dict[str, Callable[[], Check]] = {"pre_trends": partial(pre_trends, effect, anticipation)}
    return checks if effect.reference_rows is None else {**checks, "pre_trend_power": partial(_power, effect)}


def _power(effect: Any) -> Check:
    try:
        return pre_trend_power(_by_event(effect))
    except CausalError as error:
        return Check(None, effect.table.iloc[:0], f"power cannot be computed: {error}")


def _by_event(effect: Any) -> Any:
    """Rows by event time; what is weak about them was said when the effect was estimated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CausalWarning)
        return effect.aggregate("event") if "event" in effect.weightings else effect


def pre_trends(effect: Any, anticipation: int = 0) -> Check:
    """Test that all effects before treatment (and anticipation) are zero at once.

    Parameters
    ----------
    effect : Effect
        One row per event time, or with a weighting "event" that leads there.
    anticipation : int
        Periods before treatment in which effects may be.

    Returns
    -------
    Check
        The table holds the effects before treatment. A test that does not reject is no proof of parallel trends: its
        power is that of the periods at hand.

    References
    ----------
    Roth (2022), "Pretest with caution", American Economic Review: Insights, on what passing the test does not show.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CausalWarning)
        return _tested(_by_event(effect), anticipation)


def _tested(events: Any, anticipation: int) -> Check:
    at = np.array([int(e) for e in events.estimates.index])
    before = at < -anticipation
    if events.reference_rows is not None:
        before &= ~events.reference_rows
    table = events.table[before]
    if not before.any():
        return Check(None, table, "there is no period before treatment to test, besides the base period")
    known = before & np.isfinite(events.table["std_error"].to_numpy()) & (events.table["std_error"].to_numpy() > 0)
    try:
        test = events[known].test_zero()
    except CausalDataError as error:
        return Check(None, table, f"cannot be tested: {error}")
    law = f"chi2({test.df_num})" if np.isinf(test.df_denom) else f"F({test.df_num}, {test.df_denom:g})"
    p = "p < 0.001" if test.p_value < 0.001 else f"p = {test.p_value:.3f}"
    n = int(known.sum())
    summary = f"{n} effect{'s' if n != 1 else ''} before treatment, jointly zero: {law} = {test.statistic:.2f}, {p}"
    return Check(bool(test.p_value >= _LEVEL), table, summary)
