"""What the comparison with Keras does not show: messages, frames on the way to torch, memory, channel orders."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import convia
from convia import layers

IMAGES = torch.zeros(2, 8, 9, 3)


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (lambda: layers.Conv2D(3, 3, strides=2, dilation_rate=2), ["Conv2D", "strides=(2, 2)", "dilation_rate=(2, 2)"]),
        (lambda: layers.Conv2D(5, 3, groups=2), ["filters=5 with groups=2", "multiple"]),
        (lambda: layers.Conv2D(4, 3, padding="causal"), ["'padding'", "'causal'", "['valid', 'same']"]),
        (lambda: layers.Conv1D(4, 3, padding="full"), ["'padding'", "'full'", "'causal'"]),
        (lambda: layers.Conv2D(0, 3), ["'filters'", "0", "whole number ≥ 1"]),
        (lambda: layers.Conv2D(4, (3, 3, 3)), ["'kernel_size'", "(3, 3, 3)", "2 of them"]),
        (lambda: layers.Conv2D(4, 0), ["'kernel_size'", "whole number ≥ 1"]),
        (lambda: layers.Conv2D(4, 3, data_format="NCHW"), ["data_format", "'NCHW'", "channels_first"]),
        (lambda: layers.Conv2DTranspose(4, 3, strides=2, dilation_rate=2), ["strides=(2, 2)", "dilation_rate=(2, 2)"]),
        (lambda: layers.Conv2DTranspose(4, 3, 2, output_padding=2), ["output_padding=(2, 2)", "less than the stride"]),
        (lambda: layers.DepthwiseConv2D(3, depth_multiplier=0), ["'depth_multiplier'", "whole number ≥ 1"]),
        (lambda: layers.Conv2D(4, 3, groups=2)(IMAGES), ["input channels=3 with groups=2", "multiple"]),
        (
            lambda: layers.Conv2D(4, 9, name="c")(layers.Input((8, 9, 3))),
            [
                "Conv2D layer 'c'",
                "(None, 8, 9, 3)",
                "height ≥ 9 and width ≥ 9",
                "padding='same'",
                "smaller kernel_size",
            ],
        ),
        (lambda: layers.Conv2D(4, 3, dilation_rate=4)(IMAGES), ["height ≥ 9", "(2, 8, 9, 3)"]),
        (lambda: layers.Conv2D(4, 3)(torch.zeros(8, 9, 3)), ["(8, 9, 3)", "4 dimensions", "x[None]", "x[..., None]"]),
        (lambda: layers.Conv2D(4, 3)(layers.Input((None, None, None))), ["known number of channels on axis -1"]),
    ],
)
def test_message(make, parts):
    with pytest.raises(ValueError) as caught:
        make()
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ((2, 8, 9, 1), ["size 3 on axis", "gray", "color_mode='rgb'"]),
        ((2, 8, 9, 4), ["size 3 on axis", "alpha"]),
        ((2, 8, 9, 5), ["size 3 on axis"]),
        ((8, 9, 3), ["4 dimensions", "x[None]"]),
        ((2, 2, 9, 3), ["height ≥ 3"]),
    ],
)
def test_wrong_input_of_a_built_layer(data_format, given, parts):
    order = (0, 3, 1, 2) if data_format == "channels_first" else (0, 1, 2, 3)
    given = tuple(np.array(given)[list(order)]) if len(given) == 4 else given
    for layer in (
        layers.Conv2D(3, 3, data_format=data_format),
        layers.SeparableConv2D(3, 3, data_format=data_format),
        layers.DepthwiseConv2D(3, data_format=data_format),
    ):
        layer(IMAGES.permute(order))
        for inputs in (torch.zeros([int(size) for size in given]), convia.graph.Input(given[1:])):
            with pytest.raises(ValueError) as caught:
                layer(inputs)
            if isinstance(inputs, torch.Tensor) or len(given) == 4:
                for part in (layer.name, *parts):
                    assert part in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "other", "order"),
    [
        ((2, 3, 8, 9), "channels_first", {}),
        ((2, 8, 9, 3), "channels_last", {"data_format": "channels_first"}),
    ],
)
def test_channels_elsewhere(shape, other, order):
    layer = layers.Conv2D(4, 3, **order)
    layer(IMAGES.permute(0, 3, 1, 2) if order else IMAGES)
    with pytest.raises(ValueError, match=f"channels seem to be elsewhere: .*data_format='{other}'"):
        layer(torch.zeros(shape))


def frames_of_ours(call):
    """The files of the library that lie on the stack when torch convolves."""
    root, found = str(Path(convia.layers.__file__).parent.parent), []

    def watch(frame, event, argument):
        if event == "c_call" and getattr(argument, "__name__", "").startswith(("conv", "max_pool", "linear")):
            while frame:
                if frame.f_code.co_filename.startswith(root):
                    found.append(frame.f_code.co_filename)
                frame = frame.f_back

    sys.setprofile(watch)
    try:
        call()
    finally:
        sys.setprofile(None)
    return found


@pytest.mark.parametrize(
    "layer",
    [
        layers.Conv2D(4, 3, activation="relu"),
        layers.Conv2D(4, 3, 2, "same"),
        layers.DepthwiseConv2D(3),
        layers.Conv2DTranspose(4, 3, 2, "same"),
        layers.MaxPooling2D(2, padding="same"),
        layers.Dense(5),
    ],
)
def test_few_frames_between_user_and_torch(layer):
    layer(IMAGES)
    found = frames_of_ours(lambda: layer(IMAGES))
    assert len(found) == 2, found
    assert [Path(name).name for name in found][1] == "layer.py"


@pytest.mark.parametrize(
    "make", [lambda: layers.Conv2D(4, 3), lambda: layers.Conv3D(4, 3), lambda: layers.Conv1D(4, 3)]
)
def test_kernel_lies_in_torchs_order(make):
    layer = make()
    layer.build((None, *[8] * layer.rank, 3))
    assert tuple(layer.kernel.shape) == (*[3] * layer.rank, 3, 4)
    assert layer.kernel.permute(layer._order).is_contiguous()


def test_output_is_contiguous_channels_last():
    """Between layers no copies are made: what comes out of a convolution is what the next takes."""
    assert layers.Conv2D(4, 3)(torch.randn(2, 8, 9, 3)).is_contiguous()


def test_aliases_are_the_same_class():
    for name in ("Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose", "SeparableConv2D"):
        assert getattr(layers, name.replace("Conv", "Convolution")) is getattr(layers, name)
        assert convia.registry.lookup("keras.layers", name.replace("Conv", "Convolution")) is getattr(layers, name)


def test_activation_may_be_a_layer():
    layer = layers.Conv2D(4, 3, activation=layers.ReLU(max_value=0.1))
    assert layer(torch.randn(2, 8, 9, 3)).max() <= 0.1
    assert type(layer).from_config(layer.get_config()).activation.max_value == 0.1


@pytest.mark.parametrize(
    ("activation", "channels"), [("glu", 3), (lambda x: torch.cat([x, x], -1), 12), ("relu", 6), (layers.ReLU(), 6)]
)
def test_the_shape_is_that_after_the_activation(activation, channels):
    for layer in (layers.Conv2D(6, 3, activation=activation), layers.Dense(6, activation=activation)):
        symbolic = layer(convia.Input((8, 9, 2)))
        assert symbolic.shape[-1] == channels == layer(torch.zeros(1, 8, 9, 2)).shape[-1]
