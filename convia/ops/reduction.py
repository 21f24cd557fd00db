"""Functions along axes: sums, extremes, statistics, cumulative and sorted ones; ``axis=None`` means all elements."""

import builtins
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from convia import config
from convia.errors import explain
from convia.ops.door import axes_of, counting, floating, is_float, public, publish, result_dtype, tensor
from convia.ops.elementwise import nan_to_num

_SMALL = (torch.bool, torch.uint8, torch.int8, torch.int16)  # their sums are int32


def _over(function: Callable[..., Any], doc: str, prepare: Callable[[Tensor], Tensor] | None = None) -> Any:
    """``function`` takes (x, axes, keepdims); no axes at all leave x as it is."""

    def _row(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        x = prepare(x) if prepare else x
        axes = axes_of(axis, x.ndim)
        return function(x, axes, keepdims) if axes or axis is None else x

    _row.__doc__ = doc
    return public(1)(_row)


def _sum_type(x: Tensor) -> torch.dtype:
    return torch.int32 if x.dtype in _SMALL else x.dtype


def _sum(x: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    return torch.sum(x, axes, keepdims, dtype=_sum_type(x))


def _variance(x: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    return torch.var(x, axes, correction=0, keepdim=keepdims)


def _deviation(x: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    return torch.std(x, axes, correction=0, keepdim=keepdims)


def _range(x: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    return torch.amax(x, axes, keepdims) - torch.amin(x, axes, keepdims)


def _product(x: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    dtype = _NARROWED.get(x.dtype) or _sum_type(x)
    for axis in sorted(axes, reverse=True):
        x = torch.prod(x, axis, keepdims, dtype=dtype)
    return x if axes else x.to(dtype)


_NARROWED = {torch.int64: torch.int32, torch.float64: torch.float32}


def _narrow(x: Tensor) -> Tensor:
    return floating(x).to(result_dtype(x.dtype, float))


def _ignoring(
    function: Callable[[Tensor, tuple[int, ...], bool], Tensor], fill: float, empty: Any = None
) -> Callable[..., Any]:
    """Reduce with NaN replaced by ``fill``; where nothing but NaN is left, the result is ``empty``."""

    def reduce(x: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
        if not is_float(x):
            return function(x, axes, keepdims)
        missing = torch.isnan(x)
        result = function(torch.where(missing, fill, x), axes, keepdims)
        return result if empty is None else torch.where(torch.all(missing, axes, keepdims), empty, result)

    return reduce


def _nan_mean(x: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    return torch.nanmean(x, axes, keepdims)


def _nan_variance(x: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    deviation = x - torch.nanmean(x, axes, True)
    count = (~torch.isnan(x)).sum(axes, keepdims)
    return torch.nansum(deviation.abs().square(), axes, keepdims) / count


def _nan_deviation(x: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    return _nan_variance(x, axes, keepdims).sqrt()


def _bool(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, axes, keepdims: function(x, axes, keepdims).bool()


all = _over(_bool(torch.all), "Whether all elements are true.", lambda x: x.bool())
amax = _over(torch.amax, "The greatest element.")
amin = _over(torch.amin, "The least element.")
any = _over(_bool(torch.any), "Whether any element is true.", lambda x: x.bool())
mean = _over(torch.mean, "The mean, a float.", floating)
nanmax = _over(_ignoring(torch.amax, -torch.inf, torch.nan), "The greatest element that is not NaN.")
nanmean = _over(_nan_mean, "The mean of what is not NaN.", _narrow)
nanmin = _over(_ignoring(torch.amin, torch.inf, torch.nan), "The least element that is not NaN.")
nanprod = _over(_ignoring(_product, 1), "The product of what is not NaN.")
nanstd = _over(_nan_deviation, "The standard deviation of what is not NaN.", _narrow)
nansum = _over(_ignoring(_sum, 0), "The sum of what is not NaN; 0 of nothing.")
nanvar = _over(_nan_variance, "The variance of what is not NaN.", _narrow)
ptp = _over(_range, "The greatest less the least element.")
std = _over(_deviation, "The standard deviation, divided by N.", floating)
sum = _over(_sum, "The sum; of small integers and truth values an int32.")


@public(1)
def var(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The variance, divided by N."""
    x = _narrow(x)
    axes = axes_of(axis, x.ndim)
    return _variance(x, axes, keepdims) if axes or axis is None else torch.zeros_like(x)


@public(1)
def prod(x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Any:
    """The product; of small integers and truth values an int32."""
    result = _product(x if dtype is None else tensor(x, dtype), axes_of(axis, x.ndim), keepdims)
    return result if dtype is None else tensor(result, dtype)


def _extreme(function: Any, pairwise: Any, doc: str) -> Any:
    def _row(x: Any, axis: Any = None, keepdims: bool = False, initial: Any = None) -> Any:
        axes = axes_of(axis, x.ndim)
        nothing = builtins.any(x.shape[dim] == 0 for dim in axes)
        if nothing and initial is not None:
            sizes = [1 if dim in axes else size for dim, size in enumerate(x.shape)]
            kept = sizes if keepdims else [size for dim, size in enumerate(sizes) if dim not in axes]
            return x.new_full(kept, initial)
        if nothing:
            raise ValueError(
                explain("max or min", f"an empty tensor of shape {tuple(x.shape)}", "elements, or initial")
            )
        result = function(x, axes, keepdims) if axes or axis is None else x
        return result if initial is None else pairwise(result, tensor(initial, x.dtype))

    _row.__doc__ = doc
    return public(1)(_row)


max = _extreme(torch.amax, torch.maximum, "The greatest element, and not less than ``initial``.")
min = _extreme(torch.amin, torch.minimum, "The least element, and not more than ``initial``.")


def _position(function: Any, doc: str) -> Any:
    def _row(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        return function(x.to(torch.uint8) if x.dtype == torch.bool else x, axis, keepdims).to(torch.int32)

    _row.__doc__ = doc
    return public(1)(_row)


def _ignoring_nan(function: Any, fill: float) -> Any:
    def position(x: Tensor, axis: int | None, keepdims: bool) -> Tensor:
        missing = torch.isnan(x)
        found = function(torch.where(missing, fill, x) if is_float(x) else x, axis, keepdims)
        return torch.where(missing.all() if axis is None else missing.all(axis, keepdims), -1, found)

    return position


argmax = _position(torch.argmax, "The position of the greatest element; ``axis=None`` counts in the flattened tensor.")
argmin = _position(torch.argmin, "The position of the least element; ``axis=None`` counts in the flattened tensor.")
nanargmax = _position(_ignoring_nan(torch.argmax, -torch.inf), "As argmax, but blind for NaN; −1 where all are.")
nanargmin = _position(_ignoring_nan(torch.argmin, torch.inf), "As argmin, but blind for NaN; −1 where all are.")


@public(1)
def count_nonzero(x: Any, axis: Any = None) -> Any:
    """How many elements are not 0, an int32."""
    return torch.sum(x != 0, axes_of(axis, x.ndim), dtype=torch.int32) if axis not in ((), []) else (x != 0).int()


@public(1)
def average(x: Any, axis: Any = None, weights: Any = None) -> Any:
    """The mean, weighted with numbers of the shape of x, or one per position along the axis."""
    if axis in ((), []):
        return _narrow(x)
    axes = axes_of(axis, x.ndim)
    if weights is None:
        return torch.mean(_narrow(x), axes)
    weights = tensor(weights)
    dtype = result_dtype(x.dtype, weights.dtype, float)
    x, weights = x.to(dtype), weights.to(dtype)
    if weights.ndim == 1 < x.ndim and len(axes) == 1:
        weights = weights.reshape([-1 if dim == axes[0] else 1 for dim in range(x.ndim)])
    return torch.sum(x * weights, axes) / torch.sum(weights.expand(x.shape), axes)


def _of_rank(function: Callable[..., Tensor], share: float, doc: str) -> Any:
    """The q-quantile for q given as a number or tensor of ``share``-ths; the shape of q comes first."""

    def _row(x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Any:
        return _quantile(function, x, tensor(q, config.floatx()) / share, axis, method, keepdims)

    _row.__doc__ = doc
    return public(1)(_row)


def _quantile(function: Callable[..., Tensor], x: Tensor, q: Any, axis: Any, method: str, keepdims: bool) -> Tensor:
    axes = axes_of(axis, x.ndim)
    compute = torch.promote_types(_narrow(x).dtype, torch.float32)
    kept = [dim for dim in range(x.ndim) if dim not in axes]
    rows = x.to(compute).permute(*kept, *axes).reshape(*(x.shape[dim] for dim in kept), -1)
    found = function(rows, q.to(compute), dim=-1, interpolation=method)
    if keepdims:
        for dim in sorted(axes):
            found = found.unsqueeze(dim + q.ndim)
    return found.to(result_dtype(x.dtype, float))


def _of_middle(function: Callable[..., Tensor], doc: str) -> Any:
    def _row(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        return _quantile(function, x, tensor(0.5), axis, "linear", keepdims)

    _row.__doc__ = doc
    return public(1)(_row)


median = _of_middle(torch.quantile, "The middle element, or the mean of the middle two.")
nanmedian = _of_middle(torch.nanquantile, "The middle one of what is not NaN.")
nanpercentile = _of_rank(torch.nanquantile, 100, "The value that q % of what is not NaN do not exceed.")
nanquantile = _of_rank(torch.nanquantile, 1, "The value that the fraction q of what is not NaN does not exceed.")
percentile = _of_rank(torch.quantile, 100, "The value that q % of the elements do not exceed.")
quantile = _of_rank(torch.quantile, 1, "The value that the fraction q of the elements does not exceed.")


def _cumulative(function: Any, doc: str, fill: float | None = None) -> Any:
    def _row(x: Any, axis: Any = None, dtype: Any = None) -> Any:
        x = x if fill is None else nan_to_num(x, fill)
        kind = result_dtype(dtype or x.dtype)
        kind = torch.int32 if kind == torch.bool else kind
        return function(x.flatten(), 0, dtype=kind) if axis is None else function(x, axis, dtype=kind)

    _row.__doc__ = doc
    return public(1)(_row)


cumprod = _cumulative(torch.cumprod, "The product of the elements so far; ``axis=None`` flattens.")
cumsum = _cumulative(torch.cumsum, "The sum of the elements so far; ``axis=None`` flattens.")
nancumprod = _cumulative(torch.cumprod, "As cumprod, with 1 for NaN.", 1.0)
nancumsum = _cumulative(torch.cumsum, "As cumsum, with 0 for NaN.", 0.0)


@public(1)
def argsort(x: Any, axis: int | None = -1) -> Any:
    """The positions that sort x, equal elements in their order; ``axis=None`` flattens."""
    x = x.flatten() if axis is None else x
    x = x.to(torch.uint8) if x.dtype == torch.bool else x
    return torch.argsort(x, dim=-1 if axis is None else axis, stable=True).to(torch.int32)


@public(1)
def sort(x: Any, axis: int | None = -1) -> Any:
    """The elements in ascending order; ``axis=None`` flattens."""
    return torch.sort(x.flatten() if axis is None else x, dim=-1 if axis is None else axis).values


@public(1)
def argpartition(x: Any, kth: int, axis: int | None = -1) -> Any:
    """Positions of which the first kth + 1 lead to the least elements, as the sorted order does."""
    return argsort(x, axis)


@public(1)
def diff(a: Any, n: int = 1, axis: int = -1) -> Any:
    """Each element less the one before it, n times."""
    return torch.diff(a, n, axis)


@public(2)
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """The integral of y by the trapezoidal rule, at positions x or at distances dx."""
    y = floating(y) if y.dtype == torch.bool else y
    return torch.trapezoid(y, dx=dx, dim=axis) if x is None else torch.trapezoid(y, x, dim=axis)


@public(1)
def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The sum of a diagonal."""
    return torch.diagonal(x, offset, axis1, axis2).sum(-1, dtype=_sum_type(x))


@public(2)
def bincount(x: Any, weights: Any = None, minlength: int = 0, sparse: bool = False) -> Any:
    """How often (or with what weight) each whole number from 0 occurs, per row for two dimensions.

    Raises:
        ValueError: sparse counts are asked for.
    """
    if sparse:
        raise ValueError(explain("bincount", "sparse=True", "sparse=False", "Sparse tensors are not supported."))
    dtype = torch.int32 if weights is None else result_dtype(x.dtype, weights.dtype)
    if x.ndim == 1:
        return torch.bincount(x, weights, minlength).to(dtype)
    length = builtins.max(minlength, int(x.max()) + 1)
    rows = [torch.bincount(row, None if weights is None else weights[i], length) for i, row in enumerate(x)]
    return torch.stack(rows).to(dtype)


@public(1)
def histogram(x: Any, bins: int = 10, range: tuple[float, float] | None = None) -> Any:
    """Return how many elements of a vector fall in each of the bins, and the bins + 1 edges.

    Raises:
        TypeError: the number of bins is not a whole number. ValueError: it is negative, or x is no vector.
    """
    if not isinstance(bins, int):
        raise TypeError(explain("histogram, argument 'bins'", repr(bins), "a whole number"))
    if bins < 0 or (range and (len(range) != 2 or range[1] < range[0])) or x.ndim > 1:
        received = f"bins={bins}, range={range}, x of shape {tuple(x.shape)}"
        raise ValueError(explain("histogram", received, "bins ≥ 0, range (low, high) and a vector"))
    x = floating(x)
    low, high = range or (x.min(), x.max())
    edges = low + (high - low) * torch.arange(bins + 1, dtype=x.dtype, device=x.device) / bins
    number = torch.where(x == high, bins - 1, torch.searchsorted(edges, x, right=True) - 1)
    inside = (x >= low) & (x <= high)
    counts = torch.zeros(bins, dtype=x.dtype, device=x.device)
    return counts.scatter_add(0, number.clamp(0, bins - 1), inside.to(x.dtype)), edges


@public(1)
def corrcoef(x: Any) -> Any:
    """The correlation coefficients of variables in rows, (variables, variables)."""
    x = floating(x.double() if x.dtype == torch.int64 else x)
    deviation = x - x.mean(-1, keepdim=True)
    if x.ndim < 2:
        return (deviation * deviation).sum() / (deviation * deviation).sum()
    unit = deviation / deviation.square().sum(-1, keepdim=True).sqrt()
    return torch.clip(unit @ unit.T, -1, 1)


@public(2)
def searchsorted(sorted_sequence: Any, values: Any, side: str = "left") -> Any:
    """Where to insert values in a sorted vector to keep it sorted, an int32.

    Raises:
        ValueError: the sequence is not a vector.
    """
    if sorted_sequence.ndim != 1:
        raise ValueError(explain("searchsorted", f"shape {tuple(sorted_sequence.shape)}", "a vector"))
    return torch.searchsorted(sorted_sequence, values, side=side, out_int32=True)


@public(2)
def digitize(x: Any, bins: Any) -> Any:
    """The number of the bin of each element: i with bins[i − 1] ≤ x < bins[i]."""
    return torch.bucketize(counting(x), bins, right=True).to(torch.int32)


publish(globals())
