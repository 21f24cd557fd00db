"""Mathematics of elements and along axes: ``tf.math``, and the names of it that ``tf`` has too."""
# A row is a lambda, for the sake of TensorFlow's names of arguments, also where it merely passes them on.

from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from convia import ops
from convia.backend import functions
from convia.compat.tensorflow.door import alike, api, axes, given, number, torch_dtype
from convia.compat.tensorflow.texts import StringTensor
from convia.config import dtype_name

_UNARY = (  # TensorFlow's name, or its name:ours
    "abs acos:arccos acosh:arccosh angle asin:arcsin asinh:arcsinh atan:arctan atanh:arctanh ceil conj cos cosh erf "
    "erfc erfinv exp expm1 floor imag is_finite:isfinite is_inf:isinf is_nan:isnan log log1p log_sigmoid logical_not "
    "negative real reciprocal rint:round round rsqrt sigmoid sign sin sinh softsign sqrt square tan tanh"
)
_TORCH = {"lgamma": torch.lgamma, "digamma": torch.digamma, "bessel_i0": torch.i0, "ndtri": torch.special.ndtri}
_BINARY = (
    "add atan2:arctan2 divide_no_nan floordiv:floor_divide floormod:mod greater greater_equal less less_equal "
    "logical_and logical_or logical_xor maximum minimum mod multiply nextafter pow:power subtract"
)
_REDUCTIONS = "all any euclidean_norm:norm logsumexp mean prod std sum variance:var"  # reduce_ before each


def _pairs(rows: str) -> list[tuple[str, str]]:
    return [(name, ours or name) for name, _, ours in (row.partition(":") for row in rows.split())]


