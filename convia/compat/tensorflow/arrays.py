"""Making, shaping, joining and limiting tensors: names that stand directly in ``tf``."""

import builtins
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from convia import ops
from convia.backend.symbols import constant as filled
from convia.compat.tensorflow import math as maths
from convia.compat.tensorflow.door import api, axes, given, number, numbers, place, torch_dtype, tracing
from convia.compat.tensorflow.shapes import TensorShape
from convia.compat.tensorflow.sparse import SparseTensor
from convia.compat.tensorflow.texts import StringTensor
from convia.errors import explain
from convia.symbolic import KerasTensor


@api(record=())
def convert_to_tensor(value: Any, dtype: Any = None, dtype_hint: Any = None) -> Any:
    """Make a tensor: of floats float32, of whole numbers int32, of arrays their own type."""
    return given(value, dtype)


@api(record=())
def constant(value: Any, dtype: Any = None, shape: Any = None) -> Any:
    """Make a tensor of a value, repeated to a shape."""
    if shape is None or isinstance(x := given(value, dtype), StringTensor):
        found = given(value, dtype)
        return found if shape is None else StringTensor(np.broadcast_to(found.array, numbers(shape)))
    return filled(x, x.dtype, numbers(shape))


@api(record=())
def cast(x: Any, dtype: Any) -> Any:
    """Return x in another type; fractions are cut off for whole numbers."""
    if isinstance(x, SparseTensor):
        return x.with_values(given(x.values, dtype))
    return ops.cast(given(x), torch_dtype(dtype))


@api(record=())
def saturate_cast(value: Any, dtype: Any) -> Any:
    """Return x in another type, with what that cannot hold at its limits."""
    return ops.saturate_cast(given(value), torch_dtype(dtype))


@api
def shape(input: Any, out_type: Any = "int32") -> Any:
    """Return the sizes as a tensor; it has numbers even while shapes are computed."""
    sizes = list(input.shape) if hasattr(input, "shape") else list(given(input).shape)
    return torch.tensor(sizes, dtype=torch_dtype(out_type), device="cpu")


@api
def size(input: Any, out_type: Any = "int32") -> Any:
    """Return the number of elements as a tensor."""
    return torch.tensor(math.prod(given(input).shape), dtype=torch_dtype(out_type), device="cpu")


@api(record=())
def rank(input: Any) -> Any:
    """Return the number of axes as a tensor."""
    return torch.tensor(len(given(input).shape), dtype=torch.int32)


@api(record=("shape",))
def reshape(tensor: Any, shape: Any) -> Any:
    """Return the elements in another shape; one size may be −1."""
    tensor = given(tensor)
    if isinstance(tensor, StringTensor):
        return StringTensor(tensor.array.reshape(numbers(shape)))
    return ops.reshape(tensor, numbers(shape))


@api(record=())
def expand_dims(input: Any, axis: Any = None, dim: Any = None) -> Any:
    """Return the tensor with a new axis of size 1."""
    x, axis = given(input), number(dim if axis is None else axis)
    return StringTensor(np.expand_dims(x.array, axis)) if isinstance(x, StringTensor) else ops.expand_dims(x, axis)


@api(record=())
def squeeze(input: Any, axis: Any = None, squeeze_dims: Any = None) -> Any:
    """Return the tensor without axes of size 1, all of them or those given.

    Raises:
        ValueError: an axis of another size.
    """
    axis = axes(squeeze_dims if axis is None else axis)
    return ops.squeeze(given(input), None if axis == () else axis)


@api(record=())
def concat(values: Any, axis: Any = 0) -> Any:
    """Join tensors along an axis."""
    values = list(values) if isinstance(values, (list, tuple)) else [values]
    if any(isinstance(given(item), StringTensor) for item in values):
        return StringTensor(np.concatenate([given(item).array for item in values], number(axis)))
    return ops.concatenate(_of_one_type(values), number(axis))


def _of_one_type(values: list[Any]) -> list[Any]:
    """Lists and arrays take the type of the tensors beside them."""
    kinds = [value.dtype for value in values if isinstance(value, (Tensor, KerasTensor))]
    return [value if isinstance(value, (Tensor, KerasTensor)) else given(value, *kinds[:1]) for value in values]


@api(record=())
def stack(values: Any, axis: int = 0) -> Any:
    """Join tensors along a new axis."""
    values = list(values)
    if any(isinstance(given(value), StringTensor) for value in values):
        return StringTensor(np.stack([given(value).array for value in values], axis))
    return ops.stack(_of_one_type(values), axis)


@api(record=())
def unstack(value: Any, num: int | None = None, axis: int = 0) -> Any:
    """Return the slices along an axis as a list."""
    return ops.unstack(given(value), num, axis)


