"""How ``convia train`` learns: augmentation, class weights, the learning rate, and going on after an interruption."""

import csv
import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from rich.console import Console

from convia.callbacks import BackupAndRestore, Callback, CSVLogger, EarlyStopping, ModelCheckpoint, ReduceLROnPlateau
from convia.cli.data import Arrays, ImageData, Part
from convia.cli.progress import EpochBar, EpochEvents, EpochLines, Timer
from convia.cli.runs import write_json
from convia.cli.words import words
from convia.errors import explain
from convia.images import ImageDataGenerator
from convia.report.style import BLUE, ORANGE, drawing, figure, place, write
from convia.texts import Say

_SLOWER, _WAIT = 0.3, 3  # the learning rate is multiplied by the one after so many epochs without progress
_RANGE_STEPS, _LOWEST, _HIGHEST = 80, 1e-6, 1.0  # of the learning-rate range test
_MEMORY = 0.9  # of the smoothed loss
_DIVERGED = 4.0  # times the least loss
_FREE = ("resume", "epochs", "as_json", "lang")  # settings that may change when a run goes on
AUGMENT: dict[str, dict[str, Any]] = {  # preset → arguments of ImageDataGenerator
    "none": {},
    "light": {"rotation_range": 5, "width_shift_range": 0.05, "height_shift_range": 0.05, "zoom_range": 0.05},
    "medium": {"rotation_range": 12, "width_shift_range": 0.1, "height_shift_range": 0.1, "zoom_range": 0.15,
               "brightness_range": (0.8, 1.2), "horizontal_flip": True},
    "strong": {"rotation_range": 25, "width_shift_range": 0.2, "height_shift_range": 0.2, "zoom_range": 0.3,
               "shear_range": 10, "brightness_range": (0.6, 1.4), "channel_shift_range": 20, "horizontal_flip": True},
}  # fmt: skip


def augmentation(preset: str, images: ImageData) -> ImageDataGenerator | None:
    """Return the generator of a preset; grey images, such as digits, are not mirrored."""
    options = dict(AUGMENT[preset])
    if images.input_shape[2] == 1:
        options.pop("horizontal_flip", None)
    if images.largest != 255:
        options = {
            name: value for name, value in options.items() if name not in ("brightness_range", "channel_shift_range")
        }
    return ImageDataGenerator(**options) if options else None


def class_weights(part: Part, classes: int) -> dict[int, float]:
    """Return N / (classes · N of the class): every class counts as much as any other."""
    counts = np.bincount(part.labels, minlength=classes)
    return {number: len(part) / (classes * max(int(count), 1)) for number, count in enumerate(counts)}


def imbalance(part: Part, names: list[str], say: Say | None = None) -> str:
    """Say how unequal the classes are, "" where the largest has less than twice the images of the smallest."""
    counts = np.bincount(part.labels, minlength=len(names))
    least, most = int(counts.argmin()), int(counts.argmax())
    if counts[most] < 2 * counts[least]:
        return ""
    told = {"most": names[most], "many": f"{counts[most]:,}", "least": names[least], "few": f"{counts[least]:,}"}
    return (say or words("en"))("imbalance", **told)


def find_rate(model: Any, images: ImageData, batch_size: int, seed: int, picture: Path) -> float:
    """Find a learning rate by a range test (Smith 2017, "Cyclical learning rates") and draw it.

    The rate grows from step to step; the one at which the smoothed loss falls steepest is taken. Weights and the
    optimizer are as before afterwards.

    Raises:
        ValueError: the loss falls nowhere.
    """
    weights = model.get_weights()
    optimizer = type(model.optimizer).from_config(model.optimizer.get_config())
    random = np.random.RandomState(seed)
    rates, losses, smooth = [], [], 0.0
    for step, rate in enumerate(np.geomspace(_LOWEST, _HIGHEST, _RANGE_STEPS)):
        chosen = images.training.take(random.choice(len(images.training), min(batch_size, len(images.training))))
        model.optimizer.learning_rate = float(rate)
        result = model.train_on_batch(chosen.images, chosen.labels)
        loss = float(result[0] if isinstance(result, (list, tuple)) else result)
        smooth = _MEMORY * smooth + (1 - _MEMORY) * loss
        losses.append(smooth / (1 - _MEMORY ** (step + 1)))
        rates.append(float(rate))
        model.reset_metrics()
        if not np.isfinite(loss) or losses[-1] > _DIVERGED * min(losses):
            break
    model.set_weights(weights)
    model.compile(optimizer, loss=model.loss, metrics=["accuracy"])
    finite = np.isfinite(losses)
    rates, losses = np.array(rates)[finite].tolist(), np.array(losses)[finite].tolist()
    if len(losses) < 3:
        raise ValueError(explain("--lr auto", "a loss that is no number at once", "one that falls", "Pass a number."))
    best = rates[int(np.gradient(losses, np.log(rates))[: int(np.argmin(losses)) + 1].argmin())]
    _draw_rates(rates, losses, best).savefig(picture)
    return float(f"{best:.2g}")


