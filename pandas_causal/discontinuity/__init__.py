"""Regression discontinuity: local polynomials, bandwidths, density tests, local randomisation."""
