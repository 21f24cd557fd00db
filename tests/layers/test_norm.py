"""Normalization over any axes against NumPy, masks, wrappers against Keras, and messages."""

import keras
import numpy as np
import pytest
import torch
from oracle import assert_close, compare_layer, random_inputs

from convia import layers


@pytest.mark.parametrize("axis", [1, 2, [1, 2], [1, 3], [-1, 1], -2])
def test_layer_normalization_over_any_axes(axis):
    """Keras on torch fails for axes that are not the last ones; the formula is that of the paper."""
    x = np.random.normal(size=(4, 5, 6, 3))
    axes = tuple(sorted(np.arange(4)[axis if isinstance(axis, list) else [axis]]))
    shape = [size if number in axes else 1 for number, size in enumerate(x.shape)]
    gamma, beta = np.random.normal(size=(2, *shape))
    centered = x - x.mean(axes, keepdims=True)
    layer = layers.LayerNormalization(axis, dtype="float64")
    layer.build(x.shape)
    layer.set_weights([gamma.squeeze(), beta.squeeze()])
    assert_close(layer(x), centered / np.sqrt(x.var(axes, keepdims=True) + 1e-3) * gamma + beta, tolerance=1e-12)
    rms = layers.RMSNormalization(axis, dtype="float64")
    rms.build(x.shape)
    rms.set_weights([gamma.squeeze()])
    assert_close(rms(x), x / np.sqrt((x**2).mean(axes, keepdims=True) + 1e-6) * gamma, tolerance=1e-12)


def test_moving_averages():
    """m ← momentum·m + (1 − momentum)·x, of the mean and of the biased variance."""
    layer, x = layers.BatchNormalization(momentum=0.9), np.random.normal(2, 3, (5, 4, 4, 2)).astype("float32")
    mean, variance = np.zeros(2), np.ones(2)
    for _ in range(3):
        layer(x, training=True)
        mean = 0.9 * mean + 0.1 * x.mean((0, 1, 2))
        variance = 0.9 * variance + 0.1 * x.var((0, 1, 2))
    assert_close(layer.moving_mean, mean)
    assert_close(layer.moving_variance, variance)


def test_frozen_layer_infers():
    layer, x = layers.BatchNormalization(), torch.randn(8, 3)
    layer(x)
    layer.trainable = False
    torch.testing.assert_close(layer(x, training=True), layer(x, training=False))
    assert not layer.moving_mean.any()


@pytest.mark.parametrize("options", [{}, {"renorm": True}, {"center": False, "scale": False}])
def test_masked_batch(options):
    x, mask = np.random.normal(size=(4, 6, 3)).astype("float32"), np.random.rand(4, 6) > 0.4
    ours, theirs = layers.BatchNormalization(**options), keras.layers.BatchNormalization(**options)
    a = ours(torch.tensor(x), training=True, mask=torch.tensor(mask))
    b = theirs(torch.tensor(x), training=True, mask=torch.tensor(mask))
    assert_close(a, b)
    assert_close(ours.get_weights(), theirs.get_weights())


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("iterations", [1, 3])
def test_spectral_normalization(training, iterations):
    pairs = [
        (layers.Conv2D(4, 3), keras.layers.Conv2D(4, 3), (2, 5, 6, 3)),
        (layers.Dense(4), keras.layers.Dense(4), (2, 5)),
    ]
    for inner, reference, shape in pairs:
        compare_layer(
            layers.SpectralNormalization(inner, iterations),
            keras.layers.SpectralNormalization(reference, iterations),
            *random_inputs(shape),
            training=training,
        )


def test_spectral_normalization_finds_the_singular_value():
    layer = layers.SpectralNormalization(layers.Dense(4, use_bias=False), power_iterations=50)
    layer(torch.randn(2, 5))
    layer(torch.randn(2, 5), training=True)
    assert torch.linalg.matrix_norm(layer.layer.kernel, 2).item() == pytest.approx(1, abs=1e-3)
    again = layers.deserialize(layers.serialize(layer))
    assert again.power_iterations == 50 and again.layer.units == 4
    layer.kernel.assign(torch.zeros(5, 4))
    assert layer(torch.randn(2, 5), training=True).isfinite().all()


@pytest.mark.parametrize(
    ("make", "error", "parts"),
    [
        (lambda: layers.BatchNormalization(axis=4)(torch.zeros(2, 3)), ValueError, ["(2, 3)", "axis 4"]),
        (lambda: layers.BatchNormalization()(layers.Input((None,))), ValueError, ["known size on axis -1"]),
        (lambda: layers.BatchNormalization(momentum=2), ValueError, ["'momentum'", "from 0 to 1"]),
        (
            lambda: layers.BatchNormalization(renorm=True, renorm_clipping={"max": 1}),
            ValueError,
            ["'renorm_clipping'", "'max'", "'dmax'"],
        ),
        (
            lambda: layers.BatchNormalization(renorm=True, renorm_clipping={"rmin": 2, "rmax": 1}),
            ValueError,
            ["'rmin' ≤ 'rmax'"],
        ),
        (lambda: layers.LayerNormalization(axis="1"), TypeError, ["'axis'", "'1'", "list of axes"]),
        (lambda: layers.LayerNormalization(axis=[1, 5])(torch.zeros(2, 3)), ValueError, ["axis 5"]),
        (lambda: layers.GroupNormalization(0), ValueError, ["'groups'", "−1"]),
        (lambda: layers.GroupNormalization(4)(torch.zeros(2, 6)), ValueError, ["6 channels with groups=4", "multiple"]),
        (
            lambda: layers.SpectralNormalization(layers.Flatten())(torch.zeros(2, 3)),
            ValueError,
            ["SpectralNormalization", "Flatten", "kernel or embeddings"],
        ),
        (lambda: layers.SpectralNormalization(layers.Dense(2), 0), ValueError, ["'power_iterations'", "≥ 1"]),
    ],
)
def test_message(make, error, parts):
    with pytest.raises(error) as caught:
        make()
    for part in parts:
        assert part in str(caught.value)


def test_other_channels_than_before():
    layer = layers.BatchNormalization()
    layer(torch.zeros(2, 3))
    with pytest.raises(ValueError, match="size 3 on axis 1"):
        layer(torch.zeros(2, 4))
