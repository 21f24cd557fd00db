"""Files read by threads, in an order: by one process, or each by one of the processes that share a training."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice, repeat
from typing import Any

import numpy as np
import torch

from convia import distributed

THREADS = 4
Attempt = Callable[[int], Any]  # number → pixels, why they cannot be read (an exception), or None
Results = Generator[tuple[int, Any], None, None]


def in_turn(order: Iterable[int], attempt: Attempt, size: int) -> Results:
    """Yield (number, result) in an order, while threads read two batches of ``size`` files ahead.

    Processes that go through the same files together read each a part of every batch, and exchange them.
    """
    return _divided(order, attempt, size) if distributed.is_together() else _alone(order, attempt, size)


def _alone(order: Iterable[int], attempt: Attempt, size: int) -> Results:
    pool = ThreadPoolExecutor(THREADS)
    waiting: deque[tuple[int, Future[Any]]] = deque()
    ahead = 2 * max(size, THREADS)
    try:
        for number in chain(order, repeat(None, ahead)):
            if number is not None:
                waiting.append((number, pool.submit(attempt, number)))
            if waiting and (number is None or len(waiting) > ahead):
                index, future = waiting.popleft()
                yield index, future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _divided(order: Iterable[int], attempt: Attempt, size: int) -> Results:
    pool = ThreadPoolExecutor(THREADS)
    waiting: deque[tuple[list[int], list[Future[Any]]]] = deque()
    ahead = 2 + THREADS // size
    try:
        for window in chain(_windows(order, size), repeat(None, ahead)):
            if window is not None:
                own = window[distributed.share(len(window))]
                waiting.append((window, [pool.submit(attempt, number) for number in own]))
            if waiting and (window is None or len(waiting) > ahead):
                numbers, futures = waiting.popleft()
                yield from zip(numbers, _exchanged(len(numbers), [future.result() for future in futures]), strict=True)
    finally:
        pool.shutdown(cancel_futures=True)


def _windows(order: Iterable[int], size: int) -> Iterator[list[int]]:
    numbers = iter(order)
    while window := [*islice(numbers, size)]:
        yield window


def _exchanged(count: int, own: list[Any]) -> list[Any]:
    """Return the results of all processes for a window of files; arrays have one shape."""
    first = distributed.share(count).start
    errors = {first + k: result for k, result in enumerate(own) if not isinstance(result, np.ndarray)}
    arrays = {first + k: result for k, result in enumerate(own) if isinstance(result, np.ndarray)}
    sample = next(((array.shape, array.dtype.name) for array in arrays.values()), None)
    told = distributed.gather((errors, sample))
    shape, dtype = next((kind for _, kind in told if kind is not None), ((), "float32"))
    whole = np.zeros((count, *shape), dtype)
    for place, array in arrays.items():
        whole[place] = array
    distributed.fill(torch.from_numpy(whole))
    failed = {place: error for part, _ in told for place, error in part.items()}
    return [failed.get(place, whole[place]) for place in range(count)]
