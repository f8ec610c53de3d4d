"""Graphs by the thousand, and the definitions taken at their word: every simple path, every subset.

Nothing here knows how the package does it. A graph is (n, edges, pairs): nodes 0 to n - 1, directed edges, and ``<->``
as pairs of the smaller and the larger end.
"""

import os
from itertools import chain, combinations, product

import numpy as np

from pandas_causal import CausalGraph

FULL = os.environ.get("PANDAS_CAUSAL_GRAPHS") == "full"  # every graph instead of a seeded sample


def acyclic(n, edges):
    left, edges = set(range(n)), set(edges)
    while left:
        free = {v for v in left if not any(b == v and a in left for a, b in edges)}
        if not free:
            return False
        left -= free
    return True


def all_dags(n):
    couples = list(combinations(range(n), 2))
    for choice in product((0, 1, 2), repeat=len(couples)):
        edges = frozenset((a, b) if c == 1 else (b, a) for (a, b), c in zip(couples, choice, strict=True) if c)
        if acyclic(n, edges):
            yield edges


def all_mixed(n):
    couples = list(combinations(range(n), 2))
    for edges in all_dags(n):
        for k in range(2 ** len(couples)):
            yield n, edges, frozenset(c for i, c in enumerate(couples) if k >> i & 1)


def random_mixed(rng, n, degree=None, confounding=None, most=None):
    order = rng.permutation(n)
    p = rng.uniform(0.15, 0.8) if degree is None else degree
    q = rng.uniform(0, 0.5) if confounding is None else confounding
    couples = list(combinations(range(n), 2))
    edges = frozenset((int(order[i]), int(order[j])) for i, j in couples if rng.random() < p)
    pairs = [c for c in couples if rng.random() < q]
    return n, edges, frozenset(pairs[i] for i in rng.permutation(len(pairs))[:most])


def sample(graphs, count, seed):
    """Every graph where all are asked for, else a seeded sample."""
    graphs = list(graphs)
    if FULL:
        return graphs
    return [graphs[i] for i in np.random.default_rng(seed).choice(len(graphs), count, replace=False)]


def graph_of(graph, latent=()):
    n, edges, pairs = graph
    children = {v: sorted(b for a, b in edges if a == v) for v in range(n)}
    return CausalGraph(children, bidirected=sorted(pairs), latent=latent)


def subsets(items):
    items = sorted(items)
    return [frozenset(s) for s in chain.from_iterable(combinations(items, k) for k in range(len(items) + 1))]


def below(graph, start):
    found, edges = set(start), graph[1]
    while True:
        more = {b for a, b in edges if a in found} - found
        if not more:
            return found
        found |= more


def above(graph, start):
    found, edges = set(start), graph[1]
    while True:
        more = {a for a, b in edges if b in found} - found
        if not more:
            return found
        found |= more


def paths(graph, start, end):
    """Every simple path: (nodes, arrows), an arrow being "->", "<-" or "<->" as read along the path."""
    n, edges, pairs = graph
    steps = {v: [] for v in range(n)}
    for a, b in edges:
        steps[a].append((b, "->"))
        steps[b].append((a, "<-"))
    for a, b in pairs:
        steps[a].append((b, "<->"))
        steps[b].append((a, "<->"))

    def walk(nodes, arrows):
        if nodes[-1] == end:
            yield nodes, arrows
            return
        for w, arrow in steps[nodes[-1]]:
            if w not in nodes:
                yield from walk((*nodes, w), (*arrows, arrow))

    yield from walk((start,), ())


def is_open(graph, path, given):
    nodes, arrows = path
    opened = above(graph, given)
    for k in range(1, len(nodes) - 1):
        collider = arrows[k - 1].endswith(">") and arrows[k].startswith("<")
        if (nodes[k] not in opened) if collider else (nodes[k] in given):
            return False
    return True


def is_causal(path):
    return all(arrow == "->" for arrow in path[1])


def is_proper(path, starts):
    return not set(path[0][1:]) & set(starts)


def separated(graph, a, b, given):
    return not any(is_open(graph, p, given) for s in a for t in b for p in paths(graph, s, t))


def cut_out_of(graph, nodes):
    n, edges, pairs = graph
    return n, frozenset(e for e in edges if e[0] not in nodes), pairs


def on_causal_paths(graph, xs, ys):
    """Nodes on proper causal paths, without the treatments."""
    return {
        v for x in xs for y in ys for p in paths(graph, x, y) if is_causal(p) and is_proper(p, xs) for v in p[0][1:]
    }


def valid_adjustment(graph, xs, ys, covariates):
    """The adjustment criterion as Shpitser, VanderWeele and Robins (2010) word it."""
    if set(covariates) & (set(xs) | set(ys) | below(graph, on_causal_paths(graph, xs, ys))):
        return False
    return not any(
        is_open(graph, p, covariates)
        for x in xs
        for y in ys
        for p in paths(graph, x, y)
        if is_proper(p, xs) and not is_causal(p)
    )


def minimal_only(sets):
    return {s for s in sets if not any(t < s for t in sets)}


