"""Videos: in which direction does it move? Convolutions over time, height and width.

A single frame cannot tell. ``Conv3D`` looks at some frames at once; ``ConvLSTM2D`` goes from frame to frame and
remembers.
"""

# %%
import numpy as np

import convia as keras
from convia import layers

EPOCHS = 6
keras.utils.set_random_seed(1)
rng = np.random.default_rng(1)
STEPS = np.array([(0, 1), (0, -1), (1, 0), (-1, 0)])  # right, left, down, up


def films(count: int, frames: int = 6, side: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Return films (N, frames, side, side, 1) of a moving square, and the direction."""
    kinds = rng.integers(0, 4, count)
    x = rng.normal(0, 0.2, (count, frames, side, side, 1)).astype("float32")
    for film, kind in zip(x, kinds, strict=True):
        row, column = rng.integers(0, side, 2)
        for frame in film:
            frame[np.ix_((row + np.arange(3)) % side, (column + np.arange(3)) % side)] += 1
            row, column = np.array([row, column]) + STEPS[kind]
    return x, kinds


x_train, y_train = films(400)
x_test, y_test = films(100)

# %%
NETWORKS = {
    "Conv3D": [
        layers.Conv3D(8, 3, activation="relu"),
        layers.Conv3D(16, 3, activation="relu"),
        layers.GlobalMaxPooling3D(),
    ],
    "ConvLSTM2D": [layers.ConvLSTM2D(8, 3, padding="same"), layers.GlobalMaxPooling2D()],
}
for name, body in NETWORKS.items():
    model = keras.Sequential([keras.Input((6, 12, 12, 1)), *body, layers.Dense(4, activation="softmax")])
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x_train, y_train, epochs=EPOCHS, verbose=0)
    print(f"{name:10} {model.evaluate(x_test, y_test, verbose=0)[1]:.1%}")
