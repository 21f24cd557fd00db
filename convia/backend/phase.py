"""The learning phase: whether a program trains or tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from convia import layer, symbolic
from convia.errors import explain
from convia.naming import reset_uids
from convia.ops.door import tensor
from convia.symbolic import KerasTensor, tracing

_phase: int | None = None


def learning_phase() -> int:
    """Return 1 in training and 0 otherwise: what was set, or what the call in progress does."""
    return int(bool(layer._call.training)) if _phase is None else _phase


def set_learning_phase(value: Any) -> None:
    """Fix what :func:`learning_phase` returns; None makes it follow the call in progress again.

    Raises:
        ValueError: neither 0, 1 nor None.
    """
    global _phase
    if value not in (0, 1, None):
        raise ValueError(explain("set_learning_phase", repr(value), "0 (test), 1 (training) or None"))
    _phase = None if value is None else int(value)


@contextmanager
def learning_phase_scope(value: Any) -> Iterator[None]:
    """Within the block, :func:`learning_phase` returns ``value``."""
    before = _phase
    set_learning_phase(value)
    try:
        yield
    finally:
        set_learning_phase(before)


def clear_session(free_memory: bool = True) -> None:
    """Number automatic names from the start again, and follow the call in progress for the learning phase.

    Args:
        free_memory: accepted; Python frees a model when nothing refers to it.
    """
    reset_uids()
    set_learning_phase(None)


def _either(x: Any, alt: Any) -> Any:
    return tensor(x if tracing() or learning_phase() else alt)


def in_train_phase(x: Any, alt: Any, training: Any = None) -> Any:
    """Return x in training, alt otherwise; functions are called. Decided anew at each run of a graph."""
    if training is None and symbolic.any_symbolic((x, alt), {}):
        return symbolic.record_function(_either, (x, alt), {})
    chosen = x if (learning_phase() if training is None else training) in (1, True) else alt
    return chosen() if callable(chosen) and not isinstance(chosen, (Tensor, KerasTensor)) else chosen


def in_test_phase(x: Any, alt: Any, training: Any = None) -> Any:
    """Return alt in training, x otherwise."""
    return in_train_phase(alt, x, training)
