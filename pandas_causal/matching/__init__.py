"""Matching: nearest, optimal, full, coarsened exact, subclasses."""
