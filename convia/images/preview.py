"""A picture of what an ImageDataGenerator does to images."""

import os
import textwrap
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from convia.errors import explain
from convia.images.files import img_to_array, load_img

Array = npt.NDArray[Any]
_COLUMNS, _SIDE = 6, 2.0  # images per row; inches
_SHORT = {  # parameter → (how it is written, the value that says nothing)
    "theta": ("{:+.0f}°", 0),
    "tx": ("↕ {:+.0f}", 0),
    "ty": ("↔ {:+.0f}", 0),
    "shear": ("shear {:+.0f}°", 0),
    "zx": ("×{:.2f}", 1),
    "zy": ("×{:.2f}", 1),
    "flip_horizontal": ("flip", 0),
    "flip_vertical": ("upside down", 0),
    "channel_shift_intensity": ("shift {:+.0f}", 0),
    "brightness": ("bright {:.2f}", 1),
    "contrast": ("contrast {:.2f}", 1),
    "blur": ("blur {:.1f}", 0),
    "sharpen": ("sharp {:.1f}", 0),
    "noise": ("noise {:.0f}", 0),
}


def preview(generator: Any, image: Any, n: int = 16, seed: int | None = None) -> Any:
    """Draw an image and ``n`` random changes of it, each with its parameters, before they are rescaled or normalized.

    NumPy's global generator is left as it was.

    Args:
        generator: an ImageDataGenerator.
        image: a file's path, a Pillow image, or an array of rank 3 in the generator's data format; a batch (rank 4)
            takes turns, and shows what mixup and cutmix make of it.
        n: number of changed images.
        seed: of the draws.

    Returns:
        A matplotlib Figure; ``savefig`` writes it to a file.

    Raises:
        ValueError: not an image, or n below 1.
    """
    from matplotlib.figure import Figure

    images = _arrays(image, generator.data_format)
    if n < 1 or not images:
        raise ValueError(explain("preview", f"n={n} and {len(images)} images", "at least one of each"))
    before = np.random.get_state()
    try:
        pixels, captions = _changed(generator, images, n, seed)
    finally:
        np.random.set_state(before)
    shown = [(images[0], "as it is"), *zip(pixels, captions, strict=True)]
    columns = min(_COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(_SIDE * columns, (_SIDE + 0.6) * rows), layout="constrained")
    for place, (x, caption) in enumerate(shown):
        axes = figure.add_subplot(rows, columns, place + 1)
        axes.set_axis_off()
        axes.set_title(caption, fontsize=7)
        last = generator.data_format == "channels_last"
        axes.imshow(_bytes(x if last else np.moveaxis(x, 0, 2)), cmap="gray", vmin=0, vmax=255)
    return figure


def _changed(generator: Any, images: list[Array], n: int, seed: int | None) -> tuple[list[Array], list[str]]:
    if seed is not None:
        np.random.seed(seed)
    chosen = [images[k % len(images)] for k in range(n)]
    drawn = [generator.get_random_transform(x.shape) for x in chosen]
    pixels = [generator.apply_transform(x, given) for x, given in zip(chosen, drawn, strict=True)]
    captions = [_caption(given) for given in drawn]
    if generator.mixes and len({x.shape for x in pixels}) == 1:
        mixture = generator.mixture(n)
        mixed, share = mixture.images(np.stack(pixels), mixture.partners, generator.data_format == "channels_last")
        return [*mixed], [f"{text}\n{share:.0%} its own" for text in captions]
    return pixels, captions


def _caption(given: dict[str, Any]) -> str:
    said = {name: text.format(given[name]) for name, (text, _) in _SHORT.items() if given.get(name) is not None}
    parts = [
        text
        for name, text in said.items()
        if given[name] != _SHORT[name][1] and (given[name] is True or text != _SHORT[name][0].format(_SHORT[name][1]))
    ]
    lines = textwrap.wrap(", ".join(part.replace(" ", "\u00a0") for part in parts), 26, break_long_words=False)
    return "\n".join(lines) or "as it is"


def _bytes(x: Array) -> Array:
    """Return an image (H, W, C) as bytes; one of values within 0…1 is stretched."""
    stretch = 255 if x.min() >= 0 and x.max() <= 1 else 1
    pixels: Array = np.clip(x * stretch, 0, 255).astype(np.uint8)
    return pixels[..., 0] if x.shape[2] == 1 else pixels


def _arrays(image: Any, data_format: str) -> list[Array]:
    if isinstance(image, (str, os.PathLike)):
        return [img_to_array(load_img(image), data_format)]
    if hasattr(image, "getbands"):
        return [img_to_array(image, data_format)]
    x = image.detach().cpu().numpy() if isinstance(image, torch.Tensor) else np.asarray(image)
    if x.ndim not in (3, 4):
        raise ValueError(explain("preview", f"an array of shape {x.shape}", "one image of rank 3, or a batch of them"))
    return [*np.asarray(x, np.float32)[None]] if x.ndim == 3 else [*np.asarray(x, np.float32)]
