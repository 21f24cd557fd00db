"""Bytes of HDF5 files that its library trusts too much, checked before it reads them.

Texts of variable length are kept in "global heap collections", and what points at them says how long they are. The
library never returns from a collection whose objects have no size (HDFGroup/hdf5 issue 1707), and takes memory for any
length. Layouts: HDF5 File Format Specification, III.E (collections), IV.A.2.m (attributes), IV.A.2.b (dataspaces).
"""

import math
import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

_COLLECTION = b"GCOL\x01\0\0\0"  # signature, version; then its size, and objects: index, count, size, data
_REFERENCE = 16  # bytes: length, address of the collection, index


@contextmanager
def bytes_of(source: Path | BinaryIO) -> Iterator[Any]:
    """Yield the bytes of a file, without a copy."""
    if isinstance(source, Path):
        with source.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield data
    else:
        source.seek(0)
        yield source.read()


def heaps_are_sound(data: Any) -> bool:
    """Whether collections of texts do not overlap, and the objects in each lead to its end."""
    end, start = 0.0, data.find(_COLLECTION)
    while start >= 0:
        begin, end = end, _end_of_collection(data, start)
        if start < begin or end > len(data):
            return False
        start = data.find(_COLLECTION, start + 1)
    return True


def _end_of_collection(data: Any, start: int) -> float:
    """Return where a collection ends, infinity if its objects do not lead there."""
    place, end = start + 16, start + int.from_bytes(data[start + 8 : start + 16], "little")
    while place + 16 <= end <= len(data):
        index, _, _, size = struct.unpack("<HHIQ", data[place : place + 16])
        place += 16 + (size + 7) // 8 * 8 if index else size or end  # the size of free space counts its header
    return end if place <= end else math.inf


def text_length(data: Any, name: str) -> int:
    """Return how many bytes the attributes of a name say that their texts of variable length have, the most if several.

    An attribute is version, flags, sizes of name, type and dataspace (from version 3 an encoding), then these three (in
    version 1 padded to eight bytes each) and the value.
    """
    key, longest = name.encode() + b"\0", 0
    place = data.find(key)
    while place >= 0:
        for start, versions in ((place - 8, (1, 2)), (place - 9, (3,))):
            if start >= 0 and data[start] in versions:
                longest = max(longest, _length(data, place, data[start], data[start + 2 : start + 8]))
        place = data.find(key, place + 1)
    return longest


def _length(data: Any, place: int, version: int, sizes: bytes) -> int:
    unit = 8 if version == 1 else 1
    of_name, of_type, of_space = (-(-size // unit) * unit for size in struct.unpack("<HHH", sizes))
    space = place + of_name + of_type
    value = space + of_space
    rank = data[space + 1] if space + 1 < len(data) else 0
    first = space + (8 if data[space : space + 1] == b"\x01" else 4)
    dimensions = [int.from_bytes(data[at : at + 8], "little") for at in range(first, first + 8 * rank, 8)]
    count = min(math.prod(dimensions), (len(data) - value) // _REFERENCE)
    references = range(value, value + count * _REFERENCE, _REFERENCE)
    return sum(int.from_bytes(data[at : at + 4], "little") for at in references)


__all__ = ["bytes_of", "heaps_are_sound", "text_length"]
