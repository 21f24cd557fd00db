"""Boxes around objects in images, (…, 4): formats, clipping, overlap, offsets from anchors."""

import math
from typing import Any

import torch
from torch import Tensor

from convia import config
from convia.errors import explain, nearest

__all__ = [
    "affine_transform",
    "clip_to_image_size",
    "compute_ciou",
    "compute_iou",
    "convert_format",
    "crop",
    "decode_deltas_to_boxes",
    "encode_box_to_deltas",
    "pad",
]

_SWAPPED = (1, 0, 3, 2)  # y before x

# A format is a linear function of the corners (left, top, right, bottom): one row per corner, one column per number.
_CORNERS = torch.eye(4)
_SIZED = torch.tensor([[1.0, 0, -1, 0], [0, 1, 0, -1], [0, 0, 1, 0], [0, 0, 0, 1]])  # left, top, width, height
_CENTERED = torch.tensor([[0.5, 0, -1, 0], [0, 0.5, 0, -1], [0.5, 0, 1, 0], [0, 0.5, 0, 1]])
_FORMATS = {
    "xyxy": _CORNERS,
    "yxyx": _CORNERS[:, _SWAPPED],
    "xywh": _SIZED,
    "center_xywh": _CENTERED,
    "center_yxhw": _CENTERED[:, _SWAPPED],
    "rel_xyxy": _CORNERS,  # the rel_… ones are fractions of the image's width and height
    "rel_yxyx": _CORNERS[:, _SWAPPED],
    "rel_xywh": _SIZED,
    "rel_center_xywh": _CENTERED,
}
_OFFSETS = ("center_xywh", "center_yxhw")


def convert_format(
    boxes: Any, source: str, target: str, height: Any = None, width: Any = None, dtype: str = "float32"
) -> Any:
    """Write boxes in another format.

    Args:
        boxes: (…, 4), or a dict with such "boxes", which are replaced in it.
        source, target: "xyxy", "yxyx", "xywh", "center_xywh", "center_yxhw", or as fractions of the image "rel_xyxy",
            "rel_yxyx", "rel_xywh", "rel_center_xywh".
        height, width: of the image; needed between fractions and pixels.
        dtype: of the result.

    Raises:
        ValueError: an unknown format, a last axis other than 4, no image size where it is needed.
    """
    if isinstance(boxes, dict):
        boxes["boxes"] = convert_format(boxes["boxes"], source, target, height, width, dtype)
        return boxes
    source, target = source.lower(), target.lower()
    for name in (source, target):
        if name not in _FORMATS:
            raise ValueError(explain("convert_format", f"the format {name!r}", "a known one", nearest(name, _FORMATS)))
    given = _tensor(boxes, config.torch_dtype(dtype))
    if given.shape[-1] != 4:
        raise ValueError(
            explain("convert_format", f"boxes of shape {tuple(given.shape)}", "4 numbers on the last axis")
        )
    relative = source.startswith("rel_"), target.startswith("rel_")
    if any(relative) and (height is None or width is None):
        received = f"{source!r} to {target!r} with height={height}, width={width}"
        raise ValueError(explain("convert_format", received, "the size of the image"))
    if source == target:
        return given
    corners = given @ torch.linalg.inv(_FORMATS[source]).to(given)
    if relative[0] != relative[1]:
        sizes = torch.stack(
            [_tensor(size, given.dtype).to(given.device) for size in (width, height, width, height)], -1
        )
        corners = corners * sizes if relative[0] else corners / sizes
    return corners @ _FORMATS[target].to(given)


def clip_to_image_size(
    bounding_boxes: dict[str, Any], height: Any = None, width: Any = None, bounding_box_format: str = "xyxy"
) -> dict[str, Any]:
    """Cut off what lies outside of the image; the labels of boxes of which nothing is left become −1.

    Args:
        bounding_boxes: a dict with "boxes" (…, n, 4) and perhaps "labels" (…, n); a new one is returned.
        height, width: of the image, for "xyxy".
        bounding_box_format: "xyxy" or "rel_xyxy".

    Raises:
        ValueError: no image size. NotImplementedError: another format.
    """
    _only(bounding_box_format, "clip_to_image_size", "xyxy", "rel_xyxy")
    if bounding_box_format == "xyxy" and (height is None or width is None):
        raise ValueError(explain("clip_to_image_size", f"height={height}, width={width}", "the size of the image"))
    sizes = (1.0, 1.0) if bounding_box_format == "rel_xyxy" else (height, width)
    boxes = _clipped(_tensor(bounding_boxes["boxes"]), *sizes)
    result = {**bounding_boxes, "boxes": boxes}
    if bounding_boxes.get("labels") is not None:
        area = (boxes[..., 2:] - boxes[..., :2]).prod(-1)
        result["labels"] = torch.where(area > 0, _tensor(bounding_boxes["labels"]), -1)
    return result


