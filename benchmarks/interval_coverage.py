"""Coverage of 95% intervals where they are hardest: ``python benchmarks/interval_coverage.py [draws] [results.json]``.

Small samples, heavy tails, rare outcomes, several arms, weights, missing covariates, few and unequal clusters, panels,
discontinuities. Truths are known by construction. Results are kept after every row, so that a run can be continued;
the table that it prints stands in docs/coverage.md.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

import pandas_causal as pc
from pandas_causal.effect.effect import Effect

Rng = np.random.Generator
Draw = Callable[[Rng], pd.DataFrame]
Answer = Callable[[pd.DataFrame], "Effect | Held"]
Scenarios = dict[tuple[str, str], tuple[Draw, Answer, float]]  # what is drawn, how it is answered, the truth
COVARIATES = ["a", "b"]


def rows(rng: Rng, n: int, noise: str = "normal", arms: int = 2) -> pd.DataFrame:
    """Two covariates that drive treatment and outcome; every arm adds 1 to the one before."""
    X = rng.normal(size=(n, 2))
    push = 0.5 * X[:, 0] - 0.3 * X[:, 1]
    t = (push + rng.logistic(size=n) > 0).astype(int)
    if arms == 3:
        t = np.where(rng.random(n) < 1 / 3, 2, t)
    e = {
        "normal": rng.normal(size=n),
        "t with 3 df": rng.standard_t(3, n) / np.sqrt(3),
        "lognormal": (rng.lognormal(sigma=1.0, size=n) - np.exp(0.5)) / 2.16,
    }[noise]
    return pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "t": t, "y": X[:, 0] + 0.5 * X[:, 1] + t + e})


def rare(rng: Rng, n: int) -> pd.DataFrame:
    """Shares of .02 and .03, in a randomised experiment."""
    t = rng.integers(2, size=n)
    return pd.DataFrame({"t": t, "y": (rng.random(n) < 0.02 + 0.01 * t).astype(int)})


def holes(rng: Rng, n: int) -> pd.DataFrame:
    """A fifth of a covariate missing at random; who lacks it is treated by the other covariate alone."""
    frame = rows(rng, n)
    gone = rng.random(n) < 0.2
    t = (np.where(gone, 0.0, 0.5 * frame["a"]) - 0.3 * frame["b"] + rng.logistic(size=n) > 0).astype(int)
    y = np.where(gone, 0.0, frame["a"]) + 0.5 * frame["b"] + t + rng.normal(size=n)
    return frame.assign(a=frame["a"].mask(gone), t=t, y=y)


def clusters(rng: Rng, sizes: list[int], nested: bool) -> pd.DataFrame:
    """Rows of one cluster share 30% of their variance; no effect."""
    g = np.repeat(np.arange(len(sizes)), sizes)
    arm = np.zeros(len(sizes), dtype=int)
    arm[rng.permutation(len(sizes))[: len(sizes) // 2]] = 1
    t = arm[g] if nested else rng.integers(2, size=len(g))
    y = np.sqrt(0.3) * rng.normal(size=len(sizes))[g] + np.sqrt(0.7) * rng.normal(size=len(g))
    return pd.DataFrame({"g": g, "t": t, "y": y})


def panel(rng: Rng, units: int) -> pd.DataFrame:
    """Three cohorts over six periods; the effect is 1 in every period after the start."""
    unit, time = np.repeat(np.arange(units), 6), np.tile(np.arange(1, 7), units)
    cohort = rng.choice([0, 4, 5], units)[unit]
    own = rng.normal(size=units)[unit]
    noise = rng.normal(size=(units, 6))
    noise[:, 1:] = 0.5 * noise[:, :-1] + noise[:, 1:]  # shocks that last
    treated = (cohort > 0) & (time >= cohort)
    return pd.DataFrame({"unit": unit, "time": time, "cohort": cohort, "y": own + 0.2 * time + treated + noise.ravel()})


def cutoff(rng: Rng, n: int) -> pd.DataFrame:
    """Lee's design (Calonico, Cattaneo and Titiunik 2014, model 1); jump .04."""
    x = 2 * rng.beta(2, 4, n) - 1
    left = 0.48 + 1.27 * x + 7.18 * x**2 + 20.21 * x**3 + 21.54 * x**4 + 7.33 * x**5
    right = 0.52 + 0.84 * x - 3.00 * x**2 + 7.99 * x**3 - 9.01 * x**4 + 3.56 * x**5
    return pd.DataFrame({"x": x, "y": np.where(x < 0, left, right) + rng.normal(scale=0.1295, size=n)})


