"""Safetensors: eight bytes with the header's length, a header in JSON, then the raw numbers; no code, nothing to trust.

The format is described at github.com/huggingface/safetensors; little-endian throughout.
"""

import json
import math
import os
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from convia import layout
from convia.errors import explain
from convia.saving import files
from convia.saving.files import BadFileError
from convia.variable import Variable

_TYPES = {
    "BOOL": "?",
    "U8": "u1",
    "I8": "i1",
    "U16": "<u2",
    "I16": "<i2",
    "U32": "<u4",
    "I32": "<i4",
    "U64": "<u8",
    "I64": "<i8",
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
}
_NAMES = {np.dtype(kind): name for name, kind in _TYPES.items()}
_MOST_HEADER = 100_000_000  # bytes, as in the reference implementation


def variables(model: Any) -> dict[str, Variable]:
    """Return a model's weights by path, such as "conv2d/kernel"; where two paths are equal, the later get numbers."""
    found: dict[str, Variable] = {}
    for variable in model.weights:
        name, number = variable.path, 0
        while name in found:
            number += 1
            name = f"{variable.path}_{number}"
        found[name] = variable
    return found


def save_safetensors(model: Any, filepath: Any, metadata: Mapping[str, str] | None = None) -> None:
    """Write a model's weights, or a dictionary of arrays, to a ``.safetensors`` file.

    Arrays have Keras's shapes, a kernel (height, width, in, out), under the paths of their variables.

    Args:
        model: a built model, or arrays by name.
        filepath: where to; an old file there is kept until the new one is complete.
        metadata: texts by name, to be kept in the header.

    Raises:
        ValueError: a model without weights yet, or numbers of a type that the format lacks.
    """
    arrays = dict(model) if isinstance(model, Mapping) else {name: v.numpy() for name, v in variables(model).items()}
    if not isinstance(model, Mapping) and not model.built:
        remedy = "Call it on data, or build(input_shape) it."
        raise ValueError(
            explain("save_safetensors", f"model {model.name!r}, not built", "a model with weights", remedy)
        )
    header: dict[str, Any] = {"__metadata__": {"format": "pt", **(metadata or {})}}
    start = 0
    parts = []
    for name, value in arrays.items():
        array = np.asarray(value)
        little = array.dtype.newbyteorder("<")
        if little not in _NAMES:
            raise ValueError(explain(f"save_safetensors, {name!r}", f"type {array.dtype}", f"one of {[*_TYPES]}"))
        parts.append(np.ascontiguousarray(array, little))
        end = start + array.nbytes
        header[name] = {"dtype": _NAMES[little], "shape": [*array.shape], "data_offsets": [start, end]}
        start = end
    text = json.dumps(header, ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # numbers start at a multiple of 8
    with files.durable("save_safetensors", Path(os.fspath(filepath))) as temporary, temporary.open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        for part in parts:
            stream.write(part.data if part.ndim and part.size else part.tobytes())


def read_safetensors(filepath: Any) -> dict[str, np.ndarray]:
    """Return the arrays of a ``.safetensors`` file by name.

    Raises:
        OSError: no such file, or one that is not whole (a ValueError too).
    """
    path = Path(os.fspath(filepath))
    files.check_readable("load_safetensors", path, "a .safetensors file")
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0] if len(data) >= 8 else -1
    if not 0 <= length <= min(len(data) - 8, _MOST_HEADER):
        raise _broken(path, "no header of the length it says")
    try:
        header = json.loads(data[8 : 8 + length])
        header.pop("__metadata__", None)
        return {name: _array(data[8 + length :], **entry) for name, entry in header.items()}
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise _broken(path, str(error)) from error


def _array(data: bytes, dtype: str, shape: list[int], data_offsets: list[int]) -> np.ndarray:
    start, end = data_offsets
    if not 0 <= start <= end <= len(data) or any(size < 0 for size in shape):
        raise ValueError(f"bytes {start} to {end} of {len(data)}")
    if dtype == "BF16":
        raw = np.frombuffer(data[start:end], "<u2").astype(np.uint32) << 16
        return raw.view(np.float32).reshape(shape)
    kind = np.dtype(_TYPES[dtype])
    if end - start != math.prod(shape) * kind.itemsize:
        raise ValueError(f"{end - start} bytes for {shape} of {dtype}")
    return np.frombuffer(data[start:end], kind).reshape(shape).copy()


