"""Explanations against NumPy, by hand: small networks whose gradients can be written down."""

import numpy as np
import pytest

import convia
from convia import explain
from convia.layers import (
    Activation,
    Conv2D,
    Dense,
    Flatten,
    GlobalAveragePooling2D,
    MaxPooling2D,
    Rescaling,
    Softmax,
)

random = np.random.default_rng(3)
IMAGE = random.uniform(0, 1, (6, 5, 2)).astype("float32")
KERNEL = random.normal(0, 1, (3, 3, 2, 4)).astype("float32")
AFTER_POOLING = random.normal(0, 1, (4, 3)).astype("float32")
AFTER_FLATTEN = random.normal(0, 1, (4 * 3 * 4, 3)).astype("float32")
ENDS = {
    "dense": lambda units: [Dense(units, activation="softmax", name="end")],
    "activation": lambda units: [Dense(units, name="end"), Activation("softmax")],
    "softmax": lambda units: [Dense(units, name="end"), Softmax()],
    "none": lambda units: [Dense(units, name="end")],
}


def network(top, weights, end="dense"):
    model = convia.Sequential(
        [convia.Input((6, 5, 2)), Conv2D(4, 3, activation="relu", name="conv"), top(), *ENDS[end](weights.shape[1])]
    )
    model.get_layer("conv").set_weights([KERNEL, np.zeros(4)])
    model.get_layer("end").set_weights([weights, np.zeros(weights.shape[1])])
    return model


def maps():
    """What the convolution makes of the image, by loops."""
    made = np.zeros((4, 3, 4))
    for i in range(4):
        for j in range(3):
            made[i, j] = np.einsum("abc,abcf->f", IMAGE[i : i + 3, j : j + 3], KERNEL)
    return np.maximum(made, 0)


def scaled(heat):
    return heat / heat.max() if heat.max() > 0 else heat


def cam(a, g):
    return scaled(np.maximum((a * g.mean((0, 1))).sum(2), 0))


def cam_plus_plus(a, g):
    below = 2 * g**2 + a.sum((0, 1)) * g**3
    alpha = np.divide(g**2, below, out=np.zeros_like(g), where=below != 0)
    return scaled(np.maximum((a * (alpha * np.maximum(g, 0)).sum((0, 1))).sum(2), 0))


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("class_index", [0, 1, 2])
@pytest.mark.parametrize(
    ("top", "weights", "slope"),
    [
        (GlobalAveragePooling2D, AFTER_POOLING, lambda c: np.broadcast_to(AFTER_POOLING[:, c] / 12, (4, 3, 4))),
        (Flatten, AFTER_FLATTEN, lambda c: AFTER_FLATTEN[:, c].reshape(4, 3, 4)),
    ],
)
def test_grad_cam_and_plus_plus(top, weights, slope, class_index, end):
    model, a, g = network(top, weights, end), maps(), slope(class_index).astype("float64")
    np.testing.assert_allclose(explain.grad_cam(model, IMAGE, class_index), cam(a, g), atol=1e-5)
    np.testing.assert_allclose(explain.grad_cam_plus_plus(model, IMAGE, class_index), cam_plus_plus(a, g), atol=1e-5)


def test_the_predicted_class_is_the_default():
    model = network(Flatten, AFTER_FLATTEN)
    best = int(model.predict(IMAGE[None], verbose=0).argmax())
    for method in (explain.grad_cam, explain.grad_cam_plus_plus, explain.saliency, explain.occlusion):
        np.testing.assert_array_equal(method(model, IMAGE), method(model, IMAGE, best))
        other = method(model, IMAGE, (best + 1) % 3)
        assert not np.array_equal(method(model, IMAGE), other), method.__name__


def linear(units=3, activation=None):
    model = convia.Sequential([convia.Input((6, 5, 2)), Flatten(), Dense(units, activation=activation)])
    weights = random.normal(0, 1, (60, units)).astype("float32")
    model.layers[-1].set_weights([weights, np.zeros(units)])
    return model, weights.reshape(6, 5, 2, units)


