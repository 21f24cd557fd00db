"""Every layer against Keras: weights, outputs, gradients, symbolic shapes and configs, in several configurations."""

import keras
import numpy as np
import pytest
from oracle import against_keras, compare_config, compare_layer, compare_symbolic, positional, random_inputs

from convia import layers

# layer → rows of (shape of the input, arguments by position, arguments by name)
CASES = {
    "Conv1D": [
        ((2, 9, 4), (6, 3), {}),
        ((2, 9, 4), (6, 4), {"padding": "same", "activation": "relu", "groups": 2}),
        ((2, 9, 4), (6, 3), {"padding": "causal", "dilation_rate": 2}),
        ((2, 4, 10), (6, 3, 2, "same", "channels_first"), {}),
    ],
    "Conv2D": [
        ((2, 9, 8, 3), (4, 3), {}),
        ((2, 9, 8, 3), (4, (2, 3), 2), {"padding": "same", "activation": "relu"}),
        ((2, 10, 7, 3), (4, 5, (3, 2)), {"padding": "same", "use_bias": False}),
        ((2, 8, 8, 3), (4, 1, 2), {"padding": "same", "kernel_regularizer": "l2", "kernel_constraint": "max_norm"}),
        ((2, 4, 9, 8), (6, 3), {"padding": "same", "dilation_rate": 2, "groups": 2, "data_format": "channels_first"}),
        ((2, 9, 8, 3), (4, (2, 4)), {"padding": "same", "activation": "tanh"}),
        ((2, 9, 8, 1), (1, (3, 2)), {"dilation_rate": (1, 3)}),
    ],
    "Conv3D": [
        ((2, 5, 6, 7, 4), (6, 2), {"padding": "same"}),
        ((2, 5, 6, 7, 2), (3, (3, 2, 1), (2, 1, 2)), {"padding": "same"}),
        ((2, 4, 5, 6, 7), (6, 3), {"data_format": "channels_first", "groups": 2}),
    ],
    "DepthwiseConv1D": [
        ((2, 9, 3), (3,), {}),
        ((2, 9, 3), (2, 2, "same", 3), {}),
        ((2, 3, 9), (3,), {"data_format": "channels_first", "padding": "same", "dilation_rate": 2}),
    ],
    "DepthwiseConv2D": [
        ((2, 9, 8, 3), (3,), {"padding": "same", "depth_multiplier": 2}),
        ((2, 9, 8, 3), ((2, 3), 2, "same"), {"activation": "relu"}),
        ((2, 3, 9, 8), (3,), {"data_format": "channels_first", "use_bias": False}),
    ],
    "SeparableConv1D": [
        ((2, 9, 3), (5, 3), {}),
        ((2, 9, 3), (5, 2, 2, "same"), {"depth_multiplier": 2}),
        ((2, 3, 9), (5, 3), {"data_format": "channels_first", "activation": "relu"}),
    ],
    "SeparableConv2D": [
        ((2, 9, 8, 3), (5, 3), {"padding": "same", "depth_multiplier": 2, "strides": 2}),
        ((2, 9, 8, 3), (5, (3, 2)), {"use_bias": False, "dilation_rate": 2}),
        ((2, 3, 9, 8), (5, 3), {"data_format": "channels_first", "activation": "relu"}),
    ],
    "Conv1DTranspose": [
        ((2, 4, 5), (5, 3), {"dilation_rate": 2}),
        ((2, 4, 5), (5, 2, 3, "same"), {}),
        ((2, 5, 4), (5, 3, 2), {"data_format": "channels_first", "activation": "relu"}),
    ],
    "Conv2DTranspose": [
        *(
            ((2, 4, 5, 3), (5, kernel, stride, padding, extra), {})
            for padding in ("valid", "same")
            for kernel in (1, 2, 3, 4, 5)
            for stride in (1, 2, 4)
            for extra in (None, 0, 1)
            if extra is None or extra < stride
        ),
        ((2, 3, 4, 5), (5, (3, 2), (2, 1)), {"padding": "same", "data_format": "channels_first", "activation": "relu"}),
        ((2, 4, 5, 3), (5, 3), {"padding": "same", "dilation_rate": 2, "use_bias": False}),
    ],
    "Conv3DTranspose": [
        ((2, 3, 4, 5, 2), (5, 3, 2, "same"), {}),
        ((2, 4, 3, 3, 2), (5, 3, 2, "same", "channels_first", 1), {}),
        ((1, 2, 3, 2, 2), (3, 2), {}),
    ],
    **{
        f"{kind}Pooling{rank}D": [
            ((*(2, 9, 8, 7)[: rank + 1], 3), (2,), {}),
            ((*(2, 9, 7, 9)[: rank + 1], 3), (3, 2, "same"), {}),
            ((*(2, 9, 8, 7)[: rank + 1], 3), (3, 1, "same"), {"name": "pool"}),
            ((2, 3, 9, 8, 7)[: rank + 2], (3, 2), {"data_format": "channels_first"}),
            ((2, 3, 8, 8, 8)[: rank + 2], (2, None, "same", "channels_first"), {}),
        ]
        for kind in ("Max", "Average")
        for rank in (1, 2, 3)
    },
    **{
        f"Global{kind}Pooling{rank}D": [
            ((*(2, 5, 6, 7)[: rank + 1], 3), (), {}),
            ((*(2, 5, 6, 7)[: rank + 1], 3), (None, True), {}),
            ((2, 3, 5, 6, 7)[: rank + 2], ("channels_first",), {}),
            ((2, 3, 5, 6, 7)[: rank + 2], ("channels_first", True), {}),
        ]
        for kind in ("Max", "Average")
        for rank in (1, 2, 3)
    },
    **{
        f"Adaptive{kind}Pooling{rank}D": [
            ((*(2, 9, 8, 7)[: rank + 1], 3), (2,), {}),
            ((*(2, 9, 8, 7)[: rank + 1], 3), ((3, 2, 4)[:rank] if rank > 1 else 5,), {}),
            ((2, 3, 9, 8, 7)[: rank + 2], (3, "channels_first"), {}),
        ]
        for kind in ("Max", "Average")
        for rank in (1, 2, 3)
    },
    "Dense": [
        ((2, 5), (3,), {"activation": "tanh"}),
        ((2, 5, 4), (3,), {"use_bias": False}),
        ((2, 3, 5, 4), (1,), {"activity_regularizer": "l1", "kernel_initializer": "he_normal"}),
    ],
    "Activation": [((2, 5), (name,), {}) for name in ("relu", "softmax", "linear")],
    "Identity": [((2, 5), (), {}), ((2, 3, 4), (), {}), ((2,), (), {})],
    "EinsumDense": [
        ((2, 5, 4), ("abc,cd->abd", (5, 6)), {"bias_axes": "d"}),
        ((2, 5, 4), ("...c,cd->...d", 6), {"bias_axes": "d", "activation": "relu"}),
        ((2, 5, 4, 3), ("ab...,bd->ad...", 6), {"bias_axes": "d", "kernel_initializer": "glorot_normal"}),
        ((2, 5), ("ab,bcd->acd", (3, 4)), {"bias_axes": "cd"}),
    ],
    "Flatten": [((2, 3, 4, 5), (), {}), ((2, 3, 4, 5), ("channels_first",), {}), ((2,), (), {}), ((2, 3), (), {})],
    "Reshape": [((2, 3, 4), ((6, 2),), {}), ((2, 3, 4), ((-1, 2),), {}), ((2, 12), ((3, 2, 2),), {})],
    "Permute": [((2, 3, 4), ((2, 1),), {}), ((2, 3, 4, 5), ((3, 1, 2),), {}), ((2, 3), ((1,),), {})],
    "RepeatVector": [((2, 3), (1,), {}), ((2, 3), (4,), {}), ((1, 1), (2,), {})],
    "ZeroPadding1D": [
        ((2, 5, 6), (), {}),
        ((2, 5, 6), ((2, 1),), {}),
        ((2, 5, 6), ((0, 3), "channels_first"), {}),
    ],
    "Cropping1D": [((2, 5, 6), (), {}), ((2, 5, 6), (2,), {}), ((2, 5, 6), ((0, 3),), {})],
    "UpSampling1D": [((2, 5, 6), (), {}), ((2, 5, 6), (3,), {}), ((1, 1, 1), (1,), {})],
    **{
        f"{name}{rank}D": [
            ((2, 5, 6, 4, 5)[: rank + 2], (), {}),
            ((2, 5, 6, 4, 5)[: rank + 2], ((1, 2, 1)[:rank],), {}),
            ((2, 5, 6, 4, 5)[: rank + 2], (((1, 2), (0, 1), (2, 0))[:rank],), {"data_format": "channels_first"}),
        ]
        for name in ("ZeroPadding", "Cropping")
        for rank in (2, 3)
    },
    "UpSampling2D": [
        ((2, 5, 6, 4), (), {}),
        ((2, 4, 5, 6), ((2, 3), "channels_first"), {}),
        ((2, 5, 6, 4), ((2, 3),), {"interpolation": "bilinear"}),
        ((2, 4, 5, 6), (3, "channels_first", "bicubic"), {}),
    ],
    "UpSampling3D": [
        ((2, 2, 3, 4, 2), (), {}),
        ((2, 2, 3, 4, 2), ((1, 2, 3),), {}),
        ((2, 2, 3, 4, 2), (2, "channels_first"), {}),
    ],
    "BatchNormalization": [
        ((4, 5, 6, 3), (), {}),
        ((4, 5, 6, 3), (1, 0.8), {"scale": False}),
        ((4, 6), (), {"center": False, "gamma_regularizer": "l2"}),
        ((1, 6), (), {"epsilon": 1e-2}),
        ((4, 5, 6), (2,), {"trainable": False}),
        ((4, 5, 6), (), {"renorm": True, "renorm_clipping": {"rmax": 1.1, "rmin": 0.3, "dmax": 0.2}}),
    ],
    "LayerNormalization": [
        ((4, 5, 6, 3), (), {}),
        ((4, 5, 6, 3), ([-1, -2],), {"center": False}),
        ((4, 5, 6, 3), ([1, 2, 3], 1e-5), {"scale": False}),
        ((4, 5, 6, 3), (), {"rms_scaling": True}),
    ],
    "RMSNormalization": [((4, 5, 6, 3), (), {}), ((4, 5, 6), ([1, 2],), {}), ((4, 6), (-1, 1e-3), {})],
    "UnitNormalization": [((4, 5, 6), (), {}), ((4, 5, 6), (1,), {}), ((4, 5, 6), ([1, 2],), {})],
    "GroupNormalization": [
        ((4, 4, 6, 8), (2,), {}),
        ((4, 4, 6, 8), (-1,), {"center": False}),
        ((4, 4, 6, 8), (4, 1), {"scale": False}),
        ((4, 5, 6, 8), (3, 2), {}),
    ],
}
ROWS = [
    pytest.param(name, *row, id=f"{name}-{number}") for name, rows in CASES.items() for number, row in enumerate(rows)
]


