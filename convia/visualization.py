"""Pictures of images: boxes and masks drawn on them, many of them side by side."""

import math
from typing import Any

import cv2
import numpy as np
import torch

from convia import config
from convia.boxes import convert_format
from convia.errors import explain

__all__ = [
    "draw_bounding_boxes",
    "draw_segmentation_masks",
    "plot_bounding_box_gallery",
    "plot_image_gallery",
    "plot_segmentation_mask_gallery",
]

Color = tuple[int, int, int]


def draw_bounding_boxes(
    images: Any,
    bounding_boxes: dict[str, Any],
    bounding_box_format: str,
    class_mapping: dict[int, str] | None = None,
    color: Color = (128, 128, 128),
    line_thickness: int = 2,
    text_thickness: int | None = 1,
    font_scale: float = 1.0,
    data_format: str | None = None,
) -> np.ndarray:
    """Return images, uint8 (N, H, W, C), with boxes on them.

    Args:
        images: (N, H, W, C) or by ``data_format``; values up to 1, or up to 255.
        bounding_boxes: "boxes" (N, n, 4), "labels" (N, n) with −1 for none, and perhaps "confidences" (N, n).
        bounding_box_format: see :func:`convia.utils.bounding_boxes.convert_format`.
        class_mapping: names of classes to write at the boxes.
        color: red, green, blue.
        line_thickness, text_thickness: in pixels.
        font_scale: 1 for letters about 20 pixels high.
        data_format: "channels_last" or "channels_first".

    Raises:
        ValueError: no batch of images, boxes or labels missing. TypeError: boxes that are no dict.
    """
    pixels = _batch("draw_bounding_boxes", images, data_format)
    if not isinstance(bounding_boxes, dict):
        received = f"a {type(bounding_boxes).__name__}"
        raise TypeError(explain("draw_bounding_boxes, argument 'bounding_boxes'", received, "a dict"))
    if not {"boxes", "labels"} <= set(bounding_boxes):
        received = f"the keys {sorted(bounding_boxes)}"
        raise ValueError(explain("draw_bounding_boxes, argument 'bounding_boxes'", received, "'boxes' and 'labels'"))
    corners = convert_format(bounding_boxes["boxes"], bounding_box_format, "xyxy", *pixels.shape[1:3])
    drawn = _bytes(pixels)
    parts = [_array(corners).astype(int), _array(bounding_boxes["labels"]).astype(int)]
    confidences = bounding_boxes.get("confidences")
    certain = np.zeros(parts[1].shape) if confidences is None else _array(confidences)
    for image, *rows in zip(drawn, *parts, certain, strict=True):
        for box, label, confidence in zip(*rows, strict=True):
            if label == -1:
                continue
            left, top, right, bottom = map(int, box)
            cv2.rectangle(image, (left, top), (right, bottom), color, line_thickness)
            name = (class_mapping or {}).get(int(label))
            if name is not None:
                text = name if confidences is None else f"{name} | {confidence:.2f}"
                thickness = text_thickness or line_thickness
                place = _text_place(left, top, font_scale, thickness)
                cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, font_scale, color, thickness)
    return drawn


def _text_place(left: int, top: int, scale: float, thickness: int) -> tuple[int, int]:
    """Above the box, or inside where there is no room above."""
    height = int(12 * scale)
    return (left, top - 8) if top - 8 > 2 * height else (left + 3, top + 2 * height + thickness + 3)