@api(record=())
def split(value: Any, num_or_size_splits: Any, axis: Any = 0, num: int | None = None) -> Any:
    """Cut into so many equal parts, or into parts of the given sizes (one may be −1).

    Raises:
        ValueError: the parts do not fill the axis.
    """
    value, axis = given(value), number(axis)
    if isinstance(num_or_size_splits, int) or np.ndim(num_or_size_splits) == 0:
        count, length = number(num_or_size_splits), value.shape[axis]
        if length is not None and length % count:
            raise ValueError(explain("tf.split", f"{count} parts of size {length}", "a number that divides the size"))
        return ops.split(value, count, axis)
    sizes = list(numbers(num_or_size_splits))
    if -1 in sizes:
        sizes[sizes.index(-1)] = value.shape[axis] - builtins.sum(sizes) - 1
    if value.shape[axis] is not None and builtins.sum(sizes) != value.shape[axis]:
        raise ValueError(explain("tf.split", f"parts of sizes {sizes}", f"a sum of {value.shape[axis]}"))
    return ops.split(value, np.cumsum(sizes)[:-1].tolist(), axis)


@api(record=("multiples",))
def tile(input: Any, multiples: Any) -> Any:
    """Repeat the tensor as a whole along its axes."""
    return ops.tile(given(input), numbers(multiples))


@api(record=("repeats",))
def repeat(input: Any, repeats: Any, axis: int | None = None) -> Any:
    """Repeat each element along an axis, or of the flattened tensor."""
    single = isinstance(repeats, int) or np.ndim(repeats) == 0
    return ops.repeat(given(input), number(repeats) if single else given(repeats), axis)


_PADDINGS = {"constant": "constant", "reflect": "reflect", "symmetric": "symmetric"}


@api(record=("paddings",))
def pad(tensor: Any, paddings: Any, mode: str = "CONSTANT", constant_values: Any = 0) -> Any:
    """Widen each axis by (before, after): with a constant, or mirrored without or with the edge.

    Raises:
        ValueError: another mode.
    """
    kind = _PADDINGS.get(mode.lower())
    if kind is None:
        raise ValueError(explain("tf.pad, argument 'mode'", repr(mode), "'CONSTANT', 'REFLECT' or 'SYMMETRIC'"))
    widths = np.asarray(paddings).reshape(-1, 2).tolist()
    return ops.pad(given(tensor), widths, kind, constant_values if kind == "constant" else None)


@api(record=())
def transpose(a: Any, perm: Any = None, conjugate: bool = False) -> Any:
    """Return the axes in another order, reversed by default."""
    x = ops.transpose(given(a), None if perm is None else list(numbers(perm)))
    return ops.conj(x) if conjugate else x


@api(record=())
def reverse(tensor: Any, axis: Any) -> Any:
    """Return the order reversed along axes."""
    return ops.flip(given(tensor), axes(axis))


@api(record=())
def roll(input: Any, shift: Any, axis: Any) -> Any:
    """Shift the elements along axes; what leaves comes in at the other end."""
    return ops.roll(given(input), axes(shift), axes(axis))


@api(record=("shape",))
def broadcast_to(input: Any, shape: Any) -> Any:
    """Repeat axes of size 1 up to a shape."""
    return ops.broadcast_to(given(input), numbers(shape))


@api(record=())
def broadcast_static_shape(shape_x: Any, shape_y: Any) -> TensorShape:
    """Return the shape that tensors of two shapes have together."""
    return TensorShape(torch.broadcast_shapes(tuple(shape_x), tuple(shape_y)))


@api
def slice_(input_: Any, begin: Any, size: Any) -> Any:
    """Return the part of that size from a corner on; −1 goes to the end."""
    return ops.slice(given(input_), numbers(begin), numbers(size))


@api
def strided_slice(input_: Any, begin: Any, end: Any, strides: Any = None) -> Any:
    """Return input[begin:end:strides] along the first axes."""
    x = given(input_)
    steps = numbers(strides) if strides is not None else (1,) * x.ndim
    for axis, (first, last, step) in enumerate(zip(numbers(begin), numbers(end), steps, strict=False)):
        chosen = builtins.range(x.shape[axis])[first:last:step]
        x = x.index_select(axis, torch.tensor(chosen, dtype=torch.long, device=x.device))
    return x


@api
def range(*bounds: Any, start: Any = None, limit: Any = None, delta: Any = 1, dtype: Any = None) -> Any:
    """Return start, start + delta, … up to but without the limit; with one number 0, 1, … below it."""
    names = ["limit"] if len(bounds) == 1 and start is None and limit is None else ["start", "limit", "delta"]
    got = {"start": start, "limit": limit, "delta": delta, **dict(zip(names, bounds, strict=False))}
    if got["limit"] is None:
        got["start"], got["limit"] = None, got["start"]
    values = [0 if value is None else value for value in got.values()]
    plain = [value.item() if hasattr(value, "item") else value for value in values]
    kind = torch_dtype(dtype) or next((v.dtype for v in values if isinstance(v, Tensor)), None)
    if kind is None:
        kind = torch.float32 if any(isinstance(value, float) for value in plain) else torch.int32
    return torch.arange(*plain, dtype=kind, device=place())


@api
def linspace(start: Any, stop: Any, num: Any, axis: int = 0) -> Any:
    """Return so many evenly spaced numbers, both ends included."""
    start, stop = given(start), given(stop)
    kind = start.dtype if start.is_floating_point() else torch.float64
    return ops.cast(ops.linspace(start.to(kind), stop.to(kind), number(num), dtype=kind, axis=axis), kind)


