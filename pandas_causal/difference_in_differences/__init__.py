"""Difference in differences: group-time effects, event studies, two-way regressions, honest bounds."""
