"""What a training keeps outside its folder until it ends, so that it goes on after an interruption."""

import csv
import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from convia import distributed
from convia.callbacks import BackupAndRestore, Callback, CSVLogger, ModelCheckpoint
from convia.callbacks.disk import lock, unlock
from convia.cli.runs import write_json
from convia.errors import explain

_FREE = ("resume", "epochs", "fine_tune", "as_json", "lang")  # settings that may change when a run goes on


class Backup:
    """What a run keeps outside its folder until it ends, for ``--resume``: state, history and best weights so far.

    Of several processes that share a training all read it, and the first one writes. Until the run ends or ``release``
    is called, other runs cannot have the same one.

    Raises:
        ValueError: with ``resume``, settings that differ from those of the interrupted run.
        RuntimeError: another process trains for the same folder.
    """

    def __init__(self, wanted: Path, resume: bool, settings: dict[str, Any]) -> None:
        self._wanted = wanted
        self.folder = wanted.parent / f".{wanted.name}-backup"
        self.history, self.best = self.folder / "history.csv", self.folder / "best.weights.h5"
        self._notes = self.folder / "notes.json"
        known = self.folder / "settings.json"
        self.found = distributed.any_of_us(distributed.is_first() and resume and known.exists())
        plain = json.loads(json.dumps(settings, default=str))
        if self.found:
            before = json.loads(known.read_text(encoding="utf-8"))
            other = [name for name in plain if before.get(name) != plain[name] and name not in _FREE]
            if other:
                received = f"other values of {', '.join(other)}"
                raise ValueError(explain("--resume", received, "the options of the interrupted run"))
        if distributed.is_first():
            lock("convia train", wanted)
            self._forget_what_was_not_kept() if self.found else self._begin(known, plain)
        distributed.meet()

    def _begin(self, known: Path, settings: dict[str, Any]) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        write_json(known, settings)

    def _forget_what_was_not_kept(self) -> None:
        """Shorten the history to the epochs before the state: killed between the two, an epoch is done again."""
        if not self.history.exists():
            return
        whole = max(_epochs_of(folder) for folder in self.folder.iterdir() if folder.is_dir())
        heading, *lines = self.history.read_bytes().decode().splitlines(keepends=True)
        place = heading.strip().split(",").index("epoch")
        kept = [line for line in lines if line.endswith("\n") and int(line.split(",")[place]) < whole]
        self.history.write_bytes((heading + "".join(kept)).encode())

    def owns(self, draft: Path) -> None:
        """Remember the folder that is being written, and delete the one that a killed process left."""
        if not distributed.is_first():
            return
        note = self.folder / "draft.txt"
        if self.found and note.exists():
            shutil.rmtree(draft.parent / Path(note.read_text(encoding="utf-8")).name, ignore_errors=True)
        note.write_text(draft.name, encoding="utf-8")

    def columns(self) -> dict[str, list[float]]:
        """Return the history of all epochs, a list per column."""
        if not self.history.exists():
            return {}
        with self.history.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return {name: [float(row[name]) for row in rows] for name in (rows[0] if rows else ()) if name != "epoch"}

    @property
    def least(self) -> float | None:
        """The least validation loss so far."""
        return min(self.columns().get("val_loss", []), default=None)

    @property
    def notes(self) -> dict[str, Any]:
        """What was noted."""
        return json.loads(self._notes.read_text(encoding="utf-8")) if self._notes.exists() else {}

    def note(self, **values: Any) -> None:
        """Keep more facts."""
        if not distributed.is_first():
            return
        draft = self._notes.with_suffix(".tmp")
        write_json(draft, self.notes | values)
        draft.replace(self._notes)

    def callbacks(self, stage: str) -> list[Callback]:
        """Return what keeps the backup up to date, the state of a stage apart from those of others."""
        keep = ModelCheckpoint(
            self.best,
            monitor="val_loss",
            save_best_only=True,
            save_weights_only=True,
            initial_value_threshold=self.least,
        )
        state = _State(self.folder / stage, double_checkpoint=True, delete_checkpoint=False)
        return [CSVLogger(self.history, append=True), keep, state]

    @property
    def is_worth_keeping(self) -> bool:
        """Whether a whole epoch is in it."""
        return any(self.folder.glob("*/latest.npz"))

    def delete(self) -> None:
        """Forget it, at the end."""
        if distributed.is_first():
            shutil.rmtree(self.folder, ignore_errors=True)
        self.release()

    def release(self) -> None:
        """Let other runs have it."""
        if distributed.is_first():
            unlock(self._wanted)


class _State(BackupAndRestore):
    """Says nothing: the command does."""

    def tell(self, epoch: int, batch: int) -> None:
        """Do not print."""


def _epochs_of(folder: Path) -> int:
    """Return how many whole epochs are in the latest state that can be read."""
    for name in ("latest.npz", "previous.npz"):
        with suppress(OSError, ValueError, KeyError, BadZipFile), np.load(folder / name) as arrays:
            return int(json.loads(str(arrays["state"]))["epoch"])
    return 0
