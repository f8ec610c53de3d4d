"""How well a structural model fits: losses of its mechanisms, and whether its noises are as independent as it says."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pandas_causal.effect.check import Check
from pandas_causal.graphs.independence_tests import Variable, feature_test, own_features
from pandas_causal.graphs.node_columns import select_nodes
from pandas_causal.inference.multiplicity import adjust_p_values
from pandas_causal.kernels.arrays import Floats, Positions, Values
from pandas_causal.models.folds import label_order
from pandas_causal.structural.coupling import uniform_posterior
from pandas_causal.structural.learning import rows_to_choose_on
from pandas_causal.structural.mechanisms import Additive, Discrete

if TYPE_CHECKING:
    from pandas_causal.structural.fitted import FittedModel

__all__ = ["check_model_fit"]

_FEATURES = 5
# Residuals of these on the rows fitted are as good as held-out ones; those of flexible learners are too small there.
_RIGID = ("linear", "given function")


def check_model_fit(model: FittedModel, df: pd.DataFrame, alpha: float, seed: int | None) -> Check:
    """Judge every mechanism on df; see :meth:`StructuralModel.evaluate`."""
    simulator = model.simulator
    frame = select_nodes(df, simulator.order, "never")
    rows = label_order(frame.index)
    frame = frame if rows is None else frame.iloc[rows]
    values = {node: column.read(frame[node]) for node, column in model.columns.items()}
    fitted = len(frame) == len(model.index) and all(np.array_equal(values[n], model.factual[n]) for n in values)
    at = rows_to_choose_on(len(frame))
    streams = dict(zip(simulator.order, np.random.default_rng(seed).spawn(len(simulator.order)), strict=True))
    noise, facts = {}, []
    for node in simulator.order:
        node_noise, loss, baseline = _judge(model, node, values, at, fitted, streams[node])
        noise[node] = node_noise
        facts.append(
            (simulator.mechanisms[node].skill.model, simulator.mechanisms[node].skill.loss_kind, loss, baseline)
        )
    from threadpoolctl import threadpool_limits  # comes with scikit-learn

    with threadpool_limits(1, user_api="blas"):  # products of small blocks, as in check_graph
        p_parents, p_noises = _independence(model, values, noise, at, streams)
    table = pd.DataFrame(
        facts,
        index=pd.Index(simulator.order, name="node", tupleize_cols=False),
        columns=["model", "loss_kind", "loss", "baseline"],
    )
    positive = table["baseline"].where(table["baseline"] > 0)
    table["skill"] = (1 - table["loss"] / positive).fillna(0.0).where(table["loss"].notna())
    both = np.concatenate([p_parents, p_noises])
    known = np.isfinite(both)
    both[known] = adjust_p_values(both[known], "holm")
    table["p_parents"], table["p_noises"] = both[: len(table)], both[len(table) :]
    wrong = [str(n) for n, p in zip(table.index, np.fmin(*np.split(both, 2)), strict=True) if p <= alpha]
    if not known.any():
        return Check(None, table, "no noise could be tested")
    text = (
        f"noise depends on parents or on other noises: {', '.join(wrong[:5])}" if wrong else "no noise found dependent"
    )
    where = "the fitted rows" if fitted else f"{len(frame):,} rows"
    return Check(not wrong, table, f"{text} (at {alpha:g}, Holm, {where})")


def _judge(
    model: FittedModel, node: Hashable, values: dict[Any, Values], at: Positions, fitted: bool, rng: Any
) -> tuple[Floats | None, float, float]:
    """Noise of the rows `at`, the loss there, and the loss of the mean or the shares."""
    simulator = model.simulator
    mechanism: Any = simulator.mechanisms[node]
    observed = values[node][at]
    parents = simulator.parents_of(node, {p: values[p][at] for p in simulator.parents[node]}, len(at))
    held_out: Any = getattr(mechanism, "held_out", None) if fitted else None
    if isinstance(mechanism, Additive):
        residual = observed - mechanism.predict(parents)
        loss = float(mechanism.skill.loss) if held_out is not None else float(np.mean(np.square(residual)))
        if held_out is not None and mechanism.skill.model not in _RIGID:
            residual = held_out[1]
        return residual, loss, float(np.var(observed))
    share = np.bincount(observed, minlength=2) / len(observed) if model.columns[node].discrete else np.ones(1)
    entropy = float(-(share[share > 0] * np.log(share[share > 0])).sum())
    if isinstance(mechanism, Discrete):
        probability = mechanism.predict(parents)
        if held_out is not None and mechanism.skill.model not in _RIGID:
            probability = held_out[1]
        loss = float(-np.log(np.clip(probability[np.arange(len(observed)), observed], 1e-15, 1.0)).mean())
        loss = mechanism.skill.loss if held_out is not None else loss
        return uniform_posterior(probability, observed, rng), loss, entropy
    baseline = entropy if model.columns[node].discrete else float(np.var(observed))
    loss = np.nan if simulator.parents[node] or not mechanism.skill.loss_kind else baseline
    return mechanism.residual(parents, observed, rng), loss, baseline


def _independence(
    model: FittedModel,
    values: dict[Any, Values],
    noise: dict[Any, Floats | None],
    at: Positions,
    streams: dict[Any, np.random.Generator],
) -> tuple[Floats, Floats]:
    """Smallest p-values, times their number, of every noise against each parent, and against each noise before it."""
    simulator = model.simulator
    features = {}
    for node, found in noise.items():
        column = model.columns[node]
        features["value", node] = own_features(
            Variable(values[node][at], len(column.plain_levels)), _FEATURES, streams[node]
        )
        if found is not None:
            features["noise", node] = own_features(Variable(found), _FEATURES, streams[node])
    out = []
    for kind in ("value", "noise"):
        p = np.full(len(simulator.order), np.nan)
        for k, node in enumerate(simulator.order):
            others = simulator.parents[node] if kind == "value" else simulator.order[:k]
            pairs = [(("noise", node), (kind, other)) for other in others]
            pairs = [pair for pair in pairs if pair[0] in features and pair[1] in features]
            p_values = [feature_test(features[a], features[b]).p_value for a, b in pairs]
            if p_values:
                p[k] = min(1.0, len(p_values) * min(p_values))
        out.append(p)
    return out[0], out[1]
