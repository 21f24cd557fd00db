"""Schedules against Keras, step by step."""

import inspect

import keras
import numpy as np
import pytest
import torch

from convia import schedules
from convia.optimizers.scalar import Scalar

CASES = [
    ("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 0.5}),
    ("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 0.5, "staircase": True}),
    ("InverseTimeDecay", {"initial_learning_rate": 0.1, "decay_steps": 3, "decay_rate": 0.5}),
    ("InverseTimeDecay", {"initial_learning_rate": 0.1, "decay_steps": 3, "decay_rate": 0.5, "staircase": True}),
    ("PiecewiseConstantDecay", {"boundaries": [5, 10], "values": [0.3, 0.2, 0.1]}),
    ("PiecewiseConstantDecay", {"boundaries": [5], "values": [1.0, 0.5]}),
    ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 10}),
    ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 10, "end_learning_rate": 0.01, "power": 2.0}),
    ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 10, "power": 0.5, "cycle": True}),
    ("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 10}),
    ("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 10, "alpha": 0.2}),
    ("CosineDecay", {"initial_learning_rate": 0.0, "decay_steps": 10, "warmup_target": 0.3, "warmup_steps": 5}),
    ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 4}),
    ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 4, "t_mul": 1.0, "m_mul": 0.5}),
    (
        "CosineDecayRestarts",
        {"initial_learning_rate": 0.1, "first_decay_steps": 5, "t_mul": 3.0, "m_mul": 0.9, "alpha": 0.1},
    ),
]


def _pair(name, arguments):
    return getattr(keras.optimizers.schedules, name)(**arguments), getattr(schedules, name)(**arguments)


@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_rates_are_keras_s(name, arguments):
    theirs, ours = _pair(name, arguments)
    steps = np.arange(40)
    expected = [float(theirs(int(step))) for step in steps]
    np.testing.assert_allclose(ours(steps).numpy(), expected, rtol=2e-5, atol=1e-8)
    for make in (int, float, torch.tensor, lambda step: Scalar(step, "int32", "iteration")):
        assert float(ours(make(9))) == pytest.approx(expected[9], rel=1e-5, abs=1e-8)


@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_config_is_keras_s(name, arguments):
    theirs, ours = _pair(name, arguments)
    assert ours.get_config() == theirs.get_config()
    config = schedules.serialize(ours)
    assert config == keras.optimizers.schedules.serialize(theirs)
    assert schedules.deserialize(config).get_config() == ours.get_config()


@pytest.mark.parametrize("name", sorted({name for name, _ in CASES}))
def test_signature_is_keras_s(name):
    ours, theirs = (
        [(p.name, p.default) for p in inspect.signature(getattr(module, name)).parameters.values()]
        for module in (schedules, keras.optimizers.schedules)
    )
    assert [p for p in ours if p[0] != "kwargs"] == theirs


class Halving(schedules.LearningRateSchedule):
    def __init__(self, initial):
        self.initial = initial

    def __call__(self, step):
        return self.initial / 2.0**step


def test_your_own_schedule():
    config = schedules.serialize(Halving(0.5))
    assert config["class_name"] == "Halving"
    again = schedules.deserialize(config, {"Halving": Halving})
    assert float(again(torch.tensor(2))) == 0.125


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: schedules.ExponentialDecay(0.1, 0, 0.5), "ExponentialDecay, argument 'decay_steps': received 0"),
        (
            lambda: schedules.CosineDecayRestarts(0.1, -1),
            "'first_decay_steps': received -1; expected a number of steps > 0",
        ),
        (lambda: schedules.PiecewiseConstantDecay([1], [0.1]), "1 boundaries and 1 values; expected one value more"),
    ],
)
def test_errors_teach(make, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        make()


def test_a_schedule_needs_a_formula():
    with pytest.raises(NotImplementedError, match="overrides __call__"):
        schedules.LearningRateSchedule()(0)
