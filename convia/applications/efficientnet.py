"""EfficientNet: widening residual blocks with squeeze-and-excitation; B0 to B7 scale width, depth and size together."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from convia.applications._published import (
    OLDER_ORIGIN,
    Network,
    Options,
    WeightFile,
    Weights,
    channel_axis,
    correct_pad,
    divisible,
    norm,
    standard,
    variant,
)
from convia.applications.imagenet_utils import decode_predictions, preprocessor
from convia.initializers import VarianceScaling
from convia.layers import (
    Activation,
    Add,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    GlobalAveragePooling2D,
    Multiply,
    Normalization,
    Rescaling,
    Reshape,
    ZeroPadding2D,
)
from convia.models import Model
from convia.symbolic import KerasTensor

__all__ = [
    "EfficientNetB0",
    "EfficientNetB1",
    "EfficientNetB2",
    "EfficientNetB3",
    "EfficientNetB4",
    "EfficientNetB5",
    "EfficientNetB6",
    "EfficientNetB7",
    "decode_predictions",
    "preprocess_input",
]

_DEVIATION = (0.229, 0.224, 0.225)  # of ImageNet's channels
_DROP_CONNECT = 0.2  # rate of dropping the last block; it grows evenly from 0 at the first
_SQUEEZE = 0.25  # channels within squeeze-and-excitation per channel that enters a block


@dataclass(frozen=True)
class Blocks:
    """A stage of blocks: how often, channels in and out, stride of the first, widening, side of the window.

    ``is_fused``: a block convolves fully instead of 1×1, then depthwise, and does not squeeze (EfficientNetV2).
    """

    times: int
    entering: int
    leaving: int
    stride: int
    widening: int
    window: int = 3
    is_fused: bool = False


_STAGES = (
    *(Blocks(1, 32, 16, 1, 1, 3), Blocks(2, 16, 24, 2, 6, 3), Blocks(2, 24, 40, 2, 6, 5), Blocks(3, 40, 80, 2, 6, 3)),
    *(Blocks(3, 80, 112, 1, 6, 5), Blocks(4, 112, 192, 2, 6, 5), Blocks(1, 192, 320, 1, 6, 3)),
)


def conv(filters: int, size: int = 1, padding: str = "same", use_bias: bool = False, **options: Any) -> Conv2D:
    """Return a convolution as these networks have them, without bias unless it is wanted."""
    start = VarianceScaling(2.0, "fan_out", "truncated_normal")
    return Conv2D(filters, size, padding=padding, use_bias=use_bias, kernel_initializer=start, **options)


def depthwise(size: int, strides: int, padding: str, name: str) -> DepthwiseConv2D:
    """Return a depthwise convolution as these networks have them."""
    start = VarianceScaling(2.0, "fan_out", "truncated_normal")
    return DepthwiseConv2D(
        size, strides=strides, padding=padding, use_bias=False, depthwise_initializer=start, name=name
    )


def activated(x: KerasTensor, name: str, prefix: str = "", **options: Any) -> KerasTensor:
    """Batch normalization ``name_bn`` and Swish ``name_activation``, with options of the former."""
    return Activation("swish", name=f"{name}activation")(norm(x, f"{name}bn", **options))


def squeeze_and_excite(x: KerasTensor, filters: int, inner: int, name: str) -> KerasTensor:
    """Scale every channel by a number in 0…1 computed from the averages of all (Hu et al. 2017, arXiv:1709.01507)."""
    shape = (filters, 1, 1) if channel_axis() == 1 else (1, 1, filters)
    scale = Reshape(shape, name=f"{name}se_reshape")(GlobalAveragePooling2D(name=f"{name}se_squeeze")(x))
    scale = conv(inner, use_bias=True, activation="swish", name=f"{name}se_reduce")(scale)
    scale = conv(filters, use_bias=True, activation="sigmoid", name=f"{name}se_expand")(scale)
    return Multiply(name=f"{name}se_excite")([x, scale])


def add_back(x: KerasTensor, before: KerasTensor, rate: float, name: str) -> KerasTensor:
    """Add what a block started from to what it computed, which training leaves out at a rate for whole pictures."""
    if rate > 0:
        x = Dropout(rate, noise_shape=(None, 1, 1, 1), name=f"{name}drop")(x)
    return Add(name=f"{name}add")([x, before])


def unrolled(
    stages: tuple[Blocks, ...], rounded: Callable[[float], int], depth: float, counted: int | None = None
) -> Iterator[tuple[Blocks, float, str]]:
    """Yield every block as a stage of one, with its rate of dropping and the prefix of its layers' names.

    Args:
        stages: of the smallest network.
        rounded: from a number of channels to the scaled one.
        depth: factor of the number of blocks in a stage.
        counted: number of blocks over which the rate grows; by default all.
    """
    times = [math.ceil(depth * stage.times) for stage in stages]
    place = 0
    for number, (stage, count) in enumerate(zip(stages, times, strict=True), 1):
        entering, leaving = rounded(stage.entering), rounded(stage.leaving)
        for index in range(count):
            row = Blocks(
                *(1, leaving if index else entering, leaving, 1 if index else stage.stride),
                *(stage.widening, stage.window, stage.is_fused),
            )
            yield row, _DROP_CONNECT * place / (counted or sum(times)), f"block{number}{chr(ord('a') + index)}_"
            place += 1


def _block(x: KerasTensor, row: Blocks, rate: float, name: str) -> KerasTensor:
    before, filters = x, row.entering * row.widening
    if row.widening > 1:
        x = activated(conv(filters, name=f"{name}expand_conv")(x), f"{name}expand_")
    padding = "same"
    if row.stride == 2:
        x, padding = ZeroPadding2D(correct_pad(x, row.window), name=f"{name}dwconv_pad")(x), "valid"
    x = activated(depthwise(row.window, row.stride, padding, f"{name}dwconv")(x), name)
    x = squeeze_and_excite(x, filters, max(1, int(row.entering * _SQUEEZE)), name)
    x = norm(conv(row.leaving, name=f"{name}project_conv")(x), f"{name}project_bn")
    return add_back(x, before, rate, name) if row.stride == 1 and row.entering == row.leaving else x


def _body(x: KerasTensor, options: Options, width: float, depth: float) -> KerasTensor:
    def rounded(filters: float) -> int:
        return divisible(filters * width)

    x = Normalization(axis=channel_axis())(Rescaling(1 / 255)(x))
    if options.is_imagenet:  # their file holds deviations as variances: dividing by the root twice divides by them
        x = Rescaling([1 / math.sqrt(deviation) for deviation in _DEVIATION])(x)
    x = ZeroPadding2D(correct_pad(x, 3), name="stem_conv_pad")(x)
    x = activated(conv(rounded(32), 3, "valid", strides=2, name="stem_conv")(x), "stem_")
    for row, rate, name in unrolled(_STAGES, rounded, depth):
        x = _block(x, row, rate, name)
    return activated(conv(rounded(1280), name="top_conv")(x), "top_")


def head(x: KerasTensor, options: Options, dropout: float) -> KerasTensor:
    """Average, dropout, a probability per class: (N, h, w, C) → (N, classes)."""
    x = Dropout(dropout, name="top_dropout")(GlobalAveragePooling2D(name="avg_pool")(x))
    start = VarianceScaling(1 / 3, "fan_out", "uniform")
    top = options.classifier_activation
    return Dense(options.classes, activation=top, kernel_initializer=start, name="predictions")(x)


# Width, depth, side of the pictures, dropout; hashes of the weights with and without the classifier.
_ROWS = {
    "B0": (1.0, 1.0, 224, 0.2, "902e53a9f72be733fc0bcb005b3ebbac", "50bc09e76180e00e4465e1a485ddc09d"),
    "B1": (1.0, 1.1, 240, 0.2, "1d254153d4ab51201f1646940f018540", "74c4e6b3e1f6a1eea24c589628592432"),
    "B2": (1.1, 1.2, 260, 0.3, "b15cce36ff4dcbd00b6dd88e7857a6ad", "111f8e2ac8aa800a7a99e3239f7bfb39"),
    "B3": (1.2, 1.4, 300, 0.3, "ffd1fdc53d0ce67064dc6a9c7960ede0", "af6d107764bb5b1abb91932881670226"),
    "B4": (1.4, 1.8, 380, 0.4, "18c95ad55216b8f92d7e70b3a046e2fc", "ebc24e6d6c33eaebbd558eafbeedf1ba"),
    "B5": (1.6, 2.2, 456, 0.4, "ace28f2a6363774853a83a0b21b9421a", "38879255a25d3c92d5e44e04ae6cec6f"),
    "B6": (1.8, 2.6, 528, 0.5, "165f6e37dce68623721b423839de8be5", "9ecce42647a20130c1f39a5d4cb75743"),
    "B7": (2.0, 3.1, 600, 0.5, "8c03f828fec3ef71311cd463b6759d99", "cbcfe4450ddf6f3ad90b1b398090fe4a"),
}


def _variant(key: str) -> Callable[..., Model]:
    width, depth, size, dropout, top, no_top = _ROWS[key]
    stem = f"{OLDER_ORIGIN}efficientnet{key.lower()}"
    files = Weights(WeightFile(f"{stem}.h5", top), WeightFile(f"{stem}_notop.h5", no_top))
    title, body = f"EfficientNet{key}", partial(_body, width=width, depth=depth)
    pools = ("avg_pool", "max_pool")
    network = Network(title, body, files, size=size, head=partial(head, dropout=dropout), pools=pools)
    return variant(standard, network, title, "Tan and Le 2019, arXiv:1905.11946", name=title.lower())


EfficientNetB0 = _variant("B0")
EfficientNetB1 = _variant("B1")
EfficientNetB2 = _variant("B2")
EfficientNetB3 = _variant("B3")
EfficientNetB4 = _variant("B4")
EfficientNetB5 = _variant("B5")
EfficientNetB6 = _variant("B6")
EfficientNetB7 = _variant("B7")
preprocess_input = preprocessor(None)
