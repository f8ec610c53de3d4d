"""Forests beside EconML and CausalML: processor time, error and peak memory of one job in a process of its own.

``python benchmarks/forests.py ours`` or ``econml`` (100,000 x 10, 200 trees, known means; then effects of 10,000 new
rows), ``large`` (1,000,000 x 20, 500 trees), ``predict`` and ``predict_econml`` (1,000,000 rows x 500 trees),
``uplift`` (100,000 x 10, 20 trees of depth 8) and, with the Python of an environment that has CausalML, ``causalml``.
A second argument is the least number of rows of every arm in a leaf (EconML's leaves hold that many of both arms
together, so give it twice the number).
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
from measure import job

LEAF = int(sys.argv[2]) if len(sys.argv) > 2 else 5


def design(n: int, p: int = 10, seed: int = 0) -> dict:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    e = 1 / (1 + np.exp(-X[:, 0]))
    t = (rng.random(n) < e).astype(float)
    tau = 1 + np.maximum(X[:, 1], 0)
    m = X[:, 0] + X[:, 2] ** 2 + tau * e
    return {"X": X, "d": t - e, "r": m + tau * (t - e) + rng.normal(size=n) - m, "t": t, "tau": tau}


def forest_of(data: dict, trees: int):
    from pandas_causal.forests import growing
    from pandas_causal.forests.binning import Binning

    X, t = data["X"], data["t"]
    n, p = X.shape
    frame = pd.DataFrame(X)
    binning = Binning.fit(frame)
    codes = binning.encode(frame, n)
    groups = np.column_stack([1 - t, t])
    sums = growing.causal_sums(np.ones(n), data["d"][:, None], data["r"][:, None], groups)
    return growing.grow_forest(
        codes, binning, sums, growing.TreeShape(growing.CAUSAL, 1, 1, 2),
        growing.GrowthRules(LEAF, tried=float(min(np.ceil(np.sqrt(p) + 20), p))),
        growing.Sampling.of(n, 0.5, 0.5, pairs=True), trees, 0,
    )  # fmt: skip


def effects_of(forest, X: np.ndarray) -> np.ndarray:
    from pandas_causal.forests import growing

    codes = forest.binning.encode(pd.DataFrame(X), len(X))
    return growing.solve_causal(forest.moments(codes)[0], 1, 1)[0][:, 0, 0]


def econml_of(data: dict, trees: int):
    from econml.grf import CausalForest

    return CausalForest(
        n_estimators=trees, min_samples_leaf=LEAF, max_samples=0.5, min_balancedness_tol=0.45, honest=True,
        inference=True, subforest_size=2, random_state=0, n_jobs=1,
    ).fit(data["X"], data["d"][:, None], data["r"])  # fmt: skip


def error(found: np.ndarray, new: dict) -> list[float]:
    return [float(np.sqrt(np.mean(np.square(found - new["tau"]))))]


def large() -> None:
    from pandas_causal import CausalForest

    def prepare():
        data = design(1_000_000, 20)
        frame = pd.DataFrame(data["X"]).rename(columns="x{}".format)
        return frame.assign(t=data["t"].astype(int)), pd.Series(data["r"] + frame["x0"].to_numpy(), name="y")

    def run(data, trees: int = 500, n: int | None = None):
        frame, y = data
        made = CausalForest(n_estimators=trees, min_samples_leaf=LEAF, progress=False)
        return [made.fit(frame[:n], y[:n], treatment="t").effect().estimate]

    job(prepare, lambda data: run(data, 4, 2_000), run)


def uplift_frame(n: int) -> tuple[pd.DataFrame, pd.Series]:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(n, 10))).rename(columns="x{}".format)
    frame["t"] = rng.integers(0, 2, n)
    share = 0.3 + 0.1 * (frame["x0"] > 0) + 0.1 * frame["t"] * (frame["x1"] > 0)
    return frame, pd.Series((rng.random(n) < share).astype(int), name="y")


def uplift(side: str) -> None:
    def run(data):
        frame, y = data
        X = frame.drop(columns="t")
        if side == "uplift":
            from pandas_causal import UpliftForest

            made = UpliftForest(
                criterion="kl", n_estimators=20, max_depth=8, min_samples_leaf=50, honesty=False, progress=False
            )
            made.fit(frame, y, treatment="t")
            return [float(np.corrcoef(made.predict(X), frame["x1"] > 0)[0, 1])]
        from causalml.inference.tree import UpliftRandomForestClassifier

        made = UpliftRandomForestClassifier(
            control_name="0", n_estimators=20, max_depth=8, min_samples_leaf=100, min_samples_treatment=50,
            max_features=10, evaluationFunction="KL", n_jobs=1, random_state=0,
        )  # fmt: skip
        made.fit(X=X.to_numpy(), treatment=frame["t"].astype(str).to_numpy(), y=y.to_numpy())
        return [float(np.corrcoef(np.ravel(made.predict(X.to_numpy())), frame["x1"] > 0)[0, 1])]

    job(lambda: uplift_frame(100_000), lambda data: run((data[0][:2_000], data[1][:2_000])), run)


if __name__ == "__main__":
    asked = sys.argv[1]
    if asked == "large":
        large()
    elif asked in ("uplift", "causalml"):
        uplift(asked)
    elif asked in ("predict", "predict_econml"):
        make = forest_of if asked == "predict" else econml_of
        new = design(1_000_000, seed=1)["X"]
        say = effects_of if asked == "predict" else lambda forest, X: forest.predict(X)[:, 0]
        job(
            lambda: make(design(20_000), 500), lambda forest: say(forest, new[:100]),
            lambda forest: error(say(forest, new), {"tau": 1 + np.maximum(new[:, 1], 0)}),
        )  # fmt: skip
    else:
        make = forest_of if asked == "ours" else econml_of
        say = effects_of if asked == "ours" else lambda forest, X: forest.predict(X)[:, 0]
        new = design(10_000, seed=1)
        job(
            lambda: design(100_000), lambda _: say(make(design(500), 4), new["X"][:10]),
            lambda data: error(say(make(data, 200), new["X"]), new),
        )  # fmt: skip
