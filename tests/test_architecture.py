"""Imports go down only: no import of a higher floor, no cycles, none hidden in functions."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "convia"

FLOORS = [
    {"errors", "tree", "registry", "args", "config", "layout", "naming", "fetch", "texts"},
    {
        "variable",
        "symbolic",
        "random",
        "initializers",
        "activations",
        "regularizers",
        "constraints",
        "ops",
        "convolution",
        "numerical",
        "pixels",
        "boxes",
        "pipeline",
        "distributed",
        "distribution",
    },
    {"losses", "metrics", "optimizers", "schedules"},
    {"input_spec", "books", "masks", "layer", "graph", "function", "scopes", "recomputation", "layers"},
    {"images", "engine"},
    {"callbacks", "saving", "training"},
    {"export"},
    {"models"},
    {"applications", "datasets", "backend"},
    {
        "report",
        "explain",
        "transfer",
        "preprocessing",
        "utils",
        "dtype_policies",
        "mixed_precision",
        "visualization",
        "wrappers",
    },
    {"compat", "serve"},
    {"cli"},
    {"__init__", "__main__"},
]
FLOOR = {unit: number for number, units in enumerate(FLOORS) for unit in units}
FILES = sorted(ROOT.rglob("*.py"))


def module_name(path: Path) -> str:
    parts = ["convia", *path.relative_to(ROOT).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES}


def unit(module: str) -> str:
    """The file or package directly within convia that a module belongs to."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imports(tree: ast.AST) -> set[str]:
    """The modules of ours that a piece of code imports."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole in MODULES else node.module)
    return {name for name in found if name == "convia" or name.startswith("convia.")}


PARSED = {name: ast.parse(path.read_text()) for name, path in MODULES.items()}


@pytest.mark.parametrize("name", MODULES)
def test_every_module_has_a_floor(name):
    assert unit(name) in FLOOR, f"{name}: give its file or package a floor in FLOORS"


@pytest.mark.parametrize("name", MODULES)
def test_imports_go_down(name):
    upward = [other for other in imports(PARSED[name]) if FLOOR[unit(other)] > FLOOR[unit(name)]]
    assert not upward, f"{name} (floor {FLOOR[unit(name)]}) imports {upward}"


@pytest.mark.parametrize("name", MODULES)
def test_no_relative_and_no_hidden_imports(name):
    for node in ast.walk(PARSED[name]):
        assert not (isinstance(node, ast.ImportFrom) and node.level), f"{name}, line {node.lineno}: a relative import"
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            assert not imports(node), f"{name}, line {node.lineno}: an import of ours within a function"


def test_no_cycles():
    edges = {name: imports(tree) - {name} for name, tree in PARSED.items()}
    finished: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " → ".join((*path, name))
        if name not in finished:
            for other in edges.get(name, ()):
                visit(other, (*path, name))
            finished.add(name)

    for name in edges:
        visit(name, ())


def test_no_module_is_too_long():
    long = {name: count for name, path in MODULES.items() if (count := len(path.read_text().splitlines())) > 560}
    assert not long, f"ask what these are two of: {long}"
