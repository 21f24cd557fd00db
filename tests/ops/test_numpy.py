"""The NumPy-like operations against Keras on torch, or against NumPy where Keras on torch differs from it."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from convia import ops

from .oracle import bools, check_symbolic, check_values, floats, holes, ints, row_id, units

REAL = """absolute angle arcsinh arctan cbrt ceil copy cos cosh deg2rad exp exp2 expm1 fabs floor i0 isfinite isinf isnan
isneginf isposinf isreal negative rad2deg real reciprocal round sign signbit sin sinc sinh square tan tanh trunc
logical_not nan_to_num""".split()
UNIT = "arccos arcsin arctanh log log10 log1p log2 sqrt".split()
PAIRS = """add arctan2 divide divide_no_nan equal floor_divide fmax fmin fmod greater greater_equal heaviside hypot
isclose less less_equal logaddexp logaddexp2 logical_and logical_or logical_xor maximum minimum mod multiply nextafter
not_equal subtract true_divide allclose""".split()
BITS = """bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift left_shift right_shift gcd lcm
""".split()
REDUCTIONS = "all amax amin any max mean median min nanmax nanmean nanmin nansum nanvar nanstd prod ptp std sum var".split()
HOLES = "nanmax nanmin nanmean nanmedian nansum nanprod nanstd nanvar nanargmax nanargmin".split()
POSITIONS = "argmax argmin".split()
AXES = [{}, {"axis": 0}, {"axis": -1}, {"axis": 1, "keepdims": True}, {"axis": (0, 2)}, {"axis": [1, 2], "keepdims": True}]

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
    *[(name, (value,), axes) for name in ("sort", "argsort") for value in (x, n) for axes in ({}, {"axis": 0}, {"axis": None})],
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
    ("repeat", (x, [1, 2, 0]), {"axis": 1}),
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
    ("einsum", ("ij->j", ints(2, 3, dtype="int8")), {}),
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
    *[("linspace", (0, 1), {"num": 5, "endpoint": end, "retstep": True}) for end in (True, False)],
    ("linspace", ([0.0, 1.0], [1.0, 3.0]), {"num": 4}),
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


SYMBOLIC = [row for row in ELEMENTWISE + ALONG + SHAPES + PRODUCTS if isinstance(row[1][0], np.ndarray)]


@pytest.mark.parametrize("row", SYMBOLIC, ids=row_id)
def test_symbolic_shapes_and_types_equal_keras(row: tuple) -> None:
    check_symbolic(row)
