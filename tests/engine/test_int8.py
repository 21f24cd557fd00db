"""Predictions in 8 bits: whole numbers as formulas say, the same bytes from all kernels, results near those of floats."""

import numpy as np
import pytest
import torch
from test_wide import built, by_torch, inception, padded, projected, residual, run

import convia as keras
from convia import engine
from convia.engine import quantization

L = keras.layers
BYTES = engine.native().byte_kernels() if hasattr(engine.native(), "byte_kernels") else []
pytestmark = pytest.mark.skipif(not BYTES, reason="an engine without kernels on bytes")


def lowered(model, x):
    plan, isa = engine.lower(model.graph, []), engine.instruction_set()
    return plan, quantization.measured(plan, engine.native(), isa, 2, [[x]])


def predicted(plan, ranges, kernels, threads, x, shape):
    isa = dict(BYTES)[kernels]
    network = plan.assemble_wide(engine.native(), isa, threads, quantization.quanta(plan, ranges), kernels)
    return run(network, x, shape)


# -- one layer: products of whole numbers ------------------------------------------------------------------------------

LAYERS = {
    "1×1": (lambda: L.Conv2D(37, 1), (5, 6, 19)),
    "1×1, strides": (lambda: L.Conv2D(70, 1, strides=2), (9, 8, 64)),
    "3×3": (lambda: L.Conv2D(40, 3, padding="same"), (9, 31, 21)),
    "no bias, strides of 3": (lambda: L.Conv2D(16, 3, strides=3, use_bias=False), (10, 10, 4)),
    "dilated": (lambda: L.Conv2D(3, 3, dilation_rate=2, padding="same"), (9, 9, 33)),
    "stem": (lambda: L.Conv2D(64, 7, strides=2, padding="same"), (30, 30, 3)),
    "depthwise": (lambda: L.DepthwiseConv2D(3, padding="same"), (9, 11, 40)),
    "depthwise 5×5, strides": (lambda: L.DepthwiseConv2D(5, strides=2, padding="same"), (9, 11, 20)),
    "a line": (lambda: L.Conv1D(20, 5, padding="same"), (17, 7)),
    "a cube": (lambda: L.Conv3D(9, 3, padding="same"), (4, 5, 6, 3)),
    "dense": (lambda: L.Dense(50), (131,)),
}


def of_bytes(values, scale, zero):
    return torch.from_numpy(quantization.rounded(values.double().numpy(), scale, zero))


def in_steps(kernel, axes):
    """Round a kernel to 127 steps on either side of 0, for each output channel."""
    step = kernel.detach().abs().amax(axes, keepdim=True).double() / 127
    return torch.round(kernel.detach().double() / step) * step


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("kernels", [name for name, _ in BYTES])
def test_a_layer_sums_products_of_whole_numbers(name, kernels):
    make, shape = LAYERS[name]
    layer, x = make(), torch.randn(3, *shape)
    model = built(layer, shape)
    plan, ranges = lowered(model, x)
    depthwise = isinstance(layer, L.DepthwiseConv2D)
    axes = (0, 1, 3) if depthwise else tuple(range(layer.kernel.ndim - 1))
    layer.kernel.assign(in_steps(layer.kernel, axes).float())
    out = predicted(plan, ranges, kernels, 2, x, model.output_shape[1:])
    wanted = by_torch(model, of_bytes(x, *quantization.quantum(*ranges["input"])).float())
    np.testing.assert_allclose(out, wanted, rtol=1e-5, atol=1e-5 * float(wanted.abs().max()))


# -- networks ----------------------------------------------------------------------------------------------------------


def mobile(x):  # activations that cut off, a residual without one, depthwise
    y = L.ReLU(6.0)(L.BatchNormalization()(L.Conv2D(50, 1)(x)))
    y = L.ReLU(6.0)(L.BatchNormalization()(L.DepthwiseConv2D(3, padding="same")(y)))
    return L.Conv2D(9, 1)(L.add([L.BatchNormalization()(L.Conv2D(20, 1)(y)), x]))


def pooled(x):
    y = L.MaxPooling2D(3, 2, padding="same")(L.AveragePooling2D(2, padding="same")(L.Conv2D(30, 3)(x)))
    return L.Dense(10)(L.GlobalAveragePooling2D()(y))


def flat(x):
    return L.Dense(10)(L.Flatten()(L.Conv2D(30, 3, activation="relu")(x)))


def between(x):  # what only floats have, between convolutions
    y = L.Conv2D(24, 3, activation="elu")(x)
    y = L.multiply([y, L.Activation("tanh")(y)])
    return L.Conv2D(8, 1)(L.maximum([y, L.Conv2D(24, 1)(y)]))


def sums(x):  # an addition that nothing can do on the way, and one that is read twice
    a, b = L.Conv2D(20, 1)(x), L.Conv2D(20, 1)(x)
    c = L.add([a, b])
    return L.Conv2D(7, 1)(L.add([c, L.ReLU()(L.Conv2D(20, 3, padding="same")(c)), a]))


