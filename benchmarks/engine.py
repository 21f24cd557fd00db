"""The native engine through the public API, beside its peers: plain torch (in both memory formats), Keras on torch, and
TensorFlow where a Python that has it is named; ``convia-torch`` is convia without the engine.

WORK is ``course/fit``, steps of training with Adam, shuffling, loss and accuracy, or ``course/predict``, batches of
predictions, both of 32 images; or ``notebook``, the course notebook's training cell: 5 epochs of 40 200 images and
validation on 19 800. Each contender is a process of its own; they take turns. Printed: the median, the fastest and the
slowest round, per step or batch; how many times that of convia the median is; the peak of memory; then what each kernel
of a training step reaches of what one core can do.

Usage: python benchmarks/engine.py [WORK ...] [--contenders convia keras] [--tensorflow PYTHON] [--rounds 3]
Quick: lenet/predict --contenders convia torch-nhwc --rounds 1
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import networks
import numpy as np
import race
from published import KERAS_LIKE, keras_like, shares

BATCH, CELL = 32, 60_000
STEPS = {"course": 1256, "lenet": 600, "deep": 40}
WORKS = {
    f"{network}/{use}": race.Work(f"{network}, {steps} {'steps' if use == 'fit' else 'predictions'} of {BATCH}", steps)
    for network, steps in STEPS.items()
    for use in ("fit", "predict")
} | {"notebook": race.Work("the course notebook's training cell")}


def data(samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Return random images and classes."""
    draw = np.random.default_rng(0)
    return draw.random((samples, 28, 28, 1), dtype=np.float32), draw.integers(0, 10, samples)


def compiled(name: str, network: str) -> Any:
    """Return a network of a library with the Keras API."""
    model = networks.NETWORKS[network](keras_like(name))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def in_torch(network: str, use: str, layout: str, x: np.ndarray, y: np.ndarray) -> Callable[[], Any]:
    """Return what trains or predicts in plain torch, in a memory format."""
    import torch
    import torch_networks

    memory = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}[layout]
    model = torch_networks.NETWORKS[network]().to(memory_format=memory)  # type: ignore[call-overload]
    images = torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(memory_format=memory)
    if use == "fit":
        return torch_networks.torch_train(model, images, torch.from_numpy(y), BATCH)  # type: ignore[no-any-return]
    return torch_networks.torch_predict(model, images, BATCH)  # type: ignore[no-any-return]


def make(name: str, work: str) -> Callable[[], Any]:
    """Return what does the work, after a first time."""
    network, _, use = work.partition("/")
    x, y = data(BATCH * STEPS[network] if use else CELL)
    if name.startswith("torch-"):
        run = in_torch(network, use, name.removeprefix("torch-"), x, y)
    else:
        model = compiled(name, network if use else "course")
        cell = {} if use else {"epochs": 5, "validation_split": 0.33}
        run = (
            partial(model.predict, x, batch_size=BATCH, verbose=0)
            if use == "predict"
            else partial(model.fit, x, y, batch_size=BATCH, verbose=0, **cell)
        )
    run()
    return run


def able(work: str) -> tuple[str, ...]:
    """Return those who can do the work."""
    return (*KERAS_LIKE, "convia-torch") + (("torch-nchw", "torch-nhwc") if "/" in work else ())


def share(network: str) -> None:
    """Print what each kernel of a training step reaches."""
    x, y = data(BATCH * STEPS[network])
    model = compiled("convia", network)
    run = partial(model.fit, x, y, batch_size=BATCH, verbose=0)
    run()
    shares(f"{network}/fit", model, run)


if __name__ == "__main__":
    options = race.main(__file__, __doc__, WORKS, make, able)
    if not options.obey and "convia" in (options.contenders or ["convia"]):
        for each in options.works:
            if each.endswith("/fit"):
                share(each.removesuffix("/fit"))
