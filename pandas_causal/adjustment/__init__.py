"""Adjustment for measured confounding: regression, weights, and both."""
