"""The progress of a loop: a bar that is redrawn in place, or plain lines where the output is not a terminal."""

import logging
import os
import shutil
import sys
from collections.abc import Iterable
from time import monotonic
from typing import Any

import numpy as np

from convia import config, distributed
from convia.callbacks.base import Callback, Logs
from convia.errors import explain

_log = logging.getLogger("convia")
_PLAIN_INTERVAL = 10.0  # seconds between lines in a log file
_KEPT_INTERVAL = 1.0  # seconds between drawings in a notebook, whose file may keep them all
_KEPT_SHARE = 0.05  # of the time so far: the longer it takes, the more seldom they are
_DRAW_INTERVAL = 0.1  # seconds; a bar that is redrawn more often only costs time
_ASCII = str.maketrans("━─", "=-")
_BOLD, _GREEN, _GREY, _END = "\x1b[1m", "\x1b[32m", "\x1b[37m", "\x1b[0m"


def say(message: Any, line_break: bool = True) -> None:
    """Print to standard output, or to the log where interactive logging is off; never fail on a character."""
    if not distributed.is_first():
        return
    if not config.is_interactive_logging_enabled():
        _log.info("%s", message)
        return
    text = f"{message}\n" if line_break else str(message)
    try:
        try:
            sys.stdout.write(text)
        except UnicodeEncodeError:
            encoding = sys.stdout.encoding or "ascii"
            sys.stdout.write(text.translate(_ASCII).encode(encoding, "ignore").decode(encoding))
        sys.stdout.flush()
    except BrokenPipeError:  # nobody reads any more, as after "| head"; that must not end a training
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _is_terminal() -> bool:
    return hasattr(sys.stdout, "isatty") and sys.stdout.isatty()


def _can_redraw() -> bool:
    return _is_terminal() or "ipykernel" in sys.modules or "PYCHARM_HOSTED" in os.environ


