"""The networks of the course's last chapter, from LeNet to ConvNeXt: weights, multiplications, images per second.

Images per second are those of ``predict`` with batches of 8, the best of the rounds. ``--write`` puts the rows into the
chapter's code; rows of networks that are not named stay as they are.

Usage: python benchmarks/hall_of_fame.py [--rounds 3] [--write] [NAME …]
Quick: --rounds 1 LeNet5
"""

import argparse
import re
import time
from pathlib import Path

import numpy as np

import convia

CODE = Path(__file__).parent.parent / "docs" / "course" / "code" / "hall_of_fame.py"
BATCH = 8
NETWORKS = {  # name → year, accuracy on ImageNet in % (top 1, one crop) as the paper or Keras states it
    "LeNet1989": (1989, None),
    "LeNet5": (1998, None),
    "AlexNet": (2012, 59.3),
    "ZFNet": (2013, 61.6),
    "VGG16": (2014, 71.3),
    "GoogLeNet": (2014, None),
    "InceptionV3": (2015, 77.9),
    "ResNet50": (2015, 74.9),
    "Xception": (2016, 79.0),
    "DenseNet121": (2016, 75.0),
    "NASNetMobile": (2017, 74.4),
    "MobileNetV2": (2018, 71.3),
    "EfficientNetB0": (2019, 77.1),
    "EfficientNetV2B0": (2021, 78.7),
    "ConvNeXtTiny": (2022, 81.3),
}


def speed(model: convia.Model, rounds: int) -> float:
    """Return images per second."""
    images = np.random.default_rng(0).random((BATCH, *model.input_shape[1:]), dtype="float32")
    seconds = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        model.predict(images, batch_size=BATCH, verbose=0)
        seconds.append(time.perf_counter() - start)
    return BATCH / min(seconds[1:])  # the first round warms up


def row(name: str, rounds: int) -> str:
    """Return a row of the table, as Python."""
    options = {} if name.startswith("LeNet") else {"weights": None}
    model = getattr(convia.applications, name)(**options)
    facts = model.card().facts
    weights, work = facts["parameters"]["total"], facts["multiply_adds"]["total"]
    year, accuracy = NETWORKS[name]
    numbers = (weights / 1e6, work / 1e6, speed(model, rounds))
    three = ", ".join(f"{float(f'{number:.3g}'):g}" for number in numbers)
    return f'("{name}", {year}, {three}, {accuracy}),'


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("names", nargs="*", default=list(NETWORKS), metavar="NAME")
    options = parser.parse_args()
    for name in options.names:
        made = row(name, options.rounds)
        print(made, flush=True)
        if options.write:
            text = CODE.read_text(encoding="utf-8")
            CODE.write_text(re.sub(rf'\("{name}", .*\),', made, text), encoding="utf-8")


if __name__ == "__main__":
    main()
