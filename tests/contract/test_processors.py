"""The same number on every machine: kernels of linear algebra round differently, and no answer may depend on it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info

ROOT = Path(__file__).resolve().parents[2]
# what OpenBLAS runs on any x86-64 processor, and on one of the last ten years
OLD, NEW = "Nehalem", "Haswell"


def found_under(core, threads=1, *arguments):
    """Numbers that the script beside this file prints where OpenBLAS takes the kernels of a processor."""
    environment = os.environ | {
        "OPENBLAS_CORETYPE": core,
        "OPENBLAS_NUM_THREADS": str(threads),
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    command = [sys.executable, "-m", "tests.contract.processors", *arguments]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(autouse=True)
def two_kinds_of_kernels():
    known = {info.get("architecture") for info in threadpool_info() if info["internal_api"] == "openblas"}
    if not known & {"Haswell", "SkylakeX", "Zen", "Cooperlake", "Sapphirerapids"}:
        pytest.skip(f"the kernels of two processors need OpenBLAS and AVX2 here; found {sorted(map(str, known))}")


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, numbers in one.items():
        np.testing.assert_allclose(other[name], numbers, rtol=1e-6, atol=1e-12, err_msg=name)


def test_check_graph_does_not_depend_on_the_processor():
    """Single precision and a nearly singular system moved p-values by 0.03."""
    assert_same(found_under(NEW), found_under(OLD))


@pytest.mark.slow
def test_no_effect_depends_on_the_processor_or_its_threads():
    one = found_under(NEW, 1, "all")
    assert_same(one, found_under(OLD, 1, "all"))
    assert_same(one, found_under(NEW, 2, "all"))
