"""ImageDataGenerator against Keras's own, on the same files, in one process and in turns; and the memory it takes.

Printed are the fastest rounds in ms per image, how many times faster convia is, and the least and largest ratio of the
rounds. Without --photos, photographs are drawn: smooth colours with noise, as JPEG. Keras's generator needs SciPy.
With --tensorflow, image_dataset_from_directory is measured against TensorFlow's, each in its own process, in turns.

Usage: python benchmarks/images.py [--photos FOLDER] [--rounds 4] [--size 224] [--tensorflow PYTHON]
Quick: --rounds 1 --size 64
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
DECODED = 2**28  # bytes of decoded images that the budget is a tenth of
MEASURE_MEMORY = """
import sys
from pathlib import Path
from convia.preprocessing.image import ImageDataGenerator
def resident():
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return sum(int(lines[name].split()[0]) for name in ("RssAnon", "RssFile", "RssShmem")) / 1024
folder, count, budget, cache = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
names = [str(path) for path in sorted(Path(folder).glob("*/*"))]
rows = {"filename": [names[k % len(names)] for k in range(count)]}
made = ImageDataGenerator(rescale=1 / 255).flow_from_dataframe(
    rows, class_mode=None, target_size=(224, 224), batch_size=4, memory=budget, cache={"None": None}.get(cache, cache))
most = []
for _ in range(2):
    for k in range(len(made)):
        made[k]
        most.append(resident())
print(max(most))
"""
MEASURE_DATA_SET = """
import sys, time
if sys.argv[1] == "TensorFlow":
    from tensorflow import keras
else:
    import convia as keras
data = keras.utils.image_dataset_from_directory(sys.argv[2], image_size=(int(sys.argv[3]),) * 2, seed=0)
times = []
for _ in range(4):
    start, count = time.perf_counter(), 0
    for images, _ in data:
        count += len(images)
    times.append((time.perf_counter() - start) / count)
print(min(times))
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


def report(name: str, ours: list[float], theirs: list[float], count: int, peer: str = "Keras") -> None:
    """Print a line."""
    ratios = [their / our for our, their in zip(ours, theirs, strict=True)]
    per_image = [min(times) / count * 1e3 for times in (ours, theirs)]
    print(
        f"{name:24s} convia {per_image[0]:7.3f} ms   {peer} {per_image[1]:7.3f} ms   "
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


def data_sets(root: str, rounds: int, size: int, python: str) -> None:
    """Measure epochs of image_dataset_from_directory, which reads all files again each time, against TensorFlow's."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for kind, (program, name) in enumerate(((sys.executable, "convia"), (python, "TensorFlow"))):
            command = [program, "-c", MEASURE_DATA_SET, name, root, str(size)]
            times[kind].append(last_number(command))
    report("data set, each epoch", *times, 1, "TensorFlow")


def last_number(command: list[str]) -> float:
    """Run a program and return the last number that it prints."""
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=quiet)
    if done.returncode:
        raise SystemExit(f"{command[0]} cannot do it: {done.stderr.strip().splitlines()[-1:]}")
    return float(done.stdout.split()[-1])


def memory(root: str) -> None:
    """Print how much a process grows that keeps decoded images within a tenth of their size, none, or all of them.

    The files are listed again and again until the decoded images are 256 MiB, each listing being kept on its own.
    """
    if not Path("/proc/self/status").exists():  # Linux's
        return
    count = -(-DECODED // (224 * 224 * 3))
    budget = DECODED // 10
    taken = {}
    for name, bytes_, cache in (("none", 0, "None"), ("budget", budget, "auto"), ("all", 2 * DECODED, "memory")):
        command = [sys.executable, "-c", MEASURE_MEMORY, root, str(count), str(bytes_), cache]
        taken[name] = last_number(command)
    within, whole = taken["budget"] - taken["none"], taken["all"] - taken["none"]
    print(
        f"memory: decoded images {DECODED / 2**20:.0f} MiB, budget {budget / 2**20:.1f} MiB; the process grows by "
        f"{within:.1f} MiB against one that keeps none ({taken['none']:.0f} MiB); one that keeps all by {whole:.0f} MiB"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    known = Path(__file__).parents[2] / "shared" / "data" / "photos"
    parser.add_argument("--photos", default=str(known) if known.is_dir() else None)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--tensorflow", metavar="PYTHON", default=os.environ.get("CONVIA_TENSORFLOW"))
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    with photographs(options.photos) as root:
        folders(root, options.rounds, options.size)
        arrays(options.rounds)
        if options.tensorflow:
            data_sets(root, options.rounds, options.size, options.tensorflow)
        memory(root)


if __name__ == "__main__":
    main()
