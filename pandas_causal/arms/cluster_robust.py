"""Clusters in regressions by arm: CR2 errors with degrees of freedom of their own, from sums by cluster.

With ``bread = L L'`` of an arm and ``S = L' (sum w z z') L`` of the rows that a cluster has in it, the adjusted scores
``Z' W (I - H_gg)^(-1/2) e`` and everything their law needs are p-by-p functions of S and of ``sum w z e``: no cluster
is gone through row by row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pandas_causal.arms.arm_regression import ArmRegression
from pandas_causal.inference.influence import square_root
from pandas_causal.kernels.arrays import Codes, Floats, Ints, Positions, Values

__all__ = ["ArmClusters", "BellMcCaffrey", "clustered_scores", "sums_by_cluster"]

_FULL = 1e-9  # of 1 - l: a direction that one cluster alone determines has no residual
_BLOCK = 2_000_000  # numbers in a block of outer products
_LONG = 64  # rows in a cluster from which a product by cluster beats outer products by row


@dataclass(frozen=True, eq=False)
class ArmClusters:
    """Rows by cluster and arm, and their sums.

    Attributes
    ----------
    labels : Index (G,)
        Of the clusters.
    cluster, arm : ndarray (C,)
        Of every pair that has rows.
    S : ndarray (C, p, p) or None
        ``L' (sum w z z') L``; None where clusters hold fewer rows than there are coefficients, which are kept instead.
    rows : tuple of ndarray
        Then ``sqrt(w) z L`` (n, p) and ``sqrt(w) e`` (n,), sorted by cluster and arm.
    starts : ndarray (C + 1,)
        Where the rows of each pair begin.
    scores : ndarray (C, p)
        ``L' (sum w z e)``.
    roots : ndarray (K, p, p)
        L of every arm.
    """

    labels: pd.Index
    cluster: Positions
    arm: Codes
    S: Floats | None
    rows: tuple[Floats, Floats]
    starts: Positions
    scores: Floats
    roots: Floats

    @property
    def n_clusters(self) -> int:
        """Clusters."""
        return len(self.labels)

    @property
    def nested(self) -> bool:
        """Whether every cluster lies within one arm."""
        return len(self.cluster) == self.n_clusters

    def along(self, directions: Floats) -> Floats:
        """S times a direction of each arm (K, p), for every pair (C, p)."""
        of_pair = directions[self.arm]
        if self.S is not None:
            return np.asarray(np.einsum("cij,cj->ci", self.S, of_pair))
        U, out = self.rows[0], np.empty((len(self.arm), directions.shape[1]))
        for c, direction in enumerate(of_pair):
            block = U[self.starts[c] : self.starts[c + 1]]
            out[c] = block.T @ (block @ direction)
        return out

    def by_cluster(self, values: Floats) -> Floats:
        """Sum (C, k) over the arms of each cluster (G, k)."""
        out = np.zeros((self.n_clusters, values.shape[1]))
        np.add.at(out, self.cluster, values)
        return out


@dataclass(frozen=True, eq=False)
class BellMcCaffrey:
    """Satterthwaite's degrees of freedom of a CR2 variance, contrast by contrast.

    Under noise alike in all rows the variance of a contrast is a quadratic form whose matrix has the trace of
    ``B = diag(|p_g|^2) - (P'X) bread (X'P)`` and of its square; ``df = tr(B)^2 / tr(B^2)``, which is G - 1 or so for
    equal clusters and far less where one outweighs the rest.

    Attributes
    ----------
    cluster, arm : ndarray (C,)
    inside : ndarray (C, k, k)
        Products of the p_g of the parameters.
    across : ndarray (C, k, p)
        ``X'p_g`` of every parameter, in the coordinates of its arm.
    n_clusters, n_arms : int

    References
    ----------
    Bell and McCaffrey (2002), Survey Methodology 28, section 4; Pustejovsky and Tipton (2018), JBES, eq. (12).
    """

    cluster: Positions
    arm: Codes
    inside: Floats
    across: Floats
    n_clusters: int
    n_arms: int

    def __call__(self, loadings: Floats) -> Floats:
        """Degrees of freedom (rows,) of contrasts (rows, k) of the parameters."""
        p = self.across.shape[2]
        out = np.empty(len(loadings))
        for row, loading in enumerate(loadings):
            u = np.einsum("ckp,k->cp", self.across, loading)
            inside = np.einsum("ckl,k,l->c", self.inside, loading, loading)
            size = np.bincount(self.cluster, weights=inside, minlength=self.n_clusters)
            length = np.bincount(self.cluster, weights=np.square(u).sum(axis=1), minlength=self.n_clusters)
            wide = np.zeros((self.n_clusters, self.n_arms, p))
            wide[self.cluster, self.arm] = u
            flat = wide.reshape(self.n_clusters, -1)
            trace = float(size.sum() - length.sum())
            square = float(np.square(size).sum() - 2 * (size @ length) + np.square(flat.T @ flat).sum())
            out[row] = trace**2 / square if square > 0 and trace > 0 else np.nan
        return out


def sums_by_cluster(fit: ArmRegression, codes: Codes, w: Floats | None, cluster: Values) -> ArmClusters:
    """Sum rows by cluster and arm."""
    K = len(fit.bread)
    of_row, labels = pd.factorize(cluster)
    cells, cell = np.unique(of_row * K + codes, return_inverse=True)
    roots = np.stack([square_root(b) for b in fit.bread])
    unit = np.ones(len(codes)) if w is None else w
    weighted = unit * fit.residuals
    C = len(cells)
    arm = (cells % K).astype(np.int64)
    order = np.argsort(cell, kind="stable")
    starts = np.searchsorted(cell[order], np.arange(C + 1))
    S, rows = None, (np.empty((0, 0)), np.empty(0))
    if len(codes) < C * fit.design.p:
        root = np.sqrt(unit[order])
        U = fit.design.rows(order) * root[:, None]
        for a in range(K):
            mine = codes[order] == a
            U[mine] = U[mine] @ roots[a]
        rows = (U, root * fit.residuals[order])
        scores = np.add.reduceat(U * rows[1][:, None], starts[:-1], axis=0)
    else:
        gram, scores = _grams(fit, cell, order, starts, unit, weighted)
        of_cell = roots[arm]
        S = np.matmul(np.matmul(of_cell.transpose(0, 2, 1), gram), of_cell)
        scores = np.einsum("cji,cj->ci", of_cell, scores)
    return ArmClusters(pd.Index(labels), cells // K, arm, S, rows, starts, scores, roots)


def _grams(
    fit: ArmRegression, cell: Ints, order: Positions, starts: Positions, unit: Floats, weighted: Floats
) -> tuple[Floats, Floats]:
    """``sum w z z'`` (C, p, p) and ``sum w z e`` (C, p) by cell."""
    C = len(starts) - 1
    p = fit.design.p
    if p == 1:
        counts, totals = (np.bincount(cell, weights=v, minlength=C) for v in (unit, weighted))
        return counts.astype(float).reshape(C, 1, 1), totals.astype(float).reshape(C, 1)
    gram, scores = np.zeros((C, p, p)), np.zeros((C, p))
    if len(cell) >= _LONG * C:
        for c in range(C):
            rows = order[starts[c] : starts[c + 1]]
            Z = fit.design.rows(rows)
            gram[c], scores[c] = (Z * unit[rows][:, None]).T @ Z, weighted[rows] @ Z
        return gram, scores
    step = max(1, _BLOCK // p**2)
    for start in range(0, len(order), step):
        rows = order[start : start + step]
        Z, of_rows = fit.design.rows(rows), cell[rows]
        first = np.flatnonzero(np.append(True, np.diff(of_rows) != 0))
        outer = (Z * unit[rows][:, None])[:, :, None] * Z[:, None, :]
        gram[of_rows[first]] += np.add.reduceat(outer, first, axis=0)
        scores[of_rows[first]] += np.add.reduceat(Z * weighted[rows][:, None], first, axis=0)
    return gram, scores


def clustered_scores(
    fit: ArmRegression, clusters: ArmClusters, centres: Floats, arms: Positions
) -> tuple[Floats, BellMcCaffrey]:
    """CR2-adjusted contributions of every cluster to means ``z' beta_a``, and the law of their variance.

    Parameters
    ----------
    fit : ArmRegression
    clusters : ArmClusters
    centres : ndarray (k, p)
        Covariates z at which every parameter is a prediction.
    arms : ndarray (k,)
        Arm of every parameter.

    Returns
    -------
    sums : ndarray (G, k)
        Their outer product is the CR2 variance.
    df : BellMcCaffrey
    """
    toward = np.stack([clusters.roots[a].T @ z for a, z in zip(arms, centres, strict=True)])
    inside, across, sums = (_by_rows if clusters.S is None else _by_grams)(clusters, toward, arms)
    law = BellMcCaffrey(clusters.cluster, clusters.arm, inside, across, clusters.n_clusters, len(fit.bread))
    return clusters.by_cluster(sums), law


def _power(size: Floats) -> Floats:
    """``(1 - l)^(-1/2)``, 0 where nothing is left."""
    free = 1 - np.clip(size, 0.0, 1.0)
    return np.where(free > _FULL, 1 / np.sqrt(np.where(free > _FULL, free, 1.0)), 0.0)


def _by_grams(clusters: ArmClusters, toward: Floats, arms: Positions) -> tuple[Floats, Floats, Floats]:
    """Products of the p_g (C, k, k), ``X'p_g`` (C, k, p) and adjusted scores (C, k), from S."""
    assert clusters.S is not None  # noqa: S101 - what decides who is called
    size, V = np.linalg.eigh(clusters.S)
    power = _power(size)
    m = np.zeros((len(clusters.arm), *toward.shape))
    for j, a in enumerate(arms):
        mine = np.flatnonzero(clusters.arm == a)
        m[mine, j] = np.einsum("cij,cj->ci", V[mine], power[mine] * np.einsum("cji,j->ci", V[mine], toward[j]))
    across = np.einsum("cpq,ckq->ckp", clusters.S, m)
    return np.einsum("ckp,clp->ckl", m, across), across, np.einsum("ckp,cp->ck", m, clusters.scores)


def _by_rows(clusters: ArmClusters, toward: Floats, arms: Positions) -> tuple[Floats, Floats, Floats]:
    """The same from the rows: ``I - H_gg`` itself is decomposed, which has as many rows as the cluster."""
    C, (k, p) = len(clusters.arm), toward.shape
    inside, across, sums = np.zeros((C, k, k)), np.zeros((C, k, p)), np.zeros((C, k))
    U, e = clusters.rows
    for c in range(C):
        at = slice(clusters.starts[c], clusters.starts[c + 1])
        mine = np.flatnonzero(arms == clusters.arm[c])
        size, V = np.linalg.eigh(U[at] @ U[at].T)
        P = V @ (_power(size)[:, None] * (V.T @ (U[at] @ toward[mine].T)))
        inside[c][np.ix_(mine, mine)] = P.T @ P
        across[c, mine] = (U[at].T @ P).T
        sums[c, mine] = P.T @ e[at]
    return inside, across, sums
