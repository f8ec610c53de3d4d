"""Structural causal models: mechanisms, interventions, counterfactuals."""
