"""Run one job in a process of its own and report its seconds and peak memory.

Times are medians over alternating runs of both sides: machines are noisy, so only ratios within one run mean anything.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def job(prepare: Callable[[], Any], warm_up: Callable[[Any], Any], run: Callable[[Any], Any]) -> None:
    """Inside the process: prepare the data, warm up on little of it, time the run, print what was measured."""
    data = prepare()
    warm_up(data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, cpu = time.perf_counter(), time.process_time()
    result = run(data)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu, "extra_mib": (peak - before) / 1024, "result": result}))


def compare(
    script: str, sides: tuple[str, ...], repeats: int = 3, arguments: tuple[str, ...] = ()
) -> dict[str, dict[str, Any]]:
    """Alternate the sides; return median seconds, median extra MiB and the last result by side."""
    runs: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    for _ in range(repeats):
        for side in sides:
            command = [sys.executable, str(Path(__file__).parent / script), side, *arguments]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"{script} {side} failed:\n{done.stderr[-2000:]}")
            runs[side].append(json.loads(done.stdout.splitlines()[-1]))
    return {
        side: {
            "seconds": statistics.median(r["seconds"] for r in taken),
            "extra_mib": statistics.median(r["extra_mib"] for r in taken),
            "result": taken[-1]["result"],
        }
        for side, taken in runs.items()
    }
