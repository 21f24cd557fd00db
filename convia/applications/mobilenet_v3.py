"""MobileNetV3: inverted residual blocks with squeeze-and-excitation and hard swish, in two sizes."""

import warnings
from dataclasses import replace
from functools import partial
from typing import Any

from convia.applications._published import (
    IMAGENET,
    ORIGIN,
    Network,
    Options,
    WeightFile,
    Weights,
    arranged,
    channels,
    check,
    check_sides,
    correct_pad,
    divisible,
    make,
    norm,
    sides,
    symbolic,
    variant,
)
from convia.applications.imagenet_utils import decode_predictions, preprocessor
from convia.applications.mobilenet_v2 import check_same_size
from convia.errors import explain
from convia.layers import (
    Activation,
    Add,
    Conv2D,
    DepthwiseConv2D,
    Dropout,
    Flatten,
    GlobalAveragePooling2D,
    Multiply,
    ReLU,
    Rescaling,
    ZeroPadding2D,
)
from convia.models import Model
from convia.symbolic import KerasTensor

__all__ = ["MobileNetV3Large", "MobileNetV3Small", "decode_predictions", "preprocess_input"]

# Widening, filters, window, stride, squeeze-and-excitation, hard swish instead of ReLU.
_Row = tuple[float, int, int, int, bool, bool]
_BLOCKS: dict[str, tuple[_Row, ...]] = {
    "small": (
        *((1, 16, 3, 2, True, False), (72 / 16, 24, 3, 2, False, False), (88 / 24, 24, 3, 1, False, False)),
        *((4, 40, 5, 2, True, True), (6, 40, 5, 1, True, True), (6, 40, 5, 1, True, True)),
        *((3, 48, 5, 1, True, True), (3, 48, 5, 1, True, True)),
        *((6, 96, 5, 2, True, True), (6, 96, 5, 1, True, True), (6, 96, 5, 1, True, True)),
    ),
    "large": (
        *((1, 16, 3, 1, False, False), (4, 24, 3, 2, False, False), (3, 24, 3, 1, False, False)),
        *((3, 40, 5, 2, True, False), (3, 40, 5, 1, True, False), (3, 40, 5, 1, True, False)),
        *((6, 80, 3, 2, False, True), (2.5, 80, 3, 1, False, True)),
        *((2.3, 80, 3, 1, False, True), (2.3, 80, 3, 1, False, True)),
        *((6, 112, 3, 1, True, True), (6, 112, 3, 1, True, True)),
        *((6, 160, 5, 2, True, True), (6, 160, 5, 1, True, True), (6, 160, 5, 1, True, True)),
    ),
}
_LAST = {"small": 1024, "large": 1280}  # channels before the classifier
_HASHES = {
    "large_224_0.75": ("765b44a33ad4005b3ac83185abf1d0eb", "40af19a13ebea4e2ee0c676887f69a2e"),
    "large_224_1.0": ("59e551e166be033d707958cf9e29a6a7", "07fb09a5933dd0c8eaafa16978110389"),
    "large_minimalistic_224_1.0": ("675e7b876c45c57e9e63e6d90a36599c", "ec5221f64a2f6d1ef965a614bdae7973"),
    "small_224_0.75": ("cb65d4e5be93758266aa0a7f2c6708b7", "ebdb5cc8e0b497cd13a7c275d475c819"),
    "small_224_1.0": ("8768d4c2e7dee89b9d02b2d03d65d862", "d3e8ec802a04aa4fc771ee12a9a9b836"),
    "small_minimalistic_224_1.0": ("99cd97fb2fcdad2bf028eb838de69e37", "cde8136e733e811080d9fcd8a252f7e4"),
}


def _activated(x: KerasTensor, is_hard: bool) -> KerasTensor:
    return (Activation("hard_swish") if is_hard else ReLU())(x)


def _norm(x: KerasTensor, name: str) -> KerasTensor:
    return norm(x, name, epsilon=1e-3, momentum=0.999)


def _squeeze_and_excite(x: KerasTensor, filters: int, name: str) -> KerasTensor:
    name = f"{name}squeeze_excite_"
    scale = GlobalAveragePooling2D(keepdims=True, name=f"{name}avg_pool")(x)
    scale = Conv2D(divisible(filters * 0.25), 1, padding="same", name=f"{name}conv")(scale)
    scale = ReLU(name=f"{name}relu")(scale)
    scale = Conv2D(filters, 1, padding="same", name=f"{name}conv_1")(scale)
    scale = ReLU(6.0)(scale + 3.0) * (1.0 / 6.0)  # hard sigmoid
    return Multiply(name=f"{name}mul")([x, scale])


