"""Which mechanisms changed between two frames: a test of every node given its parents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.effect.check import Check
from pandas_causal.graphs.check_graph import Tester
from pandas_causal.graphs.implied_independences import Claim
from pandas_causal.graphs.independence_tests import Variable
from pandas_causal.inference.multiplicity import adjust_p_values
from pandas_causal.kernels.arrays import Values
from pandas_causal.structural.fitted import FittedModel

__all__ = ["mechanism_changes"]

_FRAME = object()  # the node that says which frame a row is from


def mechanism_changes(
    model: FittedModel, old: Mapping[Any, Values], new: Mapping[Any, Values], nodes: Iterable[Any], seed: int | None
) -> Check:
    """Test, for every node, that its distribution given its parents is the same in both frames.

    A mechanism is unchanged if the node is independent of the frame a row comes from, given its parents: functions of
    the node, cleared of what functions of the parents explain, must be uncorrelated with the frame, cleared alike.
    Parents whose own distribution moved are no evidence. P-values are Holm's, over all nodes.

    References
    ----------
    Shah and Peters (2020), Annals of Statistics 48, for tests by products of residuals; Budhathoki, Janzing, Bloebaum
    and Ng (2021), AISTATS, section 4, for testing mechanisms before attributing a change to them.
    """
    names = list(nodes)
    n_old, n_new = (len(next(iter(side.values()))) for side in (old, new))
    variables: dict[Any, Variable] = {
        node: Variable(np.concatenate([old[node], new[node]]), len(model.columns[node].plain_levels)) for node in names
    }
    variables[_FRAME] = Variable(np.repeat(np.array([0, 1]), [n_old, n_new]), 2)
    tester = Tester(variables, "auto", int(np.random.default_rng(seed).integers(2**31 - 1)), None)
    found = tester([Claim(node, _FRAME, tuple(model.simulator.parents[node])) for node in names])
    table = pd.DataFrame(
        {
            "test": [name for name, _ in found],
            "statistic": [float(result.statistic) for _, result in found],
            "p_value": [float(result.p_value) for _, result in found],
        },
        index=pd.Index(names, name="mechanism", tupleize_cols=False),
    )
    table["p_adjusted"] = adjust_p_values(table["p_value"].to_numpy(), "holm")
    changed = [str(name) for name in table.index[table["p_adjusted"] <= 0.05]]
    words = f"changed: {', '.join(changed[:6])}" if changed else "no mechanism found changed"
    return Check(None, table, f"{words} (at 0.05, Holm, {len(names)} mechanisms)")
