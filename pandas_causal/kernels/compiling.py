"""Says once, on stderr, that kernels are being compiled, when a process has spent two seconds on it."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

__all__ = ["said"]

_AFTER = 2.0  # seconds, as for progress bars
_listening = False


def said(dispatcher: Callable[..., Any]) -> Callable[..., Any]:
    """Return the kernel; compiles of any kernel are watched from the first one on."""
    global _listening  # noqa: PLW0603 - one listener in a process
    if not _listening:
        _listening = True
        from numba.core import event

        event.register("numba:compile", _listener(event))
    return dispatcher


def _listener(event: Any) -> Any:
    class Listener(event.Listener):
        """Starts a timer of what is left of the two seconds with the outermost compile, and stops it with its end."""

        depth = 0
        left = _AFTER
        started = 0.0
        timer: threading.Timer | None = None
        done = False

        def on_start(self, event: Any) -> None:
            self.depth += 1
            if self.depth == 1 and not self.done and _is_ours(event):
                self.started = time.perf_counter()
                self.timer = threading.Timer(self.left, self.say)
                self.timer.daemon = True
                self.timer.start()

        def on_end(self, event: Any) -> None:
            self.depth -= 1
            if self.depth == 0 and self.timer is not None:
                self.timer.cancel()
                self.timer = None
                self.left = max(self.left - (time.perf_counter() - self.started), 0.0)

        def say(self) -> None:
            self.done = True
            sys.stderr.write(
                "pandas-causal: compiling kernels, once per machine (python -m pandas_causal warm does it beforehand)\n"
            )

    return Listener()


def _is_ours(event: Any) -> bool:
    function = getattr(event.data.get("dispatcher"), "py_func", None)
    return str(getattr(function, "__module__", "")).startswith("pandas_causal.")
