"""ResNet: bottlenecks, 1×1 3×3 1×1, around which a shortcut leads; version 2 normalizes before convolving."""

from collections.abc import Callable
from functools import partial

from convia.applications._published import Network, Options, Weights, norm, standard, tf_kernels, variant
from convia.applications.imagenet_utils import decode_predictions, preprocessor
from convia.layers import Activation, Add, Conv2D, MaxPooling2D, ZeroPadding2D
from convia.symbolic import KerasTensor

__all__ = ["ResNet50", "ResNet101", "ResNet152", "decode_predictions", "preprocess_input"]

_EPSILON = 1.001e-5
_FILTERS = (64, 128, 256, 512)  # of a bottleneck in each stack; its output has four times as many channels
BLOCKS = {"50": (3, 4, 6, 3), "101": (3, 4, 23, 3), "152": (3, 8, 36, 3)}


def _normalized(x: KerasTensor, name: str, activation: str = "") -> KerasTensor:
    """Batch normalization named ``name_bn``, then ReLU named by ``activation``."""
    x = norm(x, f"{name}_bn", epsilon=_EPSILON)
    return Activation("relu", name=activation)(x) if activation else x


def _block_v1(x: KerasTensor, filters: int, stride: int, name: str, is_first: bool) -> KerasTensor:
    shortcut = x
    if is_first:
        shortcut = Conv2D(4 * filters, 1, strides=stride, name=f"{name}_0_conv")(x)
        shortcut = _normalized(shortcut, f"{name}_0")
    x = Conv2D(filters, 1, strides=stride, name=f"{name}_1_conv")(x)
    x = _normalized(x, f"{name}_1", f"{name}_1_relu")
    x = Conv2D(filters, 3, padding="same", name=f"{name}_2_conv")(x)
    x = _normalized(x, f"{name}_2", f"{name}_2_relu")
    x = _normalized(Conv2D(4 * filters, 1, name=f"{name}_3_conv")(x), f"{name}_3")
    return Activation("relu", name=f"{name}_out")(Add(name=f"{name}_add")([shortcut, x]))


def _block_v2(x: KerasTensor, filters: int, stride: int, name: str, is_first: bool) -> KerasTensor:
    before = _normalized(x, f"{name}_preact", f"{name}_preact_relu")
    shortcut = x
    if is_first:
        shortcut = Conv2D(4 * filters, 1, strides=stride, name=f"{name}_0_conv")(before)
    elif stride > 1:
        shortcut = MaxPooling2D(1, strides=stride)(x)
    x = Conv2D(filters, 1, use_bias=False, name=f"{name}_1_conv")(before)
    x = _normalized(x, f"{name}_1", f"{name}_1_relu")
    x = ZeroPadding2D(1, name=f"{name}_2_pad")(x)
    x = Conv2D(filters, 3, strides=stride, use_bias=False, name=f"{name}_2_conv")(x)
    x = _normalized(x, f"{name}_2", f"{name}_2_relu")
    return Add(name=f"{name}_out")([shortcut, Conv2D(4 * filters, 1, name=f"{name}_3_conv")(x)])


def _body(x: KerasTensor, options: Options, blocks: tuple[int, ...], version: int) -> KerasTensor:
    x = Conv2D(64, 7, strides=2, name="conv1_conv")(ZeroPadding2D(3, name="conv1_pad")(x))
    if version == 1:
        x = _normalized(x, "conv1", "conv1_relu")
    x = MaxPooling2D(3, strides=2, name="pool1_pool")(ZeroPadding2D(1, name="pool1_pad")(x))
    block: Callable[..., KerasTensor] = _block_v1 if version == 1 else _block_v2
    for stack, (filters, count) in enumerate(zip(_FILTERS, blocks, strict=True)):
        # Version 1 halves height and width in the first block of the last three stacks, version 2 in the last block
        # of the first three.
        halving = (1 if stack else 0) if version == 1 else (count if stack < 3 else 0)
        for number in range(1, count + 1):
            stride = 2 if number == halving else 1
            x = block(x, filters, stride, f"conv{stack + 2}_block{number}", is_first=number == 1)
    return x if version == 1 else _normalized(x, "post", "post_relu")


def network(title: str, blocks: tuple[int, ...], version: int, weights: Weights) -> Network:
    """Return a ResNet of version 1 or 2 with the given numbers of blocks in its four stacks."""
    return Network(title, partial(_body, blocks=blocks, version=version), weights, pools=("avg_pool", "max_pool"))


def _variant(depth: str, top: str, no_top: str) -> Network:
    return network(f"ResNet{depth}", BLOCKS[depth], 1, tf_kernels("resnet", f"resnet{depth}", top, no_top))


_PAPER = "He et al. 2015, arXiv:1512.03385"
_50 = _variant("50", "2cb95161c43110f7111970584f804107", "4d473c1dd8becc155b73f8504c6f6626")
_101 = _variant("101", "f1aeb4b969a6efcfb50fad2f0c20cfc5", "88cf7a10940856eca736dc7b7e228a21")
_152 = _variant("152", "100835be76be38e30d865e96f2aaae62", "ee4c566cf9a93f14d82f913c2dc6dd0c")
ResNet50 = variant(standard, _50, "ResNet50", _PAPER, name="resnet50")
ResNet101 = variant(standard, _101, "ResNet101", _PAPER, name="resnet101")
ResNet152 = variant(standard, _152, "ResNet152", _PAPER, name="resnet152")
preprocess_input = preprocessor("caffe")
