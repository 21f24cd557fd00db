"""Data for training: whatever users hold becomes epochs of batches (x, y, sample_weight) of tensors."""

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from convia import config, distributed, pipeline, tree
from convia.errors import explain
from convia.images import Iterator as Flow

Batch = tuple[Any, Any, Any]
_GPU_BUDGET = 2**31  # bytes of arrays that are moved to a GPU as a whole


class PyDataset:
    """A dataset of your own: define ``__len__`` (batches per epoch) and ``__getitem__(index)`` → (x, y[, weight]).

    Args:
        workers: threads that fetch batches ahead when more than one.
        use_multiprocessing: accepted; batches are fetched by threads.
        max_queue_size: how many batches are fetched ahead.

    Attributes:
        kept: names of attributes that BackupAndRestore backs up and restores, such as an order that ``on_epoch_end``
            draws: numbers, texts, arrays, or lists and dictionaries of them.
    """

    kept: tuple[str, ...] = ()

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        self.workers, self.use_multiprocessing, self.max_queue_size = workers, use_multiprocessing, max_queue_size

    @property
    def num_batches(self) -> int | None:
        """Batches per epoch."""
        return len(self) if hasattr(self, "__len__") else None

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(
            explain(type(self).__name__, "a batch's index", "a method __getitem__ in the subclass")
        )

    def on_epoch_begin(self) -> None:
        """Called before every epoch."""

    def on_epoch_end(self) -> None:
        """Called after every epoch, to shuffle for example."""


def unpack(data: Any) -> Batch:
    """Split what a user's dataset yields into (x, y, sample_weight); absent parts are None.

    Raises:
        ValueError: a tuple of more than three.
    """
    if isinstance(data, list) and len(data) in (2, 3):
        data = tuple(data)
    if not isinstance(data, tuple):
        return data, None, None
    if len(data) > 3 or not data:
        raise ValueError(explain("fit", f"a batch of {len(data)} parts", "x, (x, y) or (x, y, sample_weight)"))
    return (*data, *(None,) * (3 - len(data)))


