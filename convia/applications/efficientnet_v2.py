"""EfficientNetV2: the first stages convolve fully instead of depthwise, which trains faster."""

from collections.abc import Callable
from functools import partial
from typing import Any

from convia.applications._published import (
    IMAGENET,
    ORIGIN,
    Network,
    Options,
    WeightFile,
    Weights,
    channel_axis,
    channels,
    make,
    norm,
    variant,
)
from convia.applications.efficientnet import (
    Blocks,
    activated,
    add_back,
    conv,
    depthwise,
    head,
    squeeze_and_excite,
    unrolled,
)
from convia.applications.imagenet_utils import decode_predictions, preprocessor
from convia.layers import Activation, Normalization, Rescaling
from convia.models import Model
from convia.symbolic import KerasTensor

__all__ = [
    "EfficientNetV2B0",
    "EfficientNetV2B1",
    "EfficientNetV2B2",
    "EfficientNetV2B3",
    "EfficientNetV2L",
    "EfficientNetV2M",
    "EfficientNetV2S",
    "decode_predictions",
    "preprocess_input",
]

_MOMENTUM = 0.9
_SQUEEZE = 0.25
_MEAN, _VARIANCE = (0.485, 0.456, 0.406), (0.229**2, 0.224**2, 0.225**2)  # of ImageNet's channels


def _stages(*rows: tuple[int, int, int, int, int]) -> tuple[Blocks, ...]:
    """Stages of times, channels in and out, stride, widening; the first three are fused."""
    return tuple(Blocks(*row, is_fused=number < 3) for number, row in enumerate(rows))


_B = _stages(
    *((1, 32, 16, 1, 1), (2, 16, 32, 2, 4), (2, 32, 48, 2, 4)),
    *((3, 48, 96, 2, 4), (5, 96, 112, 1, 6), (8, 112, 192, 2, 6)),
)
_S = _stages(
    *((2, 24, 24, 1, 1), (4, 24, 48, 2, 4), (4, 48, 64, 2, 4)),
    *((6, 64, 128, 2, 4), (9, 128, 160, 1, 6), (15, 160, 256, 2, 6)),
)
_M = _stages(
    *((3, 24, 24, 1, 1), (5, 24, 48, 2, 4), (5, 48, 80, 2, 4)),
    *((7, 80, 160, 2, 4), (14, 160, 176, 1, 6), (18, 176, 304, 2, 6), (5, 304, 512, 1, 6)),
)
_L = _stages(
    *((4, 32, 32, 1, 1), (7, 32, 64, 2, 4), (7, 64, 96, 2, 4)),
    *((10, 96, 192, 2, 4), (19, 192, 224, 1, 6), (25, 224, 384, 2, 6), (7, 384, 640, 1, 6)),
)


def _activated(x: KerasTensor, name: str) -> KerasTensor:
    return activated(x, name, momentum=_MOMENTUM)


def _block(x: KerasTensor, row: Blocks, rate: float, name: str) -> KerasTensor:
    before, filters = x, row.entering * row.widening
    size, stride = (row.window, row.stride) if row.is_fused else (1, 1)
    if row.widening > 1:
        x = _activated(conv(filters, size, strides=stride, name=f"{name}expand_conv")(x), f"{name}expand_")
        size, stride = 1, 1
    if not row.is_fused:
        x = _activated(depthwise(row.window, row.stride, "same", f"{name}dwconv2")(x), name)
        x = squeeze_and_excite(x, filters, max(1, int(row.entering * _SQUEEZE)), name)
    x = conv(row.leaving, size, strides=stride, name=f"{name}project_conv")(x)
    x = norm(x, f"{name}project_bn", momentum=_MOMENTUM)
    if row.is_fused and row.widening == 1:
        x = Activation("swish", name=f"{name}project_activation")(x)
    return add_back(x, before, rate, name) if row.stride == 1 and row.entering == row.leaving else x


