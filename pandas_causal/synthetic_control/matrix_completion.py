"""Matrix completion: untreated outcomes of the treated from a low-rank matrix with unit and period effects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from pandas_causal.effect.check import Check
from pandas_causal.errors import CausalDataError, CausalError, Problem
from pandas_causal.inputs.parameters import CV_OR_POSITIVE, Legal, at_least, one_of
from pandas_causal.inputs.types import Covariates
from pandas_causal.kernels.arrays import Bools, Floats, Ints
from pandas_causal.panels.panel import Panel
from pandas_causal.synthetic_control.base import UNTOUCHED, Demands, SyntheticEstimator
from pandas_causal.synthetic_control.comparison import Block, Runs
from pandas_causal.synthetic_control.study import SyntheticStudy

__all__ = [
    "Completion",
    "CompletionMethod",
    "MatrixCompletion",
    "choose_penalty",
    "complete",
    "largest_penalty",
    "untreated_cells",
]

_LOW_RANK = "untreated outcomes are unit effects, period effects, a matrix of low rank, and noise"
_UNRELATED = "which cells are treated does not depend on the noise"
_TOLERANCE = 1e-8
_MAX_STEPS = 20_000


class MatrixCompletion(SyntheticEstimator):
    """Matrix completion with a nuclear-norm penalty (Athey, Bayati, Doudchenko, Imbens and Khosravi 2021).

    Estimates the average effect on the treated, in their treated periods. Treated cells are taken as missing and filled
    by unit effects, period effects and a matrix of low rank, fitted to all untreated cells, of units treated later too.
    Donors may have gaps.

    Parameters
    ----------
    penalty : "cv" or float
        lambda of the paper. "cv": of the smallest error on random untreated cells left out; placebos keep it.
    folds : int
        Of the choice of the penalty.
    n_penalties : int
        Tried, down to a thousandth of the largest that matters.
    inference : {"placebo", "permutation"}
    by_period : bool
        One row per treated period in place of the average.
    n_draws : int
        Placebo draws where several units are treated.
    level : float
    random_state : int or None
        Of folds and placebo draws.

    Attributes
    ----------
    effect_ : Effect
    penalty_ : float

    References
    ----------
    Athey, Bayati, Doudchenko, Imbens and Khosravi (2021), JASA 116.
    """

    legal: ClassVar[Mapping[str, Legal]] = {
        "inference": one_of("placebo", "permutation"),
        "penalty": CV_OR_POSITIVE,
        "folds": at_least(2),
        "n_penalties": at_least(2),
    }

    def __init__(
        self,
        *,
        penalty: Any = "cv",
        folds: int = 5,
        n_penalties: int = 25,
        inference: str = "placebo",
        by_period: bool = False,
        n_draws: int = 200,
        level: float = 0.95,
        random_state: int | None = 0,
    ) -> None:
        self.penalty = penalty
        self.folds = folds
        self.n_penalties = n_penalties
        self.inference = inference
        self.by_period = by_period
        self.n_draws = n_draws
        self.level = level
        self.random_state = random_state

    @property
    def demands(self) -> Demands:
        """What the method asks of a panel."""
        return Demands(gaps=True, donor_hull=False)

    def _study(self, panel: Panel, X: Covariates) -> SyntheticStudy:
        study = super()._study(panel, X)
        short = study.treated[np.isnan(study.Y[study.treated]).any(axis=1)]
        if len(short):
            first = study.labels[short[0]]
            message = f"{len(short):,} treated units lack periods (the first is {first!r}); only donors may"
            remedy = "complete them, or leave these units out"
            raise CausalDataError([Problem(panel.names["unit"], message, None, remedy)])
        return study

    def _method(self, study: SyntheticStudy, rng: np.random.Generator) -> CompletionMethod:
        self._errors = None
        if self.penalty != "cv":
            self.penalty_ = float(self.penalty)
        else:
            seen = untreated_cells(study.Y, study.blocks)
            self.penalty_, penalties, errors = choose_penalty(study.Y, seen, rng, self.folds, self.n_penalties)
            self._errors = pd.DataFrame(
                {"error": np.sqrt(errors.mean(axis=0))}, index=pd.Index(penalties, name="penalty")
            )
        return CompletionMethod(self.penalty_)

    def _assumptions(self) -> tuple[str, ...]:
        return (_LOW_RANK, _UNRELATED, UNTOUCHED)

    def _more_checks(self, study: SyntheticStudy, runs: list[Runs]) -> dict[str, Any]:
        if self._errors is None:
            return {}
        error = float(self._errors["error"].min())
        text = f"penalty {self.penalty_:.3g}: cells left out are missed by {error:.3g} (root mean square)"
        return {"penalty": Check(None, self._errors, text)}


@dataclass(frozen=True, eq=False)
class Completion:
    """A completed matrix.

    Attributes
    ----------
    fitted : ndarray (N, T)
        L plus unit and period effects, every cell.
    low_rank : ndarray (N, T)
        L.
    violation : float
        By how much the optimality conditions fail, beside the threshold.
    """

    fitted: Floats
    low_rank: Floats
    violation: float

    @property
    def rank(self) -> int:
        """Rank of L: singular values above the tolerance of the search, of the largest."""
        values = np.linalg.svd(self.low_rank, compute_uv=False)
        return int((values > _TOLERANCE * values[0]).sum())


def complete(Y: Floats, seen: Bools, penalty: float, start: Floats | None = None) -> Completion:
    """Minimise ``|P(Y - L - unit effects - period effects)|^2 / |O| + penalty |L|_*`` over the cells O that are seen.

    Cells not seen are filled with the current fit; then effects are two-way means and L a soft-thresholded singular
    value decomposition. Accelerated, restarted where acceleration overshoots, until the optimality conditions hold.

    Parameters
    ----------
    Y : ndarray (N, T)
        Values of cells not seen are ignored.
    seen : ndarray (N, T) of bool
        At least one cell in every row and column.
    penalty : float
        lambda of the paper; the threshold of singular values is ``penalty |O| / 2``.
    start : ndarray (N, T), optional
        Fit to begin from.

    Raises
    ------
    CausalError
        If the conditions cannot be met in 20,000 steps.

    References
    ----------
    Athey, Bayati, Doudchenko, Imbens and Khosravi (2021), JASA 116, eq. (4.3) and (5.2); Mazumder, Hastie and
    Tibshirani (2010), JMLR 11, for the algorithm.
    """
    threshold = penalty * seen.sum() / 2
    observed = np.where(seen, Y, 0.0)
    fit = _effects(observed, seen) if start is None else start
    ahead, momentum, violation = fit, 1.0, np.inf
    scale = float(np.abs(observed[seen] - observed[seen].mean()).max()) or 1.0
    for step in range(_MAX_STEPS):
        new, low, values = _threshold(np.where(seen, observed, ahead), threshold)
        change = new - fit
        if float(np.vdot(ahead - new, change)) > 0:  # overshot: forget the momentum
            momentum = 1.0
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = new + (momentum - 1) / following * change
        fit, momentum = new, following
        if step % 10 == 9 or float(np.abs(change).max()) <= 1e-3 * _TOLERANCE * scale:
            violation = _violation(np.where(seen, observed - fit, 0.0), low, float(values.sum()), threshold, scale)
            if violation <= _TOLERANCE:
                return Completion(fit, low, violation)
    raise CausalError(
        f"matrix completion did not converge in {_MAX_STEPS:,} steps (optimality violated by {violation:.1e}); use a"
        " larger penalty"
    )


def _effects(observed: Floats, seen: Bools) -> Floats:
    """Least-squares unit and period effects of the cells seen, as a matrix."""
    n, t = seen.shape
    gram = np.zeros((n + t, n + t))
    gram[:n, n:] = seen
    gram[n:, :n] = seen.T
    gram[np.arange(n + t), np.arange(n + t)] = np.concatenate([seen.sum(axis=1), seen.sum(axis=0)])
    right = np.concatenate([observed.sum(axis=1), observed.sum(axis=0)])
    # one direction per connected part of the cells is free, exactly: values this small are its rounding
    solution = np.linalg.lstsq(gram, right, rcond=1e-10)[0]
    return solution[:n, None] + solution[None, n:]


def _threshold(M: Floats, threshold: float) -> tuple[Floats, Floats, Floats]:
    """Two-way means of a full matrix plus its soft-thresholded remainder; also that remainder and its values."""
    rows, columns = M.mean(axis=1, keepdims=True), M.mean(axis=0, keepdims=True)
    effects = rows + columns - M.mean()
    u, s, vt = np.linalg.svd(M - effects, full_matrices=False)
    s = np.maximum(s - threshold, 0.0)
    k = int((s > 0).sum())
    low = (u[:, :k] * s[:k]) @ vt[:k]
    return effects + low, low, s


def _violation(residual: Floats, low: Floats, nuclear: float, threshold: float, scale: float) -> float:
    """Failure of the conditions: residuals sum to zero, have norm of at most the threshold, and support that of L."""
    size = max(threshold, scale)
    sums = max(float(np.abs(residual.sum(axis=0)).max()), float(np.abs(residual.sum(axis=1)).max()))
    beyond = max(0.0, float(np.linalg.norm(residual, 2)) - threshold)
    support = abs(threshold * nuclear - float(np.vdot(residual, low))) / max(nuclear, scale)
    return max(sums, beyond, support) / size


def largest_penalty(Y: Floats, seen: Bools) -> float:
    """Smallest penalty at which L is zero: unit and period effects alone."""
    observed = np.where(seen, Y, 0.0)
    residual = np.where(seen, observed - _effects(observed, seen), 0.0)
    return 2 * float(np.linalg.norm(residual, 2)) / int(seen.sum())


def choose_penalty(
    Y: Floats, seen: Bools, rng: np.random.Generator, folds: int, n_penalties: int
) -> tuple[float, Floats, Floats]:
    """Choose the penalty by leaving out random cells.

    Parameters
    ----------
    Y, seen : ndarray (N, T)
    rng : Generator
    folds : int
    n_penalties : int
        Penalties tried, from the largest that matters down to a thousandth of it.

    Returns
    -------
    float, ndarray (n_penalties,), ndarray (folds, n_penalties)
        The penalty of smallest mean squared error, the penalties, and the errors by fold.
    """
    top = largest_penalty(Y, seen)
    if top == 0.0:
        raise CausalError("unit and period effects fit every untreated outcome exactly, so no penalty can be chosen")
    penalties = top * np.logspace(0, -3, n_penalties)
    cells = np.argwhere(seen)
    fold = rng.permutation(len(cells)) % folds
    errors = np.full((folds, n_penalties), np.nan)
    for k in range(folds):
        out = cells[fold == k]
        training = seen.copy()
        training[out[:, 0], out[:, 1]] = False
        _keep_one(training, seen)
        held = seen & ~training
        if not held.any():  # every cell of the fold is the only one of its row or column
            continue
        fit = None
        for j, penalty in enumerate(penalties):
            fit = complete(Y, training, float(penalty), fit).fitted
            errors[k, j] = np.square(Y[held] - fit[held]).mean()
    errors = errors[~np.isnan(errors).any(axis=1)]
    if not len(errors):
        raise CausalError("no untreated outcome can be left out, so no penalty can be chosen; give penalty= a number")
    return float(penalties[int(errors.mean(axis=0).argmin())]), penalties, errors


def _keep_one(training: Bools, seen: Bools) -> None:
    """Give back cells to rows and columns that a fold would leave empty."""
    for i in np.flatnonzero(~training.any(axis=1)):
        training[i, np.flatnonzero(seen[i])[0]] = True
    for t in np.flatnonzero(~training.any(axis=0)):
        training[np.flatnonzero(seen[:, t])[0], t] = True


def untreated_cells(Y: Floats, blocks: list[Block]) -> Bools:
    """Cells (N, T) that were seen and are not treated."""
    seen = ~np.isnan(Y)
    for block in blocks:
        seen[block.rows, block.start :] = False
    return seen


@dataclass(frozen=True, eq=False)
class CompletionMethod:
    """Counterfactuals from one completion of all untreated cells; see :class:`comparison.Method`.

    Attributes
    ----------
    penalty : float
        The same in every placebo.
    """

    penalty: float
    demeaned: bool = True

    def take(self, rows: Ints) -> CompletionMethod:
        """Return itself: nothing is held by row."""
        return self

    def actual(self, Y: Floats, blocks: list[Block], donors: Ints) -> list[Runs]:
        """Complete donors and treated together."""
        rows = np.concatenate([donors, *(b.rows for b in blocks)])
        fitted = np.full(Y.shape, np.nan)
        fitted[rows] = complete(Y[rows], untreated_cells(Y, blocks)[rows], self.penalty).fitted
        return [Runs((Y[b.rows] - fitted[b.rows]).mean(axis=0)[None, :]) for b in blocks]

    def placebos(self, pool: Floats, blocks: list[Block], drawn: Ints) -> list[Floats]:
        """Complete the pool anew for every draw."""
        out = [np.empty((len(drawn), pool.shape[1])) for _ in blocks]
        for k, treated in enumerate(drawn):
            parts = np.split(treated, np.cumsum([b.size for b in blocks])[:-1])
            played = [Block(b.start, rows) for b, rows in zip(blocks, parts, strict=True)]
            runs = self.actual(pool, played, np.setdiff1d(np.arange(len(pool)), treated))
            for gaps, run in zip(out, runs, strict=True):
                gaps[k] = run.gaps[0]
        return out
