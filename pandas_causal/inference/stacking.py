"""Several fits to the same rows, as one: parameters side by side, each with its own variance, and how they covary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd

from pandas_causal.errors import CausalArgumentError, CausalError
from pandas_causal.inference.few_treated import Support, beside
from pandas_causal.inference.influence import Component, Influence, cluster_component, shifts
from pandas_causal.inference.rows import RowIdentity
from pandas_causal.kernels.arrays import Floats

__all__ = ["stack"]

_RANK = 1e-10


def stack(parts: Sequence[Influence], labels: Sequence[object]) -> Influence:
    """Put fits of one design to several outcomes of the same rows side by side.

    Every fit keeps its own variance and degrees of freedom. The covariance of two comes from their contributions,
    scaled by what each fit's small-sample factors do to its own: with C the raw covariance of the parameters, M_j the
    variance of fit j and ``A_j = M_j^(1/2) C_jj^(-1/2)``, it is ``A_j C_jl A_l'``. The whole is a variance (C is one),
    a fit beside itself differs from itself by exactly 0, and for means of arms it is the unbiased covariance. Variance
    terms that all fits have in common (the arms of Welch's) share the covariance out as they share the variances, so
    that a difference of outcomes has the degrees of freedom of the outcomes' difference.

    Parameters
    ----------
    parts : sequence of Influence
        With contributions of the same rows in the same order, clustered alike.
    labels : sequence
        Name of every fit, which precedes the names of its parameters.

    Raises
    ------
    CausalError
        Without contributions.
    CausalArgumentError
        For fits to different rows.
    """
    first = parts[0]
    rows = [part.rows for part in parts]
    columns = [part.contributions for part in parts]
    if any(c is None for c in columns) or any(r is None for r in rows):
        raise CausalError("several outcomes need the contributions of every fit, which compact() dropped; refit them")
    if any(not r.labels.equals(rows[0].labels) for r in rows[1:] if r is not None and rows[0] is not None):
        raise CausalArgumentError("the outcomes were fitted on different rows; leave out rows that lack one of them")
    contributions = np.hstack([c for c in columns if c is not None])
    at = np.cumsum([0, *(len(part.values) for part in parts)])
    blocks = [slice(a, b) for a, b in pairwise(at)]
    if first.clustering is None:
        raw = contributions.T @ contributions
    else:
        raw = cluster_component(contributions, first.clustering, p=1, small_sample=False).meat
    loadings = np.zeros((sum(len(part.loadings) for part in parts), at[-1]))
    row = 0
    for part, block in zip(parts, blocks, strict=True):
        loadings[row : row + len(part.loadings), block] = part.loadings
        row += len(part.loadings)
    treated: Support | None = first.treated
    for part, block in zip(parts[1:], blocks[1:], strict=True):
        treated = beside(treated, part.treated, block.start)
    names = [(label, name) for label, part in zip(labels, parts, strict=True) for name in part.names]
    return replace(
        first,
        values=np.concatenate([part.values for part in parts]),
        names=pd.Index(names, tupleize_cols=False, name=first.names.name),
        loadings=loadings,
        components=_components(parts, blocks, raw),
        contributions=contributions,
        rows=_identity([r for r in rows if r is not None]),
        treated=treated,
        factor_p=max(len(part.values) if part.factor_p is None else part.factor_p for part in parts),
    )


def _components(parts: Sequence[Influence], blocks: Sequence[slice], raw: Floats) -> tuple[Component, ...]:
    """Variance terms of all parameters: those of every fit, and their covariances."""
    moved = shifts(parts)
    if moved:
        still = [replace(part, components=tuple(c for c in part.components if c.shift is None)) for part in parts]
        return (*_components(still, blocks, raw), *moved)
    size = len(raw)
    meats = [part.meat() for part in parts]
    scales = [_scale(meat, raw[block, block]) for meat, block in zip(meats, blocks, strict=True)]
    across = np.zeros((size, size))
    for j, one in enumerate(blocks):
        for l, other in enumerate(blocks):  # noqa: E741 - j and l, as in the docstring
            if j != l:
                across[one, other] = scales[j] @ raw[one, other] @ scales[l].T
    if not _alike(parts):
        alone = [c.placed(block, size) for part, block in zip(parts, blocks, strict=True) for c in part.components]
        return (*alone, Component(across, min(c.df for c in alone), max(c.joint_scale for c in alone)))
    out = []
    for b, own in enumerate(parts[0].components):
        share = np.zeros((size, size))
        meat = np.zeros((size, size))
        for part, block, total in zip(parts, blocks, meats, strict=True):
            meat[block, block] = part.components[b].meat
            share[block, block] = part.components[b].meat @ _inverse(total)
        half = share @ across
        out.append(own.with_meat(meat + (half + half.T) / 2).of_blocks(blocks))
    return tuple(out)


def _alike(parts: Sequence[Influence]) -> bool:
    """Whether the fits have the same variance terms, by their number and degrees of freedom."""
    terms = [[(c.df, c.joint_scale) for c in part.components] for part in parts]
    return all(len(t) == len(terms[0]) and np.allclose(t, terms[0], rtol=1e-9, atol=0) for t in terms[1:])


def _scale(meat: Floats, raw: Floats) -> Floats:
    """Matrix A with ``A raw A' = meat``, in units of the parameters' own spread."""
    unit = np.sqrt(np.diag(raw))
    unit = np.where(unit > 0, unit, 1.0)
    over = np.outer(unit, unit)
    A = _power(meat / over, 0.5) @ _power(raw / over, -0.5)
    return A * unit[:, None] / unit[None, :]


def _inverse(meat: Floats) -> Floats:
    unit = np.sqrt(np.maximum(np.diag(meat), 0.0))
    unit = np.where(unit > 0, unit, 1.0)
    over = np.outer(unit, unit)
    return _power(meat / over, -1.0) / over


def _power(matrix: Floats, power: float) -> Floats:
    """Power of a covariance matrix within its range."""
    sizes, vectors = np.linalg.eigh(matrix)
    kept = sizes > _RANK * max(float(sizes.max(initial=0.0)), np.finfo(float).tiny)
    powers = np.where(kept, np.where(kept, sizes, 1.0) ** power, 0.0)
    return np.asarray((vectors * powers) @ vectors.T)


def _identity(rows: Sequence[RowIdentity]) -> RowIdentity:
    """The rows, known by all outcomes: their sum, unlike weights telling a swap."""
    contents = [r.content for r in rows if r.content is not None]
    if len(contents) < len(rows):
        return RowIdentity(rows[0].labels)
    return RowIdentity(rows[0].labels, np.sum([(j + 1) * c for j, c in enumerate(contents)], axis=0))
