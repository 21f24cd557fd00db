"""Batches made in the background are those made without; decoded images are kept within their budget."""

import gc
import mmap
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convia.images import ahead, cache
from convia.images.cache import Cache
from convia.images.decode import decode
from convia.preprocessing.image import ImageDataGenerator

RNG = np.random.default_rng(0)
FULL = {
    "rotation_range": 30,
    "zoom_range": 0.3,
    "channel_shift_range": 20,
    "brightness_range": (0.5, 1.5),
    "horizontal_flip": True,
    "noise_range": 5,
    "mixup_alpha": 0.3,
}
BIG = RNG.integers(0, 256, (40, 64, 64, 3)).astype(np.float32)  # enough for several tasks


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    for k in range(22):
        place = root / "abc"[k % 3]
        place.mkdir(exist_ok=True)
        Image.fromarray(RNG.integers(0, 256, (30, 40, 3)).astype("uint8")).save(place / f"{k}.jpg")
    return str(root)


def flow_of(source, seed, **options):
    made = ImageDataGenerator(**FULL)
    if isinstance(source, str):
        return made.flow_from_directory(source, (20, 24), batch_size=4, seed=seed, **options)
    return made.flow(source, np.eye(len(source)), batch_size=16, seed=seed, **options)


def as_next(flow):
    return [next(flow) for _ in range(2 * len(flow) + 1)]


def as_fit(flow):
    """As ``fit`` goes through epochs."""
    found = []
    for _ in range(3):
        found += [flow[k] for k in range(len(flow))]
        flow.on_epoch_end()
    return found


def as_one_pleases(flow):
    found = [flow[1], flow[0]]
    np.random.random()
    found += [next(flow), flow[1]]
    flow.reset()
    flow.image_data_generator.rotation_range = 5
    found.append(next(flow))
    np.random.seed(9)
    return [*found, next(flow), next(flow)]


def results(walk, source, seed, **options):
    np.random.seed(77)
    batches = walk(flow_of(source, seed, **options))
    return batches, np.random.random()


@pytest.mark.parametrize("walk", [as_next, as_fit, as_one_pleases])
@pytest.mark.parametrize("seed", [None, 5])
@pytest.mark.parametrize("kind", ["folder", "array"])
def test_nothing_but_time_depends_on_the_background(walk, seed, kind, folder):
    source = folder if kind == "folder" else BIG
    truth, after = results(walk, source, seed, prefetch=0)
    ways = [{"prefetch": 1}, {"prefetch": 3}]
    if kind == "folder":
        ways = [{"cache": where, "prefetch": depth} for where in ("disk", "memory", None) for depth in (0, 2)]
    for options in ways:
        mine, drawn = results(walk, source, seed, **options)
        assert drawn == after
        assert all(
            (a == b).all() for one, other in zip(mine, truth, strict=True) for a, b in zip(one, other, strict=True)
        )


def test_batches_are_begun_before_they_are_asked_for():
    flow = flow_of(BIG, 1)
    flow[0]
    assert [begun.request for begun in flow._ahead._queue] == [1, 2]
    begun = flow._ahead._queue[0].batch
    assert flow[1][0].shape[0] == len(begun.order)
    assert flow._ahead._queue[0].request == 2


def test_what_is_begun_in_vain_is_not_begun_for_ever():
    flow = flow_of(BIG, None)
    for _ in range(5):
        np.random.random()
        next(flow)
    assert flow._ahead._lost[None] == 3
    assert not flow._ahead._queue


def test_threads_do_not_change_pixels(monkeypatch):
    truth = flow_of(BIG, 3)[0][0]
    for workers in (1, 7):
        with ahead.ThreadPoolExecutor(workers) as pool:
            monkeypatch.setattr(ahead, "threads", lambda process, pool=pool: pool)
            assert (flow_of(BIG, 3)[0][0] == truth).all()


def test_users_functions_run_in_the_callers_thread_when_asked():
    seen = []
    made = ImageDataGenerator(preprocessing_function=lambda x: seen.append(threading.current_thread()) or x)
    flow = made.flow(BIG, batch_size=16)
    flow[0]
    assert {*seen} == {threading.main_thread()}
    assert len(seen) == 16


