"""Types, slices, scattered values and control flow against Keras on torch."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import itertools

import keras
import numpy as np
import pytest
import torch

from convia import config, ops
from convia.graph import Graph
from convia.ops.door import result_type
from convia.symbolic import KerasTensor

from .oracle import check_symbolic, check_values, floats, ints, row_id

x = floats(4, 3, 5)
ROWS = [
    *[("cast", (value, dtype), {}) for value in (x, ints(3)) for dtype in ("int32", "float16", "bool")],
    *[
        ("saturate_cast", (value, dtype), {})
        for value in (x * 300, ints(9, low=-400, high=400))
        for dtype in ("uint8", "int8")
    ],
    ("slice", (x, (1, 0, 2), (2, 3, 3)), {}),
    ("slice_update", (x, (1, 0, 2), floats(2, 2, 3)), {}),
    ("scatter", (np.array([[0, 1], [2, 0], [0, 1]]), floats(3), (3, 2)), {}),
    ("scatter", (np.array([[1], [3]]), floats(2, 5), (4, 5)), {}),
    *[
        ("scatter_update", (x[0], np.array([[0, 1], [2, 4]]), floats(2)), {"reduction": r})
        for r in (None, "add", "max", "MIN", "mul")
    ],
    *[
        ("scatter_update", (x, np.array([[0], [2], [2]]), floats(3, 3, 5)), {"reduction": r})
        for r in ("add", "max", "mul")
    ],
    ("unstack", (x,), {"axis": 1}),
    ("stop_gradient", (x,), {}),
    ("rearrange", (floats(2, 6, 8), "b (h p) c -> b h (c p)"), {"p": 2}),
    ("rearrange", (floats(2, 3, 4), "a b c -> c a b"), {}),
    ("convert_to_tensor", (x,), {"dtype": "float16"}),
]
SYMBOLIC_IN_KERAS = [row for row in ROWS if row[0] not in ("rearrange", "scatter_update", "scatter")]


@pytest.mark.parametrize("row", ROWS, ids=row_id)
def test_equals_keras(row: tuple) -> None:
    check_values(row)


@pytest.mark.parametrize("row", SYMBOLIC_IN_KERAS, ids=row_id)
def test_symbolic_shapes_and_types_equal_keras(row: tuple) -> None:
    check_symbolic(row)


VALUES = [
    1,
    2.5,
    True,
    3 + 1j,
    2**40,
    [1, 2],
    [1.0, 2],
    [True, False],
    [],
    [[1], [2]],
    (1, 2.0),
    np.float64(2),
    np.arange(3),
    np.ones(2, "float32"),
    np.array([1, 2], "uint8"),
    np.array([1], "uint32"),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_conversion_gives_the_types_of_keras(value: object) -> None:
    ours, theirs = ops.convert_to_tensor(value), keras.ops.convert_to_tensor(value)
    assert ours.dtype == theirs.dtype
    assert torch.equal(ours, theirs)


KINDS = [
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "bfloat16",
    "float16",
    "float32",
    "float64",
    int,
    float,
    bool,
]


@pytest.mark.parametrize("pair", list(itertools.product(KINDS, KINDS)), ids=str)
def test_result_type_equals_keras(pair: tuple) -> None:
    assert result_type(*pair) == keras.backend.result_type(*pair)


def test_float_type_is_that_of_the_configuration() -> None:
    config.set_floatx("float16")
    assert ops.zeros(2).dtype == ops.convert_to_tensor(1.0).dtype == torch.float16
    assert result_type("int32", float) == "float16"


def test_saturating_a_wider_type_changes_nothing() -> None:
    assert ops.saturate_cast([-300, 2**31 - 1], "float32").tolist() == [-300.0, 2.0**31]
    assert ops.saturate_cast([-np.inf, 3e9, 7.9], "int32").tolist() == [-(2**31), 2**31 - 1, 7]


def test_facts() -> None:
    symbol = KerasTensor((None, 3))
    assert ops.shape(symbol) == (None, 3)
    assert ops.shape(x) == x.shape
    assert ops.ndim(symbol) == 2
    assert ops.dtype(torch.ones(1)) == "float32"
    assert ops.is_tensor(torch.ones(1)) and not ops.is_tensor(x) and not ops.is_tensor(symbol)
    assert isinstance(ops.convert_to_numpy(torch.ones(2, requires_grad=True)), np.ndarray)
    assert ops.convert_to_numpy([torch.ones(2), torch.zeros(2)]).tolist() == [[1, 1], [0, 0]]
    assert ops.convert_to_numpy(torch.ones(2, dtype=torch.bfloat16)).dtype == np.float32


def both(call: object) -> tuple:
    return call(ops), call(keras.ops)


CONTROL = {
    "cond": lambda o: o.cond(o.sum(x) > 1e9, lambda: 1, lambda: 2),
    "switch": lambda o: o.switch(5, [lambda a: a, lambda a: a + 1], 3.0),
    "while": lambda o: o.while_loop(lambda i, v: i < 5, lambda i, v: (i + 1, v * 2), (0, 1.0))[1],
    "while one": lambda o: o.while_loop(lambda i: i < 5, lambda i: i + 2, 0),
    "while limited": lambda o: o.while_loop(lambda i: i < 5, lambda i: i + 1, 0, maximum_iterations=3),
    "fori": lambda o: o.fori_loop(2, 5, lambda i, v: v + i, 1),
    "map": lambda o: o.map(o.sum, x),
    "vectorized_map": lambda o: o.vectorized_map(lambda row: row.sum(), o.convert_to_tensor(x)),
    "scan": lambda o: o.scan(lambda c, v: (c + v, c * 2), o.zeros((3, 5)), o.convert_to_tensor(x))[1],
    "scan back": lambda o: o.scan(lambda c, v: (c + v, c * 2), o.zeros((3, 5)), o.convert_to_tensor(x), reverse=True)[
        1
    ],
    "scan length": lambda o: o.scan(lambda c, v: (c * 2, c), o.ones((1,)), length=4)[1],
    "associative_scan": lambda o: o.associative_scan(o.add, o.convert_to_tensor(x), axis=1),
    "associative_scan back": lambda o: o.associative_scan(o.add, o.convert_to_tensor(x), reverse=True),
}


@pytest.mark.parametrize("name", CONTROL)
def test_control_flow_equals_keras(name: str) -> None:
    ours, theirs = both(CONTROL[name])
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_control_flow_of_several_tensors() -> None:
    totals, counts = ops.associative_scan(lambda a, b: (a[0] + b[0], a[1] * b[1]), (x, x))
    np.testing.assert_allclose(totals, x.cumsum(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(counts, x.cumprod(0), rtol=1e-5, atol=1e-6)


def test_control_flow_in_a_graph() -> None:
    k = KerasTensor((2, 3))
    out = ops.while_loop(lambda v: ops.sum(v) < 100, lambda v: v * 2, k)
    out = ops.cond(ops.sum(k) > 0, lambda: ops.ones((2, 3)), lambda: ops.zeros((2, 3))) + out
    assert out.shape == (2, 3)
    assert ops.scan(lambda c, v: (c + v, c), ops.zeros(3), k)[1].shape == (2, 3)


def test_a_graph_of_operations_runs() -> None:
    from convia.graph import Input

    k = Input((3,))
    graph = Graph(k, ops.sum(ops.relu(k * 2 - 1), axis=-1))
    data = torch.tensor([[1.0, 2.0, 0.0]])
    assert graph.run([data]).tolist() == [4.0]


def test_custom_gradient() -> None:
    @ops.custom_gradient
    def log1pexp(v: torch.Tensor) -> tuple:
        return torch.log(1 + torch.exp(v)), lambda v, upstream: upstream * torch.sigmoid(v)

    v = torch.tensor([1.0, 100.0], requires_grad=True)
    log1pexp(v).sum().backward()
    torch.testing.assert_close(v.grad, torch.tensor([0.7310586, 1.0]))


ERRORS = [
    (ValueError, lambda: ops.convert_to_tensor(x, sparse=True), "convert_to_tensor: received sparse=True"),
    (ValueError, lambda: ops.scatter_update(x, [[0]], x[:1], "mean"), "scatter_update: received reduction='mean'"),
    (TypeError, lambda: ops.scan(3, 0, x), "scan, argument 'f': received 3"),
    (ValueError, lambda: ops.scan(len, 0), "scan: received neither xs nor length"),
    (ValueError, lambda: ops.scan(len, 0, x, unroll=0), "scan, argument 'unroll': received 0"),
    (TypeError, lambda: ops.associative_scan(3, x), "associative_scan, argument 'f': received 3"),
    (ValueError, lambda: ops.associative_scan(max, (x, x[:2])), "associative_scan: received shapes"),
]


@pytest.mark.parametrize(("kind", "wrong", "message"), ERRORS, ids=[message[:30] for *_, message in ERRORS])
def test_errors_teach(kind: type, wrong: object, message: str) -> None:
    with pytest.raises(kind, match=message):
        wrong()


def test_graphs_of_operations_have_configs() -> None:
    from convia.graph import Input
    from convia.models import Model

    k = Input((4, 4, 2))
    h = ops.abs(ops.average_pool(k * 2, 2, padding="same")) @ np.ones((2, 3), "float32")
    model = Model(k, ops.concatenate([ops.mean(h, axis=(1, 2)), ops.image.rgb_to_grayscale(h)[:, 0, 0]], axis=-1))
    copy = Model.from_config(model.get_config())
    data = torch.rand(2, 4, 4, 2)
    assert [layer.name for layer in copy.graph.operations] == [layer.name for layer in model.graph.operations]
    torch.testing.assert_close(copy(data), model(data))
