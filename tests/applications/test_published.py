"""The published networks: made of the same as Keras's, computing the same, with the same files and checks."""

import hashlib
import inspect
import json
import pickle
import sys
from functools import partial
from pathlib import Path
from unittest import mock

import h5py
import keras
import numpy as np
import pytest
import torch
from keras.src import applications as their_networks
from keras.src.applications import convnext, inception_resnet_v2  # noqa: F401
from keras.src.legacy.saving import legacy_h5_format
from oracle import assert_close
from test_fetch import Server

import convia
from convia import Input, applications, config, fetch, initializers, layers
from convia.applications import _published

sys.path.insert(0, str(Path(__file__).parent))
from make_golden import GOLDEN, Asked, build_theirs, facts, files

TABLE = json.loads(GOLDEN.read_text())
TITLES = [label for label in TABLE if not TABLE[label]["arguments"]]
WITH_FILES = [label for label in TABLE if "files" in TABLE[label]]


def build(title, **arguments):
    convia.backend.clear_session()
    return getattr(applications, title)(**{"weights": None, **arguments})


@pytest.fixture
def quick_start(monkeypatch):
    """Weights start as zeros."""
    for start in (initializers.VarianceScaling, initializers.TruncatedNormal):
        monkeypatch.setattr(start, "__call__", lambda self, shape, dtype=None: torch.zeros(()).expand(shape))


@pytest.mark.parametrize("variant", TABLE)
def test_layers_and_weights_equal_keras(variant, quick_start):
    row, title = TABLE[variant], variant.split()[0]
    found = facts(build(title, **row["arguments"]))
    found["bare"] = facts(build(title, include_top=False, **row["arguments"]))
    assert found == {key: row[key] for key in found}


@pytest.mark.parametrize("variant", WITH_FILES)
def test_files_equal_keras(variant, get_file):
    row, title = TABLE[variant], variant.split()[0]
    assert files(getattr(applications, title), title, get_file, **row["arguments"]) == row["files"]


@pytest.fixture
def get_file(monkeypatch):
    double = mock.Mock()
    monkeypatch.setattr(fetch, "get_file", double)
    return double


@pytest.mark.parametrize("title", TITLES)
def test_signature(title):
    ours = inspect.signature(getattr(applications, title)).parameters
    theirs = inspect.signature(getattr(keras.applications, title)).parameters
    assert [(p.name, p.default) for p in ours.values()] == [(p.name, p.default) for p in theirs.values()]
    assert pickle.loads(pickle.dumps(getattr(applications, title))) is getattr(applications, title)
    assert "include_top: " in getattr(applications, title).__doc__


# -- outputs ----------------------------------------------------------------------------------------------------------

TOP = {"classes": 7, "classifier_activation": None}
CASES = [
    ("VGG16", {"input_shape": (32, 32, 3), **TOP}),
    ("VGG19", {"input_shape": (33, 40, 3), "include_top": False, "pooling": "max"}),
    ("ResNet50", {"input_shape": (33, 47, 3), **TOP}),
    ("ResNet50V2", {"input_shape": (64, 64, 3), **TOP}),
    ("ResNet50V2", {"input_shape": (45, 64, 1), "include_top": False, "pooling": "avg"}),
    ("InceptionV3", {"input_shape": (75, 80, 3), **TOP}),
    ("MobileNet", {"input_shape": (64, 64, 3), "alpha": 0.5, "dropout": 0.3, **TOP}),
    ("MobileNet", {"input_shape": (33, 65, 3), "depth_multiplier": 2, "include_top": False, "pooling": "avg"}),
    ("MobileNetV2", {"input_shape": (64, 64, 3), "alpha": 1.4, **TOP}),
    ("MobileNetV2", {"input_shape": (65, 98, 3), "alpha": 0.35, "include_top": False, "pooling": "max"}),
    ("Xception", {"input_shape": (71, 71, 3), **TOP}),
    ("DenseNet121", {"input_shape": (47, 32, 3), **TOP}),
    ("InceptionResNetV2", {"input_shape": (75, 75, 3), "include_top": False, "pooling": "max"}),
    ("EfficientNetB0", {"input_shape": (65, 64, 3), **TOP}),
    ("MobileNetV3Small", {"input_shape": (65, 64, 3), **TOP}),
    ("MobileNetV3Small", {"minimalistic": True, "dropout_rate": 0, "include_preprocessing": False, **TOP}),
    ("MobileNetV3Large", {"alpha": 0.75, "include_top": False, "pooling": "avg"}),
    ("EfficientNetV2B0", {"input_shape": (32, 65, 3), **TOP}),
    ("EfficientNetV2B0", {"input_shape": (33, 32, 1), "include_top": False}),
    ("ConvNeXtTiny", {"input_shape": (32, 70, 3), **TOP}),
    ("NASNetMobile", {"input_shape": (32, 32, 3), **TOP}),
]


