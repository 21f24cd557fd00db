"""Tar archives of samples, as webdataset lays them out: read as a stream from disk or by fsspec, nothing extracted.

The files of a sample follow each other and have one name up to the first dot: ``a/001.jpg``, ``a/001.cls``.
"""

import glob
import importlib
import json
import re
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from convia.errors import explain

IMAGES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
LABELS = (".cls", ".json", ".txt")
_KEYS = ("label", "cls", "class")  # of a .json
_LARGEST = 1 << 28  # bytes of a file in an archive
_BRACES = re.compile(r"\{([^{}]*)\}")
DAMAGED = (OSError, EOFError, tarfile.TarError, ValueError)


@dataclass(frozen=True)
class Sample:
    """An image file's bytes, and its label: a number, a name, or None where it has none that can be read."""

    name: str  # archive, then the sample's name
    image: bytes
    label: int | str | None
    flaw: str = ""  # why it cannot be used


def is_archive(name: str) -> bool:
    """Return whether a name, or a pattern of names, is of tar archives."""
    return name.lower().endswith(ENDINGS)


def expand(shards: str | Sequence[str]) -> list[str]:
    """Return the names that patterns stand for: ``{000..009}`` and ``{a,b}`` in any, ``*`` and ``?`` in those on disk.

    Raises:
        FileNotFoundError: a pattern that fits no file.
    """
    found: list[str] = []
    for pattern in [shards] if isinstance(shards, str) else map(str, shards):
        for name in _braces(pattern):
            is_pattern = "://" not in name and any(mark in name for mark in "*?[")
            found += sorted(glob.glob(name)) if is_pattern else [name]  # noqa: PTH207 - patterns may be absolute
    if not found:
        raise FileNotFoundError(
            explain("shards", repr(shards), "the names of tar archives, such as data/{000..009}.tar")
        )
    return found


def _braces(pattern: str) -> list[str]:
    match = _BRACES.search(pattern)
    if match is None:
        return [pattern]
    first, dots, last = match[1].partition("..")
    if dots and first.isdigit() and last.isdigit():
        inner = [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]
    else:
        inner = match[1].split(",")
    return [name for part in inner for name in _braces(pattern[: match.start()] + part + pattern[match.end() :])]


def samples(archive: str) -> Iterator[Sample]:
    """Yield the samples of an archive in its order; folders, links and other files are passed over.

    Raises:
        OSError, EOFError, tarfile.TarError: an archive that is not there, cut short or damaged.
        ImportError: an address without fsspec.
    """
    with _opened(archive) as file, tarfile.open(fileobj=file, mode="r|*") as members:
        key = ""
        parts: dict[str, bytes | None] = {}
        for member in members:
            place = PurePosixPath(member.name)
            stem, _, ending = place.name.partition(".")
            if not member.isfile() or not stem or f".{ending.lower()}" not in IMAGES + LABELS:
                continue
            if key not in ("", name := str(place.parent / stem)):
                yield from _sample(archive, key, parts)
                parts = {}
            key = name
            parts[f".{ending.lower()}"] = _content(members, member)
        yield from _sample(archive, key, parts)


def _content(members: tarfile.TarFile, member: tarfile.TarInfo) -> bytes | None:
    file = members.extractfile(member) if member.size <= _LARGEST else None
    return None if file is None else file.read()


def _opened(archive: str) -> Any:
    if "://" not in archive:
        return Path(archive).expanduser().open("rb")
    try:
        fsspec = importlib.import_module("fsspec")
    except ImportError:
        remedy = 'Install it: pip install "convia[remote]"'
        raise ImportError(explain("shards", f"the address {archive}", "the package fsspec", remedy)) from None
    return fsspec.open(archive, "rb").open()


def _sample(archive: str, key: str, parts: dict[str, bytes | None]) -> Iterator[Sample]:
    image = next((parts[ending] for ending in IMAGES if ending in parts), None)
    if not any(ending in parts for ending in IMAGES):
        if parts:
            yield Sample(f"{archive}/{key}", b"", None, "no image")
        return
    if image is None:
        yield Sample(f"{archive}/{key}", b"", None, f"more than {_LARGEST:,} bytes")
        return
    label, flaw = _label(parts)
    yield Sample(f"{archive}/{key}", image, label, flaw)


def _label(parts: dict[str, bytes | None]) -> tuple[int | str | None, str]:
    """Return the label that the files of a sample tell, and what is wrong with it."""
    ending = next((ending for ending in LABELS if ending in parts), None)
    if ending is None:
        return None, ""
    try:
        text = (parts[ending] or b"").decode("utf-8").strip()
        if ending == ".json":
            facts = json.loads(text)
            value = next(facts[key] for key in _KEYS if key in facts) if isinstance(facts, dict) else facts
            text = str(value)
    except (ValueError, StopIteration):
        return None, f"no label in its {ending}"
    if not text:
        return None, f"no label in its {ending}"
    return int(text) if text.isascii() and text.lstrip("-").isdigit() else text, ""
