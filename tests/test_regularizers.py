"""Values, gradients and configs against Keras on torch."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import pytest
import torch

from convia import regularizers

OBJECTS = [
    ("L1", {}),
    ("L1", {"l1": 0.3}),
    ("L1", {"l1": None}),
    ("L2", {}),
    ("L2", {"l2": 1}),
    ("L2", {"l2": None}),
    ("L1L2", {}),
    ("L1L2", {"l1": 0.1}),
    ("L1L2", {"l1": 0.1, "l2": 0.2}),
    ("L1L2", {"l1": None, "l2": 0.2}),
    ("OrthogonalRegularizer", {}),
    ("OrthogonalRegularizer", {"factor": 0.5, "mode": "columns"}),
]


@pytest.mark.parametrize(("name", "options"), OBJECTS)
def test_values_gradients_and_configs_equal_keras(name: str, options: dict) -> None:
    values, gradients, configs = [], [], []
    for module in (regularizers, keras.regularizers):
        weight = torch.randn(5, 4, generator=torch.Generator().manual_seed(1)).requires_grad_()
        regularizer = getattr(module, name)(**options)
        value = regularizer(weight)
        if value.requires_grad:
            value.backward()
        values.append(value.detach())
        gradients.append(weight.grad)
        configs.append(regularizer.get_config())
    torch.testing.assert_close(*values, rtol=1e-6, atol=1e-6)
    assert (gradients[0] is None) == (gradients[1] is None)
    if gradients[0] is not None:
        torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-6)
    assert configs[0] == {key: pytest.approx(value) for key, value in configs[1].items()}


@pytest.mark.parametrize(("name", "options"), OBJECTS)
def test_round_trip_through_a_config(name: str, options: dict) -> None:
    regularizer = getattr(regularizers, name)(**options)
    config = regularizers.serialize(regularizer)
    assert config["module"] == "keras.regularizers" and config["class_name"] == name
    again = regularizers.deserialize(config)
    assert type(again) is type(regularizer) and again.get_config() == regularizer.get_config()
    assert regularizers.get(config).get_config() == regularizer.get_config()
    assert type(keras.regularizers.deserialize(config)).__name__ == name


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("l1", "L1"),
        ("l2", "L2"),
        ("L2", "L2"),
        ("l1_l2", "L1L2"),
        ("l1l2", "L1L2"),
        ("orthogonal_regularizer", "OrthogonalRegularizer"),
    ],
)
def test_get_by_name(name: str, kind: str) -> None:
    assert type(regularizers.get(name)) is getattr(regularizers, kind)


def test_get_of_other_things() -> None:
    instance = regularizers.L2(0.1)
    assert regularizers.get(None) is None
    assert regularizers.get(instance) is instance
    assert regularizers.get(torch.sum) is torch.sum
    assert type(regularizers.get(regularizers.L1)) is regularizers.L1


def test_names_are_those_of_keras() -> None:
    assert regularizers.__all__ == sorted(name for name in dir(keras.regularizers) if not name.startswith("_"))


def test_own_subclass_has_its_config() -> None:
    class Sparse(regularizers.Regularizer):
        def __init__(self, target: float = 0.1) -> None:
            self.target = target

    assert Sparse(0.3).get_config() == {"target": 0.3}
    assert regularizers.Regularizer()(torch.ones(3)) == 0.0


def test_half_precision_and_arrays() -> None:
    assert regularizers.L1L2(0.1, 0.1)(torch.ones(2, dtype=torch.bfloat16)).dtype == torch.bfloat16
    assert float(regularizers.L2(0.5)(np.ones((2, 2), np.float32))) == 2.0


def test_one_row_has_no_pairs() -> None:
    assert float(regularizers.OrthogonalRegularizer()(torch.ones(1, 4))) == 0.0


@pytest.mark.parametrize("value", [-1, "a", float("nan"), float("inf")])
@pytest.mark.parametrize(
    ("name", "argument"), [("L1", "l1"), ("L2", "l2"), ("L1L2", "l2"), ("OrthogonalRegularizer", "factor")]
)
def test_factors_are_checked(name: str, argument: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{name}, argument '{argument}': received .*; expected a finite number ≥ 0"):
        getattr(regularizers, name)(**{argument: value})
    with pytest.raises(ValueError):
        getattr(keras.regularizers, name)(**{argument: value})


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"OrthogonalRegularizer: received shape \(3, 3, 1, 2\); expected a matrix"):
        regularizers.OrthogonalRegularizer()(torch.ones(3, 3, 1, 2))
    with pytest.raises(
        ValueError, match=r"argument 'mode': received 'diagonal'; expected one of \['rows', 'columns'\]"
    ):
        regularizers.OrthogonalRegularizer(mode="diagonal")
    with pytest.raises(ValueError, match=r"regularizers\.get: received 'l3'; .* Known: L1, L1L2"):
        regularizers.get("l3")
    with pytest.raises((TypeError, ValueError), match=r"regularizers\.get: received 3"):
        regularizers.get(3)
