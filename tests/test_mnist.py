"""The course network on real MNIST: as accurate as on Keras, on the engine and on torch. Skipped without the data.

Looked for in the dataset cache, and in the folder ``$CONVIA_DATA`` (``../shared/data`` beside the project by default).
"""

import os
from pathlib import Path

import numpy as np
import pytest

import convia
from convia import engine

PLACES = [
    Path(os.environ.get("CONVIA_DATA", Path(__file__).parents[2] / "shared" / "data")) / "mnist.npz",
    convia.config.home() / "datasets" / "mnist.npz",
]
FILE = next((path for path in PLACES if path.exists()), None)


def course_network(*extra):
    return convia.Sequential(
        [
            convia.layers.Conv2D(8, (3, 3), activation="relu", input_shape=(28, 28, 1)),
            convia.layers.MaxPooling2D(pool_size=(2, 2)),
            convia.layers.Conv2D(4, (3, 3), activation="relu"),
            convia.layers.MaxPooling2D(pool_size=(2, 2)),
            convia.layers.Flatten(),
            *extra,
            convia.layers.Dense(10, activation="softmax"),
        ]
    )


def images(count=None):
    with np.load(FILE) as data:
        x, y, x_test, y_test = (data[key] for key in ("x_train", "y_train", "x_test", "y_test"))
    scaled = (part[:count, ..., None].astype("float32") / 255 for part in (x, x_test))
    labels = (convia.utils.to_categorical(part[:count], 10) for part in (y, y_test))
    return *scaled, *labels


@pytest.mark.skipif(FILE is None, reason="mnist.npz is not there")
def test_the_course_network_reaches_what_it_reaches_on_keras():
    x, x_test, y, y_test = images()
    accuracies = []
    for seed in range(5):
        convia.utils.set_random_seed(seed)
        model = course_network()
        model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
        model.fit(x, y, validation_split=0.33, batch_size=32, epochs=5, verbose=0)
        accuracies.append(model.evaluate(x_test, y_test, verbose=0)[1])
    assert np.mean(accuracies) >= 0.965, accuracies


@pytest.mark.skipif(FILE is None, reason="mnist.npz is not there")
@pytest.mark.skipif(engine.native() is None, reason="the engine was not built")
def test_the_engine_is_as_accurate_as_torch():
    """With dropout, whose masks differ: the means of five seeds by no more than three of their standard errors."""
    x, x_test, y, y_test = images(8000)
    found = {}
    for choice in ("torch", "native"):
        for seed in range(5):
            convia.utils.set_random_seed(seed)
            model = course_network(convia.layers.Dropout(0.2))
            model.compile("adam", "categorical_crossentropy", metrics=["accuracy"], engine=choice)
            model.fit(x, y, batch_size=32, epochs=2, verbose=0)
            found.setdefault(choice, []).append(model.evaluate(x_test, y_test, verbose=0)[1])
    torch_s, ours = (np.array(values) for values in found.values())
    error = np.sqrt((torch_s.var(ddof=1) + ours.var(ddof=1)) / 5)
    assert ours.mean() > 0.85
    assert abs(torch_s.mean() - ours.mean()) <= 3 * error, found