def _clipped(boxes: Tensor, height: Any, width: Any) -> Tensor:
    limits = torch.stack([_tensor(size).to(boxes) for size in (width, height, width, height)], -1)
    return torch.minimum(boxes.clamp(min=0), limits)


def crop(boxes: Any, top: Any, left: Any, height: Any, width: Any, bounding_box_format: str = "xyxy") -> Tensor:
    """Return where boxes lie in a part of the image, cut off at its borders."""
    _only(bounding_box_format, "crop", "xyxy")
    return _clipped(pad(boxes, -top, -left), height, width)


def pad(
    boxes: Any, top: Any, left: Any, height: Any = None, width: Any = None, bounding_box_format: str = "xyxy"
) -> Tensor:
    """Return where boxes lie after ``top`` and ``left`` pixels were added to the image."""
    _only(bounding_box_format, "pad", "xyxy")
    given = _tensor(boxes)
    return given + torch.stack([_tensor(side).to(given) for side in (left, top, left, top)], -1)


def affine_transform(
    boxes: Any,
    angle: Any,
    translate_x: Any,
    translate_y: Any,
    scale: Any,
    shear_x: Any,
    shear_y: Any,
    height: Any,
    width: Any,
    center_x: Any = None,
    center_y: Any = None,
    bounding_box_format: str = "xyxy",
) -> Tensor:
    """Return the boxes around rotated, moved, scaled and sheared boxes (N, n, 4).

    Args:
        angle, shear_x, shear_y: of each image in degrees, (N,).
        translate_x, translate_y: fractions of width and height, (N,).
        scale: of each image, (N,).
        height, width: of the images.
        center_x, center_y: the fixed point, as fractions; the middle when None.
    """
    _only(bounding_box_format, "affine_transform", "xyxy")
    rotation, sx, sy = (-torch.deg2rad(_tensor(x)) for x in (angle, shear_x, shear_y))
    cx, cy = ((0.5 if c is None else c) * (size - 1) for c, size in ((center_x, width), (center_y, height)))
    moved_x, moved_y = cx - _tensor(translate_x) * (width - 1), cy - _tensor(translate_y) * (height - 1)
    a = torch.cos(rotation - sy) / torch.cos(sy)
    b = a * torch.tan(sx) + torch.sin(rotation)
    c = -torch.sin(rotation - sy) / torch.cos(sy)
    d = torch.cos(rotation) - c * torch.tan(sx)
    inverse = torch.stack([d, -b, -c, a], -1).unflatten(-1, (2, 2)) * _tensor(scale).reshape(-1, 1, 1)  # (N, 2, 2)
    center = torch.stack([torch.as_tensor(value).expand_as(rotation) for value in (cx, cy)], -1)
    shift = center - (inverse @ torch.stack([moved_x, moved_y], -1)[..., None])[..., 0]
    corners = _tensor(boxes, inverse.dtype)[..., (0, 1, 2, 1, 2, 3, 0, 3)].unflatten(-1, (4, 2))  # (N, n, 4, 2)
    found = torch.einsum("bnkx,byx->bnky", corners, inverse) + shift[:, None, None]
    return torch.cat([found.amin(2), found.amax(2)], -1)


def encode_box_to_deltas(
    anchors: Any,
    boxes: Any,
    anchor_format: str,
    box_format: str,
    encoding_format: str = "center_yxhw",
    variance: Any = None,
    image_shape: Any = None,
) -> Tensor:
    """Return offsets of boxes from anchors: Δcenter / size of the anchor, and log(size / size of the anchor).

    Ren et al. 2015, "Faster R-CNN". Divided by ``variance`` (4 numbers), if given; ``image_shape`` (height, width,
    channels) is needed for relative formats.

    Raises:
        ValueError: another number of variances, an encoding that has no centers.
    """
    _check_offsets("encode_box_to_deltas", encoding_format, variance)
    size = (None, None) if image_shape is None else tuple(image_shape[:2])
    anchor = convert_format(anchors, anchor_format, encoding_format, *size)
    box = convert_format(boxes, box_format, encoding_format, *size)
    anchor_size, box_size = (given[..., 2:].clamp(min=config.epsilon()) for given in (anchor, box))
    centers = (box[..., :2] - anchor[..., :2]) / anchor_size
    scales = torch.log(box_size / anchor_size).expand(*centers.shape)
    deltas = torch.cat([centers, scales], -1)
    return deltas if variance is None else deltas / _tensor(variance, deltas.dtype)


