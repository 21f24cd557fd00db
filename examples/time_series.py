"""Time series: convolutions along time.

Which of three kinds of oscillation is it, at an unknown place in the noise? ``Conv1D`` is the convolution of the
course's first chapter: (series, time, channels).
"""

# %%
import numpy as np

import convia as keras
from convia import layers

EPOCHS = 15
keras.utils.set_random_seed(1)
rng = np.random.default_rng(1)


def series(count: int, length: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """Return series (N, length, 1) and their kinds: 0 sine, 1 square wave, 2 saw tooth."""
    kinds = rng.integers(0, 3, count)
    phase = rng.uniform(0, 1, (count, 1)) + np.arange(length) / rng.uniform(10, 20, (count, 1))
    waves = np.stack([np.sin(2 * np.pi * phase), np.sign(np.sin(2 * np.pi * phase)), 2 * (phase % 1) - 1])
    values = waves[kinds, np.arange(count)] + rng.normal(0, 0.5, (count, length))
    return values[..., None].astype("float32"), kinds


x_train, y_train = series(1200)
x_test, y_test = series(300)

# %%
model = keras.Sequential(
    [
        keras.Input((None, 1)),  # any length
        layers.Conv1D(16, 7, activation="relu"),
        layers.MaxPooling1D(2),
        layers.Conv1D(32, 7, activation="relu"),
        layers.GlobalAveragePooling1D(),
        layers.Dense(3, activation="softmax"),
    ]
)
model.compile(keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x_train, y_train, epochs=EPOCHS, verbose=2)
print(f"test accuracy {model.evaluate(x_test, y_test, verbose=0)[1]:.1%}")

# %%
longer, kinds = series(50, length=300)
print(f"on longer series {(model.predict(longer, verbose=0).argmax(1) == kinds).mean():.1%}")
