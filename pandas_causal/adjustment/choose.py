"""The estimators of an average effect that a short name stands for."""

from __future__ import annotations

from typing import Any

from pandas_causal.errors import CausalArgumentError

__all__ = ["named_estimator", "with_settings"]


def named_estimator(estimator: Any, estimand: str | None, control: Any) -> Any:
    """Return the estimator of a short name, or a clone of the instance given, with the call's estimand and control.

    Raises
    ------
    CausalArgumentError
        For anything else, naming what is known.
    """
    from pandas_causal.estimators import AIPW, IPW, TMLE, RegressionAdjustment

    classes = {"aipw": AIPW, "ipw": IPW, "regression": RegressionAdjustment, "tmle": TMLE}
    if isinstance(estimator, str) and estimator in classes:
        return with_settings(classes[estimator](), estimand, control)
    if isinstance(estimator, str | type) or not hasattr(estimator, "fit"):
        raise CausalArgumentError(
            f"estimator={estimator!r} is not known; use one of {list(classes)} or an instance, e.g. AIPW()"
        )
    return with_settings(estimator, estimand, control)


def with_settings(estimator: Any, estimand: str | None, control: Any) -> Any:
    """Clone an estimator with the estimand and control that a call asks for."""
    from sklearn.base import clone

    chosen = clone(estimator)
    asked = {name: value for name, value in (("estimand", estimand), ("control", control)) if value is not None}
    absent = [name for name in asked if name not in chosen.get_params()]
    if absent:
        raise CausalArgumentError(f"{type(chosen).__name__} has no setting {absent[0]!r}")
    return chosen.set_params(**asked)
