"""A training that goes on takes its data in the order of its epoch, and changes them as it would have."""

import os
import signal

import numpy as np
import pytest
import shard_files
import torch

import convia as keras
from convia.callbacks import BackupAndRestore, Callback
from convia.compat.tensorflow import tensors
from convia.compat.tensorflow.data import Dataset

tensors.deactivate()

X = np.random.default_rng(0).normal(size=(24, 4, 4, 3)).astype("float32")
Y = np.arange(24) % 2
BATCHES = 6


@pytest.fixture(autouse=True)
def _tensorflow_tensors(kind):
    """Where data are TensorFlow's, tensors are, too."""
    if kind.startswith("tf.data"):
        tensors.activate()
    yield
    tensors.deactivate()


class Falls(Callback):
    """SIGTERM after a batch of an epoch."""

    def __init__(self, epoch, batch):
        super().__init__()
        self.place = epoch, batch

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == self.place:
            os.kill(os.getpid(), signal.SIGTERM)


class Mixed(keras.utils.PyDataset):
    """A data set of a user's own, with an order to keep."""

    kept = ("order",)

    def __init__(self):
        super().__init__()
        self.on_epoch_end()

    def __len__(self):
        return BATCHES

    def __getitem__(self, index):
        chosen = self.order[4 * index : 4 * index + 4]
        return X[chosen], Y[chosen]

    def on_epoch_end(self):
        self.order = np.random.permutation(len(X))


def brighter(x, y):
    return x + torch.rand(()), y


FLIP = keras.layers.RandomFlip("horizontal", seed=4)  # beside the model, as in a data set's map


def flipped(x, y):
    return FLIP(x, training=True), y


def generated():
    while True:
        chosen = np.random.randint(0, len(X), 4)
        yield X[chosen], Y[chosen]


def folder(photos, batch_size=4, **given):
    where = {"image_size": (4, 4), "verbose": False}
    return keras.utils.image_dataset_from_directory(photos, batch_size=batch_size, **where, **given)


def flow(photos, seed=None, **changes):
    generator = keras.preprocessing.image.ImageDataGenerator(rescale=1 / 255, **changes)
    return generator.flow_from_directory(photos, (4, 4), class_mode="binary", batch_size=4, seed=seed)


def archives(photos):
    where = shard_files.write(photos.parent / "shards", 4, 6)
    return keras.utils.image_dataset_from_shards(where, image_size=4, batch_size=4, shuffle=9)


def slices():
    return Dataset.from_tensor_slices((X, Y))


STEPS = {"generator": 6, "tf.data, repeated": 4, "tf.data, kept and repeated": 4, "tf.data, by steps": 4,
         "tf.data, by steps that are known": 4}  # fmt: skip
