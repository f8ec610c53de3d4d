"""1,000 placebo refits of synthetic control among 200 donors, 30 periods before treatment, beside a loop of synthdid's.

The peer refits 10 placebos of the 1,000; run.py multiplies.
"""

from __future__ import annotations

import sys

import numpy as np
from measure import job

DONORS, BEFORE, AFTER, REFITS = 200, 30, 10, 1_000


def data() -> np.ndarray:
    rng = np.random.default_rng(0)
    shape = (DONORS + 1, BEFORE + AFTER)
    return rng.normal(size=(shape[0], 4)) @ rng.normal(size=(4, shape[1])) * 2 + rng.normal(size=shape)


def refits(Y: np.ndarray, n: int) -> list[float]:
    from pandas_causal.synthetic_control.comparison import Block, SimplexControl

    drawn = (np.arange(n) % len(Y))[:, None]
    gaps = SimplexControl().placebos(Y, [Block(BEFORE, np.array([0]))], drawn)[0]
    return [float(gaps[:10, BEFORE:].mean())]


def ours(Y: np.ndarray) -> list[float]:
    return refits(Y, REFITS)


def loop_of_10(Y: np.ndarray) -> list[float]:
    import synthdid

    found = []
    for k in range(10):
        rows = np.r_[np.delete(np.arange(len(Y)), k), k]
        found.append(float(synthdid.sc_estimate(Y[rows], DONORS, BEFORE)))
    return [float(np.mean(found))]


if __name__ == "__main__":
    side = {"ours": ours, "loop_of_10": loop_of_10}[sys.argv[1]]
    job(data, lambda Y: refits(Y, 300) if side is ours else None, side)