def valid_front_door(graph, xs, ys, z):
    """Pearl (1995), definition 4, for sets as Jeong, Tian and Bareinboim (2022), definition 2."""
    if any(is_causal(p) and not set(p[0]) & z for x in xs for y in ys for p in paths(graph, x, y)):
        return False
    if not separated(cut_out_of(graph, xs), xs, z, frozenset()):
        return False
    return separated(cut_out_of(graph, z), z, ys, frozenset(xs))


def valid_instrument(graph, x, y, instrument, given):
    """A conditional instrument (Pearl 2001; van der Zander, Textor and Liskiewicz 2015) for the total effect.

    Neither it nor what is given is a consequence of the treatment.
    """
    causal = on_causal_paths(graph, [x], [y])
    if {*given, instrument} & (below(graph, [x]) | {y}):
        return False
    n, edges, pairs = graph
    without = n, frozenset(e for e in edges if not (e[0] == x and e[1] in causal)), pairs
    related = not separated(without, [instrument], [x], given)
    return related and separated(without, [instrument], [y], given)


def bound_together(graph, nodes):
    """Whether ``<->`` edges inside `nodes` connect them."""
    nodes = set(nodes)
    found = {min(nodes)}
    while True:
        more = {w for p in graph[2] if set(p) <= nodes and set(p) & found for w in p} - found
        if not more:
            return found == nodes
        found |= more


def inside(graph, nodes):
    n, edges, pairs = graph
    return n, frozenset(e for e in edges if set(e) <= set(nodes)), frozenset(p for p in pairs if set(p) <= set(nodes))


def has_hedge(graph, xs, ys):
    """Search for two R-rooted C-forests, R among the outcomes' ancestors (Shpitser and Pearl 2006, definition 6)."""
    n, edges, pairs = graph
    cut = n, frozenset(e for e in edges if e[1] not in xs), frozenset(p for p in pairs if not set(p) & set(xs))
    reached = above(cut, ys)
    every = [s for s in subsets(range(n)) if s and bound_together(graph, s)]
    for small in every:
        if small & set(xs):
            continue
        within = inside(graph, small)
        roots = {v for v in small if not any(a == v for a, _ in within[1])}
        if not roots <= reached:
            continue
        for large in every:
            if small < large and large & set(xs) and above(inside(graph, large), roots) == set(large):
                return True
    return False


class Model:
    """A random discrete model of a graph: a latent variable per ``<->``, every conditional table drawn.

    Axes 0 to n - 1 are the nodes, those behind them the latent variables.
    """

    def __init__(self, rng, graph, levels=2):
        self.n, edges, pairs = graph
        pairs = sorted(pairs)
        self.shape = [levels] * self.n + [levels + 1] * len(pairs)
        self.tables = []
        for v in range(self.n + len(pairs)):
            above = [] if v >= self.n else sorted(a for a, b in edges if b == v)
            above += [] if v >= self.n else [self.n + i for i, p in enumerate(pairs) if v in p]
            table = rng.dirichlet(np.ones(self.shape[v]), size=[self.shape[a] for a in above])
            table = 0.8 * table + 0.2 / self.shape[v]
            order = np.argsort([*above, v])
            shape = [self.shape[a] if a in {*above, v} else 1 for a in range(len(self.shape))]
            self.tables.append(table.transpose(order).reshape(shape))

    def joint(self, do=()):
        """Probabilities of the nodes, a factor of 1 for those in `do`: the value there is set from outside."""
        result = np.ones([1] * len(self.shape))
        for v, table in enumerate(self.tables):
            if v not in do:
                result = result * table
        result = np.broadcast_to(result, self.shape)
        return result.sum(axis=tuple(range(self.n, len(self.shape))))

    def frame(self, latent=()):
        """Every combination of values with its probability, the latent nodes summed out."""
        import pandas as pd

        seen = [v for v in range(self.n) if v not in latent]
        values = self.joint().sum(axis=tuple(latent))
        index = np.indices(values.shape).reshape(len(seen), -1)
        return pd.DataFrame({v: index[k] for k, v in enumerate(seen)} | {"share": values.ravel()})

    def truth(self, xs, ys, ws=()):
        """P(ys | do(xs), ws) as an array with axes xs, ws, ys."""
        values = self.joint(do=xs)
        kept = [*xs, *ws, *ys]
        values = values.sum(axis=tuple(v for v in range(self.n) if v not in kept))
        values = values.transpose([sorted(kept).index(v) for v in kept])
        if ws:
            over = tuple(range(len(kept) - len(ys), len(kept)))
            values = values / values.sum(axis=over, keepdims=True)
        return values


def exchanged(graph, xs, ys, ws):
    """Rule 2 of the do-calculus, applied to given nodes as long as it may."""
    n, edges, pairs = graph
    for w in ws:
        others = [v for v in ws if v != w]
        kept = frozenset(e for e in edges if e[1] not in xs and e[0] != w)
        cut = n, kept, frozenset(p for p in pairs if not set(p) & set(xs))
        if separated(cut, [w], ys, frozenset({*xs, *others})):
            return exchanged(graph, (*xs, w), ys, tuple(others))
    return xs, ws
