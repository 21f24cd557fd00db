"""Convolution itself, on NumPy arrays: to see with numbers what a layer does with tensors.

As in every network, "convolution" is cross-correlation: the kernel is not flipped,
C_k = Σ_t S_{k+t} W_t, and in two dimensions C_{i,j} = Σ_{a,b} S_{i+a, j+b} W_{a,b}.
"""

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from convia import layout
from convia.errors import explain, nearest

Array = npt.NDArray[Any]
Padding = str | int

_PADDINGS: dict[str, Callable[[int, int, int], tuple[int, int]]] = {
    "valid": lambda size, kernel, stride: (0, 0),
    "same": layout.same_padding,
    "full": lambda size, kernel, stride: (kernel - 1, kernel - 1),
}

# OpenCV's name of a border → NumPy's, with what lies beyond the image …|abcd|…
_BORDERS = {
    "reflect_101": "reflect",  # dcb|abcd|cba
    "reflect": "symmetric",  # cba|abcd|dcb
    "replicate": "edge",  # aaa|abcd|ddd
    "constant": "constant",  # 000|abcd|000
}
_FILTERED_TYPES = ("uint8", "uint16", "int16", "float32", "float64")
_POOLS: dict[str, Callable[..., Array]] = {"max": np.max, "average": np.mean, "avg": np.mean, "mean": np.mean}


def convolve(sequence: npt.ArrayLike, weights: npt.ArrayLike, stride: int = 1, padding: Padding = "valid") -> Array:
    """Move the weights (n,) along the sequence (m,) and take the scalar product at each position.

    Args:
        sequence: S, m numbers.
        weights: W, n numbers.
        stride: how far the weights move at each step.
        padding: zeros around the sequence: "valid" none, "same" so many that the output has ⌈m / stride⌉ numbers,
            "full" n − 1 on each side, or a whole number of them on each side.

    Returns:
        C, with C_k = Σ_t S_{k·stride + t} W_t: m − n + 1 numbers for stride 1 and no padding. Whole numbers stay whole.

    Raises:
        ValueError: not one-dimensional, or more weights than numbers in the padded sequence.
    """
    signal, kernel = _numbers(sequence, "sequence"), _numbers(weights, "weights")
    for name, array in (("sequence", signal), ("weights", kernel)):
        if array.ndim != 1 or not len(array):
            raise ValueError(
                explain(
                    f"convolve, argument {name!r}",
                    f"shape {array.shape}",
                    "a sequence of numbers",
                    "See convolve2d for images.",
                )
            )
    sums: Array = np.einsum("kt,t->k", _windows("convolve", signal, kernel.shape, (stride,), padding), kernel)
    return sums


def convolve2d(
    image: npt.ArrayLike, kernel: npt.ArrayLike, padding: Padding = "valid", stride: int | tuple[int, int] = 1
) -> Array:
    """Move a kernel over an image from left to right and from top to bottom, and sum the products at each position.

    Args:
        image: S, of shape (H, W), or (H, W, D) with D channels.
        kernel: W, of shape (K, L); (K, L, D) for an image with D channels, whose results are summed; or
            (K, L, D, F), a convolutional layer's kernel: F filters, each giving one feature map.
        padding: "valid", "same", "full", or the number of zeros on each side; see :func:`convolve`.
        stride: the kernel's step, or (down, right).

    Returns:
        The feature map (H', W'), or (H', W', F) for F filters. Whole numbers stay whole.

    Raises:
        ValueError: the kernel is larger than the padded image, or has another depth.
    """
    pixels, weights = _numbers(image, "image"), _numbers(kernel, "kernel")
    who = "convolve2d"
    if pixels.ndim not in (2, 3) or weights.ndim not in (2, 3, 4) or not weights.size:
        raise ValueError(
            explain(who, f"an image {pixels.shape} and a kernel {weights.shape}", "(H, W[, D]) and (K, K[, D[, F]])")
        )
    depth = pixels.shape[2] if pixels.ndim == 3 else 1
    given = weights.shape[2] if weights.ndim > 2 else 1
    if depth != given:
        raise ValueError(
            explain(
                f"{who}, argument 'kernel'",
                f"a kernel {weights.shape} of depth {given} for an image {pixels.shape} of depth {depth}",
                f"shape {(*weights.shape[:2], depth)}: a filter is as deep as its input",
                "To filter each channel on its own with a flat kernel, use filter2d.",
            )
        )
    pixels = pixels.reshape(*pixels.shape[:2], depth)
    filters = weights.reshape(*weights.shape[:2], depth, -1)
    windows = _windows(who, pixels, filters.shape[:2], _pair(stride), padding)  # (H', W', D, K, L)
    maps: Array = np.einsum("hwdkl,kldf->hwf", windows, filters)
    return maps if weights.ndim == 4 else maps[..., 0]


