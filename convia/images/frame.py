"""Batches of the images that a table names: a pandas DataFrame, or a dict of columns."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from convia.errors import explain, nearest
from convia.images.flows import MEMORY, FilesIterator, say
from convia.images.iterators import AHEAD, FORMATS

_UNCLASSED = ("input", "multi_output", "raw", None)  # class modes whose labels are taken as they are
_TYPES: dict[Any, tuple[type, ...]] = {"binary": (str,), "sparse": (str,), "categorical": (str, list, tuple)}
_WHO = "flow_from_dataframe"


class DataFrameIterator(FilesIterator):
    """Batches of the images whose files a table names.

    Args:
        dataframe: a DataFrame, or a dict from names of columns to values.
        directory: what file names are relative to.
        x_col: column of file names. y_col: column of labels, or several.
        weight_col: column of weights per image.
        classes: classes to use, in this order; rows of others are left out; all, sorted, by default.
        class_mode: "categorical" (labels are texts or lists of texts), "binary", "sparse" (texts), "raw" (numbers, as
            they are), "multi_output" (a list of columns), "input" (the images), None.
        subset: "training" or "validation"; the first rows are for validation.
        validate_filenames: leave out what is no file or has no image's extension.

    The others are those of :class:`~convia.images.flows.DirectoryIterator`.

    Raises:
        KeyError: no such column. TypeError: values of another type. ValueError: modes and classes that do not fit.
    """

    _modes = ("categorical", "binary", "sparse", *_UNCLASSED)

    def __init__(
        self,
        dataframe: Any,
        directory: Any = None,
        image_data_generator: Any = None,
        x_col: str = "filename",
        y_col: Any = "class",
        weight_col: str | None = None,
        target_size: tuple[int, int] = (256, 256),
        color_mode: str = "rgb",
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        data_format: str | None = "channels_last",
        save_to_dir: Any = None,
        save_prefix: str = "",
        save_format: str = "png",
        subset: str | None = None,
        interpolation: str = "nearest",
        keep_aspect_ratio: bool = False,
        dtype: Any = "float32",
        validate_filenames: bool = True,
        *,
        on_error: str = "skip",
        memory: int = MEMORY,
        cache: str | None = "auto",
        decoding: str = "exact",
        prefetch: int = AHEAD,
        device: Any = None,
    ) -> None:
        self._configure(locals())
        self.directory = directory or ""
        names = _column(dataframe, x_col)
        _check_texts(names, x_col)
        paths = [os.path.join(self.directory, name) for name in names]  # noqa: PTH118 - Keras's to the letter
        weights = _weights(dataframe, weight_col)
        rows = _existing(paths, x_col) if validate_filenames else [*range(len(names))]
        labels: list[Any] = []
        if class_mode not in _UNCLASSED:
            labels = _column(dataframe, y_col)
            _check_labels(labels, class_mode, y_col, classes)
            rows, labels, found = _classed(rows, labels, classes)
            self.class_indices = {name: number for number, name in enumerate(found)}
        elif classes:
            received = f"classes with class_mode={class_mode!r}"
            warnings.warn(explain(_WHO, received, "one or the other", "classes is ignored."), stacklevel=3)
        rows = self._part(rows)
        self.filenames, self.filepaths = [names[k] for k in rows], [paths[k] for k in rows]
        self.sample_weight = None if weights is None else weights[rows]
        self._set_labels(dataframe, y_col, rows, labels)
        self.samples = len(rows)
        kind = "validated" if validate_filenames else "non-validated"
        suffix = "" if class_mode in _UNCLASSED else f" belonging to {len(self.class_indices)} classes"
        say(f"Found {self.samples} {kind} image filenames{suffix}.")
        super().__init__(self.samples, batch_size, shuffle, seed)

    def _set_labels(self, frame: Any, y_col: Any, rows: list[int], labels: list[Any]) -> None:
        if self.class_mode == "multi_output":
            if not isinstance(y_col, list):
                received = f"y_col of type {type(y_col).__name__}"
                raise TypeError(explain(f"{_WHO}, class_mode='multi_output'", received, "a list of columns"))
            columns = [_column(frame, name) for name in y_col]
            self._targets: Any = [np.array([column[k] for k in rows]) for column in columns]
        elif self.class_mode == "raw":
            for name in y_col if isinstance(y_col, list) else [y_col]:
                _column(frame, name)
            whole = frame[y_col] if hasattr(frame, "iloc") or not isinstance(y_col, list) else None
            values = np.stack([frame[name] for name in y_col], 1) if whole is None else np.asarray(whole)
            self._targets = values[rows]
        elif self.class_mode not in _UNCLASSED:
            index = self.class_indices
            self.classes = [
                [index[name] for name in labels[k]] if isinstance(labels[k], (list, tuple)) else index[labels[k]]
                for k in rows
            ]

    @property
    def labels(self) -> Any:
        """The labels of all files: numbers of classes, or what the table has for "raw" and "multi_output"."""
        return self._targets if self.class_mode in ("raw", "multi_output") else self.classes


def _column(frame: Any, name: Any) -> list[Any]:
    try:
        return [*frame[name]]
    except (KeyError, IndexError):
        known = [str(column) for column in (frame.columns if hasattr(frame, "columns") else frame)]
        raise KeyError(explain(_WHO, f"the column {name!r}", "a column", nearest(str(name), known))) from None


def _check_texts(names: list[Any], x_col: str) -> None:
    for name in names:
        if not isinstance(name, str):
            raise TypeError(explain(f"{_WHO}, column {x_col!r}", repr(name), "file names as texts"))


def _weights(frame: Any, weight_col: str | None) -> Any:
    if not weight_col:
        return None
    weights = np.asarray(_column(frame, weight_col))
    if weights.dtype.kind not in "iuf":
        raise TypeError(explain(f"{_WHO}, column {weight_col!r}", f"values of type {weights.dtype}", "numbers"))
    return weights


def _existing(paths: list[str], x_col: str) -> list[int]:
    """Return the rows whose files are there and have an image's extension."""
    rows = [k for k, path in enumerate(paths) if path.lower().endswith(FORMATS) and Path(path).is_file()]
    if len(rows) < len(paths):
        missing = [paths[k] for k in sorted({*range(len(paths))}.difference(rows))]
        received = f"{len(missing)} names of no image file ({', '.join(missing[:3])}{', …' * (len(missing) > 3)})"
        remedy = f"They are left out; the endings are {', '.join(FORMATS)}."
        warnings.warn(explain(f"{_WHO}, column {x_col!r}", received, "files that exist", remedy), stacklevel=4)
    return rows


