"""A denoising autoencoder: the network learns to take the noise out of images.

The encoder makes the image small, the decoder makes it large again. What does not fit through the narrow part, such as
noise, is lost.
"""

# %%
import numpy as np

import convia as keras
from convia import layers

EPOCHS = 40
keras.utils.set_random_seed(1)
rng = np.random.default_rng(1)

(clean, _), (clean_test, _) = keras.datasets.digits.load_data()
clean, clean_test = (x[..., None].astype("float32") / 16 for x in (clean, clean_test))
noisy, noisy_test = (np.clip(x + rng.normal(0, 0.3, x.shape), 0, 1).astype("float32") for x in (clean, clean_test))

# %%
image = keras.Input((8, 8, 1))
x = layers.Conv2D(32, 3, padding="same", activation="relu")(image)
x = layers.MaxPooling2D()(x)
x = layers.Conv2D(32, 3, padding="same", activation="relu")(x)
code = layers.MaxPooling2D(name="code")(x)  # (images, 2, 2, 32)
x = layers.Conv2DTranspose(32, 3, strides=2, padding="same", activation="relu")(code)
x = layers.Conv2DTranspose(32, 3, strides=2, padding="same", activation="relu")(x)
autoencoder = keras.Model(image, layers.Conv2D(1, 3, padding="same", activation="sigmoid")(x))
encoder = keras.Model(image, code)

# %%
autoencoder.compile("adam", "binary_crossentropy")
autoencoder.fit(noisy, clean, epochs=EPOCHS, verbose=2)

# %%
restored = autoencoder.predict(noisy_test, verbose=0)
for name, images in {"noisy": noisy_test, "restored": restored}.items():
    print(f"{name:9} mean squared error {np.square(images - clean_test).mean():.4f}")
sheet = np.concatenate([x[:8] for x in (clean_test, noisy_test, restored)])
keras.visualization.plot_image_gallery(np.repeat(sheet, 3, -1), rows=3, cols=8, value_range=(0, 1), path="denoised.png")
