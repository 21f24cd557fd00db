"""Variables of TensorFlow 1 by name: ``tf.variable_scope``, ``tf.get_variable``, collections, initialization."""

from collections.abc import Callable
from types import TracebackType
from typing import Any

import torch

from convia import initializers
from convia.compat.tensorflow import graphs
from convia.compat.tensorflow.door import given, numbers
from convia.compat.tensorflow.dtypes import torch_dtype
from convia.compat.tensorflow.variables import Variable
from convia.errors import explain

AUTO_REUSE = "AUTO_REUSE"


class GraphKeys:
    """The names of collections."""

    GLOBAL_VARIABLES = "variables"
    TRAINABLE_VARIABLES = "trainable_variables"
    LOCAL_VARIABLES = "local_variables"
    MODEL_VARIABLES = "model_variables"
    REGULARIZATION_LOSSES = "regularization_losses"
    LOSSES = "losses"
    UPDATE_OPS = "update_ops"
    SUMMARIES = "summaries"
    GLOBAL_STEP = "global_step"


# -- scopes -----------------------------------------------------------------------------------------------------------


class Scope:
    """Where variables get their names from: those of scope "a/b" begin with a/b/.

    Args:
        name: in full.
        reuse: whether variables of that name are to exist already; ``tf.AUTO_REUSE`` makes them where they do not.
        initializer, regularizer: what variables without their own get.
    """

    def __init__(self, name: str, reuse: Any, initializer: Any = None, regularizer: Any = None) -> None:
        self.name, self.reuse, self.initializer, self.regularizer = name, reuse, initializer, regularizer

    @property
    def original_name_scope(self) -> str:
        """The name with a slash."""
        return f"{self.name}/" if self.name else ""

    def reuse_variables(self) -> None:
        """Take variables that exist from now on."""
        self.reuse = True

    def set_initializer(self, initializer: Any) -> None:
        """Set what variables without their own initializer get."""
        self.initializer = initializer

    def set_regularizer(self, regularizer: Any) -> None:
        """Set what variables without their own regularizer get."""
        self.regularizer = regularizer

    def global_variables(self) -> list[Any]:
        """Return the variables within."""
        return get_collection(GraphKeys.GLOBAL_VARIABLES, self.name)

    def trainable_variables(self) -> list[Any]:
        """Return the variables within that learn."""
        return get_collection(GraphKeys.TRAINABLE_VARIABLES, self.name)


_scopes = [Scope("", False)]


def _use(scopes: list[Scope]) -> None:
    _scopes[:] = scopes
    graphs.state().prefix = scopes[-1].original_name_scope


def get_variable_scope() -> Scope:
    """Return the scope in use."""
    return _scopes[-1]


