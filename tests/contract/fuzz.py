"""Random questions to randomly damaged frames, each drawn from a seed: what `test_fuzz.py` asks and checks.

A case draws a small frame, damages it (0 to 3 mutations), draws a question (a method of ``df.causal``, or an estimator)
with random settings, and asks. It ends in an error of ours, or in numbers that hold together.
"""

import inspect
import math
import traceback
import warnings
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd

import pandas_causal
from pandas_causal.accessor import CausalAccessor
from pandas_causal.effect.effect import Effect
from pandas_causal.errors import CausalError, CausalWarning
from tests.contract.twins import fast

ESTIMATORS = pandas_causal.all_estimators()
LEARNERS = ("LinearDML", "DRLearner", "RLearner", "XLearner", "TLearner", "SLearner")
RIDGE = {"outcome_model": "ridge", "propensity_model": "ridge"}
METHODS = [name for name in dir(CausalAccessor) if not name.startswith("_")]
# what scikit-learn's contract demands; nothing else may be raised that is not ours
DEMANDED = ((TypeError, "Sparse"),)


# -- frames ----------------------------------------------------------


def cross_section(rng):
    n = int(rng.choice([4, 8, 15, 30, 60, 90], p=[0.05, 0.1, 0.15, 0.2, 0.3, 0.2]))
    x1, x2, m = rng.normal(size=n), rng.normal(size=n), rng.integers(0, 2, n)
    arms = 3 if rng.random() < 0.2 else 2
    d = (0.4 * x1 + rng.logistic(size=n) > 0).astype(int)
    d = np.where(rng.random(n) < 0.3, 2, d) if arms == 3 else d
    y = x1 + 2 * d + m + rng.normal(size=n)
    if rng.random() < 0.2:
        y = (y > np.median(y)).astype(int)
    return pd.DataFrame(
        {
            "x1": x1,
            "x2": x2,
            "g": rng.choice(["a", "b", "c"], n),
            "d": d,
            "y": y,
            "m": m,
            "c": rng.integers(0, max(2, n // 5), n),
            "w": rng.uniform(0.5, 2, n),
            "r": rng.uniform(-1, 1, n),
            "p": np.clip(1 / (1 + np.exp(-0.4 * x1)), 0.05, 0.95),
            "s": rng.integers(0, 2, n),
            "q": rng.uniform(1, 3, n),
        }
    )


def panel(rng):
    units, periods = int(rng.choice([2, 4, 8, 12, 20])), int(rng.integers(2, 8))
    cohort = rng.choice([np.nan, *range(1, periods)], units)
    if rng.random() < 0.3:  # few treated, as synthetic control wants
        cohort[:] = np.nan
        cohort[0] = periods - 1 if periods < 4 else periods - 2
    if rng.random() < 0.2:
        cohort = np.where(np.isnan(cohort), np.nan, np.nanmax(np.append(cohort, 1)))
    t = np.tile(np.arange(periods), units)
    u = np.repeat(np.arange(units), periods)
    g = np.repeat(cohort, periods)
    d = (t >= g).astype(int)
    y = rng.normal(size=units)[u] + 0.3 * t + 2 * d + rng.normal(size=len(u))
    x = np.repeat(rng.normal(size=units), periods)
    return pd.DataFrame(
        {
            "u": u,
            "t": t,
            "k": g,
            "d": d,
            "y": y,
            "x1": x,
            "x2": x + rng.normal(size=len(u)),
            "w": rng.uniform(0.5, 2, units)[u],
            "c": u // 2,
            "e": (~np.isnan(g)).astype(int),
            "s": np.repeat(rng.integers(0, 2, units), periods),
        }
    )


# -- mutations: frame, column, generator -> frame ----------------------------------------------------------


def put(frame, column, values):
    """The same frame with other values in a column, whatever the labels are."""
    out = frame.copy()
    out[column] = values
    return out


def some(frame, rng, share=None):
    share = rng.choice([0.02, 0.1, 0.5]) if share is None else share
    rows = rng.random(len(frame)) < share
    if len(frame):
        rows[rng.integers(len(frame))] = True
    return rows


def fill(value):
    def change(frame, column, rng):
        values = (
            np.array(frame[column].tolist(), dtype=object)
            if frame[column].dtype != object
            else frame[column].to_numpy(copy=True)
        )
        values[some(frame, rng)] = value
        return put(frame, column, pd.Series(values, index=frame.index).infer_objects())

    return change


def apply(function):
    """Values changed one by one, kept as objects; missing ones stay."""

    def change(frame, column, rng):
        values = [v if pd.isna(v) else function(v) for v in frame[column]]
        return put(frame, column, pd.Series(values, index=frame.index, dtype=object))

    return change


def as_dtype(dtype):
    def change(frame, column, rng):
        try:
            return put(frame, column, frame[column].astype(dtype))
        except (TypeError, ValueError, OverflowError, ImportError, NotImplementedError):
            return frame

    return change


def to_int(v):
    return int(v) if isinstance(v, int | float | np.number) and math.isfinite(v) else len(str(v))


def one_each(frame, column, rng):
    return frame.drop_duplicates(column).reset_index(drop=True)


def one_row_in_a_group(frame, column, rng):
    if not len(frame):
        return frame
    first = frame[column].iloc[0]
    same = np.array([v is first or v == first for v in frame[column]], dtype=object).astype(bool)
    same[int(np.argmax(same))] = False
    return frame[~same].reset_index(drop=True)


def numbers(frame, column):
    return pd.to_numeric(frame[column], errors="coerce").astype(float)


def relabelled(frame, column, rng):
    kinds = (
        7,
        2.5,
        True,
        False,
        ("a", "b"),
        ("y",),
        pd.Timestamp("2020-01-01"),
        date(2020, 1, 1),
        frozenset([1]),
        "",
        "a b",
        "y ",
        "index",
        b"x",
        pd.Interval(0, 1),
        0,
        -1,
        "é",
        "d",
        "treatment",
        np.int64(3),
    )
    label = kinds[rng.integers(len(kinds))]
    taken = any(str(label) == str(c) for c in frame.columns)
    names = [label if c == column and not taken else c for c in frame.columns]
    return frame.set_axis(pd.Index(names, dtype=object, tupleize_cols=False), axis=1)


MUTATIONS = {
    "constant": lambda f, c, rng: put(f, c, f[c].iloc[0] if len(f) else 0),
    "zero": lambda f, c, rng: put(f, c, 0),
    "copied": lambda f, c, rng: put(f, c, f[f.columns[rng.integers(f.shape[1])]]),
    "rescaled copy": lambda f, c, rng: put(f, c, 3 * numbers(f, f.columns[rng.integers(f.shape[1])]) + 1),
    "permuted": lambda f, c, rng: put(f, c, rng.permutation(f[c].to_numpy())),
    "missing": fill(np.nan),
    "None": fill(None),
    "NA": fill(pd.NA),
    "infinite": fill(np.inf),
    "huge": fill(1e200),
    "negative": fill(-1.0),
    "text among": fill("x"),
    "dominating": fill(1e6),
    "tiny scale": lambda f, c, rng: put(f, c, numbers(f, c) * 1e-9),
    "large scale": lambda f, c, rng: put(f, c, numbers(f, c) * 1e9),
    "far": lambda f, c, rng: put(f, c, numbers(f, c) + 1e9),
    "rounding": lambda f, c, rng: put(f, c, 0.1 + 1e-17 * numbers(f, c) + rng.choice([0, 2e-17], len(f))),
    "label": relabelled,
    "category": as_dtype("category"),
    "Float64": as_dtype("Float64"),
    "Int64": as_dtype("Int64"),
    "boolean": as_dtype("boolean"),
    "bool": as_dtype("bool"),
    "string": as_dtype("string"),
    "float32": as_dtype("float32"),
    "int8": as_dtype("int8"),
    "uint8": as_dtype("uint8"),
    "complex": as_dtype("complex128"),
    "arrow": as_dtype("double[pyarrow]"),
    "arrow text": as_dtype("string[pyarrow]"),
    "arrow bool": as_dtype("bool[pyarrow]"),
    "Decimal": apply(lambda v: Decimal(str(v)) if isinstance(v, int | float | np.number) else v),
    "date": apply(lambda v: date(2000, 1, 1) + timedelta(days=to_int(v) % 9_000)),
    "Timestamp": apply(lambda v: pd.Timestamp(2000 + to_int(v) % 90, 1, 1)),
    "period": apply(lambda v: pd.Period(str(2000 + to_int(v) % 90), freq="Y")),
    "beyond 2**53": apply(lambda v: 2**60 + to_int(v)),
    "beyond 2**64": apply(lambda v: 2**70 + to_int(v)),
    "uint64": apply(lambda v: 2**63 + to_int(v) % 1_000),
    "text": apply(str),
    "lists": apply(lambda v: [v]),
    "bytes": apply(lambda v: str(v).encode()),
    "mixed": lambda f, c, rng: put(f, c, [str(v) if k % 2 else v for k, v in enumerate(f[c])]),
    "one row each": one_each,
    "one row in a group": one_row_in_a_group,
    "empty": lambda f, c, rng: f.iloc[:0],
    "one row": lambda f, c, rng: f.iloc[:1],
    "two rows": lambda f, c, rng: f.iloc[:2],
    "few rows": lambda f, c, rng: f.sample(min(len(f), 10), random_state=0),
    "rows twice": lambda f, c, rng: pd.concat([f, f]),
    "labels twice": lambda f, c, rng: f.set_axis(np.arange(len(f)) // 3),
    "shuffled": lambda f, c, rng: f.sample(frac=1, random_state=1),
    "in the index": lambda f, c, rng: f.set_index(c),
}


# -- settings ----------------------------------------------------------

ODD = {
    "estimand": ["ATE", "ATT", "ATC"],
    "level": [0.95, 0.5, 0.999],
    "interactions": [False, True],
    "moments": [1, 2],
    "tolerance": [0.001, 0.1],
    "over_identified": [False, True],
    "clip": [0.01, 0.1],
    "cv": [2, 5],
    "trim": [None, 0.05],
    "control": [None, 0, 1],
    "anticipation": [0, 0, 1],
    "pre_periods": [1, 2],
    "post_periods": [0, 1, 2],
    "leave_out": [False, True],
    "n_draws": [20],
    "n_windows": [3],
    "min_rows": [3, 10],
    "cutoff": [0.0, 0.3],
    "bandwidth": ["mserd", "msetwo", "cerrd", 0.4],
    "order": [1, 2],
    "derivative": [0, 1],
    "donut": [0.0, 0.05],
    "relative": [False, True, "log"],
    "anytime_n": [None, 50],
    "bias_adjust": [False, True],
    "caliper": [None, 0.2],
    "distance": ["propensity", "mahalanobis", "robust_mahalanobis", "euclidean"],
    "ratio": [1, 2],
    "replace": [True, False],
    "by_period": [False, True],
    "pooled": [False, True],
    "n_penalties": [3],
    "folds": [2],
    "unit_weights": ["optimal", "equal"],
    "n_subclasses": [2, 5],
    "matches": [3],
    "by_cutoff": [False],
    "window": [None, 0.5],
    "n_repeats": [1, 2],
}


# what nobody should give, to a setting or in place of a name
WRONG = (
    None,
    "x",
    "",
    -1,
    0,
    1,
    2.5,
    1e30,
    np.nan,
    np.inf,
    [],
    ["x"],
    {},
    {"x": 1},
    True,
    ("x", "y"),
    {1},
    len,
    int,
    pd.Timestamp("2020-01-01"),
    np.array([1.0]),
    pd.Series([1.0]),
    pd.DataFrame({"x": [1]}),
    object(),
    b"x",
    Decimal(1),
)


def settings_of(cls, rng):
    """Every setting its default, or at random one of the legal words, or of ODD."""
    legal = getattr(cls, "legal", {})
    chosen = {}
    for name in cls().get_params(deep=False):
        choices = list(legal[name].choices) if name in legal and legal[name].choices else ODD.get(name, [])
        if name == "order" and "kernel" not in cls().get_params():
            choices = list(legal[name].choices) if name in legal else []
        if choices and (rng.random() < 0.3 or name in ("n_draws", "n_penalties", "n_windows")):
            chosen[name] = choices[rng.integers(len(choices))]
    if "n_draws" in chosen and cls.__name__ == "SimulatedMediation":
        chosen["n_draws"] = 200  # draws of coefficients cost little, and percentiles of twenty may miss the estimate
    if rng.random() < 0.1:
        chosen[pick(rng, *cls().get_params(deep=False))] = pick(rng, *WRONG)
    return fast(cls, **chosen)


def pick(rng, *choices):
    return choices[rng.integers(len(choices))]


def maybe(rng, value, share=0.3):
    return value if rng.random() < share else None


def subset(rng, names):
    return [n for n in names if rng.random() < 0.6]


# -- questions: generator, place of a column -> callable ----------------------------------------------

ROLE_COLUMNS = {
    "treatment": "d",
    "cluster": "c",
    "sample_weight": "w",
    "propensity": "p",
    "base_weight": "w",
    "strata": "s",
    "denominator": "q",
    "running": "r",
    "mediators": ["m"],
    "instrument": "s",
    "absorb": "g",
    "cutoffs": None,
    "time": "t",
    "unit": "u",
    "cohort": "k",
    "group": "e",
    "partition": "s",
}
EDGES = [
    "x1 -> d; x1 -> y; d -> y",
    "x1 -> d; x1 -> m; d -> m; m -> y; x1 -> y",
    "d -> m; m -> y; d <-> y",
    "g -> d; g -> y; d -> y",
]


# a mutation takes frame, column and generator, whether it needs them or not
# ruff: noqa: ARG005


def is_panel(cls):
    return "time" in inspect.signature(cls.fit).parameters


def ask_estimator(cls, rng, at, frame):
    """``df.causal.fit`` with an estimator, and roles that it takes."""
    taken = [p for p in inspect.signature(cls.fit).parameters if p in ROLE_COLUMNS]
    roles = {role: at(ROLE_COLUMNS[role]) for role in taken if ROLE_COLUMNS[role] is not None}
    needed = (
        {"treatment", "running", "time", "mediators", "instrument", "unit", "group", "partition"}
        if not is_panel(cls)
        else {"time", "unit"}
    )
    if cls.__name__ == "RegressionDiscontinuity":
        needed -= {"treatment"}
    ways = [w for w in ("cohort", "treatment", "group") if w in roles] if is_panel(cls) else []
    if cls.__name__ == "TripleDifference":
        ways, needed = [], {"time", "unit", "group", "partition"}
    way = pick(rng, *ways) if ways else None
    for role in list(roles):
        if role in needed or role == way:
            continue
        if role in ways or rng.random() < 0.7:
            del roles[role]
    estimator = settings_of(cls, rng)
    if "post" in estimator.get_params() and "group" in roles and len(frame):
        times = frame.iloc[:, list(frame.columns).index(at("t"))] if at("t") in list(frame.columns) else pd.Series([1])
        estimator.set_params(post=times.iloc[len(times) // 2])
    covariates = [at(c) for c in subset(rng, ["x1", "x2"] if is_panel(cls) else ["x1", "x2", "g"])]
    if roles and rng.random() < 0.1:
        roles[pick(rng, *roles)] = pick(rng, *WRONG)
    treatment = roles.pop("treatment", None)
    return lambda: frame.causal.fit(
        estimator,
        treatment=treatment,
        outcome=at("y"),
        covariates=covariates,
        missing=pick(rng, "raise", "drop"),
        **roles,
    )


def arguments(name, rng, at):
    """Random arguments of a method of ``df.causal``."""
    xs = [at(c) for c in subset(rng, ["x1", "x2", "g"])]
    missing, missing_rows = pick(rng, "raise", "drop"), pick(rng, "raise", "drop")
    arms = {
        "treatment": at("d"),
        "outcome": at("y"),
        "cluster": maybe(rng, at("c")),
        "sample_weight": maybe(rng, at("w")),
    }
    data = {
        "did": {
            "time": at("t"),
            "unit": maybe(rng, at("u"), 0.9),
            "outcome": at("y"),
            "cluster": maybe(rng, at("c"), 0.2),
            "sample_weight": maybe(rng, at("w"), 0.2),
            "covariates": maybe(rng, [at("x1")]),
            "missing": missing,
        },
        "synthetic_control": {"time": at("t"), "unit": at("u"), "outcome": at("y"), "missing": missing},
    }
    data["event_study"] = data["did"]
    if name in ("did", "event_study", "synthetic_control"):
        way = pick(rng, "cohort", "treatment", *(["group"] if name == "did" else []))
        out = {**data[name], way: at(ROLE_COLUMNS[way])}
        if way == "group":
            out["post"] = 1
        estimators = {
            "did": ["callaway_santanna", "sun_abraham", "imputation", "two_way", "stacked", None, None],
            "event_study": ["callaway_santanna", "sun_abraham", "imputation", "stacked"],
            "synthetic_control": ["sdid", "sc", "augmented", "mcnnm", "did"],
        }[name]
        out["estimator"] = pick(rng, *estimators)
        if name == "synthetic_control":
            out |= {
                "inference": pick(rng, None, "placebo", "jackknife", "conformal"),
                "by_period": pick(rng, None, True),
            }
        return {k: v for k, v in out.items() if v is not None}
    graph = pick(rng, *EDGES)
    return {
        "ab_test": lambda: {
            **arms,
            "covariates": maybe(rng, xs),
            "missing": missing,
            "strata": maybe(rng, at("s"), 0.2),
            "denominator": maybe(rng, at("q"), 0.1),
            "relative": pick(rng, False, False, True, "log"),
            "variance": pick(rng, "welch", "pooled", "proportion"),
            "alternative": pick(rng, "two-sided", "less"),
            "adjustment": pick(rng, None, None, "lin", "cuped"),
            "test": pick(rng, None, None, None, "pooled_z", "fisher", "barnard", "boschloo"),
        },
        "association": lambda: {**arms, "missing": missing},
        "ate": lambda: {
            **arms,
            "covariates": xs,
            "missing": missing,
            "propensity": maybe(rng, at("p"), 0.1),
            "graph": maybe(rng, graph, 0.2),
            "estimand": pick(rng, "ATE", "ATT", "ATC"),
            "estimator": pick(rng, "ipw", "regression", fast(pandas_causal.AIPW), fast(pandas_causal.TMLE)),
        },
        "audit": lambda: {
            **arms,
            "covariates": xs[:2],
            "missing": missing,
            "estimator": "regression",
        },
        "why": lambda: {"graph": graph, "target": at("y"), "missing": missing_rows},
        "match": lambda: {
            **arms,
            "covariates": xs,
            "missing": missing,
            "estimand": pick(rng, "ATT", "ATE", "ATC"),
            "distance": pick(rng, "propensity", "mahalanobis", "euclidean"),
            "exact": maybe(rng, [at("g")], 0.2),
            "method": pick(rng, "nearest", "nearest", "pair", "full", "cem", "subclass"),
            "replace": pick(rng, True, False),
            "bias_adjust": pick(rng, False, True),
            "ratio": pick(rng, 1, 2),
        },
        "bounds": lambda: {
            **arms,
            "method": pick(rng, "manski", "monotone_response", "monotone_selection", "monotone", "lee", "lee"),
            "missing": missing,
            "covariates": maybe(rng, [at("g")], 0.2),
            "selected": maybe(rng, at("s"), 0.1),
        },
        "mediate": lambda: {
            **arms,
            "mediators": pick(rng, at("m"), [at("m"), at("x2")]),
            "covariates": xs,
            "missing": missing,
            "graph": maybe(rng, graph, 0.1),
            "controlled": maybe(rng, {at("m"): 1}, 0.1),
            "estimator": pick(rng, fast(pandas_causal.NaturalEffects), "simulation"),
        },
        "rdd": lambda: {
            "running": at("r"),
            "outcome": at("y"),
            "treatment": maybe(rng, at("s"), 0.2),
            "cluster": maybe(rng, at("c"), 0.2),
            "covariates": maybe(rng, xs),
            "sample_weight": maybe(rng, at("w"), 0.2),
            "missing": missing,
            "vce": pick(rng, "nn", "hc1", "hc3"),
            "kernel": pick(rng, "triangular", "uniform"),
        },
        "iv": lambda: {
            **arms,
            "instrument": pick(rng, at("s"), at("r"), [at("r"), at("s")], [at("r"), at("s"), at("g")]),
            "treatment": pick(rng, at("d"), at("d"), [at("d"), at("q")]),
            "covariates": maybe(rng, xs, 0.7),
            "absorb": maybe(rng, [at("m")], 0.2),
            "missing": missing,
            "estimator": pick(
                rng,
                "2sls",
                "2sls",
                "liml",
                "fuller",
                "gmm",
                "cue",
                "jive",
                "ujive",
                "hful",
                fast(pandas_causal.InteractiveIV),
                fast(pandas_causal.PartialLinearIV),
            ),
        },
        "cate": lambda: {
            **arms,
            "covariates": xs,
            "missing": missing,
            "propensity": maybe(rng, at("p"), 0.1),
            "learner": pick(rng, *(fast(getattr(pandas_causal, name)) for name in LEARNERS)),
        },
        "dose": lambda: {
            **arms,
            "treatment": pick(rng, at("r"), at("x2"), at("d")),
            "covariates": xs,
            "missing": missing,
            "outcome_model": "ridge",
            "treatment_model": "ridge",
        },
        "quantiles": lambda: {
            **arms,
            **RIDGE,
            "covariates": xs,
            "missing": missing,
            "quantiles": pick(rng, [0.5], [0.2, 0.8]),
            "estimand": pick(rng, "ATE", "ATT", "ATC"),
        },
        "scores": lambda: {**arms, **RIDGE, "covariates": xs, "missing": missing},
        "uplift": lambda: {
            **arms,
            **RIDGE,
            "score": pick(rng, at("r"), at("x1"), [at("r"), at("x1")]),
            "covariates": xs,
            "missing": missing,
        },
        "policy_value": lambda: {
            **arms,
            **RIDGE,
            "policy": pick(rng, 0, 1, pandas_causal.PolicyTree(1)),
            "covariates": xs,
            "missing": missing,
        },
        "fit": dict,
        "overlap": lambda: {
            "treatment": at("d"),
            "covariates": xs,
            "missing": missing,
            "sample_weight": maybe(rng, at("w")),
        },
        "balance": lambda: {"treatment": at("d"), "covariates": xs, "missing": missing, "weights": maybe(rng, at("w"))},
        "validate": lambda: {**arms, "covariates": xs},
        "identify": lambda: {"graph": graph, "treatment": at("d"), "outcome": at("y")},
        "check_graph": lambda: {
            "graph": graph,
            "missing": missing_rows,
            "test": pick(rng, "auto", "partial_correlation"),
        },
        "do": lambda: {"graph": graph, "interventions": {at("d"): 1}, "missing": missing_rows},
        "counterfactual": lambda: {"graph": graph, "interventions": {at("d"): 1}, "missing": missing_rows},
    }[name]()


def case(seed):
    """Words of a seed's case, the function that asks, and the frame."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of mutations
        return _case(seed)


def _case(seed):
    rng = np.random.default_rng([20, seed])
    asked = [*ESTIMATORS, *(name for name in METHODS if name != "fit")][seed % (len(ESTIMATORS) + len(METHODS) - 1)]
    cls = asked if isinstance(asked, type) else None
    over_time = is_panel(cls) if cls else asked in ("did", "event_study", "synthetic_control")
    frame = panel(rng) if over_time else cross_section(rng)
    places = {c: k for k, c in enumerate(frame.columns)}
    done = []
    for _ in range(int(rng.choice([0, 1, 2, 3], p=[0.1, 0.5, 0.3, 0.1]))):
        mutation, k = pick(rng, *MUTATIONS), int(rng.integers(len(places)))
        if frame.shape[1] != len(places):
            break  # one stands in the index
        if not len(frame):
            break
        done.append((mutation, list(places)[k]))
        frame = MUTATIONS[mutation](frame, frame.columns[k], rng)
    names = list(places)
    labels = list(frame.columns) if frame.shape[1] == len(places) else None

    def at(name):
        if isinstance(name, list):
            return [at(n) for n in name]
        return name if labels is None or name not in names else labels[names.index(name)]

    if cls:
        question, words = ask_estimator(cls, rng, at, frame), f"fit({cls.__name__})"
    else:
        given = dict(arguments(asked, rng, at))
        if rng.random() < 0.15:
            given[pick(rng, *given)] = pick(rng, *WRONG)
        if asked in ("do", "counterfactual"):
            graph, interventions = given.pop("graph"), given.pop("interventions")
            question = lambda: getattr(frame.causal, asked)(graph, interventions, **given)  # noqa: E731
        elif asked == "why":
            question = lambda: frame.causal.why(before=frame.iloc[::2], **given)  # noqa: E731
        elif asked == "check_graph":
            graph = given.pop("graph")
            question = lambda: frame.causal.check_graph(graph, **given)  # noqa: E731
        else:
            question = lambda: getattr(frame.causal, asked)(**given)  # noqa: E731
        words = f"{asked}({given})"
    return f"seed {seed}: {words} after {done}", question, frame


# -- what must hold ----------------------------------------------------------


def explained(effect, caught):
    """Whether a warning says why a standard error is missing or zero."""
    said = [*effect.warnings, *(str(w.message) for w in caught)]
    return any("standard error" in text or "variance" in text or "inference" in text for text in said)


def misnamed(effect):
    """Whether rows are called otherwise in two places, or not at all."""
    labels = effect.table.index
    unnamed = any(pd.isna(v) for v in labels.to_flat_index() if not isinstance(v, tuple))
    return unnamed or not labels.equals(effect.estimates.index)


def faults_of(effect, caught):
    """What is wrong with an effect."""
    out = []
    table = effect.table
    fixed = np.zeros(len(table), dtype=bool)
    if effect.rows.reference_rows is not None:
        fixed = np.asarray(effect.rows.reference_rows, dtype=bool)
    estimate, se = table["estimate"].to_numpy(float), table["std_error"].to_numpy(float)
    if not len(table):
        out.append("no row")
    if not np.isfinite(estimate).all():
        out.append(f"estimates {estimate.tolist()}")
    if not (se[~fixed] > 0).all() and not explained(effect, caught):
        out.append(f"std_error {se.tolist()} without a word")
    if misnamed(effect):
        out.append(f"index {list(table.index)}")
    low, high = table["conf_low"].to_numpy(float), table["conf_high"].to_numpy(float)
    known = np.isfinite(se) & (se > 0) & ~fixed
    if getattr(effect.uncertainty, "around", "") == "null":
        known[:] = False  # a null distribution has no interval around the estimate
    if np.isnan([low[known], high[known]]).any() and not explained(effect, caught):
        out.append(f"interval {low.tolist()} {high.tolist()}")
    biased = effect.rows.bias is not None or effect.inversion is not None
    wide = 1e-9 * np.maximum(np.abs(estimate), 1e-300)
    if not biased and bool(((low > estimate + wide) | (high < estimate - wide))[known].any()):
        out.append(f"interval {low.tolist()} {high.tolist()} beside {estimate.tolist()}")
    if bool((low > high)[known].any()):
        out.append("interval upside down")
    p = table["p_value"].to_numpy(float)
    if bool(((p < 0) | (p > 1)).any()):
        out.append(f"p {p.tolist()}")
    if not (str(effect) and repr(effect) and effect._repr_html_()):
        out.append("prints nothing")
    for check in effect.diagnostics.values():
        repr(check)
    return out


def run(seed):
    """Ask; return the words of the case, how it ended ("error", "number"), and what is wrong with that."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        words, question, frame = case(seed)
        before = frame.copy()
        faults = []
        ended = "number"
        try:
            answer = question()
            if isinstance(answer, Effect):
                faults = faults_of(answer, caught)
            else:
                repr(answer)
        except CausalError as error:
            ended = "error"
            if not str(error).strip():
                faults.append("an error without a word")
        except Exception as error:  # noqa: BLE001 - the fault that is looked for
            if not any(isinstance(error, kind) and text in str(error) for kind, text in DEMANDED):
                where = [f for f in traceback.extract_tb(error.__traceback__) if "pandas_causal" in f.filename][-1:]
                place = [f"{f.filename.rpartition('pandas_causal/')[2]}:{f.lineno}" for f in where]
                faults.append(f"{type(error).__name__}: {str(error)[:200]} at {place}")
            ended = "error"
    foreign = [w for w in caught if not issubclass(w.category, CausalWarning)]
    faults += [
        f"warns {w.category.__name__}: {str(w.message)[:150]} at {w.filename.rpartition('/')[2]}:{w.lineno}"
        for w in foreign[:1]
    ]
    if len(before.columns) != len(frame.columns) or not before.equals(frame):
        faults.append("the caller's frame was changed")
    return words, ended, faults
