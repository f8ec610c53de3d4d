"""The layout of the package, held by its syntax trees.

Files stay under 500 lines, function bodies (without their docstring) under 50, classes under 25 public methods and
constructors under 10 parameters; inheritance goes at most two steps inside the package; imports point one way.

The checks are functions of a folder, so that the tests at the end can show on small trees that each of them can fail.
Every check returns its offenders as sentences.
"""

import ast
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = "pandas_causal"
ROOT = Path(__file__).resolve().parents[1] / PACKAGE

MAX_FILE_LINES = 500
MAX_BODY_LINES = 50
MAX_PUBLIC_METHODS = 25
MAX_INHERITANCE_STEPS = 2
MAX_PARAMETERS = 10
MAX_LONG_PARAMETERS = 24

# Classes whose constructor takes more than 10 parameters, and the paper or reference implementation that names them.
# Their parameters are keyword-only.
LONG_CONSTRUCTORS: dict[str, str] = {
    "Panel": "no estimator but the record of what one fit on a panel was given",
    "RunningSample": "no estimator but the record of what one fit with a running variable was given",
    "FrontDoor": "its paper has four nuisance models where the back door has two, beside folds, clip and control",
    "Matching": "MatchIt names them: method, distance, ratio, replace, caliper, exact, order, discard, estimand",
    "RegressionDiscontinuity": "rdrobust names them: cutoff, orders, kernel, bandwidths, variance, mass points",
    "LocalRandomization": "rdlocrand names them: window, statistic, permutations, settings of the search for windows",
    "Effect": "no estimator but the one record of results: its fields are the facts that every result has to carry",
}

# Layers that may import these parts of the package and no others, not even inside a function.
ONLY = {
    "errors": (),
    "datasets": ("errors",),
    "kernels": ("kernels",),
    "inference": ("inference", "kernels", "errors"),
    "plotting": ("plotting", "errors"),
}

# Layers that must not import these parts when they are loaded themselves (inside a function they may).
NEVER = {
    "roles": ("accessor", "estimators", "effect", "nuisance", "plotting", "report", "sensitivity", "dask"),
    "schemas": ("accessor", "estimators", "effect", "nuisance", "plotting", "report", "sensitivity", "dask"),
    "model_selection": ("accessor", "estimators", "effect", "plotting", "report", "sensitivity", "dask"),
    "nuisance": ("accessor", "estimators", "effect", "plotting", "report", "sensitivity", "dask"),
    "effect": ("accessor", "estimators", "nuisance", "model_selection", "plotting", "report", "sensitivity", "dask"),
    "diagnostics": ("accessor", "estimators", "plotting", "report", "sensitivity", "dask"),
    "estimators": ("accessor", "plotting", "report", "sensitivity", "dask"),
    "sensitivity": ("accessor", "plotting", "report", "dask"),
    "report": ("accessor", "dask"),
}


@dataclass(frozen=True)
class Module:
    """One file: its dotted name below the package ("" for the package itself), where it is, and its tree."""

    name: str
    path: Path
    lines: int
    tree: ast.Module


