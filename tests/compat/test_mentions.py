"""Symbolic tensors that losses, metrics and layers mention besides their arguments."""

import functools
import importlib

import numpy as np
import pytest

from convia.compat import programs
from convia.compat.grafts.mentions import mentions, replaced, symbols


@pytest.fixture
def keras():
    with programs.using("keras2"):
        yield importlib.import_module("keras")


def run_as_program(code, **names):
    """Run code as a program would, outside of convia."""
    names["__name__"] = "program"
    exec(code, names)
    return names


def test_places_are_found_and_put_back(keras):
    x = keras.Input((3,))

    class Holder:
        def __init__(self):
            self.held = [x, 1]

        def use(self):
            return self.held[0]

    holder = Holder()
    code = (
        "def loss(a, b):\n    return a + held\ndef other(c):\n    return loss(c, c)\ndef neither(c):\n    return c.held"
    )
    names = run_as_program(code, held=x)
    for function in (lambda a: a + x, names["other"], holder.use, functools.partial(lambda a, b: a, b=x),
                     functools.partial(lambda a, b: a, x), lambda a: holder.use()):  # fmt: skip
        places = mentions(function)
        assert [symbol is x for symbol in symbols(places)] == [True], function
        with replaced(places, {id(x): 5}):
            assert not mentions(function)
        assert symbols(mentions(function))
    assert not mentions(names["neither"])  # an attribute of that name is no global variable
    with replaced(mentions(holder.use), {id(x): 7}):
        assert holder.use() == 7
    assert holder.use() is x


VAE = """
from keras import backend as K, layers, models
x = layers.Input((4,))
mean = layers.Dense(2, name="mean")(x)
log_variance = layers.Dense(2)(x)
code = layers.Lambda(lambda t: t + 0 * log_variance)(mean)
out = layers.Dense(4)(code)

def divergence(y_true, y_pred):
    return -0.5 * K.sum(1 + log_variance - K.square(mean) - K.exp(log_variance), axis=-1)

def loss(y_true, y_pred):
    return K.mean(K.square(y_true - y_pred), axis=-1) + divergence(y_true, y_pred)

model = models.Model(x, out)
model.compile("sgd", loss=loss, metrics=[divergence])
"""


def test_losses_metrics_and_lambdas_see_the_numbers_of_the_run(keras):
    model = run_as_program(VAE)["model"]
    data = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    total, divergence = model.evaluate(data, data, verbose=0)
    mean, log_variance = (keras.models.Model(model.input, model.layers[i].output).predict(data) for i in (1, 2))
    if model.layers[1].name != "mean":
        mean, log_variance = log_variance, mean
    wanted = np.mean(-0.5 * np.sum(1 + log_variance - mean**2 - np.exp(log_variance), axis=-1))
    assert divergence == pytest.approx(wanted, rel=1e-4)
    error = np.mean((data - model.predict(data)) ** 2)
    assert total == pytest.approx(wanted + error, rel=1e-4)
    before = model.get_layer("mean").get_weights()[0]
    model.fit(data, data, verbose=0)
    assert not np.allclose(before, model.get_layer("mean").get_weights()[0])


LAYER = """
from keras import backend as K, layers, models

class Penalty(layers.Layer):
    def measure(self, t):
        return K.mean(K.square(side) + 0 * t)

    def call(self, inputs):
        self.add_loss(self.measure(inputs), inputs=inputs)
        return inputs

x = layers.Input((4,))
side = layers.Dense(1, use_bias=False, kernel_initializer="ones")(x)
model = models.Model(x, Penalty()(layers.Dense(3)(x)))
model.compile("sgd", loss=None)
"""


def test_a_layer_may_add_a_loss_of_tensors_that_are_not_its_inputs(keras):
    model = run_as_program(LAYER)["model"]
    data = np.ones((2, 4), "float32")
    assert model.evaluate(data, None, verbose=0) == pytest.approx(16)
    model.fit(data, None, epochs=3, verbose=0)
    assert model.evaluate(data, None, verbose=0) < 16


def test_a_list_of_one_output_is_the_output_itself_before_tf_keras():
    for era, is_list in (("keras2", False), ("tfkeras", True)):
        with programs.using(era):
            layers = importlib.import_module("keras").layers
            assert isinstance(layers.Lambda(lambda t: [t])(layers.Input((2,))), list) is is_list
