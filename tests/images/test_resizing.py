"""Resizing against torch and, for enlarging, Pillow (which does not smooth when it enlarges)."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from convia.images import resizing
from convia.images.resizing import INTERPOLATIONS, resize, resize_cropped, resize_with_pad, smart_resize

rng = np.random.default_rng(0)
IMAGE = rng.integers(0, 256, (11, 14, 3)).astype("uint8")
SIZES = [(5, 6), (22, 29), (7, 40), (11, 14), (1, 1)]


@pytest.mark.parametrize(("name", "mode"), [("bilinear", "bilinear"), ("nearest", "nearest-exact"), ("area", "area")])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_against_torch(name, mode, size, channels):
    image = rng.integers(0, 256, (12, 15, channels)).astype("uint8")
    if name == "area" and (12 % size[0] or 15 % size[1]):
        size = (4, 5)  # elsewhere torch's areas are whole pixels
    x = torch.tensor(image).permute(2, 0, 1)[None].float()
    expected = F.interpolate(x, size, mode=mode)[0].permute(1, 2, 0)
    result = resize(image, size, name)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, atol=1e-3)


def test_bilinear_by_opencv_is_bilinear_by_weights():
    fast = resize(IMAGE, (7, 31))
    rows, columns = resizing._weights(11, 7, "bilinear"), resizing._weights(14, 31, "bilinear")
    np.testing.assert_allclose(fast, np.einsum("yh,hwc,xw->yxc", rows, IMAGE, columns), atol=1e-3)


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("bicubic", Image.Resampling.BICUBIC),
        ("lanczos3", Image.Resampling.LANCZOS),
        ("bilinear", Image.Resampling.BILINEAR),
    ],
)
def test_enlarging_against_pillow(name, method):
    channel = IMAGE[..., 0].astype("float32")
    expected = np.asarray(Image.fromarray(channel).resize((31, 25), method))
    np.testing.assert_allclose(resize(channel[..., None], (25, 31), name)[..., 0], expected, atol=1e-2)


@pytest.mark.parametrize("name", INTERPOLATIONS)
def test_a_flat_image_stays_flat(name):
    for size in SIZES:
        np.testing.assert_allclose(resize(np.full((11, 14, 2), 9), size, name), 9, rtol=1e-5)


BATCH = np.stack([IMAGE, IMAGE[::-1]])
CHANNELS_FIRST = {"data_format": "channels_first"}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("size", [(4, 4), (10, 3), (3, 10), (30, 20)])
@pytest.mark.parametrize(("images", "options"), [
    (IMAGE.astype("float32"), {}),
    (IMAGE, {}),
    (BATCH, {"interpolation": "bicubic"}),
    (BATCH.astype("float32"), {"interpolation": "nearest"}),
    (np.moveaxis(BATCH, -1, 1).astype("float64"), CHANNELS_FIRST),
    (np.moveaxis(IMAGE, -1, 0), CHANNELS_FIRST),
])  # fmt: skip
def test_smart_resize_equals_keras(images, options, size):
    theirs = keras.preprocessing.image.smart_resize(images, size, **options)
    ours = smart_resize(images, size, **options)
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours, theirs, atol=1e-3)
    tensor = smart_resize(torch.as_tensor(images.copy()), size, **options)
    assert isinstance(tensor, torch.Tensor)
    np.testing.assert_array_equal(tensor.numpy(), ours)


@pytest.mark.parametrize("size", [(4, 4), (10, 3), (3, 10), (30, 20)])
def test_resize_cropped_equals_smart_resize(size):
    np.testing.assert_allclose(resize_cropped(IMAGE, size), smart_resize(IMAGE.astype("float32"), size), atol=1e-3)


@pytest.mark.parametrize(("images", "size"), [(IMAGE[0], (3, 3)), (IMAGE, (3,))])
def test_smart_resize_takes_images_and_two_sizes(images, size):
    with pytest.raises(ValueError, match="an image or a batch"):
        smart_resize(images, size)


def test_resize_with_pad():
    result = resize_with_pad(np.ones((10, 20, 1)), (8, 8))
    expected = np.zeros((8, 8, 1))
    expected[2:6] = 1
    np.testing.assert_array_equal(result, expected)
    assert resize_with_pad(np.ones((20, 10, 3)), (7, 8)).sum(axis=(0, 1)).tolist() == [21, 21, 21]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: resize(IMAGE, (2, 2), "cubic"), "argument 'interpolation': received 'cubic'.*bicubic"),
        (lambda: resize(IMAGE[0], (2, 2)), r"resize: received an image of shape \(14, 3\)"),
    ],
)
def test_messages(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(
    "own, size", [((9, 14), (5, 6)), ((5, 6), (9, 14)), ((1, 1), (3, 2)), ((40, 3), (1, 1))], ids=str
)
def test_bytes_are_resized_as_their_floats(channels, own, size):
    image = np.random.default_rng(0).integers(0, 256, (*own, channels), np.uint8)
    np.testing.assert_allclose(resize(image, size), resize(image.astype(np.float32), size), atol=1e-4)
    turned = image[::-1, ::-1]
    np.testing.assert_array_equal(resize(turned, size), resize(turned.copy(), size))
