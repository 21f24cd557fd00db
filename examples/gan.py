"""A generative adversarial network: one network draws, the other one judges.

The generator makes images of noise, the discriminator says which images are real, and each learns from the other
(Goodfellow and others, 2014; with convolutions: Radford and others, "DCGAN", 2015).
"""

# %%
import numpy as np

import convia as keras
from convia import layers

EPOCHS = 60
BATCH, NOISE = 64, 16
keras.utils.set_random_seed(1)
rng = np.random.default_rng(1)

(x_train, _), _ = keras.datasets.digits.load_data()
x_train = x_train[..., None].astype("float32") / 8 - 1  # −1…1, as tanh gives

# %%
generator = keras.Sequential(
    [
        keras.Input((NOISE,)),
        layers.Dense(4 * 4 * 64),
        layers.LeakyReLU(0.2),
        layers.Reshape((4, 4, 64)),
        layers.Conv2DTranspose(32, 4, strides=2, padding="same"),
        layers.LeakyReLU(0.2),
        layers.Conv2D(1, 3, padding="same", activation="tanh"),
    ]
)
discriminator = keras.Sequential(
    [
        keras.Input((8, 8, 1)),
        layers.Conv2D(32, 4, strides=2, padding="same"),
        layers.LeakyReLU(0.2),
        layers.Conv2D(64, 4, strides=2, padding="same"),
        layers.LeakyReLU(0.2),
        layers.Flatten(),
        layers.Dropout(0.3),
        layers.Dense(1, activation="sigmoid"),
    ]
)
discriminator.compile(keras.optimizers.Adam(4e-4, beta_1=0.5), "binary_crossentropy")

discriminator.trainable = False  # within the joined model, only the generator learns
noise = keras.Input((NOISE,))
joined = keras.Model(noise, discriminator(generator(noise)))
joined.compile(keras.optimizers.Adam(4e-4, beta_1=0.5), "binary_crossentropy")
discriminator.trainable = True


# %%
def draw(count: int) -> np.ndarray:
    """Return noise."""
    return rng.normal(size=(count, NOISE)).astype("float32")


real, fake = np.ones((BATCH, 1)), np.zeros((BATCH, 1))
for epoch in range(EPOCHS):
    order = rng.permutation(len(x_train))
    for start in range(0, len(order) - BATCH + 1, BATCH):
        images = x_train[order[start : start + BATCH]]
        made = generator.predict_on_batch(draw(BATCH))
        judged = discriminator.train_on_batch(np.concatenate([images, made]), np.concatenate([real, fake]))
        fooled = joined.train_on_batch(draw(BATCH), real)
    if epoch % 10 == 9 or epoch == EPOCHS - 1:
        print(f"epoch {epoch + 1:3}   discriminator {judged:.3f}   generator {fooled:.3f}")

# %%
made = generator.predict(draw(24), verbose=0)
keras.visualization.plot_image_gallery(
    np.repeat(made, 3, -1), rows=3, cols=8, value_range=(-1, 1), scale=0.8, path="made.png"
)
