"""What docs/coming_from.md says exists here does, with the keywords it is shown with."""

import ast
import inspect
import re
from pathlib import Path

import pytest

import pandas_causal
from pandas_causal import Effect

PAGE = Path(__file__).resolve().parents[1] / "docs" / "coming_from.md"
if not PAGE.exists():
    pytest.skip("docs/ is not part of this copy", allow_module_level=True)
ROWS = [
    (heading, cells[1])
    for heading, body in re.findall(
        r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    for line in body.splitlines()
    if line.startswith("| ") and not line.startswith("| ---")
    for cells in [re.split(r"(?<!\\) \| ", line.strip("| "))]
    if cells[1] != "here"
]
SPANS = [(heading, span) for heading, cell in ROWS for span in re.findall("`(.*?)`", cell)]
PEERS = (
    "DoWhy",
    "EconML",
    "CausalML",
    "DoubleML",
    "statsmodels",
    "linearmodels",
    "R: MatchIt, WeightIt, did, rdrobust",
)
KEYWORDS = set().union(
    *(
        inspect.signature(getattr(pandas_causal.CausalAccessor, name)).parameters
        for name in dir(pandas_causal.CausalAccessor)
        if not name.startswith("_")
    )
)


def check(code):
    """Raise where a name, or a keyword of a call, does not exist."""
    keyword = re.fullmatch(r"(\w+)=(.*)", code)
    if keyword:
        assert keyword[1] in KEYWORDS, code
        return
    found = 0
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call):
            check_call(node)
        text = ast.unparse(node) if isinstance(node, ast.Attribute | ast.Name) else ""
        first, _, rest = text.partition(".")
        if first == "effect" and rest:
            found += 1
            name = rest.partition(".")[0]
            assert hasattr(Effect, name) or name in Effect.__dataclass_fields__, code
        elif first == "df" and rest.startswith("causal."):
            found += 1
            assert hasattr(pandas_causal.CausalAccessor, re.match(r"causal\.(\w+)", rest)[1]), code
        elif first == "metrics" and rest:
            found += 1
            assert hasattr(pandas_causal.metrics, rest), code
        elif text and first in dir(pandas_causal):
            found += 1
    assert found, f"{code}: none of these names is ours"


def check_call(node):
    name = ast.unparse(node.func)
    owner = {"df.causal": pandas_causal.CausalAccessor, "effect": Effect, "": pandas_causal}.get(
        name.rpartition(".")[0]
    )
    target = getattr(owner, name.rpartition(".")[2], None) if owner is not None else None
    if target is not None:
        bound = [] if owner is pandas_causal else [None]
        inspect.signature(target).bind(*bound, *node.args, **{k.arg: None for k in node.keywords})


@pytest.mark.parametrize("peer", PEERS)
def test_every_peer_has_a_table(peer):
    assert sum(heading == peer for heading, _ in ROWS) >= 8


@pytest.mark.parametrize(("heading", "code"), SPANS, ids=[f"{h.split(':')[0]} {c}"[:60] for h, c in SPANS])
def test_every_name_of_ours_exists(heading, code):
    check(code)


@pytest.mark.parametrize(
    "code",
    ["df.causal.at('t')", "df.causal.ate(y='y')", "effect.ate", "AIPW(folds=3)", "folds=3", "metrics.r", "Nothing()"],
)
def test_the_check_can_fail(code):
    with pytest.raises((AssertionError, TypeError)):
        check(code)
