"""Photographs are decoded to Pillow's pixels, whichever library does it; the unusual goes Pillow's way."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from convia.images import decode as module
from convia.images.decode import decode
from convia.images.files import load_img


def picture(mode="RGB", size=(61, 47)):
    smooth = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(smooth).resize(size, Image.Resampling.BICUBIC).convert(mode)


def saved(tmp_path, img, **options):
    path = tmp_path / "picture.jpg"
    img.save(path, **options)
    return str(path)


def by_pillow(path, **how):
    return np.asarray(load_img(path, **how))


ORDINARY = [
    {"subsampling": sampling, "quality": quality, "progressive": progressive}
    for sampling in (0, 1, 2)
    for quality in (30, 90)
    for progressive in (False, True)
]


@pytest.mark.parametrize("options", ORDINARY, ids=str)
def test_photographs_have_pillows_pixels(tmp_path, options, monkeypatch):
    path = saved(tmp_path, picture(), **options)
    expected = by_pillow(path, target_size=(20, 30), interpolation="bilinear")
    monkeypatch.setattr(module, "load_img", None)  # OpenCV must have done it
    np.testing.assert_array_equal(np.asarray(decode(path, "rgb", (20, 30), "bilinear", False)), expected)


@pytest.mark.parametrize("size", [(20, 30), (224, 100), (7, 61), (47, 61), (333, 7)])
@pytest.mark.parametrize("keep", [False, True])
def test_the_nearest_pixels_are_pillows(tmp_path, size, keep):
    path = saved(tmp_path, picture(size=(91, 77)))
    expected = by_pillow(path, target_size=size, keep_aspect_ratio=keep)
    np.testing.assert_array_equal(np.asarray(decode(path, "rgb", size, "nearest", keep)), expected)


@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 50))
def test_places_of_the_nearest_pixels(length, count, first):
    row = Image.fromarray(np.arange(350, dtype=np.int32)[None])
    picked = np.asarray(row.resize((count, 1), Image.Resampling.NEAREST, box=(first, 0, first + length, 1)))
    places = module._picked((first, 0, first + length, 1), (1, count))
    np.testing.assert_array_equal(places[0, :, 0], picked[0])


def test_rotation_notes_are_ignored_as_by_keras(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(tmp_path, picture(), exif=exif)
    np.testing.assert_array_equal(np.asarray(decode(path, "rgb", None, "nearest", False)), by_pillow(path))


@pytest.mark.parametrize("mode", ["grayscale", "rgb", "rgba"])
@pytest.mark.parametrize("kind", ["L", "CMYK", "RGB"])
def test_other_colours(tmp_path, kind, mode):
    path = saved(tmp_path, picture(kind))
    mine = np.asarray(decode(path, mode, (10, 12), "nearest", True))
    np.testing.assert_array_equal(mine, by_pillow(path, color_mode=mode, target_size=(10, 12), keep_aspect_ratio=True))


def test_a_truncated_photograph_is_refused(tmp_path):
    path = saved(tmp_path, picture(size=(400, 300)), quality=95)
    content = Path(path).read_bytes()
    Path(path).write_bytes(content[: len(content) // 2])
    with pytest.raises(OSError, match=r"picture\.jpg: received an image that cannot be read"):
        decode(path, "rgb", (10, 10), "nearest", False)


def test_a_huge_photograph_is_left_to_pillows_limit(tmp_path, monkeypatch):
    path = saved(tmp_path, picture())
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(Image.DecompressionBombError, match=r"picture\.jpg"):
        decode(path, "rgb", (10, 10), "nearest", False)


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xd8",
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8\xff\xc0\x00\x0b\x08\x00\x05\x00\x05\x03\xff\xd9",
        b"\xff\xd8" + b"x" * 99,
    ],
    ids=["start", "empty", "frame only", "noise"],
)
def test_scraps_are_no_photographs(tmp_path, content):
    path = tmp_path / "scrap.jpg"
    path.write_bytes(content)
    with pytest.raises(OSError, match=r"scrap\.jpg"):
        decode(str(path), "rgb", (10, 10), "nearest", False)


def test_pillows_and_opencvs_decoders_are_asked_the_same(tmp_path):
    buffer = io.BytesIO()
    picture().save(buffer, "JPEG")
    assert module._size_of_jpeg(buffer.getvalue()) == (47, 61)
