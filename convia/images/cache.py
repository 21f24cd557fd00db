"""Decoded images, kept as bytes: in memory while a budget lasts, or else in a temporary file mapped into memory."""

import math
import mmap
import os
import shutil
import tempfile
import threading
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
CACHES = ("auto", "memory", "disk", None)


class Cache:
    """Images of one shape by number; each is decoded once.

    Args:
        count: how many there are.
        shape: of each.
        memory: bytes of main memory that may be used; of a file's map no more pages than that stay in memory.
        where: "memory": the first images that fit; "disk": all, in a file without a name in the temporary folder,
            which vanishes with the process at the latest; "auto": in memory if all fit, else on disk; None: nowhere.
            Where the disk has no room, those that fit are kept in memory.
    """

    def __init__(self, count: int, shape: tuple[int, ...], memory: int, where: str | None = "auto") -> None:
        self.memory, self._size = memory, math.prod(shape)
        fits = memory // max(self._size, 1)
        self._map: mmap.mmap | None = None
        on_disk = where == "disk" or (where == "auto" and count > fits)
        if on_disk and count * self._size:
            self._map = _mapped(count * self._size)
        if self._map is None:
            count = 0 if where is None else min(count, fits)
        self.where = "disk" if self._map is not None else "memory" if count else None
        shape = (count, *shape)
        self._pixels = np.empty(shape, np.uint8) if self._map is None else np.frombuffer(self._map, np.uint8)
        self._pixels = self._pixels.reshape(shape)
        self._is_kept = np.zeros(count, bool)
        self._places: dict[int, int] = {}
        self._touched, self._lock = 0, threading.Lock()

    def __len__(self) -> int:
        """Return how many images are kept."""
        return len(self._places)

    def get(self, index: int) -> Array | None:
        """Return an image, which must not be changed; None where it is not kept."""
        place = self._places.get(index)
        if place is None or not self._is_kept[place]:
            return None
        self._touch()
        pixels: Array | None = self._pixels[place]
        return pixels

    def put(self, index: int, pixels: Array) -> None:
        """Keep an image if there is room."""
        with self._lock:
            place = self._places.get(index, len(self._places))
            if place >= len(self._pixels):
                return
            self._places[index] = place
        self._pixels[place] = pixels
        self._is_kept[place] = True
        self._touch()

    def _touch(self) -> None:
        """Give the map's pages back to the system before they are more than the budget; the file keeps them."""
        if self._map is None or not hasattr(mmap, "MADV_DONTNEED"):
            return
        with self._lock:
            self._touched += self._size + 2**16  # the system maps a few pages around one
            if self._touched > self.memory // 2:
                self._map.madvise(mmap.MADV_DONTNEED)
                self._touched = 0


def _mapped(size: int) -> mmap.mmap | None:
    """Return a temporary file's map, None where the disk has no room for it."""
    try:
        with tempfile.TemporaryFile(prefix="convia-") as file:
            if shutil.disk_usage(tempfile.gettempdir()).free < size:
                return None
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)  # else a full disk would be noticed by a crash
            else:
                file.truncate(size)
            return mmap.mmap(file.fileno(), size)
    except OSError:
        return None
