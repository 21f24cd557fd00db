"""Preparing pictures and naming classes as Keras does."""

import hashlib
import json

import keras
import numpy as np
import pytest
import torch
from keras.src.applications import imagenet_utils as theirs_module

from convia import Input, Model, applications, config
from convia.applications import imagenet_utils

MODULES = [
    *("convnext", "densenet", "efficientnet", "efficientnet_v2", "inception_resnet_v2", "inception_v3", "mobilenet"),
    *("mobilenet_v2", "mobilenet_v3", "nasnet", "resnet", "resnet50", "resnet_v2", "vgg16", "vgg19", "xception"),
]


def pictures(dtype: str, data_format: str, rank: int) -> np.ndarray:
    x = np.random.uniform(0, 255, (2, 5, 4, 3)).astype(dtype)
    x = np.moveaxis(x, -1, 1) if data_format == "channels_first" else x
    return np.ascontiguousarray(x if rank == 4 else x[0])


@pytest.mark.parametrize("rank", [3, 4])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("dtype", ["uint8", "int64", "float16", "float32", "float64"])
@pytest.mark.parametrize("mode", ["caffe", "tf", "torch"])
def test_preprocess_input_equals_keras(mode, dtype, data_format, rank):
    x = pictures(dtype, data_format, rank)
    theirs = keras.applications.imagenet_utils.preprocess_input(x.copy(), data_format, mode)
    before = x.copy()
    ours = imagenet_utils.preprocess_input(x, data_format, mode)
    np.testing.assert_array_equal(ours, theirs)
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(x, before)  # the pictures stay as they are
    tensor = imagenet_utils.preprocess_input(torch.from_numpy(x), data_format, mode)
    np.testing.assert_allclose(tensor.numpy(), theirs, rtol=1e-6 if dtype != "float16" else 2e-3, atol=1e-5)
    assert str(tensor.dtype) == f"torch.{theirs.dtype}"


@pytest.mark.parametrize("mode", ["caffe", "tf", "torch"])
def test_preprocess_input_of_symbolic_tensors(mode):
    inputs = Input((5, 4, 3))
    model = Model(inputs, imagenet_utils.preprocess_input(inputs, mode=mode))
    x = pictures("float32", "channels_last", 4)
    np.testing.assert_allclose(
        model.predict(x, verbose=0), imagenet_utils.preprocess_input(x, mode=mode), rtol=1e-6, atol=1e-5
    )


def test_the_setting_says_where_the_channels_are():
    x = pictures("float32", "channels_first", 4)
    config.set_image_data_format("channels_first")
    np.testing.assert_array_equal(
        imagenet_utils.preprocess_input(x),
        keras.applications.imagenet_utils.preprocess_input(x.copy(), "channels_first"),
    )


@pytest.mark.parametrize("name", MODULES)
def test_each_network_prepares_as_in_keras(name):
    x = pictures("float32", "channels_last", 4)
    ours, theirs = getattr(applications, name), getattr(keras.applications, name)
    np.testing.assert_array_equal(ours.preprocess_input(x), theirs.preprocess_input(x.copy()))
    assert ours.decode_predictions is imagenet_utils.decode_predictions


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "pytorch"}, r"argument 'mode': received 'pytorch'; expected one of \['caffe', 'tf', 'torch'\]"),
        ({"data_format": "NHWC"}, r"argument 'data_format': received 'NHWC'; expected 'channels_first'"),
        ({"x": np.zeros((2, 5, 4, 1))}, r"shape \(2, 5, 4, 1\); expected 3 channels on axis 3.*numpy\.repeat"),
    ],
)
def test_preprocess_input_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        imagenet_utils.preprocess_input(**{"x": np.zeros((2, 5, 4, 3)), **arguments})


@pytest.mark.parametrize("top", [1, 5, 1000])
def test_decode_predictions_equals_keras(top, monkeypatch):
    classes = {str(number): row for number, row in enumerate(imagenet_utils._classes())}
    monkeypatch.setattr(theirs_module, "CLASS_INDEX", classes)  # it would be downloaded
    scores = np.random.dirichlet(np.ones(1000), 3).astype("float32")
    theirs = keras.applications.imagenet_utils.decode_predictions(scores, top)
    assert imagenet_utils.decode_predictions(scores, top) == theirs
    assert imagenet_utils.decode_predictions(torch.from_numpy(scores), top) == theirs


@pytest.mark.parametrize(
    ("number", "row"),
    [
        (0, ("n01440764", "tench")),
        (285, ("n02124075", "Egyptian_cat")),
        (386, ("n02504458", "African_elephant")),
        (999, ("n15075141", "toilet_tissue")),
    ],
)
def test_classes(number, row):
    assert imagenet_utils.decode_predictions(np.eye(1000)[[number]], top=1) == [[(*row, 1.0)]]


def test_classes_are_those_that_keras_downloads():
    text = json.dumps({str(number): row for number, row in enumerate(imagenet_utils._classes())})
    assert hashlib.md5(text.encode()).hexdigest() == "c2c37ea517e94d9795004a39431a14cb"  # in Keras's source


@pytest.mark.parametrize("shape", [(1000,), (2, 10), (2, 1, 1000)])
def test_decode_predictions_errors(shape):
    with pytest.raises(ValueError, match=r"received shape .*expected \(N, 1000\).*preds\[None\]"):
        imagenet_utils.decode_predictions(np.zeros(shape))
