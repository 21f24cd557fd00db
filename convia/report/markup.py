"""HTML and SVG out of nested calls; every text is escaped, so that no class name or file name can become markup."""

import base64
import html
import io
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from convia.explain import overlay
from convia.report.style import showable

_VOID = {"img", "meta", "br", "link"}
_SIDE = 112  # pixels that small images are enlarged to, and large ones reduced to
_PHOTO = 48  # pixels; larger colour images become JPEG files


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def tag(name: str, /, *children: Any, **attributes: Any) -> Markup:
    """Return an element. Children are text, markup, lists of them or None; in names of attributes _ stands for -.

    An attribute that is True stands alone, and one that is None or False is left out; ``class_`` and ``for_`` are
    ``class`` and ``for``.
    """
    pairs = ((key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items())
    given = "".join(
        f" {key}" if value is True else f' {key}="{html.escape(str(value))}"'
        for key, value in pairs
        if value is not None and value is not False
    )
    return Markup(f"<{name}{given}>" if name in _VOID else f"<{name}{given}>{join(children)}</{name}>")


def join(children: Any) -> Markup:
    """Return children, nested as they may be, as one piece of markup."""
    if children is None:
        return Markup("")
    if isinstance(children, Markup):
        return children
    if isinstance(children, (list, tuple)):
        return Markup("".join(join(child) for child in children))
    return Markup(html.escape(str(children), quote=False))


def table(headings: list[Any], rows: list[list[Any]], caption: str = "", numbers: int = 1) -> Markup:
    """Return a table whose first column has the rows' headings; those from column ``numbers`` on are numbers."""
    head = [tag("th", text, scope="col", class_="number" if n >= numbers else None) for n, text in enumerate(headings)]
    body = [
        tag(
            "tr",
            tag("th", row[0], scope="row"),
            [tag("td", cell, class_="number" if n >= numbers else None) for n, cell in enumerate(row[1:], 1)],
        )
        for row in rows
    ]
    title = tag("caption", caption) if caption else None
    made = tag("table", title, tag("thead", tag("tr", head)), tag("tbody", body))
    return tag("div", made, class_="scroll", tabindex=0, role="region", aria_label=caption or str(headings[0]))


def picture(content: bytes, alt: str, kind: str = "png", **attributes: Any) -> Markup:
    """Return an image that is part of the page."""
    source = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    return tag("img", src=source, alt=alt, **attributes)


def png_of(pixels: npt.NDArray[Any]) -> bytes:
    """Return uint8 pixels (H, W), (H, W, 3) or (H, W, 4) as a PNG file."""
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "png", optimize=True)
    return content.getvalue()


def sized(image: Any, side: int = _SIDE) -> npt.NDArray[np.uint8]:
    """Return an image as uint8, (H, W) or (H, W, 3), its longer side ``side`` pixels or a little less.

    Small ones are enlarged by whole numbers, so that each of their pixels is seen.
    """
    shown: Any = np.round(showable(image)[0] * 255).astype(np.uint8)
    shown = shown[..., :3] if shown.ndim == 3 else shown  # transparency is left out
    longest = max(shown.shape[:2])
    if longest <= side:
        times = max(1, side // longest)
        grown: npt.NDArray[np.uint8] = shown.repeat(times, 0).repeat(times, 1)
        return grown
    height, width = (max(1, round(size * side / longest)) for size in shown.shape[:2])
    shrunk: npt.NDArray[np.uint8] = cv2.resize(shown, (width, height), interpolation=cv2.INTER_AREA)
    return shrunk


def thumbnail(image: Any, alt: str, heat: Any = None) -> Markup:
    """Return a small picture of an image (H, W, C), with a map of evidence over it where there is one."""
    pixels = sized(image)
    if heat is not None:
        pixels = overlay(pixels, heat)
    size = {"width": pixels.shape[1], "height": pixels.shape[0]}
    if pixels.ndim == 3 and max(np.shape(image)[:2]) > _PHOTO:
        content = io.BytesIO()
        Image.fromarray(pixels).save(content, "jpeg", quality=85)
        return picture(content.getvalue(), alt, "jpeg", **size)
    return picture(png_of(pixels), alt, **size)
