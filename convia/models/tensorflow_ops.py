"""Functions of TensorFlow in graphs that tf.keras saved, as functions of ``ops``.

tf.keras turned ``tf.nn.relu(x)`` in a graph into a layer of the class TFOpLambda, whose config names the function. Here
the name is looked up in a table, and the function is made of ``ops``; saved again, the graph is one of Keras 3.
"""

from collections.abc import Callable, Sequence
from typing import Any

from convia import ops
from convia.errors import explain, nearest

CLASSES = ("TFOpLambda", "SlicingOpLambda")
_LEADING = ("compat.v1.", "math.", "nn.", "linalg.", "raw_ops.")

_ROWS = {  # functions of the same arguments: tensors first, by place; the others by these names
    "": (
        "abs=absolute acos=arccos add argmax argmin asin=arcsin atan=arctan atan2=arctan2 ceil cos cosh divide "
        "divide_no_nan elu equal erf exp expm1 floor floordiv=floor_divide floormod=mod greater greater_equal less "
        "less_equal log log1p log_sigmoid log_softmax logical_and logical_not logical_or logical_xor maximum minimum "
        "multiply negative not_equal pow=power relu relu6 rsqrt selu sigmoid sign silu sin sinh softmax softplus "
        "softsign sqrt square stop_gradient subtract swish tan tanh truediv=true_divide "
        "expand_dims"
    ),
    "reduce": "reduce_all=all reduce_any=any reduce_logsumexp=logsumexp reduce_max=max reduce_mean=mean reduce_min=min "
    "reduce_prod=prod reduce_std=std reduce_sum=sum reduce_variance=var",
}


def _pairs(text: str) -> dict[str, str]:
    return {row.partition("=")[0]: row.partition("=")[2] or row for row in text.split()}


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _two(value: Any) -> Any:
    """A window of TensorFlow, which may count batch and channels."""
    return value if isinstance(value, int) else tuple(value[1:3] if len(value) == 4 else value)


def _known(shape: Sequence[Any]) -> tuple[Any, ...]:
    """A shape with one unknown dimension as −1."""
    return tuple(-1 if size is None else size for size in shape)


def _pad(x: Any, paddings: Any, mode: str = "CONSTANT", constant_values: Any = 0) -> Any:
    kind = mode.lower()
    return ops.pad(
        x, tuple(map(tuple, paddings)), kind, **({"constant_values": constant_values} if kind == "constant" else {})
    )


def _matmul(a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False, **_: Any) -> Any:
    return ops.matmul(*(ops.swapaxes(m, -1, -2) if turned else m for m, turned in ((a, transpose_a), (b, transpose_b))))


def _split(value: Any, num_or_size_splits: Any, axis: int = 0, num: Any = None) -> Any:
    if isinstance(num_or_size_splits, int):
        return ops.split(value, num_or_size_splits, axis)
    ends = [sum(num_or_size_splits[: place + 1]) for place in range(len(num_or_size_splits) - 1)]
    return ops.split(value, ends, axis)


def _add(x: Any, y: Any) -> Any:
    return ops.add(x, y)


def _clip(x: Any, clip_value_min: Any, clip_value_max: Any) -> Any:
    return ops.clip(x, clip_value_min, clip_value_max)


def _add_n(inputs: Sequence[Any]) -> Any:
    total, *rest = inputs
    for item in rest:
        total = ops.add(total, item)
    return total


def _item(x: Any, slice_spec: Any) -> Any:
    if isinstance(x, tuple):  # a shape
        return x[slice_spec] if isinstance(slice_spec, (int, slice)) else x[slice_spec[0]]
    keys = slice_spec if isinstance(slice_spec, (list, tuple)) else [slice_spec]
    backwards = [key for key in keys if isinstance(key, slice) and (key.step or 1) < 0]
    for key in backwards:
        if key.start is not None or key.stop is not None or Ellipsis in keys:
            raise ValueError(
                explain("load_model, slice of a tensor", repr(key), "a step backwards over the whole axis")
            )
        x = ops.flip(x, sum(item is not None for item in keys[: _place(keys, key)]))
    plain = [slice(None, None, -key.step) if any(key is item for item in backwards) else key for key in keys]
    return x[tuple(plain)]


def _place(keys: Sequence[Any], wanted: Any) -> int:
    return next(place for place, key in enumerate(keys) if key is wanted)


def _squeeze(x: Any, axis: Any = None, squeeze_dims: Any = None) -> Any:
    axes = axis if axis is not None else squeeze_dims
    return ops.squeeze(x, _tuple(axes) or None)


def _one_hot(
    indices: Any, depth: int, on_value: Any = None, off_value: Any = None, axis: Any = None, dtype: Any = None
) -> Any:
    hot = ops.one_hot(indices, depth, axis=-1 if axis is None else axis, dtype=dtype or "float32")
    low, high = (0.0 if off_value is None else off_value), (1.0 if on_value is None else on_value)
    return hot if (low, high) == (0.0, 1.0) else hot * (high - low) + low


def _resize(images: Any, size: Any, method: str = "bilinear", antialias: bool = False, **_: Any) -> Any:
    return ops.image.resize(
        images, tuple(size), interpolation=method.lower(), antialias=antialias, data_format="channels_last"
    )


