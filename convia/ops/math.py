"""Segments, Fourier transforms, special functions."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from convia.errors import explain
from convia.ops.door import axes_of, public, publish, tensor
from convia.ops.linalg import logdet  # noqa: F401  (published here)
from convia.symbolic import tracing


def _segments(reduction: str, doc: str) -> Any:
    def _row(data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False) -> Any:
        if segment_ids.ndim != 1 or len(segment_ids) != len(data):
            received = f"segment_ids of shape {tuple(segment_ids.shape)} for data of shape {tuple(data.shape)}"
            raise ValueError(explain(_row.__name__, received, "a vector with one number per row of the data"))
        count = num_segments or (1 if tracing() else int(segment_ids.max()) + 1)
        rows = torch.where((segment_ids < 0) | (segment_ids >= count), count, segment_ids).long()  # beyond: left out
        rows = rows.reshape(-1, *[1] * (data.ndim - 1)).expand(data.shape)
        start = _start(reduction, data.dtype)
        return data.new_full((count + 1, *data.shape[1:]), start).scatter_reduce(0, rows, data, reduction)[:-1]

    _row.__doc__ = doc
    return public(2)(_row)


def _start(reduction: str, dtype: torch.dtype) -> float:
    if reduction in ("sum", "prod"):
        return float(reduction == "prod")
    if dtype.is_floating_point:
        return -torch.inf if reduction == "amax" else torch.inf
    return torch.iinfo(dtype).min if reduction == "amax" else torch.iinfo(dtype).max


segment_max = _segments("amax", "The greatest of the rows of each segment; −∞ for an empty one.")
segment_min = _segments("amin", "The least of the rows of each segment; +∞ for an empty one.")
segment_prod = _segments("prod", "The product of the rows of each segment.")
segment_sum = _segments("sum", "The sum of the rows of each segment.")


def _special(function: Callable[[Tensor], Tensor], doc: str) -> Any:
    def _row(x: Any) -> Any:
        return function(x)

    _row.__doc__ = doc
    return public(1)(_row)


erf = _special(torch.erf, "2/√π·∫₀ˣ exp(−t²) dt.")
erfc = _special(torch.erfc, "1 − erf x, exact also where that is small.")
erfinv = _special(torch.erfinv, "Inverse of erf.")
rsqrt = _special(torch.rsqrt, "1/√x.")


@public(1)
def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Ln Σ eˣ, without overflow."""
    return torch.logsumexp(x, axes_of(axis, x.ndim), keepdims)


@public(1)
def top_k(x: Any, k: int, sorted: bool = True) -> Any:
    """The k greatest elements along the last axis, and their positions (int32)."""
    values, positions = torch.topk(x, k, sorted=sorted)
    return values, positions.to(torch.int32)


@public(2)
def in_top_k(targets: Any, predictions: Any, k: int) -> Any:
    """Whether the score of each target, (N,), is among the k greatest of its row of predictions, (N, classes)."""
    least = torch.topk(predictions, k).values[..., -1]
    return predictions.gather(-1, targets.long()[..., None])[..., 0] >= least


@public(2)
def cdist(x: Any, y: Any) -> Any:
    """Euclidean distances of all vectors (…, N, D) to all vectors (…, M, D), shape (…, N, M).

    Raises:
        ValueError: fewer than two dimensions, or vectors of different lengths.
    """
    if x.ndim < 2 or y.ndim < 2 or x.shape[-1] != y.shape[-1]:
        received = f"shapes {tuple(x.shape)} and {tuple(y.shape)}"
        raise ValueError(explain("cdist", received, "(…, N, D) and (…, M, D)"))
    return (x.unsqueeze(-2) - y.unsqueeze(-3)).square().sum(-1).sqrt()


@public(1)
def extract_sequences(x: Any, sequence_length: int, sequence_stride: int) -> Any:
    """Windows over the last axis, shape (…, windows, length)."""
    return x.unfold(-1, sequence_length, sequence_stride).clone()


def _complex(x: Any) -> Tensor:
    if not isinstance(x, (list, tuple)) or len(x) != 2:
        raise ValueError(explain("argument 'x'", repr(x), "a pair of tensors: real and imaginary part"))
    real, imaginary = map(tensor, x)
    if real.shape != imaginary.shape or not real.is_floating_point() or not imaginary.is_floating_point():
        received = f"shapes {tuple(real.shape)}, {tuple(imaginary.shape)} of types {real.dtype}, {imaginary.dtype}"
        raise ValueError(explain("argument 'x'", received, "two tensors of floats of one shape"))
    return torch.complex(real, imaginary)


def _parts(x: Tensor) -> tuple[Tensor, Tensor]:
    return x.real, x.imag


def _transform(function: Callable[[Tensor], Tensor], doc: str) -> Any:
    def _row(x: Any) -> Any:
        return _parts(function(_complex(x)))

    _row.__doc__ = doc
    return public(0)(_row)


fft = _transform(torch.fft.fft, "Fourier transform along the last axis of (real, imaginary).")
fft2 = _transform(torch.fft.fft2, "Fourier transform along the last two axes of (real, imaginary).")
ifft2 = _transform(torch.fft.ifft2, "Inverse Fourier transform along the last two axes of (real, imaginary).")


