"""Super-resolution: from 4 × 4 pixels to 8 × 8.

The network computes four values for each small pixel and lays them out as 2 × 2 (Shi and others, "sub-pixel
convolution", 2016). It learns only what is to be added to plain enlargement.
"""

# %%
import numpy as np

import convia as keras
from convia import layers

EPOCHS = 40
keras.utils.set_random_seed(1)

(large, _), (large_test, _) = keras.datasets.digits.load_data()
large, large_test = (x[..., None].astype("float32") / 16 for x in (large, large_test))
small, small_test = (x.reshape(-1, 4, 2, 4, 2, 1).mean((2, 4)) for x in (large, large_test))  # means of 2 × 2

# %%
image = keras.Input((4, 4, 1))
x = layers.Conv2D(32, 3, padding="same", activation="relu")(image)
x = layers.Conv2D(32, 3, padding="same", activation="relu")(x)
x = layers.Conv2D(4, 3, padding="same")(x)
x = layers.Reshape((4, 4, 2, 2))(x)
x = layers.Permute((1, 3, 2, 4))(x)  # (4, 2, 4, 2): rows within rows, columns within columns
detail = layers.Reshape((8, 8, 1))(x)
enlarged = layers.UpSampling2D(interpolation="bilinear")(image)
model = keras.Model(image, layers.Add()([enlarged, detail]))

# %%
model.compile(keras.optimizers.Adam(0.003), "mse")
model.fit(small, large, epochs=EPOCHS, verbose=2)

# %%
plain = keras.Model(image, enlarged).predict(small_test, verbose=0)
learned = model.predict(small_test, verbose=0)
for name, images in {"bilinear": plain, "learned": learned}.items():
    error = np.square(images - large_test).mean()
    print(f"{name:9} {10 * np.log10(1 / error):.1f} dB")
