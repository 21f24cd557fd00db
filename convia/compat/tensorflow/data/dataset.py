"""``tf.data.Dataset``: elements from arrays, generators and files, transformed one by one, shuffled and batched.

A dataset is a function that starts an iterator, and how many elements that yields. Elements of arrays flow as numbers
of rows until somebody looks at them, so shuffling and batching arrays gathers whole batches at once.
"""
# ruff: noqa: PTH207
# TensorFlow's files are named by texts, and may be left open.

import functools
import glob
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from convia.compat.busy import busy
from convia.compat.tensorflow.data import elements, pipeline
from convia.compat.tensorflow.data.flow import Flow, Start, draw_seed
from convia.compat.tensorflow.data.pipeline import INFINITE, UNKNOWN
from convia.compat.tensorflow.data.v1_iterators import initializable, one_shot, pending
from convia.compat.tensorflow.door import given, number
from convia.compat.tensorflow.dtypes import as_dtype
from convia.compat.tensorflow.texts import StringTensor
from convia.errors import explain
from convia.pipeline import files, made_of
from convia.symbolic import symbolic_leaves


class Dataset(Flow):
    """Elements that can be iterated over as often as one likes; each method makes another dataset."""

    def _new(self, start: Start, count: int, *rest: Any) -> "Dataset":
        return Dataset(start, count, *rest)

    def _then(self, start: Start, count: int = UNKNOWN, batched: bool = False) -> "Dataset":
        """Make a dataset of this one's elements."""
        made: Dataset = self._labelled(Dataset(start, count, batched=batched))
        return made

    # -- sources ------------------------------------------------------------------------------------------------

    @staticmethod
    def from_tensor_slices(tensors: Any, name: str | None = None) -> "Dataset":
        """Make a dataset of the rows of tensors, in nested tuples and dicts.

        Raises:
            ValueError: tensors of different lengths.
        """
        if symbolic_leaves(tensors):
            return pending(Dataset.from_tensor_slices, tensors)  # type: ignore[return-value]
        rows, count = elements.rows_of(tensors)
        read = functools.partial(elements.named_rows, rows)
        return Dataset(lambda: iter(range(count)), count, read, read)

    @staticmethod
    def from_tensors(tensors: Any, name: str | None = None) -> "Dataset":
        """Make a dataset of one element."""
        element = elements.as_element(tensors)
        return Dataset(lambda: iter([element]), 1)

    @staticmethod
    def from_generator(
        generator: Callable[..., Any],
        output_types: Any = None,
        output_shapes: Any = None,
        args: Any = None,
        output_signature: Any = None,
        name: str | None = None,
    ) -> "Dataset":
        """Make a dataset of what a function's iterator yields; it is called anew at each iteration.

        Args:
            generator: a function; ``args`` are passed to it as arrays.
            output_signature: the elements' specifications; or ``output_types`` and ``output_shapes``.

        Raises:
            TypeError: not a function, or neither types nor a signature.
        """
        if not callable(generator):
            remedy = "Pass the function itself, or lambda: the_generator."
            raise TypeError(explain("Dataset.from_generator", repr(type(generator)), "a function", remedy))
        if output_types is None and output_signature is None:
            raise TypeError(explain("Dataset.from_generator", "no types", "output_signature or output_types"))
        signature = elements.signature_of(output_types, output_shapes) if output_signature is None else output_signature
        given_args = [np.asarray(given(arg)) for arg in args or ()]
        dataset = Dataset(lambda: (elements.matching(item, signature) for item in generator(*given_args)))
        dataset._spec = signature
        return dataset

    @staticmethod
    def range(*args: Any, output_type: Any = "int64", name: str | None = None) -> "Dataset":
        """Make a dataset of whole numbers, as Python's range has them."""
        values = range(*map(number, args))
        kind = as_dtype(output_type).torch
        return Dataset(lambda: (torch.tensor(value, dtype=kind) for value in values), len(values))

    @staticmethod
    def list_files(
        file_pattern: Any, shuffle: bool | None = None, seed: Any = None, name: str | None = None
    ) -> "Dataset":
        """Make a dataset of the names of files that match patterns, in random order unless ``shuffle=False``.

        Raises:
            ValueError: no file matches.
        """
        patterns = np.atleast_1d(np.asarray(StringTensor(file_pattern).array, dtype=object)).ravel()
        names = sorted({name for pattern in patterns for name in glob.glob(pattern.decode())})
        if not names:
            received = f"the pattern {[p.decode() for p in patterns]}"
            raise ValueError(explain("Dataset.list_files", received, "one that some files match"))
        found = Dataset.from_tensor_slices(names)
        return found if shuffle is False else found.shuffle(len(names), seed)

    @staticmethod
    def zip(*args: Any, datasets: Any = None, name: str | None = None) -> "Dataset":
        """Make a dataset of tuples of the elements of several, as long as the shortest; nested ones too."""
        structure = datasets if datasets is not None else args[0] if len(args) == 1 else args
        parts = elements.leaves(structure)
        if not all(isinstance(part, Dataset) for part in parts):
            received = [type(part).__name__ for part in parts]
            raise TypeError(explain("Dataset.zip", received, "datasets, in tuples and dicts"))

        def start() -> Iterator[Any]:
            for items in zip(*parts, strict=False):
                values = iter(items)
                yield elements.walk(lambda _: next(values), structure)  # noqa: B023

        counts = [part._count for part in parts]
        known = [count for count in counts if count != INFINITE]
        count = UNKNOWN if UNKNOWN in counts else min(known) if known else INFINITE
        zipped = Dataset(start, count, batched=all(part._batched for part in parts))
        zipped._sources = tuple(parts)
        return zipped

    @staticmethod
    def random(seed: Any = None, rerandomize_each_iteration: bool | None = None, name: str | None = None) -> "Dataset":
        """Make an endless dataset of random whole numbers."""

        def start() -> Iterator[Any]:
            source = np.random.default_rng(None if seed is None else int(seed))
            while True:
                yield torch.tensor(int(source.integers(2**32)))

        return Dataset(start, INFINITE)

    @staticmethod
    def counter(start: int = 0, step: int = 1, dtype: Any = "int64", name: str | None = None) -> "Dataset":
        """Make an endless dataset of start, start + step, …"""
        kind = as_dtype(dtype).torch
        return Dataset(lambda: (torch.tensor(i, dtype=kind) for i in itertools.count(start, step)), INFINITE)

    @staticmethod
    def sample_from_datasets(
        datasets: Any, weights: Any = None, seed: Any = None, stop_on_empty_dataset: bool = False, **ignored: Any
    ) -> "Dataset":
        """Make a dataset of elements of several, chosen at random with the given weights."""
        shares = [1.0] * len(datasets) if weights is None else [float(w) for w in np.asarray(weights)]

        def start() -> Iterator[Any]:
            source = np.random.default_rng(seed if seed is not None else draw_seed())
            return pipeline.sampled([iter(d) for d in datasets], shares, source, stop_on_empty_dataset)

        sampled = Dataset(start)
        sampled._sources = tuple(datasets)
        return sampled

    @staticmethod
    def choose_from_datasets(datasets: Any, choice_dataset: Any, stop_on_empty_dataset: bool = True) -> "Dataset":
        """Make a dataset of elements of several, in the order of numbers in another dataset."""

        def start() -> Iterator[Any]:
            sources = [iter(dataset) for dataset in datasets]
            for choice in choice_dataset:
                item = next(sources[int(choice)], None)
                if item is not None:
                    yield item
                elif stop_on_empty_dataset:
                    return

        chosen = Dataset(start)
        chosen._sources = (*datasets, choice_dataset)
        return chosen

    # -- transformations of elements ----------------------------------------------------------------------------

    def map(
        self,
        map_func: Callable[..., Any],
        num_parallel_calls: Any = None,
        deterministic: bool | None = None,
        synchronous: bool | None = None,
        use_unbounded_threadpool: bool = False,
        name: str | None = None,
    ) -> "Dataset":
        """Yield map_func(*element), in order; by threads where ``num_parallel_calls`` allows it."""
        calls = None if num_parallel_calls is None else number(num_parallel_calls)
        work = _on_element(map_func)

        def start(skip: int = 0) -> Iterator[Any]:
            found = map(self._element, self._after(skip))
            return pipeline.mapped(lambda element: made_of(work(element), files(element)), found, calls)

        mapped = self._then(start, self._count, self._batched)
        mapped._skip = start
        return mapped

    def filter(self, predicate: Callable[..., Any], name: str | None = None) -> "Dataset":
        """Yield the elements of which a function is true."""
        holds = _on_element(predicate)
        return self._then(lambda: (e for e in self if bool(holds(e))), UNKNOWN, self._batched)

    def take_while(self, predicate: Callable[..., Any], name: str | None = None) -> "Dataset":
        """Yield elements up to the first of which a function is false."""
        holds = _on_element(predicate)
        return self._then(lambda: itertools.takewhile(lambda e: bool(holds(e)), iter(self)))

    def flat_map(self, map_func: Callable[..., Any], name: str | None = None) -> "Dataset":
        """Yield the elements of the datasets that a function returns, one dataset after the other."""
        work = _on_element(map_func)
        return self._then(lambda: itertools.chain.from_iterable(work(element) for element in self))

    def interleave(
        self,
        map_func: Callable[..., Any],
        cycle_length: Any = None,
        block_length: Any = None,
        num_parallel_calls: Any = None,
        deterministic: bool | None = None,
        name: str | None = None,
    ) -> "Dataset":
        """Yield blocks of elements of the datasets that a function returns, of ``cycle_length`` of them in turn."""
        work = _on_element(map_func)
        cycle = 8 if cycle_length is None or number(cycle_length) < 1 else number(cycle_length)
        block = 1 if block_length is None else number(block_length)
        return self._then(lambda: pipeline.interleaved((work(e) for e in self), cycle, block))

    def batch(
        self,
        batch_size: Any,
        drop_remainder: Any = False,
        num_parallel_calls: Any = None,
        deterministic: bool | None = None,
        name: str | None = None,
    ) -> "Dataset":
        """Join so many elements along a new first axis; the last batch may be smaller unless it is dropped.

        Raises:
            ValueError: a batch of no elements; when iterating, elements of different shapes.
        """
        if symbolic_leaves(batch_size):
            return pending(self.batch, batch_size, drop_remainder)  # type: ignore[return-value]
        size, drop = number(batch_size), bool(drop_remainder)
        if size < 1:
            raise ValueError(explain("Dataset.batch, argument 'batch_size'", size, "a whole number ≥ 1"))
        join = self._gather or (lambda raw: elements.stacked([self._element(item) for item in raw]))
        grouped = self._grouped(lambda: map(join, pipeline.chunks(self._start(), size, drop)), size, drop)
        grouped._skip = lambda skip: map(join, pipeline.chunks(self._after(skip * size), size, drop))
        return grouped

    def padded_batch(
        self,
        batch_size: Any,
        padded_shapes: Any = None,
        padding_values: Any = None,
        drop_remainder: Any = False,
        name: str | None = None,
    ) -> "Dataset":
        """Join elements of different shapes, filled up to the greatest of the batch or to given shapes."""
        size, drop = number(batch_size), bool(drop_remainder)
        join = functools.partial(elements.padded, shapes=padded_shapes, values=padding_values)
        return self._grouped(lambda: map(join, pipeline.chunks(iter(self), size, drop)), size, drop)

    def _grouped(self, start: Start, size: int, drop: bool) -> "Dataset":
        total = self._count if self._count < 0 else self._count // size if drop else math.ceil(self._count / size)
        return self._then(start, total, not drop)

    def unbatch(self, name: str | None = None) -> "Dataset":
        """Yield the rows of the elements."""

        def start() -> Iterator[Any]:
            for element in self:
                rows, count = elements.rows_of(element)
                names = files(element) if len(files(element)) == count else ()
                yield from (made_of(elements.taken(rows, i), names[i : i + 1]) for i in range(count))

        return self._then(start)

    def rebatch(self, batch_size: Any, drop_remainder: bool = False, name: str | None = None) -> "Dataset":
        """Yield batches of another size."""
        return self.unbatch().batch(batch_size, drop_remainder)

    def window(
        self, size: Any, shift: Any = None, stride: Any = 1, drop_remainder: bool = False, name: str | None = None
    ) -> "Dataset":
        """Yield windows over the elements, each a dataset (or a tuple or dict of datasets) itself."""
        length, step = number(size), number(stride)
        move = length if shift is None else number(shift)

        def start() -> Iterator[Any]:
            for group in pipeline.groups(iter(self), length, move, step, drop_remainder):
                yield elements.walk(lambda *parts: Dataset(lambda: iter(parts), len(parts)), *group)

        return self._then(start)

    def enumerate(self, start: Any = 0, name: str | None = None) -> "Dataset":
        """Yield (number, element)."""
        first = number(start)
        return self._then(lambda: ((torch.tensor(i), e) for i, e in enumerate(self, first)), self._count)

    def scan(self, initial_state: Any, scan_func: Callable[..., Any], name: str | None = None) -> "Dataset":
        """Yield the second of ``state, value = scan_func(state, element)``."""

        def start() -> Iterator[Any]:
            state = elements.as_element(initial_state)
            for element in self:
                state, value = scan_func(state, element)
                yield elements.as_element(value)

        return self._then(start, self._count)

    def unique(self, name: str | None = None) -> "Dataset":
        """Yield each different element once."""

        def start() -> Iterator[Any]:
            seen: set[Any] = set()
            for element in self:
                key = repr(elements.plain(element))
                if key not in seen:
                    seen.add(key)
                    yield element

        return self._then(start)

    def apply(self, transformation_func: Callable[["Dataset"], Any]) -> Any:
        """Return a function of the dataset."""
        return transformation_func(self)

    def make_one_shot_iterator(self) -> Any:
        """TensorFlow 1's iterator: ``get_next()`` returns the next element, in a graph that of each run."""
        return one_shot(self)

    def make_initializable_iterator(self, shared_name: Any = None) -> Any:
        """TensorFlow 1's iterator that begins when its ``initializer`` is run."""
        return initializable(self)

    def reduce(self, initial_state: Any, reduce_func: Callable[..., Any], name: str | None = None) -> Any:
        """Return the last of ``state = reduce_func(state, element)``."""
        state = elements.as_element(initial_state)
        for element in self:
            state = elements.as_element(reduce_func(state, element))
        return state


def _on_element(function: Callable[..., Any]) -> Callable[[Any], Any]:
    """A function of an element's parts, called with an element; a tuple is spread over the arguments."""

    def call(element: Any) -> Any:
        is_spread = isinstance(element, tuple) and not hasattr(element, "_fields")
        with busy():
            return elements.as_element(_as_tuple(function(*element) if is_spread else function(element)))

    return call


def _as_tuple(result: Any) -> Any:
    """A list of tensors is a tensor to tf.data; one of tensors that do not fit together is a tuple."""
    is_list = isinstance(result, list) and len({getattr(part, "shape", None) for part in result}) > 1
    return tuple(result) if is_list else result


def of_batches(source: Any, **attributes: Any) -> Dataset:
    """Make a dataset of anything that yields batches and can be iterated over again, such as a folder of images.

    Its public attributes (``class_names``, ``file_paths``) are the dataset's too.
    """
    count = len(source) if hasattr(source, "__len__") else UNKNOWN
    made = Dataset(lambda: map(elements.as_element, iter(source)), count, batched=True)
    own = {name: value for name, value in vars(source).items() if not name.startswith("_")}
    made.__dict__.update({**own, **attributes})
    made._sources = (source,)
    return made


__all__ = ["Dataset", "of_batches"]
