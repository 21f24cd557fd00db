"""The three networks of the course in the Keras API, for convia, Keras and TensorFlow alike."""

from typing import Any


def course(k: Any) -> Any:
    """The notebook's MNIST network: two small convolutions, 2×2 max-pooling, one dense layer."""
    return k.Sequential(
        [
            k.Input((28, 28, 1)),
            k.layers.Conv2D(8, 3, activation="relu"),
            k.layers.MaxPooling2D(),
            k.layers.Conv2D(4, 3, activation="relu"),
            k.layers.MaxPooling2D(),
            k.layers.Flatten(),
            k.layers.Dense(10, activation="softmax"),
        ]
    )


def lenet(k: Any) -> Any:
    """LeNet as the course writes it."""
    return k.Sequential(
        [
            k.Input((28, 28, 1)),
            k.layers.Conv2D(6, 5, padding="same", activation="tanh"),
            k.layers.AveragePooling2D(2),
            k.layers.Conv2D(16, 5, activation="tanh"),
            k.layers.AveragePooling2D(2),
            k.layers.Flatten(),
            k.layers.Dense(120, activation="tanh"),
            k.layers.Dense(84, activation="tanh"),
            k.layers.Dense(10, activation="softmax"),
        ]
    )


def deep(k: Any) -> Any:
    """The course's larger design, with dropout."""
    return k.Sequential(
        [
            k.Input((28, 28, 1)),
            k.layers.Conv2D(64, 5, activation="relu"),
            k.layers.Conv2D(64, 3, activation="relu"),
            k.layers.MaxPooling2D(),
            k.layers.Dropout(0.2),
            k.layers.Conv2D(128, 5, activation="relu"),
            k.layers.Conv2D(128, 3, activation="relu"),
            k.layers.MaxPooling2D(),
            k.layers.Dropout(0.2),
            k.layers.Flatten(),
            k.layers.Dense(128, activation="relu"),
            k.layers.Dropout(0.2),
            k.layers.Dense(10, activation="softmax"),
        ]
    )


NETWORKS = {"course": course, "lenet": lenet, "deep": deep}
