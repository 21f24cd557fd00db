"""Data sets that make their elements when they are asked for, with the methods of tf.data's."""

import math
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from itertools import chain, count, islice
from pathlib import Path
from queue import Empty, Full, Queue
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from convia import distributed, random, tree
from convia.errors import explain

AUTOTUNE = -1  # as a number of threads, or of elements ahead: choose for me
INFINITE, UNKNOWN = -1, -2  # cardinalities
_THREADS, _AHEAD = 4, 2  # what AUTOTUNE chooses
_END = object()


class Ordered:
    """What is gone through in an order that depends on how often that was done, and on a seed.

    Attributes:
        kept: what BackupAndRestore keeps of it.
    """

    kept: tuple[str, ...] = ("orders",)
    _sources: tuple[Any, ...] = ()  # that it is made of
    _seed: int | None = None
    _passes = 0

    @property
    def orders(self) -> list[list[int | None]]:
        """The seed and the number of passes so far, of this and of all that it is made of."""
        return [[part._seed, part._passes] for part in self._lineage()]

    @orders.setter
    def orders(self, known: Sequence[Sequence[Any]]) -> None:
        parts = self._lineage()
        if len(parts) == len(known):
            for part, (seed, passes) in zip(parts, known, strict=True):
                part._seed, part._passes = seed, passes

    def _lineage(self) -> list["Ordered"]:
        sources = [source for source in self._sources if isinstance(source, Ordered)]
        return [self, *(part for source in sources for part in source._lineage())]

    def _next_pass(self) -> int:
        """Count a pass; return its number."""
        self._passes += 1
        return self._passes - 1