class variable_scope:  # noqa: N801
    """A block, or a decorator, within which variables have names that begin with its own.

    Args:
        name_or_scope: a name, a scope, or None for ``default_name``, which is made unique.
    """

    def __init__(self, name_or_scope: Any = None, default_name: Any = None, values: Any = None,
                 initializer: Any = None, regularizer: Any = None, caching_device: Any = None,
                 partitioner: Any = None, custom_getter: Any = None, reuse: Any = None, dtype: Any = None,
                 use_resource: Any = None, constraint: Any = None,
                 auxiliary_name_scope: bool = True) -> None:  # fmt: skip
        self._given, self._default = name_or_scope, default_name
        self._reuse, self._initializer, self._regularizer = reuse, initializer, regularizer

    def __enter__(self) -> Scope:
        outer = get_variable_scope()
        if isinstance(self._given, Scope):
            name = self._given.name
        else:
            part = graphs.unique(self._default) if self._given is None else str(self._given)
            name = outer.original_name_scope + part
        self._forget_names(name)
        parent = self._given if isinstance(self._given, Scope) else outer
        reuse = parent.reuse if self._reuse is None or parent.reuse is True else self._reuse
        initializer = parent.initializer if self._initializer is None else self._initializer
        regularizer = parent.regularizer if self._regularizer is None else self._regularizer
        _use([*_scopes, Scope(name, reuse, initializer, regularizer)])
        return _scopes[-1]

    def __exit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        self._forget_names(_scopes[-1].name)
        _use(_scopes[:-1])

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def within(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return within

    @staticmethod
    def _forget_names(name: str) -> None:
        """A scope that is entered again gives the same names to its layers."""
        counts = graphs.state().counts
        for path in [path for path in counts if path.startswith(f"{name}/")]:
            del counts[path]


# -- variables --------------------------------------------------------------------------------------------------------


def _first(shape: Any, dtype: Any, initializer: Any) -> Any:
    """A function that makes a first value, drawn anew at each call."""
    kind = torch_dtype(dtype) or torch.float32
    start = initializer if initializer is not None else initializers.GlorotUniform()
    start = start() if isinstance(start, type) else start
    if not callable(start) or isinstance(start, torch.Tensor):
        return lambda: start
    sizes = numbers(shape)
    return lambda: start(sizes, dtype=kind)


def get_variable(name: str, shape: Any = None, dtype: Any = None, initializer: Any = None, regularizer: Any = None,
                 trainable: bool = True, collections: Any = None, **ignored: Any) -> Any:  # fmt: skip
    """Return the variable of a name within the scope in use: a new one, by default of Glorot's uniform distribution,
    or in a scope that is reused the one that exists.

    Raises:
        ValueError: one that exists in a scope that is not reused, or the other way round; no shape.
    """
    scope, known = get_variable_scope(), graphs.state().by_name
    path = scope.original_name_scope + name
    if path in known and scope.reuse:
        return known[path]
    if path in known and graphs.in_use():
        remedy = "Set reuse=True or reuse=tf.AUTO_REUSE in the scope to share it."
        raise ValueError(explain("tf.get_variable", f"the name {path!r} a second time", "a new name", remedy))
    if scope.reuse is True and graphs.in_use():
        raise ValueError(explain("tf.get_variable", f"{path!r} in a scope that is reused", f"one of {sorted(known)}"))
    return _made(path, shape, dtype, initializer, regularizer, trainable, collections)


def _made(path: str, shape: Any, dtype: Any, initializer: Any, regularizer: Any, trainable: bool, names: Any) -> Any:
    scope = get_variable_scope()
    initializer = scope.initializer if initializer is None else initializer
    regularizer = scope.regularizer if regularizer is None else regularizer
    if shape is None and (initializer is None or callable(initializer)):
        raise ValueError(explain("tf.get_variable", f"{path!r} without a shape", "shape=[…]"))
    variable = Variable(_first(shape, dtype, initializer), trainable=trainable, name=path, dtype=dtype, is_full=True)
    graphs.state().by_name[path] = variable
    for key in names or ():
        add_to_collection(key, variable)
    if regularizer is not None and trainable:
        penalty = graphs.deferred(regularizer, (variable,)) if graphs.in_use() else regularizer(variable)
        add_to_collection(GraphKeys.REGULARIZATION_LOSSES, penalty)
    return variable


# -- collections ------------------------------------------------------------------------------------------------------


def add_to_collection(name: str, value: Any) -> None:
    """Add a value to a collection."""
    graphs.state().collections.setdefault(name, []).append(value)


def _of_variables(key: str) -> list[Any] | None:
    alive = graphs.state().alive()
    if key == GraphKeys.GLOBAL_VARIABLES:
        return alive
    return [v for v in alive if v.trainable] if key == GraphKeys.TRAINABLE_VARIABLES else None


def get_collection(key: str, scope: str | None = None) -> list[Any]:
    """Return a collection, or the part of it whose names begin with that of a scope."""
    found = _of_variables(key)
    found = list(graphs.state().collections.get(key, ())) if found is None else found
    return [item for item in found if not scope or str(getattr(item, "name", "")).startswith(scope)]


def global_variables(scope: str | None = None) -> list[Any]:
    """Return the variables of the graph."""
    return get_collection(GraphKeys.GLOBAL_VARIABLES, scope)


def trainable_variables(scope: str | None = None) -> list[Any]:
    """Return those that learn."""
    return get_collection(GraphKeys.TRAINABLE_VARIABLES, scope)


def _start(variables: list[Any]) -> None:
    for variable in variables:
        if hasattr(variable, "start"):
            variable.start()


def variables_initializer(var_list: Any, name: str = "init") -> graphs.Operation:
    """Return an operation that gives variables their first values: drawn anew from the second time on."""
    return graphs.Operation(lambda: _start(list(var_list)), name=name)


def global_variables_initializer() -> graphs.Operation:
    """Return an operation that gives all variables of the graph their first values."""
    state = graphs.state()
    return graphs.Operation(lambda: _start(state.alive()), name="init")


def assigned(name: str) -> Callable[..., Any]:
    """Return ``tf.assign`` or one of its kind: at once, or in the graphs of TensorFlow 1 an operation."""

    def assign(ref: Any, value: Any, validate_shape: Any = None, use_locking: Any = None, name_: Any = None,
               **ignored: Any) -> Any:  # fmt: skip
        if graphs.is_deferring():
            return graphs.operation(lambda number: getattr(ref, name)(given(number)), value)
        return getattr(ref, name)(value)

    return assign


OLD: dict[str, Any] = {
    "AUTO_REUSE": AUTO_REUSE,
    "GraphKeys": GraphKeys,
    "VariableScope": Scope,
    "add_to_collection": add_to_collection,
    "all_variables": global_variables,
    "assign": assigned("assign"),
    "assign_add": assigned("assign_add"),
    "assign_sub": assigned("assign_sub"),
    "get_collection": get_collection,
    "get_collection_ref": lambda key: graphs.state().collections.setdefault(key, []),
    "get_variable": get_variable,
    "get_variable_scope": get_variable_scope,
    "global_variables": global_variables,
    "global_variables_initializer": global_variables_initializer,
    "initialize_all_variables": global_variables_initializer,
    "initialize_variables": variables_initializer,
    "local_variables": lambda scope=None: [],
    "local_variables_initializer": lambda: graphs.Operation(lambda: None, name="init"),
    "trainable_variables": trainable_variables,
    "variable_scope": variable_scope,
    "variables_initializer": variables_initializer,
}
__all__ = ["AUTO_REUSE", "OLD", "GraphKeys", "Scope", "add_to_collection", "get_collection", "get_variable",
           "get_variable_scope", "global_variables", "trainable_variables", "variable_scope"]  # fmt: skip
