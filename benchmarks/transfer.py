"""Training a new head on a frozen ResNet50: convia, Keras on torch, and TensorFlow where a Python that has it is named.

WORK is the number of epochs, 1 or 10, over 240 images of 150×150 in batches of 32. Each contender is a process of its
own; they take turns. Weights are random: times do not depend on them. Printed: the median, the fastest and the slowest
round, how many times that of convia the median is, and the peak of memory. With ``--times`` what was measured before is
kept in a file and taken along, so that contenders may be measured in calls of their own.

Usage: python benchmarks/transfer.py [WORK ...] [--contenders convia keras] [--tensorflow PYTHON] [--rounds 3]
Quick: 1 --contenders convia --rounds 1
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import race
from published import KERAS_LIKE, keras_like

IMAGES, SIDE, BATCH = 240, 150, 32
WORKS = {str(n): race.Work(f"a training of {n} epochs, {IMAGES} images of {SIDE}×{SIDE}") for n in (1, 10)}


def make(name: str, work: str) -> Callable[[], Any]:
    """Return what trains; each time the features are computed anew."""
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
    return lambda: model.fit(x, y, batch_size=BATCH, epochs=int(work), verbose=0)


def able(_: str) -> tuple[str, ...]:
    """Return those who can do the work."""
    return KERAS_LIKE


if __name__ == "__main__":
    race.main(__file__, __doc__, WORKS, make, able)
