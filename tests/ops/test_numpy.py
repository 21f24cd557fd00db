"""The NumPy-like operations against Keras on torch, or against NumPy where Keras on torch differs from it."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from convia import ops
from convia.symbolic import KerasTensor

from .oracle import bools, check_symbolic, check_symbolic_like_eager, check_values, floats, holes, ints, row_id, units

REAL = [
    "absolute",
    "angle",
    "arcsinh",
    "arctan",
    "cbrt",
    "ceil",
    "copy",
    "cos",
    "cosh",
    "deg2rad",
    "exp",
    "exp2",
    "expm1",
    "fabs",
    "floor",
    "i0",
    "isfinite",
    "isinf",
    "isnan",
    "isneginf",
    "isposinf",
    "isreal",
    "negative",
    "rad2deg",
    "real",
    "reciprocal",
    "round",
    "sign",
    "signbit",
    "sin",
    "sinc",
    "sinh",
    "square",
    "tan",
    "tanh",
    "trunc",
    "logical_not",
    "nan_to_num",
]
UNIT = ["arccos", "arcsin", "arctanh", "log", "log10", "log1p", "log2", "sqrt"]
PAIRS = [
    "add",
    "arctan2",
    "divide",
    "divide_no_nan",
    "equal",
    "floor_divide",
    "fmax",
    "fmin",
    "fmod",
    "greater",
    "greater_equal",
    "heaviside",
    "hypot",
    "isclose",
    "less",
    "less_equal",
    "logaddexp",
    "logaddexp2",
    "logical_and",
    "logical_or",
    "logical_xor",
    "maximum",
    "minimum",
    "mod",
    "multiply",
    "nextafter",
    "not_equal",
    "subtract",
    "true_divide",
    "allclose",
]
BITS = [
    "bitwise_and",
    "bitwise_or",
    "bitwise_xor",
    "bitwise_left_shift",
    "bitwise_right_shift",
    "left_shift",
    "right_shift",
    "gcd",
    "lcm",
]
REDUCTIONS = [
    "all",
    "amax",
    "amin",
    "any",
    "max",
    "mean",
    "median",
    "min",
    "nanmax",
    "nanmean",
    "nanmin",
    "nansum",
    "nanvar",
    "nanstd",
    "prod",
    "ptp",
    "std",
    "sum",
    "var",
]
HOLES = ["nanmax", "nanmin", "nanmean", "nanmedian", "nansum", "nanprod", "nanstd", "nanvar", "nanargmax", "nanargmin"]
POSITIONS = ["argmax", "argmin"]
AXES = [
    {},
    {"axis": 0},
    {"axis": -1},
    {"axis": 1, "keepdims": True},
    {"axis": (0, 2)},
    {"axis": [1, 2], "keepdims": True},
]

x, y, n, b = floats(2, 3, 4), floats(3, 4), ints(2, 3, 4), bools(2, 3, 4)
u, v, m, c = units(2, 3, 4), floats(5), floats(4, 4), (floats(3, 2) + 1j * floats(3, 2)).astype("complex64")

ELEMENTWISE = [
    *[(name, (value,), {}) for name in REAL for value in (x, n)],
    *[(name, (u,), {}) for name in UNIT],
    ("sqrt", (n,), {}),
    ("arccosh", (n,), {}),
    *[(name, (b,), {}) for name in ("absolute", "exp", "square", "logical_not", "trunc", "isnan", "cbrt", "floor")],
    *[(name, (c,), {}) for name in ("conj", "conjugate", "imag", "real", "angle")],
    ("round", (x,), {"decimals": 2}),
    ("round", (n,), {"decimals": -1}),
    ("bitwise_not", (n,), {}),
    ("bitwise_invert", (n,), {}),
    *[(name, pair, {}) for name in PAIRS for pair in ((x, y), (n, ints(3, 4)), (n, y), (x, 2), (n, 3))],
    *[(name, (2.5, u), {}) for name in ("add", "subtract", "multiply", "divide", "power", "maximum", "less")],
    *[(name, (b, n), {}) for name in ("add", "subtract", "multiply", "maximum", "equal", "logical_and")],
    *[(name, (floats(3, dtype="float16"), 2.0), {}) for name in ("add", "multiply", "maximum", "divide")],
    *[(name, (n, ints(3, 4, high=5)), {}) for name in BITS],
    ("power", (u, y), {}),
    ("power", (n, 2), {}),
    ("ldexp", (x, ints(3, 4)), {}),
    ("clip", (x, -0.5, 0.5), {}),
    ("clip", (n, 2, 4), {}),
    ("nan_to_num", (holes(2, 3),), {"nan": 3.0}),
    ("where", (b, x, n), {}),
    ("where", (b, x, 0), {}),
    ("select", ([b, ~b], [x, 2 * x]), {"default": 1.0}),
]
ALONG = [
    *[(name, (value,), axes) for name in REDUCTIONS for axes in AXES for value in (x, n)],
    *[(name, (b,), {"axis": 1}) for name in ("all", "any", "mean", "sum", "prod", "std", "var")],
    *[(name, (ints(2, 3, dtype="uint8"),), {}) for name in ("sum", "prod", "mean", "max", "cumsum")],
    *[(name, (x,), {"axis": ()}) for name in ("sum", "mean", "amax", "max", "var")],
    *[(name, (holes(4, 3),), axes) for name in HOLES for axes in ({}, {"axis": 0}, {"axis": 1, "keepdims": True})],
    *[(name, (x,), axes) for name in POSITIONS for axes in AXES[:4]],
    ("max", (x,), {"axis": 0, "initial": 0.5}),
    ("min", (x,), {"initial": -0.5}),
    ("prod", (n,), {"axis": 0, "dtype": "float32"}),
    ("average", (x,), {"axis": 1}),
    ("average", (v,), {"weights": units(5)}),
    ("count_nonzero", (b,), {}),
    ("count_nonzero", (b[0],), {"axis": 0}),
    *[(name, (value,), axes) for name in ("cumsum", "cumprod") for value in (x, n, b) for axes in ({}, {"axis": 1})],
    ("cumsum", (n,), {"axis": 0, "dtype": "float32"}),
    *[(name, (holes(4, 3),), {"axis": 1}) for name in ("nancumsum", "nancumprod")],
    *[
        (name, (value,), axes)
        for name in ("sort", "argsort")
        for value in (x, n)
        for axes in ({}, {"axis": 0}, {"axis": None})
    ],
    *[("quantile", (x, q), axes) for q in (0.3, [0.1, 0.5]) for axes in AXES],
    ("quantile", (x, 0.3), {"method": "lower"}),
    ("percentile", (x, 30), {"axis": 1}),
    ("nanquantile", (holes(4, 3), 0.4), {"axis": 0}),
    ("nanpercentile", (holes(4, 3), [10, 90]), {"axis": 0}),
    ("diff", (x,), {}),
    ("diff", (x,), {"n": 2, "axis": 1}),
    ("trapezoid", (x,), {}),
    ("trapezoid", (x,), {"dx": 0.5, "axis": 1}),
    ("trapezoid", (x, floats(4)), {}),
    ("trace", (x,), {}),
    ("trace", (n,), {"offset": 1, "axis1": 1, "axis2": 2}),
    ("bincount", (ints(9),), {"minlength": 12}),
    ("bincount", (ints(5),), {"weights": units(5)}),
    ("histogram", (v,), {"bins": 4}),
    ("histogram", (v,), {"bins": 3, "range": (-1, 1)}),
    ("corrcoef", (m,), {}),
    ("searchsorted", (np.sort(v), floats(2, 3)), {}),
    ("searchsorted", (np.sort(v), floats(2, 3)), {"side": "right"}),
    ("digitize", (x, np.sort(v)), {}),
]
SHAPES = [
    ("append", (x, 2 * x), {}),
    ("append", (x, 2 * x), {"axis": 1}),
    ("concatenate", ([x, x],), {"axis": -1}),
    ("stack", ([x, x],), {"axis": 1}),
    *[(name, ([x, x],), {}) for name in ("hstack", "vstack", "dstack")],
    *[("split", (floats(4, 6), cut), {"axis": 1}) for cut in (3, [1, 4])],
    ("array_split", (floats(7, 2), 3), {}),
    ("hsplit", (floats(2, 4), 2), {}),
    ("vsplit", (floats(4, 2), [1]), {}),
    ("dsplit", (floats(2, 2, 4), 2), {}),
    *[("reshape", (x, shape), {}) for shape in ((6, 4), (-1, 2), 24, (4, -1))],
    ("transpose", (x,), {}),
    ("transpose", (x,), {"axes": (1, 0, 2)}),
    ("moveaxis", (x, 0, -1), {}),
    ("moveaxis", (x, (0, 1), (2, 0)), {}),
    ("swapaxes", (x, 0, 2), {}),
    *[("expand_dims", (x, axis), {}) for axis in (0, -1, (0, 2))],
    ("squeeze", (floats(1, 3, 1),), {}),
    ("squeeze", (floats(1, 3, 1),), {"axis": 0}),
    ("ravel", (x,), {}),
    ("broadcast_to", (y, (5, 3, 4)), {}),
    *[("flip", (x,), axes) for axes in ({}, {"axis": 1}, {"axis": (0, 1)})],
    ("fliplr", (m,), {}),
    ("flipud", (m,), {}),
    ("rot90", (m,), {"k": 3}),
    ("rot90", (x,), {"axes": (1, 2)}),
    ("roll", (x, 2), {}),
    ("roll", (x, -1), {"axis": 1}),
    ("repeat", (x, 2), {}),
    ("repeat", (x, 2), {"axis": 1}),
    ("tile", (y, 2), {}),
    ("tile", (y, (2, 1, 3)), {}),
    ("pad", (x, ((0, 0), (1, 2), (0, 1))), {}),
    ("pad", (m, ((1, 0), (2, 2))), {"constant_values": 7}),
    ("pad", (m, ((1, 2), (0, 1))), {"mode": "reflect"}),
    ("pad", (m, ((1, 1), (1, 1))), {"mode": "symmetric"}),
    ("take", (x, [0, 2, -1]), {"axis": 1}),
    ("take", (x, ints(2, 2, high=4)), {}),
    ("take", (m, ints(2, 2, high=4)), {"axis": 0}),
    ("take_along_axis", (x, ints(2, 3, 1, high=4, dtype="int64")), {"axis": 2}),
    ("get_item", (x, (0, slice(1, 3))), {}),
    ("isin", (n, [1, 2, 3]), {}),
    ("isin", (n, [1, 2, 3]), {"invert": True}),
    ("unravel_index", (ints(4), (3, 4)), {}),
    ("vander", (v,), {}),
    ("vander", (v,), {"N": 3, "increasing": True}),
    *[("diag", (value,), {"k": 1}) for value in (v, m)],
    ("diagflat", (m,), {}),
    ("diagonal", (x,), {"offset": 1, "axis1": 1, "axis2": 2}),
    ("tril", (m,), {"k": -1}),
    ("triu", (x,), {}),
    ("full_like", (n, 3), {}),
    ("full_like", (n, 3.5), {"dtype": "float32"}),
    *[(name, (value,), {}) for name in ("zeros_like", "ones_like") for value in (x, n)],
    ("zeros_like", (x,), {"dtype": "int32"}),
    ("meshgrid", (v, v[:2]), {}),
    ("meshgrid", (v, v[:2]), {"indexing": "ij"}),
    *[("unique", (ints(9),), {}), ("unique", (ints(9),), {"return_inverse": True, "return_counts": True})],
    ("unique", (np.array([3, 1, 3, 2]),), {"size": 2}),
    ("unique", (np.array([3, 1, 3, 2]),), {"size": 5, "fill_value": -1, "return_counts": True}),
    ("unique", (np.array([3, 1, 3, 2]),), {"return_index": True}),
]
PRODUCTS = [
    *[("matmul", pair, {}) for pair in ((x, m), (m, v[:4]), (ints(2, 3), ints(3, 4)), (bools(2, 2), bools(2, 2)))],
    ("matmul", (ints(2, 3, dtype="int8"), ints(3, 4, dtype="int8")), {}),
    *[("dot", pair, {}) for pair in ((m, m), (v, v), (x, 2.0), (ints(2, 3), ints(3, 4)), (x, v[:4]))],
    *[("tensordot", (x, floats(3, 4, 2)), {"axes": axes}) for axes in (2, ((1, 2), (0, 1)), (2, 1))],
    ("inner", (x, m), {}),
    ("outer", (v, y), {}),
    ("kron", (m, floats(2, 3)), {}),
    ("vdot", (v, v), {}),
    ("cross", (floats(4, 3), floats(4, 3)), {"axis": 1}),
    ("einsum", ("ij,kj->ik", m, y), {}),
    *[("correlate", (floats(6), floats(3)), {"mode": mode}) for mode in ("valid", "same", "full")],
]
MADE = [
    *[(name, ((2, 3),), {}) for name in ("zeros", "ones")],
    ("zeros", (3,), {"dtype": "int32"}),
    ("full", ((2, 3), 1.5), {}),
    ("eye", (3,), {}),
    ("eye", (3, 5), {"k": 1}),
    ("eye", (4, 3), {"k": -2, "dtype": "int32"}),
    ("identity", (3,), {}),
    ("tri", (3, 4), {"k": 1}),
    *[("arange", args, {}) for args in ((5,), (1, 7, 2), (0.0, 1.0, 0.25), (3.0,))],
    ("arange", (5,), {"dtype": "float32"}),
    *[("linspace", (0, 1), {"num": 5, "endpoint": end}) for end in (True, False)],
    ("logspace", (0, 2), {"num": 4}),
    ("logspace", (0, 2), {"num": 4, "base": 2, "endpoint": False}),
    ("geomspace", (1, 100), {"num": 3}),
    *[(name, (6,), {}) for name in ("bartlett", "blackman", "hamming", "hanning")],
    ("kaiser", (6, 8.0), {}),
    ("array", ([1, 2],), {}),
    ("array", ([1, 2.5],), {}),
    ("ndim", (x,), {}),
]


@pytest.mark.parametrize("row", ELEMENTWISE + ALONG + SHAPES + PRODUCTS + MADE, ids=row_id)
def test_equals_keras(row: tuple) -> None:
    scale = row[0] in ("sinh", "cosh", "exp", "kaiser", "logspace", "geomspace", "prod", "cumprod", "i0", "tan")
    check_values(row, tolerance=1e-5 if scale else 1e-6)


REFUSED = (  # by Keras on symbolic tensors, or by any library: the shape depends on the numbers
    "imag",
    "real",
    "angle",
    "heaviside",
    "hypot",
    "bincount",
    "unique",
    "tensordot",
)
SYMBOLIC = [row for row in ELEMENTWISE + ALONG + SHAPES + PRODUCTS if isinstance(row[1][0], np.ndarray)]


@pytest.mark.parametrize("row", [row for row in SYMBOLIC if row[0] not in REFUSED], ids=row_id)
def test_symbolic_shapes_and_types_equal_keras(row: tuple) -> None:
    check_symbolic(row)


SELF_CONSISTENT = [row for row in SYMBOLIC if row[0] in ("imag", "real", "angle", "heaviside", "hypot", "tensordot")]


@pytest.mark.parametrize("row", SELF_CONSISTENT, ids=row_id)
def test_symbolic_shapes_equal_the_computed_ones(row: tuple) -> None:
    check_symbolic_like_eager(row)


BATCHED = [
    row
    for row in SYMBOLIC
    if row[0] in ["exp", "add", "sum", "mean", "reshape", "concatenate", "expand_dims", "flip", "matmul"]
]


@pytest.mark.parametrize("row", [row for row in BATCHED if len(row[1]) < 2 or row[0] == "expand_dims"], ids=row_id)
def test_unknown_batch_size(row: tuple) -> None:
    check_symbolic(row, batch=True)


AGAINST_NUMPY = [
    ("sum", (x,), {"keepdims": True}),
    ("amax", (x,), {"keepdims": True}),
    ("count_nonzero", (b,), {"axis": 0}),
    ("linspace", (np.array([0.0, 1.0]), np.array([1.0, 3.0])), {"num": 4}),
    ("linspace", (np.array([0.0, 1.0]), np.array([1.0, 3.0])), {"num": 4, "axis": 1, "endpoint": False}),
    ("logspace", (np.array([0.0, 1.0]), np.array([1.0, 2.0])), {"num": 3, "axis": 1}),
    ("geomspace", (np.array([1.0, 10.0]), np.array([100.0, 1000.0])), {"num": 3}),
    ("linspace", (0, 1), {"num": 4, "retstep": True}),
    ("repeat", (x, [1, 2, 0]), {"axis": 1}),
    ("pad", (m, ((3, 2), (0, 4))), {"mode": "symmetric"}),
    ("pad", (m, ((3, 2), (1, 4))), {"mode": "wrap"}),
    ("pad", (m, 2), {"mode": "edge"}),
    ("pad", (m, 2), {}),
    ("tensordot", (x, floats(4, 2)), {"axes": (2, 0)}),
    ("dot", (x, floats(2, 4, 3)), {}),
    ("cross", (floats(4, 3), floats(4, 3)), {}),
    ("cross", (floats(3, 4), floats(3, 4)), {"axisa": 0, "axisb": 0, "axisc": 0}),
    ("average", (x,), {"axis": 1, "weights": units(3)}),
    ("correlate", (floats(3), floats(6)), {"mode": "full"}),
    ("median", (floats(4, 4),), {"axis": 0}),
    ("histogram", (ints(20, high=4),), {"bins": 3}),
    ("fmax", (holes(3, 4), floats(4)), {}),
]


@pytest.mark.parametrize("row", AGAINST_NUMPY, ids=row_id)
def test_equals_numpy(row: tuple) -> None:
    name, args, kwargs = row
    ours, theirs = (getattr(module, name)(*args, **kwargs) for module in (ops, np))
    for mine, other in zip(*(v if isinstance(v, tuple) else (v,) for v in (ours, theirs)), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-6)


shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)


@settings(max_examples=60, deadline=None)
@given(shapes, st.sampled_from(["sum", "mean", "max", "min", "prod", "std", "var", "all", "argmax"]), st.data())
def test_reductions_of_any_shape_equal_numpy(shape: tuple, name: str, data: st.DataObject) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    keepdims = data.draw(st.booleans())
    values = np.random.default_rng(len(shape)).normal(size=shape).astype("float32")
    ours, theirs = (getattr(module, name)(values, axis=axis, keepdims=keepdims) for module in (ops, np))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    shapes,
    st.sampled_from(["add", "subtract", "multiply", "divide", "maximum", "less", "mod", "floor_divide"]),
    st.data(),
)
def test_pairs_of_any_shapes_equal_numpy(shape: tuple, name: str, data: st.DataObject) -> None:
    other = tuple(data.draw(st.sampled_from([size, 1])) for size in shape[data.draw(st.integers(0, len(shape) - 1)) :])
    generator = np.random.default_rng(len(other))
    one, two = (generator.normal(size=s).astype("float32") for s in (shape, other))
    symbolic_result = getattr(ops, name)(KerasTensor(shape), KerasTensor(other))
    expected = getattr(np, name)(one, two)
    result = getattr(ops, name)(one, two)
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)
    assert symbolic_result.shape == expected.shape
    assert symbolic_result.dtype == ops.dtype(result)


def test_symbolic_results_of_operators() -> None:
    k = KerasTensor((None, 3))
    results = [k + 1, 1 + k, k - 1, k * k, 2 / k, k // 2, k % 2, k**2, -k, abs(k), k @ KerasTensor((3, 4))]
    assert [tuple(result.shape) for result in results] == [(None, 3)] * 10 + [(None, 4)]
    assert {result.dtype for result in (k < 1, k <= 1, k > 1, k >= 1, k != 1, ~(k > 1), (k > 1) & (k < 2))} == {"bool"}
    assert (k + 1).node.operation.name.startswith("add")


@pytest.mark.parametrize("value", [[1.0, 2.0], np.array([1.0, 2.0], "float32"), torch.tensor([1.0, 2.0])])
def test_lists_arrays_and_tensors_are_taken(value: object) -> None:
    assert ops.add(value, value).tolist() == ops.add(x1=value, x2=value).tolist() == [2.0, 4.0]
    assert ops.mean(x=value).item() == 1.5


def test_a_list_may_hold_tensors() -> None:
    assert ops.sum([torch.ones(2), torch.ones(2)], axis=0).tolist() == [2.0, 2.0]
    assert ops.sum([KerasTensor((2,)), KerasTensor((2,))], axis=0).shape == (2,)


def test_argpartition() -> None:
    values = floats(3, 9)
    found = np.take_along_axis(values, ops.argpartition(values, 4).numpy(), -1)
    assert (found[:, :5].max(-1) < found[:, 5:].min(-1)).all()


def test_vectorize() -> None:
    assert ops.vectorize(lambda a, c: a * c + 1)([1.0, 2.0], 3.0).tolist() == [4.0, 7.0]
    inner = ops.vectorize(torch.dot, signature="(n),(n)->()")
    np.testing.assert_allclose(inner(x, y), np.einsum("abc,bc->ab", x, y), rtol=1e-5, atol=1e-6)
    assert ops.vectorize(lambda a, k: a + len(k), excluded={1})([1.0, 2.0], "abc").tolist() == [4.0, 5.0]


def test_cross_product_in_the_plane_is_a_number() -> None:
    assert ops.cross([1.0, 2.0], [3.0, 5.0]).item() == -1.0


def test_empty_is_made() -> None:
    assert ops.empty((2, 3)).shape == ops.empty_like(floats(2, 3)).shape == (2, 3)
    assert ops.nonzero(np.array([0, 3, 0, 5])).tolist() == [[1, 3]]
    assert ops.where(np.array([0, 3, 0, 5])).tolist() == [[1, 3]]
    assert ops.size(x).item() == x.size
    assert ops.size(KerasTensor((None, 2))) is None
    assert ops.view(np.array([1.0], "float32"), "int32").tolist() == [0x3F800000]


ERRORS = [
    (lambda: ops.sum(x, axis=5), "argument 'axis': received 5; expected from -3 to 2"),
    (lambda: ops.split(x, 2, axis=1), "split: received size 3 in 2 parts.*array_split"),
    (lambda: ops.array_split(x, 0), "array_split: received 0 parts"),
    (lambda: ops.squeeze(x, 0), r"squeeze: received axis 0 of shape \(2, 3, 4\)"),
    (lambda: ops.rot90(v), r"rot90: received shape \(5,\)"),
    (lambda: ops.pad(m, 1, "edge", 3), "pad: received constant_values with mode='edge'"),
    (lambda: ops.vander(m), "vander: received shape"),
    (lambda: ops.where(b, x), "where: received only one of x1 and x2"),
    (lambda: ops.select([], []), "select, argument 'condlist': received"),
    (lambda: ops.max(ops.zeros((0, 3))), "max or min: received an empty tensor"),
    (lambda: ops.bincount([1, 2], sparse=True), "bincount: received sparse=True"),
    (lambda: ops.histogram(x), "histogram: received bins=10"),
    (lambda: ops.searchsorted(m, 1.0), r"searchsorted: received shape \(4, 4\)"),
    (lambda: ops.vectorize(3), "vectorize, argument 'pyfunc': received 3"),
    (lambda: ops.array("text"), "convert_to_tensor: received 'text'"),
    (lambda: ops.eye(2.0), "eye, argument 'N': received 2.0"),
    (lambda: ops.ldexp(x, x), "ldexp, argument 'x2': received type"),
    (lambda: ops.histogram(v, bins=2.5), "histogram, argument 'bins': received 2.5"),
]


@pytest.mark.parametrize(("wrong", "message"), ERRORS, ids=[message[:30] for _, message in ERRORS])
def test_errors_teach(wrong: object, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        wrong()
