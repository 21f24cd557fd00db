"""Symbolic tensors: calls on them are recorded as a graph instead of computed.

A :class:`KerasTensor` has a shape and a type, no numbers. Whatever is called on it (a layer, a function of
``convia.ops``, a plain ``torch`` function, an operator) becomes a :class:`Node`. Output shapes are not written down
anywhere: the call is run on torch's meta device, which computes shapes alone, with two sizes for each unknown
dimension; what differs in the results is unknown there too. A call that asks for numbers gets zeros.
"""

import functools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
    unset_fake_temporarily,
)

from convia import config, registry, tree
from convia.errors import explain
from convia.naming import auto_name

Shape = tuple[int | None, ...]
_BATCH_SIZES = (12, 24)  # tried in place of an unknown batch size: groups of 2, 3, 4, 6 and 12 samples fit …
_OTHER_SIZES = (512, 768)  # … and of another unknown dimension: large enough for any stack of strides
_FEW = 64  # so many numbers made of shapes are kept, to make other shapes of them


class KerasTensor:
    """A tensor of a graph under construction: a shape with None for unknown dimensions, a type, a history.

    Args:
        shape: dimensions, the batch's included.
        dtype: "float32", …
        name: for inputs and error messages.
    """

    def __init__(
        self,
        shape: Any,
        dtype: Any = "float32",
        sparse: bool = False,
        ragged: bool = False,
        record_history: bool = True,
        name: str | None = None,
    ) -> None:
        self.shape: Shape = tuple(shape)
        self.dtype = config.dtype_name(dtype)
        self.sparse = sparse
        self.ragged = ragged
        self.name = name or auto_name("keras_tensor")
        self.node: Node | None = None
        self.index = 0
        self.known: tuple[torch.Tensor, torch.Tensor] | None = None  # its numbers in both trials: a shape, say

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self.shape)

    @property
    def _keras_history(self) -> "History | None":
        if self.node is None:
            return None
        return History(self.node.operation, self.node.operation._inbound_nodes.index(self.node), self.index)

    def __repr__(self) -> str:
        return f"<KerasTensor shape={self.shape}, dtype={self.dtype}, name={self.name}>"

    def __bool__(self) -> bool:
        raise TypeError(self._refusal("as a truth value", "Use convia.ops.where or convia.ops.cond."))

    def __iter__(self) -> Any:
        raise TypeError(self._refusal("in a loop", "Index it, or use convia.ops.unstack."))

    def __array__(self, *args: Any) -> Any:
        raise ValueError(self._refusal("as a NumPy array", "Use functions of convia.ops, or a layer, on it."))

    def numpy(self) -> Any:
        """Refuse: a symbolic tensor holds no numbers."""
        return self.__array__()

    def _refusal(self, use: str, remedy: str) -> str:
        return explain(
            f"KerasTensor {self.name!r}", f"a use {use}", "a tensor with numbers", f"It is symbolic. {remedy}"
        )

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return record_function(function, args, kwargs or {})

    if TYPE_CHECKING:  # a table below gives them

        def _combined(self, other: Any) -> "KerasTensor": ...
        def _changed(self) -> "KerasTensor": ...

        __add__ = __sub__ = __mul__ = __truediv__ = __floordiv__ = __mod__ = __pow__ = __matmul__ = _combined
        __radd__ = __rsub__ = __rmul__ = __rtruediv__ = __rfloordiv__ = __rmod__ = __rpow__ = __rmatmul__ = _combined
        __and__ = __or__ = __xor__ = __rand__ = __ror__ = __rxor__ = __lt__ = __le__ = __gt__ = __ge__ = _combined
        __neg__ = __abs__ = __invert__ = _changed

    def __getitem__(self, key: Any) -> "KerasTensor":
        found: KerasTensor = record_function(_get_item, (self, key), {})
        return found

    def reshape(self, newshape: Any) -> Any:
        """Return the tensor in another shape, see ``ops.reshape``."""
        return _operator("reshape")(self, newshape)

    def squeeze(self, axis: Any = None) -> Any:
        """Return the tensor without axes of size 1, see ``ops.squeeze``."""
        return _operator("squeeze")(self, axis)


