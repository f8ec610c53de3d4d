"""What the first call of each question costs beside ``import pandas``: ``python benchmarks/first_calls.py``.

Every question runs in a process of its own, twice: with an empty cache of compiled kernels, then with what the first
run left there. Processor seconds, for the import of pandas and for all that follows: our import, the question, its
printing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time

QUESTIONS = {
    "ab_test": "df.causal.ab_test(treatment='t', outcome='y')",
    "ate": "df.causal.ate(treatment='t', outcome='y', covariates=['x', 'z'])",
    "balance": "df.causal.balance(treatment='t', covariates=['x', 'z'])",
    "match": "df.causal.match(treatment='t', outcome='y', covariates=['x', 'z'])",
    "rdd": "df.causal.rdd(outcome='y', running='x', cutoff=0.0)",
    "did": "panel.causal.did(**units)",
    "event_study, simultaneous band": "panel.causal.event_study(**units).interval(simultaneous=True)",
    "event_study, honest bounds": "panel.causal.event_study(**units).sensitivity()",
    "synthetic_control": "few.causal.synthetic_control(**units)",
    "synthetic_control, sc": "few.causal.synthetic_control(**units, estimator='sc')",
    "identify": "df.causal.identify(graph='x -> t -> y, x -> y', treatment='t', outcome='y')",
}


def ask(question: str) -> None:
    """In a process of its own: print the seconds of ``import pandas`` and of the question."""
    before = time.process_time()
    import pandas as pd

    pandas_seconds = time.process_time() - before
    import numpy as np

    rng = np.random.default_rng(0)
    df = pd.DataFrame({"x": rng.normal(size=2_000), "z": rng.normal(size=2_000), "t": np.arange(2_000) % 2})
    df["y"] = df["x"] + df["t"] + rng.normal(size=2_000)
    panel = pd.DataFrame({"i": np.repeat(np.arange(60), 12), "t": np.tile(np.arange(1, 13), 60)})
    panel["g"] = np.select([panel["i"] % 4 == 1, panel["i"] % 4 == 2], [6.0, 8.0], np.inf)
    panel["y"] = panel["i"] + rng.normal(size=len(panel))
    few = panel[(panel["i"] == 1) | np.isinf(panel["g"])]
    units = {"outcome": "y", "unit": "i", "time": "t", "cohort": "g"}
    start = time.process_time()
    import pandas_causal  # noqa: F401

    str(eval(question, {"df": df, "panel": panel, "few": few, "units": units}))
    print(json.dumps([pandas_seconds, time.process_time() - start]))


def main() -> None:
    """Ask every question cold and warm, and print the table."""
    print("| question | import pandas | cold | warm | warm beside import pandas |\n| --- | --- | --- | --- | --- |")
    for name, question in QUESTIONS.items():
        with tempfile.TemporaryDirectory() as cache:
            environment = {**os.environ, "NUMBA_CACHE_DIR": cache, "PYTHONWARNINGS": "ignore"}
            command = [sys.executable, __file__, question]
            runs = [
                json.loads(subprocess.run(command, capture_output=True, check=True, env=environment).stdout)
                for _ in range(2)
            ]
        (_, cold), (pandas_seconds, warm) = runs
        print(f"| {name} | {pandas_seconds:.2f} | {cold:.1f} | {warm:.2f} | {warm / pandas_seconds:.1f} |")


if __name__ == "__main__":
    if sys.argv[1:]:
        ask(sys.argv[1])
    else:
        main()
