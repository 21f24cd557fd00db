"""Layers that compute again what they do not keep: the same numbers, less memory, and nothing counted twice."""

import numpy as np
import pytest
import torch

import convia
from convia import config, layers
from tests.oracle import assert_close


@pytest.fixture(autouse=True)
def _by_torch():
    config.set_engine("torch")
    yield
    config.set_engine("auto")


def test_remat_computes_again():
    calls = []

    def function(x, factor=1.0):
        calls.append(1)
        return torch.tanh(x * factor) ** 2

    x = torch.randn(4, requires_grad=True)
    again = convia.remat(function)
    expected = torch.autograd.grad(function(x, factor=2.0).sum(), x)
    calls.clear()
    assert_close(torch.autograd.grad(again(x, factor=2.0).sum(), x), expected)
    assert len(calls) == 2 and again.__name__ == "function"


def test_remat_of_a_layer():
    layer = convia.layers.Dense(3, activation="gelu")
    x = torch.randn(2, 4)
    expected = layer(x)
    (convia.remat(layer)(x) - expected).abs().max().backward()
    assert layer.kernel.grad is not None


class Penalized(layers.Layer):
    """Adds a loss, draws and counts calls."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner, self.dropout, self.calls = layers.Dense(6, activation="tanh"), layers.Dropout(0.3, seed=4), 0

    def call(self, inputs, training=None):
        object.__setattr__(self, "calls", self.calls + 1)
        x = self.dropout(self.inner(inputs), training=training)
        self.add_loss(1e-2 * (x**2).sum())
        return x


def network():
    inputs = convia.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, padding="same")(inputs)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.5)(x))
    x = layers.SpatialDropout2D(0.2)(x)
    x = Penalized(name="penalized")(layers.GlobalAveragePooling2D()(x))
    return convia.Model(inputs, layers.Dense(2)(x))


def trained(mode, **options):
    convia.utils.set_random_seed(3)
    with convia.RematScope(mode, **options):
        model = network()
    model.compile(convia.optimizers.SGD(0.1), "mse")
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(12, 8, 8, 3)).astype("float32"), draw.normal(size=(12, 2)).astype("float32")
    history = model.fit(x, y, batch_size=4, epochs=2, verbose=0)
    return model, history.history["loss"], x


@pytest.mark.parametrize("mode", ["full", "activations", "larger_than", "list_of_layers"])
def test_training_is_the_same(mode):
    wanted, losses, x = trained(None)
    model, found, _ = trained(mode, layer_names=["penalized"], output_size_threshold=100)
    np.testing.assert_allclose(found, losses, rtol=1e-6)
    for mine, theirs in zip(model.get_weights(), wanted.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.predict(x, verbose=0), wanted.predict(x, verbose=0), rtol=1e-5, atol=1e-6)
    calls = [each.get_layer("penalized").calls for each in (wanted, model)]
    shapes = int(mode == "larger_than")  # one more call tells how large the output is
    assert calls[1] - calls[0] == (6 if mode in ("full", "list_of_layers") else shapes)


def kept_bytes(mode, **options):
    with convia.RematScope(mode, **options):
        model = convia.Sequential([layers.Input((64,)), *(layers.Dense(64, activation="gelu") for _ in range(6))])
    kept = {}

    def note(tensor):
        kept[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        model(torch.randn(512, 64), training=True)
    own = {weight.data_ptr() for weight in model.weights}
    return sum(size for place, size in kept.items() if place not in own)


def test_less_is_kept():
    assert kept_bytes("full") <= 0.6 * kept_bytes(None)
    assert kept_bytes("larger_than", output_size_threshold=512 * 64 + 1) == kept_bytes(None)
    assert kept_bytes("larger_than", output_size_threshold=512 * 64 - 1) == kept_bytes("full")


def test_scopes_end_and_nest():
    with convia.RematScope("full"), convia.RematScope(None):
        inside = layers.Dense(1)
    assert inside._recomputation is None and layers.Dense(1)._recomputation is None


def test_the_engine_takes_it():
    config.set_engine("auto")
    with convia.RematScope():
        model = convia.Sequential([layers.Input((4,)), layers.Dense(2, name="d")])
    wanted = convia.Sequential([layers.Input((4,)), layers.Dense(2, name="d")])
    assert model.engine == wanted.engine


def test_another_mode_is_an_error():
    with pytest.raises(ValueError, match=r"RematScope: received mode='ful'; expected None or one of .*'full'"):
        convia.RematScope("ful")
