"""InceptionV3: blocks of parallel branches of convolutions, joined along the channels; branches are rows."""

from collections.abc import Iterable
from dataclasses import dataclass

from convia.applications._published import Network, Options, channel_axis, norm, standard, tf_kernels, variant
from convia.applications.imagenet_utils import decode_predictions, preprocessor
from convia.layers import Activation, AveragePooling2D, Concatenate, Conv2D, MaxPooling2D
from convia.symbolic import KerasTensor

__all__ = ["InceptionV3", "decode_predictions", "preprocess_input"]


@dataclass(frozen=True)
class Conv:
    """A convolution without bias, batch normalization without scale, and ReLU."""

    filters: int
    size: int | tuple[int, int] = 1
    strides: int = 1
    padding: str = "same"

    def __call__(self, x: KerasTensor, name: str | None = None) -> KerasTensor:
        """Add it to a graph; with a name its layers are ``name``, ``name_bn`` and ``name_ac``."""
        x = Conv2D(self.filters, self.size, strides=self.strides, padding=self.padding, use_bias=False, name=name)(x)
        x = norm(x, name and f"{name}_bn", scale=False)
        return Activation("relu", name=name and f"{name}_ac")(x)


@dataclass(frozen=True)
class Pool:
    """3×3 pooling: the average at every position, or the maximum at every second."""

    average: bool

    def __call__(self, x: KerasTensor) -> KerasTensor:
        """Add it to a graph."""
        return (AveragePooling2D(3, strides=1, padding="same") if self.average else MaxPooling2D(3, strides=2))(x)


@dataclass(frozen=True)
class Fork:
    """Two convolutions of one feature map, joined; ``name`` of the layer that joins them."""

    ways: tuple[Conv, Conv]
    name: str | None = None

    def __call__(self, x: KerasTensor) -> KerasTensor:
        """Add it to a graph."""
        return Concatenate(axis=channel_axis(), name=self.name)([way(x) for way in self.ways])


Row = Conv | Pool | Fork
Branch = tuple[Row, ...]
MEAN, MAX = Pool(average=True), Pool(average=False)


def chain(x: KerasTensor, rows: Iterable[Row]) -> KerasTensor:
    """Add rows one after the other."""
    for row in rows:
        x = row(x)
    return x


def join(x: KerasTensor, branches: Iterable[Branch], name: str) -> KerasTensor:
    """Add branches that all start at one feature map, and join them along the channels."""
    return Concatenate(axis=channel_axis(), name=name)([chain(x, branch) for branch in branches])


def halve(filters: int) -> Conv:
    """Return a 3×3 convolution at every second position, without padding."""
    return Conv(filters, 3, 2, "valid")


STEM: Branch = (
    *(halve(32), Conv(32, 3, padding="valid"), Conv(64, 3), MAX),
    *(Conv(80, 1, padding="valid"), Conv(192, 3, padding="valid"), MAX),
)
WIDE, TALL = (1, 7), (7, 1)


def windows_of_5(pool: int) -> tuple[Branch, ...]:
    """Return branches of 1×1, 5×5 and twice 3×3 windows, and of pooling with so many channels."""
    deep = (Conv(64), Conv(96, 3), Conv(96, 3))
    return (Conv(64),), (Conv(48), Conv(64, 5)), deep, (MEAN, Conv(pool))


def _windows_of_7(inner: int) -> tuple[Branch, ...]:
    """7×7 windows as 1×7 and 7×1, once and twice, with so many channels inside."""
    deep = (Conv(inner), Conv(inner, TALL), Conv(inner, WIDE), Conv(inner, TALL), Conv(192, WIDE))
    return (Conv(192),), (Conv(inner), Conv(inner, WIDE), Conv(192, TALL)), deep, (MEAN, Conv(192))


def _forked(number: int) -> tuple[Branch, ...]:
    fork = (Conv(384, (1, 3)), Conv(384, (3, 1)))
    wide = (Conv(384), Fork(fork, f"mixed9_{number}"))
    return (Conv(320),), wide, (Conv(448), Conv(384, 3), Fork(fork)), (MEAN, Conv(192))


_MIXED: tuple[tuple[Branch, ...], ...] = (
    *(windows_of_5(pool) for pool in (32, 64, 64)),
    ((halve(384),), (Conv(64), Conv(96, 3), halve(96)), (MAX,)),
    *(_windows_of_7(inner) for inner in (128, 160, 160, 192)),
    ((Conv(192), halve(320)), (Conv(192), Conv(192, WIDE), Conv(192, TALL), halve(192)), (MAX,)),
    *(_forked(number) for number in range(2)),
)


def _body(x: KerasTensor, options: Options) -> KerasTensor:
    x = chain(x, STEM)
    for number, branches in enumerate(_MIXED):
        x = join(x, branches, f"mixed{number}")
    return x


_WEIGHTS = tf_kernels(
    "inception_v3", "inception_v3", "9a0d58056eeedaa3f26cb7ebd46da564", "bcbd6486424b2319ff4ef7d526e38f63"
)
_NETWORK = Network("InceptionV3", _body, _WEIGHTS, size=299, smallest=75)
InceptionV3 = variant(standard, _NETWORK, "InceptionV3", "Szegedy et al. 2015, arXiv:1512.00567", name="inception_v3")
preprocess_input = preprocessor("tf")
