import itertools

import keras
import numpy as np
import pytest
import torch

from convia import boxes
from tests.oracle import assert_close

THEIRS = keras.utils.bounding_boxes
FORMATS = list(boxes._FORMATS)


def some(*shape):
    """Boxes (…, n, 4) in "xyxy" within an image of 60 × 80."""
    corner, size = np.random.uniform(0, 30, (*shape, 2)), np.random.uniform(1, 25, (*shape, 2))
    return np.concatenate([corner, corner + size], -1).astype("float32")


@pytest.mark.parametrize(("source", "target"), itertools.product(FORMATS, FORMATS))
def test_formats_equal_keras(source, target):
    size = {"height": 60, "width": 80}
    given = np.asarray(THEIRS.convert_format(some(2, 5), "xyxy", source, **size))
    ours = boxes.convert_format(given, source.upper(), target, **size)
    assert_close(ours, THEIRS.convert_format(given, source, target, **size))
    assert_close(boxes.convert_format(ours, target, source, **size), given)


def test_dicts_and_types():
    given = {"boxes": torch.tensor(some(5)), "labels": torch.arange(5)}
    assert boxes.convert_format(given, "xyxy", "xywh", dtype="float64") is given
    assert given["boxes"].dtype is torch.float64


@pytest.mark.parametrize("form", ["xyxy", "rel_xyxy"])
def test_clipping_equals_keras(form):
    given = some(2, 6) * 3 - 40
    if form == "rel_xyxy":
        given /= 50
    data = [{"boxes": torch.tensor(given), "labels": torch.arange(12).reshape(2, 6)} for _ in range(2)]
    ours, theirs = (
        module.clip_to_image_size(one, 20, 30, form) for module, one in zip((boxes, THEIRS), data, strict=True)
    )
    assert_close(ours["boxes"], theirs["boxes"])
    assert torch.equal(ours["labels"], theirs["labels"])
    assert (ours["labels"] == -1).any()


def test_crop_and_pad_equal_keras():
    given = torch.tensor(some(2, 6))
    assert_close(boxes.crop(given, 5, 8, 20, 10), THEIRS.crop(given, 5, 8, 20, 10))
    assert_close(boxes.pad(given, 5, 8), THEIRS.pad(given, 5, 8))


@pytest.mark.parametrize("center", [{}, {"center_x": 0.2, "center_y": 0.9}])
def test_affine_equals_keras(center):
    given = torch.tensor(some(3, 4))
    numbers = [torch.tensor(np.random.uniform(low, high, 3).astype("float32")) for low, high in (
        (-90, 90), (-0.3, 0.3), (-0.3, 0.3), (0.5, 2), (-20, 20), (-20, 20)
    )]  # fmt: skip
    arguments = (given, *numbers, 60, 80)
    assert_close(boxes.affine_transform(*arguments, **center), THEIRS.affine_transform(*arguments, **center))


@pytest.mark.parametrize("shapes", [((5,), (7,)), ((2, 5), (2, 7)), ((2, 5), (7,)), ((5,), (2, 7))])
@pytest.mark.parametrize("form", ["xyxy", "center_xywh", "rel_yxyx"])
def test_overlap_equals_keras(shapes, form):
    given = [boxes.convert_format(some(*shape), "xyxy", form, 60, 80) for shape in shapes]
    keywords = {"image_shape": (60, 80, 3)} if form.startswith("rel") else {}
    assert_close(boxes.compute_iou(*given, form, **keywords), THEIRS.compute_iou(*given, form, **keywords))


def test_masked_overlap_equals_keras():
    given = torch.tensor(some(2, 6))
    given[:, 2:4] = -1
    found = [module.compute_iou(given, given, "xyxy", use_masking=True, mask_val=-3) for module in (boxes, THEIRS)]
    assert_close(*found)
    assert (found[0] == -3).sum() == 2 * (36 - 16)


@pytest.mark.parametrize("form", ["xyxy", "xywh"])
def test_complete_overlap_equals_keras(form):
    given = [boxes.convert_format(some(2, 5), "xyxy", form) for _ in range(2)]
    assert_close(boxes.compute_ciou(*given, form), THEIRS.compute_ciou(*given, form))


@pytest.mark.parametrize("encoding", ["center_xywh", "center_yxhw"])
@pytest.mark.parametrize("variance", [None, [0.1, 0.1, 0.2, 0.2]])
@pytest.mark.parametrize("form", ["xyxy", "rel_xywh"])
def test_offsets_equal_keras(encoding, variance, form):
    anchors, given = (boxes.convert_format(some(*shape), "xyxy", form, 60, 80) for shape in ((5,), (2, 5)))
    arguments = (form, form, encoding, variance, (60, 80, 3))
    deltas = boxes.encode_box_to_deltas(anchors, given, *arguments)
    assert_close(deltas, THEIRS.encode_box_to_deltas(anchors, given, *arguments))
    assert_close(boxes.decode_deltas_to_boxes(anchors, deltas, *arguments), given)
    assert_close(boxes.decode_deltas_to_boxes({3: anchors}, {3: deltas}, *arguments)[3], given)
    assert_close(THEIRS.decode_deltas_to_boxes(anchors, deltas, *arguments), given)


BOX = np.zeros((1, 4))


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: boxes.convert_format(BOX, "xywhh", "xywh"), ValueError, "'xywhh'.*Did you mean 'xywh'"),
        (lambda: boxes.convert_format(np.zeros((1, 5)), "xyxy", "xywh"), ValueError, r"\(1, 5\).*4 numbers"),
        (lambda: boxes.convert_format(BOX, "xyxy", "rel_xyxy"), ValueError, "size of the image"),
        (lambda: boxes.clip_to_image_size({"boxes": BOX}), ValueError, "size of the image"),
        (lambda: boxes.crop(BOX, 0, 0, 1, 1, "xywh"), NotImplementedError, "'xywh'; expected 'xyxy'"),
        (lambda: boxes.compute_iou(BOX[0], BOX, "xyxy"), ValueError, r"shapes \(4,\) and \(1, 4\)"),
        (lambda: boxes.compute_ciou(BOX, BOX, "rel_xyxy"), ValueError, "one in pixels"),
        (lambda: boxes.encode_box_to_deltas(BOX, BOX, "xyxy", "xyxy", "xyxy"), ValueError, "the encoding 'xyxy'"),
        (lambda: boxes.decode_deltas_to_boxes(BOX, BOX, "xyxy", "xyxy", variance=[1]), ValueError, "1 variances"),
    ],
)
def test_messages(call, kind, words):
    with pytest.raises(kind, match=words):
        call()
