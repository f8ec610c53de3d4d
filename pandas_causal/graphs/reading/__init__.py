"""Readers of drawn graphs: text, DOT, pairs and networkx."""
