"""Assumptions drawn as a graph, and what follows from them."""

from pandas_causal.graphs.graph import CausalGraph

__all__ = ["CausalGraph"]
