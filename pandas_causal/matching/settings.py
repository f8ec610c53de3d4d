"""What a match was asked for, checked before anything is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.errors import CausalArgumentError, suggest
from pandas_causal.inputs.column_rules import is_numeric
from pandas_causal.matching.distances import DISTANCES

__all__ = ["MatchSettings", "check_against", "read_settings"]


def read_settings(estimator: Any) -> MatchSettings:
    """Read the settings of a :class:`Matching`.

    Raises
    ------
    CausalArgumentError
        For a wrong one, naming the legal ones, and for those that contradict each other.
    """
    estimator.check_settings()
    distance = estimator.distance
    is_model = not isinstance(distance, str | type) and hasattr(distance, "fit") and hasattr(distance, "predict_proba")
    if not is_model and not (isinstance(distance, str) and distance in DISTANCES):
        raise CausalArgumentError(
            f"distance must be one of {list(DISTANCES)} or a scikit-learn classifier with predict_proba(); got"
            f" {distance!r}"
        )
    settings = MatchSettings(
        estimator.method,
        "propensity" if is_model else distance,
        _ratio(estimator.ratio),
        bool(estimator.replace),
        _caliper(estimator.caliper),
        _exact(estimator.exact),
        estimator.order,
        estimator.discard,
        estimator.n_subclasses,
        _cutpoints(estimator.cutpoints),
    )
    _check_together(settings, estimator.estimand)
    return settings


def _whole(value: Any, least: int) -> bool:
    return bool(isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= least)


def _positive(value: Any) -> bool:
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return bool(number and 0 < value < np.inf)


def _ratio(ratio: Any) -> tuple[int, int]:
    if _whole(ratio, 1):
        return 1, int(ratio)
    if (
        isinstance(ratio, tuple | list)
        and len(ratio) == 2
        and all(_whole(v, 1) for v in ratio)
        and ratio[0] <= ratio[1]
    ):
        return int(ratio[0]), int(ratio[1])
    raise CausalArgumentError(f"ratio must be a whole number of at least 1, or (least, most); got {ratio!r}")


def _caliper(caliper: Any) -> Mapping[Any, float]:
    if caliper is None:
        return {}
    if _positive(caliper):
        return {"propensity": float(caliper)}
    if isinstance(caliper, Mapping) and caliper and all(_positive(v) for v in caliper.values()):
        return {name: float(caliper[name]) for name in sorted(caliper, key=lambda c: (c != "propensity", str(c)))}
    raise CausalArgumentError(
        "caliper must be None, a positive number of standard deviations of the logit propensity, or a mapping of"
        f" covariates (or 'propensity') to such numbers; got {caliper!r}"
    )


def _exact(exact: Any) -> Sequence[Any]:
    if exact is None:
        return []
    if isinstance(exact, list | tuple | pd.Index) and all(pd.api.types.is_hashable(name) for name in exact):
        return list(exact)
    raise CausalArgumentError(f"exact must be None or a list of covariates: [{exact!r}]")


def _cutpoints(cutpoints: Any) -> Any:
    def legal(value: Any) -> bool:
        if _whole(value, 0):
            return True
        listed = isinstance(value, list | tuple | np.ndarray) and len(value) > 0
        return listed and all(isinstance(v, int | float | np.number) and np.isfinite(v) for v in value)

    named = isinstance(cutpoints, Mapping) and all(legal(v) for v in cutpoints.values())
    if cutpoints is None or _whole(cutpoints, 1) or named:
        return cutpoints
    raise CausalArgumentError(
        "cutpoints must be None, a whole number of bins of at least 1, or a mapping of covariates to numbers of bins"
        f" (0: exactly equal) or lists of points; got {cutpoints!r}"
    )


def _check_together(settings: MatchSettings, estimand: str) -> None:
    """Refuse settings that no match can meet together."""
    alone = settings.method == "pair" or (settings.method == "nearest" and not settings.replace)
    if alone and estimand == "ATE":
        raise CausalArgumentError(
            "estimand='ATE' needs a match for every row of both arms, which pairs without replacement cannot give; use"
            " replace=True or method='full'"
        )
    if settings.method in ("full", "cem", "subclass") and settings.ratio != (1, 1):
        raise CausalArgumentError(f"ratio= has no meaning for method={settings.method!r}, whose sets are of any size")
    if settings.method in ("cem", "subclass") and settings.caliper:
        raise CausalArgumentError(
            f"caliper= has no meaning for method={settings.method!r}: rows of a stratum are equally good"
        )
    if settings.cutpoints is not None and settings.method != "cem":
        raise CausalArgumentError(
            f"cutpoints= has no meaning for method={settings.method!r}, which cuts nothing into bins; use method='cem'"
        )
    if settings.order != "largest" and (settings.method != "nearest" or settings.replace):
        raise CausalArgumentError(
            f"order={settings.order!r} has no meaning where rows do not choose one after another; it needs"
            " method='nearest' and replace=False"
        )


def check_against(settings: MatchSettings, frame: pd.DataFrame, n_arms: int, estimand: str) -> None:
    """Check the settings that name covariates, and those that depend on the number of arms.

    Raises
    ------
    CausalArgumentError
        For a name that is no covariate, or none that a caliper can be put on.
    """
    for setting, names in (("exact", settings.exact), ("caliper", [c for c in settings.caliper if c != "propensity"])):
        for name in names:
            if name not in frame.columns:
                raise CausalArgumentError(
                    f"{setting} names {name!r}, which is no covariate{suggest(name, frame.columns)}; covariates:"
                    f" {list(frame.columns)[:8]}"
                )
            if setting == "caliper" and not is_numeric(frame[name]):
                raise CausalArgumentError(f"caliper: {name!r} is categorical; name it in exact= instead")
    if settings.method in ("full", "cem", "subclass") and n_arms > 2 and estimand == "ATE":
        raise CausalArgumentError(
            f"method={settings.method!r} has no ATE of several arms; use method='nearest', or estimand='ATT' for every"
            " arm beside the control"
        )


@dataclass(frozen=True, eq=False)
class MatchSettings:
    """What :class:`Matching` was asked for.

    Attributes
    ----------
    method : {"nearest", "pair", "full", "cem", "subclass"}
    distance : {"propensity", "mahalanobis", "robust_mahalanobis", "euclidean"}
    ratio : (low, high)
    replace : bool
    caliper : mapping of name to standard deviations; "propensity" means its logit
    exact : sequence of names
    order, discard, n_subclasses, cutpoints : as in :class:`Matching`
    """

    method: str
    distance: str
    ratio: tuple[int, int]
    replace: bool
    caliper: Mapping[Any, float]
    exact: Sequence[Any]
    order: str
    discard: str | None
    n_subclasses: int
    cutpoints: Any

    @property
    def on_propensity(self) -> bool:
        """Whether rows are matched on their propensity."""
        return self.method == "subclass" or (self.method != "cem" and self.distance == "propensity")

    @property
    def needs_propensity(self) -> bool:
        """Whether a distance, a caliper or what is discarded asks for a propensity."""
        return self.on_propensity or "propensity" in self.caliper or self.discard is not None
