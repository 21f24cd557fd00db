"""Batches of images begun before they are asked for, and made by threads.

What is left to chance is drawn in the caller's thread, in Keras's order, from NumPy's global generator. Drawing for a
later batch changes that generator, so its state is put back, and compared when the batch is asked for: a program that
draws from it meanwhile, or changes a setting, gets what it would have got without.
"""

import functools
import math
import os
import sys
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import zip_longest
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from convia import distributed
from convia.images import device
from convia.images.effects import Mixture

Array = npt.NDArray[Any]
Read = Callable[[int], Any]  # an image's number → the image, or the error that kept it from being read
_VALUES = 2**17  # of images in memory that a task has at least
_TASKS = 4  # per thread and batch


@functools.cache
def threads(process: int) -> ThreadPoolExecutor:
    """Return the threads of a process; a forked one makes its own."""
    return ThreadPoolExecutor(min(os.cpu_count() or 1, 16), "convia-images")


def is_light(count: int, shape: tuple[int, ...]) -> bool:
    """Whether so many images in memory are so few that one task makes them."""
    return count * math.prod(shape) <= _VALUES


class Batch:
    """A batch that is being made.

    Args:
        generator: an ImageDataGenerator, what looks like one, or None.
        order: numbers of the images.
        read: all images as an array; or returns one by its number, which must not be changed, or an error.
        shape: of each image.
        dtype: that images are changed in.
        divides: whether processes that ask for it together make each their rows of it, and exchange them.
    """

    def __init__(
        self, generator: Any, order: Array, read: Read | Array, shape: tuple[int, ...], dtype: Any,
        divides: bool = False,
    ) -> None:  # fmt: skip
        self.order, self._read, self._generator = order, read, generator
        self.pixels: Any = device.buffer((len(order), *shape), dtype)
        self.errors: dict[int, Exception] = {}  # by place in the batch
        self.mixture: Mixture | None = None
        self._divides = divides
        self._parts: list[slice] = []
        self._tasks: list[Future[None]] = []
        pool = threads(os.getpid())
        if generator is not None and not getattr(generator, "draws_ahead", False):
            self._divides = False  # what functions of the user's draw depends on all that was drawn before
            self._make_in_turn(pool)
            return
        self._drawn = generator.draw(shape, len(order)) if generator is not None else {}
        in_memory = isinstance(read, np.ndarray)
        divided = divides and distributed.is_together()
        self._own = own = distributed.share(len(order)) if divided else slice(0, len(order))
        count = own.stop - own.start
        size = -(-count // (_TASKS * getattr(pool, "_max_workers", 1)))
        size = max(1, size, _VALUES // max(math.prod(shape), 1) if in_memory else 0)
        self._parts = [slice(k, min(k + size, own.stop)) for k in range(own.start, own.stop, size)]
        if not in_memory or len(self._parts) > 1:  # else to hand the work over would take longer than to do it
            self._tasks = [pool.submit(self._make, part) for part in self._parts]

    def _make(self, part: slice) -> None:
        """Read and change some of the images, in a thread."""
        read, numbers = self._read, self.order[part]
        images: Any = read[numbers] if isinstance(read, np.ndarray) else [read(int(j)) for j in numbers]
        bad = {k: image for k, image in enumerate(images) if isinstance(image, Exception)}
        out, drawn = self.pixels[part], {name: column[part] for name, column in self._drawn.items()}
        if not bad:
            self._change(images, drawn, out)
            return
        self.errors.update({part.start + k: error for k, error in bad.items()})
        good = [k for k in range(len(images)) if k not in bad]
        whole = np.empty((len(good), *out.shape[1:]), out.dtype)
        self._change([images[k] for k in good], {name: column[good] for name, column in drawn.items()}, whole)
        out[good] = whole

    def _change(self, images: Any, drawn: dict[str, Array], out: Array) -> None:
        if self._generator is not None:
            self._generator.change(images, drawn, out)
            return
        for k, image in enumerate(images):
            out[k] = image

    def _make_in_turn(self, pool: ThreadPoolExecutor) -> None:
        """Change image after image, for a generator with functions of the user's, which may draw on their own."""
        generator, shape = self._generator, self.pixels.shape[1:]
        read = self._read.__getitem__ if isinstance(self._read, np.ndarray) else self._read
        for k, image in enumerate(pool.map(read, map(int, self.order))):
            drawn = generator.get_random_transform(shape)
            if isinstance(image, Exception):
                self.errors[k] = image
            else:
                own = np.array(image, self.pixels.dtype)
                self.pixels[k] = generator.standardize(generator.apply_transform(own, drawn))

    def wait(self) -> Array:
        """Return the places of the images that could be read, when all are made; make those not yet begun."""
        for part, task in zip_longest(self._parts, self._tasks):
            if task is None or task.cancel():
                self._make(part)
            else:
                task.result()
        self._complete()
        if not self.errors:
            return np.arange(len(self.order))
        return np.array([k for k in range(len(self.order)) if k not in self.errors], int)

    def _complete(self) -> None:
        """Get the rows that other processes have made; where they do not wait for that, make them."""
        if not self._divides:
            return
        begun = self._own.stop - self._own.start
        if not distributed.is_together():
            rest = [slice(0, self._own.start), slice(self._own.stop, len(self.order))]
            for part in rest if begun < len(self.order) else ():
                self._make(part)
            return
        found = distributed.gather((begun, self.errors))
        if min(count for count, _ in found) < len(self.order):
            distributed.fill(torch.from_numpy(self.pixels))
        self.errors = {place: error for _, errors in found for place, error in errors.items()}

    def cancel(self) -> None:
        """Do not begin what has not been begun."""
        for task in self._tasks:
            task.cancel()


class DeviceBatch(Batch):
    """A batch that threads only read; it is changed on a device when it is waited for.

    Args:
        where: the device. made: the type of the images there, by name.
    """

    def __init__(self, *given: Any, where: Any, made: str) -> None:
        self._where, self._made = where, made
        super().__init__(*given)

    def _change(self, images: Any, drawn: dict[str, Array], out: Array) -> None:
        for k, image in enumerate(images):
            out[k] = image

    def wait(self) -> Array:
        """Return the places of the images that could be read; ``pixels`` are these images alone."""
        places = super().wait()
        whole = len(places) == len(self.order)
        pixels = self.pixels if whole else self.pixels[places]
        drawn = {name: column[places] for name, column in self._drawn.items()}
        self.pixels = device.make(pixels, self._generator, drawn, self._where, self._made)
        return places


class _Begun:
    """A batch, with the states of the iterator before and after it."""

    def __init__(self, request: Any, before: Any, batch: Any, after: Any) -> None:
        self.request, self.before, self.batch, self.after = request, before, batch, after
        self.process = os.getpid()


class Ahead:
    """The batches of an iterator that have been begun.

    Args:
        begin: begins the batch of a request (a number within the epoch; None for the next) and goes on to the
            state after it.
        state: returns the iterator's state: what must be equal for a batch to be the right one, and the rest.
        restore: sets it.
        following: returns the request that is likely to come after one, or () if none is.
    """

    def __init__(
        self,
        begin: Callable[[Any], Any],
        state: Callable[[], Any],
        restore: Callable[[Any], None],
        following: Callable[[Any], Any],
    ) -> None:
        self._begin, self._state, self._restore, self._following = begin, state, restore, following
        self._queue: deque[_Begun] = deque()
        self._lost: Counter[Any] = Counter()  # how often a request's batch was begun in vain

    def take(self, request: Any, depth: int) -> Any:
        """Return the batch of a request, and begin up to ``depth`` further ones."""
        first = self._queue[0] if self._queue else None
        is_right = first is not None and first.request == request and first.process == os.getpid()
        if first is not None and is_right and _equal(first.before[0], self._state()[0]):
            self._queue.popleft()
            self._restore(first.after)
            batch = first.batch
        else:
            self._lost[request] += is_right
            self.drop()
            batch = self._begin(request)
        self.prepare(self._queue[-1].request if self._queue else request, depth)
        return batch

    def prepare(self, request: Any, depth: int) -> None:
        """Begin the batches that are likely to follow a request, until there are ``depth``."""
        if len(self._queue) >= depth or sys.is_finalizing():
            return
        now = self._state()
        try:
            if self._queue:
                self._restore(self._queue[-1].after)
            while len(self._queue) < depth and (request := self._following(request)) != () and self._lost[request] < 3:
                before = self._state()
                batch = self._begin(request)
                self._queue.append(_Begun(request, before, batch, self._state()))
        finally:
            self._restore(now)

    def drop(self) -> None:
        """Forget what has been begun."""
        for begun in self._queue:
            begun.batch.cancel()
        self._queue.clear()


def _equal(one: Any, other: Any) -> bool:
    """Whether two states are: the same objects, or equal numbers, throughout."""
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one is other or (one.dtype == other.dtype and np.array_equal(one, other))
    return one is other or (isinstance(one, (int, float, str)) and type(one) is type(other) and one == other)
