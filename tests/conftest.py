"""Settings of the whole suite."""

from hypothesis import settings

# The same examples in every run: a suite that fails by chance teaches nothing.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")
