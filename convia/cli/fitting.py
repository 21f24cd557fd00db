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
_MEMORY = 0.9  # of the smoothed loss
_DIVERGED = 4.0  # times the least loss
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
    if distributed.is_first():
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


def sample(images: ImageData, count: int = 8) -> Arrays:
    """Return some training images, 0 to 255, for the preview of the augmentation."""
    places = np.linspace(0, len(images.training) - 1, count).astype(int)
    some: Arrays = images.training.images[places].astype(np.float32) * (255 / images.largest)
    return some
