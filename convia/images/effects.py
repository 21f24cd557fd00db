"""Random changes that Keras's ImageDataGenerator lacks: contrast, blur, sharpness, noise, holes; mixtures of images."""

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
EFFECTS = ("contrast", "blur", "sharpen", "noise", "cutout_y")
PARAMETERS = (*EFFECTS, "noise_seed", "cutout_x")


def contrast(x: Array, factor: float) -> Array:
    """Multiply the distances of an image's values (H, W, C) from each channel's mean."""
    mean = x.mean((0, 1), keepdims=True)
    stretched: Array = (x - mean) * x.dtype.type(factor) + mean
    return stretched


def blurred(x: Array, sigma: float) -> Array:
    """Convolve with a Gaussian of a standard deviation in pixels, cut off at 3 of them; borders are reflected."""
    if sigma <= 0:
        return x
    size = 2 * int(np.ceil(3 * sigma)) + 1
    kind = x.dtype if x.dtype in (np.float32, np.float64) else np.float32
    done = cv2.GaussianBlur(x.astype(kind), (size, size), sigma, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(done).reshape(x.shape).astype(x.dtype, copy=False)


def sharpened(x: Array, amount: float) -> Array:
    """Add the difference from the image blurred with σ = 1, ``amount`` times ("unsharp mask")."""
    sharp: Array = x + x.dtype.type(amount) * (x - blurred(x, 1.0))
    return sharp


def noisy(x: Array, deviation: float, seed: float) -> Array:
    """Add Gaussian noise, independent in all pixels and channels."""
    noise = np.random.default_rng(int(seed)).standard_normal(x.shape, np.float32)
    grainy: Array = x + (np.float32(deviation) * noise).astype(x.dtype)
    return grainy


def hole(size: tuple[int, ...], share: tuple[float, float], y: float, x: float) -> tuple[slice, slice]:
    """Return rows and columns of a box around a point (y, x), a fraction of the size (H, W), cut at the border."""
    parts = []
    for length, part, at in zip(size, share, (y, x), strict=True):
        side, middle = round(part * length), int(at * length)
        parts.append(slice(max(middle - side // 2, 0), min(middle - side // 2 + side, length)))
    return parts[0], parts[1]


def apply(x: Array, given: Mapping[str, float], cutout: float = 0.0, cval: float = 0.0) -> Array:
    """Change an image (H, W, C) by contrast, blur, sharpen, noise and cutout, in this order, as far as they are given.

    Values stay within 0…255, or the image's own range where that reaches farther.

    Args:
        given: contrast (a factor), blur (σ in pixels), sharpen (an amount), noise (σ) and noise_seed, cutout_y and
            cutout_x (the middle of the hole, fractions of the sides).
        cutout: sides of the hole, as fractions of the image's (DeVries and Taylor, 2017). cval: what fills it.
    """
    low, high = min(x.min(), 0), max(x.max(), 255)
    before = x
    for name, change in (("contrast", contrast), ("blur", blurred), ("sharpen", sharpened)):
        if name in given:
            x = change(x, given[name])
    if "noise" in given:
        x = noisy(x, given["noise"], given["noise_seed"])
    if x is not before:
        x = np.clip(x, low, high)
    if "cutout_y" in given:
        x = x.copy() if x is before else x
        x[hole(x.shape[:2], (cutout, cutout), given["cutout_y"], given["cutout_x"])] = cval
    return x


class Mixture:
    """How the images of a batch are mixed with one another: drawn once a batch, after all else.

    Args:
        mixup_alpha: Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018: λ·x + (1 − λ)·x′ with
            λ from Beta(α, α), labels alike.
        cutmix_alpha: Yun et al., "CutMix", 2019: a box of the share 1 − λ comes from x′; labels by the box's share.
            With both, each batch takes one or the other, by chance.
        count: images in the batch.
    """

    def __init__(self, mixup_alpha: float, cutmix_alpha: float, count: int) -> None:
        both = mixup_alpha and cutmix_alpha
        self.cuts = bool(np.random.random() < 0.5 if both else cutmix_alpha)
        alpha = cutmix_alpha if self.cuts else mixup_alpha
        self.share = float(np.random.beta(alpha, alpha))
        self.partners = np.random.permutation(count)
        self.middle = np.random.random(2)

    def among(self, used: Array) -> Array:
        """Return the partners within the images that are used; one whose partner is missing is its own."""
        place = {int(k): number for number, k in enumerate(used)}
        return np.array([place.get(int(self.partners[k]), number) for number, k in enumerate(used)], int)

    def apply(
        self, images: Array, labels: tuple[Any, ...], partners: Array, last: bool
    ) -> tuple[Array, tuple[Any, ...]]:
        """Mix images with their partners, and labels and weights by the same share; None stays None."""
        images, share = self.images(images, partners, last)
        return images, tuple(
            None if y is None else _mixed(np.asarray(y, images.dtype), partners, share) for y in labels
        )

    def images(self, batch: Array, partners: Array, last: bool) -> tuple[Array, float]:
        """Return the mixed images, and the share of each that is its own."""
        if not self.cuts:
            return _mixed(batch, partners, self.share), self.share
        size = batch.shape[1:3] if last else batch.shape[2:4]
        side = float(np.sqrt(1 - self.share))
        rows, columns = hole(size, (side, side), *self.middle)
        where = (slice(None), rows, columns) if last else (slice(None), slice(None), rows, columns)
        mixed = batch.copy()
        mixed[where] = batch[(partners, *where[1:])]
        area = (rows.stop - rows.start) * (columns.stop - columns.start)
        return mixed, 1 - area / (size[0] * size[1])


def _mixed(values: Array, partners: Array, share: float) -> Array:
    mixed: Array = values * values.dtype.type(share) + values[partners] * values.dtype.type(1 - share)
    return mixed
