"""Memory that is not enough: the layer is named, and a batch that does fit."""

import re
import subprocess
import sys

import numpy as np
import pytest
import torch

import convia as keras
from convia import layers
from convia.training import exhausted

X, Y = np.zeros((16, 8, 8, 4), "float32"), np.zeros((16, 2), "float32")
SAMPLE = 8 * 8 * 4 * 4  # bytes of a sample, and of what Greedy makes of it
CPU = "[enforce fail at alloc_cpu.cpp] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
ERRORS = {
    "gpu": lambda: torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB.\nMore text"),
    "cpu": lambda: RuntimeError(CPU),
    "engine": lambda: MemoryError("std::bad_alloc"),
}


class Greedy(layers.Layer):
    """Fails for batches of more than ``most`` samples."""

    most, error = 4, staticmethod(ERRORS["cpu"])

    def call(self, inputs):
        if inputs.shape[0] > self.most and inputs.device.type != "meta":
            raise self.error()
        return inputs * 2.0


class BackwardFails(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        raise RuntimeError(CPU)


def network(layer):
    inner = [layer, layers.BatchNormalization(name="norm"), layers.Flatten(), layers.Dense(2)]
    model = keras.Sequential([layers.Input((8, 8, 4)), *inner])
    model.compile("sgd", "mse", engine="torch")
    return model


USES = {
    "fit": lambda model: model.fit(X, Y, batch_size=16, verbose=0),
    "evaluate": lambda model: model.evaluate(X, Y, batch_size=16, verbose=0),
    "predict": lambda model: model.predict(X, batch_size=16, verbose=0),
}


@pytest.mark.parametrize("kind", ERRORS)
@pytest.mark.parametrize("use", USES)
def test_layer_and_batch_are_named(use, kind, monkeypatch):
    monkeypatch.setattr(exhausted, "_free", lambda: 12_000.0)
    greedy = Greedy(name="greedy")
    greedy.error = ERRORS[kind]
    model = network(greedy)
    before = model.get_weights()
    with pytest.raises(
        type(ERRORS[kind]()), match=f"^{use} of 'sequential'.*16 samples.*Greedy layer 'greedy'"
    ) as raised:
        USES[use](model)
    told = re.search(r"at most about (\d+) samples: each takes ([\d.e-]+) MiB.*batch_size=(\d+)", str(raised.value))
    most, each = int(told[1]), float(told[2]) * 2**20
    assert most == int(told[3]) == int(12_000 * 0.9 / each)
    # what greedy is given and gives; in fit twice, and what norm and the last layer keep
    assert each == pytest.approx((6 if use == "fit" else 2) * SAMPLE, rel=0.01)
    assert ("gradient_accumulation_steps" in str(raised.value)) == (use == "fit")
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_gradients_have_no_layer_but_the_largest_output_is_named(monkeypatch):
    monkeypatch.setattr(exhausted, "_free", lambda: 1e9)
    model = network(layers.Conv2D(8, 3, name="wide"))
    model.add(layers.Lambda(BackwardFails.apply))
    model.compile("sgd", "mse", engine="torch")
    with pytest.raises(
        RuntimeError, match=r"in the gradients; the largest output is that of layer 'wide'.*about 15 samples"
    ):
        USES["fit"](model)


def test_where_nothing_is_left(monkeypatch):
    monkeypatch.setattr(exhausted, "_free", lambda: 10.0)
    with pytest.raises(RuntimeError, match=r"about 0 samples.*a smaller network"):
        USES["fit"](network(Greedy()))


def test_where_a_sample_fails_too_only_the_layer_is_named():
    greedy = Greedy(name="greedy")
    greedy.most = 0
    with pytest.raises(RuntimeError, match=r"'greedy'.*Use a smaller batch_size") as raised:
        USES["predict"](network(greedy))
    assert "about" not in str(raised.value)


def test_other_errors_stay_as_they_are():
    greedy = Greedy(name="greedy")
    greedy.error = lambda: RuntimeError("something else")
    with pytest.raises(RuntimeError, match="something else") as raised:
        USES["fit"](network(greedy))
    assert "batch of" not in str(raised.value)


PROGRAM = """
import re, resource, sys
import numpy as np
import convia as keras
from convia import layers
keras.config.set_engine(sys.argv[1])
wide = [layers.Conv2D(64, 3, padding="same", name="wide"), layers.BatchNormalization(), layers.GlobalAveragePooling2D()]
model = keras.Sequential([layers.Input((32, 32, 3)), *wide, layers.Dense(2)])
model.compile("sgd", "mse")
x, y = np.zeros((2000, 32, 32, 3), "float32"), np.zeros((2000, 2), "float32")
if sys.argv[1] == "torch":
    model.fit(x[:2], y[:2], verbose=0)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (200 << 20 if sys.argv[1] == "torch" else 0),) * 2)
try:
    model.fit(x, y, batch_size=2000, verbose=0)
except (RuntimeError, MemoryError) as error:
    print(error)
    found = re.search(r"batch_size=(\\d+)", str(error))
if found:
    model.fit(x[:int(found[1])], y[:int(found[1])], batch_size=2000, verbose=0)
    print("fits")
"""


def run(engine):
    command = [sys.executable, "-c", PROGRAM, engine]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space, and reads /proc")
def test_the_batch_that_is_named_fits():
    done = run("torch")
    assert "for which memory is not enough in" in done.stdout, done.stderr
    assert "DefaultCPUAllocator" in done.stdout
    assert done.stdout.strip().endswith("fits"), done.stdout + done.stderr
