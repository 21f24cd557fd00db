"""What the processes of a training do at the same time: asking for the next batch, whose rows they may share out."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch.distributed as dist
from torch import Tensor

from convia.distributed.processes import group_of_values, share, size

_END = object()


class _Now(threading.local):
    """Whether this thread asks for data together with those of the other processes."""

    together = False


_now = _Now()


def is_together() -> bool:
    """Return whether all processes of a shared training ask for the same data now, so that they may share the work."""
    return _now.together and size() > 1


@contextmanager
def at_once() -> Iterator[None]:
    """Say that all processes of a shared training run this block, in this thread, at the same time."""
    before, _now.together = _now.together, True
    try:
        yield
    finally:
        _now.together = before


def together(begin: Callable[[], Iterable[Any]]) -> Iterator[Any]:
    """Yield elements that all processes ask for at the same time, of what ``begin`` returns.

    Only while an element is asked for does that hold: what a callback of one process reads in between, or a thread
    that reads ahead, each process reads for itself.
    """
    with at_once():
        iterator = iter(begin())
    while True:
        with at_once():
            element = next(iterator, _END)
        if element is _END:
            return
        yield element


def fill(whole: Tensor) -> None:
    """Get the other processes' rows, see :func:`share`, of a tensor of which only this process's rows are there."""
    for place in range(size()):
        rows = whole[share(len(whole), place)]
        if len(rows):
            dist.broadcast(rows, place, group=group_of_values())
