"""Bootstrap: refit any estimator under random weights of rows, or of clusters.

Every draw is a weighting of the rows given, never a copy of them. That keeps memory flat, and keeps a row that is drawn
twice in one fold of a cross-fit, where copies would stand in training and test set at once.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.effect.effect import Effect
from pandas_causal.effect.warnings_of_rows import std_error_text
from pandas_causal.errors import (
    CausalArgumentError,
    CausalDataError,
    CausalError,
    CausalWarning,
    StandardErrorWarning,
    warn,
)
from pandas_causal.inference.draws_and_variance import Draws
from pandas_causal.inference.influence import Influence
from pandas_causal.inference.reference import Student
from pandas_causal.inputs.parameters import is_word
from pandas_causal.inputs.types import Covariates, Outcome
from pandas_causal.kernels.arrays import Codes, Floats, Positions

__all__ = ["SumsOverRows", "bootstrap", "draw_weights"]

_MOST_ROWS = 5_000
_METHODS = ("pairs", "bayesian")


def draw_weights(n: int, method: str, seed: tuple[int, int]) -> Floats:
    """Weights (n,) of one draw: multinomial counts (pairs) or exponential weights with mean 1 (Rubin 1981)."""
    rng = np.random.default_rng(seed)
    if method == "pairs":
        return np.bincount(rng.integers(n, size=n), minlength=n).astype(float)
    weights = rng.standard_exponential(n)
    return np.asarray(weights / weights.mean())


def bootstrap(
    estimator: Any,
    X: Covariates,
    y: Outcome = None,
    *,
    n_draws: int = 1_000,
    method: str = "pairs",
    at: Covariates = None,
    n_jobs: int | None = None,
    random_state: int = 0,
    progress: bool = True,
    **roles: Any,
) -> Effect:
    """Refit an estimator on bootstrap weights and return its effect with the draws as uncertainty.

    Parameters
    ----------
    estimator : estimator of this package
        Cloned for every draw.
    X, y : as in ``fit``
    n_draws : int
    method : {"pairs", "bayesian"}
        Rows drawn with replacement, or exponential weights. With ``cluster=`` among the roles, whole clusters are
        drawn.
    at : DataFrame or array-like (m, p), optional
        Covariates of at most 5,000 rows, whose effects are asked for in place of the average, of an estimator of
        effects for rows. Percentiles say how much refits vary; of a flexible model, which is biased, they are no
        guarantee.
    n_jobs : int, optional
        The result is the same for any number.
    random_state : int
    progress : bool
        Show a bar after two seconds.
    **roles
        Roles of ``fit``: treatment, cluster, ...

    Returns
    -------
    Effect
        With percentile intervals of the draws.

    Raises
    ------
    CausalArgumentError
        For a wrong setting, or an estimator for which the bootstrap is known to fail.
    CausalDataError
        When rows have to be dropped, or more than a tenth of the draws cannot be estimated.

    References
    ----------
    Efron (1979), Annals of Statistics; Rubin (1981), Annals of Statistics, for the Bayesian weights.
    """
    if not is_word(method, _METHODS):
        raise CausalArgumentError(f"method={method!r} is not known; use one of {list(_METHODS)}")
    if not isinstance(n_draws, int | np.integer) or n_draws < 2:
        raise CausalArgumentError(f"n_draws must be a whole number of at least 2, got {n_draws!r}")
    if not isinstance(random_state, int | np.integer) or random_state < 0:
        raise CausalArgumentError(f"random_state must be a whole number of at least 0, got {random_state!r}")
    if n_jobs == 0 or isinstance(estimator, str | type) or not hasattr(estimator, "fit"):
        raise CausalArgumentError("bootstrap takes an estimator instance, e.g. AIPW(), and n_jobs other than 0")
    refusal = getattr(estimator, "bootstrap_refusal", None)
    if refusal:
        raise CausalArgumentError(refusal)
    from sklearn.base import clone

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StandardErrorWarning)  # of errors that the draws take the place of
        fitted = clone(estimator).fit(X, y, **roles)
        average = fitted.effect()
        effect = average if at is None else _of_rows(fitted, at)
    if effect.facts.get("n_zero_weight"):
        raise CausalDataError(f"{effect.facts['n_zero_weight']:,} rows have weight 0; drop them before the bootstrap")
    if effect.facts.get("n_dropped"):
        raise CausalDataError(
            f"{effect.facts['n_dropped']:,} rows have missing roles; drop them before the bootstrap:"
            " df.dropna(subset=...)"
        )
    clusters = _cluster_codes(average)
    sums: SumsOverRows | None = getattr(fitted, "sums_over_rows", lambda: None)() if at is None else None
    drawing = _Drawing(n_draws, method, random_state, clusters)
    if sums is not None:
        replicates = _from_sums(sums, drawing)
    else:
        if "sample_weight" not in inspect.signature(estimator.fit).parameters:
            raise CausalArgumentError(
                f"bootstrap refits on weights of the rows, and {type(estimator).__name__}.fit takes no sample_weight;"
                " give it that parameter"
            )
        refit = _Refit(estimator, X, y, dict(roles), at)
        replicates = _refits(refit, drawing, len(average.uncertainty.rows), n_jobs, progress)
    name = {"pairs": "pairs bootstrap", "bayesian": "Bayesian bootstrap"}[method]
    whole = "" if clusters is None else " of whole clusters"
    draws = Draws(replicates, np.eye(replicates.shape[1]))
    source = f"{name}{whole}, {len(replicates):,} draws, percentile interval"
    drawn = replace(
        effect,
        rows=replace(effect.rows, uncertainty=draws),
        std_error_method=source,
        reference=Student(),  # percentiles refer to no law and invert no test
        inversion=None,
        tests=None,
        warnings=tuple(text for text in average.warnings if text != std_error_text(average.rows)),
    )
    return drawn.explained()


def _of_rows(fitted: Any, at: Covariates) -> Effect:
    """Effects of rows, of an estimator that has them.

    Raises
    ------
    CausalArgumentError
        For another estimator, for several arms, for more rows than draws of them are kept of.
    """
    if not hasattr(fitted, "predict"):
        raise CausalArgumentError(
            f"{type(fitted).__name__} estimates an average and has no effect for every row; leave out at="
        )
    predicted = np.asarray(fitted.predict(at))
    if predicted.ndim > 1:
        raise CausalArgumentError("at= is for one contrast; leave the other arms, or outcomes, out")
    if len(predicted) > _MOST_ROWS:
        raise CausalArgumentError(
            f"at= has {len(predicted):,} rows, and the draws of at most {_MOST_ROWS:,} are kept; ask for fewer rows"
        )
    effect: Effect = fitted.effect(at)
    return effect


@dataclass(frozen=True, eq=False)
class _Drawing:
    """How draws are made: how many, how, from which seed, of rows or of whole clusters."""

    n_draws: int
    method: str
    seed: int
    clusters: Positions | None


@dataclass(frozen=True, eq=False)
class SumsOverRows:
    """An estimate that is a function of sums over rows.

    Attributes
    ----------
    values : ndarray (n, m)
        Columns that are summed within groups.
    groups : ndarray (n,)
    n_groups : int
    finish : callable
        Sums (draws, n_groups, 1 + m), the weight first, to estimates (draws, rows).
    """

    values: Floats
    groups: Codes
    n_groups: int
    finish: Callable[[Floats], Floats]


def _cluster_codes(effect: Effect) -> Positions | None:
    u = effect.uncertainty
    kept = list(u.clusters.values()) if isinstance(u, Influence) else []
    if len(kept) > 1:
        raise CausalArgumentError("the bootstrap draws one set of clusters; pass the coarser one")
    return np.asarray(pd.factorize(kept[0])[0], dtype=np.intp) if kept else None


def _from_sums(statistic: SumsOverRows, drawing: _Drawing) -> Floats:
    """Draws of an estimate that is a function of sums over rows: no refit, one pass per draw."""
    from pandas_causal.kernels.resampling import resampled_sums

    values, n_groups, n_draws = statistic.values, statistic.n_groups, drawing.n_draws
    clusters, bayesian = drawing.clusters, drawing.method == "bayesian"
    if clusters is None:
        columns = np.ascontiguousarray(values)
        sums = resampled_sums(columns, statistic.groups, n_groups, n_draws, drawing.seed, bayesian)
    else:  # a row per cluster, with what every group sums to in it
        cells, m = clusters * n_groups + statistic.groups, values.shape[1] + 1
        size = (int(clusters.max()) + 1) * n_groups
        parts = [np.bincount(cells, minlength=size), *(np.bincount(cells, column, size) for column in values.T)]
        whole = np.stack(parts, axis=1).astype(float).reshape(-1, n_groups * m)
        alone = np.zeros(len(whole), dtype=np.int8)
        sums = resampled_sums(whole, alone, 1, n_draws, drawing.seed, bayesian)[:, 0, 1:].reshape(-1, n_groups, m)
    with np.errstate(divide="ignore", invalid="ignore"):
        replicates = statistic.finish(sums)
    good = np.isfinite(replicates).all(axis=1)
    reason = "an arm has no row in the draw, or a mean of 0 that others are divided by"
    _count_failures([reason] * int((~good).sum()), n_draws)
    return replicates[good]


def _count_failures(reasons: list[str], n_draws: int) -> None:
    """Warn of draws that could not be estimated; more than a tenth of them is an error."""
    if len(reasons) > n_draws / 10:
        raise CausalDataError(
            f"{len(reasons):,} of {n_draws:,} draws could not be estimated; the first said: {reasons[0]}"
        )
    if reasons:
        text = f"{len(reasons):,} of {n_draws:,} draws could not be estimated and are left out: {reasons[0]}"
        warn(text, CausalWarning)


@dataclass(frozen=True, eq=False)
class _Refit:
    """What is fitted again: an estimator, its rows and roles. The data were validated by the first fit."""

    estimator: Any
    X: Any
    y: Any
    roles: dict[str, Any]
    at: Any = None

    def without_weights(self, n: int) -> tuple[_Refit, Floats]:
        """The same without ``sample_weight``, and these weights (ones where none were given)."""
        roles = {name: value for name, value in self.roles.items() if name != "sample_weight"}
        base, X = self.roles.get("sample_weight"), self.X
        if isinstance(X, pd.DataFrame) and pd.api.types.is_hashable(base) and base in X.columns:
            X, base = X.drop(columns=[base]), X[base]
        return replace(self, X=X, roles=roles), np.ones(n) if base is None else np.asarray(base, dtype=float)

    def estimates(self, w: Floats) -> Floats | str:
        """Estimates at these weights, or the reason there are none."""
        from sklearn.base import clone

        copy = clone(self.estimator).trusting()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CausalWarning)
            try:
                fitted = copy.fit(self.X, self.y, sample_weight=w, **self.roles)
            except CausalError as error:
                return str(error)
            if self.at is not None:
                return np.asarray(fitted.predict(self.at), dtype=float)
            estimates: Floats = fitted.effect().estimates.to_numpy(dtype=float)
        return estimates


def _refits(refit: _Refit, drawing: _Drawing, n: int, n_jobs: int | None, progress: bool) -> Floats:
    """Refit on the weights of every draw; draws that cannot be estimated are counted."""
    from sklearn.utils.parallel import Parallel, delayed
    from tqdm import tqdm

    refit, weight = refit.without_weights(n)
    clusters, n_draws = drawing.clusters, drawing.n_draws
    size = n if clusters is None else int(clusters.max()) + 1

    def one(k: int) -> Floats | str:
        drawn = draw_weights(size, drawing.method, (drawing.seed, k))
        return refit.estimates(weight * (drawn if clusters is None else drawn[clusters]))

    jobs = Parallel(n_jobs=n_jobs, return_as="generator")(delayed(one)(k) for k in range(n_draws))
    results = list(tqdm(jobs, total=n_draws, desc="bootstrap", delay=2, disable=not progress))
    _count_failures([r for r in results if isinstance(r, str)], n_draws)
    return np.stack([r for r in results if not isinstance(r, str)])