def both(name, args, options):
    options = {"name": "layer", **options}
    return getattr(layers, name)(*args, **options), getattr(keras.layers, name)(*args, **options)


@against_keras(("name", "shape", "args", "options"), ROWS)
def test_layer(name, shape, args, options):
    compare_config(*both(name, args, options))
    compare_symbolic(*both(name, args, options), (None, *shape[1:]))
    for training in (False, True):
        compare_layer(*both(name, args, options), *random_inputs(shape), training=training)


@pytest.mark.parametrize("name", sorted({*CASES, "Embedding", "Lambda", "SpectralNormalization", "Wrapper"}))
def test_signature(name):
    """Arguments by position have Keras's order and defaults, those of quantization and LoRA aside."""
    ours, theirs = positional(getattr(layers, name)), positional(getattr(keras.layers, name))
    left_out = {"lora_rank", "lora_alpha", "quantization_config", "gptq_unpacked_column_size", "weights"}
    theirs = [entry for entry in theirs if entry[0] not in left_out]
    assert ours[: len(theirs)] == theirs or (name == "Conv3DTranspose" and theirs[: len(ours)] == ours)


SYMBOLIC = [
    ("Conv2D", (4, 3), {"padding": "same", "strides": 2}, (None, None, None, 3), (None, None, None, 4)),
    ("Conv2D", (4, 3), {}, (None, 28, None, 3), (None, 26, None, 4)),
    ("Conv1D", (4, 3), {"padding": "causal"}, (8, None, 3), (8, None, 4)),
    ("Conv2DTranspose", (4, 3, 2, "same"), {}, (None, None, 8, 3), (None, None, 16, 4)),
    ("SeparableConv2D", (4, 3), {}, (None, None, None, 3), (None, None, None, 4)),
    ("MaxPooling2D", (2,), {}, (None, None, 9, 3), (None, None, 4, 3)),
    ("AveragePooling2D", (2, 2, "same"), {}, (None, None, 9, 3), (None, None, 5, 3)),
    ("GlobalMaxPooling2D", (), {}, (None, None, None, 3), (None, 3)),
    ("AdaptiveMaxPooling2D", (2,), {}, (None, None, None, 3), (None, 2, 2, 3)),
    ("AdaptiveAveragePooling3D", (2,), {}, (None, None, None, 8, 3), (None, 2, 2, 2, 3)),
    ("Dense", (4,), {}, (None, None, 3), (None, None, 4)),
    ("Flatten", (), {}, (None, None, 3), (None, None)),
    ("Reshape", ((3, 5),), {}, (2, None), (2, 3, 5)),
    ("Reshape", ((-1, 7),), {}, (4, 6, None, 3), (4, None, 7)),
    ("Permute", ((2, 1),), {}, (None, None, 3), (None, 3, None)),
    ("ZeroPadding2D", (), {}, (None, None, 9, 3), (None, None, 11, 3)),
    ("Cropping2D", (1,), {}, (None, None, 9, 3), (None, None, 7, 3)),
    ("UpSampling2D", (), {"interpolation": "bilinear"}, (None, None, 9, 3), (None, None, 18, 3)),
    ("BatchNormalization", (), {}, (None, None, None, 3), (None, None, None, 3)),
    ("GroupNormalization", (1,), {}, (None, None, None, 3), (None, None, None, 3)),
]


