"""The layout of the package, held by its syntax trees.

What a compiler would hold is held here: imports point down the floors below, at module, function and TYPE_CHECKING
level; no circle of files; kernels import numpy, math, numba and kernels only; no public name is defined twice; nothing
underscored is read across files. Sizes are a reader's judgement: ``python tests/test_layout.py`` prints the largest.

The checks are functions of a list of modules, so that the tests at the end can show on small trees that each of them
can fail. Every check returns its offenders as sentences.
"""

import ast
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PACKAGE = "pandas_causal"
ROOT = Path(__file__).resolve().parents[1] / PACKAGE

# A room imports rooms of a lower floor only. Rooms of one floor do not know one another.
FLOORS = (
    ("errors", "datasets", "estimators"),
    ("kernels", "chunks"),
    ("inference",),
    ("inputs", "plotting"),
    ("effect",),
    ("models",),
    ("estimator",),
    ("arms", "panels", "graphs"),
    (
        "experiments",
        "adjustment",
        "matching",
        "mediation",
        "instruments",
        "discontinuity",
        "difference_in_differences",
        "synthetic_control",
        "heterogeneity",
        "structural",
    ),
    ("identification", "forests"),
    ("metrics", "schemas"),
    ("robustness",),
    ("report",),
    ("accessor",),
    ("dask",),
    ("",),
    ("__main__",),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}

# Calls that go up on purpose, each inside one method: (file, what it imports). Two more go up by name and are not seen
# here: estimators.all_estimators() and estimator.choose() import the chapter of the estimator that is asked for.
UPWARD = {
    ("effect.effect", "robustness"),
    ("effect.effect", "report"),
    ("graphs.graph", "identification"),
}
# And two within a folder, which would otherwise close a circle of files.
UPWARD_INSIDE = {
    ("identification.identification", "identification.routes"),
    ("graphs.graph", "graphs.picture"),
}

# The decorators that compile, and say so: no kernels themselves.
DECORATORS = ("kernels", "kernels.compiling")
# heapq is one of the modules that numba compiles
PURE = ("numpy", "math", "numba", "heapq", "collections", "typing", "__future__")

# What every module of pictures has.
EACH = ("PICTURES",)


@dataclass(frozen=True)
class Module:
    """One file: its dotted name below the package ("" for the package itself), where it is, and its tree."""

    name: str
    path: Path
    lines: int
    tree: ast.Module = field(repr=False)


