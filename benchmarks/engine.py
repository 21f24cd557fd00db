"""The native engine through the public API, side by side with its peers: plain torch eager (in both memory formats),
Keras on torch, and TensorFlow where a Python that has it is named.

Each contender is a process of its own; they take turns over the same arrays, batch 32, Adam, shuffling, loss and
accuracy. Printed: the fastest round (and the median) in ms per step of fit and per batch of predict, the ratio to the
best peer, peak memory of each process, the share of one core's measured peak that each kernel reaches, and the course
notebook's training cell (5 epochs of 40 200 images, validation on 19 800).

Usage: python benchmarks/engine.py [--rounds 5] [--tensorflow PYTHON] [course lenet deep]
"""

import argparse
import os
import statistics
import sys

from contenders import Contender

STEPS = {"course": 1256, "lenet": 600, "deep": 40}
CELL = 60_000


def peers(python_with_tensorflow: str | None) -> dict[str, str]:
    """Return library → the Python that has it."""
    names = dict.fromkeys(("convia", "torch-nchw", "torch-nhwc", "keras"), sys.executable)
    return names | ({"tensorflow": python_with_tensorflow} if python_with_tensorflow else {})


def race(network: str, rounds: int, pythons: dict[str, str]) -> None:
    """Measure one network and print."""
    steps = STEPS[network]
    contenders = {name: Contender(name, network, 32 * steps, python) for name, python in pythons.items()}
    for number in range(rounds + 1):
        for contender in contenders.values():
            for command, times in contender.times.items():
                seconds = contender.tell(command)["seconds"]
                if number:  # the first round warms up
                    times.append(seconds / steps * 1e3)
    for command in ("fit", "predict"):
        for name, contender in contenders.items():
            times = contender.times[command]
            spread = f"median {statistics.median(times):8.3f}   memory {contender.memory:5.0f} MB"
            print(f"{network:7s} {command:8s} {name:11s} {min(times):8.3f} ms   {spread}")
        best = {name: min(contender.times[command]) for name, contender in contenders.items()}
        ours = best.pop("convia")
        peer = min(best, key=best.__getitem__)
        print(f"{network:7s} {command:8s} → {best[peer] / ours:.1f}× the best peer ({peer})")
    if "tensorflow" in contenders:
        ratio = contenders["tensorflow"].memory / contenders["convia"].memory
        print(f"{network:7s} memory   → TensorFlow's is {ratio:.1f}× ours")
    for kernel, share in contenders["convia"].tell("share")["share"].items():
        print(f"{network:7s} {kernel:28s} {share:6.0%} of the peak")
    for contender in contenders.values():
        contender.quit()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tensorflow", metavar="PYTHON", default=os.environ.get("CONVIA_TENSORFLOW"))
    parser.add_argument("networks", nargs="*", default=list(STEPS), metavar="network")
    options = parser.parse_args()
    for network in options.networks:
        race(network, options.rounds, peers(options.tensorflow))
    notebook = Contender("convia", "course", CELL, sys.executable)
    notebook.tell("cell")
    cells = [notebook.tell("cell")["seconds"] for _ in range(options.rounds)]
    print(f"the notebook's training cell: {min(cells):.2f} s (median {statistics.median(cells):.2f} s)")
    notebook.quit()


if __name__ == "__main__":
    main()