def shaken(model):
    """Keras's initial weights, with statistics and scales that are not all the same."""
    draw = np.random.default_rng(0)
    values = []
    for weight in model.weights:
        value = np.asarray(weight)
        if value.ndim == 1 and value.dtype == np.float32:
            value = value + draw.uniform(0.0, 0.3, value.shape).astype("float32")
        values.append(value)
    return values


@pytest.mark.parametrize(("title", "arguments"), CASES)
def test_outputs_equal_keras(title, arguments):
    theirs, ours = build_theirs(title, **arguments), build(title, **arguments)
    assert ours.name == theirs.name
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
    values = shaken(theirs)
    theirs.set_weights(values)
    ours.set_weights(values)
    shape = [size or 40 for size in theirs.input_shape[1:]]
    x = np.random.uniform(0, 255, (2, *shape)).astype("float32")
    assert_close(ours.predict(x, verbose=0), theirs.predict(x, verbose=0), tolerance=1e-4)


@pytest.mark.parametrize("title", ["MobileNetV3Small", "Xception"])
def test_channels_first(title):
    last = build(title, input_shape=(96, 71, 3), include_top=False, pooling="avg")
    config.set_image_data_format("channels_first")
    first = build(title, input_shape=(3, 96, 71), include_top=False, pooling="avg")
    first.set_weights(last.get_weights())
    x = np.random.uniform(0, 255, (2, 96, 71, 3)).astype("float32")
    ours = first.predict(np.ascontiguousarray(np.moveaxis(x, -1, 1)), verbose=0)
    assert_close(ours, last.predict(x, verbose=0), tolerance=1e-4)


def test_input_tensor():
    inputs = Input((48, 48, 1))
    tripled = layers.Concatenate()([inputs] * 3)
    model = build("MobileNetV2", input_tensor=tripled, include_top=False, pooling="avg", alpha=0.35)
    assert model.inputs == [inputs]
    assert model.predict(np.zeros((2, 48, 48, 1)), verbose=0).shape == (2, 1280)


def test_efficientnet_divides_once_more_for_the_official_weights(monkeypatch):
    monkeypatch.setattr(_published.WeightFile, "path", lambda self: None)
    names = [layer.name for layer in build("EfficientNetB0", weights="imagenet").layers]
    assert names[:5] == ["input_layer", "rescaling", "normalization", "rescaling_1", "stem_conv_pad"]


# -- files ------------------------------------------------------------------------------------------------------------


def official(model, path):
    """Write weights as the official files have them."""
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)
    return str(path)


SMALL = {
    "MobileNetV2": {"alpha": 0.35},
    "EfficientNetB0": {},
    "MobileNetV3Small": {"input_shape": (224, 224, 3)},
    "ConvNeXtTiny": {"input_shape": (32, 32, 3)},
}


@pytest.mark.parametrize("title", SMALL)
def test_official_layout_by_order(title, tmp_path):
    theirs = build_theirs(title, include_top=False, **SMALL[title])
    theirs.set_weights(shaken(theirs))
    ours = build(title, weights=official(theirs, tmp_path / "notop.h5"), include_top=False, **SMALL[title])
    for mine, value in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, value)


@pytest.mark.parametrize("title", ["MobileNetV3Small"])
def test_official_weights_by_name_and_from_the_cache(title, tmp_path, monkeypatch):
    theirs = build_theirs(title, input_shape=(224, 224, 3))
    theirs.set_weights(shaken(theirs))
    path = official(theirs, tmp_path / "top.h5")
    bare = build(title, input_shape=(224, 224, 3), include_top=False)
    bare.load_weights(path, by_name=True)
    expected = {weight.path: np.asarray(weight) for weight in theirs.weights}
    assert all(np.array_equal(weight.numpy(), expected[weight.path]) for weight in bare.weights)
    monkeypatch.setattr(fetch, "get_file", lambda *args, **kwargs: path)
    cached = build(title, weights="imagenet", input_shape=(224, 224, 3))
    for mine, value in zip(cached.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, value)


