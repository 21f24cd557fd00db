"""``import tensorflow as tf`` as programs of convolutional networks use it, on torch's tensors.

The names are TensorFlow 2's, and those of TensorFlow 1 that programs of its time use. Functions are rows of tables over
``convia.ops`` and torch; they work on tensors with numbers and on symbolic ones, where they become nodes of the graph.
A tensor is a plain ``torch.Tensor`` (see ``tensors.py``). What is not here raises an AttributeError that says so.
"""

import sys
from typing import Any

import numpy as np

from convia.compat.tensorflow import arrays as _arrays
from convia.compat.tensorflow import checks as _checks
from convia.compat.tensorflow import contrib as _contrib
from convia.compat.tensorflow import control as _control
from convia.compat.tensorflow import data as _data
from convia.compat.tensorflow import devices as _devices
from convia.compat.tensorflow import dtypes as _dtypes
from convia.compat.tensorflow import examples as _examples
from convia.compat.tensorflow import extras as _extras
from convia.compat.tensorflow import files as _files
from convia.compat.tensorflow import graphs as _graphs
from convia.compat.tensorflow import image as _image
from convia.compat.tensorflow import image_boxes as _image_boxes
from convia.compat.tensorflow import image_color as _image_color
from convia.compat.tensorflow import linalg as _linalg
from convia.compat.tensorflow import math as _math
from convia.compat.tensorflow import nn as _nn
from convia.compat.tensorflow import picking as _picking
from convia.compat.tensorflow import randomness as _randomness
from convia.compat.tensorflow import replicas as _replicas
from convia.compat.tensorflow import shapes as _shapes
from convia.compat.tensorflow import sparse as _sparse
from convia.compat.tensorflow import strings as _strings
from convia.compat.tensorflow import summary as _summary
from convia.compat.tensorflow import tape as _tape
from convia.compat.tensorflow import tensor_array as _tensor_array
from convia.compat.tensorflow import tensors as _tensors
from convia.compat.tensorflow import train as _train
from convia.compat.tensorflow import v1 as _v1
from convia.compat.tensorflow import v1_losses as _v1_losses
from convia.compat.tensorflow import variables as _variables
from convia.compat.tensorflow.data.records import TFRecordWriter as _TFRecordWriter
from convia.compat.tensorflow.names import Namespace, missing
from convia.compat.tensorflow.names import public as _public

_VERSION = "2.15.1"
_WITHIN = (
    "InvalidArgumentError",
    "assert_",
    "block",
    "do_not_convert",
    "group",
    "no_op",
    "print_",
    "require",
)  # of control, not for tf itself
_OF_KERAS = ("activations", "initializers", "losses", "metrics", "optimizers")  # tf.losses is tf.keras.losses


def _space(name: str, members: dict[str, Any]) -> Namespace:
    return Namespace(f"tensorflow.{name}", f"tf.{name}, as far as convia has it.", members)


def _image_names() -> dict[str, Any]:
    colors = {name: getattr(_image_color, name) for name in _image_color.__all__ if name != "RANDOM"}
    sizes = {name: getattr(home, name) for home in (_image, _image_boxes) for name in home.__all__}
    old = {**_image.OLD, "resize_image_with_crop_or_pad": _image.resize_with_crop_or_pad}
    return {**sizes, **colors, **_image_color.RANDOM, **_files.DECODERS, **old}


def _spaces() -> dict[str, Any]:
    experimental_random = _space("random.experimental", _randomness.EXPERIMENTAL)
    io = {**_files.IO, **_examples.IO, "TFRecordWriter": _TFRecordWriter, "gfile": _space("io.gfile", _files.GFILE)}
    cluster = _space("distribute.cluster_resolver", _devices.RESOLVERS)
    distribute = {
        "cluster_resolver": cluster,
        "experimental": _space("distribute.experimental", _replicas.EXPERIMENTAL_DISTRIBUTE),
    }
    train = {name: getattr(_train, name) for name in _train.__all__}
    return {
        "config": _space(
            "config", {**_devices.CONFIG, "experimental": _space("config.experimental", _devices.EXPERIMENTAL_CONFIG)}
        ),
        "data": _space("data", {**_data.DATA, "experimental": _space("data.experimental", _data.EXPERIMENTAL)}),
        "debugging": _space(
            "debugging",
            {
                **_checks.DEBUGGING,
                "experimental": _space("debugging.experimental", {"enable_dump_debug_info": _control.no_op}),
            },
        ),
        "distribute": _space("distribute", {**_replicas.DISTRIBUTE, **distribute}),
        "dtypes": _space(
            "dtypes", {**_dtypes.NAMES, "DType": _dtypes.DType, "as_dtype": _dtypes.as_dtype, "cast": _arrays.cast}
        ),
        "errors": _space("errors", _checks.ERRORS),
        "experimental": _space("experimental", {"numpy": _space("experimental.numpy", _extras.NUMPY)}),
        "image": _space("image", _image_names()),
        "io": _space("io", io),
        "linalg": _space(
            "linalg",
            {
                **_linalg.LINALG,
                "eye": _arrays.eye,
                "global_norm": _arrays.global_norm,
                "l2_normalize": _math.MATH["l2_normalize"],
            },
        ),
        "math": _space("math", _math.MATH),
        "nn": _space("nn", _nn.NN),
        "random": _space("random", {**_randomness.RANDOM, "experimental": experimental_random}),
        "signal": _space("signal", _linalg.SIGNAL),
        "strings": _space("strings", _strings.STRINGS),
        "summary": _space(
            "summary", {**_summary.SUMMARY, "experimental": _space("summary.experimental", _summary.EXPERIMENTAL)}
        ),
        "test": _space("test", _devices.TEST),
        "train": _space("train", {**train, **_examples.TRAIN, **_v1.OLD_TRAIN}),
        **{name: _space(name, members) for name, members in _v1.OLD_SPACES.items()},
        **_extras.EXTRAS,
        **_contrib.CONTRIB,
    }


