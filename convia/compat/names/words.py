"""Data sets that are no images, as programs of 1D convolutions use them: word numbers, read without running code.

Their files are Keras's own; word numbers are those of a list by frequency, moved up by ``index_from`` to leave room for
padding (0), the start of a text (1) and words left out (2).
"""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from convia.compat.names.datasets import Plain
from convia.datasets import _sources
from convia.errors import explain
from convia.fetch import get_file

_KERAS = "https://storage.googleapis.com/tensorflow/tf-keras-datasets"


def source(name: str, sha256: str, size: int) -> _sources.Source:
    """Return where a file of Keras's is."""
    return _sources.Source(name, (f"{_KERAS}/{name}",), sha256, size)


def read(path: Path) -> dict[str, Any]:
    """Read the arrays of an ``.npz`` file, lists of numbers among them, without running code from it."""
    with zipfile.ZipFile(path) as archive:
        return {Path(name).stem: _array(archive, name) for name in archive.namelist()}


def _array(archive: zipfile.ZipFile, name: str) -> Any:
    with archive.open(name) as file:
        version = np.lib.format.read_magic(file)
        header = getattr(np.lib.format, f"read_array_header_{version[0]}_0")(file)
        if header[2].hasobject:
            return Plain(file).load()
    with archive.open(name) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def index(name: str, md5: str) -> dict[str, int]:
    """Return word → number by frequency, 1 for the most frequent."""
    words: dict[str, int] = json.loads(Path(get_file(name, f"{_KERAS}/{name}", file_hash=md5)).read_text("utf8"))
    return words


def shuffled(generator: Any, *columns: Any) -> list[Any]:
    """Return columns in one new order."""
    order = np.arange(len(columns[0]))
    generator.shuffle(order)
    return [column[order] for column in columns]


def chosen(who: str, texts: Any, labels: Any, num_words: int | None, skip_top: int, maxlen: int | None,
           start_char: int | None, oov_char: int | None, index_from: int) -> tuple[list[list[int]], Any]:  # fmt: skip
    """Return the texts with only the words asked for, and their labels.

    Raises:
        ValueError: no text is as short as ``maxlen`` asks for.
    """
    start = [] if start_char is None else [start_char]
    rows = [start + [word + index_from for word in text] for text in texts]
    if maxlen:
        kept = [place for place, row in enumerate(rows) if len(row) < maxlen]
        if not kept:
            raise ValueError(explain(f"{who}.load_data", f"maxlen={maxlen}", "a length that some texts have"))
        rows, labels = [rows[place] for place in kept], labels[kept]
    limit = num_words or max(map(max, rows))
    if oov_char is None:
        return [[word for word in row if skip_top <= word < limit] for row in rows], labels
    return [[word if skip_top <= word < limit else oov_char for word in row] for row in rows], labels


def as_rows(rows: Any) -> Any:
    """Return an array of lists, as Keras gives it."""
    found = np.empty(len(rows), dtype=object)
    found[:] = rows
    return found


__all__ = ["as_rows", "chosen", "index", "read", "shuffled", "source"]
