"""How a training shows itself: a bar on a terminal, a line per epoch elsewhere."""

import json
from collections.abc import Iterable
from time import perf_counter
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from convia.callbacks import Callback
from convia.cli.words import words
from convia.texts import Say

Logs = dict[str, Any] | None


class Timer(Callback):
    """Adds up the seconds in which the model learns, validation left out."""

    def __init__(self) -> None:
        self.seconds, self.epochs = 0.0, 0
        self._start: float | None = None

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Learning begins."""
        self._start = perf_counter()

    def on_test_begin(self, logs: Logs = None) -> None:
        """Validation begins."""
        self._stop()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Count the epoch."""
        self._stop()
        self.epochs += 1

    def _stop(self) -> None:
        if self._start is not None:
            self.seconds += perf_counter() - self._start
            self._start = None


def summary(logs: Logs, say: Say) -> str:
    """Return an epoch's results in words of the same width."""
    logs = logs or {}
    parts = (("loss", "{:.4f}"), ("accuracy", "{:6.1%}"), ("val_loss", "{:.4f}"), ("val_accuracy", "{:6.1%}"))
    return "   ".join(f"{say(name)} {how.format(logs[name])}" for name, how in parts if name in logs)


class EpochLines(Callback):
    """Prints a line per epoch, which begins with the name of the stage, if there is one."""

    def __init__(self, console: Console, say: Say | None = None, stage: str = "") -> None:
        self.console, self.say, self.note = console, say or words("en"), ""
        self._stage = f"{stage}: " if stage else ""
        self._start, self._told = 0.0, ""

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Note the time."""
        self._start = perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Print."""
        epochs = self.params["epochs"]
        line = (
            f"{self._stage}{self.say('epoch')} {epoch + 1:{len(str(epochs))}d}/{epochs}   {summary(logs, self.say)}   "
            f"{perf_counter() - self._start:.1f} s"
        )
        if self.note != self._told:
            line, self._told = f"{line}   {self.note}", self.note
        self.console.print(line, highlight=False, soft_wrap=True)


class EpochEvents(Callback):
    """Prints a line of JSON per epoch, for programs."""

    def __init__(self, images: int, stage: str) -> None:
        self._images, self._stage, self._start = images, stage, 0.0

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Note the time."""
        self._start = perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Print."""
        seconds = perf_counter() - self._start
        numbers = {name: float(value) for name, value in (logs or {}).items()}
        event("epoch", stage=self._stage, epoch=epoch + 1, epochs=self.params["epochs"], seconds=round(seconds, 3),
              images_per_second=round(self._images / max(seconds, 1e-9), 1), **numbers)  # fmt: skip


def event(name: str, **facts: Any) -> None:
    """Print an event as a line of JSON."""
    print(json.dumps({"event": name, **facts}, ensure_ascii=False, default=str), flush=True)


class _TwoLines(Progress):
    """A bar, and below it what its description says, as much as fits."""

    def get_renderables(self) -> Iterable[RenderableType]:
        """Return both lines."""
        yield self.make_tasks_table(self.tasks)
        yield from (Text(task.description, no_wrap=True, overflow="ellipsis") for task in self.tasks)


class EpochBar(Callback):
    """Draws a bar that grows batch by batch: epoch, step, time left, loss, accuracy, images per second, what is kept.

    Attributes:
        note: what is kept in memory; ``fit`` says so where it keeps the features of a frozen network.
    """

    def __init__(
        self, console: Console, images: int = 0, say: Say | None = None, note: str = "", stage: str = ""
    ) -> None:
        self._say = say = say or words("en")
        columns = (
            TextColumn((f"{stage}: " if stage else "") + say("epoch") + " {task.fields[epoch]}"),
            TextColumn(say("step") + " {task.fields[step]}"),
            BarColumn(bar_width=20),
            TimeElapsedColumn(),
            TextColumn(say("left")),
            TimeRemainingColumn(),
        )
        self._bar = _TwoLines(*columns, console=console, transient=False)
        self._task: Any = None
        self._images, self._start, self._steps, self._last = images, 0.0, 1, ""
        self._kept, self.note = note, ""

    def on_train_begin(self, logs: Logs = None) -> None:
        """Show an empty bar."""
        self._steps = self.params["steps"] or 1
        self._task = self._bar.add_task("", total=self.params["epochs"] * self._steps, epoch="", step="")
        self._bar.start()

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Name the epoch."""
        self._start = perf_counter()
        done, shown = epoch * self._steps, f"{epoch + 1}/{self.params['epochs']}"
        if done > self._bar.tasks[0].completed + self._steps:  # begun before: the time left is not reckoned from that
            self._bar.reset(self._task, completed=done, epoch=shown)
        else:
            self._bar.update(self._task, completed=done, epoch=shown)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Grow."""
        self._show(logs, (batch + 1) / self._steps, advance=1, step=f"{batch + 1}/{self._steps}")

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Show the results."""
        if logs and "val_accuracy" in logs:
            self._last = f"{self._say('val_accuracy')} {logs['val_accuracy']:.1%}"
        self._show(logs, 1.0)

    def _show(self, logs: Logs, share: float, **changes: Any) -> None:
        speed = self._images * share / max(perf_counter() - self._start, 1e-9)
        known = [(name, how, (logs or {}).get(name)) for name, how in (("loss", ".4f"), ("accuracy", ".1%"))]
        parts = [f"{self._say(name)} {float(value):{how}}" for name, how, value in known if value is not None]
        parts += [f"{speed:,.0f} {self._say('images_per_second')}", self._last, self.note or self._kept]
        self._bar.update(self._task, description="  ".join(part for part in parts if part), **changes)

    def on_train_end(self, logs: Logs = None) -> None:
        """Leave the bar where it is."""
        self.close()

    def close(self) -> None:
        """Give the terminal back; also after an interruption."""
        self._bar.stop()
