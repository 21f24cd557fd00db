# %% folder
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

rng = np.random.default_rng(0)


def draw(kind, side):
    """Draw a circle, a square or a triangle somewhere on a noisy ground."""
    image = Image.fromarray(rng.integers(0, 90, (side, side, 3), dtype="uint8"))
    radius = int(rng.integers(side // 6, side // 3))
    x, y = rng.integers(radius, side - radius, 2)
    box = (x - radius, y - radius, x + radius, y + radius)
    colour = tuple(int(c) for c in rng.integers(140, 256, 3))
    pen = ImageDraw.Draw(image)
    if kind == "triangle":
        pen.polygon([(x, box[1]), (box[2], box[3]), (box[0], box[3])], fill=colour)
    else:
        {"circle": pen.ellipse, "square": pen.rectangle}[kind](box, fill=colour)
    return image


for kind in ("circle", "square", "triangle"):
    Path("shapes", kind).mkdir(parents=True)
    for number in range(60):
        draw(kind, side=int(rng.integers(40, 64))).save(
            f"shapes/{kind}/{number:02}.png"
        )
print(sorted(path.name for path in Path("shapes").iterdir()))
#> ['circle', 'square', 'triangle']

# %% generator
from convia.preprocessing.image import ImageDataGenerator

datagen = ImageDataGenerator()
datagen_flow = datagen.flow_from_directory(
    "shapes",
    target_size=(32, 32),
    batch_size=16,
    class_mode="sparse",
    seed=54321,
)
print(datagen_flow.class_indices)
#> Found 180 images belonging to 3 classes.
#> {'circle': 0, 'square': 1, 'triangle': 2}

# %% batch
features, target = next(datagen_flow)
print(features.shape, features.dtype, features.max())
print(target)
#> (16, 32, 32, 3) float32 254.0
#> [0. 0. 0. 2. 0. 1. 2. 0. 1. 0. 2. 1. 1. 0. 2. 0.]

# %% picture
import convia as keras

names = {number: name for name, number in datagen_flow.class_indices.items()}
keras.visualization.plot_image_gallery(
    features[:8],
    y_true=target[:8].astype(int),
    label_map=names,
    rows=2,
    cols=4,
    scale=1.4,
    dpi=72,
    path="shapes.png",
)

# %% split
datagen = ImageDataGenerator(validation_split=0.25, rescale=1 / 255)
options = {
    "target_size": (32, 32),
    "batch_size": 16,
    "class_mode": "sparse",
    "seed": 54321,
}
train_datagen_flow = datagen.flow_from_directory("shapes", subset="training", **options)
val_datagen_flow = datagen.flow_from_directory("shapes", subset="validation", **options)
#> Found 135 images belonging to 3 classes.
#> Found 45 images belonging to 3 classes.

# %% fit
from convia.layers import Conv2D, Dense, GlobalMaxPooling2D, MaxPooling2D

keras.utils.set_random_seed(2)
model = keras.Sequential(
    [
        keras.Input((32, 32, 3)),
        Conv2D(16, 5, activation="relu"),
        MaxPooling2D(),
        Conv2D(32, 5, activation="relu"),
        GlobalMaxPooling2D(),
        Dense(3, activation="softmax"),
    ]
)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["acc"])
history = model.fit(
    train_datagen_flow,
    validation_data=val_datagen_flow,
    steps_per_epoch=len(train_datagen_flow),
    validation_steps=len(val_datagen_flow),
    epochs=12,
    verbose=0,
)
print(len(train_datagen_flow), len(val_datagen_flow))
print(f"validation accuracy {history.history['val_acc'][-1]:.2f}")
#> 9 3
#> validation accuracy 1.00

# %% curves
keras.report.learning_curves(history).savefig("shapes_curves.png")
