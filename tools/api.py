"""How much of Keras's public API convia has: names and signatures, compared with the Keras that is installed.

make api                 what is missing, and which signatures differ
make api NAMES=layers    the same for some namespaces
"""

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import torch

KERAS2_BACKEND = Path(__file__).parent.parent / "tests" / "data" / "keras2_backend.txt"

# Left out: a name or a namespace → why.
EXCLUDED = {
    "layers.TextVectorization": "text: torch has no tensors of strings",
    "layers.StringLookup": "text",
    "layers.Hashing": "text, by a hash of TensorFlow's",
    "layers.HashedCrossing": "text, by a hash of TensorFlow's",
    "layers.IntegerLookup": "tabular data, by a table of TensorFlow's",
    "layers.CategoryEncoding": "tabular data; ops.one_hot and ops.multi_hot are there",
    "layers.Discretization": "tabular data; ops.digitize is there",
    "utils.FeatureSpace": "tabular data, made of the layers above",
    "utils.text_dataset_from_directory": "text",
    "preprocessing.text_dataset_from_directory": "text",
    "utils.audio_dataset_from_directory": "sound files need a decoder that is not among the dependencies",
    "datasets.boston_housing": "tabular data",
    "datasets.california_housing": "tabular data",
    "datasets.imdb": "text",
    "datasets.reuters": "text",
    "layers.TFSMLayer": "runs TensorFlow's SavedModel",
    "layers.JaxLayer": "wraps functions of JAX",
    "layers.FlaxLayer": "wraps modules of Flax",
    "callbacks.OrbaxCheckpoint": "files of JAX's Orbax",
    "config.enable_nnx": "Flax",
    "config.is_nnx_enabled": "Flax",
    "export": "torch.export and torch.onnx take a model as it is",
    "quantizers": "quantization: torch.ao takes a model as it is",
    "Quantizer": "quantization",
    "dtype_policies.DTypePolicyMap": "quantization of a model's parts",
    "dtype_policies.AWQDTypePolicy": "quantization",
    "dtype_policies.GPTQDTypePolicy": "quantization",
    "dtype_policies.Int4DTypePolicy": "quantization",
    "dtype_policies.QuantizedDTypePolicy": "quantization",
    "dtype_policies.QuantizedFloat8DTypePolicy": "quantization",
    "distillation": "a recipe that a model with its own compute_loss states in some lines",
    "legacy": "what Keras kept of its own past",
    "utils.legacy": "what Keras kept of its own past",
    "optimizers.legacy": "names that raise an error in Keras 3",
    "StatelessScope": "Layer.stateless_call and torch.func.functional_call compute with other weights",
    "SymbolicScope": "a step of Keras's inference of shapes",
    "saving.KerasFileEditor": "h5py opens the weights in a .keras file, by the paths of the layers",
    "src": "private",
}
EXCLUDED_METHODS = {
    "stateless_compute_loss": "with other weights: stateless_call gives outputs and penalties, compute_loss the loss",
    "overwrite_with_gradient": "scales of quantization to 8 bits",
    "torch_params": "weights are parameters of torch themselves",
    "symbolic_call": "a step of Keras's calls",
    "rematerialized_call": "a step of Keras's calls",
    "quantize": "quantization",
    "quantized_build": "quantization",
    "quantized_call": "quantization",
    "quantization_mode": "quantization",
    "get_quantization_layer_structure": "quantization",
    "export": "torch.export and torch.onnx take a model as it is",
    "row_splits_dtype": "ragged tensors of TensorFlow's",
    "ragged_rank": "ragged tensors of TensorFlow's",
}

# An object of each class whose attributes are compared, made with convia and with Keras.
EXAMPLES: dict[str, Callable[[Any], Any]] = {
    "Model": lambda api: api.Model(x := api.Input((2,)), api.layers.Dense(1)(x)),
    "Sequential": lambda api: api.Sequential([api.Input((2,)), api.layers.Dense(1)]),
    "Layer": lambda api: api.Layer(),
    "Loss": lambda api: api.losses.MeanSquaredError(),
    "Metric": lambda api: api.metrics.Mean(),
    "Optimizer": lambda api: api.optimizers.SGD(),
    "Callback": lambda api: api.callbacks.Callback(),
    "Variable": lambda api: api.Variable(1.0),
    "KerasTensor": lambda api: api.KerasTensor((1, 2)),
}


@dataclass
class Row:
    """What one namespace has."""

    namespace: str
    present: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    differing: dict[str, str] = field(default_factory=dict)  # name → how the signatures differ

    @property
    def names_share(self) -> float:
        """Of Keras's names, how many are here."""
        return len(self.present) / max(len(self.present) + len(self.missing), 1)

    @property
    def signatures_share(self) -> float:
        """Of the names that are here, how many take the same arguments."""
        return 1 - len(self.differing) / max(len(self.present), 1)


def namespaces(module: ModuleType = keras, path: str = "") -> Iterator[tuple[str, ModuleType]]:
    """Yield the public modules of Keras with their paths, "" for the top."""
    yield path, module
    for name, child in sorted(vars(module).items()):
        inner = f"{path}.{name}".lstrip(".")
        public = inspect.ismodule(child) and child.__name__.startswith("keras.") and not name.startswith("_")
        if public and excluded(inner) is None:
            yield from namespaces(child, inner)