@pytest.mark.parametrize(("name", "args", "options", "shape", "expected"), SYMBOLIC)
def test_unknown_sizes(name, args, options, shape, expected):
    ours, theirs = both(name, args, options)
    compare_symbolic(ours, theirs, shape)
    assert ours.output.shape == expected


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize(
    ("name", "args", "shape"),
    [
        ("Conv2D", (4, 3), (2, 8, 8, 3)),
        ("Conv2DTranspose", (4, 3), (2, 8, 8, 3)),
        ("MaxPooling2D", (2,), (2, 8, 8, 3)),
        ("AveragePooling2D", (2, 2, "same"), (2, 8, 8, 3)),
        ("Dense", (4,), (2, 8)),
        ("BatchNormalization", (), (8, 4, 4, 3)),
        ("LayerNormalization", (), (8, 4, 4, 3)),
        ("GroupNormalization", (2,), (8, 4, 4, 4)),
        ("UpSampling2D", (2,), (2, 4, 4, 3)),
    ],
)
def test_types(name, args, shape, dtype):
    """Half precision has about 3 digits (float16) or 2 (bfloat16)."""
    tolerance = 1e-5 if dtype == "float64" else 5e-3 if dtype.endswith("_float16") or dtype == "float16" else 3e-2
    for training in (False, True):
        pair = both(name, args, {"dtype": dtype})
        compare_layer(*pair, *random_inputs(shape), training=training, grads=False, tolerance=tolerance)


