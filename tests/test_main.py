"""``python -m pandas_causal``: the main job on bundled data."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import pandas_causal


def test_main_prints_naive_and_adjusted_effect_with_overlap_and_balance():
    done = subprocess.run([sys.executable, "-m", "pandas_causal"], capture_output=True, text=True, check=True)
    for part in (
        "NOT a causal effect",
        "average treatment effect (ATE)",
        "1794.342",
        "overlap: Check passed",
        "balance: Check",
    ):
        assert part in done.stdout
    assert done.stderr == ""


@pytest.mark.slow
def test_warm_compiles_every_kernel_so_that_a_first_call_compiles_nothing(tmp_path):
    """Every kernel of the package has a file in the cache afterwards."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "pandas_causal", "warm"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert "synthetic control: " in done.stdout
    assert done.stderr.count("compiling kernels") <= 1
    package = Path(pandas_causal.__file__).parent
    files = [*package.rglob("kernels.py"), *package.rglob("*_kernels.py"), *package.glob("kernels/[a-z]*.py")]
    public = {
        node.name
        for file in files
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.FunctionDef)
        and any(ast.unparse(d) in ("kernel", "serial_kernel") for d in node.decorator_list)
    }
    compiled = {file.name.split(".")[1].split("-")[0] for file in tmp_path.rglob("*.nbi")}
    assert public - compiled == set(), sorted(public - compiled)
