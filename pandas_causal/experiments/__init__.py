"""Randomised experiments: differences in means, and planning them."""
