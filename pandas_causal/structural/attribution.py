"""What all attributions share: settings, rows that are asked about, noise drawn once, and two kinds of error.

The error of the draws (a simulation with more of them has less) is told apart from the error of sampling (more data
have less). The first is a jackknife over groups of draws, carried through the Shapley values, which are linear; the
second comes from refits of the mechanisms on resampled rows, or from contributions of the rows.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.errors import AssumptionWarning, CausalArgumentError, CausalDataError, CausalWarning, warn
from pandas_causal.graphs.node_columns import select_nodes
from pandas_causal.inputs.parameters import Legal, at_least, check_settings
from pandas_causal.kernels.arrays import Floats, Values
from pandas_causal.structural.fitted import FittedModel
from pandas_causal.structural.learning import is_flexible
from pandas_causal.structural.mechanisms import Additive, Discrete, Empirical, Fitted
from pandas_causal.structural.shapley import LEGAL as OF_SUBSETS
from pandas_causal.structural.shapley import MOST_EXACT, Shapley, SubsetSettings

__all__ = [
    "GROUPS",
    "AttributionSettings",
    "NodeArrays",
    "combine_errors",
    "fresh_noise",
    "jackknife_error",
    "noise_of_rows",
    "read_rows",
    "sentence_of_a_root",
    "streams_of",
    "warn_of_coupling_of_noise",
    "warn_of_flexible",
    "without",
]

GROUPS = 10
NodeArrays = Mapping[Any, Values]
_CHEAP = 2**27  # simulated values up to which every subset is gone through
_HELD = 2**25  # simulated values held at once

_LEGAL: Mapping[str, Legal] = {**OF_SUBSETS, "n_samples": at_least(10 * GROUPS, "draws")}


@dataclass(frozen=True, kw_only=True)
class AttributionSettings:
    """Settings of an attribution, as the methods of :class:`StructuralModel` take them.

    Attributes
    ----------
    n_samples : int
        Draws of the noise, shared by all subsets; rounded up to a multiple of 10.
    method, tolerance, max_draws : as in :func:`shapley`
    n_draws : int
        Refits of the bootstrap.
    level : float
    seed, n_jobs : int or None
    """

    n_samples: int = 2_000
    method: str = "auto"
    tolerance: float = 0.02
    max_draws: int = 500
    n_draws: int = 100
    level: float = 0.95
    seed: int | None = 0
    n_jobs: int | None = None

    def checked(self) -> AttributionSettings:
        """Return itself, or raise CausalArgumentError for what is not legal."""
        names = ("n_samples", "method", "tolerance", "max_draws")
        check_settings({name: getattr(self, name) for name in names}, _LEGAL)
        check_settings({"level": self.level, "n_draws": self.n_draws, "random_state": self.seed})
        return self

    @property
    def size(self) -> int:
        """Draws, as many in each group."""
        return -(-self.n_samples // GROUPS) * GROUPS

    def of_subsets(self, n_players: int, cells: int, floor: float = 0.0, watched: int | None = None) -> SubsetSettings:
        """How subsets are gone through where each costs `cells` simulated values of the target."""
        method = self.method
        if method == "auto":
            exact = n_players <= MOST_EXACT and cells * 2**n_players <= _CHEAP
            method = "exact" if exact else "permutations"
        elif method == "exact" and n_players > 20:
            raise CausalArgumentError(
                f"{n_players} nodes have 2^{n_players} subsets; use method='permutations' or 'kernel'"
            )
        return SubsetSettings(
            method=method,
            tolerance=self.tolerance,
            max_draws=self.max_draws,
            seed=self.seed,
            n_jobs=self.n_jobs,
            batch=int(np.clip(_HELD // max(cells * n_players, 1), 1, 256)),
            watched=watched,
            floor=floor,
        )


# -- rows ------------------------------------------------------------------------------------------------------------


def read_rows(
    model: FittedModel, df: pd.DataFrame | pd.Series[Any], nodes: Iterable[Any]
) -> tuple[dict[Any, Values], pd.Index]:
    """Values of some nodes in rows that need not be those fitted, and the labels of the rows.

    A Series is one row, as ``df.loc[label]`` gives it.
    """
    if isinstance(df, pd.Series):
        df = df.to_frame().T.infer_objects()
    frame = select_nodes(df, list(nodes), "never")
    values = {}
    for node in frame.columns:
        column = model.columns[node]
        if not column.discrete and not pd.api.types.is_numeric_dtype(frame[node].dtype):
            raise CausalDataError(
                f"{node} was numeric when the model was fitted and has dtype {frame[node].dtype} in {len(frame):,} rows"
                " given; convert it to numbers"
            )
        values[node] = column.read(frame[node])
    return values, frame.index


def sentence_of_a_root(model: FittedModel, target: Hashable) -> bool:
    """Whether the target has no causes in the graph, and then a warning that says what the answer is."""
    if model.simulator.parents[target]:
        return False
    warn(f"{target} has no causes in the graph: all of it is laid on {target} itself", CausalWarning)
    return True


def warn_of_coupling_of_noise(model: FittedModel, nodes: Iterable[Any]) -> None:
    """Say where the noise of a row is not determined by the row."""
    discrete = [str(n) for n in nodes if isinstance(model.simulator.mechanisms[n], Discrete)]
    if discrete:
        coupling = model.settings.coupling
        warn(
            f"the rows do not determine the noise of the discrete {', '.join(discrete[:5])}: the attribution is the"
            f" mean over the noise that could have given them under the {coupling} coupling, which no data can test"
            " (coupling= chooses)",
            AssumptionWarning,
        )


def warn_of_flexible(model: FittedModel, nodes: Iterable[Any], advice: str) -> list[str]:
    """Say where learners that shrink stand behind refits, whose intervals do not show by how much."""
    mechanisms = model.simulator.mechanisms
    flexible = [n for n in nodes if is_flexible(model.specs[n], mechanisms[n])]
    if not flexible:
        return []
    names = ", ".join(f"{node} ({mechanisms[node].skill.model})" for node in flexible[:5])
    text = f"flexible mechanisms, {names}, shrink what they learn, and intervals by refits cover too rarely; {advice}"
    warn(text, AssumptionWarning)
    return [text]


# -- noise -----------------------------------------------------------------------------------------------------------


def streams_of(model: FittedModel, seed: int | None, purpose: int) -> dict[Any, np.random.SeedSequence]:
    """A seed for every node, other ones for every purpose."""
    first = np.random.SeedSequence(None if seed is None else (seed, purpose))
    return dict(zip(model.simulator.order, first.spawn(len(model.simulator.order)), strict=True))


def fresh_noise(mechanism: Fitted, size: int, seed: np.random.SeedSequence) -> Values:
    """Draw noise (size, ...); noise that is taken from values observed is spread evenly over them.

    Each group of draws is a stratified sample of its own, in random order: its mean is nearly that of all values. With
    one seed, two mechanisms get noise of the same ranks.
    """
    rng = np.random.default_rng(seed)
    if not isinstance(mechanism, Empirical | Additive):
        return mechanism.draw(size, rng)
    pool = np.sort(mechanism.pool)
    each = size // GROUPS
    u = (rng.permuted(np.tile(np.arange(each), (GROUPS, 1)), axis=1) + rng.random((GROUPS, each))) / each
    return pool[np.minimum((u.ravel() * len(pool)).astype(np.intp), len(pool) - 1)]


def noise_of_rows(
    model: FittedModel, node: Hashable, values: Mapping[Any, Values], size: int, seed: np.random.SeedSequence
) -> Values:
    """Noise of rows (R, 1), or draws of it (R, size, ...) where a row does not determine it.

    The draws of a row depend on its values alone: not on the other rows, and not on its place among them.
    """
    simulator = model.simulator
    mechanism = simulator.mechanisms[node]
    n = len(values[node])
    if isinstance(mechanism, Empirical | Additive):
        parents = simulator.parents_of(node, values, n)
        return mechanism.noise(parents, values[node], np.random.default_rng(0))[:, None]
    out = []
    for r in range(n):
        repeated = {p: np.repeat(values[p][r : r + 1], size) for p in (*simulator.parents[node], node)}
        parents = simulator.parents_of(node, repeated, size)
        out.append(mechanism.noise(parents, repeated[node], np.random.default_rng(seed)))
    return np.stack(out)


# -- errors ----------------------------------------------------------------------------------------------------------


def without(values: Values) -> list[Values]:
    """Draws, all of them and then without each group: the last axis but those of the draws stays."""
    each = values.shape[-1] // GROUPS
    kept = [np.delete(values, slice(g * each, (g + 1) * each), axis=-1) for g in range(GROUPS)]
    return [values, *kept]


def jackknife_error(estimates: Floats) -> Floats:
    """Standard error (...) of what the draws give, from estimates (groups, ...) without each group of draws.

    References
    ----------
    Quenouille (1956), Biometrika 43; Tukey (1958): the delete-a-group jackknife.
    """
    n = len(estimates)
    return np.sqrt((n - 1) / n * np.square(estimates - estimates.mean(axis=0)).sum(axis=0))


def combine_errors(found: Shapley, n_outputs: int) -> tuple[Floats, Floats]:
    """Values and standard errors (k, n) of Shapley values whose outputs are all draws, then without each group.

    The error joins that of the draws with that of the subsets drawn.
    """
    k = len(found.players)
    every = found.values.reshape(k, 1 + GROUPS, n_outputs)
    drawn = jackknife_error(np.moveaxis(every[:, 1:], 1, 0))
    subsets = found.std_errors.reshape(k, 1 + GROUPS, n_outputs)[:, 0]
    return every[:, 0], np.sqrt(np.square(drawn) + np.square(subsets))
