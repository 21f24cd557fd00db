"""``tf.compat.v1``, and what programs of TensorFlow 1 find directly in ``tf``: sessions, logs, old names."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from convia import backend, config, tree
from convia.compat.names import flags
from convia.compat.sizes import Dimension
from convia.compat.tensorflow import arrays, graphs, math, picking, randomness, v1_scopes
from convia.compat.tensorflow.control import block
from convia.compat.tensorflow.door import api, given, is_symbolic, torch_dtype
from convia.compat.tensorflow.files import OLD_GFILE
from convia.compat.tensorflow.names import Namespace
from convia.compat.tensorflow.overrides import REGISTRY, gradient_override_map, register_gradient
from convia.compat.tensorflow.sparse import to_dense
from convia.compat.tensorflow.texts import StringTensor
from convia.compat.tensorflow.v1_files import Saver, import_meta_graph
from convia.compat.tensorflow.v1_layers import LAYERS
from convia.compat.tensorflow.v1_training import OPTIMIZERS, RATES, global_step
from convia.errors import explain, nearest
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
    """A graph of TensorFlow 1: what its variables and collections are kept in."""

    def __init__(self, state: graphs.State | None = None) -> None:
        self.state = state or graphs.State()

    def as_default(self) -> Any:
        """Return a block within which this graph is in use."""
        return _in_graph(self)

    def finalize(self) -> None:
        """Do nothing."""

    def get_tensor_by_name(self, name: str) -> Any:
        """Return a placeholder or a variable by its name, which ends in ":0".

        Raises:
            KeyError: neither has that name.
        """
        known = {**self.state.by_name, **{v.path: v for v in self.state.alive()}, **self.state.tensors}
        bare = name.removesuffix(":0")
        if bare not in known:
            raise KeyError(explain("Graph.get_tensor_by_name", repr(name), "the name of a placeholder or a variable",
                                   nearest(bare, list(known))))  # fmt: skip
        return known[bare]

    get_operation_by_name = get_tensor_by_name

    def get_collection(self, name: str, scope: str | None = None) -> list[Any]:
        """Return a collection."""
        with graphs.within(self.state):
            return v1_scopes.get_collection(name, scope)

    def get_operations(self) -> list[Any]:
        """Return no operations: calls are not kept."""
        return []

    def as_graph_def(self, *args: Any, **kwargs: Any) -> Any:
        """Raise NotImplementedError: models here have no such graph."""
        raise NotImplementedError(explain("Graph.as_graph_def", "a call", "model.save or model.export"))

    device = staticmethod(block)
    control_dependencies = staticmethod(graphs.control_dependencies)
    name_scope = staticmethod(block)
    gradient_override_map = staticmethod(gradient_override_map)


@contextmanager
def _in_graph(graph: Graph) -> Iterator[Graph]:
    with graphs.within(graph.state):
        yield graph


def get_default_graph() -> Graph:
    """Return the graph in use."""
    return Graph(graphs.state())


class Session:
    """Computes tensors: those with numbers are there already, symbolic ones are computed from ``feed_dict``.

    Args:
        target, config: accepted.
        graph: the graph in use within its block.
    """

    def __init__(self, target: Any = "", graph: Any = None, config: Any = None) -> None:
        self.graph = graph or get_default_graph()
        self._blocks: list[Any] = []

    def run(self, fetches: Any, feed_dict: Any = None, options: Any = None, run_metadata: Any = None) -> Any:
        """Return the numbers of tensors in their structure; what is no tensor, such as a step, gives None.

        Raises:
            ValueError: a symbolic tensor needs what was not fed.
            OutOfRangeError: a dataset has no more elements.
        """
        flat = [self._named(fetch) for fetch in tree.flatten(fetches)]
        feeds = {self._named(key): value for key, value in (feed_dict or {}).items()}
        with graphs.within(self.graph.state):
            found = iter(graphs.run(flat, feeds))
        return tree.map_structure(lambda fetch: _value(next(found)), fetches)

    def _named(self, item: Any) -> Any:
        return self.graph.get_tensor_by_name(item) if isinstance(item, str) else item

    def as_default(self) -> "Session":
        """Return the session, which is a block too."""
        return self

    def close(self) -> None:
        """Do nothing."""

    def list_devices(self) -> list[Any]:
        """Return nothing."""
        return []

    def __enter__(self) -> "Session":
        self._blocks.append(graphs.within(self.graph.state))
        self._blocks[-1].__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._blocks.pop().__exit__(*error)


def _value(fetch: Any) -> Any:
    if isinstance(fetch, StringTensor):
        return fetch.numpy()
    if isinstance(fetch, (np.ndarray, np.generic)):
        return fetch
    if not isinstance(fetch, torch.Tensor):
        return None
    array = fetch.detach().cpu().numpy()
    return _number(array.copy() if isinstance(fetch, Variable) else array)  # a variable changes in place


def _number(array: Any) -> Any:
    """A tensor of no axes is a number of NumPy's."""
    return array if array.ndim else array[()]


