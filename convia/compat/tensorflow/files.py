"""Files, and images in files: ``tf.io`` and ``tf.io.gfile``."""
# ruff: noqa: PTH102, PTH103, PTH105, PTH107, PTH110, PTH112, PTH116, PTH118, PTH123, PTH207, PTH208, SIM115
# TensorFlow's files are named by texts, and may be left open.

import glob as globbing
import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image

from convia.compat.tensorflow.control import InvalidArgumentError
from convia.compat.tensorflow.door import api, given, torch_dtype
from convia.compat.tensorflow.image import convert_image_dtype
from convia.compat.tensorflow.texts import StringTensor
from convia.errors import explain


class NotFoundError(FileNotFoundError):
    """What TensorFlow raises for a file that is not there; here also a FileNotFoundError."""

    def __init__(self, node_def: Any = None, op: Any = None, message: str = "", *args: Any) -> None:
        super().__init__(message or node_def)
        self.message = str(message or node_def)


def path_of(name: Any) -> str:
    """Return a path for a text, bytes or a tensor of one text."""
    return os.fsdecode(StringTensor(name).array.item() if isinstance(name, StringTensor) else name)


@api
def read_file(filename: Any) -> Any:
    """Return the content of a file as a text of bytes.

    Raises:
        NotFoundError: no such file.
    """
    path = path_of(filename)
    try:
        return StringTensor(Path(path).read_bytes())
    except (FileNotFoundError, IsADirectoryError):
        raise NotFoundError(None, None, explain("tf.io.read_file", path, "an existing file")) from None


@api
def write_file(filename: Any, contents: Any) -> None:
    """Write a file, and the folders above it."""
    path = Path(path_of(filename))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(StringTensor(contents).array.item())


_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def _pixels(contents: Any, channels: Any, who: str) -> np.ndarray:
    """Return an image (H, W, C) of uint8, or of uint16 where the file has that."""
    data = StringTensor(contents).array.item()
    try:
        picture = Image.open(io.BytesIO(data))
        picture.load()
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        received = f"{len(data)} bytes that are no image ({error})"
        raise InvalidArgumentError(None, None, explain(who, received, "the content of an image file")) from None
    if picture.mode.startswith("I"):
        array = np.asarray(picture).astype(np.uint16)
    else:
        own = "RGBA" if "transparency" in picture.info else picture.mode
        own = {"P": "RGB", "1": "L", "CMYK": "RGB", "YCbCr": "RGB"}.get(own, own)
        array = np.asarray(picture.convert(_MODES.get(int(channels or 0), own)))
    array = array[..., None] if array.ndim == 2 else array
    return np.repeat(array, 3, -1) if channels == 3 and array.shape[-1] == 1 else array


