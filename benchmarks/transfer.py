"""A frozen ResNet50 with a new head, and prediction by published networks: convia, Keras on torch, plain torch in both
memory formats and compiled, OpenVINO and ONNX Runtime, and TensorFlow where a Python that has it is named.

WORK is ``training``, 10 epochs of a frozen ResNet50 over 240 images of 150×150, or ``ResNet50/16``: predicting a batch
of 16. Each contender is a process of its own; they take turns. Weights are random: times do not depend on them.
Printed: the median, the fastest and the slowest round, and how many times that of convia the median is. With
``--times`` what was measured before is kept in a file and taken along, so that contenders may be measured in calls of
their own.

Usage: python benchmarks/transfer.py [WORK ...] [--contenders convia keras] [--tensorflow PYTHON] [--rounds 3]
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import race
from published import KERAS_LIKE, PREDICTORS, keras_like, prediction

IMAGES, SIDE, EPOCHS, BATCH = 240, 150, 10, 32
TITLES = {"training": f"{EPOCHS} epochs, {IMAGES} images of {SIDE}×{SIDE}"} | {
    f"{title}/{batch}": f"{title}/{batch}, predict" for title in ("ResNet50", "InceptionV3") for batch in (1, 16)
}


def training(name: str) -> Callable[[], Any]:
    """Return what trains for 10 epochs; each time the features are computed anew."""
    k = keras_like(name)
    draw = np.random.default_rng(0)
    x = draw.uniform(-120, 130, (IMAGES, SIDE, SIDE, 3)).astype("float32")
    y = draw.integers(0, 12, IMAGES)
    backbone = k.applications.ResNet50(weights=None, include_top=False, input_shape=(SIDE, SIDE, 3))
    backbone.trainable = False
    inputs = k.Input((SIDE, SIDE, 3))
    features = k.layers.GlobalAveragePooling2D()(backbone(inputs, training=False))
    model = k.Model(inputs, k.layers.Dense(12, activation="softmax")(features))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x[:BATCH], y[:BATCH], batch_size=BATCH, verbose=0)
    return lambda: model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0)


def make(name: str, work: str) -> Callable[[], Any]:
    """Return what does the work."""
    title, _, batch = work.partition("/")
    return prediction(name, title, int(batch)) if batch else training(name)


def able(work: str) -> tuple[str, ...]:
    """Return those who can do the work."""
    return PREDICTORS if "/" in work else KERAS_LIKE


if __name__ == "__main__":
    race.main(__file__, __doc__, TITLES, make, able)
