"""Embeddings, functions as layers, equations: values against Keras, and messages."""

import copy

import keras
import numpy as np
import pytest
import torch
from oracle import compare_config, compare_layer, compare_symbolic, random_inputs

from convia import layers, registry


def test_embedding():
    for options in ({}, {"embeddings_initializer": "ones", "activity_regularizer": "l2"}):
        compare_config(layers.Embedding(10, 4, **options), keras.layers.Embedding(10, 4, **options))
    compare_symbolic(layers.Embedding(10, 4), keras.layers.Embedding(10, 4), (None, None), dtype="int32")


def test_embedding_takes_weights_and_floats():
    matrix = np.random.normal(size=(5, 2)).astype("float32")
    for given in (matrix, [matrix]):
        layer = layers.Embedding(5, 2, weights=given, input_length=3)
        np.testing.assert_array_equal(layer(np.array([[1.0, 4.0]]))[0].detach().numpy(), matrix[[1, 4]])
    assert layers.Embedding(4000, 1, dtype="mixed_float16")(np.array([[3001.0]])).dtype is torch.float16


def test_embedding_says_which_numbers_it_takes():
    with pytest.raises(ValueError, match=r"Embedding layer 'e': received numbers from -1 to 5; expected from 0 to 4"):
        layers.Embedding(5, 2, name="e")(np.array([[-1, 5]]))


def test_dense_takes_whole_numbers():
    compare_layer(layers.Dense(3), keras.layers.Dense(3), *random_inputs((2, 5), dtype="int32"), grads=False)


@pytest.mark.parametrize(
    ("make", "error", "parts"),
    [
        (lambda: layers.Dense(0), ValueError, ["'units'", "whole number ≥ 1"]),
        (lambda: layers.Dense(3)(torch.zeros(3)), ValueError, ["(3,)", "at least 2 dimensions", "x[None]"]),
        (lambda: layers.Dense(3)(layers.Input((None,))), ValueError, ["(None, None)", "known last dimension"]),
        (lambda: layers.Dense(3, quantization_config="int8"), ValueError, ["'quantization_config'", "not quantized"]),
        (lambda: layers.Activation("rellu"), ValueError, ["rellu", "Did you mean 'relu'"]),
        (lambda: layers.Dense(3, unit=2), TypeError, ["unit", "units"]),
        (lambda: layers.EinsumDense("ab->c", 3)(torch.zeros(2, 3)), ValueError, ["'ab->c'", "'ab,bc->ac'"]),
        (
            lambda: layers.EinsumDense("abc,cd->abd", 3)(torch.zeros(2, 3, 4)),
            ValueError,
            ["output_shape=(3,)", "2 sizes", "'bd'"],
        ),
        (lambda: layers.EinsumDense("ab,bc->ac", 3)(torch.zeros(2, 3, 4)), ValueError, ["3 dimensions", "2"]),
        (lambda: layers.EinsumDense("ab,bc->az", 3)(torch.zeros(2, 3)), ValueError, ["'z' in the output alone"]),
        (lambda: layers.EinsumDense("abc,cd->abd", (9, 3))(torch.zeros(2, 3, 4)), ValueError, ["size 9 for 'b'", "3"]),
        (lambda: layers.EinsumDense("ab,bcd->ac", 3)(torch.zeros(2, 3)), ValueError, ["no size for 'd'"]),
        (
            lambda: layers.EinsumDense("ab,bc->ac", 3, bias_axes="z")(torch.zeros(2, 3)),
            ValueError,
            ["'z' in bias_axes"],
        ),
        (lambda: layers.Wrapper("dense"), ValueError, ["'layer'", "'dense'", "a layer"]),
    ],
)
def test_message(make, error, parts):
    with pytest.raises(error) as caught:
        make()
    for part in parts:
        assert part in str(caught.value)


def test_images_in_front_of_a_dense_layer():
    layer = layers.Dense(3)
    layer(torch.zeros(2, 12))
    with pytest.raises(ValueError, match=r"size 12 on axis -1.* Flatten\(\)"):
        layer(torch.zeros(2, 3, 4))


def double(x, factor=2):
    return x * factor


def modes(x, training=None, mask=None):
    return x + (1 if training else 0) + (10 if mask is not None else 0)


def test_lambda():
    x = torch.randn(2, 3)
    torch.testing.assert_close(layers.Lambda(double)(x), x * 2)
    torch.testing.assert_close(layers.Lambda(double, arguments={"factor": 3})(x), x * 3)
    torch.testing.assert_close(layers.Lambda(lambda t: t + 1)(x), x + 1)
    torch.testing.assert_close(layers.Lambda(torch.abs)(x), x.abs())
    layer = layers.Lambda(modes)
    torch.testing.assert_close(layer(x, training=True, mask=x > 0), x + 11)
    torch.testing.assert_close(layer(x), x)


def test_lambda_shapes():
    assert layers.Lambda(lambda t: t.flatten(1))(layers.Input((4, 5))).shape == (None, 20)
    assert layers.Lambda(lambda t: t, output_shape=(7,))(layers.Input((4, 5))).shape == (None, 7)
    assert layers.Lambda(lambda t: t, output_shape=lambda s: (s[0], 9))(layers.Input((4, 5))).shape == (None, 9)


def test_lambda_config_names_functions():
    layer = layers.Lambda(double, arguments={"factor": 3}, name="f")
    config = layer.get_config()
    assert config["function"]["config"] == "double" and "output_shape" not in config and "mask" not in config
    again = layers.Lambda.from_config(config, custom_objects={"double": double})
    assert again.function is double and again.arguments == {"factor": 3}
    with pytest.raises(ValueError, match=r"'double'.*custom_objects"):
        layers.Lambda.from_config(config)
    theirs = keras.layers.Lambda(double, arguments={"factor": 3}, name="f").get_config()
    assert theirs.keys() == config.keys() and theirs["function"]["config"] == "double"
    assert layers.Lambda.from_config(theirs, custom_objects={"double": double}).function is double


def test_lambda_runs_no_code_from_files():
    ours = layers.Lambda(lambda x: x + 1, name="f").get_config()
    theirs = keras.layers.Lambda(lambda x: x + 1, name="f").get_config()
    for config in (ours, theirs):
        with pytest.raises(ValueError, match=r"'f'.*Python lambda.*Code in files is not run.*register_keras"):
            layers.Lambda.from_config(config)
    assert copy.deepcopy(layers.Lambda(lambda x: x + 1))(torch.zeros(1)) == 1


def test_serialize_and_deserialize():
    layer = layers.Dense(3, name="d")
    config = layers.serialize(layer)
    assert config["class_name"] == "Dense" and config["module"] == "keras.layers"
    assert layers.deserialize(config).get_config() == layer.get_config()


def test_all_is_known_to_keras_and_registered():
    assert len(set(layers.__all__)) == len(layers.__all__)
    for name in layers.__all__:
        assert hasattr(layers, name) and hasattr(keras.layers, name), name
        item = getattr(layers, name)
        if isinstance(item, type) and name not in ("InputSpec", "Layer"):
            assert registry.lookup("keras.layers", name) is item, name
