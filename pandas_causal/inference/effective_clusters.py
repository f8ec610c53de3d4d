"""How many clusters of equal size unequal ones are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from pandas_causal.errors import StandardErrorWarning, warn
from pandas_causal.kernels.arrays import Codes, Floats, Values

__all__ = ["FEW_CLUSTERS", "ONE_ROW", "clusters_text", "effective_clusters", "few_clusters_note"]

FEW_CLUSTERS = 10.0  # effective ones, below which errors of CR1 are too small: 95% intervals cover 93% and less
ONE_ROW = "one row a cluster (the means of its rows) serves better"
_OF_ARMS = "cluster_inference='wild' of ab_test and RegressionAdjustment, or one row a cluster, serve better"


def effective_clusters(labels: Values, w: Floats | None = None, codes: Codes | None = None) -> tuple[int, float]:
    """Clusters, and the number of equal ones they are worth for a mean or a comparison of arms.

    ``G* = (sum gamma)^2 / sum gamma^2`` with ``gamma_g = sum_a (W_ga / W_a)^2``, W the weight of a cluster's rows in
    arm a: the variance that a cluster brings where its rows move together.

    References
    ----------
    Carter, Schnepel and Steigerwald (2017), "Asymptotic behavior of a t-test robust to cluster heterogeneity", Review
    of Economics and Statistics 99, eq. (5).
    """
    cluster = pd.factorize(labels)[0]
    arm = np.zeros(len(cluster), dtype=np.int64) if codes is None else codes.astype(np.int64)
    G, K = int(cluster.max(initial=-1)) + 1, int(arm.max(initial=0)) + 1
    W = np.bincount(cluster * K + arm, weights=w, minlength=G * K).astype(float).reshape(G, K)
    total = W.sum(axis=0)
    gamma = np.square(W[:, total > 0] / total[total > 0]).sum(axis=1)
    square = float(np.square(gamma).sum())
    return G, float(gamma.sum() ** 2 / square) if square > 0 else 0.0


def clusters_text(
    ways: Sequence[tuple[str, int, float]], limit: float = FEW_CLUSTERS, remedy: str = _OF_ARMS
) -> str | None:
    """Say of the way with the fewest effective clusters that errors lean on them, or None where they are many."""
    name, count, worth = min(ways, key=lambda way: way[2])
    if worth >= limit:
        return None
    size = f"few ({count:,})" if worth > 0.9 * count else f"few or unequal ({count:,}, worth {worth:.1f} of equal size)"
    return f"the clusters of {name} are {size}, so that clustered errors may be too small; {remedy}"


def few_clusters_note(
    clusters: Mapping[str, Values],
    w: Floats | None = None,
    codes: Codes | None = None,
    limit: float = FEW_CLUSTERS,
    remedy: str = _OF_ARMS,
) -> list[str]:
    """What is to be said of clusters that are few or unequal: a text, or nothing.

    Parameters
    ----------
    clusters : mapping of str to ndarray (n,)
        Labels by name; of several ways the one worth least is named.
    w, codes : ndarray (n,) or None
        Weights, and the sides (arms) whose means are compared; see :func:`effective_clusters`.
    limit : float
        Effective clusters from which nothing is said.
    remedy : str
        What serves better.

    Warns
    -----
    StandardErrorWarning
        With the text.
    """
    if not clusters:
        return []
    text = clusters_text([(name, *effective_clusters(v, w, codes)) for name, v in clusters.items()], limit, remedy)
    if text is None:
        return []
    warn(text, StandardErrorWarning)
    return [text]
