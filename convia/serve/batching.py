"""One thread in which the model runs, and a queue before it: images that arrive meanwhile go through it together."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from convia.serve.limits import Array, Limits, Refused
from convia.serve.metrics import Metrics

T = TypeVar("T")
_BUSY = "as many requests as the service can answer"


class Batcher:
    """Predicts images of many requests in few batches.

    A batch is what waits when the model becomes free. It waits a little for images of requests that have begun to
    arrive (``coming``), and for as many as there were last time: clients who have just got an answer often ask again,
    and two half batches in turn would cost more than one. A lone client waits for nobody.

    Args:
        predict: images → rows, called in a thread of its own.
        limits: sizes of queue and batches, and times.
        metrics: where batches are counted.
    """

    def __init__(self, predict: Callable[[list[Array]], list[Array]], limits: Limits, metrics: Metrics) -> None:
        self._predict, self._limits, self._metrics = predict, limits, metrics
        self._queue: asyncio.Queue[tuple[Array, asyncio.Future[Array]]] = asyncio.Queue()
        self._thread = ThreadPoolExecutor(1, "convia-model")
        self._jobs = 0
        self._worker: asyncio.Task[None] | None = None
        self._is_closed = False
        self._expected = 1  # images that were answered last, and that waited then
        self.coming = 0

    @property
    def waiting(self) -> int:
        """How many images are in the queue."""
        return self._queue.qsize()

    def start(self) -> None:
        """Begin to answer; called within the event loop."""
        self._worker = asyncio.create_task(self._work())

    async def close(self) -> None:
        """Answer what is in the queue, and take nothing more."""
        self._is_closed = True
        if self._worker is not None:
            await self._queue.join()
            self._worker.cancel()
        self._thread.shutdown(wait=True)

    async def predict(self, images: list[Array]) -> list[Array]:
        """Return a row per image.

        Raises:
            Refused: 503 where the queue is full or the service ends, 504 where it takes too long.
        """
        if self._is_closed or self.waiting + len(images) > self._limits.queue:
            raise Refused(503, f"{self.waiting} images waiting", _BUSY, "Try again later.")
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in images]
        for image, future in zip(images, futures, strict=True):
            self._queue.put_nowait((image, future))
        clock = loop.call_later(self._limits.seconds, self._expire, futures)
        try:
            return [await futures[0]] if len(futures) == 1 else await asyncio.gather(*futures)
        finally:
            clock.cancel()

    def _expire(self, futures: list[asyncio.Future[Array]]) -> None:
        for future in futures:
            if not future.done():
                future.set_exception(self._late())

    async def run(self, job: Callable[[], T]) -> T:
        """Run something else with the model, between batches; errors are as of :meth:`predict`."""
        if self._is_closed or self._jobs >= max(1, self._limits.queue // 32):
            raise Refused(503, f"{self._jobs} explanations waiting", _BUSY, "Try again later.")
        self._jobs += 1
        running = asyncio.get_running_loop().run_in_executor(self._thread, job)
        running.add_done_callback(self._ended)
        result: T = await self._in_time(running)
        return result

    def _ended(self, done: Any) -> None:
        self._jobs -= 1
        if not done.cancelled():
            done.exception()  # it was seen, also where nobody waits any more

    async def _in_time(self, awaited: Any) -> Any:
        try:
            return await asyncio.wait_for(awaited, self._limits.seconds)
        except TimeoutError:
            raise self._late() from None

    def _late(self) -> Refused:
        return Refused(504, f"no answer within {self._limits.seconds:g} s", "a quicker model, or fewer images")

    async def _work(self) -> None:
        while True:
            batch = [await self._queue.get()]
            await self._collect(batch)
            taken = len(batch)
            batch = [(image, future) for image, future in batch if not future.done()]  # those nobody waits for any more
            try:
                if batch:
                    await self._answer(batch)
            finally:
                for _ in range(taken):
                    self._queue.task_done()

    async def _collect(self, batch: list[tuple[Array, asyncio.Future[Array]]]) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + self._limits.wait / 1000
        while len(batch) < self._limits.batch:
            if not self._queue.empty():
                batch.append(self._queue.get_nowait())
            elif (self.coming <= 0 and len(batch) >= self._expected) or (left := end - loop.time()) <= 0:
                return
            else:
                try:
                    batch.append(await asyncio.wait_for(self._queue.get(), left))
                except TimeoutError:
                    return

    async def _answer(self, batch: list[tuple[Array, asyncio.Future[Array]]]) -> None:
        self._metrics.batch(len(batch))
        images = [image for image, _ in batch]
        loop = asyncio.get_running_loop()
        try:
            rows: list[Any] = await loop.run_in_executor(self._thread, self._predict, images)
        except Exception as error:
            rows = [error] * len(batch)
        self._expected = len(batch) + self.waiting
        for (_, future), row in zip(batch, rows, strict=True):
            if future.done():
                continue
            if isinstance(row, Exception):
                future.set_exception(row)
            else:
                future.set_result(row)
