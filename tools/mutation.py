"""How much the tests notice: small mistakes are made in the code, one at a time; those that no test finds are shown.

``make mutation`` samples mistakes in the files of ``TARGETS``: a comparison, an operator or a truth value turned round,
a number changed by one, a returned value forgotten. Each is made in a copy of the project, never in the project itself,
and the tests of that file run on it until the first that fails. Texts of errors, hints of types and
``strict=True`` are left alone.

    python tools/mutation.py                              # so many of each file
    python tools/mutation.py convia/layers/conv.py -n 40  # more of one
"""

import argparse
import ast
import copy
import importlib.util
import math
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LEAST = 0.85  # the share of mistakes that tests have to find
_LAYERS = ("tests/layers/test_against_keras.py", "tests/layers/test_conv.py")
_OPTIMIZERS = ("tests/optimizers",)
_TRAINING = ("tests/training/test_options.py", "tests/training/test_fit.py")
TARGETS: dict[str, tuple[str, ...]] = {
    "convia/layers/conv.py": _LAYERS,
    "convia/optimizers/adam.py": _OPTIMIZERS,
    "convia/optimizers/base.py": _OPTIMIZERS,
    "convia/optimizers/state.py": _OPTIMIZERS,
    "convia/training/objective.py": ("tests/training/test_objective.py", *_TRAINING),
    "convia/training/data.py": ("tests/training/test_data.py", *_TRAINING),
    "convia/training/trainer.py": ("tests/training/test_trainer.py", *_TRAINING, "tests/faults/test_nan_sources.py"),
}
_COPIED = ("convia", "tests", "tools", "examples", "benchmarks", "docs", "pyproject.toml", "mkdocs.yml")
_OPPOSITE = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.Pow: ast.Mult, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
_BECAME = {True: "SURVIVED", False: "found   ", None: "endless "}  # endless counts as found: tests hang
_TEXTS = ("explain", "warn")  # calls whose arguments are for people
_PATHS = """\
import sys

sys.meta_path[:] = [finder for finder in sys.meta_path if not type(finder).__name__.startswith("ScikitBuild")]
"""


@dataclass(frozen=True)
class Mistake:
    """One change: of which line, in words, and the whole text of the file with it."""

    line: int
    words: str
    text: str


def places(tree: ast.AST) -> Iterator[ast.AST]:
    """Go through what a program does: no hints of types, docstrings, texts for people or errors."""
    for name, value in ast.iter_fields(tree):
        if name in ("annotation", "returns", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _is_left_alone(child):
                yield child
                yield from places(child)


def _is_left_alone(node: ast.AST) -> bool:
    if isinstance(node, (ast.Raise, ast.JoinedStr)):
        return True
    if isinstance(node, ast.keyword):
        return node.arg == "strict"  # of zip: an assertion
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    if isinstance(node, ast.If):
        return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    called = node.func if isinstance(node, ast.Call) else None
    return getattr(called, "attr", getattr(called, "id", None)) in _TEXTS


def changed(node: ast.AST) -> ast.AST | None:
    """Return a node with a mistake, None where there is none to make."""
    new = copy.deepcopy(node)
    if isinstance(new, ast.Compare) and type(new.ops[0]) in _OPPOSITE:
        new.ops[0] = _OPPOSITE[type(new.ops[0])]()
    elif isinstance(new, (ast.BinOp, ast.AugAssign, ast.BoolOp)) and type(new.op) in _OPPOSITE:
        new.op = _OPPOSITE[type(new.op)]()
    elif isinstance(new, ast.UnaryOp) and isinstance(new.op, (ast.Not, ast.USub)):
        return new.operand
    elif isinstance(new, ast.Constant) and isinstance(new.value, (bool, int, float)):
        new.value = not new.value if isinstance(new.value, bool) else new.value + 1
    elif isinstance(new, ast.Return) and new.value is not None and not _is_none(new.value):
        new.value = ast.Constant(None)
    elif isinstance(new, ast.IfExp):
        new.body, new.orelse = new.orelse, new.body
    else:
        return None
    return new


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def mistakes(text: str) -> list[Mistake]:
    """Return all mistakes that can be made in a program."""
    found = []
    for node in places(ast.parse(text)):
        new = changed(node)
        if new is not None:
            before, after = ast.unparse(node), ast.unparse(ast.fix_missing_locations(new))
            whole = _replaced(text, node, f"({after})" if isinstance(node, ast.expr) else after)
            found.append(Mistake(node.lineno, f"{_short(before)}  →  {_short(after)}", whole))
    return found


def _replaced(text: str, node: ast.AST, new: str) -> str:
    lines = text.encode().splitlines(keepends=True)  # columns count bytes
    first, last = node.lineno - 1, node.end_lineno - 1
    tail = lines[last][node.end_col_offset :]
    lines[first : last + 1] = [lines[first][: node.col_offset] + new.encode() + tail]
    return b"".join(lines).decode()


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]} …"


