"""Convolution against the documents' worked examples, OpenCV, SciPy's and torch's own operations."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import signal

from convia import convolution as conv

rng = np.random.default_rng(0)
S = [[1, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 1, 1], [0, 0, 1, 1, 0], [0, 1, 1, 0, 0]]
W = [[1, 0, 1], [0, 1, 0], [1, 0, 1]]


def test_matrices_of_the_chapter():
    result = conv.convolve2d(S, W)
    assert result.tolist() == [[4, 3, 4], [2, 4, 3], [2, 3, 4]]
    assert result.dtype.kind == "i"


def test_pixel_of_the_notebook():
    region = [[105, 102, 100], [103, 99, 103], [101, 98, 104]]
    assert conv.convolve2d(region, conv.kernel("sharpen")).tolist() == [[89]]
    assert conv.filter2d(np.array(region, np.uint8), conv.kernel("sharpen"))[1, 1] == 89


def test_one_dimension_as_in_the_chapter():
    sequence, weights = rng.normal(size=12), rng.normal(size=5)
    expected = [np.sum(weights * sequence[i : i + 5]) for i in range(12 - 5 + 1)]
    np.testing.assert_allclose(conv.convolve(sequence, weights), expected)


@pytest.mark.parametrize(
    ("padding", "numpy_mode"), [("valid", "valid"), ("full", "full"), ("same", "same"), (0, "valid"), (4, "full")]
)
def test_convolve_paddings(padding, numpy_mode):
    sequence, weights = rng.integers(0, 9, 11), rng.integers(-3, 4, 5)
    expected = np.correlate(sequence, weights, mode=numpy_mode)
    assert conv.convolve(sequence, weights, padding=padding).tolist() == expected.tolist()


@pytest.mark.parametrize(("stride", "length"), [(1, 11), (2, 6), (3, 4)])
def test_same_padding_gives_the_ceiling_of_size_over_stride(stride, length):
    assert len(conv.convolve(np.arange(11), [1, 2, 3], stride=stride, padding="same")) == length


def test_small_integers_do_not_overflow():
    assert conv.convolve(np.array([200, 200], np.uint8), np.array([100, 100], np.uint8)).tolist() == [40000]


@pytest.mark.parametrize("mode", ["valid", "same", "full"])
def test_convolve2d_against_scipy(mode):
    image, kernel = rng.normal(size=(9, 8)), rng.normal(size=(3, 5))
    np.testing.assert_allclose(conv.convolve2d(image, kernel, padding=mode), signal.correlate2d(image, kernel, mode))


@pytest.mark.parametrize(("padding", "stride"), [(0, 1), (1, 2), (2, (1, 3))])
def test_filters_of_a_layer_against_torch(padding, stride):
    image, kernel = rng.normal(size=(9, 8, 3)), rng.normal(size=(3, 2, 3, 4))
    to = lambda a, *order: torch.tensor(a).permute(*order)  # noqa: E731
    expected = F.conv2d(to(image, 2, 0, 1)[None], to(kernel, 3, 2, 0, 1), padding=padding, stride=stride)[0].permute(
        1, 2, 0
    )
    np.testing.assert_allclose(conv.convolve2d(image, kernel, padding, stride), expected.numpy(), atol=1e-12)
    np.testing.assert_allclose(
        conv.convolve2d(image, kernel[..., 0], padding, stride), expected.numpy()[..., 0], atol=1e-12
    )


BORDERS = {
    "reflect_101": cv2.BORDER_REFLECT_101,
    "reflect": cv2.BORDER_REFLECT,
    "replicate": cv2.BORDER_REPLICATE,
    "constant": cv2.BORDER_CONSTANT,
}
DISTINCT = sorted(conv.KERNELS)


@pytest.mark.parametrize("name", DISTINCT)
@pytest.mark.parametrize("shape", [(21, 17), (6, 9, 3), (1, 4)])
def test_filter2d_equals_opencv_on_uint8(name, shape):
    image = rng.integers(0, 256, shape).astype(np.uint8)
    kernel = conv.kernel(name)
    np.testing.assert_array_equal(conv.filter2d(image, kernel), cv2.filter2D(src=image, kernel=kernel, ddepth=-1))


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("anchor", [None, (0, 0), (2, 1), (-1, -1)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64"])
def test_filter2d_borders_anchors_types(border, anchor, dtype):
    image = (rng.random((8, 7, 2)) * 250).astype(dtype)
    kernel = rng.integers(-4, 5, (2, 3)).astype(float)
    expected = cv2.filter2D(image, -1, kernel, anchor=anchor or (-1, -1), borderType=BORDERS[border])
    result = conv.filter2d(image, kernel, anchor=anchor, border=border)
    assert result.dtype == image.dtype
    np.testing.assert_allclose(
        result.astype(float), expected.astype(float), rtol=1e-5, atol=1e-3 if dtype == "float32" else 0
    )


def test_gallery():
    assert conv.kernel("contornos horizontales").tolist() == [[-1, -2, -1], [0, 0, 0], [1, 2, 1]]
    assert conv.kernel("contornos_verticales").tolist() == [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]
    for name in ("box", "gaussian", "gaussian_5", "motion_blur", "identity", "sharpen"):
        assert conv.KERNELS[name].sum() == pytest.approx(1)
    own = conv.kernel("Sobel-X")
    own[0, 0] = 99
    assert conv.KERNELS["sobel_x"][0, 0] == -1
    with pytest.raises(ValueError):
        conv.KERNELS["sobel_x"][0, 0] = 99


@pytest.mark.parametrize(
    ("arguments", "size"),
    [((28, 3), 26), ((32, 3), 30), ((5, 3), 3), ((28, 5, 2), 28), ((7, 3, 0, 2), 3), ((224, 2, 0, 2), 112)],
)
def test_output_size(arguments, size):
    assert conv.output_size(*arguments) == size
    W, K, P, S = (*arguments, 0, 1)[:4] if len(arguments) < 4 else arguments
    S = S or 1
    assert conv.convolve2d(np.zeros((W, W)), np.zeros((K, K)), padding=P, stride=S).shape == (size, size)


def test_output_size_remarks_that_the_stride_does_not_divide():
    with pytest.warns(UserWarning, match=r"\(224 − 7 \+ 2·3\) / 2, which leaves 1.*round down"):
        assert conv.output_size(224, 7, 3, 2) == 112


@pytest.mark.parametrize(("mode", "torch_pool"), [("max", F.max_pool2d), ("average", F.avg_pool2d)])
@pytest.mark.parametrize(("size", "stride"), [(2, None), ((3, 2), None), (3, 1), (2, (1, 3))])
def test_pool2d_against_torch(mode, torch_pool, size, stride):
    image = rng.normal(size=(9, 8, 3))
    expected = torch_pool(torch.tensor(image).permute(2, 0, 1)[None], size, stride)[0].permute(1, 2, 0)
    np.testing.assert_allclose(conv.pool2d(image, size, mode, stride), expected.numpy())
    np.testing.assert_allclose(conv.pool2d(image[..., 0], size, mode, stride), expected.numpy()[..., 0])


def layer(kind, name, **attributes):
    return type(kind, (SimpleNamespace,), {})(name=name, **attributes)


def test_receptive_field_of_lenet():
    lenet = SimpleNamespace(
        layers=[
            layer("Conv2D", "conv1", kernel_size=(5, 5), strides=(1, 1), dilation_rate=(1, 1)),
            layer("AveragePooling2D", "pool1", pool_size=(2, 2), strides=None),
            layer("Conv2D", "conv2", kernel_size=(5, 5), strides=(1, 1), dilation_rate=(1, 1)),
            layer("Dropout", "drop"),
            layer("AveragePooling2D", "pool2", pool_size=(2, 2), strides=(2, 2)),
            layer("Flatten", "flatten"),
            layer("Dense", "dense"),
        ]
    )
    field = conv.receptive_field(lenet)
    assert [tuple(row) for row in field.rows] == [
        ("conv1", 5, 1), ("pool1", 6, 2), ("conv2", 14, 2), ("drop", 14, 2), ("pool2", 16, 4)
    ]  # fmt: skip
    assert field.size == 16


def test_receptive_field_equals_what_a_gradient_reaches():
    nets = [(3, 2, 1), (3, 1, 2), (5, 1, 1)]
    model = SimpleNamespace(
        layers=[
            layer("Conv1D", f"c{i}", kernel_size=(k,), strides=(s,), dilation_rate=(d,))
            for i, (k, s, d) in enumerate(nets)
        ]
    )
    x = torch.zeros(1, 1, 99, requires_grad=True)
    y = x
    for k, s, d in nets:
        y = F.conv1d(y, torch.ones(1, 1, k), stride=s, dilation=d)
    y[0, 0, 3].backward()
    assert conv.receptive_field(model).size == int(
        (x.grad != 0).sum().item() and np.ptp(x.grad.nonzero()[:, 2].numpy()) + 1
    )


def test_receptive_field_per_axis():
    model = SimpleNamespace(layers=[layer("Conv2D", "c", kernel_size=(1, 7), strides=(1, 2), dilation_rate=(1, 1))])
    assert conv.receptive_field(model).rows == (("c", (1, 7), (1, 2)),)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: conv.convolve([1, 2], [1, 2, 3]), r"a kernel \(3,\) longer than its input \(2,\).*padding='same'"),
        (lambda: conv.convolve(S, [1]), r"argument 'sequence': received shape \(5, 5\).*convolve2d"),
        (lambda: conv.convolve([1, 2], []), "argument 'weights'"),
        (lambda: conv.convolve([1, 2], [1], stride=0), "argument 'stride'.*whole numbers ≥ 1"),
        (lambda: conv.convolve([1, 2], [1], padding="reflect"), "'padding': received 'reflect'; expected 'valid'"),
        (lambda: conv.convolve([1, 2], [1], padding=-1), "argument 'padding'"),
        (lambda: conv.convolve(["a"], [1]), "argument 'sequence'.*numbers"),
        (lambda: conv.convolve2d(np.ones((5, 5, 3)), W), r"depth 1 for an image \(5, 5, 3\).*filter2d"),
        (lambda: conv.convolve2d(S, np.ones((6, 6))), r"kernel \(6, 6\) longer than its input \(5, 5\)"),
        (lambda: conv.convolve2d([1, 2], W), r"expected \(H, W\[, D\]\)"),
        (lambda: conv.filter2d(np.ones((3, 3), np.int64), W), "type int64.*astype"),
        (lambda: conv.filter2d(np.ones((3, 3)), [1, 2]), "flat kernel"),
        (lambda: conv.filter2d(np.ones((3, 3)), W, border="wrap"), "argument 'border': received 'wrap'.*reflect_101"),
        (lambda: conv.filter2d(np.ones((3, 3)), W, anchor=(3, 0)), r"argument 'anchor': received \(3, 0\).*3×3"),
        (lambda: conv.kernel("sobelx"), "Did you mean 'sobel_x'"),
        (lambda: conv.output_size(5, 7), r"kernel of 7 for 5 \+ 2·0 pixels"),
        (lambda: conv.output_size(0, 1), "W, K, S ≥ 1"),
        (lambda: conv.pool2d(S, 2, "median"), "argument 'mode': received 'median'"),
        (lambda: conv.pool2d([1, 2]), "argument 'image'"),
        (lambda: conv.pool2d(S, 6), r"kernel \(6, 6\)"),
        (lambda: conv.receptive_field(SimpleNamespace(layers=[layer("Add", "sum")])), "received Add; expected a chain"),
    ],
)  # fmt: skip
def test_messages(call, message):
    with pytest.raises(ValueError, match=message):
        call()
