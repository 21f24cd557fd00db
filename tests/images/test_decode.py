"""Photographs are decoded to Pillow's pixels, whichever library does it; the unusual goes Pillow's way."""

import functools
import io
import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from convia.images import decode as module
from convia.images import kernels
from convia.images.decode import decode, decode_bilinear
from convia.images.files import UNREADABLE, load_img
from convia.images.resizing import resize

native = pytest.mark.skipif(kernels._pixels is None, reason="the native engine was not built")


def picture(mode="RGB", size=(61, 47)):
    smooth = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(smooth).resize(size, Image.Resampling.BICUBIC).convert(mode)


def noise(size):
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), np.uint8))


@functools.cache
def contents():
    """Some small photographs."""
    made = []
    for sampling, options in itertools.product((0, 1, 2), ({}, {"restart_marker_blocks": 2})):
        buffer = io.BytesIO()
        picture(size=(45, 37)).save(buffer, "JPEG", subsampling=sampling, **options)
        made.append(buffer.getvalue())
    return made


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


KINDS = {  # of photographs whose nearest pixels the kernels take
    "4:4:4": {"subsampling": 0, "quality": 95},
    "4:2:2": {"subsampling": 1, "quality": 60},
    "4:2:0": {"subsampling": 2, "quality": 85},
    "coarse": {"subsampling": 2, "quality": 4},
    "fine": {"subsampling": 0, "quality": 100},
    "restarts": {"subsampling": 2, "quality": 80, "restart_marker_blocks": 3},
    "own codes": {"subsampling": 1, "quality": 70, "optimize": True},
    "comment": {"quality": 70, "comment": b"x" * 999, "exif": b"Exif\0\0" + b"y" * 99},
}


@native
@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("size", [(8, 8), (13, 7), (130, 33), (301, 222)])
def test_kernels_pick_pillows_pixels(tmp_path, options, size, monkeypatch):
    monkeypatch.setattr(module, "_photograph", None)
    for name, img in (("smooth", picture(size=size)), ("noise", noise(size))):
        path = saved(tmp_path, img, **options)
        for target in (size[::-1], (5, 9), (40, 300)):
            expected = by_pillow(path, target_size=target)
            np.testing.assert_array_equal(decode(path, "rgb", target, "nearest", False), expected, name)


@native
@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("size", [(8, 8), (130, 33), (301, 222)])
def test_kernels_shrink_as_decoding_and_resizing_would(tmp_path, options, size, monkeypatch):
    path = saved(tmp_path, noise(size), **options)
    expected = {target: resize(by_pillow(path), target) for target in ((size[1], 9), (5, 9), (40, 300), (400, 500))}
    monkeypatch.setattr(module, "decode", None)
    for target, pixels in expected.items():
        np.testing.assert_array_equal(decode_bilinear(path, target), pixels)


def test_what_is_not_shrunk_is_decoded_and_resized(tmp_path):
    for options in ({"progressive": True}, {"subsampling": "4:1:1"}, {}):
        path = saved(tmp_path, picture(), **options)
        size = (47, 61) if not options else (10, 12)
        np.testing.assert_array_equal(decode_bilinear(path, size), resize(by_pillow(path), size))
    content = Path(path).read_bytes()
    Path(path).write_bytes(content[: len(content) // 2])
    with pytest.raises(OSError, match=r"picture\.jpg: received an image that cannot be read"):
        decode_bilinear(path, (10, 12))


def test_odd_photographs_are_left_to_others(tmp_path):
    for options in ({"progressive": True}, {"subsampling": "4:1:1"}, {"quality": 0, "size": (2, 2)}):
        path = saved(tmp_path, picture(size=options.pop("size", (61, 47))), **options)
        mine = np.asarray(decode(path, "rgb", (10, 12), "nearest", False))
        np.testing.assert_array_equal(mine, by_pillow(path, target_size=(10, 12)))


@native
@given(st.data())
@settings(max_examples=300, deadline=None)
def test_of_damaged_photographs_kernels_pick_pillows_pixels_or_none(data):
    content = bytearray(data.draw(st.sampled_from(contents())))
    changes = st.lists(st.tuples(st.integers(2, len(content) - 1), st.integers(0, 255)), max_size=3)
    for place, value in data.draw(changes):
        content[place] = value
    content = bytes(content[: data.draw(st.sampled_from([None, 20, 300, 700, -2, -30]))])
    try:
        expected = np.asarray(load_img(io.BytesIO(content)))
    except UNREADABLE:
        expected = np.empty((40, 40, 3), np.uint8)
        is_whole = False
    else:
        is_whole = True
    if expected.size > 10**6:
        return
    rows, columns = (np.arange(0, n, 2) for n in expected.shape[:2])
    picked = np.empty((len(rows), len(columns), 3), np.uint8)
    if kernels._pixels.pick(content, rows, columns, picked):
        assert is_whole
        np.testing.assert_array_equal(picked, expected[rows][:, columns])


@native
@pytest.mark.parametrize("rows, columns", [([5, 4], [0]), ([-1], [0]), ([47], [0]), ([0], [61]), ([0], [-1])], ids=str)
def test_kernels_pick_within_a_photograph_only(rows, columns):
    buffer = io.BytesIO()
    picture().save(buffer, "JPEG")
    out = np.empty((len(rows), len(columns), 3), np.uint8)
    assert not kernels._pixels.pick(buffer.getvalue(), np.array(rows), np.array(columns), out)


@native
@pytest.mark.parametrize("isa", ["portable", "avx2", "avx512"])
def test_all_instruction_sets_pick_the_same(isa, tmp_path):
    path = saved(tmp_path, noise((131, 77)), quality=60)
    program = f"""if True:
        import importlib.util, sys, numpy as np
        spec = importlib.util.spec_from_file_location("_pixels", {kernels._pixels.__file__!r})
        pixels = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(pixels)
        out = np.empty((77, 131, 3), np.uint8)
        content = open({path!r}, "rb").read()
        assert pixels.pick(content, np.arange(77), np.arange(131), out)
        sys.stdout.buffer.write(out.tobytes())"""
    environment = os.environ | {"CONVIA_ISA": isa}  # where a machine lacks it, its best
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, env=environment).stdout
    assert out == by_pillow(path).tobytes()


@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 50))
def test_places_of_the_nearest_pixels(length, count, first):
    row = Image.fromarray(np.arange(350, dtype=np.int32)[None])
    picked = np.asarray(row.resize((count, 1), Image.Resampling.NEAREST, box=(first, 0, first + length, 1)))
    _, columns = module._picked((first, 0, first + length, 1), (1, count))
    np.testing.assert_array_equal(columns, picked[0])


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
