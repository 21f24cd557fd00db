"""Metric learning: are these two of the same kind? Also for kinds that were not in the training.

Both images go through the same layers. The contrastive loss brings what is the same near to each other, and keeps what
is not at a distance (Hadsell, Chopra and LeCun, 2006).
"""

# %%
import numpy as np

import convia as keras
from convia import layers, ops

EPOCHS = 20
keras.utils.set_random_seed(1)
rng = np.random.default_rng(1)

(x, y), _ = keras.datasets.digits.load_data()
x = x[..., None].astype("float32") / 16
seen = y < 7  # 7, 8 and 9 are kept for the test


def pairs(x: np.ndarray, y: np.ndarray, count: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Return pairs of images, and 1 for the same digit, 0 for others; half and half."""
    same = np.arange(count) % 2
    left = rng.integers(0, len(x), count)
    right = [rng.choice(np.flatnonzero((y == y[i]) == bool(is_same))) for i, is_same in zip(left, same, strict=True)]
    return [x[left], x[right]], same.astype("float32")


# %%
encoder = keras.Sequential(
    [
        keras.Input((8, 8, 1)),
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(64, 3, activation="relu"),
        layers.Flatten(),
        layers.Dense(16),
    ]
)
left, right = keras.Input((8, 8, 1)), keras.Input((8, 8, 1))
distance = ops.sqrt(ops.sum(ops.square(encoder(left) - encoder(right)), axis=1, keepdims=True) + 1e-9)
model = keras.Model([left, right], distance)


def contrastive(is_same: keras.KerasTensor, distance: keras.KerasTensor) -> keras.KerasTensor:
    """Return d² for pairs that are the same, max(1 − d, 0)² for others."""
    return is_same * ops.square(distance) + (1 - is_same) * ops.square(ops.maximum(1 - distance, 0))


model.compile("adam", contrastive)
images, same = pairs(x[seen], y[seen], 4000)
model.fit(images, same[:, None], epochs=EPOCHS, batch_size=64, verbose=2)

# %%
images, same = pairs(x[~seen], y[~seen], 600)
judged = model.predict(images, verbose=0)[:, 0] < 0.5
print(f"right about digits never seen in training: {(judged == (same == 1)).mean():.1%}")
