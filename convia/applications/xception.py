"""Xception: residual blocks of separable convolutions, in an entry, a middle and an exit flow."""

from convia.applications._published import Network, Options, norm, standard, tf_kernels, variant
from convia.applications.imagenet_utils import decode_predictions, preprocessor
from convia.layers import Activation, Add, Conv2D, MaxPooling2D, SeparableConv2D
from convia.symbolic import KerasTensor

__all__ = ["Xception", "decode_predictions", "preprocess_input"]

# Filters of the separable convolutions in the residual blocks from the second; those in _HALVING halve the sides.
_BLOCKS = ((128, 128), (256, 256), (728, 728), *((728, 728, 728),) * 8, (728, 1024))
_HALVING = (2, 3, 4, 13)


def _separable(x: KerasTensor, filters: int, name: str) -> KerasTensor:
    x = SeparableConv2D(filters, 3, padding="same", use_bias=False, name=name)(x)
    return norm(x, f"{name}_bn")


def _block(x: KerasTensor, block: int, filters: tuple[int, ...]) -> KerasTensor:
    shortcut = x
    if block in _HALVING:
        shortcut = norm(Conv2D(filters[-1], 1, strides=2, padding="same", use_bias=False)(x))
    for number, count in enumerate(filters, 1):
        name = f"block{block}_sepconv{number}"
        if name != "block2_sepconv1":  # its input is activated already
            x = Activation("relu", name=f"{name}_act")(x)
        x = _separable(x, count, name)
    if block in _HALVING:
        x = MaxPooling2D(3, strides=2, padding="same", name=f"block{block}_pool")(x)
    return Add()([x, shortcut])


def _body(x: KerasTensor, options: Options) -> KerasTensor:
    for number, (filters, strides) in enumerate(((32, 2), (64, 1)), 1):
        name = f"block1_conv{number}"
        x = norm(Conv2D(filters, 3, strides=strides, use_bias=False, name=name)(x), f"{name}_bn")
        x = Activation("relu", name=f"{name}_act")(x)
    for block, widths in enumerate(_BLOCKS, 2):
        x = _block(x, block, widths)
    for number, filters in enumerate((1536, 2048), 1):
        name = f"block14_sepconv{number}"
        x = Activation("relu", name=f"{name}_act")(_separable(x, filters, name))
    return x


_WEIGHTS = tf_kernels("xception", "xception", "0a58e3b7378bc2990ea3b43d5981f1f6", "b0042744bf5b25fce3cb969f33bebb97")
_NETWORK = Network("Xception", _body, _WEIGHTS, size=299, smallest=71)
Xception = variant(standard, _NETWORK, "Xception", "Chollet 2016, arXiv:1610.02357", name="xception")
preprocess_input = preprocessor("tf")
