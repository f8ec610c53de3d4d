"""Coverage of the default answer: ``python -m benchmarks.default_answer [results.jsonl] [rows=draws ...]``.

Sixteen observational designs of known truth (tests/statistical/designs.py), drawn with seeds that no choice of the
recipe looked at. Every draw is a line of the results, so that a run can be stopped and continued: only what is missing
is computed. What is printed stands in docs/ate.md. Beside the default stand linear models and, where asked for by name
and installed, EconML's and DoubleML's answers, on the first 50 draws.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from scipy import stats

import pandas_causal as pc
from tests.statistical.designs import DESIGNS, Sample, truth

SEED = 20_261_128
DRAWS = {1_000: 500, 5_000: 500, 20_000: 200}
PEER_DRAWS = 50
ESTIMANDS = ("ATE", "ATT", "ATC")
Answer = tuple[float, float, bool]  # estimate, standard error, whether a warning stands beside it


class _OneFit(pc.AIPW):
    """The default, whose nuisances are fitted once for all estimands of a draw: they are the same ones."""

    kept: ClassVar[dict[int, Any]] = {}

    def _cross_fit(self, sample: Any, design: Any, rng: Any, first: Any = None) -> Any:
        key = hash(sample.y.tobytes() + sample.codes.tobytes())
        if key not in self.kept:
            self.kept.clear()
            self.kept[key] = super()._cross_fit(sample, design, rng, first)
        return self.kept[key]


def default(s: Sample, estimand: str) -> Answer:
    """What df.causal.ate answers."""
    return _told(_OneFit(estimand=estimand), s)


def linear(s: Sample, estimand: str) -> Answer:
    """The same estimator with linear models."""
    return _told(pc.AIPW(estimand=estimand, outcome_model="linear", propensity_model="linear"), s)


def _told(estimator: pc.AIPW, s: Sample) -> Answer:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        effect = estimator.fit(s.X, s.y, treatment=s.t, cluster=s.cluster).effect()
    said = any(issubclass(w.category, pc.errors.AssumptionWarning | pc.errors.OverlapWarning) for w in caught)
    return float(effect.estimates.iloc[0]), float(effect.table["std_error"].iloc[0]), said


def oracle(s: Sample, estimand: str) -> Answer:
    """AIPW at the true means and propensities."""
    e, m, t = s.e, s.means, s.t
    h = {"ATE": np.ones(len(e)), "ATT": e, "ATC": 1 - e}[estimand]
    g = {"ATE": np.ones(len(e)), "ATT": t, "ATC": 1 - t}[estimand]
    residual = h * (t / e * (s.y - m[:, 1]) - (1 - t) / (1 - e) * (s.y - m[:, 0]))
    score = g * (m[:, 1] - m[:, 0]) + residual
    value = score.sum() / g.sum()
    phi = (score - g * value) / g.sum()
    if s.cluster is not None:
        phi = np.bincount(s.cluster, phi)
    return float(value), float(np.sqrt(np.square(phi).sum())), False


def econml(s: Sample, _estimand: str) -> Answer:
    """EconML's LinearDRLearner with its default nuisances, averaged."""
    from econml.dr import LinearDRLearner

    X = pd.get_dummies(s.X, dtype=float).to_numpy()
    inference = LinearDRLearner(random_state=0).fit(s.y, s.t, X=X).ate_inference(X=X)
    return float(inference.mean_point), float(inference.stderr_mean), False


def doubleml(s: Sample, _estimand: str) -> Answer:
    """DoubleML's IRM with boosting of scikit-learn's early-stopped default."""
    from doubleml import DoubleMLData, DoubleMLIRM
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    frame = pd.get_dummies(s.X, dtype=float).assign(y=s.y, t=s.t)
    stop = {"early_stopping": True, "random_state": 0}
    model = DoubleMLIRM(
        DoubleMLData(frame, "y", "t"),
        HistGradientBoostingRegressor(**stop),
        HistGradientBoostingClassifier(**stop),
    ).fit()
    return float(model.coef[0]), float(model.se[0]), False


METHODS: dict[str, Callable[[Sample, str], Answer]] = {
    "default": default, "linear": linear, "oracle": oracle, "EconML": econml, "DoubleML": doubleml,
}  # fmt: skip


def wanted(draws: dict[int, int], peers: list[str]) -> Iterator[tuple[str, str, int, str, int]]:
    """Method, design, rows, estimand and number of every answer, the first draws of every cell first."""
    for r in range(max(draws.values())):
        for n, most in draws.items():
            if r >= most:
                continue
            for design in DESIGNS:
                for method in ("default", "linear", "oracle"):
                    for estimand in ESTIMANDS:
                        yield method, design, n, estimand, r
                for method in peers if r < PEER_DRAWS else ():
                    yield method, design, n, "ATE", r


