"""``keras.backend`` beside what ``convia.backend`` has: sessions, axis orders under K1's names, ages of TensorFlow."""

import contextlib
import importlib
import inspect
from collections.abc import Iterator
from typing import Any

import torch

from convia import backend as K  # noqa: N812
from convia import config, ops, symbolic
from convia.compat import eras
from convia.compat.grafts.symbols import Shape
from convia.compat.report import note
from convia.graph import Input
from convia.symbolic import KerasTensor
from convia.variable import Variable as _Variable

_ORDERS = {"th": "channels_first", "tf": "channels_last"}


def image_dim_ordering() -> str:
    """Return "th" or "tf": Keras 1's names of channels_first and channels_last."""
    return {order: name for name, order in _ORDERS.items()}[config.image_data_format()]


def set_image_dim_ordering(dim_ordering: str) -> None:
    """Set the axis order of images: "th" or "tf"."""
    note("set_image_dim_ordering", "set_image_data_format")
    config.set_image_data_format(_ORDERS[dim_ordering])


def set_image_data_format(data_format: str) -> None:
    """Set the axis order of images."""
    config.set_image_data_format(_ORDERS.get(data_format, data_format))


def batch_dot(x: Any, y: Any, axes: Any = None) -> Any:
    """Multiply sample by sample; of tensors of more than three axes Keras 1 and 2 also kept the leading ones apart.

    There it was a product of matrices over the last two axes, and the smaller tensor got axes of size 1 at its end
    (Keras 2.2, ``tensorflow_backend.batch_dot``).
    """
    ranks = ops.ndim(x), ops.ndim(y)
    if eras.current() not in eras.STANDALONE or max(ranks) < 4 or axes is None:
        return K.batch_dot(x, y, axes)
    first, second = (axes, axes) if isinstance(axes, int) else axes
    extra = ranks[0] - ranks[1]
    for _ in range(abs(extra)):
        x, y = (x, ops.expand_dims(y, -1)) if extra > 0 else (ops.expand_dims(x, -1), y)
    rank = max(ranks)
    left = x if first % ranks[0] == rank - 1 else ops.swapaxes(x, -1, -2)
    right = ops.swapaxes(y, -1, -2) if second % ranks[1] == rank - 1 else y
    product = ops.matmul(left, right)
    place = rank + min(ranks) - 3 if extra > 0 else ranks[0] - 1
    for _ in range(abs(extra)):
        product = ops.squeeze(product, place)
    return product


def backend() -> str:
    """Return the engine's name: programs of older eras ask whether it is TensorFlow, and it computes as that did."""
    return "tensorflow" if eras.current() in eras.OLD else config.backend()


_session: list[Any] = []


def get_session() -> Any:
    """Return the session, which is TensorFlow 1's."""
    if not _session:
        _session.append(importlib.import_module("convia.compat.tensorflow.v1").Session())
    return _session[0]


def set_session(session: Any) -> None:
    """Accept a session: its settings of GPUs' memory mean nothing here."""
    note("set_session")


def int_shape(x: Any) -> Shape:
    """Return the sizes, None for unknown ones."""
    return Shape(x.shape)


