"""Several outcomes in one fit: the same folds and treatment models, and how the effects on them covary."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Any, TypeGuard

import pandas as pd

from pandas_causal.effect.effect import Effect
from pandas_causal.effect.outcomes import by_outcome
from pandas_causal.errors import CausalArgumentError, CausalDataError
from pandas_causal.heterogeneity.cache import reuse_nuisances

__all__ = ["are_several", "fit_outcomes", "of_outcome"]

_OWN = ("effect_", "coefficients_", "residuals_", "lasso_", "penalty_")  # of one outcome


def are_several(y: Any) -> TypeGuard[pd.DataFrame]:
    """Whether an outcome is a DataFrame of two columns or more."""
    return isinstance(y, pd.DataFrame) and y.shape[1] > 1


def fit_outcomes(estimator: Any, X: Any, y: pd.DataFrame, missing: str, roles: Mapping[str, Any]) -> Any:
    """Fit an estimator to every column of y, and store their joint effect.

    Folds are the same for all, since they follow treatment, labels and seed; models of the treatment are fitted once.

    Parameters
    ----------
    estimator : DoubleML, LinearDML, SparseDML
        Gets ``effect_``, with rows (outcome, row), ``fits_``, an estimator by outcome, and what the fits share.
    X, missing, roles : as in ``fit``
    y : DataFrame (n, q)

    Raises
    ------
    CausalDataError
        For outcomes of one name.
    """
    if not y.columns.is_unique:
        raise CausalDataError(f"outcomes have the same name: {list(y.columns[y.columns.duplicated()])}; rename them")
    if missing == "drop":
        y = y.where(y.notna().all(axis=1))  # a row counts for all outcomes or for none
    cv = list(estimator.cv) if isinstance(estimator.cv, Iterator) else estimator.cv  # read once, and never copied
    fits: dict[Hashable, Any] = {}
    with reuse_nuisances():
        for name in y:
            made = type(estimator)(**{**estimator.get_params(deep=False), "cv": cv})
            fits[name] = (made if estimator.checks_data else made.trusting()).fit(X, y[name], missing=missing, **roles)
    first = next(iter(fits.values()))
    settings = set(estimator.get_params(deep=False))
    shared = {k: v for k, v in vars(first).items() if k not in settings | set(_OWN)}
    learned = {k: v for k, v in shared.items() if not k.startswith("_") or k == "_taken"}
    estimator.__dict__.update({**learned, "_as_fitted": None})
    estimator.fits_ = fits
    estimator.effect_ = by_outcome({name: fit.effect_ for name, fit in fits.items()})
    if hasattr(first, "coefficients_"):
        estimator.coefficients_ = by_outcome({name: fit.coefficients_ for name, fit in fits.items()})
    return estimator


def of_outcome(fits: Mapping[Hashable, Any], outcome: Hashable, X: Any, arm: Any) -> Effect:
    """Effects of rows on one of several outcomes.

    Raises
    ------
    CausalArgumentError
        Where none of them is named.
    """
    if not pd.api.types.is_hashable(outcome) or outcome not in fits:
        raise CausalArgumentError(
            f"outcome={outcome!r}: effects for rows are of one outcome; name it, one of {list(fits)}"
        )
    effect: Effect = fits[outcome].effect(X, arm)
    return effect