def excluded(name: str) -> str | None:
    """Why a name, or the namespace it is in, is left out; None if it is not."""
    return next((why for known, why in EXCLUDED.items() if name == known or name.startswith(f"{known}.")), None)


def names_of(module: ModuleType, path: str) -> list[str]:
    """The public names of a module of Keras that are no modules and not left out."""
    found = [name for name, value in vars(module).items() if not name.startswith("_") and not inspect.ismodule(value)]
    return sorted(name for name in found if excluded(f"{path}.{name}".lstrip(".")) is None)


def find(path: str) -> Any | None:
    """The module of convia at a path, None if there is none."""
    try:
        return importlib.import_module(f"convia.{path}".rstrip("."))
    except ModuleNotFoundError:
        parent, _, last = path.rpartition(".")
        return getattr(find(parent), last, None) if path else None


def compare(path: str, ours: Any, theirs: Any, names: list[str]) -> Row:
    """Compare the given names of two modules, or of two objects."""
    row = Row(path or "keras")
    for name in names:
        if not hasattr(ours, name):
            row.missing.append(name)
            continue
        row.present.append(name)
        difference = signature_difference(getattr(ours, name), getattr(theirs, name, None))
        if difference:
            row.differing[name] = difference
    return row


def signature_difference(ours: Any, theirs: Any) -> str:
    """Say how the arguments differ; "" if every call that Keras takes means the same here."""
    mine, other = parameters(ours), parameters(theirs)
    if mine is None or other is None:
        return ""
    if any(p.kind is p.VAR_POSITIONAL for p in (*mine.values(), *other.values())):
        return ""
    open_ended = any(p.kind is p.VAR_KEYWORD for p in mine.values())
    positional = [p for p in other.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    here = [p for p in mine.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    for number, wanted in enumerate(positional):
        if number >= len(here) or here[number].name != wanted.name:
            found = here[number].name if number < len(here) else "nothing"
            return f"argument {number + 1} is {wanted.name!r} in Keras, {found!r} here"
        if not same_default(here[number].default, wanted.default):
            return f"{wanted.name}={shown(wanted.default)} in Keras, {shown(here[number].default)} here"
    for wanted in other.values():
        if wanted.kind is wanted.KEYWORD_ONLY and wanted.name not in mine and not open_ended:
            return f"no argument {wanted.name!r} here"
    more = [
        p.name
        for p in mine.values()
        if p.name not in other and p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    return f"{more[0]!r} is required here" if more else ""


def parameters(item: Any) -> dict[str, inspect.Parameter] | None:
    """The arguments of a function or of a class's constructor, None where there are none to compare."""
    function = item.__init__ if inspect.isclass(item) else item
    if not callable(item) or function in (object.__init__,):
        return None
    try:
        found = dict(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return None
    found.pop("self", None)
    return found


def shown(default: Any) -> str:
    """A default in words."""
    return "required" if default is inspect.Parameter.empty else repr(default)


def same_default(ours: Any, theirs: Any) -> bool:
    """Whether two defaults mean the same: equal values, or things of one name."""
    if theirs is inspect.Parameter.empty or ours is theirs:
        return True
    names = [getattr(value, "__name__", None) or repr(value) for value in (ours, theirs)]
    if isinstance(ours, (list, tuple)) and isinstance(theirs, (list, tuple)):
        return list(ours) == list(theirs)
    return names[0] == names[1] or (isinstance(ours, (int, float)) and ours == theirs)


def report() -> list[Row]:
    """Compare all namespaces, the attributes of the main classes, and the names of Keras 2's backend."""
    modules = [(path, module) for path, module in namespaces() if path != "backend"]
    rows = [compare(path, find(path), module, names_of(module, path)) for path, module in modules]
    for name, make in EXAMPLES.items():
        theirs = make(keras)
        rows.append(compare(name, make(find("")), theirs, attributes(theirs)))
    rows.append(compare("backend", find("backend"), keras.backend, KERAS2_BACKEND.read_text().split()))
    return [row for row in rows if row.present or row.missing]


def attributes(item: Any) -> list[str]:
    """The public attributes that the class of an object defines and no module of torch has."""
    return sorted(
        name
        for name in dir(type(item))
        if not name.startswith("_")
        and hasattr(item, name)
        and name not in EXCLUDED_METHODS
        and not hasattr(torch.nn.Module, name)
    )


def show(rows: list[Row], wanted: list[str]) -> None:
    """Print the table; for the rows that are wanted by name, or for all, also what is missing and what differs."""
    print(f"{'':32}{'names':>14}{'signatures':>16}")
    for row in rows:
        total = len(row.present) + len(row.missing)
        names = f"{len(row.present)}/{total} {row.names_share:4.0%}"
        same = f"{len(row.present) - len(row.differing)}/{len(row.present)} {row.signatures_share:4.0%}"
        print(f"{row.namespace:32}{names:>14}{same:>16}")
        if row.namespace in wanted or not wanted:
            print("".join(f"    no {name}\n" for name in row.missing), end="")
            print("".join(f"    {name}: {difference}\n" for name, difference in row.differing.items()), end="")
    if not wanted:
        print("\nLeft out:")
        print(*(f"  {name}: {why}" for name, why in {**EXCLUDED, **EXCLUDED_METHODS}.items()), sep="\n")


if __name__ == "__main__":
    show(report(), sys.argv[1:])
