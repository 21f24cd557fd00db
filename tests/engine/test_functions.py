"""Functions and operators in graphs: gradients of the engine against autograd in float64."""

import numpy as np
import pytest
import torch
from engine_harness import ISAS, needs_engine
from hypothesis import given
from test_layers import CASES, batches, check, isas, threads

import convia as k
from convia import engine, ops
from convia import layers as kl

pytestmark = needs_engine
VECTOR = np.array([0.5, -1.0, 2.0, 0.1], "float32")
ROWS = np.linspace(-1, 1, 12).reshape(3, 1, 4).astype("float32")

FUNCTIONS = {
    # -- of each element
    "add a number": lambda x, y: x + 1.5,
    "subtract from a number": lambda x, y: 1 - x,
    "subtract a number": lambda x, y: x - 2,
    "multiply by a number": lambda x, y: 0.3 * x,
    "divide by a number": lambda x, y: x / 3,
    "a number divided": lambda x, y: 2 / (y + 3),
    "scale of channels": lambda x, y: x * VECTOR + VECTOR,
    "scale of rows": lambda x, y: x * ROWS - ROWS,
    "scale of a tensor": lambda x, y: x * torch.tensor(VECTOR),
    "negative": lambda x, y: -x,
    "square": lambda x, y: x**2,
    "power": lambda x, y: x**3 + y**1,
    "roots": lambda x, y: ops.sqrt(ops.square(x) + 1) + (y + 2) ** 0.5 + (y + 3) ** -1,
    "absolute": lambda x, y: abs(x) + ops.abs(y),
    "exponential": lambda x, y: ops.exp(x) + torch.exp(y),
    "logarithm": lambda x, y: ops.log(y + 2),
    "clip": lambda x, y: ops.clip(x, -0.2, 0.3),
    "threshold": lambda x, y: ops.threshold(x, 0.1, -1.0),
    "limits": lambda x, y: ops.minimum(ops.maximum(x, -0.1), 0.4) + ops.maximum(0.0, y),
    "rectifiers": lambda x, y: ops.relu(x) + ops.leaky_relu(y, 0.3) + torch.relu(y) + k.activations.relu6(x),
    "gelu": lambda x, y: ops.gelu(x) + k.activations.gelu(x) + ops.gelu(y, approximate=False),
    "activations of torch": lambda x, y: torch.tanh(x) + torch.nn.functional.silu(y) + torch.nn.functional.elu(x),
    "activations": lambda x, y: k.activations.softplus(x) + k.activations.hard_silu(y) + k.activations.mish(x),
    "cast": lambda x, y: ops.cast(x, "float32"),
    # -- of two
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: x * y * x,
    "divide": lambda x, y: x / (y + 3),
    "extremes": lambda x, y: ops.maximum(x, y) - ops.minimum(x, y * 2),
    "with itself": lambda x, y: x + x * x,
    "stretched": lambda x, y: x * ops.mean(y, axis=(1, 2), keepdims=True),
    "by torch": lambda x, y: torch.add(x, y) * torch.sub(x, 0.5),
    # -- along axes
    "mean of pixels": lambda x, y: ops.mean(x, axis=(1, 2), keepdims=True) + x,
    "mean of channels": lambda x, y: ops.mean(x, axis=-1, keepdims=True) * x,
    "mean of rows": lambda x, y: ops.mean(x, axis=1),
    "sum": lambda x, y: ops.sum(x, axis=[2, 3]),
    "sum of a vector": lambda x, y: ops.sum(ops.mean(x, axis=(1, 2)), axis=-1, keepdims=True),
    "maximum": lambda x, y: ops.max(x, axis=-1, keepdims=True) * y,
    "minimum": lambda x, y: ops.min(x, axis=(1, 2)),
    "variance": lambda x, y: ops.var(x, axis=-1, keepdims=True) + ops.std(x, axis=(1, 2), keepdims=True),
    "softmax": lambda x, y: ops.softmax(x) + ops.softmax(y, axis=1),
    "softmax of pixels": lambda x, y: ops.softmax(x, axis=(1, 2)) + k.activations.softmax(y, axis=2),
    "log_softmax": lambda x, y: ops.log_softmax(x) + ops.log_softmax(y, axis=1),
    "sparsemax": lambda x, y: ops.sparsemax(x) + ops.sparsemax(y, axis=1),
    "gates": lambda x, y: ops.concatenate([ops.glu(x), ops.glu(y, axis=-1)], axis=-1),
    "unit vectors": lambda x, y: ops.normalize(x, axis=-1) + ops.normalize(y, axis=1),
    # -- that move elements
    "reshape": lambda x, y: ops.reshape(x, (-1, 6, 8)),
    "transpose": lambda x, y: ops.transpose(x, (0, 3, 1, 2)),
    "concatenate": lambda x, y: ops.concatenate([x, y, x], axis=2),
    "concatenate by torch": lambda x, y: torch.cat([x, y], 1),
    "stack": lambda x, y: ops.stack([x, y], axis=2),
    "split": lambda x, y: ops.split(x, 2, axis=-1)[1] * ops.split(y, [1], axis=-1)[0],
    "slices": lambda x, y: x[:, ::2, 1:] + y[:, 1:, :3],
    "a channel": lambda x, y: x[..., 2] + y[..., 0],
    "new axes": lambda x, y: ops.squeeze(ops.expand_dims(x, 1), 1),
    "pad": lambda x, y: ops.pad(x, [[0, 0], [1, 1], [2, 0], [0, 0]]),
    "mirror": lambda x, y: ops.pad(x, [[0, 0], [1, 1], [2, 1], [0, 0]], mode="reflect"),
    "flip and roll": lambda x, y: ops.flip(x, 1) + ops.roll(y, 1, 2),
    "repeat": lambda x, y: ops.repeat(x, 2, 1) + ops.tile(y, (1, 2, 1, 1)),
    "moveaxis": lambda x, y: ops.moveaxis(x, -1, 1),
    # -- of images
    "pools": lambda x, y: ops.max_pool(x, 2, 1, "same") + ops.average_pool(y, 3, 1, "same"),
    "resize": lambda x, y: ops.image.resize(x, (7, 5)),
    "resize to smaller": lambda x, y: ops.image.resize(x, (2, 3), antialias=True),
    "bicubic": lambda x, y: ops.image.resize(x, (6, 8), interpolation="bicubic"),
    "nearest": lambda x, y: ops.image.resize(x, (6, 8), interpolation="nearest"),
}