def read_package(root):
    modules = []
    for path in sorted(root.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        modules.append(Module(name, path.relative_to(root.parent), len(text.splitlines()), ast.parse(text)))
    return modules


def functions(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def classes(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]


def last_name(node):
    """The name behind a base class or decorator: ``C`` for ``C``, ``m.C``, ``C[int]`` and ``C(...)``."""
    while isinstance(node, ast.Subscript | ast.Call):
        node = node.value if isinstance(node, ast.Subscript) else node.func
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


# Sizes


def long_files(modules):
    return [f"{m.path}: {m.lines} lines" for m in modules if m.lines > MAX_FILE_LINES]


def body_lines(function):
    """Lines from the first statement after the docstring to the end, blank lines and comments between them included."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return function.end_lineno - body[0].lineno + 1 if body else 0


def long_functions(modules):
    return [
        f"{m.path}:{f.lineno} {f.name}: {body_lines(f)} lines"
        for m in modules
        for f in functions(m.tree)
        if body_lines(f) > MAX_BODY_LINES
    ]


def public_methods(node):
    """Names of the functions in a class body without a leading underscore; properties are attributes, not methods."""
    names = set()
    for item in node.body:
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef) and not item.name.startswith("_"):
            decorators = {last_name(d) for d in item.decorator_list}
            if not decorators & {"property", "cached_property", "setter", "deleter", "getter"}:
                names.add(item.name)
    return names


def wide_classes(modules):
    return [
        f"{m.path}:{c.lineno} {c.name}: {len(public_methods(c))} public methods"
        for m in modules
        for c in classes(m.tree)
        if len(public_methods(c)) > MAX_PUBLIC_METHODS
    ]


# Constructors


def constructor(node):
    """Positional and keyword-only parameters of a class's own constructor, a dataclass's fields included."""
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            a = item.args
            positional = [*a.posonlyargs, *a.args][1:] + ([a.vararg] if a.vararg else [])
            keyword = [*a.kwonlyargs] + ([a.kwarg] if a.kwarg else [])
            return [p.arg for p in positional], [p.arg for p in keyword]
    dataclass_calls = [d for d in node.decorator_list if last_name(d) == "dataclass"]
    if not dataclass_calls and "NamedTuple" not in {last_name(b) for b in node.bases}:
        return [], []
    fields = [
        item.target.id
        for item in node.body
        if isinstance(item, ast.AnnAssign)
        and isinstance(item.target, ast.Name)
        and "ClassVar" not in ast.unparse(item.annotation)
        and "init=False" not in (ast.unparse(item.value) if item.value else "")
    ]
    keyword_only = any("kw_only=True" in ast.unparse(d) for d in dataclass_calls)
    return ([], fields) if keyword_only else (fields, [])


def long_constructors(modules, reasons):
    found = {}
    problems = []
    for m in modules:
        for c in classes(m.tree):
            positional, keyword = constructor(c)
            count = len(positional) + len(keyword)
            if count <= MAX_PARAMETERS:
                continue
            found[c.name] = count
            where = f"{m.path}:{c.lineno} {c.name}"
            if c.name not in reasons:
                problems.append(f"{where}: {count} constructor parameters and no reason in LONG_CONSTRUCTORS")
            elif count > MAX_LONG_PARAMETERS:
                problems.append(f"{where}: {count} constructor parameters, at most {MAX_LONG_PARAMETERS} with a reason")
            elif positional:
                problems.append(f"{where}: more than {MAX_PARAMETERS} parameters, so keyword-only: {positional}")
    problems += [f"{name}: in LONG_CONSTRUCTORS without need" for name in reasons if name not in found]
    return problems


# Inheritance


def imports_from_package(tree):
    """Local names that a module binds by importing from the package: local name -> name there."""
    return {
        alias.asname or alias.name: alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").split(".")[0] == PACKAGE)
        for alias in node.names
    }


def parents(modules):
    """For every class of the package, (module, name) -> the classes of the package among its bases.

    Names are followed through the module's own classes first, then its imports from the package. An import may pass
    through an ``__init__``, so any class of the package with that name counts.
    """
    by_name = {}
    for m in modules:
        for c in classes(m.tree):
            by_name.setdefault(c.name, []).append((m.name, c.name))
    edges = {}
    for m in modules:
        imported = imports_from_package(m.tree)
        own = {c.name for c in classes(m.tree)}
        for c in classes(m.tree):
            found = []
            for base in c.bases:
                name = last_name(base)
                start = ast.unparse(base).split(".")[0].split("[")[0]
                if start == name and name in own:
                    found.append((m.name, name))
                elif start in imported:
                    found += by_name.get(imported[start] if start == name else name, [])
                elif start == PACKAGE:
                    found += by_name.get(name, [])
            edges[m.name, c.name] = [key for key in found if key != (m.name, c.name)]
    return edges


def deep_classes(modules):
    """Classes more than two steps of inheritance below the first class of the package (one above: two steps, legal)."""
    edges = parents(modules)

    def chain(key, seen=()):
        chains = [chain(p, (*seen, key)) for p in edges[key] if p not in seen]
        return (key, *max(chains, key=len, default=()))

    return [
        f"{PACKAGE}.{key[0]}: " + " <- ".join(name for _, name in chain(key))
        for key in edges
        if len(chain(key)) - 1 > MAX_INHERITANCE_STEPS
    ]


# Import direction


def is_type_checking(node):
    return isinstance(node, ast.If) and last_name(node.test) == "TYPE_CHECKING"


def import_nodes(node, inside_functions):
    """Import statements that run: without those under TYPE_CHECKING, and without functions' own unless asked for."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif is_type_checking(child):
            for branch in child.orelse:
                yield from import_nodes(ast.Module([branch], []), inside_functions)
        elif inside_functions or not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from import_nodes(child, inside_functions)


def imported_parts(module, names, inside_functions=False):
    """What a module imports of the package, as dotted names below it: (line, name).

    ``names`` are the package's modules: ``from pandas_causal.inference import bands`` names a module, while
    ``from pandas_causal import AIPW`` names something that hides where it comes from and is returned as "AIPW".
    """
    for node in import_nodes(module.tree, inside_functions):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif node.level:
            here = [PACKAGE, *filter(None, module.name.split("."))]
            here = here if module.path.name == "__init__.py" else here[:-1]
            start = ".".join([*here[: len(here) - node.level + 1], *filter(None, [node.module])])
            targets = [f"{start}.{alias.name}" for alias in node.names]
        else:
            targets = [f"{node.module}.{alias.name}" for alias in node.names]
        for target in targets:
            first, _, rest = target.partition(".")
            if first == PACKAGE:
                while rest not in names and "." in rest:
                    rest = rest.rpartition(".")[0]
                yield node.lineno, rest


def layer(name):
    return name.partition(".")[0]


def wrong_imports(modules):
    names = {m.name for m in modules}
    top = {layer(n) for n in names}
    problems = []
    for m in modules:
        own = layer(m.name)
        for line, part in imported_parts(m, names, inside_functions=own in ONLY):
            target = layer(part)
            where = f"{m.path}:{line} imports {PACKAGE}{'.' if part else ''}{part}"
            if own in ONLY and target not in ONLY[own]:
                problems.append(f"{where}; {own} may import only {ONLY[own]}")
            elif target in NEVER.get(own, ()):
                problems.append(f"{where} at module level; {own} must not")
            elif own and target and target not in top:
                problems.append(f"{where}; name the module it comes from")
    return problems


# The package


@pytest.fixture(scope="module")
def package():
    modules = read_package(ROOT)
    assert modules, f"no module in {ROOT}"
    return modules


def report(problems):
    return "\n".join(["", *problems])


def test_no_file_over_500_lines(package):
    problems = long_files(package)
    assert not problems, report(problems)


def test_no_function_body_over_50_lines(package):
    problems = long_functions(package)
    assert not problems, report(problems)


def test_no_class_over_25_public_methods(package):
    problems = wide_classes(package)
    assert not problems, report(problems)


def test_at_most_10_constructor_parameters(package):
    problems = long_constructors(package, LONG_CONSTRUCTORS)
    assert not problems, report(problems)


def test_every_long_constructor_has_a_reason():
    assert all(len(reason) > 10 for reason in LONG_CONSTRUCTORS.values())


def test_inheritance_at_most_two_steps(package):
    problems = deep_classes(package)
    assert not problems, report(problems)


def test_imports_point_one_way(package):
    problems = wrong_imports(package)
    assert not problems, report(problems)


# The checks themselves, on small trees


@pytest.fixture
def tree(tmp_path):
    def build(**files):
        root = tmp_path / PACKAGE
        for name, text in {"__init__": "", **files}.items():
            path = root / f"{name.replace('__in__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return read_package(root)

    return build


def test_long_file_is_found(tree):
    assert not long_files(tree(a="x = 1\n" * 500))
    assert long_files(tree(a="x = 1\n" * 501)) == [f"{Path(PACKAGE, 'a.py')}: 501 lines"]


def test_long_function_is_found_and_its_docstring_is_free(tree):
    fits = 'def f():\n    """One.\n' + "\n" * 80 + '    """\n' + "    x = 1\n" * 50
    assert not long_functions(tree(a=fits))
    assert "f: 51 lines" in long_functions(tree(a=fits + "    x = 1\n"))[0]


def test_wide_class_is_found_and_properties_are_free(tree):
    method = "    def m{}(self): ...\n"
    wide = "class C:\n" + "".join(method.format(i) for i in range(25))
    free = "    def _p(self): ...\n    @property\n    def q(self): ...\n"
    assert not wide_classes(tree(a=wide + free))
    assert "C: 26 public methods" in wide_classes(tree(a=wide + free + method.format(25)))[0]


def test_long_constructor_needs_a_reason_keywords_and_a_limit(tree):
    def init(count, star=""):
        return f"class C:\n    def __init__(self, {star}{', '.join(f'p{i}' for i in range(count))}): ...\n"

    assert not long_constructors(tree(a=init(10)), {})
    assert "no reason" in long_constructors(tree(a=init(11, "*, ")), {})[0]
    assert "keyword-only" in long_constructors(tree(a=init(11)), {"C": "a paper"})[0]
    assert not long_constructors(tree(a=init(24, "*, ")), {"C": "a paper"})
    assert "at most 24" in long_constructors(tree(a=init(25, "*, ")), {"C": "a paper"})[0]
    assert "without need" in long_constructors(tree(a=init(10)), {"C": "a paper"})[0]


def test_fields_of_a_dataclass_are_constructor_parameters(tree):
    fields = "".join(f"    p{i}: int\n" for i in range(11)) + "    q: int = field(init=False)\n    r: ClassVar[int]\n"
    assert "11 constructor" in long_constructors(tree(a=f"@dataclass(frozen=True)\nclass C:\n{fields}"), {})[0]
    assert not long_constructors(tree(a=f"class C:\n{fields}"), {})


def test_deep_inheritance_is_found_across_modules(tree):
    a = "import other\nclass A(other.C): ...\nclass B(A): ...\n"
    fits = "from pandas_causal.a import B\nclass C(B): ...\n"
    assert not deep_classes(tree(a=a, b=fits))
    assert deep_classes(tree(a=a, b=fits + "class D(C[int]): ...\n")) == [f"{PACKAGE}.b: D <- C <- B <- A"]
    assert deep_classes(
        tree(
            a=a,
            b="import pandas_causal.a as m\nimport pandas_causal\nclass C(pandas_causal.a.B): ...\nclass D(C): ...\n",
        )
    )


@pytest.mark.parametrize(
    ("where", "code"),
    [
        ("inference__in__bands", "from pandas_causal.effect import Effect"),
        ("inference__in__bands", "def f():\n    from pandas_causal import effect"),
        ("inference__in__bands", "from ..effect import Effect"),
        ("inference__in____init__", "from .. import effect"),
        ("kernels__in__k", "from pandas_causal.errors import CausalError"),
        ("effect", "try:\n    import pandas_causal.plotting.forest\nexcept ImportError:\n    pass"),
        ("effect", "from pandas_causal import AIPW"),
        ("estimators__in__e", "from pandas_causal.plotting import forest"),
        ("nuisance", "from pandas_causal.estimators.e import E"),
        ("plotting__in__forest", "from pandas_causal.effect import Effect"),
    ],
)
def test_wrong_import_is_found(tree, where, code):
    layers = {"effect": "", "errors": "", "estimators__in__e": "", "plotting__in__forest": ""}
    assert len(wrong_imports(tree(**{**layers, where: code}))) == 1


@pytest.mark.parametrize(
    ("where", "code"),
    [
        ("inference__in__bands", "from pandas_causal.kernels import k\nfrom pandas_causal.inference.rows import Rows"),
        ("inference__in__bands", "if TYPE_CHECKING:\n    from pandas_causal.effect import Effect"),
        (
            "effect",
            "from pandas_causal.inference import bands\ndef plot():\n    from pandas_causal.plotting import forest",
        ),
        ("estimators__in__e", "from pandas_causal.effect import Effect\nfrom .base import Base"),
        ("plotting__in__forest", "from pandas_causal.errors import CausalError\nimport pandas"),
        ("accessor", "from pandas_causal.estimators.e import E"),
    ],
)
def test_right_import_passes(tree, where, code):
    layers = {
        "effect": "",
        "errors": "",
        "inference__in__bands": "",
        "estimators__in__e": "",
        "plotting__in__forest": "",
    }
    assert not wrong_imports(tree(**{**layers, where: code, "estimators__in__base": "", "kernels__in__k": ""}))