def copied(folder: Path) -> None:
    """Copy what the tests need, with the built engine; there it is imported before any installed convia."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *_COPIED]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    for name in ("_native", "_pixels"):
        native = importlib.util.find_spec(f"convia.engine.{name}")
        if native is not None and native.origin is not None:
            shutil.copy2(native.origin, folder / "convia" / "engine")
    (folder / "sitecustomize.py").write_text(_PATHS)


def passes(folder: Path, tests: tuple[str, ...], seconds: int) -> bool | None:
    """Run tests until the first that fails; None says that they did not end in time.

    Processes are forked from one that has imported what takes long, so that a run costs little more than its tests.
    Seconds are waited for one by one: those in which the whole machine, or this program, was stopped do not count.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "keras", "pytest"])
    process = context.Process(target=_run, args=(folder, tests))
    process.start()
    for _ in range(seconds):
        process.join(1)
        if process.exitcode is not None:
            return process.exitcode == 0
    process.kill()
    process.join()
    return None


def _run(folder: Path, tests: tuple[str, ...]) -> None:
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    os.chdir(folder)
    exec(_PATHS)
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True  # a mistake is made quicker than times of files tell apart
    sys.exit(pytest.main(["-q", "-x", "-p", "no:cacheprovider", *tests]))


def tried(folder: Path, name: str, tests: tuple[str, ...], count: int, seed: int) -> tuple[int, int]:
    """Make some mistakes in a file, and print what became of each; return how many were found, of how many."""
    text = (ROOT / name).read_text(encoding="utf-8")
    every = mistakes(text)
    chosen = random.Random(f"{seed} {name}").sample(every, min(count, len(every)))
    start = time.monotonic()
    if not passes(folder, tests, 600):
        raise SystemExit(f"{name}: its tests fail as it is: {' '.join(tests)}")
    limit = 30 + 3 * math.ceil(time.monotonic() - start)
    found = 0
    for each in sorted(chosen, key=lambda mistake: mistake.line):
        (folder / name).write_text(each.text, encoding="utf-8")
        passed = passes(folder, tests, limit)
        found += not passed
        print(f"{_BECAME[passed]} {name}:{each.line}  {each.words}", flush=True)
    (folder / name).write_text(text, encoding="utf-8")
    return found, len(chosen)


def main() -> None:
    """Print every mistake and the share that was found; exit with 1 if it is too small."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="files of TARGETS; all without one")
    parser.add_argument("-n", "--count", type=int, default=10, help="mistakes per file")
    parser.add_argument("--seed", type=int, default=0, help="another sample")
    given = parser.parse_args()
    unknown = set(given.names) - set(TARGETS)
    if unknown:
        parser.error(f"no tests are named for {', '.join(sorted(unknown))}; known are {', '.join(TARGETS)}")
    found = total = 0
    with tempfile.TemporaryDirectory(prefix="convia-mutation-") as place:
        copied(Path(place))
        os.environ |= {"KERAS_BACKEND": "torch", "PYTHONPATH": place, "PYTHONDONTWRITEBYTECODE": "1"}
        for name in given.names or TARGETS:
            some, of = tried(Path(place), name, TARGETS[name], given.count, given.seed)
            print(f"{name}: {some} of {of} found")
            found, total = found + some, total + of
    print(f"{found} of {total} mistakes found: {found / total:.0%}, at least {LEAST:.0%} are wanted")
    sys.exit(found < LEAST * total)


if __name__ == "__main__":
    main()
