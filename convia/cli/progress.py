"""How a training shows itself: a bar on a terminal, a line per epoch elsewhere."""

from time import perf_counter
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

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


class EpochBar(Callback):
    """Draws a bar that grows batch by batch, with the results of the last epoch."""

    def __init__(self, console: Console) -> None:
        columns = (
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=20),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
        )
        self._bar = Progress(*columns, console=console, transient=False)
        self._task: Any = None

    def on_train_begin(self, logs: Logs = None) -> None:
        """Show an empty bar."""
        steps = self.params["epochs"] * (self.params["steps"] or 1)
        self._task = self._bar.add_task("", total=steps, epoch="")
        self._bar.start()

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Name the epoch."""
        self._bar.update(self._task, epoch=f"{epoch + 1}/{self.params['epochs']}")

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Grow."""
        self._bar.advance(self._task)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Show the results."""
        logs = logs or {}
        text = f"loss {logs['loss']:.4f}  validation accuracy {logs['val_accuracy']:.1%}"
        self._bar.update(self._task, description=text)

    def on_train_end(self, logs: Logs = None) -> None:
        """Leave the bar where it is."""
        self.close()

    def close(self) -> None:
        """Give the terminal back; also after an interruption."""
        self._bar.stop()
