"""Training a network on images from beginning to end: read, split, build, fit, test, and write everything down.

``train(Settings("digits"))`` does what ``convia train digits`` does.
"""

import inspect
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from rich.console import Console

from convia import applications, config, report
from convia.applications import MODELS, layers_of
from convia.cli import data
from convia.cli.data import Arrays, ImageData
from convia.cli.fitting import AUGMENT, Backup, augmentation, class_weights, find_rate, fit, imbalance, sample
from convia.cli.progress import Timer, event
from convia.cli.runs import new_run, write_json
from convia.cli.settings_file import write_settings
from convia.cli.version import versions
from convia.errors import explain, nearest
from convia.graph import Input
from convia.images.directory import ON_ERROR
from convia.images.examine import KINDS, examine
from convia.images.preview import preview
from convia.layers import Rescaling
from convia.models import Model, Sequential
from convia.optimizers import Adam
from convia.random import set_random_seed
from convia.saving.kept import Preprocessing
from convia.transfer import classifier, freeze

MANY_IMAGES = 10_000  # with more, the quick network is the default
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16", "float64")
_RATE = 1e-3  # of Adam, until the range test has found one
_FEW_PIXELS = 1 << 15  # per step: 32 images of 32×32
_COLORS = {1: "grayscale", 3: "rgb", 4: "rgba"}
_PICTURES = ("learning_curves", "confusion_matrix", "predictions")
_INSIDE = ("filters", "feature_maps")  # of networks that are not wrapped in another
PUBLISHED = {  # trained networks, which get a new head
    name.lower(): getattr(applications, name)
    for name in applications.__all__
    if "preprocess_input" in vars(sys.modules.get(getattr(getattr(applications, name), "__module__", ""), object))
    and "weights" in inspect.signature(getattr(applications, name)).parameters
}
PUBLISHED_SIZE = 160  # pixels; for those networks images become squares of this


@dataclass(frozen=True)
class Settings:
    """What can be chosen; see ``convia train --help``.

    Raises:
        ValueError: a value that makes no sense.
    """

    data: str
    model: str | None = None
    epochs: int = 30
    batch_size: int = 32
    image_size: int | None = None
    learning_rate: float | str = 1e-3  # or "auto"
    patience: int = 7
    seed: int = 0
    validation_split: float = 0.15
    test_split: float = 0.15
    output: str | None = None
    device: str | None = None
    on_error: str = "skip"
    follow_links: bool = False
    weights: str = "imagenet"
    augment: str = "none"
    class_weights: bool = False
    precision: str = "float32"
    check: bool = True
    resume: bool = False
    as_json: bool = False

    def __post_init__(self) -> None:
        names = [*MODELS, *PUBLISHED]
        if self.model is not None and self.model not in names:
            raise ValueError(explain("--model", repr(self.model), f"one of {names}", nearest(self.model, names)))
        _require(self.on_error in ON_ERROR, "on_error", self, f"one of {list(ON_ERROR)}")
        for name in ("epochs", "batch_size", "patience"):
            _require(getattr(self, name) >= 1, name, self, "a whole number ≥ 1")
        _require(self.image_size is None or self.image_size >= 4, "image_size", self, "a number of pixels ≥ 4")
        rate = self.learning_rate
        _require(
            rate == "auto" or (not isinstance(rate, str) and rate > 0), "learning_rate", self, "a number > 0, or auto"
        )
        _require(self.augment in AUGMENT, "augment", self, f"one of {list(AUGMENT)}")
        _require(self.precision in PRECISIONS, "precision", self, f"one of {list(PRECISIONS)}")
        _require(0 <= self.seed < 2**32, "seed", self, "a whole number from 0 to 2³² − 1")
        for name in ("validation_split", "test_split"):
            _require(0 < getattr(self, name) < 1, name, self, "a share between 0 and 1")
        if self.validation_split + self.test_split >= 1:
            received = f"{self.validation_split} and {self.test_split}"
            raise ValueError(
                explain("--validation-split and --test-split", received, "shares that leave some to train")
            )


