"""Functions, loops and branches: ``tf.function`` runs eagerly, ``tf.cond`` and ``tf.while_loop`` are Python's own."""

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from convia import ops, tree
from convia.backend.functions import fold
from convia.compat.tensorflow import tape
from convia.compat.tensorflow.door import api, given, tracing
from convia.compat.tensorflow.shapes import TensorSpec
from convia.compat.tensorflow.tensor_array import TensorArray
from convia.compat.tensorflow.texts import StringTensor
from convia.errors import explain
from convia.symbolic import any_symbolic


def function(
    func: Any = None,
    input_signature: Any = None,
    autograph: bool = True,
    jit_compile: bool | None = None,
    reduce_retracing: bool = False,
    experimental_implements: str | None = None,
    experimental_autograph_options: Any = None,
    experimental_attributes: Any = None,
    experimental_relax_shapes: bool | None = None,
    experimental_compile: bool | None = None,
    experimental_follow_type_hints: bool | None = None,
) -> Any:
    """Decorate a function, with or without arguments; it runs as it is, and arrays become tensors.

    Outside of tapes and layers nothing is recorded for gradients, as in TensorFlow.
    """
    if func is None:
        return functools.partial(function, input_signature=input_signature)

    @functools.wraps(func)
    def called(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = (tree.map_structure(_as_tensor, part) for part in (args, kwargs))
        leaves = [leaf for leaf in tree.flatten([args, kwargs]) if isinstance(leaf, Tensor)]
        if any_symbolic(args, kwargs) or any(leaf.requires_grad for leaf in leaves):
            return func(*args, **kwargs)
        with tape.quiet():
            return func(*args, **kwargs)

    called.python_function = func  # type: ignore[attr-defined]
    called.input_signature = input_signature  # type: ignore[attr-defined]
    called.get_concrete_function = lambda *args, **kwargs: called  # type: ignore[attr-defined]
    called.experimental_get_tracing_count = lambda: 1  # type: ignore[attr-defined]
    return called


def _as_tensor(value: Any) -> Any:
    return given(value) if isinstance(value, np.ndarray) else value


@api(record=())
def cond(pred: Any, true_fn: Any = None, false_fn: Any = None, fn1: Any = None, fn2: Any = None) -> Any:
    """Call one of two functions."""
    true_fn, false_fn = true_fn or fn1, false_fn or fn2
    if any_symbolic((pred,), {}):
        return ops.where(pred, true_fn(), false_fn())
    return true_fn() if tracing() or bool(pred) else false_fn()


@api
def case(pred_fn_pairs: Any, default: Any = None, exclusive: bool = False, strict: bool = False) -> Any:
    """Call the function of the first condition that holds, else the default."""
    pairs = pred_fn_pairs.items() if isinstance(pred_fn_pairs, dict) else pred_fn_pairs
    chosen = next((call for condition, call in pairs if bool(condition)), default)
    if chosen is None:
        raise ValueError(explain("tf.case", "no condition that holds", "one, or a default"))
    return chosen()


@api
def switch_case(branch_index: Any, branch_fns: Any, default: Any = None) -> Any:
    """Call the function of that number; of other numbers the default or the last."""
    pairs = branch_fns.items() if isinstance(branch_fns, dict) else enumerate(branch_fns)
    branches = dict(pair if isinstance(pair, tuple) else (index, pair) for index, pair in enumerate(pairs))
    return branches.get(int(branch_index), default or list(branches.values())[-1])()


@api
def while_loop(
    cond: Callable[..., Any],
    body: Callable[..., Any],
    loop_vars: Any,
    shape_invariants: Any = None,
    parallel_iterations: int = 10,
    back_prop: bool = True,
    swap_memory: bool = False,
    maximum_iterations: Any = None,
) -> Any:
    """Replace the variables by body(*variables) as long as cond(*variables) holds; return them as a list."""
    values = tree.map_structure(lambda x: x if isinstance(x, TensorArray) else given(x), tuple(loop_vars))
    count = 0
    while (maximum_iterations is None or count < int(maximum_iterations)) and bool(cond(*values)):
        result = body(*values)
        values = tuple(result) if isinstance(result, (list, tuple)) else (result,)
        count += 1
    return list(values) if isinstance(loop_vars, list) else values


@api
def map_fn(
    fn: Callable[..., Any],
    elems: Any,
    dtype: Any = None,
    parallel_iterations: Any = None,
    back_prop: bool = True,
    swap_memory: bool = False,
    infer_shape: bool = True,
    fn_output_signature: Any = None,
) -> Any:
    """Return fn of each row, stacked."""
    elems = tree.map_structure(given, elems)
    count = len(tree.flatten(elems)[0])
    rows = [fn(tree.map_structure(lambda x, i=i: x[i], elems)) for i in range(count)]
    return tree.map_structure(lambda *parts: _stacked(parts), *rows)


def _stacked(parts: Any) -> Any:
    parts = [given(part) for part in parts]
    return (
        StringTensor(np.stack([p.array for p in parts])) if isinstance(parts[0], StringTensor) else torch.stack(parts)
    )


@api
def vectorized_map(fn: Callable[..., Any], elems: Any, fallback_to_while_loop: bool = True, warn: bool = True) -> Any:
    """Return fn of each row, stacked, computed at once where torch can."""
    try:
        return torch.vmap(fn)(tree.map_structure(given, elems))
    except (RuntimeError, ValueError):
        return map_fn(fn, elems)


@api
def scan(fn: Callable[..., Any], elems: Any, initializer: Any = None, reverse: bool = False, **ignored: Any) -> Any:
    """Return all values of ``value = fn(value, row)``, stacked, starting from the initializer or the first row."""
    elems = tree.map_structure(given, elems)
    rows = [tree.map_structure(lambda x, i=i: x[i], elems) for i in range(len(tree.flatten(elems)[0]))]
    rows = rows[::-1] if reverse else rows
    value = rows[0] if initializer is None else tree.map_structure(given, initializer)
    found = [value] if initializer is None else []
    for row in rows[initializer is None :]:
        value = fn(value, row)
        found.append(value)
    return tree.map_structure(lambda *parts: _stacked(parts), *(found[::-1] if reverse else found))


@api
def foldl(fn: Callable[..., Any], elems: Any, initializer: Any = None, **ignored: Any) -> Any:
    """Return fn(…fn(fn(initializer, x₀), x₁)…, xₙ)."""
    return fold(fn, given(elems), initializer, False)


@api
def foldr(fn: Callable[..., Any], elems: Any, initializer: Any = None, **ignored: Any) -> Any:
    """As foldl, from the last row on."""
    return fold(fn, given(elems), initializer, True)


def _outputs(results: Any, types: Any) -> Any:
    """Give results of a Python function the types that were announced."""
    if types is None or (isinstance(types, (list, tuple)) and not types):
        return results
    if not isinstance(types, (list, tuple)):
        results = results[0] if isinstance(results, (list, tuple)) and len(results) == 1 else results
        return given(results, _kind(types))
    results = results if isinstance(results, (list, tuple)) else [results]
    return [given(value, _kind(kind)) for value, kind in zip(results, types, strict=True)]


def _kind(kind: Any) -> Any:
    return kind.dtype if isinstance(kind, TensorSpec) else kind


@api
def py_function(func: Any = None, inp: Any = None, Tout: Any = None) -> Any:  # noqa: N803
    """Call a Python function with tensors."""
    return _outputs(func(*map(given, inp)), Tout)


@api
def numpy_function(func: Any = None, inp: Any = None, Tout: Any = None, stateful: bool = True) -> Any:  # noqa: N803
    """Call a Python function with NumPy arrays."""
    return _outputs(func(*(_array(given(x)) for x in inp)), Tout)


def _array(x: Any) -> Any:
    return x.numpy() if isinstance(x, StringTensor) else x.detach().cpu().numpy()


def print_(
    *inputs: Any, output_stream: Any = None, summarize: Any = 3, sep: str = " ", end: str = "\n", name: Any = None
) -> None:
    """Print values and tensors, to the standard error stream unless told otherwise."""
    stream = output_stream if hasattr(output_stream, "write") else sys.stderr
    print(*(_shown(tree.map_structure(_plain, value)) for value in inputs), sep=sep, end=end, file=stream)


def _plain(value: Any) -> Any:
    if tracing() or not isinstance(value, (Tensor, StringTensor)):
        return value
    return _array(value)


def _shown(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


@contextmanager
def block(*args: Any, **kwargs: Any) -> Iterator[str]:
    """A block in which nothing is different: ``tf.name_scope``, ``tf.device``, ``tf.control_dependencies``, …"""
    yield str(args[0]) if args else ""


class name_scope:  # noqa: N801
    """A block that prefixes nothing; also a decorator."""

    def __init__(self, name: Any, *args: Any, **kwargs: Any) -> None:
        self.name = str(name)

    def __enter__(self) -> str:
        return f"{self.name}/"

    def __exit__(self, *error: Any) -> None:
        return None


def no_op(name: Any = None) -> None:
    """Do nothing."""


def group(*inputs: Any, **kwargs: Any) -> None:
    """Do nothing: what was passed has run already."""


def do_not_convert(func: Any = None) -> Any:
    """Return the function as it is."""
    return func if func is not None else do_not_convert


def assert_(condition: Any, data: Any = None, summarize: Any = None, name: Any = None) -> None:
    """Raise InvalidArgumentError unless a condition holds."""
    require(condition, "tf.debugging.Assert", lambda: ", ".join(str(_plain(x)) for x in data or []))


class InvalidArgumentError(ValueError):
    """What TensorFlow raises for values that do not fit; here also a ValueError."""

    def __init__(self, node_def: Any = None, op: Any = None, message: str = "", *args: Any) -> None:
        super().__init__(message or node_def)
        self.message = str(message or node_def)


def require(condition: Any, who: str, data: Callable[[], str], message: Any = None) -> None:
    """Raise InvalidArgumentError unless a condition holds everywhere; symbolic ones pass."""
    if any_symbolic((condition,), {}) or tracing():
        return
    if not bool(given(condition).all()):
        raise InvalidArgumentError(None, None, explain(who, data(), "a condition that holds", str(message or "")))


__all__ = [
    "InvalidArgumentError", "assert_", "block", "case", "cond", "do_not_convert", "foldl", "foldr", "function", "group",
    "map_fn", "name_scope", "no_op", "numpy_function", "print_", "py_function", "require", "scan", "switch_case",
    "vectorized_map", "while_loop",
]  # fmt: skip