@public(1)
def rfft(x: Any, fft_length: int | None = None) -> Any:
    """Fourier transform of real numbers along the last axis: (real, imaginary) for frequencies 0 … n/2."""
    return _parts(torch.fft.rfft(x, fft_length))


@public(0)
def irfft(x: Any, fft_length: int | None = None) -> Any:
    """Inverse of rfft."""
    return torch.fft.irfft(_complex(x), fft_length)


_WINDOWS = {"hann": torch.hann_window, "hamming": torch.hamming_window}


def _window(window: Any, length: int, like: Tensor) -> Tensor:
    if isinstance(window, str) and window not in _WINDOWS:
        raise ValueError(explain("argument 'window'", repr(window), f"one of {list(_WINDOWS)}, a tensor or None"))
    if isinstance(window, str):
        return _WINDOWS[window](length, dtype=like.dtype, device=like.device)
    values = torch.ones(length, dtype=like.dtype, device=like.device) if window is None else tensor(window, like.dtype)
    if values.shape != (length,):
        raise ValueError(explain("argument 'window'", f"shape {tuple(values.shape)}", f"shape ({length},)"))
    return values


def _check_stride(sequence_stride: Any) -> None:
    if not isinstance(sequence_stride, int) or sequence_stride <= 0:
        raise ValueError(explain("argument 'sequence_stride'", repr(sequence_stride), "a whole number ≥ 1"))


@public(1)
def stft(
    x: Any,
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    window: Any = "hann",
    center: bool = True,
) -> Any:
    """Short-time Fourier transform: (real, imaginary), each (…, windows, fft_length/2 + 1).

    Raises:
        TypeError: x is not float32 or float64. ValueError: fft_length below sequence_length; an unknown window.
    """
    _check_stride(sequence_stride)
    if x.dtype not in (torch.float32, torch.float64):
        raise TypeError(explain("stft, argument 'x'", f"type {x.dtype}", "float32 or float64"))
    if fft_length < sequence_length:
        received = f"fft_length={fft_length}, sequence_length={sequence_length}"
        raise ValueError(explain("stft", received, "fft_length ≥ sequence_length"))
    window = _window(window, sequence_length, x)
    flat = x.reshape(-1, x.shape[-1])
    result = torch.stft(
        flat, fft_length, sequence_stride, sequence_length, window, center=center, return_complex=True
    ).mT
    return _parts(result.reshape(*x.shape[:-1], *result.shape[-2:]))


@public(0)
def istft(
    x: Any,
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    length: int | None = None,
    window: Any = "hann",
    center: bool = True,
) -> Any:
    """Inverse of stft: windows are transformed back, weighted, and added where they overlap.

    Griffin & Lim 1984: y = Σ w·xₜ / Σ w², the sums over the windows t that reach a sample. As in Keras, windows shorter
    than the transform and signals that are not centered are divided as if windows reached every sample from all sides.
    """
    _check_stride(sequence_stride)
    spectrum = _complex(x)
    frames = torch.fft.irfft(spectrum, fft_length)  # (…, windows, fft_length)
    count, size = frames.shape[-2], fft_length + sequence_stride * (frames.shape[-2] - 1)
    before = (fft_length - sequence_length) // 2
    weights = F.pad(_window(window, sequence_length, frames), (before, fft_length - sequence_length - before))

    def overlap(rows: Tensor) -> Tensor:
        return F.fold(rows.mT, (1, size), (1, fft_length), stride=(1, sequence_stride)).reshape(-1, size)

    if window is None:
        total = overlap(frames.reshape(-1, count, fft_length))
    elif center and sequence_length == fft_length:
        squares = overlap(weights.square().expand(1, count, fft_length))
        total = overlap((frames * weights).reshape(-1, count, fft_length)) / torch.where(squares > 1e-11, squares, 1)
    else:
        whole = -(-fft_length // sequence_stride)
        squares = F.pad(weights.square(), (0, whole * sequence_stride - fft_length)).reshape(whole, -1).sum(0)
        weights = weights / squares.repeat(whole)[:fft_length]
        total = overlap((frames * weights).reshape(-1, count, fft_length))
    start = fft_length // 2 if center else 0
    end = start + length if length is not None else size - fft_length // 2 if center else size
    return F.pad(total, (0, max(end - size, 0)))[:, start:end].reshape(*frames.shape[:-2], -1)


@public(1)
def view_as_complex(x: Any) -> Any:
    """Complex numbers of pairs (real, imaginary) along the last axis.

    Raises:
        ValueError: the last axis is not of size 2.
    """
    if x.ndim < 1 or x.shape[-1] != 2:
        raise ValueError(explain("view_as_complex", f"shape {tuple(x.shape)}", "a last axis of size 2"))
    return torch.complex(x[..., 0].float(), x[..., 1].float())


@public(1)
def view_as_real(x: Any) -> Any:
    """Pairs (real, imaginary) along a new last axis."""
    return torch.stack([x.real, x.imag], -1)


publish(globals())
