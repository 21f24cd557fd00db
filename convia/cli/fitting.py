"""What ``convia train`` gives to its training: images changed at random, class weights, the learning rate."""

from pathlib import Path
from typing import Any

import numpy as np

from convia import distributed
from convia.cli.data import Arrays, ImageData, Part
from convia.cli.words import words
from convia.errors import explain
from convia.images import ImageDataGenerator
from convia.report.style import BLUE, ORANGE, drawing, figure, place, write
from convia.texts import Say

_RANGE_STEPS, _LOWEST, _HIGHEST = 80, 1e-6, 1.0  # of the learning-rate range test
_DECADE = 13  # steps in which the rate grows tenfold
_DIVERGED = 3.0  # times the first loss
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

    The rate grows from step to step; the one around which the loss falls steepest is taken. Weights and the
    optimizer are as before afterwards.

    Raises:
        ValueError: the loss falls nowhere.
    """
    weights = model.get_weights()
    optimizer = type(model.optimizer).from_config(model.optimizer.get_config())
    rates, losses = _tried(model, images.training, batch_size, np.random.RandomState(seed))
    model.set_weights(weights)
    model.compile(optimizer, loss=model.loss, metrics=["accuracy"])
    if len(losses) < _DECADE:
        raise ValueError(explain("--lr auto", "a loss that grows at once", "one that falls", "Pass a number."))
    best = rates[_steepest(rates, losses)]
    if distributed.is_first():
        _draw_rates(rates, losses, best).savefig(picture)
    return float(f"{best:.2g}")


def _tried(model: Any, part: Part, batch_size: int, random: Any) -> tuple[list[float], list[float]]:
    """Return rates and the loss at each, until it is no number or has grown much.

    Of the losses is taken off by how much a batch was harder than others before anything was learned.
    """
    count = min(batch_size, len(part))
    batches = [part.take(random.choice(len(part), count)) for _ in range(_RANGE_STEPS)]
    before = np.array([_loss(model, model.test_on_batch, batch) for batch in batches])
    rates, losses = np.geomspace(_LOWEST, _HIGHEST, _RANGE_STEPS).tolist(), []
    for rate, batch, harder in zip(rates, batches, before - before.mean(), strict=True):
        model.optimizer.learning_rate = rate
        losses.append(_loss(model, model.train_on_batch, batch) - float(harder))
        if not np.isfinite(losses[-1]) or losses[-1] > _DIVERGED * losses[0]:
            losses.pop()
            break
    return rates[: len(losses)], losses


def _loss(model: Any, step: Any, batch: Part) -> float:
    result = step(batch.images, batch.labels)
    model.reset_metrics()
    return float(result[0] if isinstance(result, (list, tuple)) else result)


def _steepest(rates: list[float], losses: list[float]) -> int:
    """Return where a line through the losses of a tenfold of rates falls most, before they are least."""
    x, y = np.log(rates), np.array(losses)
    half = _DECADE // 2
    places = range(half, len(y) - half)
    means = [y[i - half : i + half + 1].mean() for i in places]
    slopes = [np.polyfit(x[i - half : i + half + 1], y[i - half : i + half + 1], 1)[0] for i in places]
    return half + int(np.argmin(slopes[: int(np.argmin(means)) + 1]))


def _draw_rates(rates: list[float], losses: list[float], best: float) -> Any:
    with drawing():
        made = figure(6.4, 3.8)
        write(made, 0.3, 0.14, f"Learning-rate range test: {best:.2g} is where the loss falls steepest")
        axes = place(made, 0.8, 0.7, 5.3, 2.5)
        axes.plot(rates, losses, color=BLUE)
        axes.axvline(best, color=ORANGE, linestyle="--")
        axes.set(xscale="log", xlabel="learning rate", ylabel="loss")
        axes.grid(True, axis="y")
    return made


def sample(images: ImageData, count: int = 8) -> Arrays:
    """Return some training images, 0 to 255, for the preview of the augmentation."""
    places = np.linspace(0, len(images.training) - 1, count).astype(int)
    some: Arrays = images.training.images[places].astype(np.float32) * (255 / images.largest)
    return some
