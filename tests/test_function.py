import keras
import numpy as np
import pytest
import torch

import convia
from convia.function import Function, get_source_inputs
from tests.oracle import assert_close


def build(api, structure):
    a, b = api.KerasTensor((None, 3)), api.KerasTensor((None, 3), name="second")
    c = api.ops.sigmoid(a * 2 + b)
    if structure == "dict":
        return {"a": a, "b": b}, {"c": c, "d": [c - a]}
    return ([a, b], c) if structure == "tensor" else ([a, b], [c])


@pytest.mark.parametrize("structure", ["dict", "tensor", "list"])
def test_equals_keras(structure):
    inputs, outputs = build(convia, structure)
    ours = Function(inputs, outputs, name="it")
    theirs = keras.Function(*build(keras, structure))
    values = [torch.randn(4, 3), torch.randn(4, 3)]
    given = dict(zip("ab", values, strict=True)) if structure == "dict" else values
    results = [convia.tree.flatten_with_path(function(given)) for function in (ours, theirs)]
    assert [path for path, _ in results[0]] == [path for path, _ in results[1]]
    for (_, a), (_, b) in zip(*results, strict=True):
        assert_close(a, b)
    shapes = {"a": (5, 3), "b": (5, 3)} if structure == "dict" else [(5, 3), (5, 3)]
    assert ours.compute_output_shape(shapes) == theirs.compute_output_shape(shapes)
    assert len(ours.inputs) == 2 and ours.name == "it" and ours.operations


def test_of_layers_and_within_a_graph():
    x = convia.Input((4,))
    function = Function(x, convia.layers.Dense(2)(x))
    value = torch.randn(3, 4)
    y = convia.Input((4,))
    model = convia.Model(y, function(y) + 1)
    assert_close(model(value), function(value) + 1)


def test_sources():
    a, b = convia.Input((2,)), convia.KerasTensor((None, 2))
    c = convia.layers.Dense(2)(a) + b + a
    assert [id(t) for t in get_source_inputs(c)] == [id(a), id(b)]
    assert get_source_inputs(a)[0] is a
    assert get_source_inputs(1) == 1
    d = keras.Input((2,))
    assert keras.utils.get_source_inputs(keras.layers.Dense(2)(d))[0] is d


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda x, y: Function([], y), "'inputs'.*at least one tensor"),
        (lambda x, y: Function(x, []), "'outputs'.*at least one tensor"),
        (lambda x, y: Function(convia.Input((2,)), y), "disconnected"),
        (lambda x, y: Function([x], y)(np.ones((1, 2))), "another structure"),
        (lambda x, y: Function(x, y)(np.ones((1, 3))), r"shape \(1, 3\)"),
    ],
)
def test_messages(make, words):
    x = convia.Input((2,))
    with pytest.raises(ValueError, match=words):
        make(x, convia.ops.exp(x))


def test_an_error_of_shapes_is_raised_and_not_logged(caplog, capfd):
    with pytest.raises(Exception, match="4"):
        convia.Input((4,)) + convia.Input((3,))
    assert not caplog.records and not capfd.readouterr().err
