"""What type checkers and editors know of the library: arguments of layers, results of calls, and public names."""

import importlib
import importlib.util
import inspect
import json
import re
import subprocess
import sys
from types import ModuleType

import pytest

import convia

pytestmark = pytest.mark.skipif(not importlib.util.find_spec("basedpyright"), reason="needs basedpyright")

_PROGRAM = """\
import numpy as np

import convia as keras
from convia import layers

inputs = keras.Input((28, 28, 1))
x = layers.Conv2D(32, kernel_size=3, activation="relu", name="first")(inputs)
reveal_type(x)
reveal_type(layers.Add()([x, x]) * 2 - x)
reveal_type(layers.ReLU()(np.zeros((1, 2))))
reveal_type(layers.Conv2D.__init__)
model = keras.Model(inputs, layers.Dense(10)(layers.Flatten()(x)))
model.compile(keras.optimizers.Adam(learning_rate=1e-3), keras.losses.Huber(delta=2.0), metrics=["mae"])
reveal_type(model.fit(np.zeros((2, 28, 28, 1)), np.zeros((2, 10)), epochs=1))
layers.Conv2D(32, 3, stride=2)  # an error
layers.Conv2D("many", 3)  # an error
layers.Conv2D(32)  # an error
layers.Dense()  # an error
layers.Convolution(3)  # an error
keras.optimizers.Adam(lr=1e-3)  # an error
keras.losses.Huber(detla=2.0)  # an error
keras.callbacks.EarlyStopping(monitr="loss")  # an error
layers.LSTM(8, return_sequences=True, input_shape=(4, 2))
keras.metrics.Mean("loss")
model.fit(np.zeros(2), epoch=3)  # an error
"""


def _checked(tmp_path, text):
    """What pyright says of a program: {line: messages of errors}, and the types that it reveals in order."""
    file = tmp_path / "program.py"
    file.write_text(text)
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "standard"}')
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable, str(file)]
    done = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True, timeout=200)
    found = json.loads(done.stdout)["generalDiagnostics"]
    errors = {}
    for each in found:
        if each["severity"] == "error":
            errors.setdefault(each["range"]["start"]["line"], []).append(each["message"])
    return errors, [each["message"] for each in found if each["severity"] == "information"]


def test_wrong_arguments_are_errors_and_results_have_types(tmp_path):
    errors, revealed = _checked(tmp_path, _PROGRAM)
    lines = _PROGRAM.splitlines()
    assert set(errors) == {n for n, line in enumerate(lines) if line.endswith("# an error")}, errors
    assert [message.split(' is "')[-1].rstrip('"') for message in revealed[:3]] == [
        "KerasTensor",
        "KerasTensor",
        "Tensor",
    ]
    assert "filters: int, kernel_size: " in revealed[3]
    assert 'padding: str = "valid"' in revealed[3]
    assert revealed[4].endswith('"History"')


def _names(signature):
    """The names in a signature as pyright writes it, up to the last bracket; * and ** are kept."""
    nested = re.compile(r"\([^()]*\)|\[[^][]*\]|\"[^\"]*\"|'[^']*'")
    inner = signature[signature.index("(") + 1 : signature.rindex(") -> None")]
    while nested.search(inner):
        inner = nested.sub("", inner)
    return [part.split(":")[0].split("=")[0].strip() for part in inner.split(",") if part.strip() != "/"][1:]


def test_constructors_are_as_at_run_time(tmp_path):
    """Names known at run time are known to checkers, and positions mean the same to both."""
    classes, lines = [], ["import convia"]
    for module in ("layers", "losses", "metrics", "optimizers", "initializers", "regularizers", "callbacks", "models"):
        for name in importlib.import_module(f"convia.{module}").__all__:
            kind = getattr(getattr(convia, module), name)
            if inspect.isclass(kind) and "self, /, *args" not in str(inspect.signature(kind.__init__)):
                classes.append(kind)
                lines.append(f"reveal_type(convia.{module}.{name}.__init__)")
    _, revealed = _checked(tmp_path, "\n".join(lines))
    assert len(classes) == len(revealed) > 250
    wrong = {}
    for kind, message in zip(classes, revealed, strict=True):
        known = _names(message)
        accepted = [p for p in inspect.signature(kind.__init__).parameters.values() if p.name != "self"]
        wanted = [p.name for p in accepted if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        by_place = [p.name for p in accepted if p.kind is p.POSITIONAL_OR_KEYWORD]
        missing = set() if {"**kwargs", "..."} & set(known) else set(wanted) - set(known) - {"activity_regularizer"}
        invented = {name for name in known if "*" not in name} - set(wanted) - {"input_shape", "input_length", "..."}
        places = known[: known.index("*")] if "*" in known else [name for name in known if name[0] != "*"]
        if missing or invented or any(a != b for a, b in zip(places, by_place, strict=False)):
            wrong[kind.__name__] = (missing, invented, places, by_place)
    assert not wrong


def test_every_public_name_is_exported(tmp_path):
    modules = [name for name in convia.__all__ if isinstance(getattr(convia, name), ModuleType)]
    lines = [f"from convia import {name} as convia_{name}" for name in convia.__all__]
    for module in ("optimizers.schedules", "preprocessing.image", *modules):
        names = getattr(importlib.import_module(f"convia.{module}"), "__all__", ())
        lines += [f"from convia.{module} import {name} as {module.replace('.', '_')}_{name}" for name in names]
    assert len(lines) > 1000
    errors, _ = _checked(tmp_path, "\n".join(lines))
    assert not errors
