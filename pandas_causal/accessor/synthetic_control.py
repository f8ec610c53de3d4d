"""Questions to a panel in which few units are treated: a comparison made of weighted untreated ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pandas_causal.accessor.base import Questions, names
from pandas_causal.effect.effect import Effect
from pandas_causal.errors import CausalArgumentError

__all__ = ["SyntheticQuestions"]

_SHORT: dict[str, tuple[str, dict[str, Any]]] = {
    "sdid": ("SyntheticDiD", {}),
    "sc": ("SyntheticControl", {}),
    "augmented": ("AugmentedSyntheticControl", {}),
    "mcnnm": ("MatrixCompletion", {}),
    "did": ("SyntheticDiD", {"unit_weights": "equal", "time_weights": "equal"}),
}


class SyntheticQuestions(Questions):
    """What treatment changed for few treated units, beside a synthetic comparison."""

    def synthetic_control(
        self,
        *,
        outcome: Any,
        unit: Any,
        time: Any,
        treatment: Any = None,
        cohort: Any = None,
        covariates: Sequence[Any] | None = None,
        estimator: Any = "sdid",
        inference: str | None = None,
        by_period: bool | None = None,
        level: float | None = None,
        missing: str = "raise",
    ) -> Effect:
        """Effect on few treated units; the estimator "sdid", "sc", "augmented", "mcnnm", "did" or an instance.

        Example: ``df.causal.synthetic_control(outcome="packs", unit="state", time="year", treatment="treated")``;
        `covariates` are predictors of "sc". See :class:`SyntheticDiD`, :class:`SyntheticControl`,
        :class:`AugmentedSyntheticControl`, :class:`MatrixCompletion`.
        """
        asked = {"inference": inference, "by_period": by_period, "level": level}
        return self._fit(
            _estimator(estimator, {name: value for name, value in asked.items() if value is not None}),
            treatment=treatment,
            outcome=outcome,
            covariates=names([] if covariates is None else covariates),
            unit=unit,
            time=time,
            cohort=cohort,
            missing=missing,
        )


def _estimator(estimator: Any, settings: dict[str, Any]) -> Any:
    """Return the estimator of a short name, or a copy of the instance, with the settings of the call."""
    from sklearn.base import clone

    from pandas_causal import estimators

    if isinstance(estimator, str) and estimator in _SHORT:
        name, own = _SHORT[estimator]
        return getattr(estimators, name)(**own, **settings)
    if isinstance(estimator, str | type) or not hasattr(estimator, "fit"):
        raise CausalArgumentError(
            f"estimator={estimator!r} is not known; use one of {list(_SHORT)} or an instance, e.g. SyntheticControl()"
        )
    known = estimator.get_params(deep=False)
    absent = [name for name in settings if name not in known]
    if absent:
        raise CausalArgumentError(
            f"{type(estimator).__name__} has no setting {absent[0]!r}; its settings: {list(known)}"
        )
    return clone(estimator).set_params(**settings)
