"""Diagnostics: each returns a Check."""
