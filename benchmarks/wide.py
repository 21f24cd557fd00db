"""Published networks on a CPU: predictions of one image and of 16, and steps of training all their layers.

WORK is ``ResNet50/16``, predicting a batch of 16, or ``ResNet50/step``: four steps of Adam, each over 16 images of
150×150. convia races Keras on torch, plain torch in both memory formats and compiled, OpenVINO and ONNX Runtime
(float32), and TensorFlow where a Python that has it is named. In ``ResNet50/16/bfloat16`` OpenVINO is told to take
bfloat16, torch has weights and images of it, and convia the policy ``mixed_bfloat16``, which its engine computes in
float32. Each contender is a process of its own; they take turns. Printed: the median, fastest and slowest round,
how many times that of convia the median is, and the peak of memory; then, for each convolution of convia's network,
billions of operations a second of a thread, as if every tap were multiplied, and their share of what one core can do.

Usage: python benchmarks/wide.py [WORK ...] [--contenders convia openvino] [--tensorflow PYTHON] [--rounds 3]
Quick: MobileNetV2/1 --contenders convia torch-nhwc --rounds 1
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import race
from published import KERAS_LIKE, PREDICTORS, SIDES, keras_like, prediction, shares

SIDE, BATCH, STEPS = 150, 16, 4
TRAINED = ("ResNet50", "MobileNetV2", "EfficientNetB0")
HALVED = ("ResNet50", "InceptionV3")
WORKS = (
    {f"{title}/{batch}": race.Work(f"{title}/{batch}, predict") for title in SIDES for batch in (1, 16)}
    | {
        f"{title}/{batch}/bfloat16": race.Work(f"{title}/{batch}, predict in bfloat16")
        for title in HALVED
        for batch in (1, 16)
    }
    | {f"{title}/step": race.Work(f"{title}, {STEPS} steps of {BATCH} images of {SIDE}×{SIDE}") for title in TRAINED}
)


def training(name: str, title: str) -> Callable[[], Any]:
    """Return what learns from four batches, after a first time."""
    k = keras_like(name)
    draw = np.random.default_rng(0)
    x = draw.random((STEPS * BATCH, SIDE, SIDE, 3), dtype="float32")
    y = draw.integers(0, 10, len(x))
    model = getattr(k.applications, title)(weights=None, input_shape=x.shape[1:], classes=10)
    model.compile(k.optimizers.Adam(1e-4), "sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=BATCH, verbose=0)
    return lambda: model.fit(x, y, batch_size=BATCH, verbose=0)


def make(name: str, work: str) -> Callable[[], Any]:
    """Return what does the work."""
    title, batch, *half = work.split("/")
    return training(name, title) if batch == "step" else prediction(name, title, int(batch), bool(half))


def able(work: str) -> tuple[str, ...]:
    """Return those who can do the work; ``convia-torch`` trains without the engine, as plain torch would."""
    if work.endswith("/bfloat16"):
        return tuple(name for name in PREDICTORS if name in ("convia", "torch-nhwc", "openvino"))
    return (*KERAS_LIKE, "convia-torch") if work.endswith("/step") else PREDICTORS


def share(work: str) -> None:
    """Print what each convolution of convia's network reaches."""
    title, _, batch = work.partition("/")
    trains = batch == "step"
    side, count = (SIDE, BATCH) if trains else (SIDES[title], int(batch))
    x, y = np.random.default_rng(0).random((count, side, side, 3), "float32"), np.zeros(count)
    model = getattr(keras_like("convia").applications, title)(weights=None, input_shape=x.shape[1:])
    model.compile("adam", "sparse_categorical_crossentropy", engine="native")
    run = partial(model.fit, x, y, batch_size=count) if trains else partial(model.predict, x)
    run(verbose=0)
    shares(work, model, partial(run, verbose=0), "TRAIN" if trains else "WIDE")


if __name__ == "__main__":
    options = race.main(__file__, __doc__, WORKS, make, able)
    if not options.obey and "convia" in (options.contenders or ["convia"]):
        for each in options.works:
            if not each.endswith("/bfloat16"):  # the same convolutions as in float32
                share(each)
