"""ModelCheckpoint: saves the model, or its weights, while it is trained."""

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from convia.callbacks.base import Logs, needed_if
from convia.callbacks.disk import survives
from convia.callbacks.monitor import MonitorCallback
from convia.callbacks.progress import say
from convia.errors import explain


class BatchCounter:
    """Counts batches across epochs and says when ``every`` of them have passed; batches may come in strides."""

    def __init__(self, every: int) -> None:
        self.every = every
        self.count = 0
        self.last = -1

    def is_due(self, batch: int) -> bool:
        """Count up to this batch of the epoch, from 0."""
        self.count += batch + 1 if batch <= self.last else batch - self.last
        self.last = batch
        if self.count < self.every:
            return False
        self.count = 0
        return True


def batch_counter(save_freq: Any, who: str) -> BatchCounter | None:
    """Return what counts the batches for ``save_freq``; None for "epoch".

    Raises:
        ValueError: neither "epoch" nor a positive whole number.
    """
    if save_freq == "epoch":
        return None
    if not isinstance(save_freq, int) or isinstance(save_freq, bool) or save_freq < 1:
        raise ValueError(explain(f"{who}, argument 'save_freq'", repr(save_freq), "'epoch' or a number of batches"))
    return BatchCounter(save_freq)


class ModelCheckpoint(MonitorCallback):
    """Saves the model, or its weights, after each epoch or each so many batches.

    Args:
        filepath: the file, ending in ".keras" or ".h5", or in ".weights.h5" for weights. It may name the epoch (from
            1), the batch and metrics, as in "{epoch:02d}-{val_loss:.2f}.keras".
        monitor: the metric that tells which model is the best.
        verbose: 1 prints what is done.
        save_best_only: save only when the metric is better than ever before.
        save_weights_only: save the weights, and the state of the optimizer, instead of the model.
        mode: "min", "max" or "auto".
        save_freq: "epoch", or a number of batches.
        initial_value_threshold: the value that the first model to be saved has to be better than.

    Raises:
        ValueError: a file name with another ending; another ``save_freq``.
        KeyError: when saving, if the file name names a metric that is not there.
        IsADirectoryError: when saving, if the file is a folder.
    """

    first_process_only = True
    kept = ("best", "_counted")

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: Any = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, initial_value_threshold)
        self.filepath = os.fspath(filepath)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq = save_freq
        self._counter = batch_counter(save_freq, "ModelCheckpoint")
        self._current_epoch = 0
        if not self.filepath.endswith(".weights.h5" if save_weights_only else (".keras", ".h5")):
            self._refuse_ending()

    @property
    def _counted(self) -> list[int]:
        return [] if self._counter is None else [self._counter.count, self._counter.last]

    @_counted.setter
    def _counted(self, numbers: list[int]) -> None:
        if self._counter is not None and numbers:
            self._counter.count, self._counter.last = numbers

    def _refuse_ending(self) -> None:
        weights = self.save_weights_only
        expected = "a file name ending in .weights.h5, for weights alone" if weights else "a file name ending in .keras"
        stem = self.filepath.removesuffix(".keras").removesuffix(".h5").removesuffix(".hdf5").removesuffix(".tf")
        remedy = f"Write {stem + ('.weights.h5' if weights else '.keras')!r}."
        raise ValueError(explain("ModelCheckpoint, argument 'filepath'", repr(self.filepath), expected, remedy))

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Note the epoch."""
        self._current_epoch = epoch

    @needed_if(lambda self: self._counter)
    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Save, if it is time."""
        if self._counter is not None and self._counter.is_due(batch):
            self._save(self._current_epoch, batch, logs or {})

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Save, if it is time."""
        if self.monitor_op is None and self.save_best_only:
            self._set_monitor_op()
        if self.save_freq == "epoch":
            self._save(epoch, None, logs or {})

    def _save(self, epoch: int, batch: int | None, logs: dict[str, Any]) -> None:
        path = self._path(epoch, batch, logs)
        if not self._should_save(epoch, logs, path):
            return
        if Path(path).is_dir():
            received, remedy = f"the folder {path}", "Name a file in it."
            raise IsADirectoryError(explain("ModelCheckpoint, argument 'filepath'", received, "a file", remedy))
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        save = self.model.save_weights if self.save_weights_only else self.model.save
        with survives("ModelCheckpoint", path, "What was there before is kept, and training goes on."):
            save(path, overwrite=True)
            self._say(epoch, f"finished saving model to {path}")

    def _say(self, epoch: int, text: str) -> None:
        if self.verbose > 0:
            say(f"\nEpoch {epoch + 1}: {text}")

    def _should_save(self, epoch: int, logs: dict[str, Any], path: str) -> bool:
        if not self.save_best_only:
            self._say(epoch, f"saving model to {path}")
            return True
        current = logs.get(self.monitor)
        if current is None:
            warnings.warn(self._missing(logs, "The model is saved, whether best or not."), stacklevel=2)
            return True
        if isinstance(current, (np.ndarray, torch.Tensor)) and current.ndim:
            received, remedy = f"{self.monitor} = {current}", "The model is saved, whether best or not."
            warnings.warn(explain("ModelCheckpoint", received, "one number", remedy), stacklevel=2)
            return True
        best = "None" if self.best is None else f"{self.best:.5f}"
        if not self._is_improvement(current, self.best):
            self._say(epoch, f"{self.monitor} did not improve from {best}")
            return False
        self._say(epoch, f"{self.monitor} improved from {best} to {current:.5f}, saving model to {path}")
        self.best = current
        return True

    def _path(self, epoch: int, batch: int | None, logs: dict[str, Any]) -> str:
        names = {"epoch": epoch + 1} | ({} if batch is None else {"batch": batch + 1}) | logs
        try:
            return self.filepath.format(**names)
        except (KeyError, IndexError, ValueError) as error:
            received = f"{self.filepath!r} ({error})"
            expected = f"a format string with some of the names {', '.join(names)}"
            raise KeyError(explain("ModelCheckpoint, argument 'filepath'", received, expected)) from None
