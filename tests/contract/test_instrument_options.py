"""Random combinations of the options of `InstrumentalVariables`, with what must hold of every answer.

Rows permuted and columns in other units give the same numbers, ends of sets have the p-value of their level, and checks
hold numbers or say why not.
"""

import warnings

import numpy as np
import pandas as pd
import pytest

from pandas_causal import InstrumentalVariables, causal
from pandas_causal.errors import CausalError, CausalWarning

METHODS = ("2sls", "liml", "fuller", "k", "gmm", "cue", "jive", "ujive", "hful")
SAID = ("too few", "no covariance", "one coefficient at a time")


def pick(rng, *choices):
    return choices[rng.integers(len(choices))]


def drawn(seed):
    """A frame, an estimator and a question."""
    rng = np.random.default_rng([15, seed])
    n, q, d = int(pick(rng, 25, 40, 80, 200)), int(rng.integers(1, 5)), int(pick(rng, 1, 1, 1, 2))
    X, Z, u = rng.normal(size=(n, 2)), rng.normal(size=(n, q)), rng.normal(size=n)
    if rng.random() < 0.3:
        Z[:, 0] = Z[:, 0] > 0
    D = pick(rng, 0.0, 0.1, 0.5, 2.0) * Z @ rng.normal(size=(q, d)) + u[:, None] + rng.normal(size=(n, d)) + X[:, :1]
    D = (D > 0).astype(float) if rng.random() < 0.25 else D
    y = D.sum(axis=1) + u + X[:, 1] + rng.normal(size=n) * (1 + abs(Z[:, 0]))
    names = [*(f"z{j}" for j in range(q)), *(f"d{j}" for j in range(d))]
    frame = pd.DataFrame(np.column_stack([X, Z, D, y]), columns=["x1", "x2", *names, "y"])
    frame["g"], frame["h"] = rng.integers(0, max(2, n // int(pick(rng, 2, 5, 10))), n), rng.integers(0, 7, n)
    frame["w"], frame["firm"] = rng.uniform(0.2, 3, n), rng.integers(0, max(2, n // 5), n)
    frame["year"], frame["label"] = rng.integers(0, 4, n), rng.choice(list("abc"), n)
    method = pick(rng, *METHODS)
    settings = {
        "method": method, "covariance": pick(rng, "robust", "unadjusted"), "weak_set": pick(rng, "ar", "k", "clr"),
        "small_sample": pick(rng, None, True, False), "law": pick(rng, "chi2", "f"),
        "level": pick(rng, 0.8, 0.95, 0.99),
    }  # fmt: skip
    settings |= {"k": pick(rng, 0.0, 0.5, 1.0)} if method == "k" else {}
    settings |= {"fuller": pick(rng, 0.0, 1.0, 4.0)} if method in ("fuller", "hful") else {}
    roles = {"treatment": names[q:] if d > 1 else "d0", "outcome": "y", "instrument": names[:q]}
    roles["covariates"] = [c for c in ("x1", "x2", "label") if rng.random() < 0.6]
    if rng.random() < 0.35:
        roles["absorb"] = pick(rng, ["firm"], ["firm", "year"], "year")
    if rng.random() < 0.4:
        roles["cluster"] = pick(rng, "g", ["g", "h"])
    if rng.random() < 0.3:
        roles["sample_weight"] = "w"
    return frame, InstrumentalVariables(**settings), roles


def faults(seed):
    """What is wrong with the answer to one of these questions; nothing where it is an error of ours."""
    frame, estimator, roles = drawn(seed)

    def ask(data):
        return causal(data).fit(estimator, **roles)

    out = []
    try:
        effect = ask(frame)
        table = effect.table[["estimate", "std_error"]].to_numpy()
        shuffled = ask(frame.sample(frac=1, random_state=1)).table[["estimate", "std_error"]].to_numpy()
        other = frame.assign(y=1e3 * frame["y"] + 7, d0=1e-4 * frame["d0"] - 2, z0=50 * frame["z0"])
        units = np.array([1e7, *[1e3] * (len(table) - 1)])[:, None]
        scaled = ask(other).table[["estimate", "std_error"]].to_numpy() / units
    except CausalError as error:
        return [] if str(error).strip() and "0 problems" not in str(error) else ["an error without a word"]
    known = np.isfinite(table) & (table != 0)
    if not known.all() and not any("standard error" in text for text in effect.warnings):
        out.append(f"numbers {table.tolist()}")
    for name, found in (("permuted", shuffled), ("scaled", scaled)):
        if (np.abs(found - table)[known] > 1e-5 * np.abs(table)[known]).any():
            out.append(f"{name}: {table.tolist()} {found.tolist()}")
    try:
        pieces = effect.confidence_set()
        for j, label in enumerate(effect.table.index):
            for low, high in pieces.loc[pieces.index == label].to_numpy():
                out += [f"piece {low} {high}"] if not low <= high else []
                ends = [v for v in (low, high) if np.isfinite(v)]
                p = [effect.inversion.p_value(v, j) for v in ends]
                out += [f"ends {ends}: p {p}"] if not np.allclose(p, 1 - estimator.level, atol=2e-3) else []
    except CausalError as error:
        out += [] if "cluster" in str(error) else [str(error)]
    for name in effect.diagnostics:
        check = effect.diagnostics[name]
        missing = np.isnan(check.table.select_dtypes("number").to_numpy(dtype=float)).any()
        out += [f"{name}: {check}"] if missing and not any(text in check.summary for text in SAID) else []
    return out


def asked(seed):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", CausalWarning)
        return faults(seed)


@pytest.mark.parametrize("seed", [*range(4, 12), 27])
def test_options_of_instruments(seed):
    assert asked(seed) == []


@pytest.mark.slow
def test_options_of_instruments_of_more():
    found = {seed: asked(seed) for seed in range(20, 40)}
    assert {seed: texts for seed, texts in found.items() if texts} == {}
