"""Images per second of the deep network: two processes of one thread each, and one, all on torch.

Usage: python benchmarks/distributed.py [--batch 64] [--steps 20]
"""

import argparse
import os
import subprocess
import sys
import time

import networks
import numpy as np
import torch

import convia

ROUNDS = 3


def measure(batch: int, steps: int) -> float:
    """Return the images per second of this process, or of all that it shares the work with; the best of the rounds."""
    torch.set_num_threads(1)
    convia.utils.set_random_seed(0)
    model = networks.NETWORKS["deep"](convia)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], engine="torch")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch * steps, *model.input_shape[1:])).astype("float32")
    y = rng.integers(0, model.output_shape[-1], batch * steps)
    model.fit(x[:batch], y[:batch], batch_size=batch, verbose=0)
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        model.fit(x, y, batch_size=batch, verbose=0)
        seconds.append(time.perf_counter() - start)
    return batch * steps / min(seconds)


def start(processes: int, options: argparse.Namespace) -> float:
    """Run this file in so many processes."""
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [sys.executable, *launch, __file__, "--batch", str(options.batch), "--steps", str(options.steps)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    if "RANK" in os.environ:
        speed = measure(options.batch, options.steps)
        if convia.distributed.is_first():
            print(speed)
        return
    one, two = start(1, options), start(2, options)
    print(f"1 process: {one:.0f} images/s, 2 processes: {two:.0f} images/s, ratio {two / one:.2f}")


if __name__ == "__main__":
    main()