def _draw_rates(rates: list[float], losses: list[float], best: float) -> Any:
    with drawing():
        made = figure(6.4, 3.8)
        write(made, 0.3, 0.14, f"Learning-rate range test: {best:.2g} is where the loss falls steepest")
        axes = place(made, 0.8, 0.7, 5.3, 2.5)
        axes.plot(rates, losses, color=BLUE)
        axes.axvline(best, color=ORANGE, linestyle="--")
        axes.set(xscale="log", xlabel="learning rate", ylabel="loss, smoothed")
        axes.grid(True, axis="y")
    return made


class Backup:
    """What a run keeps outside its folder until it ends, for ``--resume``: state, history and best weights so far.

    Raises:
        ValueError: with ``resume``, settings that differ from those of the interrupted run.
    """

    def __init__(self, wanted: Path, resume: bool, settings: dict[str, Any]) -> None:
        self.folder = wanted.parent / f".{wanted.name}-backup"
        self.history, self.best = self.folder / "history.csv", self.folder / "best.weights.h5"
        known = self.folder / "settings.json"
        self.found = resume and known.exists()
        plain = json.loads(json.dumps(settings, default=str))
        if self.found:
            before = json.loads(known.read_text(encoding="utf-8"))
            other = [name for name in plain if before.get(name) != plain[name] and name not in _FREE]
            if other:
                received = f"other values of {', '.join(other)}"
                raise ValueError(explain("--resume", received, "the options of the interrupted run"))
            self._forget_what_was_not_kept()
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        write_json(known, plain)

    def _forget_what_was_not_kept(self) -> None:
        """Shorten the history to the epochs before the state: killed between the two, an epoch is done again."""
        if not self.history.exists():
            return
        whole = _epochs_of(self.folder / "state")
        heading, *lines = self.history.read_text(encoding="utf-8").splitlines(keepends=True)
        place = heading.strip().split(",").index("epoch")
        kept = [line for line in lines if line.endswith("\n") and int(line.split(",")[place]) < whole]
        self.history.write_text(heading + "".join(kept), encoding="utf-8")

    def owns(self, draft: Path) -> None:
        """Remember the folder that is being written, and delete the one that a killed process left."""
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

    def callbacks(self) -> list[Callback]:
        """Return what keeps the backup up to date."""
        least = min(self.columns().get("val_loss", []), default=None)
        keep = ModelCheckpoint(
            self.best, monitor="val_loss", save_best_only=True, save_weights_only=True, initial_value_threshold=least
        )
        state = BackupAndRestore(self.folder / "state", double_checkpoint=True, delete_checkpoint=False)
        return [CSVLogger(self.history, append=True), keep, state]

    @property
    def is_worth_keeping(self) -> bool:
        """Whether a whole epoch is in it."""
        return (self.folder / "state" / "latest.npz").exists()

    def delete(self) -> None:
        """Forget it, at the end."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _epochs_of(folder: Path) -> int:
    """Return how many whole epochs are in the latest state that can be read."""
    for name in ("latest.npz", "previous.npz"):
        with suppress(OSError, ValueError, KeyError, BadZipFile), np.load(folder / name) as arrays:
            return int(json.loads(str(arrays["state"]))["epoch"])
    return 0


def fit(
    model: Any, images: ImageData, settings: Any, backup: Backup, log: Path, console: Console, timer: Timer, say: Say
) -> dict[str, list[float]]:
    """Fit the model, put its best weights back, write the history to ``log`` and return it."""
    training, batch_size = images.training, settings.batch_size
    shown: Callback = EpochLines(console, say)
    if console.is_terminal:
        kept = training.images.nbytes + images.validation.images.nbytes
        shown = EpochBar(console, len(training), say, say("in_memory", size=f"{kept / 1e6:,.1f} MB"))
    if settings.as_json:
        shown = EpochEvents(len(training))
    least = min(backup.columns().get("val_loss", []), default=None)
    stop = EarlyStopping(patience=settings.patience, baseline=least)
    slow_down = ReduceLROnPlateau(factor=_SLOWER, patience=_WAIT)
    generator = augmentation(settings.augment, images)
    x: Any = training.images
    given: dict[str, Any] = {"y": training.labels, "batch_size": batch_size}
    if generator is not None:
        x, given = generator.flow(x, training.labels, batch_size=batch_size, seed=settings.seed), {}
    if settings.class_weights:
        given["class_weight"] = class_weights(training, len(images.class_names))
    try:
        model.fit(
            x, **given, epochs=settings.epochs, verbose=0,
            validation_data=(images.validation.images, images.validation.labels),
            callbacks=[timer, stop, slow_down, *backup.callbacks(), shown],
        )  # fmt: skip
    finally:
        if isinstance(shown, EpochBar):
            shown.close()
    if backup.best.exists():
        model.load_weights(backup.best)
    shutil.copyfile(backup.history, log)
    return backup.columns()


def sample(images: ImageData, count: int = 8) -> Arrays:
    """Return some training images, 0 to 255, for the preview of the augmentation."""
    places = np.linspace(0, len(images.training) - 1, count).astype(int)
    return images.training.images[places].astype(np.float32) * (255 / images.largest)
