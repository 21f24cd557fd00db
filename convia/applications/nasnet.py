"""NASNet: two kinds of cells that a search found, each made from the outputs of the two cells before it."""

from collections.abc import Callable
from dataclasses import dataclass
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
    channel_axis,
    channels,
    correct_pad,
    dense_head,
    make,
    norm,
    variant,
)
from convia.applications.imagenet_utils import decode_predictions, preprocessor
from convia.errors import explain
from convia.layers import (
    Activation,
    Add,
    AveragePooling2D,
    Concatenate,
    Conv2D,
    Cropping2D,
    MaxPooling2D,
    SeparableConv2D,
    ZeroPadding2D,
)
from convia.models import Model
from convia.scopes import name_scope
from convia.symbolic import KerasTensor

__all__ = ["NASNetLarge", "NASNetMobile", "decode_predictions", "preprocess_input"]


@dataclass(frozen=True)
class _Row:
    """A network: channels before the classifier, cells per stack, filters of the stem, and its official files."""

    size: int
    last: int
    cells: int
    stem: int
    skips: bool  # whether a cell after a reduction sees what was before it instead of its neighbour
    files: Weights


def _norm(x: KerasTensor, name: str) -> KerasTensor:
    return norm(x, name, momentum=0.9997, epsilon=1e-3)


def _relu(x: KerasTensor, name: str | None = None) -> KerasTensor:
    return Activation("relu", name=name)(x)


def _conv(x: KerasTensor, filters: int, name: str) -> KerasTensor:
    return Conv2D(filters, 1, padding="same", use_bias=False, kernel_initializer="he_normal", name=name)(x)


def _separable(x: KerasTensor, filters: int, size: int, block: str, strides: int = 1) -> KerasTensor:
    """Twice ReLU, a separable convolution and batch normalization; the strides are those of the first."""
    with name_scope(f"separable_conv_block_{block}"):
        for number, stride in ((1, strides), (2, 1)):
            x, padding = _relu(x), "same"
            if stride > 1:
                x, padding = ZeroPadding2D(correct_pad(x, size), name=f"separable_conv_1_pad_{block}")(x), "valid"
            name = f"separable_conv_{number}_{block}"
            x = SeparableConv2D(filters, size, strides=stride, padding=padding, use_bias=False, name=name)(x)
            x = _norm(x, f"separable_conv_{number}_bn_{block}")
    return x


def _adjusted(before: KerasTensor | None, x: KerasTensor, filters: int, block: str) -> KerasTensor:
    """Give what the cell before made the height, width and number of channels that a cell adds to."""
    if before is None:
        return x
    with name_scope("adjust_block"):
        if before.shape[2] != x.shape[2]:
            with name_scope(f"adjust_reduction_block_{block}"):
                return _halved(before, filters, block)
        if channels(before) != filters:
            with name_scope(f"adjust_projection_block_{block}"):
                projected = _conv(_relu(before), filters, f"adjust_conv_projection_{block}")
                return _norm(projected, f"adjust_bn_{block}")
    return before


