"""Loss scaling and optimizers per variable, against Keras."""

import keras
import numpy as np
import pytest
import torch

from convia import optimizers
from convia.variable import Variable


def _both(make):
    """Build with Keras and with ours on a kernel and a bias: (optimizer, variables), twice."""
    built = []
    for module, variable in ((keras.optimizers, keras.Variable), (optimizers, Variable)):
        variables = [variable(np.ones((2, 3)), name="kernel", dtype="float32")]
        variables.append(variable(np.zeros(3), name="bias", dtype="float32"))
        optimizer = make(module)
        optimizer.build(variables)
        built.append((optimizer, variables))
    return built


def _assert_same(built):
    (theirs, their_variables), (ours, our_variables) = built
    assert [v.name for v in ours.variables] == [v.name for v in theirs.variables]
    for one, other in zip([*theirs.variables, *their_variables], [*ours.variables, *our_variables], strict=True):
        np.testing.assert_allclose(other.numpy(), one.numpy(), rtol=1e-5, atol=1e-6)


def _steps(built, bad=()):
    for number in range(10):
        draw = np.random.default_rng(number)
        grads = [draw.normal(size=shape).astype("float32") for shape in ((2, 3), (3,))]
        if number in bad:
            grads[0][0, 0] = np.inf
        for optimizer, variables in built:
            optimizer.apply([torch.from_numpy(g.copy()) * 64 for g in grads], variables)
        _assert_same(built)


def _scaled(module):
    inner = module.Adam(0.1, name="inner")
    return module.LossScaleOptimizer(inner, initial_scale=64.0, dynamic_growth_steps=3, name="outer")


def test_loss_scale_is_keras_s():
    built = _both(_scaled)
    _steps(built, bad=(2, 6))
    (theirs, _), (ours, variables) = built
    assert float(ours.scale_loss(torch.tensor(2.0))) == float(theirs.scale_loss(torch.tensor(2.0)))
    ours.learning_rate = 0.5
    assert ours.inner_optimizer.learning_rate == ours.learning_rate == 0.5
    assert int(ours.iterations) == int(theirs.iterations) == 8
    ours.finalize_variable_values(variables)


def test_loss_scale_config():
    ours, theirs = _scaled(optimizers), _scaled(keras.optimizers)
    assert ours.get_config()["inner_optimizer"]["config"] == theirs.get_config()["inner_optimizer"]["config"]
    again = optimizers.deserialize(keras.optimizers.serialize(theirs))
    assert again.get_config() == ours.get_config()


def test_minimize_undoes_the_scale():
    optimizer, variable = optimizers.LossScaleOptimizer(optimizers.SGD(1.0)), Variable(np.ones(2, "float32"))
    optimizer.minimize((variable * 3).sum(), [variable])
    assert variable.tolist() == [-2.0, -2.0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"clipnorm": 1.0}, "clipnorm=1.0; expected clipnorm on the inner_optimizer"),
        ({"dynamic": False}, "dynamic=False.*loss_scale_factor"),
        ({"speed": 1}, "speed=1"),
    ],
)
def test_loss_scale_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        optimizers.LossScaleOptimizer(optimizers.SGD(), **arguments)
    assert optimizers.LossScaleOptimizer(optimizers.SGD(), clipnorm=None, use_ema=False, dynamic=True)


def _mixed(module):
    table = module.OptimizerMap(module.SGD(0.5, name="s"), {".*bias": module.Adam(0.1, use_ema=True, name="a")})
    return module.MultiOptimizer(table, loss_scale_factor=64.0, name="multi")


def test_multi_is_keras_s():
    built = _both(_mixed)
    _steps(built)
    for optimizer, variables in built:
        optimizer.finalize_variable_values(variables)
    _assert_same(built)
    ours, variables = built[1]
    assert [type(o).__name__ for o in ours.optimizers] == ["Adam", "SGD"]
    assert int(ours.iterations) == 10
    ours.loss_scale_factor = None
    assert ours.optimizers[0].loss_scale_factor is None
    again, _ = _both(_mixed)[1]
    again.set_weights([v.numpy() for v in ours.variables])
    assert int(again.optimizers[1].iterations) == 10


def test_multi_config():
    ours = _mixed(optimizers)
    assert optimizers.deserialize(optimizers.serialize(ours)).get_config() == ours.get_config()
    assert (
        optimizers.deserialize(keras.optimizers.serialize(_mixed(keras.optimizers))).get_config() == ours.get_config()
    )


def test_multi_with_a_function():
    fast, slow = optimizers.SGD(1.0), optimizers.SGD(0.1)
    variables = [Variable(np.zeros(1, "float32"), name=name) for name in "ab"]
    optimizer = optimizers.MultiOptimizer(lambda variable: fast if variable.name == "a" else slow)
    optimizer.apply([torch.ones(1)] * 2, variables)
    assert [round(v.item(), 5) for v in variables] == [-1.0, -0.1]


def test_map_is_a_mapping():
    table = optimizers.OptimizerMap(optimizers.SGD())
    table["a.*"] = adam = optimizers.Adam()
    assert table["ab"] is table["a.*"] is adam
    assert table["b"] is table.default_optimizer
    assert len(table) == 1 and list(table) == ["a.*"]
    table["ab?"] = optimizers.SGD()
    with pytest.raises(ValueError, match="2 matches for 'ab'"):
        table["ab"]
    del table["ab?"]


@pytest.mark.parametrize(
    ("act", "kind", "message"),
    [
        (lambda: optimizers.OptimizerMap("sgd"), TypeError, "'default_optimizer': received 'sgd'"),
        (lambda: optimizers.OptimizerMap(optimizers.SGD(), []), TypeError, r"'optimizer_map': received \[\]"),
        (lambda: optimizers.OptimizerMap(optimizers.SGD()).__setitem__(1, optimizers.SGD()), ValueError, "the key 1"),
        (
            lambda: optimizers.OptimizerMap(optimizers.SGD()).__setitem__("a", _scaled(optimizers)),
            ValueError,
            "neither",
        ),
        (lambda: _mixed(optimizers).learning_rate, AttributeError, "request for learning_rate"),
        (lambda: setattr(_mixed(optimizers), "learning_rate", 1.0), AttributeError, "a member of .optimizers"),
        (lambda: optimizers.MultiOptimizer(lambda v: "sgd").build([Variable(np.zeros(1))]), ValueError, "'sgd'"),
    ],
)
def test_misuse_is_explained(act, kind, message):
    with pytest.raises(kind, match=message):
        act()
