"""How elements flow: shuffled through a buffer, mapped by threads, fetched ahead, interleaved, in windows."""

import itertools
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from convia import random

AUTOTUNE = -1
INFINITE = -1
UNKNOWN = -2
_TRIED = 8  # elements that are mapped one after the other, to see whether threads are worth it …
_WORTHWHILE = 3e-4  # … which they are for functions that take so many seconds
_END = object()


def through_buffer(source: Iterable[Any], size: int, chance: np.random.Generator) -> Iterator[Any]:
    """Yield what the source yields in another order: each from a buffer of the next ``size`` elements."""
    iterator = iter(source)
    buffer = list(itertools.islice(iterator, size))
    for item in iterator:
        place = int(chance.integers(len(buffer)))
        ready, buffer[place] = buffer[place], item
        yield ready
    chance.shuffle(buffer)
    yield from buffer


def permuted(count: int, chance: np.random.Generator) -> Iterator[int]:
    """Yield 0 to count − 1 in random order: what a buffer for all of them amounts to."""
    return iter(chance.permutation(count).tolist())


def mapped(function: Callable[[Any], Any], source: Iterable[Any], calls: Any) -> Iterator[Any]:
    """Yield function(element) in order; computed by threads if so many calls may run at once and are worth it."""
    iterator = iter(source)
    threads = (os.cpu_count() or 1) if calls == AUTOTUNE else int(calls or 1)
    if threads < 2:
        yield from map(_without_gradient(function), iterator)
        return
    work, start, count, draws = _without_gradient(function), 0.0, 0, False
    for count, item in enumerate(itertools.islice(iterator, _TRIED), 1):  # noqa: B007
        begin, marks = time.perf_counter(), random.marks()
        result = work(item)
        start += time.perf_counter() - begin
        draws |= marks != random.marks()
        yield result
    if count < _TRIED:
        return
    if draws or start / count < _WORTHWHILE:  # a seed repeats what is drawn in order
        yield from map(work, iterator)
        return
    yield from _ahead(lambda pool: (pool.submit(work, item) for item in iterator), threads, 2 * threads)


def _without_gradient(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def call(item: Any) -> Any:
        with torch.no_grad():
            return function(item)

    return call


def fetched(source: Callable[[], Iterator[Any]], size: int) -> Iterator[Any]:
    """Yield what the source yields; a thread computes the next elements meanwhile.

    Not where a seed was set and elements are drawn at random: it would draw in between what the training draws.
    """
    iterator, marks = source(), random.marks()
    first = next(iterator, _END)
    if first is _END or marks != random.marks():
        yield from itertools.chain([] if first is _END else [first], iterator)
        return

    def submit(pool: ThreadPoolExecutor) -> Iterator[Future[Any]]:
        known: Future[Any] = Future()
        known.set_result(first)
        yield known
        while True:
            yield pool.submit(next, iterator, _END)

    yield from _ahead(submit, 1, size)


def _ahead(submit: Callable[[ThreadPoolExecutor], Iterator[Future[Any]]], threads: int, size: int) -> Iterator[Any]:
    """Yield the results of submitted work in order, with so much of it in advance."""
    pool = ThreadPoolExecutor(threads)
    try:
        futures = submit(pool)
        waiting = deque(itertools.islice(futures, size))
        while waiting:
            result = waiting.popleft().result()
            if result is _END:
                return
            waiting.extend(itertools.islice(futures, 1))
            yield result
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def interleaved(sources: Iterable[Iterable[Any]], cycle: int, block: int) -> Iterator[Any]:
    """Yield blocks of elements of ``cycle`` sources in turn; a source that ends is replaced by the next one."""
    waiting = iter(sources)
    open_ones: list[Iterator[Any] | None] = [iter(source) for source in itertools.islice(waiting, cycle)]
    place = 0
    while open_ones:
        current = open_ones[place]
        assert current is not None
        items = list(itertools.islice(current, block))
        yield from items
        if len(items) < block:
            following = next(waiting, None)
            if following is None:
                del open_ones[place]
                place = place % len(open_ones) if open_ones else 0
                continue
            open_ones[place] = iter(following)
        place = (place + 1) % len(open_ones)


def groups(source: Iterable[Any], size: int, shift: int, stride: int, drop: bool) -> Iterator[list[Any]]:
    """Yield windows of ``size`` elements, every ``stride``-th one, each starting ``shift`` elements after the last."""
    span = (size - 1) * stride + 1
    iterator, window = iter(source), deque[Any]()
    while True:
        window.extend(itertools.islice(iterator, span - len(window)))
        if not window or (drop and len(window) < span):
            return
        yield list(itertools.islice(window, 0, None, stride))
        for _ in range(shift):
            if window:
                window.popleft()
            elif next(iterator, _END) is _END:
                return


def chunks(source: Iterable[Any], size: int, drop: bool) -> Iterator[list[Any]]:
    """Yield lists of ``size`` elements; the last one may be shorter unless it is dropped."""
    iterator = iter(source)
    while chunk := list(itertools.islice(iterator, size)):
        if len(chunk) < size and drop:
            return
        yield chunk


def sampled(sources: list[Iterator[Any]], weights: list[float], random: Any, stop_when_empty: bool) -> Iterator[Any]:
    """Yield elements of sources chosen at random until all are used up, or one is."""
    left, shares = list(sources), list(weights)
    while left:
        place = int(random.choice(len(left), p=np.asarray(shares) / sum(shares)))
        item = next(left[place], _END)
        if item is not _END:
            yield item
        elif stop_when_empty:
            return
        else:
            del left[place], shares[place]


def repeated(start: Callable[[], Iterator[Any]], count: int | None) -> Iterator[Any]:
    """Yield the elements so many times, or for ever; nothing when there are none."""
    for _ in itertools.count() if count is None else range(count):
        empty = True
        for item in start():
            empty = False
            yield item
        if empty:
            return
