"""From a request's body to images, within limits; what is not right is refused before it costs much.

Images come as files of a form, as JSON with base64, or as the body itself. Addresses and paths are never followed.
"""

import asyncio
import base64
import binascii
import io
import json
import math
from typing import Any

from PIL import Image

from convia.serve.limits import Array, Classifier, Limits, Refused

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
_KINDS = "multipart/form-data, application/json, or an image itself"
_QUICK_BYTES, _QUICK_PIXELS = 1 << 14, 1 << 14
_A_FILE = f"a whole image file: {', '.join(FORMATS)}"


async def contents(request: Any, limits: Limits) -> list[bytes]:
    """Return the image files in a request of Starlette's.

    Raises:
        Refused: 408 too slow, 413 too much, 415 another type, 422 not what the type says, or no images.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not (kind in ("application/json", "multipart/form-data", "application/octet-stream") or kind[:6] == "image/"):
        raise Refused(415, f"the content type {kind[:60]!r}", _KINDS)
    body = await _body(request, limits)
    if kind == "application/json":
        found = _from_json(body)
    elif kind == "multipart/form-data":
        found = await _from_form(request, body, limits)
    else:
        found = [body] if body else []
    if not found:
        raise Refused(422, "no image", "at least one")
    if len(found) > limits.images:
        raise Refused(413, f"{len(found)} images", f"at most {limits.images}")
    return found


async def _body(request: Any, limits: Limits) -> bytes:
    from starlette.requests import ClientDisconnect

    most = int(limits.megabytes * 1e6)
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared[:18]) > most:
        raise _too_much(limits)
    parts, size = [], 0
    try:
        async with asyncio.timeout(limits.seconds):
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise _too_much(limits)
                parts.append(part)
    except TimeoutError:
        raise Refused(408, f"no whole body within {limits.seconds:g} s", "one sent faster") from None
    except ClientDisconnect:  # nobody reads the answer; it is counted
        raise Refused(400, "a connection that ended too early", "a whole body") from None
    return b"".join(parts)


def _too_much(limits: Limits) -> Refused:
    return Refused(413, f"more than {limits.megabytes:g} MB", "a smaller body", "Send fewer or smaller images.")


def _from_json(body: bytes) -> list[bytes]:
    expected = '{"image": base64} or {"images": [base64, …]}'
    try:
        values = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(422, "a body that is no JSON", expected) from None
    found = values.get("images", values.get("image")) if isinstance(values, dict) else None
    texts = [found] if isinstance(found, str) else found
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise Refused(422, "other JSON", expected, "Addresses of images are not followed.")
    try:
        return [base64.b64decode(text.partition(",")[2] if text[:5] == "data:" else text, validate=True)
                for text in texts]  # fmt: skip
    except (binascii.Error, ValueError):
        raise Refused(422, "text that is no base64", expected, "Addresses of images are not followed.") from None


async def _from_form(request: Any, body: bytes, limits: Limits) -> list[bytes]:
    from starlette.formparsers import MultiPartException, MultiPartParser

    async def stream() -> Any:
        yield body

    parser = MultiPartParser(request.headers, stream(), max_files=limits.images + 1, max_fields=16)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        status = 413 if "Too many" in error.message else 422
        raise Refused(status, f"a form that cannot be read ({error.message})", "files in a form") from None
    except Exception as error:  # python-multipart raises its own, and KeyError for a missing boundary
        raise Refused(422, f"a form that cannot be read ({type(error).__name__})", "files in a form") from None
    try:
        return [await value.read() for _, value in form.multi_items() if not isinstance(value, str)]
    finally:
        await form.close()


def decode(files: list[bytes], classifier: Classifier, limits: Limits) -> list[Array]:
    """Return images (H, W, C) as the model takes them.

    Raises:
        Refused: 413 too many pixels, 415 no image, 422 a broken one.
    """
    return read(opened(files, limits), classifier)


def quick(files: list[bytes], limits: Limits) -> list[Image.Image] | None:
    """Return images that are decoded sooner than a thread takes them over, None of others; errors are as of
    :func:`decode`."""
    if sum(map(len, files)) > _QUICK_BYTES:
        return None
    found = opened(files, limits)
    return found if sum(math.prod(img.size) for img in found) <= _QUICK_PIXELS else None


def opened(files: list[bytes], limits: Limits) -> list[Image.Image]:
    """Return images of which only headers were read; errors are as of :func:`decode`."""
    found, pixels = [], 0
    for number, content in enumerate(files, 1):
        found.append(_opened(content, number))
        pixels += math.prod(found[-1].size)
        if pixels > limits.megapixels * 1e6:
            raise Refused(413, f"more than {limits.megapixels:g} megapixels", "fewer or smaller images")
    return found


def read(images: list[Image.Image], classifier: Classifier) -> list[Array]:
    """Return opened images as the model takes them; errors are as of :func:`decode`."""
    return [_read(img, classifier, number) for number, img in enumerate(images, 1)]


def _opened(content: bytes, number: int) -> Image.Image:
    try:
        return Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError:
        raise Refused(413, f"image {number} of far too many pixels", "smaller images") from None
    except Exception:  # Pillow's plugins raise anything on damaged files
        raise Refused(415, f"file {number}, which is no image", _A_FILE) from None


def _read(img: Image.Image, classifier: Classifier, number: int) -> Array:
    try:
        return classifier.read(img)
    except Exception:  # see above
        raise Refused(422, f"image {number}, which is damaged or cut short", _A_FILE) from None
