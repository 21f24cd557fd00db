"""ImageDataGenerator against Keras's own, on the same files, in one process and in turns; and the memory it takes.

Printed are the fastest rounds in ms per image, how many times faster convia is, and the least and largest ratio of the
rounds. Without --photos, photographs are drawn: smooth colours with noise, as JPEG. Keras's generator needs SciPy.
Usage: python benchmarks/images.py [--photos FOLDER] [--rounds 4] [--size 224]
"""

import argparse
import contextlib
import io
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import cv2
import numpy as np
from keras.src.legacy.preprocessing import image as keras_image

from convia.preprocessing import image as convia_image

PLAIN = {"rescale": 1 / 255}
FULL = PLAIN | {
    "rotation_range": 40,
    "width_shift_range": 0.2,
    "height_shift_range": 0.2,
    "shear_range": 0.2,
    "zoom_range": 0.2,
    "channel_shift_range": 20.0,
    "brightness_range": (0.7, 1.3),
    "horizontal_flip": True,
}
MEASURE_MEMORY = """
import sys
from pathlib import Path
from convia.preprocessing.image import ImageDataGenerator
def anonymous_and_mapped():
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return sum(int(lines[name].split()[0]) for name in ("RssAnon", "RssFile")) / 1024
folder, budget, cache = sys.argv[1], int(sys.argv[2]), sys.argv[3]
made = ImageDataGenerator(rescale=1 / 255).flow_from_directory(
    folder, target_size=(224, 224), batch_size=4, memory=budget, cache=None if cache == "None" else cache)
most = []
for _ in range(3):
    for k in range(len(made)):
        made[k]
        most.append(anonymous_and_mapped())
print(max(most))
"""


@contextlib.contextmanager
def photographs(folder: str | None) -> Iterator[str]:
    """Yield a folder of photographs in classes: the given one, or 240 that are drawn, 500 × 375 pixels each."""
    if folder:
        yield folder
        return
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as root:
        for number in range(240):
            place = Path(root) / f"class_{number % 12:02d}"
            place.mkdir(exist_ok=True)
            smooth = cv2.resize(rng.integers(0, 256, (12, 16, 3)).astype(np.float32), (500, 375))
            pixels = np.clip(smooth + rng.normal(0, 18, (375, 500, 3)), 0, 255).astype(np.uint8)
            cv2.imwrite(str(place / f"{number:03d}.jpg"), pixels, [cv2.IMWRITE_JPEG_QUALITY, 92])
        yield root


def timed(run: Callable[[], object]) -> float:
    """Return how long a call takes, in seconds."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def epoch(flow: object) -> Callable[[], None]:
    """Return a function that goes through an epoch, at whose end nothing is left to do in the background."""

    def run() -> None:
        for k in range(len(flow)):
            flow[k]

    return run


def report(name: str, ours: list[float], theirs: list[float], count: int) -> None:
    """Print a line."""
    ratios = [their / our for our, their in zip(ours, theirs, strict=True)]
    per_image = [min(times) / count * 1e3 for times in (ours, theirs)]
    print(
        f"{name:24s} convia {per_image[0]:7.3f} ms   Keras {per_image[1]:7.3f} ms   "
        f"{per_image[1] / per_image[0]:5.1f}×  ({min(ratios):.1f} to {max(ratios):.1f})",
        flush=True,
    )


def folders(root: str, rounds: int, size: int) -> None:
    """Measure first and later epochs of a folder; each round has iterators of its own."""
    for name, options in (("plain", PLAIN), ("full", FULL)):
        first: tuple[list[float], list[float]] = ([], [])
        later: tuple[list[float], list[float]] = ([], [])
        for number in range(rounds):
            for kind, module in enumerate((convia_image, keras_image)):
                with contextlib.redirect_stdout(io.StringIO()):
                    flow = module.ImageDataGenerator(**options).flow_from_directory(
                        root, target_size=(size, size), seed=number
                    )
                first[kind].append(timed(epoch(flow)))
                later[kind].append(min(timed(epoch(flow)) for _ in range(3 - 2 * kind)))
        report(f"{name}, first epoch", *first, flow.n)
        report(f"{name}, later epochs", *later, flow.n)


def arrays(rounds: int) -> None:
    """Measure images in memory, as small as MNIST's."""
    x = np.random.default_rng(0).random((3200, 28, 28, 1), np.float32)
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds):
        for kind, module in enumerate((convia_image, keras_image)):
            flow = module.ImageDataGenerator(rotation_range=20).flow(x, np.arange(3200), seed=number)
            times[kind].append(min(timed(epoch(flow)) for _ in range(2)))
    report("arrays 28×28, rotated", *times, len(x))


def memory(root: str) -> None:
    """Print how much more memory a process takes with a budget of a tenth of the decoded images than without any."""
    count = sum(1 for _ in Path(root).glob("*/*"))
    budget = count * 224 * 224 * 3 // 10
    with contextlib.suppress(OSError):  # /proc is Linux's
        found = {}
        for cache in ("None", "auto"):
            command = [sys.executable, "-c", MEASURE_MEMORY, root, str(budget), cache]
            out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            found[cache] = min(float(out.split()[-1]), found.get(cache, float("inf")))
        print(
            f"memory: budget {budget / 2**20:.1f} MiB, decoded images {budget * 10 / 2**20:.1f} MiB; the process takes "
            f"{found['auto'] - found['None']:+.1f} MiB against one that keeps none ({found['None']:.0f} MiB)"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    known = Path(__file__).parents[2] / "shared" / "data" / "photos"
    parser.add_argument("--photos", default=str(known) if known.is_dir() else None)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--size", type=int, default=224)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    with photographs(options.photos) as root:
        folders(root, options.rounds, options.size)
        arrays(options.rounds)
        memory(root)


if __name__ == "__main__":
    main()
