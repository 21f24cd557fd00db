"""Recurrent layers and their wrappers beside Keras's: calls with states and masks, gradients, shapes to try them on."""

import keras
import numpy as np
import pytest
import torch
from oracle import assert_close, copy_weights, random_inputs

from convia import layers

SEQUENCE, ROWS, IMAGES, VOLUMES = (3, 5, 4), (2, 3, 7, 2), (2, 3, 6, 5, 2), (2, 2, 4, 5, 3, 2)
ALL = {"return_sequences": True, "return_state": True}
MASK = np.array([[1, 1, 0, 1, 0], [1, 1, 1, 1, 1], [0, 0, 1, 0, 1]], dtype=bool)


def assert_error(make, error, parts):
    with pytest.raises(error) as caught:
        make()
    for part in parts:
        assert part in str(caught.value)


def both(name, args, options):
    options = {"name": "layer", **options}
    return getattr(layers, name)(*args, **options), getattr(keras.layers, name)(*args, **options)


def listed(output):
    return list(output) if isinstance(output, (list, tuple)) else [output]


def run(layer, x, **options):
    """Outputs, and the gradients of the input and the weights."""
    x = torch.tensor(x, requires_grad=True)
    outputs = listed(layer(x, **options))
    weights = [getattr(v, "value", v) for v in layer.trainable_weights]
    total = sum(
        (output * torch.arange(1.0, output.numel() + 1).reshape(output.shape).cos()).sum() for output in outputs
    )
    return outputs, list(torch.autograd.grad(total, [x, *weights]))


def compare(ours, theirs, x, **options):
    """Compare a call with options; both have been built before."""
    for number, (a, b) in enumerate(zip(run(ours, x, **options), run(theirs, x, **options), strict=True)):
        assert_close(a, b, ("output", "gradient")[number], (1e-5, 1e-4)[number])


def built(name, shape, args, options):
    ours, theirs = both(name, args, options)
    x = random_inputs(shape)[0]
    ours(x), theirs(x)
    copy_weights(ours, theirs)
    for each in (ours, theirs):
        each.set_weights([weight - 0.6 for weight in each.get_weights()])
    return ours, theirs, x
