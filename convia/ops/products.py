"""Products of vectors, matrices and tensors, and functions turned into operations on arrays."""

import functools
import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from convia import config
from convia.errors import explain
from convia.ops.door import floating, mark, public, publish, result_dtype, tensor


def _contract(function: Callable[..., Tensor], x1: Tensor, x2: Tensor) -> Tensor:
    """Multiply in the common type; truth values, and whole numbers on GPUs, by way of floats."""
    kind = result_dtype(x1.dtype, x2.dtype)
    exact = kind.is_floating_point or (kind != torch.bool and x1.device.type in ("cpu", "meta"))
    compute = kind if exact else config.torch_dtype(config.floatx())
    return function(x1.to(compute), x2.to(compute)).to(kind)


def _product(function: Callable[..., Tensor], doc: str) -> Any:
    def _row(x1: Any, x2: Any) -> Any:
        return _contract(function, x1, x2)

    _row.__doc__ = doc
    return public(2)(_row)


def _dot(x1: Tensor, x2: Tensor) -> Tensor:
    if x1.ndim == 0 or x2.ndim == 0:
        return x1 * x2
    product: Tensor = torch.tensordot(x1, x2, dims=([-1], [0 if x2.ndim == 1 else x2.ndim - 2]))
    return product


def _outer(x1: Tensor, x2: Tensor) -> Tensor:
    return torch.outer(x1.flatten(), x2.flatten())


def _matmul(x1: Tensor, x2: Tensor) -> Tensor:
    return torch.matmul(x1, x2)


dot = _product(_dot, "Σ over the last axis of x1 and the last but one (or only) of x2; of numbers their product.")
inner = _product(torch.inner, "Σ over the last axis of both.")
kron = _product(torch.kron, "The Kronecker product.")
outer = _product(_outer, "Every element of x1 times every element of x2, (elements of x1, elements of x2).")
vdot = _product(lambda x1, x2: torch.vdot(x1.flatten(), x2.flatten()), "Σ x1·x2 over all elements.")


@public(2)
def matmul(x1: Any, x2: Any) -> Any:
    """The matrix product over the last two axes, broadcast over the others; of int8 an int32."""
    if x1.dtype == x2.dtype == torch.int8:
        x1, x2 = x1.to(torch.int32), x2.to(torch.int32)
    return _contract(_matmul, x1, x2)


@public(2)
def tensordot(x1: Any, x2: Any, axes: Any = 2) -> Any:
    """Σ over the last ``axes`` of x1 and the first of x2, or over the given pair (axes of x1, axes of x2)."""
    if not isinstance(axes, int):
        axes = tuple((part,) if isinstance(part, int) else tuple(part) for part in axes)
    return _contract(functools.partial(torch.tensordot, dims=axes), x1, x2)


@public(2)
def cross(x1: Any, x2: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    """The vector product of vectors of 3 (or 2) components along an axis."""
    axisa, axisb, axisc = (axisa, axisb, axisc) if axis is None else (axis,) * 3
    x1, x2 = x1.movedim(axisa, -1), x2.movedim(axisb, -1)
    flat = x1.shape[-1] == x2.shape[-1] == 2
    x1, x2 = (torch.nn.functional.pad(x, (0, 3 - x.shape[-1])) for x in (x1, x2))
    shape = torch.broadcast_shapes(x1.shape, x2.shape)
    product = _contract(torch.linalg.cross, x1.expand(shape), x2.expand(shape))
    return product[..., 2] if flat else product.movedim(-1, axisc)


@public(0)
def einsum(subscripts: str, *operands: Any, **kwargs: Any) -> Any:
    """Σ of products as written: "ij,jk->ik" is the matrix product."""
    given = [tensor(operand) for operand in operands]
    kinds = {operand.dtype for operand in given}
    kind = torch.int32 if kinds == {torch.int8} else functools.reduce(torch.promote_types, kinds)
    return torch.einsum(subscripts, *(operand.to(kind) for operand in given)).to(kind)


@public(2)
def correlate(x1: Any, x2: Any, mode: str = "valid") -> Any:
    """Σₙ x1[n + k]·x2[n] of two vectors: where they overlap wholly ("valid"), at all ("full"), or in "same" length."""
    kind = torch.promote_types(floating(x1).dtype, floating(x2).dtype)
    if len(x1) < len(x2) and mode != "same":
        return correlate(x2, x1, mode).flip(0)
    whole = torch.nn.functional.conv1d(x1.to(kind)[None, None], x2.to(kind)[None, None], padding=len(x2) - 1)[0, 0]
    length = {"full": len(whole), "same": len(x1), "valid": len(x1) - len(x2) + 1}[mode]
    return whole.narrow(0, (len(whole) - length) // 2, length)


@mark
def vectorize(pyfunc: Callable[..., Any], *, excluded: Any = None, signature: str | None = None) -> Callable[..., Any]:
    """Make a function of numbers (or of what ``signature`` says, such as "(n),(n)->()") one of arrays of them.

    Arguments at positions or of names in ``excluded`` are passed on whole.

    Raises:
        ValueError: not a function.
    """
    if not callable(pyfunc):
        raise ValueError(explain("vectorize, argument 'pyfunc'", repr(pyfunc), "a function"))
    left_out = set(excluded or ())

    @functools.wraps(pyfunc)
    def vectorized(*args: Any, **kwargs: Any) -> Any:
        mapped = [index for index in range(len(args)) if index not in left_out]
        if signature:
            cores = [len(re.findall(r"\w+", core)) for core in re.findall(r"\(([^)]*)\)", signature.split("->")[0])]
        else:
            cores = [0] * len(mapped)
        given = [tensor(args[index]) for index in mapped]
        ranks = [x.ndim - core for x, core in zip(given, cores, strict=True)]
        loop = torch.broadcast_shapes(*(x.shape[:rank] for x, rank in zip(given, ranks, strict=True)))
        given = [x.expand(*loop, *x.shape[rank:]) for x, rank in zip(given, ranks, strict=True)]

        def call(*values: Any) -> Any:
            every = dict(enumerate(args)) | dict(zip(mapped, values, strict=True))
            return pyfunc(*(every[index] for index in range(len(args))), **kwargs)

        for _ in loop:
            call = torch.vmap(call)
        return call(*given)

    return vectorized


publish(globals())