@pytest.mark.parametrize("activation", [None, "softmax"])
def test_saliency_of_a_linear_model_is_its_weights(activation):
    model, weights = linear(activation=activation)
    expected = np.abs(weights[..., 1]).max(2)
    np.testing.assert_allclose(explain.saliency(model, IMAGE, 1), expected / expected.max(), rtol=1e-5)
    smooth = explain.smooth_grad(model, IMAGE, 1, samples=3)
    np.testing.assert_allclose(smooth, expected / expected.max(), rtol=1e-5)


def test_smooth_grad_averages_over_noise():
    model = network(Flatten, AFTER_FLATTEN)
    once = explain.smooth_grad(model, IMAGE, 0, samples=4, seed=1)
    np.testing.assert_array_equal(once, explain.smooth_grad(model, IMAGE, 0, samples=4, seed=1))
    assert not np.array_equal(once, explain.smooth_grad(model, IMAGE, 0, samples=4, seed=2))
    quiet = explain.smooth_grad(model, IMAGE, 0, samples=4, noise=0.0)
    np.testing.assert_allclose(quiet, explain.saliency(model, IMAGE, 0), rtol=1e-5)


@pytest.mark.parametrize(("patch", "stride"), [(2, 2), (2, 1), (3, 2), (1, 1)])
def test_occlusion_of_a_linear_model(patch, stride):
    model, weights = linear()
    falls, covered = np.zeros((6, 5)), np.zeros((6, 5))
    for top in sorted({*range(0, 7 - patch, stride), 6 - patch}):
        for left in sorted({*range(0, 6 - patch, stride), 5 - patch}):
            place = np.s_[top : top + patch, left : left + patch]
            falls[place] += ((IMAGE[place] - 0.25) * weights[place][..., 2]).sum()
            covered[place] += 1
    heat = explain.occlusion(model, IMAGE, 2, patch, stride, value=0.25, batch_size=7)
    np.testing.assert_allclose(heat, falls / covered, atol=1e-5)


def test_a_single_output_has_two_classes():
    model, weights = linear(1, "sigmoid")
    yes, no = (explain.occlusion(model, IMAGE, index, 2) for index in (1, 0))
    np.testing.assert_allclose(yes, -no, atol=1e-6)
    expected = np.abs(weights[..., 0]).max(2)
    for index in (0, 1):
        np.testing.assert_allclose(explain.saliency(model, IMAGE, index), expected / expected.max(), rtol=1e-5)


def functional(trainable=True):
    inputs = convia.Input((6, 5, 2))
    x = Conv2D(4, 3, activation="relu", name="conv")(inputs)
    backbone = convia.Model(inputs, x, name="backbone")
    backbone.trainable = trainable
    outer = convia.Input((6, 5, 2))
    y = GlobalAveragePooling2D()(backbone(outer))
    model = convia.Model(outer, Dense(3, activation="softmax", name="end")(y))
    backbone.get_layer("conv").set_weights([KERNEL, np.zeros(4)])
    model.get_layer("end").set_weights([AFTER_POOLING, np.zeros(3)])
    return model


@pytest.mark.parametrize("trainable", [True, False])
@pytest.mark.parametrize("layer", [None, "conv", "backbone/conv", "backbone"])
@pytest.mark.parametrize("file", ["", "model.keras", "model.h5"])
def test_layers_within_a_backbone(trainable, layer, file, tmp_path):
    model = functional(trainable)
    if file:
        model.save(tmp_path / file)
        model = convia.models.load_model(tmp_path / file)
    g = np.broadcast_to(AFTER_POOLING[:, 1] / 12, (4, 3, 4))
    np.testing.assert_allclose(explain.grad_cam(model, IMAGE, 1, layer), cam(maps(), g), atol=1e-5)


def test_after_a_training_by_the_engine():
    x, y = random.uniform(0, 1, (64, 6, 5, 2)).astype("float32"), random.integers(0, 3, 64)
    model = network(GlobalAveragePooling2D, AFTER_POOLING)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=2, verbose=0)
    kernel, bias = model.get_layer("conv").get_weights()
    assert not np.array_equal(kernel, KERNEL)
    windows = np.lib.stride_tricks.sliding_window_view(IMAGE, (3, 3), (0, 1))
    a = np.maximum(np.einsum("ijcab,abcf->ijf", windows, kernel) + bias, 0)
    g = np.broadcast_to(model.get_layer("end").get_weights()[0][:, 0] / 12, (4, 3, 4))
    np.testing.assert_allclose(explain.grad_cam(model, IMAGE, 0), cam(a, g), atol=1e-5)
    model.fit(x, y, verbose=0)  # no hook is left behind


