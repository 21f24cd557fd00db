"""``convia convert --int8``: a model with ranges, what it knows before and after, and what is refused."""

import re

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import convia as keras
from convia import engine
from convia.cli.app import app
from convia.datasets import digits

pytestmark = pytest.mark.skipif(
    not hasattr(engine.native(), "byte_kernels"), reason="an engine without kernels on bytes"
)
NAMES = ("one", "two", "three")


def convert(*words):
    return CliRunner().invoke(app, ["convert", *map(str, words)])


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with images of three digits, and a model that knows them."""
    root = tmp_path_factory.mktemp("digits")
    (x, y), (test_x, test_y) = digits.load_data()
    for part, images, labels in (("train", x, y), ("test", test_x, test_y)):
        for number, name in enumerate(NAMES, 1):
            folder = root / "photos" / part / name
            folder.mkdir(parents=True)
            for i, pixels in enumerate(images[labels == number][:40]):
                Image.fromarray((pixels * 15).astype("uint8")).save(folder / f"{i}.png")
    known = (y > 0) & (y < 4)
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(16, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x[known][..., None] / np.float32(17), y[known] - 1, epochs=8, verbose=0)
    model.class_names = NAMES
    model.preprocessing = {"rescale": 1 / 255, "color_mode": "grayscale"}
    model.save(root / "model.keras")
    return root


def test_the_drop_is_printed_and_the_file_computes_in_8_bits(place):
    result = convert(place / "model.keras", place / "quick.keras", "--int8", place / "photos")
    assert result.exit_code == 0, result.output
    before, after, drop = (
        float(re.search(pattern, result.output)[1])
        for pattern in (r"float32: accuracy ([\d.]+)%", r"int8: +accuracy ([\d.]+)%", r"drop (-?[\d.]+) points")
    )
    assert before > 90 and abs(drop) <= 2 and drop == pytest.approx(before - after, abs=0.011)
    assert "(ranges of 120 images)" in result.output and "native (int8" in result.output
    assert keras.models.load_model(place / "quick.keras").engine.startswith("native (int8")
    one = CliRunner().invoke(app, ["predict", str(place / "quick.keras"), str(place / "photos/test/two/0.png")])
    assert one.exit_code == 0 and "two" in one.output


def test_other_formats_and_folders_are_refused(place):
    result = convert(place / "model.keras", place / "quick.onnx", "--int8", place / "photos")
    assert result.exit_code == 1 and "a name that ends in .keras or .h5" in result.output
    result = convert(place / "model.keras", place / "other.keras", "--int8", place / "nowhere")
    assert result.exit_code == 1 and "FOLDER" in result.output
    assert not (place / "other.keras").exists()
