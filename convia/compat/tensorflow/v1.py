"""``tf.compat.v1``, and what programs of TensorFlow 1 find directly in ``tf``: sessions, logs, old names."""

import logging
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from convia import backend, tree
from convia.compat.sizes import Dimension
from convia.compat.tensorflow import arrays, math, randomness
from convia.compat.tensorflow.control import block, no_op
from convia.compat.tensorflow.door import api, given
from convia.compat.tensorflow.files import OLD_GFILE
from convia.compat.tensorflow.overrides import REGISTRY, gradient_override_map, register_gradient
from convia.compat.tensorflow.texts import StringTensor
from convia.compat.tensorflow.v1_training import OPTIMIZERS, TrainingStep, exponential_decay, global_step
from convia.errors import explain
from convia.symbolic import KerasTensor
from convia.variable import Variable


class Proto:
    """Settings of any names, nested as deep as one likes: ``config.gpu_options.allow_growth = True``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.__dict__.update(kwargs)

    def __getattr__(self, name: str) -> "Proto":
        if name.startswith("__"):
            raise AttributeError(name)
        self.__dict__[name] = made = Proto()
        return made

    def __setitem__(self, key: Any, value: Any) -> None:
        self.__dict__[str(key)] = value


class Graph:
    """The graph there is in TensorFlow 1: a block in which nothing is different."""

    def as_default(self) -> Any:
        """Return a block."""
        return block()

    def finalize(self) -> None:
        """Do nothing."""

    def as_graph_def(self, *args: Any, **kwargs: Any) -> Any:
        """Raise NotImplementedError: models here have no such graph."""
        raise NotImplementedError(explain("Graph.as_graph_def", "a call", "model.save or model.export"))

    gradient_override_map = staticmethod(gradient_override_map)


class Session:
    """Computes tensors: those with numbers are there already, symbolic ones are computed from ``feed_dict``.

    Args:
        target, graph, config: accepted.
    """

    def __init__(self, target: Any = "", graph: Any = None, config: Any = None) -> None:
        self.graph = graph or Graph()

    def run(self, fetches: Any, feed_dict: Any = None, options: Any = None, run_metadata: Any = None) -> Any:
        """Return the numbers of tensors in their structure; what is no tensor, such as an initializer, gives None.

        Raises:
            ValueError: a symbolic tensor needs what was not fed.
        """
        feeds = dict(feed_dict or {})
        for step in (fetch for fetch in tree.flatten(fetches) if isinstance(fetch, TrainingStep)):
            step.run(feeds)
        wanted = [fetch for fetch in tree.flatten(fetches) if isinstance(fetch, KerasTensor)]
        found = iter(backend.function(list(feeds), wanted)(list(feeds.values())) if wanted else ())
        return tree.map_structure(
            lambda fetch: next(found) if isinstance(fetch, KerasTensor) else _value(fetch), fetches
        )

    def as_default(self) -> "Session":
        """Return the session, which is a block too."""
        return self

    def close(self) -> None:
        """Do nothing."""

    def list_devices(self) -> list[Any]:
        """Return nothing."""
        return []

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *error: Any) -> None:
        return None


def _value(fetch: Any) -> Any:
    if isinstance(fetch, StringTensor):
        return fetch.numpy()
    return fetch.detach().cpu().numpy() if isinstance(fetch, torch.Tensor) else None


@api(record=())
def print_through(input_: Any, data: Any, message: str = "", first_n: Any = None, summarize: Any = None) -> Any:
    """Return the tensor, after printing others."""
    shown = [x if isinstance(x, (KerasTensor, str)) else np.asarray(_value(given(x))) for x in data]
    print(message, *shown, sep="")
    return given(input_)


def _assigning(name: str) -> Any:
    def assign(ref: Any, value: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(ref, name)(value)

    return assign


@api
def get_variable(
    name: str, shape: Any = None, dtype: Any = None, initializer: Any = None, trainable: bool = True, **ignored: Any
) -> Any:
    """Make a variable, by default of Glorot's uniform distribution."""
    if initializer is not None and not callable(initializer):
        return Variable(given(initializer), name=name, trainable=trainable)
    limit = (6 / (sum(shape[-2:]) or 1)) ** 0.5
    start = initializer(shape) if initializer is not None else randomness.uniform(shape, -limit, limit)
    return Variable(start, name=name, trainable=trainable)