CHANGES = {"rotation_range": 30, "horizontal_flip": True, "width_shift_range": 0.3}
DATA = {  # what is made of the folder; all are shuffled
    "folder": folder,
    "folder, shuffled again": lambda photos: folder(photos, None).shuffle(10).batch(4).prefetch(2),
    "folder, with seeds": lambda photos: folder(photos, None, seed=1).cache().shuffle(24, seed=3).batch(4),
    "folder, changed": lambda photos: folder(photos).map(brighter).prefetch(2),
    "folder, changed by a layer": lambda photos: folder(photos).map(flipped).prefetch(2),
    "flow": flow,
    "flow, changed": lambda photos: flow(photos, **CHANGES),
    "flow, changed, with a seed": lambda photos: flow(photos, 5, **CHANGES),
    "flow, with a function": lambda photos: flow(photos, preprocessing_function=lambda x: x * np.random.rand()),
    "flow of arrays": lambda photos: keras.preprocessing.image.ImageDataGenerator(**CHANGES).flow(X, Y, 4),
    "tar archives": archives,
    "tf.data": lambda photos: slices().shuffle(24).batch(4),
    "tf.data, with a seed": lambda photos: slices().shuffle(24, seed=3).batch(4).prefetch(2),
    "tf.data, changed": lambda photos: slices().shuffle(9, seed=3).map(brighter, -1).filter(lambda x, y: True).batch(4),
    "tf.data, zipped": lambda photos: Dataset.zip(tuple(map(Dataset.from_tensor_slices, (X, Y)))).shuffle(24).batch(4),
    "tf.data, repeated": lambda photos: slices().shuffle(24).map(brighter).repeat().batch(4).prefetch(2),
    "tf.data, kept and repeated": lambda photos: slices().shuffle(24).cache().shuffle(24).batch(4).repeat(),
    "tf.data, by steps": lambda photos: slices().shuffle(24).filter(lambda x, y: True).batch(4),
    "tf.data, by steps that are known": lambda photos: slices().shuffle(24).batch(4),
    "PyDataset": lambda photos: Mixed(),
    "generator": lambda photos: generated(),
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos")
    for number, pixels in enumerate(X):
        path = root / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        keras.utils.save_img(path, pixels)
    return root


def fit(kind, photos, *hooks, engine="torch", start=2):
    keras.utils.set_random_seed(start)
    FLIP.generator.state = 4, 0  # as it is made
    inner = [keras.layers.Conv2D(2, 3), keras.layers.Flatten(), keras.layers.Dropout(0.4), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((4, 4, 3)), *inner])
    model.compile("adam", "mse", metrics=["mae"], engine=engine)
    given = {"validation_data": flow(photos, 1, **CHANGES), "epochs": 3, "verbose": 0, "callbacks": list(hooks)}
    history = model.fit(DATA[kind](photos), steps_per_epoch=STEPS.get(kind), **given)
    return history.history, model.get_weights()


@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize("engine", ["torch", "auto"])
def test_a_training_killed_within_an_epoch_ends_as_if_undisturbed(engine, kind, photos, tmp_path):
    whole, expected = fit(kind, photos, engine=engine)
    for place in (1, 1), (1, STEPS.get(kind, BATCHES) - 1):
        with pytest.raises(SystemExit):
            fit(kind, photos, BackupAndRestore(tmp_path / "b"), Falls(*place), engine=engine)
        history, weights = fit(kind, photos, BackupAndRestore(tmp_path / "b"), engine=engine)
        for one, other in zip(weights, expected, strict=True):
            np.testing.assert_array_equal(one, other, err_msg=str(place))
        for name, values in history.items():
            np.testing.assert_allclose(values, whole[name][-len(values) :], rtol=1e-6, err_msg=f"{place} {name}")


@pytest.mark.parametrize("kind", ["folder", "folder, shuffled again", "flow, changed", "tf.data"])
def test_without_a_seed_too(kind, photos, tmp_path):
    """Seeds that data sets have drawn are kept with the rest."""
    _, expected = fit(kind, photos)
    with pytest.raises(SystemExit):
        fit(kind, photos, BackupAndRestore(tmp_path / "b", 2), Falls(1, 3))
    _, weights = fit(kind, photos, BackupAndRestore(tmp_path / "b", 2), start=99)
    for one, other in zip(weights, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", ["folder", "flow, changed"])
def test_an_error_within_an_epoch_goes_back_to_the_last_backup(kind, photos, tmp_path):
    class Raises(Falls):
        def on_train_batch_end(self, batch, logs=None):
            if (self.epoch, batch) == self.place:
                raise InterruptedError

    _, expected = fit(kind, photos, engine="auto")
    with pytest.raises(InterruptedError):
        fit(kind, photos, BackupAndRestore(tmp_path / "b", 2), Raises(1, 4), engine="auto")
    _, weights = fit(kind, photos, BackupAndRestore(tmp_path / "b", 2), engine="auto")
    for one, other in zip(weights, expected, strict=True):
        np.testing.assert_array_equal(one, other)
