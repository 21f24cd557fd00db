"""A batch whose numbers are not finite: whatever the data come through, the sample that is to blame is named."""

import importlib
import warnings

import numpy as np
import pytest
import shard_files
import torch
from PIL import Image

import convia as keras
from convia import layers
from convia.callbacks import TerminateOnNaN
from convia.pipeline import Dataset

ARRAYS = np.random.default_rng(0).uniform(0.1, 1, (12, 8, 8, 3)).astype("float32")
ARRAYS[9, 2] = np.nan
LABELS = np.arange(12, dtype="float32") % 2


@pytest.fixture
def tf():
    """TensorFlow, as programs import it; its methods of tensors are gone afterwards."""
    tensors = importlib.import_module("convia.compat.tensorflow.tensors")
    tensors.activate()
    yield importlib.import_module("convia.compat.tensorflow")
    tensors.deactivate()


@pytest.fixture
def pictures(tmp_path):
    """Files of pictures, in their order, one of which is black."""
    paths = [tmp_path / f"{number:02}.png" for number in range(12)]
    for number, path in enumerate(paths):
        Image.new("RGB", (8, 8), (40 * (number != 7), 0, 0)).save(path)
    return [str(path) for path in paths]


def bright(x, y):
    """Scale a picture to a mean of 1; of one that is black, that is 0 / 0."""
    return x / x.mean(), y


def told(data, capsys):
    """What a user is told of the batch at which training stops."""
    model = keras.Sequential([layers.Input((8, 8, 3)), layers.Flatten(), layers.Dense(1)])
    model.compile("sgd", "mse")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model.fit(data, verbose=0, callbacks=[TerminateOnNaN()])
        except ValueError as error:  # where it was in the first batch
            return str(error)
    return capsys.readouterr().out


def test_nan_names_the_sample_of_a_tar_archive(tmp_path, capsys):
    for shard in range(2):
        members = [(f"{shard}{n}.png", shard_files.png(30 * (shard * 6 + n != 7))) for n in range(6)]
        members += [(f"{shard}{n}.cls", b"1") for n in range(6)]
        (tmp_path / f"{shard}.tar").write_bytes(shard_files.archive(sorted(members)))
    data = keras.utils.image_dataset_from_shards(str(tmp_path / "{0..1}.tar"), image_size=8, batch_size=3)
    data = data.map(lambda x, y: (x / x.mean((1, 2, 3), keepdim=True), y)).prefetch(2)
    assert f"of the batch: {tmp_path / '1.tar'}/11" in told(data, capsys)


def load(path, label):
    pixels = torch.from_numpy(np.asarray(Image.open(path), "float32"))
    return bright(pixels, torch.tensor(float(label)))


MADE = {
    "files": (lambda files: Dataset.from_tensor_slices((np.array(files), LABELS)).shuffle(12).map(load).batch(3), 7),
    "batches again": (lambda files: Dataset.from_tensor_slices((ARRAYS, LABELS)).batch(5).unbatch().batch(2), 9),
    "arrays": (lambda files: Dataset.from_tensor_slices((ARRAYS, LABELS)).shuffle(12).map(bright).batch(3), 9),
}


@pytest.mark.parametrize("kind", MADE)
def test_nan_names_the_source_in_a_pipeline(kind, pictures, capsys):
    make, place = MADE[kind]
    name = pictures[place] if kind == "files" else f"sample {place}"
    assert f"of the batch: {name}" in told(make(pictures), capsys)


def by_pattern(tf, files):
    """A file's label is whether its number is odd."""
    found = tf.data.Dataset.list_files(files[0].replace("00.png", "*.png"))
    return found.map(lambda path: (read(tf, path), tf.strings.length(path) % 2))


def read(tf, path):
    pixels = tf.image.decode_png(tf.io.read_file(path), channels=3)
    pixels = tf.cast(pixels, tf.float32)
    return pixels / tf.reduce_mean(pixels)


def by_names(tf, files):
    found = tf.data.Dataset.from_tensor_slices((files, LABELS)).shuffle(12, seed=1)
    return found.map(lambda path, y: (read(tf, path), y), num_parallel_calls=tf.data.AUTOTUNE)


def of_rows(tf, files):
    return tf.data.Dataset.from_tensor_slices((ARRAYS, LABELS)).shuffle(12)


FACADE = {"list_files": (by_pattern, 7), "names": (by_names, 7), "arrays": (of_rows, 9)}
ENDS = {
    "batch": lambda data: data.batch(3).prefetch(2),
    "padded": lambda data: data.padded_batch(3),
    "unbatch": lambda data: data.batch(5).unbatch().filter(lambda x, y: True).cache().repeat(2).batch(2),
}


@pytest.mark.parametrize("kind", FACADE)
@pytest.mark.parametrize("end", ENDS)
def test_nan_names_the_source_in_tf_data(kind, end, pictures, tf, capsys):
    make, place = FACADE[kind]
    name = f"sample {place}" if kind == "arrays" else pictures[place]
    assert f"of the batch: {name}" in told(ENDS[end](make(tf, pictures)), capsys)


def test_nan_of_a_generator_is_a_row_of_the_batch(capsys):
    batches = ((ARRAYS[start : start + 4], LABELS[start : start + 4]) for start in range(0, 12, 4))
    assert "x holds NaN or infinity in row 1 of the batch" in told(batches, capsys)


def test_nan_of_a_long_text_is_shortened(tf, capsys):
    texts = [f"{number} {'word ' * 99}" for number in range(12)]
    data = tf.data.Dataset.from_tensor_slices((texts, LABELS)).map(lambda text, y: (ARRAYS[int(text.numpy()[:2])], y))
    shown = told(data.batch(3), capsys)
    assert f"of the batch: {texts[9][:200]}…" in shown and len(shown) < 700
