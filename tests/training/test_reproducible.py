"""The same seed gives the same bits: weights, order of the data, masks, augmentation, whatever loads the data."""

import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import convia as keras
from convia import config, layers

ROOT = Path(__file__).parents[2]
X = np.random.default_rng(0).normal(size=(20, 8, 8, 3)).astype("float32")
Y = np.arange(20) % 2


class Slow(keras.utils.PyDataset):
    """Batches that threads finish in another order than they are asked for."""

    def __len__(self):
        return 5

    def __getitem__(self, index):
        torch.arange(10**5 * (5 - index)).sum()
        return X[index * 4 : index * 4 + 4], Y[index * 4 : index * 4 + 4]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for name in ("a", "b"):
        (folder / name).mkdir()
        for number in range(10):
            pixels = np.random.default_rng(number).integers(0, 255, (8, 8, 3), dtype="uint8")
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def flow(photos, workers):
    changes = {"rotation_range": 30, "zoom_range": 0.3, "horizontal_flip": True, "channel_shift_range": 20.0}
    generator = keras.preprocessing.image.ImageDataGenerator(rescale=1 / 255, **changes)
    found = generator.flow_from_directory(photos, (8, 8), batch_size=4, class_mode="sparse")
    found.workers = workers
    return found


DATA = {
    "arrays": lambda photos, workers: (X, Y),
    "dataset": lambda photos, workers: (Slow(workers=workers),),
    "folder": lambda photos, workers: (flow(photos, workers),),
}


def weights(kind, photos, workers=1, seed=1, engine="torch"):
    """Train from scratch; return all weights in one row."""
    keras.utils.set_random_seed(seed)
    inner = [layers.RandomFlip()] if engine == "torch" else []
    inner += [layers.Conv2D(4, 3, activation="relu"), layers.Dropout(0.3), layers.Flatten()]
    model = keras.Sequential([layers.Input((8, 8, 3)), *inner, layers.Dense(2, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", engine=engine)
    given = {"batch_size": 4} if kind == "arrays" else {}
    model.fit(*DATA[kind](photos, workers), epochs=2, verbose=0, **given)
    return np.concatenate([weight.ravel() for weight in model.get_weights()])


@pytest.mark.parametrize("engine", ["torch", "auto"])
@pytest.mark.parametrize("kind", DATA)
def test_a_seed_repeats_a_training_whatever_the_threads_that_load(kind, engine, photos):
    first = weights(kind, photos, engine=engine)
    for workers in (1, 2, 4):
        np.testing.assert_array_equal(weights(kind, photos, workers, engine=engine), first)
    assert not np.array_equal(weights(kind, photos, seed=2, engine=engine), first)


def _rotated():
    turn = layers.RandomRotation(0.3)
    return lambda image: turn(_slow(image)[None], training=True)[0]


def _slow(image):
    """Take longer for some images than for others."""
    torch.arange(int(abs(float(image.sum())) * 1e4) % 100000).sum()
    return image


DRAWING = {
    "layer": _rotated,
    "torch": lambda: lambda image: _slow(image) + torch.rand(1),
    "numpy": lambda: lambda image: _slow(image) + float(np.random.rand()),
    "python": lambda: lambda image: _slow(image) + random.random(),
}


@pytest.mark.parametrize("kind", DRAWING)
def test_a_seed_repeats_what_threads_of_a_pipeline_draw(kind):
    """Functions that draw in threads, elements made ahead, and masks of the network drawn meanwhile."""

    def train(threads, ahead):
        keras.utils.set_random_seed(4)
        data = keras.pipeline.Dataset.from_tensor_slices((X, Y))
        change = DRAWING[kind]()
        data = data.map(lambda x, y: (change(x), y), num_parallel_calls=threads).batch(4)
        model = keras.Sequential([layers.Input((8, 8, 3)), layers.Flatten(), layers.Dropout(0.5), layers.Dense(1)])
        model.compile("sgd", "mse", engine="torch")
        model.fit(data.prefetch(3) if ahead else data, epochs=2, verbose=0)
        return np.concatenate([weight.ravel() for weight in model.get_weights()])

    first = train(None, False)
    for threads, ahead in ((4, False), (None, True), (8, True)):
        np.testing.assert_array_equal(train(threads, ahead), first)


def test_without_a_seed_threads_draw_as_they_come(monkeypatch):
    monkeypatch.setattr(keras.random, "_is_seeded", False)
    places = set()

    def change(x):
        places.add(threading.current_thread())
        return x + torch.rand(1)

    [*keras.pipeline.Dataset.from_tensor_slices(X).map(change, num_parallel_calls=2)]
    assert threading.main_thread() in places and len(places) > 1


def test_all_generators_are_seeded():
    drawn = []
    for _ in range(2):
        keras.utils.set_random_seed(5)
        drawn.append((random.random(), np.random.rand(), float(torch.rand(())), float(keras.random.normal((1,)))))
    assert drawn[0] == drawn[1]


def test_another_process_repeats_it_too(photos):
    """Hashes of texts differ between processes; nothing may depend on them."""
    program = "import sys, test_reproducible as t; t.torch.set_num_threads(int(sys.argv[2]))\n"
    program += "print(t.weights('folder', sys.argv[1], 2).tobytes().hex())"
    path = f"{ROOT}{os.pathsep}{Path(__file__).parent}"
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "77"}
    command = [sys.executable, "-c", program, str(photos), str(torch.get_num_threads())]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == weights("folder", photos).tobytes().hex()


def test_deterministic_mode_refuses_what_is_not(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    config.set_deterministic()
    try:
        assert torch.are_deterministic_algorithms_enabled()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
        weights("arrays", None)
    finally:
        config.set_deterministic(False)
        monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    assert not torch.are_deterministic_algorithms_enabled()
