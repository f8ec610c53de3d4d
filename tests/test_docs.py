"""Every Python snippet of the README and the docs runs, and shows the output that the page shows.

The snippets of a page run in order in one namespace, in an empty folder. A block of text under the comment
``<!-- output -->`` is what the snippet before it prints, where numbers with decimals may differ by one in the last
digit shown: another processor rounds otherwise. A warning fails the page unless it is one of this package's own, which
a reader of the page would see and should.
"""

import contextlib
import io
import re
import shutil
import sys
import textwrap
import warnings
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from tests.reference_data import REFERENCE

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Files that a page reads from its own folder and that are not ours to ship: where they are absent the page is not run.
NEEDS = {
    "rdd.md": "senate.csv",
    "did.md": "mpdta.csv",
    "did_estimators.md": "mpdta.csv",
    "synthetic_control.md": "california_prop99.csv",
    "parallel_trends.md": "mpdta.csv",
}
OUTPUT_MARK = "<!-- output -->"
IMAGE = re.compile(r"!\[[^\]]*\]\(([^)]+)\)")
NUMBER = re.compile(r"(?<![\w.])(-?\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?)(?![\w])")
FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,}|~{3,})(?P<info>[^`]*)$")


@dataclass(frozen=True)
class Block:
    """A fenced block: what follows its opening ticks, its text, the line of its fence, and if it is marked output."""

    info: str
    text: str
    line: int
    output: bool


def fenced_blocks(page):
    """Return the fenced blocks of a page, in order."""
    lines = page.splitlines()
    blocks = []
    i = 0
    while i < len(lines):
        opening = FENCE.match(lines[i])
        if opening is None:
            i += 1
            continue
        closing = re.compile(rf"^ *{re.escape(opening['ticks'])}+ *$")
        end = next((j for j in range(i + 1, len(lines)) if closing.match(lines[j])), len(lines))
        before = next((line.strip() for line in reversed(lines[:i]) if line.strip()), "")
        text = textwrap.dedent("\n".join(lines[i + 1 : end]))
        blocks.append(Block(opening["info"].strip(), text, i + 1, before == OUTPUT_MARK))
        i = end + 1
    return blocks


def refused_fences(blocks):
    """Fences that look like Python and would not be run, and output that belongs to no snippet."""
    problems = []
    for block in blocks:
        language = block.info.split(" ")[0].lower()
        if language.startswith(("py", "{.py", "ipython")) and block.info != "python":
            problems.append(f"line {block.line}: '{block.info}': a Python fence is exactly 'python', and is run")
        if block.output and block.info != "text":
            problems.append(f"line {block.line}: output is fenced as 'text', not as '{block.info}'")
    return problems


def run_page(name, page, compare=True):
    """Run the snippets of a page; raise AssertionError where one prints something else than the page shows."""
    namespace = {"__name__": "__main__"}
    printed = None
    for block in fenced_blocks(page):
        if block.info == "python":
            out = io.StringIO()
            # Blank lines in front make a traceback's line numbers those of the page.
            code = compile("\n" * block.line + block.text, name, "exec")
            with contextlib.redirect_stdout(out):
                exec(code, namespace)
            printed = out.getvalue()
        elif block.output:
            assert printed is not None, f"{name}:{block.line}: output without a snippet before it"
            if compare:
                assert same_output(printed, block.text), f"{name}:{block.line}: the snippet prints\n{printed}"
            printed = None


def same_output(printed, shown):
    """Whether two texts agree: words and whole numbers exactly, decimals but for one in the last digit shown."""
    if trimmed(printed) == trimmed(shown):
        return True
    ones, others = NUMBER.split(trimmed(printed)), NUMBER.split(trimmed(shown))
    if len(ones) != len(others):
        return False
    words = all(a.split() == b.split() for a, b in zip(ones[::2], others[::2], strict=True))
    return words and all(map(same_number, ones[1::2], others[1::2]))


def same_number(one, other):
    a, b = (float(text.replace(",", "")) for text in (one, other))
    units = [last_digit(text) for text in (one, other)]
    return a == b if min(units) >= 1 else abs(a - b) <= 1.001 * max(units)


def last_digit(text):
    """What one more in the last digit of a number amounts to."""
    mantissa, _, exponent = text.lower().partition("e")
    return 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))


def trimmed(text):
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


@contextlib.contextmanager
def own_warnings_allowed():
    with warnings.catch_warnings():
        errors = sys.modules.get("pandas_causal.errors")
        for value in list(vars(errors).values()) if errors else []:
            if isinstance(value, type) and issubclass(value, Warning):
                warnings.simplefilter("default", value)
        yield


@pytest.fixture
def quiet_figures():
    matplotlib = pytest.importorskip("matplotlib", reason="pages draw")
    matplotlib.use("Agg")
    yield
    from matplotlib import pyplot

    pyplot.close("all")


def page_id(path):
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize(
    "path",
    [pytest.param(page, marks=[pytest.mark.published] if page.name in NEEDS else []) for page in PAGES],
    ids=page_id,
)
@pytest.mark.usefixtures("quiet_figures")
def test_snippets_run(path, tmp_path, monkeypatch):
    import pandas_causal.errors  # noqa: F401  (own_warnings_allowed reads it)

    needed = NEEDS.get(path.name)
    if needed:
        if not (REFERENCE / needed).exists():
            pytest.skip(f"{needed} is not there (PANDAS_CAUSAL_REFERENCE names its folder)")
        shutil.copy(REFERENCE / needed, tmp_path)
    monkeypatch.chdir(tmp_path)
    # The pages show what pandas 3 prints; older releases write other dtypes and are only run.
    compare = int(pd.__version__.split(".")[0]) >= 3
    with own_warnings_allowed():
        run_page(str(path), path.read_text(encoding="utf-8"), compare)


@pytest.mark.parametrize("path", PAGES, ids=page_id)
def test_every_python_fence_is_run(path):
    problems = refused_fences(fenced_blocks(path.read_text(encoding="utf-8")))
    assert not problems, "\n".join(["", *problems])


def test_pages_of_the_navigation_exist():
    """The docs builder only warns about a page that is missing."""
    if not (ROOT / "docs").is_dir():
        pytest.skip("docs/ is not part of this copy")
    named = re.findall(r":\s*(\S+\.md)\s*$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert named
    assert {path.relative_to(ROOT / "docs").as_posix() for path in PAGES[1:]} == set(named)


def test_pictures_are_those_of_the_pages():
    """Every picture that a page shows is there, drawn by the snippet below it, and no other is kept."""
    if not (ROOT / "docs").is_dir():
        pytest.skip("docs/ is not part of this copy")
    shown = set()
    for path in PAGES:
        lines = path.read_text(encoding="utf-8").splitlines()
        for k, line in enumerate(lines):
            image = IMAGE.search(line)
            if image is None:
                continue
            file = (path.parent / image[1]).resolve()
            assert file.is_file(), f"{path}:{k + 1}: {image[1]}: run docs/make_pictures.py"
            shown.add(file)
            if path.parent == ROOT / "docs":
                after = next((x for x in lines[k + 1 :] if x.startswith("```") or IMAGE.search(x)), "")
                assert after == "```python", f"{path}:{k + 1}: no snippet draws {image[1]}"
    assert shown == {p.resolve() for p in (ROOT / "docs" / "img").iterdir()}


# The checks themselves

PAGE = """
```python
x = 1
```

Then

    not a fence

```python
print(x + 1)
```

<!-- output -->
```text
2
```

- in a list

  ```python
  assert x == 1
  ```
"""


def test_snippets_share_a_namespace_and_output_is_compared():
    assert [b.info for b in fenced_blocks(PAGE)] == ["python", "python", "text", "python"]
    run_page("page", PAGE)
    with pytest.raises(AssertionError, match=r"page:15: the snippet prints\n *2"):
        run_page("page", PAGE.replace("\n2\n", "\n3\n"))
    run_page("page", PAGE.replace("\n2\n", "\n3\n"), compare=False)
    with pytest.raises(AssertionError, match="output without a snippet"):
        run_page("page", "<!-- output -->\n```text\n2\n```\n")


@pytest.mark.parametrize(
    ("printed", "same"),
    [
        ("x  0.73 of 1,790 rows, p 7.24e-06 (in 2004-01-05)", True),
        ("x  0.74 of 1,790 rows, p 7.25e-06 (in 2004-01-05)", True),
        ("x -0.72 of 1,790 rows, p 7.24e-06 (in 2004-01-05)", False),
        ("x  0.75 of 1,790 rows, p 7.24e-06 (in 2004-01-05)", False),
        ("x  0.73 of 1,791 rows, p 7.24e-06 (in 2004-01-05)", False),
        ("x  0.73 of 1,790 rows, p 7.24e-05 (in 2004-01-05)", False),
        ("x  0.73 of 1,790 rows, p 7.24e-06 (in 2005-01-05)", False),
        ("y  0.73 of 1,790 rows, p 7.24e-06 (in 2004-01-05)", False),
        ("x  0.73 of 1,790 rows, p 7.24e-06", False),
    ],
)
def test_decimals_may_differ_by_one_in_the_last_digit(printed, same):
    assert same_output(printed, "x  0.73 of 1,790 rows, p 7.24e-06 (in 2004-01-05)") is same
    assert same_output("-0.00  a", " 0.00  a")


def test_error_names_the_line_of_the_page():
    with pytest.raises(ZeroDivisionError) as error:
        run_page("page", PAGE.replace("print(x + 1)", "1 / 0"))
    assert error.traceback[-1].lineno + 1 == PAGE.splitlines().index("print(x + 1)") + 1


@pytest.mark.parametrize("info", ["python skip", "py", "Python", "python3", "pycon", "{.python}"])
def test_fence_that_would_not_run_is_refused(info):
    assert len(refused_fences(fenced_blocks(f"```{info}\n1 / 0\n```\n"))) == 1
    assert not refused_fences(fenced_blocks(PAGE))


def test_output_fenced_otherwise_is_refused():
    assert len(refused_fences(fenced_blocks(PAGE.replace("```text", "```")))) == 1