def _block(x: KerasTensor, row: _Row, filters: int, number: int) -> KerasTensor:
    widening, _, window, stride, squeezes, is_hard = row
    before, entering = x, channels(x)
    name = f"expanded_conv_{number}_" if number else "expanded_conv_"
    wide = divisible(entering * widening)
    if number:
        x = Conv2D(wide, 1, padding="same", use_bias=False, name=f"{name}expand")(x)
        x = _activated(_norm(x, f"{name}expand_bn"), is_hard)
    if stride == 2:
        x = ZeroPadding2D(correct_pad(x, window), name=f"{name}depthwise_pad")(x)
    padding = "same" if stride == 1 else "valid"
    x = DepthwiseConv2D(window, strides=stride, padding=padding, use_bias=False, name=f"{name}depthwise")(x)
    x = _activated(_norm(x, f"{name}depthwise_bn"), is_hard)
    x = _squeeze_and_excite(x, wide, name) if squeezes else x
    x = Conv2D(filters, 1, padding="same", use_bias=False, name=f"{name}project")(x)
    x = _norm(x, f"{name}project_bn")
    return Add(name=f"{name}add")([before, x]) if stride == 1 and entering == filters else x


def _body(x: KerasTensor, options: Options, kind: str, alpha: float, is_minimal: bool, scale: bool) -> KerasTensor:
    x = Rescaling(1 / 127.5, offset=-1.0)(x) if scale else x
    x = Conv2D(16, 3, strides=2, padding="same", use_bias=False, name="conv")(x)
    x = _activated(_norm(x, "conv_bn"), not is_minimal)
    for number, row in enumerate(_BLOCKS[kind]):
        kept = (*row[:2], 3, row[3], False, False) if is_minimal else row
        x = _block(x, kept, divisible(row[1] * alpha), number)
    x = Conv2D(divisible(channels(x) * 6), 1, padding="same", use_bias=False, name="conv_1")(x)
    return _activated(_norm(x, "conv_1_bn"), not is_minimal)


def _head(x: KerasTensor, options: Options, last: int, is_minimal: bool, dropout: float) -> KerasTensor:
    x = GlobalAveragePooling2D(keepdims=True)(x)
    x = _activated(Conv2D(last, 1, padding="same", name="conv_2")(x), not is_minimal)
    x = Dropout(dropout)(x) if dropout > 0 else x
    x = Flatten()(Conv2D(options.classes, 1, padding="same", name="logits")(x))
    return Activation(options.classifier_activation, name="predictions")(x)


def _shape(title: str, options: Options) -> tuple[Any, ...]:
    """The shape of the pictures, which may be of any size; with a top too."""
    shape = options.input_shape
    if shape is None and options.input_tensor is not None:
        tensor = symbolic(title, options.input_tensor, TypeError)  # as in Keras; the other networks' are ValueErrors
        shape = tensor.shape[1:]
    shape = tuple(shape) if shape is not None else arranged(None, None)
    check_sides(f"{title}, argument 'input_shape'", shape, 32)
    return shape


def _files(title: str, kind: str, shape: Any, alpha: float, is_minimal: bool) -> Weights:
    allowed = (1.0,) if is_minimal else (0.75, 1.0)
    if alpha not in allowed:
        raise ValueError(explain(f"{title}, argument 'alpha'", alpha, f"one of {allowed} with official weights"))
    height, width = sides(shape)
    if (height, width) != (224, 224):
        remedy = "The weights for 224×224 are loaded."
        warnings.warn(explain(title, f"pictures of {height}×{width}", "224×224", remedy), stacklevel=4)
    name = f"{kind}{'_minimalistic' if is_minimal else ''}_224_{float(alpha)}"
    stem = f"{ORIGIN}mobilenet_v3/weights_mobilenet_v3_{name}_float"
    top, no_top = _HASHES[name]
    return Weights(WeightFile(f"{stem}.h5", top), WeightFile(f"{stem}_no_top_v2.h5", no_top))


def _mobilenet(
    kind: str,
    input_shape: Any = None,
    alpha: float = 1.0,
    minimalistic: bool = False,
    include_top: bool = True,
    weights: Any = IMAGENET,
    input_tensor: Any = None,
    classes: int = 1000,
    pooling: str | None = None,
    dropout_rate: float = 0.2,
    classifier_activation: Any = "softmax",
    include_preprocessing: bool = True,
    name: str | None = None,
) -> Model:
    title = f"MobileNetV3{kind.capitalize()}"
    check_same_size(title, input_tensor, input_shape)
    options = Options(include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name)
    body = partial(_body, kind=kind, alpha=alpha, is_minimal=minimalistic, scale=include_preprocessing)
    last = divisible(_LAST[kind] * alpha) if alpha > 1 else _LAST[kind]
    head = partial(_head, last=last, is_minimal=minimalistic, dropout=dropout_rate)
    network = Network(title, body, head=head, pools=("avg_pool", "max_pool"))
    check(network, options)
    shape = _shape(title, options)
    if options.is_imagenet:
        network = replace(network, files=_files(title, kind, shape, alpha, minimalistic))
    return make(network, options, shape)


_PAPER = "Howard et al. 2019, arXiv:1905.02244"
MobileNetV3Small = variant(_mobilenet, "small", "MobileNetV3Small", _PAPER, name="MobileNetV3Small")
MobileNetV3Large = variant(_mobilenet, "large", "MobileNetV3Large", _PAPER, name="MobileNetV3Large")
preprocess_input = preprocessor(None)