def _unary(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x: function(given(x))


def _binary(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, y: function(*alike(x, y))


def _reduction(function: Callable[..., Any]) -> Callable[..., Any]:
    """Reduce, and keep the type of whole numbers, also in means, as TensorFlow does."""

    def reduced(
        input_tensor: Any,
        axis: Any = None,
        keepdims: bool = False,
        keep_dims: bool = False,
        reduction_indices: Any = None,
    ) -> Any:
        x = given(input_tensor)
        axis = reduction_indices if axis is None else axis
        result = function(x, axis=axes(axis), keepdims=bool(keepdims or keep_dims))
        return ops.cast(result, x.dtype) if dtype_name(result.dtype) not in (dtype_name(x.dtype), "bool") else result

    return reduced


def _sum_of_squares_root(x: Any, axis: Any, keepdims: bool) -> Any:
    return ops.sqrt(ops.sum(ops.square(x), axis=axis, keepdims=keepdims))


def _equality(x: Any, y: Any, equal: bool) -> Any:
    if isinstance(x, StringTensor) or isinstance(y, StringTensor):
        return StringTensor(x) == y if equal else StringTensor(x) != y
    x, y = alike(x, y)
    return (
        (x == y if equal else x != y) if isinstance(x, StringTensor) else (ops.equal if equal else ops.not_equal)(x, y)
    )


def _true_divide(x: Any, y: Any) -> Any:
    """Whole numbers are divided as float64, small ones as float32."""
    x, y = alike(x, y)
    kinds = [dtype_name(v.dtype) for v in (x, y) if hasattr(v, "dtype")]
    if kinds and all("int" in kind for kind in kinds):
        wide = "float32" if all(kind in ("int8", "uint8", "int16", "uint16") for kind in kinds) else "float64"
        x, y = (ops.cast(v, wide) for v in (x, y))
    return ops.divide(x, y)


def _position(function: Callable[..., Any]) -> Callable[..., Any]:
    def position(input: Any, axis: Any = None, output_type: Any = "int64", dimension: Any = None) -> Any:
        axis = dimension if axis is None else axis
        return ops.cast(function(given(input), axis=0 if axis is None else number(axis)), torch_dtype(output_type))

    return position


def _cumulative(function: Callable[..., Any]) -> Callable[..., Any]:
    start = 0 if function is torch.cumsum else 1

    def cumulative(x: Any, axis: int = 0, exclusive: bool = False, reverse: bool = False) -> Any:
        x = given(x)
        x = x.flip(axis) if reverse else x
        if exclusive:
            first = torch.full_like(x.narrow(axis, 0, 1), start)
            x = torch.cat([first, x.narrow(axis, 0, x.shape[axis] - 1)], axis)
        result = function(x, axis).to(x.dtype)
        return result.flip(axis) if reverse else result

    return cumulative


def _sum_of(inputs: Any) -> Any:
    total, *rest = [given(x) for x in inputs]
    for x in rest:
        total = ops.add(total, x)
    return total


def _segments(function: Callable[..., Any]) -> Callable[..., Any]:
    def segments(data: Any, segment_ids: Any, num_segments: Any = None) -> Any:
        ids = given(segment_ids)
        return function(given(data), ids, int(ids.max()) + 1 if num_segments is None else number(num_segments))

    return segments


def _segment_mean(data: Any, ids: Any, count: int) -> Any:
    ones = torch.ones(len(ids), dtype=data.dtype)
    sizes = ops.segment_sum(ones, ids, count).clamp(min=1)
    return ops.segment_sum(data, ids, count) / sizes.reshape(-1, *[1] * (data.ndim - 1))


class TopK(NamedTuple):
    """The greatest elements and where they are."""

    values: Any
    indices: Any


def _top_k(input: Any, k: int = 1, sorted: bool = True) -> TopK:
    values, indices = ops.top_k(given(input), number(k), sorted)
    return TopK(values, ops.cast(indices, "int32"))


def _confusion_matrix(
    labels: Any, predictions: Any, num_classes: Any = None, weights: Any = None, dtype: Any = "int32"
) -> Any:
    """Return counts, rows by label and columns by prediction."""
    rows, columns = given(labels).long(), given(predictions).long()
    size = int(torch.max(rows.max(), columns.max())) + 1 if num_classes is None else number(num_classes)
    kind = torch_dtype(dtype)
    values = torch.ones(len(rows), dtype=kind) if weights is None else given(weights).to(kind)
    return torch.zeros(size, size, dtype=kind).index_put((rows, columns), values, accumulate=True)


def _bincount(arr: Any, weights: Any = None, minlength: Any = None, maxlength: Any = None, dtype: Any = "int32") -> Any:
    values = given(arr).reshape(-1).long()
    if maxlength is not None:
        values = values[values < maxlength]
    weights = None if weights is None else given(weights).reshape(-1)
    counts = torch.bincount(values, weights, number(minlength or 0))
    return counts.to(torch_dtype(dtype) if weights is None else weights.dtype)


def _zero_fraction(value: Any) -> Any:
    return ops.mean(ops.cast(ops.equal(given(value), 0), "float32"))


def _l2_normalize(x: Any, axis: Any = None, epsilon: float = 1e-12, dim: Any = None) -> Any:
    """x divided by its Euclidean norm along an axis."""
    x = given(x)
    squares = ops.sum(ops.square(x), axis=axes(dim if axis is None else axis), keepdims=True)
    return ops.multiply(x, ops.rsqrt(ops.maximum(squares, epsilon)))


def _polyval(coeffs: Any, x: Any) -> Any:
    x = given(x)
    result = given(coeffs[0], x.dtype)
    for coefficient in coeffs[1:]:
        result = ops.add(ops.multiply(result, x), coefficient)
    return result


def _in_top_k(targets: Any, predictions: Any, k: int) -> Any:
    return ops.in_top_k(given(targets), given(predictions), number(k))


def _limited_product(x: Any, y: Any) -> Any:
    x, y = alike(x, y)
    return ops.where(ops.equal(y, 0), 0.0, ops.multiply(x, y))


def _scalar_mul(scalar: Any, x: Any) -> Any:
    return ops.multiply(given(x), scalar)


def _cumulative_logsumexp(x: Any, axis: int = 0) -> Any:
    return torch.logcumsumexp(given(x), axis)


def _count_nonzero(input: Any, axis: Any = None, keepdims: bool = False, dtype: Any = "int64") -> Any:
    nonzero = ops.cast(ops.not_equal(given(input), 0), torch_dtype(dtype))
    return ops.cast(ops.sum(nonzero, axis=axes(axis), keepdims=keepdims), torch_dtype(dtype))


_ROWS: dict[str, Callable[..., Any]] = {
    "accumulate_n": lambda inputs, shape=None: _sum_of(inputs),
    "add_n": _sum_of,
    "argmax": _position(ops.argmax),
    "argmin": _position(ops.argmin),
    "count_nonzero": _count_nonzero,
    "divide": _true_divide,
    "equal": lambda x, y: _equality(x, y, True),
    "in_top_k": _in_top_k,
    "l2_normalize": _l2_normalize,
    "multiply_no_nan": _limited_product,
    "not_equal": lambda x, y: _equality(x, y, False),
    "polyval": _polyval,
    "scalar_mul": _scalar_mul,
    "softplus": lambda features: ops.softplus(given(features)),
    "squared_difference": lambda x, y: ops.square(ops.subtract(*alike(x, y))),
    "sigmoid": lambda x: ops.sigmoid(given(x)),
    "top_k": _top_k,
    "truediv": _true_divide,
    "xdivy": lambda x, y: ops.divide_no_nan(x, ops.where(ops.equal(x, 0), 1.0, y)),
    "zero_fraction": _zero_fraction,
}
_RECORDED: dict[str, Callable[..., Any]] = {
    "bincount": _bincount,
    "confusion_matrix": _confusion_matrix,
    "cumprod": _cumulative(torch.cumprod),
    "cumsum": _cumulative(torch.cumsum),
    "cumulative_logsumexp": _cumulative_logsumexp,
    "reduce_euclidean_norm": _reduction(_sum_of_squares_root),
    "segment_max": _segments(ops.segment_max),
    "segment_mean": _segments(_segment_mean),
    "segment_min": _segments(ops.segment_min),
    "segment_prod": _segments(ops.segment_prod),
    "segment_sum": _segments(ops.segment_sum),
    "truncatediv": lambda x, y: torch.div(*alike(x, y), rounding_mode="trunc"),
    "unsorted_segment_max": _segments(ops.segment_max),
    "unsorted_segment_mean": _segments(_segment_mean),
    "unsorted_segment_min": _segments(ops.segment_min),
    "unsorted_segment_sum": _segments(ops.segment_sum),
    "xlog1py": lambda x, y: torch.xlogy(given(x), 1 + given(y)),
    "xlogy": lambda x, y: torch.xlogy(*alike(x, y)),
    **{name: _unary(function) for name, function in _TORCH.items()},
}


def _table() -> dict[str, Any]:
    rows = {
        **{name: _unary(getattr(ops, ours)) for name, ours in _pairs(_UNARY)},
        **{name: _binary(getattr(ops, ours)) for name, ours in _pairs(_BINARY)},
        **{
            f"reduce_{name}": _reduction(getattr(ops, ours))
            for name, ours in _pairs(_REDUCTIONS)
            if name != "euclidean_norm"
        },
        "reduce_max": _reduction(functions.greatest),
        "reduce_min": _reduction(functions.least),
        **_ROWS,
    }
    made = {}
    for table, record in ((rows, ()), (_RECORDED, None)):
        for name, function in table.items():
            function.__name__ = function.__qualname__ = name
            made[name] = api(function, record=record)
    return made


MATH = _table()
_TOP = (
    "abs acos acosh add add_n argmax argmin asin asinh atan atan2 atanh cos cosh cumsum divide equal exp floor greater "
    "greater_equal less less_equal logical_and logical_not logical_or maximum minimum multiply negative not_equal pow "
    "reduce_all reduce_any reduce_logsumexp reduce_max reduce_mean reduce_min reduce_prod reduce_sum round scalar_mul "
    "sigmoid sign sin sinh sqrt square subtract tan tanh truediv"
)
_OLD = (
    "ceil confusion_matrix count_nonzero cumprod digamma erf erfc expm1 floordiv floormod imag is_finite is_inf is_nan "
    "lgamma log log1p log_sigmoid mod real reciprocal rint rsqrt squared_difference xlogy"
)
TOP = {name: MATH[name] for name in _TOP.split()}  # the names that tf itself has too
OLD = {  # names that only TensorFlow 1 had at the top; programs of that time are run too
    **{name: MATH[name] for name in _OLD.split()},
    "div": MATH["divide"],
    "mul": MATH["multiply"],
    "neg": MATH["negative"],
    "sub": MATH["subtract"],
}
