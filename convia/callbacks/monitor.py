"""Callbacks that watch one metric: MonitorCallback, EarlyStopping, ReduceLROnPlateau; and TerminateOnNaN."""

import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from convia.callbacks.base import Callback, Logs
from convia.callbacks.progress import say
from convia.callbacks.rates import log_rates, named_optimizers
from convia.errors import explain

_DIRECTIONS = {"up": np.greater, "down": np.less}
_BY_NAME = {"acc": np.greater, "accuracy": np.greater}  # the last word of the names of metrics that are not to be found


class MonitorCallback(Callback):
    """Base of callbacks that decide by one metric.

    Args:
        monitor: its name in the logs, such as "val_loss".
        mode: "min" if less is better, "max" if more is; "auto" asks the metric of that name.
        baseline: a value to be better than; None: the first one is the best so far.
        min_delta: by how much a value has to be better.
    """

    kept: tuple[str, ...] = ("best",)

    def __init__(
        self, monitor: str = "val_loss", mode: str = "auto", baseline: float | None = None, min_delta: float = 0
    ) -> None:
        if mode not in ("auto", "min", "max"):
            who = f"{type(self).__name__}, argument 'mode'"
            text = explain(who, repr(mode), "'auto', 'min' or 'max'", "'auto' is used.")
            warnings.warn(text, stacklevel=3)
            mode = "auto"
        self.monitor = monitor
        self.mode = mode
        self.best = baseline
        self.min_delta = abs(min_delta)
        self.monitor_op: Callable[[Any, Any], Any] | None = None  # np.less or np.greater, once it is known

    def _set_monitor_op(self) -> None:
        """Find the direction, which for "auto" is known when the model's metrics are.

        Raises:
            ValueError: "auto", and neither the model's metrics nor the name tell.
        """
        fixed = {"min": np.less, "max": np.greater}
        self.monitor_op = fixed.get(self.mode) or self._direction()
        if self.monitor_op is np.less:
            self.min_delta = -self.min_delta

    def _direction(self) -> Callable[[Any, Any], Any]:
        name = self.monitor.removeprefix("val_")
        if name == "loss" or name.endswith("_loss"):
            return np.less
        for metric in _metrics(self.model):
            own = getattr(metric, "name", None) or ""
            if name == own or name.endswith(f"_{own}"):
                direction = _DIRECTIONS.get(getattr(metric, "_direction", None) or "")
                if direction is not None:
                    return direction
        by_name = _BY_NAME.get(name.rpartition("_")[2])
        if by_name is None:
            remedy = f"Is a larger {name} better? Then mode='max'."
            expected = "mode='max' or mode='min' for a metric whose better direction is not known"
            who = f"{type(self).__name__}, argument 'mode'"
            raise ValueError(explain(who, f"{self.mode!r} with monitor={self.monitor!r}", expected, remedy))
        return by_name

    def _is_improvement(self, monitor_value: Any, reference_value: Any) -> bool:
        if reference_value is None:
            return True
        if self.monitor_op is None:
            self._set_monitor_op()
        assert self.monitor_op is not None
        # in float32, in which metrics are computed, 0.4 − 0.1 is not greater than 0.3
        better = self.monitor_op(np.float32(float(monitor_value) - self.min_delta), np.float32(float(reference_value)))
        return bool(better)

    def _missing(self, logs: dict[str, Any], remedy: str) -> str:
        received = f"logs without the metric {self.monitor!r}"
        expected = f"one of the available metrics: {', '.join(logs) or 'none'}"
        hint = " Pass validation_data to fit." if self.monitor.removeprefix("val_") in logs else ""
        return explain(type(self).__name__, received, expected, remedy + hint)


def _metrics(model: Any) -> Iterator[Any]:
    for metric in getattr(model, "metrics", None) or ():
        yield metric
        yield from getattr(metric, "metrics", None) or ()


