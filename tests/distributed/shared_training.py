"""A program that several processes run: a Keras script that knows nothing of them, but for where it leaves its result."""

import os
import sys
from pathlib import Path

import numpy as np
import shared_rules
import torch

import convia as keras
from convia import layers

MODELS = {  # a bias before a normalization has a gradient of 0, whose rounding errors Adam would magnify
    "plain": lambda: [
        layers.Conv2D(4, 3, activation="relu", kernel_regularizer="l2"),
        layers.MaxPooling2D(),
        layers.Flatten(),
    ],
    "synchronized": lambda: [
        layers.Conv2D(4, 3, use_bias=False),
        layers.BatchNormalization(synchronized=True),
        layers.GlobalAveragePooling2D(),
    ],
    "penalized": lambda: [layers.Conv2D(4, 3, activity_regularizer="l2"), layers.Flatten()],
}


ENGINES = ("torch", "auto")


class Batches(keras.utils.PyDataset):
    """Batches by number."""

    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return self.x[index * 9 : index * 9 + 9], self.y[index * 9 : index * 9 + 9]


def _images(folder, x, y):
    """Write the arrays as pictures to a folder of this process's own, whose name does not matter."""
    place = folder / f"images-{os.environ.get('RANK', '0')}"
    for number, (pixels, label) in enumerate(zip(x, y, strict=True)):
        path = place / "abc"[label] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        keras.utils.save_img(path, pixels, scale=True)
    return place


def flow(place, size):
    """Pictures in a random order, turned at random."""
    generator = keras.preprocessing.image.ImageDataGenerator(rescale=1 / 255, rotation_range=20)
    how = {"target_size": (8, 8), "color_mode": "grayscale", "class_mode": "sparse", "batch_size": size}
    return generator.flow_from_directory(place, **how)


def _folder(place):
    how = {"image_size": (8, 8), "color_mode": "grayscale", "batch_size": 9, "verbose": False}
    return keras.utils.image_dataset_from_directory(place, **how).map(lambda x, y: (x / 255, y))


def _pipeline(x, y):
    return keras.pipeline.Dataset.from_tensor_slices((x, y)).shuffle(34).batch(9).prefetch(2)


def fit(kind, folder, engine):
    """Train for 20 steps of 9, 9, 9 and 7 samples; return the weights and all that was measured."""
    keras.utils.set_random_seed(3)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(34, 8, 8, 1)).astype("float32")
    y = rng.integers(0, 3, 34)
    base, _, how = kind.partition("-")
    model = keras.Sequential([layers.Input((8, 8, 1)), *MODELS[base](), layers.Dense(3, activation="softmax")])
    metrics = ["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(2, name="top2")]
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=metrics, engine=engine)
    data = {
        "": lambda: ((x, y), {"batch_size": 9}),
        "weights": lambda: ((x, y), {"batch_size": 9, "class_weight": {0: 1.0, 1: 3.0, 2: 0.2}}),
        "dataset": lambda: ((Batches(x, y),), {}),
        "flow": lambda: ((flow(_images(folder, x, y), 9),), {}),
        "folder": lambda: ((_folder(_images(folder, x, y)),), {}),
        "pipeline": lambda: ((_pipeline(x, y),), {}),
        "endless": lambda: ((_pipeline(x, y).repeat(),), {"steps_per_epoch": 3}),
        "generator": lambda: ((iter([Batches(x, y)[i % 4] for i in range(20)]),), {"steps_per_epoch": 4}),
    }[how]
    args, named = data()
    saved = folder / f"{kind}.keras"
    hooks = [keras.callbacks.ModelCheckpoint(saved), keras.callbacks.CSVLogger(folder / f"{kind}.csv")]
    history = model.fit(
        *args, epochs=5, verbose=2, validation_data=(x[:7], y[:7]), callbacks=hooks if not how else None, **named
    )
    results = {f"weight{place}": value for place, value in enumerate(model.get_weights())}
    results |= {name: np.array(values) for name, values in history.history.items()}
    results["evaluated"] = np.array(model.evaluate(x, y, batch_size=5, verbose=0))
    results["predicted"] = model.predict(x, batch_size=5, verbose=0)
    return results


def main(folder, kinds):
    name = f"{os.environ.get('WORLD_SIZE', '1')}-{os.environ.get('RANK', '0')}"
    found = {
        f"{engine}/{kind}/{key}": value
        for engine in ENGINES
        for kind in kinds
        for key, value in fit(kind, folder, engine).items()
    }
    np.savez(folder / f"{name}.npz", **found)


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder, kinds = Path(sys.argv[1]), sys.argv[2:]
    main(folder, [kind for kind in kinds if kind != "rules"])
    if "rules" in kinds:
        shared_rules.main(folder)
