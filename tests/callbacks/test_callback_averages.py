from types import SimpleNamespace

import numpy as np
import pytest
import torch

from convia import optimizers
from convia.callbacks import SwapEMAWeights
from convia.variable import Variable


def _model(optimizer, steps=3):
    model = SimpleNamespace(optimizer=optimizer, stop_training=False, weight=Variable(torch.ones(2), name="w"))
    for _ in range(steps):
        optimizer.apply([torch.ones(2)], [model.weight])
    return model


def _averaging():
    return optimizers.SGD(0.5, use_ema=True, ema_momentum=0.5)


def _callback(model, epochs=2, **options):
    callback = SwapEMAWeights(**options)
    callback.set_model(model)
    callback.set_params({"epochs": epochs})
    return callback


WEIGHT = -0.5  # 1 − 3 · 0.5
AVERAGE = -0.125  # of 0.5, 0 and −0.5: each counts half of what is left, the first counts once


@pytest.mark.parametrize("loop", ["test", "predict"])
@pytest.mark.parametrize("wrap", [lambda inner: inner, lambda inner: SimpleNamespace(inner_optimizer=inner)])
def test_evaluation_sees_the_averages(loop, wrap):
    model = _model(_averaging())
    model.optimizer = wrap(model.optimizer)
    callback = _callback(model)
    assert model.weight.tolist() == [WEIGHT] * 2
    for _ in range(2):
        getattr(callback, f"on_{loop}_begin")()
        assert model.weight.tolist() == [AVERAGE] * 2
        getattr(callback, f"on_{loop}_end")()
        assert model.weight.tolist() == [WEIGHT] * 2


def test_callbacks_at_the_end_of_an_epoch_see_the_averages():
    model = _model(_averaging())
    callback = _callback(model, swap_on_epoch=True)
    callback.on_epoch_begin(0)
    callback.on_epoch_end(0)
    assert model.weight.tolist() == [AVERAGE] * 2
    callback.on_epoch_begin(1)
    assert model.weight.tolist() == [WEIGHT] * 2
    callback.on_epoch_end(1)
    model.optimizer.finalize_variable_values([model.weight])
    assert model.weight.tolist() == [AVERAGE] * 2


def test_training_that_is_stopped_ends_with_the_averages():
    model = _model(_averaging())
    model.stop_training = True
    _callback(model, epochs=9, swap_on_epoch=True).on_epoch_end(0)
    model.optimizer.finalize_variable_values([model.weight])
    assert model.weight.tolist() == [AVERAGE] * 2


def test_epochs_are_left_alone_unless_asked_for():
    model = _model(_averaging())
    callback = _callback(model)
    callback.on_epoch_begin(0)
    callback.on_epoch_end(0)
    assert model.weight.tolist() == [WEIGHT] * 2


def test_of_several_optimizers_those_with_averages_are_used():
    averaging, plain = _averaging(), optimizers.SGD(0.5)
    model = _model(averaging)
    other = _model(plain).weight
    model.optimizer = SimpleNamespace(optimizers=[averaging, plain])
    _callback(model).on_test_begin()
    assert model.weight.tolist() == [AVERAGE] * 2
    assert np.array_equal(other.numpy(), [WEIGHT] * 2)


@pytest.mark.parametrize(
    ("optimizer", "text"),
    [
        (optimizers.SGD(), "received the optimizer SGD without moving averages; expected one made with use_ema=True."),
        (_averaging(), "received an optimizer that was not used yet; expected moving averages. Train first, or call"),
    ],
)
def test_an_optimizer_without_averages_is_refused(optimizer, text):
    with pytest.raises(ValueError) as error:
        _callback(_model(optimizer, steps=0)).on_test_begin()
    assert str(error.value).startswith(f"SwapEMAWeights: {text}")
