"""Networks that made history, as they were published: LeNet (1989, 1998), AlexNet, ZFNet, GoogLeNet.

They have the usual arguments; no official weights of them exist in Keras's format, so ``weights`` is None or a path.
"""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from convia import activations, layout
from convia.applications._published import Network, Options, make, variant
from convia.layer import Layer
from convia.layers import (
    Activation,
    AveragePooling2D,
    Concatenate,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Flatten,
    GlobalAveragePooling2D,
    MaxPooling2D,
    ZeroPadding2D,
)
from convia.models import Model
from convia.symbolic import KerasTensor

__all__ = ["AlexNet", "GoogLeNet", "LeNet5", "LeNet1989", "ZFNet"]

_HOME = "convia.applications"  # under which files name the layers


class LocalResponseNormalization(Layer):
    """Divide by the activity of neighbouring channels: y_c = x_c / (k + α·Σ x²)^β over ``size`` channels around c.

    After Krizhevsky, Sutskever and Hinton 2012, section 3.3, with its constants as defaults.
    """

    _namespace = _HOME
    size: int = 5
    alpha: float = 1e-4
    beta: float = 0.75
    bias: float = 2.0

    def call(self, inputs: Tensor) -> Tensor:
        """Normalize feature maps (N, height, width, channels)."""
        x = inputs.movedim(-1, 1)
        return F.local_response_norm(x, self.size, self.alpha * self.size, self.beta, self.bias).movedim(1, -1)