def _require(holds: bool, name: str, settings: Settings, expected: str) -> None:
    if not holds:
        raise ValueError(explain(f"--{name.replace('_', '-')}", repr(getattr(settings, name)), expected))


@dataclass(frozen=True)
class Outcome:
    """What came of a training; ``facts`` is the content of result.json."""

    folder: Path
    model: Model
    images: ImageData
    history: dict[str, list[float]]
    probabilities: Arrays  # of the test images, (N, classes)
    facts: dict[str, Any]

    @property
    def accuracy(self) -> float:
        """The share of test images that is classified rightly."""
        return float(self.facts["test"]["accuracy"])


def train(settings: Settings, console: Console | None = None, command: Sequence[str] = ()) -> Outcome:
    """Train, test and write the run folder.

    Args:
        settings: what was chosen.
        console: where progress is shown; nowhere by default.
        command: the words of the command line, to be written down.

    Raises:
        ValueError, OSError: data that cannot be used; see :func:`convia.cli.data.load`.
    """
    console = console or Console(quiet=True)
    if settings.device is not None:
        config.set_device(settings.device)
    before = config.dtype_policy()
    config.set_dtype_policy(settings.precision)
    try:
        return _train(settings, console, command)
    finally:
        config.set_dtype_policy(before)


def _train(settings: Settings, console: Console, command: Sequence[str]) -> Outcome:
    set_random_seed(settings.seed)
    began = datetime.now(UTC)
    checked = _check(settings, console)
    shares = settings.validation_split, settings.test_split
    how = settings.on_error, settings.follow_links
    size = settings.image_size or (PUBLISHED_SIZE if settings.model in PUBLISHED else None)
    images = data.load(settings.data, size, *shares, settings.seed, *how)
    name = settings.model or ("lenet" if len(images.training) > MANY_IMAGES else "deep")
    _introduce(console, images, name, settings)
    rate = _RATE if isinstance(settings.learning_rate, str) else settings.learning_rate
    model = build(name, images, rate, settings.weights)
    model.class_names, model.preprocessing = images.class_names, _preprocessing(images)
    wanted = Path(settings.output or Path("runs", images.name)).expanduser()
    backup = Backup(wanted, settings.resume, asdict(settings))
    try:
        outcome = _run(settings, console, command, began, checked, images, name, model, rate, wanted, backup)
    except BaseException:
        if backup.is_worth_keeping:
            console.print("The same command with --resume goes on after the last whole epoch.", highlight=False)
        else:
            backup.delete()
        raise
    backup.delete()
    return outcome


def _run(settings: Settings, console: Console, command: Sequence[str], began: datetime, checked: dict[str, int],
         images: ImageData, name: str, model: Model, rate: float, wanted: Path, backup: Backup) -> Outcome:  # fmt: skip
    if settings.resume:
        console.print(f"{'goes on' if backup.found else 'nothing to resume: begins'} at epoch "
                      f"{len(backup.columns().get('loss', ())) + 1}", highlight=False)  # fmt: skip
    with new_run(wanted) as run:
        timer = Timer()
        with _threads(settings.batch_size * images.input_shape[0] * images.input_shape[1]):
            if settings.learning_rate == "auto" and not backup.found:
                picture = run.draft / "learning_rate.png"
                rate = find_rate(model, images, settings.batch_size, settings.seed, picture)
                set_random_seed(settings.seed)
                model.optimizer.learning_rate = rate
                console.print(f"learning rate {rate:g}, found by a range test", highlight=False)
            history = fit(model, images, settings, backup, run.draft / "history.csv", console, timer)
            test = _judge(model, images, settings.batch_size)
        facts = _facts(settings, command, began, images, model, name, history, timer, test) | {"check": checked}
        facts["learning_rate"] = rate
        _draw(run.draft, model, images, history, test["probabilities"])
        if (generator := augmentation(settings.augment, images)) is not None:
            preview(generator, sample(images), seed=settings.seed).savefig(run.draft / "augmentation.png")
        model.save(run.draft / "model.keras")
        write_json(run.draft / "result.json", facts)
        write_settings(run.draft / "config.toml", _repeated(settings, name), command)
        report.write_html(run.draft, model, images, test["probabilities"])
    assert run.folder is not None
    if settings.as_json:
        event("end", folder=str(run.folder), **{key: facts[key] for key in ("test", "epochs", "seconds", "parameters")})
    return Outcome(run.folder, model, images, history, test["probabilities"], facts)