def Variable(value: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N802
    """Make a variable."""
    return K.variable(value, *args, **kwargs) if not isinstance(value, _Variable) else value


def ctc_label_dense_to_sparse(labels: Any, label_lengths: Any) -> Any:
    """Return rows of labels (N, steps), each as long as its length says, as a sparse tensor."""
    sparse = importlib.import_module("convia.compat.tensorflow.sparse")
    labels, lengths = ops.convert_to_tensor(labels), ops.convert_to_tensor(label_lengths).reshape(-1, 1)
    places = (torch.arange(labels.shape[1]) < lengths).nonzero()
    return sparse.SparseTensor(places, labels[tuple(places.T)], tuple(labels.shape))


def is_tensor(x: Any) -> bool:
    """Whether a value is a tensor, with numbers or symbolic."""
    return isinstance(x, (torch.Tensor, KerasTensor))


def is_placeholder(x: Any) -> bool:
    """Whether a symbolic tensor stands for data."""
    return isinstance(x, KerasTensor) and x.node is not None and x.node.is_input


def is_variable(x: Any) -> bool:
    """Whether a value is a variable."""
    return isinstance(x, _Variable)


def get_variable_shape(x: Any) -> tuple[int, ...]:
    """Return the shape of a variable."""
    return tuple(x.shape)


def _sizes_of(x: Any) -> Any:
    """The sizes, as a tensor that has numbers even while shapes are computed."""
    return torch.tensor(list(K.shape(x)), dtype=torch.int32, device="cpu")


def shape(x: Any) -> Any:
    """Return the sizes; in older eras as a tensor, which is symbolic if x is: programs compute with it."""
    if eras.current() not in eras.OLD:
        return K.shape(x)
    return symbolic.record_function(_sizes_of, (x,), {}) if isinstance(x, KerasTensor) else _sizes_of(x)


def _with_sizes(function: Any, shape: Any, *args: Any, **kwargs: Any) -> Any:
    """Call function(sizes, …), as a node of the graph where sizes are those of symbolic tensors."""
    if isinstance(shape, KerasTensor):
        shape = [shape[axis] for axis in range(shape.shape[0] or 0)]
    sizes = [size if isinstance(size, KerasTensor) else int(size) for size in shape]

    def at_run(sizes: list[Any], *args: Any, **kwargs: Any) -> Any:
        return function(tuple(map(int, sizes)), *args, **kwargs)

    if any(isinstance(x, KerasTensor) for x in (*sizes, *args)):
        return symbolic.record_function(at_run, (sizes, *args), kwargs)
    return function(tuple(sizes), *args, **kwargs)


def _random(name: str) -> Any:
    draw = getattr(K, name)
    positional = list(inspect.signature(draw).parameters)

    def drawn(sizes: tuple[int, ...], **options: Any) -> Any:
        if symbolic.tracing():
            return torch.empty(sizes, dtype=config.torch_dtype(options.get("dtype") or config.floatx()))
        return draw(sizes, **options)

    def either(shape: Any, *args: Any, **kwargs: Any) -> Any:
        options = {**dict(zip(positional[1:], args, strict=False)), **kwargs}
        if "std" in options:
            options["stddev"] = options.pop("std")
        return _with_sizes(drawn, shape, **options)

    either.__name__ = name
    return either


def reshape(x: Any, shape: Any) -> Any:
    """Return the elements in another shape, whose sizes may be those of symbolic tensors."""
    return _with_sizes(lambda sizes, x: K.reshape(x, sizes), shape, x)


def zeros(shape: Any, dtype: Any = None, name: str | None = None) -> Any:
    """Return a variable of zeros; for symbolic sizes a tensor."""
    return _with_sizes(lambda sizes: K.zeros(sizes, dtype, name), shape)


def ones(shape: Any, dtype: Any = None, name: str | None = None) -> Any:
    """Return a variable of ones; for symbolic sizes a tensor."""
    return _with_sizes(lambda sizes: K.ones(sizes, dtype, name), shape)


random_normal, random_uniform = _random("random_normal"), _random("random_uniform")
truncated_normal, random_bernoulli = _random("truncated_normal"), _random("random_bernoulli")


def asymmetric_temporal_padding(x: Any, left_pad: int = 1, right_pad: int = 1) -> Any:
    """Return sequences with zeros before and after."""
    return K.temporal_padding(x, (left_pad, right_pad))


def resize_images(x: Any, height_factor: int, width_factor: int, data_format: Any = None, **kwargs: Any) -> Any:
    """Return images larger by whole factors."""
    order = kwargs.pop("dim_ordering", data_format)
    return K.resize_images(x, height_factor, width_factor, _ORDERS.get(order, order), **kwargs)


def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Any:
    """−(t·ln p + (1 − t)·ln(1 − p)); Keras 1 took the prediction first."""
    if eras.current() == "keras1":
        target, output = output, target
    return K.binary_crossentropy(target, output, from_logits)


def clear_session(free_memory: bool = True) -> None:
    """Number automatic names from the start again."""
    K.clear_session()


def log_softmax(x: Any, axis: int = -1) -> Any:
    """Return ln of softmax."""
    return ops.log_softmax(x, axis)


def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Return ln Σ eˣ."""
    return ops.logsumexp(x, axis, keepdims)


def identity(x: Any, name: str | None = None) -> Any:
    """Return the tensor."""
    return x * 1


def cast(x: Any, dtype: Any) -> Any:
    """Return x in another type."""
    return K.cast(x, str(getattr(dtype, "name", dtype)).removeprefix("torch."))


def get_graph() -> Any:
    """Return the graph, of which there is none."""
    return None


@contextlib.contextmanager
def control_dependencies(inputs: Any) -> Iterator[None]:
    """Do nothing: operations run in the order they are written in."""
    yield


def normalize_data_format(value: Any) -> str:
    """Return the axis order of images, the default for None."""
    return config.standardize_data_format(_ORDERS.get(value, value))


placeholder_with_default = Input
# Modules that Keras's own backend imported, and programs used by its name: see below
_INNER = {
    "control_flow_ops": "tensorflow.python.ops.control_flow_ops",
    "ctc": "tensorflow.python.ops.ctc_ops",
    "functional_ops": "tensorflow.python.ops.functional_ops",
    "math_ops": "tensorflow.python.ops.math_ops",
    "tensor_array_ops": "tensorflow.python.ops.tensor_array_ops",
    "tf": "tensorflow",
    "tf_ops": "tensorflow.python.framework.ops",
}
control_flow_ops: Any
ctc: Any
functional_ops: Any
math_ops: Any
tensor_array_ops: Any
tf: Any
tf_ops: Any


def __getattr__(name: str) -> Any:
    """``K.tf`` is TensorFlow, ``K.control_flow_ops`` one of its modules."""
    if name in _INNER:
        return importlib.import_module(_INNER[name])
    raise AttributeError(name)


__all__ = [
    "Variable",
    "asymmetric_temporal_padding",
    "backend",
    "batch_dot",
    "binary_crossentropy",
    "cast",
    "clear_session",
    "control_dependencies",
    "control_flow_ops",
    "ctc",
    "ctc_label_dense_to_sparse",
    "functional_ops",
    "get_graph",
    "get_session",
    "get_variable_shape",
    "globals",
    "identity",
    "image_dim_ordering",
    "int_shape",
    "is_placeholder",
    "is_tensor",
    "is_variable",
    "log_softmax",
    "logsumexp",
    "math_ops",
    "normalize_data_format",
    "ones",
    "placeholder_with_default",
    "random_bernoulli",
    "random_normal",
    "random_uniform",
    "reshape",
    "resize_images",
    "set_image_data_format",
    "set_image_dim_ordering",
    "set_session",
    "shape",
    "tensor_array_ops",
    "tf",
    "tf_ops",
    "truncated_normal",
    "zeros",
]
