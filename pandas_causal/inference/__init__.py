"""Inference on arrays: how estimates vary jointly, and what follows from it."""
