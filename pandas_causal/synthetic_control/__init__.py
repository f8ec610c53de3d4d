"""Synthetic control and its kin: weighted comparisons for few treated units."""
