"""``convia predict`` on one image in a process of its own, against the time that importing torch takes.

    python benchmarks/cold.py           # several networks, .keras and .h5
    python benchmarks/cold.py --quick   # one network, fewer rounds

Both are run in turn; the least time of each counts. The aim: at most 1.5 times as long.

Quick: --quick
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

import convia as keras
from convia.applications import layers_of

ROUNDS = 5
AIM = 1.5  # times the import of torch


def lenet():
    """Five layers with weights, images of 28×28."""
    return keras.Sequential([keras.Input((28, 28, 1)), *layers_of("lenet", (28, 28, 1), 10)])


def normalized():
    """Six convolutions with BatchNormalization, images of 32×32."""
    x = inputs = keras.Input((32, 32, 3))
    for filters in (16, 16, 32, 32, 64, 64):
        x = keras.layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(x))


def mobile():
    """MobileNetV2 for images of 224×224: 155 layers, 3.5 million weights."""
    return keras.applications.MobileNetV2(weights=None)


NETWORKS = {"lenet.keras": lenet, "normalized.keras": normalized, "normalized.h5": normalized, "mobile.keras": mobile}


def seconds(*words):
    """How long a process takes from its start to its end."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main():
    quick = "--quick" in sys.argv
    names = [*NETWORKS][1:2] if quick else [*NETWORKS]
    with tempfile.TemporaryDirectory() as folder:
        picture = str(Path(folder, "image.png"))
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), "uint8")).save(picture)
        for name in names:
            NETWORKS[name]().save(Path(folder, name))
        taken = {name: [] for name in ("torch", *names)}
        for _ in range(2 if quick else ROUNDS):
            taken["torch"].append(seconds("-c", "import torch"))
            for name in names:
                taken[name].append(seconds("-m", "convia", "predict", str(Path(folder, name)), picture))
    least = {name: min(values) for name, values in taken.items()}
    print(f"import torch       {least['torch']:.2f} s")
    for name in names:
        ratio = least[name] / least["torch"]
        print(f"predict {name:17} {least[name]:.2f} s   {ratio:.2f} ×{'' if ratio <= AIM else f'   above {AIM} ×'}")


if __name__ == "__main__":
    main()
