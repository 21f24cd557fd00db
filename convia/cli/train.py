"""Training a network on images from beginning to end: read, split, build, fit, test, and write everything down.

``train(Settings("digits"))`` does what ``convia train digits`` does.
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any, NoReturn

import numpy as np
import torch
from rich.console import Console

from convia import config, distributed, report
from convia.applications import layers_of
from convia.cli import data
from convia.cli.archived import load_archives
from convia.cli.backup import Backup
from convia.cli.data import Arrays, ImageData
from convia.cli.fitting import augmentation, class_weights, find_rate, imbalance, sample
from convia.cli.progress import Timer, event
from convia.cli.runs import new_run, write_json
from convia.cli.settings import PUBLISHED, Settings
from convia.cli.settings_file import write_settings
from convia.cli.stages import Learning
from convia.cli.version import versions
from convia.cli.words import words
from convia.errors import writing
from convia.graph import Input
from convia.images.archives import is_archive
from convia.images.examine import KINDS, examine
from convia.images.preview import preview
from convia.layers import Rescaling
from convia.models import Model, Sequential
from convia.optimizers import Adam
from convia.random import set_random_seed
from convia.report.html import border
from convia.saving.kept import Preprocessing
from convia.texts import Say
from convia.transfer import classifier, freeze

MANY_IMAGES = 10_000  # with more, the quick network is the default
_RATE = 1e-3  # of Adam, until the range test has found one
_FEW_PIXELS = 1 << 15  # per step: 32 images of 32×32
_COLORS = {1: "grayscale", 3: "rgb", 4: "rgba"}
_PICTURES = ("learning_curves", "confusion_matrix", "predictions")
_INSIDE = ("filters", "feature_maps")  # of networks that are not wrapped in another
PUBLISHED_SIZE = 160  # pixels; for those networks images become squares of this


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
    distributed.join()
    if not distributed.is_first():
        console, settings = Console(quiet=True), replace(settings, as_json=False)
    before = config.dtype_policy()
    config.set_dtype_policy(settings.precision)
    try:
        return _train(settings, console, command)
    finally:
        config.set_dtype_policy(before)


@dataclass
class _Job:
    """A training on its way: what was chosen, what it works on, and what is kept of it until its folder is written."""

    settings: Settings
    console: Console
    command: Sequence[str]
    say: Say
    began: datetime
    checked: dict[str, int]
    images: ImageData
    name: str  # of the network
    model: Model
    rate: float
    backup: Backup
    wanted: Path
    timer: Timer = field(default_factory=Timer)

    def tell(self, key: str, **values: Any) -> None:
        """Print a line."""
        self.console.print(self.say(key, **values), highlight=False)


def _train(settings: Settings, console: Console, command: Sequence[str]) -> Outcome:
    set_random_seed(settings.seed)
    began, say = datetime.now(UTC), words(settings.lang)
    checked = _check(settings, console, say)
    shares = settings.validation_split, settings.test_split
    how = settings.on_error, settings.follow_links
    size = settings.image_size or (PUBLISHED_SIZE if settings.model in PUBLISHED else None)
    if is_archive(settings.data):
        named = {"validation": shares[0], "test": shares[1]}
        images = load_archives(settings.data, size, named, settings.seed, settings.on_error)
    else:
        images = data.load(settings.data, size, *shares, settings.seed, *how)
    name = settings.model or ("lenet" if len(images.training) > MANY_IMAGES else "deep")
    _introduce(console, images, name, settings, say)
    rate = _RATE if isinstance(settings.learning_rate, str) else settings.learning_rate
    model = build(name, images, rate, settings.weights)
    model.class_names, model.preprocessing = images.class_names, _preprocessing(images)
    wanted = Path(settings.output or Path("runs", images.name)).expanduser()
    backup = Backup(wanted, settings.resume, asdict(settings))
    job = _Job(settings, console, command, say, began, checked, images, name, model, rate, backup, wanted)
    try:
        outcome = _run(job)
    except BaseException as error:
        _stop(job, error)
    backup.delete()
    return outcome


def _stop(job: _Job, error: BaseException) -> NoReturn:
    """Raise the error again, after what is said of how to go on; without a state to go on from, nothing is kept."""
    goes_on = job.backup.is_worth_keeping
    job.backup.release() if goes_on else job.backup.delete()
    if job.settings.as_json:
        event("stopped", resume=goes_on, reason=f"{type(error).__name__}: {error}".removesuffix(": "))
    if isinstance(error, KeyboardInterrupt | SystemExit):
        error.add_note(job.say("stopped" if goes_on else "nothing_written"))
    elif goes_on:
        job.tell("resume")
    raise error


def _run(job: _Job) -> Outcome:
    settings, images, model = job.settings, job.images, job.model
    if settings.resume:
        epoch = len(job.backup.columns().get("loss", ())) + 1
        job.tell("goes_on" if job.backup.found else "nothing_to_resume", epoch=epoch)
    with new_run(job.wanted) as run:
        job.backup.owns(run.draft)
        with _threads(settings.batch_size * images.input_shape[0] * images.input_shape[1]):
            if settings.learning_rate == "auto":
                _find_rate(job, run.draft / "learning_rate.png")
            learning = Learning(model, images, settings, job.backup, job.console, job.timer, job.say, job.rate)
            history, stages = learning.run(run.draft / "history.csv")
            test = _judge(model, images, settings.batch_size)
        facts = _facts(job, history, test) | {"stages": stages}
        if distributed.is_first():
            with writing("convia train", job.wanted, "Make room, or choose another --output."):
                _write(job, run.draft, history, test, facts)
    assert run.folder is not None
    if settings.as_json:
        event("end", folder=str(run.folder), **{key: facts[key] for key in ("test", "epochs", "seconds", "parameters")})
    return Outcome(run.folder, model, images, history, test["probabilities"], facts)


def _find_rate(job: _Job, picture: Path) -> None:
    """Find the learning rate, or take the one that the interrupted run has found, with its picture."""
    settings, kept = job.settings, job.backup.folder / picture.name
    found = job.backup.notes.get("rate")
    if found is None:
        found = find_rate(job.model, job.images, settings.batch_size, settings.seed, kept)
        job.backup.note(rate=found)
        set_random_seed(settings.seed)
    if distributed.is_first():
        shutil.copyfile(kept, picture)
    job.rate = job.model.optimizer.learning_rate = found
    job.tell("rate_found", rate=f"{found:g}")


def _write(job: _Job, folder: Path, history: Any, test: dict[str, Any], facts: dict[str, Any]) -> None:
    """Write everything but the history, which is there."""
    settings, images, model = job.settings, job.images, job.model
    _draw(folder, model, images, history, test["probabilities"], border(facts))
    if (generator := augmentation(settings.augment, images)) is not None:
        preview(generator, sample(images), seed=settings.seed).savefig(folder / "augmentation.png")
    model.save(folder / "model.keras")
    write_json(folder / "result.json", facts)
    write_settings(folder / "config.toml", _repeated(settings, job.name), job.command)
    report.write_html(folder, model, images, test["probabilities"], settings.lang)


def _repeated(settings: Settings, name: str) -> dict[str, Any]:
    """Return the settings that repeat a run."""
    values = asdict(settings) | {"model": name}
    return {key: value for key, value in values.items() if key not in ("resume", "as_json", "output")}


def _check(settings: Settings, console: Console, say: Say) -> dict[str, int]:
    """Look for what is wrong with a folder, say it, and return how often each kind was found."""
    folder = Path(settings.data).expanduser()
    if not settings.check or settings.data in data.KNOWN or not folder.is_dir() or not distributed.is_first():
        return {}
    findings = examine(folder, settings.follow_links).findings
    counts = {kind: number for kind in KINDS if (number := sum(finding.kind == kind for finding in findings))}
    problems = sum(number for kind, number in counts.items() if KINDS[kind].is_problem)
    text = say("checked", problems=f"{problems:,}", notes=f"{sum(counts.values()) - problems:,}")
    console.print(text + (say("names_files") if counts else ""), highlight=False, soft_wrap=True)
    for kind, number in counts.items():
        console.print(f"  {number:,}  {say(f'kind_{kind}')}", highlight=False, markup=False, soft_wrap=True,
                      style="yellow" if KINDS[kind].is_problem else "")  # fmt: skip
    return counts


def _introduce(console: Console, images: ImageData, model: str, settings: Settings, say: Say) -> None:
    height, width, channels = images.input_shape
    counts = ", ".join(say(f"for_{what}", count=f"{len(part):,}") for what, part in _parts(images).items())
    text = say(
        "images_of", name=images.name, classes=len(images.class_names), kind=say("grey" if channels == 1 else "colour"),
        height=height, width=width, counts=counts, model=model, device=config.device(),
    )  # fmt: skip
    console.print(text, highlight=False, markup=False, soft_wrap=True)
    if unequal := imbalance(images.training, images.class_names, say):
        weights = class_weights(images.training, len(images.class_names)).values()
        weighted = say("weighted", low=f"{min(weights):.2f}", high=f"{max(weights):.2f}")
        remedy = weighted if settings.class_weights else say("see_weights")
        console.print(f"{unequal}: {remedy}", highlight=False, markup=False, soft_wrap=True, style="yellow")
    if settings.as_json:
        counted = {what: len(part) for what, part in _parts(images).items()}
        event("start", data=images.name, classes=images.class_names, images=counted, model=model,
              device=config.device())  # fmt: skip
    if images.unreadable:
        _name_unreadable(console, images.unreadable, say)


def _parts(images: ImageData) -> dict[str, data.Part]:
    return {"training": images.training, "validation": images.validation, "testing": images.test}


def _name_unreadable(console: Console, unreadable: dict[str, str], say: Say, most: int = 5) -> None:
    lines = [say("unreadable_one" if len(unreadable) == 1 else "unreadable_many", count=len(unreadable))]
    lines += [f"  {path}" for path in list(unreadable)[:most]]
    lines += [f"  {say('more_named', count=len(unreadable) - most)}"] if len(unreadable) > most else []
    for line in lines:
        console.print(line, style="yellow", highlight=False, markup=False, soft_wrap=True)


def build(name: str, images: ImageData, learning_rate: float, weights: str = "imagenet") -> Model:
    """Make a network for images as they are: its first layers bring pixels to what the others want.

    Args:
        name: of a small network, or of a published one, which gets a new head, and is frozen where it is trained.
        weights: of the published one: "imagenet", a file, or "none" for random ones.

    Raises:
        ValueError: no such file. ConnectionError: the official weights can be neither found nor downloaded.
    """
    classes = len(images.class_names)
    model: Model
    if name in PUBLISHED:
        height, width, channels = images.input_shape
        given = None if weights == "none" else weights
        backbone = PUBLISHED[name](include_top=False, weights=given, input_shape=(height, width, 3), pooling="avg")
        model = classifier(backbone, classes, largest=images.largest, channels=channels, is_trained=given is not None)
        if given is not None:
            freeze(backbone)
    else:
        first = [Input(images.input_shape), Rescaling(scale=1 / images.largest)]
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


def _facts(job: _Job, history: dict[str, list[float]], test: dict[str, Any]) -> dict[str, Any]:
    settings, images, model, timer = job.settings, job.images, job.model, job.timer
    best = int(np.argmin(history["val_loss"]))
    return {
        "command": list(job.command),
        "settings": asdict(settings) | {"model": job.name},
        "seed": settings.seed,
        "class_names": images.class_names,
        "input_shape": list(images.input_shape),
        "pixels": {"from": 0, "to": images.largest, "scaled_by": "the model's first layer"},
        "images": {what: len(part) for what, part in _parts(images).items()},
        "unreadable": images.unreadable,
        "parameters": model.count_params(),
        "epochs": {"run": len(history["val_loss"]), "best": best + 1},
        "best_epoch": {key: float(values[best]) for key, values in history.items()},
        "test": {key: test[key] for key in ("loss", "accuracy", "classes")},
        "seconds": {
            "training": round(timer.seconds, 3),
            "total": round((datetime.now(UTC) - job.began).total_seconds(), 3),
        },
        "images_per_second": {
            "training": round(len(images.training) * timer.epochs / max(timer.seconds, 1e-9), 1),
            "prediction": round(len(images.test) / max(test["seconds"], 1e-9), 1),
        },
        "began": job.began.isoformat(timespec="seconds"),
        "device": str(config.device()),
        "versions": versions(),
        "check": job.checked,
        "learning_rate": job.rate,
    }


def _draw(folder: Path, model: Model, images: ImageData, history: Any, probabilities: Arrays, border: int) -> None:
    test, names = images.test, images.class_names
    pictures = {
        "learning_curves": lambda: report.learning_curves(history, border),
        "confusion_matrix": lambda: report.confusion_matrix(test.labels, probabilities, names),
        "filters": lambda: report.filters(model),
        "feature_maps": lambda: report.feature_maps(model, test.images[0]),
        "predictions": lambda: report.predictions(test.images, test.labels, None, probabilities, names),
    }
    for name in _PICTURES + _INSIDE * isinstance(model, Sequential):
        pictures[name]().savefig(folder / f"{name}.png")
