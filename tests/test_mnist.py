"""The course network on real MNIST: as accurate as on Keras. Skipped where the data is not there.

Looked for in the dataset cache, and in the folder ``$CONVIA_DATA`` (``../shared/data`` beside the project by default).
"""

import os
from pathlib import Path

import numpy as np
import pytest

import convia

PLACES = [
    Path(os.environ.get("CONVIA_DATA", Path(__file__).parents[2] / "shared" / "data")) / "mnist.npz",
    convia.config.home() / "datasets" / "mnist.npz",
]
FILE = next((path for path in PLACES if path.exists()), None)


@pytest.mark.skipif(FILE is None, reason="mnist.npz is not there")
def test_the_course_network_reaches_what_it_reaches_on_keras():
    with np.load(FILE) as data:
        x, y, x_test, y_test = (data[key] for key in ("x_train", "y_train", "x_test", "y_test"))
    x, x_test = (images[..., None].astype("float32") / 255 for images in (x, x_test))
    y, y_test = (convia.utils.to_categorical(labels, 10) for labels in (y, y_test))
    accuracies = []
    for seed in range(5):
        convia.utils.set_random_seed(seed)
        model = convia.Sequential(
            [
                convia.layers.Conv2D(8, (3, 3), activation="relu", input_shape=(28, 28, 1)),
                convia.layers.MaxPooling2D(pool_size=(2, 2)),
                convia.layers.Conv2D(4, (3, 3), activation="relu"),
                convia.layers.MaxPooling2D(pool_size=(2, 2)),
                convia.layers.Flatten(),
                convia.layers.Dense(10, activation="softmax"),
            ]
        )
        model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
        model.fit(x, y, validation_split=0.33, batch_size=32, epochs=5, verbose=0)
        accuracies.append(model.evaluate(x_test, y_test, verbose=0)[1])
    assert np.mean(accuracies) >= 0.965, accuracies
