"""What a dataset is, and its transformations that do not look at elements: order, number, buffers."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any, Self

import numpy as np
import torch

from convia.compat.tensorflow.checks import OutOfRangeError
from convia.compat.tensorflow.data import elements, pipeline
from convia.compat.tensorflow.data.pipeline import INFINITE, UNKNOWN
from convia.compat.tensorflow.door import number
from convia.errors import explain
from convia.pipeline import Ordered

Start = Callable[[], Iterator[Any]]


class Options:
    """Settings of a pipeline: any attribute may be set, none changes what a dataset yields."""

    def __getattr__(self, name: str) -> "Options":
        if name.startswith("__"):
            raise AttributeError(name)
        self.__dict__[name] = made = Options()
        return made


class Flow(Ordered, elements.Described):
    """Elements that can be iterated over as often as one likes; each method makes another dataset.

    Args:
        start: starts an iterator over raw elements.
        count: how many there are, INFINITE or UNKNOWN.
        read: makes an element of a raw one, when somebody looks at it.
        gather: makes a batch of a list of raw elements, where that is quicker than stacking them.
    """

    _spec: Any = None
    _batched = _is_cache = False
    _skip: Callable[[int], Iterator[Any]] | None = None  # starts after so many raw elements, where that is quicker

    def __init__(
        self,
        start: Start | None = None,
        count: int = UNKNOWN,
        read: Callable[[Any], Any] | None = None,
        gather: Callable[[list[Any]], Any] | None = None,
        batched: bool = False,
    ) -> None:
        if start is not None:
            self.__dict__["_start"] = start
        self._count, self._read, self._gather, self._batched = count, read, gather, batched

    def _start(self) -> Iterator[Any]:
        raise NotImplementedError(explain(type(self).__name__, "an iteration", "a dataset made by one of its methods"))

    def _after(self, count: int) -> Iterator[Any]:
        """Start an iterator over raw elements without the first ones."""
        if not count:
            return self._start()
        return itertools.islice(self._start(), count, None) if self._skip is None else self._skip(count)

    def _count_passes(self, passes: int) -> None:
        """Count so many passes as done, of which a cache lets the first through."""
        self._passes += passes
        for source in () if self._is_cache else self._sources:
            if isinstance(source, Flow):
                source._count_passes(passes)

    def _new(self, start: Start, count: int, *rest: Any) -> Any:
        """Make another dataset."""
        raise NotImplementedError(explain(type(self).__name__, "a transformation", "a tf.data.Dataset"))

    # -- transformations that do not look at elements -----------------------------------------------------------

    def _same(self, start: Start, count: int) -> Any:
        made = self._labelled(self._new(start, count, self._read, self._gather, self._batched))
        made._spec = self._spec
        return made

    def _labelled(self, made: Any) -> Any:
        """Pass public attributes on, such as class_names, and note what a dataset is made of."""
        made._sources = (self,)
        made.__dict__.update({name: value for name, value in self.__dict__.items() if not name.startswith("_")})
        return made

    def shuffle(
        self,
        buffer_size: Any,
        seed: Any = None,
        reshuffle_each_iteration: bool | None = True,
        name: str | None = None,
    ) -> Any:
        """Yield each element from a buffer of the next ``buffer_size`` ones, in another order at each iteration.

        Raises:
            ValueError: a buffer of no elements.
        """
        size, again = number(buffer_size), reshuffle_each_iteration in (None, True)
        if size < 1:
            raise ValueError(explain("Dataset.shuffle, argument 'buffer_size'", size, "a whole number ≥ 1"))

        def start() -> Iterator[Any]:
            source = np.random.default_rng((abs(mixed._seed or 0), mixed._next_pass() if again else 0))
            return pipeline.through_buffer(self._start(), size, source)

        mixed = self._same(start, self._count)
        mixed._seed = draw_seed() if seed is None else number(seed)
        return mixed

    def repeat(self, count: Any = None, name: str | None = None) -> Any:
        """Yield the elements so many times, by default for ever."""
        times = None if count is None or number(count) < 0 else number(count)
        total = INFINITE if times is None else _times(self._count, times)
        again = self._same(lambda: pipeline.repeated(self._start, times), total if self._count else 0)
        if times is None and self._count > 0:
            again._skip = self._for_ever
        return again

    def _for_ever(self, skip: int) -> Iterator[Any]:
        """Start an iterator over raw elements, again and again, without the first; whole passes are only counted."""
        passes, rest = divmod(skip, self._count)
        self._count_passes(passes)
        return itertools.chain(self._after(rest), pipeline.repeated(self._start, None))

    def take(self, count: Any, name: str | None = None) -> Any:
        """Yield the first elements, all of them for −1."""
        most = number(count)
        if most < 0:
            return self._same(self._start, self._count)
        total = most if self._count == INFINITE else self._count if self._count < 0 else min(self._count, most)
        return self._same(lambda: itertools.islice(self._start(), most), total)

    def skip(self, count: Any, name: str | None = None) -> Any:
        """Leave out the first elements, all of them for −1."""
        most = number(count)
        if most < 0:
            return self._same(lambda: iter(()), 0)
        total = self._count if self._count < 0 else max(self._count - most, 0)
        return self._same(lambda: itertools.islice(self._start(), most, None), total)

    def shard(self, num_shards: Any, index: Any, name: str | None = None) -> Any:
        """Yield every ``num_shards``-th element from number ``index`` on.

        Raises:
            ValueError: no such shard.
        """
        count, first = number(num_shards), number(index)
        if not 0 <= first < count:
            raise ValueError(explain("Dataset.shard", f"index={first} of {count} shards", f"from 0 to {count - 1}"))
        total = self._count if self._count < 0 else len(range(first, self._count, count))
        return self._same(lambda: itertools.islice(self._start(), first, None, count), total)

    def prefetch(self, buffer_size: Any, name: str | None = None) -> Any:
        """Let a thread compute the next elements while one is being used."""
        size = number(buffer_size)
        if size == 0:
            return self._same(self._start, self._count)
        ahead = 2 if size < 0 else size
        fetched = self._same(lambda: pipeline.fetched(self._start, ahead), self._count)
        fetched._skip = lambda skip: pipeline.fetched(lambda: self._after(skip), ahead)
        return fetched

    def cache(self, filename: Any = "", name: str | None = None) -> Any:
        """Keep the elements of the first whole iteration in memory; a file's name is accepted."""
        kept: list[Any] = []
        complete = [False]

        def start() -> Iterator[Any]:
            if complete[0]:
                yield from kept
                return
            fresh, before = [], self.orders
            for item in self._start():
                fresh.append(item)
                yield item
            if not complete[0]:
                kept[:] = fresh
                complete[0] = True
                self.orders = before  # what is kept, another program begins with

        cached = self._same(start, self._count)
        cached._is_cache = True
        return cached

    def concatenate(self, dataset: Any, name: str | None = None) -> Any:
        """Yield the elements of this dataset and then those of another."""
        counts = (self._count, dataset._count)
        total = INFINITE if INFINITE in counts else UNKNOWN if UNKNOWN in counts else sum(counts)
        made = self._new(lambda: itertools.chain(iter(self), iter(dataset)), total, None, None, self._batched)
        made._sources = (self, dataset)
        return made

    def options(self) -> Options:
        """Return the settings."""
        return Options()

    def with_options(self, options: Any, name: str | None = None) -> Any:
        """Accept settings; they do not change what is yielded."""
        return self._same(self._start, self._count)

    # -- elements -----------------------------------------------------------------------------------------------

    def _element(self, raw: Any) -> Any:
        return raw if self._read is None else self._read(raw)

    def __iter__(self) -> Iterator[Any]:
        raw = self._start()
        return DatasetIterator(raw if self._read is None else map(self._read, raw), self)

    def endless(self) -> "Endless":
        """Yield the elements again and again: what ``fit`` takes its ``steps_per_epoch`` batches from."""
        return Endless(self)

    def as_numpy_iterator(self) -> Iterator[Any]:
        """Yield the elements with NumPy arrays in place of tensors."""
        return DatasetIterator(map(elements.plain, iter(self)), self)

    def get_single_element(self, name: str | None = None) -> Any:
        """Return the only element.

        Raises:
            ValueError: none, or more than one.
        """
        found = list(itertools.islice(self, 2))
        if len(found) != 1:
            raise ValueError(explain("Dataset.get_single_element", f"{len(found) or 'no'} elements", "exactly one"))
        return found[0]

    def cardinality(self) -> Any:
        """Return how many elements there are, −1 for infinitely many and −2 for nobody knows."""
        return torch.tensor(self._count)

    @property
    def element_spec(self) -> Any:
        """The shapes and types of the elements, read off the first one."""
        if self._spec is None:
            first = next(iter(self), None)
            if first is None:
                raise ValueError(explain("Dataset.element_spec", "a dataset without elements", "at least one"))
            self._spec = elements.spec_of(first, self._batched)
        return self._spec

    def __len__(self) -> int:
        if self._count < 0:
            what = "infinite" if self._count == INFINITE else "unknown"
            raise TypeError(explain("len(dataset)", f"a dataset of {what} length", "one of known length"))
        return self._count

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._count if self._count >= 0 else 'an unknown number of'} elements>"


