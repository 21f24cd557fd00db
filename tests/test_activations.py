"""Values and gradients against Keras on torch; sparsemax against its definition."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import pytest
import torch

from convia import activations, registry

CALLS = [
    ("celu", {}),
    ("celu", {"alpha": 0.5}),
    ("elu", {}),
    ("elu", {"alpha": 0.3}),
    ("exponential", {}),
    ("gelu", {}),
    ("gelu", {"approximate": True}),
    ("glu", {}),
    ("glu", {"axis": 0}),
    ("hard_shrink", {}),
    ("hard_shrink", {"threshold": 1.0}),
    ("hard_sigmoid", {}),
    ("hard_silu", {}),
    ("hard_tanh", {}),
    ("leaky_relu", {}),
    ("leaky_relu", {"negative_slope": 0.01}),
    ("linear", {}),
    ("log_sigmoid", {}),
    ("log_softmax", {}),
    ("log_softmax", {"axis": 0}),
    ("log_softmax", {"axis": (0, 1)}),
    ("log_softmax", {"axis": None}),
    ("mish", {}),
    ("relu", {}),
    ("relu", {"negative_slope": 0.1}),
    ("relu", {"max_value": 6}),
    ("relu", {"max_value": 1.5}),
    ("relu", {"threshold": 0.7}),
    ("relu", {"threshold": -0.7}),
    ("relu", {"negative_slope": 0.2, "max_value": 2.0}),
    ("relu", {"negative_slope": 0.2, "threshold": 1.0}),
    ("relu", {"negative_slope": 0.2, "max_value": 6, "threshold": 0.5}),
    ("relu6", {}),
    ("selu", {}),
    ("sigmoid", {}),
    ("silu", {}),
    ("soft_shrink", {}),
    ("soft_shrink", {"threshold": 1.0}),
    ("softmax", {}),
    ("softmax", {"axis": 1}),
    ("softmax", {"axis": (0, 2)}),
    ("softmax", {"axis": None}),
    ("softplus", {}),
    ("softsign", {}),
    ("sparse_plus", {}),
    ("sparse_sigmoid", {}),
    ("squareplus", {}),
    ("squareplus", {"b": 1}),
    ("tanh", {}),
    ("tanh_shrink", {}),
    ("threshold", {"threshold": 0.5, "default_value": -2.0}),
]
IDS = [name + "".join(f"-{key}={value}" for key, value in options.items()) for name, options in CALLS]


def inputs(extremes: bool) -> torch.Tensor:
    x = torch.randn(4, 3, 6, generator=torch.Generator().manual_seed(1)) * 3
    if extremes:
        x[..., 0] = torch.tensor([-1e4, -88.0, -20.0, 0.0])[:, None]
        x[..., 1] = torch.tensor([1e4, 88.0, 20.0, 1e-8])[:, None]
    return x


@pytest.mark.parametrize("extremes", [False, True], ids=["ordinary", "extreme"])
@pytest.mark.parametrize(("name", "options"), CALLS, ids=IDS)
def test_values_and_gradients_equal_keras(name: str, options: dict, extremes: bool) -> None:
    results = []
    for module in (activations, keras.activations):
        x = inputs(extremes).requires_grad_()
        y = getattr(module, name)(x, **options)
        torch.where(y.isfinite(), y, 0).square().mean().backward()
        results.append((y.detach(), x.grad))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("x", [np.array([-1.0, 2.0], np.float32), [-1.0, 2.0]], ids=["array", "list"])
@pytest.mark.parametrize("name", ["relu", "softmax", "sparsemax", "silu", "squareplus"])
def test_arrays_and_lists_become_tensors(name: str, x: object) -> None:
    result = getattr(activations, name)(x)
    assert torch.equal(result, getattr(activations, name)(torch.tensor([-1.0, 2.0])))


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_sparsemax_is_the_projection_on_the_simplex(axis: int) -> None:
    x = inputs(extremes=False)
    p = activations.sparsemax(x, axis)
    torch.testing.assert_close(p.sum(axis), torch.ones_like(p.sum(axis)))
    # Optimality: inside the support x − p is one number τ, outside x ≤ τ.
    tau = torch.where(p > 0, x - p, -torch.inf).amax(axis, keepdim=True)
    torch.testing.assert_close((x - p)[p > 0], tau.expand_as(x)[p > 0])
    assert (x <= tau + 1e-6)[p == 0].all()


def test_sparsemax_of_two_close_numbers() -> None:
    torch.testing.assert_close(activations.sparsemax(torch.tensor([1.0, 0.9, -1.0])), torch.tensor([0.55, 0.45, 0.0]))


def test_softmax_warns_where_it_is_always_one() -> None:
    with pytest.warns(UserWarning, match="axis -1 of a tensor of shape .3, 1.: the axis has size 1.*sigmoid"):
        assert torch.equal(activations.softmax(torch.randn(3, 1)), torch.ones(3, 1))


def test_names_are_those_of_keras() -> None:
    assert activations.__all__ == sorted(name for name in dir(keras.activations) if not name.startswith("_"))


@pytest.mark.parametrize("name", sorted(set(activations.__all__) - {"get", "serialize", "deserialize"}))
def test_get_and_serialize_by_name(name: str) -> None:
    function = activations.get(name)
    assert function is getattr(activations, name)
    assert activations.serialize(function) == keras.activations.serialize(keras.activations.get(name))
    assert activations.deserialize(activations.serialize(function)) is function


def test_get_of_other_things() -> None:
    def double(x: torch.Tensor) -> torch.Tensor:
        return 2 * x

    assert activations.get(None) is activations.linear
    assert activations.get(double) is double
    with registry.custom_object_scope({"double": double}):
        assert activations.get("double") is double
    assert activations.deserialize("double", custom_objects={"double": double}) is double


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"activations\.get: received 'rulu'; .* Did you mean 'relu'\?"):
        activations.get("rulu")
    with pytest.raises((TypeError, ValueError), match=r"activations\.get: received 3; expected a name"):
        activations.get(3)