class Progbar:
    """A progress bar with the time left, the time per step and metrics.

    On a terminal and in a notebook it is redrawn in place, in a notebook more seldom, because its file may keep every
    drawing; elsewhere it writes a line every ten seconds and one at the end.

    Args:
        target: the number of steps, None if unknown.
        width: of the bar, in characters.
        verbose: 0 shows nothing, 1 a bar, 2 one line at the end.
        interval: seconds between two drawings.
        stateful_metrics: names of the metrics that are shown as they are; the others are averaged over steps.
        stateless_metrics: names of the metrics that are averaged; the others are shown as they are.
        unit_name: what is counted.

    Attributes:
        note: what else the line says, after the metrics.

    Raises:
        ValueError: both lists of metrics are given.
    """

    def __init__(
        self,
        target: int | None,
        width: int = 20,
        verbose: int = 1,
        interval: float = 0.05,
        stateful_metrics: Iterable[str] | None = None,
        stateless_metrics: Iterable[str] | None = None,
        unit_name: str = "step",
    ) -> None:
        if stateful_metrics is not None and stateless_metrics is not None:
            received, remedy = "stateful_metrics and stateless_metrics", "The metrics not listed are of the other kind."
            raise ValueError(explain("Progbar", received, "only one of them", remedy))
        self.target = target
        self.width = width
        self.verbose = verbose
        self.interval = interval
        self.unit_name = unit_name
        self.note = ""
        self.stateful_metrics = set(stateful_metrics or ()) if stateless_metrics is None else None
        self.stateless_metrics = set(stateless_metrics or ())
        self._redraws = _can_redraw()
        self._coloured = self._redraws and "NO_COLOR" not in os.environ
        self._values: dict[str, tuple[Any, int]] = {}  # name → (sum over steps, number of steps)
        self._seen = self._drawn = self._drawn_width = 0
        self._start = monotonic()
        self._first_step: float | None = None  # when it ended; it is slower than the others
        self._kept = self._redraws and not _is_terminal()
        at_least = _KEPT_INTERVAL if self._kept else 0.0 if self._redraws else _PLAIN_INTERVAL
        self._pause = max(interval, at_least)
        self._next = self._start + (self._pause if at_least else 0)

    def due(self, current: int) -> bool:
        """Return whether ``update(current, …)`` would draw now; cheap enough to ask at every step."""
        now = monotonic()
        if current == 1 and self._first_step is None:
            self._first_step = now
        if self.verbose != 1:
            return False
        is_last = current == self.target and self._redraws and not self._kept
        return now >= self._next or (is_last and current != self._drawn)

    def update(
        self, current: int, values: Iterable[tuple[str, Any]] | None = None, finalize: bool | None = None
    ) -> None:
        """Show that ``current`` steps are done, with the (name, value) of metrics at the last step.

        Args:
            current: the number of steps done.
            values: the metrics.
            finalize: whether this is the last update; None: if the target is reached.
        """
        if finalize is None:
            finalize = self.target is not None and current >= self.target
        for name, value in values or ():
            self._add(name, value, current, finalize)
        self._seen = current
        now = monotonic()
        step_time = self._step_time(current, now)
        if self.verbose == 1 and (finalize or self.due(current)):
            self._draw(current, now, step_time, finalize)
            share = _KEPT_SHARE * (now - self._start) if self._kept else 0.0
            self._drawn, self._next = current, now + max(self._pause, share)
        elif self.verbose == 2 and finalize and self.target:
            count = f"{current:{len(str(self.target))}d}/{self.target}"
            say(f"{count} - {now - self._start:.0f}s - {self._per_unit(step_time)}{self._metrics()}")

    def add(self, n: int, values: Iterable[tuple[str, Any]] | None = None) -> None:
        """Show that ``n`` further steps are done."""
        self.update(self._seen + n, values)

    def _add(self, name: str, value: Any, current: int, finalize: bool) -> None:
        is_stateful = (
            name not in self.stateless_metrics if self.stateful_metrics is None else name in self.stateful_metrics
        )
        if finalize or is_stateful:
            self._values[name] = (value, 1)
            return
        total, count = self._values.get(name, (0, 0))
        steps = max(current - self._seen, 1)
        self._values[name] = (total + value * steps, count + steps)

    def _step_time(self, current: int, now: float) -> float:
        """Seconds per step, leaving out the first where others are known."""
        first = self._first_step
        if current == 1:
            self._first_step = now
        if not current:
            return 0
        return (now - first) / (current - 1) if first is not None and current > 1 else (now - self._start) / current

    def _draw(self, current: int, now: float, step_time: float, finalize: bool) -> None:
        left = step_time * (self.target - current) if self.target and not finalize else None
        shown_time = _clock(left) if left is not None else f"{now - self._start:.0f}s"
        rest = f" {self._per_unit(step_time)}{self._metrics()}"
        count, done, to_do = self._bar(current)
        width = len(count + done + to_do + shown_time) + 1 + bool(done or to_do)
        if self._redraws and not finalize and _is_terminal():
            rest = rest[: max(shutil.get_terminal_size().columns - width - 1, 0)]  # a wrapped line is not redrawn
        bar = f" {self._in(_GREEN, done)}{self._in(_GREY, to_do)}" if done or to_do else ""
        text = f"{self._in(_BOLD if self.target else '', count)}{bar} {self._in(_BOLD, shown_time)}{rest}"
        width += len(rest)
        if not self._redraws:
            say(text)
            return
        say(f"\r{text}{' ' * (self._drawn_width - width)}" + "\n" * finalize, line_break=False)
        self._drawn_width = width

    def _bar(self, current: int) -> tuple[str, str, str]:
        if not self.target:
            return f"{current:7d}/Unknown", "", ""
        done = min(int(self.width * current / self.target), self.width)
        rest = "━" if self._coloured else "─"
        return f"{current:{len(str(self.target))}d}/{self.target}", "━" * done, rest * (self.width - done)

    def _in(self, colour: str, text: str) -> str:
        return f"{colour}{text}{_END}" if self._coloured and colour and text else text

    def _per_unit(self, seconds: float) -> str:
        if seconds >= 1 or seconds == 0:
            return f"{seconds:.0f}s/{self.unit_name}"
        if seconds >= 1e-3:
            return f"{seconds * 1e3:.0f}ms/{self.unit_name}"
        return f"{seconds * 1e6:.0f}us/{self.unit_name}"

    def _metrics(self) -> str:
        numbers = "".join(f" - {name}: {_number(*pair)}" for name, pair in self._values.items())
        return f"{numbers} - {self.note}" if self.note else numbers


