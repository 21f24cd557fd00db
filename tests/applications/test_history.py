"""The networks that made history: the parameters their papers count, the shapes they draw, and learning."""

import numpy as np
import pytest
import torch

import convia
from convia import applications, layers
from convia.applications import history

TOTALS = {
    # LeCun et al. 1989, section 3: "9760 independent parameters".
    "LeNet1989": (9760, {"h1": 1068, "h2": 2592, "h3": 5790, "predictions": 310}),
    # LeCun et al. 1998, section II.B: "60 000 trainable free parameters"; the ten classes were fixed patterns there.
    "LeNet5": (
        60000 + 850,
        {"c1": 156, "s2": 12, "c3": 1516, "s4": 32, "c5": 48120, "f6": 10164, "predictions": 850},
    ),
    # Krizhevsky et al. 2012: "60 million parameters"; the exact number is Caffe's (bvlc_alexnet).
    "AlexNet": (60965224, {"conv1": 34944, "conv2": 307456, "conv4": 663936, "fc6": 37752832}),
    # Zeiler and Fergus 2013, figure 3 has the shapes; this is their number.
    "ZFNet": (62357608, {"conv1": 14208, "conv2": 614656, "fc6": 37752832}),
    # Szegedy et al. 2014, without the auxiliary classifiers; the exact number is Caffe's (bvlc_googlenet).
    "GoogLeNet": (6998552, {"conv2": 110784, "classifier": 1025000}),
}
MAPS = {  # height and width of what layers give, as the papers draw them
    "LeNet1989": {"h1": 8, "h2": 4},
    "LeNet5": {"c1": 28, "s2": 14, "c3": 10, "s4": 5, "c5": 1},
    "AlexNet": {"conv1": 55, "pool1": 27, "conv2": 27, "pool2": 13, "conv5": 13, "pool5": 6},
    "ZFNet": {"conv1": 110, "pool1": 55, "conv2": 26, "pool2": 13, "conv5": 13, "pool5": 6},
    "GoogLeNet": {"conv1": 112, "pool1": 56, "pool2": 28, "inception_3b_output": 28, "pool3": 14, "pool4": 7},
}


@pytest.mark.parametrize("title", TOTALS)
def test_parameters_and_shapes_of_the_papers(title):
    model = getattr(applications, title)()
    total, some = TOTALS[title]
    assert model.count_params() == total
    assert {name: model.get_layer(name).count_params() for name in some} == some
    assert {name: model.get_layer(name).output.shape[1] for name in MAPS[title]} == MAPS[title]


def test_inception_modules_have_the_weights_of_the_table():
    # Szegedy et al. 2014, table 1, "params", in thousands of 1024 and without biases; 4c differs most.
    table = {"3a": 159, "3b": 380, "4a": 364, "4b": 437, "4c": 463, "4d": 580, "4e": 840, "5a": 1072, "5b": 1388}
    model = applications.GoogLeNet(include_top=False, input_shape=(32, 32, 3))
    for name, thousands in table.items():
        kernels = [w.numel() for w in model.weights if f"inception_{name}_" in w.path and w.ndim == 4]
        assert sum(kernels) / 1024 == pytest.approx(thousands, rel=0.08)


@pytest.mark.parametrize(
    ("title", "arguments", "output"),
    [
        ("LeNet1989", {"classes": 4}, (4,)),
        ("LeNet1989", {"include_top": False, "input_shape": (20, 24, 3)}, (5, 6, 12)),
        ("LeNet5", {"classifier_activation": None}, (10,)),
        ("LeNet5", {"include_top": False, "pooling": "max"}, (120,)),
        ("AlexNet", {"include_top": False, "input_shape": (99, 67, 3)}, (2, 1, 256)),
        ("ZFNet", {"include_top": False, "input_shape": (64, 64, 1), "pooling": "avg"}, (256,)),
        ("GoogLeNet", {"input_shape": (64, 48, 3), "classes": 3}, (3,)),
    ],
)
def test_the_usual_arguments(title, arguments, output, tmp_path):
    model = getattr(applications, title)(**arguments)
    x = np.random.rand(2, *[size or 64 for size in model.input_shape[1:]]).astype("float32")
    y = model.predict(x, verbose=0)
    assert y.shape == (2, *output)
    model.save(tmp_path / "model.keras")
    np.testing.assert_allclose(convia.saving.load_model(tmp_path / "model.keras").predict(x, verbose=0), y, rtol=1e-5)
    model.save_weights(tmp_path / "own.weights.h5")
    again = getattr(applications, title)(weights=str(tmp_path / "own.weights.h5"), **arguments)
    np.testing.assert_allclose(again.predict(x, verbose=0), y, rtol=1e-5)


def test_a_table_is_a_convolution_with_missing_connections():
    layer = history.TableConv2D([[0, 2], [1]], 3, activation=None)
    x = torch.rand(2, 6, 5, 3)
    found = layer(x)
    kernel = np.zeros((3, 3, 3, 2), "float32")
    for connection, (number, channel) in enumerate([(0, 0), (0, 2), (1, 1)]):
        kernel[..., channel, number] = layer.get_weights()[0][connection]
    whole = layers.Conv2D(2, 3)
    whole.build((None, 6, 5, 3))
    whole.set_weights([kernel, np.zeros(2)])
    np.testing.assert_allclose(found.detach(), whole(x).detach(), atol=1e-6)


def test_local_response_normalization_is_the_formula():
    x = np.random.rand(1, 2, 2, 7).astype("float32")
    squares = np.stack([(x[..., max(0, c - 2) : c + 3] ** 2).sum(-1) for c in range(7)], -1)
    found = history.LocalResponseNormalization(alpha=0.3)(x)
    np.testing.assert_allclose(found, x / (2 + 0.3 * squares) ** 0.75, rtol=1e-5)


def test_lenet_learns():
    (x, y), _ = convia.datasets.digits.load_data()
    x = np.pad(x[:300, ..., None] if x.ndim == 3 else x[:300], ((0, 0), (12, 12), (12, 12), (0, 0)))[:, :32, :32] / 16
    model = applications.LeNet5()
    model.compile("adam", "sparse_categorical_crossentropy")
    losses = model.fit(x.astype("float32"), y[:300], epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weights": "imagenet"}, r"AlexNet, argument 'weights': received 'imagenet'; expected None or a path"),
        ({"input_shape": (66, 67, 3)}, r"AlexNet, argument 'input_shape': .* at least 67×67 pixels"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        applications.AlexNet(**arguments)
