import math

import keras
import numpy as np
import pytest
from callback_fakes import FakeModel, FakeOptimizer, play

from convia import callbacks
from convia.callbacks import LearningRateScheduler

SCHEDULES = [
    lambda epoch: 0.5**epoch,
    lambda epoch, rate: rate * math.exp(-0.1),
    lambda epoch, rate=0.3: float(rate) + 1,
    lambda epoch: np.float32(0.1),
    max,
]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_learning_rates_are_those_of_keras(schedule, capsys):
    results = []
    for module in (callbacks, keras.callbacks):
        model, history = FakeModel(), []
        callback = module.LearningRateScheduler(schedule, verbose=1)
        callback.set_model(model)
        for epoch in range(3):
            logs = {"loss": 1.0}
            callback.on_epoch_begin(epoch + 0.5)
            callback.on_epoch_end(epoch, logs)
            history.append(logs)
        results.append((history, capsys.readouterr().out))
    assert results[0] == results[1]
    assert results[0][0][0]["learning_rate"] > 0


def test_learning_rate_is_printed(capsys):
    play(LearningRateScheduler(lambda epoch: 0.25, verbose=1), [{}])
    assert capsys.readouterr().out == "\nEpoch 1: LearningRateScheduler setting learning rate to 0.25.\n"


def test_several_optimizers_are_set_each(capsys):
    model = FakeModel()
    model.optimizer.optimizers = [FakeOptimizer(0.5), FakeOptimizer(2.0)]
    model.optimizer.optimizers[1].name = "other"
    callback = LearningRateScheduler(lambda epoch, rate: rate / 2, verbose=1)
    callback.set_model(model)
    callback.on_epoch_begin(0)
    logs = {"loss": 1.0}
    callback.on_epoch_end(0, logs)
    assert logs == {"loss": 1.0, "learning_rate_fake": 0.25, "learning_rate_other": 1.0}
    assert "LearningRateScheduler setting other learning rate to 1.0." in capsys.readouterr().out


def test_an_error_in_the_schedule_is_not_taken_for_another_signature():
    def schedule(epoch, rate):
        return None + 1

    with pytest.raises(TypeError, match="NoneType"):
        play(LearningRateScheduler(schedule), [{}])


@pytest.mark.parametrize("rate", [None, 1, "0.1"])
def test_what_is_no_float_is_refused(rate):
    with pytest.raises(ValueError) as error:
        play(LearningRateScheduler(lambda epoch: rate), [{}])
    assert str(error.value) == (
        f"LearningRateScheduler, output of 'schedule': received {rate!r}; expected a float. Return float(...)."
    )


def test_an_optimizer_without_a_learning_rate_is_refused():
    model = FakeModel()
    model.optimizer = object()
    with pytest.raises(ValueError, match="received the optimizer object; expected one with a learning_rate"):
        play(LearningRateScheduler(lambda epoch: 0.1), [{}], model)
