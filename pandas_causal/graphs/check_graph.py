"""Does the data contradict the graph? Every independence that it implies is tested."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pandas_causal.effect.check import Check
from pandas_causal.errors import CausalArgumentError, CausalDataError
from pandas_causal.graphs.graph import CausalGraph, as_graph
from pandas_causal.graphs.implied_independences import Claim, implied_independences
from pandas_causal.graphs.independence_tests import (
    Basis,
    TestResult,
    Variable,
    feature_test,
    fisher_z,
    g_test,
    joint_cells,
    own_features,
    residuals,
)
from pandas_causal.graphs.node_columns import Column, select_nodes
from pandas_causal.inference.multiplicity import adjust_p_values
from pandas_causal.inputs.parameters import check_settings, is_word
from pandas_causal.kernels.arrays import Floats
from pandas_causal.models.folds import label_order

__all__ = ["GraphCheck", "Tester", "check_graph", "read_variables"]

TESTS = ("auto", "partial_correlation", "g", "kernel")
CORRECTIONS = ("holm", "benjamini_hochberg", None)
OWN_FEATURES, INDEX_FEATURES = 5, 12
_PER_CELL, _FEWEST = 5, 20


@dataclass(frozen=True, eq=False, repr=False)
class GraphCheck(Check):
    """Result of :func:`check_graph`.

    Attributes
    ----------
    permuted : DataFrame or None
        One row per relabelled graph: the number of its claims that the data reject, and whether it makes the same
        claims as the graph given.
    p_value : float
        Share of relabelled graphs that the data reject no more often than the graph given, (1 + #) / (B + 1); NaN
        without permutations.
    p_uninformative : float
        Share of relabelled graphs that make the same claims, (1 + #) / (B + 1): large where the claims say little.
    """

    permuted: pd.DataFrame | None = None
    p_value: float = np.nan
    p_uninformative: float = np.nan


def check_graph(
    df: pd.DataFrame,
    graph: Any,
    *,
    alpha: float = 0.05,
    correction: str | None = "holm",
    permutations: int = 0,
    test: str = "auto",
    missing: str = "raise",
    random_state: int | None = 0,
    n_jobs: int | None = None,
) -> GraphCheck:
    """Test the independences that a graph implies.

    A pair of observed nodes that is not joined is independent given some set of the others, if the graph is right and
    such a set is observed. A rejection says that an arrow or a hidden cause is missing there, or an arrow the wrong way
    (or it is a rare false alarm). That none is rejected does not prove the graph: arrows that are there but do nothing
    are not found, nor directions that imply the same independences.

    Parameters
    ----------
    df : DataFrame
        Columns that are no nodes are left alone.
    graph : CausalGraph, or what it reads
        Latent nodes and ``<->`` are allowed.
    alpha : float
        Level of the tests.
    correction : {"holm", "benjamini_hochberg"} or None
        Of the p-values over the pairs. With Holm a right graph fails with probability `alpha` at most.
    permutations : int
        With any, the whole graph is tested too (Eulig et al. 2023): it passes where the data reject fewer of its claims
        than those of all but a share `alpha` of the graphs of the same shape with relabelled nodes. For graphs of which
        one knows that they are not exact.
    test : {"auto", "partial_correlation", "g", "kernel"}
        "auto": the G-test where all columns are discrete and there are 5 rows per cell, else residual features (level
        indicators of discrete nodes, normal scores and random Fourier features of numeric ones).
        "partial_correlation" is right for linear relations only.
    missing : {"raise", "drop"}
        Rows with missing values in nodes.
    random_state : int or None
    n_jobs : int, optional
        Threads; the result is the same for any number.

    Returns
    -------
    GraphCheck
        One row per pair: a, b, given, test, statistic, df, p_value, p_adjusted, rejected.

    References
    ----------
    Eulig, Mastakouri, Bloebaum, Hardt and Janzing (2023), "Toward falsifying causal graphs using a permutation-based
    test". Here the claims counted are those of the table, one for every pair, not one for every parent set.
    """
    graph = as_graph(graph)
    _check_arguments(alpha, correction, permutations, test, random_state, n_jobs)
    observed = [node for node in graph.nodes if node in graph.observed]
    frame = select_nodes(df, observed, missing)
    rows = label_order(frame.index)
    variables = read_variables(frame if rows is None else frame.iloc[rows])
    if len(frame) < _FEWEST:
        raise CausalDataError(f"{len(frame)} complete rows cannot test a graph; {_FEWEST} are needed")
    seed = int(np.random.default_rng(random_state).integers(2**31 - 1))
    tester = Tester({node: variables[node] for node in observed}, test, seed, n_jobs)
    claims = implied_independences(graph)
    results = tester(claims)
    table = _table(claims, results, alpha, correction)
    failed = int(table["rejected"].sum())
    if not claims:
        text = "the graph implies no independence among the observed nodes, so that no data can contradict it"
        return GraphCheck(None, table, text)
    corrected = {"holm": " (Holm)", "benjamini_hochberg": " (Benjamini-Hochberg)", None: ""}[correction]
    text = f"{failed} of {len(claims)} implied independences rejected at {alpha:g}{corrected}"
    if failed:
        worst = table.iloc[int(table["p_value"].argmin())]
        conditional = f" | {', '.join(map(str, worst['given']))}" if worst["given"] else ""
        text += f", most clearly {worst['a']} and {worst['b']}{conditional}"
    dropped = len(df) - len(frame)
    text += f"; {dropped:,} rows with missing values left out" if dropped else ""
    if not permutations:
        return GraphCheck(not failed, table, text)
    return _whole_graph(graph, claims, tester, table, alpha=alpha, permutations=permutations, seed=seed, text=text)


def _check_arguments(
    alpha: Any,
    correction: object,
    permutations: Any,
    test: object,
    random_state: object,
    n_jobs: object,
) -> None:
    check_settings({"random_state": random_state, "n_jobs": n_jobs})
    if isinstance(alpha, bool) or not isinstance(alpha, int | float | np.number) or not 0 < alpha < 1:
        raise CausalArgumentError(f"alpha must be a number between 0 and 1, e.g. 0.05; got {alpha!r}")
    if correction is not None and not is_word(correction, CORRECTIONS[:2]):
        raise CausalArgumentError(f"correction={correction!r} is not known; use one of {list(CORRECTIONS)}")
    if not is_word(test, TESTS):
        raise CausalArgumentError(f"test={test!r} is not known; use one of {list(TESTS)}")
    whole = isinstance(permutations, int | np.integer) and not isinstance(permutations, bool)
    if not whole or permutations < 0 or 0 < permutations < 1 / alpha - 1:
        raise CausalArgumentError(
            f"permutations must be 0, or at least {int(np.ceil(1 / alpha - 1))} for alpha={alpha:g}; got"
            f" {permutations!r}"
        )


def read_variables(frame: pd.DataFrame) -> dict[Any, Variable]:
    """Columns of a complete frame as variables to test."""
    out = {}
    for name in frame.columns:
        column = Column.learn(frame[name])
        out[name] = Variable(column.read(frame[name]), len(column.plain_levels))
    return out


def _table(
    claims: Sequence[Claim], results: Sequence[tuple[str, TestResult]], alpha: float, correction: Any
) -> pd.DataFrame:
    p = np.array([result.p_value for _, result in results])
    adjusted = adjust_p_values(p, correction) if correction and len(p) else p
    columns = {
        "a": [c.a for c in claims],
        "b": [c.b for c in claims],
        "given": [c.given for c in claims],
        "test": [name for name, _ in results],
        "statistic": [float(r.statistic) for _, r in results],
        "df": [float(r.df) for _, r in results],
        "p_value": p,
        "p_adjusted": adjusted,
        "rejected": adjusted <= alpha,
    }
    return pd.DataFrame(columns)


# -- one test --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Tester:
    """Tests of claims on one set of columns.

    Attributes
    ----------
    variables : mapping of node to Variable
    test : str
    seed : int
    n_jobs : int or None
    """

    variables: Mapping[Any, Variable]
    test: str
    seed: int
    n_jobs: int | None = None

    def __call__(self, claims: Sequence[Claim]) -> list[tuple[str, TestResult]]:
        """Name of the test and its result, claim by claim; claims with one conditioning set share its regressions."""
        from sklearn.utils.parallel import Parallel, delayed
        from threadpoolctl import threadpool_limits  # comes with scikit-learn

        groups: dict[tuple[Any, ...], list[int]] = {}
        chosen = [self._choose(claim) for claim in claims]
        for k, claim in enumerate(claims):
            groups.setdefault(claim.given, []).append(k)
        residual = {n for k, c in enumerate(claims) if chosen[k] in ("residual", "kernel") for n in (c.a, c.b)}
        rank = {node: k for k, node in enumerate(self.variables)}
        features = {
            node: own_features(self.variables[node], OWN_FEATURES, np.random.default_rng((self.seed, rank[node])))
            for node in residual
        }
        for claim in claims:  # computed once, before threads would race for it
            _ = [self.variables[v].scores for v in claim.given if not self.variables[v].discrete]

        def one(given: tuple[Any, ...]) -> list[TestResult]:
            rng = np.random.default_rng((self.seed, len(rank), *(rank[v] for v in given)))
            return self._group(
                given, [claims[k] for k in groups[given]], [chosen[k] for k in groups[given]], features, rng
            )

        # The products are of small blocks: threads within them wait for one another longer than they work, on a busy
        # machine fifteen times as long. Threads over conditioning sets (n_jobs) do not.
        with threadpool_limits(1, user_api="blas"):
            jobs = Parallel(n_jobs=self.n_jobs, prefer="threads")(delayed(one)(given) for given in groups)
        out: list[tuple[str, TestResult]] = [("", TestResult(np.nan, np.nan, np.nan))] * len(claims)
        for given, found in zip(groups, jobs, strict=True):
            for k, result in zip(groups[given], found, strict=True):
                out[k] = chosen[k], result
        return out

    def _group(
        self,
        given: tuple[Any, ...],
        claims: list[Claim],
        chosen: list[str],
        features: Mapping[Any, Floats],
        rng: np.random.Generator,
    ) -> list[TestResult]:
        """Test the claims that share a conditioning set."""
        Z = [self.variables[v] for v in given]
        n = len(next(iter(self.variables.values())))
        tested = dict.fromkeys(
            v for c, name in zip(claims, chosen, strict=True) if name in ("residual", "kernel") for v in (c.a, c.b)
        )
        cleared = {v: (features[v], 1.0) for v in tested}
        tested = {v: None for v in tested if features[v].shape[1]}  # a constant has no function to clear
        if given and tested:
            basis = Basis.draw(Z, int(np.clip(2 * np.sqrt(n), 10, 100)), rng)
            index = 0 if basis.cells is not None or len(given) == 1 else INDEX_FEATURES
            cleared |= dict(zip(tested, residuals(basis, [features[v] for v in tested], index), strict=True))
        out = []
        for claim, name in zip(claims, chosen, strict=True):
            x, y = self.variables[claim.a], self.variables[claim.b]
            if name == "g":
                cells = joint_cells(Z) if Z else np.zeros(n, dtype=np.intp)
                out.append(g_test(x.values, y.values, cells))
            elif name == "partial_correlation":
                coded = [z.coded(slice(None)) if z.discrete else z.values[:, None] for z in Z]
                out.append(fisher_z(_number(x), _number(y), np.hstack(coded) if Z else np.empty((n, 0))))
            else:
                (rx, used_x), (ry, used_y) = cleared[claim.a], cleared[claim.b]
                out.append(feature_test(rx, ry, max(used_x, used_y)))
        return out

    def _choose(self, claim: Claim) -> str:
        """Test by the types of the columns."""
        x, y, *Z = (self.variables[v] for v in (claim.a, claim.b, *claim.given))
        if self.test == "partial_correlation":
            for node in (claim.a, claim.b):
                if self.variables[node].n_levels > 2:
                    raise CausalArgumentError(f"{node} has over two levels and no correlation; use test='auto'")
            return "partial_correlation"
        if self.test == "g":
            for node in (claim.a, claim.b, *claim.given):
                if not self.variables[node].discrete:
                    raise CausalArgumentError(f"{node} is continuous, and the G-test counts levels; use test='auto'")
            return "g"
        if self.test == "kernel" or not (x.discrete and y.discrete):
            return "kernel"
        if all(z.discrete for z in Z):
            cells = x.n_levels * y.n_levels * float(np.prod([z.n_levels for z in Z]))
            if len(x) >= _PER_CELL * cells:
                return "g"
        return "residual"


def _number(v: Variable) -> Floats:
    return np.asarray(v.values, dtype=float)


# -- the whole graph -------------------------------------------------------------------------------------------------


def _whole_graph(
    graph: CausalGraph,
    claims: list[Claim],
    tester: Tester,
    table: pd.DataFrame,
    *,
    alpha: float,
    permutations: int,
    seed: int,
    text: str,
) -> GraphCheck:
    """Compare the number of rejected claims with that of graphs with relabelled nodes."""
    observed = list(tester.variables)
    rng = np.random.default_rng((seed, 1))
    known = {_key(c): float(p) for c, p in zip(claims, table["p_value"], strict=True)}
    relabelled = []
    for _ in range(permutations):
        name = dict(zip(observed, (observed[k] for k in rng.permutation(len(observed))), strict=True))
        relabelled.append([_relabel(c, name.__getitem__, observed) for c in claims])
    new = {_key(c): c for relabelled_claims in relabelled for c in relabelled_claims if _key(c) not in known}
    known |= {key: result.p_value for key, (_, result) in zip(new, tester(list(new.values())), strict=True)}
    same: dict[Any, bool] = {}

    def holds(claim: Claim) -> bool:
        key = _key(claim)
        if key not in same:
            same[key] = graph.d_separated(claim.a, claim.b, claim.given)
        return same[key]

    n_rejected = sum(known[_key(c)] <= alpha for c in claims)
    counts = np.array([sum(known[_key(c)] <= alpha for c in other) for other in relabelled])
    equivalent = np.array([all(map(holds, other)) for other in relabelled])
    p = (1 + int((counts <= n_rejected).sum())) / (permutations + 1)
    p_same = (1 + int(equivalent.sum())) / (permutations + 1)
    permuted = pd.DataFrame({"rejected": counts, "same_claims": equivalent})
    if p_same > alpha:
        passed, verdict = (
            None,
            f"relabelled graphs often claim the same (p {p_same:.3f}): the graph says too little to judge",
        )
    else:
        passed = bool(p <= alpha)
        beside = f"relabelled graphs {np.median(counts):g} in the median (p {p:.3f})"
        verdict = f"{n_rejected} rejected without correction, {beside}"
    return GraphCheck(passed, table, f"{text}; {verdict}", permuted, p, p_same)


def _key(claim: Claim) -> tuple[frozenset[Any], frozenset[Any]]:
    return frozenset((claim.a, claim.b)), frozenset(claim.given)


def _relabel(claim: Claim, name: Callable[[Any], Any], observed: list[Any]) -> Claim:
    """Return the claim of the relabelled graph, in the order of the nodes."""
    a, b = sorted((name(claim.a), name(claim.b)), key=observed.index)
    return Claim(a, b, tuple(sorted(map(name, claim.given), key=observed.index)))