class History(NamedTuple):
    """Who made a tensor: the operation, which of its calls, which of the outputs."""

    operation: Any
    node_index: int
    tensor_index: int


def _get_item(tensor: torch.Tensor, key: Any) -> torch.Tensor:
    return tensor[key]


_OPERATORS = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "truediv": "true_divide",
    "floordiv": "floor_divide",
    "mod": "mod",
    "pow": "power",
    "matmul": "matmul",
    "and": "logical_and",
    "or": "logical_or",
    "xor": "logical_xor",
}
_COMPARISONS = {"lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "ne": "not_equal"}
_UNARY = {"neg": "negative", "abs": "absolute", "invert": "logical_not"}


def _operator(name: str, swapped: bool = False) -> Callable[..., Any]:
    def apply(*operands: Any) -> Any:
        function = registry.lookup("keras.ops", name)
        assert function is not None, f"convia.ops.{name} is not imported"
        return function(*reversed(operands)) if swapped else function(*operands)

    return apply


for _short, _long in {**_OPERATORS, **_COMPARISONS, **_UNARY}.items():
    setattr(KerasTensor, f"__{_short}__", _operator(_long))
for _short, _long in _OPERATORS.items():
    setattr(KerasTensor, f"__r{_short}__", _operator(_long, swapped=True))


class Node:
    """One call of an operation: its arguments (symbolic tensors among them) and what came out."""

    def __init__(self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: Any) -> None:
        self.operation = operation
        self.args, self.kwargs = _constants((args, kwargs))
        self.inputs = symbolic_leaves(args, kwargs)
        self.output_tree = outputs
        self.outputs = [leaf for leaf in tree.flatten(outputs) if isinstance(leaf, KerasTensor)]
        for index, tensor in enumerate(self.outputs):
            tensor.node, tensor.index = self, index
        operation._inbound_nodes.append(self)

    @property
    def is_input(self) -> bool:
        """Whether it stands for data from outside."""
        return not self.inputs

    @property
    def parents(self) -> list["Node"]:
        """The calls that made the inputs."""
        return [tensor.node for tensor in self.inputs if tensor.node is not None]

    @property
    def input_tensors(self) -> list[KerasTensor]:
        """The symbolic arguments in order."""
        return self.inputs

    @property
    def output_tensors(self) -> list[KerasTensor]:
        """The symbolic results in order."""
        return self.outputs


def _constants(structure: Any) -> Any:
    """Cut results off from what made them: the graph runs many times, and theirs is gone after the first gradient."""
    if any(_is_result(leaf) for leaf in tree.flatten(structure)):
        return tree.map_structure(lambda leaf: leaf.detach() if _is_result(leaf) else leaf, structure)
    return structure


def _is_result(leaf: Any) -> bool:
    return isinstance(leaf, torch.Tensor) and leaf.grad_fn is not None


class Operation:
    """Something that can be called on symbolic tensors and remembered; subclass it and define ``call``."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name or auto_name(type(self).__name__)
        self._inbound_nodes: list[Node] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if any_symbolic(args, kwargs):
            return record(self, self.call, args, kwargs)
        return self.call(*args, **kwargs)

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the outputs from tensors."""
        raise NotImplementedError(explain(type(self).__name__, "a call", "a method call() in the subclass"))

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Return symbolic outputs for symbolic inputs."""
        return infer(self.call, args, kwargs)

    @property
    def input(self) -> Any:
        """The symbolic input of its only call."""
        return self._inbound_nodes[0].args[0]

    @property
    def output(self) -> Any:
        """The symbolic output of its only call."""
        return self._inbound_nodes[0].output_tree


class FunctionCall(Operation):
    """A function in a graph: one of ``convia.ops`` or of torch."""

    def __init__(self, function: Callable[..., Any], name: str | None = None) -> None:
        super().__init__(name or auto_name(getattr(function, "__name__", "function").strip("_")))
        self.function = function

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        return self.function(*args, **kwargs)


def op(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function of tensors work on symbolic tensors too, as one node of the graph."""

    @functools.wraps(function)
    def either(*args: Any, **kwargs: Any) -> Any:
        if any_symbolic(args, kwargs):
            return record_function(function, args, kwargs)
        return function(*args, **kwargs)

    return either


def is_symbolic(x: Any) -> bool:
    """Whether a value is a symbolic tensor."""
    return isinstance(x, KerasTensor)


def symbolic_leaves(*trees: Any) -> list[KerasTensor]:
    """Return the symbolic tensors in nested arguments, in order."""
    return [leaf for leaf in tree.flatten(list(trees)) if isinstance(leaf, KerasTensor)]


def any_symbolic(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether any argument, also within lists and dicts, is symbolic; quick for plain tensors."""
    for value in (*args, *kwargs.values()) if kwargs else args:
        if isinstance(value, KerasTensor):
            return True
        if isinstance(value, (list, tuple, dict)) and symbolic_leaves(value):
            return True
    return False


def record_function(function: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
    """Record a call of a plain function on symbolic tensors."""
    return record(FunctionCall(function), function, args, kwargs)


def record(operation: Any, function: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
    """Record a call of an operation, whose output shapes ``function`` tells, and return its symbolic outputs."""
    outputs = infer(function, args, kwargs)
    return Node(operation, tuple(args), kwargs, outputs).output_tree


_tracing = 0
_rehearsing = 0
_following = 0


def tracing() -> bool:
    """Whether shapes are being computed at the moment, on tensors without numbers."""
    return _tracing > 0


def rehearsing() -> bool:
    """Whether shapes are being computed on zeros, since a call asks for numbers."""
    return _rehearsing > 0


@contextmanager
def outside_tracing() -> Any:
    """Within the block tensors are real again: where weights are made while shapes are computed."""
    with unset_fake_temporarily() if _tracing else nullcontext(), torch.device(config.device()):
        yield


def infer(function: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
    """Run a function on symbolic tensors for the shapes and types of its outputs (fresh symbolic tensors).

    Raises:
        Whatever the function raises for inputs of such shapes.
    """
    global _tracing
    _tracing += 1
    try:
        return _infer(function, args, kwargs, on_meta=True)
    except Exception:  # constants on a real device, .numpy(), …: fake tensors are slower and forgive more
        try:
            with _unlogged():
                return _infer(function, args, kwargs, on_meta=False)
        except Exception as error:
            followed = _infer_from_sources(function, args, kwargs)
            if followed is not None:
                return followed
            if not _asks_for_numbers(error):
                raise
            return _rehearse(function, args, kwargs)
    finally:
        _tracing -= 1


def _asks_for_numbers(error: BaseException | None) -> bool:
    """Whether a call failed since a branch, a size or a loop depends on what is in a tensor."""
    while error is not None and not isinstance(error, (DataDependentOutputException, DynamicOutputShapeException)):
        error = error.__cause__ or error.__context__
    return error is not None


def _infer_from_sources(function: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
    """Give unknown sizes those that follow from the graph's inputs, as they may depend on each other; None: in vain."""
    global _following
    if not any(None in one.shape[1:] and one.node and not one.node.is_input for one in symbolic_leaves(args, kwargs)):
        return None
    _following += 1
    try:
        for on_meta in (True, False):
            with suppress(Exception), _unlogged():
                return _infer(function, args, kwargs, on_meta)
        return None
    finally:
        _following -= 1


def _followed(tensor: KerasTensor, trial: int, made: dict[int, Any]) -> Any:
    """What the calls that made a tensor make of stand-ins for the graph's inputs."""
    node = tensor.node
    if node is None or node.is_input:
        return made.setdefault(id(tensor), _stand_in(tensor, trial))
    if id(tensor) not in made:
        given = {id(parent): _followed(parent, trial, made) for parent in node.inputs}
        args, kwargs = substitute((node.args, node.kwargs), given)
        outputs = tree.flatten(node.operation(*args, **kwargs))
        made.update(zip(map(id, tree.flatten(node.output_tree)), outputs, strict=True))
    return made[id(tensor)]


def _rehearse(function: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
    """Run a function on zeros; weights are copies meanwhile, and the random numbers of later calls stay as they are."""
    global _rehearsing
    _rehearsing += 1
    try:
        with torch.random.fork_rng(devices=[]):
            return _trials(function, args, kwargs, lambda: torch.device(config.device()))
    finally:
        _rehearsing -= 1


@contextmanager
def _unlogged() -> Iterator[None]:
    """Keep torch from logging, with its traceback, an error that is raised as well."""
    logger = logging.getLogger("torch._subclasses.fake_tensor")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _infer(function: Callable[..., Any], args: Any, kwargs: dict[str, Any], on_meta: bool) -> Any:
    inputs = symbolic_leaves(args, kwargs)
    only_numbers = bool(inputs) and all(tensor.known is not None for tensor in inputs)
    place = torch.device("cpu" if only_numbers else "meta")
    mode = (lambda: place) if on_meta else (lambda: FakeTensorMode(allow_non_fake_inputs=True))
    return _trials(function, args, kwargs, mode)


def _trials(function: Callable[..., Any], args: Any, kwargs: dict[str, Any], mode: Callable[[], Any]) -> Any:
    """Run a function once, or with two sizes for what is unknown; sizes that differ in the results are unknown."""
    inputs = symbolic_leaves(args, kwargs)
    unknown = any(None in tensor.shape or tensor.known is not None for tensor in inputs)
    runs = []
    for trial in range(2 if unknown else 1):
        with mode(), torch.no_grad():
            made: dict[int, Any] = {}
            stand_ins = [_followed(one, trial, made) if _following else _stand_in(one, trial) for one in inputs]
            given_args, given_kwargs = substitute((args, kwargs), dict(zip(map(id, inputs), stand_ins, strict=True)))
            runs.append(function(*given_args, **given_kwargs))
    return tree.map_structure(_to_symbolic, runs[0], runs[-1])


def _stand_in(tensor: KerasTensor, trial: int) -> torch.Tensor:
    if tensor.known is not None:
        return tensor.known[trial]
    sizes = [
        (_OTHER_SIZES if axis else _BATCH_SIZES)[trial] if size is None else size
        for axis, size in enumerate(tensor.shape)
    ]
    return (torch.zeros if rehearsing() else torch.empty)(sizes, dtype=config.torch_dtype(tensor.dtype))


def _to_symbolic(one: Any, other: Any) -> Any:
    if not isinstance(one, torch.Tensor):
        return one
    shape = tuple(a if a == b else None for a, b in zip(one.shape, other.shape, strict=True))
    made = KerasTensor(shape, one.dtype)
    if type(one) is torch.Tensor and one.device.type == "cpu" and one.numel() <= _FEW:  # made of shapes alone
        made.known = one, other
    return made


def substitute(structure: Any, values: dict[int, Any]) -> Any:
    """Replace the symbolic tensors in nested arguments by ``values[id(tensor)]``."""
    if isinstance(structure, KerasTensor):
        return values.get(id(structure), structure)
    if isinstance(structure, (list, tuple)) and not hasattr(structure, "_fields"):
        return type(structure)(substitute(item, values) for item in structure)
    if isinstance(structure, dict):
        return {key: substitute(item, values) for key, item in structure.items()}
    return structure
