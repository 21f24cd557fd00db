"""One library with one network in a process of its own, which does what it is told on standard input and says how long.

Usage: python contender.py LIBRARY NETWORK SAMPLES, LIBRARY one of convia, convia-torch (without the native engine),
torch-nchw, torch-nhwc, keras, tensorflow.
Commands: fit, predict (all samples, batch 32), cell (5 epochs of the samples with a third of them for validation),
memory (peak, MB), share (of the peak, per kernel), quit. Each answers with one line of JSON.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import networks
import numpy as np

os.environ["KERAS_BACKEND"] = "torch"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
BATCH = 32


def keras_style(library: Any, name: str, x: np.ndarray, y: np.ndarray) -> dict[str, Callable[[], object]]:
    """Return command → function for a library with the Keras API."""
    model = networks.NETWORKS[name](library)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    runs = {
        "fit": lambda: model.fit(x, y, batch_size=BATCH, verbose=0),
        "predict": lambda: model.predict(x, batch_size=BATCH, verbose=0),
        "cell": lambda: model.fit(x, y, validation_split=0.33, batch_size=BATCH, epochs=5, verbose=0),
    }
    if library.__name__ == "convia":
        runs["share"] = lambda: share(model, x, y)
    return runs


def share(model: Any, x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Return kernel → share of the peak of one core, measured in this process; the multiplications of taps count."""
    from convia import engine
    from convia.training import plans

    rows = plans.profile(model, lambda: model.fit(x, y, batch_size=BATCH, verbose=0))
    peak = engine.native().peak(engine.instruction_set())
    return {f"{row.step} {row.work}": row.operations / row.seconds / peak for row in rows if row.operations}


def torch_style(name: str, layout: str, x: np.ndarray, y: np.ndarray) -> dict[str, Callable[[], object]]:
    """Return command → function for plain torch, in a memory format."""
    import torch
    import torch_networks

    memory = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}[layout]
    model = torch_networks.NETWORKS[name]().to(memory_format=memory)
    images = torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(memory_format=memory)
    return {
        "fit": torch_networks.torch_train(model, images, torch.from_numpy(y), BATCH),
        "predict": torch_networks.torch_predict(model, images, BATCH),
    }


def commands(library: str, name: str, x: np.ndarray, y: np.ndarray) -> dict[str, Callable[[], object]]:
    """Return command → function of any library."""
    if library.startswith("torch-"):
        return torch_style(name, library.removeprefix("torch-"), x, y)
    if library == "convia-torch":
        os.environ["CONVIA_ENGINE"] = "off"
    if library == "tensorflow":
        from tensorflow import keras

        return keras_style(keras, name, x, y)
    return keras_style(__import__(library.removesuffix("-torch")), name, x, y)


def main() -> None:
    """Obey."""
    library, name, samples = sys.argv[1], sys.argv[2], int(sys.argv[3])
    generator = np.random.default_rng(0)
    x = generator.random((samples, 28, 28, 1), dtype=np.float32)
    runs = commands(library, name, x, generator.integers(0, 10, samples))
    for line in sys.stdin:
        command = line.strip()
        if command == "quit":
            return
        start = time.perf_counter()
        result = runs[command]() if command in runs else None
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"seconds": seconds, "memory": peak, "share": result if command == "share" else None}))
        sys.stdout.flush()


if __name__ == "__main__":
    main()
