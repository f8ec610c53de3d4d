"""Shapley values of a set function: exact over all subsets, or drawn with a standard error.

The set function is asked about a batch of subsets at once, so that a simulator can answer many with one prediction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.errors import CausalArgumentError, CausalDataError, CausalWarning, warn
from pandas_causal.inputs.parameters import Legal, at_least, check_settings, number, one_of
from pandas_causal.kernels.arrays import Bools, Floats, Positions

__all__ = ["MOST_EXACT", "Shapley", "SubsetSettings", "exact_weights", "shapley", "shapley_arrays"]

MOST_EXACT = 12
_METHODS = ("auto", "exact", "permutations", "kernel")
# Subsets asked about at once, pairs of permutations (or of subsets) between two looks at the standard errors
_BATCH, _ROUND = 256, 16
_KEPT = 2**24  # numbers of known subsets that are kept to be read again
_FIRST_LOOK = 6  # players from which an exact run begins with permutations, for whoever interrupts it

LEGAL: dict[str, Legal] = {
    "method": one_of(*_METHODS),
    "tolerance": number(0, np.inf, "a number above 0, e.g. 0.01", closed_low=False),
    "max_draws": at_least(_ROUND, "pairs"),
}

SetFunction = Callable[[Bools], Any]


@dataclass(frozen=True, kw_only=True)
class SubsetSettings:
    """How subsets are gone through.

    Attributes
    ----------
    method : {"auto", "exact", "permutations", "kernel"}
    tolerance : float
        Drawing stops when every standard error is at most this share of the largest value of its output.
    max_draws : int
        Pairs drawn at most.
    seed : int or None
    n_jobs : int or None
    batch : int
        Subsets that the set function is asked about at once.
    watched : int or None
        So many of the first outputs are read by the stopping rule, each for itself: an output keeps what it was when it
        was precise enough, whatever the others need. Those that follow, as many once or several times, go by them in
        turn. None: all are read.
    floor : float
        Values below this one are no scale for the tolerance.
    """

    method: str = "auto"
    tolerance: float = 0.01
    max_draws: int = 1_000
    seed: int | None = 0
    n_jobs: int | None = None
    batch: int = _BATCH
    watched: int | None = None
    floor: float = 0.0

    def is_exact(self, n_players: int) -> bool:
        """Whether every subset is asked about."""
        return self.method == "exact" or (self.method == "auto" and n_players <= MOST_EXACT)


@dataclass(frozen=True, eq=False)
class Shapley:
    """Shapley values of the players, for each output of the set function.

    Attributes
    ----------
    players : Index (k,)
    values : ndarray (k, q)
        They sum to ``full - empty``.
    std_errors : ndarray (k, q)
        Of the subsets drawn; 0 where all were asked about. An error of the set function itself is not in them.
    empty, full : ndarray (q,)
        Set function of no player and of all.
    exact : bool
    n_subsets : int
        Subsets that the set function was asked about.
    n_draws : int
        Pairs drawn.
    complete : bool
        False where an interruption ended the run; the values are what was known by then.
    """

    players: pd.Index
    values: Floats
    std_errors: Floats
    empty: Floats
    full: Floats
    exact: bool
    n_subsets: int
    n_draws: int
    complete: bool = True

    @property
    def table(self) -> pd.DataFrame:
        """One row per player (per output and player, if there are several) with value and std_error."""
        k, q = self.values.shape
        index = self.players
        if q > 1:
            at = np.tile(np.arange(k), q)
            index = pd.MultiIndex.from_arrays(
                [np.repeat(np.arange(q), k), self.players.take(at)], names=["output", self.players.name]
            )
        return pd.DataFrame({"value": self.values.T.ravel(), "std_error": self.std_errors.T.ravel()}, index=index)


def shapley(
    value: SetFunction,
    players: Iterable[Any] | int,
    method: str = "auto",
    *,
    tolerance: float = 0.01,
    max_draws: int = 1_000,
    random_state: int | None = 0,
    n_jobs: int | None = None,
) -> Shapley:
    """Shapley values of a set function (Shapley 1953).

    The value of a player is the average, over all orders in which players can arrive, of what the set function gains
    when the player arrives. Values sum to what all players gain together, and players that change it alike have the
    same value.

    Parameters
    ----------
    value : callable
        ``value(subsets) -> (m,) or (m, q)``: the set function of a batch of subsets, ``subsets[s, i]`` True where
        player i is in subset s. It must not depend on the batch a subset comes in.
    players : iterable of hashable, or int
        Names of the players, or how many.
    method : {"auto", "exact", "permutations", "kernel"}
        "exact" asks about every subset once; "auto" does up to 12 players. "permutations" draws orders of arrival, each
        with its reverse (antithetic; Mitchell, Cooper, Frank and Holmes 2022, JMLR 23), "kernel" subsets, each with its
        complement, for a weighted regression (Covert and Lee 2021, AISTATS). Drawn values sum to the total as well.
    tolerance : float
        Drawing stops when every standard error is at most this share of the largest value (of each output).
    max_draws : int
        Pairs drawn at most.
    random_state : int or None
    n_jobs : int, optional
        The result is the same for any number.

    Returns
    -------
    Shapley

    Raises
    ------
    CausalArgumentError
        For no players, repeated ones, or settings that are not legal.
    CausalDataError
        If `value` gives another number of values than subsets, or values that are not finite.

    Warns
    -----
    CausalWarning
        If `max_draws` did not reach the tolerance, and after an interruption, which returns what was known.

    Examples
    --------
    >>> shapley(lambda subsets: subsets @ [1.0, 2.0], ["a", "b"]).values.ravel().tolist()
    [1.0, 2.0]
    """
    check_settings({"random_state": random_state, "n_jobs": n_jobs})
    check_settings({"method": method, "tolerance": tolerance, "max_draws": max_draws}, LEGAL)
    if isinstance(players, int | np.integer) and not isinstance(players, bool):
        names = pd.RangeIndex(max(int(players), 0), name="player")
    elif isinstance(players, str) or not isinstance(players, Iterable):
        raise CausalArgumentError(f"players takes names, or their number; got {players!r}")
    else:
        names = pd.Index(list(players), name="player", tupleize_cols=False)
    if not len(names):
        raise CausalArgumentError("there are no players; give at least one")
    if not names.is_unique:
        raise CausalArgumentError(f"the player {names[names.duplicated()][0]!r} is named more than once")
    if method == "exact" and len(names) > 20:
        raise CausalArgumentError(
            f"{len(names)} players have 2^{len(names)} subsets; use method='permutations' or 'kernel', or fewer players"
        )
    settings = SubsetSettings(method=method, tolerance=tolerance, max_draws=max_draws, seed=random_state, n_jobs=n_jobs)
    found = shapley_arrays(value, names, settings)
    worst = float((found.std_errors / _scale(found.values, settings)).max())
    if found.complete and worst > settings.tolerance:
        warn(
            f"after {found.n_draws:,} pairs of draws the largest standard error is still {worst:.2g} of the largest"
            f" Shapley value, above tolerance={settings.tolerance:g}; the standard errors say so: raise max_draws,"
            " or tolerance",
            CausalWarning,
        )
    return found


def shapley_arrays(value: SetFunction, players: pd.Index, settings: SubsetSettings) -> Shapley:
    """The same, with settings that were checked before."""
    known = _Known(value, players, settings)
    if settings.is_exact(len(players)):
        return _exact(known, settings)
    return _by_permutations(known, settings) if settings.method != "kernel" else _by_regression(known, settings)


# -- what is known of the set function -------------------------------------------------------------------------------


class _Known:
    """Values of the subsets asked about so far."""

    def __init__(self, value: SetFunction, players: pd.Index, settings: SubsetSettings) -> None:
        self.players = players
        self.k = len(players)
        self.settings = settings
        self.n_asked = 0
        self._value = value
        self._rows: dict[bytes, Floats] = {}
        ends = np.array([np.zeros(self.k), np.ones(self.k)], dtype=bool)
        self._ends = [row.tobytes() for row in np.packbits(ends, axis=1)]
        self.empty, self.full = self.of(ends)

    def of(self, masks: Bools) -> Floats:
        """Values (m, q) of subsets (m, k); each is asked about once while it is kept."""
        if self._rows and len(self._rows) * len(self.empty) > _KEPT:
            self._rows = dict(zip(self._ends, (self.empty, self.full), strict=True))
        keys = [row.tobytes() for row in np.packbits(masks, axis=1)]
        first = {key: at for at, key in reversed(list(enumerate(keys))) if key not in self._rows}
        at = np.array(sorted(first.values()), dtype=np.intp)
        for part, found in self.asked(masks[at]):
            self._rows.update((keys[j], row) for j, row in zip(at[part], found, strict=True))
        return np.stack([self._rows[key] for key in keys])

    def asked(self, masks: Bools) -> Iterator[tuple[slice, Floats]]:
        """Ask about subsets batch by batch: their positions and values."""
        from sklearn.utils.parallel import Parallel, delayed

        parts = [slice(s, min(s + self.settings.batch, len(masks))) for s in range(0, len(masks), self.settings.batch)]
        if len(parts) == 1:
            yield parts[0], self._checked(masks, self._value(masks))
            return
        jobs = Parallel(n_jobs=self.settings.n_jobs, return_as="generator")(
            delayed(self._value)(masks[part]) for part in parts
        )
        for part, found in zip(parts, jobs, strict=True):
            yield part, self._checked(masks[part], found)

    def _checked(self, masks: Bools, found: Any) -> Floats:
        out = np.asarray(found, dtype=float)
        if out.ndim == 1:
            out = out[:, None]
        if out.ndim != 2 or len(out) != len(masks):
            raise CausalDataError(
                f"value gave {len(out) if out.ndim else 1:,} values for {len(masks):,} subsets; it must give one (or"
                " one row) for each"
            )
        bad = ~np.isfinite(out).all(axis=1)
        if bad.any():
            inside = [str(name) for name in self.players[masks[int(np.flatnonzero(bad)[0])]]]
            named = f"{{{', '.join(inside[:5])}{', ...' if len(inside) > 5 else ''}}}"
            raise CausalDataError(
                f"value is NaN or infinite for {int(bad.sum()):,} of {len(masks):,} subsets, first of {named}; make it"
                " finite"
            )
        self.n_asked += len(masks)
        return out

    def result(self, values: Floats, errors: Floats, *, exact: bool, n_draws: int, complete: bool) -> Shapley:
        return Shapley(
            self.players, values, errors, self.empty, self.full, exact, self.n_asked, n_draws, complete=complete
        )


def _bar(total: int, words: str) -> Any:
    from tqdm import tqdm

    return tqdm(total=total, desc=words, delay=2, leave=False)


def _interrupted(n: int, what: str) -> None:
    warn(f"interrupted: the values rest on {n:,} {what}, and their standard errors say how well", CausalWarning)


# -- every subset ----------------------------------------------------------------------------------------------------


def exact_weights(k: int) -> tuple[Bools, Floats]:
    """All subsets (2^k, k) of k players, and the weights (k, 2^k) that make Shapley values of a set function.

    A player gains ``v(S + i) - v(S)`` with the weight ``1 / (k C(k - 1, |S|))``. The last players change first from one
    subset to the next, so that neighbours share what is above in causal order.
    """
    from math import comb

    codes = np.arange(2**k)
    masks = (codes[:, None] >> np.arange(k)[::-1]) & 1 == 1
    size = masks.sum(axis=1)
    gain = np.array([1.0 / (k * comb(k - 1, s)) for s in range(k)] + [0.0])
    return masks, np.where(masks.T, np.roll(gain, 1)[size], -gain[size])


def _exact(known: _Known, settings: SubsetSettings) -> Shapley:
    """Every subset once."""
    k = known.k
    masks, weights = exact_weights(k)
    q = len(known.empty)
    values = np.zeros((k, q))
    orders = _orders(k, _ROUND // 2, np.random.default_rng(settings.seed)) if k >= _FIRST_LOOK else None
    at = np.arange(1, len(masks) - 1)
    bar = _bar(len(at), "subsets")
    first: Floats | None = None
    try:
        if orders is not None:  # an exact answer needs all subsets; a first one is there early
            first = _gains(known, orders)
            bar.update(min(known.n_asked, len(at)))
            seen = {row.tobytes() for row in np.packbits(_paths(orders), axis=1)}
            keys = [row.tobytes() for row in np.packbits(masks[at], axis=1)]
            again = np.array([key in seen for key in keys])
            values += weights[:, at[again]] @ (known.of(masks[at[again]]) - known.empty) if again.any() else 0.0
            at = at[~again]
        for part, found in known.asked(masks[at]):
            values += weights[:, at[part]] @ (found - known.empty)
            bar.update(part.stop - part.start)
    except KeyboardInterrupt:
        if first is None:
            raise
        _interrupted(len(first), "pairs of permutations")
        return known.result(*_mean_and_error(first), exact=False, n_draws=len(first), complete=False)
    finally:
        bar.close()
    values += weights[:, [-1]] * (known.full - known.empty)
    return known.result(values, np.zeros_like(values), exact=True, n_draws=0, complete=True)


# -- permutations ----------------------------------------------------------------------------------------------------


def _orders(k: int, n: int, rng: np.random.Generator) -> Positions:
    return np.stack([rng.permutation(k) for _ in range(n)])


def _paths(orders: Positions) -> Bools:
    """Subsets (pairs * 2 * (k - 1), k) that the orders and their reverses go through, the ends left out."""
    n, k = orders.shape
    both = np.stack([orders, orders[:, ::-1]], axis=1)
    rank = np.argsort(both, axis=2)
    sizes = np.arange(1, k)
    return (rank[:, :, None, :] < sizes[:, None]).reshape(n * 2 * (k - 1), k)


def _gains(known: _Known, orders: Positions) -> Floats:
    """Mean gain (pairs, k, q) of every player over an order and its reverse."""
    n, k = orders.shape
    inner = known.of(_paths(orders)).reshape(n, 2, k - 1, -1) if k > 1 else np.empty((n, 2, 0, len(known.empty)))
    ends = (n, 2, 1, inner.shape[-1])
    steps = np.concatenate([np.broadcast_to(known.empty, ends), inner, np.broadcast_to(known.full, ends)], axis=2)
    gained = np.diff(steps, axis=2)
    out = np.empty((n, 2, k, inner.shape[-1]))
    for side, order in enumerate((orders, orders[:, ::-1])):
        np.put_along_axis(out[:, side], order[:, :, None], gained[:, side], axis=1)
    return out.mean(axis=1)


def _mean_and_error(gains: Floats) -> tuple[Floats, Floats]:
    n = len(gains)
    error = gains.std(axis=0, ddof=1) / np.sqrt(n) if n > 1 else np.full(gains.shape[1:], np.nan)
    return gains.mean(axis=0), error


def _by_permutations(known: _Known, settings: SubsetSettings) -> Shapley:
    rng = np.random.default_rng(settings.seed)
    shift: Floats = np.zeros(0)
    total: Any = 0.0
    square: Any = 0.0
    n = 0

    def more(size: int) -> tuple[Floats, Floats]:
        nonlocal shift, total, square, n
        gains = _gains(known, _orders(known.k, size, rng))
        if not n:
            shift = gains.mean(axis=0)
        moved = gains - shift  # sums of squares of what varies, not of what is large
        n, total, square = n + size, total + moved.sum(axis=0), square + np.square(moved).sum(axis=0)
        error = np.sqrt(np.maximum(square - np.square(total) / n, 0.0) / max(n - 1, 1) / n)
        return shift + total / n, error

    return _until_precise(known, settings, more, "pairs of permutations")


def _until_precise(
    known: _Known, settings: SubsetSettings, more: Callable[[int], tuple[Floats, Floats]], what: str, size: int = _ROUND
) -> Shapley:
    """Draw rounds of pairs until every output is precise; each keeps what it was when it first was."""
    q = len(known.empty)
    watched = q if settings.watched is None else settings.watched
    values, errors = np.full((known.k, q), np.nan), np.full((known.k, q), np.nan)
    still = np.ones(watched, dtype=bool)
    bar = _bar(settings.max_draws, what)
    n, complete = 0, True
    try:
        while n < settings.max_draws and still.any():
            step = min(size, settings.max_draws - n)
            estimate, error = more(step)
            open_ = np.tile(still, q // watched)
            values[:, open_], errors[:, open_] = estimate[:, open_], error[:, open_]
            n += step
            bar.update(step)
            now = errors[:, :watched]
            still &= (now > settings.tolerance * _scale(values[:, :watched], settings)).any(axis=0)
    except KeyboardInterrupt:
        if not n:
            raise
        complete = False
        _interrupted(n, what)
    finally:
        bar.close()
    return known.result(values, errors, exact=False, n_draws=n, complete=complete)


def _scale(values: Floats, settings: SubsetSettings) -> Floats:
    """What the errors of each output are compared with."""
    return np.maximum(np.abs(values).max(axis=0), max(settings.floor, np.finfo(float).tiny))


# -- a weighted regression -------------------------------------------------------------------------------------------


def _by_regression(known: _Known, settings: SubsetSettings) -> Shapley:
    """Draw subsets by the Shapley kernel, each with its complement, and regress their values on membership.

    The regression must pass through both ends, so that values sum to the total. Standard errors are those of its
    influence function, over pairs.
    """
    k = known.k
    if k == 1:
        return known.result(
            (known.full - known.empty)[None], np.zeros((1, len(known.empty))), exact=True, n_draws=0, complete=True
        )
    rng = np.random.default_rng(settings.seed)
    sizes = np.arange(1, k)
    share = 1.0 / (sizes * (k - sizes))
    share /= share.sum()
    drawn: list[Bools] = []
    values: list[Floats] = []

    def more(size: int) -> tuple[Floats, Floats]:
        picked = rng.choice(sizes, size=size, p=share)
        masks = np.argsort(np.argsort(rng.random((size, k)), axis=1), axis=1) < picked[:, None]
        both = np.stack([masks, ~masks], axis=1)
        drawn.append(both)
        values.append(known.of(both.reshape(-1, k)).reshape(size, 2, -1))
        return _regression(np.concatenate(drawn), np.concatenate(values), known)

    return _until_precise(known, settings, more, "pairs of subsets", size=max(_ROUND, 2 * k))


def _regression(masks: Bools, values: Floats, known: _Known) -> tuple[Floats, Floats]:
    """Values and errors (k, q) from pairs of subsets (n, 2, k) and their values (n, 2, q); Covert and Lee 2021, (7)."""
    n = len(masks)
    z = masks.astype(float)
    y = values - known.empty
    A = np.einsum("nsi,nsj->ij", z, z) / (2 * n)
    b = np.einsum("nsi,nsq->iq", z, y) / (2 * n)
    inverse = np.linalg.pinv(A, rcond=1e-10, hermitian=True)
    ones = inverse.sum(axis=1)
    total = known.full - known.empty
    free = inverse @ b
    estimate = free - np.outer(ones, (free.sum(axis=0) - total) / ones.sum())
    residual = y - np.einsum("nsi,iq->nsq", z, estimate)
    scores = np.einsum("nsi,nsq->niq", z, residual) / 2
    projection = inverse - np.outer(ones, ones) / ones.sum()
    spread = np.einsum("ij,njq->niq", projection, scores - scores.mean(axis=0))
    return estimate, np.sqrt(np.square(spread).sum(axis=0) / max(n - 1, 1) / n)
