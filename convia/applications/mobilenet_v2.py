"""MobileNetV2: inverted residual blocks, that widen, convolve depthwise and narrow without activation."""

from functools import partial
from typing import Any

from convia.applications._published import (
    IMAGENET,
    ORIGIN,
    Network,
    Options,
    WeightFile,
    Weights,
    channels,
    correct_pad,
    dense_head,
    divisible,
    norm,
    sides,
    variant,
)
from convia.applications.imagenet_utils import decode_predictions, preprocessor
from convia.applications.mobilenet import default_size, sized
from convia.errors import explain
from convia.layers import Add, Conv2D, DepthwiseConv2D, ReLU, ZeroPadding2D
from convia.models import Model
from convia.symbolic import KerasTensor

__all__ = ["MobileNetV2", "decode_predictions", "preprocess_input"]

_SIZES = (96, 128, 160, 192, 224)
_ALPHAS = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)
# How often, filters, stride of the first, factor by which a block widens.
_BLOCKS = ((1, 16, 1, 1), (2, 24, 2, 6), (3, 32, 2, 6), (4, 64, 2, 6), (3, 96, 1, 6), (3, 160, 2, 6), (1, 320, 1, 6))


def _norm(x: KerasTensor, name: str) -> KerasTensor:
    return norm(x, name, epsilon=1e-3, momentum=0.999)


def _block(x: KerasTensor, filters: int, stride: int, widening: int, name: str) -> KerasTensor:
    before, entering = x, channels(x)
    if widening > 1:
        x = Conv2D(widening * entering, 1, padding="same", use_bias=False, name=f"{name}expand")(x)
        x = ReLU(6.0, name=f"{name}expand_relu")(_norm(x, f"{name}expand_BN"))
    if stride == 2:
        x = ZeroPadding2D(correct_pad(x, 3), name=f"{name}pad")(x)
    padding = "same" if stride == 1 else "valid"
    x = DepthwiseConv2D(3, strides=stride, padding=padding, use_bias=False, name=f"{name}depthwise")(x)
    x = ReLU(6.0, name=f"{name}depthwise_relu")(_norm(x, f"{name}depthwise_BN"))
    x = Conv2D(filters, 1, padding="same", use_bias=False, name=f"{name}project")(x)
    x = _norm(x, f"{name}project_BN")
    return Add(name=f"{name}add")([before, x]) if stride == 1 and entering == filters else x


def _body(x: KerasTensor, options: Options, alpha: float) -> KerasTensor:
    x = Conv2D(divisible(32 * alpha), 3, strides=2, padding="same", use_bias=False, name="Conv1")(x)
    x = ReLU(6.0, name="Conv1_relu")(_norm(x, "bn_Conv1"))
    rows = [row for times, *row in _BLOCKS for row in (row, *([row[0], 1, row[2]] for _ in range(times - 1)))]
    for number, (filters, stride, widening) in enumerate(rows):
        name = f"block_{number}_" if number else "expanded_conv_"
        x = _block(x, divisible(int(filters * alpha)), stride, widening, name)
    last = divisible(1280 * alpha) if alpha > 1 else 1280
    x = Conv2D(last, 1, use_bias=False, name="Conv_1")(x)
    return ReLU(6.0, name="out_relu")(_norm(x, "Conv_1_bn"))


def _files(title: str, side: int, alpha: float) -> Weights:
    if alpha not in _ALPHAS:
        raise ValueError(explain(f"{title}, argument 'alpha'", alpha, f"one of {_ALPHAS} with official weights"))
    stem = f"{ORIGIN}mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{float(alpha)}_{side}"
    return Weights(WeightFile(f"{stem}.h5"), WeightFile(f"{stem}_no_top.h5"))


def check_same_size(title: str, tensor: Any, shape: Any) -> None:
    """Raise ValueError if a symbolic input and a shape are given and their widths differ."""
    if tensor is None or shape is None or not hasattr(tensor, "shape"):
        return
    if sides(tensor.shape[1:])[1] != sides(shape)[1]:
        received, expected = f"{tuple(shape)} with an input_tensor of shape {tensor.shape}", "the same width"
        raise ValueError(explain(f"{title}, argument 'input_shape'", received, expected, "Give one of them only."))


def _mobilenet(
    title: str,
    input_shape: Any = None,
    alpha: float = 1.0,
    include_top: bool = True,
    weights: Any = IMAGENET,
    input_tensor: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = None,
) -> Model:
    check_same_size(title, input_tensor, input_shape)
    name = name or f"mobilenetv2_{alpha:0.2f}_"
    options = Options(include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name)
    known = input_shape if input_shape is not None else getattr(input_tensor, "shape", (None,))[1:] or None
    size = default_size(known, _SIZES)
    network = Network(title, partial(_body, alpha=alpha), size=size, head=partial(dense_head, pool=None))
    return sized(network, options, _SIZES, lambda side: _files(title, side, alpha))


MobileNetV2 = variant(_mobilenet, "MobileNetV2", "MobileNetV2", "Sandler et al. 2018, arXiv:1801.04381")
preprocess_input = preprocessor("tf")