class EarlyStopping(MonitorCallback):
    """Ends the training when a metric has not improved for some epochs.

    Args:
        monitor: the metric.
        min_delta: what counts as an improvement.
        patience: the number of epochs without improvement.
        verbose: 1 prints what is done.
        mode: "min", "max" or "auto".
        baseline: stop if this value is not reached within ``patience`` epochs.
        restore_best_weights: at the end, give the model the weights of the best epoch.
        start_from_epoch: epochs before this one are not looked at.
    """

    kept = ("best", "best_epoch", "best_weights", "stopped_epoch", "wait")

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best_weights: Any = None

    def on_train_begin(self, logs: Logs = None) -> None:
        """Forget earlier training."""
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best = self.best_weights = None

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Compare, and stop the training when patience is at an end."""
        if self.monitor_op is None:
            self._set_monitor_op()
        current = self.get_monitor_value(logs)
        if current is None or epoch < self.start_from_epoch:
            return
        self.wait += 1
        if self._is_improvement(current, self.best):
            self.best = current
            self.best_epoch = epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self._is_improvement(current, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs = None) -> None:
        """Say so if the training was stopped; restore the best weights."""
        if self.stopped_epoch > 0 and self.verbose > 0:
            say(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            if self.verbose > 0:
                say(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)

    def get_monitor_value(self, logs: Logs) -> Any:
        """Return the metric's value, or warn and return None."""
        value = (logs or {}).get(self.monitor)
        if value is None:
            warnings.warn(self._missing(logs or {}, "Nothing is stopped."), stacklevel=2)
        return value


class ReduceLROnPlateau(MonitorCallback):
    """Multiplies the learning rate by a factor when a metric has not improved for some epochs.

    Args:
        monitor: the metric.
        factor: less than 1.
        patience: the number of epochs without improvement.
        verbose: 1 prints what is done.
        mode: "min", "max" or "auto".
        min_delta: what counts as an improvement.
        cooldown: the number of epochs to wait after a reduction before counting again.
        min_lr: the learning rate does not fall below it.

    Raises:
        ValueError: a factor of 1 or more.
    """

    kept = ("best", "cooldown_counter", "wait")

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        if factor >= 1:
            raise ValueError(explain("ReduceLROnPlateau, argument 'factor'", repr(factor), "a number below 1"))
        self.factor = factor
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.min_lr = min_lr
        self.cooldown_counter = self.wait = 0

    def on_train_begin(self, logs: Logs = None) -> None:
        """Forget earlier training."""
        self.best = None
        self.cooldown_counter = self.wait = 0

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Compare, and reduce when patience is at an end; adds "learning_rate" to the logs."""
        if self.monitor_op is None:
            self._set_monitor_op()
        logs = {} if logs is None else logs
        log_rates(self.model, logs)
        current = logs.get(self.monitor)
        if current is None:
            warnings.warn(self._missing(logs, "The learning rate is left as it is."), stacklevel=2)
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self._is_improvement(current, self.best):
            self.best = current
            self.wait = 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience and self._reduce(epoch):
                self.cooldown_counter = self.cooldown
                self.wait = 0

    def _reduce(self, epoch: int) -> bool:
        reduced = False
        for name, optimizer in named_optimizers(self.model):
            old = float(optimizer.learning_rate)
            if old <= np.float32(self.min_lr):
                continue
            reduced = True
            new = max(old * self.factor, self.min_lr)
            optimizer.learning_rate = new
            if self.verbose > 0:
                of = f" {name}" if name else ""
                say(f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing{of} learning rate to {new}.")
        return reduced

    def in_cooldown(self) -> bool:
        """Return whether the last reduction was just before."""
        return self.cooldown_counter > 0


class TerminateOnNaN(Callback):
    """Ends the training at a loss that is not a finite number, and says where that comes from.

    The first layer whose output is not finite is named, and the files that the batch was made of, or its samples'
    places in the arrays. The weights stay as they were before that batch, unless a ``train_step`` of the model's own
    has changed them.

    Args:
        raise_error: raise a RuntimeError instead, so that nothing else happens, such as the saving of weights.
    """

    def __init__(self, raise_error: bool = False) -> None:
        self.raise_error = raise_error

    def on_train_begin(self, logs: Logs = None) -> None:
        """Keep the weights from steps that are not finite."""
        self._watch(True)

    def on_train_end(self, logs: Logs = None) -> None:
        """Leave the model as it was."""
        self._watch(False)

    def _watch(self, stops: bool) -> None:
        self.model._stops_at_nan, self.model._nan_comes_from = stops, ""

    def on_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Look at the loss.

        Raises:
            RuntimeError: it is NaN or infinite, and ``raise_error`` was asked for.
        """
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(loss):
            return
        cause = getattr(self.model, "_nan_cause", str)()
        if self.raise_error:
            remedy = "Training is ended. Try a smaller learning rate, clipnorm=1.0, or look for NaN in the data."
            received = f"the loss {loss} at batch {batch}" + (f" ({cause})" if cause else "")
            raise RuntimeError(explain("TerminateOnNaN", received, "a finite loss", remedy))
        say(f"Batch {batch}: Invalid loss, terminating training")
        if cause:
            say(f"The loss is {loss}: {cause}.")
        self.model.stop_training = True
