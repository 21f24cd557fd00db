"""What the library itself costs: convia and Keras on torch, on tensors so small that only calls count.

Printed per library: Python frames and microseconds of one layer call, of one step of ``fit``, of one batch of
``predict``, and the ratios. Minima over the rounds, with the spread.

Usage: python benchmarks/overhead.py [--rounds 9]
Quick: --rounds 1
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
import torch

import convia

STEPS = 100
X = np.random.default_rng(0).random((4 * STEPS, 4, 4, 1), dtype=np.float32)
Y = np.random.default_rng(1).integers(0, 2, 4 * STEPS)


def frames(call: Callable[[], Any]) -> int:
    """Return how many Python functions a call enters."""
    count = 0

    def note(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(None)
    return count


def subjects(k: Any) -> dict[str, tuple[Callable[[], Any], int]]:
    """Return subject → (a function to run, how many units it runs)."""
    x = torch.rand(1, 4, 4, 1)
    layers = {
        "Conv2D call": k.layers.Conv2D(1, 3),
        "Dense call": k.layers.Dense(1),
        "BatchNormalization call": k.layers.BatchNormalization(),
        "MaxPooling2D call": k.layers.MaxPooling2D(),
    }
    for layer in layers.values():
        layer(x)
    model = k.Sequential(
        [
            k.Input((4, 4, 1)),
            k.layers.Conv2D(2, 3, activation="relu"),
            k.layers.MaxPooling2D(),
            k.layers.Flatten(),
            k.layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    rows: dict[str, tuple[Callable[[], Any], int]] = {
        name: ((lambda layer=layer: [layer(x) for _ in range(STEPS)]), STEPS) for name, layer in layers.items()
    }
    rows["fit step"] = (lambda: model.fit(X, Y, batch_size=4, verbose=0), STEPS)
    if k is convia:
        convia.config.set_engine("torch")  # what is compared is the library, not the engine
    rows["predict batch"] = (lambda: model.predict(X, batch_size=4, verbose=0), STEPS)
    rows["predict of one image"] = (lambda: model.predict(X[:1], verbose=0), 1)
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(1)
    libraries = {"convia": subjects(convia), "keras": subjects(keras)}
    print(f"torch {torch.__version__}, keras {keras.__version__}, 1 thread")
    print(f"{'':24s} {'convia':>24s} {'keras':>24s} {'keras / convia':>24s}")
    for subject in libraries["convia"]:
        times: dict[str, list[float]] = {name: [] for name in libraries}
        entered = {}
        for name, rows in libraries.items():
            run, units = rows[subject]
            run()
            entered[name] = frames(run) / units
        for _ in range(options.rounds):
            for name, rows in libraries.items():
                run, units = rows[subject]
                start = time.perf_counter()
                run()
                times[name].append((time.perf_counter() - start) / units * 1e6)
        best = {name: min(values) for name, values in times.items()}
        cells = [f"{best[name]:7.1f} µs {entered[name]:6.1f} frames" for name in libraries]
        ratio = f"{best['keras'] / best['convia']:.1f} × time, {entered['keras'] / entered['convia']:.1f} × frames"
        spread = max(max(values) / min(values) for values in times.values())
        print(f"{subject:24s} {cells[0]:>24s} {cells[1]:>24s} {ratio:>32s}   (slowest / fastest {spread:.1f})")


if __name__ == "__main__":
    main()
