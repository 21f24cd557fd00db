"""Does the engine choose the quicker layout? Steps and predictions of networks, by each way.

Measured: samples as lanes, channels as lanes, and torch's executor; then what convia chooses where it is left to
itself, and how many times as long that takes as the quickest. Minima over the rounds.

Usage: python benchmarks/layouts.py [--rounds 3] [--work step predict]
Quick: --rounds 1 --work predict
"""

import argparse
import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

import convia as keras
from convia.training import plans

WAYS = ("samples", "channels", "torch")


class Case(NamedTuple):
    """A network of the course's or of the published ones, and images of some side and channels in batches."""

    network: str
    side: int
    channels: int
    batch: int


CASES = (
    Case("lenet", 28, 1, 32), Case("deep", 28, 1, 32), Case("deep", 28, 1, 8),
    Case("MobileNetV2", 96, 3, 32), Case("MobileNetV2", 96, 3, 4), Case("MobileNetV2", 224, 3, 8),
    Case("EfficientNetB0", 96, 3, 16), Case("ResNet50", 64, 3, 64), Case("ResNet50", 64, 3, 8),
    Case("ResNet50", 150, 3, 16), Case("ResNet50", 224, 3, 1), Case("VGG16", 64, 3, 16), Case("DenseNet121", 64, 3, 16),
)  # fmt: skip


def network(case: Case) -> Any:
    """Make the network, for ten classes."""
    shape = (case.side, case.side, case.channels)
    kwargs = {} if case.network in ("lenet", "deep") else {"weights": None, "input_shape": shape, "classes": 10}
    make = getattr(keras.applications, case.network)
    model = make(**kwargs) if kwargs else make(shape)
    model.compile(keras.optimizers.Adam(1e-4), "sparse_categorical_crossentropy")
    return model


@contextmanager
def only(way: str | None) -> Iterator[None]:
    """Let everything be computed one way; None for the way that convia chooses."""
    keras.config.set_engine({"torch": "torch", None: "auto"}.get(way, "native"))
    with ExitStack() as stack:
        for rule in ("_trains_wide", "predicts_wide") if way in WAYS[:2] else ():
            stack.enter_context(mock.patch.object(plans, rule, lambda *_: way == "channels"))
        yield


def work(kind: str, case: Case) -> tuple[Callable[[], Any], str]:
    """Return what does a step or a prediction, and the way by which it was done the first time."""
    model = network(case)
    x = np.random.default_rng(0).random((case.batch, case.side, case.side, case.channels), np.float32)
    y = np.arange(case.batch) % 10

    def run() -> None:
        if kind == "step":
            model.fit(x, y, batch_size=case.batch, verbose=0)
        else:
            model.predict(x, batch_size=case.batch, verbose=0)

    run()
    ready = next(iter(plans.networks.get(model, {}).values()), None)
    return run, "torch" if ready is None else WAYS[ready.wide]


def seconds(kind: str, case: Case, way: str, rounds: int) -> float:
    """Return the least time of a step or a prediction, infinite where this way does not know the network."""
    try:
        with only(way):
            run, _ = work(kind, case)
            return min(_timed(run) for _ in range(rounds))
    except ValueError:
        return math.inf


def _timed(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", nargs="+", choices=("step", "predict"), default=("step", "predict"))
    options = parser.parse_args()
    slower = []
    for kind in options.work:
        print(f"{kind:8}{'':30}" + "".join(f"{way:>14}" for way in WAYS), flush=True)
        for case in CASES:
            with only(None):
                _, chosen = work(kind, case)
            times = {way: seconds(kind, case, way, options.rounds) for way in WAYS}
            slower.append(times[chosen] / min(times.values()))
            shown = "".join(f"{1e3 * t:11.2f} ms" if t < math.inf else f"{'–':>14}" for t in times.values())
            print(
                f"  {case.network:16}{case.batch:3} × {case.side}²   {shown}   {chosen:9}{slower[-1]:5.2f} ×",
                flush=True,
            )
    best = sum(times < 1.1 for times in slower)
    print(f"→ the quickest, within 10 %, in {best} of {len(slower)}; at worst {max(slower):.2f} × the time")


if __name__ == "__main__":
    main()
