"""The classic networks: the documents' own shapes and parameters; small images; errors."""

import numpy as np
import pytest

from convia import applications, config
from convia.applications import MODELS, build, layers_of

WRITTEN = {  # name → (parameters, type and output shape of each layer) for images of 28×28×1
    "course": (
        1382,
        "Conv2D (26, 26, 8) MaxPooling2D (13, 13, 8) Conv2D (11, 11, 4) MaxPooling2D (5, 5, 4) "
        "Flatten (100,) Dense (10,)",
    ),
    "lenet": (
        61706,
        "Conv2D (28, 28, 6) AveragePooling2D (14, 14, 6) Conv2D (10, 10, 16) AveragePooling2D (5, 5, 16) "
        "Flatten (400,) Dense (120,) Dense (84,) Dense (10,)",
    ),
    "deep": (
        458058,
        "Conv2D (24, 24, 64) Conv2D (22, 22, 64) MaxPooling2D (11, 11, 64) Dropout (11, 11, 64) "
        "Conv2D (7, 7, 128) Conv2D (5, 5, 128) MaxPooling2D (2, 2, 128) Dropout (2, 2, 128) "
        "Flatten (512,) Dense (128,) Dropout (128,) Dense (10,)",
    ),
}


def shapes(model):
    return " ".join(f"{type(layer).__name__} {layer.output.shape[1:]}" for layer in model.layers)


@pytest.mark.parametrize("name", WRITTEN)
def test_as_written(name):
    model = MODELS[name]()
    parameters, layers = WRITTEN[name]
    assert shapes(model) == layers
    assert model.count_params() == parameters
    assert model.name == name


@pytest.mark.parametrize(
    ("name", "activation", "pooled"), [("course", "relu", "Max"), ("lenet", "tanh", "Average"), ("deep", "relu", "Max")]
)
def test_activations(name, activation, pooled):
    layers = MODELS[name]().layers
    hidden = [layer for layer in layers[:-1] if hasattr(layer, "activation")]
    assert {layer.activation.__name__ for layer in hidden} == {activation}
    assert layers[-1].activation.__name__ == "softmax"
    assert {type(layer).__name__ for layer in layers if "Pool" in type(layer).__name__} == {f"{pooled}Pooling2D"}
    assert [layer.rate for layer in layers if type(layer).__name__ == "Dropout"] == (
        [0.2] * 3 if name == "deep" else []
    )


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("shape", [(4, 4, 1), (5, 9, 3), (8, 8, 1), (12, 12, 1), (16, 16, 2), (32, 32, 3), (48, 31, 3)])
def test_probabilities_for_any_shape(name, shape):
    model = build(name, shape, 3)
    probabilities = model.predict(np.random.rand(2, *shape), verbose=0)
    assert probabilities.shape == (2, 3)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)


def test_small_images_keep_four_pixels():
    assert shapes(build("lenet", (8, 8, 1), 10)).startswith(
        "Conv2D (8, 8, 6) AveragePooling2D (4, 4, 6) Conv2D (4, 4, 16) Flatten (256,)"
    )
    kernels = [layer.kernel_size for layer in build("deep", (4, 4, 1), 10).layers if hasattr(layer, "kernel_size")]
    assert kernels == [(3, 3)] * 4


def test_channels_first():
    config.set_image_data_format("channels_first")
    assert build("lenet", (1, 28, 28), 10).count_params() == WRITTEN["lenet"][0]


def test_registry():
    assert list(MODELS) == list(WRITTEN) == list(applications.classics.NETWORKS)
    assert set(MODELS) < set(applications.__all__)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("lenett", (8, 8, 1), 10), r"model: received 'lenett'; expected one of .*Did you mean 'lenet'\?"),
        (("lenet", (28, 28), 10), r"input_shape': received \(28, 28\); .*\(height, width, 1\)"),
        (("lenet", (28, None, 1), 10), r"expected \(height, width, channels\)"),
        (("deep", (3, 9, 1), 10), r"received \(3, 9, 1\); expected images of at least 4×4 pixels"),
        (("course", (8, 8, 1), 1), r"argument 'classes': received 1; expected a whole number ≥ 2"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        layers_of(*arguments)
