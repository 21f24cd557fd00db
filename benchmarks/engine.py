"""The native engine through the public API: fit and predict of the three course networks against plain torch eager.

All run in one process, in turns, over the same arrays, batch 32, Adam, with shuffling, loss and accuracy. Plain torch
is given in both memory formats; the better one counts. Printed are the fastest rounds, in ms per step (fit) or per
batch of 32 (predict), and how many times faster the engine is. Usage: python benchmarks/engine.py [--rounds 5]
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from networks import NETWORKS, torch_train

import convia

BATCH = 32
LAYOUTS = (("nchw", torch.contiguous_format), ("nhwc", torch.channels_last))


def torch_predict(model: torch.nn.Module, x: torch.Tensor) -> Callable[[], None]:
    """Return a function that predicts all of x in batches."""

    def run() -> None:
        model.eval()
        with torch.inference_mode():
            torch.cat([model(x[start : start + BATCH]).softmax(1) for start in range(0, len(x), BATCH)])

    return run


def contenders(name: str, x: np.ndarray, y: np.ndarray) -> tuple[dict[str, Callable[[], object]], str]:
    """Return "what contender" → a function to time, and what the engine says of itself."""
    build, build_torch = NETWORKS[name]
    model = build(convia)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    runs: dict[str, Callable[[], object]] = {
        "fit convia": lambda: model.fit(x, y, batch_size=BATCH, verbose=0),
        "predict convia": lambda: model.predict(x, batch_size=BATCH, verbose=0),
    }
    images, labels = torch.from_numpy(x).permute(0, 3, 1, 2), torch.from_numpy(y)
    for label, layout in LAYOUTS:
        peer = build_torch().to(memory_format=layout)
        given = images.contiguous(memory_format=layout)
        runs[f"fit torch {label}"] = torch_train(peer, given, labels, BATCH)
        runs[f"predict torch {label}"] = torch_predict(peer, given)
    return runs, model.engine


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=100)
    options = parser.parse_args()
    generator = np.random.default_rng(0)
    for name in NETWORKS:
        steps = options.steps if name != "deep" else max(options.steps // 10, 4)
        x = generator.random((BATCH * steps, 28, 28, 1), dtype=np.float32)
        y = generator.integers(0, 10, BATCH * steps)
        runs, engine = contenders(name, x, y)
        best = dict.fromkeys(runs, float("inf"))
        for round_number in range(options.rounds + 1):
            for label, run in runs.items():
                start = time.perf_counter()
                run()
                if round_number:  # the first round warms up
                    best[label] = min(best[label], (time.perf_counter() - start) / steps * 1e3)
        for what in ("fit", "predict"):
            ours, peer = best[f"{what} convia"], min(best[f"{what} torch {label}"] for label, _ in LAYOUTS)
            print(f"{name:7s} {what:8s} {engine}: {ours:.3f} ms   plain torch: {peer:.3f} ms   {peer / ours:.1f}×")


if __name__ == "__main__":
    main()