def decode_deltas_to_boxes(
    anchors: Any,
    boxes_delta: Any,
    anchor_format: str,
    box_format: str,
    encoded_format: str = "center_yxhw",
    variance: Any = None,
    image_shape: Any = None,
) -> Any:
    """Undo :func:`encode_box_to_deltas`; anchors and offsets may be dicts of levels.

    Raises:
        ValueError: another number of variances, an encoding that has no centers.
    """
    _check_offsets("decode_deltas_to_boxes", encoded_format, variance)
    if isinstance(anchors, dict) and isinstance(boxes_delta, dict):
        rest = (anchor_format, box_format, encoded_format, variance, image_shape)
        return {level: decode_deltas_to_boxes(anchors[level], boxes_delta[level], *rest) for level in anchors}
    size = (None, None) if image_shape is None else tuple(image_shape[:2])
    anchor = convert_format(anchors, anchor_format, encoded_format, *size)
    deltas = _tensor(boxes_delta, anchor.dtype)
    if variance is not None:
        deltas = deltas * _tensor(variance, anchor.dtype)
    centers = deltas[..., :2] * anchor[..., 2:] + anchor[..., :2]
    sizes = (torch.exp(deltas[..., 2:]) * anchor[..., 2:]).expand(*centers.shape)
    return convert_format(torch.cat([centers, sizes], -1), encoded_format, box_format, *size)


def compute_iou(
    boxes1: Any,
    boxes2: Any,
    bounding_box_format: str,
    use_masking: bool = False,
    mask_val: float = -1,
    image_shape: Any = None,
) -> Tensor:
    """Return the shared area of each pair of boxes divided by their joint area, ([N,] n, 4), ([N,] m, 4) → ([N,] n, m).

    Args:
        boxes1, boxes2: of one image or of a batch.
        bounding_box_format: as for :func:`convert_format`.
        use_masking: whether pairs with a box of negative coordinates only, which stands for none, get ``mask_val``.
        image_shape: (height, width, channels), for relative formats.

    Raises:
        ValueError: boxes of other ranks, no image size for a relative format.
    """
    size = (None, None) if image_shape is None else tuple(image_shape[:2])
    one, other = (convert_format(boxes, bounding_box_format, "yxyx", *size) for boxes in (boxes1, boxes2))
    if not {one.ndim, other.ndim} <= {2, 3}:
        shapes = f"boxes of shapes {tuple(one.shape)} and {tuple(other.shape)}"
        raise ValueError(explain("compute_iou", shapes, "(n, 4) or (N, n, 4)"))
    a, b = one.unsqueeze(-2), other.unsqueeze(-3)
    shared = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    joint = sum((x[..., 2:] - x[..., :2]).prod(-1) for x in (a, b)) - shared
    result: Tensor = shared / (joint + config.epsilon())
    if not use_masking:
        return result
    none = (a.amax(-1) < 0) | (b.amax(-1) < 0)
    return result.masked_fill(none, mask_val)


def compute_ciou(boxes1: Any, boxes2: Any, bounding_box_format: str, image_shape: Any = None) -> Tensor:
    """Return the complete overlap of corresponding boxes, (…, 4) → (…): IoU − distance²/diagonal² − α·v.

    Zheng et al. 2020, "Distance-IoU loss": v compares the aspect ratios, α weighs it. The diagonal is that of the
    smallest box around both.

    Raises:
        ValueError: a relative format, in which there is no distance.
    """
    if "rel" in bounding_box_format:
        raise ValueError(explain("compute_ciou", f"the format {bounding_box_format!r}", "one in pixels"))
    tiny = config.epsilon()
    a, b = (convert_format(boxes, bounding_box_format, "xyxy") for boxes in (boxes1, boxes2))
    (width_a, height_a), (width_b, height_b) = ((x[..., 2:] - x[..., :2]).unbind(-1) for x in (a, b))
    height_a, height_b = height_a + tiny, height_b + tiny
    shared = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    iou = shared / (width_a * height_a + width_b * height_b - shared + 2 * tiny)
    around = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    diagonal = around.square().sum(-1) + tiny
    distance = ((a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2).square().sum(-1)
    v = 4 / math.pi**2 * (torch.atan(width_b / height_b) - torch.atan(width_a / height_a)).square()
    alpha = v / (v - iou + 1 + tiny)
    score: Tensor = iou - (distance / diagonal + v * alpha)
    return score


def _only(name: str, who: str, *known: str) -> None:
    if name not in known:
        expected = " or ".join(map(repr, known))
        raise NotImplementedError(explain(who, f"the format {name!r}", expected, "Convert the boxes first."))


def _check_offsets(who: str, encoding: str, variance: Any) -> None:
    if encoding not in _OFFSETS:
        raise ValueError(explain(who, f"the encoding {encoding!r}", f"one of {list(_OFFSETS)}"))
    if variance is not None and len(variance) != 4:
        raise ValueError(explain(who, f"{len(variance)} variances", "4, one per number of a box"))


def _tensor(value: Any, dtype: torch.dtype | None = None) -> Tensor:
    tensor = value if isinstance(value, Tensor) else torch.as_tensor(value, device=config.device())
    return tensor if dtype is None else tensor.to(dtype)
