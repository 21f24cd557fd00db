"""to_categorical and normalize against Keras."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import pytest
import torch

from convia import config, numerical

rng = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def on_cpu():
    before = config._settings["device"]
    config.set_device("cpu")
    yield
    config._settings["device"] = before


@pytest.mark.parametrize(
    "labels",
    [
        [0, 2, 1],
        [[0], [2]],
        [[0, 1], [2, 0]],
        np.array([1.0, 3.0]),
        2,
        [1],
        [-1, 0, 2],
        np.zeros((2, 3, 1), "uint8"),
        [[1]],
    ],
)
@pytest.mark.parametrize("num_classes", [None, 5])
def test_to_categorical_equals_keras(labels, num_classes):
    ours, theirs = numerical.to_categorical(labels, num_classes), keras.utils.to_categorical(labels, num_classes)
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("labels", [[0, 2, 1], [[0], [2]], [[0, 1], [2, 0]], [-1, 2]])
def test_to_categorical_of_tensors(labels):
    tensor = torch.tensor(labels)
    ours, theirs = numerical.to_categorical(tensor, 4), keras.utils.to_categorical(tensor, 4)
    assert ours.dtype == theirs.dtype
    assert torch.equal(ours, theirs.cpu())
    assert numerical.to_categorical(tensor).shape[-1] == 3


@pytest.mark.parametrize(
    ("labels", "num_classes", "kind", "message"),
    [
        ([0, 5], 3, IndexError, "received the label 5 for 3 classes; expected labels from 0 to 2.*start at 0"),
        ([-4], 3, IndexError, "the label -4"),
        (torch.tensor([3]), 3, IndexError, "the label 3"),
        ([], None, ValueError, "received no labels.*num_classes"),
    ],
)
def test_to_categorical_messages(labels, num_classes, kind, message):
    with pytest.raises(kind, match=message):
        numerical.to_categorical(labels, num_classes)


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4)])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_normalize_equals_keras(shape, order):
    x = rng.normal(size=shape).astype("float32")
    if len(shape) > 1:
        x[..., 0, :] = 0
    for axis in (-1, 1 if len(shape) > 1 else -1):
        ours, theirs = numerical.normalize(x, axis, order), keras.utils.normalize(x, axis, order)
        assert isinstance(ours, np.ndarray)
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
        for given in (torch.tensor(x), x.tolist()):
            tensor = numerical.normalize(given, axis, order)
            assert isinstance(tensor, torch.Tensor)
            np.testing.assert_allclose(tensor, keras.utils.normalize(given, axis, order).cpu(), rtol=1e-5)


def test_normalize_along_the_first_axis_and_as_a_whole():
    x = rng.normal(size=(3, 4))
    np.testing.assert_allclose(np.linalg.norm(numerical.normalize(x, axis=0), axis=0), np.ones(4))
    np.testing.assert_allclose(numerical.normalize(x, axis=None), keras.utils.normalize(x, axis=None))


@pytest.mark.parametrize("order", [0, 1.5, "2"])
def test_normalize_message(order):
    with pytest.raises(ValueError, match=r"argument 'order': received .*whole number ≥ 1"):
        numerical.normalize([1.0], order=order)
