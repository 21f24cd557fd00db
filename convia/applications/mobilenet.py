"""MobileNet: a depthwise 3×3 convolution, then a 1×1 one, thirteen times; α scales the number of channels."""

import warnings
from collections.abc import Callable
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
    check,
    make,
    norm,
    sides,
    variant,
)
from convia.applications.imagenet_utils import decode_predictions, preprocessor
from convia.errors import explain
from convia.layers import (
    Activation,
    Conv2D,
    DepthwiseConv2D,
    Dropout,
    GlobalAveragePooling2D,
    ReLU,
    Reshape,
    ZeroPadding2D,
)
from convia.models import Model
from convia.symbolic import KerasTensor

__all__ = ["MobileNet", "decode_predictions", "preprocess_input"]

_SIZES = (128, 160, 192, 224)
_ALPHAS = {0.25: "2_5", 0.5: "5_0", 0.75: "7_5", 1.0: "1_0"}  # as in the names of files
# Filters of the 1×1 convolutions; those in _HALVING follow a depthwise one at every second position.
_FILTERS = (64, 128, 128, 256, 256, *(512,) * 6, 1024, 1024)
_HALVING = (2, 4, 6, 12)


def _activated(x: KerasTensor, name: str) -> KerasTensor:
    return ReLU(6.0, name=f"{name}_relu")(norm(x, f"{name}_bn"))


def _body(x: KerasTensor, options: Options, alpha: float, depth_multiplier: int) -> KerasTensor:
    x = Conv2D(int(32 * alpha), 3, strides=2, padding="same", use_bias=False, name="conv1")(x)
    x = _activated(x, "conv1")
    for number, filters in enumerate(_FILTERS, 1):
        strides, padding = 1, "same"
        if number in _HALVING:
            strides, padding = 2, "valid"
            x = ZeroPadding2D(((0, 1), (0, 1)), name=f"conv_pad_{number}")(x)
        depthwise = DepthwiseConv2D(
            3,
            strides=strides,
            padding=padding,
            depth_multiplier=depth_multiplier,
            use_bias=False,
            name=f"conv_dw_{number}",
        )
        x = _activated(depthwise(x), f"conv_dw_{number}")
        x = Conv2D(int(filters * alpha), 1, padding="same", use_bias=False, name=f"conv_pw_{number}")(x)
        x = _activated(x, f"conv_pw_{number}")
    return x


def _head(x: KerasTensor, options: Options, dropout: float) -> KerasTensor:
    x = Dropout(dropout, name="dropout")(GlobalAveragePooling2D(keepdims=True)(x))
    x = Conv2D(options.classes, 1, padding="same", name="conv_preds")(x)
    x = Reshape((options.classes,), name="reshape_2")(x)
    return Activation(options.classifier_activation, name="predictions")(x)


def default_size(shape: Any, sizes: tuple[int, ...]) -> int:
    """Return the side of square pictures of a size that there are official weights for, else 224."""
    height, width = sides(shape) if shape is not None else (None, None)
    return height if height == width and height in sizes else 224


def sized(network: Network, options: Options, sizes: tuple[int, ...], files: Callable[[int], Weights]) -> Model:
    """Make a network that has official weights for pictures of several sizes; the name ends in the size.

    Args:
        network, options: see :func:`make`; the options' name is complete, or ends in "_" and is completed.
        sizes: sides of square pictures that there are weights for.
        files: from a side to the weights.
    """
    check(network, options)
    shape = network.shape_of_input(options)
    height, width = sides(shape)
    if options.is_imagenet:
        if height != width or height not in sizes:
            received, expected = f"pictures of {height}×{width}", f"squares of {', '.join(map(str, sizes))}"
            remedy = "The weights for 224×224 are loaded."
            warnings.warn(explain(network.title, received, expected, remedy), stacklevel=4)
            height = 224
        network = replace(network, files=files(height))
    name = f"{options.name}{height}" if options.name and options.name.endswith("_") else options.name
    return make(network, replace(options, name=name), shape)


def _files(title: str, side: int, alpha: float, depth_multiplier: int) -> Weights:
    if depth_multiplier != 1:
        raise ValueError(explain(f"{title}, argument 'depth_multiplier'", depth_multiplier, "1 with official weights"))
    if alpha not in _ALPHAS:
        raise ValueError(explain(f"{title}, argument 'alpha'", alpha, f"one of {list(_ALPHAS)} with official weights"))
    stem = f"{ORIGIN}mobilenet/mobilenet_{_ALPHAS[alpha]}_{side}_tf"
    return Weights(WeightFile(f"{stem}.h5"), WeightFile(f"{stem}_no_top.h5"))


def _mobilenet(
    title: str,
    input_shape: Any = None,
    alpha: float = 1.0,
    depth_multiplier: int = 1,
    dropout: float = 1e-3,
    include_top: bool = True,
    weights: Any = IMAGENET,
    input_tensor: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = None,
) -> Model:
    name = name or f"mobilenet_{alpha:0.2f}_"
    options = Options(include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name)
    body = partial(_body, alpha=alpha, depth_multiplier=depth_multiplier)
    size = default_size(input_shape, _SIZES)
    network = Network(title, body, size=size, head=partial(_head, dropout=dropout))
    return sized(network, options, _SIZES, lambda side: _files(title, side, alpha, depth_multiplier))


MobileNet = variant(_mobilenet, "MobileNet", "MobileNet", "Howard et al. 2017, arXiv:1704.04861")
preprocess_input = preprocessor("tf")
