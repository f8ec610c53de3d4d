"""Two samples without a frame: the outcomes of two arms, or their counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.effect.effect import Effect
from pandas_causal.errors import CausalArgumentError, CausalDataError, Problem
from pandas_causal.experiments.difference_in_means import DifferenceInMeans
from pandas_causal.inputs.types import ColumnLike

__all__ = ["ab_test", "ab_test_counts"]

_MOST_ROWS = 50_000_000  # 400 MB of outcomes


def ab_test(control: ColumnLike, treated: ColumnLike, **settings: Any) -> Effect:
    """Compare the outcomes of two randomised arms: ``df.causal.ab_test`` where there is no frame.

    Parameters
    ----------
    control, treated : array-like (n0,), (n1,)
        Outcomes of the arms; numbers or booleans without missing values. A Series' name names the outcome.
    **settings
        Of :class:`DifferenceInMeans`: variance, relative, test, alternative, level, anytime_n, allocation (levels
        "control" and "treated").

    Returns
    -------
    Effect
        One row, ``treated - control``. Its rows are labelled 0, 1, ..., the control's first.

    Raises
    ------
    CausalArgumentError
        For an unknown setting.
    CausalDataError
        For missing or non-numeric outcomes, or an arm of fewer than two rows.

    Examples
    --------
    >>> effect = ab_test([1.0, 2.0, 4.0, 3.0], [7.0, 6.0, 5.0, 9.0])
    >>> effect.estimate
    4.25
    """
    arms = {"control": _column(control, "control"), "treated": _column(treated, "treated")}
    names = {str(v.name) for v in arms.values() if v.name is not None}
    outcome = pd.concat(list(arms.values()), ignore_index=True).rename(names.pop() if len(names) == 1 else "outcome")
    frame = pd.DataFrame({"arm": np.repeat(list(arms), [len(v) for v in arms.values()])})
    known = DifferenceInMeans().get_params()
    unknown = [name for name in settings if name not in known or name == "control"]
    if unknown:
        raise CausalArgumentError(
            f"ab_test of two samples has no setting {unknown[0]!r}; its settings:"
            f" {[name for name in known if name != 'control']}. Covariates, clusters and weights need a frame:"
            " df.causal.ab_test(...)"
        )
    return DifferenceInMeans(control="control", **settings).fit(frame, outcome, treatment="arm").effect()


def ab_test_counts(control: tuple[int, int], treated: tuple[int, int], **settings: Any) -> Effect:
    """Compare the shares of two randomised arms, given their counts.

    Parameters
    ----------
    control, treated : (successes, rows)
        Of each arm.
    **settings
        As in :func:`ab_test`; `variance` is "proportion" unless it says otherwise.

    Returns
    -------
    Effect
        One row, ``treated - control``, of shares.

    Raises
    ------
    CausalArgumentError
        For counts that are none, or more than 50 million rows.

    Examples
    --------
    >>> effect = ab_test_counts(control=(90, 1_000), treated=(120, 1_000), test="fisher")
    >>> round(effect.estimate, 3), round(effect.p_value, 4)
    (0.03, 0.0342)
    """
    arms = [_counts(control, "control"), _counts(treated, "treated")]
    if sum(n for _, n in arms) > _MOST_ROWS:
        raise CausalArgumentError(f"ab_test_counts takes up to {_MOST_ROWS:,} rows, got {sum(n for _, n in arms):,}")
    outcomes = [pd.Series(np.arange(n) < s, name="share") for s, n in arms]
    return ab_test(outcomes[0], outcomes[1], **{"variance": "proportion", **settings})


def _column(values: ColumnLike, name: str) -> pd.Series[Any]:
    """One arm's outcomes as a Series."""
    if isinstance(values, str) or not pd.api.types.is_list_like(values) or isinstance(values, dict | set):
        raise CausalArgumentError(f"{name} takes the outcomes of an arm, an array; got {values!r}")
    out = values if isinstance(values, pd.Series) else pd.Series(np.asarray(values).ravel())
    shape = np.asarray(values).shape
    if len(shape) != 1:
        raise CausalArgumentError(f"{name} takes one outcome a row, got an array of shape {shape}")
    if out.isna().any():
        n = int(out.isna().sum())
        raise CausalDataError(
            [Problem(name, f"{n:,} of {len(out):,} outcomes are missing", None, "leave them out, counted")]
        )
    return out


def _counts(pair: tuple[int, int], name: str) -> tuple[int, int]:
    whole = (
        isinstance(pair, tuple | list)
        and len(pair) == 2
        and all(isinstance(v, int | np.integer) and not isinstance(v, bool) for v in pair)
    )
    if not whole or not 0 <= pair[0] <= pair[1] or pair[1] < 2:
        raise CausalArgumentError(f"{name} takes (successes, rows), whole numbers with successes <= rows; got {pair!r}")
    return int(pair[0]), int(pair[1])
