"""Train and predict again and again, and see that memory, threads and open files do not grow.

``python tools/soak.py [--fits 200] [--predictions 10000]``: after a tenth of the rounds (caches are full, then) the
resident memory, the threads and the open files of the process are noted, and compared with those at the end. The exit
code is 1 if memory has grown by 5 % or more, or there are more threads or files.
"""

import argparse
import gc
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

import convia
from convia import callbacks, layers

GROWTH = 0.05


class Held(NamedTuple):
    """What the process holds."""

    bytes: int
    threads: int
    files: int


def held() -> Held:
    """Look at the process; on Linux, from /proc."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    threads = len(list(Path("/proc/self/task").iterdir()))
    return Held(
        pages * os.sysconf("SC_PAGE_SIZE"),
        max(threads, threading.active_count()),
        len(list(Path("/proc/self/fd").iterdir())),
    )


def network(engine: str) -> convia.Model:
    """Return a small network with most kinds of layers."""
    inner = [
        layers.Conv2D(8, 3, activation="relu"),
        layers.BatchNormalization(),
        layers.MaxPooling2D(),
        layers.Dropout(0.2),
    ]
    model = convia.Sequential(
        [layers.Input((12, 12, 1)), *inner, layers.Flatten(), layers.Dense(3, activation="softmax")]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], engine=engine)
    return model


def rounds(count: int, work: Callable[[int], None]) -> tuple[Held, Held]:
    """Do the work so often; return what is held after a tenth of it, and at the end."""
    for number in range(max(count // 10, 1)):
        work(number)
    before = held()
    for number in range(max(count // 10, 1), count):
        work(number)
    return before, held()


def soak(fits: int, predictions: int) -> list[tuple[str, Held, Held]]:
    """Train new networks, in turns on torch and the engine, then predict with two; return rows of what is held."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(32, 12, 12, 1)).astype("float32"), rng.integers(0, 3, 32)
    engines = ("torch", "auto")
    with tempfile.TemporaryDirectory() as folder:

        def fit(number: int) -> None:
            hooks = [callbacks.ModelCheckpoint(f"{folder}/m.keras"), callbacks.BackupAndRestore(f"{folder}/b")]
            given = {"callbacks": [*hooks, callbacks.CSVLogger(f"{folder}/log.csv")], "validation_data": (x, y)}
            network(engines[number % 2]).fit(x, y, epochs=2, batch_size=8, verbose=0, **given)

        found = [("fit", *rounds(fits, fit))]
    models = [network(engine) for engine in engines]

    def predict(number: int) -> None:
        models[number % 2].predict(x[: number % 8 + 1], verbose=0)

    return [*found, ("predict", *rounds(predictions, predict))]


def judge(before: Held, after: Held) -> list[str]:
    """Say what has grown too much."""
    found = [f"memory by {after.bytes / before.bytes - 1:.1%}"] if after.bytes >= before.bytes * (1 + GROWTH) else []
    found += [f"threads from {before.threads} to {after.threads}"] if after.threads > before.threads else []
    return found + ([f"files from {before.files} to {after.files}"] if after.files > before.files else [])


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fits", type=int, default=200)
    parser.add_argument("--predictions", type=int, default=10_000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    failed = False
    for name, before, after in soak(options.fits, options.predictions):
        grown = judge(before, after)
        failed |= bool(grown)
        print(
            f"{name}: {before.bytes / 1e6:.1f} → {after.bytes / 1e6:.1f} MB ({after.bytes / before.bytes - 1:+.1%}), "
            f"threads {before.threads} → {after.threads}, files {before.files} → {after.files}"
            + (f"; grown: {', '.join(grown)}" if grown else "")
        )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
