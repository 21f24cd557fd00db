"""A model as one traced program of torch's: flat tensors in, flat tensors out, batches of any size."""

import importlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from convia import config, tree
from convia.errors import explain
from convia.symbolic import KerasTensor

_UNKNOWN = 32  # stands for unknown sizes in what is traced
_EXPORT = "pip install 'convia[export]'"


class Flat(nn.Module):
    """A model whose inputs are its arguments and whose outputs are one tensor or a tuple; inference only."""

    def __init__(self, model: Any, structure: Any) -> None:
        super().__init__()
        self.model = model
        self.structure = structure

    def forward(self, *inputs: Tensor) -> Any:
        """Run the model."""
        outputs = tree.flatten(self.model(tree.pack(self.structure, list(inputs)), training=False))
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def inputs(self) -> tuple[Tensor, ...]:
        """Return random tensors to run it on."""
        pairs = zip(examples(self.structure), tree.flatten(self.structure), strict=True)
        return tuple(torch.from_numpy(x).to(config.device(), config.torch_dtype(spec.dtype)) for x, spec in pairs)


def optional(who: str, package: str) -> Any:
    """Import a package that only exports need.

    Raises:
        ImportError: it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        missing = f"a Python without the package {package!r}"
        raise ImportError(explain(who, missing, "the extra packages for exports", f"Install: {_EXPORT}")) from error


def signature(who: str, model: Any, given: Any = None) -> Any:
    """Return the symbolic inputs of a model, in their structure.

    Args:
        given: ``InputSpec``s or tensors, or shapes with the batch, instead of the model's own.

    Raises:
        ValueError: the model's inputs are not known.
    """
    if given is not None:
        found = _specs(given)
        single = isinstance(found, list) and len(found) == 1
        found = found[0] if single else found
        if model.graph is not None:
            found = tree.pack(model.input, tree.flatten(found))
    elif model.graph is not None:
        found = model.input
    else:
        shapes = list((getattr(model, "_build_shapes", None) or {}).values())
        found = _specs(_with_free_batch(shapes[0])) if shapes else None
    specs = tree.flatten(found)
    if not specs or any(spec is None or spec.shape is None for spec in specs):
        remedy = "Call the model on data first, or give input_signature=[InputSpec(shape=(None, 64, 64, 3))]."
        raise ValueError(explain(who, f"model {model.name!r} without known inputs", "a built model", remedy))
    return found


def _is_shape(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(size is None or isinstance(size, int) for size in value)


def _with_free_batch(shapes: Any) -> Any:
    if isinstance(shapes, dict):
        return {key: _with_free_batch(value) for key, value in shapes.items()}
    return (None, *shapes[1:]) if _is_shape(shapes) else [_with_free_batch(shape) for shape in shapes]


def _specs(given: Any) -> Any:
    if _is_shape(given):
        return KerasTensor(tuple(given), config.floatx())
    if isinstance(given, dict):
        return {key: _specs(value) for key, value in given.items()}
    if isinstance(given, (list, tuple)):
        return [_specs(value) for value in given]
    shape = getattr(given, "shape", None)
    if shape is None:
        raise ValueError(explain("input_signature", repr(given), "InputSpecs, tensors or shapes (None, …)"))
    kind = config.dtype_name(getattr(given, "dtype", None) or config.floatx())
    is_data = isinstance(given, (np.ndarray, Tensor))
    return KerasTensor((None, *shape[1:]) if is_data else tuple(shape), kind, name=getattr(given, "name", None))


def examples(specs: Any, batch: int = 2, seed: int = 0) -> list[np.ndarray]:
    """Return random inputs: by turns as scaled images, as pixels and as centred numbers; 0 and 1 for whole numbers."""
    rng = np.random.default_rng(seed)
    found: list[np.ndarray] = []
    for spec in tree.flatten(specs):
        shape = (spec.shape[0] or batch, *(_UNKNOWN if size is None else size for size in spec.shape[1:]))
        if config.torch_dtype(spec.dtype).is_floating_point:
            array: np.ndarray = rng.random(shape)
            array[1::3] *= 255
            array[2::3] = 2 * array[2::3] - 1
        else:
            array = rng.integers(0, 2, shape)
        found.append(array.astype("float32" if spec.dtype == "bfloat16" else spec.dtype))
    return found


def trace(who: str, flat: Flat) -> Any:
    """Return a ``torch.export.ExportedProgram`` of a model's inference; sizes that it leaves open stay open.

    Raises:
        ValueError: something in the model cannot be traced, such as code that depends on numbers.
    """
    model, specs = flat.model, flat.structure
    batch = torch.export.Dim("batch")
    free = tuple(
        {axis: batch if axis == 0 else torch.export.Dim.DYNAMIC for axis, size in enumerate(spec.shape) if size is None}
        for spec in tree.flatten(specs)
    )
    with quiet(), torch.no_grad():
        inputs = flat.inputs()
        flat(*inputs)  # what is made at the first call is not traced
        try:
            program = torch.export.export(flat, inputs, dynamic_shapes=(free,), strict=False)
        except Exception as error:
            reason = str(error).strip().partition("\n")[0]
            remedy = (
                "Sizes besides the batch should be known: give input_signature=[InputSpec(shape=(None, 64, 64, 3))]."
                if any(axis for axes in free for axis in axes)
                else "Write the layer without code that depends on the numbers in tensors."
            )
            raise ValueError(
                explain(who, f"model {model.name!r}, which torch cannot trace ({reason})", "a traceable model", remedy)
            ) from error
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of this computer
    return program


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what torch's exporters say to their own developers from the user."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


__all__ = ["Flat", "examples", "optional", "quiet", "signature", "trace"]
