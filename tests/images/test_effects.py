"""The augmentations that Keras lacks, against NumPy's formulas; their draws disturb none of Keras's."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import pytest
import scipy.ndimage

from convia.images import effects
from convia.preprocessing.image import ImageDataGenerator

RNG = np.random.default_rng(0)
X = RNG.uniform(20, 230, (15, 18, 3)).astype(np.float32)
BATCH = RNG.uniform(0, 255, (8, 10, 12, 3)).astype(np.float32)
NEW = {
    "contrast_range": 0.5,
    "blur_range": (0.5, 1.5),
    "sharpen_range": 2.0,
    "noise_range": 9.0,
    "stretch_range": 0.4,
    "cutout": 0.5,
}


def gaussian(x, sigma):
    return scipy.ndimage.gaussian_filter(
        x, (sigma, sigma, 0), mode="mirror", radius=(int(np.ceil(3 * sigma)),) * 2 + (0,)
    )


def test_contrast():
    mean = X.mean((0, 1))
    np.testing.assert_allclose(effects.contrast(X, 1.7), (X - mean) * 1.7 + mean, rtol=1e-5)


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("channels", [1, 3])
def test_blur_and_sharpness(sigma, channels):
    x = X[..., :channels]
    np.testing.assert_allclose(effects.blurred(x, sigma), gaussian(x, sigma), atol=2e-3)
    np.testing.assert_allclose(effects.sharpened(x, 1.5), x + 1.5 * (x - gaussian(x, 1.0)), atol=1e-2)
    assert effects.blurred(x, 0) is x


def test_noise():
    big = np.full((200, 200, 3), 100, np.float32)
    noise = effects.noisy(big, 8, 5) - big
    assert abs(noise.std() - 8) < 0.1
    assert abs(noise.mean()) < 0.1
    assert (effects.noisy(big, 8, 5) - big == noise).all()
    assert (effects.noisy(big, 8, 6) - big != noise).any()


@pytest.mark.parametrize("y, x, rows, columns", [(0.5, 0.5, (3, 7), (5, 11)), (0.0, 0.99, (0, 2), (12, 16))])
def test_cutout(y, x, rows, columns):
    image = np.ones((10, 16, 1), np.float32)
    cut = effects.apply(image, {"cutout_y": y, "cutout_x": x}, 0.4, 9.0)
    truth = image.copy()
    truth[slice(*rows), slice(*columns)] = 9
    assert (cut == truth).all()
    assert (image == 1).all()


def test_values_stay_within_bounds():
    assert effects.apply(X, {"contrast": 9.0}).min() == 0
    assert effects.apply(X, {"contrast": 9.0}).max() == 255
    assert effects.apply(X * 4, {"contrast": 9.0}).max() == (X * 4).max()


def test_stretch_keeps_the_area():
    made = ImageDataGenerator(stretch_range=0.5)
    drawn = [made.get_random_transform((8, 8, 3), seed) for seed in range(200)]
    ratios = [given["zx"] / given["zy"] for given in drawn]
    np.testing.assert_allclose([given["zx"] * given["zy"] for given in drawn], 1)
    assert 1 / 1.5 <= min(ratios) < 0.7
    assert 1.4 < max(ratios) <= 1.5


def test_keras_draws_come_first():
    old = {"rotation_range": 20, "zoom_range": 0.2, "brightness_range": (0.5, 1), "width_shift_range": [1, 2]}
    plain = ImageDataGenerator(**old).get_random_transform((8, 8, 3), 4)
    more = ImageDataGenerator(**old, **NEW | {"stretch_range": 0}).get_random_transform((8, 8, 3), 4)
    assert {name: more[name] for name in plain} == plain
    assert {*more} - {*plain} == {*effects.PARAMETERS}


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("name", NEW)
def test_a_batch_has_what_single_images_have(name, data_format):
    x = BATCH if data_format == "channels_last" else BATCH.transpose(0, 3, 1, 2)
    made = ImageDataGenerator(**{name: NEW[name]}, data_format=data_format, rescale=0.5)
    assert made.augments
    batch = made.flow(x, shuffle=False, seed=2, batch_size=8)[0]
    np.random.seed(2)
    single = [made.standardize(made.random_transform(image)) for image in x]
    np.testing.assert_allclose(batch, single, rtol=1e-5, atol=1e-4)
    assert (batch != x * 0.5).any()


@pytest.mark.parametrize("options", [{"mixup_alpha": 0.4}, {"cutmix_alpha": 1.0}])
def test_mixtures(options):
    y = np.eye(8, dtype=np.float32)
    made = ImageDataGenerator(**options)
    x, labels, weights = made.flow(BATCH, y, sample_weight=np.arange(8.0), shuffle=False, seed=3, batch_size=8)[0]
    assert labels.dtype == np.float32
    np.testing.assert_allclose(labels.sum(1), 1, rtol=1e-6)
    np.testing.assert_allclose(weights, labels @ np.arange(8), rtol=1e-5)  # one-hot rows say who was mixed
    if "mixup_alpha" in options:
        np.testing.assert_allclose(x, np.tensordot(labels, BATCH, 1), rtol=1e-4)
    else:
        partners = [
            k if row[k] == 1 else next(j for j in np.flatnonzero(row) if j != k) for k, row in enumerate(labels)
        ]
        own = (x == BATCH).all(-1)
        assert ((x == BATCH[partners]).all(-1) | own).all()
        np.testing.assert_allclose(own.mean((1, 2)), np.diag(labels), atol=1e-6)


def test_mixup_and_cutmix_take_turns():
    np.random.seed(0)
    cuts = [effects.Mixture(1.0, 1.0, 4).cuts for _ in range(200)]
    assert 60 < sum(cuts) < 140


def test_a_missing_partner_leaves_an_image_alone():
    np.random.seed(0)
    mixture = effects.Mixture(1.0, 0.0, 4)
    mixture.partners = np.array([1, 2, 3, 0])
    assert mixture.among(np.array([0, 2, 3])).tolist() == [0, 2, 0]


ERRORS = [
    ({"contrast_range": (2, 1)}, "contrast_range.*least, largest"),
    ({"blur_range": -1}, "blur_range"),
    ({"sharpen_range": (1, 2, 3)}, "sharpen_range.*two numbers"),
    ({"noise_range": -3}, "noise_range.*not below 0"),
    ({"stretch_range": "much"}, "stretch_range"),
    ({"cutout": 1.5}, "cutout.*between 0 and 1"),
    ({"mixup_alpha": -0.1}, "mixup_alpha"),
]


@pytest.mark.parametrize("options, message", ERRORS, ids=[message[:8] for _, message in ERRORS])
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        ImageDataGenerator(**options)


@pytest.mark.parametrize("y", [None, np.arange(8)])
def test_class_numbers_cannot_be_mixed(y):
    with pytest.raises(ValueError, match=r"one-hot labels.*to_categorical"):
        ImageDataGenerator(mixup_alpha=0.2).flow(BATCH, y)


def test_class_modes_that_cannot_be_mixed(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(ValueError, match="class_mode='sparse'"):
        ImageDataGenerator(cutmix_alpha=1.0).flow_from_directory(tmp_path, class_mode="sparse")