def filter2d(
    image: npt.ArrayLike, kernel: npt.ArrayLike, anchor: tuple[int, int] | None = None, border: str = "reflect_101"
) -> Array:
    """Filter each channel of an image with one flat kernel; equals ``cv2.filter2D(image, -1, kernel)``.

    The result has the image's size and type: sums are rounded (halves to even) and saturated, so that an uint8 image
    has values 0…255.

    Args:
        image: (H, W) or (H, W, D); uint8, uint16, int16, float32 or float64.
        kernel: (K, L).
        anchor: (x, y), the element of the kernel that lies on the pixel; the centre by default.
        border: what is assumed beyond the edge: "reflect_101", "reflect", "replicate" or "constant" (zeros).

    Raises:
        ValueError: another type, shape or border, or an anchor outside the kernel.
    """
    pixels = np.asarray(image)
    weights = np.asarray(kernel, dtype=np.float64)
    _check_filter(pixels, weights, border)
    height, width = weights.shape
    x, y = (width // 2, height // 2) if anchor in (None, (-1, -1)) else anchor
    if not (0 <= x < width and 0 <= y < height):
        raise ValueError(
            explain(
                "filter2d, argument 'anchor'", f"{anchor}", f"(x, y) within a kernel of {width}×{height}, from (0, 0)"
            )
        )
    if pixels.dtype != np.float64:
        weights = weights.astype(np.float32).astype(np.float64)  # OpenCV's kernels are float32
    around = [(y, height - 1 - y), (x, width - 1 - x), (0, 0)][: pixels.ndim]
    padded = np.pad(pixels.astype(np.float64), around, mode=_BORDERS[border])  # type: ignore[call-overload]
    sums = np.einsum("...kl,kl->...", sliding_window_view(padded, (height, width), axis=(0, 1)), weights)
    if pixels.dtype.kind in "iu":
        limits = np.iinfo(pixels.dtype)
        sums = np.clip(np.rint(sums), limits.min, limits.max)
    filtered: Array = sums.astype(pixels.dtype)
    return filtered


def pool2d(
    image: npt.ArrayLike,
    size: int | tuple[int, int] = 2,
    mode: str = "max",
    stride: int | tuple[int, int] | None = None,
) -> Array:
    """Keep of each window of an image its largest value ("max") or its mean ("average").

    Args:
        image: (H, W), or (H, W, D) with channels pooled one by one.
        size: the window's side, or (height, width).
        mode: "max" or "average".
        stride: the window's step; its size by default, so that windows do not overlap.

    Returns:
        (H', W'[, D]) with H' = ⌊(H − size) / stride⌋ + 1; what does not fill a window is dropped.

    Raises:
        ValueError: the window is larger than the image, or an unknown mode.
    """
    pixels = _numbers(image, "image")
    if mode not in _POOLS:
        raise ValueError(explain("pool2d, argument 'mode'", repr(mode), "'max' or 'average'", nearest(mode, _POOLS)))
    if pixels.ndim not in (2, 3):
        raise ValueError(explain("pool2d, argument 'image'", f"shape {pixels.shape}", "(H, W) or (H, W, D)"))
    windows = _windows("pool2d", pixels, _pair(size), _pair(size if stride is None else stride), "valid")
    return _POOLS[mode](windows, axis=(-2, -1))


def output_size(W: int, K: int, P: int = 0, S: int = 1) -> int:  # noqa: N803
    """Return W' = (W − K + 2P) / S + 1, the side of a convolution's output.

    Args:
        W: side of the image.
        K: side of the kernel.
        P: padding, zeros on each side.
        S: stride.

    Where S does not divide, W' is rounded down, as frameworks do, and a warning says how many pixels are never seen.

    Raises:
        ValueError: the kernel is larger than the padded image, or a size is not positive.
    """
    if min(W, K, S) < 1 or P < 0:
        raise ValueError(explain("output_size", f"W={W}, K={K}, P={P}, S={S}", "W, K, S ≥ 1 and P ≥ 0"))
    if K > W + 2 * P:
        raise ValueError(
            explain(
                "output_size",
                f"a kernel of {K} for {W} + 2·{P} pixels",
                f"K ≤ {W + 2 * P}",
                "Use a smaller kernel or more padding.",
            )
        )
    left = (W - K + 2 * P) % S
    if left:
        remark = "Frameworks round down: the last pixels are never seen."
        text = explain(
            "output_size", f"({W} − {K} + 2·{P}) / {S}, which leaves {left}", "a stride that divides", remark
        )
        warnings.warn(text, stacklevel=2)
    return layout.output_size(W, K, P, S)


# What each kernel shows; contours are found where brightness changes across them.
_ROWS: dict[str, tuple[float, list[list[float]]]] = {
    "identity": (1, [[0, 0, 0], [0, 1, 0], [0, 0, 0]]),
    "sobel_x": (1, [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]),
    "sobel_y": (1, [[-1, -2, -1], [0, 0, 0], [1, 2, 1]]),
    "prewitt_x": (1, [[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]]),
    "prewitt_y": (1, [[-1, -1, -1], [0, 0, 0], [1, 1, 1]]),
    "scharr_x": (1, [[-3, 0, 3], [-10, 0, 10], [-3, 0, 3]]),
    "scharr_y": (1, [[-3, -10, -3], [0, 0, 0], [3, 10, 3]]),
    "roberts_x": (1, [[1, 0], [0, -1]]),
    "roberts_y": (1, [[0, 1], [-1, 0]]),
    "laplacian": (1, [[0, 1, 0], [1, -4, 1], [0, 1, 0]]),
    "laplacian_diagonal": (1, [[1, 1, 1], [1, -8, 1], [1, 1, 1]]),
    "edges": (1, [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]]),
    "corners": (1, [[5, 0, -5], [0, 0, 0], [-5, 0, 5]]),
    "diagonal_cross": (1, [[1, 0, 1], [0, 1, 0], [1, 0, 1]]),
    "sharpen": (1, [[0, -1, 0], [-1, 5, -1], [0, -1, 0]]),
    "sharpen_diagonal": (1, [[-1, -1, -1], [-1, 9, -1], [-1, -1, -1]]),
    "emboss": (1, [[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]),
    "box": (9, [[1, 1, 1], [1, 1, 1], [1, 1, 1]]),
    "gaussian": (16, [[1, 2, 1], [2, 4, 2], [1, 2, 1]]),
    "gaussian_5": (256, np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]).tolist()),
    "motion_blur": (3, [[1, 0, 0], [0, 1, 0], [0, 0, 1]]),
}
_ALIASES = {
    "horizontal_edges": "sobel_y",
    "vertical_edges": "sobel_x",
    "contornos_horizontales": "sobel_y",
    "contornos_verticales": "sobel_x",
    "blur": "box",
}