@api(record=())
def placeholder(dtype: Any, shape: Any = None) -> Any:
    """Return a symbolic tensor that stands for data of a shape; without one for a number, such as a rate."""
    return backend.placeholder(shape if shape is not None else (), dtype=getattr(dtype, "name", dtype))


@api
def gradients(ys: Any, xs: Any, grad_ys: Any = None, **ignored: Any) -> Any:
    """Return the gradients of the sum of some tensors for others, symbolic ones too."""
    ys = list(ys) if isinstance(ys, (list, tuple)) else [ys]
    return backend.gradients(math.MATH["add_n"](ys) if len(ys) > 1 else ys[0], xs)


def _ignored(*args: Any, **kwargs: Any) -> None:
    """Accept what means nothing here."""


def _refused(name: str, remedy: str) -> Any:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(explain(name, "a call", "something else", remedy))

    return refuse


def _of_queues(name: str) -> Any:
    return _refused(name, "Queues of TensorFlow 1 are not here; use tf.data.Dataset.")


_logger = logging.getLogger("tensorflow")
LOGGING = {
    "DEBUG": 10, "ERROR": 40, "FATAL": 50, "INFO": 20, "WARN": 30,
    "debug": _logger.debug, "error": _logger.error, "fatal": _logger.critical, "info": _logger.info,
    "log": _logger.log, "set_verbosity": _logger.setLevel, "get_verbosity": _logger.getEffectiveLevel,
    "warn": _logger.warning, "warning": _logger.warning,
}  # fmt: skip


def get_logger() -> Any:
    """Return the logger "tensorflow"."""
    return _logger


class ModeKeys:
    """What an estimator does."""

    TRAIN, EVAL, PREDICT = "train", "eval", "infer"


ONLY_OLD: dict[str, Any] = {  # names of TensorFlow 1; programs of its time find them in tf itself
    **math.OLD,
    **randomness.OLD,
    "AttrValue": Proto,
    "RegisterGradient": register_gradient,
    "ConfigProto": Proto,
    "Dimension": Dimension,
    "FIFOQueue": _of_queues("tf.FIFOQueue"),
    "GPUOptions": Proto,
    "GraphDef": Proto,
    "InteractiveSession": Session,
    "OptimizerOptions": Proto,
    "Print": print_through,
    "RunMetadata": Proto,
    "RunOptions": Proto,
    "Session": Session,
    "add_to_collection": _ignored,
    "all_variables": list,
    "assign": _assigning("assign"),
    "assign_add": _assigning("assign_add"),
    "assign_sub": _assigning("assign_sub"),
    "disable_eager_execution": _ignored,
    "disable_resource_variables": _ignored,
    "disable_v2_behavior": _ignored,
    "disable_v2_tensorshape": _ignored,
    "enable_eager_execution": _ignored,
    "enable_resource_variables": _ignored,
    "enable_v2_behavior": _ignored,
    "enable_v2_tensorshape": _ignored,
    "executing_eagerly_outside_functions": lambda: True,
    "get_collection": lambda *args, **kwargs: [],
    "get_default_graph": Graph,
    "get_default_session": Session,
    "get_variable": get_variable,
    "global_variables": list,
    "global_variables_initializer": no_op,
    "initialize_all_variables": no_op,
    "local_variables_initializer": no_op,
    "placeholder": placeholder,
    "reset_default_graph": backend.clear_session,
    "tables_initializer": no_op,
    "to_float": arrays.to_float,
    "to_int32": arrays.to_int32,
    "trainable_variables": list,
    "truncated_normal": randomness.truncated_normal,
    "variable_scope": block,
    "variables_initializer": no_op,
}


def _train() -> dict[str, Any]:
    return {
        "Coordinator": _of_queues("tf.train.Coordinator"),
        "start_queue_runners": _of_queues("tf.train.start_queue_runners"),
        "create_global_step": global_step,
        "exponential_decay": exponential_decay,
        "get_global_step": global_step,
        "get_or_create_global_step": global_step,
        **OPTIMIZERS,
    }


OLD_TRAIN = _train()
OLD_SPACES = {
    "estimator": {"ModeKeys": ModeKeys},
    "gfile": OLD_GFILE,
    "logging": LOGGING,
}


OPS = {"RegisterGradient": register_gradient, "_gradient_registry": SimpleNamespace(_registry=REGISTRY)}

__all__ = [
    "LOGGING",
    "OLD_SPACES",
    "OLD_TRAIN",
    "ONLY_OLD",
    "OPS",
    "Graph",
    "Proto",
    "Session",
    "get_logger",
    "gradients",
]
