"""`import pandas_causal` beside `import pandas`, each in a fresh process."""

from __future__ import annotations

import sys

from measure import job


def pandas(_: None) -> list[float]:
    import pandas  # noqa: F401

    return []


def ours(_: None) -> list[float]:
    import pandas_causal  # noqa: F401

    return []


if __name__ == "__main__":
    job(lambda: None, lambda _: None, {"pandas": pandas, "ours": ours}[sys.argv[1]])
