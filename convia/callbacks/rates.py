"""LearningRateScheduler: the learning rate as a function of the epoch."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from convia.callbacks.base import Callback, Logs
from convia.callbacks.progress import say
from convia.errors import explain


def named_optimizers(model: Any) -> list[tuple[str, Any]]:
    """Return [("", optimizer)], or (name, optimizer) of each where the model's optimizer consists of several."""
    several = getattr(model.optimizer, "optimizers", None)
    return [("", model.optimizer)] if several is None else [(optimizer.name, optimizer) for optimizer in several]


def log_rates(model: Any, logs: dict[str, Any]) -> None:
    """Add "learning_rate" to logs, or "learning_rate_name" for each of several optimizers."""
    for name, optimizer in named_optimizers(model):
        logs[f"learning_rate_{name}" if name else "learning_rate"] = float(optimizer.learning_rate)


class LearningRateScheduler(Callback):
    """Sets the learning rate at the beginning of each epoch, and adds it to the logs.

    Args:
        schedule: a function of (epoch, learning rate so far), or of (epoch), that returns a float.
        verbose: 1 prints the learning rate.

    Raises:
        ValueError: there is no learning rate, or the function returned something else.
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        self.schedule = schedule
        self.verbose = verbose

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Ask the function and set the learning rate."""
        for name, optimizer in named_optimizers(self.model):
            rate = self._set(optimizer, epoch)
            if self.verbose > 0:
                of = f" {name}" if name else ""
                say(f"\nEpoch {epoch + 1}: LearningRateScheduler setting{of} learning rate to {rate}.")

    def _set(self, optimizer: Any, epoch: int) -> float:
        if not hasattr(optimizer, "learning_rate"):
            received = f"the optimizer {type(optimizer).__name__}"
            raise ValueError(explain("LearningRateScheduler", received, "one with a learning_rate"))
        takes_rate = _accepts(self.schedule, epoch, 0.0)
        rate = self.schedule(epoch, float(optimizer.learning_rate)) if takes_rate else self.schedule(epoch)
        if not isinstance(rate, (float, np.float32, np.float64)):
            who, remedy = "LearningRateScheduler, output of 'schedule'", "Return float(...)."
            raise ValueError(explain(who, repr(rate), "a float", remedy))
        optimizer.learning_rate = rate
        return rate

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Add "learning_rate" to the logs."""
        if logs is not None:
            log_rates(self.model, logs)


def _accepts(function: Callable[..., Any], *args: Any) -> bool:
    try:
        inspect.signature(function).bind(*args)
    except TypeError:
        return False
    except ValueError:  # a function of C without a signature
        return True
    return True
