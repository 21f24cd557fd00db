"""What can be said of one image file: whether it can be read, how it is stored, and how it looks."""

import hashlib
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from convia.images import examine_alike
from convia.images.files import open_formats, read_bytes

_ORIENTATION = 0x0112  # EXIF's tag
_UPRIGHT = (None, 0, 1)
_SAME = {"MPO": "JPEG", "DIB": "BMP"}  # formats that go under another's endings
_SIGNATURES = {"PNG": b"\x89PNG", "JPEG": b"\xff\xd8\xff", "GIF": b"GIF8", "TIFF": b"II*\0"}
_CUT = ("truncated", "unexpected end", "buffer overrun", "end of file", "no more data", "not enough image data")


@dataclass(frozen=True)
class Facts:
    """A file: its place and content; size, format and mode where it is an image.

    ``bad`` names what keeps it from being read ("empty", "not_an_image", "truncated", "damaged", "huge"), ``reason``
    says more; ``traits`` are peculiarities of an image that can be read.
    """

    path: str
    part: str
    class_name: str
    bytes: int
    digest: str = ""
    bad: str = ""
    reason: str = ""
    traits: tuple[tuple[str, str], ...] = ()  # (kind, words)
    width: int = 0
    height: int = 0
    mode: str = ""
    format: str = ""
    hashes: tuple[int, int] = (0, 0)
    signature: npt.NDArray[np.uint8] | None = None


def look(path: str, part: str = "", class_name: str = "") -> Facts:
    """Read a file as a whole and say what there is to say of it; no file makes it raise an error."""
    place: dict[str, Any] = {"path": path, "part": part, "class_name": class_name}
    try:
        content = read_bytes(path)
    except OSError as error:
        return Facts(**place, bytes=0, bad="damaged", reason=error.strerror or str(error))
    known: dict[str, Any] = {**place, "bytes": len(content)}
    known["digest"] = hashlib.blake2b(content, digest_size=16).hexdigest()
    if not content:
        return Facts(**known, bad="empty", reason="0 bytes")
    try:
        img = Image.open(io.BytesIO(content), formats=open_formats(path))
        known |= {"width": img.width, "height": img.height, "mode": img.mode, "format": img.format or ""}
        traits = [*_traits(img, path)]
        img.draft("RGB", (4 * examine_alike.SIDE,) * 2)
        img.load()
        thumbnail = _thumbnail(img)
    except Exception as error:  # Pillow's plugins raise anything on damaged files
        bad, reason = _diagnosis(error, content)
        return Facts(**known, bad=bad, reason=reason)
    if not np.ptp(thumbnail.reshape(-1, 3), 0).any():
        traits.append(("blank", "one colour throughout"))
    if min(known["width"], known["height"]) >= examine_alike.LEAST:
        known |= {"hashes": examine_alike.perceptual_hashes(thumbnail), "signature": examine_alike.signature(thumbnail)}
    return Facts(**known, traits=tuple(traits))


def _diagnosis(error: Exception, content: bytes) -> tuple[str, str]:
    """Return what is bad about a file, and why."""
    if isinstance(error, UnidentifiedImageError):
        begun = next((name for name, start in _SIGNATURES.items() if content.startswith(start)), None)
        if begun is not None:
            return "damaged", f"it begins like a {begun} file, but its header makes no sense"
        return "not_an_image", "its content is of no format of images"
    reason = str(error) or type(error).__name__
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return "huge", reason
    return "truncated" if any(words in reason.lower() for words in _CUT) else "damaged", reason


def _traits(img: Image.Image, path: str) -> Any:
    """Yield (kind, words) of what an image's header says."""
    suffix = Path(path).suffix.lower()
    expected = Image.registered_extensions().get(suffix)
    actual = _SAME.get(img.format or "", img.format)
    if actual != _SAME.get(expected or "", expected):
        yield "extension", f"{actual} in a file that ends in {suffix or 'nothing'}"
    if getattr(img, "is_animated", False):
        yield "animated", f"{getattr(img, 'n_frames', '?')} frames, of which the first is used"
    if img.mode == "CMYK":
        yield "cmyk", "colours for printing, which change when they become RGB"
    elif img.mode in ("I", "F") or img.mode.startswith("I;"):
        yield "sixteen_bits", f"mode {img.mode}: more than 8 bits per pixel"
    elif img.mode in ("P", "PA"):
        yield "palette", "colours of a palette"
    if img.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in img.info:
        yield "alpha", "transparent pixels, which become opaque in RGB"
    orientation = img.getexif().get(_ORIENTATION)
    if orientation not in _UPRIGHT:
        yield "rotated", f"EXIF orientation {orientation}, which readers of pixels ignore"


def _thumbnail(img: Image.Image) -> npt.NDArray[np.uint8]:
    """Return (SIDE, SIDE, 3), upright."""
    if img.mode in ("I", "F") or img.mode.startswith("I;"):
        values = np.asarray(img).astype(np.float32)
        low, span = float(values.min()), float(np.ptp(values)) or 1.0
        img = Image.fromarray(((values - low) / span * 255).astype(np.uint8))
    small = img.convert("RGB").resize((examine_alike.SIDE,) * 2, Image.Resampling.BOX)
    small.info, exif = img.info, img.getexif()
    if exif.get(_ORIENTATION) not in _UPRIGHT:
        small.getexif()[_ORIENTATION] = exif[_ORIENTATION]
        small = ImageOps.exif_transpose(small)
    return np.asarray(small)


def threads() -> int:
    """Return how many files are read at once by default."""
    return min(os.cpu_count() or 1, 16)