def _top() -> dict[str, Any]:
    from_arrays = _public(vars(_arrays), without=("to_float", "to_int32"))
    from_picking = _public(vars(_picking), without=("Unique", "UniqueWithCounts"))
    return {
        **from_arrays,
        **from_picking,
        **_math.TOP,
        **_dtypes.NAMES,
        **_extras.INITIALIZERS,
        **{name: getattr(_linalg, name) for name in ("einsum", "matmul", "norm", "tensordot")},
        "Assert": _control.assert_,
        "DType": _dtypes.DType,
        "GradientTape": _tape.GradientTape,
        "Graph": _v1.Graph,
        "Module": _variables.Module,
        "RaggedTensor": _extras.RAGGED_TENSOR,
        "RaggedTensorSpec": _extras.RAGGED_SPEC,
        "SparseTensor": _sparse.SparseTensor,
        "Tensor": _tensors.AnyTensor,
        "TensorArray": _tensor_array.TensorArray,
        "TensorShape": _shapes.TensorShape,
        "TensorSpec": _shapes.TensorSpec,
        "UnconnectedGradients": _tape.UnconnectedGradients,
        "Variable": _variables.Variable,
        "as_dtype": _dtypes.as_dtype,
        "control_dependencies": _graphs.control_dependencies,
        "custom_gradient": _tape.custom_gradient,
        "depth_to_space": _nn.NN["depth_to_space"],
        "device": _control.block,
        "edit_distance": _sparse.edit_distance,
        "executing_eagerly": lambda: not _graphs.in_use(),
        "get_logger": _v1.get_logger,
        "gradients": _v1.gradients,
        "group": _v1.group,
        "init_scope": _control.block,
        "make_ndarray": np.asarray,
        "make_tensor_proto": _extras.make_tensor_proto,
        "name_scope": _control.name_scope,
        "newaxis": None,
        "no_op": _v1.no_op,
        "print": _control.print_,
        "recompute_grad": _tape.recompute_grad,
        "space_to_depth": _nn.NN["space_to_depth"],
        **{name: getattr(_control, name) for name in _control.__all__ if name not in _WITHIN},
    }


def _assembled() -> dict[str, Any]:
    top, spaces = _top(), _spaces()
    old = {**top, **spaces, **_v1.ONLY_OLD, "random": spaces["random"], "losses": _LOSSES}
    versions = {"v1": _space("compat.v1", old), "v2": _space("compat.v2", {**top, **spaces})}
    compat = {**versions, "as_bytes": _as_bytes, "as_str": _as_text, "as_text": _as_text}
    return {**_v1.ONLY_OLD, **top, **spaces, "compat": _space("compat", compat), "newaxis": None}


def _as_bytes(bytes_or_text: Any, encoding: str = "utf-8") -> bytes:
    return bytes_or_text if isinstance(bytes_or_text, bytes) else str(bytes_or_text).encode(encoding)


def _as_text(bytes_or_text: Any, encoding: str = "utf-8") -> str:
    return bytes_or_text.decode(encoding) if isinstance(bytes_or_text, bytes) else str(bytes_or_text)


class _Losses(Namespace):
    """``tf.losses``: functions of TensorFlow 1, and those of ``tf.keras.losses``."""

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.modules["convia.compat.tensorflow"].keras.losses, name)


_LOSSES = _Losses("tensorflow.losses", "tf.losses, as far as convia has it.", _v1_losses.LOSSES)
_NAMES = _assembled()
globals().update(_NAMES)
__version__ = _VERSION
__all__ = sorted([*_NAMES, "keras"])  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name == "keras":  # the hook puts the era's Keras here; without it there is convia itself
        return sys.modules["convia"]
    if name == "losses":
        return _LOSSES
    if name in _OF_KERAS:
        return getattr(sys.modules[__name__].keras, name)
    raise missing("tensorflow", name, __all__)


_tensors.activate()
