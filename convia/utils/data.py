"""Data before it goes into a model: sequences of one length, windows over a series, two parts of a data set."""

import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, Subset, TensorDataset

from convia import pipeline
from convia.errors import explain
from convia.images.directory import ImageDataset

__all__ = ["TimeSeries", "pad_sequences", "split_dataset", "timeseries_dataset_from_array"]


def pad_sequences(
    sequences: Sequence[Any],
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> np.ndarray:
    """Bring sequences to one length: (n, maxlen, …).

    Args:
        sequences: lists or arrays (steps, …).
        maxlen: the length; that of the longest when None.
        dtype: of the result; ``object`` for texts.
        padding, truncating: "pre" or "post": where values are added to short sequences, and cut off long ones.
        value: what is added.

    Raises:
        ValueError: something that is no sequence, sequences of different elements, another choice, a text for numbers.
    """
    for name, choice in (("padding", padding), ("truncating", truncating)):
        if choice not in ("pre", "post"):
            raise ValueError(explain(f"pad_sequences, argument {name!r}", repr(choice), "'pre' or 'post'"))
    if isinstance(value, str) and dtype is not object and np.dtype(dtype).kind not in "SUO":
        raise ValueError(explain("pad_sequences", f"value={value!r} for the type {dtype}", "dtype=object for texts"))
    for sequence in sequences if hasattr(sequences, "__len__") else [sequences]:
        if not hasattr(sequence, "__len__"):
            raise ValueError(explain("pad_sequences", repr(sequence), "a list of sequences"))
    length = max(map(len, sequences), default=0) if maxlen is None else maxlen
    shape = next((np.asarray(sequence).shape[1:] for sequence in sequences if len(sequence)), ())
    padded = np.full((len(sequences), length, *shape), value, dtype=dtype)
    for row, sequence in zip(padded, sequences, strict=True):
        kept = np.asarray(sequence[-length:] if truncating == "pre" else sequence[:length], dtype=dtype)
        if not len(sequence):
            continue
        if kept.shape[1:] != shape:
            raise ValueError(explain("pad_sequences", f"elements of shape {kept.shape[1:]}", f"{shape}, as the others"))
        row[len(row) - len(kept) :] = kept if padding == "pre" else row[len(row) - len(kept) :]
        if padding == "post":
            row[: len(kept)] = kept
    return padded


class TimeSeries(pipeline.Dataset):
    """Windows over a series, in batches."""

    def __init__(
        self, data: Any, targets: Any, starts: np.ndarray, steps: np.ndarray, batch_size: int | None, seed: Any
    ) -> None:
        super().__init__(self._batches, math.ceil(len(starts) / (batch_size or 1)))
        self._data, self._targets = torch.as_tensor(data), None if targets is None else torch.as_tensor(targets)
        self._starts, self._steps = starts, steps
        self.batch_size = batch_size
        self._random = None if seed is None else np.random.default_rng(seed)

    def _batches(self) -> Iterator[Any]:
        starts = self._starts if self._random is None else self._random.permutation(self._starts)
        size = self.batch_size or 1
        for first in range(0, len(starts), size):
            chosen = starts[first : first + size] if self.batch_size else starts[first]
            windows = self._data[torch.as_tensor(chosen[..., None] + self._steps)]
            yield windows if self._targets is None else (windows, self._targets[torch.as_tensor(chosen)])


def timeseries_dataset_from_array(
    data: Any,
    targets: Any,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
    format: str = "tf",
) -> TimeSeries:
    """Cut a series into windows, batches of (N, sequence_length, …), with the targets of their first steps.

    Args:
        data: (steps, …).
        targets: ``targets[i]`` belongs to the window that starts at step i; None for windows alone.
        sequence_length: steps in a window.
        sequence_stride: steps from window to window.
        sampling_rate: steps from element to element of a window.
        batch_size: windows in a batch; None for single ones.
        shuffle, seed: whether their order is drawn anew in each epoch, and from what.
        start_index, end_index: only the data from the one to before the other is used.
        format: accepted; batches are tensors of torch.

    Raises:
        ValueError: indices outside of the data, strides that are not between 1 and its length.
    """
    count = len(data)
    first, end = start_index or 0, end_index or count
    for name, value, low, high in (
        ("start_index", first, 0, count - 1),
        ("end_index", end, first + 1, count if not end_index else count - 1),
        ("sampling_rate", sampling_rate, 1, count - 1),
        ("sequence_stride", sequence_stride, 1, count - 1),
    ):
        if not low <= value <= high:
            who = f"timeseries_dataset_from_array, argument {name!r}"
            raise ValueError(explain(who, f"{value} for {count} steps", f"a whole number from {low} to {high}"))
    windows = end - first - (sequence_length - 1) * sampling_rate
    if targets is not None:
        windows = min(windows, len(targets))
    if shuffle and seed is None:
        seed = int(np.random.randint(1_000_000))
    return TimeSeries(
        data[first:end],
        None if targets is None else targets[first:end],
        np.arange(0, windows, sequence_stride),
        np.arange(sequence_length) * sampling_rate,
        batch_size,
        seed if shuffle else None,
    )


def split_dataset(
    dataset: Any,
    left_size: float | None = None,
    right_size: float | None = None,
    shuffle: bool = False,
    seed: int | None = None,
    preferred_backend: str | None = None,
) -> tuple[Any, Any]:
    """Split a data set into its beginning and its end, for training and validation.

    Args:
        dataset: a data set of torch's, one of convia's own, an array, or a list or tuple of arrays of one length. Of
            a folder of images the files are split, and each part is shuffled and batched as the whole was; the
            elements of others of convia's own are kept in memory, so that the parts never mix.
        left_size, right_size: fractions or numbers of samples; the rest when None.
        shuffle, seed: whether samples are drawn at random, and from what.
        preferred_backend: accepted; the parts are convia's of convia's, else data sets of torch's.

    Raises:
        TypeError: another kind of data set, or of size. ValueError: no size, sizes that leave a part empty or overlap.
    """
    if isinstance(dataset, np.ndarray):
        dataset = TensorDataset(torch.from_numpy(dataset))
    elif isinstance(dataset, (list, tuple)):
        dataset = TensorDataset(*(torch.as_tensor(part) for part in dataset))
    elif not isinstance(dataset, (Dataset, pipeline.Dataset)):
        expected = "a torch.utils.data.Dataset, an array or a list of arrays"
        raise TypeError(explain("split_dataset, argument 'dataset'", repr(type(dataset)), expected))
    elif isinstance(dataset, pipeline.Dataset) and not isinstance(dataset, ImageDataset):
        dataset = _Kept(dataset)
    total = len(dataset.file_paths) if isinstance(dataset, ImageDataset) else len(dataset)
    if left_size is None and right_size is None:
        raise ValueError(explain("split_dataset", "left_size=None, right_size=None", "one of them or both"))
    if isinstance(left_size, float) and isinstance(right_size, float) and left_size + right_size > 1:
        raise ValueError(explain("split_dataset", f"the fractions {left_size} + {right_size}", "a sum up to 1"))
    left, right = (_count(name, size, total) for name, size in (("left_size", left_size), ("right_size", right_size)))
    left, right = total - right if left is None else left, total - left if right is None else right  # type: ignore[operator]
    if left + right > total or not left or not right:
        raise ValueError(explain("split_dataset", f"{left} + {right} of {total} samples", "two parts, not overlapping"))
    order = list(range(total))
    if shuffle:
        generator = torch.Generator()
        generator.seed() if seed is None else generator.manual_seed(seed)
        order = torch.randperm(total, generator=generator).tolist()
    part = dataset.part if isinstance(dataset, (ImageDataset, _Kept)) else functools.partial(Subset, dataset)
    return part(order[:left]), part(order[-right:])


class _Kept:
    """The elements of a data set in memory."""

    def __init__(self, dataset: pipeline.Dataset) -> None:
        self._elements, self._class_names = [*dataset], dataset.class_names

    def __len__(self) -> int:
        return len(self._elements)

    def part(self, chosen: list[int]) -> pipeline.Dataset:
        """Return the elements at some positions."""
        return pipeline.Dataset(lambda: (self._elements[k] for k in chosen), len(chosen), self._class_names)


def _count(name: str, size: Any, total: int) -> int | None:
    """Return a number of samples for a number or fraction of them."""
    if size is None:
        return None
    who = f"split_dataset, argument {name!r}"
    if type(size) not in (int, float):
        raise TypeError(explain(who, repr(size), "a whole number, a fraction or None"))
    if not 0 < size < (1 if isinstance(size, float) else total):
        raise ValueError(
            explain(who, repr(size), f"a whole number between 0 and {total}, or a fraction between 0 and 1")
        )
    return round(size * total) if isinstance(size, float) else size
