"""Which images are below a folder: listed once, and known from then on for as long as no folder changes."""

import contextlib
import hashlib
import json
import os
import tempfile
import time
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from convia import config
from convia.errors import explain, nearest
from convia.images.names import Names

FORMATS = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
LEAST = 20_000  # files of which a listing is kept in the user's cache, and held in little memory
_KEPT = 20  # listings
_SETTLED = 2 * 10**9  # nanoseconds after which a change of a folder has another time
_WHO = "image_dataset_from_directory"
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Listing:
    """Image files with the numbers of their classes, if they have any."""

    paths: Sequence[str]
    labels: Array | None
    class_names: list[str] | None

    def take(self, chosen: Any) -> "Listing":
        """Return the files of a list of positions, an array or a slice."""
        if isinstance(self.paths, Names):
            paths: Sequence[str] = self.paths.take(chosen)
        else:
            paths = self.paths[chosen] if isinstance(chosen, slice) else [self.paths[i] for i in chosen]
        return replace(self, paths=paths, labels=None if self.labels is None else self.labels[chosen])

    def shuffled(self, seed: int) -> "Listing":
        """Return the files in the order that Keras gives them for a seed."""
        order = np.arange(len(self.paths))
        np.random.RandomState(seed).shuffle(order)
        return self.take(order)

    def split(self, fraction: float) -> tuple["Listing", "Listing"]:
        """Return the files for training, and the last ⌊fraction · N⌋ for validation."""
        count = len(self.paths) - int(fraction * len(self.paths))
        return self.take(slice(count)), self.take(slice(count, None))


def list_images(
    directory: str | os.PathLike[str],
    labels: Any = "inferred",
    class_names: Sequence[str] | None = None,
    follow_links: bool = False,
    formats: tuple[str, ...] = FORMATS,
) -> Listing:
    """List the images below a folder: classes sorted by name, within them folders and files sorted by name.

    As in Keras, hidden folders are no classes. Links that lead out of the folder are left out, with a warning.

    Args:
        directory: with a subfolder per class if the labels are inferred.
        labels: "inferred", None, or one number per file in the order of the listing.
        class_names: subfolders to use, in this order.
        follow_links: go wherever links lead.
        formats: extensions, in small letters.

    Raises:
        NotADirectoryError: no such folder.
        ValueError: class_names that are no subfolders, or another number of labels than of files.
    """
    root = os.fspath(directory)
    if not Path(root).is_dir():
        raise NotADirectoryError(explain(_WHO, repr(root), "a folder of images"))
    folders = [""]
    if labels == "inferred":
        folders = sorted(entry.name for entry in Path(root).iterdir() if entry.is_dir() and entry.name[0] != ".")
        folders = _chosen(folders, class_names)
    names, counts = walk(root, folders, follow_links, formats)
    paths = below(root, names)
    if labels is None:
        return Listing(paths, None, None)
    if labels == "inferred":
        return Listing(paths, np.repeat(np.arange(len(folders), dtype="int32"), counts), folders)
    if len(labels) != len(paths):
        received = f"{len(labels)} labels for {len(paths)} files in {root}"
        raise ValueError(explain(f"{_WHO}, argument 'labels'", received, "one label per file, in sorted order"))
    return Listing(paths, np.asarray(labels), [str(label) for label in sorted(set(labels))])


def _chosen(folders: list[str], class_names: Sequence[str] | None) -> list[str]:
    unknown = [name for name in class_names or () if name not in folders]
    if unknown:
        remedy = nearest(str(unknown[0]), folders)
        raise ValueError(explain(f"{_WHO}, argument 'class_names'", repr(unknown[0]), "names of subfolders", remedy))
    return folders if class_names is None else list(class_names)


def below(root: str, names: Sequence[str]) -> Sequence[str]:
    """Return the paths of files whose names are relative to a folder."""
    if isinstance(names, Names):
        return names.below(root)
    return [os.path.join(root, name) for name in names]  # noqa: PTH118 - Keras's to the letter


