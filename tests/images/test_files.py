"""Image files against Keras."""

import io
import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import pytest
import torch
from PIL import Image, UnidentifiedImageError

from convia.images import files

rng = np.random.default_rng(0)
MODES = ["RGB", "RGBA", "L", "P", "1", "CMYK", "I;16", "LA"]


def write(path, mode="RGB", size=(13, 9)):
    if mode == "I;16":
        image = Image.fromarray(rng.integers(0, 60000, size[::-1]).astype("uint16"))
    else:
        image = Image.fromarray(rng.integers(0, 256, (*size[::-1], 3)).astype("uint8")).convert(mode)
    image.save(path)
    return path


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("color_mode", ["rgb", "rgba", "grayscale"])
def test_load_img_equals_keras(tmp_path, mode, color_mode):
    path = write(tmp_path / ("x.tif" if mode == "CMYK" else "x.png"), mode)
    ours, theirs = files.load_img(path, color_mode), keras.utils.load_img(path, color_mode)
    assert ours.mode == theirs.mode
    np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "hamming", "box", "lanczos"])
@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("size", [(5, 20), (20, 5), (9, 13), (3, 3)])
def test_resizing_equals_keras(tmp_path, interpolation, keep, size):
    path = write(tmp_path / "x.png")
    arguments = {"target_size": size, "interpolation": interpolation, "keep_aspect_ratio": keep}
    ours, theirs = files.load_img(path, **arguments), keras.utils.load_img(path, **arguments)
    np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))


def test_kinds_of_path(tmp_path):
    path = write(tmp_path / "x.png")
    for given in (path, str(path), os.fsencode(path), io.BytesIO(path.read_bytes()), Image.open(path)):
        assert files.load_img(given).size == (13, 9)


@pytest.mark.parametrize("data_format", [None, "channels_last", "channels_first"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("dtype", [None, "uint8", "float64"])
def test_img_to_array_equals_keras(data_format, mode, dtype):
    image = Image.fromarray(rng.integers(0, 256, (4, 5, 3)).astype("uint8")).convert(mode)
    ours = files.img_to_array(image, data_format, dtype)
    theirs = keras.utils.img_to_array(image, data_format, dtype)
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("top", [1, 255, 70000])
def test_array_to_img_equals_keras(channels, scale, data_format, top):
    x = rng.random((6, 7, channels)) * top
    if top > 255 and channels > 1 and not scale:
        pytest.skip("what lies beyond uint8 is undefined")
    x = x.transpose(2, 0, 1) if data_format == "channels_first" else x
    theirs = keras.utils.array_to_img(x, data_format, scale)
    for given in (x, torch.tensor(x, requires_grad=True), x.tolist()):
        ours = files.array_to_img(given, data_format, scale)
        assert ours.mode == theirs.mode
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))


def test_a_flat_image_is_black():
    assert not np.asarray(files.array_to_img(np.full((2, 2, 3), 7))).any()


@pytest.mark.parametrize(("name", "kind"), [("x.png", "PNG"), ("x.JPG", "JPEG"), ("x.bmp", "BMP")])
def test_save_img(tmp_path, name, kind):
    x = rng.integers(0, 256, (4, 5, 3)).astype(float)
    files.save_img(tmp_path / name, x, scale=False)
    with Image.open(tmp_path / name) as image:
        assert image.format == kind
    if kind != "JPEG":
        np.testing.assert_array_equal(files.img_to_array(files.load_img(tmp_path / name)), x)


def test_save_img_to_a_file_object_and_with_transparency(tmp_path):
    x = rng.random((4, 5, 4))
    target = io.BytesIO()
    files.save_img(target, x, file_format="png")
    assert Image.open(target).mode == "RGBA"
    with pytest.warns(UserWarning, match="transparency is dropped"):
        files.save_img(tmp_path / "x.jpg", x)


def test_damaged_files_are_named(tmp_path):
    cases = {"text.png": b"hello", "empty.png": b""}
    whole = write(tmp_path / "whole.jpg", size=(200, 200)).read_bytes()
    cases["cut.jpg"] = whole[: len(whole) // 2]
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
    for name, kind, message in (
        ("text.png", UnidentifiedImageError, "received no image"),
        ("empty.png", UnidentifiedImageError, "received an empty file"),
        ("cut.jpg", OSError, "cannot be read.*damaged or incomplete"),
        ("absent.png", FileNotFoundError, "absent.png"),
    ):
        with pytest.raises(kind, match=rf"{name}.*{message}|{message}"):
            files.load_img(tmp_path / name)


def test_a_huge_image(tmp_path, monkeypatch):
    path = write(tmp_path / "huge.png", size=(20, 20))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(Image.DecompressionBombError, match=r"huge\.png: received a huge image.*MAX_IMAGE_PIXELS"):
        files.load_img(path)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda path: files.load_img(path, "rbg"), ValueError, "argument 'color_mode': received 'rbg'.*mean 'rgb'"),
        (lambda path: files.load_img(path, target_size=(2, 2), interpolation="cubic"), ValueError, "'cubic'"),
        (lambda path: files.load_img(3), TypeError, "argument 'path': received int"),
        (lambda path: files.img_to_array(np.zeros(3)), ValueError, r"shape \(3,\)"),
        (lambda path: files.array_to_img(np.zeros((1, 2, 2, 3))), ValueError, r"expected one image.*batch\[0\]"),
        (lambda path: files.array_to_img(np.zeros((3, 2, 2))), ValueError, "2 channels.*the other data_format"),
        (lambda path: files.save_img(path, np.zeros((2, 2, 3)), file_format="xyz"), ValueError, "received 'xyz'"),
    ],
)  # fmt: skip
def test_messages(tmp_path, call, kind, message):
    with pytest.raises(kind, match=message):
        call(write(tmp_path / "x.png"))
