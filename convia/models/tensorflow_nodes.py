"""Operations of TensorFlow's graphs in files of tf.keras 2.0 to 2.3, and of 1.x mode, as functions of ``ops``.

There ``y * 2`` in a graph became a layer of the class TensorFlowOpLayer, whose config holds the node of TensorFlow's
graph: the operation, its attributes, and its constant inputs by their places. Operations are rows of tables over the
functions in ``tensorflow_ops``; saved again, the graph is one of Keras 3.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from convia import ops
from convia.errors import explain, nearest
from convia.models import tensorflow_ops
from convia.models.tensorflow_ops import TensorFlowFunction

CLASS = "TensorFlowOpLayer"

_POINTWISE = (  # of tensors alone; on the right the function of tensorflow_ops, where its name is another
    "Abs Acos Add=add AddV2=add Asin Atan Atan2 BiasAdd=add Ceil Cos Cosh Div=truediv DivNoNan=divide_no_nan Elu Equal "
    "Erf Exp Expm1 Floor FloorDiv=floordiv FloorMod=floormod Greater GreaterEqual=greater_equal Identity Less "
    "LessEqual=less_equal Log Log1p LogSoftmax=log_softmax LogicalAnd=logical_and LogicalNot=logical_not "
    "LogicalOr=logical_or Maximum Minimum Mul=multiply Neg=negative NotEqual=not_equal OnesLike=ones_like Pow "
    "RealDiv=truediv Relu Relu6 Rsqrt Selu Sigmoid Sign Sin Sinh Softmax Softplus Softsign Sqrt Square "
    "StopGradient=stop_gradient Sub=subtract Tan Tanh ZerosLike=zeros_like"
)
_REDUCTIONS = "All Any Max Mean Min Prod Sum"
_TYPES = {"DT_BOOL": "bool", "DT_DOUBLE": "float64", "DT_FLOAT": "float32", "DT_HALF": "float16"}


def _attribute(value: Mapping[str, Any]) -> Any:
    """Return the value of an attribute of a node, of which JSON has texts of numbers and bytes in base64."""
    if "list" in value:
        return [_attribute({kind: item}) for kind, items in value["list"].items() for item in items]
    kind, plain = next(iter(value.items()), ("", ""))
    if kind == "type":
        return _TYPES.get(plain, str(plain).removeprefix("DT_").lower())
    convert: dict[str, Callable[[Any], Any]] = {"i": int, "s": lambda text: base64.b64decode(text).decode()}
    return convert.get(kind, lambda item: item)(plain)


def _tensor(value: Any) -> Any:
    """A constant list of numbers is an array."""
    if not isinstance(value, list):
        return value
    array = np.asarray(value)
    return array.astype("float32") if array.dtype.kind == "f" else array.astype("int32")


def _run(name: str) -> Callable[..., Any]:
    return tensorflow_ops.function(name)


def _pointwise(name: str) -> Callable[..., Any]:
    run = _run(name)
    return lambda inputs, attributes: run(*map(_tensor, inputs))


def _reduction(name: str) -> Callable[..., Any]:
    run = _run(f"reduce_{name.lower()}")
    return lambda inputs, attributes: run(inputs[0], axis=inputs[1], keepdims=attributes.get("keep_dims", False))


def _strided_slice(inputs: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    x, begin, end, strides = inputs

    def has(mask: str, place: int) -> bool:
        return bool(attributes.get(f"{mask}_mask", 0) >> place & 1)

    keys: list[Any] = []
    for place, (first, last, step) in enumerate(zip(begin, end, strides, strict=True)):
        if has("ellipsis", place):
            keys.append(Ellipsis)
        elif has("new_axis", place):
            keys.append(None)
        elif has("shrink_axis", place):
            keys.append(first)
        else:
            bounds = (None if has("begin", place) else first, None if has("end", place) else last)
            keys.append(slice(*bounds, None if step == 1 else step))
    return _run("__operators__.getitem")(x, keys)


def _pack(inputs: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    is_shape = all(item is None or isinstance(item, int) for item in inputs)
    return tuple(inputs) if is_shape else ops.stack(list(inputs), attributes.get("axis", 0))


def _resize(method: str) -> Callable[..., Any]:
    def resize(inputs: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
        if not attributes.get("half_pixel_centers"):
            who, received = f"load_model, Resize ({method})", "corners or edges of pixels as the places to read at"
            raise ValueError(explain(who, received, "half_pixel_centers, as tf.image.resize has it"))
        return _run("resize")(*inputs, method=method)

    return resize


def _pool(name: str) -> Callable[..., Any]:
    return lambda inputs, a: _run(name)(inputs[0], a["ksize"], a["strides"], a["padding"])


def _matmul(inputs: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    turned = [
        attributes.get(key) or attributes.get(old) for key, old in (("transpose_a", "adj_x"), ("transpose_b", "adj_y"))
    ]
    return _run("matmul")(*map(_tensor, inputs), *map(bool, turned))


def _cumsum(inputs: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    x, axis = inputs
    x = ops.flip(x, axis) if attributes.get("reverse") else x
    total = ops.cumsum(x, axis) - (x if attributes.get("exclusive") else 0)
    return ops.flip(total, axis) if attributes.get("reverse") else total


_SPECIAL: dict[str, Callable[[Sequence[Any], Mapping[str, Any]], Any]] = {
    "AddN": lambda inputs, a: _run("add_n")(inputs),
    "ArgMax": lambda inputs, a: ops.argmax(inputs[0], inputs[1]),
    "ArgMin": lambda inputs, a: ops.argmin(inputs[0], inputs[1]),
    "AvgPool": _pool("avg_pool"),
    "BatchMatMul": _matmul,
    "BatchMatMulV2": _matmul,
    "Cast": lambda inputs, a: ops.cast(inputs[0], a["DstT"]),
    "ClipByValue": lambda inputs, a: ops.clip(*inputs),
    "ConcatV2": lambda inputs, a: ops.concatenate(list(inputs[:-1]), inputs[-1]),
    "Cumsum": _cumsum,
    "DepthToSpace": lambda inputs, a: _run("depth_to_space")(inputs[0], a["block_size"]),
    "Einsum": lambda inputs, a: ops.einsum(a["equation"], *inputs),
    "ExpandDims": lambda inputs, a: ops.expand_dims(inputs[0], inputs[1]),
    "GatherV2": lambda inputs, a: ops.take(inputs[0], _tensor(inputs[1]), inputs[2]),
    "IdentityN": lambda inputs, a: list(inputs),
    "LeakyRelu": lambda inputs, a: ops.leaky_relu(inputs[0], a.get("alpha", 0.2)),
    "MatMul": _matmul,
    "MaxPool": _pool("max_pool"),
    "MirrorPad": lambda inputs, a: _run("pad")(inputs[0], inputs[1], a["mode"]),
    "OneHot": lambda inputs, a: _run("one_hot")(*inputs, axis=a.get("axis", -1)),
    "Pack": _pack,
    "Pad": lambda inputs, a: _run("pad")(*inputs),
    "PadV2": lambda inputs, a: _run("pad")(inputs[0], inputs[1], constant_values=inputs[2]),
    "Reshape": lambda inputs, a: _run("reshape")(*inputs),
    "ResizeBilinear": _resize("bilinear"),
    "ResizeNearestNeighbor": _resize("nearest"),
    "ReverseV2": lambda inputs, a: _run("reverse")(*inputs),
    "Select": lambda inputs, a: ops.where(*inputs),
    "SelectV2": lambda inputs, a: ops.where(*inputs),
    "Shape": lambda inputs, a: _run("shape")(inputs[0]),
    "SpaceToDepth": lambda inputs, a: _run("space_to_depth")(inputs[0], a["block_size"]),
    "Split": lambda inputs, a: list(_run("split")(inputs[1], a["num_split"], inputs[0])),
    "SplitV": lambda inputs, a: list(_run("split")(*inputs)),
    "SquaredDifference": lambda inputs, a: ops.square(ops.subtract(*map(_tensor, inputs))),
    "Squeeze": lambda inputs, a: _run("squeeze")(inputs[0], a.get("squeeze_dims")),
    "StridedSlice": _strided_slice,
    "Tile": lambda inputs, a: _run("tile")(*inputs),
    "TopKV2": lambda inputs, a: list(ops.top_k(*inputs)),
    "Transpose": lambda inputs, a: _run("transpose")(*inputs),
    "Unpack": lambda inputs, a: list(_run("unstack")(inputs[0], a.get("num"), a.get("axis", 0))),
}


class TensorFlowNode(TensorFlowFunction):
    """An operation from a file; called on the symbolic tensors among its inputs, it adds functions to the graph.

    Raises:
        ValueError: an operation that is not in the tables; its inputs or attributes when called.
    """

    def __init__(self, name: str, config: Mapping[str, Any]) -> None:
        self.name, node = name, config["node_def"]
        self.function = node["op"]
        self.attributes = {key: _attribute(value) for key, value in node.get("attr", {}).items()}
        self.constants = {int(place): value for place, value in (config.get("constants") or {}).items()}
        if self.function not in _OPERATIONS:
            hint = nearest(self.function, list(_OPERATIONS))
            remedy = f"{hint} Or build the model with convia.ops or a Layer in its place, and load its weights."
            received = f"TensorFlow's operation {self.function}"
            raise ValueError(explain(f"load_model, {name!r}", received, "one that convia has", remedy))

    def __call__(self, *args: Any, **kwargs: Any) -> list[Any]:
        """Return the outputs, always in a list."""
        inputs = [*args[0]]
        for place, value in sorted(self.constants.items()):
            inputs.insert(place, value)
        try:
            result = _OPERATIONS[self.function](inputs, self.attributes)
        except (TypeError, KeyError, IndexError) as error:
            received = f"the operation {self.function} with {len(inputs)} inputs, {sorted(self.attributes)} ({error})"
            raise ValueError(explain(f"load_model, {self.name!r}", received, "inputs that convia knows")) from error
        return result if isinstance(result, list) else [result]


def _rows(text: str) -> dict[str, str]:
    return {row.partition("=")[0]: row.partition("=")[2] or row.lower() for row in text.split()}


_OPERATIONS: dict[str, Callable[[Sequence[Any], Mapping[str, Any]], Any]] = {
    **{name: _pointwise(short) for name, short in _rows(_POINTWISE).items()},
    **{name: _reduction(name) for name in _REDUCTIONS.split()},
    **_SPECIAL,
}

__all__ = ["CLASS", "TensorFlowNode"]
