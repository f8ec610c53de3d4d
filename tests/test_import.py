"""``import pandas_causal`` is cheap and leaves the interpreter as it was.

Each test starts a fresh interpreter: in this one everything has been imported already.
"""

import json
import subprocess
import sys

import pytest

HEAVY = (
    "clarabel",
    "dask",
    "formulaic",
    "jinja2",
    "joblib",
    "matplotlib",
    "narwhals",
    "networkx",
    "numba",
    "pandera",
    "pydot",
    "scipy",  # all of it: pandas brings none, and scipy.stats alone takes half a second
    "sklearn",
    "statsmodels",
    "tqdm",
)

LOADED = """
import json, sys
import pandas
before = set(sys.modules)
import pandas_causal
print(json.dumps(sorted(set(sys.modules) - before)))
"""

COST = """
import time
import pandas
start = time.process_time()
import pandas_causal
print(time.process_time() - start)
"""

STATE = """
import json, locale, logging, os, warnings
import matplotlib, numpy, pandas

def state():
    root = logging.getLogger()
    return {
        "warning filters": [repr(f) for f in warnings.filters],
        "rcParams": repr(dict(matplotlib.rcParams)),
        "matplotlib backend": repr(matplotlib.rcParams._get_backend_or_none()),
        "root handlers": [repr(h) for h in root.handlers],
        "root level": root.level,
        "numpy errstate": repr(numpy.geterr()),
        "numpy print options": repr(numpy.get_printoptions()),
        "numpy seed": repr(numpy.random.get_state()),
        "pandas options": repr([pandas.get_option("display." + name) for name in ("width", "precision", "max_rows")]),
        "environment": dict(os.environ),
        "locale": locale.setlocale(locale.LC_ALL),
    }

before = state()
import pandas_causal
after = state()
print(json.dumps({name: [before[name], after[name]] for name in before if before[name] != after[name]}))
"""


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", f"importing says something on stderr: {done.stderr}"
    return json.loads(done.stdout)


def test_import_loads_no_heavy_library():
    loaded = run(LOADED)
    assert "pandas_causal" in loaded
    heavy = [name for name in loaded if name.partition(".")[0] in HEAVY]
    assert not heavy, f"import pandas_causal loads {heavy[:20]}"


def test_import_loads_no_estimator():
    """Estimators subclass scikit-learn's classes: none can be loaded before it is asked for."""
    modules = [name for name in run(LOADED) if room(name) in CHAPTERS or name == "pandas_causal.estimator"]
    assert not modules, modules


def test_import_costs_at_most_a_tenth_of_a_second_beyond_pandas():
    # Processor time, best of three: neighbours on the machine do not count.
    assert min(run(COST) for _ in range(3)) < 0.1


def test_import_changes_no_global_state():
    pytest.importorskip("matplotlib", reason="its rcParams are part of the state compared")
    changed = run(STATE)
    assert not changed, f"import pandas_causal changes {changed}"


# What a question may load: its own chapters, and heavy libraries beside the scikit-learn that estimators subclass.
QUESTIONS = {
    "ab_test": ('df.causal.ab_test(treatment="t", outcome="y")', {"experiments"}, set()),
    "association": ('df.causal.association(treatment="t", outcome="y")', {"experiments"}, set()),
    "ate": (
        'df.causal.ate(treatment="t", outcome="y", covariates=["x"], estimator="regression")',
        {"adjustment"},
        set(),
    ),
    "cate": (
        'df.causal.cate(treatment="t", outcome="y", covariates=["x"], learner="dml")',
        {"heterogeneity"},
        set(),
    ),
    "uplift": (
        'df.causal.uplift(treatment="t", outcome="y", score="x", outcome_model="ridge", propensity_model="ridge")',
        {"heterogeneity"},
        set(),
    ),
    "match": ('df.causal.match(treatment="t", outcome="y", covariates=["x"])', {"matching"}, {"numba"}),
    "did": ('panel.causal.did(outcome="y", unit="i", time="t", cohort="g")', {"difference_in_differences"}, set()),
    "rdd": ('df.causal.rdd(outcome="y", running="x", cutoff=0.0)', {"discontinuity"}, {"numba"}),
    "synthetic_control": (
        'panel[panel["i"] < 11].causal.synthetic_control(outcome="y", unit="i", time="t", cohort="g", estimator="did")',
        {"synthetic_control"},
        {"numba"},
    ),
    "identify": ('df.causal.identify(graph="x -> t -> y <- x", treatment="t", outcome="y")', {"identification"}, set()),
    "do": (
        'df.causal.do("x -> t -> y <- x", {"t": 1}, mechanisms={"y": "linear", "t": "linear"})',
        {"structural"},
        set(),
    ),
    "overlap": ('df.causal.overlap(treatment="t", covariates=["x"])', set(), set()),
    "balance": ('df.causal.balance(treatment="t", covariates=["x"])', set(), set()),
}
ASK = """
import json, sys, warnings
import numpy as np, pandas as pd
import pandas_causal
warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
df = pd.DataFrame({{"x": rng.normal(size=400), "t": np.arange(400) % 2}})
df["y"] = df["x"] + df["t"] + rng.normal(size=400)
panel = pd.DataFrame({{"i": np.repeat(np.arange(40), 6), "t": np.tile(np.arange(1, 7), 40)}})
panel["g"] = np.where(panel["i"] % 10 == 1, 4, 0)
panel["y"] = rng.normal(size=240) + panel["i"]
{question}
print(json.dumps(sorted(sys.modules)))
"""
CHAPTERS = {
    "experiments", "adjustment", "matching", "mediation", "instruments", "discontinuity", "difference_in_differences",
    "synthetic_control", "heterogeneity", "structural", "identification", "forests", "robustness", "report",
}  # fmt: skip


def room(module):
    return module.split(".")[1] if module.startswith("pandas_causal.") else ""


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_loads_its_own_chapter_only(question):
    code, chapters, libraries = QUESTIONS[question]
    loaded = run(ASK.format(question=code))
    others = sorted({room(name) for name in loaded} & CHAPTERS - chapters)
    assert not others, f"{question} loads the chapters {others}"
    heavy = {"numba", "networkx", "matplotlib", "statsmodels", "jinja2", "dask"} - libraries
    found = sorted(heavy & {name.partition(".")[0] for name in loaded})
    assert not found, f"{question} loads {found}"
