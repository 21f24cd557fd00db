"""Detection of one object: what is it, and where? Two outputs with a loss each.

One head classifies, the other one gives the box as (left, top, right, bottom) in shares of the image.
"""

# %%
import cv2
import numpy as np

import convia as keras
from convia import layers

EPOCHS = 25
SIDE = 32
keras.utils.set_random_seed(1)
rng = np.random.default_rng(1)


def scenes(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return images (N, 32, 32, 1), classes (0 disc, 1 square) and boxes (N, 4) of 0…1."""
    images = rng.normal(0.2, 0.1, (count, SIDE, SIDE, 1)).astype("float32")
    kinds, boxes = rng.integers(0, 2, count), np.zeros((count, 4), "float32")
    for image, kind, box in zip(images, kinds, boxes, strict=True):
        radius = int(rng.integers(4, 8))
        x, y = (int(value) for value in rng.integers(radius, SIDE - radius, 2))
        mask = np.zeros((SIDE, SIDE), "uint8")
        if kind:
            cv2.rectangle(mask, (x - radius, y - radius), (x + radius, y + radius), 1, -1)
        else:
            cv2.circle(mask, (x, y), radius, 1, -1)
        image[mask > 0, 0] += 0.5
        box[:] = np.array([x - radius, y - radius, x + radius, y + radius]) / SIDE
    return images, kinds, boxes


x_train, kinds_train, boxes_train = scenes(600)
x_test, kinds_test, boxes_test = scenes(100)

# %%
image = keras.Input((SIDE, SIDE, 1))
x = image
for filters in (16, 32, 64):
    x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
    x = layers.MaxPooling2D()(x)
features = layers.Dense(64, activation="relu")(layers.Flatten()(x))
kind = layers.Dense(2, activation="softmax", name="kind")(features)
box = layers.Dense(4, activation="sigmoid", name="box")(features)
model = keras.Model(image, {"kind": kind, "box": box})

model.compile(
    "adam",
    loss={"kind": "sparse_categorical_crossentropy", "box": "mae"},
    loss_weights={"kind": 1.0, "box": 5.0},
    metrics={"kind": "accuracy"},
)
model.fit(x_train, {"kind": kinds_train, "box": boxes_train}, epochs=EPOCHS, verbose=2)


# %%
def overlap(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the intersection over union of boxes (N, 4)."""
    low, high = np.maximum(one[:, :2], other[:, :2]), np.minimum(one[:, 2:], other[:, 2:])
    both = np.prod(np.clip(high - low, 0, None), 1)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], 1) for boxes in (one, other)]
    return both / (sum(areas) - both)


found = model.predict(x_test, verbose=0)
right = (found["kind"].argmax(1) == kinds_test).mean()
print(f"right class {right:.1%}, overlap {overlap(found['box'], boxes_test).mean():.2f}")

# %%
drawn = keras.visualization.draw_bounding_boxes(
    np.repeat(np.clip(x_test[:6], 0, 1), 3, -1),
    {"boxes": found["box"][:6, None] * SIDE, "labels": found["kind"][:6].argmax(1)[:, None]},
    "xyxy",
    color=(255, 120, 0),
    line_thickness=1,
)
keras.visualization.plot_image_gallery(drawn, rows=1, cols=6, path="boxes.png")