def _gallery() -> dict[str, Array]:
    kernels = {name: np.array(rows) if total == 1 else np.array(rows) / total for name, (total, rows) in _ROWS.items()}
    for array in kernels.values():
        array.setflags(write=False)
    return kernels | {alias: kernels[name] for alias, name in _ALIASES.items()}


KERNELS = MappingProxyType(_gallery())
"""Kernels by name: "sobel_x" finds vertical contours, "sobel_y" horizontal ones, "gaussian" blurs, …"""


def kernel(name: str) -> Array:
    """Return a copy of a kernel of the gallery :data:`KERNELS`; spaces, hyphens and capitals do not matter.

    Raises:
        ValueError: no kernel of that name.
    """
    folded = name.strip().lower().replace(" ", "_").replace("-", "_")
    if folded not in KERNELS:
        raise ValueError(explain("kernel", repr(name), "the name of a kernel", nearest(name, KERNELS)))
    return KERNELS[folded].copy()


class FieldRow(NamedTuple):
    """What one unit of a layer sees: ``size`` pixels a side, and ``jump`` pixels from the field of one to the next."""

    name: str
    size: int | tuple[int, ...]
    jump: int | tuple[int, ...]


@dataclass(frozen=True)
class ReceptiveField:
    """The receptive field of a chain of layers: of each, and at the end."""

    rows: tuple[FieldRow, ...]
    size: int | tuple[int, ...]


_JOINS = ("Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply", "Subtract")
_SEE_ALL = ("Flatten", "Global", "Dense")


