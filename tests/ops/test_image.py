"""Operations on images against Keras on torch."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from convia import ops

from .oracle import check_symbolic, check_values, floats, ints, row_id, units

LAST, FIRST = "channels_last", "channels_first"
batch, one, first, whole = (
    units(2, 7, 9, 3),
    units(7, 9, 3),
    units(2, 3, 7, 9),
    ints(2, 7, 9, 3, high=255, dtype="uint8"),
)
turn = np.array([[0.9, -0.2, 1.5, 0.1, 1.1, -0.7, 0, 0], [1, 0, 2, 0, 1, -1, 0, 0]], "float32")
start = np.array([[0, 0], [8, 0], [0, 6], [8, 6]], "float32")
end = start + np.array([[1, 0], [-1, 1], [0.5, -1], [0, 0]], "float32")
MODES = ("constant", "nearest", "wrap", "mirror", "reflect")

ROWS = [
    *[
        ("resize", (data, size), {"interpolation": mode, "data_format": LAST})
        for data in (batch, one, whole)
        for size in ((5, 4), (14, 11))
        for mode in ("nearest", "bilinear", "bicubic")
    ],
    *[
        ("resize", (batch, (5, 4)), {"interpolation": mode, "antialias": True, "data_format": LAST})
        for mode in ("bilinear", "bicubic")
    ],
    ("resize", (first, (5, 4)), {"data_format": FIRST}),
    *[("resize", (batch, size), {"crop_to_aspect_ratio": True, "data_format": LAST}) for size in ((4, 8), (8, 4))],
    *[
        ("resize", (batch, size), {"pad_to_aspect_ratio": True, "fill_value": 0.5, "data_format": LAST})
        for size in ((4, 8), (8, 4))
    ],
    ("pad_images", (batch, 1, 2, 3, 0), {"data_format": LAST}),
    ("pad_images", (one, 1, 2), {"target_height": 12, "target_width": 15, "data_format": LAST}),
    ("pad_images", (first, 1, 2, 3, 0), {"data_format": FIRST}),
    ("crop_images", (batch, 1, 2, 3, 0), {"data_format": LAST}),
    ("crop_images", (one, 1, 2), {"target_height": 3, "target_width": 4, "data_format": LAST}),
    *[
        ("extract_patches", (batch, 3), {**options, "data_format": LAST})
        for options in ({}, {"strides": 2, "padding": "same"}, {"strides": 1, "dilation_rate": 2})
    ],
    ("extract_patches", (one, (2, 3)), {"data_format": LAST}),
    ("extract_patches", (first, (2, 3)), {"data_format": FIRST}),
    ("extract_patches", (units(1, 4, 5, 6, 2), (2, 2, 3)), {"data_format": LAST}),
    ("extract_patches_3d", (units(1, 4, 5, 6, 2), 2), {"data_format": LAST}),
    *[
        (name, (data,), {"data_format": LAST})
        for name in ("rgb_to_grayscale", "rgb_to_hsv", "hsv_to_rgb")
        for data in (batch, one)
    ],
    *[(name, (first,), {"data_format": FIRST}) for name in ("rgb_to_grayscale", "rgb_to_hsv", "hsv_to_rgb")],
    ("rgb_to_grayscale", (whole,), {}),
    ("rgb_to_grayscale", (batch[..., :1],), {}),
    *[
        ("gaussian_blur", (data, (k, k), (s, s)), {"data_format": LAST})
        for data in (batch, one)
        for k, s in ((3, 1.0), (5, 0.7))
    ],
    ("gaussian_blur", (first, (3, 3), (0.5, 1.5)), {"data_format": FIRST}),
    ("sobel_edges", (batch,), {"data_format": LAST}),
    ("sobel_edges", (first,), {"data_format": FIRST}),
    ("ssim", (units(2, 16, 16, 3), units(2, 16, 16, 3)), {"data_format": LAST}),
    ("ssim", (units(16, 16, 3), units(16, 16, 3)), {"filter_size": 7, "max_val": 2.0, "data_format": LAST}),
    *[
        (
            "affine_transform",
            (data, matrix),
            {"interpolation": way, "fill_mode": mode, "fill_value": 0.3, "data_format": LAST},
        )
        for data, matrix in ((batch, turn), (one, turn[0]))
        for way in ("nearest", "bilinear")
        for mode in MODES
    ],
    ("affine_transform", (first, turn), {"data_format": FIRST}),
    *[
        ("perspective_transform", (data, start, end), {"interpolation": way, "fill_value": 0.2, "data_format": LAST})
        for data in (batch, one)
        for way in ("nearest", "bilinear")
    ],
    ("perspective_transform", (first, np.stack([start, end]), np.stack([end, start])), {"data_format": FIRST}),
    *[
        ("map_coordinates", (floats(5, 6), floats(2, 3, 4) * 4), {"order": order, "fill_mode": mode, "fill_value": 0.5})
        for order in (0, 1)
        for mode in MODES
    ],
    ("map_coordinates", (ints(5, 6), units(2, 7) * 4, 1), {}),
    *[
        (
            "scale_and_translate",
            (batch, (2, 5, 12, 3), np.array([0.7, 1.4], "float32"), np.array([0.5, -1.0], "float32"), (1, 2), m),
            {"antialias": a},
        )
        for m in ("linear", "cubic", "lanczos3", "lanczos5")
        for a in (True, False)
    ],
    (
        "scale_and_translate",
        (whole, (2, 5, 12, 3), np.array([0.7, 1.4], "float32"), np.zeros(2, "float32"), (1, 2), "linear"),
        {},
    ),
]
SHAPES_REFUSED = ("sobel_edges", "ssim", "scale_and_translate")  # by Keras on symbolic tensors


@pytest.mark.parametrize("row", ROWS, ids=row_id)
def test_equals_keras(row: tuple) -> None:
    check_values(row, 2e-5)


@pytest.mark.parametrize("row", [row for row in ROWS if row[0] not in SHAPES_REFUSED], ids=row_id)
def test_symbolic_shapes_and_types_equal_keras(row: tuple) -> None:
    check_symbolic(row)


def test_the_format_of_the_configuration_is_the_default() -> None:
    for name, options in (("gaussian_blur", {}), ("sobel_edges", {}), ("resize", {"size": (3, 3)})):
        function = getattr(ops.image, name)
        torch.testing.assert_close(function(batch, **options), function(batch, **options, data_format=LAST))


def test_images_that_are_not_square_are_blurred_along_each_axis() -> None:
    result = ops.image.gaussian_blur(batch, (3, 5), (2.0, 1.0))
    rows, columns = (torch.exp(-0.5 * ((torch.arange(n) - n // 2) / s) ** 2) for n, s in ((3, 1.0), (5, 2.0)))
    kernel = torch.outer(rows / rows.sum(), columns / columns.sum()).expand(3, 1, 3, 5)
    expected = F.conv2d(torch.tensor(batch).permute(0, 3, 1, 2), kernel, padding=(1, 2), groups=3)
    torch.testing.assert_close(result, expected.permute(0, 2, 3, 1))


@pytest.mark.parametrize("way", ["lanczos3", "lanczos5"])
def test_lanczos_keeps_a_plane(way: str) -> None:
    plane = np.broadcast_to(np.float32(0.5), (1, 12, 12, 1))
    np.testing.assert_allclose(ops.image.resize(plane, (5, 20), way), np.full((1, 5, 20, 1), 0.5), rtol=1e-5)


def test_elastic_transform_moves_pixels_reproducibly() -> None:
    results = [ops.image.elastic_transform(batch, alpha=5.0, sigma=2.0, seed=s) for s in (1, 1, 2)]
    assert torch.equal(results[0], results[1]) and not torch.equal(results[0], results[2])
    assert results[0].shape == batch.shape
    assert results[0].min() >= batch.min() and results[0].max() <= batch.max()
    torch.testing.assert_close(ops.image.elastic_transform(batch, alpha=0.0), torch.tensor(batch))


def test_the_transform_given_is_not_changed() -> None:
    matrix = torch.tensor(turn[:1])
    ops.image.affine_transform(one[None], matrix)
    assert torch.equal(matrix, torch.tensor(turn[:1]))


i = ops.image
ERRORS = [
    (lambda: i.resize(batch, (3, 3), "cubic"), "resize, argument 'interpolation': received 'cubic'"),
    (lambda: i.resize(batch, (3,)), r"resize, argument 'size': received \(3,\)"),
    (lambda: i.resize(batch, (3, 3), crop_to_aspect_ratio=True, pad_to_aspect_ratio=True), "expected one of them"),
    (lambda: i.resize(batch, (3, 3), fill_mode="wrap"), "resize, argument 'fill_mode': received 'wrap'"),
    (lambda: i.resize(batch[0, 0], (3, 3)), r"resize: received images of shape \(9, 3\)"),
    (lambda: i.pad_images(batch, 1, 2, 3), "pad_images: received left=2, right=None, target=None"),
    (lambda: i.pad_images(batch, 1, 2, target_height=3, target_width=20), "pad_images: received top=1, bottom=-5"),
    (lambda: i.crop_images(batch, -1, 2, 3, 0), "crop_images: received top=-1"),
    (lambda: i.crop_images(batch, 5, 2, 5, 0), "crop_images: received 10 rows"),
    (lambda: i.extract_patches(batch, "3"), "extract_patches, argument 'size': received '3'"),
    (lambda: i.extract_patches(batch, (1, 2, 3, 4)), "extract_patches, argument 'size': received"),
    (lambda: i.rgb_to_grayscale(batch[..., :2]), "rgb_to_grayscale: received shape"),
    (lambda: i.rgb_to_hsv(whole), "rgb_to_hsv: received type torch.uint8"),
    (lambda: i.map_coordinates(one, one, 1), "map_coordinates: received 7 coordinates for 3 axes"),
    (lambda: i.map_coordinates(one[0], one[:2], 3), "map_coordinates, argument 'order': received 3"),
    (lambda: i.map_coordinates(one[0], one[:2], 1, "edge"), "argument 'fill_mode': received 'edge'"),
    (lambda: i.affine_transform(batch, turn, "cubic"), "argument 'interpolation': received 'cubic'"),
    (lambda: i.affine_transform(batch, turn, fill_mode="edge"), "argument 'fill_mode': received 'edge'"),
    (lambda: i.affine_transform(batch, turn[:, :6]), "affine_transform, argument 'transform': received shape"),
    (lambda: i.perspective_transform(batch, start, end[:3]), "perspective_transform: received start_points"),
    (lambda: i.scale_and_translate(batch, batch.shape, [1.0], [0.0], [1], "box"), "argument 'method': received 'box'"),
]


@pytest.mark.parametrize(("wrong", "message"), ERRORS, ids=[message[:30] for _, message in ERRORS])
def test_errors_teach(wrong: object, message: str) -> None:
    with pytest.raises((ValueError, TypeError, NotImplementedError), match=message):
        wrong()
