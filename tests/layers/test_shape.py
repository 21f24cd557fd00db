"""Messages of layers that change shapes, and what Keras does not show."""

import pytest
import torch

from convia import layers


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (lambda: layers.Reshape((-1, -1)), ["'target_shape'", "(-1, -1)", "at most one"]),
        (lambda: layers.Reshape((-2, 3)), ["'target_shape'", "(-2, 3)"]),
        (lambda: layers.Reshape((5,), name="r")(layers.Input((4, 3))), ["Reshape layer 'r'", "(None, 4, 3)", "not 12"]),
        (lambda: layers.Reshape((-1, 5))(layers.Input((4, 3))), ["(-1, 5)", "not 12"]),
        (lambda: layers.Permute((0, 1)), ["'dims'", "(0, 1)", "from 1 on"]),
        (lambda: layers.Permute((2, 1))(layers.Input((3,))), ["(None, 3)", "3 dimensions"]),
        (lambda: layers.RepeatVector(0), ["'n'", "whole number ≥ 1"]),
        (lambda: layers.RepeatVector(2)(layers.Input((3, 4))), ["2 dimensions"]),
        (lambda: layers.ZeroPadding2D((1, 2, 3)), ["'padding'", "(1, 2, 3)", "2 of them or of pairs"]),
        (lambda: layers.ZeroPadding2D(-1), ["'padding'", "whole number ≥ 0"]),
        (lambda: layers.ZeroPadding1D("1"), ["'padding'", "whole number ≥ 0"]),
        (lambda: layers.Cropping2D(2)(layers.Input((4, 9, 3))), ["height ≥ 5", "(None, 4, 9, 3)", "Crop less"]),
        (lambda: layers.Cropping1D((3, 3))(torch.zeros(2, 6, 3)), ["steps ≥ 7", "Crop less"]),
        (lambda: layers.UpSampling2D(interpolation="lanczos3"), ["'interpolation'", "'lanczos3'", "bicubic"]),
        (lambda: layers.UpSampling2D((2, 2, 2)), ["'size'", "2 of them"]),
    ],
)
def test_message(make, parts):
    with pytest.raises(ValueError) as caught:
        make()
    for part in parts:
        assert part in str(caught.value)


def test_cropping_everything_of_a_later_smaller_input():
    layer = layers.Cropping2D(2)
    assert layer(torch.zeros(2, 9, 9, 1)).shape == (2, 5, 5, 1)
    assert layer(torch.zeros(0, 9, 9, 1)).shape == (0, 5, 5, 1)
    with pytest.raises(ValueError, match="height ≥ 5 and width ≥ 5"):
        layer(torch.zeros(2, 4, 9, 1))


def test_wrong_sizes_of_data_name_the_layer():
    layer = layers.Reshape((5,), name="r")
    with pytest.raises(RuntimeError, match=r"Reshape layer 'r'.*\(2, 4, 3\)"):
        layer(torch.zeros(2, 4, 3))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool])
def test_types_other_than_floats_pass(dtype):
    x = torch.ones(1, 2, 2, 1, dtype=dtype)
    for layer in (layers.Flatten(), layers.UpSampling2D(), layers.Cropping2D(0), layers.Permute((3, 1, 2))):
        assert layer(x).dtype is dtype


def test_flatten_of_both_formats_agrees():
    x = torch.randn(2, 3, 4, 5)
    first = layers.Flatten("channels_first")(x.permute(0, 3, 1, 2))
    torch.testing.assert_close(first, layers.Flatten("channels_last")(x))
