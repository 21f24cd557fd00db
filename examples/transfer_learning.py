"""Transfer learning: a trained network gets a new head, then learns a little itself.

With a connection, take a network that has learned ImageNet:
``keras.applications.ResNet50(include_top=False, input_shape=(160, 160, 3), pooling="avg")``. Here a small network that
has learned the digits 0 to 4 learns 5 to 9 from ten images each.
"""

# %%
import numpy as np

import convia as keras
from convia import layers

EPOCHS = 20
keras.utils.set_random_seed(1)

(x_train, y_train), (x_test, y_test) = keras.datasets.digits.load_data()
x_train, x_test = (x[..., None].astype("float32") / 16 for x in (x_train, x_test))
old, new = y_train < 5, y_test >= 5
few = np.concatenate([np.flatnonzero(y_train == digit)[:10] for digit in range(5, 10)])

# %%
backbone = keras.Sequential(
    [
        keras.Input((8, 8, 1)),
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(64, 3, activation="relu"),
        layers.Flatten(),
    ]
)


def with_head(rate: float) -> keras.Model:
    """Return the backbone with a new classifier of five classes."""
    model = keras.Sequential([backbone, layers.Dense(5, activation="softmax")])
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


with_head(1e-3).fit(x_train[old], y_train[old], epochs=EPOCHS, verbose=0)

# %% [markdown]
# The backbone is frozen while the head learns; then both learn, with a tenth of the rate.

# %%
backbone.trainable = False
model = with_head(1e-2)
model.fit(x_train[few], y_train[few] - 5, epochs=EPOCHS, batch_size=10, verbose=0)
print(f"head alone  {model.evaluate(x_test[new], y_test[new] - 5, verbose=0)[1]:.1%}")

backbone.trainable = True
model.compile(keras.optimizers.Adam(1e-4), "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x_train[few], y_train[few] - 5, epochs=EPOCHS, batch_size=10, verbose=0)
print(f"fine-tuned  {model.evaluate(x_test[new], y_test[new] - 5, verbose=0)[1]:.1%}")
