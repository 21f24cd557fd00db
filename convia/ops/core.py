"""Types, slices, scattered values, and control flow."""

import itertools
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from convia import config, tree
from convia.errors import explain
from convia.ops.door import mark, public, publish, tensor
from convia.symbolic import tracing


@public(0)
def convert_to_tensor(x: Any, dtype: Any = None, sparse: bool | None = None, ragged: bool | None = None) -> Any:
    """Make a tensor on the chosen device: of floats the default float type, of ints int32, of arrays their own type.

    Raises:
        ValueError: a sparse or ragged tensor is asked for.
    """
    if sparse or ragged:
        raise ValueError(explain("convert_to_tensor", f"sparse={sparse}, ragged={ragged}", "a dense tensor"))
    x = tensor(x, dtype)
    return x.to(config.device()) if x.device.type == "cpu" and not tracing() else x


@mark
def convert_to_numpy(x: Any) -> Any:
    """Make a NumPy array; bfloat16 becomes float32, which NumPy has."""
    if isinstance(x, (list, tuple)):
        return np.array([convert_to_numpy(item) for item in x])
    if not isinstance(x, Tensor):
        return np.array(x)
    x = x.detach().cpu()
    return (x.float() if x.dtype == torch.bfloat16 else x).resolve_conj().numpy().copy()


@mark
def is_tensor(x: Any) -> bool:
    """Whether a value is a tensor with numbers."""
    return isinstance(x, Tensor)


@mark
def dtype(x: Any) -> str:
    """The name of the type, such as "float32"."""
    return config.dtype_name(x.dtype)


@mark
def shape(x: Any) -> tuple[int | None, ...]:
    """The sizes; None for those a symbolic tensor does not know."""
    return tuple(x.shape if hasattr(x, "shape") else tensor(x).shape)


@public(0)
def cast(x: Any, dtype: Any) -> Any:
    """x in another type."""
    return tensor(x, dtype)


@public(1)
def saturate_cast(x: Any, dtype: Any) -> Any:
    """x in another type, with what that cannot hold at its least or greatest value."""
    wanted = config.torch_dtype(dtype)
    if torch.bool in (wanted, x.dtype):
        return x.to(wanted)
    info = torch.finfo(wanted) if wanted.is_floating_point else torch.iinfo(wanted)
    result = x.to(wanted)
    for limit, beyond in ((info.min, torch.lt), (info.max, torch.gt)):
        own = torch.finfo(x.dtype) if x.is_floating_point() else torch.iinfo(x.dtype)
        if own.min <= limit <= own.max:  # else every value of x is on the right side
            result = torch.where(beyond(x, limit) | (x == limit), limit, result)
    return result.to(wanted)


@public(1)
def stop_gradient(variable: Any) -> Any:
    """The same numbers, through which no gradient flows."""
    return variable.detach()


