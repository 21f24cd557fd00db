"""Training that is interrupted: SIGTERM and Ctrl-C wait for the end of a batch; where the first NaN comes from."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from convia import tree
from convia.callbacks.base import needs

_TERMINATED = 128 + signal.SIGTERM  # the exit code of what SIGTERM ends


class Notice:
    """The signal that has asked for an end of the training, None so far."""

    signal: int | None = None


@contextmanager
def patient(model: Any, hooks: Any) -> Iterator[Notice]:
    """Let SIGTERM and Ctrl-C stop the training after its batch, if a callback keeps what is needed to go on.

    After the block the program ends, with code 143 or a KeyboardInterrupt. A second signal does not wait.
    """
    notice = Notice()
    keeps = any(needs(item, "on_interruption") for item in hooks.callbacks)
    if not keeps or threading.current_thread() is not threading.main_thread():
        yield notice
        return

    def note(number: Any, frame: Any) -> None:
        if notice.signal is not None:
            signal.signal(number, before[number])
            signal.raise_signal(number)
        notice.signal = number
        object.__setattr__(model, "stop_training", True)

    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.getsignal(number) or signal.SIG_DFL for number in numbers}
    for number in numbers:
        signal.signal(number, note)
    try:
        yield notice
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if notice.signal == signal.SIGTERM:
        raise SystemExit(_TERMINATED)
    if notice.signal is not None:
        raise KeyboardInterrupt


def first_broken(model: Any, x: Any) -> str:
    """Say where values that are not finite first come up for a batch: in it, or in the output of a layer."""
    rows = [_broken_rows(leaf) for leaf in tree.flatten(x) if isinstance(leaf, Tensor) and leaf.is_floating_point()]
    found = sorted({row for each in rows for row in each})
    if found:
        return f"x holds NaN or infinity in rows {found[:10]} of the batch"
    names: list[str] = []

    def look(layer: Any, given: Any, outputs: Any) -> None:
        if any(isinstance(leaf, Tensor) and _broken_rows(leaf) for leaf in tree.flatten(outputs)):
            names.append(layer.name)

    inner = list(model._flatten_layers(include_self=False))
    handles = [layer.register_forward_hook(look) for layer in inner]
    try:
        with torch.no_grad():
            model(x, training=True)
    finally:
        for handle in handles:
            handle.remove()
    return f"the first layer whose output is not finite is {names[0]!r}" if names else "all layers' outputs are finite"


def _broken_rows(leaf: Tensor) -> list[int]:
    finite = torch.isfinite(leaf)
    return [] if bool(finite.all()) else (~finite.flatten(1).all(1)).nonzero()[:, 0].tolist() if leaf.ndim > 1 else [0]