def _number(total: Any, count: int) -> str:
    if isinstance(total, str):
        return total
    mean = float(np.mean(total)) / max(1, count)
    return f"{mean:.4f}" if abs(mean) > 1e-3 else f"{mean:.4e}"


def _clock(seconds: float) -> str:
    minutes, hours = int(seconds // 60), int(seconds // 3600)
    if seconds > 3600:
        return f"{hours}:{minutes % 60:02d}:{int(seconds % 60):02d}"
    return f"{minutes}:{int(seconds % 60):02d}" if seconds > 60 else f"{int(seconds)}s"


class ProgbarLogger(Callback):
    """Shows the progress of ``fit``, ``evaluate`` and ``predict``.

    A loop asks ``due(batch)`` at every batch and calls the hook of the batch's end only when it is; metrics then have
    to be computed a few times per second only. What a loop puts into ``note`` is shown after the metrics.
    """

    first_process_only = True

    note = ""

    def __init__(self) -> None:
        self.seen = 0
        self.progbar: Progbar | None = None
        self.target: int | None = None
        self.verbose = 1
        self.epochs = 1
        self._in_fit = False
        self._validating = False

    def set_params(self, params: Any) -> None:
        """Take "verbose" ("auto" is 1), "epochs" and "steps"."""
        self.verbose = 1 if params["verbose"] == "auto" else params["verbose"]
        self.epochs = params["epochs"]
        self.target = params["steps"]

    def due(self, batch: int) -> bool:
        """Return whether to draw after this batch, counted from 0."""
        if self._validating:
            return False
        self.seen = batch + 1
        return self._bar().due(batch + 1)

    def on_train_begin(self, logs: Logs = None) -> None:
        """From here on validation is silent."""
        self._in_fit = True

    def on_train_end(self, logs: Logs = None) -> None:
        """Evaluation is shown again."""
        self._in_fit = False

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Begin a new bar."""
        self._begin()
        if self.verbose and self.epochs > 1:
            say(f"Epoch {epoch + 1}/{self.epochs}")

    def on_test_begin(self, logs: Logs = None) -> None:
        """Begin a new bar, unless this is validation."""
        self._validating = self._in_fit
        if not self._validating:
            self._begin()

    def on_predict_begin(self, logs: Logs = None) -> None:
        """Begin a new bar."""
        self._begin()

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Draw."""
        self._update(batch, logs)

    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Draw, unless this is validation."""
        if not self._validating:
            self._update(batch, logs)

    def on_predict_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Draw, without the outputs."""
        self._update(batch, None)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Draw the epoch's final line."""
        self._finish(logs)

    def on_test_end(self, logs: Logs = None) -> None:
        """Draw the final line, unless this was validation."""
        if not self._validating:
            self._finish(logs)
        self._validating = False

    def on_predict_end(self, logs: Logs = None) -> None:
        """Draw the final line."""
        self._finish(None)

    def _begin(self) -> None:
        self.seen = 0
        self.progbar = None
        self._bar()

    def _bar(self) -> Progbar:
        if self.progbar is None:
            self.progbar = Progbar(self.target, verbose=self.verbose, interval=_DRAW_INTERVAL, stateless_metrics=())
        self.progbar.note = self.note
        return self.progbar

    def _update(self, batch: int, logs: Logs) -> None:
        self.seen = batch + 1
        if self.verbose == 1:
            self._bar().update(self.seen, (logs or {}).items(), finalize=False)

    def _finish(self, logs: Logs) -> None:
        if self.target is None:
            self.target = self._bar().target = self.seen
        self._bar().update(self.target, (logs or {}).items(), finalize=True)
