"""Padded pooling against a formula in NumPy (Keras on torch repeats the border in uneven padding), and messages."""

import itertools

import numpy as np
import pytest
import torch

from convia import layers


def pool_same(x, size, stride, reduce):
    """TensorFlow's "same" pooling of (batch, height, width, channels): ⌈W / S⌉ windows, clipped to the image."""
    count = [-(-n // stride) for n in x.shape[1:3]]
    start = [max((c - 1) * stride + size - n, 0) // 2 for c, n in zip(count, x.shape[1:3], strict=True)]
    out = np.zeros((x.shape[0], *count, x.shape[3]))
    for i, j in np.ndindex(*count):
        top, left = i * stride - start[0], j * stride - start[1]
        window = x[:, max(top, 0) : top + size, max(left, 0) : left + size]
        out[:, i, j] = reduce(window, axis=(1, 2))
    return out


@pytest.mark.parametrize("kind", ["Max", "Average"])
@pytest.mark.parametrize(("size", "stride"), itertools.product((1, 2, 3, 4, 5), (1, 2, 3)))
def test_same_padding(kind, size, stride):
    for height, width in ((5, 6), (7, 4), (8, 9)):
        x = np.random.normal(size=(2, height, width, 3))
        expected = pool_same(x, size, stride, np.max if kind == "Max" else np.mean)
        for data_format, order, back in (
            ("channels_last", (0, 1, 2, 3), (0, 1, 2, 3)),
            ("channels_first", (0, 3, 1, 2), (0, 2, 3, 1)),
        ):
            layer = getattr(layers, f"{kind}Pooling2D")(size, stride, "same", data_format, dtype="float64")
            np.testing.assert_allclose(layer(x.transpose(order)).numpy().transpose(back), expected, rtol=1e-12)


def test_one_layer_takes_all_sizes():
    layer = layers.MaxPooling2D(3, 2, "same")
    assert [tuple(layer(torch.zeros(1, n, n + 1, 1)).shape[1:3]) for n in (5, 6, 7)] == [(3, 3), (3, 4), (4, 4)]


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (lambda: layers.MaxPooling2D(3, padding="full"), ["'padding'", "'full'"]),
        (lambda: layers.MaxPooling2D((2, 2, 2)), ["'pool_size'", "2 of them"]),
        (lambda: layers.MaxPooling2D(2, strides=0), ["'strides'", "whole number ≥ 1"]),
        (
            lambda: layers.MaxPooling2D(name="p")(layers.Input((1, 4, 3))),
            ["MaxPooling2D layer 'p'", "(None, 1, 4, 3)", "height ≥ 2", "fewer poolings"],
        ),
        (lambda: layers.GlobalMaxPooling2D()(torch.zeros(2, 4, 3)), ["(2, 4, 3)", "4 dimensions", "x[None]"]),
        (lambda: layers.AdaptiveMaxPooling2D("2")(torch.zeros(2, 4, 4, 3)), ["'output_size'"]),
    ],
)
def test_message(make, parts):
    with pytest.raises(ValueError) as caught:
        make()
    for part in parts:
        assert part in str(caught.value)


def test_built_layers_check_the_rank_too():
    for layer in (layers.MaxPooling2D(data_format="channels_first"), layers.GlobalAveragePooling2D()):
        layer(torch.zeros(2, 4, 4, 4))
        with pytest.raises(ValueError, match="4 dimensions"):
            layer(torch.zeros(2, 4, 4))


def test_masked_average():
    x = torch.randn(2, 4, 3)
    mask = torch.tensor([[True, True, False, False], [True, True, True, True]])
    expected = torch.stack([x[0, :2].mean(0), x[1].mean(0)])
    torch.testing.assert_close(layers.GlobalAveragePooling1D()(x, mask=mask), expected)
    first = layers.GlobalAveragePooling1D("channels_first")(x.permute(0, 2, 1), mask=mask)
    torch.testing.assert_close(first, expected)


@pytest.mark.parametrize(
    ("alias", "name"),
    [("MaxPool2D", "MaxPooling2D"), ("AvgPool1D", "AveragePooling1D"), ("GlobalAvgPool3D", "GlobalAveragePooling3D")],
)
def test_aliases_are_the_same_class(alias, name):
    assert getattr(layers, alias) is getattr(layers, name)
    assert layers.deserialize({"class_name": alias, "config": {"pool_size": 2} if "Global" not in alias else {}})
