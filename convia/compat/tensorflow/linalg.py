"""Products, norms, decompositions of matrices, and transforms of signals: ``tf.linalg``, ``tf.signal``."""

from collections.abc import Callable
from typing import Any

import torch

from convia import ops
from convia.compat.tensorflow.door import api, axes, given, number, torch_dtype
from convia.config import dtype_name
from convia.errors import explain


@api(record=())
def matmul(
    a: Any,
    b: Any,
    transpose_a: bool = False,
    transpose_b: bool = False,
    adjoint_a: bool = False,
    adjoint_b: bool = False,
    a_is_sparse: bool = False,
    b_is_sparse: bool = False,
    output_type: Any = None,
) -> Any:
    """Return the product of matrices, or of batches of them.

    Raises:
        ValueError: a vector.
    """
    a, b = given(a), given(b)
    if min(len(a.shape), len(b.shape)) < 2:
        received = f"shapes {tuple(a.shape)} and {tuple(b.shape)}"
        raise ValueError(explain("tf.matmul", received, "matrices", "tf.tensordot, tf.linalg.matvec take vectors."))
    a = ops.swapaxes(a, -1, -2) if transpose_a or adjoint_a else a
    b = ops.swapaxes(b, -1, -2) if transpose_b or adjoint_b else b
    return ops.cast(ops.matmul(a, b), a.dtype)


@api
def matvec(a: Any, b: Any, transpose_a: bool = False, adjoint_a: bool = False) -> Any:
    """Return the product of matrices and vectors."""
    a = given(a)
    return ((a.mT if transpose_a or adjoint_a else a) @ given(b)[..., None])[..., 0]


@api(record=())
def tensordot(a: Any, b: Any, axes: Any) -> Any:
    """Return the sum of products over axes: a number of them, or the axes of a and those of b."""
    return ops.tensordot(given(a), given(b), axes)


@api(record=())
def einsum(equation: str, *inputs: Any, **kwargs: Any) -> Any:
    """Return the sum of products that an equation such as "ij,jk->ik" describes."""
    return ops.einsum(equation, *map(given, inputs))


@api
def norm(tensor: Any, ord: Any = "euclidean", axis: Any = None, keepdims: bool = False) -> Any:
    """Return a norm of vectors (one axis, or all elements) or of matrices (two axes)."""
    x = given(tensor)
    if axis is None:
        flat = torch.linalg.vector_norm(x, 2 if ord in ("euclidean", "fro") else float(ord))
        return flat.reshape([1] * x.ndim) if keepdims else flat
    axis = axes(axis)
    if isinstance(axis, int):
        return torch.linalg.vector_norm(x, 2 if ord == "euclidean" else float(ord), axis, keepdims)
    return torch.linalg.matrix_norm(x, "fro" if ord == "euclidean" else ord, axis, keepdims)


@api
def diag(diagonal: Any, k: int = 0) -> Any:
    """Return matrices with vectors on a diagonal."""
    return torch.diag_embed(given(diagonal), k)


@api
def diag_part(input: Any, k: int = 0) -> Any:
    """Return a diagonal of matrices."""
    return torch.diagonal(given(input), k, -2, -1)


@api
def set_diag(input: Any, diagonal: Any, k: int = 0) -> Any:
    """Return matrices with another diagonal."""
    return torch.diagonal_scatter(given(input), given(diagonal), k, -2, -1)


@api
def band_part(input: Any, num_lower: Any, num_upper: Any) -> Any:
    """Return matrices with zeros outside a band around the diagonal; −1 keeps a whole triangle."""
    x, lower, upper = given(input), number(num_lower), number(num_upper)
    x = x if lower < 0 else torch.triu(x, -lower)
    return x if upper < 0 else torch.tril(x, upper)


@api
def svd(tensor: Any, full_matrices: bool = False, compute_uv: bool = True) -> Any:
    """Return the singular values, and with them u and v."""
    x = given(tensor)
    if not compute_uv:
        return torch.linalg.svdvals(x)
    u, s, vh = torch.linalg.svd(x, full_matrices)
    return s, u, vh.mH


@api
def solve(matrix: Any, rhs: Any, adjoint: bool = False) -> Any:
    """Return x with matrix·x = rhs."""
    a = given(matrix)
    return torch.linalg.solve(a.mH if adjoint else a, given(rhs))


@api
def lstsq(matrix: Any, rhs: Any, l2_regularizer: float = 0.0, fast: bool = True) -> Any:
    """Return the x that makes ‖matrix·x − rhs‖² + λ‖x‖² least."""
    a = given(matrix)
    ridge = l2_regularizer * torch.eye(a.shape[-1], dtype=a.dtype)
    return torch.linalg.solve(a.mT @ a + ridge, a.mT @ given(rhs))


@api
def normalize(tensor: Any, ord: Any = "euclidean", axis: Any = None) -> Any:
    """Return the tensor divided by its norm, and the norm."""
    size = norm(tensor, ord, axis, keepdims=True)
    return given(tensor) / size, size


@api
def cross(a: Any, b: Any) -> Any:
    """Return the vector products along the last axis."""
    return torch.linalg.cross(given(a), given(b))


@api
def trace(x: Any) -> Any:
    """Return the sums of the diagonals."""
    return torch.diagonal(given(x), 0, -2, -1).sum(-1)


