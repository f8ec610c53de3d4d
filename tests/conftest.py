"""Settings of the whole suite."""

import os

from hypothesis import settings

# The tests run two at a time: threads below them would only get in each other's way. numpy is not imported yet.
for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(threads, "1")

# The same examples in every run: a suite that fails by chance teaches nothing.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")
