"""An average effect from the plug-in of an identified functional: discrete columns, frequencies, bootstrap draws."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from pandas_causal.effect.effect import Effect
from pandas_causal.effect.estimates import Estimates
from pandas_causal.errors import CausalArgumentError, CausalDataError, CausalWarning, Problem, warn
from pandas_causal.identification.formula import postorder
from pandas_causal.identification.identification import DRAWN
from pandas_causal.inference.draws_and_variance import Draws
from pandas_causal.inputs.arms import MAX_ARMS, resolve_arms
from pandas_causal.inputs.column_rules import as_float
from pandas_causal.inputs.parameters import check_settings, is_word
from pandas_causal.inputs.plain_columns import plain_frame, select_columns
from pandas_causal.inputs.roles import ROLES, resolve
from pandas_causal.kernels.arrays import Floats, Positions
from pandas_causal.models.folds import label_order

if TYPE_CHECKING:
    from pandas_causal.identification.identification import Identification

__all__ = ["means_map", "plug_in_effect"]


def means_map(table: pd.DataFrame, treatment: Hashable, outcome: Hashable, levels: tuple[Any, ...]) -> Floats:
    """Map (K, m) from the probabilities in the rows of a table of P(y | do(a)) to ``sum over y of y P(y | do(a))``."""
    arm = table[treatment].astype(object).to_numpy()
    y = as_float(table[outcome])
    return np.array([np.where(arm == level, y, 0.0) for level in levels])


def plug_in_effect(
    identification: Identification,
    frame: pd.DataFrame,
    roles: Mapping[str, Any],
    *,
    estimand: str | None,
    control: Hashable,
    level: float | None,
    missing: str,
    n_draws: int,
    random_state: int,
) -> Effect:
    """Contrast the outcome's means in ``identification.distribution``; rows or clusters are drawn with replacement.

    Raises
    ------
    CausalDataError
        Columns that are not discrete, missing values (unless `missing` is "drop"), or frequencies too thin: more than
        a tenth of the draws leave a cell empty that the functional needs.
    CausalArgumentError
        For an estimand other than the ATE, or roles that frequencies cannot take.
    """
    check_settings({"n_draws": n_draws, "random_state": random_state} | ({} if level is None else {"level": level}))
    if estimand is not None and not is_word(estimand, ("ATE",)):
        raise CausalArgumentError(f"estimand={estimand!r} is not available from the functional; use 'ATE'")
    unknown = [role for role in roles if role not in ("cluster", "sample_weight")]
    if unknown:
        legal = "['cluster', 'sample_weight']"
        raise CausalArgumentError(f"the plug-in of a functional has no role {unknown[0]!r}; its roles: {legal}")
    _one_cluster(roles.get("cluster"), frame)
    (a,), (y,) = identification.treatment, identification.outcome
    used, weight, cluster, n_dropped = _rows(identification, frame, roles, missing)
    arms = resolve_arms(used[a], control)
    contrasts = np.hstack([-np.ones((len(arms) - 1, 1)), np.eye(len(arms) - 1)])
    codes = np.asarray(used.groupby(list(used), sort=False, observed=True).ngroup(), dtype=np.intp)
    cells = used.iloc[np.unique(codes, return_index=True)[1]].reset_index(drop=True)
    table = identification.distribution(cells, sample_weight=_sums(codes, weight))
    to_means, averaged = means_map(table, a, y, arms.levels), table.attrs.get("averaged_over", [])
    means = to_means @ as_float(table["probability"])
    replicates = _draws(identification, cells, codes, weight, cluster, n_draws, random_state) @ to_means.T
    functional: Any = identification.functional
    formula = functional.text.splitlines()[0]
    return Effect(
        rows=Estimates(
            pd.Series(contrasts @ means, index=pd.Index(arms.contrasts, name=a), name="estimate"),
            Draws(replicates, contrasts),
        ),
        estimand=f"average treatment effect (ATE) of {a} on {y}, by the functional of the graph: {formula}",
        n_obs=len(used),
        level=0.95 if level is None else level,
        assumptions=(
            DRAWN,
            "no observed covariates or mediators give the effect; the functional that the graph determines does, and"
            " its probabilities are the frequencies of these rows"
            + (f", averaged over {', '.join(map(str, averaged))}, on which it does not depend" if averaged else ""),
            "every combination of values that the functional needs occurs (checked: an empty one is an error)",
            "no interference between units, and one version of each arm",
        ),
        std_error_method=f"bootstrap of {'rows' if cluster is None else 'whole clusters'}, {len(replicates):,} draws,"
        " percentile interval",
        facts={
            "treatment": str(a),
            "outcome": str(y),
            "control": arms.levels[0],
            "arm_sizes": dict(zip(map(str, arms.levels), arms.counts.tolist(), strict=True)),
            "n_dropped": n_dropped,
            "route": "functional",
            "columns_used": [str(c) for c in used],
        },
        warnings=(f"{n_dropped:,} rows with a missing value were left out (missing='drop')",) if n_dropped else (),
    ).explained()


def _sums(codes: Positions, weight: Floats) -> Floats:
    return np.bincount(codes, weights=weight).astype(np.float64)


def _columns(identification: Identification) -> list[Any]:
    """Columns that the functional reads, the treatment and the outcome among them."""
    functional: Any = identification.functional
    names = identification.graph.indexed.names
    read = {names[v] for part in postorder(functional.expression) for v in part.free}
    return [
        v for v in identification.graph.nodes if v in read or v in (*identification.treatment, *identification.outcome)
    ]


class _Rows(NamedTuple):
    """Complete rows of the columns that are read, all discrete; weights of mean 1; codes of clusters; rows dropped."""

    frame: pd.DataFrame
    weight: Floats
    cluster: Positions | None
    n_dropped: int


def _rows(identification: Identification, frame: pd.DataFrame, roles: Mapping[str, Any], missing: str) -> _Rows:
    """Read the columns that the functional needs, and the roles.

    Raises
    ------
    CausalDataError
        Columns that are not discrete, and what the rules of the roles refuse.
    """
    columns, outcome = _columns(identification), identification.outcome[0]
    frame = plain_frame(frame)
    named = [v for v in roles.values() if _is_name(v, frame)]
    X = select_columns(frame, [c for c in dict.fromkeys([*columns, *named]) if c != outcome])
    inputs = resolve(X, frame[outcome], roles, single=("cluster",))
    keep = inputs.complete(missing, covariates=True).kept
    used = select_columns(frame, columns)[keep]
    rules = [(rule, inputs.roles[role][keep]) for role in roles for rule in ROLES[role].rules]
    rules += [(rule, used[outcome]) for rule in ROLES["outcome"].rules]
    rules += [(rule, used[identification.treatment[0]]) for rule in ROLES["treatment"].rules]
    problems = [problem for rule, values in rules if (problem := rule(values)) is not None]
    roles_of = (outcome, identification.treatment[0])  # their missing values are reported by their own rules
    problems += [p for name in columns for p in _not_discrete(used[name], name not in roles_of)]
    if problems:
        raise CausalDataError(problems[:20])
    weight = as_float(inputs.roles["sample_weight"])[keep] if "sample_weight" in roles else np.ones(len(used))
    codes = _by_label(inputs.roles["cluster"][keep]) if "cluster" in roles else None
    order = label_order(used.index)
    if order is not None:  # draws go by label, not by the order of rows
        used, weight, codes = used.iloc[order], weight[order], None if codes is None else codes[order]
    return _Rows(used, weight / weight.mean(), codes, int((~keep).sum()))


def _by_label(cluster: pd.Series[Any]) -> Positions:
    """Codes (n,) of clusters, numbered by their labels."""
    codes, labels = pd.factorize(cluster)
    order = label_order(pd.Index(labels))
    if order is None:
        return np.asarray(codes, dtype=np.intp)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return rank[codes]


def _one_cluster(cluster: Any, frame: pd.DataFrame) -> None:
    """Refuse clusters of several ways: whole clusters of one kind are drawn."""
    if _is_name(cluster, frame) or cluster is None:
        return
    names = isinstance(cluster, list | tuple) and all(_is_name(c, frame) for c in cluster)
    if names or np.ndim(cluster) > 1 or (isinstance(cluster, list | tuple) and len(cluster) != len(frame)):
        raise CausalArgumentError(
            f"cluster={list(cluster) if names else type(cluster).__name__!r}: one cluster column here, for the"
            " bootstrap of a functional draws whole clusters of one kind; give the name of the coarser one"
        )


def _is_name(value: object, frame: pd.DataFrame) -> bool:
    return bool(pd.api.types.is_hashable(value)) and value in frame.columns


def _not_discrete(values: pd.Series[Any], complete: bool) -> list[Problem]:
    """What keeps frequencies of a column from being counted: missing values, or too many different ones."""
    out = []
    absent = int(values.isna().sum())
    if absent and complete:
        remedy = "frequencies need complete rows; pass missing='drop' to leave these out"
        out.append(Problem(str(values.name), "is missing (NaN)", absent, remedy))
    n_levels = int(values.nunique())
    if n_levels > MAX_ARMS:
        message = f"has {n_levels:,} different values, and the functional of this graph is estimated from frequencies"
        out.append(Problem(str(values.name), message, None, "cut it into a few groups, e.g. pd.cut(..., 4)"))
    return out


def _draws(
    identification: Identification,
    cells: pd.DataFrame,
    codes: Positions,
    weight: Floats,
    cluster: Positions | None,
    n_draws: int,
    seed: int,
) -> Floats:
    """Probabilities (draws, m) from resampled rows; draws in which a cell is empty are counted and left out."""
    rng = np.random.default_rng(seed)
    size = len(codes) if cluster is None else int(cluster.max()) + 1
    out, reasons = [], []
    for _ in range(n_draws):
        picked = np.bincount(rng.integers(size, size=size), minlength=size)
        rows = weight * (picked if cluster is None else picked[cluster])
        try:
            out.append(as_float(identification.distribution(cells, sample_weight=_sums(codes, rows))["probability"]))
        except CausalDataError as error:
            reasons.append(str(error))
    if len(reasons) > n_draws / 10:
        raise CausalDataError(
            f"{len(reasons):,} of {n_draws:,} bootstrap draws leave a cell empty that the functional needs; merge rare"
            f" values. The first said: {reasons[0][:300]}"
        )
    if reasons:
        text = f"{len(reasons):,} of {n_draws:,} bootstrap draws could not be estimated and are left out: {reasons[0]}"
        warn(text[:500], CausalWarning)
    return np.array(out)
