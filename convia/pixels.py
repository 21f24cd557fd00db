"""Moving and mixing pixels: resize, crop, warp, blur, color. All on batches (N, C, H, W); nothing is random here."""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from convia.errors import explain

__all__ = [
    "FILL_MODES",
    "INTERPOLATIONS",
    "about_center",
    "box_mask",
    "center_crop",
    "contrast_limited_equalize",
    "crop_to_aspect",
    "equalize",
    "gaussian_blur",
    "grayscale",
    "homography",
    "hsv_to_rgb",
    "pad_to_aspect",
    "pixel_grid",
    "rescale",
    "resize",
    "rgb_to_hsv",
    "sample",
    "smooth",
    "warp",
]

INTERPOLATIONS = {"bilinear": "bilinear", "nearest": "nearest-exact", "bicubic": "bicubic"}  # ours → torch's
FILL_MODES = {  # what lies outside, a b c d being the image → torch's padding mode
    "constant": "zeros",  # k k | a b c d | k k
    "nearest": "border",  # a a | a b c d | d d
    "reflect": "reflection",  # b a | a b c d | d c
    "mirror": "reflection",  # c b | a b c d | c b
    "wrap": "border",  # c d | a b c d | a b, by hand
}


def resize(images: Tensor, size: tuple[int, int], interpolation: str = "bilinear", antialias: bool = False) -> Tensor:
    """Resize to (H′, W′); pixel centers are at half coordinates. Whole-number types are rounded.

    Raises:
        ValueError: an unknown interpolation.
    """
    if interpolation not in INTERPOLATIONS:
        raise ValueError(
            explain("resize, argument 'interpolation'", repr(interpolation), f"one of {[*INTERPOLATIONS]}")
        )
    smooth = interpolation != "nearest"
    floats = images if images.dtype in (torch.float32, torch.float64) else images.float()
    resized = F.interpolate(
        floats,
        size,
        mode=INTERPOLATIONS[interpolation],
        align_corners=False if smooth else None,
        antialias=antialias and smooth,
    )
    if images.is_floating_point():
        return resized.to(images.dtype)
    bounds = torch.iinfo(images.dtype)
    return resized.round().clamp(bounds.min, bounds.max).to(images.dtype)


def _aspect_window(height: int, width: int, size: tuple[int, int]) -> tuple[int, int]:
    """Return (H, W) of the sides ratio of ``size`` that would follow from the image's width and from its height."""
    return int(width * size[0] / size[1]), int(height * size[1] / size[0])


def center_crop(images: Tensor, height: int, width: int) -> Tensor:
    """Cut out the middle; an odd remainder is left at the bottom and right."""
    top, left = (images.shape[-2] - height) // 2, (images.shape[-1] - width) // 2
    return images[..., top : top + height, left : left + width]


