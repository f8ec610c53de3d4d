"""``python -m pandas_causal``: the main job on bundled data."""

import subprocess
import sys


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
