"""``df.causal`` is ours, whichever package registers the name before or after; DoWhy's accessor is played by a stub."""

import subprocess
import sys

import pytest

OTHER = """
import warnings
import pandas as pd

class Other:
    def __init__(self, frame):
        self.whose = "other"

def register():
    pd.api.extensions.register_dataframe_accessor("causal")(Other)
"""
FIRST = """
register()
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    import pandas_causal
assert [w.category.__name__ for w in seen] == ["CausalWarning"], seen
assert "another package has registered DataFrame.causal too: df.causal is pandas_causal's" in str(seen[0].message)
assert "pandas_causal.causal(df)" in str(seen[0].message)
assert seen[0].filename != pandas_causal.__file__, seen[0].filename
frame = pd.DataFrame({"a": [1]})
assert isinstance(frame.causal, pandas_causal.CausalAccessor)
assert isinstance(pandas_causal.causal(frame), pandas_causal.CausalAccessor)
"""
SECOND = """
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    import pandas_causal
assert not seen, seen
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    register()
assert any("causal" in str(w.message) for w in seen), seen  # pandas says so
frame = pd.DataFrame({"t": [0, 1] * 10, "y": range(20)})
assert frame.causal.whose == "other"
assert isinstance(pandas_causal.causal(frame), pandas_causal.CausalAccessor)
assert abs(pandas_causal.causal(frame).ab_test(treatment="t", outcome="y").estimate - 1) < 1e-12
"""
TWICE = """
with warnings.catch_warnings():
    warnings.simplefilter("error")
    import pandas_causal
    import importlib
    frame = pd.DataFrame({"a": [1]})
    assert type(frame.causal) is pandas_causal.CausalAccessor
    assert "causal" in dir(frame)
    assert "causal" in pd.DataFrame._accessors
"""


@pytest.mark.parametrize("script", [FIRST, SECOND, TWICE], ids=["other first", "other second", "alone"])
def test_registration(script):
    done = subprocess.run([sys.executable, "-c", OTHER + script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# -- DoWhy ------------------------------------------------------------------------------------------------------------

DOWHY = """
import pandas as pd

@pd.api.extensions.register_dataframe_accessor("causal")
class CausalAccessor:
    def __init__(self, frame):
        self.whose = "DoWhy"
"""
BESIDE = """
import importlib, sys, warnings
import pandas as pd

def ours():
    frame = pd.DataFrame({"t": [0, 1] * 10, "y": range(20)})
    assert type(frame.causal) is pandas_causal.CausalAccessor, type(frame.causal)
    assert abs(frame.causal.ab_test("t", "y").estimate - 1) < 1e-12
    assert dowhy.api.causal_data_frame.CausalAccessor(frame).whose == "DoWhy"
    assert "causal" in pd.DataFrame._accessors

def said(seen):
    (warned,) = seen
    assert warned.category.__name__ == "CausalWarning", seen
    assert str(warned.message) == (
        "DoWhy has registered DataFrame.causal too: df.causal is pandas_causal's, as pandas_causal.causal(df) always"
        " is; the other accessor is dowhy.api.causal_data_frame.CausalAccessor(df)"
    ), str(warned.message)
    assert warned.filename == "<string>", warned.filename  # the user's line

with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    {imports}
ours()
said(seen)
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    importlib.reload(dowhy.api.causal_data_frame)
ours()
said(seen)
assert sum(type(f).__module__.startswith("pandas_causal") for f in sys.meta_path) == 1
"""
ORDERS = {
    "ours first": "import pandas_causal; import dowhy.api",
    "DoWhy first": "import dowhy.api; import pandas_causal",
    "both": "import pandas_causal, dowhy.api.causal_data_frame",
}


@pytest.mark.parametrize("order", ORDERS)
def test_dowhy_beside_us(order, tmp_path):
    (tmp_path / "dowhy" / "api").mkdir(parents=True)
    (tmp_path / "dowhy" / "__init__.py").write_text("")
    (tmp_path / "dowhy" / "api" / "__init__.py").write_text("import dowhy.api.causal_data_frame\n")
    (tmp_path / "dowhy" / "api" / "causal_data_frame.py").write_text(DOWHY)
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{BESIDE.replace('{imports}', ORDERS[order])}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_an_absent_dowhy_stays_absent():
    code = """
import pandas_causal
try:
    import dowhy.api.causal_data_frame
except ModuleNotFoundError as error:
    assert error.name in ("dowhy", "dowhy.api", "dowhy.api.causal_data_frame")
else:
    import dowhy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
