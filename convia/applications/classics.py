"""Three small networks for classifying images, as rows; images smaller than theirs change only what must change."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from convia import config
from convia.errors import explain, nearest
from convia.graph import Input
from convia.layer import Layer
from convia.layers import AveragePooling2D, Conv2D, Dense, Dropout, Flatten, MaxPooling2D
from convia.models import Sequential

SMALLEST = 4  # pixels; smaller images have nothing to slide a window over


@dataclass(frozen=True)
class _Conv:
    filters: int
    kernel_size: int
    activation: str
    padding: str = "valid"


@dataclass(frozen=True)
class _Pool:
    layer: Callable[..., Layer]
    size: int = 2


@dataclass(frozen=True)
class _Top:
    """What follows ``Flatten``: fully connected layers of these units, each followed by dropout if there is a rate."""

    units: tuple[int, ...] = ()
    activation: str = "relu"
    dropout: float = 0.0


_MAX, _AVERAGE, _DROP = _Pool(MaxPooling2D), _Pool(AveragePooling2D), 0.2
_Row = _Conv | _Pool | float

NETWORKS: dict[str, tuple[tuple[_Row, ...], _Top]] = {
    "course": ((_Conv(8, 3, "relu"), _MAX, _Conv(4, 3, "relu"), _MAX), _Top()),
    "lenet": (
        (_Conv(6, 5, "tanh", "same"), _AVERAGE, _Conv(16, 5, "tanh"), _AVERAGE),
        _Top((120, 84), "tanh"),
    ),
    "deep": (
        (
            *(_Conv(64, 5, "relu"), _Conv(64, 3, "relu"), _MAX, _DROP),
            *(_Conv(128, 5, "relu"), _Conv(128, 3, "relu"), _MAX, _DROP),
        ),
        _Top((128,), "relu", _DROP),
    ),
}


def _left(size: int, rows: Sequence[_Row]) -> int:
    """Return the side of the last feature map for images of a side; 0 or less if a window does not fit."""
    for row in rows:
        if isinstance(row, _Conv) and row.padding == "valid":
            size -= row.kernel_size - 1
        elif isinstance(row, _Pool):
            size //= row.size
    return size


def _fitted(size: int, rows: Sequence[_Row]) -> Iterator[_Row]:
    """Yield the rows as they are if 2 pixels are left of an image; else keep its size, and pool only down to 4."""
    if _left(size, rows) >= 2:
        yield from rows
        return
    for row in rows:
        if isinstance(row, _Conv):
            odd = (size - 1) // 2 * 2 + 1
            yield replace(row, kernel_size=min(row.kernel_size, odd), padding="same")
        elif not isinstance(row, _Pool):
            yield row
        elif size // row.size >= 4:
            size //= row.size
            yield row


def _layer(row: _Row) -> Layer:
    if isinstance(row, _Conv):
        return Conv2D(filters=row.filters, kernel_size=row.kernel_size, padding=row.padding, activation=row.activation)
    return row.layer(pool_size=row.size) if isinstance(row, _Pool) else Dropout(row)


def layers_of(name: str, input_shape: Sequence[int], classes: int) -> list[Layer]:
    """Return the layers of a network for images of a shape, without an input; the last gives a probability per class.

    Raises:
        ValueError: an unknown name, a shape that is no image's or smaller than 4×4, fewer than 2 classes.
    """
    if name not in NETWORKS:
        raise ValueError(explain("model", repr(name), f"one of {list(NETWORKS)}", nearest(str(name), NETWORKS)))
    if len(tuple(input_shape)) != 3 or not all(isinstance(n, int) and n > 0 for n in input_shape):
        remedy = "Grey images have one channel: (height, width, 1)."
        raise ValueError(explain(f"{name}, argument 'input_shape'", input_shape, "(height, width, channels)", remedy))
    is_last = config.image_data_format() == "channels_last"
    side = min(input_shape[:2] if is_last else input_shape[1:])
    if side < SMALLEST:
        expected = f"images of at least {SMALLEST}×{SMALLEST} pixels"
        raise ValueError(explain(f"{name}, argument 'input_shape'", tuple(input_shape), expected))
    if not isinstance(classes, int) or classes < 2:
        raise ValueError(explain(f"{name}, argument 'classes'", repr(classes), "a whole number ≥ 2"))
    rows, top = NETWORKS[name]
    layers = [_layer(row) for row in _fitted(side, rows)] + [Flatten()]
    for units in top.units:
        layers += [Dense(units=units, activation=top.activation), *([Dropout(top.dropout)] if top.dropout else [])]
    return [*layers, Dense(units=classes, activation="softmax")]


def build(name: str, input_shape: Sequence[int] = (28, 28, 1), classes: int = 10) -> Sequential:
    """Make the network of a name; see :func:`layers_of` for the errors."""
    layers = layers_of(name, input_shape, classes)
    return Sequential([Input(tuple(input_shape)), *layers], name=name)


def course(input_shape: Sequence[int] = (28, 28, 1), classes: int = 10) -> Sequential:
    """Make a first network: convolutions of 8 and of 4 filters, 3×3, each with a 2×2 max-pooling; one dense layer."""
    return build("course", input_shape, classes)


def lenet(input_shape: Sequence[int] = (28, 28, 1), classes: int = 10) -> Sequential:
    """Make LeNet: convolutions of 6 and of 16 filters, 5×5, average pooling; dense layers of 120 and 84 units.

    After LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition" (1998).
    """
    return build("lenet", input_shape, classes)


def deep(input_shape: Sequence[int] = (28, 28, 1), classes: int = 10) -> Sequential:
    """Make a larger network: two pairs of convolutions, of 64 and of 128 filters; dropout of 0.2; 128 units."""
    return build("deep", input_shape, classes)


MODELS: dict[str, Callable[..., Any]] = {"course": course, "lenet": lenet, "deep": deep}