def receptive_field(model: Any) -> ReceptiveField:
    """Return how many pixels of the input a unit of each layer depends on.

    r_l = r_{l−1} + (K_l − 1)·D_l·j_{l−1} and j_l = j_{l−1}·S_l, from r_0 = j_0 = 1 (Araujo, Norris and Sim, "Computing
    Receptive Fields of Convolutional Neural Networks", Distill 2019). Sizes that differ between axes are tuples.

    Args:
        model: anything with ``layers`` in a chain; their ``kernel_size`` or ``pool_size``, ``strides`` and
            ``dilation_rate`` are read. Rows end at the first layer whose units see everything (Flatten, global
            pooling, Dense).

    Raises:
        ValueError: the layers branch, or enlarge the image.
    """
    rows: list[FieldRow] = []
    size = jump = np.ones(1, dtype=int)
    for layer in model.layers:
        kind = type(layer).__name__
        if kind.startswith(_SEE_ALL):
            break
        if kind in _JOINS or "Transpose" in kind or kind.startswith("UpSampling"):
            raise ValueError(
                explain(
                    f"receptive_field, layer {layer.name!r}", kind, "a chain of layers that do not enlarge the image"
                )
            )
        window: Any = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", 1)
        step: Any = getattr(layer, "strides", None) or (window if hasattr(layer, "pool_size") else 1)
        reach = (np.atleast_1d(window) - 1) * np.atleast_1d(getattr(layer, "dilation_rate", 1))
        size, jump = size + reach * jump, jump * np.atleast_1d(step)
        rows.append(FieldRow(layer.name, _plain(size), _plain(jump)))
    return ReceptiveField(tuple(rows), _plain(size))


def _plain(sizes: Array) -> int | tuple[int, ...]:
    """Return one number where all axes agree."""
    values = tuple(int(size) for size in sizes)
    return values[0] if len(set(values)) == 1 else values


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)  # type: ignore[return-value]


def _numbers(values: npt.ArrayLike, name: str) -> Array:
    """Return an array whose sums do not overflow: small whole numbers become int64."""
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise ValueError(
            explain(f"argument {name!r}", f"values of type {array.dtype}", "numbers, in rows of equal length")
        )
    return array if array.dtype.kind == "f" else array.astype(np.int64)


def _windows(who: str, array: Array, window: Iterable[int], steps: tuple[int, ...], padding: Padding) -> Array:
    """Return a view of all windows over the first axes of a padded array: (positions…, rest…, window…)."""
    sizes = tuple(window)
    if any(not isinstance(step, (int, np.integer)) or step < 1 for step in steps):
        raise ValueError(explain(f"{who}, argument 'stride'", repr(steps), "whole numbers ≥ 1"))
    pads = [_pads(who, padding, *axis) for axis in zip(array.shape, sizes, steps, strict=False)]
    padded = np.pad(array, pads + [(0, 0)] * (array.ndim - len(pads)))
    if any(size > length for size, length in zip(sizes, padded.shape, strict=False)):
        raise ValueError(
            explain(
                who,
                f"a kernel {sizes} longer than its input {padded.shape[: len(sizes)]}",
                "a kernel that fits into the input, else there is no position to put it",
                "Use a smaller kernel, or padding='same' or 'full'.",
            )
        )
    axes = tuple(range(len(sizes)))
    return sliding_window_view(padded, sizes, axis=axes)[tuple(slice(None, None, step) for step in steps)]


def _pads(who: str, padding: Padding, size: int, kernel_size: int, stride: int) -> tuple[int, int]:
    if isinstance(padding, str) and padding.lower() in _PADDINGS:
        return _PADDINGS[padding.lower()](size, kernel_size, stride)
    if isinstance(padding, int) and not isinstance(padding, bool) and padding >= 0:
        return padding, padding
    raise ValueError(
        explain(f"{who}, argument 'padding'", repr(padding), "'valid', 'same', 'full' or a whole number ≥ 0 of zeros")
    )


def _check_filter(pixels: Array, weights: Array, border: str) -> None:
    if border not in _BORDERS:
        raise ValueError(explain("filter2d, argument 'border'", repr(border), f"one of {list(_BORDERS)}"))
    if pixels.dtype.name not in _FILTERED_TYPES:
        raise ValueError(
            explain(
                "filter2d, argument 'image'",
                f"type {pixels.dtype}",
                f"one of {list(_FILTERED_TYPES)}",
                "Convert with astype.",
            )
        )
    if pixels.ndim not in (2, 3) or weights.ndim != 2 or not pixels.size or not weights.size:
        raise ValueError(
            explain(
                "filter2d",
                f"an image {pixels.shape} and a kernel {weights.shape}",
                "an image (H, W[, D]) and a flat kernel (K, L)",
            )
        )