def pack(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """Undo ``unpack``: the form in which a custom ``train_step(data)`` receives a batch."""
    if sample_weight is not None:
        return x, y, sample_weight
    if y is not None:
        return x, y
    return x if not tree.is_nested(x) else (x,)


def as_tensor(value: Any, device: torch.device | None = None) -> Any:
    """Turn an array, a list of numbers or a DataFrame into a tensor; float64 becomes the default float type."""
    if value is None or isinstance(value, str):
        return value
    if not isinstance(value, Tensor):
        value = value.to_numpy() if hasattr(value, "to_numpy") else np.asarray(value)
        if value.dtype.kind in "OUS":
            raise ValueError(
                explain(
                    "fit",
                    f"an array of type {value.dtype}",
                    "numbers",
                    "Convert texts to class indices, and rows of different lengths to one length.",
                )
            )
        value = torch.from_numpy(
            np.ascontiguousarray(value if value.dtype.kind != "u" or value.itemsize == 1 else value.astype("int64"))
        )
    if value.dtype is torch.float64:
        value = value.to(config.torch_dtype(config.floatx()))
    return value if device is None or value.device == device else _moved(value, device)


def _moved(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy to a device; to a GPU from pinned memory, so that the processor goes on meanwhile."""
    to_gpu = device.type == "cuda" and tensor.device.type == "cpu"
    return (tensor.pin_memory() if to_gpu else tensor).to(device, non_blocking=device.type == "cuda")


def as_tensors(structure: Any, device: torch.device | None = None) -> Any:
    """Apply ``as_tensor`` within lists, tuples and dicts; numbers in lists, however deep, are one array."""
    if _holds_numbers(structure):
        return as_tensor(structure, device)
    if isinstance(structure, Mapping):
        return {key: as_tensors(value, device) for key, value in structure.items()}
    if isinstance(structure, (list, tuple)):
        return type(structure)(as_tensors(value, device) for value in structure)
    return as_tensor(structure, device)


def _holds_numbers(structure: Any) -> bool:
    while isinstance(structure, (list, tuple)) and structure:
        structure = structure[0]
    return _is_number(structure)


def _is_number(value: Any) -> bool:
    return isinstance(value, (bool, int, float, np.generic))


def class_weights(y: Any, class_weight: Any, sample_weight: Any = None) -> Any:
    """Return a weight per sample from its class: y holds class indices (N,) or (N, 1), or one-hot rows (N, C).

    For several outputs it takes as many dicts, None for those whose classes all count alike, and returns a list.

    Raises:
        ValueError: several outputs but one dict, or what is no dict.
    """
    if isinstance(y, (list, tuple)) and isinstance(class_weight, (list, tuple)) and len(y) == len(class_weight):
        given = sample_weight if isinstance(sample_weight, (list, tuple)) else [sample_weight] * len(y)
        return [class_weights(*row) for row in zip(y, [one or {} for one in class_weight], given, strict=True)]
    if not isinstance(y, Tensor):
        raise ValueError(
            explain(
                "fit", "class_weight with several outputs", "a dict for each", "Give a list of dicts, or sample_weight."
            )
        )
    if not isinstance(class_weight, Mapping):
        remedy = "Write dict(enumerate(weights)) for weights in the order of the classes."
        raise ValueError(
            explain("fit", f"class_weight of type {type(class_weight).__name__}", "a dict of weights", remedy)
        )
    classes = y.argmax(-1) if y.ndim > 1 and y.shape[-1] > 1 else y.reshape(len(y)).long()
    size = max([int(classes.max()) if len(classes) else 0, *map(int, class_weight)]) + 1
    table = torch.ones(size, dtype=config.torch_dtype(config.floatx()), device=y.device)
    for index, weight in class_weight.items():
        table[int(index)] = float(weight)
    weights = table[classes]
    return weights if sample_weight is None else weights * sample_weight.to(weights.dtype)


class Batches:
    """Epochs of batches. ``steps`` is the number per epoch, None when only the end of the data tells."""

    steps: int | None = None
    samples: int | None = None

    @property
    def sources(self) -> Sequence[Any]:
        """What the batches come from and has ``kept``: names of attributes that say how far it was gone through."""
        return ()

    def epoch(self) -> Iterator[Batch]:
        """Yield the batches of one epoch."""
        raise NotImplementedError

    def names(self, number: int) -> Sequence[str]:
        """Return the files, or the places in arrays, of the samples of a batch of this epoch; () if not known."""
        return ()


class ArrayBatches(Batches):
    """Arrays in memory: shuffled by drawing an order, gathered batch by batch.

    Raises:
        ValueError: arrays of different lengths, or none at all.
    """

    def __init__(
        self, x: Any, y: Any, weight: Any, batch_size: int | None, shuffle: Any, class_weight: Any = None
    ) -> None:
        device = config.device()
        self._tree = (as_tensors(x), as_tensors(y), as_tensors(weight))
        if class_weight:
            self._tree = (*self._tree[:2], class_weights(self._tree[1], class_weight, self._tree[2]))
        leaves = [leaf for leaf in tree.flatten(self._tree) if leaf is not None]
        self.samples = _common_length(self._tree)
        self.batch_size = 32 if batch_size is None else int(batch_size)
        if self.batch_size < 1:
            raise ValueError(explain("fit", f"batch_size={batch_size!r}", "a whole number ≥ 1"))
        self.steps = math.ceil(self.samples / self.batch_size)
        self._shuffle = shuffle
        self._drawn: Tensor | None = None
        fits = sum(leaf.numel() * leaf.element_size() for leaf in leaves) <= _GPU_BUDGET
        if device.type != "cpu" and fits:
            self._tree = tree.map_structure(lambda leaf: leaf if leaf is None else leaf.to(device), self._tree)
        self._device = device

    def epoch(self) -> Iterator[Batch]:
        """Yield the batches, in a new random order when shuffling."""
        count, size = self.samples or 0, self.batch_size
        x, y, weight = self._tree
        order = self._order(count)
        flat = not tree.is_nested(x) and not tree.is_nested(y) and not tree.is_nested(weight)
        for start in range(0, count, size):
            take = slice(start, start + size) if order is None else order[start : start + size]
            if flat:
                yield self._taken(x, take), self._taken(y, take), self._taken(weight, take)
            else:
                yield tree.map_structure(lambda leaf, take=take: self._taken(leaf, take), self._tree)

    def _taken(self, leaf: Any, take: Any) -> Any:
        if leaf is None:
            return None
        part = leaf[take] if isinstance(take, slice) else leaf.index_select(0, take)
        return part if part.device == self._device else _moved(part, self._device)

    def names(self, number: int) -> Sequence[str]:
        """Return the files of a batch's samples, where they are noted on the arrays, or the places in these."""
        places: Any = range(self.samples or 0) if self._drawn is None else self._drawn
        chosen = map(int, places[number * self.batch_size : (number + 1) * self.batch_size])
        files = pipeline.files(self._tree)
        return [files[place] if files else f"sample {place}" for place in chosen]

    def _order(self, count: int) -> Tensor | None:
        self._drawn = self._draw(count) if self._shuffle else None
        return self._drawn

    def _draw(self, count: int) -> Tensor:
        device = next(leaf for leaf in tree.flatten(self._tree) if leaf is not None).device
        if self._shuffle == "batch":
            blocks = torch.randperm(math.ceil(count / self.batch_size))
            order = (blocks[:, None] * self.batch_size + torch.arange(self.batch_size)).flatten()
            return order[order < count].to(device)
        return torch.randperm(count).to(device)


def _common_length(parts: Batch) -> int:
    named = [
        (name, leaf)
        for name, part in zip(("x", "y", "sample_weight"), parts, strict=True)
        for leaf in tree.flatten(part)
        if leaf is not None
    ]
    if any(leaf.ndim == 0 for _, leaf in named):
        raise ValueError(explain("fit", "a single number", "arrays whose first axis runs over the samples"))
    lengths = {len(leaf) for _, leaf in named}
    if len(lengths) > 1:
        sizes = ", ".join(f"{name}: {len(leaf)}" for name, leaf in named)
        raise ValueError(explain("fit", f"arrays of different lengths ({sizes})", "the same number of samples in each"))
    if not lengths or lengths == {0}:
        raise ValueError(explain("fit", "no samples", "at least one"))
    return lengths.pop()


class IterableBatches(Batches):
    """Generators, PyDatasets, torch DataLoaders, anything that can be iterated.

    What can be iterated again is started anew each epoch; a generator goes on where it stopped.

    Attributes:
        watch: called with the inputs of the first batch that passes.
    """

    watch: Callable[[Any], None] | None = None

    def __init__(self, source: Any, steps: int | None, shuffle: Any, class_weight: Any) -> None:
        self._source = source
        self._indexed = isinstance(source, PyDataset) or (hasattr(source, "__getitem__") and hasattr(source, "__len__"))
        length = _length(source)
        self.steps = math.ceil(steps) if steps is not None else length
        self._tells_steps = steps is None
        self.samples = None
        self._class_weight = class_weight
        self._shuffle = bool(shuffle) and isinstance(source, PyDataset)
        self._made_of: tuple[str, ...] = ()

    @property
    def sources(self) -> Sequence[Any]:
        return [self._source] if getattr(self._source, "kept", ()) else ()

    def epoch(self) -> Iterator[Batch]:
        """Yield batches until the steps are done or the data ends."""
        if hasattr(self._source, "on_epoch_begin"):
            self._source.on_epoch_begin()
        device = config.device()
        for batch in islice(distributed.together(self._raw), self.steps):
            self._made_of = pipeline.files(batch)
            x, y, weight = (as_tensors(part, device) for part in unpack(batch))
            if self.watch is not None:
                self.watch(x)
                self.watch = None
            if self._class_weight:
                weight = class_weights(y, self._class_weight, weight)
            yield x, y, weight
        if self._tells_steps:
            self.steps = _length(self._source)  # fewer, where files turned out not to be readable
        if hasattr(self._source, "on_epoch_end"):
            with distributed.at_once():
                self._source.on_epoch_end()

    def names(self, number: int) -> Sequence[str]:
        """Return the files of a batch, where the data set has noted them or is a flow of files."""
        flow = self._source
        if not isinstance(flow, Flow) or not hasattr(flow, "filepaths") or flow.index_array is None:
            return self._made_of
        first = number % max(len(flow), 1) * flow.batch_size
        paths = (flow.filepaths[place] for place in flow.index_array[first : first + flow.batch_size])
        unreadable = getattr(flow, "unreadable", ())
        return [path for path in paths if path not in unreadable]

    def _raw(self) -> Iterator[Any]:
        return self._by_index() if self._indexed else iter(self._source)

    def _by_index(self) -> Iterator[Any]:
        """Go through an indexed dataset, again from the start when more steps are asked for than it has."""
        length = _length(self._source) or self.steps or 0
        total = self.steps or length
        order = np.random.permutation(length) if self._shuffle else np.arange(length)
        indices = [int(order[i % length]) for i in range(total)]
        workers = getattr(self._source, "workers", 1) or 1
        if workers < 2 or (distributed.size() > 1 and isinstance(self._source, Flow)):
            yield from (self._source[index] for index in indices)
            return
        ahead = max(getattr(self._source, "max_queue_size", 10), workers)
        # flows have threads of their own; asked by one, in order, they draw the same whatever the number of workers
        with ThreadPoolExecutor(1 if isinstance(self._source, Flow) else workers) as pool:
            waiting = [pool.submit(self._source.__getitem__, index) for index in indices[:ahead]]
            for index in [*indices[ahead:], *[None] * len(waiting)]:
                ready = waiting.pop(0)
                if index is not None:
                    waiting.append(pool.submit(self._source.__getitem__, index))
                yield ready.result()


def _length(source: Any) -> int | None:
    try:
        return len(source)
    except (TypeError, NotImplementedError):
        return None


def _is_array_like(x: Any) -> bool:
    leaves = tree.flatten(x)
    return bool(leaves) and all(
        isinstance(leaf, (np.ndarray, Tensor)) or hasattr(leaf, "to_numpy") or _is_number(leaf) for leaf in leaves
    )


def whole(x: Any) -> Any:
    """Return what yields whole batches, where something yields this process's rows of them."""
    return x.whole_batches() if hasattr(type(x), "whole_batches") else x


def adapt(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    batch_size: int | None = None,
    shuffle: Any = False,
    steps: int | None = None,
    class_weight: Any = None,
) -> Batches:
    """Make :class:`Batches` of arrays (or lists and dicts of them), or of anything that yields batches.

    Raises:
        ValueError: labels beside a dataset that brings its own. TypeError: neither arrays nor something to iterate.
    """
    if isinstance(x, Batches):
        return x
    x = whole(x)
    if _is_array_like(x):
        batches = ArrayBatches(x, y, sample_weight, batch_size, shuffle, class_weight)
        return _trial(_limited(batches, steps) if steps is not None else batches)
    if not isinstance(x, Iterable) and not hasattr(x, "__getitem__"):
        raise TypeError(
            explain("fit", f"x of type {type(x).__name__}", "arrays, tensors, a generator, a PyDataset or a DataLoader")
        )
    if y is not None or sample_weight is not None:
        what = "y" if y is not None else "sample_weight"
        raise ValueError(explain("fit", f"{what} beside a dataset that yields batches", f"{what} within the batches"))
    return _trial(IterableBatches(x, steps, shuffle, class_weight))


class _limited(Batches):  # noqa: N801
    """The first ``steps`` batches of every epoch, going through the arrays again when they are too short."""

    def __init__(self, batches: ArrayBatches, steps: int) -> None:
        self._batches, self.steps = batches, math.ceil(steps)
        self.samples = batches.samples

    def names(self, number: int) -> Sequence[str]:
        return self._batches.names(number % (self._batches.steps or 1))

    def epoch(self) -> Iterator[Batch]:
        left = self.steps or 0
        while left > 0:
            for batch in islice(self._batches.epoch(), left):
                yield batch
                left -= 1


def _trial(batches: Batches) -> Batches:
    """Cut epochs short where ``config.set_max_steps_per_epoch`` asks for it."""
    most = config.max_steps_per_epoch()
    if most is None or (batches.steps is not None and batches.steps <= most):
        return batches
    warnings.warn(f"Epochs are cut to {most} steps by config.max_steps_per_epoch().", stacklevel=4)
    return _Trial(batches, most)


class _Trial(Batches):
    """The first batches of every epoch."""

    def __init__(self, batches: Batches, most: int) -> None:
        self._batches, self._most = batches, most
        self.steps, self.samples = None if batches.steps is None else most, batches.samples

    @property
    def sources(self) -> Sequence[Any]:
        return self._batches.sources

    def names(self, number: int) -> Sequence[str]:
        return self._batches.names(number)

    def epoch(self) -> Iterator[Batch]:
        return islice(self._batches.epoch(), self._most)


def split(x: Any, y: Any, sample_weight: Any, fraction: float) -> tuple[Batch, Batch]:
    """Cut the last ``fraction`` of the samples off, before any shuffling: (for training, for validation).

    Raises:
        ValueError: not arrays, a fraction outside (0, 1), or one that leaves either part empty.
    """
    if not _is_array_like(x):
        raise ValueError(
            explain(
                "fit",
                f"validation_split with x of type {type(x).__name__}",
                "arrays or tensors",
                "Pass validation_data.",
            )
        )
    if not 0 < fraction < 1:
        raise ValueError(explain("fit", f"validation_split={fraction}", "a number between 0 and 1"))
    parts = (as_tensors(x), as_tensors(y), as_tensors(sample_weight))
    count = _common_length(parts)
    border = math.floor(count * (1 - fraction))
    if border in (0, count):
        raise ValueError(
            explain("fit", f"validation_split={fraction} of {count} samples", "at least one sample in each part")
        )
    ranges = slice(0, border), slice(border, None)
    cut = [tree.map_structure(lambda leaf, r=r: leaf if leaf is None else leaf[r], parts) for r in ranges]
    return cut[0], cut[1]