@api
def zeros(shape: Any, dtype: Any = "float32") -> Any:
    """Return zeros; empty texts for the type of texts."""
    if getattr(dtype, "name", dtype) == "string":
        return StringTensor(np.full(numbers(shape), b"", dtype=object))
    return torch.zeros(numbers(shape), dtype=torch_dtype(dtype), device=place())


@api
def ones(shape: Any, dtype: Any = "float32") -> Any:
    """Return ones."""
    return torch.ones(numbers(shape), dtype=torch_dtype(dtype), device=place())


@api
def fill(dims: Any, value: Any) -> Any:
    """Return one value in a shape."""
    return given(value).expand(numbers(dims)).clone()


@api(record=())
def zeros_like(input: Any, dtype: Any = None, optimize: bool = True) -> Any:
    """Return zeros in the shape of a tensor."""
    return ops.zeros_like(given(input), torch_dtype(dtype))


@api(record=())
def ones_like(input: Any, dtype: Any = None, optimize: bool = True) -> Any:
    """Return ones in the shape of a tensor."""
    return ops.ones_like(given(input), torch_dtype(dtype))


@api
def eye(num_rows: Any, num_columns: Any = None, batch_shape: Any = None, dtype: Any = "float32") -> Any:
    """Return an identity matrix, or a batch of them."""
    columns = num_rows if num_columns is None else num_columns
    matrix = torch.eye(number(num_rows), number(columns), dtype=torch_dtype(dtype), device=place())
    return matrix if batch_shape is None else matrix.expand(*numbers(batch_shape), *matrix.shape).clone()


@api(record=())
def identity(input: Any) -> Any:
    """Return a tensor of the same numbers."""
    x = given(input)
    return x if isinstance(x, StringTensor) else ops.copy(x)


@api(record=())
def identity_n(input: Any) -> Any:
    """Return tensors of the same numbers."""
    return [identity(x) for x in input]


@api(record=())
def stop_gradient(input: Any) -> Any:
    """Return the same numbers, through which no gradient flows."""
    return ops.stop_gradient(given(input))


@api
def meshgrid(*args: Any, indexing: str = "xy") -> Any:
    """Return coordinate grids of vectors as a list."""
    return list(torch.meshgrid(*map(given, args), indexing=indexing))


@api(record=())
def clip_by_value(t: Any, clip_value_min: Any, clip_value_max: Any) -> Any:
    """Return t limited to an interval, in its own type."""
    t = given(t)
    limits = (
        v if isinstance(v, (int, float, KerasTensor)) else given(v, t.dtype) for v in (clip_value_min, clip_value_max)
    )
    low, high = limits
    return ops.cast(ops.minimum(ops.maximum(t, low), high), t.dtype)


@api(record=())
def clip_by_norm(t: Any, clip_norm: Any, axes: Any = None) -> Any:
    """Return t scaled down where its Euclidean norm exceeds a limit."""
    t = given(t)
    norm = maths.MATH["reduce_euclidean_norm"](t, axes, keepdims=True)
    return ops.divide(ops.multiply(t, clip_norm), ops.maximum(norm, clip_norm))


@api
def global_norm(t_list: Any) -> Any:
    """Return the Euclidean norm of all tensors together; None counts nothing."""
    return torch.stack([given(t).square().sum() for t in t_list if t is not None]).sum().sqrt()


@api
def clip_by_global_norm(t_list: Any, clip_norm: Any, use_norm: Any = None) -> Any:
    """Return the tensors scaled down together to a norm, and the norm that they had."""
    norm = global_norm(t_list) if use_norm is None else given(use_norm)
    scale = clip_norm / torch.clamp(norm, min=clip_norm)
    return [None if t is None else given(t) * scale for t in t_list], norm


@api
def ensure_shape(x: Any, shape: Any) -> Any:
    """Return x.

    Raises:
        ValueError: it has another shape.
    """
    TensorShape(tuple(x.shape)).assert_is_compatible_with(shape)
    return x


@api
def bitcast(input: Any, type: Any) -> Any:
    """Return the same memory read as another type."""
    return given(input).view(torch_dtype(type))


@api
def complex_(real: Any, imag: Any) -> Any:
    """Return complex numbers of their parts."""
    return torch.complex(given(real), given(imag))


@api(record=())
def is_tensor(x: Any) -> bool:
    """Whether a value is a tensor, with numbers or symbolic, or one of texts."""
    return isinstance(x, (Tensor, KerasTensor, StringTensor))


@api(record=())
def get_static_value(tensor: Any, partial: bool = False) -> Any:
    """Return the numbers as an array, None of a symbolic tensor."""
    return None if isinstance(tensor, KerasTensor) or tracing() else ops.convert_to_numpy(tensor)


@api(record=())
def to_float(x: Any) -> Any:
    """Return x as float32, as TensorFlow 1 called it."""
    return cast(x, "float32")


@api(record=())
def to_int32(x: Any) -> Any:
    """Return x as int32, as TensorFlow 1 called it."""
    return cast(x, "int32")
