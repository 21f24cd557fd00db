"""Several inputs: an image and numbers that belong to it.

A photograph of the skin and the age of the patient, a picture of the road and the speed: a network may use both.
Here each digit comes with a hint, whether it is even; half of the hints are missing.
"""

# %%
import numpy as np

import convia as keras
from convia import layers

EPOCHS = 12
keras.utils.set_random_seed(1)
rng = np.random.default_rng(1)

(x_train, y_train), (x_test, y_test) = keras.datasets.digits.load_data()


def prepared(x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """Return noisy images, and hints: (known, even)."""
    known = rng.integers(0, 2, len(y))
    images = x[..., None] / 16 + rng.normal(0, 0.5, (*x.shape, 1))
    return {"image": images.astype("float32"), "hint": np.stack([known, known * (y % 2 == 0)], 1).astype("float32")}


train, test = prepared(x_train, y_train), prepared(x_test, y_test)

# %%
image, hint = keras.Input((8, 8, 1), name="image"), keras.Input((2,), name="hint")
x = layers.Conv2D(32, 3, activation="relu")(image)
x = layers.MaxPooling2D()(x)
x = layers.Concatenate()([layers.Flatten()(x), layers.Dense(8, activation="relu")(hint)])
x = layers.Dense(64, activation="relu")(x)
model = keras.Model({"image": image, "hint": hint}, layers.Dense(10, activation="softmax")(x))
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(train, y_train, epochs=EPOCHS, verbose=2)

# %%
right = model.predict(test, verbose=0).argmax(1) == y_test
for name, chosen in {"with a hint": test["hint"][:, 0] == 1, "without": test["hint"][:, 0] == 0}.items():
    print(f"{name:12} {right[chosen].mean():.1%}")