def walk(
    root: str, folders: Sequence[str], follow_links: bool, formats: tuple[str, ...]
) -> tuple[Sequence[str], list[int]]:
    """List the files with some endings below each of a root's folders: their names relative to the root, and counts.

    The order is Keras's. Links that lead out of the root are left out with a warning, unless they are to be followed.
    """
    found = _known(root, folders, formats) if not follow_links else None
    if found is None:
        started = time.time_ns()
        found = scan(root, folders, follow_links, formats)
        _keep(found, root, folders, formats, started)
    if found.outside:
        remedy = "They are left out; pass follow_links=True if you trust them."
        named = ", ".join(found.outside[:3]) + ", …" * (len(found.outside) > 3)
        received = f"{len(found.outside)} links that lead out of the folder ({named})"
        warnings.warn(explain(root, received, "files inside it", remedy), stacklevel=4)
    names = found.names()
    return (names if len(names) >= LEAST else [*names]), found.per_folder(len(folders))


# -- looking --------------------------------------------------------------------------------------------------------


@dataclass
class Found:
    """What a walk through folders has found.

    Attributes:
        places: the folders within, relative to the root.
        marks: (time of the last change in nanoseconds, inode, number of the folder that was asked for) of each.
        counts: files in each.
        text, lengths: the files' names, one after the other, and how long each is.
        has_links: whether there are links, whose ends may change without a folder changing.
        outside: those that lead out.
    """

    places: list[str] = field(default_factory=list)
    marks: list[tuple[int, int, int]] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    text: bytearray = field(default_factory=bytearray)
    lengths: list[int] = field(default_factory=list)
    has_links: bool = False
    outside: list[str] = field(default_factory=list)

    def names(self) -> Names:
        """Return the names relative to the root."""
        places = [os.path.join(place, "") if place else "" for place in self.places]  # noqa: PTH118
        return Names(places, np.array(self.counts, int), bytes(self.text), np.cumsum(self.lengths, dtype=np.int64))

    def per_folder(self, folders: int) -> list[int]:
        """Return how many files are below each folder that was asked for."""
        owners = np.array([owner for *_, owner in self.marks], int)
        return [int(count) for count in np.bincount(owners, self.counts, folders)]

    def add(self, place: str, mark: tuple[int, int, int], names: Sequence[str]) -> None:
        """Note the files of a folder."""
        coded = [os.fsencode(name) for name in names]
        self.places.append(place)
        self.marks.append(mark)
        self.counts.append(len(coded))
        self.lengths += map(len, coded)
        self.text += b"".join(coded)


def scan(root: str, folders: Sequence[str], follow_links: bool, formats: tuple[str, ...]) -> Found:
    """Look through folders; links that lead out of the root are only noted, unless they are to be followed."""
    home = Path(root).resolve()
    found = Found()

    def is_refused(path: str) -> bool:
        found.has_links = True
        refused = not follow_links and not Path(path).resolve().is_relative_to(home)
        if refused:
            found.outside.append(path)
        return refused

    for owner, folder in enumerate(folders):
        top = os.path.join(root, folder)  # noqa: PTH118 - the paths are Keras's to the letter
        if folder and Path(top.rstrip(os.sep)).is_symlink() and is_refused(top.rstrip(os.sep)):
            continue
        for place, mark, within, files in sorted(_places(top, follow_links)):
            for name, is_link in sorted(within.items()):
                _ = is_link and is_refused(os.path.join(place, name))  # noqa: PTH118 - not gone into, but told of
            inner = os.path.join(folder, os.path.relpath(place, top)) if place != top else folder  # noqa: PTH118
            chosen = sorted(name for name in files if name.lower().endswith(formats))
            kept = [n for n in chosen if not (files[n] and is_refused(os.path.join(place, n)))]  # noqa: PTH118
            found.add(inner, (*mark, owner), kept)
    return found


Entries = dict[str, bool]  # name → whether it is a link