def test_without_network_the_error_says_which_file_to_put_where(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))

    def refuse(*args, **kwargs):
        raise ConnectionError("no network")

    monkeypatch.setattr(fetch, "_bring", refuse)
    with pytest.raises(ConnectionError, match=r"resnet50_weights_tf_dim_ordering_tf_kernels_notop\.h5") as caught:
        build("ResNet50", weights="imagenet", include_top=False)
    assert str(tmp_path / "models") in str(caught.value)


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A mirror on this machine, where the official place cannot be reached."""
    bring = fetch._bring

    def without_network(url, *args):
        if url.startswith("https"):
            raise ConnectionError("no network")
        bring(url, *args)

    monkeypatch.setattr(fetch, "_bring", without_network)
    monkeypatch.setattr(fetch, "_PAUSE", 0.001)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    server = Server()
    monkeypatch.setenv("CONVIA_MIRRORS", f"{server.url('nothing')} {server.url('')}")
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("origin", [_published.ORIGIN, _published.OLDER_ORIGIN])
def test_mirrors_are_tried_when_the_official_place_fails(origin, server, tmp_path):
    server.script = [404]
    found = _published.WeightFile(f"{origin}vgg16/weights.h5", hashlib.md5(server.body).hexdigest()).path()
    assert found == str(tmp_path / "home" / "models" / "weights.h5")
    assert Path(found).read_bytes() == server.body
    assert [request["path"] for request in server.requests] == [
        "/some/nothing/vgg16/weights.h5",
        "/some/vgg16/weights.h5",
    ]


def test_downloaded_weights_after_interruptions(server, tmp_path, monkeypatch):
    theirs = build_theirs("MobileNetV2", include_top=False, alpha=0.35, input_shape=(96, 96, 3))
    theirs.set_weights(shaken(theirs))
    server.body = Path(official(theirs, tmp_path / "notop.h5")).read_bytes()
    server.script = [404, 503, "cut"]
    digest = hashlib.sha256(server.body).hexdigest()
    with_hash = partial(_published.WeightFile, file_hash=digest)
    monkeypatch.setattr(applications.mobilenet_v2, "WeightFile", with_hash)
    arguments = {"include_top": False, "alpha": 0.35, "input_shape": (96, 96, 3), "weights": "imagenet"}
    ours, again = (build("MobileNetV2", **arguments) for _ in range(2))
    assert [request.get("Range") for request in server.requests] == [None, None, None, "bytes=100000-"]
    x = np.random.uniform(-1, 1, (2, 96, 96, 3)).astype("float32")
    assert_close(again.predict(x, verbose=0), theirs.predict(x, verbose=0), tolerance=1e-4)
    assert all(np.array_equal(a, b) for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True))


def with_own_layers(api, networks):
    inputs = api.Input((4, 4, 3))
    x = networks.convnext.LayerScale(0.5, 3, name="scale")(inputs)
    x = networks.convnext.StochasticDepth(0.5, name="depth")(x)
    return api.Model(inputs, networks.inception_resnet_v2.CustomScaleLayer(0.25, name="sum")([inputs, x]))


def test_models_with_layers_of_networks_go_to_keras_and_back(tmp_path):
    path, x = tmp_path / "own.keras", np.random.rand(2, 4, 4, 3).astype("float32")
    ours = with_own_layers(convia, applications)
    ours.save(path)
    theirs = keras.saving.load_model(path)
    np.testing.assert_allclose(theirs.predict(x, verbose=0), ours.predict(x, verbose=0), rtol=1e-6)
    made_there = with_own_layers(keras, their_networks)
    made_there.save(path)
    again = convia.saving.load_model(path)
    np.testing.assert_allclose(again.predict(x, verbose=0), x * 1.125, rtol=1e-6)
    assert [layer.get_config() for layer in again.layers[1:]] == [layer.get_config() for layer in ours.layers[1:]]


def test_stochastic_depth_leaves_whole_samples_out():
    layer = applications.convnext.StochasticDepth(0.25)
    samples = layer(torch.ones(400, 2, 3, 1), training=True).reshape(400, -1)
    assert set(samples.flatten().tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    assert torch.equal(samples.min(1).values, samples.max(1).values)
    assert 0.65 < (samples[:, 0] > 0).float().mean() < 0.85
    assert torch.equal(layer(torch.ones(2, 3)), torch.ones(2, 3))


# -- errors -----------------------------------------------------------------------------------------------------------

NO_TOP = {"include_top": False}


@pytest.mark.parametrize(
    ("title", "arguments", "message"),
    [
        (
            "VGG16",
            {"weights": "image_net"},
            r"VGG16, argument 'weights': received 'image_net'; expected 'imagenet', None",
        ),
        ("VGG16", {"weights": 3}, r"argument 'weights': received 3"),
        (
            "ResNet50",
            {"weights": "imagenet", "classes": 10},
            r"ResNet50, argument 'classes': received 10; expected 1000",
        ),
        (
            "ResNet50",
            {"weights": "imagenet", "classifier_activation": "relu"},
            r"received 'relu'; expected 'softmax' or",
        ),
        ("VGG16", {"input_shape": (31, 40, 3)}, r"received \(31, 40, 3\); expected at least 32×32 pixels"),
        ("Xception", {"input_shape": (70, 71, 3), **NO_TOP}, r"expected at least 71×71 pixels"),
        ("InceptionV3", {"input_shape": (74, 75, 3), **NO_TOP}, r"expected at least 75×75 pixels"),
        ("MobileNetV3Small", {"input_shape": (31, 40, 3)}, r"expected at least 32×32 pixels"),
        ("VGG16", {"input_shape": (40, 40)}, r"received \(40, 40\); expected three sizes"),
        ("VGG16", {"input_shape": (None, 40, 3)}, r"expected known sizes with include_top=True"),
        (
            "VGG16",
            {"weights": "imagenet", "input_shape": (64, 64, 3)},
            r"expected \(224, 224, 3\) with weights='imagenet'",
        ),
        ("VGG16", {"weights": "imagenet", "input_shape": (64, 64, 1), **NO_TOP}, r"expected 3 channels.*numpy\.repeat"),
        ("VGG16", {"input_tensor": np.zeros((1, 32, 32, 3))}, r"'input_tensor': received ndarray; expected a symbolic"),
        ("MobileNet", {"weights": "imagenet", "alpha": 0.3}, r"argument 'alpha': received 0.3; expected one of"),
        ("MobileNet", {"weights": "imagenet", "depth_multiplier": 2}, r"'depth_multiplier': received 2; expected 1"),
        ("MobileNetV2", {"weights": "imagenet", "alpha": 0.25}, r"argument 'alpha': received 0.25; expected one of"),
        ("MobileNetV3Large", {"weights": "imagenet", "alpha": 0.5}, r"argument 'alpha': received 0.5; expected one of"),
        ("NASNetLarge", {"weights": "imagenet", "input_shape": (None, 64, 3), **NO_TOP}, r"expected known sizes"),
        ("ConvNeXtTiny", {"weights": "imagenet", "name": "mine"}, r"'name': received 'mine'.*'convnext_tiny' in it"),
    ],
)
def test_errors(title, arguments, message):
    with pytest.raises(ValueError, match=message):
        build(title, **arguments)


def test_widths_of_input_tensor_and_shape_must_agree():
    with pytest.raises(ValueError, match=r"\(64, 64, 3\) with an input_tensor of shape .*the same width"):
        build("MobileNetV2", input_tensor=Input((48, 48, 3)), input_shape=(64, 64, 3))


def test_unknown_arguments_are_named():
    with pytest.raises(TypeError, match=r"VGG16: received \(clases=3\); expected arguments \(include_top, .*clases"):
        applications.VGG16(clases=3)


@pytest.mark.parametrize("title", ["DenseNet121", "ConvNeXtTiny", "NASNetMobile"])
def test_networks_for_channels_last_only(title):
    config.set_image_data_format("channels_first")
    with pytest.raises(ValueError, match=rf"{title}: received image_data_format 'channels_first'"):
        build(title)


@pytest.mark.parametrize("title", ["MobileNet", "MobileNetV2", "MobileNetV3Small"])
def test_a_size_without_official_weights_is_told(title, get_file):
    get_file.side_effect = Asked
    with pytest.warns(UserWarning, match="received pictures of 100×100"), pytest.raises(Asked):
        build(title, weights="imagenet", input_shape=(100, 100, 3), include_top=False)


def test_unusual_channels_are_told():
    with pytest.warns(UserWarning, match="received 5 channels; expected 1 or 3"):
        build("MobileNet", input_shape=(32, 32, 5), include_top=False, alpha=0.25)
