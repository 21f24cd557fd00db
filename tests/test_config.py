import numpy as np
import pytest
import torch

import convia
from convia import config


@pytest.fixture(autouse=True)
def _settings():
    before = dict(config._settings)
    yield
    config._settings.update(before)


def model():
    net = convia.Sequential([convia.layers.Dense(1)])
    net.compile("sgd", "mse")
    return net


X, Y = np.ones((40, 2), "float32"), np.ones((40, 1), "float32")


def batches():
    while True:
        yield X[:4], Y[:4]


def test_epochs_are_limited():
    config.set_max_epochs(2)
    with pytest.warns(UserWarning, match="cut to 2 epochs"):
        history = model().fit(X, Y, epochs=5, verbose=0)
    assert history.epoch == [0, 1]
    config.set_max_epochs(None)
    assert model().fit(X, Y, epochs=3, verbose=0).epoch == [0, 1, 2]


@pytest.mark.parametrize(
    "data",
    [
        {"x": X, "y": Y, "batch_size": 4},
        {"x": X, "y": Y, "batch_size": 4, "steps_per_epoch": 8},
        {"x": torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*map(torch.tensor, (X, Y))), batch_size=4)},
        {"x": batches()},
    ],
    ids=["arrays", "steps", "loader", "generator"],
)
def test_steps_are_limited(data):
    config.set_max_steps_per_epoch(3)
    seen = []
    hook = convia.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
    with pytest.warns(UserWarning, match="cut to 3 steps"):
        model().fit(**data, epochs=2, verbose=0, callbacks=[hook])
    assert seen == [0, 1, 2] * 2


def test_steps_of_evaluation_and_prediction_are_limited():
    config.set_max_steps_per_epoch(3)
    net = model()
    with pytest.warns(UserWarning, match="cut to 3 steps"):
        assert net.predict(X, batch_size=4, verbose=0).shape == (12, 1)
    with pytest.warns(UserWarning, match="cut to 3 steps"):
        net.evaluate(X, Y, batch_size=4, verbose=0)
    assert net.predict(X, batch_size=20, verbose=0).shape == (40, 1)


@pytest.mark.parametrize("setter", [config.set_max_epochs, config.set_max_steps_per_epoch])
@pytest.mark.parametrize("value", [0, -1, 1.5, "x"])
def test_limits_that_are_none(setter, value):
    with pytest.raises(ValueError, match="a whole number ≥ 1, or None"):
        setter(value)


def test_limits_of_the_environment(monkeypatch):
    monkeypatch.setenv("KERAS_MAX_EPOCHS", "3")
    assert config._number("KERAS_MAX_EPOCHS") == 3
    monkeypatch.setenv("KERAS_MAX_EPOCHS", "many")
    assert config._number("KERAS_MAX_EPOCHS") is None


def test_switches():
    assert config.is_flash_attention_enabled() is None
    config.enable_flash_attention()
    assert config.is_flash_attention_enabled() is True
    config.disable_flash_attention()
    assert config.is_flash_attention_enabled() is False
    assert config.is_unsafe_deserialization_enabled() is False


def test_the_only_backend():
    config.set_backend("torch")
    assert config.backend() == "torch"
    with pytest.raises(ValueError, match="'jax'; expected 'torch'"):
        config.set_backend("jax")


def test_a_policy_without_a_name_is_the_global_one():
    config.set_dtype_policy("mixed_bfloat16")
    assert config.DTypePolicy() == config.DTypePolicy("mixed_bfloat16")