def _repeated(settings: Settings, name: str) -> dict[str, Any]:
    """Return the settings that repeat a run."""
    values = asdict(settings) | {"model": name}
    return {key: value for key, value in values.items() if key not in ("resume", "as_json", "output")}


def _check(settings: Settings, console: Console) -> dict[str, int]:
    """Look for what is wrong with a folder, say it, and return how often each kind was found."""
    if not settings.check or settings.data in data.KNOWN or not Path(settings.data).expanduser().is_dir():
        return {}
    findings = examine(Path(settings.data).expanduser(), settings.follow_links).findings
    counts = {kind: number for kind in KINDS if (number := sum(finding.kind == kind for finding in findings))}
    problems = sum(number for kind, number in counts.items() if KINDS[kind].is_problem)
    text = f"checked: {problems:,} problems, {sum(counts.values()) - problems:,} notes"
    console.print(f"{text} (convia doctor names the files)" if counts else text, highlight=False, soft_wrap=True)
    for kind, number in counts.items():
        console.print(f"  {number:,}  {KINDS[kind].words}", highlight=False, markup=False, soft_wrap=True,
                      style="yellow" if KINDS[kind].is_problem else "")  # fmt: skip
    return counts


def _introduce(console: Console, images: ImageData, model: str, settings: Settings) -> None:
    height, width, channels = images.input_shape
    kind = "grey" if channels == 1 else "colour"
    counts = [f"{len(part):,} {what}" for part, what in _parts(images)]
    console.print(
        f"{images.name}: {len(images.class_names)} classes, {kind} images of {height}×{width} "
        f"({', '.join(counts)}); model {model} on {config.device()}",
        highlight=False, markup=False, soft_wrap=True,
    )  # fmt: skip
    if unequal := imbalance(images.training, images.class_names):
        weights = class_weights(images.training, len(images.class_names)).values()
        remedy = (
            f"weighted by {min(weights):.2f} to {max(weights):.2f}" if settings.class_weights else "see --class-weights"
        )
        console.print(f"{unequal}: {remedy}", highlight=False, markup=False, soft_wrap=True, style="yellow")
    if settings.as_json:
        parts = {what.removeprefix("for "): len(part) for part, what in _parts(images)}
        event("start", data=images.name, classes=images.class_names, images=parts, model=model, device=config.device())
    if images.unreadable:
        _name_unreadable(console, images.unreadable)


def _parts(images: ImageData) -> list[tuple[data.Part, str]]:
    return [(images.training, "for training"), (images.validation, "for validation"), (images.test, "for testing")]


def _name_unreadable(console: Console, unreadable: dict[str, str], most: int = 5) -> None:
    files = "1 file" if len(unreadable) == 1 else f"{len(unreadable)} files"
    lines = [f"{files} could not be read and {'is' if len(unreadable) == 1 else 'are'} left out:"]
    lines += [f"  {path}" for path in list(unreadable)[:most]]
    lines += [f"  … and {len(unreadable) - most} more, named in result.json"] if len(unreadable) > most else []
    for line in lines:
        console.print(line, style="yellow", highlight=False, markup=False, soft_wrap=True)


