"""Milliseconds per training step of the course networks: convia (torch executor, engine), torch, Keras on torch.

All run in one process, in turns, over the same arrays, batch 32, Adam, with shuffling, loss and accuracy. Plain torch
is given in both memory formats; the better one counts. Printed: the median over the rounds, the spread (fastest to
slowest), and the ratios of medians.

Usage: python benchmarks/train_step.py [--rounds 7] [--steps 100] [course lenet deep]
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"

import keras
import networks
import numpy as np
import torch
import torch_networks

import convia

BATCH = 32


def fit(model: Any, engine: str, x: np.ndarray, y: np.ndarray) -> None:
    """Train one epoch, convia's models on the given engine."""
    convia.config.set_engine(engine)
    model.fit(x, y, batch_size=BATCH, verbose=0)


def contenders(name: str, x: np.ndarray, y: np.ndarray) -> dict[str, Callable[[], object]]:
    """Return label → a function that trains one epoch."""
    build, build_torch = networks.NETWORKS[name], torch_networks.NETWORKS[name]
    runs: dict[str, Callable[[], object]] = {}
    for label, library, engine in (("convia", convia, "torch"), ("engine", convia, "auto"), ("keras", keras, "torch")):
        model = build(library)
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        runs[label] = lambda model=model, engine=engine: fit(model, engine, x, y)
    images, labels = torch.from_numpy(x).permute(0, 3, 1, 2), torch.from_numpy(y)
    for label, layout in (("torch nchw", torch.contiguous_format), ("torch nhwc", torch.channels_last)):
        model = build_torch().to(memory_format=layout)
        runs[label] = torch_networks.torch_train(model, images.contiguous(memory_format=layout), labels, BATCH)
    return runs


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("networks", nargs="*", default=list(networks.NETWORKS), metavar="network")
    options = parser.parse_args()
    print(f"torch {torch.__version__}, keras {keras.__version__}, {torch.get_num_threads()} threads")
    generator = np.random.default_rng(0)
    for name in options.networks:
        steps = options.steps if name != "deep" else max(options.steps // 5, 5)
        x = generator.random((BATCH * steps, 28, 28, 1), dtype=np.float32)
        y = generator.integers(0, 10, BATCH * steps)
        runs = contenders(name, x, y)
        times: dict[str, list[float]] = {label: [] for label in runs}
        for round_number in range(options.rounds + 1):
            for label, run in runs.items():
                start = time.perf_counter()
                run()
                if round_number:  # the first round warms up
                    times[label].append((time.perf_counter() - start) / steps * 1e3)
        medians = {label: statistics.median(values) for label, values in times.items()}
        best = min(medians["torch nchw"], medians["torch nhwc"])
        for label, values in times.items():
            print(f"{name:7s} {label:11s} {medians[label]:8.3f} ms/step  ({min(values):.3f} to {max(values):.3f})")
        print(
            f"{name:7s} torch executor / best plain torch: {medians['convia'] / best:.2f}   "
            f"keras / torch executor: {medians['keras'] / medians['convia']:.2f}   "
            f"best plain torch / engine: {best / medians['engine']:.1f}"
        )


if __name__ == "__main__":
    main()