def _places(top: str, follow_links: bool) -> Iterator[tuple[str, tuple[int, int], Entries, Entries]]:
    """Yield folders, their marks, and the names in them of folders and of files.

    A link back to where the walk comes from is not followed; folders that cannot be read are passed over.
    """
    waiting = [(top, {os.path.realpath(top)})]
    while waiting:
        place, above = waiting.pop()
        within: Entries = {}
        files: Entries = {}
        try:
            status = os.stat(place)  # noqa: PTH116 - in a hurry
            with os.scandir(place) as entries:
                for entry in entries:
                    (within if _is_dir(entry) else files)[entry.name] = entry.is_symlink()
        except OSError:
            continue
        yield place, (status.st_mtime_ns, status.st_ino), within, files
        for name, is_link in within.items():
            path = os.path.join(place, name)  # noqa: PTH118
            if not follow_links and not is_link:
                waiting.append((path, above))
            elif follow_links and (real := os.path.realpath(path)) not in above:
                waiting.append((path, above | {real}))


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


# -- what is known --------------------------------------------------------------------------------------------------


def _file(root: str, folders: Sequence[str], formats: tuple[str, ...]) -> Path:
    """Return the file in the user's cache that a listing is kept in."""
    key = json.dumps([1, os.path.realpath(root), [*folders], [*formats]])
    return config.home() / "listings" / f"{hashlib.sha256(key.encode(errors='surrogateescape')).hexdigest()[:32]}.npz"


def _known(root: str, folders: Sequence[str], formats: tuple[str, ...]) -> Found | None:
    """Return the listing that is in the cache, None where there is none or a folder has changed since."""
    try:
        with np.load(_file(root, folders, formats), allow_pickle=False) as kept:
            text, lengths, counts, marks = (kept[name] for name in ("text", "lengths", "counts", "marks"))
            places = [os.fsdecode(place) for place in kept["places"].tobytes().split(b"\0")[:-1]]
        whole = len(places) == len(counts) == len(marks) and counts.sum() == len(lengths) and lengths.sum() == len(text)
        if not whole or text.dtype != np.uint8:
            return None
        for place, (changed, inode, _) in zip(places, marks.tolist(), strict=True):
            status = os.stat(os.path.join(root, place))  # noqa: PTH116, PTH118
            if (status.st_mtime_ns, status.st_ino) != (changed, inode):
                return None
    except (OSError, ValueError, KeyError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    data = text.tobytes()
    if b"\0" in data or os.sep.encode() in data or any(".." in Path(place).parts for place in places):
        return None
    rows = [tuple(mark) for mark in marks.tolist()]
    return Found(places, rows, counts.tolist(), bytearray(data), lengths.tolist())


def _keep(found: Found, root: str, folders: Sequence[str], formats: tuple[str, ...], started: int) -> None:
    """Write a listing to the cache, if it is long and nothing may change unnoticed; a cache is not worth an error."""
    newest = max((changed for changed, *_ in found.marks), default=0)
    if len(found.lengths) < LEAST or found.has_links or newest > started - _SETTLED:
        return
    with contextlib.suppress(OSError, RuntimeError):
        file = _file(root, folders, formats)
        file.parent.mkdir(parents=True, exist_ok=True)
        draft, name = tempfile.mkstemp(dir=file.parent, suffix=".tmp")
        places = b"".join(os.fsencode(place) + b"\0" for place in found.places)
        with os.fdopen(draft, "wb") as target:
            np.savez(
                target,
                places=np.frombuffer(places, "uint8"),
                marks=np.array(found.marks, "int64"),
                counts=np.array(found.counts, "int64"),
                lengths=np.array(found.lengths, "uint16"),
                text=np.frombuffer(bytes(found.text), "uint8"),
            )
        Path(name).replace(file)
        for old in sorted(file.parent.glob("*.npz"), key=lambda path: path.stat().st_mtime_ns)[:-_KEPT]:
            old.unlink()
