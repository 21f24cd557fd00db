"""The graph of TensorFlow 1: tensors of variables and random numbers that are computed anew in each run of a session.

Here tensors are computed at once, but for symbolic ones. In a program of TensorFlow 1 (it makes placeholders, or
switches eager execution off) what is made of variables, or drawn at random, is symbolic too: such a call is a node of
an input that every graph has, its ``anchor``.
"""

import itertools
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from convia import backend, tree
from convia.compat.busy import is_busy
from convia.errors import explain
from convia.graph import Input
from convia.layer import _call as calls
from convia.symbolic import KerasTensor, record_function, symbolic_leaves, tracing
from convia.variable import Variable


class State:
    """What a graph holds: variables in their order and by name, collections, how often each name was used."""

    def __init__(self) -> None:
        self.variables: list[weakref.ref[Any]] = []
        self.by_name: dict[str, Any] = {}
        self.tensors: dict[str, Any] = {}  # placeholders by name
        self.collections: dict[str, list[Any]] = {}
        self.counts: dict[str, int] = {}
        self.prefix = ""  # what names of variables begin with
        self.steps: list[Any] = []  # the variable that counts steps
        self._anchor: Any = None

    @property
    def anchor(self) -> KerasTensor:
        """The input that calls without other symbolic tensors depend on."""
        if self._anchor is None:
            self._anchor = sourced(Input(batch_shape=(), dtype="float32"), lambda run: torch.zeros(()))
        found: KerasTensor = self._anchor
        return found

    def alive(self) -> list[Any]:
        """The variables that are still in use."""
        found = [reference() for reference in self.variables]
        return [variable for variable in found if variable is not None]


_states = [State()]
_mode = {"graph": False, "eager": False, "runs": 0}


def state() -> State:
    """Return the state of the graph in use."""
    return _states[-1]


@contextmanager
def within(other: State) -> Iterator[None]:
    """Use another graph within the block."""
    _states.append(other)
    try:
        yield
    finally:
        _states.remove(other)


def reset() -> None:
    """Forget all graphs, and that there were any."""
    _states[:] = [State()]
    _mode.update(graph=False, eager=False, runs=0)


def forget() -> None:
    """Empty the graph in use."""
    _states[-1].__dict__.update(State().__dict__)


def use(*, graph: bool) -> None:
    """Compute in runs of sessions from now on, or at once; a program that asked for the latter keeps it."""
    _mode["eager"] = _mode["eager"] or not graph
    _mode["graph"] = graph and not _mode["eager"]


def in_use() -> bool:
    """Whether the program computes in runs of sessions."""
    return bool(_mode["graph"])


def is_deferring() -> bool:
    """Whether a call made now is one of a graph under construction."""
    if not _mode["graph"] or _mode["runs"] or tracing() or is_busy():
        return False
    return calls.root is None


def deferred(function: Callable[..., Any], args: Any, kwargs: Any = None) -> Any:
    """Record a call to be made in each run."""
    return record_function(_later, (state().anchor, function, tuple(args), dict(kwargs or {})), {})


