"""How all pictures look, in one place: colours, fonts, grids of small images.

Text and background have fixed colours, so that a picture is the same on bright and on dark pages and under any style
that a user has chosen for matplotlib. Colours: Okabe and Ito, "Color universal design" (2008), told apart with any
kind of colour vision; maps: cividis and a blue–orange diverging one, whose lightness tells the order.
"""

import contextlib
import io
import math
import textwrap
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

INK, FAINT, LINE, PAPER = "#22272e", "#68717c", "#d5dae0", "#ffffff"
BLUE, ORANGE, GREEN = "#0072b2", "#d55e00", "#009e73"
MAP = "cividis"
DPI = 100

_SETTINGS: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib, and has ✓ and ✗
    "font.size": 9.5,
    "text.color": INK,
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "figure.dpi": DPI,
    "savefig.dpi": DPI,
    "axes.facecolor": PAPER,
    "axes.edgecolor": LINE,
    "axes.labelcolor": FAINT,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "grid.color": "#eceff2",
    "grid.linewidth": 0.8,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": FAINT,
    "ytick.labelcolor": FAINT,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "image.interpolation": "nearest",
    "text.usetex": False,
}


@contextlib.contextmanager
def drawing() -> Iterator[None]:
    """Draw in the style of this module, whatever the user's own settings are."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


@cache
def _picture() -> Any:
    from matplotlib.figure import Figure

    class Picture(Figure):
        """A figure that keeps its style: matplotlib makes ticks and backgrounds only when it draws."""

        def draw(self, renderer: Any) -> None:
            with drawing():
                super().draw(renderer)

        def savefig(self, fname: Any, **options: Any) -> None:
            with drawing():
                super().savefig(fname, **options)

        def _repr_png_(self) -> bytes:
            """What notebooks show."""
            return png(self)

    return Picture


def figure(width: float, height: float, **options: Any) -> Any:
    """Return an empty figure of a size in inches, apart from pyplot: nothing to close, no window, any thread."""
    return _picture()(figsize=(width, height), **options)


def place(made: Any, left: float, top: float, width: float, height: float) -> Any:
    """Add axes to a figure, in inches from its upper left corner."""
    whole_width, whole_height = made.get_size_inches()
    return made.add_axes(
        (left / whole_width, 1 - (top + height) / whole_height, width / whole_width, height / whole_height)
    )


def write(made: Any, left: float, top: float, text: str, size: float = 10.5, **how: Any) -> None:
    """Write a heading, in inches from the upper left corner to that of the text; it is broken into lines to fit."""
    whole_width, whole_height = made.get_size_inches()
    letters = int((whole_width - left) * 72 / (size * (0.68 if how.get("fontweight", "bold") == "bold" else 0.58)))
    lines = "\n".join(textwrap.wrap(text, max(letters, 20)))
    how = {"fontweight": "bold", "va": "top", "fontsize": size} | how
    made.text(left / whole_width, 1 - top / whole_height, lines, **how)


def png(made: Any) -> bytes:
    """Return a figure as a PNG file."""
    content = io.BytesIO()
    made.savefig(content, format="png")
    return content.getvalue()


def bare(axes: Any, title: str = "", colour: str = INK) -> None:
    """Take ticks and frame away, for images; the title is small."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    if title:
        axes.set_title(title, fontsize=8.5, fontweight="normal", color=colour, loc="center", pad=3)


def array(value: Any) -> npt.NDArray[Any]:
    """Return a tensor, an array or lists as an array."""
    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)


def classes_of(labels: Any) -> npt.NDArray[np.int64]:
    """Return class numbers (N,) from themselves, from (N, 1), or from one-hot rows or probabilities (N, C)."""
    values = array(labels)
    if values.ndim == 2 and values.shape[1] > 1:
        classes: npt.NDArray[np.int64] = values.argmax(1)
        return classes
    return values.reshape(-1).astype(np.int64)


def showable(image: Any) -> tuple[npt.NDArray[Any], dict[str, Any]]:
    """Return an image (H, W[, C]) as ``imshow`` wants it, stretched from its least value (or 0) to its largest."""
    pixels = array(image).astype(np.float32)
    if pixels.ndim == 3 and pixels.shape[2] not in (3, 4):
        pixels = pixels[..., 0] if pixels.shape[2] == 1 else pixels.mean(2)
    low, high = min(float(pixels.min()), 0.0), float(pixels.max())
    high = 255.0 if 16 < high <= 255 else max(high, 1.0 if high > 0 else low + 1.0)
    pixels = np.clip((pixels - low) / (high - low), 0, 1)
    return pixels, {"cmap": "gray", "vmin": 0, "vmax": 1} if pixels.ndim == 2 else {}


def mosaic(tiles: npt.NDArray[Any], columns: int, side: int = 72, gap: int = 6) -> npt.NDArray[Any]:
    """Put images (N, H, W) or (N, H, W, 3) side by side into one, enlarged to ``side`` pixels at least.

    One large image is drawn many times faster than many small axes. Gaps are NaN, in colours white.
    """
    larger = max(1, round(side / max(tiles.shape[1:3])))
    tiles = np.repeat(np.repeat(tiles, larger, 1), larger, 2)
    count, height, width = tiles.shape[:3]
    rows = -(-count // columns)
    gap = max(1, round(gap * max(height, width) / side))
    shape = (rows * (height + gap) - gap, columns * (width + gap) - gap, *tiles.shape[3:])
    whole = np.full(shape, np.nan if tiles.ndim == 3 else 1.0, np.float32)
    for number, tile in enumerate(tiles):
        top, left = (place * (size + gap) for place, size in zip(divmod(number, columns), (height, width), strict=True))
        whole[top : top + height, left : left + width] = tile
    return whole


def columns_for(count: int, most: int = 8) -> int:
    """Return into how many columns to put a number of small pictures."""
    return count if count <= most else min(most, math.ceil(count / math.ceil(count / most)))


def shortened(name: str, length: int = 18) -> str:
    """Return a name that fits into little space; its end may tell it from others."""
    tail = length // 3
    return name if len(name) <= length else f"{name[: length - tail - 1]}…{name[-tail:]}"


def names_for(count: int, class_names: Sequence[Any] | None) -> list[str]:
    """Return the names of classes, their numbers where no names are given."""
    given = [str(name) for name in class_names or ()]
    return given + [str(number) for number in range(len(given), count)]
