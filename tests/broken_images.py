"""Files that claim to be images: more than forty ways of being broken, and some of being odd but whole."""

import base64
import gzip
import io
import pickle
import struct
import zipfile
import zlib

import numpy as np
from PIL import Image

SIDE = 24


def picture(number: int = 0) -> Image.Image:
    """A smooth picture of its own."""
    random = np.random.RandomState(number)
    return Image.fromarray(random.randint(0, 256, (6, 6, 3)).astype("uint8")).resize((SIDE, SIDE), Image.BILINEAR)


def encoded(kind: str, number: int = 0, mode: str = "RGB", **options) -> bytes:
    """A whole image file."""
    stream = io.BytesIO()
    picture(number).convert(mode).save(stream, kind, **options)
    return stream.getvalue()


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _png(width: int, height: int, bits: int = 8, colour: int = 2, data: bytes | None = None) -> bytes:
    rows = zlib.compress(bytes((3 * SIDE + 1) * SIDE)) if data is None else data
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")


def _with(content: bytes, place: int, value: bytes) -> bytes:
    return content[:place] + value + content[place + len(value) :]


def _zipped(content: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("1.png", content)
    return stream.getvalue()


def broken() -> dict[str, bytes]:
    """Name → content of files that cannot be read as images."""
    png, jpeg, gif, bmp, webp, tiff = (encoded(kind) for kind in ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"))
    frame = jpeg.index(b"\xff\xc0")  # start of frame: length, bits, height, width
    scan = jpeg.index(b"\xff\xda")
    array = io.BytesIO()
    np.save(array, np.zeros((4, 4)))
    ppm = encoded("PPM")
    return {
        "empty.png": b"",
        "one_byte.jpg": b"\xff",
        "zeros.png": bytes(2000),
        "noise.jpg": np.random.RandomState(1).bytes(4000),
        "text.png": b"This is no image.\n",
        "page_not_found.jpg": b"<!DOCTYPE html><html><body>404</body></html>",
        "answer.jpg": b'{"error": "rate limit"}',
        "pointer.png": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
        "base64.png": base64.b64encode(png),
        "pickle.png": pickle.dumps([1, 2, 3]),
        "array.png": array.getvalue(),
        "archive.png": _zipped(png),
        "compressed.jpg": gzip.compress(jpeg),
        "document.jpg": b"%PDF-1.7\n1 0 obj <<>> endobj\n%%EOF",
        "program.png": b"\x7fELF\x02\x01\x01" + bytes(60),
        "film.jpg": b"\x00\x00\x00\x18ftypmp42" + bytes(100),
        "drawing.png": b"<svg xmlns='http://www.w3.org/2000/svg'><rect width='9' height='9'/></svg>",
        "script.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n{} loop\n%%EOF\n",
        "resource_fork.jpg": b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        " + bytes(100),
        "signature.png": png[:8],
        "header.png": png[:33],
        "without_data.png": png[:33] + _chunk(b"IEND", b""),
        "half.png": png[: len(png) // 2],
        "as_text.png": png.replace(b"\r\n", b"\n"),
        "as_unicode.jpg": jpeg.decode("latin-1").encode("utf-8"),
        "wrong_sum.png": _with(png, 29, b"\0\0\0\0"),
        "no_width.png": _png(0, SIDE),
        "no_height.png": _png(SIDE, 0),
        "odd_bits.png": _png(SIDE, SIDE, bits=7),
        "odd_colour.png": _png(SIDE, SIDE, colour=5),
        "not_deflated.png": _png(SIDE, SIDE, data=bytes(range(256))),
        "too_little.png": _png(SIDE, SIDE, data=zlib.compress(bytes(100))),
        "bomb.png": _png(60_000, 60_000),
        "tall_bomb.png": _png(1, 2**31 - 1),
        "start.jpg": jpeg[:2],
        "tables.jpg": jpeg[:scan],
        "half.jpg": jpeg[: scan + (len(jpeg) - scan) // 2],
        "ten_bytes.jpg": jpeg[:10],
        "without_end.jpg": jpeg[:-2],
        "no_size.jpg": _with(jpeg, frame + 5, bytes(4)),
        "no_frame.jpg": jpeg[:frame] + jpeg[scan:],
        "bomb.jpg": _with(jpeg, frame + 5, b"\xff\xff\xff\xff"),
        "odd_bits.jpg": _with(jpeg, frame + 4, b"\x07"),
        "header.gif": gif[:13],
        "half.gif": gif[: len(gif) // 2],
        "without_frames.gif": gif[:13] + b";",
        "header.bmp": bmp[:54],
        "half.bmp": bmp[: len(bmp) // 2],
        "odd_bits.bmp": _with(bmp, 28, b"\x07"),
        "odd_compression.bmp": _with(bmp, 30, b"\x63"),
        "bomb.bmp": _with(bmp, 18, struct.pack("<ii", 10**6, 10**6)),
        "header.jpg": webp[:16],
        "half_webp.jpg": webp[: len(webp) // 2],
        "header_tiff.jpg": tiff[:8],
        "half_tiff.jpg": tiff[: len(tiff) // 2],
        "no_directory.png": b"II*\x00\xff\xff\xff\x7f" + bytes(20),
        "half_ppm.png": ppm[: len(ppm) // 2],
        "bomb_ppm.png": b"P6 99999 99999 255\n" + bytes(30),
        "no_numbers.png": b"P6 a b 255\n" + bytes(30),
        "half_icon.png": encoded("ICO")[:40],
        "header_psd.jpg": b"8BPS\x00\x01" + bytes(20),
        "header_dds.png": b"DDS \x7c\x00\x00\x00" + bytes(10),
        "half_jpeg2000.jpg": encoded("JPEG2000")[:60],
    }


def odd() -> dict[str, bytes]:
    """Name → content of images that are unusual and can be read all the same."""
    jpeg = encoded("JPEG", 1)
    deep = io.BytesIO()
    Image.fromarray(np.arange(SIDE * SIDE, dtype="uint16").reshape(SIDE, SIDE) * 100).save(deep, "PNG")
    moving = io.BytesIO()
    picture(2).save(moving, "GIF", save_all=True, append_images=[picture(3), picture(4)])
    turned = Image.Exif()
    turned[0x0112] = 6
    clear = picture(5).convert("P")
    palette = io.BytesIO()
    clear.save(palette, "PNG", transparency=0)
    return {
        "cmyk.jpg": encoded("JPEG", 6, "CMYK"),
        "deep.png": deep.getvalue(),
        "moving.gif": moving.getvalue(),
        "turned.jpg": encoded("JPEG", 7, exif=turned),
        "palette.png": palette.getvalue(),
        "alpha.png": encoded("PNG", 8, "RGBA"),
        "grey_alpha.png": encoded("PNG", 9, "LA"),
        "black_and_white.png": encoded("PNG", 10, "1"),
        "progressive.jpg": encoded("JPEG", 11, progressive=True),
        "no_jpeg.jpg": encoded("PNG", 12),
        "webp.png": encoded("WEBP", 13, lossless=True),
        "more_behind.jpg": jpeg + b"more",
    }