def test_feature_maps_layer_by_layer():
    made = explain.feature_maps(functional(), IMAGE)
    assert {path: values.shape for path, values in made.items() if "conv" in path} == {"backbone/conv": (4, 3, 4)}
    np.testing.assert_allclose(made["backbone/conv"], maps(), atol=1e-5)
    chosen = explain.feature_maps(functional(), IMAGE, ["conv", "end"])
    assert [*chosen] == ["backbone/conv", "end"]
    assert chosen["end"].shape == (3,)


def test_filters():
    np.testing.assert_array_equal(explain.filters(functional()), KERNEL.transpose(3, 0, 1, 2))
    np.testing.assert_array_equal(explain.filters(functional(), "conv"), KERNEL.transpose(3, 0, 1, 2))


def test_pooling_is_not_the_last_layer_with_maps():
    model = convia.Sequential(
        [convia.Input((8, 8, 1)), Rescaling(1 / 255), Conv2D(2, 3), MaxPooling2D(2), Flatten(), Dense(2)]
    )
    assert explain.grad_cam(model, np.ones((8, 8))).shape == (6, 6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: explain.grad_cam(m, IMAGE, 3), "grad_cam, argument 'class_index': received 3; expected a number"),
        (lambda m: explain.grad_cam(m, IMAGE, layer="konv"), "argument 'layer': received 'konv'.*Did you mean 'conv'?"),
        (lambda m: explain.grad_cam(m, IMAGE, layer="end"), "expected a layer whose output is feature maps"),
        (lambda m: explain.saliency(m, IMAGE[0, 0]), "argument 'image'.*expected one image"),
        (lambda m: explain.saliency(m, np.stack([IMAGE] * 2)), "argument 'image'.*expected one image"),
        (lambda m: explain.smooth_grad(m, IMAGE, samples=0), "'samples': received 0; expected a whole number ≥ 1"),
        (lambda m: explain.occlusion(m, IMAGE, patch=9), "received patch=9, stride=4; expected a patch of 1 to 5"),
        (lambda m: explain.occlusion(m, IMAGE, 7), "'class_index': received 7; expected a number from 0 to 2"),
        (lambda m: explain.filters(m, "end"), "received 'end'; expected a two-dimensional convolution"),
        (lambda m: explain.overlay(IMAGE, IMAGE), "overlay: received an image .6, 5, 2., a map"),
        (lambda m: explain.grad_cam(linear()[0], IMAGE), "expected a model with a layer that makes feature maps"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call(network(Flatten, AFTER_FLATTEN))


def test_two_layers_of_one_name_need_their_path():
    def branch(name):
        inputs = convia.Input((6, 5, 2))
        return convia.Model(inputs, Conv2D(2, 3, name="conv")(inputs), name=name)

    inputs = convia.Input((6, 5, 2))
    left, right = branch("left")(inputs), branch("right")(inputs)
    model = convia.Model(inputs, Dense(2)(Flatten()(left + right)))
    with pytest.raises(ValueError, match=r"received 'conv'; expected one of .'left/conv', 'right/conv'."):
        explain.grad_cam(model, IMAGE, layer="conv")
    assert explain.grad_cam(model, IMAGE, layer="left/conv").shape == (4, 3)


def test_overlay():
    grey = np.linspace(0, 255, 48).reshape(8, 6)
    heat = np.zeros((4, 3))
    plain = explain.overlay(grey, heat)
    assert plain.shape == (8, 6, 3)
    assert plain.dtype == np.uint8
    np.testing.assert_array_equal(plain, np.repeat(np.round(grey)[..., None], 3, 2))
    heat[0, 0] = 5
    laid = explain.overlay(grey, heat, strength=1.0)
    np.testing.assert_array_equal(laid[0, 0], [252, 255, 164])  # the strongest evidence is covered by its colour
    np.testing.assert_array_equal(laid[-1, -1], plain[-1, -1])
