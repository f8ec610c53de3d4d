"""Random graphs and data that follow them, with known truth."""

import numpy as np
import pandas as pd

from pandas_causal.graphs.graph import CausalGraph

SHAPES = (lambda z: z, np.tanh, lambda z: 0.5 * (z**2 - 1), np.sin, np.abs)


def random_graph(rng, n_nodes, share=0.4):
    """A DAG whose order of columns tells nothing of its order of causes."""
    names = [f"v{k}" for k in range(n_nodes)]
    order = rng.permutation(n_nodes)
    edges = [
        (names[order[i]], names[order[j]])
        for i in range(n_nodes)
        for j in range(i + 1, n_nodes)
        if rng.random() < share
    ]
    parents = {name: [a for a, b in edges if b == name] for name in names}
    children = {name: [b for a, b in edges if a == name] for name in names}
    return CausalGraph({name: children[name] for name in names}), [names[k] for k in order], parents


def simulate(rng, order, parents, n, kind):
    """Rows of a model with these parents; kind is "linear", "nonlinear", "discrete" or "mixed"."""
    values, frame = {}, {}
    for name in order:
        discrete = kind == "discrete" or (kind == "mixed" and rng.random() < 0.5)
        push = np.zeros(n)
        for p in parents[name]:
            z = (values[p] - values[p].mean()) / values[p].std()
            shape = SHAPES[rng.integers(len(SHAPES))] if kind in ("nonlinear", "mixed") else SHAPES[0]
            push += rng.choice([-1, 1]) * rng.uniform(0.5, 1.2) * shape(z)
        if discrete:
            K = int(rng.integers(2, 4))
            cuts = np.linspace(-0.7, 0.7, K - 1)
            codes = (push[:, None] + rng.logistic(size=n)[:, None] > cuts).sum(axis=1)
            values[name] = codes.astype(float)
            frame[name] = codes if K == 2 else np.array(["a", "b", "c"])[codes]
        else:
            values[name] = push + rng.normal(size=n)
            frame[name] = values[name]
    return pd.DataFrame({name: frame[name] for name in sorted(frame)})
