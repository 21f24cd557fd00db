"""DenseNet: every block of a stack sees the joined outputs of all before it, and adds 32 channels."""

from functools import partial

from convia.applications._published import Network, Options, channel_axis, channels, norm, standard, tf_kernels, variant
from convia.applications.imagenet_utils import decode_predictions, preprocessor
from convia.layers import Activation, AveragePooling2D, Concatenate, Conv2D, MaxPooling2D, ZeroPadding2D
from convia.symbolic import KerasTensor

__all__ = ["DenseNet121", "DenseNet169", "DenseNet201", "decode_predictions", "preprocess_input"]

_GROWTH = 32
_EPSILON = 1.001e-5


def _activated(x: KerasTensor, prefix: str) -> KerasTensor:
    return Activation("relu", name=f"{prefix}relu")(norm(x, f"{prefix}bn", epsilon=_EPSILON))


def _block(x: KerasTensor, name: str) -> KerasTensor:
    new = Conv2D(4 * _GROWTH, 1, use_bias=False, name=f"{name}_1_conv")(_activated(x, f"{name}_0_"))
    new = Conv2D(_GROWTH, 3, padding="same", use_bias=False, name=f"{name}_2_conv")(_activated(new, f"{name}_1_"))
    return Concatenate(axis=channel_axis(), name=f"{name}_concat")([x, new])


def _transition(x: KerasTensor, name: str) -> KerasTensor:
    """Half the channels, half the height and width."""
    half = channels(x) // 2
    x = Conv2D(half, 1, use_bias=False, name=f"{name}_conv")(_activated(x, f"{name}_"))
    return AveragePooling2D(2, strides=2, name=f"{name}_pool")(x)


def _body(x: KerasTensor, options: Options, blocks: tuple[int, ...]) -> KerasTensor:
    x = Conv2D(64, 7, strides=2, use_bias=False, name="conv1_conv")(ZeroPadding2D(3)(x))
    x = MaxPooling2D(3, strides=2, name="pool1")(ZeroPadding2D(1)(_activated(x, "conv1_")))
    for stack, count in enumerate(blocks, 2):
        if stack > 2:
            x = _transition(x, f"pool{stack - 1}")
        for number in range(1, count + 1):
            x = _block(x, f"conv{stack}_block{number}")
    return _activated(x, "")


def _network(title: str, blocks: tuple[int, ...], top: str, no_top: str) -> Network:
    weights = tf_kernels("densenet", title.lower(), top, no_top)
    body = partial(_body, blocks=blocks)
    return Network(title, body, weights, pools=("avg_pool", "max_pool"), channels_last_only=True)


_121 = _network("DenseNet121", (6, 12, 24, 16), "9d60b8095a5708f2dcce2bca79d332c7", "30ee3e1110167f948a6b9946edeeb738")
_169 = _network("DenseNet169", (6, 12, 32, 32), "d699b8f76981ab1b30698df4c175e90b", "b8c4d4c20dd625c148057b9ff1c1176b")
_201 = _network("DenseNet201", (6, 12, 48, 32), "1ceb130c1ea1b78c3bf6114dbdfd8807", "c13680b51ded0fb44dff2d8f86ac8bb1")
_PAPER = "Huang et al. 2016, arXiv:1608.06993"
DenseNet121 = variant(standard, _121, "DenseNet121", _PAPER, name="densenet121")
DenseNet169 = variant(standard, _169, "DenseNet169", _PAPER, name="densenet169")
DenseNet201 = variant(standard, _201, "DenseNet201", _PAPER, name="densenet201")
preprocess_input = preprocessor("torch")
