"""Milliseconds per training step and per predicted batch on a GPU: convia, torch, torch.compile, Keras on torch.

The three networks of the course, ResNet50 and EfficientNetB0, from arrays in the GPU's memory, Adam, with shuffling,
loss and accuracy. The contenders take turns; printed are the medians over the rounds, and their spread. Those of torch
for ResNet50 and EfficientNetB0 are torchvision's. What is not installed, and everything where there is no GPU, is left
out with a message.

Usage: python benchmarks/gpu.py [--rounds 5] [--steps 50] [--batch 64] [--policy mixed_bfloat16] [network …]
Quick: --rounds 1 --steps 5 course
"""

import argparse
import importlib
import os
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

os.environ.setdefault("KERAS_BACKEND", "torch")

import networks
import torch
import torch_networks
from torch import nn

CLASSES = 10
SIDES = {"course": (28, 1), "lenet": (28, 1), "deep": (28, 1), "ResNet50": (224, 3), "EfficientNetB0": (224, 3)}
TORCHVISION = {"ResNet50": "resnet50", "EfficientNetB0": "efficientnet_b0"}
USES = ("train", "predict")


class Data(NamedTuple):
    """Images (N, side, side, channels), class numbers (N,), and the samples of a batch."""

    x: torch.Tensor
    y: torch.Tensor
    batch: int

    @property
    def steps(self) -> int:
        """Batches per epoch."""
        return len(self.x) // self.batch


def with_keras_api(k: Any, name: str, side: int, data: Data) -> dict[str, Callable[[], Any]]:
    """Return what trains and what predicts an epoch, for convia or Keras."""
    k.utils.set_random_seed(0)
    if name in networks.NETWORKS:
        model = networks.NETWORKS[name](k)
    else:
        model = getattr(k.applications, name)(weights=None, input_shape=(side, side, 3), classes=CLASSES)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    given = {"batch_size": data.batch, "verbose": 0}
    return {
        "train": lambda: model.fit(data.x, data.y, **given),
        "predict": lambda: model.predict(data.x, **given),
    }


def with_torch(compiles: bool, policy: str, name: str, data: Data) -> dict[str, Callable[[], Any]]:
    """Return what trains and what predicts an epoch, as a torch user writes it."""
    torch.manual_seed(0)
    if name in torch_networks.NETWORKS:
        model = torch_networks.NETWORKS[name]()
    else:
        model = getattr(importlib.import_module("torchvision.models"), TORCHVISION[name])(num_classes=CLASSES)
    model = model.to(data.x.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    called = torch.compile(model) if compiles else model
    x = data.x.permute(0, 3, 1, 2)
    fused = torch.optim.Adam(model.parameters(), eps=1e-7, fused=True)
    half = torch.autocast(data.x.device.type, torch.bfloat16, enabled=policy == "mixed_bfloat16")

    def train() -> float:
        model.train()
        order = torch.randperm(len(x), device=x.device)
        total, hits = torch.zeros((), device=x.device), torch.zeros((), device=x.device)
        for take in order.split(data.batch):
            labels = data.y[take]
            fused.zero_grad()
            with half:
                logits = called(x[take])
                loss = nn.functional.cross_entropy(logits, labels)
            loss.backward()
            fused.step()
            with torch.no_grad():
                total += loss * len(take)
                hits += (logits.argmax(1) == labels).sum()
        return float(total) + float(hits)

    def predict() -> Any:
        model.eval()
        with torch.no_grad(), half:
            return torch.cat([called(part).softmax(-1) for part in x.split(data.batch)]).float().cpu().numpy()

    return {"train": train, "predict": predict}


def contenders(name: str, side: int, data: Data, policy: str) -> dict[str, dict[str, Callable[[], Any]]]:
    """Return contender → what it trains and predicts with; say what is left out."""
    makers: dict[str, Callable[[], Any]] = {"torch": partial(with_torch, False, policy, name, data)}
    makers["torch.compile"] = partial(with_torch, True, policy, name, data)
    for library in ("convia", "keras"):
        makers[library] = partial(_library, library, name, side, data, policy)
    found = {}
    for contender, make in makers.items():
        try:
            found[contender] = make()
        except ImportError as error:
            print(f"{name:15s} {contender:14s} left out: {error}")
    return found


def _library(library: str, name: str, side: int, data: Data, policy: str) -> Any:
    k = importlib.import_module(library)
    k.config.set_dtype_policy(policy)
    if library == "convia":
        k.config.set_device(data.x.device)
    return with_keras_api(k, name, side, data)


def race(made: dict[str, Any], data: Data, rounds: int) -> dict[tuple[str, str], list[float]]:
    """Return (contender, use) → ms per batch in each round; the first two rounds warm up and are not counted."""
    times: dict[tuple[str, str], list[float]] = {}
    for number in range(rounds + 2):
        for contender, uses in list(made.items()):
            for use in USES:
                _wait(data)
                start = time.perf_counter()
                try:
                    uses[use]()
                except RuntimeError as error:  # such as of a compiler that is not there
                    print(f"{contender:14s} left out: {str(error).splitlines()[0]}")
                    made.pop(contender)
                    break
                _wait(data)
                if number > 1:
                    times.setdefault((contender, use), []).append((time.perf_counter() - start) / data.steps * 1e3)
    return times


def _wait(data: Data) -> None:
    if data.x.is_cuda:
        torch.cuda.synchronize(data.x.device)


def main(words: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--side", type=int, help="of the images of ResNet50 and EfficientNetB0, 224 by default")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--policy", default="float32", choices=["float32", "mixed_bfloat16"])
    parser.add_argument("networks", nargs="*", default=[*SIDES], metavar="network")
    options = parser.parse_args(words)
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print("No GPU here: nothing is measured. --device cpu tries the program itself.")
        return 0
    for name in options.networks:
        side, channels = SIDES[name]
        side = options.side or side if channels == 3 else side
        count = options.steps * options.batch
        x = torch.rand(count, side, side, channels, device=options.device)
        data = Data(x, torch.randint(0, CLASSES, (count,), device=options.device), options.batch)
        times = race(contenders(name, side, data, options.policy), data, options.rounds)
        for (contender, use), values in times.items():
            spread = f"({min(values):.3f} to {max(values):.3f})"
            print(
                f"{name:15s} {contender:14s} {use:8s} {statistics.median(values):9.3f} ms/batch  {spread}", flush=True
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