@mark
def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a function that returns its result and a function ``grad(*args, upstream=…)`` of its gradients."""

    def decorated(*args: Any, **kwargs: Any) -> Any:
        return _CustomGradient.apply(f, kwargs, *args)  # type: ignore[no-untyped-call]

    return decorated


class _CustomGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, function: Callable[..., Any], kwargs: dict[str, Any], *args: Any) -> Any:
        ctx.args = args
        result, ctx.gradient = function(*args, **kwargs)
        return result

    @staticmethod
    def backward(ctx: Any, upstream: Any) -> Any:
        gradients = ctx.gradient(*ctx.args, upstream=upstream)
        return (None, None, *(gradients if isinstance(gradients, tuple) else (gradients,)))


def _numbers(values: Any) -> list[int]:
    return [int(value) for value in values]


@public(1)
def slice(inputs: Any, start_indices: Any, shape: Any) -> Any:
    """The part of that shape from the given corner on; −1 in the shape goes to the end."""
    for axis, (start, size) in enumerate(zip(_numbers(start_indices), _numbers(shape), strict=True)):
        inputs = inputs.narrow(axis, start, inputs.shape[axis] - start if size == -1 else size)
    return inputs


@public(1)
def slice_update(inputs: Any, start_indices: Any, updates: Any) -> Any:
    """A copy of ``inputs`` in which the part from the given corner on is ``updates``."""
    updates = tensor(updates, inputs.dtype)
    result = inputs.clone()
    part = result
    for axis, (start, size) in enumerate(zip(_numbers(start_indices), updates.shape, strict=True)):
        part = part.narrow(axis, start, size)
    part.copy_(updates)
    return result


@public(2)
def scatter(indices: Any, values: Any, shape: Any) -> Any:
    """Zeros of a shape with values added at indices (…, axes); values of equal indices are summed."""
    shape, depth = _numbers(shape), indices.shape[-1]
    flat = indices.reshape(-1, depth).long()
    zeros = torch.zeros(shape, dtype=values.dtype, device=values.device)
    return zeros.index_put(tuple(flat.T), values.reshape(-1, *shape[depth:]), accumulate=True)


_REDUCTIONS = {"add": "sum", "max": "amax", "min": "amin", "mul": "prod"}


@public(1)
def scatter_update(inputs: Any, indices: Any, updates: Any, reduction: str | None = None) -> Any:
    """A copy of ``inputs`` with updates at indices (count, axes): set, or joined by "add", "max", "min" or "mul".

    Raises:
        ValueError: another reduction.
    """
    if reduction is not None and reduction.lower() not in _REDUCTIONS:
        raise ValueError(explain("scatter_update", f"reduction={reduction!r}", f"one of {[None, *_REDUCTIONS]}"))
    indices = tensor(indices).long()
    depth = indices.shape[-1]
    index = tuple(indices.reshape(-1, depth).T)
    updates = tensor(updates, inputs.dtype).reshape(-1, *inputs.shape[depth:])
    if reduction is None:
        return inputs.index_put(index, updates)
    rows = torch.zeros(len(updates), dtype=torch.long, device=inputs.device)
    for axis, part in enumerate(index):  # the number of the row in (rows, …)
        rows = rows * inputs.shape[axis] + part % inputs.shape[axis]
    flat = inputs.reshape(-1, *inputs.shape[depth:])
    where = rows.reshape(-1, *[1] * (flat.ndim - 1)).expand(updates.shape)
    return flat.scatter_reduce(0, where, updates, _REDUCTIONS[reduction.lower()]).reshape(inputs.shape)


@public(1)
def unstack(x: Any, num: int | None = None, axis: int = 0) -> Any:
    """The slices along an axis, which has ``num`` of them."""
    return list(x.unbind(axis))


@public(0)
def cond(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """Call one of two functions; while shapes are computed, the first."""
    return true_fn() if tracing() or pred else false_fn()


@public(0)
def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """Call the function of that number; numbers out of range are the first's or last's."""
    number = 0 if tracing() and not isinstance(index, int) else int(index)
    return branches[min(max(number, 0), len(branches) - 1)](*operands)


@public(0)
def while_loop(
    cond: Callable[..., Any],
    body: Callable[..., Any],
    loop_vars: Any,
    maximum_iterations: int | None = None,
) -> Any:
    """Replace the variables by body(*variables) as long as cond(*variables) holds; while shapes are computed, once."""
    several = isinstance(loop_vars, (list, tuple))
    values = tuple(tree.map_structure(tensor, tuple(loop_vars) if several else (loop_vars,)))
    limit = 1 if tracing() else maximum_iterations
    for count in itertools.count():
        if (limit is not None and count >= limit) or not (tracing() or cond(*values)):
            break
        result = body(*values)
        values = tuple(result) if isinstance(result, (list, tuple)) else (result,)
    return values if several else values[0]


@public(0)
def fori_loop(lower: int, upper: int, body_fun: Callable[[int, Any], Any], init_val: Any) -> Any:
    """Replace the value by body_fun(i, value) for i from ``lower`` to ``upper`` − 1."""
    for number in range(int(lower), int(upper)):
        init_val = body_fun(number, init_val)
    return init_val


@public(0)
def scan(
    f: Callable[..., Any],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
) -> Any:
    """Go through the first axis with ``carry, y = f(carry, x)``; return the last carry and all y, stacked.

    Raises:
        TypeError: f is not a function. ValueError: neither xs nor a length.
    """
    if not callable(f):
        raise TypeError(explain("scan, argument 'f'", repr(f), "a function"))
    if xs is None and length is None:
        raise ValueError(explain("scan", "neither xs nor length", "one of them"))
    if not isinstance(unroll, int) or (unroll < 1 and unroll is not False):
        raise ValueError(explain("scan, argument 'unroll'", repr(unroll), "a whole number ≥ 1 or a truth value"))
    carry, xs = tree.map_structure(tensor, init), None if xs is None else tree.map_structure(tensor, xs)
    count = len(tree.flatten(xs)[0]) if length is None else int(length)
    results: list[Any] = []
    for number in reversed(range(count)) if reverse else range(count):
        item = None if xs is None else tree.map_structure(lambda x, i=number: x[i], xs)
        carry, y = f(carry, item)
        results.append(y if y is not None else tree.map_structure(torch.zeros_like, carry))
    stacked = tree.map_structure(lambda *ys: torch.stack(ys), *(results[::-1] if reverse else results))
    return carry, stacked


@public(0)
def map(f: Callable[[Any], Any], xs: Any) -> Any:
    """f of each slice along the first axis, stacked."""
    return scan(lambda _, x: ((), f(x)), (), xs)[1]


@public(0)
def vectorized_map(function: Callable[[Any], Any], elements: Any) -> Any:
    """f of each slice along the first axis, computed at once."""
    return torch.vmap(function)(tree.map_structure(tensor, elements))


@public(0)
def associative_scan(f: Callable[[Any, Any], Any], elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    """All partial results f(…f(f(x₀, x₁), x₂)…, xᵢ) of an associative f, in ⌈log₂ n⌉ rounds on whole tensors.

    Hillis & Steele 1986: in each round an element is joined with the one 1, 2, 4, … places before it.

    Raises:
        TypeError: f is not a function. ValueError: tensors of different lengths.
    """
    if not callable(f):
        raise TypeError(explain("associative_scan, argument 'f'", repr(f), "a function"))
    flat = [tensor(x) for x in tree.flatten(elems)]
    flat = [x.flip(axis) for x in flat] if reverse else flat
    length = flat[0].shape[axis]
    if any(x.shape[axis] != length for x in flat):
        received = f"shapes {[tuple(x.shape) for x in flat]}"
        raise ValueError(explain("associative_scan", received, f"the same size along axis {axis}"))
    step = 1
    while step < length:
        before = tree.pack(elems, [x.narrow(axis, 0, length - step) for x in flat])
        after = tree.pack(elems, [x.narrow(axis, step, length - step) for x in flat])
        joined = tree.flatten(f(before, after))
        flat = [torch.cat([x.narrow(axis, 0, step), y], axis) for x, y in zip(flat, joined, strict=True)]
        step *= 2
    return tree.pack(elems, [x.flip(axis) for x in flat] if reverse else flat)


@public(1)
def rearrange(tensor: Any, pattern: str, **axes_lengths: int) -> Any:
    """Split, reorder and join axes as written: "b (h p) w -> b h (p w)", with p=2.

    The notation is that of Rogozhnikov 2022, "Einops". At most one axis of a group may have no given length.
    """
    left, right = (
        [group.strip("()").split() for group in re.findall(r"\([^)]*\)|\w+", side)] for side in pattern.split("->")
    )
    sizes = dict(axes_lengths)
    for group, size in zip(left, tensor.shape, strict=True):
        known = int(np.prod([sizes[name] for name in group if name in sizes]))
        sizes.update({name: size // known for name in group if name not in sizes})
    names = [name for group in left for name in group]
    split = tensor.reshape([sizes[name] for name in names])
    turned = split.permute([names.index(name) for group in right for name in group])
    return turned.reshape([int(np.prod([sizes[name] for name in group])) for group in right])


publish(globals())
