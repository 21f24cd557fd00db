"""Training that is interrupted: SIGTERM and Ctrl-C wait for the end of a batch."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from convia.callbacks.base import needs

_TERMINATED = 128 + signal.SIGTERM  # the exit code of what SIGTERM ends


class Notice:
    """The signal that has asked for an end of the training, None so far."""

    signal: int | None = None


@contextmanager
def patient(model: Any, hooks: Any) -> Iterator[Notice]:
    """Let SIGTERM and Ctrl-C stop the training after its batch, if a callback keeps what is needed to go on.

    After the block the program ends, with code 143 or a KeyboardInterrupt. A second Ctrl-C does not wait; SIGTERM may
    come twice at once, as ``timeout`` and schedulers send it to a program and to its group.
    """
    notice = Notice()
    keeps = any(needs(item, "on_interruption") for item in hooks.callbacks)
    if not keeps or threading.current_thread() is not threading.main_thread():
        yield notice
        return

    def note(number: Any, frame: Any) -> None:
        if notice.signal is not None and number == signal.SIGINT:
            signal.signal(number, before[number])
            signal.raise_signal(number)
        notice.signal = notice.signal or number
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
