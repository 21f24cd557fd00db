"""Files on disk: replaced as a whole or not at all, and read with suspicion.

What is written goes to a temporary file in the same folder, is flushed to the disk and then takes the name, so that
an interrupted save leaves the old file. What is read may be broken or hostile: links out of an HDF5 file, and sizes
that the bytes on disk cannot account for, are refused.
"""

import io
import itertools
import os
import secrets
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np

from convia.errors import explain, writing
from convia.saving import raw
from convia.variable import allowance

_LARGE = 1 << 28  # bytes; smaller things cannot do harm
_SMALL = 1 << 24  # bytes of weights that any file may ask for
_EXPANSION = 1000  # no honest array takes this many times its bytes on disk
_BROKEN = "The file is damaged or incomplete: copy or download it again, or use a backup."
_BROKEN_CONFIG = (ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError)
_LIBRARIES = ("convia", "torch", "numpy", "h5py", "json", "zipfile", "inspect", "contextlib", "abc", "collections")
# Numbers of a fixed size, NumPy's and ml_dtypes's; what varies in size makes the library crash where it is damaged.
_NUMBERS = (h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.ENUM, h5py.h5t.OPAQUE, h5py.h5t.BITFIELD)
_BROKEN_INSIDE = (OSError, RuntimeError, KeyError, TypeError, ValueError)


class BadFileError(OSError, ValueError):
    """A file that cannot be read as what it should be; Keras raises the one or the other of the two parents."""


class MissingFileError(FileNotFoundError, BadFileError):
    """There is no file at a path."""


def check_readable(who: str, path: Path, expected: str) -> None:
    """Raise unless there is a file.

    Raises:
        MissingFileError: nothing there. BadFileError: a folder, such as a TensorFlow SavedModel.
    """
    if path.is_dir():
        is_saved_model = (path / "saved_model.pb").exists()
        remedy = (
            "In TensorFlow, load it and save it again: model.save('model.keras')."
            if is_saved_model
            else "Give the path of the file itself."
        )
        what = "a TensorFlow SavedModel" if is_saved_model else "a folder"
        raise BadFileError(explain(who, f"{str(path)!r}, {what}", expected, remedy))
    if not path.exists():
        folder = path.absolute().parent
        there = sorted(entry.name for entry in folder.iterdir())[:10] if folder.is_dir() else None
        remedy = f"The folder {str(folder)!r} " + (
            f"holds {', '.join(there) or 'nothing'}." if there is not None else "does not exist."
        )
        raise MissingFileError(explain(who, f"{str(path)!r}, which does not exist", expected, remedy))


@contextmanager
def reading(who: str, path: Path) -> Iterator[None]:
    """Load a model within bounds: errors name the file, and its weights may take ten times the bytes of the file."""
    paths = [entry for entry in path.iterdir() if entry.is_file()] if path.is_dir() else [path]
    size = sum(entry.stat().st_size for entry in paths if entry.exists())
    with allowance(10 * size + _SMALL), naming(who):
        yield


@contextmanager
def naming(who: str) -> Iterator[None]:
    """Turn what goes wrong in the library, with configs that are not as they should be, into a ValueError of ``who``.

    Errors in the user's own classes and those that say enough stay what they are.
    """
    try:
        yield
    except (OSError, ImportError):
        raise
    except _BROKEN_CONFIG as error:
        if who in str(error) or not _is_from(error, _LIBRARIES):
            raise
        what = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise ValueError(f"{who}: {what}") from error


def may_write(path: Path, overwrite: bool) -> bool:
    """Whether to write: asks at the terminal if there is a file and ``overwrite`` is false."""
    if overwrite or not path.exists():
        return True
    try:
        answer = input(f"[WARNING] {path} already exists - overwrite? [y/n] ").strip().lower()
    except EOFError:
        return False
    return answer in ("y", "yes")


