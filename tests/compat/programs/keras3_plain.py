# expect: keys accuracy loss
# era: keras3
"""A program of today: nothing is translated."""

import os

os.environ["KERAS_BACKEND"] = "torch"
import keras
import numpy as np
from keras import layers, ops

model = keras.Sequential(
    [keras.Input((8, 8, 1)), layers.Conv2D(4, 3, activation="relu"), layers.Flatten(), layers.Dense(2)]
)
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
history = model.fit(np.random.rand(16, 8, 8, 1), np.zeros(16), verbose=0)
print("keys", *sorted(history.history))
assert float(ops.mean(ops.ones((2, 2)))) == 1.0 and keras.__version__.startswith("3.")
assert layers.Conv2D(4, 3, 2).strides == (2, 2)
model.save("m.keras")
model.save_weights("m.weights.h5")