def _broken(path: Path, why: str) -> BadFileError:
    return BadFileError(
        explain("load_safetensors", f"{str(path)!r} ({why})", "a whole .safetensors file", "Copy it again.")
    )


def load_safetensors(model: Any, filepath: Any) -> None:
    """Give a model the weights of a ``.safetensors`` file that ``save_safetensors`` wrote; all of them or none.

    Names are matched; those that were made up (``dense_3``) may have other numbers in a model that was made anew.

    Raises:
        OSError: no such file, or one that is not whole (a ValueError too).
        ValueError: other names or other shapes than the model's.
    """
    arrays, own = read_safetensors(filepath), variables(model)
    who = f"load_safetensors of {model.name!r} from {str(filepath)!r}"
    if arrays.keys() != own.keys() and [*map(_unnumbered, arrays)] == [*map(_unnumbered, own)]:
        arrays = dict(zip(own, arrays.values(), strict=True))
    lacking, strange = sorted(own.keys() - arrays.keys()), sorted(arrays.keys() - own.keys())
    if lacking or strange:
        received = "; ".join(
            f"{what} {names[0]!r} ({len(names)} such)"
            for what, names in (("no array", lacking), ("an array", strange))
            if names
        )
        raise ValueError(explain(who, received, "the model's weights by their paths", "Is it the same architecture?"))
    for name, variable in own.items():
        if arrays[name].shape != tuple(variable.shape):
            raise ValueError(explain(f"{who}, {name!r}", f"shape {arrays[name].shape}", f"{tuple(variable.shape)}"))
    for name, variable in own.items():
        variable.assign(arrays[name])


def _unnumbered(name: str) -> str:
    return re.sub(r"_\d+(?=/|$)", "", name)


# -- torch's conventions ----------------------------------------------------------------------------------------------

_TORCH_NAMES = {
    "beta": "bias",
    "embeddings": "weight",
    "gamma": "weight",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def torch_state_dict(model: Any) -> dict[str, Tensor]:
    """Return copies of the weights as torch's own layers have them: "conv2d.weight" (out, in, height, width), ….

    Covers convolutions, Dense, BatchNormalization and Embedding; other weights keep Keras's names and shapes, as all do
    in ``model.state_dict()``.
    """
    found: dict[str, Tensor] = {}
    for place, module in model.named_modules():
        for name, value in [*module._parameters.items(), *module._buffers.items()]:
            if value is not None:
                new, tensor = _in_torch(module, name, value.detach().as_subclass(Tensor))
                found[f"{place}.{new}" if place else new] = tensor.clone(memory_format=torch.contiguous_format)
    return found


def _in_torch(layer: Any, name: str, value: Tensor) -> tuple[str, Tensor]:
    kind, rank = type(layer).__name__, value.ndim - 2
    if kind.startswith("SeparableConv"):
        if name == "bias":
            return "pointwise.bias", value
        first = name == "depthwise_kernel"
        return f"{name.removesuffix('_kernel')}.weight", _depthwise(value) if first else _kernel(value)
    if kind.startswith("DepthwiseConv") and rank > 0:
        return "weight", _depthwise(value)
    if name == "kernel" and (kind == "Dense" or (kind.startswith("Conv") and rank > 0)):
        return "weight", _kernel(value)
    known = kind in ("BatchNormalization", "Embedding")
    return _TORCH_NAMES.get(name, name) if known else name, value


def _kernel(value: Tensor) -> Tensor:
    return value.permute(layout.kernel_to_torch(value.ndim - 2))  # (out, in, kernel…); (in, out, …) of a transposed one


def _depthwise(value: Tensor) -> Tensor:
    return value.permute(layout.depthwise_to_torch(value.ndim - 2)).flatten(0, 1).unsqueeze(1)  # (in·mult, 1, kernel…)


__all__ = ["load_safetensors", "read_safetensors", "save_safetensors", "torch_state_dict", "variables"]
