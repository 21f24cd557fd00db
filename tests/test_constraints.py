"""Values and configs against Keras on torch."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import pytest
import torch

from convia import constraints

OBJECTS = [
    ("MaxNorm", {}),
    ("MaxNorm", {"max_value": 0.5}),
    ("MaxNorm", {"max_value": 1.0, "axis": [0, 1, 2]}),
    ("NonNeg", {}),
    ("UnitNorm", {}),
    ("UnitNorm", {"axis": -1}),
    ("UnitNorm", {"axis": (0, 1, 2)}),
    ("MinMaxNorm", {}),
    ("MinMaxNorm", {"min_value": 1.0, "max_value": 1.5, "rate": 0.3, "axis": [0, 1, 2]}),
]
WEIGHTS = np.random.default_rng(1).normal(size=(3, 3, 2, 4)).astype("float32")
WEIGHTS[..., 0] = 0  # a unit without length


@pytest.mark.parametrize(("name", "options"), OBJECTS)
def test_values_and_configs_equal_keras(name: str, options: dict) -> None:
    ours, theirs = (getattr(module, name)(**options) for module in (constraints, keras.constraints))
    torch.testing.assert_close(ours(torch.from_numpy(WEIGHTS)), theirs(WEIGHTS), rtol=1e-6, atol=1e-6)
    assert ours.get_config() == theirs.get_config()


@pytest.mark.parametrize(("name", "options"), OBJECTS)
def test_round_trip_through_a_config(name: str, options: dict) -> None:
    constraint = getattr(constraints, name)(**options)
    config = constraints.serialize(constraint)
    assert config["module"] == "keras.constraints" and config["class_name"] == name
    again = constraints.deserialize(config)
    assert type(again) is type(constraint) and again.get_config() == constraint.get_config()
    assert type(keras.constraints.deserialize(config)).__name__ == name


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("max_norm", "MaxNorm"),
        ("maxnorm", "MaxNorm"),
        ("MaxNorm", "MaxNorm"),
        ("non_neg", "NonNeg"),
        ("nonneg", "NonNeg"),
        ("unit_norm", "UnitNorm"),
        ("min_max_norm", "MinMaxNorm"),
    ],
)
def test_get_by_name(name: str, kind: str) -> None:
    assert type(constraints.get(name)) is getattr(constraints, kind)


def test_get_of_other_things() -> None:
    instance = constraints.NonNeg()
    assert constraints.get(None) is None
    assert constraints.get(instance) is instance
    assert constraints.get(torch.abs) is torch.abs


def test_base_class_changes_nothing() -> None:
    weight = torch.randn(3)
    assert constraints.Constraint()(weight) is weight
    assert constraints.Constraint().get_config() == {}


def test_names_are_those_of_keras() -> None:
    assert constraints.__all__ == sorted(name for name in dir(keras.constraints) if not name.startswith("_"))


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"constraints\.get: received 'maxnrom'; .* Did you mean 'MaxNorm'\?"):
        constraints.get("maxnrom")
    with pytest.raises((TypeError, ValueError), match=r"constraints\.get: received 3"):
        constraints.get(3)