def _halved(x: KerasTensor, filters: int, block: str) -> KerasTensor:
    """Every second position, and every second but shifted by one, projected to half the channels each and joined."""
    x = _relu(x, f"adjust_relu_1_{block}")
    even = AveragePooling2D(1, strides=2, padding="valid", name=f"adjust_avg_pool_1_{block}")(x)
    even = _conv(even, filters // 2, f"adjust_conv_1_{block}")
    odd = Cropping2D(((1, 0), (1, 0)))(ZeroPadding2D(((0, 1), (0, 1)))(x))
    odd = AveragePooling2D(1, strides=2, padding="valid", name=f"adjust_avg_pool_2_{block}")(odd)
    odd = _conv(odd, filters // 2, f"adjust_conv_2_{block}")
    return _norm(Concatenate(axis=channel_axis())([even, odd]), f"adjust_bn_{block}")


def _normal(x: KerasTensor, before: KerasTensor | None, filters: int, block: str) -> KerasTensor:
    """A cell that keeps height and width; six times as many channels as filters."""
    with name_scope(f"normal_A_block_{block}"):
        p = _adjusted(before, x, filters, block)
        h = _norm(_conv(_relu(x), filters, f"normal_conv_1_{block}"), f"normal_bn_1_{block}")

        def mean(x: KerasTensor, side: str) -> KerasTensor:
            return AveragePooling2D(3, strides=1, padding="same", name=f"normal_{side}_{block}")(x)

        def separable(x: KerasTensor, size: int, side: str) -> KerasTensor:
            return _separable(x, filters, size, f"normal_{side}_{block}")

        blocks: tuple[Callable[[], list[KerasTensor]], ...] = (
            lambda: [separable(h, 5, "left1"), separable(p, 3, "right1")],
            lambda: [separable(p, 5, "left2"), separable(p, 3, "right2")],
            lambda: [mean(h, "left3"), p],
            lambda: [mean(p, "left4"), mean(p, "right4")],
            lambda: [separable(h, 3, "left5"), h],
        )
        sums = []
        for number, pair in enumerate(blocks, 1):
            with name_scope(f"block_{number}"):
                sums.append(Add(name=f"normal_add_{number}_{block}")(pair()))
        return Concatenate(axis=channel_axis(), name=f"normal_concat_{block}")([p, *sums])


def _reduction(x: KerasTensor, before: KerasTensor | None, filters: int, block: str) -> KerasTensor:
    """A cell that halves height and width; four times as many channels as filters."""
    with name_scope(f"reduction_A_block_{block}"):
        p = _adjusted(before, x, filters, block)
        h = _norm(_conv(_relu(x), filters, f"reduction_conv_1_{block}"), f"reduction_bn_1_{block}")
        padded = ZeroPadding2D(correct_pad(h, 3), name=f"reduction_pad_1_{block}")(h)

        def separable(x: KerasTensor, size: int, side: str, strides: int = 2) -> KerasTensor:
            return _separable(x, filters, size, f"reduction_{side}_{block}", strides)

        def halved(layer: Callable[..., Any], side: str) -> KerasTensor:
            half: KerasTensor = layer(3, strides=2, padding="valid", name=f"reduction_{side}_{block}")(padded)
            return half

        def add(a: KerasTensor, b: KerasTensor, name: str) -> KerasTensor:
            return Add(name=name and f"reduction_{name}_{block}")([a, b])

        with name_scope("block_1"):
            x1 = add(separable(h, 5, "left1"), separable(p, 7, "right1"), "add_1")
        with name_scope("block_2"):
            x2 = add(halved(MaxPooling2D, "left2"), separable(p, 7, "right2"), "add_2")
        with name_scope("block_3"):
            x3 = add(halved(AveragePooling2D, "left3"), separable(p, 5, "right3"), "add3")
        with name_scope("block_4"):
            mean = AveragePooling2D(3, strides=1, padding="same", name=f"reduction_left4_{block}")(x1)
            x4 = Add()([x2, mean])
        with name_scope("block_5"):
            x5 = add(separable(x1, 3, "left4", strides=1), halved(MaxPooling2D, "right5"), "add4")
        return Concatenate(axis=channel_axis(), name=f"reduction_concat_{block}")([x2, x3, x4, x5])


def _body(x: KerasTensor, options: Options, row: _Row) -> KerasTensor:
    filters, cells = row.last // 24, row.cells
    stem = Conv2D(row.stem, 3, strides=2, use_bias=False, kernel_initializer="he_normal", name="stem_conv1")
    first = _norm(stem(x), "stem_bn1")
    before: KerasTensor = first
    x = _reduction(first, None, filters // 4, "stem_1")
    before, x = x, _reduction(x, before, filters // 2, "stem_2")
    for stack in range(3):
        wide = filters * 2**stack
        if stack:
            reduced = _reduction(x, before, wide, f"reduce_{stack * cells}")
            before, x = before if row.skips else x, reduced
        for number in range(cells):
            before, x = x, _normal(x, before, wide, f"{stack * cells + number + bool(stack)}")
    return _relu(x)


def _files(name: str, *hashes: str) -> Weights:
    top, no_top = (
        WeightFile(f"{ORIGIN}nasnet/NASNet-{name}{end}.h5", file_hash, f"nasnet_{name}{end.replace('-', '_')}.h5")
        for end, file_hash in zip(("", "-no-top"), hashes, strict=True)
    )
    return Weights(top, no_top)


def _nasnet(
    title: str,
    input_shape: Any = None,
    include_top: bool = True,
    weights: Any = IMAGENET,
    input_tensor: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = None,
) -> Model:
    row = _ROWS[title]
    if title == "NASNetMobile" and not include_top and input_shape is None:
        input_shape = arranged(224, 224)
    options = Options(include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name)
    if options.is_imagenet and input_shape is not None and None in input_shape:
        expected = "known sizes with official weights"
        raise ValueError(explain(f"{title}, argument 'input_shape'", input_shape, expected))
    body, head = partial(_body, row=row), partial(dense_head, pool=None)
    return make(Network(title, body, row.files, size=row.size, head=head, channels_last_only=True), options)


_ROWS = {
    "NASNetMobile": _Row(
        *(224, 1056, 4, 32, False),
        _files("mobile", "020fb642bf7360b370c678b08e0adf61", "1ed92395b5b598bdda52abe5c0dbfd63"),
    ),
    "NASNetLarge": _Row(
        *(331, 4032, 6, 96, True),
        _files("large", "11577c9a518f0070763c2b964a382f17", "d81d89dc07e6e56530c4e77faddd61b5"),
    ),
}
_PAPER = "Zoph et al. 2017, arXiv:1707.07012"
NASNetMobile = variant(_nasnet, "NASNetMobile", "NASNetMobile", _PAPER, name="nasnet_mobile")
NASNetLarge = variant(_nasnet, "NASNetLarge", "NASNetLarge", _PAPER, name="nasnet_large")
preprocess_input = preprocessor("tf")
