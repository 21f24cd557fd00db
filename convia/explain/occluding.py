"""Where a network looks, by trying: parts of the image are covered in turn."""

from typing import Any

import numpy as np

from convia import config, tree
from convia.errors import explain
from convia.explain.inside import Array, batch_of

_PARTS = 8  # the default patch is this part of the shorter side


def occlusion(
    model: Any,
    image: Any,
    class_index: int | None = None,
    patch: int | None = None,
    stride: int | None = None,
    value: float | None = None,
    batch_size: int = 32,
) -> Array:
    """Return by how much the output for a class falls where a patch covers the image (Zeiler and Fergus 2014).

    Args:
        model: any model that ends in a value per class; with a single output, classes are 0 and 1.
        image: (H, W, C), (H, W) or (1, H, W, C), as the model takes it.
        class_index: by default the predicted class.
        patch: side of the covering square in pixels; by default an eighth of the shorter side.
        stride: pixels from one place to the next; by default half of ``patch``.
        value: of the covering pixels; by default the image's mean.
        batch_size: of the predictions.

    Returns:
        (H, W): the mean fall over all patches that cover a pixel; negative where covering helps.

    Raises:
        ValueError: no such class, not an image, or a patch or stride that does not fit.
    """
    batch = batch_of(model, image, "occlusion")
    if config.image_data_format() == "channels_first":
        batch = batch.permute(0, 2, 3, 1)
    pixels = batch[0].cpu().numpy()
    height, width = pixels.shape[:2]
    patch = patch or max(1, min(height, width) // _PARTS)
    stride = stride or max(1, patch // 2)
    if not (1 <= patch <= min(height, width) and 1 <= stride <= patch):
        expected = f"a patch of 1 to {min(height, width)} pixels and a stride of 1 to {patch}"
        raise ValueError(explain("occlusion", f"patch={patch}, stride={stride}", expected))
    places = [(top, left) for top in _starts(height, patch, stride) for left in _starts(width, patch, stride)]
    base = _outputs(model, pixels[None], batch_size)[0]
    index = class_index if class_index is not None else int(base.argmax())
    if not 0 <= index < len(base):
        raise ValueError(explain("occlusion, argument 'class_index'", index, f"a number from 0 to {len(base) - 1}"))
    falls, covered = np.zeros((height, width)), np.zeros((height, width))
    for start in range(0, len(places), batch_size):
        chosen = places[start : start + batch_size]
        images = np.repeat(pixels[None], len(chosen), 0)
        for one, (top, left) in zip(images, chosen, strict=True):
            one[top : top + patch, left : left + patch] = pixels.mean() if value is None else value
        for row, (top, left) in zip(_outputs(model, images, batch_size), chosen, strict=True):
            falls[top : top + patch, left : left + patch] += base[index] - row[index]
            covered[top : top + patch, left : left + patch] += 1
    return (falls / covered).astype(np.float32)


def _starts(size: int, patch: int, stride: int) -> list[int]:
    """Where patches begin; the last ends at the border."""
    return sorted({*range(0, size - patch + 1, stride), size - patch})


def _outputs(model: Any, images: Array, batch_size: int) -> Array:
    """Return the first output (N, classes); of a single unit, both classes."""
    if config.image_data_format() == "channels_first":
        images = images.transpose(0, 3, 1, 2)
    rows = np.asarray(tree.flatten(model.predict(images, batch_size=batch_size, verbose=0))[0], dtype=np.float64)
    rows = rows.reshape(len(images), -1)
    return rows if rows.shape[1] > 1 else np.concatenate([1 - rows, rows], 1)
