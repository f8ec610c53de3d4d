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
    modules = [name for name in run(LOADED) if name.startswith("pandas_causal.estimators.")]
    assert not modules, modules


def test_import_costs_at_most_a_tenth_of_a_second_beyond_pandas():
    # Processor time, best of three: neighbours on the machine do not count.
    assert min(run(COST) for _ in range(3)) < 0.1


def test_import_changes_no_global_state():
    pytest.importorskip("matplotlib", reason="its rcParams are part of the state compared")
    changed = run(STATE)
    assert not changed, f"import pandas_causal changes {changed}"