def build(name: str, images: ImageData, learning_rate: float, weights: str = "imagenet") -> Model:
    """Make a network for images as they are: its first layers bring pixels to what the others want.

    Args:
        name: of a small network, or of a published one, which is frozen and gets a new head.
        weights: of the published one: "imagenet", "none" for random ones, or a file.

    Raises:
        ValueError: no such file. ConnectionError: the official weights can be neither found nor downloaded.
    """
    classes = len(images.class_names)
    model: Model
    if name in PUBLISHED:
        height, width, channels = images.input_shape
        given = None if weights == "none" else weights
        backbone = PUBLISHED[name](include_top=False, weights=given, input_shape=(height, width, 3), pooling="avg")
        freeze(backbone)
        model = classifier(backbone, classes, largest=images.largest, channels=channels)
    else:
        first = [Input(images.input_shape), Rescaling(scale=1 / images.largest)]  # type: ignore[call-arg]
        model = Sequential([*first, *layers_of(name, images.input_shape, classes)], name=name)
    model.compile(Adam(learning_rate), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def _preprocessing(images: ImageData) -> Preprocessing:
    """What makes an image file such as the model was trained on; its first layers do the rest."""
    height, width, channels = images.input_shape
    return Preprocessing(_COLORS.get(channels), (height, width), rescale=images.largest / 255)


@contextmanager
def _threads(pixels: int) -> Iterator[None]:
    """Use one thread for steps of few pixels: more would mostly wait for each other, and long on a busy machine."""
    before = torch.get_num_threads()
    if pixels <= _FEW_PIXELS:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _judge(model: Model, images: ImageData, batch_size: int) -> dict[str, Any]:
    loss, accuracy = model.evaluate(images.test.images, images.test.labels, batch_size=batch_size, verbose=0)
    began = perf_counter()
    probabilities = model.predict(images.test.images, batch_size=batch_size, verbose=0)
    seconds = perf_counter() - began
    counts = report.count_confusions(images.test.labels, probabilities, len(images.class_names))
    classes = {
        name: {"images": int(row.sum()), "right": int(row[number])}
        for number, (name, row) in enumerate(zip(images.class_names, counts, strict=True))
    }
    return {
        "loss": float(loss),
        "accuracy": float(accuracy),
        "seconds": seconds,
        "classes": classes,
        "probabilities": probabilities,
    }


def _facts(
    settings: Settings,
    command: Sequence[str],
    began: datetime,
    images: ImageData,
    model: Model,
    name: str,
    history: dict[str, list[float]],
    timer: Timer,
    test: dict[str, Any],
) -> dict[str, Any]:
    best = int(np.argmin(history["val_loss"]))
    return {
        "command": list(command),
        "settings": asdict(settings) | {"model": name},
        "seed": settings.seed,
        "class_names": images.class_names,
        "input_shape": list(images.input_shape),
        "pixels": {"from": 0, "to": images.largest, "scaled_by": "the model's first layer"},
        "images": {what.removeprefix("for "): len(part) for part, what in _parts(images)},
        "unreadable": images.unreadable,
        "parameters": model.count_params(),
        "epochs": {"run": len(history["val_loss"]), "best": best + 1},
        "best_epoch": {key: float(values[best]) for key, values in history.items()},
        "test": {key: test[key] for key in ("loss", "accuracy", "classes")},
        "seconds": {
            "training": round(timer.seconds, 3),
            "total": round((datetime.now(UTC) - began).total_seconds(), 3),
        },
        "images_per_second": {
            "training": round(len(images.training) * timer.epochs / max(timer.seconds, 1e-9), 1),
            "prediction": round(len(images.test) / max(test["seconds"], 1e-9), 1),
        },
        "began": began.isoformat(timespec="seconds"),
        "device": str(config.device()),
        "versions": versions(),
    }


def _draw(folder: Path, model: Model, images: ImageData, history: Any, probabilities: Arrays) -> None:
    test, names = images.test, images.class_names
    pictures = {
        "learning_curves": lambda: report.learning_curves(history),
        "confusion_matrix": lambda: report.confusion_matrix(test.labels, probabilities, names),
        "filters": lambda: report.filters(model),
        "feature_maps": lambda: report.feature_maps(model, test.images[0]),
        "predictions": lambda: report.predictions(test.images, test.labels, None, probabilities, names),
    }
    for name in _PICTURES + _INSIDE * isinstance(model, Sequential):
        pictures[name]().savefig(folder / f"{name}.png")