def draw_segmentation_masks(
    images: Any,
    segmentation_masks: Any,
    num_classes: int | None = None,
    color_mapping: dict[int, Color] | None = None,
    alpha: float = 0.8,
    blend: bool = True,
    ignore_index: int = -1,
    data_format: str | None = None,
) -> np.ndarray:
    """Return images with the pixels of each class in its color.

    Args:
        images: (N, H, W, C) or by ``data_format``, values up to 255.
        segmentation_masks: whole numbers (N, H, W, 1); of these, classes from 0 to ``num_classes`` − 1 are drawn.
        num_classes: so many that all are drawn when None.
        color_mapping: class → (red, green, blue); a palette when None.
        alpha: 1 for colors that hide the image.
        blend: whether the image shines through and uint8 is returned, or float32 with plain colors.
        ignore_index: pixels of this class stay as they are.
        data_format: "channels_last" or "channels_first".

    Raises:
        ValueError: no batch of images. TypeError: masks that are not whole numbers.
    """
    pixels = _batch("draw_segmentation_masks", images, data_format).astype("float32")
    masks = _channels_last(_array(segmentation_masks), data_format)
    if masks.dtype.kind not in "iu":
        who = "draw_segmentation_masks, argument 'segmentation_masks'"
        raise TypeError(explain(who, f"type {masks.dtype}", "whole numbers"))
    classes = masks[..., 0]
    count = int(classes.max()) + 1 if num_classes is None else num_classes
    colored = pixels.copy()
    for number in range(count):
        colored[classes == number] = _palette(number) if color_mapping is None else color_mapping[number]
    if not blend:
        return colored
    mixed = pixels * np.float32(1 - alpha) + colored * np.float32(alpha)
    return np.where((classes != ignore_index)[..., None], mixed, pixels).astype("uint8")


def _palette(number: int) -> Color:
    return number * (2**25 - 1) % 255, number * (2**15 - 1) % 255, number * (2**21 - 1) % 255


def plot_image_gallery(
    images: Any,
    y_true: Any = None,
    y_pred: Any = None,
    label_map: dict[int, str] | None = None,
    rows: int | None = None,
    cols: int | None = None,
    value_range: tuple[float, float] = (0, 255),
    scale: float = 2,
    path: Any = None,
    show: bool | None = None,
    transparent: bool = True,
    dpi: int = 60,
    legend_handles: Any = None,
    data_format: str | None = None,
) -> None:
    """Show images side by side, or write them into a file.

    Args:
        images: (N, H, W, C) or by ``data_format``.
        y_true, y_pred: classes (N,), whose names in ``label_map`` are written above.
        rows, cols: a square when None.
        value_range: the values of black and white.
        scale: size of an image in inches.
        path: of the file; the picture is shown when None.
        show: whether to show it.
        transparent, dpi: of the file.
        legend_handles: of matplotlib's, for a legend below.

    Raises:
        ValueError: no batch of images, a path and show=True, classes without names.
    """
    import matplotlib.pyplot as plt

    if path is not None and show:
        raise ValueError(explain("plot_image_gallery", f"path={str(path)!r} and show=True", "one of them"))
    if label_map is None and (y_true is not None or y_pred is not None):
        raise ValueError(explain("plot_image_gallery", "classes without label_map", "names of the classes"))
    pixels = _batch("plot_image_gallery", images, data_format)
    rows = rows or math.ceil(math.sqrt(len(pixels)))
    cols = cols or math.ceil(len(pixels) / rows)
    low, high = value_range
    shown = ((pixels[: rows * cols].astype("float32") - low) / (high - low) * 255).astype("uint8")
    size = (cols * scale, rows * scale)
    figure, axes = plt.subplots(rows, cols, figsize=size, frameon=False, layout="tight", squeeze=False)
    if legend_handles is not None:
        figure.legend(handles=legend_handles, loc="lower center")
    for axis in axes.flat:
        axis.axis("off")
    titles = [("Label", _array(y_true)), ("Pred", _array(y_pred))]
    for index, (axis, image) in enumerate(zip(axes.flat, shown, strict=False)):
        axis.imshow(image)
        known = [(what, y) for what, y in titles if y is not None and index < len(y)]
        axis.set_title("  ".join(f"{what}: {label_map.get(y[index], 'Unknown')}" for what, y in known), fontsize=8)  # type: ignore[union-attr]
    if path is not None:
        figure.savefig(path, pad_inches=0, bbox_inches="tight", transparent=transparent, dpi=dpi)
    elif show or show is None:
        plt.show()
    plt.close(figure)