def _scaled(x: KerasTensor, is_small: bool) -> KerasTensor:
    """Values of 0…255 as in training: normalized per channel for B0 to B3, else −1…1."""
    if is_small and channels(x) == 3:
        return Normalization(mean=list(_MEAN), variance=list(_VARIANCE), axis=channel_axis())(Rescaling(1 / 255)(x))
    return Rescaling(1 / 128, offset=-1)(x)


def _body(x: KerasTensor, options: Options, key: str, scale: bool) -> KerasTensor:
    stages, width, depth, *_ = _ROWS[key]

    def rounded(filters: float) -> int:
        return max(8, int(filters * width + 4) // 8 * 8)

    x = _scaled(x, key.startswith("B")) if scale else x
    x = _activated(conv(rounded(stages[0].entering), 3, strides=2, name="stem_conv")(x), "stem_")
    for row, rate, name in unrolled(stages, rounded, depth, counted=sum(stage.times for stage in stages)):
        x = _block(x, row, rate, name)
    return _activated(conv(rounded(1280), name="top_conv")(x), "top_")


# Stages, width, depth, side of the pictures; hashes of the weights with and without the classifier.
_ROWS: dict[str, tuple[tuple[Blocks, ...], float, float, int, str, str]] = {
    "B0": (_B, 1.0, 1.0, 224, "21ecbf6da12460d5c40bb2f29ceb2188", "893217f2bb855e2983157299931e43ff"),
    "B1": (_B, 1.0, 1.1, 240, "069f0534ff22adf035c89e2d9547a9dc", "0e80663031ca32d657f9caa404b6ec37"),
    "B2": (_B, 1.1, 1.2, 260, "424e49f28180edbde1e94797771950a7", "1dfe2e7a5d45b6632553a8961ea609eb"),
    "B3": (_B, 1.2, 1.4, 300, "1f1fc43bd98a6e4fd8fdfd551e02c7a0", "f6abf7b5849ac99a89b50dd3fd532856"),
    "S": (_S, 1.0, 1.0, 384, "e1d88a8495beba45748fedd0cecbe016", "af0682fb74e8c54910f2d4393339c070"),
    "M": (_M, 1.0, 1.0, 480, "a3bf6aa3276309f4fc6a34aa114c95cd", "1b8dc055df72dde80d614482840fe342"),
    "L": (_L, 1.0, 1.0, 480, "27e6d408b53c7ebc868fefa357689935", "b0b66b5c863aef5b46e8608fe1711615"),
}


def _efficientnet(
    key: str,
    include_top: bool = True,
    weights: Any = IMAGENET,
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    include_preprocessing: bool = True,
    name: str | None = None,
) -> Model:
    options = Options(include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name)
    *_, size, top, no_top = _ROWS[key]
    stem = f"{ORIGIN}efficientnet_v2/efficientnetv2-{key.lower()}"
    files = Weights(WeightFile(f"{stem}.h5", top), WeightFile(f"{stem}_notop.h5", no_top))
    body, dropout = partial(_body, key=key, scale=include_preprocessing), partial(head, dropout=0.2)
    pools = ("avg_pool", "max_pool")
    return make(Network(f"EfficientNetV2{key}", body, files, size=size, head=dropout, pools=pools), options)


def _variant(key: str) -> Callable[..., Model]:
    paper, name = "Tan and Le 2021, arXiv:2104.00298", f"efficientnetv2-{key.lower()}"
    return variant(_efficientnet, key, f"EfficientNetV2{key}", paper, name=name)


EfficientNetV2B0 = _variant("B0")
EfficientNetV2B1 = _variant("B1")
EfficientNetV2B2 = _variant("B2")
EfficientNetV2B3 = _variant("B3")
EfficientNetV2S = _variant("S")
EfficientNetV2M = _variant("M")
EfficientNetV2L = _variant("L")
preprocess_input = preprocessor(None)
