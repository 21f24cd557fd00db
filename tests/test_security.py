"""Nothing in the library runs what a file or a stranger says, but for a short list of places, each with a reason."""

import ast
import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

import convia as keras
from convia.callbacks import backup
from convia.datasets import _cifar
from convia.pipeline import Dataset

ROOT = Path(__file__).parent.parent / "convia"

ALLOWED = {  # (file, what it does): why that is right
    ("compat/notebooks.py", "exec()"): "runs the cells of a notebook that the user asked to run",
    ("compat/notebooks.py", "eval()"): "shows the value of a cell's last line, as Jupyter does",
    ("compat/notebooks.py", "shell=True"): "runs a cell's lines with ! in the user's shell, as Jupyter does",
    ("datasets/_cifar.py", "pickle"): "CIFAR's files are pickles; its Unpickler knows arrays and plain containers only",
    ("datasets/_sources.py", "pickle"): "for the name of the error of a damaged file",
    ("compat/names/datasets.py", "pickle"): "as in datasets/_cifar.py: find_class refuses all but arrays",
    ("saving/configs.py", "yaml.load()"): "Keras 1's configs, with a loader derived from SafeLoader",
}
_CODE = {"eval", "exec", "__import__", "execfile"}
_MODULES = {"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
_SHELLS = {("os", "system"), ("os", "popen"), ("subprocess", "getoutput"), ("subprocess", "getstatusoutput")}


def dangers(tree: ast.AST) -> set[str]:
    """Name what a module does that could run a stranger's code."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            found |= {name for name in names if name.split(".")[0] in _MODULES}
        if not isinstance(node, ast.Call):
            continue
        given = {word.arg: getattr(word.value, "value", None) for word in node.keywords}
        found |= {f"{name}={given[name]}" for name in ("shell", "allow_pickle") if given.get(name, False) is not False}
        if isinstance(node.func, ast.Name) and node.func.id in _CODE:
            found.add(f"{node.func.id}()")
        if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
            owner, name = node.func.value.id, node.func.attr
            unsafe_torch = (owner, name) == ("torch", "load") and given.get("weights_only") is not True
            if (owner, name) in _SHELLS or unsafe_torch or (owner == "yaml" and name in ("load", "unsafe_load")):
                found.add(f"{owner}.{name}()")
    return found


FOUND = {
    (str(path.relative_to(ROOT)), what) for path in ROOT.rglob("*.py") for what in dangers(ast.parse(path.read_text()))
}


def test_only_what_is_allowed_is_there():
    assert FOUND - set(ALLOWED) == set()


def test_what_is_allowed_is_still_there():
    assert set(ALLOWED) - FOUND == set()


@pytest.mark.parametrize(
    "text, what",
    [
        ("eval('1')", "eval()"),
        ("exec(text)", "exec()"),
        ("import pickle as p", "pickle"),
        ("from marshal import loads", "marshal"),
        ("subprocess.run(line, shell=True)", "shell=True"),
        ("os.system(line)", "os.system()"),
        ("np.load(path, allow_pickle=True)", "allow_pickle=True"),
        ("np.load(path, allow_pickle=chosen)", "allow_pickle=None"),
        ("torch.load(path)", "torch.load()"),
        ("torch.load(path, weights_only=False)", "torch.load()"),
        ("yaml.load(text, Loader)", "yaml.load()"),
    ],
)
def test_dangers_are_seen(text, what):
    assert dangers(ast.parse(text)) == {what}


@pytest.mark.parametrize(
    "text", ["model.eval()", "np.load(path, allow_pickle=False)", "torch.load(path, weights_only=True)", "run([a, b])"]
)
def test_harmless_calls_are_not(text):
    assert not dangers(ast.parse(text))


# -- files that would run code ----------------------------------------------------------------------------------------


class Trap:
    """What makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def as_model(path, folder):
    """A .keras file whose Lambda holds code, and whose class is one of Python's own."""
    with zipfile.ZipFile(path, "w") as archive:
        trap = {"module": "os", "class_name": "mkdir", "config": {"path": str(folder)}, "registered_name": None}
        layer = {"module": "keras.layers", "class_name": "Lambda", "config": {"name": "l", "function": trap}}
        config = {"name": "m", "layers": [layer]}
        whole = {"module": "keras", "class_name": "Sequential", "config": config}
        archive.writestr("config.json", json.dumps(whole))
        archive.writestr("metadata.json", "{}")


def as_arrays(path, folder):
    with path.open("wb") as file:
        np.savez(file, state=np.array([Trap(folder)], object))


FILES = {  # kind → (writes a file with a trap, reads it as the library does)
    "model": (as_model, lambda path: keras.models.load_model(path, safe_mode=False)),
    "pickle as a model": (lambda p, f: p.write_bytes(pickle.dumps(Trap(f))), keras.models.load_model),
    "backup": (as_arrays, backup._read_arrays),
    "data set's cache": (
        lambda p, f: torch.save([Trap(f)], p),
        lambda path: list(Dataset.range(2).cache(path)),
    ),
    "CIFAR": (
        lambda p, f: p.write_bytes(pickle.dumps({b"data": Trap(f)})),
        lambda path: _cifar._Reader(io.BytesIO(path.read_bytes())).load(),
    ),
}


@pytest.mark.parametrize("kind", FILES)
def test_code_in_files_does_not_run(kind, tmp_path):
    write, read = FILES[kind]
    path = tmp_path / ("file.keras" if "model" in kind else "file")
    write(path, tmp_path / "trapped")
    with pytest.raises((ValueError, OSError, TypeError, pickle.UnpicklingError)):
        read(path)
    assert not (tmp_path / "trapped").exists()


def test_the_trap_works(tmp_path):
    pickle.loads(pickle.dumps(Trap(tmp_path / "trapped")))
    assert (tmp_path / "trapped").exists()