NETWORKS = {
    "residual": (lambda x: L.Conv2D(5, 1)(residual(x)), (8, 8, 37)),
    "projected": (lambda x: L.Conv2D(5, 1)(projected(x)), (8, 8, 37)),
    "inception": (inception, (9, 9, 24)),
    "padded": (padded, (16, 16, 24)),
    "mobile": (mobile, (9, 9, 20)),
    "pooled": (pooled, (16, 16, 20)),
    "flat": (flat, (8, 8, 3)),
    "between": (between, (8, 8, 11)),
    "sums": (sums, (6, 6, 12)),
}
EXACT = [name for name in NETWORKS if name != "between"]  # activations of floats differ by round-off


@pytest.mark.parametrize("name", EXACT)
def test_all_kernels_and_threads_make_the_same_bits(name):
    layers, shape = NETWORKS[name]
    model, x = built(layers, shape), torch.randn(5, *shape)
    plan, ranges = lowered(model, x)
    outs = [
        predicted(plan, ranges, kernels, threads, x, model.output_shape[1:])
        for kernels, _ in BYTES
        for threads in (1, 2, 3)
    ]
    for out in outs[1:]:
        assert torch.equal(out, outs[0])


@pytest.mark.parametrize("name", NETWORKS)
def test_results_are_near_those_of_floats(name):
    layers, shape = NETWORKS[name]
    model, x = built(layers, shape), torch.randn(16, *shape)
    plan, ranges = lowered(model, x)
    wanted = by_torch(model, x)
    for kernels, _ in BYTES[:1]:
        out = predicted(plan, ranges, kernels, 2, x, model.output_shape[1:])
        assert float((out - wanted).square().mean().sqrt()) < 0.05 * float(wanted.std())


def test_images_of_bytes_are_taken_as_they_are():
    model, x = built(flat, (8, 8, 3)), torch.randint(0, 256, (4, 8, 8, 3), dtype=torch.uint8)
    plan, ranges = lowered(model, x)
    ranges["input"] = (0.0, 255.0)
    for kernels, _ in BYTES:
        outs = [predicted(plan, ranges, kernels, 1, each, (10,)) for each in (x, x.float())]
        assert torch.equal(*outs)


def test_samples_share_memory_with_nobody():
    """A sample alone and within a batch; memory that is used again and again."""
    layers, shape = NETWORKS["mobile"]
    model, x = built(layers, shape), torch.randn(7, *shape)
    plan, ranges = lowered(model, x)
    kernels, isa = BYTES[0]
    network = plan.assemble_wide(engine.native(), isa, 2, quantization.quanta(plan, ranges), kernels)
    whole = run(network, x, (9, 9, 9))
    assert torch.equal(whole, torch.cat([run(network, each[None], (9, 9, 9)) for each in x]))
    assert torch.equal(whole, run(network, x, (9, 9, 9)))


@pytest.mark.parametrize("name", ["ResNet50", "MobileNetV2"])
def test_published_networks_agree_with_floats(name):
    """To 6 % of the mean square of their scores; 9 of 10 images belong to the same class, of random weights."""
    keras.utils.set_random_seed(0)
    model = getattr(keras.applications, name)(
        weights=None, input_shape=(64, 64, 3), classes=10, classifier_activation=None
    )
    x = torch.randn(24, 8, 8, 3).repeat_interleave(8, 1).repeat_interleave(8, 2)
    plan, ranges = lowered(model, x)
    wanted = by_torch(model, x)
    out = predicted(plan, ranges, BYTES[0][0], 2, x, (10,))
    assert float((out - wanted).square().mean().sqrt()) < 0.06 * float(wanted.square().mean().sqrt())
    assert float((out.argmax(1) == wanted.argmax(1)).float().mean()) >= 0.9


# -- ranges ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ends", [(0.0, 3.0), (-1.0, 2.0), (-4.0, 0.0), (1.0, 5.0), (0.0, 0.0), (-0.1, 200.0)])
def test_zero_is_a_byte(ends):
    scale, zero = quantization.quantum(*ends)
    assert scale > 0 and 0 <= zero <= 255
    assert quantization.rounded(np.zeros(1), scale, zero) == 0
    inside = np.linspace(min(ends[0], 0), max(ends[1], 0), 1000)
    assert np.abs(quantization.rounded(inside, scale, zero) - inside).max() <= scale * (0.5 + 0.5)


def test_a_range_leaves_out_what_is_rare_and_far():
    """The squared error of a thousand numbers near 0 outweighs that of one at 100, which is cut off."""
    model = keras.Sequential([keras.Input((100,)), L.Dense(3)])
    x = torch.rand(200, 100)
    x[0, 0] = 100
    ranges = lowered(model, x)[1]
    assert ranges["input"][0] == 0 and 20 <= ranges["input"][1] < 100
    scale, zero = quantization.quantum(*ranges["input"])
    largest = quantization.quantum(0.0, 100.0)
    error = [float(((of_bytes(x, *each) - x.double()) ** 2).sum()) for each in ((scale, zero), largest)]
    assert error[0] < error[1]


def test_what_only_moves_numbers_keeps_their_scale():
    model = built(inception, (9, 9, 24))
    plan, ranges = lowered(model, torch.randn(3, 9, 9, 24))
    found = {plan.names[tensor]: each for tensor, *each in quantization.quanta(plan, ranges)}
    joined = [name for name in found if name.startswith(("concatenate", "max_pooling", "input"))]
    assert len(joined) == 3 and len({tuple(found[name]) for name in joined}) == 1
