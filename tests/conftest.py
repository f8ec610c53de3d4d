"""Settings of the whole suite."""

import os
import sys

import pytest
from hypothesis import settings

# The tests run two at a time: threads below them would only get in each other's way. numpy is not imported yet.
for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(threads, "1")

# The same examples in every run: a suite that fails by chance teaches nothing.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def no_figure_stays():
    """Whoever draws leaves no figure to the next test of the same process."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.hookimpl(tryfirst=True)  # before -m chooses among the marks
def pytest_collection_modifyitems(items):
    """Mark the folders and files in which every test stands beside another project."""
    for item in items:
        if item.path.parent.name == "reference" or item.path.name == "test_peers.py":
            item.add_marker("published")