def run(path: Path, draws: dict[int, int], peers: list[str]) -> None:
    """Compute what the file does not hold yet."""
    done = {tuple(json.loads(line)["key"]) for line in path.open()} if path.exists() else set()
    for key in wanted(draws, peers):
        if key in done:
            continue
        method, design, n, estimand, r = key
        s = DESIGNS[design](np.random.default_rng([SEED, n, r]), n)
        start = time.process_time()
        try:
            estimate, error, said = METHODS[method](s, estimand)
        except pc.errors.CausalError as refused:
            estimate, error, said = np.nan, np.nan, True
            print(key, refused, file=sys.stderr)
        line = {"key": key, "value": [estimate, error, said, time.process_time() - start]}
        with path.open("a") as out:
            out.write(json.dumps(line) + "\n")


def answers(path: Path, truths: Path) -> pd.DataFrame:
    """Every answer of the file, its distance to the truth, and whether its interval missed it."""
    known = json.loads(truths.read_text()) if truths.exists() else {}
    rows = []
    for line in path.open():
        record = json.loads(line)
        method, design, n, estimand, r = record["key"]
        name = f"{design} {estimand}"
        if name not in known:
            known[name] = truth(design, estimand)
            truths.write_text(json.dumps(known))
        estimate, error, said, seconds = record["value"]
        rows.append((method, design, n, estimand, r, estimate - known[name], error, said, seconds))
    columns = ["method", "design", "n", "estimand", "draw", "gap", "std_error", "said", "seconds"]
    frame = pd.DataFrame(rows, columns=columns).drop_duplicates(columns[:5])
    frame["missed"] = ~(frame["gap"].abs() <= stats.norm.ppf(0.975) * frame["std_error"])
    return frame


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """Coverage, bias, lengths beside the oracle's and time, a row for every cell."""
    cells = frame.groupby(["n", "estimand", "design", "method"])
    return pd.DataFrame({
        "draws": cells.size(),
        "coverage": 1 - cells["missed"].mean(),
        "bias / sd": cells["gap"].mean() / cells["gap"].std(),
        "rmse": cells["gap"].apply(lambda gap: np.sqrt(np.mean(np.square(gap)))),
        "length": cells["std_error"].mean(),
        "warned": cells["said"].mean(),
        "seconds": cells["seconds"].mean(),
    })  # fmt: skip


def markdown(frame: pd.DataFrame) -> str:
    """The table of docs/ate.md: coverage in percent of the default, by rows and estimand, and what stands beside it."""
    sizes = sorted(frame["n"].unique())
    draws = frame[frame["method"] == "default"].groupby("n")["draw"].nunique()
    heads = [f"{n:,} rows, {draws[n]} draws" for n in sizes]
    titles = ["design", *heads, "length beside the oracle's", "linear models"]

    def joined(values: pd.Series[Any], digits: int) -> str:
        return " / ".join("-" if np.isnan(v) else f"{v:.{digits}f}" for v in values)

    lines = [f"| {' | '.join(titles)} |", "| --- " * len(titles) + "|"]
    for design in [*DESIGNS, "all"]:
        own = frame if design == "all" else frame[frame["design"] == design]
        covered = 100 * (1 - own.groupby(["method", "n", "estimand"])["missed"].mean())
        mean = own[own["estimand"] == "ATE"].groupby(["method", "n", "design"])["std_error"].mean()
        ratio = (mean["default"] / mean["oracle"]).groupby("n").median()
        cells = [joined(covered["default"].reindex([(n, e) for e in ESTIMANDS]), 0) for n in sizes]
        cells += [joined(ratio.reindex(sizes), 2), joined(covered["linear"].reindex([(n, "ATE") for n in sizes]), 0)]
        lines.append(f"| {design.replace('_', ' ')} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Run what is asked for and print the table."""
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "default_answer.jsonl")
    given = [argument.split("=") for argument in sys.argv[2:] if "=" in argument]
    draws = {int(n): int(most) for n, most in given} or DRAWS
    peers = [name for name in ("EconML", "DoubleML") if name in sys.argv]
    run(path, draws, peers)
    frame = answers(path, path.with_suffix(".truths.json"))
    cells = table(frame)[["coverage", "warned", "rmse", "length", "seconds", "draws"]]
    wide = cells.reset_index("method").pivot(columns="method")  # noqa: PD010 - one row for every cell
    pd.set_option("display.width", 250, "display.max_columns", 50, "display.max_rows", 500)
    print(wide.round(3).to_string())
    print(markdown(frame))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
