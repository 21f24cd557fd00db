"""Waiting images share batches; who waits too long, or finds no room, is told so."""

import asyncio
import threading
import time

import pytest

from convia.serve import Limits, Refused
from convia.serve.batching import Batcher
from convia.serve.metrics import Metrics


class Slow:
    """A model that notes its batches and waits for permission."""

    def __init__(self, seconds=0.0):
        self.sizes, self.seconds, self.may_go = [], seconds, threading.Event()
        self.may_go.set()

    def predict(self, images):
        self.sizes.append(len(images))
        self.may_go.wait(5)
        time.sleep(self.seconds)
        if any(image < 0 for image in images):
            raise RuntimeError("broken")
        return [2 * image for image in images]


def run(job, slow, **limits):
    async def whole():
        batcher = Batcher(slow.predict, Limits(**limits), Metrics())
        batcher.start()
        try:
            return await job(batcher)
        finally:
            slow.may_go.set()
            await batcher.close()

    return asyncio.run(asyncio.wait_for(whole(), 20))


def test_waiting_images_share_batches():
    slow = Slow(0.02)

    async def job(batcher):
        return await asyncio.gather(*(batcher.predict([number]) for number in range(20)))

    assert run(job, slow, batch=8) == [[2 * number] for number in range(20)]
    assert sum(slow.sizes) == 20 and max(slow.sizes) == 8 and len(slow.sizes) <= 4


def test_a_lone_request_does_not_wait():
    async def job(batcher):
        began = time.perf_counter()
        await batcher.predict([1])
        return time.perf_counter() - began

    assert run(job, Slow(), wait=3000) < 1.5


def test_a_batch_waits_for_what_is_coming():
    slow = Slow()

    async def job(batcher):
        batcher.coming = 1
        first = asyncio.create_task(batcher.predict([1]))
        await asyncio.sleep(0.05)
        await batcher.predict([2])
        return await first

    assert run(job, slow, wait=5000, batch=2) == [2] and slow.sizes == [2]


def test_clients_who_ask_again_are_waited_for():
    """Two who ask in turn get batches of two; when one has gone, the other waits for it once."""
    slow = Slow()

    async def asks(batcher, times):
        for _ in range(times):
            await batcher.predict([1])
            await asyncio.sleep(0.01)

    async def job(batcher):
        await asyncio.gather(asks(batcher, 6), asks(batcher, 3))

    run(job, slow, wait=200)
    assert slow.sizes == [2, 2, 2, 1, 1, 1]


def test_a_full_queue_refuses():
    slow = Slow()
    slow.may_go.clear()

    async def job(batcher):
        first = asyncio.create_task(batcher.predict([1]))
        await asyncio.sleep(0.05)
        second = asyncio.create_task(batcher.predict([2, 3]))
        await asyncio.sleep(0.05)
        with pytest.raises(Refused, match="2 images waiting") as refused:
            await batcher.predict([4])
        slow.may_go.set()
        return refused.value.status, await first, await second

    assert run(job, slow, queue=2) == (503, [2], [4, 6])


def test_too_slow_an_answer():
    slow = Slow()
    slow.may_go.clear()

    async def job(batcher):
        with pytest.raises(Refused, match=r"no answer within 0.1 s") as refused:
            await batcher.predict([1])
        late = asyncio.create_task(batcher.predict([5]))
        with pytest.raises(Refused):  # it is not even begun
            await late
        slow.may_go.set()
        await asyncio.sleep(0.1)
        return refused.value.status, await batcher.predict([7])

    assert run(job, slow, seconds=0.1) == (504, [14])
    assert sum(slow.sizes) == 2  # 1 and 7: nobody waited for 5 any more


def test_a_failure_concerns_its_batch_only():
    async def job(batcher):
        with pytest.raises(RuntimeError, match="broken"):
            await batcher.predict([-1])
        return await batcher.predict([3])

    assert run(job, Slow()) == [6]


def test_what_was_begun_is_finished_at_the_end():
    slow = Slow(0.05)

    async def job(batcher):
        asked = [asyncio.create_task(batcher.predict([number])) for number in range(6)]
        await asyncio.sleep(0.02)
        await batcher.close()
        with pytest.raises(Refused):
            await batcher.predict([9])
        return await asyncio.gather(*asked)

    assert run(job, slow, batch=2) == [[2 * number] for number in range(6)]
