"""How a training shows itself: a bar on a terminal, a line per epoch elsewhere."""

import json
from time import perf_counter
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from convia.callbacks import Callback

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


def summary(logs: Logs) -> str:
    """Return an epoch's results in words of the same width."""
    logs = logs or {}
    parts = [("loss", "loss", "{:.4f}"), ("accuracy", "accuracy", "{:6.1%}")]
    parts += [("val_loss", "validation loss", "{:.4f}"), ("val_accuracy", "validation accuracy", "{:6.1%}")]
    return "   ".join(f"{words} {how.format(logs[name])}" for name, words, how in parts if name in logs)


class EpochLines(Callback):
    """Prints a line per epoch."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._start = 0.0

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Note the time."""
        self._start = perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Print."""
        epochs = self.params["epochs"]
        line = (
            f"epoch {epoch + 1:{len(str(epochs))}d}/{epochs}   {summary(logs)}   {perf_counter() - self._start:.1f} s"
        )
        self.console.print(line, highlight=False, soft_wrap=True)


class EpochEvents(Callback):
    """Prints a line of JSON per epoch, for programs."""

    def __init__(self, images: int) -> None:
        self._images, self._start = images, 0.0

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Note the time."""
        self._start = perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Print."""
        seconds = perf_counter() - self._start
        numbers = {name: float(value) for name, value in (logs or {}).items()}
        event("epoch", epoch=epoch + 1, epochs=self.params["epochs"], seconds=round(seconds, 3),
              images_per_second=round(self._images / max(seconds, 1e-9), 1), **numbers)  # fmt: skip


def event(name: str, **facts: Any) -> None:
    """Print an event as a line of JSON."""
    print(json.dumps({"event": name, **facts}, ensure_ascii=False, default=str), flush=True)


class EpochBar(Callback):
    """Draws a bar that grows batch by batch: epoch, step, time left, loss, accuracy, images per second."""

    def __init__(self, console: Console, images: int = 0) -> None:
        columns = (
            TextColumn("epoch {task.fields[epoch]}"),
            TextColumn("step {task.fields[step]}"),
            BarColumn(bar_width=20),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
        )
        self._bar = Progress(*columns, console=console, transient=False)
        self._task: Any = None
        self._images, self._start, self._steps, self._last = images, 0.0, 1, ""

    def on_train_begin(self, logs: Logs = None) -> None:
        """Show an empty bar."""
        self._steps = self.params["steps"] or 1
        self._task = self._bar.add_task("", total=self.params["epochs"] * self._steps, epoch="", step="")
        self._bar.start()

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Name the epoch."""
        self._start = perf_counter()
        epochs = self.params["epochs"]
        self._bar.update(self._task, epoch=f"{epoch + 1}/{epochs}", completed=epoch * self._steps)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Grow."""
        speed = self._images * (batch + 1) / self._steps / max(perf_counter() - self._start, 1e-9)
        loss = f"loss {float(logs['loss']):.4f}  " if logs and "loss" in logs else ""
        text = f"{loss}{speed:,.0f} images/s{self._last}"
        self._bar.update(self._task, advance=1, step=f"{batch + 1}/{self._steps}", description=text)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Show the results."""
        logs = logs or {}
        self._last = f"  validation accuracy {logs['val_accuracy']:.1%}"
        speed = self._images / max(perf_counter() - self._start, 1e-9)
        self._bar.update(self._task, description=f"loss {logs['loss']:.4f}  {speed:,.0f} images/s{self._last}")

    def on_train_end(self, logs: Logs = None) -> None:
        """Leave the bar where it is."""
        self.close()

    def close(self) -> None:
        """Give the terminal back; also after an interruption."""
        self._bar.stop()
