"""Structural models and tests of graphs, beside DoWhy's gcm where it is installed.

Interventions and counterfactuals: a linear model of six nodes fitted to 100,000 rows, then 1,000,000 rows drawn under
an intervention, and a counterfactual of 100,000 rows. Tests of a graph: 16 nodes, 92 implied independences, 100,000
rows with nonlinear relations.
"""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pandas as pd
from measure import job

N = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
EDGES = [("a", "x"), ("b", "x"), ("a", "m"), ("x", "m"), ("b", "y"), ("m", "y"), ("x", "y"), ("y", "z")]
COEFFICIENTS = {("a", "x"): 1.0, ("b", "x"): -0.5, ("x", "m"): 2.0, ("m", "y"): 0.5, ("y", "z"): 1.0}


def linear() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    values: dict[str, np.ndarray] = {}
    for node in "abxmyz":
        push = sum(COEFFICIENTS.get((p, c), 0.3) * values[p] for p, c in EDGES if c == node)
        values[node] = push + rng.normal(size=N)
    return pd.DataFrame(values)


def ours_do(frame: pd.DataFrame) -> list[float]:
    from pandas_causal import CausalGraph, StructuralModel

    model = StructuralModel(CausalGraph(EDGES), dict.fromkeys("xmyz", "linear")).fit(frame)
    drawn = model.do({"x": 1.0}, n=10 * len(frame))
    moved = model.counterfactual(frame, {"x": 1.0})
    return [float(drawn["z"].mean()), float(moved["z"].mean())]


def dowhy_do(frame: pd.DataFrame) -> list[float]:
    import networkx as nx
    from dowhy import gcm

    warnings.simplefilter("ignore")
    gcm.config.disable_progress_bars()
    model = gcm.InvertibleStructuralCausalModel(nx.DiGraph(EDGES))
    for node in "ab":
        model.set_causal_mechanism(node, gcm.EmpiricalDistribution())
    for node in "xmyz":
        model.set_causal_mechanism(node, gcm.AdditiveNoiseModel(gcm.ml.create_linear_regressor()))
    gcm.fit(model, frame)
    drawn = gcm.interventional_samples(model, {"x": lambda _: 1.0}, num_samples_to_draw=10 * len(frame))
    moved = gcm.counterfactual_samples(model, {"x": lambda _: 1.0}, observed_data=frame)
    return [float(drawn["z"].mean()), float(moved["z"].mean())]


def many() -> pd.DataFrame:
    """Sixteen nodes in a band: every node is caused by the two before it, one of which by its square."""
    rng = np.random.default_rng(1)
    values = [rng.normal(size=N), rng.normal(size=N)]
    for k in range(2, 16):
        values.append(0.6 * values[k - 1] + 0.3 * np.square(np.tanh(values[k - 2])) + rng.normal(size=N))
    return pd.DataFrame({f"v{k}": v for k, v in enumerate(values)})


def ours_check(frame: pd.DataFrame) -> list[float]:
    from pandas_causal import CausalGraph, causal

    edges = [(f"v{k - d}", f"v{k}") for k in range(2, 16) for d in (1, 2)]
    check = causal(frame).check_graph(CausalGraph(edges))
    return [len(check.table), int(check.table["rejected"].sum()), float((check.table["p_value"] <= 0.05).mean())]


if __name__ == "__main__":
    side = {"ours": ours_do, "dowhy": dowhy_do, "check": ours_check}[sys.argv[1]]
    data = many if side is ours_check else linear
    job(data, lambda frame: side(frame.iloc[:2_000]), side)