def with_function(function):
    x = k.Input((3, 4, 2))
    a, b = kl.Dense(4)(x), kl.Dense(4, activation="tanh")(x)
    return k.Model(x, kl.Dense(2, activation="tanh")(function(a, b)))


@CASES
@given(isas, threads, batches)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name, isa, thread_count, batch):
    check(with_function(FUNCTIONS[name]), isa, thread_count, batch)


@pytest.mark.parametrize("isa", ISAS)
def test_functions_of_channels_first(isa):
    options = {"data_format": "channels_first"}
    x = k.Input((2, 6, 5))
    a, b = (kl.Conv2D(4, 3, padding="same", activation="tanh", **options)(x) for _ in range(2))
    h = ops.relu(a + b) * VECTOR.reshape(4, 1, 1) + ops.mean(a, axis=(2, 3), keepdims=True)
    h = ops.concatenate([h, ops.max_pool(b, 2, 1, "same", data_format="channels_first")], axis=1)
    h = (
        ops.image.resize(h, (7, 7), data_format="channels_first")
        * ops.softmax(ops.image.resize(b, (7, 7), data_format="channels_first"), axis=1)[:, :1]
    )
    check(k.Model(x, kl.Conv2D(2, 3, **options)(h)), isa, 2, 20)


REFUSED = {
    "erf": (lambda x, y: ops.erf(x), r"function 'erf\w*' \(erf\) is not supported"),
    "power": (lambda x, y: x**1.7, r"function 'power\w*' \(power\): the exponent 1.7"),
    "batch": (lambda x, y: ops.reshape(x, (-1, 4)) * 1, "from sample to sample"),
    "mean of the batch": (lambda x, y: ops.mean(x, axis=0, keepdims=True) + y, "shape|axis"),
    "filled": (lambda x, y: ops.pad(x, [[0, 0], [1, 1], [0, 0], [0, 0]], constant_values=3.0), "other values"),
    "integers": (lambda x, y: ops.cast(ops.argmax(x, axis=-1), "float32"), "argmax"),
    "another rank": (lambda x, y: x + ops.reshape(y, (-1, 48)), "ranks|size|match"),
    "of one's own": (lambda x, y: kl.Lambda(lambda v: v * 2, name="mine")(x), r"layer 'mine' \(Lambda\)"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_named(name):
    function, reason = REFUSED[name]
    try:
        model = with_function(function)
    except (ValueError, RuntimeError):
        pytest.skip("no such graph")
    with pytest.raises(engine.Unsupported, match=reason):
        engine.lower(model.graph, [])