class Dataset(Ordered):
    """A sequence of elements that can be gone through again and again; each method returns another data set.

    An element is a tensor, or a tuple, a list or a dict of them. A tuple (x, y) or (x, y, sample_weight) of batches is
    what ``fit``, ``evaluate`` and ``predict`` take.

    Args:
        make: starts a new pass over the elements.
        size: number of elements, INFINITE or UNKNOWN.
        class_names: names of the labels' classes, passed on to all that is made of this.
    """

    def __init__(
        self, make: Callable[[], Iterable[Any]], size: int = UNKNOWN, class_names: Sequence[str] | None = None
    ) -> None:
        self._make, self._size = make, size
        self.divides = False  # whether processes that go through it together share out the work
        self.class_names = None if class_names is None else [*class_names]

    @staticmethod
    def from_tensor_slices(tensors: Any) -> "Dataset":
        """Take the elements of arrays, or of tuples and dicts of arrays of one length.

        Raises:
            ValueError: arrays of different lengths, or of rank 0.
        """
        whole = _arrays(tensors)
        lengths = {len(leaf) if leaf.ndim else -1 for leaf in tree.flatten(whole)}
        if len(lengths) != 1 or -1 in lengths:
            received = f"arrays of lengths {sorted(lengths)}" if -1 not in lengths else "a number"
            raise ValueError(explain("Dataset.from_tensor_slices", received, "arrays of one length"))
        size = lengths.pop()
        return Dataset(lambda: (made_of(_part(whole, i), [f"sample {i}"]) for i in range(size)), size)

    @staticmethod
    def from_generator(generator: Callable[..., Iterable[Any]], args: tuple[Any, ...] = ()) -> "Dataset":
        """Take what a function yields; it is called for each pass."""
        return Dataset(lambda: (tree.map_structure(_tensor, element) for element in generator(*args)))

    @staticmethod
    def range(*limits: int) -> "Dataset":
        """Return the whole numbers that ``range`` gives."""
        numbers = range(*limits)
        return Dataset(lambda: (torch.tensor(number) for number in numbers), len(numbers))

    @staticmethod
    def zip(*datasets: Any) -> "Dataset":
        """Return tuples of the elements of several data sets, up to the end of the shortest."""
        parts = datasets[0] if len(datasets) == 1 and isinstance(datasets[0], (tuple, list)) else datasets
        sizes = [int(part.cardinality()) for part in parts]
        finite = [size for size in sizes if size != INFINITE]
        size = UNKNOWN if UNKNOWN in sizes else min(finite, default=INFINITE)
        made = Dataset(lambda: zip(*parts, strict=False), size)
        made._sources = tuple(parts)
        return made

    def __iter__(self) -> Iterator[Any]:
        return iter(self._make())

    def __len__(self) -> int:
        """Return the number of elements.

        Raises:
            TypeError: it is infinite or not known.
        """
        size = int(self.cardinality())
        if size < 0:
            kind = "infinite" if size == INFINITE else "unknown"
            remedy = "Say how many with take(…), or steps_per_epoch=… in fit."
            raise TypeError(explain(f"len({type(self).__name__})", f"an {kind} number of elements", "a finite", remedy))
        return size

    def cardinality(self) -> Tensor:
        """Return the number of elements as a tensor of rank 0; −1 is infinite, −2 unknown."""
        return torch.tensor(self._size)

    def _then(self, make: Callable[[], Iterable[Any]], size: int, *others: Any) -> "Dataset":
        made = Dataset(make, size, self.class_names)
        made._sources, made.divides = (self, *others), self.divides
        return made

    def _count(self, change: Callable[[int], int]) -> int:
        """Return the size that a finite one becomes."""
        size = int(self.cardinality())
        return size if size < 0 else change(size)

    def map(
        self, map_func: Callable[..., Any], num_parallel_calls: int | None = None, deterministic: bool | None = None
    ) -> "Dataset":
        """Apply a function to each element; of a tuple each part is an argument.

        Args:
            map_func: of tensors.
            num_parallel_calls: threads; the order stays. Also AUTOTUNE.
            deterministic: accepted; the order always stays.
        """

        def apply(element: Any) -> Any:
            made = map_func(*element) if isinstance(element, tuple) else map_func(element)
            return made_of(made, files(element))

        threads = _chosen(num_parallel_calls, _THREADS)
        if threads < 2:
            return self._then(lambda: map(apply, self), self._count(int))
        return self._then(lambda: _in_threads(apply, self, threads), self._count(int))

    def filter(self, predicate: Callable[..., Any]) -> "Dataset":
        """Keep the elements for which a function is true."""

        def holds(element: Any) -> bool:
            return bool(predicate(*element) if isinstance(element, tuple) else predicate(element))

        return self._then(lambda: filter(holds, self), UNKNOWN)

    def batch(
        self,
        batch_size: int,
        drop_remainder: bool = False,
        num_parallel_calls: int | None = None,
        deterministic: bool | None = None,
    ) -> "Dataset":
        """Stack elements of the same shapes: (batch_size, …).

        Args:
            batch_size: elements in a batch.
            drop_remainder: leave out a last batch of fewer.
            num_parallel_calls, deterministic: accepted; batches are made one after the other.

        Raises:
            ValueError: a size below 1; elements of different shapes, when they are asked for.
        """
        size = _at_least("batch", "batch_size", batch_size, 1)

        def make() -> Iterator[Any]:
            elements = iter(self)
            while part := [*islice(elements, size)]:
                if len(part) == size or not drop_remainder:
                    yield made_of(_stacked(part), [file for element in part for file in files(element)])

        return self._then(make, self._count(lambda n: n // size if drop_remainder else math.ceil(n / size)))

    def unbatch(self) -> "Dataset":
        """Return the elements of batches."""

        def make() -> Iterator[Any]:
            for batch in self:
                count = len(tree.flatten(batch)[0])
                names = files(batch) if len(files(batch)) == count else ()
                yield from (made_of(_part(batch, i), names[i : i + 1]) for i in range(count))

        return self._then(make, self._unbatched_size())

    def _unbatched_size(self) -> int:
        return INFINITE if int(self.cardinality()) == INFINITE else UNKNOWN

    def cache(self, filename: str | os.PathLike[str] = "") -> "Dataset":
        """Keep the elements of the first whole pass, in memory or in a file, for the passes to come."""
        kept: list[list[Any]] = []
        path = Path(filename) if os.fspath(filename) else None

        def make() -> Iterator[Any]:
            if not kept and path is not None and path.is_file():
                kept.append(torch.load(path, weights_only=True))
            if kept:
                yield from kept[0]
                return
            found: list[Any] = []
            before, last = self.orders, _END
            for element in self:  # each is held back by one, so that the end is known before the last is given away
                found.append(element)
                if last is not _END:
                    yield last
                last = element
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                torch.save(found, path)
            kept.append(found)
            self.orders = before  # what is kept, another program begins with
            if last is not _END:
                yield last

        return self._then(make, self._count(int))

    def prefetch(self, buffer_size: int = AUTOTUNE) -> "Dataset":
        """Make elements ahead in a thread of their own.

        Not where processes share out the work, which they exchange step by step, and have threads for.
        """
        size = _chosen(buffer_size, _AHEAD)

        def make() -> Iterable[Any]:
            return self if self.divides and distributed.is_together() else _ahead(self, size)

        return self._then(make, self._count(int)) if size else self

    def shuffle(
        self, buffer_size: int, seed: int | None = None, reshuffle_each_iteration: bool | None = None
    ) -> "Dataset":
        """Mix: each element is drawn from the next ``buffer_size`` ones.

        Args:
            buffer_size: as many as there are elements for an even mix.
            seed: decides the order of the passes; drawn from NumPy's global generator by default.
            reshuffle_each_iteration: another order in each pass, unless False.

        Raises:
            ValueError: a size below 1.
        """
        size = _at_least("shuffle", "buffer_size", buffer_size, 1)

        def make() -> Iterator[Any]:
            number = mixed._next_pass() if reshuffle_each_iteration is not False else 0
            return _mixed(self, size, np.random.default_rng((mixed._seed or 0, number)))

        mixed = self._then(make, self._count(int))
        mixed._seed = int(np.random.randint(2**31)) if seed is None else int(seed)
        return mixed

    def take(self, count: Any) -> "Dataset":
        """Return the first elements; all for −1."""
        most = int(count)
        if most < 0:
            return self
        size = int(self.cardinality())
        return self._then(lambda: islice(self, most), most if size == INFINITE else self._count(lambda n: min(n, most)))

    def skip(self, count: Any) -> "Dataset":
        """Leave out the first elements; all for −1."""
        least = int(count)
        if least < 0:
            return self._then(lambda: (), 0)
        return self._then(lambda: islice(self, least, None), self._count(lambda n: max(n - least, 0)))

    def repeat(self, count: int | None = None) -> "Dataset":
        """Go through the elements several times, without end by default."""
        times = -1 if count is None else int(count)

        def make() -> Iterator[Any]:
            done = 0
            while done != times:
                some = False
                for element in self:
                    some = True
                    yield element
                if not some:
                    return
                done += 1

        size = int(self.cardinality())
        endless = times < 0 and size != 0
        return self._then(make, INFINITE if endless else self._count(lambda n: n * times))

    def concatenate(self, dataset: "Dataset") -> "Dataset":
        """Put another data set's elements after these."""
        more = int(dataset.cardinality())
        return self._then(lambda: chain(self, dataset), self._count(lambda n: more if more < 0 else n + more), dataset)

    def enumerate(self, start: int = 0) -> "Dataset":
        """Return (number, element)."""
        numbers = Dataset(lambda: map(torch.tensor, count(start)), INFINITE)
        return self._then(lambda: zip(numbers, self, strict=False), self._count(int))

    def shard(self, num_shards: int, index: int) -> "Dataset":
        """Return every ``num_shards``-th element, from number ``index`` on.

        Raises:
            ValueError: an index that is not below num_shards.
        """
        if not 0 <= index < num_shards:
            raise ValueError(explain("Dataset.shard", f"index={index}", f"a number from 0 to {num_shards - 1}"))
        return self._then(
            lambda: islice(self, index, None, num_shards), self._count(lambda n: len(range(index, n, num_shards)))
        )

    def reduce(self, initial_state: Any, reduce_func: Callable[[Any, Any], Any]) -> Any:
        """Combine all elements: ``reduce_func(state, element)`` is the next state."""
        return reduce(reduce_func, self, initial_state)

    def apply(self, transformation_func: Callable[["Dataset"], "Dataset"]) -> "Dataset":
        """Return what a function makes of this data set."""
        return transformation_func(self)

    def as_numpy_iterator(self) -> Iterator[Any]:
        """Yield elements of NumPy arrays."""
        for element in self:
            yield tree.map_structure(lambda leaf: leaf.numpy() if isinstance(leaf, Tensor) else leaf, element)


def made_of(element: Any, names: Sequence[str]) -> Any:
    """Note on the first tensor of an element the files, or rows of arrays, that it was made of; return the element."""
    first = next(iter(tree.flatten(element)), None) if len(names) else None
    if hasattr(first, "__dict__"):
        first._files = tuple(names)  # type: ignore[union-attr]
    return element


def files(element: Any) -> tuple[str, ...]:
    """Return the files, or rows of arrays, that an element was made of, as far as they were noted; a text is a name."""
    first = next(iter(tree.flatten(element)), None)
    return (str(first),) if isinstance(first, str) else getattr(first, "_files", ())


def _tensor(value: Any) -> Any:
    """Return an array or number as a tensor; texts stay an array."""
    if isinstance(value, Tensor):
        return value
    array = np.asarray(value)
    return array if array.dtype.kind in "OUS" else torch.as_tensor(array)


def _arrays(structure: Any) -> Any:
    """Return tuples and dicts of arrays as such of tensors; a list is an array, as for tf.data."""
    if isinstance(structure, dict):
        return {key: _arrays(value) for key, value in structure.items()}
    return tuple(map(_arrays, structure)) if isinstance(structure, tuple) else _tensor(structure)


def _part(structure: Any, index: int) -> Any:
    return tree.map_structure(lambda leaf: leaf[index], structure)


def _stacked(elements: list[Any]) -> Any:
    def stack(*leaves: Any) -> Any:
        leaves = tuple(map(_tensor, leaves))
        shapes = {tuple(leaf.shape) for leaf in leaves}
        if len(shapes) > 1:
            remedy = "Bring them to one shape with map first."
            raise ValueError(explain("Dataset.batch", f"elements of shapes {sorted(shapes)}", "the same shape", remedy))
        return torch.stack(cast("list[Tensor]", leaves)) if isinstance(leaves[0], Tensor) else np.stack(leaves)

    return tree.map_structure(stack, *elements)


def _chosen(number: int | None, default: int) -> int:
    return default if number == AUTOTUNE else int(number or 0)


def _at_least(method: str, name: str, value: Any, least: int) -> int:
    if int(value) < least:
        raise ValueError(explain(f"Dataset.{method}, argument {name!r}", repr(value), f"a whole number ≥ {least}"))
    return int(value)


def _mixed(elements: Iterable[Any], size: int, chance: np.random.Generator) -> Iterator[Any]:
    """Yield elements that are drawn from the next ``size`` ones."""
    buffer: list[Any] = []
    for element in elements:
        buffer.append(element)
        if len(buffer) > size:
            i = int(chance.integers(size))
            buffer[i], buffer[-1] = buffer[-1], buffer[i]
            yield buffer.pop()
    chance.shuffle(buffer)
    yield from buffer


def _in_threads(function: Callable[[Any], Any], elements: Iterable[Any], threads: int) -> Iterator[Any]:
    """Apply a function in threads, ``threads`` elements ahead; the order stays.

    Where a seed was set, a function that draws at random is applied to one element after the other.
    """
    elements = iter(elements)
    for element in islice(elements, 1):
        before = random.marks()
        made, draws = function(element), before != random.marks()
        yield made
        if draws:
            yield from map(function, elements)
            return
    pool = ThreadPoolExecutor(threads)
    waiting: deque[Any] = deque()
    try:
        for element in elements:
            waiting.append(pool.submit(function, element))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _ahead(elements: Iterable[Any], size: int) -> Iterator[Any]:
    """Let a thread go through the elements, up to ``size`` ahead; it ends with this generator.

    Where a seed was set, elements that are drawn at random are made when they are asked for: a thread would draw in
    between what the training draws.
    """
    elements, before = iter(elements), random.marks()
    first = next(elements, _END)
    if first is _END or before != random.marks():
        yield from chain([] if first is _END else [first], elements)
        return
    queue: Queue[tuple[Any, BaseException | None]] = Queue(size)
    stopped = threading.Event()

    def put(element: Any, error: BaseException | None = None) -> bool:
        while not stopped.is_set():
            try:
                queue.put((element, error), timeout=0.1)
            except Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            if all(map(put, elements)):
                put(_END)
        except BaseException as error:  # raised where the elements are asked for
            put(_END, error)

    thread = threading.Thread(target=work, name="convia-prefetch", daemon=True)
    thread.start()
    try:
        yield first
        while True:
            element, error = queue.get()
            if error is not None:
                raise error
            if element is _END:
                return
            yield element
    finally:
        stopped.set()
        while thread.is_alive():  # room for what the thread holds, so that it sees the end at once
            try:
                queue.get_nowait()
            except Empty:
                thread.join(0.01)
