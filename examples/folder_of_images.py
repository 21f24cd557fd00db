"""A folder of images: one folder per class, read while the network learns.

Put your own folder in place of ``shapes``, which this program draws: circles and squares of different sizes.
"""

# %%
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import convia as keras
from convia import layers

EPOCHS = 15
FOLDER = Path("shapes")
keras.utils.set_random_seed(1)
rng = np.random.default_rng(1)


def draw(kind: str) -> Image.Image:
    """Return a bright shape on a noisy ground."""
    side = int(rng.integers(40, 70))
    image = Image.fromarray(rng.integers(0, 80, (side, side, 3), dtype="uint8"))
    radius = side // 4
    x, y = rng.integers(radius, side - radius, 2)
    pen = ImageDraw.Draw(image)
    {"circle": pen.ellipse, "square": pen.rectangle}[kind]((x - radius, y - radius, x + radius, y + radius), "white")
    return image


for kind in ("circle", "square"):
    (FOLDER / kind).mkdir(parents=True, exist_ok=True)
    for number in range(80):
        draw(kind).save(FOLDER / kind / f"{number}.png")

# %%
train, validation = keras.utils.image_dataset_from_directory(
    FOLDER, image_size=(32, 32), batch_size=16, validation_split=0.25, subset="both", seed=1
)

# %%
image = keras.Input((32, 32, 3))
x = layers.Rescaling(1 / 255)(image)
for filters in (16, 32):
    x = layers.Conv2D(filters, 5, activation="relu")(x)
    x = layers.MaxPooling2D()(x)
x = layers.GlobalMaxPooling2D()(x)
model = keras.Model(image, layers.Dense(1, activation="sigmoid")(x))

model.compile(keras.optimizers.Adam(0.003), "binary_crossentropy", metrics=["accuracy"])
history = model.fit(train, validation_data=validation, epochs=EPOCHS, verbose=2)
print(f"validation accuracy {history.history['val_accuracy'][-1]:.1%}")
