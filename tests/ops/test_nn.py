"""Operations of neural networks against Keras on torch; average pooling against a count of what lies inside."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import itertools

import numpy as np
import pytest
import torch

from convia import ops

from .oracle import check_symbolic, check_symbolic_like_eager, check_values, floats, ints, row_id, units

x, p, t = floats(2, 3, 4), units(4, 5), np.eye(5, dtype="float32")[[0, 2, 4, 1]]
image, odd, line, volume = floats(2, 8, 8, 3), floats(2, 7, 9, 4), floats(2, 9, 4), floats(1, 5, 6, 7, 2)
ACTIVATIONS = [
    "celu",
    "elu",
    "gelu",
    "glu",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "leaky_relu",
    "log_sigmoid",
    "log_softmax",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "soft_shrink",
    "softmax",
    "softplus",
    "softsign",
    "sparse_plus",
    "sparse_sigmoid",
    "sparsemax",
    "squareplus",
    "swish",
    "tanh_shrink",
]
VALUES_WRONG_IN_KERAS = ("sparsemax",)  # does not sum to 1 there; see the tests of activations
SHAPES_WRONG_IN_KERAS = ("multi_hot", "polar", "adaptive_average_pool", "adaptive_max_pool")
STRIDED = [{"strides": s, "padding": q} for s in (1, 2, 3) for q in ("valid", "same")]

ROWS = [
    *[(name, (x,), {}) for name in ACTIVATIONS],
    ("threshold", (x, 0.5, -2.0), {}),
    ("gelu", (x,), {"approximate": False}),
    *[(name, (x,), {"axis": axis}) for name in ("softmax", "log_softmax") for axis in (1, None, (0, 2))],
    *[
        ("one_hot", (ints(2, 3, low=-1, high=5), 5), options)
        for options in ({}, {"axis": 0}, {"axis": 1, "dtype": "int32"})
    ],
    ("multi_hot", (ints(4, 3, low=0, high=5), 5), {}),
    ("multi_hot", (ints(3, low=0, high=5), 5), {}),
    *[("categorical_crossentropy", pair, {}) for pair in ((t, p), (t, p * 0.1))],
    ("categorical_crossentropy", (t, floats(4, 5)), {"from_logits": True}),
    *[("sparse_categorical_crossentropy", (ints(4, high=5), floats(4, 5)), {"from_logits": True})],
    ("sparse_categorical_crossentropy", (ints(4, 1, high=5), p), {}),
    ("sparse_categorical_crossentropy", (ints(2, 4, high=3), units(2, 3, 4)), {"axis": 1}),
    ("sparse_categorical_crossentropy", (np.array(1), units(4)), {}),
    ("binary_crossentropy", (t, p), {}),
    ("binary_crossentropy", (t, floats(4, 5)), {"from_logits": True}),
    *[("moments", (x,), {"axes": axes, "keepdims": keep}) for axes in ([0], (0, 2)) for keep in (True, False)],
    ("moments", (floats(3, 4, dtype="float16"),), {"axes": [0]}),
    ("batch_normalization", (x, floats(4), units(4), -1), {}),
    ("batch_normalization", (x, floats(3), units(3), 1), {"offset": floats(3), "scale": floats(3), "epsilon": 0.1}),
    *[("normalize", (x,), options) for options in ({}, {"axis": 1}, {"order": 3}, {"axis": 0, "order": 1})],
    *[("rms_normalization", (x,), options) for options in ({}, {"scale": units(4)}, {"axis": (1, 2), "epsilon": 0.1})],
    *[("layer_normalization", (x,), options) for options in ({}, {"gamma": units(4), "beta": units(4)})],
    ("layer_normalization", (x,), {"axis": (1, 2)}),
    ("dot_product_attention", (floats(2, 5, 4, 8), floats(2, 6, 4, 8), floats(2, 6, 4, 8)), {}),
    ("dot_product_attention", (floats(2, 5, 4, 8), floats(2, 5, 2, 8), floats(2, 5, 2, 8)), {"is_causal": True}),
    (
        "dot_product_attention",
        (floats(2, 5, 4, 8), floats(2, 6, 4, 8), floats(2, 6, 4, 8)),
        {"mask": np.tril(np.ones((2, 1, 5, 6), bool)), "scale": 0.2},
    ),
    ("dot_product_attention", (floats(2, 5, 4, 8),) * 3, {"bias": floats(2, 4, 5, 5)}),
    ("dot_product_attention", (floats(2, 5, 4, 8),) * 3, {"mask": np.ones((2, 4, 5, 5), bool), "is_causal": True}),
    ("psnr", (units(2, 4, 4, 3), units(2, 4, 4, 3), 1.0), {}),
    ("polar", (units(3), floats(3)), {}),
    ("unfold", (floats(2, 3, 6, 6), 2), {"stride": 2, "padding": 1}),
    ("fold", (floats(2, 12, 9), (6, 6), 2), {"stride": 2}),
    *[("space_to_depth", (image, 2), {"data_format": order}) for order in ("channels_last",)],
    ("space_to_depth", (floats(2, 3, 8, 6), 2), {"data_format": "channels_first"}),
    ("depth_to_space", (floats(2, 3, 3, 8), 2), {}),
    ("depth_to_space", (floats(2, 8, 3, 3), 2), {"data_format": "channels_first"}),
]
SPATIAL = [
    *[
        ("conv", (data, kernel), options)
        for options in STRIDED
        for data, kernel in ((line, floats(3, 4, 6)), (odd, floats(3, 2, 4, 6)), (volume, floats(2, 3, 3, 2, 4)))
    ],
    ("conv", (odd, floats(3, 3, 4, 6)), {"dilation_rate": 2, "padding": "SAME"}),
    ("conv", (floats(2, 4, 7, 9), floats(3, 3, 4, 6)), {"data_format": "channels_first", "padding": "same"}),
    *[
        ("depthwise_conv", (data, kernel), options)
        for options in STRIDED
        for data, kernel in ((line, floats(3, 4, 2)), (odd, floats(3, 3, 4, 2)))
    ],
    ("separable_conv", (odd, floats(3, 3, 4, 2), floats(1, 1, 8, 5)), {"padding": "same", "strides": 2}),
    *[
        ("conv_transpose", (data, kernel), options)
        for options in STRIDED
        for data, kernel in ((line, floats(3, 6, 4)), (odd, floats(3, 2, 6, 4)), (volume, floats(2, 3, 3, 4, 2)))
    ],
    ("conv_transpose", (odd, floats(3, 3, 6, 4)), {"strides": 2, "output_padding": 1}),
    ("conv_transpose", (odd, floats(3, 3, 6, 4)), {"strides": 2, "output_padding": (1, 0), "padding": "same"}),
    ("conv_transpose", (odd, floats(3, 3, 6, 4)), {"dilation_rate": 2, "padding": "same"}),
    *[
        ("max_pool", (data, size), options)
        for options in ({}, *STRIDED)
        for data, size in ((line, 2), (odd, (3, 2)), (volume, 2))
    ],
    ("max_pool", (floats(2, 3, 8, 8), 2), {"data_format": "channels_first"}),
    *[
        ("average_pool", (data, size), {"strides": s})
        for s in (None, 1, 2)
        for data, size in ((line, 2), (odd, (3, 2)), (volume, 2))
    ],
    *[
        (name, (data, size), {})
        for name in ("adaptive_average_pool", "adaptive_max_pool")
        for data, size in ((line, 4), (odd, (3, 2)), (odd, 3), (volume, 2))
    ],
]

ONLY_VALUES = [  # Keras refuses symbolic tensors here, or computes another shape than from numbers
    ("categorical_crossentropy", (t, p), {"axis": 0}),
    ("conv", (odd, floats(3, 3, 2, 6)), {}),
    *[row for row in ROWS + SPATIAL if row[0] in SHAPES_WRONG_IN_KERAS],
]


@pytest.mark.parametrize("row", [row for row in ROWS if row[0] not in VALUES_WRONG_IN_KERAS], ids=row_id)
def test_equals_keras(row: tuple) -> None:
    check_values(row, 2e-3 if row[1][0].dtype == np.float16 else 1e-6)


@pytest.mark.parametrize("row", SPATIAL, ids=row_id)
def test_convolution_and_pooling_equal_keras(row: tuple) -> None:
    check_values(row, 1e-5)


@pytest.mark.parametrize("row", [row for row in ROWS + SPATIAL if row[0] not in SHAPES_WRONG_IN_KERAS], ids=row_id)
def test_symbolic_shapes_and_types_equal_keras(row: tuple) -> None:
    check_symbolic(row)
    if any(row is spatial for spatial in SPATIAL):
        check_symbolic(row, batch=True)


@pytest.mark.parametrize("row", ONLY_VALUES, ids=row_id)
def test_symbolic_shapes_equal_the_computed_ones(row: tuple) -> None:
    check_values(row, 1e-5)
    check_symbolic_like_eager(row)


@pytest.mark.parametrize("axis", [0, 1])
def test_layer_normalization_over_any_axis(axis: int) -> None:
    scale, shift = torch.rand(2, x.shape[axis])
    result = ops.layer_normalization(x, scale, shift, axis, 1e-3)
    expected = torch.nn.functional.layer_norm(torch.tensor(x).movedim(axis, -1), scale.shape, scale, shift, 1e-3)
    torch.testing.assert_close(result, expected.movedim(-1, axis))


@pytest.mark.parametrize(("size", "strides", "kernel"), list(itertools.product((5, 6, 7), (1, 2, 3), (2, 3))))
def test_same_average_pooling_ignores_what_is_padded(size: int, strides: int, kernel: int) -> None:
    data = floats(2, size, size, 3)
    total = max((-(-size // strides) - 1) * strides + kernel - size, 0)
    starts = np.arange(-(-size // strides)) * strides - total // 2
    spans = [slice(max(start, 0), start + kernel) for start in starts]
    expected = np.stack([[data[:, rows, columns].mean((1, 2)) for columns in spans] for rows in spans])
    result = ops.average_pool(data, kernel, strides, "same")
    np.testing.assert_allclose(result, expected.transpose(2, 0, 1, 3), rtol=1e-5, atol=1e-6)


LABELS = ints(3, 4, low=1, high=5)
CTC = [
    ("ctc_loss", (LABELS, floats(3, 9, 6), np.array([4, 3, 2]), np.array([9, 8, 9])), {}),
    ("ctc_loss", (LABELS, floats(3, 9, 6), np.array([4, 3, 2]), np.array([9, 8, 9])), {"mask_index": 5}),
    *[
        ("ctc_decode", (floats(3, 9, 6), np.array([9, 8, 5])), options)
        for options in ({}, {"merge_repeated": False}, {"mask_index": 5}, {"mask_index": None})
    ],
    *[
        ("ctc_decode", (floats(3, 6, 4), np.array([6, 5, 3])), {"strategy": "beam_search", "top_paths": 2, **options})
        for options in ({}, {"mask_index": 3})
    ],
]


@pytest.mark.parametrize("row", CTC, ids=row_id)
def test_ctc_equals_keras(row: tuple) -> None:
    check_values(row, 1e-5)
    check_symbolic(row)


ERRORS = [
    (lambda: ops.conv(x[..., None], floats(3, 3, 2, 4)), r"conv: received inputs of shape .* expected a kernel"),
    (lambda: ops.conv(x[0], x[0]), r"conv: received inputs of shape \(3, 4\)"),
    (lambda: ops.conv(odd, floats(3, 3, 4, 2), strides=(1, 2, 3)), r"conv, argument 'strides': received \(1, 2, 3\)"),
    (lambda: ops.conv(odd, floats(3, 3, 4, 2), padding="full"), r"conv, argument 'padding': received 'full'"),
    (lambda: ops.depthwise_conv(odd, floats(3, 3, 2, 2)), r"depthwise_conv: received inputs of 4 channels"),
    (lambda: ops.unfold(x, 2), r"unfold: received shape \(2, 3, 4\)"),
    (lambda: ops.fold(image, 2, 2), "fold: received shape"),
    (lambda: ops.space_to_depth(image, 1), "space_to_depth, argument 'block_size': received 1"),
    (lambda: ops.multi_hot(LABELS), "multi_hot: received no num_classes"),
    (lambda: ops.one_hot(LABELS, 3, sparse=True), "one_hot: received sparse=True"),
    (lambda: ops.categorical_crossentropy(t, p[:2]), r"categorical_crossentropy: received target of shape \(4, 5\)"),
    (lambda: ops.sparse_categorical_crossentropy(t, p[:2]), "sparse_categorical_crossentropy: received target"),
    (lambda: ops.normalize(x, order=0), "normalize, argument 'order': received 0"),
    (lambda: ops.dot_product_attention(x, x, x), "dot_product_attention: received shapes"),
    (
        lambda: ops.dot_product_attention(*[image] * 3, bias=image, mask=image),
        "dot_product_attention: received a bias and a mask",
    ),
    (lambda: ops.dot_product_attention(*[image] * 3, attn_logits_soft_cap=1.0), "Only TPUs"),
    (lambda: ops.psnr(x, x[0], 1.0), "psnr: received shapes"),
    (lambda: ops.ctc_decode(x, [1, 2], "best"), "ctc_decode, argument 'strategy': received 'best'"),
]


@pytest.mark.parametrize(("wrong", "message"), ERRORS, ids=[message[:30] for _, message in ERRORS])
def test_errors_teach(wrong: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wrong()


def test_batch_normalization_has_gradients() -> None:
    data = torch.randn(4, 3, requires_grad=True)
    ops.batch_normalization(data, [0.0] * 3, [1.0] * 3, -1).sum().backward()
    assert data.grad is not None