def _as_tensor(pixels: np.ndarray, dtype: Any) -> torch.Tensor:
    """Return pixels in the type that was asked for, their values scaled to its range as whole numbers."""
    kind = torch_dtype(dtype)
    if kind is torch.uint16:
        wide = pixels if pixels.dtype == np.uint16 else pixels.astype(np.uint16) * 257
        return torch.from_numpy(np.ascontiguousarray(wide))
    small = (pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else pixels
    image: torch.Tensor = convert_image_dtype(torch.from_numpy(np.array(small)), kind)
    return image


@api
def decode_image(contents: Any, channels: Any = None, dtype: Any = "uint8", expand_animations: bool = True) -> Any:
    """Return an image (H, W, C) from the content of a file: PNG, JPEG, BMP, GIF; an animation's first picture.

    Raises:
        InvalidArgumentError: no image.
    """
    return _as_tensor(_pixels(contents, channels, "tf.io.decode_image"), dtype)


@api
def decode_jpeg(contents: Any, channels: Any = 0, ratio: int = 1, fancy_upscaling: bool = True, **ignored: Any) -> Any:
    """Return an image (H, W, C), uint8, from the content of a JPEG file; smaller by a ratio of 1, 2, 4 or 8.

    Raises:
        InvalidArgumentError: no image.
    """
    pixels = _as_tensor(_pixels(contents, channels, "tf.io.decode_jpeg"), "uint8")
    return pixels[::ratio, ::ratio]


@api
def decode_png(contents: Any, channels: Any = 0, dtype: Any = "uint8") -> Any:
    """Return an image (H, W, C), uint8 or uint16, from the content of a PNG file.

    Raises:
        InvalidArgumentError: no image.
    """
    return _as_tensor(_pixels(contents, channels, "tf.io.decode_png"), dtype)


@api
def decode_bmp(contents: Any, channels: Any = 0) -> Any:
    """Return an image (H, W, C), uint8, from the content of a BMP file."""
    return _as_tensor(_pixels(contents, channels, "tf.io.decode_bmp"), "uint8")


@api
def decode_gif(contents: Any) -> Any:
    """Return the pictures of an animation (N, H, W, 3), uint8."""
    picture = Image.open(io.BytesIO(StringTensor(contents).array.item()))
    frames = []
    for number in range(getattr(picture, "n_frames", 1)):
        picture.seek(number)
        frames.append(np.asarray(picture.convert("RGB")))
    return torch.from_numpy(np.stack(frames))


def _encoded(image: Any, suffix: str, flags: list[int]) -> StringTensor:
    array = given(image).cpu().numpy()
    if array.dtype not in (np.uint8, np.uint16) or array.ndim != 3:
        received = f"shape {array.shape}, type {array.dtype}"
        remedy = "tf.image.convert_image_dtype(image, tf.uint8) makes one."
        raise InvalidArgumentError(None, None, explain("tf.io.encode", received, "an image (H, W, C), uint8", remedy))
    order = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}.get(array.shape[-1])
    array = array if order is None else cv2.cvtColor(np.ascontiguousarray(array), order)
    return StringTensor(cv2.imencode(suffix, array, flags)[1].tobytes())


@api
def encode_jpeg(image: Any, format: str = "", quality: int = 95, **ignored: Any) -> Any:
    """Return the content of a JPEG file with an image (H, W, C), uint8."""
    return _encoded(image, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, int(quality)])


@api
def encode_png(image: Any, compression: int = -1) -> Any:
    """Return the content of a PNG file with an image (H, W, C), uint8 or uint16."""
    return _encoded(image, ".png", [] if compression < 0 else [cv2.IMWRITE_PNG_COMPRESSION, int(compression)])


@api
def is_jpeg(contents: Any) -> Any:
    """Whether a content is that of a JPEG file."""
    return torch.tensor(StringTensor(contents).array.item()[:3] == b"\xff\xd8\xff")


@api
def decode_raw(input_bytes: Any, out_type: Any, little_endian: bool = True, fixed_length: Any = None) -> Any:
    """Return the numbers whose memory is a text of bytes."""
    kind = np.dtype(str(torch_dtype(out_type)).removeprefix("torch.")).newbyteorder("<" if little_endian else ">")
    texts = StringTensor(input_bytes).array
    rows = [np.frombuffer(text, kind) for text in np.atleast_1d(texts).ravel()]
    found = np.stack(rows).reshape(*texts.shape, -1)
    return torch.from_numpy(found.astype(kind.newbyteorder("=")))


@api
def serialize_tensor(tensor: Any) -> Any:
    """Return the content of a file that holds a tensor (NumPy's format)."""
    buffer = io.BytesIO()
    np.save(buffer, given(tensor).detach().cpu().numpy(), allow_pickle=False)
    return StringTensor(buffer.getvalue())


@api
def parse_tensor(serialized: Any, out_type: Any) -> Any:
    """Return the tensor that ``serialize_tensor`` wrote."""
    content = io.BytesIO(StringTensor(serialized).array.item())
    return given(torch.from_numpy(np.load(content, allow_pickle=False)), out_type)


@api
def matching_files(pattern: Any) -> Any:
    """Return the names of files that match a pattern."""
    return StringTensor(sorted(globbing.glob(path_of(pattern))))