def read_package(root):
    modules = []
    for path in sorted(root.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        modules.append(Module(name, path.relative_to(root.parent), len(text.splitlines()), ast.parse(text)))
    return modules


def imports(module, names):
    """Return ``(line, module of the package)`` for every import of the package, wherever it stands in the file."""
    found = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.name.split(".") if module.path.stem == "__init__" else module.name.split(".")[:-1]
                base = ".".join([PACKAGE, *package[: len(package) - node.level + 1], *filter(None, [node.module])])
            targets = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for target in targets:
            first, _, rest = target.partition(".")
            if first == PACKAGE:
                while rest not in names and rest:
                    rest = rest.rpartition(".")[0]
                found.add((node.lineno, rest))
    return sorted(found)


def room(name):
    return name.partition(".")[0]


# Directions


def rooms_without_floor(modules):
    return sorted({f"{room(m.name)}: name its floor in FLOORS" for m in modules if room(m.name) not in FLOOR})


def wrong_imports(modules):
    names = {m.name for m in modules}
    problems = []
    for m in modules:
        own = room(m.name)
        for line, target in imports(m, names):
            other = room(target)
            if other == own or (m.name, other) in UPWARD or FLOOR.get(own, 99) > FLOOR.get(other, 99):
                continue
            problems.append(f"{m.path}:{line} imports {PACKAGE}.{target}: {own} may import lower floors only")
    return problems


def unused_exceptions(modules):
    """Named exceptions that no import needs any more; those of rooms that do not exist yet may wait."""
    names = {m.name for m in modules}
    there = {room(name) for name in names}
    used = {(m.name, t) for m in modules for _, target in imports(m, names) for t in (target, room(target))}
    exceptions = {pair for pair in UPWARD | UPWARD_INSIDE if room(pair[1]) in there}
    return [f"{a} does not import {b} any more" for a, b in sorted(exceptions - used)]


def circles(modules):
    """Groups of files that import one another, imports inside functions counted, the named exceptions not."""
    names = {m.name for m in modules}
    edges = {
        m.name: {
            target
            for _, target in imports(m, names)
            if target != m.name
            and (m.name, target) not in UPWARD_INSIDE
            and (m.name, room(target)) not in UPWARD
            and target not in ("", room(m.name))  # a folder's __init__ is checked as a file of its own
        }
        for m in modules
    }
    return [" <-> ".join(sorted(group)) for group in strong_components(edges) if len(group) > 1]


def strong_components(edges):
    """Tarjan (1972), without recursion."""
    index, low, on_stack, stack, groups = {}, {}, set(), [], []
    for root in edges:
        if root in index:
            continue
        work = [(root, iter(edges[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, targets = work[-1]
            for target in targets:
                if target not in index:
                    index[target] = low[target] = len(index)
                    stack.append(target)
                    on_stack.add(target)
                    work.append((target, iter(edges.get(target, ()))))
                    break
                if target in on_stack:
                    low[node] = min(low[node], index[target])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    group = set()
                    while node not in group:
                        group.add(stack.pop())
                    on_stack -= group
                    groups.append(group)
    return groups


# Purity


def impure_kernels(modules):
    """Files of kernels that import anything but numpy, math, numba and other kernels."""
    problems = []
    for m in modules:
        leaf = m.name.rpartition(".")[2]
        named = leaf == "kernels" or leaf.endswith("_kernels") or room(m.name) == "kernels"
        if not named or m.name in DECORATORS:
            continue
        for node in ast.walk(m.tree):
            if isinstance(node, ast.Import):
                targets = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                targets = [node.module or "."]
            else:
                continue
            for target in targets:
                pure = target.partition(".")[0] in PURE or f"{target}.".startswith(f"{PACKAGE}.kernels.")
                sibling = target.startswith(PACKAGE) and target.endswith("kernels")
                if not pure and not sibling:
                    problems.append(f"{m.path}:{node.lineno} imports {target}: kernels are pure")
    return problems


# Names


def public_names(tree):
    """Names that a file defines at its top: functions, classes, and what it assigns; with their lines."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            named = [node.name]
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            named = [t.id for t in targets if isinstance(t, ast.Name)]
        else:
            continue
        yield from ((name, node.lineno) for name in named if not name.startswith("_") and name not in EACH)


def names_defined_twice(modules):
    places = defaultdict(list)
    for m in modules:
        for name, line in public_names(m.tree):
            places[name].append(f"{m.path}:{line}")
    return [f"{name}: {', '.join(where)}" for name, where in sorted(places.items()) if len(where) > 1]


def is_private(name):
    return name.startswith("_") and not name.startswith("__") and name != "_"


def own_names(tree):
    """Private names that a file defines: functions, classes, variables, attributes of ``self`` and fields."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
    return names


def private_reads(modules):
    """Private names of one file that another reads; ``self._x`` of an inherited class is the exception."""
    defined = {m.name: {n for n in own_names(m.tree) if is_private(n)} for m in modules}
    everywhere = set().union(*defined.values())
    problems = []
    for m in modules:
        for node in ast.walk(m.tree):
            if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").startswith(PACKAGE)):
                problems += [f"{m.path}:{node.lineno} imports {a.name}" for a in node.names if is_private(a.name)]
            elif isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr in everywhere:
                by_self = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls", "mcs")
                by_super = isinstance(node.value, ast.Call) and ast.unparse(node.value) == "super()"
                if not (by_self or by_super or node.attr in defined[m.name]):
                    problems.append(f"{m.path}:{node.lineno} reads {ast.unparse(node)}")
    return problems


# Sizes, printed for a reader


def body_lines(function):
    """Lines from the first statement after the docstring to the end."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return function.end_lineno - body[0].lineno + 1 if body else 0


def positional(function):
    return len([a for a in [*function.args.posonlyargs, *function.args.args] if a.arg not in ("self", "cls")])


def compiled(function):
    return any("jit" in ast.unparse(d) or "kernel" in ast.unparse(d) for d in function.decorator_list)


def public_methods(node):
    return [
        item.name
        for item in node.body
        if isinstance(item, ast.FunctionDef)
        and not item.name.startswith("_")
        and not any("property" in ast.unparse(d) or "setter" in ast.unparse(d) for d in item.decorator_list)
    ]


def annotations(modules):
    """Annotated parameters, and those of them that say nothing: Any, or an alias of it."""
    total, vague = 0, []
    for m in modules:
        aliases = {"Any"} | {
            node.targets[0].id
            for node in m.tree.body
            if isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and ast.unparse(node.value) == "Any"
        }
        for node in ast.walk(m.tree):
            if isinstance(node, ast.FunctionDef):
                every = [
                    *node.args.posonlyargs,
                    *node.args.args,
                    *node.args.kwonlyargs,
                    node.args.vararg,
                    node.args.kwarg,
                ]
                for a in every:
                    if a is not None and a.annotation is not None:
                        total += 1
                        parts = {p.strip() for p in ast.unparse(a.annotation).split("|")}
                        if parts & aliases:
                            vague.append(f"{m.path}:{node.lineno} {node.name}({a.arg})")
    return total, vague


def largest(modules, count=10):
    functions = [(m, n) for m in modules for n in ast.walk(m.tree) if isinstance(n, ast.FunctionDef)]
    classes = [(m, n) for m in modules for n in ast.walk(m.tree) if isinstance(n, ast.ClassDef)]
    tables = {
        "lines of a file": [(m.lines, str(m.path)) for m in modules],
        "lines of a function's body": [(body_lines(f), f"{m.path}:{f.lineno} {f.name}") for m, f in functions],
        "positional parameters": [
            (positional(f), f"{m.path}:{f.lineno} {f.name}") for m, f in functions if not compiled(f)
        ],
        "public methods of a class": [(len(public_methods(c)), f"{m.path}:{c.lineno} {c.name}") for m, c in classes],
    }
    lines = []
    for title, rows in tables.items():
        lines += ["", title, *(f"  {number:5d}  {where}" for number, where in sorted(rows, reverse=True)[:count])]
    total, vague = annotations(modules)
    rooms = Counter(where.split("/")[1] for where in vague)
    lines += ["", f"parameters annotated Any: {len(vague)} of {total} ({len(vague) / max(total, 1):.1%}) {dict(rooms)}"]
    return "\n".join(lines)


# Small trees on which every check fails


def tree(**files):
    """Modules made of text, by dotted name with two underscores for each dot."""
    return [
        Module(name := key.replace("__", "."), Path(PACKAGE, *name.split(".")).with_suffix(".py"), 1, ast.parse(text))
        for key, text in files.items()
    ]


def test_a_room_without_floor_is_found():
    assert rooms_without_floor(tree(inference__bands="")) == []
    assert rooms_without_floor(tree(somewhere__bands="")) == ["somewhere: name its floor in FLOORS"]


@pytest.mark.parametrize(
    "text",
    [
        "from pandas_causal.effect.check import Check",
        "import pandas_causal.effect.check",
        "def f():\n    from pandas_causal.effect.check import Check",
        "if TYPE_CHECKING:\n    from pandas_causal.effect.check import Check",
        "from ..effect.check import Check",
    ],
)
def test_an_import_that_goes_up_is_found(text):
    modules = tree(inference__bands=text, effect__check="from pandas_causal.inference.bands import band")
    (problem,) = wrong_imports(modules)
    assert "inference may import lower floors only" in problem


def test_an_import_of_a_room_beside_is_found():
    modules = tree(matching__design="from pandas_causal.adjustment.ipw import IPW", adjustment__ipw="")
    assert len(wrong_imports(modules)) == 1


def test_an_exception_that_nobody_uses_is_found():
    assert "effect.effect does not import robustness any more" in unused_exceptions(
        tree(effect__effect="", robustness__bounds="")
    )
    used = tree(effect__effect="from pandas_causal.robustness.bounds import bounds", robustness__bounds="")
    assert unused_exceptions(used) == []


def test_a_circle_of_three_files_is_found():
    text = "def f():\n    from pandas_causal.arms.{} import x"
    modules = tree(arms__a=text.format("b"), arms__b=text.format("c"), arms__c=text.format("a"))
    assert circles(modules) == ["arms.a <-> arms.b <-> arms.c"]
    assert circles(modules[:2]) == []


def test_a_kernel_that_imports_more_is_found():
    assert impure_kernels(tree(matching__kernels="import numpy as np\nfrom pandas_causal.kernels import kernel")) == []
    assert len(impure_kernels(tree(matching__kernels="import pandas as pd"))) == 1
    assert len(impure_kernels(tree(kernels__bands="from pandas_causal.effect.check import Check"))) == 1


@pytest.mark.parametrize("text", ["def pair(): ...", "class pair: ...", "pair = int", "pair: int = 1"])
def test_a_name_defined_twice_is_found(text):
    assert names_defined_twice(tree(arms__a="def pair(): ...")) == []
    (problem,) = names_defined_twice(tree(arms__a="def pair(): ...", panels__b=text))
    assert problem.startswith("pair: ")


def test_a_private_name_read_elsewhere_is_found():
    defined = "class Panel:\n    def __init__(self):\n        self._rows = 1"
    assert private_reads(tree(arms__a=defined, arms__b="class Wide(Panel):\n    rows = lambda self: self._rows")) == []
    assert len(private_reads(tree(arms__a=defined, arms__b="def f(panel):\n    return panel._rows"))) == 1
    assert len(private_reads(tree(arms__b="from pandas_causal.arms.a import _rows"))) == 1


def test_a_parameter_that_says_nothing_is_counted():
    modules = tree(arms__a="from typing import Any\nThing = Any\ndef f(a: Any, b: Thing, c: int | Any, d: int): ...")
    total, vague = annotations(modules)
    assert (total, len(vague)) == (4, 3)


# The package


@pytest.fixture(scope="module")
def package():
    modules = read_package(ROOT)
    assert modules, f"no module in {ROOT}"
    return modules


@pytest.mark.parametrize(
    "check",
    [
        rooms_without_floor,
        wrong_imports,
        unused_exceptions,
        circles,
        impure_kernels,
        names_defined_twice,
        private_reads,
    ],
)
def test_layout(package, check):
    problems = check(package)
    assert not problems, "\n".join(["", *problems])


def test_at_most_a_twentieth_of_the_parameters_are_any(package):
    total, vague = annotations(package)
    assert len(vague) <= 0.05 * total, f"{len(vague)} of {total}"


if __name__ == "__main__":
    everything = read_package(ROOT)
    for check in (
        rooms_without_floor,
        wrong_imports,
        unused_exceptions,
        circles,
        impure_kernels,
        names_defined_twice,
        private_reads,
    ):
        print(f"\n{check.__name__}", *check(everything), sep="\n  ")
    print(largest(everything))
