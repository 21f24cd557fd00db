"""Milliseconds per training step of the course networks: convia (torch executor, engine), torch, Keras on torch.

Each contender is a process of its own; they take turns over the same arrays, batch 32, Adam, with shuffling, loss and
accuracy. Plain torch is given in both memory formats; the better one counts. Printed: the median over the rounds, the
spread (fastest to slowest), and the ratios of medians.

Usage: python benchmarks/train_step.py [--rounds 7] [--steps 100] [course lenet deep]
"""

import argparse
import statistics

import networks
from contenders import Contender

BATCH = 32
LIBRARIES = ("convia-torch", "convia", "keras", "torch-nchw", "torch-nhwc")


def race(network: str, steps: int, rounds: int) -> dict[str, list[float]]:
    """Return library → ms per step in each round."""
    contenders = {library: Contender(library, network, BATCH * steps) for library in LIBRARIES}
    for number in range(rounds + 1):
        for contender in contenders.values():
            seconds = contender.tell("fit")["seconds"]
            if number:  # the first round warms up
                contender.times["fit"].append(seconds / steps * 1e3)
    for contender in contenders.values():
        contender.quit()
    return {library: contender.times["fit"] for library, contender in contenders.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("networks", nargs="*", default=list(networks.NETWORKS), metavar="network")
    options = parser.parse_args()
    for name in options.networks:
        steps = options.steps if name != "deep" else max(options.steps // 5, 5)
        times = race(name, steps, options.rounds)
        medians = {library: statistics.median(values) for library, values in times.items()}
        best = min(medians["torch-nchw"], medians["torch-nhwc"])
        for library, values in times.items():
            spread = f"({min(values):.3f} to {max(values):.3f})"
            print(f"{name:7s} {library:12s} {medians[library]:8.3f} ms/step  {spread}")
        print(
            f"{name:7s} torch executor / best plain torch: {medians['convia-torch'] / best:.2f}   "
            f"keras / torch executor: {medians['keras'] / medians['convia-torch']:.2f}   "
            f"best plain torch / engine: {best / medians['convia']:.1f}"
        )


if __name__ == "__main__":
    main()
