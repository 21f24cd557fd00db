"""Datasets of files: lines of texts, and records in TensorFlow's TFRecord format.

A record is its length (8 bytes), a checksum of that (4), the bytes, and a checksum of those (4); the checksum is a
CRC-32C, rotated and shifted ("masked").
"""
# ruff: noqa: PTH123, SIM115
# TensorFlow's files are named by texts, and may be left open.

import gzip
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from convia.compat.tensorflow.data.dataset import Dataset
from convia.compat.tensorflow.texts import StringTensor
from convia.errors import explain


def _crc_table() -> list[int]:
    """Remainders of all bytes by the Castagnoli polynomial."""
    table = []
    for value in range(256):
        crc = value
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return table


_TABLE = _crc_table()


def _checksum(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _opened(name: str, compression: Any) -> BinaryIO:
    return gzip.open(name, "rb") if str(compression or "").upper() == "GZIP" else open(name, "rb")  # type: ignore[return-value]


def _paths(filenames: Any) -> Iterator[str]:
    """Names of files: one, a list, or a dataset of them."""
    names = filenames if isinstance(filenames, Dataset) else np.atleast_1d(StringTensor(filenames).array).ravel()
    for name in names:
        yield (name.numpy() if isinstance(name, StringTensor) else name).decode()


def _records(filenames: Any, compression: Any) -> Iterator[StringTensor]:
    for path in _paths(filenames):
        with _opened(path, compression) as file:
            while header := file.read(12):
                size = struct.unpack("<Q", header[:8])[0] if len(header) == 12 else -1
                if size < 0 or struct.unpack("<I", header[8:])[0] != _checksum(header[:8]):
                    raise ValueError(explain("TFRecordDataset", f"{path}, which is damaged", "whole records"))
                body = file.read(size + 4)
                if len(body) != size + 4:
                    raise ValueError(explain("TFRecordDataset", f"{path}, which is cut short", "whole records"))
                yield StringTensor(body[:-4])


def _lines(filenames: Any, compression: Any) -> Iterator[StringTensor]:
    for path in _paths(filenames):
        with _opened(path, compression) as file:
            for line in file:
                yield StringTensor(line.rstrip(b"\r\n"))


class TFRecordDataset(Dataset):
    """The records of TFRecord files, as texts of bytes; ``tf.io.parse_single_example`` reads what is in them.

    Args:
        filenames: names of files, or a dataset of them.
        compression_type: "GZIP" or None.
    """

    def __init__(
        self, filenames: Any, compression_type: Any = None, buffer_size: Any = None, num_parallel_reads: Any = None
    ) -> None:
        super().__init__(lambda: _records(filenames, compression_type))


class TextLineDataset(Dataset):
    """The lines of text files, as texts.

    Args:
        filenames: names of files, or a dataset of them.
        compression_type: "GZIP" or None.
    """

    def __init__(
        self, filenames: Any, compression_type: Any = None, buffer_size: Any = None, num_parallel_reads: Any = None
    ) -> None:
        super().__init__(lambda: _lines(filenames, compression_type))


class TFRecordWriter:
    """Writes records to a file.

    Args:
        path: of the file.
    """

    def __init__(self, path: Any, options: Any = None) -> None:
        self._file = Path(StringTensor(path).array.item().decode()).open("wb")

    def write(self, record: Any) -> None:
        """Write the bytes of one record."""
        data = StringTensor(record).array.item()
        length = struct.pack("<Q", len(data))
        self._file.write(length + struct.pack("<I", _checksum(length)) + data + struct.pack("<I", _checksum(data)))

    def flush(self) -> None:
        """Write out what is waiting."""
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> "TFRecordWriter":
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()


__all__ = ["TFRecordDataset", "TFRecordWriter", "TextLineDataset"]