def _pool(function: Callable[..., Any]) -> Callable[..., Any]:
    def pool(value: Any, ksize: Any, strides: Any, padding: str = "VALID", data_format: Any = None) -> Any:
        return function(value, _two(ksize), _two(strides), padding.lower(), data_format="channels_last")

    return pool


def _shape(x: Any, out_type: Any = None) -> tuple[Any, ...]:
    return tuple(x.shape)


_SPECIAL: dict[str, Callable[..., Any]] = {
    "__operators__.add": _add,
    "__operators__.getitem": _item,
    "add_n": _add_n,
    "avg_pool": _pool(ops.average_pool),
    "avg_pool2d": _pool(ops.average_pool),
    "cast": ops.cast,
    "clip_by_value": _clip,
    "concat": ops.concatenate,
    "depth_to_space": lambda x, block_size: ops.depth_to_space(x, block_size, data_format="channels_last"),
    "einsum": ops.einsum,
    "flip_left_right": lambda image: ops.flip(image, -2),
    "flip_up_down": lambda image: ops.flip(image, -3),
    "gather": lambda params, indices, axis=None, batch_dims=0, validate_indices=None: ops.take(
        params, indices, axis or 0
    ),
    "gelu": lambda features, approximate=False: ops.gelu(features, approximate),
    "identity": ops.copy,
    "l2_normalize": lambda x, axis=None, epsilon=1e-12: ops.normalize(x, axis, 2, epsilon),
    "leaky_relu": lambda features, alpha=0.2: ops.leaky_relu(features, alpha),
    "matmul": _matmul,
    "max_pool": _pool(ops.max_pool),
    "max_pool2d": _pool(ops.max_pool),
    "one_hot": _one_hot,
    "ones_like": lambda x, dtype=None: ops.ones_like(x, dtype),
    "pad": _pad,
    "resize": _resize,
    "reshape": lambda tensor, shape: ops.reshape(tensor, _known(shape)),
    "reverse": lambda tensor, axis: ops.flip(tensor, _tuple(axis)),
    "shape": _shape,
    "space_to_depth": lambda x, block_size: ops.space_to_depth(x, block_size, data_format="channels_last"),
    "split": _split,
    "squeeze": _squeeze,
    "stack": lambda values, axis=0: ops.stack(values, axis),
    "tile": lambda x, multiples: ops.tile(x, tuple(multiples)),
    "transpose": lambda a, perm=None, conjugate=False: ops.transpose(a, _tuple(perm)),
    "unstack": lambda value, num=None, axis=0: ops.unstack(value, num, axis),
    "where": lambda condition, x=None, y=None: ops.where(condition, x, y),
    "zeros_like": lambda x, dtype=None: ops.zeros_like(x, dtype),
}


class TensorFlowFunction:
    """A function from a file, by TensorFlow's name; called on symbolic tensors, it adds those of ``ops`` to the graph.

    Raises:
        ValueError: a function that is not in the table; its arguments when called.
    """

    def __init__(self, name: str, function: str) -> None:
        self.name, self.function = name, function
        short = function.removeprefix("tf.")
        for prefix in (*_LEADING, "image."):
            short = short.removeprefix(prefix)
        self._run = _FUNCTIONS.get(short)
        if self._run is None:
            hint = nearest(short, list(_FUNCTIONS))
            remedy = f"{hint} Or build the model with convia.ops or a Layer in its place, and load its weights."
            raise ValueError(
                explain(f"load_model, {name!r}", f"the function tf.{function}", "one that convia has", remedy)
            )

    def __call__(self, *args: Any, **kwargs: Any) -> list[Any]:
        """Return the outputs, always in a list."""
        given = {key: value for key, value in kwargs.items() if key != "name"}
        try:
            result = self._run(*args, **given)  # type: ignore[misc]
        except TypeError as error:
            who, received = f"load_model, {self.name!r}", f"tf.{self.function} with arguments {sorted(given)} ({error})"
            raise ValueError(explain(who, received, "arguments that convia knows")) from error
        return list(result) if isinstance(result, list) or self.function.endswith(("split", "unstack")) else [result]


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """Call a function with ``axis`` as a tuple; other arguments by place, in TensorFlow's order."""

    def call(*args: Any, axis: Any = None, **kwargs: Any) -> Any:
        kwargs.pop("conjugate", None), kwargs.pop("output_type", None)
        return function(*args, *kwargs.values(), **({} if axis is None else {"axis": _tuple(axis)}))

    return call


def _reducing(function: Callable[..., Any]) -> Callable[..., Any]:
    def reduce(input_tensor: Any, axis: Any = None, keepdims: bool = False, **_: Any) -> Any:
        return function(input_tensor, axis=_tuple(axis), keepdims=bool(keepdims))

    return reduce


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: _plain(getattr(ops, ours)) for name, ours in _pairs(_ROWS[""]).items()},
    **{name: _reducing(getattr(ops, ours)) for name, ours in _pairs(_ROWS["reduce"]).items()},
    **_SPECIAL,
}


def function(name: str) -> Callable[..., Any]:
    """Return the function of TensorFlow's short name, such as "reduce_mean"."""
    return _FUNCTIONS[name]


__all__ = ["CLASSES", "TensorFlowFunction", "function"]