def crop_to_aspect(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut out the largest middle part whose sides have the ratio of ``size``."""
    height, width = images.shape[-2:]
    tall, wide = _aspect_window(height, width, size)
    return center_crop(images, max(min(height, tall), 1), max(min(width, wide), 1))


def pad_to_aspect(images: Tensor, size: tuple[int, int], value: float = 0.0) -> Tensor:
    """Add equal borders, above and below or left and right, until the sides have the ratio of ``size``."""
    height, width = images.shape[-2:]
    tall, wide = _aspect_window(height, width, size)
    vertical, horizontal = (max(height, tall) - height) // 2, (max(width, wide) - width) // 2
    return F.pad(images, (horizontal, horizontal, vertical, vertical), value=value)


def pixel_grid(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the pixels' coordinates x, shape (W,), and y, shape (H, 1), in float32."""
    height, width = images.shape[-2:]
    x, y = (torch.arange(size, dtype=torch.float32, device=images.device) for size in (width, height))
    return x, y[:, None]


def sample(
    images: Tensor,
    x: Tensor,
    y: Tensor,
    interpolation: str = "bilinear",
    fill_mode: str = "constant",
    fill_value: float = 0.0,
) -> Tensor:
    """Read each image at the points (x, y), in pixels: coordinates of shape (N, H′, W′) to values (N, C, H′, W′)."""
    height, width = images.shape[-2:]
    floats = images if images.dtype in (torch.float32, torch.float64) else images.float()
    if interpolation == "nearest":
        x, y = x.round(), y.round()
    if fill_mode == "wrap":
        x, y = x.remainder(width), y.remainder(height)
        floats = F.pad(floats, (0, 1, 0, 1), mode="circular")
        height, width = height + 1, width + 1
    about_centers = fill_mode == "mirror"
    if about_centers:
        u, v = 2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1
    else:
        u, v = (2 * x + 1) / width - 1, (2 * y + 1) / height - 1
    offset = fill_value if fill_mode == "constant" else 0
    values = F.grid_sample(
        floats - offset if offset else floats,
        torch.stack([u, v], -1).to(floats.dtype),
        mode=interpolation,
        padding_mode=FILL_MODES[fill_mode],
        align_corners=about_centers,
    )
    values = values + offset if offset else values
    return values.to(images.dtype) if images.is_floating_point() else values.round().to(images.dtype)


def warp(images: Tensor, matrices: Tensor, **how: object) -> Tensor:
    """Put at (x, y) what each image has at ((a₀x + a₁y + a₂)/k, (b₀x + b₁y + b₂)/k), k = c₀x + c₁y + 1.

    Args:
        images: (N, C, H, W).
        matrices: (N, 8), rows a₀ a₁ a₂ b₀ b₁ b₂ c₀ c₁, or (N, 6) for affine maps, where k = 1.
        how: interpolation, fill_mode and fill_value, see ``sample``.
    """
    x, y = pixel_grid(images)
    a0, a1, a2, b0, b1, b2, *c = matrices.float()[..., None, None].unbind(1)  # (N, 1, 1) each
    u, v = a0 * x + a1 * y + a2, b0 * x + b1 * y + b2
    if c:
        k = c[0] * x + c[1] * y + 1
        u, v = u / k, v / k
    return sample(images, u, v, **how)  # type: ignore[arg-type]


def about_center(a0: Tensor, a1: Tensor, b0: Tensor, b1: Tensor, images: Tensor) -> Tensor:
    """Return matrices (N, 6) for ``warp`` of linear maps that leave the images' center where it is."""
    cx, cy = (images.shape[-1] - 1) / 2, (images.shape[-2] - 1) / 2
    return torch.stack([a0, a1, cx - cx * a0 - cy * a1, b0, b1, cy - cx * b0 - cy * b1], -1)


def homography(points: Tensor, images_of_points: Tensor) -> Tensor:
    """Return the projective maps (N, 8) that take four points, (N, 4, 2) as x and y, to four others."""
    (x, y), (u, v) = points.unbind(-1), images_of_points.unbind(-1)  # (N, 4) each
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    rows_of_u = torch.stack([x, y, one, zero, zero, zero, -u * x, -u * y], -1)
    rows_of_v = torch.stack([zero, zero, zero, x, y, one, -v * x, -v * y], -1)
    coefficients: Tensor = torch.linalg.solve(torch.cat([rows_of_u, rows_of_v], 1), torch.cat([u, v], 1))
    return coefficients


def gaussian_blur(images: Tensor, kernel_size: tuple[int, int], sigma: Tensor | tuple[float, float]) -> Tensor:
    """Convolve with a Gaussian, first along x and then along y; beyond the border are zeros.

    Args:
        images: (N, C, H, W).
        kernel_size: odd numbers of pixels along x and y.
        sigma: standard deviations along x and y, in pixels.
    """
    channels = images.shape[1]
    for axis, (size, deviation) in enumerate(zip(kernel_size, sigma, strict=True)):
        distance = torch.arange(size, dtype=images.dtype, device=images.device) - (size - 1) / 2
        weights = torch.exp(-0.5 * (distance / deviation) ** 2)
        shape = (channels, 1, size, 1) if axis else (channels, 1, 1, size)
        kernel = (weights / weights.sum()).view(shape[2:]).expand(shape)
        images = F.conv2d(images, kernel, padding=[extent // 2 for extent in shape[2:]], groups=channels)
    return images


def smooth(images: Tensor) -> Tensor:
    """Average each pixel (weight 5/13) with its eight neighbors (1/13 each); beyond the border are zeros."""
    kernel = torch.full((3, 3), 1 / 13, dtype=images.dtype, device=images.device)
    kernel[1, 1] = 5 / 13
    return F.conv2d(images, kernel.expand(images.shape[1], 1, 3, 3), padding=1, groups=images.shape[1])


def grayscale(images: Tensor) -> Tensor:
    """Return the luma 0.2989·R + 0.587·G + 0.114·B, shape (N, 1, H, W); gray images stay."""
    if images.shape[1] == 1:
        return images
    red, green, blue = images.unbind(1)
    return (0.2989 * red + 0.587 * green + 0.114 * blue)[:, None]


def rgb_to_hsv(images: Tensor) -> Tensor:
    """Return hue and saturation in [0, 1] and value, the maximum of red, green and blue (Smith 1978)."""
    images = torch.where(images.abs() < torch.finfo(images.dtype).eps, 0, images)
    red, green, blue = images.unbind(1)
    value, least = images.amax(1), images.amin(1)
    spread = value - least
    sixth = 1 / (6 * torch.where(spread > 0, spread, 1))
    hue = torch.where(value == green, sixth * (blue - red) + 2 / 6, sixth * (red - green) + 4 / 6)
    hue = torch.where(value == red, sixth * (green - blue), hue)
    hue = torch.where(spread > 0, hue, 0) + (hue < 0).to(hue.dtype)
    saturation = torch.where(value > 0, spread / torch.where(value > 0, value, 1), 0)
    return torch.stack([hue, saturation, value], 1)


def hsv_to_rgb(images: Tensor) -> Tensor:
    """Undo ``rgb_to_hsv``."""
    hue, saturation, value = images.unbind(1)
    angle = hue.remainder(1) * 6
    red, green, blue = (angle - 3).abs() - 1, 2 - (angle - 2).abs(), 2 - (angle - 4).abs()
    pure = torch.stack([red, green, blue], 1).clamp(0, 1)
    return value[:, None] * (1 - saturation[:, None] + saturation[:, None] * pure)


def rescale(images: Tensor, source: tuple[float, float], target: tuple[float, float]) -> Tensor:
    """Map one range of values to another, linearly."""
    if tuple(source) == tuple(target):
        return images
    return (images - source[0]) / (source[1] - source[0]) * (target[1] - target[0]) + target[0]


def equalize(images: Tensor, bins: int = 256) -> Tensor:
    """Make each channel's histogram, over the whole batch, as flat as possible; values in [0, 255].

    A value in bin b becomes 255·(F(b) − F₀)/(1 − F₀), with the cumulative frequency F and its first positive value
    F₀. Channels with a single value stay.
    """
    channels = images.shape[1]
    index = (images / 255 * (bins - 1)).int().clamp(0, bins - 1)
    flat = index + torch.arange(channels, device=images.device, dtype=index.dtype).view(-1, 1, 1) * bins
    counts = torch.zeros(channels * bins, dtype=torch.int64, device=images.device)
    counts.scatter_add_(
        0, flat.flatten().long(), torch.ones((), dtype=torch.int64, device=images.device).expand(flat.numel())
    )
    counts = counts.view(channels, bins)
    total = counts.cumsum(1)
    first = torch.where(total > 0, total, total[:, -1:]).amin(1, keepdim=True)
    table = ((total - first) * 255 / (total[:, -1:] - first).clamp(min=1)).round().clamp(0, 255)
    varied = ((counts > 0).sum(1) > 1).view(-1, 1, 1)
    return torch.where(varied, table.flatten()[flat.long()].to(images.dtype), images)


def contrast_limited_equalize(images: Tensor, clip_limit: float, grid: tuple[int, int]) -> Tensor:
    """Equalize tile by tile, with limited contrast; values in [0, 255].

    A pixel takes what the tables of the four nearest tiles make of it, weighted by their distance (CLAHE: Zuiderveld,
    "Contrast Limited Adaptive Histogram Equalization", Graphics Gems IV, 1994).

    Args:
        images: (N, C, H, W).
        clip_limit: bins of a tile's histogram above so many times their mean are cut off, and what is cut off is
            spread over all bins; 0 for no limit.
        grid: numbers of tiles (rows, columns). Images are continued as in a mirror where they do not divide.
    """
    sides = [(size, count, -(-size // count)) for size, count in zip(images.shape[-2:], grid, strict=True)]
    rows, columns = (_mirrored(size, count * tile, images.device) for size, count, tile in sides)
    values = images.clamp(0, 255).long()[..., rows[:, None], columns]  # (N, C, rows·height, columns·width of a tile)
    tiles = values.unflatten(3, (grid[1], -1)).unflatten(2, (grid[0], -1)).transpose(3, 4)
    tables = _tile_tables(tiles.flatten(4), clip_limit).flatten(2)  # (N, C, rows·columns·256)
    values = values[..., : sides[0][0], : sides[1][0]]
    vertical, horizontal = (_nearest_tiles(size, count, tile, images.device) for size, count, tile in sides)
    result = torch.zeros_like(values, dtype=tables.dtype)
    for row, down in vertical:
        for column, right in horizontal:
            index = values + (row[:, None] * grid[1] + column) * 256
            result += tables.gather(2, index.flatten(2)).view_as(result) * (down[:, None] * right)
    return result


def _mirrored(size: int, wanted: int, device: torch.device) -> Tensor:
    """Return the indices 0 … size − 1, size − 1 … 0, 0 … of an axis, ``wanted`` of them."""
    index = torch.arange(wanted, device=device) % (2 * size)
    return torch.minimum(index, 2 * size - 1 - index)


def _tile_tables(tiles: Tensor, clip_limit: float) -> Tensor:
    """Return what each of the 256 values becomes, (…, 256), for tiles (…, pixels)."""
    size = tiles.shape[-1]
    counts = torch.zeros(*tiles.shape[:-1], 256, device=tiles.device)
    counts.scatter_add_(-1, tiles, torch.ones((), device=tiles.device).expand(tiles.shape))
    if clip_limit > 0:
        kept = counts.clamp(max=clip_limit * size / 256)
        counts = kept + (counts - kept).sum(-1, keepdim=True) / 256
    total = counts.cumsum(-1)
    first = total[..., :1]
    spread = size - first
    return ((total - first) * 255 / torch.where(spread == 0, 1, spread)).clamp(0, 255)


def _nearest_tiles(size: int, count: int, tile: int, device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """Return for each pixel of an axis the tiles whose centres are before and behind it, each with its weight."""
    place = (torch.arange(size, device=device, dtype=torch.float32) - tile / 2) / tile
    before = place.floor()
    weight = place - before
    return [(before.clamp(0, count - 1).long(), 1 - weight), ((before + 1).clamp(0, count - 1).long(), weight)]


def box_mask(images: Tensor, left: Tensor, right: Tensor, top: Tensor, bottom: Tensor) -> Tensor:
    """Return where left ≤ x < right and top ≤ y < bottom, shape (N, 1, H, W), for bounds of shape (N,) in pixels."""
    x, y = pixel_grid(images)
    left, right, top, bottom = (bound.view(-1, 1, 1, 1) for bound in (left, right, top, bottom))
    return (x >= left) & (x < right) & (y >= top) & (y < bottom)