def open_files():
    return [str(Path(link).readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]


@pytest.mark.parametrize("where, kept, is_on", [("auto", 10, "disk"), ("memory", 4, "memory"), (None, 0, None)])
def test_the_budget(where, kept, is_on):
    images = RNG.integers(0, 256, (10, 6, 5, 3)).astype("uint8")
    kept_images = Cache(10, (6, 5, 3), 4 * 90, where)
    for k in range(10):
        kept_images.put(k, images[k])
    assert (len(kept_images), kept_images.where) == (kept, is_on)
    found = [kept_images.get(k) for k in range(10)]
    assert [image is not None for image in found] == [True] * kept + [False] * (10 - kept)
    assert all((image == images[k]).all() for k, image in enumerate(found) if image is not None)
    assert Cache(4, (6, 5, 3), 4 * 90).where == "memory"


@pytest.mark.skipif(not hasattr(mmap, "MADV_DONTNEED") or not Path("/proc/self/smaps").exists(), reason="Linux only")
def test_a_file_takes_no_more_memory_than_the_budget():
    count, shape = 200, (128, 128, 3)
    budget = count * 128 * 128 * 3 // 10
    kept = Cache(count, shape, budget)

    def resident():
        """Bytes of the map that are in memory."""
        blocks = Path("/proc/self/smaps").read_text().split("VmFlags")
        return sum(int(b.split("Rss:")[1].split()[0]) * 1024 for b in blocks if "/convia-" in b or "/#" in b)

    most = 0
    for k in [*range(count)] * 2:
        if kept.get(k) is None:
            kept.put(k, np.full(shape, k, np.uint8))
        most = max(most, resident()) if k % 5 == 0 else most
    assert 0 < most <= budget
    assert all((kept.get(k) == k).all() for k in range(count))


def test_nothing_stays_on_disk(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    flow = flow_of(folder, 1, cache="disk")
    as_fit(flow)
    assert flow._cache.where == "disk"
    assert not [*tmp_path.iterdir()]  # the file has no name
    del flow
    gc.collect()
    assert not [*tmp_path.iterdir()]


def test_a_full_disk_is_no_error(monkeypatch):
    def full(*given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.os, "posix_fallocate", full, raising=False)
    kept = Cache(10, (6, 5, 3), 4 * 90)
    assert kept.where == "memory"
    for k in range(10):
        kept.put(k, np.zeros((6, 5, 3), np.uint8))
    assert len(kept) == 4


def test_unknown_caches_and_decodings(folder):
    for name, value in (("cache", "ram"), ("decoding", "quick")):
        with pytest.raises(ValueError, match=f"{name}.*'{value}'"):
            ImageDataGenerator().flow_from_directory(folder, **{name: value})


def test_fast_decoding(tmp_path):
    rows, columns = np.mgrid[:400, :600]
    smooth = np.stack([rows * 0.5, columns * 0.4, 128 + 60 * np.sin(rows / 90)], 2).astype("uint8")
    Image.fromarray(smooth).save(tmp_path / "large.jpg", quality=95)
    Image.fromarray(smooth).save(tmp_path / "large.png")
    Image.fromarray(smooth[:110, :110]).save(tmp_path / "small.jpg", quality=95)
    (tmp_path / "broken.jpg").write_bytes((tmp_path / "large.jpg").read_bytes()[:900])
    how = ((100, 100), "bilinear", False)
    for name, is_same in (("large.jpg", False), ("large.png", True), ("small.jpg", True)):
        exact, fast = (np.asarray(decode(str(tmp_path / name), "rgb", *how, quick)).astype(float) for quick in (0, 1))
        assert fast.shape == exact.shape
        assert (fast == exact).all() == is_same
        assert np.abs(fast - exact).max() < 12
    grey = decode(str(tmp_path / "large.jpg"), "grayscale", *how, True)
    assert grey.mode == "L"
    with pytest.raises(OSError, match=r"broken\.jpg"):
        decode(str(tmp_path / "broken.jpg"), "rgb", *how, True)
