import keras
import numpy as np
import pytest
import torch
from oracle import against_keras, assert_close, compare_config, compare_layer, compare_symbolic, random_inputs

from convia.graph import Input
from convia.layers import merge

FULL = [(2, 4, 5, 3)] * 3
CASES = [
    ("Add", {}, FULL),
    ("Add", {}, [(2, 4), (2, 4)]),
    ("Add", {}, [(2, 4, 5, 3), (2, 1, 1, 3)]),
    ("Add", {}, [(2, 4, 3), (2, 3)]),
    ("Multiply", {}, FULL),
    ("Multiply", {}, [(2, 3), (2, 4, 5, 3), (2, 1, 3)]),
    ("Subtract", {}, FULL[:2]),
    ("Multiply", {}, [(2, 4), (2, 4)]),
    ("Subtract", {}, [(2, 3), (2, 5, 3)]),
    ("Subtract", {}, [(2, 4, 1, 3), (2, 1, 5, 3)]),
    *(
        (name, {}, shapes)
        for name in ("Average", "Maximum", "Minimum")
        for shapes in (FULL, [(2, 4, 3), (2, 1, 3)], [(2, 3), (2, 5, 3)])
    ),
    ("Concatenate", {}, FULL),
    ("Concatenate", {"axis": 1}, [(2, 4, 3), (2, 1, 3)]),
    ("Concatenate", {"axis": -2}, [(2, 4, 3), (2, 1, 3), (2, 2, 3)]),
    ("Dot", {"axes": 1}, [(2, 3), (2, 3)]),
    ("Dot", {"axes": -1}, [(2, 5, 3), (2, 4, 3)]),
    ("Dot", {"axes": (1, 2)}, [(2, 3, 5), (2, 10, 3)]),
    ("Dot", {"axes": (-1, 1), "normalize": True}, [(2, 4, 5, 3), (2, 3, 6)]),
    ("Dot", {"axes": (1, 2)}, [(2, 3), (2, 6, 3)]),
    ("Dot", {"axes": (2, 1)}, [(2, 6, 3), (2, 3)]),
]


@against_keras(("name", "arguments", "shapes"), CASES)
def test_equals_keras(name, arguments, shapes):
    ours, theirs = (getattr(module, name)(**arguments, name="it") for module in (merge, keras.layers))
    compare_config(ours, theirs)
    for training in (False, True):
        compare_layer(ours, theirs, *random_inputs(*shapes), training=training)


@pytest.mark.parametrize(("name", "arguments", "shapes"), CASES)
@pytest.mark.parametrize("batch", [None, 7])
def test_symbolic_shapes_equal_those_of_keras(name, arguments, shapes, batch):
    shapes = [(batch, *shape[1:]) for shape in shapes]
    compare_symbolic(getattr(merge, name)(**arguments), getattr(keras.layers, name)(**arguments), *shapes)


@pytest.mark.parametrize("name", ["Add", "Concatenate"])
def test_unknown_sizes_stay_unknown(name):
    shapes = [(None, None, 5, 3), (None, 8, None, 3)]
    if name == "Concatenate":  # where one input knows a size and Keras takes the first input's, we take the known one
        assert merge.Concatenate()([Input(shape[1:]) for shape in shapes]).shape == (None, 8, 5, 6)
    else:
        compare_symbolic(getattr(merge, name)(), getattr(keras.layers, name)(), *shapes)


@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "average", "maximum", "minimum", "concatenate", "dot"])
def test_functions_equal_the_layers(name):
    x, y = map(torch.tensor, random_inputs((2, 4), (2, 4)))
    assert_close(getattr(merge, name)([x, y]), getattr(keras.layers, name)([x, y]))


def test_gradients_are_shared_where_inputs_tie():
    x, y = (torch.ones(2, 3, requires_grad=True) for _ in range(2))
    merge.Maximum()([x, y]).sum().backward()
    assert torch.equal(x.grad, y.grad)


def test_a_list_of_one_and_arrays():
    array = np.ones((2, 3), "float32")
    assert torch.equal(merge.Add()([array]), torch.ones(2, 3))
    assert torch.equal(merge.Average()((array, array)), torch.ones(2, 3))


@pytest.mark.parametrize(
    ("layer", "shapes", "words"),
    [
        (merge.Add(), [(2, 3), (2, 4)], ["(2, 3)", "(2, 4)", "equal or 1"]),
        (merge.Add(), [(2, 3), (4, 3)], ["(2, 3)", "(4, 3)", "one batch size"]),
        (merge.Subtract(), [(2, 3)] * 3, ["3 tensors", "exactly 2"]),
        (merge.Concatenate(), [(2, 3, 1), (2, 4, 1)], ["(2, 3, 1)", "(2, 4, 1)", "equal sizes on every axis but -1"]),
        (merge.Concatenate(), [(2, 3), (2, 3, 1)], ["same number of dimensions"]),
        (merge.Dot(1), [(2, 3), (2, 4)], ["(2, 3)", "(2, 4)", "equal sizes"]),
        (merge.Dot(2), [(2, 3), (2, 3)], ["tensors that have the axes 2"]),
    ],
)
@pytest.mark.parametrize("symbolic", [False, True])
def test_shapes_that_do_not_fit(layer, shapes, words, symbolic):
    layer = type(layer).from_config(layer.get_config())
    inputs = [Input(batch_shape=shape) if symbolic else torch.zeros(shape) for shape in shapes]
    with pytest.raises(ValueError) as error:
        layer(inputs)
    assert all(word in str(error.value) for word in [layer.name, *words])


def test_shapes_are_checked_on_every_call():
    layer = merge.Add()
    layer([torch.zeros(2, 3), torch.zeros(2, 3)])
    with pytest.raises(ValueError, match=r"\(2, 5\).*equal or 1"):
        layer([torch.zeros(2, 3), torch.zeros(2, 5)])


@pytest.mark.parametrize("inputs", [torch.zeros(2, 3), Input((3,))])
def test_a_single_tensor_is_refused(inputs):
    with pytest.raises(ValueError, match=r"a single tensor.*a list of tensors.*Add\(\)\(\[x, y\]\)"):
        merge.Add()(inputs)


@pytest.mark.parametrize(("axes", "kind"), [(0, ValueError), ((1, 2, 3), ValueError), ("x", TypeError)])
def test_axes_of_dot(axes, kind):
    with pytest.raises(kind, match="Dot, argument 'axes'"):
        merge.Dot(axes)
