"""Segmentation: to which class does each pixel belong? A small U-Net.

The left half of the U makes maps smaller and finds out what is there; the right half makes them large again. Joins
across bring back where exactly it was (Ronneberger and others, "U-Net", 2015).
"""

# %%
import cv2
import numpy as np

import convia as keras
from convia import layers

EPOCHS = 20
keras.utils.set_random_seed(1)
rng = np.random.default_rng(1)


def scenes(count: int, side: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Return images (N, side, side, 1) with a disc and a square, and masks (N, side, side): 0 ground, 1, 2."""
    images = rng.normal(0.2, 0.1, (count, side, side, 1)).astype("float32")
    masks = np.zeros((count, side, side), "uint8")
    for image, mask in zip(images, masks, strict=True):
        x, y, u, v = (int(value) for value in rng.integers(5, side - 5, 4))
        cv2.rectangle(mask, (u - 4, v - 4), (u + 4, v + 4), 2, -1)
        cv2.circle(mask, (x, y), 5, 1, -1)
        image[mask > 0, 0] += rng.uniform(0.3, 0.6)
    return images, masks.astype("int64")


x_train, y_train = scenes(400)
x_test, y_test = scenes(60)


# %%
def block(x: keras.KerasTensor, filters: int) -> keras.KerasTensor:
    """Return two convolutions on x."""
    for _ in range(2):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
    return x


image = keras.Input((32, 32, 1))
first = block(image, 16)
second = block(layers.MaxPooling2D()(first), 32)
x = block(layers.MaxPooling2D()(second), 64)
x = layers.Conv2DTranspose(32, 2, strides=2)(x)
x = block(layers.Concatenate()([x, second]), 32)
x = layers.Conv2DTranspose(16, 2, strides=2)(x)
x = block(layers.Concatenate()([x, first]), 16)
model = keras.Model(image, layers.Conv2D(3, 1, activation="softmax")(x))

# %%
iou = keras.metrics.MeanIoU(3, sparse_y_pred=False, name="iou")
model.compile("adam", "sparse_categorical_crossentropy", metrics=[iou])
model.fit(x_train, y_train, epochs=EPOCHS, batch_size=16, verbose=2)

# %%
loss, overlap = model.evaluate(x_test, y_test, verbose=0)
print(f"mean intersection over union {overlap:.2f}")
masks = model.predict(x_test[:4], verbose=0).argmax(-1)[..., None]
keras.visualization.plot_segmentation_mask_gallery(
    np.repeat(x_test[:4] * 200, 3, -1), 3, y_true=y_test[:4, ..., None], y_pred=masks, path="masks.png"
)