@api
def matrix_transpose(a: Any, conjugate: bool = False) -> Any:
    """Return the last two axes swapped."""
    return given(a).mH if conjugate else given(a).mT


@api
def inv(input: Any, adjoint: bool = False) -> Any:
    """Return the inverses of matrices."""
    x = given(input)
    return torch.linalg.inv(x.mH if adjoint else x)


def _of_matrix(function: Callable[..., Any], doc: str) -> Any:
    def row(input: Any) -> Any:
        return function(given(input))

    row.__doc__ = doc
    return api(row)


cholesky = _of_matrix(torch.linalg.cholesky, "Return L with L·Lᵀ = x.")
det = _of_matrix(torch.linalg.det, "Return the determinants.")
eigh = _of_matrix(lambda x: tuple(torch.linalg.eigh(x)), "Return eigenvalues and eigenvectors of symmetric matrices.")
eigvalsh = _of_matrix(torch.linalg.eigvalsh, "Return the eigenvalues of symmetric matrices.")
expm = _of_matrix(torch.linalg.matrix_exp, "Return the matrix exponentials.")
logdet = _of_matrix(torch.logdet, "Return ln of the determinants.")
pinv = _of_matrix(torch.linalg.pinv, "Return the pseudo-inverses.")
qr = _of_matrix(lambda x: tuple(torch.linalg.qr(x)), "Return q and r with q·r = x.")

_TRANSFORMS: dict[str, Callable[..., Any]] = {
    "fft": torch.fft.fft,
    "fft2d": torch.fft.fft2,
    "ifft": torch.fft.ifft,
    "ifft2d": torch.fft.ifft2,
    "rfft2d": torch.fft.rfft2,
    "irfft2d": torch.fft.irfft2,
    "fftshift": torch.fft.fftshift,
    "ifftshift": torch.fft.ifftshift,
}


def _transform(function: Callable[..., Any]) -> Any:
    def transformed(input: Any, fft_length: Any = None) -> Any:
        return function(given(input)) if fft_length is None else function(given(input), axes(fft_length))

    return api(transformed)


def _last(function: Callable[..., Any]) -> Any:
    def transformed(input_tensor: Any, fft_length: Any = None) -> Any:
        return function(given(input_tensor), None if fft_length is None else int(given(fft_length).reshape(-1)[0]))

    return api(transformed)


def _window(length: Any, periodic: bool, dtype: Any, name: str) -> Any:
    make, even = torch.hann_window if name == "hann" else torch.hamming_window, number(length) % 2 == 0
    return make(number(length), periodic=periodic and even, dtype=torch_dtype(dtype))


@api
def hann_window(window_length: Any, periodic: bool = True, dtype: Any = "float32") -> Any:
    """Return the Hann window."""
    return _window(window_length, periodic, dtype, "hann")


@api
def hamming_window(window_length: Any, periodic: bool = True, dtype: Any = "float32") -> Any:
    """Return the Hamming window."""
    return _window(window_length, periodic, dtype, "hamming")


@api
def frame(signal: Any, frame_length: Any, frame_step: Any, pad_end: bool = False, pad_value: Any = 0) -> Any:
    """Cut the last axis into overlapping frames (…, frames, frame_length)."""
    x, length, step = given(signal), number(frame_length), number(frame_step)
    if pad_end:
        count = -(-x.shape[-1] // step)
        x = torch.nn.functional.pad(x, (0, max(0, (count - 1) * step + length - x.shape[-1])), value=pad_value)
    return x.unfold(-1, length, step)


@api
def stft(
    signals: Any,
    frame_length: Any,
    frame_step: Any,
    fft_length: Any = None,
    window_fn: Any = hann_window,
    pad_end: bool = False,
) -> Any:
    """Return the spectra of windowed frames (…, frames, fft_length/2 + 1), complex; the length is a power of 2."""
    length = number(frame_length)
    size = 1 << (length - 1).bit_length() if fft_length is None else number(fft_length)
    frames = frame(signals, length, frame_step, pad_end)
    window = 1 if window_fn is None else window_fn(length, dtype=dtype_name(frames.dtype))
    return torch.fft.rfft(frames * window, size)


SIGNAL = {
    **{name: _transform(function) for name, function in _TRANSFORMS.items()},
    "rfft": _last(torch.fft.rfft),
    "irfft": _last(torch.fft.irfft),
    "frame": frame,
    "hamming_window": hamming_window,
    "hann_window": hann_window,
    "stft": stft,
}
LINALG = {
    "band_part": band_part, "cholesky": cholesky, "cross": cross, "det": det, "diag": diag, "diag_part": diag_part,
    "eigh": eigh, "eigvalsh": eigvalsh, "einsum": einsum, "expm": expm, "inv": inv, "logdet": logdet, "lstsq": lstsq,
    "matmul": matmul, "matrix_transpose": matrix_transpose, "matvec": matvec, "norm": norm, "normalize": normalize,
    "pinv": pinv, "qr": qr, "set_diag": set_diag, "solve": solve, "svd": svd, "tensor_diag": diag,
    "tensor_diag_part": diag_part, "tensordot": tensordot, "trace": trace,
}  # fmt: skip
