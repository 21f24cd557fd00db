import keras
import numpy as np
import pytest
import torch

from convia import pixels
from tests.oracle import assert_close

IMAGES = torch.from_numpy(np.random.default_rng(0).uniform(0, 255, (2, 3, 8, 11)).astype("float32"))


@pytest.mark.parametrize("fill_mode", pixels.FILL_MODES)
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_sample_equals_map_coordinates_far_outside_too(fill_mode, interpolation):
    x, y = torch.rand(2, 2, 5, 6) * 40 - 15
    ours = pixels.sample(IMAGES, x, y, interpolation, fill_mode, 7.0)
    order = ["nearest", "bilinear"].index(interpolation)
    for image, values, u, v in zip(IMAGES, ours, x, y, strict=True):
        for channel, found in zip(image, values, strict=True):
            assert_close(found, keras.ops.image.map_coordinates(channel, [v, u], order, fill_mode, 7.0), tolerance=1e-4)


def test_whole_numbers_stay_whole():
    masks = (IMAGES > 128).to(torch.uint8)
    x, y = torch.rand(2, 2, 5, 6) * 7
    assert set(pixels.sample(masks, x, y).unique().tolist()) <= {0, 1}
    assert pixels.sample(masks, x, y).dtype == torch.uint8
    assert pixels.sample(IMAGES.bfloat16(), x, y).dtype == torch.bfloat16


def test_warp_equals_affine_and_perspective_transforms():
    matrices = torch.tensor([[1.1, 0.2, -3.0, -0.1, 0.9, 1.0, 0.0, 0.0], [1.0, 0.0, 2.5, 0.3, 1.0, 0.0, 0.0, 0.0]])
    expected = keras.ops.image.affine_transform(
        IMAGES, matrices.clone(), fill_mode="constant", fill_value=3.0, data_format="channels_first"
    )
    for given in (matrices, matrices[:, :6]):
        assert_close(pixels.warp(IMAGES, given, fill_value=3.0), expected, tolerance=1e-4)
    start = torch.tensor([[0.0, 0.0], [10, 0], [0, 7], [10, 7]]).expand(2, 4, 2)
    end = start + torch.rand(2, 4, 2) * 2
    expected = keras.ops.image.perspective_transform(IMAGES, start, end, data_format="channels_first")
    assert_close(pixels.warp(IMAGES, pixels.homography(end, start)), expected, tolerance=1e-3)


@pytest.mark.parametrize("sigma", [(0.5, 0.5), (2.0, 0.7)])
def test_gaussian_blur(sigma):
    expected = keras.ops.image.gaussian_blur(IMAGES, (5, 5), torch.tensor(sigma), data_format="channels_first")
    assert_close(pixels.gaussian_blur(IMAGES, (5, 5), sigma), expected)
    assert pixels.gaussian_blur(IMAGES, (5, 3), sigma).shape == IMAGES.shape


def test_colors():
    gray = IMAGES[:, :1].expand_as(IMAGES)
    for images in (IMAGES / 255, gray / 255, torch.zeros_like(IMAGES)):
        hsv = pixels.rgb_to_hsv(images)
        assert_close(hsv, keras.ops.image.rgb_to_hsv(images, data_format="channels_first"))
        assert_close(pixels.hsv_to_rgb(hsv), images)
    luma = keras.ops.image.rgb_to_grayscale(IMAGES, data_format="channels_first")
    assert_close(pixels.grayscale(IMAGES), luma)
    assert pixels.grayscale(luma) is luma


def test_rescale():
    assert pixels.rescale(IMAGES, (0, 255), (0, 255)) is IMAGES
    assert_close(pixels.rescale(IMAGES, (0, 255), (-1, 1)), IMAGES / 127.5 - 1)


def test_equalize_flattens_the_histogram():
    dark = (IMAGES / 255) ** 1.5 * 255
    flat = pixels.equalize(dark).flatten().sort().values
    assert_close(flat, torch.linspace(0, 255, len(flat)), tolerance=0.05)
    assert torch.equal(pixels.equalize(torch.full((1, 1, 4, 4), 9.0)), torch.full((1, 1, 4, 4), 9.0))


def test_box_mask():
    one = torch.ones(2)
    mask = pixels.box_mask(IMAGES, 2 * one, 5 * one, 1 * one, 3 * one)
    assert mask.shape == (2, 1, 8, 11)
    assert mask[0, 0, 1:3, 2:5].all()
    assert mask.sum() == 2 * 6


def test_elastic_fields_equal_keras_s():
    from convia.layers import RandomElasticTransform

    torch.manual_seed(4)
    noise = torch.stack([torch.normal(0.0, 1.0, (2, 8, 11)) for _ in range(2)], 1)
    sigma, alpha = 0.5 * 0.05 * 8, 0.5 * 0.1 * 11
    size = int(6 * sigma) | 1
    shifts = alpha * pixels.gaussian_blur(noise * sigma, (size, size), (sigma, sigma))
    ours = RandomElasticTransform().transform(IMAGES, (torch.ones(2, dtype=torch.bool), shifts))
    torch.manual_seed(4)
    theirs = keras.ops.image.elastic_transform(IMAGES, alpha, sigma, data_format="channels_first")
    assert_close(ours, theirs, tolerance=1e-4)


def test_an_unknown_interpolation():
    with pytest.raises(ValueError, match=r"argument 'interpolation'.*'area'.*bicubic"):
        pixels.resize(IMAGES, (3, 3), "area")