def _later(anchor: Any, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    return function(*args, **kwargs)


def unique(name: str) -> str:
    """Return a name within the scope in use that was not given before: name, name_1, …"""
    path, counts = state().prefix + name, state().counts
    counts[path] = counts.get(path, 0) + 1
    return name if counts[path] == 1 else f"{name}_{counts[path] - 1}"


def holds_variables(*trees: Any) -> bool:
    """Whether there are variables among nested arguments."""
    return any(isinstance(leaf, Variable) for leaf in tree.flatten(list(trees)))


# -- runs -------------------------------------------------------------------------------------------------------------


def sourced(symbol: KerasTensor, source: Callable[[dict[Any, Any]], Any]) -> KerasTensor:
    """Let a symbolic input have numbers where a run feeds none: those of a function of what the run has drawn."""
    symbol.__dict__["_source"] = source
    return symbol


def _inputs(symbols: list[Any], fed: dict[Any, Any]) -> list[Any]:
    """The inputs that symbolic tensors need and that are not fed.

    Raises:
        ValueError: one that has no source.
    """
    known, found, ahead = {id(key) for key in fed}, {}, list(symbols)
    while ahead:
        symbol = ahead.pop()
        if id(symbol) in known or symbol.node is None:
            continue
        known.add(id(symbol))
        if symbol.node.is_input:
            found[id(symbol)] = symbol
        ahead += symbol.node.inputs
    for symbol in found.values():
        if "_source" not in symbol.__dict__:
            received = f"no value for the placeholder {symbol.name!r}"
            raise ValueError(
                explain("Session.run", received, "one in feed_dict", "Feed it by feed_dict={tensor: array}.")
            )
    return list(found.values())


_functions: dict[Any, Any] = {}
_KEPT = 64


def evaluate(symbols: list[Any], feeds: dict[Any, Any], learns: bool = False) -> list[Any]:
    """Return the tensors that symbolic ones are for what is fed; inputs with a source are drawn once.

    Args:
        learns: record for gradients.

    Raises:
        ValueError: a placeholder that is neither fed nor has a default.
    """
    if not symbols:
        return []
    fed = {key: _plain(value) for key, value in feeds.items()}
    drawn: dict[Any, Any] = {}
    for symbol in _inputs(symbols, fed):
        fed[symbol] = symbol.__dict__["_source"](drawn)
    key = (tuple(map(id, fed)), tuple(map(id, symbols)))
    if key not in _functions:
        if len(_functions) >= _KEPT:
            del _functions[next(iter(_functions))]
        _functions[key] = (backend.function(list(fed), list(symbols)), list(fed), list(symbols))  # keeps the ids alive
    _mode["runs"] += 1
    try:
        found: list[Any] = _functions[key][0].tensors(list(fed.values()), learns)
    finally:
        _mode["runs"] -= 1
    return found


def _plain(value: Any) -> Any:
    """A fed variable or list is what it is now."""
    return evaluate([value], {})[0] if isinstance(value, KerasTensor) else value


# -- operations -------------------------------------------------------------------------------------------------------

_dependencies: list[list[Any]] = []


class Operation:
    """Something that a run does: an assignment, a step of training, a group of them.

    Args:
        act: called with the tensors that ``symbols`` are in the run; what it returns is the operation's value.
        symbols: symbolic tensors that it needs.
        before: operations that come first.
    """

    learns = False

    def __init__(self, act: Callable[..., Any], symbols: Any = (), before: Any = (), name: str | None = None) -> None:
        self.act, self.symbols, self.name = act, list(symbols), name or "operation"
        self.before = [*itertools.chain(*_dependencies), *before]

    @property
    def op(self) -> "Operation":
        """The operation itself."""
        return self

    def run(self, feed_dict: Any = None, session: Any = None) -> Any:
        """Run it alone."""
        return run([self], feed_dict)[0]

    eval = run


@contextmanager
def control_dependencies(control_inputs: Any) -> Iterator[None]:
    """Operations that are made within the block run after the given ones."""
    found = [item for item in tree.flatten(list(control_inputs or ())) if isinstance(item, Operation)]
    _dependencies.append(found)
    try:
        yield
    finally:
        _dependencies.pop()


def _ordered(fetches: list[Any]) -> list[Operation]:
    """Operations and what they come after, each once."""
    found: dict[int, Operation] = {}

    def visit(operation: Operation) -> None:
        if id(operation) not in found:
            for other in operation.before:
                visit(other)
            found.setdefault(id(operation), operation)

    for fetch in fetches:
        if isinstance(fetch, Operation):
            visit(fetch)
    return list(found.values())


def run(fetches: list[Any], feed_dict: Any = None) -> list[Any]:
    """Compute symbolic tensors in one run, then let operations act; return the value of each fetch as it is."""
    operations = _ordered(fetches)
    wanted = [*fetches, *(symbol for operation in operations for symbol in operation.symbols)]
    symbols = {id(item): item for item in wanted if isinstance(item, KerasTensor)}
    learns = any(operation.learns for operation in operations)
    tensors = dict(zip(symbols, evaluate(list(symbols.values()), dict(feed_dict or {}), learns), strict=True))
    values = {id(op): op.act(*(tensors[id(symbol)] for symbol in op.symbols)) for op in operations}
    return [tensors[id(x)] if isinstance(x, KerasTensor) else values.get(id(x), x) for x in fetches]


def operation(function: Callable[..., Any], *args: Any, name: str | None = None) -> Operation:
    """Return an operation that calls a function with its arguments, symbolic ones as they are in the run."""
    symbols = symbolic_leaves(args)

    def act(*tensors: Any) -> Any:
        known = {id(symbol): tensor for symbol, tensor in zip(symbols, tensors, strict=True)}
        return function(*tree.map_structure(lambda leaf: known.get(id(leaf), leaf), list(args)))

    return Operation(act, symbols, name=name)


__all__ = [
    "Operation",
    "State",
    "control_dependencies",
    "deferred",
    "evaluate",
    "forget",
    "holds_variables",
    "in_use",
    "is_deferring",
    "operation",
    "reset",
    "run",
    "sourced",
    "state",
    "unique",
    "use",
    "within",
]
