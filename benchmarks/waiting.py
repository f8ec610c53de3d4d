"""What a person waits for: calls that are made again and again, with their printing, beside what else answers them.

``python benchmarks/waiting.py [place ...]`` prints processor seconds, the best of three, of ours and of the peer in one
process. Places: clusters, print, small, panels, means, doubly_robust, pairs, graph.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

import pandas_causal as pc

RNG = np.random.default_rng(0)
LINEAR: dict[str, Any] = {"outcome_model": "linear", "propensity_model": "linear"}


class Place(NamedTuple):
    """A call of ours, and of a peer."""

    name: str
    ours: Callable[[], Any]
    peer: Callable[[], Any] | None = None
    peer_name: str = ""


def normal(n: int, q: int) -> tuple[pd.DataFrame, list[str]]:
    """Covariates, a coin and an outcome."""
    names = [f"x{j}" for j in range(q)]
    frame = pd.DataFrame(RNG.normal(size=(n, q)), columns=names)
    return frame.assign(t=(RNG.random(n) < 0.5).astype(int), y=RNG.normal(size=n)), names


def clusters() -> Iterator[Place]:
    """A clustered experiment, CR2."""
    import statsmodels.api as sm

    for n, groups in ((100_000, 10_000), (1_000_000, 100_000)):
        frame = normal(n, 0)[0]
        frame["g"] = np.sort(RNG.integers(0, groups, n))
        frame["t"] = (RNG.random(groups) < 0.5).astype(int)[frame["g"]]
        exog = sm.add_constant(frame[["t"]])
        yield Place(
            f"ab_test(cluster=), {n:,} rows, {groups:,} clusters",
            lambda frame=frame: repr(frame.causal.ab_test(treatment="t", outcome="y", cluster="g")),
            lambda frame=frame, exog=exog: (
                sm.OLS(frame["y"], exog).fit(cov_type="cluster", cov_kwds={"groups": frame["g"]}).summary()
            ),
            "statsmodels, CR1",
        )


def printing() -> Iterator[Place]:
    """An answer, and its words alone."""
    frame, names = normal(300_000, 10)

    def ask() -> Any:
        return frame.causal.ate(treatment="t", outcome="y", covariates=names, estimator=pc.AIPW(**LINEAR))

    yield Place("AIPW, linear, 300,000 x 10, with printing", lambda: repr(ask()), ask, "without printing")


def small() -> Iterator[Place]:
    """Two hundred rows, as people who loop over segments have them."""
    frame = pc.datasets.load_lalonde().sample(200, random_state=0)
    names = ["age", "educ", "black", "hisp", "re74", "re75"]
    asked: dict[str, Any] = {"treatment": "treat", "outcome": "re78"}
    yield Place("ab_test, 200 rows", lambda: frame.causal.ab_test(**asked))
    for name, estimator in (("regression", "regression"), ("AIPW, linear", pc.AIPW(**LINEAR)), ("default", None)):
        yield Place(
            f"ate, {name}, 200 rows",
            lambda estimator=estimator: frame.causal.ate(**asked, covariates=names, estimator=estimator),
        )


def panels() -> Iterator[Place]:
    """Staggered adoption, 4,000 units over 50 periods, 2,352 cells."""
    import diff_diff

    units, periods = 4_000, 50
    cohort = np.where(RNG.random(units) < 0.2, np.inf, RNG.integers(2, 50, units).astype(float))
    unit, when = np.repeat(np.arange(units), periods), np.tile(np.arange(periods), units)
    y = RNG.normal(size=units * periods) + (when >= cohort[unit])
    frame = pd.DataFrame({"unit": unit, "time": when, "cohort": cohort[unit], "y": y})
    theirs = frame.assign(cohort=np.where(np.isinf(frame["cohort"]), 0, frame["cohort"]))
    asked: dict[str, Any] = {"unit": "unit", "time": "time", "cohort": "cohort", "outcome": "y"}
    for estimator, peer in (
        ("callaway_santanna", "CallawaySantAnna"),
        ("imputation", "ImputationDiD"),
        ("sun_abraham", "SunAbraham"),
    ):
        kind = getattr(diff_diff, peer, None)
        yield Place(
            f"did, {estimator}, {units:,} x {periods}",
            lambda estimator=estimator: frame.causal.did(**asked, estimator=estimator),
            None
            if kind is None
            else lambda kind=kind: kind().fit(theirs, outcome="y", unit="unit", time="time", first_treat="cohort"),
            f"diff-diff {peer}",
        )


def means() -> Iterator[Place]:
    """A difference of means in a million rows."""
    from scipy import stats

    frame = normal(1_000_000, 0)[0]
    yield Place(
        "ab_test, 1,000,000 rows",
        lambda: repr(frame.causal.ab_test(treatment="t", outcome="y")),
        lambda: stats.ttest_ind(frame["y"][frame["t"] == 1], frame["y"][frame["t"] == 0], equal_var=False),
        "scipy",
    )


def doubly_robust() -> Iterator[Place]:
    """Linear AIPW of a million rows."""
    frame, names = normal(1_000_000, 10)
    yield Place(
        "AIPW, linear, five folds, 1,000,000 x 10",
        lambda: frame.causal.ate(treatment="t", outcome="y", covariates=names, estimator=pc.AIPW(**LINEAR)),
    )


def pairs() -> Iterator[Place]:
    """Nearest neighbours by Mahalanobis distance, with their errors, beside the search alone."""
    from scipy.spatial import cKDTree

    frame, names = normal(50_000, 10)
    on = frame["t"].to_numpy() == 1
    X = frame[names].to_numpy()
    yield Place(
        "match by Mahalanobis distance, 50,000 x 10, with errors",
        lambda: frame.causal.match(treatment="t", outcome="y", covariates=names, distance="mahalanobis"),
        lambda: cKDTree(X[~on]).query(X[on]),
        "scipy's tree, nearest row only",
    )


def graph() -> Iterator[Place]:
    """Instruments among a thousand confounders."""
    edges = [edge for k in range(1_000) for edge in ((f"u{k}", "t"), (f"u{k}", "y"))] + [("t", "y"), ("z", "t")]
    drawn = pc.CausalGraph(edges)
    yield Place("instruments, 1,000 confounders", lambda: len(drawn.identify(treatment="t", outcome="y").instruments))


PLACES = {
    "clusters": clusters, "print": printing, "small": small, "panels": panels, "means": means,
    "doubly_robust": doubly_robust, "pairs": pairs, "graph": graph,
}  # fmt: skip


def seconds(call: Callable[[], Any]) -> float:
    """Processor seconds of the best of three, after one that is not counted."""
    call()
    found = []
    for _ in range(3):
        start = time.process_time()
        call()
        found.append(time.process_time() - start)
    return min(found)


def main() -> None:
    """Run what is asked for, or all."""
    warnings.simplefilter("ignore")
    for name in sys.argv[1:] or PLACES:
        for place in PLACES[name]():
            ours = seconds(place.ours)
            beside = (
                ""
                if place.peer is None
                else f" | {place.peer_name} {(peer := seconds(place.peer)):.4f} | {ours / peer:.2f}"
            )
            print(f"{place.name} | {ours:.4f}{beside}", flush=True)


if __name__ == "__main__":
    main()
