import keras
import numpy as np
import pytest
import torch
from PIL import Image

from convia import visualization

THEIRS = keras.visualization
BOXES = {
    "boxes": np.array([[[2, 3, 20, 25], [10, 30, 35, 38]], [[0, 0, 5, 5], [1, 1, 2, 2]]], "float32"),
    "labels": np.array([[0, 1], [1, -1]]),
    "confidences": np.array([[0.5, 0.75], [1.0, 0.0]]),
}
NAMES = {0: "cat", 1: "dog"}


def images(scale=255):
    return (np.random.rand(2, 48, 40, 3) * scale).astype("float32")


@pytest.mark.parametrize("scale", [255, 1])
@pytest.mark.parametrize("keywords", [{}, {"class_mapping": NAMES, "font_scale": 0.4, "color": (255, 0, 9)},
                                      {"class_mapping": NAMES, "line_thickness": 1, "text_thickness": None}])  # fmt: skip
def test_boxes_equal_keras(scale, keywords):
    given = images(scale)
    ours = visualization.draw_bounding_boxes(given, dict(BOXES), "xyxy", **keywords)
    theirs = THEIRS.draw_bounding_boxes(given, dict(BOXES), "xyxy", **keywords)
    assert ours.dtype == np.uint8 and np.array_equal(ours, theirs)
    assert not np.array_equal(ours, (given * 255 / scale).astype("uint8"))


def test_boxes_of_tensors_channels_first_and_relative():
    given = torch.tensor(images())
    relative = {**BOXES, "boxes": BOXES["boxes"] / [40, 48, 40, 48]}
    drawn = visualization.draw_bounding_boxes(
        given.permute(0, 3, 1, 2), relative, "rel_xyxy", data_format="channels_first"
    )
    assert np.array_equal(drawn, visualization.draw_bounding_boxes(given, BOXES, "xyxy"))


@pytest.mark.parametrize(
    "keywords",
    [
        {"num_classes": 4},
        {"num_classes": 5, "alpha": 0.3},
        {"num_classes": 4, "blend": False},
        {"num_classes": 4, "ignore_index": 0, "color_mapping": {n: (n, 20 * n, 255) for n in range(4)}},
    ],
)
def test_masks_equal_keras(keywords):
    given, masks = images(), np.random.randint(0, 4, (2, 48, 40, 1))
    ours = visualization.draw_segmentation_masks(given, masks, **keywords)
    theirs = np.asarray(THEIRS.draw_segmentation_masks(given, masks, **keywords))
    assert ours.dtype == theirs.dtype and np.abs(ours.astype(float) - theirs).max() <= 1


def test_all_classes_are_drawn_by_default():
    given, masks = images(), np.random.randint(0, 4, (2, 48, 40, 1))
    ours = visualization.draw_segmentation_masks(given, masks)
    assert np.array_equal(ours, visualization.draw_segmentation_masks(given, masks, 4))


def test_galleries_are_written(tmp_path):
    masks = np.random.randint(0, 3, (2, 48, 40, 1))
    calls = {
        "images": lambda path: visualization.plot_image_gallery(
            images(), [0, 1], np.array([1, 7]), NAMES, rows=1, path=path
        ),
        "boxes": lambda path: visualization.plot_bounding_box_gallery(
            images(), "xyxy", BOXES, BOXES, class_mapping=NAMES, legend=True, path=path
        ),
        "masks": lambda path: visualization.plot_segmentation_mask_gallery(
            images(), 3, y_true=masks, y_pred=masks, path=path
        ),
        "first": lambda path: visualization.plot_segmentation_mask_gallery(
            images().transpose(0, 3, 1, 2),
            3,
            y_true=masks.transpose(0, 3, 1, 2),
            data_format="channels_first",
            path=path,
        ),
    }
    for name, call in calls.items():
        call(tmp_path / f"{name}.png")
        assert np.asarray(Image.open(tmp_path / f"{name}.png")).std() > 10


def test_a_gallery_is_a_square_and_shown(monkeypatch):
    import matplotlib.pyplot as plt

    sizes, others = [], plt.get_fignums()
    monkeypatch.setattr(plt, "show", lambda: sizes.append(tuple(plt.gcf().get_size_inches())))
    visualization.plot_image_gallery(np.zeros((5, 4, 4, 3)), value_range=(-1, 1))
    visualization.plot_image_gallery(np.zeros((1, 4, 4, 3)), show=False)
    assert sizes == [(4, 6)] and plt.get_fignums() == others


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda v: v.draw_bounding_boxes(images()[0], BOXES, "xyxy"), ValueError, r"\(48, 40, 3\).*x\[None\]"),
        (lambda v: v.draw_bounding_boxes(images(), [1], "xyxy"), TypeError, "a list; expected a dict"),
        (lambda v: v.draw_bounding_boxes(images(), {"boxes": 1}, "xyxy"), ValueError, "'boxes' and 'labels'"),
        (lambda v: v.draw_segmentation_masks(images(), images()), TypeError, "whole numbers"),
        (lambda v: v.plot_image_gallery(images(), path="x.png", show=True), ValueError, "one of them"),
        (lambda v: v.plot_image_gallery(images(), y_true=[0, 1]), ValueError, "names of the classes"),
        (
            lambda v: v.plot_bounding_box_gallery(images(), "xyxy", legend=True, legend_handles=[1]),
            ValueError,
            "one of them",
        ),
    ],
)
def test_messages(call, kind, words):
    with pytest.raises(kind, match=words):
        call(visualization)
