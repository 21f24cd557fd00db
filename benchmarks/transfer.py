"""A frozen ResNet50 with a new head, and prediction by published networks, against Keras, TensorFlow, torch, OpenVINO.

    python benchmarks/transfer.py [--training] [--prediction] [--tensorflow /path/to/its/python] [--rounds 3]

Training is 10 epochs of 240 images of 150×150 at once. Each round measures all, one after the other; a ratio is the
peer's seconds divided by ours, as least…median…most over the rounds. Weights are random: times do not depend on them.
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np

IMAGES, SIDE, EPOCHS, BATCH = 240, 150, 10, 32
CODE = "import sys; sys.argv = ['transfer.py', '--once']; import runpy; runpy.run_path({path!r}, run_name='__main__')"


def training(k: Any) -> float:
    """Return the seconds that 10 epochs take with an implementation of the Keras API, the model's making left out."""
    draw = np.random.default_rng(0)
    x = draw.uniform(-120, 130, (IMAGES, SIDE, SIDE, 3)).astype("float32")
    y = draw.integers(0, 12, IMAGES)
    backbone = k.applications.ResNet50(weights=None, include_top=False, input_shape=(SIDE, SIDE, 3))
    backbone.trainable = False
    inputs = k.Input((SIDE, SIDE, 3))
    features = k.layers.GlobalAveragePooling2D()(backbone(inputs, training=False))
    model = k.Model(inputs, k.layers.Dense(12, activation="softmax")(features))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.predict(x[:BATCH], verbose=0)
    start = perf_counter()
    model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0)
    return perf_counter() - start


def in_tensorflow(python: str) -> float:
    """Return the seconds of training in TensorFlow, run by its own interpreter."""
    command = [python, "-c", CODE.format(path=__file__)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout.strip().splitlines()[-1]))


def seconds(work: Callable[[], Any], repeats: int = 3) -> float:
    """Return the least time of some runs, after one that warms up."""
    work()
    times = []
    for _ in range(repeats):
        start = perf_counter()
        work()
        times.append(perf_counter() - start)
    return min(times)


def predictors(title: str, side: int, batch: int) -> dict[str, Callable[[], Any]]:
    """Return what predicts one batch: convia, Keras, the same graph in eager torch, OpenVINO where it is installed."""
    import keras
    import torch

    import convia

    x = np.random.default_rng(0).uniform(-1, 1, (batch, side, side, 3)).astype("float32")
    ours = getattr(convia.applications, title)(weights=None)
    theirs = getattr(keras.applications, title)(weights=None)
    tensor = torch.from_numpy(x)
    work = {
        "convia": lambda: ours.predict(x, batch_size=batch, verbose=0),
        "Keras": lambda: theirs.predict(x, batch_size=batch, verbose=0),
        "torch eager": lambda: torch.no_grad()(ours)(tensor),
    }
    if importlib.util.find_spec("openvino"):
        import openvino

        module = openvino.convert_model(ours, example_input=tensor)
        compiled = openvino.compile_model(module, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        work["OpenVINO"] = lambda: compiled(x)
    return work


def report(name: str, times: dict[str, list[float]]) -> None:
    """Print each peer's ratio to ours."""
    ours = times["convia"]
    print(f"{name}: convia {min(ours):.3f} s")
    for peer, theirs in times.items():
        if peer != "convia":
            ratios = sorted(b / a for a, b in zip(ours, theirs, strict=True))
            spread = f"{ratios[0]:.2f}…{statistics.median(ratios):.2f}…{ratios[-1]:.2f}"
            print(f"  {peer:12} {min(theirs):.3f} s, {spread} times ours", flush=True)


def compare(rounds: int, python: str | None) -> None:
    """Measure training."""
    import keras

    import convia

    work: dict[str, Callable[[], float]] = {"convia": lambda: training(convia), "Keras": lambda: training(keras)}
    if python:
        work["TensorFlow"] = lambda: in_tensorflow(python)
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, run in work.items():
            times[name].append(run())
    report(f"{EPOCHS} epochs of a frozen ResNet50, {IMAGES} images of {SIDE}×{SIDE}", times)


def main() -> None:
    """Read the arguments and measure."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--training", action="store_true")
    arguments.add_argument("--prediction", action="store_true")
    arguments.add_argument("--tensorflow")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.once:
        from tensorflow import keras as tensorflow_keras  # type: ignore[import-not-found]

        print(json.dumps(training(tensorflow_keras)))
        return
    if chosen.training or not chosen.prediction:
        compare(chosen.rounds, chosen.tensorflow)
    if chosen.prediction or not chosen.training:
        for title, side in (("ResNet50", 224), ("InceptionV3", 299)):
            for batch in (1, 16):
                work = predictors(title, side, batch)
                rows = [{name: seconds(run) for name, run in work.items()} for _ in range(chosen.rounds)]
                report(f"{title}.predict, batch {batch}", {name: [row[name] for row in rows] for name in work})


if __name__ == "__main__":
    sys.exit(main())
