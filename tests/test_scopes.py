import keras
import pytest
import torch

import convia
from convia import config, scopes


def test_device():
    before = config.device()
    with scopes.device("cpu:0") as device:
        assert device == config.device() == torch.device("cpu:0")
        with scopes.device("meta"):
            assert convia.Variable([1.0]).is_meta
        assert config.device() == torch.device("cpu:0")
    assert config.device() == before
    with pytest.raises(ValueError, match="a device of this machine"), scopes.device("cuda:99"):
        pass


def paths(api, scope):
    inner = api.layers.Dense(1, name="inner")
    x = torch.zeros(1, 2)
    with scope("a"), scope("b", caller=inner), scope("b", caller=inner):
        inner(x)
        other = api.layers.Dense(1, name="other")
        with scope("c", override_parent="/x/y"):
            other(x)
    last = api.layers.Dense(1, name="last")
    last(x)
    return [layer.weights[0].path for layer in (inner, other, last)]


def test_names_equal_keras():
    assert paths(convia, scopes.name_scope) == paths(keras, keras.name_scope)


@pytest.mark.parametrize("name", ["a/b", 3])
def test_names_that_are_none(name):
    with pytest.raises(ValueError, match="a text without '/'"):
        scopes.name_scope(name)
