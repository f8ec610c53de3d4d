"""Settings of the whole suite."""

import os
import re
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


# The contract of these is in code that they share with one that the fast tests run: DRLearner, LinearDML, CausalForest,
# AIPW, EntropyBalancing.
RELATIVES = re.compile(
    r"\b(SLearner|TLearner|XLearner|RLearner|NonparametricDML|KernelDML|SparseDML|CausalStack|UpliftForest|DoubleML|TMLE"
    r"|StableBalancing)(Twin)?\b"
)


@pytest.hookimpl(tryfirst=True)  # before -m chooses among the marks
def pytest_collection_modifyitems(items):
    """Mark the tests beside other projects, and those of the contract that differ by a relative of an estimator."""
    for item in items:
        if item.path.parent.name == "reference" or item.path.name == "test_peers.py":
            item.add_marker("published")
        if item.path.parent.name == "contract" and RELATIVES.search(item.name):
            item.add_marker("slow")
