"""Settings of estimators: one name has one meaning and one check, whichever class takes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pandas_causal.errors import CausalArgumentError

__all__ = ["check_choices", "check_settings"]


def _whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _number(value: Any) -> bool:
    return _whole(value) or isinstance(value, float | np.floating)


def _share(value: Any) -> bool:
    return _number(value) and 0 <= value < 0.5


LEGAL: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "n_repeats": (lambda v: _whole(v) and v >= 1, "a whole number of at least 1"),
    "clip": (_share, "a number in [0, 0.5)"),
    "trim": (lambda v: v is None or _share(v), "None or a number in [0, 0.5)"),
    "level": (lambda v: _number(v) and 0 < v < 1, "a number between 0 and 1, e.g. 0.95"),
    "random_state": (lambda v: v is None or (_whole(v) and v >= 0), "None or a whole number of at least 0"),
    "n_jobs": (lambda v: v is None or (_whole(v) and v != 0), "None or a whole number other than 0"),
    "relative": (lambda v: isinstance(v, bool | np.bool_), "True or False"),
    "by_cutoff": (lambda v: isinstance(v, bool | np.bool_), "True or False"),
    "sharp_bandwidth": (lambda v: isinstance(v, bool | np.bool_), "True or False"),
    "donut": (lambda v: _number(v) and 0 <= v < np.inf, "a distance from the cutoff, 0 or more"),
    "matches": (lambda v: _whole(v) and v >= 1, "a whole number of at least 1"),
    "n_draws": (lambda v: _whole(v) and v >= 10, "a whole number of at least 10"),
    "min_rows": (lambda v: _whole(v) and v >= 2, "a whole number of at least 2"),
    "add_rows": (lambda v: _whole(v) and v >= 1, "a whole number of at least 1"),
    "n_windows": (lambda v: _whole(v) and v >= 1, "a whole number of at least 1"),
    "balance_level": (lambda v: _number(v) and 0 <= v < 1, "a number in [0, 1)"),
    "by_period": (lambda v: isinstance(v, bool | np.bool_), "True or False"),
    "pooled": (lambda v: isinstance(v, bool | np.bool_), "True or False"),
    "folds": (lambda v: _whole(v) and v >= 2, "a whole number of at least 2"),
    "n_penalties": (lambda v: _whole(v) and v >= 2, "a whole number of at least 2"),
    "penalty": (
        lambda v: v == "cv" if isinstance(v, str) else _number(v) and 0 < v < np.inf,
        "'cv' or a number above 0",
    ),
    "ridge": (lambda v: v == "cv" if isinstance(v, str) else _number(v) and 0 < v < np.inf, "'cv' or a number above 0"),
    "zeta": (lambda v: v is None or (_number(v) and 0 <= v < np.inf), "None or a number of 0 or more"),
    "anticipation": (lambda v: _whole(v) and v >= 0, "a whole number of periods, 0 or more"),
    "pre_periods": (lambda v: v is None or (_whole(v) and v >= 0), "None or a whole number of periods, 0 or more"),
    "post_periods": (lambda v: _whole(v) and v >= 0, "a whole number of periods, 0 or more"),
    "leave_out": (lambda v: isinstance(v, bool | np.bool_), "True or False"),
    "replace": (lambda v: isinstance(v, bool | np.bool_), "True or False"),
    "bias_adjust": (lambda v: isinstance(v, bool | np.bool_), "True or False"),
    "n_subclasses": (lambda v: _whole(v) and v >= 2, "a whole number of at least 2"),
    "variance_matches": (lambda v: _whole(v) and v >= 1, "a whole number of at least 1"),
    "moments": (lambda v: _whole(v) and 1 <= v <= 3, "1, 2 or 3"),
    "interactions": (lambda v: isinstance(v, bool | np.bool_), "True or False"),
    "over_identified": (lambda v: isinstance(v, bool | np.bool_), "True or False"),
    "tolerance": (lambda v: _number(v) and 0 <= v < np.inf, "a number of standard deviations, 0 or more"),
    "anytime_n": (lambda v: v is None or (_whole(v) and v > 0), "None or the number of rows planned for"),
}


def check_settings(settings: Mapping[str, Any]) -> None:
    """Check the settings that mean the same in every class.

    Raises
    ------
    CausalArgumentError
        For a wrong one, naming the legal ones.
    """
    for name, value in settings.items():
        legal, words = LEGAL.get(name, (None, ""))
        if legal is not None and not legal(value):
            raise CausalArgumentError(f"{name} must be {words}; got {value!r}")


def check_choices(estimator: Any, legal: Mapping[str, tuple[str, ...]]) -> None:
    """Check the settings of an estimator that are one of a few words.

    Raises
    ------
    CausalArgumentError
        For a wrong one, naming the legal ones.
    """
    for name, words in legal.items():
        value = getattr(estimator, name)
        if not isinstance(value, str) or value not in words:
            raise CausalArgumentError(f"{name}={value!r} is not known; use one of {list(words)}")
