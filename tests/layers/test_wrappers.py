import copy

import keras
import numpy as np
import pytest
import torch
from oracle import GRADIENT_TOLERANCE, against_keras, assert_close
from torch import nn

from convia import layers
from convia.graph import Input
from convia.models import Model, Sequential

MODULES = {
    "linear": (lambda: nn.Linear(4, 3), (2, 4)),
    "normalized": (lambda: nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU()), (5, 4)),
    "convolution": (lambda: nn.Conv2d(3, 2, 3, bias=False), (2, 3, 8, 8)),
    "recurrent": (lambda: nn.LSTM(4, 3, batch_first=True), (2, 5, 4)),
}


@against_keras(("name", "make", "shape"), [("TorchModuleWrapper", *row) for row in MODULES.values()], ids=MODULES)
def test_equals_keras_and_the_module(name, make, shape):
    module = make()
    ours, theirs = layers.TorchModuleWrapper(copy.deepcopy(module)), keras.layers.TorchModuleWrapper(module)
    x = torch.randn(shape)
    for training in (True, False):
        outputs = [layer(x, training=training) for layer in (ours, theirs)]
        firsts = [output[0] if isinstance(output, tuple) else output for output in outputs]
        assert_close(*firsts)
        weights = [[getattr(w, "value", w) for w in layer.trainable_weights] for layer in (ours, theirs)]
        gradients = [
            torch.autograd.grad(y.square().sum(), own, retain_graph=True)
            for y, own in zip(firsts, weights, strict=True)
        ]
        assert_close(*gradients, "gradient", GRADIENT_TOLERANCE)
    assert [tuple(w.shape) for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    assert [w.name for w in ours.weights] == [name for name, _ in module.named_parameters()]
    assert [w.trainable for w in ours.weights] == [w.trainable for w in theirs.weights]
    firsts[0].sum().backward()
    assert all(w.grad is not None for w in ours.trainable_weights)


def test_weights_are_the_modules_own():
    module = nn.Linear(4, 3)
    memory = module.weight.data_ptr()
    layer = layers.TorchModuleWrapper(module)
    assert layer.weights[0] is module.weight
    assert module.weight.data_ptr() == memory
    assert len(list(layer.parameters())) == 2
    layer.trainable = False
    assert not module.weight.requires_grad


def test_a_shared_parameter_stays_one():
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight = first.weight
    layer = layers.TorchModuleWrapper(nn.Sequential(first, second))
    assert len(layer.weights) == 3
    assert first.weight is second.weight


def test_in_a_graph_and_in_training():
    inputs = Input((3, 8, 8))
    x = layers.TorchModuleWrapper(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten()))(inputs)
    assert x.shape == (None, 144)
    model = Model(inputs, layers.Dense(1)(x))
    model.compile("sgd", "mse")
    before = [w.copy() for w in model.get_weights()]
    model.fit(np.random.randn(8, 3, 8, 8).astype("float32"), np.zeros((8, 1), "float32"), verbose=0)
    assert all((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))
    assert layers.TorchModuleWrapper(nn.Linear(8, 2), output_shape=(None, 9))(inputs).shape == (None, 9)


def test_weights_go_to_a_file_with_the_statistics(tmp_path):
    make, shape = MODULES["normalized"]
    x = torch.randn(shape)
    models = [Sequential([Input(shape[1:]), layers.TorchModuleWrapper(make())]) for _ in range(2)]
    models[0](x, training=True)
    models[0].save_weights(tmp_path / "it.weights.h5")
    models[1].load_weights(tmp_path / "it.weights.h5")
    assert_close(models[1](x), models[0](x))
    theirs = keras.Sequential([keras.Input(shape[1:]), keras.layers.TorchModuleWrapper(make(), output_shape=(None, 3))])
    theirs.load_weights(tmp_path / "it.weights.h5")
    assert_close(models[0](x), theirs(x, training=False))


def test_configs_need_the_module_from_the_user():
    layer = layers.TorchModuleWrapper(nn.Linear(4, 3), name="it")
    x = torch.randn(2, 4)
    described = layer.get_config()
    with pytest.raises(ValueError, match=r"'it'.*the module itself.*custom_objects"):
        layers.TorchModuleWrapper.from_config(described)
    assert_close(layers.TorchModuleWrapper.from_config(described, {"it": layer.module})(x), layer(x))


def test_copies_are_independent():
    layer = layers.TorchModuleWrapper(nn.Linear(4, 3))
    twin = copy.deepcopy(layer)
    twin.weights[0].assign(torch.zeros(3, 4))
    assert layer.weights[0].abs().sum() > 0


@pytest.mark.parametrize(("value", "words"), [(len, "a torch.nn.Module"), (nn.LazyLinear(3), "Call it on data once")])
def test_what_is_no_module(value, words):
    with pytest.raises(ValueError, match=words):
        layers.TorchModuleWrapper(value)
