"""BackupAndRestore: training that goes on where it was interrupted."""

import json
import os
import sys
import warnings
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from convia import distributed
from convia.callbacks.base import Callback, Logs, after_others, needed_if
from convia.callbacks.checkpoint import batch_counter
from convia.callbacks.disk import lock, survives, unlock
from convia.callbacks.kept import callbacks_state, metrics_state, set_callbacks_state, set_metrics_state
from convia.callbacks.progress import say
from convia.callbacks.random_state import random_state, set_random_state
from convia.errors import explain

Arrays = dict[str, np.ndarray]

_DAMAGED = (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error)


class BackupAndRestore(Callback):
    """Backs the training up, and restores it when ``fit`` is called again after an interruption.

    A backup holds the weights, the optimizer's variables, the epoch and batch, the states of the random generators and
    of the metrics, and what other callbacks and the data sets ``kept`` (such as how long a metric has not improved, or
    the order of files), so that training goes on as if nothing had happened. It is made, and restored, after the other
    callbacks have been called. It is one file, written under another name, flushed to the disk and then renamed: an
    interruption at any moment leaves a whole backup. SIGTERM and Ctrl-C wait for the end of the batch, and for a
    backup; a full disk is a warning. The folder is locked against other processes.

    ``fit`` finds the epoch and the batch to go on with, both from 0, as ``model._resume_epoch`` and
    ``model._resume_step`` after ``on_train_begin``; both are 0 where there is no backup.

    Args:
        backup_dir: a folder for this training alone.
        save_freq: "epoch", or a number of batches.
        double_checkpoint: keep the backup before the latest too, in case that is damaged.
        delete_checkpoint: delete the backups at the regular end of training.

    Raises:
        ValueError: no folder; another ``save_freq``; when restoring, a model that is not built or is not the one that
            was backed up.
        OSError: when restoring, if no backup can be read.
        RuntimeError: another process uses the folder.
    """

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: Any = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        if not backup_dir:
            raise ValueError(explain("BackupAndRestore, argument 'backup_dir'", repr(backup_dir), "a folder"))
        self.backup_dir = backup_dir
        self.save_freq = save_freq
        self.double_checkpoint = double_checkpoint
        self.delete_checkpoint = delete_checkpoint
        self._counter = batch_counter(save_freq, "BackupAndRestore")
        self._latest = Path(backup_dir) / "latest.npz"
        self._previous = Path(backup_dir) / "previous.npz"
        self._epoch = 0
        self._owed = self._interrupted = False
        self._random_at_epoch: Arrays = {}
        self._random_at_step: Arrays = {}
        self._metrics_at_step: Arrays = {}
        self._data_at_epoch: Arrays = {}
        self._companions: Sequence[Any] = ()
        self._sources: Sequence[Any] = ()

    @after_others
    def on_train_begin(self, logs: Logs = None) -> None:
        """Restore the latest backup that can be read."""
        if not getattr(self.model, "built", True):
            remedy = "Call it on a batch first, or give the first layer an input shape."
            raise ValueError(explain("BackupAndRestore", "a model without weights", "a built model", remedy))
        if distributed.is_first():
            lock("BackupAndRestore", self._latest.parent)
        arrays = self._read()
        self._owed = self._interrupted = False
        self._resume(*self._restore(arrays) if arrays else (0, 0))

    def _resume(self, epoch: int, step: int) -> None:
        self.model._resume_epoch, self.model._resume_step = epoch, step

    def _read(self) -> Arrays | None:
        paths = [path for path in (self._latest, self._previous) if path.exists()]
        failures = []
        for path in paths:
            try:
                arrays = _read_arrays(path)
            except _DAMAGED as error:
                failures.append(f"{path} is damaged ({error})")
                continue
            if failures:
                expected, remedy = "a whole backup", f"The one before it is used: {path}"
                warnings.warn(explain("BackupAndRestore", "; ".join(failures), expected, remedy), stacklevel=4)
            return arrays
        if failures:
            remedy = "Delete the folder to begin anew; double_checkpoint=True keeps a second backup."
            raise OSError(explain("BackupAndRestore", "; ".join(failures), "a whole backup", remedy))
        return None

    def _restore(self, arrays: Arrays) -> tuple[int, int]:
        """Set the model, its optimizer and the random generators; return the epoch and the batch to go on with."""
        model = self.model
        weights = _numbered(arrays, "weights")
        self._check("weights", weights, model.get_weights())
        model.set_weights(weights)
        optimizer = getattr(model, "optimizer", None)
        if optimizer is not None:
            if not getattr(optimizer, "built", True):
                optimizer.build(model.trainable_variables)
            saved = _numbered(arrays, "optimizer")
            self._check("optimizer variables", saved, [variable.numpy() for variable in optimizer.variables])
            for variable, value in zip(optimizer.variables, saved, strict=True):
                variable.assign(value)
        state = json.loads(str(arrays["state"]))
        at_epoch, at_step = _under(arrays, "random at epoch"), _under(arrays, "random")
        steps = (self.params or {}).get("steps")
        set_callbacks_state(self._companions, _under(arrays, "callbacks"))
        set_callbacks_state(self._sources, _under(arrays, "data"))
        if state.get("stopped"):
            return sys.maxsize, 0
        if state["step"] and None not in (steps, state.get("steps")) and steps != state["steps"]:
            self._warn_of_other_data(state, steps)
            return state["epoch"], 0
        self._random_at_step, self._random_at_epoch = (at_step, at_epoch) if state["step"] else ({}, {})
        self._metrics_at_step = _under(arrays, "metrics")
        # the order of the samples is drawn at the beginning of the epoch; it has to be the same for the rest of it
        set_random_state(at_epoch if state["step"] else at_step, model)
        return state["epoch"], state["step"]

    def _warn_of_other_data(self, state: Mapping[str, Any], steps: Any) -> None:
        received = f"epochs of {steps} batches, and a backup within one of {state['steps']}"
        remedy = f"Epoch {state['epoch'] + 1} begins anew, with the weights of the backup."
        warnings.warn(explain("BackupAndRestore", received, "the same data as before", remedy), stacklevel=5)

    def _check(self, what: str, saved: Sequence[np.ndarray], own: Sequence[np.ndarray]) -> None:
        saved_shapes, shapes = [array.shape for array in saved], [np.shape(array) for array in own]
        if saved_shapes != shapes:
            received = f"a backup with {what} of shapes {saved_shapes}"
            remedy = f"It is of another model; delete the folder {self.backup_dir}, or use another."
            raise ValueError(explain("BackupAndRestore", received, f"the model's {what}, of shapes {shapes}", remedy))

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Note the epoch, and from which random numbers and orders of data it begins."""
        self._epoch = epoch
        self._data_at_epoch = callbacks_state(self._sources)
        if not self._random_at_step:
            self._random_at_epoch = random_state(self.model)

    @needed_if(lambda self: self._counter or self._random_at_step)
    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Where the batches before were not read again, go on with what followed them."""
        self.on_resumption(batch)

    def on_resumption(self, batch: int) -> None:
        """Within a resumed epoch, go on with the random numbers that followed, and with its metrics."""
        if self._random_at_step:
            set_random_state(self._random_at_step, self.model)
            set_metrics_state(self.model, self._metrics_at_step)
            self._random_at_step = self._metrics_at_step = {}

    @after_others
    @needed_if(lambda self: self._counter)
    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Back up, if it is time; at the last batch of the epoch, after its validation."""
        if self._counter and self._counter.is_due(batch):
            steps = (self.params or {}).get("steps")
            self._owed = steps is not None and batch + 1 >= steps
            if not self._owed:
                self._save(self._epoch, batch + 1)

    @after_others
    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Back up, if it is time."""
        if self._counter is None or self._owed:
            self._owed = False
            self._save(epoch + 1, 0)

    def on_interruption(self, epoch: int, batch: int) -> None:
        """Back up, and say how to go on."""
        self._interrupted = True
        self._save(epoch, batch, stopped=False)
        self.tell(epoch, batch)

    def tell(self, epoch: int, batch: int) -> None:
        """Print, after an interruption, how to go on."""
        say(f"\nInterrupted; epoch {epoch + 1} goes on with batch {batch + 1}. All is kept in {self.backup_dir}:")
        say("run the same program again, and training goes on there.")

    def on_train_end(self, logs: Logs = None) -> None:
        """Delete the backups, and the folder if nothing else is in it."""
        self._resume(0, 0)
        self._sources, self._data_at_epoch = (), {}
        if not distributed.is_first():
            return
        if not self._interrupted and self._latest.parent.exists():
            self._delete() if self.delete_checkpoint else self._allow_more()
        unlock(self._latest.parent)

    def _allow_more(self) -> None:
        """After its regular end, a training that was stopped may go on."""
        arrays = self._read() or {}
        state = json.loads(str(arrays["state"])) if arrays else {}
        if state.get("stopped"):
            self._write({**arrays, "state": np.array(json.dumps({**state, "stopped": False}))})

    def _delete(self) -> None:
        for path in (self._latest, self._previous, _temporary(self._latest)):
            path.unlink(missing_ok=True)
        if not any(self._latest.parent.iterdir()):
            self._latest.parent.rmdir()

    def _save(self, epoch: int, step: int, stopped: bool | None = None) -> None:
        if not distributed.is_first():
            return
        optimizer = getattr(self.model, "optimizer", None)
        slots = [variable.numpy() for variable in optimizer.variables] if optimizer is not None else []
        groups: dict[str, Mapping[str, Any]] = {
            "weights": {str(place): weight for place, weight in enumerate(self.model.get_weights())},
            "optimizer": {str(place): slot for place, slot in enumerate(slots)},
            "random": random_state(self.model),
            "random at epoch": self._random_at_epoch if step else {},
            "metrics": metrics_state(self.model) if step else {},
            "callbacks": callbacks_state(self._companions),
            "data": self._data_at_epoch if step else callbacks_state(self._sources),
        }
        arrays = {f"{group}/{name}": array for group, rows in groups.items() for name, array in rows.items()}
        steps = (self.params or {}).get("steps")
        stopped = bool(getattr(self.model, "stop_training", False)) if stopped is None else stopped
        state = {"epoch": epoch, "step": step, "steps": steps, "stopped": stopped and not step}
        arrays["state"] = np.array(json.dumps(state))
        with survives("BackupAndRestore", str(self._latest), "The backup before is kept, and training goes on."):
            self._write(arrays)

    def _write(self, arrays: Mapping[str, Any]) -> None:
        self._latest.parent.mkdir(parents=True, exist_ok=True)
        temporary = _temporary(self._latest)
        with temporary.open("wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        if self.double_checkpoint and self._latest.exists():
            self._latest.replace(self._previous)
        temporary.replace(self._latest)
        _flush_folder(self._latest.parent)


def _temporary(path: Path) -> Path:
    return path.with_suffix(".tmp")


def _read_arrays(path: Path) -> Arrays:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    json.loads(str(arrays["state"]))
    return arrays


def _under(arrays: Arrays, group: str) -> Arrays:
    return {name.removeprefix(f"{group}/"): array for name, array in arrays.items() if name.startswith(f"{group}/")}


def _numbered(arrays: Arrays, group: str) -> list[np.ndarray]:
    rows = _under(arrays, group)
    return [rows[str(place)] for place in range(len(rows))]


def _flush_folder(folder: Path) -> None:
    """Make a renaming survive a power cut, where the system can flush folders."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
