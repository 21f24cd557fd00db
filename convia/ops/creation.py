"""Making tensors: of one number, of evenly spaced ones, grids, windows, diagonals."""

import builtins
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from convia import config
from convia.errors import explain
from convia.ops.door import kind_of, place, public, publish, result_dtype, tensor
from convia.symbolic import tracing


def _setting(dtype: Any) -> dict[str, Any]:
    return {"dtype": config.torch_dtype(dtype or config.floatx()), "device": place()}


def _sizes(shape: Any) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(int(size) for size in shape)


def _filled(function: Callable[..., Tensor], doc: str) -> Any:
    def _row(shape: Any, dtype: Any = None) -> Any:
        return function(_sizes(shape), **_setting(dtype))

    _row.__doc__ = doc
    return public(0)(_row)


def _like(function: Callable[..., Tensor], doc: str) -> Any:
    def _row(x: Any, dtype: Any = None) -> Any:
        return function(x, dtype=config.torch_dtype(dtype or x.dtype))

    _row.__doc__ = doc
    return public(1)(_row)


empty = _filled(torch.empty, "A tensor with any numbers in it.")
empty_like = _like(torch.empty_like, "A tensor of the shape of x with any numbers in it.")
ones = _filled(torch.ones, "A tensor of ones.")
ones_like = _like(torch.ones_like, "Ones in the shape of x.")
zeros = _filled(torch.zeros, "A tensor of zeros.")
zeros_like = _like(torch.zeros_like, "Zeros in the shape of x.")


@public(0)
def array(x: Any, dtype: Any = None) -> Any:
    """Make a tensor."""
    return tensor(x, dtype)


@public(0)
def full(shape: Any, fill_value: Any, dtype: Any = None) -> Any:
    """A tensor of one value, or of a tensor of values that is broadcast."""
    return tensor(fill_value, dtype or config.floatx()).expand(_sizes(shape)).clone()


@public(1)
def full_like(x: Any, fill_value: Any, dtype: Any = None) -> Any:
    """One value in the shape of x."""
    return tensor(fill_value, dtype or x.dtype).expand(x.shape).clone()


@public(0)
def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Any:  # noqa: N803
    """An (N, M) matrix with ones on the k-th diagonal.

    Raises:
        TypeError: a size is not a whole number.
    """
    for name, size in (("N", N), ("M", M)):
        if isinstance(size, float):
            raise TypeError(explain(f"eye, argument {name!r}", repr(size), "a whole number"))
    rows, columns = (torch.arange(int(size), device=place()) for size in (N, N if M is None else M))
    return (columns - rows[:, None] == (k or 0)).to(config.torch_dtype(dtype or config.floatx()))


@public(0)
def identity(n: int, dtype: Any = None) -> Any:
    """An (n, n) matrix with ones on the diagonal."""
    return eye(n, dtype=dtype)


@public(0)
def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Any:  # noqa: N803
    """An (N, M) matrix with ones on and below the k-th diagonal."""
    return torch.tril(torch.ones(N, M or N, **_setting(dtype)), k)


@public(0)
def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> Any:
    """start, start + step, … up to but without stop; with one argument 0, 1, … below it."""
    given = [value for value in (start, stop, step) if value is not None]
    kind = dtype or result_dtype(*map(kind_of, given))
    start, stop = (0, start) if stop is None else (start, stop)
    return torch.arange(start, stop, 1 if step is None else step, **_setting(kind))


def _steps(start: Any, stop: Any, num: int, endpoint: bool, dtype: Any) -> tuple[Tensor, Tensor, torch.dtype]:
    kinds = (kind_of(value) for value in (start, stop) if not isinstance(value, (list, tuple)))
    kind = config.torch_dtype(dtype or result_dtype(*kinds, float))
    exact = torch.promote_types(kind, torch.float32) if kind.is_floating_point else torch.float32
    start, stop = tensor(start, exact), tensor(stop, exact)
    gaps = num - 1 if endpoint else num
    step = (stop - start) / gaps if gaps > 0 else torch.full_like(stop - start, torch.nan)
    last = stop if endpoint else stop - step
    if start.ndim == stop.ndim == 0 and not tracing():
        return torch.linspace(start.item(), last.item(), num, dtype=exact, device=place()), step, kind
    weights = torch.arange(num, dtype=exact, device=place()) / builtins.max(num - 1, 1)
    return start + weights.reshape(-1, *[1] * step.ndim) * (last - start), step, kind


@public(0)
def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """Evenly spaced numbers from start to stop; with ``retstep`` also their distance."""
    numbers, step, kind = _steps(start, stop, num, endpoint, dtype)
    numbers = numbers.movedim(0, axis).to(kind)
    return (numbers, step) if retstep else numbers


@public(0)
def logspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    base: Any = 10,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """Numbers from base^start to base^stop, each a constant multiple of the one before."""
    numbers, _, kind = _steps(start, stop, num, endpoint, dtype)
    return torch.pow(base, numbers).movedim(0, axis).to(kind)


@public(0)
def geomspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Any:
    """Numbers from start to stop, each a constant multiple of the one before."""
    ends = [tensor(value) for value in (start, stop)]
    logs = [torch.log10(torch.abs(end)) for end in ends]
    numbers, _, _ = _steps(logs[0], logs[1], num, endpoint, None)
    kind = dtype or result_dtype(*(end.dtype for end in ends), float)
    return tensor((10**numbers * torch.sign(ends[0])).movedim(0, axis), kind)


@public(0)
def meshgrid(*x: Any, indexing: str = "xy") -> Any:
    """Coordinate grids of vectors; "xy" puts the first along columns, "ij" along rows."""
    return torch.meshgrid(*map(tensor, x), indexing=indexing)


def _window(function: Callable[..., Tensor], doc: str) -> Any:
    def _row(x: Any) -> Any:
        return function(int(x), dtype=torch.float32, device=place())

    _row.__doc__ = doc
    return public(0)(_row)


bartlett = _window(torch.signal.windows.bartlett, "The Bartlett (triangular) window of x points.")
blackman = _window(torch.signal.windows.blackman, "The Blackman window of x points.")
hamming = _window(torch.signal.windows.hamming, "The Hamming window of x points.")
hanning = _window(torch.signal.windows.hann, "The Hann window of x points.")


@public(0)
def kaiser(x: Any, beta: float) -> Any:
    """The Kaiser window of x points and shape beta."""
    return torch.signal.windows.kaiser(int(x), beta=float(beta), dtype=torch.float32, device=place())


def _triangle(function: Callable[..., Tensor], doc: str) -> Any:
    def _row(x: Any, k: int = 0) -> Any:
        return function(x, k)

    _row.__doc__ = doc
    return public(1)(_row)


diag = _triangle(torch.diag, "The k-th diagonal of a matrix, or a matrix with a vector on it.")
diagflat = _triangle(torch.diagflat, "A matrix with the flattened x on its k-th diagonal.")
tril = _triangle(torch.tril, "x with zeros above the k-th diagonal.")
triu = _triangle(torch.triu, "x with zeros below the k-th diagonal.")


@public(1)
def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """A diagonal over two axes, as the last axis."""
    return torch.diagonal(x, offset, axis1, axis2)


publish(globals())
