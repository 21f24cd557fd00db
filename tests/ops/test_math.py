"""Segments, Fourier transforms, special functions and matrices against Keras on torch."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import pytest
import torch

from convia import ops

from .oracle import check_symbolic, check_values, floats, ints, row_id, units

x, wave = floats(3, 4), floats(2, 64)
square = floats(2, 4, 4) + 4 * np.eye(4, dtype="float32")
definite = square @ square.transpose(0, 2, 1)
SPECTRUM = [part.numpy() for part in ops.stft(wave, 16, 4, 16)]
SHORTER = [part.numpy() for part in ops.stft(wave, 12, 4, 16)]
SEGMENTS = np.array([0, 2, 0, 1, 2])

ROWS = [
    *[(f"segment_{name}", (floats(5, 3), SEGMENTS), {"num_segments": 4}) for name in ("sum", "max", "min", "prod")],
    *[(f"segment_{name}", (ints(5), SEGMENTS), {"num_segments": 3}) for name in ("sum", "max")],
    *[(name, (value,), {}) for name in ("erf", "erfc") for value in (x,)],
    ("erfinv", (units(3) - 0.5,), {}),
    ("rsqrt", (units(3),), {}),
    *[("logsumexp", (x,), options) for options in ({}, {"axis": 0}, {"axis": (0, 1), "keepdims": True})],
    ("in_top_k", (ints(3, high=4), x, 2), {}),
    ("cdist", (floats(2, 3, 4), floats(2, 5, 4)), {}),
    ("extract_sequences", (wave, 16, 8), {}),
    *[(name, ((floats(3, 8), floats(3, 8)),), {}) for name in ("fft", "fft2", "ifft2")],
    *[("rfft", (wave,), options) for options in ({}, {"fft_length": 48})],
    *[("irfft", ((floats(3, 9), floats(3, 9)),), options) for options in ({}, {"fft_length": 12})],
    *[
        ("stft", (wave, 16, 4, 16), options)
        for options in ({}, {"window": "hamming", "center": False}, {"window": None})
    ],
    ("stft", (floats(2, 3, 64), 12, 4, 16), {}),
    *[
        ("istft", (tuple(SPECTRUM), 16, 4, 16), options)
        for options in ({}, {"length": 50}, {"center": False}, {"window": None})
    ],
    *[("istft", (tuple(SHORTER), 12, 4, 16), options) for options in ({}, {"window": "hamming", "length": 60})],
    ("view_as_complex", (floats(3, 2),), {}),
    ("view_as_real", ((floats(3) + 1j * floats(3)).astype("complex64"),), {}),
    *[(name, (square,), {}) for name in ("det", "inv", "logdet", "slogdet", "lu_factor")],
    ("cholesky", (definite,), {}),
    ("cholesky", (definite,), {"upper": True}),
    ("cholesky_inverse", (np.tril(definite),), {}),
    ("eigh", (definite,), {}),
    *[
        ("norm", (floats(3, 4),), options)
        for options in (
            {},
            {"axis": 1},
            {"ord": 1, "axis": 0, "keepdims": True},
            {"ord": "nuc"},
            {"ord": np.inf, "axis": (0, 1)},
        )
    ],
    ("norm", (ints(3, 4),), {}),
    *[("qr", (floats(5, 3),), {"mode": mode}) for mode in ("reduced", "complete")],
    ("solve", (square, floats(2, 4, 3)), {}),
    ("solve_triangular", (square, floats(2, 4)), {"lower": True}),
    ("solve_triangular", (square, floats(2, 4, 3)), {}),
    ("svd", (floats(4, 3),), {"compute_uv": False}),
    ("svd", (floats(4, 3),), {"full_matrices": False}),
    ("lstsq", (floats(6, 3), floats(6, 2)), {}),
    ("lstsq", (floats(6, 3), floats(6, 2)), {"rcond": 1e-3}),
    ("matrix_rank", (square,), {}),
    ("pinv", (floats(5, 3),), {}),
]
REFUSED = (
    "istft",
    "lstsq",
    "matrix_rank",
    "pinv",
    "view_as_real",
    "fft",
    "fft2",
    "ifft2",
    "irfft",
    "norm",
    "solve_triangular",
    "slogdet",
    "lu_factor",
)


@pytest.mark.parametrize("row", ROWS, ids=row_id)
def test_equals_keras(row: tuple) -> None:
    check_values(row, 1e-4 if row[0] in ("lstsq", "cholesky_inverse", "istft", "cdist") else 2e-5)


@pytest.mark.parametrize("row", [row for row in ROWS if row[0] not in REFUSED], ids=row_id)
def test_symbolic_shapes_and_types_equal_keras(row: tuple) -> None:
    check_symbolic(row)


def test_stft_and_back() -> None:
    np.testing.assert_allclose(ops.istft(SPECTRUM, 16, 4, 16, length=64), wave, rtol=1e-4, atol=1e-5)


def test_top_k() -> None:
    values, positions = ops.top_k(x, 2)
    assert positions.dtype == torch.int32
    torch.testing.assert_close(values, torch.tensor(np.sort(x)[:, :-3:-1].copy()))
    np.testing.assert_array_equal(np.take_along_axis(x, positions.numpy(), -1), values)


def test_eig() -> None:
    values, vectors = ops.eig(square)
    torch.testing.assert_close(torch.tensor(square).to(torch.complex64) @ vectors, vectors * values[:, None])


def test_jvp() -> None:
    value, slope = ops.jvp(lambda v: v**2, ([3.0],), ([1.0],))
    assert (value.item(), slope.item()) == (9.0, 6.0)


def test_segments_are_counted() -> None:
    assert ops.segment_sum([1.0, 2.0, 4.0], [0, 1, 0]).tolist() == [5.0, 2.0]
    assert ops.segment_sum([1.0, 2.0, 4.0], [0, -1, 7], num_segments=2).tolist() == [1.0, 0.0]


ERRORS = [
    (ValueError, lambda: ops.segment_sum(x, [[1]]), "segment_sum: received segment_ids of shape"),
    (ValueError, lambda: ops.cdist(x, x[:, :2]), "cdist: received shapes"),
    (ValueError, lambda: ops.fft(x), "argument 'x': received"),
    (ValueError, lambda: ops.fft((x, x[:2])), "argument 'x': received shapes"),
    (ValueError, lambda: ops.stft(wave, 16, 0, 16), "argument 'sequence_stride': received 0"),
    (ValueError, lambda: ops.stft(wave, 16, 4, 8), "stft: received fft_length=8"),
    (ValueError, lambda: ops.stft(wave, 16, 4, 16, window="box"), "argument 'window': received 'box'"),
    (ValueError, lambda: ops.stft(wave, 16, 4, 16, window=[1.0]), r"argument 'window': received shape \(1,\)"),
    (TypeError, lambda: ops.stft(ints(64), 16, 4, 16), "stft, argument 'x': received type"),
    (ValueError, lambda: ops.view_as_complex(x), "view_as_complex: received shape"),
    (ValueError, lambda: ops.det(x), r"det: received shape \(3, 4\); expected square matrices"),
    (ValueError, lambda: ops.cholesky(-definite), "cholesky: received a matrix without that factor"),
    (ValueError, lambda: ops.solve(square, floats(2, 3, 3)), "solve: received a of shape"),
    (ValueError, lambda: ops.qr(x, "raw"), "qr, argument 'mode': received 'raw'"),
]


@pytest.mark.parametrize(("kind", "wrong", "message"), ERRORS, ids=[message[:30] for *_, message in ERRORS])
def test_errors_teach(kind: type, wrong: object, message: str) -> None:
    with pytest.raises(kind, match=message):
        wrong()
