"""Bidirectional and TimeDistributed against Keras: outputs, gradients, masks, configs; and what a wrong use is told."""

import keras
import numpy as np
import pytest
import torch
from oracle import assert_close, compare_layer, compare_symbolic, copy_weights, random_inputs
from recurrent_oracle import ALL, IMAGES, MASK, SEQUENCE, assert_error, compare

import convia
from convia import layers


@pytest.mark.parametrize("merge_mode", ["concat", "sum", "mul", "ave", None])
@pytest.mark.parametrize("inner", ["SimpleRNN", "GRU", "LSTM"])
@pytest.mark.parametrize("options", [{}, {"return_sequences": True}, ALL])
def test_bidirectional(merge_mode, inner, options):
    def make(library):
        return library.layers.Bidirectional(
            getattr(library.layers, inner)(3, name="inner", **options), merge_mode, name="layer"
        )

    ours, theirs = make(convia), make(keras)
    assert [ours.forward_layer.name, ours.backward_layer.name] == [
        theirs.forward_layer.name,
        theirs.backward_layer.name,
    ]
    assert {**ours.get_config(), "layer": 0, "backward_layer": 0, "dtype": 0} == {
        **theirs.get_config(),
        "layer": 0,
        "backward_layer": 0,
        "dtype": 0,
    }
    for config in (ours.get_config(), theirs.get_config()):
        assert layers.Bidirectional.from_config(config).backward_layer.go_backwards
    compare_symbolic(make(convia), make(keras), (None, None, 4))
    x = random_inputs(SEQUENCE)[0]
    ours(x), theirs(x)
    copy_weights(ours, theirs)
    compare(ours, theirs, x)
    compare(ours, theirs, x, mask=torch.tensor(MASK))
    half = 2 * (1 + (inner == "LSTM"))
    compare(ours, theirs, x, initial_state=[torch.tensor(s) for s in random_inputs(*[(3, 3)] * half)])


def test_bidirectional_takes_a_layer_for_the_way_back_and_first_weights():
    way_back = layers.GRU(4, go_backwards=True)
    layer = layers.Bidirectional(layers.LSTM(3), backward_layer=way_back)
    assert layer(torch.zeros(SEQUENCE)).shape == (3, 7)
    assert layer.backward_layer is way_back
    first = [np.full(weight.shape, 0.5) for weight in layer.get_weights()]
    same = layers.Bidirectional(layers.LSTM(3), backward_layer=layers.GRU(4, go_backwards=True), weights=first * 1)
    assert len(first) == 6
    same(torch.zeros(SEQUENCE))
    assert all(np.array_equal(a, b) for a, b in zip(first, same.get_weights(), strict=True))


def distributed(library, inner):
    return library.layers.TimeDistributed(inner(library.layers), name="layer")


INNER = [
    (lambda k: k.Dense(3, activation="relu"), SEQUENCE),
    (lambda k: k.Conv2D(3, 3, padding="same"), IMAGES),
    (lambda k: k.BatchNormalization(), IMAGES),
    (lambda k: k.LSTM(3), (2, 3, 4, 5)),
    (lambda k: k.LayerNormalization(), SEQUENCE),
    (lambda k: k.TimeDistributed(k.Dense(2)), (2, 3, 4, 5)),
    (lambda k: k.Flatten(), IMAGES),
    (lambda k: k.Lambda(lambda x: x - x.mean(0)), SEQUENCE),
]


@pytest.mark.parametrize(("inner", "shape"), INNER)
def test_time_distributed(inner, shape):
    def pair():
        return distributed(convia, inner), distributed(keras, inner)

    if not isinstance(pair()[0].layer, layers.Lambda):
        assert pair()[0].from_config(pair()[0].get_config()).get_config()["layer"]["class_name"]
        compare_symbolic(*pair(), (None, *shape[1:]))
    for training in (False, True):
        compare_layer(*pair(), *random_inputs(shape), training=training)


def test_time_distributed_hands_each_step_its_mask():
    tokens = torch.tensor([[[1, 2, 0], [3, 0, 0]], [[0, 0, 0], [1, 0, 2]]])
    found = []
    for library in (convia, keras):
        x = library.layers.Embedding(5, 2, mask_zero=True, embeddings_initializer="ones")(tokens)
        layer = library.layers.TimeDistributed(
            library.layers.LSTM(3, kernel_initializer="ones", recurrent_initializer="ones")
        )
        y = layer(x)
        found.append((y.detach(), y._keras_mask.tolist()))
    assert_close(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]


@pytest.mark.parametrize(
    ("make", "error", "parts"),
    [
        (lambda: layers.Bidirectional(3), ValueError, ["Bidirectional, argument 'layer'", "3", "a recurrent layer"]),
        (lambda: layers.Bidirectional(layers.LSTM(3), "max"), ValueError, ["'merge_mode'", "'max'", "'concat'"]),
        (
            lambda: layers.Bidirectional(layers.LSTM(3), backward_layer=layers.LSTM(3)),
            ValueError,
            ["go_backwards=False and a backward_layer with go_backwards=False", "different values"],
        ),
        (
            lambda: layers.Bidirectional(layers.GRU(3), backward_layer=layers.GRU(3, go_backwards=True, stateful=True)),
            ValueError,
            ["stateful=False", "equal values of stateful"],
        ),
        (
            lambda: layers.Bidirectional(layers.LSTM(3), name="b").reset_states(),
            AttributeError,
            ["Bidirectional layer 'b'", "a stateful layer"],
        ),
        (lambda: layers.TimeDistributed(3), ValueError, ["TimeDistributed, argument 'layer'", "a layer"]),
        (
            lambda: layers.TimeDistributed(layers.Dense(3), name="t")(torch.zeros(2, 4)),
            ValueError,
            ["TimeDistributed layer 't'", "(2, 4)", "at least 3 dimensions"],
        ),
        (
            lambda: layers.TimeDistributed(layers.Dense(3), name="t")(torch.zeros(2, 4, 5), mask=torch.ones(2, 5)),
            ValueError,
            ["TimeDistributed layer 't'", "a mask of shape (2, 5)", "(2, 4)"],
        ),
    ],
)  # fmt: skip
def test_errors(make, error, parts):
    assert_error(make, error, parts)