@contextmanager
def durable(who: str, path: Path) -> Iterator[Path]:
    """Yield a temporary path; when the block ends well, the file there reaches the disk and takes the name ``path``.

    Raises:
        BadFileError: ``path`` is a folder.
        DiskError: the disk is full, broken or read-only.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise BadFileError(explain(who, f"{str(path)!r}, a folder", "the path of a file", "Add a file name."))
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with writing(who, path):
            temporary.touch(exist_ok=False)
            yield temporary
            if target.exists():
                shutil.copymode(target, temporary)
            _flush(temporary)
            temporary.replace(target)
            _flush(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    if path.is_dir() and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# -- HDF5 -------------------------------------------------------------------------------------------------------------


@contextmanager
def open_hdf5(who: str, source: Path | BinaryIO, name: str | None = None) -> Iterator[h5py.File]:
    """Open an HDF5 file, or a stream that holds one, for reading.

    Raises:
        BadFileError: not HDF5, or cut off.
    """
    label = name or str(source)
    if isinstance(source, Path):
        check_readable(who, source, "an HDF5 file")
    try:
        file = h5py.File(source, "r")
    except OSError as error:
        reason = str(error).strip("()")
        raise BadFileError(explain(who, f"{label!r} ({reason})", "a whole HDF5 file", _BROKEN)) from error
    with file:
        _check_heaps(who, label, file, source)
        try:
            yield file
        except BadFileError:
            raise
        except Exception as error:
            if not _is_from(error, ("h5py",)):
                raise
            raise BadFileError(explain(who, f"{label!r} ({error})", "a whole HDF5 file", _BROKEN)) from error


def _check_heaps(who: str, label: str, file: h5py.File, source: Path | BinaryIO) -> None:
    """Raise if the library could not get to the end of the file's collections of texts."""
    with raw.bytes_of(source) as data:
        is_sound = file.id.get_create_plist().get_sizes() == (8, 8) and raw.heaps_are_sound(data)
        if not is_sound or raw.text_length(data, "dtype") > len(data):
            raise BadFileError(explain(who, f"{label!r} (its heaps are in disorder)", "a whole HDF5 file", _BROKEN))


def _is_from(error: BaseException, modules: tuple[str, ...]) -> bool:
    """Whether an error was raised within modules that begin so."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    return place is not None and str(place.tb_frame.f_globals.get("__name__", "")).startswith(modules)


def group(who: str, parent: Any, path: str) -> h5py.Group | None:
    """Return a group below another one, None if there is none; each step is checked.

    Raises:
        BadFileError: a link, or something that is not a group.
    """
    for part in filter(None, path.split("/")):
        if not _step(who, parent, part):
            return None
        parent = _guarded(who, parent, part, lambda node, key: node[key])
        if not isinstance(parent, h5py.Group):
            raise BadFileError(explain(who, f"an array at {path!r} of {_label(parent)}", "a group", _BROKEN))
    return parent


def array(who: str, parent: h5py.Group, path: str) -> np.ndarray:
    """Return an array of a file.

    Raises:
        BadFileError: not there, a link, data outside the file, or a size that the file cannot hold.
    """
    folder, _, name = path.rpartition("/")
    place = group(who, parent, folder)
    if place is None or not _step(who, place, name):
        raise BadFileError(explain(who, f"{_label(parent)} without {path!r}", "an array there", _BROKEN))
    data = _guarded(who, place, name, lambda node, key: node[key])
    if not isinstance(data, h5py.Dataset):
        raise BadFileError(explain(who, f"a group at {data.name!r} of {_label(parent)}", "an array", _BROKEN))
    if data.id.get_type().get_class() not in _NUMBERS:
        what = f"data of another type at {data.name!r} of {_label(parent)}"
        raise BadFileError(explain(who, what, "numbers", _BROKEN))
    if data.external or data.is_virtual:
        raise _refused(who, data, "an array kept in another file")
    size = data.size * data.dtype.itemsize if data.size is not None else 0
    if size > _LARGE and size > _EXPANSION * data.id.get_storage_size():
        raise _refused(who, data, f"an array of {size:,} bytes that takes {data.id.get_storage_size():,} on disk")
    return _plain(_guarded(who, place, name, lambda node, key: node[key][()]), data)


def texts(parent: Any, name: str) -> list[str]:
    """Return an attribute that is a list of texts; long ones are split over ``name0``, ``name1``, …"""
    if name in parent.attrs:
        return [_text(item) for item in np.ravel(_attribute(parent, name))]
    found: list[str] = []
    for number in itertools.count():
        if f"{name}{number}" not in parent.attrs:
            break
        found += [_text(item) for item in _attribute(parent, f"{name}{number}")]
    return found


def number(parent: Any, name: str) -> int:
    """Return an attribute that is a number of members of a group, 0 if there is none."""
    return max(0, min(int(np.ravel(_attribute(parent, name))[0]), len(parent))) if name in parent.attrs else 0


def text(parent: Any, name: str) -> str | None:
    """Return an attribute that is a text, None if there is none."""
    return _text(_attribute(parent, name)) if name in parent.attrs else None


def _attribute(parent: Any, name: str) -> Any:
    """Return an attribute of numbers or texts; a text of variable length has to be in the file."""
    if parent.attrs.get_id(name).get_type().get_class() not in (*_NUMBERS, h5py.h5t.STRING):
        what = f"an attribute {name!r} of another type in {_label(parent)}"
        raise BadFileError(explain("load_model", what, "numbers or a text", _BROKEN))
    if h5py.check_string_dtype(parent.attrs.get_id(name).dtype) is not None:
        path = Path(os.fsdecode(parent.file.filename))
        with raw.bytes_of(path if path.is_file() else io.BytesIO(parent.file.id.get_file_image())) as data:
            length, size = raw.text_length(data, name), len(data)
        if length > size:
            what = f"a text of {length:,} bytes at {name!r} of {_label(parent)}, which has {size:,}"
            raise BadFileError(explain("load_model", what, "an honest size", "Do not trust this file."))
    return parent.attrs[name]


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _step(who: str, parent: Any, name: str) -> bool:
    """Whether ``name`` is in a group, by a hard link."""
    link = _guarded(who, parent, name, lambda node, key: node.get(key, getlink=True))
    if isinstance(link, (h5py.ExternalLink, h5py.SoftLink)):
        raise BadFileError(
            explain(
                who,
                f"a link ({type(link).__name__}) at {name!r} of {_label(parent)}",
                "data in the file itself",
                "Links may point anywhere on this computer and are not followed; do not trust this file.",
            )
        )
    return link is not None


def _guarded(who: str, parent: Any, name: str, read: Any) -> Any:
    try:
        return read(parent, name)
    except _BROKEN_INSIDE as error:
        raise BadFileError(
            explain(
                who, f"{_label(parent)}, unreadable at {parent.name}/{name} ({error})", "a whole HDF5 file", _BROKEN
            )
        ) from error


def _refused(who: str, data: Any, what: str) -> BadFileError:
    return BadFileError(
        explain(who, f"{what} at {data.name!r} of {_label(data)}", "data in the file itself", "Do not trust this file.")
    )


def _label(node: Any) -> str:
    name = node.file.filename
    return repr(name.decode() if isinstance(name, bytes) else name)


def _plain(value: Any, data: h5py.Dataset) -> np.ndarray:
    """bfloat16, which NumPy lacks, becomes float32."""
    plain: np.ndarray = np.asarray(value)
    kind = _attribute(data, "dtype") if plain.dtype.itemsize == 2 and "dtype" in data.attrs else None
    if kind in ("bfloat16", b"bfloat16"):
        plain = (plain.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    return plain


# -- zip --------------------------------------------------------------------------------------------------------------


@contextmanager
def open_zip(who: str, source: Path | BinaryIO, expected: str) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive for reading; its members have plain names, each once.

    Raises:
        BadFileError: not a zip archive, cut off, or with members that point out of it.
    """
    label = str(source) if isinstance(source, Path) else "a stream"
    if isinstance(source, Path):
        check_readable(who, source, expected)
    try:
        archive = zipfile.ZipFile(source)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise BadFileError(explain(who, f"{label!r} ({error})", expected, _not_zip(source))) from error
    with archive:
        names = archive.namelist()
        odd = [name for name in names if name.startswith("/") or ".." in name.split("/") or "\\" in name or ":" in name]
        if odd or len(set(names)) != len(names):
            what = f"the member {odd[0]!r}" if odd else "two members of one name"
            raise BadFileError(explain(who, f"{what} in {label!r}", expected, "Do not trust this file."))
        yield archive