def factors(rng: Rng, units: int, treated: int) -> pd.DataFrame:
    """Twenty periods of two factors; the last five periods of the treated units rise by 1."""
    loads, paths = rng.normal(size=(units, 2)), np.cumsum(rng.normal(size=(2, 20)), axis=1) * 0.3
    Y = loads @ paths + rng.normal(size=(units, 1)) + rng.normal(scale=0.5, size=(units, 20))
    Y[:treated, 15:] += 1
    unit, time = np.repeat(np.arange(units), 20), np.tile(np.arange(20), units)
    return pd.DataFrame(
        {"unit": unit, "time": time, "d": ((unit < treated) & (time >= 15)).astype(int), "y": Y.ravel()}
    )


def instruments(rng: Rng, n: int, q: int, concentration: float, correlation: float, groups: int = 0) -> pd.DataFrame:
    """Instruments of equal strength, whose concentration parameter is given; no effect."""
    z, v = rng.normal(size=(n, q)), rng.normal(size=n)
    e = correlation * v + np.sqrt(1 - correlation**2) * rng.normal(size=n)
    frame = pd.DataFrame(z, columns=[f"z{j}" for j in range(q)])
    if groups:
        g, shock = rng.integers(0, groups, n), rng.normal(size=groups)
        frame, v, e = (frame + rng.normal(size=(groups, q))[g]).assign(g=g), v + shock[g], e + correlation * shock[g]
    moved = frame.filter(like="z").to_numpy() @ np.full(q, np.sqrt(concentration / (n * q)))
    return frame.assign(d=moved + v, y=e)


def take_up(rng: Rng, n: int) -> pd.DataFrame:
    """An instrument that depends on a covariate, and compliers whose effect is 1.5."""
    a, b = rng.normal(size=(2, n))
    z = (rng.random(n) < 1 / (1 + np.exp(-a))).astype(int)
    kind = rng.random(n)
    d = np.where(kind < 0.25, 0, np.where(kind > 0.85, 1, z))
    complier = (kind >= 0.25) & (kind <= 0.85)
    y = d * (1 + 0.5 * complier) + a + b + 0.8 * (kind < 0.25) + rng.normal(size=n)
    return pd.DataFrame({"a": a, "b": b, "z": z, "d": d, "y": y})


def iv(**settings: object) -> Answer:
    """A question to every instrument of the frame."""
    return lambda frame: frame.causal.iv(
        treatment="d", outcome="y", instrument=[c for c in frame if str(c).startswith("z")], **settings
    )


class Held(NamedTuple):
    """An answer whose interval is a set, or of a check: its ends hold the truth, or not."""

    estimate: float
    std_error: float
    conf_low: float
    conf_high: float


def by_test(test: str, **settings: object) -> Callable[[pd.DataFrame], Held]:
    """Whether a test that holds with weak instruments accepts no effect."""

    def answer(frame: pd.DataFrame) -> Held:
        effect = iv(**settings)(frame)
        accepts = effect.inversion.p_value(0.0, 0, test) > 0.05
        return Held(effect.estimate, effect.std_error, 0.0 if accepts else np.inf, np.inf)

    return answer


