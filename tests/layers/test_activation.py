import keras
import numpy as np
import pytest
import torch
from oracle import against_keras, assert_close, compare_config, compare_layer, compare_symbolic, random_inputs

import convia as k
from convia.layers import activation

CASES = [
    ("ReLU", {}),
    ("ReLU", {"max_value": 0.5, "negative_slope": 0.2, "threshold": 0.1}),
    ("ReLU", {"max_value": 1.0}),
    ("LeakyReLU", {}),
    ("LeakyReLU", {"negative_slope": 0.01}),
    ("PReLU", {}),
    ("PReLU", {"shared_axes": [1, 2], "alpha_initializer": "ones", "alpha_regularizer": "l2"}),
    ("PReLU", {"shared_axes": 1, "alpha_constraint": "non_neg"}),
    ("LeakyReLU", {"negative_slope": 1.5}),
    ("ELU", {}),
    ("ELU", {"alpha": 0.5}),
    ("ELU", {"alpha": 2.0}),
    ("Softmax", {}),
    ("Softmax", {"axis": 1}),
    ("Softmax", {"axis": [1, 2]}),
]


@against_keras(("name", "arguments"), CASES)
def test_equals_keras(name, arguments):
    ours, theirs = (getattr(module, name)(**arguments, name="it") for module in (activation, keras.layers))
    compare_config(ours, theirs)
    for training in (False, True):
        compare_layer(ours, theirs, *random_inputs((2, 4, 5, 3)), training=training)
    compare_symbolic(ours, theirs, (None, 4, 5, 3))


def test_gradient_of_prelu_at_zero_is_zero():
    layer = activation.PReLU(alpha_initializer="ones")
    x = torch.zeros(2, 3, requires_grad=True)
    layer(x).sum().backward()
    assert torch.equal(x.grad, torch.zeros(2, 3))


def test_prelu_checks_the_channels():
    layer = activation.PReLU(shared_axes=[1, 2])
    layer(torch.zeros(1, 4, 4, 3))
    layer(torch.zeros(1, 6, 6, 3))
    with pytest.raises(ValueError, match="size 3 on axis 3"):
        layer(torch.zeros(1, 4, 4, 5))


@pytest.mark.parametrize("axis", [-1, [1, 2]])
@pytest.mark.parametrize("kind", ["bool", "float32"])
def test_masked_softmax(axis, kind):
    x = np.random.normal(size=(2, 4, 3)).astype("float32")
    mask = (np.random.rand(4, 3) > 0.4).astype(kind)
    ours = activation.Softmax(axis)(x, mask=mask)
    assert_close(ours, keras.layers.Softmax(axis)(torch.tensor(x), mask=torch.tensor(mask)))


def test_a_mask_must_fit():
    with pytest.raises(ValueError, match=r"mask of shape \(5,\).*\(2, 3\)"):
        activation.Softmax()(torch.zeros(2, 3), mask=torch.ones(5))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("ReLU", {"max_value": -1}), ("ReLU", {"threshold": None}), ("LeakyReLU", {"negative_slope": -0.1})],
)
def test_negative_arguments(name, arguments):
    with pytest.raises(ValueError, match=f"{name}, argument '{next(iter(arguments))}'.*a number ≥ 0"):
        getattr(activation, name)(**arguments)


def test_shapes_of_user_functions_are_tried_out():
    x = k.Input((4, 6))
    assert k.layers.Activation("relu")(x).shape == (None, 4, 6)
    assert k.layers.Activation("glu")(x).shape == (None, 4, 3)
    assert k.layers.Activation(lambda x: x[:, :2])(x).shape == (None, 2, 6)
    assert k.layers.ReLU()(k.Input((4,), dtype="int32")).dtype == "int32"