def _not_zip(source: Any) -> str:
    if isinstance(source, Path) and h5py.is_hdf5(source):
        return "It is an HDF5 file: rename it to end in .h5."
    return _BROKEN


def member(who: str, archive: zipfile.ZipFile, name: str) -> bytes:
    """Return the bytes of a member, its checksum verified.

    Raises:
        BadFileError: not there, damaged, or larger than its bytes in the archive can account for.
    """
    label = repr(str(archive.filename or "a stream"))
    if name not in archive.namelist():
        have = ", ".join(archive.namelist()[:10]) or "nothing"
        raise BadFileError(explain(who, f"{label} without {name!r}", "a model's archive", f"It holds {have}."))
    info = archive.getinfo(name)
    if info.file_size > _LARGE and info.file_size > _EXPANSION / 10 * max(info.compress_size, 1):
        what = f"{name!r} of {info.file_size:,} bytes from {info.compress_size:,} in {label}"
        raise BadFileError(explain(who, what, "an honest size", "Do not trust this file."))
    try:
        return archive.read(name)
    except Exception as error:
        raise BadFileError(
            explain(who, f"{label}, damaged at {name!r} ({error})", "a whole archive", _BROKEN)
        ) from error


__all__ = [
    "BadFileError",
    "MissingFileError",
    "array",
    "durable",
    "group",
    "member",
    "naming",
    "number",
    "open_hdf5",
    "open_zip",
    "reading",
    "text",
    "texts",
]