class TableConv2D(Layer):
    """Convolution in which each filter sees only some channels: (N, h, w, C) → (N, h', w', filters), channels last.

    Args:
        table: for each filter the numbers of its channels.
        kernel_size, strides: side of the window, and its step.
        padding: "valid" or "same".
        bias_per_position: whether each position of each filter has a bias of its own.
        activation: of the output.
    """

    _namespace = _HOME
    table: Any
    kernel_size: int
    strides: int = 1
    padding: str = "valid"
    bias_per_position: bool = False
    activation: Any = "tanh"

    def build(self, input_shape: Any) -> None:
        """Create ``kernel`` (connections, size, size) and ``bias``."""
        pairs = [(number, channel) for number, row in enumerate(self.table) for channel in row]
        self._places = tuple(torch.tensor(column) for column in zip(*pairs, strict=True))
        self._channels, self._function = input_shape[-1], activations.get(self.activation)
        size, step = self.kernel_size, self.strides
        sides = [layout.same_padding(n, size, step) if self.padding == "same" else (0, 0) for n in input_shape[1:3]]
        self._sides = [side for pair in reversed(sides) for side in pair]
        spans = [(n + sum(pair) - size) // step + 1 for n, pair in zip(input_shape[1:3], sides, strict=True)]
        positions = spans if self.bias_per_position else []
        self.kernel = self.add_weight((len(pairs), size, size), name="kernel")
        self.bias = self.add_weight((*positions, len(self.table)), "zeros", name="bias")

    def call(self, inputs: Tensor) -> Tensor:
        """Convolve with a kernel that is zero where there is no connection."""
        size = self.kernel_size
        whole = self.kernel.new_zeros(len(self.table), self._channels, size, size)
        kernel = whole.index_put(tuple(place.to(whole.device) for place in self._places), self.kernel)
        y = F.conv2d(F.pad(inputs.movedim(-1, 1), self._sides), kernel, stride=self.strides).movedim(1, -1)
        outputs: Tensor = self._function(y + self.bias)
        return outputs


def _conv(x: KerasTensor, filters: int, size: int, name: str, **options: Any) -> KerasTensor:
    return Conv2D(filters, size, activation="relu", name=name, **{"padding": "same", **options})(x)


def _dense_head(
    x: KerasTensor, options: Options, units: tuple[int, ...], names: str, activation: str = "relu", rate: float = 0.0
) -> KerasTensor:
    x = Flatten(name="flatten")(x)
    for number, count in enumerate(units):
        x = Dense(count, activation=activation, name=f"{names}{number + 6}")(x)
        x = Dropout(rate, name=f"drop{number + 6}")(x) if rate else x
    return Dense(options.classes, activation=options.classifier_activation, name="predictions")(x)


# -- LeNet ------------------------------------------------------------------------------------------------------------

_ALL = tuple(range(6))
_PARTLY = (  # LeCun et al. 1998, table I: the maps of S2 that each map of C3 sees
    *(tuple(sorted((first + k) % 6 for k in range(3))) for first in range(6)),
    *(tuple(sorted((first + k) % 6 for k in range(4))) for first in range(6)),
    *((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5), _ALL),
)
_EIGHT = tuple(tuple((first + k) % 12 for k in range(8)) for first in (0, 4, 8) for _ in range(4))


def _subsampled(x: KerasTensor, name: str) -> KerasTensor:
    """Average 2×2 pixels; per map a learned coefficient and bias."""
    x = AveragePooling2D(2, name=f"{name}_average")(x)
    return DepthwiseConv2D(1, activation="tanh", depthwise_initializer="ones", name=name)(x)


def _lenet_1998(x: KerasTensor, options: Options) -> KerasTensor:
    x = Conv2D(6, 5, activation="tanh", name="c1")(x)
    x = _subsampled(x, "s2")
    x = TableConv2D(_PARTLY, 5, name="c3")(x)
    return Conv2D(120, 5, activation="tanh", name="c5")(_subsampled(x, "s4"))


def _lenet_1989(x: KerasTensor, options: Options) -> KerasTensor:
    every = (tuple(range(x.shape[-1] or 1)),) * 12
    like: dict[str, Any] = {"kernel_size": 5, "strides": 2, "padding": "same", "bias_per_position": True}
    y: KerasTensor = TableConv2D(_EIGHT, name="h2", **like)(TableConv2D(every, name="h1", **like)(x))
    return y


def _lenet_1998_head(x: KerasTensor, options: Options) -> KerasTensor:
    return _dense_head(x, options, (84,), "f", "tanh")


def _lenet_1989_head(x: KerasTensor, options: Options) -> KerasTensor:
    x = Dense(30, activation="tanh", name="h3")(Flatten(name="flatten")(x))
    return Dense(options.classes, activation=options.classifier_activation, name="predictions")(x)


# -- AlexNet, ZFNet ---------------------------------------------------------------------------------------------------


def _alexnet(x: KerasTensor, options: Options) -> KerasTensor:
    x = _conv(x, 96, 11, "conv1", strides=4, padding="valid")
    x = MaxPooling2D(3, 2, name="pool1")(LocalResponseNormalization(name="norm1")(x))
    x = _conv(x, 256, 5, "conv2", groups=2)
    x = MaxPooling2D(3, 2, name="pool2")(LocalResponseNormalization(name="norm2")(x))
    x = _conv(x, 384, 3, "conv3")
    x = _conv(_conv(x, 384, 3, "conv4", groups=2), 256, 3, "conv5", groups=2)
    return MaxPooling2D(3, 2, name="pool5")(x)


def _zfnet(x: KerasTensor, options: Options) -> KerasTensor:
    x = _conv(ZeroPadding2D(1, name="pad1")(x), 96, 7, "conv1", strides=2, padding="valid")
    x = LocalResponseNormalization(name="norm1")(MaxPooling2D(3, 2, "same", name="pool1")(x))
    x = _conv(x, 256, 5, "conv2", strides=2, padding="valid")
    x = LocalResponseNormalization(name="norm2")(MaxPooling2D(3, 2, "same", name="pool2")(x))
    x = _conv(_conv(_conv(x, 384, 3, "conv3"), 384, 3, "conv4"), 256, 3, "conv5")
    return MaxPooling2D(3, 2, name="pool5")(x)


def _large_head(x: KerasTensor, options: Options) -> KerasTensor:
    return _dense_head(x, options, (4096, 4096), "fc", rate=0.5)


# -- GoogLeNet --------------------------------------------------------------------------------------------------------

INCEPTION = {  # Szegedy et al. 2014, table 1: 1×1, 3×3 after its reduction, 5×5 after its reduction, after the pooling
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


def _inception(x: KerasTensor, name: str) -> KerasTensor:
    one, before_three, three, before_five, five, after_pool = INCEPTION[name]
    name = f"inception_{name}"
    branches = [
        _conv(x, one, 1, f"{name}_1x1"),
        _conv(_conv(x, before_three, 1, f"{name}_3x3_reduce"), three, 3, f"{name}_3x3"),
        _conv(_conv(x, before_five, 1, f"{name}_5x5_reduce"), five, 5, f"{name}_5x5"),
        _conv(MaxPooling2D(3, 1, "same", name=f"{name}_pool")(x), after_pool, 1, f"{name}_pool_proj"),
    ]
    return Concatenate(name=f"{name}_output")(branches)


def _googlenet(x: KerasTensor, options: Options) -> KerasTensor:
    x = MaxPooling2D(3, 2, "same", name="pool1")(_conv(x, 64, 7, "conv1", strides=2))
    x = _conv(LocalResponseNormalization(name="norm1")(x), 64, 1, "conv2_reduce")
    x = LocalResponseNormalization(name="norm2")(_conv(x, 192, 3, "conv2"))
    x = MaxPooling2D(3, 2, "same", name="pool2")(x)
    for name in INCEPTION:
        x = _inception(x, name)
        if name in ("3b", "4e"):
            x = MaxPooling2D(3, 2, "same", name=f"pool{name[0]}")(x)
    return x


def _googlenet_head(x: KerasTensor, options: Options) -> KerasTensor:
    x = Dropout(0.4, name="dropout")(GlobalAveragePooling2D(name="pool5")(x))
    x = Dense(options.classes, name="classifier")(x)
    return Activation(options.classifier_activation or "linear", name="predictions")(x)


# -- functions for users ----------------------------------------------------------------------------------------------


def _classic(
    network: Network,
    include_top: bool = True,
    weights: Any = None,
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = None,
) -> Model:
    """Make a network that has the usual arguments; LeNets are for grey images unless a shape says otherwise."""
    if input_shape is None and input_tensor is None and network.channels == 1:
        input_shape = (network.size, network.size, 1)
    options = Options(include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name)
    return make(network, options)


_network = partial(Network, channels_last_only=True)
_LENET_1989 = _network("LeNet1989", _lenet_1989, size=16, smallest=16, head=_lenet_1989_head, channels=1)
_LENET_1998 = _network("LeNet5", _lenet_1998, size=32, smallest=32, head=_lenet_1998_head, channels=1)
_ALEXNET = _network("AlexNet", _alexnet, size=227, smallest=67, head=_large_head)
_ZFNET = _network("ZFNet", _zfnet, size=224, smallest=45, head=_large_head)
_GOOGLENET = _network("GoogLeNet", _googlenet, size=224, smallest=32, head=_googlenet_head)

LeNet1989 = variant(_classic, _LENET_1989, "LeNet1989", "LeCun et al. 1989", classes=10, name="lenet_1989")
LeNet5 = variant(_classic, _LENET_1998, "LeNet5", "LeCun et al. 1998", classes=10, name="lenet5")
AlexNet = variant(_classic, _ALEXNET, "AlexNet", "Krizhevsky, Sutskever and Hinton 2012", name="alexnet")
ZFNet = variant(_classic, _ZFNET, "ZFNet", "Zeiler and Fergus 2013, arXiv:1311.2901", name="zfnet")
GoogLeNet = variant(_classic, _GOOGLENET, "GoogLeNet", "Szegedy et al. 2014, arXiv:1409.4842", name="googlenet")
