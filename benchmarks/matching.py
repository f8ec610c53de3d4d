"""Matching: ``python benchmarks/matching.py`` runs every side in turn and prints the ratios.

- 1:1 on the propensity with replacement, 1,000,000 rows, beside one logistic fit on them (`match`: sort and search at
  given propensities; `design`: everything that ``Matching().fit(X, None)`` does; `logistic`: this library's own fit;
  `sklearn`: LogisticRegression).
- 1:1 without replacement, 50,000 rows, design and all, beside R's MatchIt (`matchit`: Rscript with MatchIt, timed in R)
  and causalml's NearestNeighborMatch (`causalml`: run this file with a Python that has it).
- Mahalanobis, 100,000 x 10.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from measure import compare, job

SIZES = {"match": 1_000_000, "design": 1_000_000, "logistic": 1_000_000, "sklearn": 1_000_000, "mahalanobis": 100_000}
SMALL = 50_000
R = """
suppressMessages(library(MatchIt))
d <- read.csv(commandArgs(TRUE)[1])
f <- d ~ x0 + x1 + x2 + x3 + x4 + x5 + x6 + x7 + x8 + x9
start <- proc.time()[3]
m <- matchit(f, data = d, method = "nearest", replace = FALSE)
cat(proc.time()[3] - start)
"""


def data(n: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(n, 10)), columns=[f"x{j}" for j in range(10)])
    chance = 1 / (1 + np.exp((1.0 if n == SMALL else 0.0) - 0.5 * frame["x0"]))
    frame["d"] = (rng.random(n) < chance).astype(int)
    return frame


def design(frame: pd.DataFrame, **settings) -> list[float]:
    from pandas_causal import Matching

    return [float(Matching(**settings).fit(frame, None, treatment="d").weights_.sum())]


def score(frame: pd.DataFrame):
    from pandas_causal.models.nuisance import fit_propensity

    X, d = frame.iloc[:, :10].to_numpy(), frame["d"].to_numpy()
    return fit_propensity("linear", X, d, 2, None).predictions[:, 1], d


def match(given) -> list[float]:
    from pandas_causal.matching.distances import MatchingSpace
    from pandas_causal.matching.nearest import nearest_links

    e, d = given
    n = len(e)
    space = MatchingSpace(e[:, None], np.zeros(n, dtype=np.intp), np.empty((n, 0)), np.empty(0))
    right = np.flatnonzero(d == 0)
    links = nearest_links(space, np.flatnonzero(d == 1), right, (1, 1), np.ones(len(right)))
    return [float(links.counts().sum())]


def logistic(frame: pd.DataFrame) -> list[float]:
    from pandas_causal.models.linear import StandardisedMatrix, fit_logistic

    fit = fit_logistic(StandardisedMatrix.of(frame.iloc[:, :10].to_numpy()), frame["d"].to_numpy(), 2)
    return fit.coefficients[-1, 0, :2].tolist()


def sklearn(frame: pd.DataFrame) -> list[float]:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=np.inf).fit(frame.iloc[:, :10].to_numpy(), frame["d"].to_numpy()).coef_[0, :2].tolist()


def causalml(frame: pd.DataFrame) -> list[float]:
    from causalml.match import NearestNeighborMatch
    from sklearn.linear_model import LogisticRegression

    X = frame.iloc[:, :10]
    scored = frame.assign(e=LogisticRegression(C=np.inf).fit(X, frame["d"]).predict_proba(X)[:, 1])
    return [float(len(NearestNeighborMatch(caliper=100, replace=False).match(scored, "d", ["e"])))]


def matchit() -> float:
    with tempfile.TemporaryDirectory() as folder:
        frame, script = Path(folder) / "d.csv", Path(folder) / "m.R"
        data(SMALL).to_csv(frame, index=False)
        script.write_text(R)
        done = subprocess.run(["Rscript", str(script), str(frame)], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def main() -> None:
    runs = compare("matching.py", ("match", "design", "logistic", "sklearn"))
    print({side: round(run["seconds"], 3) for side, run in runs.items()})
    for side in ("match", "design"):
        for other in ("logistic", "sklearn"):
            print(f"| 1:1, 1,000,000 rows: {side} | {other} | {runs[side]['seconds'] / runs[other]['seconds']:.2f} |")
    big = compare("matching.py", ("mahalanobis",), repeats=1)["mahalanobis"]
    print(f"Mahalanobis, 100,000 x 10: {big['seconds']:.1f} s, {big['extra_mib']:.0f} MiB")
    ours = compare("matching.py", ("alone",))["alone"]["seconds"]
    theirs = matchit()
    print(f"| without replacement, 50,000 rows | MatchIt | {ours / theirs:.4f} | ({ours:.3f} s, {theirs:.1f} s)")


if __name__ == "__main__":
    side = sys.argv[1] if len(sys.argv) > 1 else None
    if side is None:
        main()
    elif side == "match":
        job(lambda: score(data(SIZES[side])), lambda given: match((given[0][:20_000], given[1][:20_000])), match)
    elif side == "mahalanobis":
        run = lambda frame: design(frame, distance="mahalanobis")  # noqa: E731
        job(lambda: data(SIZES[side]), lambda frame: run(frame.iloc[:3_000]), run)
    elif side == "alone":
        run = lambda frame: design(frame, replace=False)  # noqa: E731
        job(lambda: data(SMALL), lambda frame: run(frame.iloc[:3_000]), run)
    elif side == "causalml":
        start = time.perf_counter()
        job(lambda: data(SMALL), lambda frame: causalml(frame.iloc[:1_000]), causalml)
        print(f"{time.perf_counter() - start:.1f} s with its warm-up")
    else:
        run = {"design": design, "logistic": logistic, "sklearn": sklearn}[side]
        job(lambda: data(SIZES[side]), lambda frame: run(frame.iloc[:20_000]), run)