def tf(frame: pd.DataFrame) -> Held:
    """The interval of Lee et al. (2022)."""
    effect = iv(covariance="unadjusted")(frame)
    row = effect.diagnostics["tf"].table.iloc[0]
    return Held(effect.estimate, row["std_error"], row["conf_low"], row["conf_high"])


def ab(**settings: object) -> Answer:
    """An experiment's question."""
    return lambda frame: frame.causal.ab_test(treatment="t", outcome="y", **settings)


def ate(estimator: object, **settings: object) -> Answer:
    """An observational question."""
    return lambda frame: frame.causal.ate(
        treatment="t", outcome="y", covariates=COVARIATES, estimator=estimator, **settings
    )


AIPW = pc.AIPW(outcome_model="linear", propensity_model="linear")
UNITS = {"unit": "unit", "time": "time", "outcome": "y"}
SIZES = {
    "8 equal": [20] * 8,
    "20 equal": [20] * 20,
    "20, one with half the rows": [10] * 19 + [190],
    "12, each twice the last": [2**k // 4 + 2 for k in range(12)],
}


def cross_sections() -> Scenarios:
    """Rows that are compared by arm."""
    out: Scenarios = {}
    for n in (50, 100, 200):
        for name, answer in (("regression", ate("regression")), ("AIPW, linear", ate(AIPW)), ("IPW", ate("ipw"))):
            out[f"{n} rows", name] = (lambda rng, n=n: rows(rng, n), answer, 1.0)
    for noise in ("t with 3 df", "lognormal"):
        for n in (100, 1_000):
            for name, answer in (("regression", ate("regression")), ("AIPW, linear", ate(AIPW))):
                out[f"{noise} noise, {n:,} rows", name] = (lambda rng, n=n, e=noise: rows(rng, n, e), answer, 1.0)
    for name, answer in (("Welch", ab()), ("proportions", ab(variance="proportion"))):
        out["shares of .02 and .03, 1,000 rows", name] = (lambda rng: rare(rng, 1_000), answer, 0.01)
    out["shares of .02 and .03, 1,000 rows", "lift, log scale"] = (
        lambda rng: rare(rng, 1_000), ab(relative="log"), 0.5,
    )  # fmt: skip
    for name, answer in (("regression", ate("regression")), ("AIPW, linear", ate(AIPW))):
        out["three arms, 300 rows: the second", name] = (
            lambda rng: rows(rng, 300, arms=3), lambda frame, ask=answer: ask(frame)["1 - 0"], 1.0,
        )  # fmt: skip
        out["weights from .2 to 5, 300 rows", name] = (
            lambda rng: rows(rng, 300).assign(w=np.exp(rng.uniform(-1.6, 1.6, 300))),
            lambda frame, e=name: ate(AIPW if "AIPW" in e else "regression", sample_weight="w")(frame),
            1.0,
        )
        out["a fifth of a covariate missing, 500 rows", name] = (lambda rng: holes(rng, 500), answer, 1.0)
    return out


def cluster_designs() -> Scenarios:
    """Clusters, few or unequal."""
    out: Scenarios = {}
    for name, sizes in SIZES.items():
        for nested in (True, False):
            where = "in one arm each" if nested else "in both arms"
            for how, answer in (
                ("CR2, Satterthwaite", ab(cluster="g")),
                ("wild bootstrap", ab(cluster="g", cluster_inference="wild")),
                ("CR1", lambda frame: frame.causal.ab_test(treatment="t", outcome="y").cluster(frame["g"])),
            ):
                out[f"clusters: {name}, {where}", how] = (
                    lambda rng, s=sizes, k=nested: clusters(rng, s, k), answer, 0.0,
                )  # fmt: skip
    return out


def panels_and_cutoffs() -> Scenarios:
    """Panels and discontinuities."""
    out: Scenarios = {}
    for units in (50, 200):
        for name in ("callaway_santanna", "imputation"):
            out[f"did, {units} units", name] = (
                lambda rng, u=units: panel(rng, u),
                lambda frame, e=name: frame.causal.did(**UNITS, cohort="cohort", estimator=e).aggregate(),
                1.0,
            )
    for n in (500, 2_000):
        out[f"discontinuity, {n:,} rows", "robust, bias-corrected"] = (
            lambda rng, n=n: cutoff(rng, n),
            lambda frame: frame.causal.rdd(outcome="y", running="x", cutoff=0.0),
            0.04,
        )
    out["synthetic did, 40 units, 8 treated", "jackknife"] = (
        lambda rng: factors(rng, 40, 8),
        lambda frame: frame.causal.synthetic_control(**UNITS, treatment="d", inference="jackknife"),
        1.0,
    )
    return out


def with_instruments() -> Scenarios:
    """Instruments, weak ones above all."""
    out: Scenarios = {}
    unadjusted = {"covariance": "unadjusted"}
    for name, answer in (
        ("two-stage least squares", iv(**unadjusted)),
        ("Anderson-Rubin set", by_test("ar", **unadjusted)),
        ("conditional likelihood ratio set", by_test("clr", **unadjusted)),
    ):
        out["four instruments, concentration 2, correlation .95, 400 rows", name] = (
            lambda rng: instruments(rng, 400, 4, 2.0, 0.95), answer, 0.0,
        )  # fmt: skip
    for name, answer in (("two-stage least squares", iv(**unadjusted)), ("tF", tf)):
        out["one instrument, F of 8 on average, correlation .95, 200 rows", name] = (
            lambda rng: instruments(rng, 200, 1, 7.0, 0.95), answer, 0.0,
        )  # fmt: skip
    for name, answer in (
        ("two-stage least squares, CR1", iv(cluster="g")),
        ("Anderson-Rubin set, clustered", by_test("ar", cluster="g")),
    ):
        out["two instruments, 40 clusters, 800 rows", name] = (
            lambda rng: instruments(rng, 800, 2, 40.0, 0.8, 40), answer, 0.0,
        )  # fmt: skip
    models = {"outcome_model": "linear", "treatment_model": "linear", "instrument_model": "linear"}
    out["complier effect, instrument depends on a covariate, 1,500 rows", "InteractiveIV, linear"] = (
        lambda rng: take_up(rng, 1_500), iv(estimator=pc.InteractiveIV(**models), covariates=COVARIATES), 1.5,
    )  # fmt: skip
    return out


def main(draws: int, kept: Path) -> None:
    """Run what is not kept yet, and print the table."""
    done = json.loads(kept.read_text()) if kept.exists() else {}
    warnings.simplefilter("ignore")
    designs = cross_sections() | cluster_designs() | panels_and_cutoffs() | with_instruments()
    for number, ((what, how), (draw, answer, truth)) in enumerate(designs.items()):
        key = f"{what} | {how}"
        if key in done:
            continue
        rng = np.random.default_rng([20261127, number])
        found = []
        for _ in range(draws):
            effect = answer(draw(rng))
            found.append((effect.estimate, effect.std_error, effect.conf_low <= truth <= effect.conf_high))
        estimate, error, held = np.array(found, dtype=float).T
        spread = float(estimate.std(ddof=1))
        done[key] = {
            "coverage": float(held.mean()), "bias": float(estimate.mean() - truth) / spread,
            "se_ratio": float(np.median(error)) / spread, "draws": draws,
        }  # fmt: skip
        kept.write_text(json.dumps(done, indent=1))
        print(key, done[key], flush=True)
    print("\n| situation | method | coverage | bias / sd | median error / sd |\n| --- | --- | --- | --- | --- |")
    for key, row in done.items():
        what, how = key.split(" | ")
        print(f"| {what} | {how} | {100 * row['coverage']:.1f}% | {row['bias']:+.2f} | {row['se_ratio']:.2f} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000, Path(sys.argv[2] if len(sys.argv) > 2 else "coverage.json"))