class Endless:
    """A dataset's elements, again and again.

    Attributes:
        kept: what BackupAndRestore keeps of it.
    """

    kept = ("place",)

    def __init__(self, dataset: Flow) -> None:
        self._dataset = dataset
        self._go_to(dataset.orders, 0)

    def _go_to(self, orders: Any, taken: int) -> None:
        self._dataset.orders = orders
        self._orders, self._taken = orders, taken
        self._elements: Iterator[Any] | None = None

    @property
    def place(self) -> list[Any]:
        """The orders that the first element came in, and how many have been taken."""
        return [self._orders, self._taken]

    @place.setter
    def place(self, value: Any) -> None:
        self._go_to(*value)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        if self._elements is None:
            self._elements = self._begun()
        self._taken += 1
        return next(self._elements)

    def _begun(self) -> Iterator[Any]:
        """Start an iterator over what comes after the elements that have been taken."""
        data = self._dataset
        if data._count in (UNKNOWN, 0):
            return itertools.islice(pipeline.repeated(data.__iter__, None), self._taken, None)
        return map(data._element, data._after(self._taken) if data._count < 0 else data._for_ever(self._taken))


class DatasetIterator:
    """An iterator over a dataset; ``get_next`` is what TensorFlow calls ``next``."""

    def __init__(self, source: Iterator[Any], dataset: Flow) -> None:
        self._source, self._dataset = source, dataset

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        return next(self._source)

    def get_next(self, name: str | None = None) -> Any:
        """Return the next element.

        Raises:
            OutOfRangeError: there is none; a StopIteration, too.
        """
        found = next(self._source, self)
        if found is self:
            raise OutOfRangeError(None, None, "End of sequence")
        return found

    next = get_next

    @property
    def element_spec(self) -> Any:
        """The shapes and types of the elements."""
        return self._dataset.element_spec


def _times(count: int, times: int) -> int:
    return count * times if count >= 0 else count if times else 0


def draw_seed() -> int:
    """Draw the seed of a dataset from torch, so that tf.random.setdraw_seed reproduces its order."""
    return int(torch.randint(0, 2**31 - 1, ()).item())


__all__ = ["DatasetIterator", "Flow", "Options", "Start", "draw_seed"]