@api(record=())
def print_through(input_: Any, data: Any, message: str = "", first_n: Any = None, summarize: Any = None) -> Any:
    """Return the tensor, after printing others."""
    shown = [x if isinstance(x, (KerasTensor, str)) else np.asarray(_value(given(x))) for x in data]
    print(message, *shown, sep="")
    return given(input_)


def _input(shape: Any, dtype: Any, name: str | None) -> Any:
    graphs.use(graph=True)
    sizes = () if shape is None else tuple(shape) if isinstance(shape, (list, tuple)) else (shape,)
    kind = config.dtype_name(torch_dtype(dtype) or torch.float32)
    found = backend.placeholder(tuple(None if size in (None, -1) else int(size) for size in sizes), dtype=kind)
    path = graphs.state().prefix + graphs.unique(name or "Placeholder")
    found.name = f"{path}:0"
    graphs.state().tensors[path] = found
    return found


def placeholder(dtype: Any, shape: Any = None, name: str | None = None) -> Any:
    """Return a symbolic tensor that stands for data of a shape; without one for a number, such as a rate."""
    return _input(shape, dtype, name)


def placeholder_with_default(input: Any, shape: Any, name: str | None = None) -> Any:
    """Return a symbolic tensor that is a given value in runs that feed it no other."""
    value = given(input)
    found = _input(shape, value.dtype, name)
    return graphs.sourced(found, lambda run: graphs.evaluate([value], {})[0] if is_symbolic(value) else value)


def gradients(ys: Any, xs: Any, grad_ys: Any = None, **ignored: Any) -> Any:
    """Return the gradients of the sum of some tensors for others, symbolic ones too."""
    ys = list(ys) if isinstance(ys, (list, tuple)) else [ys]
    return backend.gradients(math.MATH["add_n"](ys) if len(ys) > 1 else ys[0], xs)


def group(*inputs: Any, name: str | None = None) -> graphs.Operation:
    """Return an operation that runs others."""
    return graphs.Operation(lambda *tensors: None, before=[x for x in tree.flatten(list(inputs)) if _acts(x)])


def no_op(name: str | None = None) -> graphs.Operation:
    """Return an operation that does nothing."""
    return graphs.Operation(lambda *tensors: None)


def _acts(item: Any) -> bool:
    return isinstance(item, graphs.Operation)


def reset_default_graph() -> None:
    """Begin anew: names, variables, collections."""
    graphs.forget()
    backend.clear_session()


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
    **v1_scopes.OLD,
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
    "control_dependencies": graphs.control_dependencies,
    "disable_eager_execution": lambda: graphs.use(graph=True),
    "disable_resource_variables": _ignored,
    "disable_v2_behavior": lambda: graphs.use(graph=True),
    "disable_v2_tensorshape": _ignored,
    "enable_eager_execution": lambda *args, **kwargs: graphs.use(graph=False),
    "enable_resource_variables": _ignored,
    "enable_v2_behavior": lambda: graphs.use(graph=False),
    "enable_v2_tensorshape": _ignored,
    "executing_eagerly_outside_functions": lambda: True,
    "get_default_graph": get_default_graph,
    "get_default_session": Session,
    "group": group,
    "no_op": no_op,
    "placeholder": placeholder,
    "placeholder_with_default": placeholder_with_default,
    "reset_default_graph": reset_default_graph,
    "sparse_tensor_to_dense": to_dense,
    "tables_initializer": no_op,
    "to_float": arrays.to_float,
    "to_int32": arrays.to_int32,
    "truncated_normal": randomness.truncated_normal,
    "where": picking.where_of_rows,
}


def _train() -> dict[str, Any]:
    return {
        "Coordinator": _of_queues("tf.train.Coordinator"),
        "start_queue_runners": _of_queues("tf.train.start_queue_runners"),
        "Saver": Saver,
        "create_global_step": global_step,
        "get_global_step": global_step,
        "get_or_create_global_step": global_step,
        "import_meta_graph": import_meta_graph,
        **OPTIMIZERS,
        **RATES,
    }


OLD_TRAIN = _train()
_FLAGS = {name: getattr(flags, name) for name in flags.__all__ if name not in ("Flags", "reset", "run")}
OLD_SPACES: dict[str, dict[str, Any]] = {
    "app": {"flags": Namespace("tensorflow.app.flags", "tf.app.flags", _FLAGS), "run": flags.run},
    "estimator": {"ModeKeys": ModeKeys},
    "flags": _FLAGS,
    "gfile": OLD_GFILE,
    "layers": LAYERS,
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
