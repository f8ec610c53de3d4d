"""Minimum cuts at nodes, by scipy's maximum flow."""

from __future__ import annotations

from collections.abc import Sequence

from pandas_causal.graph.walks import Flags

__all__ = ["cut_nodes"]


def cut_nodes(
    cliques: Sequence[Sequence[int]], usable: Flags, cuttable: Flags, start: Sequence[int], end: Sequence[int]
) -> Flags:
    """Return a smallest set of cuttable nodes between `start` and `end` in a union of cliques, nearest to `start`.

    A node is an arc of capacity 1 (cuttable) or unbounded, a clique a point that its members enter and leave (Menger's
    theorem; Ford and Fulkerson 1956). The caller knows that a cut exists.
    """
    import numpy as np
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_flow

    n, m = len(usable), len(cliques)
    unbounded = n + 1
    source, sink = 2 * n + m, 2 * n + m + 1  # v enters at v and leaves at n + v; a clique is 2 n + k
    arcs = [(v, n + v, 1 if cuttable[v] else unbounded) for v in range(n) if usable[v]]
    for k, members in enumerate(cliques):
        for v in members:
            if usable[v]:
                arcs += [(n + v, 2 * n + k, unbounded), (2 * n + k, v, unbounded)]
    arcs += [(source, v, unbounded) for v in start] + [(n + v, sink, unbounded) for v in end]
    tails, heads, capacities = (np.array(column, dtype=np.int32) for column in zip(*arcs, strict=True))
    network = csr_array((capacities, (tails, heads)), shape=(2 * n + m + 2,) * 2)
    residual = (network - maximum_flow(network, source, sink).flow).tocsr()
    starts, ends, left = residual.indptr.tolist(), residual.indices.tolist(), residual.data.tolist()
    seen = bytearray(2 * n + m + 2)
    seen[source] = 1
    stack = [source]
    while stack:
        v = stack.pop()
        for k in range(starts[v], starts[v + 1]):
            if left[k] > 0 and not seen[ends[k]]:
                seen[ends[k]] = 1
                stack.append(ends[k])
    return bytearray(cuttable[v] and seen[v] and not seen[n + v] for v in range(n))