class GFile:
    """A file; texts are read and written as UTF-8.

    Args:
        name: its path.
        mode: as for ``open``.
    """

    def __init__(self, name: Any, mode: str = "r") -> None:
        try:
            encoding = None if "b" in mode else "utf-8"
            self._file = open(path_of(name), mode, encoding=encoding)
        except FileNotFoundError:
            raise NotFoundError(None, None, explain("tf.io.gfile.GFile", path_of(name), "an existing file")) from None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> "GFile":
        return self

    def __exit__(self, *error: Any) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._file)

    def size(self) -> int:
        """Return the number of bytes."""
        return os.stat(self._file.fileno()).st_size


def _tree(top: Any, topdown: bool = True, onerror: Any = None) -> Any:
    return os.walk(path_of(top), topdown, onerror)


def _copy(src: Any, dst: Any, overwrite: bool = False) -> None:
    if os.path.exists(path_of(dst)) and not overwrite:
        raise FileExistsError(explain("tf.io.gfile.copy", path_of(dst), "a new file, or overwrite=True"))
    shutil.copy(path_of(src), path_of(dst))


def _rename(src: Any, dst: Any, overwrite: bool = False) -> None:
    if os.path.exists(path_of(dst)) and not overwrite:
        raise FileExistsError(explain("tf.io.gfile.rename", path_of(dst), "a new file, or overwrite=True"))
    os.replace(path_of(src), path_of(dst))


def _glob(pattern: Any) -> list[str]:
    patterns = pattern if isinstance(pattern, (list, tuple)) else [pattern]
    return sorted(name for one in patterns for name in globbing.glob(path_of(one)))


def _listdir(path: Any) -> list[str]:
    if not os.path.isdir(path_of(path)):
        raise NotFoundError(None, None, explain("tf.io.gfile.listdir", path_of(path), "an existing folder"))
    return os.listdir(path_of(path))


GFILE: dict[str, Any] = {
    "GFile": GFile,
    "copy": _copy,
    "exists": lambda path: os.path.exists(path_of(path)),
    "glob": _glob,
    "isdir": lambda path: os.path.isdir(path_of(path)),
    "join": lambda path, *paths: os.path.join(path_of(path), *map(path_of, paths)),
    "listdir": _listdir,
    "makedirs": lambda path: os.makedirs(path_of(path), exist_ok=True),
    "mkdir": lambda path: os.mkdir(path_of(path)),
    "remove": lambda path: os.remove(path_of(path)),
    "rename": _rename,
    "rmtree": lambda path: shutil.rmtree(path_of(path)),
    "stat": lambda path: os.stat(path_of(path)),
    "walk": _tree,
}
OLD_GFILE = {  # TensorFlow 1
    "Copy": _copy, "Exists": GFILE["exists"], "FastGFile": GFile, "GFile": GFile, "Glob": _glob,
    "IsDirectory": GFILE["isdir"], "ListDirectory": _listdir, "MakeDirs": GFILE["makedirs"],
    "MkDir": GFILE["mkdir"], "Open": GFile, "Remove": GFILE["remove"], "Rename": _rename,
    "DeleteRecursively": GFILE["rmtree"], "Walk": _tree,
}  # fmt: skip
DECODERS = {
    "decode_bmp": decode_bmp, "decode_gif": decode_gif, "decode_image": decode_image,
    "decode_jpeg": decode_jpeg, "decode_png": decode_png, "encode_jpeg": encode_jpeg, "encode_png": encode_png,
    "is_jpeg": is_jpeg,
}  # fmt: skip
IO = {
    **DECODERS, "decode_raw": decode_raw, "matching_files": matching_files, "parse_tensor": parse_tensor,
    "read_file": read_file, "serialize_tensor": serialize_tensor, "write_file": write_file,
}  # fmt: skip
__all__ = ["DECODERS", "GFILE", "IO", "OLD_GFILE", "GFile", "NotFoundError", "path_of"]
