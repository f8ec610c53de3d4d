"""Refits of mechanisms on resampled rows: how far an answer moves with the data."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np

from pandas_causal.errors import CausalDataError, CausalError, CausalWarning, warn
from pandas_causal.kernels.arrays import Floats

__all__ = ["bootstrap_refits"]

_FEWEST = 20  # replicates that an interrupted run is worth keeping from


def bootstrap_refits(
    one: Callable[[np.random.Generator], Floats], n_draws: int, seed: int | None, n_jobs: int | None
) -> Floats:
    """Replicates (draws, rows) of an answer, each by a generator of its own: the same for any n_jobs.

    A replicate whose data cannot answer (one arm, say) is left out with a warning, and more than a tenth of them are an
    error. An interruption keeps what is there, if it is at least 20 replicates.
    """
    from sklearn.utils.parallel import Parallel, delayed
    from tqdm import tqdm

    base = int(np.random.default_rng(seed).integers(2**31 - 1))

    def draw(k: int) -> Floats | str:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CausalWarning)
            try:
                return one(np.random.default_rng((base, k)))
            except CausalError as error:
                return str(error)

    jobs = Parallel(n_jobs=n_jobs, return_as="generator")(delayed(draw)(k) for k in range(n_draws))
    results: list[Floats | str] = []
    try:
        for result in tqdm(jobs, total=n_draws, desc="bootstrap", delay=2):
            results.append(result)  # noqa: PERF402 - one by one, so that an interruption finds them
    except KeyboardInterrupt:
        if len(results) < _FEWEST:
            raise
        warn(f"interrupted: the interval rests on {len(results):,} of {n_draws:,} refits", CausalWarning)
    failed = [r for r in results if isinstance(r, str)]
    if len(failed) > len(results) / 10:
        raise CausalDataError(f"{len(failed):,} of {len(results):,} refits failed; the first said: {failed[0]}")
    if failed:
        warn(f"{len(failed):,} of {len(results):,} refits failed and are left out: {failed[0]}", CausalWarning)
    return np.stack([r for r in results if not isinstance(r, str)])
