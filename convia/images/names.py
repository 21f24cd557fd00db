"""Names of many files in little memory: one buffer of bytes instead of a text for each."""

import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any, overload

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Names(Sequence[str]):
    """Paths of files, folder after folder; a sequence that makes each text when it is asked for.

    About 12 bytes a file, and those of its name, instead of 150: lists of millions of files fit into memory.

    Args:
        folders: paths of folders, each once.
        counts: files in each, (folders,).
        text: the files' names, one after the other.
        ends: where each ends, (files,).
        order: positions of the files that are meant, all unless given.
    """

    def __init__(self, folders: Sequence[str], counts: Array, text: bytes, ends: Array, order: Array | None = None):
        self._folders, self._counts, self._text = folders, counts, text
        self._ends = ends.astype("uint32") if len(text) < 2**32 else ends
        self._starts = np.cumsum([0, *counts[:-1]]).tolist() if len(counts) else []
        self._order = order

    def __len__(self) -> int:
        return len(self._ends) if self._order is None else len(self._order)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> "Names": ...

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self.take(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"file {index} of {len(self)}")
        place = int(index) % len(self)
        return self._name(place if self._order is None else int(self._order[place]))

    def _name(self, place: int) -> str:
        start = int(self._ends[place - 1]) if place else 0
        folder = self._folders[bisect_right(self._starts, place) - 1]
        return folder + os.fsdecode(self._text[start : int(self._ends[place])])

    def __iter__(self) -> Iterator[str]:
        return map(self.__getitem__, range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(mine == its for mine, its in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def take(self, chosen: Any) -> "Names":
        """Return the files at some positions, a slice or an array."""
        kind = "uint32" if len(self._ends) < 2**32 else "int64"
        order = np.arange(len(self._ends), dtype=kind) if self._order is None else self._order
        made = Names((), np.zeros(0, int), b"", self._ends, order[chosen])
        made._folders, made._counts, made._text, made._starts = self._folders, self._counts, self._text, self._starts
        return made

    def digests(self, start: int) -> Array:
        """Return 64 bits of the hash of each path from its character ``start`` on."""
        hashes, ends = [], self._ends.tolist()
        for folder, count, first in zip(self._folders, self._counts.tolist(), self._starts, strict=True):
            begun, at = blake2b(os.fsencode(folder[start:]), digest_size=8), ends[first - 1] if first else 0
            for end in ends[first : first + count]:
                hasher = begun.copy()
                hasher.update(self._text[at:end])
                hashes.append(hasher.digest())
                at = end
        whole = np.frombuffer(b"".join(hashes), "<u8")
        return whole if self._order is None else whole[self._order]

    def below(self, root: str) -> "Names":
        """Return the paths of the same files, which are relative, below a folder."""
        made = self.take(slice(None)) if self._order is not None else Names((), np.zeros(0, int), b"", self._ends)
        made._folders = [os.path.join(root, folder) for folder in self._folders]  # noqa: PTH118 - Keras's to the letter
        made._counts, made._text, made._starts = self._counts, self._text, self._starts
        return made
