"""What a graph of 20 confounders (or as many as the second argument says) identifies, beside DoWhy's default.

Ours answers what DoWhy's ``identify_effect`` does and more: adjustment sets, front door, instruments, the functional.
Both read the same text; the frame is what DoWhy wants one for.
"""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pandas as pd
from measure import job

K = int(sys.argv[2]) if len(sys.argv) > 2 else 20


def text(k: int) -> str:
    return "digraph {x -> y;" + "".join(f"c{i} -> x; c{i} -> y;" for i in range(k)) + "}"


def data() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(rng.normal(size=(100, K + 2)), columns=["x", "y", *(f"c{i}" for i in range(K))])


def ours(k: int) -> list[int]:
    import pandas_causal

    found = pandas_causal.CausalGraph(text(k)).identify(treatment="x", outcome="y")
    answers = (found.identified, found.backdoor.sets, found.frontdoor.sets, found.instruments, found.functional.latex)
    return [len(found.backdoor.optimal or ()), len(answers)]


def dowhy(frame: pd.DataFrame, k: int) -> list[int]:
    from dowhy import CausalModel

    warnings.simplefilter("ignore")
    model = CausalModel(data=frame, treatment="x", outcome="y", graph=text(k))
    found = model.identify_effect(proceed_when_unidentifiable=True)
    return [len(found.get_backdoor_variables()), 1]


if __name__ == "__main__":
    if sys.argv[1] == "ours":
        job(data, lambda _: ours(3), lambda _: ours(K))
    else:
        job(data, lambda frame: dowhy(frame, 3), lambda frame: dowhy(frame, K))