def test_default_data_format_is_the_global_one():
    from convia import config

    config.set_image_data_format("channels_first")
    keras.config.set_image_data_format("channels_first")
    try:
        for name, args in (("Conv2D", (4, 3)), ("MaxPooling2D", ()), ("Flatten", ()), ("GlobalMaxPooling2D", ())):
            pair = both(name, args, {})
            assert pair[0].data_format == "channels_first"
            compare_layer(*pair, *random_inputs((2, 3, 8, 9)))
    finally:
        keras.config.set_image_data_format("channels_last")


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("Conv2D", (4, 3)),
        ("Conv2DTranspose", (4, 3)),
        ("AveragePooling2D", (2,)),
        ("GlobalAveragePooling2D", ()),
        ("AdaptiveAveragePooling2D", (2,)),
        ("BatchNormalization", ()),
        ("LayerNormalization", ()),
        ("EinsumDense", ("...c,cd->...d", 3)),
        ("Dense", (3,)),
    ],
)
def test_bytes_of_images_are_taken_as_numbers(name, args):
    """Keras on torch fails for some, so that the same numbers as floats are the oracle."""
    layer = getattr(layers, name)(*args)
    pixels = random_inputs((2, 8, 9, 3), dtype="uint8")[0]
    np.testing.assert_array_equal(layer(pixels).detach(), layer(pixels.astype("float32")).detach())
    assert layer(layers.Input((8, 9, 3), dtype="uint8")).dtype == "float32"
