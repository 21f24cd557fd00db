"""``tensorflow_addons.callbacks``."""

import time
from typing import Any

from convia.callbacks import Callback


class TQDMProgressBar(Callback):
    """Accepted: the library's own progress bar is shown anyway."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()


class TimeStopping(Callback):
    """Ends a training after so many seconds.

    Args:
        seconds: counted from its beginning.
        verbose: 1 says so.
    """

    def __init__(self, seconds: int = 86400, verbose: int = 0) -> None:
        super().__init__()
        self.seconds, self.verbose, self._start = seconds, verbose, 0.0

    def on_train_begin(self, logs: Any = None) -> None:
        """Start the clock."""
        self._start = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Look at the clock."""
        if time.monotonic() - self._start >= self.seconds:
            self.model.stop_training = True
            if self.verbose:
                print(f"Timed stopping at epoch {epoch + 1} after training for {self.seconds} seconds")


__all__ = ["TQDMProgressBar", "TimeStopping"]
