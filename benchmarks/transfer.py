"""A frozen ResNet50 with a new head, and prediction by published networks: convia, Keras on torch, plain torch in both
memory formats, OpenVINO, and TensorFlow where a Python that has it is named.

WORK is ``training``, 10 epochs of a frozen ResNet50 over 240 images of 150×150, or ``ResNet50/16``: predicting a batch
of 16. Each contender is a process of its own; they take turns. Weights are random: times do not depend on them.
Printed: the median, the fastest and the slowest round, and how many times that of convia the median is. With
``--times`` what was measured before is kept in a file and taken along, so that contenders may be measured in calls of
their own.

Usage: python benchmarks/transfer.py [WORK ...] [--contenders convia keras] [--tensorflow PYTHON] [--rounds 3]
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np

IMAGES, SIDE, EPOCHS, BATCH = 240, 150, 10, 32
SIDES = {"ResNet50": 224, "InceptionV3": 299}
WORKS = ("training", *(f"{title}/{batch}" for title in SIDES for batch in (1, 16)))
TRAINERS = ("convia", "keras", "tensorflow")
CONTENDERS = (*TRAINERS, "torch-nhwc", "torch-nchw", "openvino")
LEAST = 1.0  # seconds that the runs of a round take together


def keras_like(name: str) -> Any:
    """Return a library with the Keras API."""
    if name == "tensorflow":
        from tensorflow import keras

        return keras
    return __import__(name)


# -- what is measured, within a contender's process -------------------------------------------------------------------


def training(name: str) -> Callable[[], Any]:
    """Return what trains for 10 epochs; each time the features are computed anew."""
    k = keras_like(name)
    draw = np.random.default_rng(0)
    x = draw.uniform(-120, 130, (IMAGES, SIDE, SIDE, 3)).astype("float32")
    y = draw.integers(0, 12, IMAGES)
    backbone = k.applications.ResNet50(weights=None, include_top=False, input_shape=(SIDE, SIDE, 3))
    backbone.trainable = False
    inputs = k.Input((SIDE, SIDE, 3))
    features = k.layers.GlobalAveragePooling2D()(backbone(inputs, training=False))
    model = k.Model(inputs, k.layers.Dense(12, activation="softmax")(features))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x[:BATCH], y[:BATCH], batch_size=BATCH, verbose=0)
    return lambda: model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0)


def prediction(name: str, title: str, batch: int) -> Callable[[], Any]:
    """Return what predicts one batch, after a first time."""
    x = np.random.default_rng(0).uniform(-1, 1, (batch, SIDES[title], SIDES[title], 3)).astype("float32")
    if name in TRAINERS:
        model = getattr(keras_like(name).applications, title)(weights=None)
        run = lambda: model.predict(x, batch_size=batch, verbose=0)  # noqa: E731
    else:
        run = in_openvino(title, x) if name == "openvino" else in_torch(title, x, name)
    run()
    return run


def in_torch(title: str, x: np.ndarray, name: str) -> Callable[[], Any]:
    """Return a call of the same graph of torch's functions, one after the other."""
    import torch

    import convia

    convia.config.set_engine("torch")
    if name.endswith("nchw"):
        convia.config.set_image_data_format("channels_first")
        x = np.ascontiguousarray(np.moveaxis(x, -1, 1))
    model, tensor = getattr(convia.applications, title)(weights=None), torch.from_numpy(x)

    @torch.inference_mode()
    def run() -> Any:
        return model(tensor)

    return run


def in_openvino(title: str, x: np.ndarray) -> Callable[[], Any]:
    """Return a call of the network compiled by OpenVINO, in float32."""
    import openvino
    import torch

    import convia

    model = getattr(convia.applications, title)(weights=None)
    converted = openvino.convert_model(model, example_input=torch.from_numpy(x), input=list(x.shape))
    compiled = openvino.compile_model(converted, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda: compiled(x)


def work_of(name: str, work: str) -> None:
    """Measure at every line of standard input, and write the seconds of one run: the least of some."""
    title, _, batch = work.partition("/")
    run = prediction(name, title, int(batch)) if batch else training(name)
    print(json.dumps("ready"), flush=True)
    for _ in sys.stdin:
        times: list[float] = []
        while sum(times) < LEAST or len(times) < (2 if batch else 1):  # the first may find its memory paged out
            start = perf_counter()
            run()
            times.append(perf_counter() - start)
        print(json.dumps(min(times)), flush=True)


# -- contenders -------------------------------------------------------------------------------------------------------


class Contender:
    """A process that has one network ready and runs it on demand."""

    def __init__(self, name: str, work: str, python: str) -> None:
        command = [python, str(Path(__file__)), work, "--contenders", name, "--obey"]
        self._name = name
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        while line := self._process.stdout.readline():
            if line[0] in '"0123456789':  # libraries have their own things to say
                return json.loads(line)
        raise SystemExit(f"a contender has ended: {self._name}")

    def seconds(self) -> float:
        """Return how long a run takes."""
        assert self._process.stdin is not None
        print(file=self._process.stdin, flush=True)
        return float(self._answer())

    def quit(self) -> None:
        """End the process."""
        self._process.communicate()


def race(work: str, pythons: dict[str, str], rounds: int) -> dict[str, list[float]]:
    """Return contender → seconds in each round."""
    contenders = {name: Contender(name, work, python) for name, python in pythons.items()}
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            times[name].append(contender.seconds())
    for contender in contenders.values():
        contender.quit()
    return times


def report(work: str, times: dict[str, list[float]]) -> None:
    """Print times, and ratios to convia's."""
    print(f"{EPOCHS} epochs, {IMAGES} images of {SIDE}×{SIDE}" if work == "training" else f"{work}, predict")
    for name, seconds in times.items():
        median = statistics.median(seconds)
        ratio = f"   {median / statistics.median(times['convia']):6.2f} ×" if "convia" in times else ""
        print(f"  {name:11s} {median:8.4f} s  ({min(seconds):.4f} to {max(seconds):.4f}){ratio}", flush=True)


def compare(options: argparse.Namespace) -> None:
    """Measure every work asked for, and print."""
    pythons = dict.fromkeys(CONTENDERS, sys.executable) | {"tensorflow": options.tensorflow}
    if not importlib.util.find_spec("openvino"):
        pythons.pop("openvino")
    for work in options.works:
        able = CONTENDERS if "/" in work else TRAINERS
        names = [name for name in options.contenders or CONTENDERS if name in able and pythons.get(name)]
        known = json.loads(options.times.read_text()) if options.times and options.times.exists() else {}
        for name, seconds in race(work, {name: pythons[name] for name in names}, options.rounds).items():
            known.setdefault(work, {}).setdefault(name, []).extend(seconds)
        if options.times:
            options.times.write_text(json.dumps(known, indent=1) + "\n")
        report(work, known[work])


def main() -> None:
    """Read the arguments; measure, or be measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("works", nargs="*", metavar="WORK", help=" ".join(WORKS))
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS)
    parser.add_argument("--tensorflow", metavar="PYTHON", help="an interpreter that has TensorFlow")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--times", type=Path, metavar="FILE", help="times are added to those in this file")
    parser.add_argument("--obey", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.works = options.works or list(WORKS)
    if unknown := sorted({*options.works} - {*WORKS}):
        parser.error(f"no such work: {' '.join(unknown)}")
    if options.obey:
        work_of(options.contenders[0], options.works[0])
    else:
        compare(options)


if __name__ == "__main__":
    main()
