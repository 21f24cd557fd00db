"""The stages of a training: all learns at once, or first the new head of a trained network, and then its top."""

import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from convia import distributed
from convia.callbacks import Callback, EarlyStopping, ReduceLROnPlateau, TerminateOnNaN
from convia.cli.backup import Backup
from convia.cli.data import ImageData
from convia.cli.fitting import augmentation, class_weights
from convia.cli.progress import EpochBar, EpochEvents, EpochLines, Timer, event
from convia.cli.settings import Settings
from convia.models import Model
from convia.optimizers import Adam
from convia.pipeline import made_of
from convia.random import set_random_seed
from convia.texts import Say
from convia.transfer import SLOWER, below_the_top, freeze

WHOLE, HEAD, FINE_TUNING = "whole", "head", "fine_tuning"  # names of stages
_LESS, _WAIT = 0.3, 3  # the learning rate is multiplied by the one after so many epochs without progress


@dataclass
class Learning:
    """A model that learns from images, and what its stages have in common; ``rate`` is that of the first."""

    model: Any
    images: ImageData
    settings: Settings
    backup: Backup
    console: Console
    timer: Timer
    say: Say
    rate: float

    def run(self, log: Path) -> tuple[dict[str, list[float]], list[dict[str, Any]]]:
        """Learn, put the best weights back and write the history to ``log``.

        Returns:
            The history of all stages, joined; of each stage its name, epochs, learning rate and trainable parameters.
        """
        first = self.backup.notes.get("first") or self._first()
        stages = [first]
        if self.settings.is_transfer and self.settings.fine_tune:
            stages.append(self._fine_tune(first["epochs"]))
        self._put_the_best_back()
        shutil.copyfile(self.backup.history, log)
        return self.backup.columns(), stages

    def _first(self) -> dict[str, Any]:
        stage = HEAD if self.settings.is_transfer else WHOLE
        if stage == HEAD:
            self._tell("head_learns", network=_backbone(self.model).name, rate=f"{self.rate:g}")
        first = self._facts(stage, self._fit(stage, 0, self.settings.epochs), self.rate)
        self.backup.note(first=first)
        return first

    def _fine_tune(self, done: int) -> dict[str, Any]:
        """Let the top of the network learn, too, from the best head on."""
        self._put_the_best_back()
        backbone, rate = _backbone(self.model), self.rate * SLOWER
        freeze(backbone, until=below_the_top(backbone))
        self.model.compile(Adam(rate), loss=self.model.loss, metrics=["accuracy"])
        set_random_seed(self._seed(FINE_TUNING))
        weighty = [layer for layer in backbone.layers if layer.weights]
        learning = [layer.name for layer in weighty if layer.trainable]
        self._tell("top_learns", count=len(learning), all=len(weighty), network=backbone.name, rate=f"{rate:g}")
        if self.settings.as_json:
            event("stage", stage=FINE_TUNING, learning_rate=rate, layers=learning)
        return self._facts(FINE_TUNING, self._fit(FINE_TUNING, done, done + self.settings.fine_tune), rate)

    def _facts(self, stage: str, epochs: int, rate: float) -> dict[str, Any]:
        trainable = sum(weight.numel() for weight in self.model.trainable_weights)
        return {"name": stage, "epochs": epochs, "learning_rate": rate, "trainable_parameters": trainable}

    def _fit(self, stage: str, first: int, epochs: int) -> int:
        """Fit from an epoch on, and return how many epochs there were."""
        training, settings = self.images.training, self.settings
        stop = EarlyStopping(patience=settings.patience, baseline=self.backup.least)
        slow_down = ReduceLROnPlateau(factor=_LESS, patience=_WAIT)
        generator = augmentation(settings.augment, self.images)
        files = [] if training.files is None else training.files.tolist()
        x: Any = made_of(torch.from_numpy(training.images), files)
        given: dict[str, Any] = {"y": training.labels, "batch_size": settings.batch_size}
        if generator is not None:
            how: dict[str, Any] = {"batch_size": settings.batch_size, "seed": self._seed(stage)}
            x, given = generator.flow(training.images, training.labels, **how), {}
            x.filepaths = files
        if settings.class_weights:
            given["class_weight"] = class_weights(training, len(self.images.class_names))
        shown, kept = self._shown(stage), self.backup.callbacks(stage)
        try:
            self.model.fit(
                x, **given, initial_epoch=first, epochs=epochs, verbose=0,
                validation_data=(self.images.validation.images, self.images.validation.labels),
                callbacks=[TerminateOnNaN(raise_error=True), self.timer, stop, slow_down, *kept, shown],
            )  # fmt: skip
        finally:
            if isinstance(shown, EpochBar):
                shown.close()
        distributed.meet()  # the first process has written by then what all read
        return len(self.backup.columns()["loss"]) - first

    def _seed(self, stage: str) -> int:
        return (self.settings.seed + (stage == FINE_TUNING)) % 2**32

    def _shown(self, stage: str) -> Callback:
        name = self.say(stage) if stage != WHOLE else ""
        training = self.images.training
        if self.settings.as_json:
            return EpochEvents(len(training), stage)
        if not self.console.is_terminal:
            return EpochLines(self.console, self.say, name)
        kept = training.images.nbytes + self.images.validation.images.nbytes
        note = self.say("in_memory", size=f"{kept / 1e6:,.1f} MB")
        return EpochBar(self.console, len(training), self.say, note, name)

    def _put_the_best_back(self) -> None:
        if self.backup.best.exists():
            with warnings.catch_warnings():  # of the optimizer's state, which may be that of another stage
                warnings.filterwarnings("ignore", message="Optimizer .* saved variables")
                self.model.load_weights(self.backup.best)

    def _tell(self, key: str, **values: Any) -> None:
        self.console.print(self.say(key, **values), highlight=False, markup=False, soft_wrap=True)


def _backbone(model: Any) -> Any:
    """Return the network within a model that has a new head."""
    return next(layer for layer in model.layers if isinstance(layer, Model))
