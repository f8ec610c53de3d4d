"""Assumptions drawn as a graph, and what follows from them."""

from pandas_causal.graph.graph import CausalGraph

__all__ = ["CausalGraph"]
