"""Forests of honest trees: causal, instrumental, regression and uplift, all grown by one kernel."""