def _check_labels(labels: list[Any], class_mode: Any, y_col: Any, classes: Sequence[str] | None) -> None:
    who, types = f"{_WHO}, column {y_col!r}", _TYPES[class_mode]
    for label in labels:
        if not isinstance(label, types):
            expected = f"{' or '.join(kind.__name__ for kind in types)} for class_mode={class_mode!r}"
            raise TypeError(explain(who, repr(label), expected, "For numbers use class_mode='raw' or astype(str)."))
    count = len(set(classes or labels)) if class_mode == "binary" else 2
    if count != 2:
        raise ValueError(
            explain(who, f"{count} classes", "2 for class_mode='binary'", "Use 'categorical' or 'sparse'.")
        )


def _classed(
    rows: list[int], labels: list[Any], classes: Sequence[str] | None
) -> tuple[list[int], list[Any], list[str]]:
    """Return the rows with a class that is used, all labels without the others, and the names of the classes."""
    if not classes:
        used = {name for k in rows for name in _names(labels[k])}
        return rows, labels, sorted(used)
    chosen = [*dict.fromkeys(classes)]
    kept = [
        [name for name in label if name in chosen] if isinstance(label, (list, tuple)) else label for label in labels
    ]
    return [k for k in rows if any(name in chosen for name in _names(kept[k]))], kept, chosen


def _names(label: Any) -> Sequence[str]:
    return (label,) if isinstance(label, str) else label
