"""The native image kernels against the NumPy path, which has SciPy as its oracle."""

import itertools

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from convia import config
from convia.images import kernels, splines, warp
from convia.images.generator import ImageDataGenerator

RNG = np.random.default_rng(0)
native = pytest.mark.skipif(kernels._pixels is None, reason="the native engine was not built")
DRAWN = {
    "theta": RNG.uniform(-180, 180, 6),
    "tx": RNG.uniform(-9, 9, 6),
    "zx": np.array([1, 1, 0.3, 1.5, 1, 0.9]),
    "flip_horizontal": np.array([0, 1, 0, 1, 1, 0.0]),
    "flip_vertical": np.array([0, 0, 1, 1, 0, 1.0]),
}
COLORS = {
    "plain": {},
    "shift": {"channel_shift_intensity": RNG.uniform(-80, 80, 6)},
    "bright": {"brightness": RNG.uniform(0.2, 2, 6)},
    "both": {"channel_shift_intensity": RNG.uniform(-80, 80, 6), "brightness": RNG.uniform(0.2, 2, 6)},
}


def both(images, drawn, **how):
    """The native result and NumPy's."""
    made = []
    for engine in ("auto", "torch"):
        config.set_engine(engine)
        made.append(np.empty(np.shape(images), np.float32))
        warp.change(images, drawn, made[-1], **how)
    config.set_engine("auto")
    return made


def assert_close(mine, theirs):
    assert np.abs(mine - theirs).max() <= 2e-5 * max(np.ptp(theirs), 1)


@native
@pytest.mark.parametrize("order, fill_mode", [*itertools.product((0, 1), splines.FILL_MODES)])
@pytest.mark.parametrize("shape", [(9, 14, 3), (12, 5, 1), (7, 8, 4), (6, 6, 2), (1, 9, 3), (2, 2, 3)])
def test_geometry(order, fill_mode, shape):
    images = RNG.uniform(0, 255, (6, *shape)).astype(np.float32)
    assert_close(*both(images, DRAWN, order=order, fill_mode=fill_mode, cval=7.5, scale=0.5))


@native
@pytest.mark.parametrize("colors", COLORS.values(), ids=COLORS)
@pytest.mark.parametrize("kind", ["uint8", "float32", "beyond"])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("last", [True, False])
def test_colors(colors, kind, channels, last):
    images = RNG.integers(0, 256, (6, 9, 11, channels)).astype("uint8")
    images = images if kind == "uint8" else images.astype(np.float32) * (3 if kind == "beyond" else 1)
    images = images if last else np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    mine, theirs = both(images, DRAWN | colors, fill_mode="reflect", last=last, scale=1 / 255)
    assert_close(mine, theirs)
    again, _ = both([*images], DRAWN | colors, fill_mode="reflect", last=last, scale=1 / 255)
    assert (again == mine).all()


def test_brightness_is_pillows():
    levels = np.arange(256, dtype=np.uint8)
    factors = np.r_[0, 1, 0.5, 1 / 3, RNG.uniform(0, 3, 40)]
    picture = Image.fromarray(levels[None])
    theirs = [np.asarray(ImageEnhance.Brightness(picture).enhance(factor))[0] for factor in factors]
    assert (warp.brightness_tables(factors) == theirs).all()


def test_images_of_other_shapes_are_refused():
    images = [np.zeros((4, 4, 3), np.float32), np.zeros((4, 5, 3), np.float32)]
    with pytest.raises(ValueError, match="the same for all"):
        ImageDataGenerator().apply_transforms(images, [{"theta": 3}, {"theta": 4}])


def test_images_stay_as_they_are():
    images = RNG.integers(0, 256, (6, 8, 8, 3)).astype("uint8")
    before = images.copy()
    both(images, DRAWN | COLORS["both"])
    assert (images == before).all()
