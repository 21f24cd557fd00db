"""``tensorflow.python``: TensorFlow's own modules, which programs import from although they are private.

A row of the table is one of them: the public spaces that have its names, in order of preference.
"""

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from convia.compat.tensorflow import devices, v1
from convia.compat.tensorflow.files import GFile
from convia.compat.tensorflow.names import Namespace, missing

_FACADE = "convia.compat.tensorflow"
_TF = ". math compat.v1"

# path below tensorflow.python → spaces of tf, "." for tf itself
ROWS = {
    "client.device_lib": "config",
    "client.session": "compat.v1",
    "data.ops.dataset_ops": "data",
    "eager.backprop": ".",
    "eager.context": ". config",
    "eager.def_function": ".",
    "framework.constant_op": ".",
    "framework.dtypes": ".",
    "framework.errors": "errors",
    "framework.errors_impl": "errors",
    "framework.ops": ". compat.v1",
    "framework.random_seed": "random compat.v1",
    "framework.tensor_shape": ".",
    "framework.tensor_spec": ".",
    "framework.tensor_util": ".",
    "lib.io.file_io": "io.gfile",
    "lib.io.tf_record": "io data",
    "module.module": ".",
    "ops.array_ops": _TF,
    "ops.check_ops": "debugging .",
    "ops.clip_ops": ".",
    "ops.control_flow_ops": ". compat.v1",
    "ops.ctc_ops": "nn",
    "ops.functional_ops": ".",
    "ops.gen_array_ops": _TF,
    "ops.gen_math_ops": _TF,
    "ops.gen_nn_ops": "nn .",
    "ops.image_ops": "image",
    "ops.image_ops_impl": "image",
    "ops.init_ops": ". initializers compat.v1",
    "ops.init_ops_v2": ". initializers",
    "ops.linalg_ops": "linalg .",
    "ops.logging_ops": ". compat.v1",
    "ops.losses.losses": "losses",
    "ops.map_fn": ".",
    "ops.math_ops": _TF,
    "ops.nn": "nn .",
    "ops.nn_impl": "nn .",
    "ops.nn_ops": "nn .",
    "ops.numpy_ops.np_config": ".",
    "ops.parsing_ops": "io",
    "ops.random_ops": "random . compat.v1",
    "ops.script_ops": ".",
    "ops.standard_ops": _TF,
    "ops.state_ops": ". compat.v1",
    "ops.string_ops": "strings .",
    "ops.summary_ops_v2": "summary",
    "ops.tensor_array_ops": ".",
    "ops.variable_scope": "compat.v1 .",
    "ops.variables": ". compat.v1",
    "platform.gfile": "compat.v1.gfile io.gfile",
    "platform.tf_logging": "compat.v1.logging logging",
    "summary.summary": "summary",
    "training.checkpoint_management": "train",
    "training.moving_averages": "train .",
    "util.nest": "nest",
    "util.tf_export": ".",
    "util.tf_inspect": ".",
}


def _as_it_is(*names: str, **options: Any) -> Callable[[Any], Any]:
    """Give a function no other name: what decorates TensorFlow's own functions."""
    return lambda function: function


# path → what only this module has
_OWN: dict[str, dict[str, Any]] = {
    "client.device_lib": {"list_local_devices": devices.list_local_devices},
    "framework.ops": {**v1.OPS, "EagerTensor": Tensor},
    "lib.io.file_io": {"FileIO": GFile},
    "ops.numpy_ops.np_config": {"enable_numpy_behavior": lambda *args, **kwargs: None},  # tensors have it anyway
    "util.tf_export": {"keras_export": _as_it_is, "tf_export": _as_it_is},
    "util.tf_inspect": {name: value for name, value in vars(inspect).items() if not name.startswith("_")},
}


class Inner(Namespace):
    """A private module: it has the names of public spaces.

    Args:
        path: below ``tensorflow.python``.
        spaces: of ``tf``, apart by blanks.
        own: names that it has besides.
    """

    def __init__(self, path: str, spaces: str, own: Mapping[str, Any]) -> None:
        super().__init__(f"tensorflow.python.{path}", f"The names of tf's {spaces}.", own)
        self.__dict__["_spaces"] = spaces.split()

    def __getattr__(self, name: str) -> Any:
        for space in () if name.startswith("__") else self._spaces:
            place: Any = importlib.import_module(_FACADE)
            for part in filter(None, space.split(".")):
                place = getattr(place, part, None)
            found = getattr(place, name, None)
            if found is not None:
                return found
        raise missing(self.__name__, name, self.__all__)


def _tree(path: str = "") -> dict[str, Any]:
    """The modules and packages directly below a path."""
    tails = {row[len(path) :].split(".")[0] for row in ROWS if row.startswith(path)}
    return {
        tail: Inner(path + tail, ROWS[path + tail], _OWN.get(path + tail, {}))
        if path + tail in ROWS
        else Namespace(f"tensorflow.python.{path}{tail}", "Modules of TensorFlow's own.", _tree(f"{path}{tail}."))
        for tail in sorted(tails)
    }


PYTHON = Namespace("tensorflow.python", "TensorFlow's own modules, as far as convia has their names.", _tree())

__all__ = ["PYTHON", "ROWS", "Inner"]