def plot_bounding_box_gallery(
    images: Any,
    bounding_box_format: str,
    y_true: dict[str, Any] | None = None,
    y_pred: dict[str, Any] | None = None,
    value_range: tuple[float, float] = (0, 255),
    true_color: Color = (0, 188, 212),
    pred_color: Color = (255, 235, 59),
    line_thickness: int = 2,
    font_scale: float = 1.0,
    text_thickness: int | None = None,
    class_mapping: dict[int, str] | None = None,
    ground_truth_mapping: dict[int, str] | None = None,
    prediction_mapping: dict[int, str] | None = None,
    legend: bool = False,
    legend_handles: Any = None,
    rows: int | None = None,
    cols: int | None = None,
    data_format: str | None = None,
    **kwargs: Any,
) -> None:
    """Show images with true and predicted boxes: :func:`draw_bounding_boxes` and :func:`plot_image_gallery`.

    Args:
        ground_truth_mapping, prediction_mapping: names of classes of either; ``class_mapping`` where None.
        legend: whether a legend tells the two colors.

    Raises:
        ValueError: a legend and handles of one.
    """
    from matplotlib import patches

    if legend and legend_handles:
        raise ValueError(explain("plot_bounding_box_gallery", "legend=True and legend_handles", "one of them"))
    pixels = _batch("plot_bounding_box_gallery", images, data_format)
    sets = (
        (y_true, true_color, ground_truth_mapping, "Ground Truth"),
        (y_pred, pred_color, prediction_mapping, "Prediction"),
    )
    for given, color, names, _ in sets:
        if given is not None:
            styles = (line_thickness, text_thickness, font_scale, "channels_last")
            pixels = draw_bounding_boxes(pixels, given, bounding_box_format, names or class_mapping, color, *styles)
    if legend:
        colors = ((text, (r / 255, g / 255, b / 255)) for _, (r, g, b), _, text in sets)
        legend_handles = [patches.Patch(color=color, label=text) for text, color in colors]
    plot_image_gallery(
        pixels,
        value_range=value_range,
        legend_handles=legend_handles,
        rows=rows,
        cols=cols,
        data_format="channels_last",
        **kwargs,
    )


def plot_segmentation_mask_gallery(
    images: Any,
    num_classes: int,
    value_range: tuple[float, float] = (0, 255),
    y_true: Any = None,
    y_pred: Any = None,
    color_mapping: dict[int, Color] | None = None,
    blend: bool = True,
    alpha: float = 0.8,
    ignore_index: int = -1,
    data_format: str | None = None,
    **kwargs: Any,
) -> None:
    """Show each image beside its true and predicted mask: :func:`draw_segmentation_masks`, one row per image."""
    pixels = _batch("plot_segmentation_mask_gallery", images, data_format)
    style = (num_classes, color_mapping, alpha, blend, ignore_index, "channels_last")
    masks = [_channels_last(_array(y), data_format).astype("int32") for y in (y_true, y_pred) if y is not None]
    columns = [pixels, *(draw_segmentation_masks(pixels, mask, *style) for mask in masks)]
    beside = np.stack(columns, 1).reshape(-1, *pixels.shape[1:])  # (N·columns, H, W, C)
    plot_image_gallery(
        beside,
        value_range=value_range,
        rows=len(pixels),
        cols=len(columns),
        data_format="channels_last",
        **kwargs,
    )


def _array(value: Any) -> Any:
    if value is None:
        return None
    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.array(value)


def _channels_last(array: np.ndarray, data_format: str | None) -> np.ndarray:
    return array.transpose(0, 2, 3, 1) if config.standardize_data_format(data_format) == "channels_first" else array


def _batch(who: str, images: Any, data_format: str | None) -> np.ndarray:
    array = _array(images)
    if array.ndim != 4:
        remedy = "Add an axis: x[None]."
        raise ValueError(explain(who, f"images of shape {array.shape}", "a batch (N, H, W, C)", remedy))
    return _channels_last(array, data_format)


def _bytes(images: np.ndarray) -> np.ndarray:
    """Return images of values up to 1 or up to 255 as uint8."""
    if images.dtype.kind == "f" and images.size:
        images = images.clip(0, 1) * 255 if images.max() <= 1 else images.clip(0, 255)
    return np.ascontiguousarray(images.astype("uint8"))
