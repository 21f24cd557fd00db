"""A variational autoencoder: a network that draws digits.

The encoder says for each image a mean and a variance of two numbers; the decoder draws an image from two numbers that
were drawn from there. A penalty keeps them near the standard normal distribution, so that afterwards any two such
numbers give an image (Kingma and Welling, "Auto-encoding variational Bayes", 2013).
"""

# %%
import numpy as np
import torch

import convia as keras
from convia import layers, ops

EPOCHS = 40
keras.utils.set_random_seed(1)

(x_train, _), _ = keras.datasets.digits.load_data()
x_train = x_train[..., None].astype("float32") / 16

# %%
encoder = keras.Sequential(
    [
        keras.Input((8, 8, 1)),
        layers.Conv2D(32, 3, strides=2, padding="same", activation="relu"),
        layers.Flatten(),
        layers.Dense(32, activation="relu"),
        layers.Dense(4),  # two means, two logarithms of variances
    ]
)
decoder = keras.Sequential(
    [
        keras.Input((2,)),
        layers.Dense(4 * 4 * 32, activation="relu"),
        layers.Reshape((4, 4, 32)),
        layers.Conv2DTranspose(32, 3, strides=2, padding="same", activation="relu"),
        layers.Conv2D(1, 3, padding="same", activation="sigmoid"),
    ]
)


class VAE(keras.Model):
    """Encoder, a draw, decoder; the penalty is a loss of the model's own."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def call(self, images: torch.Tensor) -> torch.Tensor:
        """Return images drawn anew."""
        mean, log_variance = ops.split(self.encoder(images), 2, axis=1)
        z = mean + ops.exp(0.5 * log_variance) * torch.randn_like(mean)
        divergence = -0.5 * ops.sum(1 + log_variance - mean**2 - ops.exp(log_variance), axis=1)
        self.add_loss(ops.mean(divergence) / 64)  # the other loss is a mean over 64 pixels
        return self.decoder(z)


# %%
vae = VAE()
vae.compile("adam", "binary_crossentropy")
vae.fit(x_train, x_train, epochs=EPOCHS, verbose=2)

# %%
steps = np.linspace(-2, 2, 8, dtype="float32")
grid = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)
drawn = decoder.predict(grid, verbose=0)
keras.visualization.plot_image_gallery(
    np.repeat(drawn, 3, -1), rows=8, cols=8, value_range=(0, 1), scale=0.8, path="drawn.png"
)
print(f"{len(drawn)} digits drawn, {drawn.min():.2f} to {drawn.max():.2f}")
