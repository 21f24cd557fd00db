"""Images per second of the deep network, of processes of one thread each that share a training, and of one.

One process and several are started in turns; the median of the ratios counts.

Usage: python benchmarks/distributed.py [--batch 128] [--steps 10] [--processes 2] [--rounds 5] [--engines auto,torch]
Quick: --batch 32 --steps 2 --engines auto --rounds 1
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

import networks
import numpy as np
import torch

import convia

FITS = 6


def measure(batch: int, steps: int, engine: str) -> tuple[float, str]:
    """Return the images per second of this process, or of all that it shares the work with, and what computed them.

    Of several fits the best one counts.
    """
    torch.set_num_threads(1)
    convia.utils.set_random_seed(0)
    model = networks.NETWORKS["deep"](convia)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], engine=engine)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch * steps, *model.input_shape[1:])).astype("float32")
    y = rng.integers(0, model.output_shape[-1], batch * steps)
    model.fit(x[:batch], y[:batch], batch_size=batch, verbose=0)
    seconds = []
    for _ in range(FITS):
        start = time.perf_counter()
        model.fit(x, y, batch_size=batch, verbose=0)
        seconds.append(time.perf_counter() - start)
    return batch * steps / min(seconds), model.engine


def start(processes: int, engine: str, options: argparse.Namespace) -> tuple[float, str]:
    """Run this file in so many processes."""
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    sizes = ["--batch", str(options.batch), "--steps", str(options.steps), "--engines", engine]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *launch, __file__, *sizes], env=environment, capture_output=True, text=True, check=True
    )
    speed, _, computes = done.stdout.strip().splitlines()[-1].partition(" ")
    return float(speed), computes


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=128, help="images of a step, of all processes together")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--engines", default="auto,torch")
    options = parser.parse_args()
    if "RANK" in os.environ:
        speed, computes = measure(options.batch, options.steps, options.engines)
        if convia.distributed.is_first():
            print(speed, computes)
        return
    for engine in options.engines.split(","):
        one, some, ratios = [], [], []
        for _ in range(options.rounds):
            one.append(start(1, engine, options)[0])
            speed, computes = start(options.processes, engine, options)
            some.append(speed)
            ratios.append(some[-1] / one[-1])
        print(
            f"{computes}: 1 process {statistics.median(one):.0f} images/s, {options.processes} processes "
            f"{statistics.median(some):.0f} images/s, ratio {statistics.median(ratios):.2f} "
            f"({min(ratios):.2f}–{max(ratios):.2f} in {options.rounds} rounds)"
        )


if __name__ == "__main__":
    main()
