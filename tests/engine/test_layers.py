"""Gradients of every layer, activation and loss of the engine against torch's autograd in float64.

``CONVIA_EXAMPLES=100`` in the environment tries as many shapes, batch sizes, threads and instruction sets of each, at
random; a few fixed ones without it.
"""

import importlib
import os

import numpy as np
import pytest
import torch
from engine_harness import ISAS, assert_gradients, labels, needs_engine
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import convia as k
from convia import engine, ops
from convia import layers as kl
from convia.engine.plan import KINDS

pytestmark = needs_engine
EXAMPLES = os.environ.get("CONVIA_EXAMPLES")
CASES = settings(
    max_examples=int(EXAMPLES or 4),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=EXAMPLES is None,
    phases=[Phase.generate],
)
padding = st.sampled_from(["valid", "same"])
isas, threads, batches = st.sampled_from(ISAS or ["-"]), st.integers(1, 4), st.integers(1, 70)


def randomize(model, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for v in model.weights:
        noise = torch.rand(v.shape, generator=generator)
        v.assign(noise + 0.5 if "variance" in v.name else (noise - 0.5) * 0.8)


def check(model, isa, thread_count, batch, loss="mse", kind="number", tolerance=1e-5, seed=0, weight=None, **options):
    randomize(model, seed)
    generator = np.random.default_rng(seed)
    xs = [torch.as_tensor(generator.normal(size=(batch, *t.shape[1:]))).float() for t in model.inputs]
    y = [labels(kind, batch, t.shape[1:], generator) for t in model.outputs]
    x, y = (xs[0] if len(xs) == 1 else xs), (y[0] if len(y) == 1 else y)
    assert_gradients(model, loss, x, y, isa, thread_count, weight=weight, tolerance=tolerance, **options)


def chain(shape, *parts):
    return k.Sequential([k.Input(shape), *parts])


@CASES
@given(st.data(), isas, threads, batches)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_transposed_convolutions(rank, data, isa, thread_count, batch):
    draw = data.draw
    batch = min(batch, 20) if rank == 3 else batch
    stretch = draw(st.sampled_from(["strides", "dilation_rate"]))
    options = {stretch: tuple(draw(st.integers(1, 3)) for _ in range(rank)), "padding": draw(padding)}
    if stretch == "strides" and draw(st.booleans()):
        options["output_padding"] = tuple(draw(st.integers(0, stride - 1)) for stride in options["strides"])
    kernel = [draw(st.integers(1, 4)) for _ in range(rank)]
    sizes = [draw(st.integers(2, 6 if rank < 3 else 4)) for _ in range(rank)]
    x = k.Input((*sizes, draw(st.integers(1, 3))))
    h = getattr(kl, f"Conv{rank}D")(draw(st.integers(1, 4)), 1, activation="tanh")(x)
    layer = getattr(kl, f"Conv{rank}DTranspose")(
        draw(st.integers(1, 4)), kernel, activation="tanh", use_bias=draw(st.booleans()), **options
    )
    y = kl.Dense(2)(layer(h))
    check(k.Model(x, [y, kl.Flatten()(h)]), isa, thread_count, batch, loss=["mse", "mae"])


@CASES
@given(st.data(), isas, threads, batches)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_convolutions(rank, data, isa, thread_count, batch):
    draw = data.draw
    batch = min(batch, 20) if rank == 3 else batch
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    sizes = [draw(st.integers(3, 9 if rank < 3 else 5)) for _ in range(rank)]
    kernel = [draw(st.integers(1, min(size, 5))) for size in sizes]
    stretch = draw(st.sampled_from(["strides", "dilation_rate"]))
    options = {stretch: tuple(draw(st.integers(1, 3)) for _ in range(rank))}
    spans = zip(kernel, options[stretch], sizes, strict=True)
    fits = stretch == "strides" or all((a - 1) * d < size for a, d, size in spans)
    padding = draw(st.sampled_from(["valid", "same"])) if fits else "same"
    conv = getattr(kl, f"Conv{rank}D")
    model = chain(
        (*sizes, groups * draw(st.integers(1, 3))),
        conv(3 * groups, 1, activation="tanh", groups=groups),
        conv(groups * draw(st.integers(1, 5)), kernel, padding=padding, groups=groups, activation="tanh", **options),
    )
    check(model, isa, thread_count, batch)


@CASES
@given(isas, threads, batches, st.integers(1, 3), st.sampled_from(["valid", "same"]), st.booleans())
@pytest.mark.parametrize("layer", ["DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D"])
def test_depthwise_and_separable(layer, isa, thread_count, batch, stride, padding, bias):
    rank = int(layer[-2])
    more = () if "Depth" in layer else (5,)
    tested = getattr(kl, layer)(
        *more, 3, strides=stride, padding=padding, depth_multiplier=2, use_bias=bias, activation="sigmoid"
    )
    check(chain((*(7, 8)[:rank], 3), getattr(kl, f"Conv{rank}D")(3, 1), tested), isa, thread_count, batch)


@CASES
@given(isas, threads, batches, st.integers(1, 4), st.sampled_from([None, 1, 2, 3]), st.sampled_from(["valid", "same"]))
@pytest.mark.parametrize("layer", [f"{kind}Pooling{rank}D" for kind in ("Max", "Average") for rank in (1, 2, 3)])
def test_pooling(layer, isa, thread_count, batch, window, strides, padding):
    rank = int(layer[-2])
    batch = min(batch, 20) if rank == 3 else batch
    tested = getattr(kl, layer)(window, strides, padding)
    check(chain((*(6, 7, 4)[:rank], 2), getattr(kl, f"Conv{rank}D")(3, 1), tested), isa, thread_count, batch)


MOVING = {
    "flatten": ((3, 4, 2), kl.Flatten),
    "reshape": ((3, 4, 2), lambda: kl.Reshape((2, 12))),
    "permute": ((3, 4, 2), lambda: kl.Permute((3, 1, 2))),
    "repeat": ((5,), lambda: kl.RepeatVector(3)),
    "pad": ((3, 4, 2), lambda: kl.ZeroPadding2D(((1, 2), (0, 3)))),
    "crop": ((6, 7, 2), lambda: kl.Cropping2D(((1, 2), (0, 3)))),
    "enlarge": ((3, 4, 2), lambda: kl.UpSampling2D((2, 3))),
    "pad 3d": ((3, 2, 3, 2), lambda: kl.ZeroPadding3D(1)),
    "global average": ((3, 4, 2), kl.GlobalAveragePooling2D),
    "global maximum": ((3, 4, 2), lambda: kl.GlobalMaxPooling2D(keepdims=True)),
    "softmax": ((3, 4), kl.Softmax),
    "batch norm": ((3, 4, 2), kl.BatchNormalization),
    "batch norm, plain": ((6,), lambda: kl.BatchNormalization(center=False, scale=False)),
    "frozen batch norm": ((3, 4, 2), lambda: kl.BatchNormalization(trainable=False)),
    "rescaling": ((3, 4, 2), lambda: kl.Rescaling(2.0, -1.0)),
    "identity": ((3, 4, 2), kl.Identity),
    "leaky": ((3, 4, 2), lambda: kl.LeakyReLU(0.1)),
    "relu6": ((3, 4, 2), lambda: kl.ReLU(6)),
    "capped": ((3, 4, 2), lambda: kl.ReLU(0.1)),
    "elu": ((3, 4, 2), lambda: kl.ELU(0.7)),
    "prelu": ((3, 4, 2), kl.PReLU),
    "prelu, shared": ((3, 4, 2), lambda: kl.PReLU(shared_axes=[1, 2])),
    "prelu of rows": ((3, 4, 2), lambda: kl.PReLU(shared_axes=[2, 3])),
    "rescaling of channels": ((3, 4, 2), lambda: kl.Rescaling([2.0, 0.5], [0.0, -1.0])),
    "normalization": ((3, 4, 2), lambda: kl.Normalization(mean=[0.2, -0.1], variance=[2.0, 0.3])),
    "normalization, inverted": ((3, 4, 2), lambda: kl.Normalization(None, 0.2, 2.0, invert=True)),
    "activity": ((3, 4, 2), lambda: kl.ActivityRegularization(0.01, 0.02)),
    "layer norm": ((3, 4, 5), kl.LayerNormalization),
    "layer norm of all": ((3, 4, 2), lambda: kl.LayerNormalization([1, 2, 3])),
    "layer norm of rows": ((3, 4, 2), lambda: kl.LayerNormalization([2], center=False)),
    "layer norm, plain": ((6,), lambda: kl.LayerNormalization(center=False, scale=False)),
    "group norm": ((3, 4, 6), lambda: kl.GroupNormalization(3)),
    "instance norm": ((3, 4, 6), lambda: kl.GroupNormalization(-1, scale=False)),
    "rms norm": ((3, 4, 5), kl.RMSNormalization),
    "unit norm": ((3, 4, 5), kl.UnitNormalization),
    "enlarge, bilinear": ((3, 4, 2), lambda: kl.UpSampling2D((2, 3), interpolation="bilinear")),
    "enlarge, bicubic": ((3, 4, 2), lambda: kl.UpSampling2D(2, interpolation="bicubic")),
    "enlarge steps": ((5, 2), lambda: kl.UpSampling1D(3)),
    "enlarge voxels": ((2, 3, 2, 2), lambda: kl.UpSampling3D((1, 2, 3))),
    "crop steps": ((6, 2), lambda: kl.Cropping1D((1, 2))),
    "crop voxels": ((4, 5, 3, 2), lambda: kl.Cropping3D(((1, 1), (0, 2), (1, 0)))),
    "pad steps": ((4, 2), lambda: kl.ZeroPadding1D((2, 1))),
    "permute steps": ((4, 3), lambda: kl.Permute((2, 1))),
    "permute volumes": ((2, 3, 4, 2), lambda: kl.Permute((4, 2, 1, 3))),
    "reshape to a vector": ((2, 3, 2), lambda: kl.Reshape((12,))),
    "reshape to a volume": ((12, 2), lambda: kl.Reshape((2, 3, 2, -1))),
    "adaptive average": ((7, 5, 2), lambda: kl.AdaptiveAveragePooling2D((3, 2))),
    "adaptive average of steps": ((7, 2), lambda: kl.AdaptiveAveragePooling1D(3)),
    "adaptive average of voxels": ((5, 4, 3, 2), lambda: kl.AdaptiveAveragePooling3D(2)),
    "softmax of rows": ((3, 4, 2), lambda: kl.Softmax(1)),
    "softmax of pixels": ((3, 4, 2), lambda: kl.Softmax([1, 2])),
    "gate": ((3, 4, 6), lambda: kl.Activation("glu")),
    "rectifier": ((3, 4, 2), lambda: kl.ReLU(1.0, 0.2, 0.3)),
    "rectifier, threshold": ((3, 4, 2), lambda: kl.ReLU(threshold=0.3)),
    "rectifier, slope and maximum": ((3, 4, 2), lambda: kl.ReLU(0.5, 0.1)),
    "activation of torch": ((3, 4, 2), lambda: kl.Activation(torch.nn.functional.leaky_relu)),
    "activation of ops": ((3, 4, 2), lambda: kl.Activation(ops.gelu)),
    "layer as activation": ((3, 4, 2), lambda: kl.Conv2D(3, 2, activation=kl.LeakyReLU(0.2))),
    "weights as activation": ((3, 4, 2), lambda: kl.Dense(3, activation=kl.PReLU())),
    "gated convolution": ((3, 4, 2), lambda: kl.SeparableConv2D(6, 2, activation="glu")),
    "gated dense": ((3, 4, 2), lambda: kl.Dense(6, activation="glu")),
    "normalization of elements": (
        (3, 4, 2),
        lambda: kl.Normalization(
            (1, 2, 3), np.linspace(-1, 1, 24).reshape(3, 4, 2), np.linspace(0.5, 2, 24).reshape(3, 4, 2)
        ),
    ),
}


@CASES
@given(isas, threads, batches)
@pytest.mark.parametrize("name", MOVING)
def test_other_layers(name, isa, thread_count, batch):
    shape, make = MOVING[name]
    if "batch norm" in name:
        batch += 1
    layer = make()
    model = chain(shape, kl.Dense(shape[-1]), layer, kl.Dense(3, activation="tanh"))
    check(model, isa, thread_count, batch)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("batch", [2, 3, 5])
@pytest.mark.parametrize("name", ["batch norm", "batch norm, plain"])
def test_batch_normalization_of_few_samples(name, batch, isa):
    shape, make = MOVING[name]
    for seed in range(4):  # differences of nearly equal numbers: float32 statistics would be wrong by 1e-4
        model = chain(shape, kl.Dense(shape[-1]), make(), kl.Dense(3, activation="tanh"))
        check(model, isa, 2, batch, seed=seed)


ACTIVATIONS = [
    "relu",
    "leaky_relu",
    "elu",
    "selu",
    "tanh",
    "sigmoid",
    "softplus",
    "exponential",
    "relu6",
    "hard_sigmoid",
    "hard_tanh",
    "softsign",
    "silu",
    "gelu",
    "mish",
    "hard_silu",
    "celu",
    "log_sigmoid",
    "tanh_shrink",
    "soft_shrink",
    "hard_shrink",
    "squareplus",
    "sparse_plus",
    "sparse_sigmoid",
    "softmax",
    "log_softmax",
    "sparsemax",
    "linear",
]


@pytest.mark.parametrize("name", ["relu", "softmax", "tanh", "sigmoid", "leaky_relu", "elu", "gelu", "relu6", "selu"])
def test_activations_of_tensorflow(name):
    nn = importlib.import_module("convia.compat.tensorflow").nn
    check(chain((4, 5), kl.Dense(6, activation=getattr(nn, name)), kl.Dense(2)), ISAS[0], 2, 20)


def test_every_activation_is_known():
    known = {*ACTIVATIONS, "glu", "threshold"}  # a gate is tested above; a threshold needs arguments
    given = set(k.activations.__all__) - {"get", "serialize", "deserialize", "hard_swish", "swish"}
    assert given == known


@CASES
@given(isas, threads, batches)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name, isa, thread_count, batch):
    model = chain((4, 5), kl.Dense(6, activation=name), kl.Activation(name), kl.Dense(2))
    check(model, isa, thread_count, batch)


@CASES
@given(isas, threads, batches)
@pytest.mark.parametrize("name", ["Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"])
def test_joins(name, isa, thread_count, batch):
    x = k.Input((5, 4, 2))
    a = kl.Conv2D(3, 3, padding="same", activation="tanh")(x)
    b = kl.Conv2D(3, 1)(a)
    joined = getattr(kl, name)()([a, b])
    check(k.Model(x, kl.Add()([kl.Conv2D(joined.shape[-1], 1)(a), joined])), isa, thread_count, batch)


SHAPES = {"scale": (1, 1, 3), "row": (1, 4, 3), "column": (5, 1, 1), "vector": (3,), "number": (1,), "matrix": (4, 3)}


@CASES
@given(isas, threads, batches, st.booleans(), st.booleans())
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["Add", "Multiply", "Maximum"])
def test_joins_stretch(name, shape, isa, thread_count, batch, swapped, pad):
    x, z = k.Input((5, 4, 2)), k.Input(SHAPES[shape])
    parts = [kl.Conv2D(3, 3, padding="same")(x), kl.Dense(SHAPES[shape][-1], activation="tanh")(z)]
    joined = getattr(kl, name)()(parts[::-1] if swapped else parts)
    joined = kl.Conv2D(2, 3, padding="same")(joined) if pad else joined
    check(k.Model([x, z], kl.Add()([kl.Dense(2)(joined), kl.Dense(2)(parts[0])])), isa, thread_count, batch)


DOTS = {
    "vectors": ((5,), (5,), {"axes": 1}),
    "cosines": ((5,), (5,), {"axes": -1, "normalize": True}),
    "sequences": ((3, 5), (4, 5), {"axes": 2}),
    "matrices": ((3, 5), (5, 4), {"axes": (2, 1)}),
    "a sequence and a vector": ((3, 5), (5,), {"axes": (2, 1)}),
}


@CASES
@given(isas, threads, batches)
@pytest.mark.parametrize("name", DOTS)
def test_dot_products(name, isa, thread_count, batch):
    first, second, options = DOTS[name]
    x, z = k.Input(first), k.Input(second)
    parts = [kl.Dense(first[-1])(x), kl.Dense(second[-1], activation="tanh")(z)]
    check(k.Model([x, z], kl.Dense(2)(kl.Dot(**options)(parts))), isa, thread_count, batch)


def twice(layer):
    return lambda x: layer(layer(x))


LARGE = {  # dense layers with more outputs than lanes × threads, which share the gradients of their kernels
    "alone": lambda: [kl.Dense(70, activation="tanh")],
    "wide": lambda: [kl.Dense(600), kl.Dense(150, activation="relu")],
    "after statistics": lambda: [kl.Dense(37), kl.BatchNormalization(), kl.Dense(64, activation="relu")],
    "penalized": lambda: [kl.Dense(65, kernel_regularizer="l2"), kl.Dense(64, use_bias=False)],
    "used twice": lambda: [twice(kl.Dense(33, activation="tanh"))],
}


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(("threads", "batch"), [(1, 40), (2, 17), (2, 32), (3, 48), (4, 9)])
@pytest.mark.parametrize("name", LARGE)
def test_large_dense_kernels(name, threads, batch, isa):
    x = y = k.Input((33,))
    for part in [*LARGE[name](), kl.Dense(3)]:
        y = part(y)
    check(k.Model(x, y), isa, threads, batch)


def test_squeeze_and_excitation():
    x = k.Input((6, 6, 3))
    h = kl.Conv2D(4, 3, activation="relu")(x)
    s = kl.GlobalAveragePooling2D(keepdims=True)(h)
    s = kl.Conv2D(4, 1, activation="sigmoid")(kl.Conv2D(2, 1, activation="relu")(s))
    check(k.Model(x, kl.Dense(2)(kl.Flatten()(kl.Multiply()([h, s])))), ISAS[0], 2, 37)


@CASES
@given(isas, threads, batches)
@pytest.mark.parametrize("name", ["Add", "Average", "Maximum", "Minimum", "Multiply"])
def test_joins_of_three(name, isa, thread_count, batch):
    x = k.Input((5, 2))
    joined = getattr(kl, name)()([kl.Dense(3)(x), kl.Dense(3, activation="tanh")(x), kl.Dense(1)(x)])
    check(k.Model(x, kl.Dense(2)(joined)), isa, thread_count, batch)


def channels_first_image():
    x = k.Input((2, 8, 7))
    options = {"data_format": "channels_first"}
    h = kl.Conv2D(4, 3, padding="same", activation="relu", **options)(x)
    h = kl.BatchNormalization(axis=1)(h)
    h = kl.MaxPooling2D(**options)(kl.ZeroPadding2D(1, **options)(h))
    s = kl.GlobalAveragePooling2D(keepdims=True, **options)(h)
    h = kl.Multiply()([h, kl.Conv2D(4, 1, activation="sigmoid", **options)(s)])
    h = kl.PReLU(shared_axes=[2, 3])(kl.UpSampling2D(2, **options)(h))
    h = kl.GroupNormalization(2, axis=1)(kl.Conv2DTranspose(4, 3, 2, padding="same", **options)(h))
    h = kl.Concatenate(axis=1)([h, kl.SeparableConv2D(3, 3, padding="same", **options)(h)])
    return x, kl.Conv2D(2, 3, strides=2, **options)(h)


@CASES
@given(isas, threads, st.integers(2, 40))
@pytest.mark.parametrize("end", ["image", "flatten", "dense", "softmax", "permute"])
def test_channels_first(end, isa, thread_count, batch):
    x, h = channels_first_image()
    h = {
        "image": lambda h: h,
        "flatten": lambda h: kl.Dense(3)(kl.Flatten(data_format="channels_first")(h)),
        "dense": kl.Dense(3),
        "softmax": kl.Activation("softmax"),
        "permute": lambda h: kl.Reshape((-1, 2))(kl.Permute((2, 3, 1))(h)),
    }[end](h)
    model = k.Model(x, h)
    plan = engine.lower(model.graph, [])
    copies = [step for step in plan.steps if step["kind"] == KINDS.index("copy")]
    assert len(copies) <= 8  # of the layers that move elements, and at the ends
    check(model, isa, thread_count, batch)


PADDED = {  # layers whose windows begin in zeros around what the layer before them makes
    "steps": ((9, 3), [kl.ZeroPadding1D, kl.Conv1D, kl.MaxPooling1D]),
    "image": ((9, 8, 3), [kl.ZeroPadding2D, kl.Conv2D, kl.MaxPooling2D]),
    "volume": ((5, 6, 7, 3), [kl.ZeroPadding3D, kl.Conv3D, kl.MaxPooling3D]),
}


@CASES
@given(isas, threads, batches)
@pytest.mark.parametrize("kind", PADDED)
def test_windows_that_begin_in_zeros(kind, isa, thread_count, batch):
    shape, (padding, conv, pool) = PADDED[kind]
    sides = ((1, 2),) * (len(shape) - 1) if len(shape) > 2 else (1, 2)
    layers = (
        padding(sides),
        conv(4, 3, strides=2, activation="relu"),
        padding(1),
        pool(2, 1),
        padding(sides),
        conv(2, 4),
    )
    model = chain(shape, *layers, kl.Flatten(), kl.Dense(2))
    assert not any(step["kind"] == KINDS.index("copy") for step in engine.lower(model.graph, []).steps[:-3])
    check(model, isa, thread_count, batch)


@CASES
@given(isas, threads, batches)
def test_activity_penalties(isa, thread_count, batch):
    first = kl.Conv2D(3, 2, activation="relu", activity_regularizer="l1")
    last = kl.Dense(2, activity_regularizer=k.regularizers.L1L2(0.01, 0.02))
    check(chain((4, 5, 2), first, kl.Flatten(), last), isa, thread_count, batch)


@CASES
@given(isas, threads, batches)
def test_several_inputs_and_outputs(isa, thread_count, batch):
    x, z = k.Input((6, 5, 2)), k.Input((4,))
    h = kl.Flatten()(kl.Conv2D(3, 3, activation="relu")(x))
    h = kl.Concatenate()([h, kl.Dense(3)(z)])
    model = k.Model([x, z], [kl.Dense(2)(h), kl.Dense(3, activation="tanh")(h)])
    check(model, isa, thread_count, batch, loss=["mse", "mae"], loss_weights=[0.5, 2.0])


@CASES
@given(isas, threads, batches)
def test_calls_without_training(isa, thread_count, batch):
    """Normalization by the stored statistics, whose γ and β learn, and no dropout: the usual way to use a trained base."""
    base = chain((6, 5, 4), kl.BatchNormalization(), kl.Dropout(0.5), kl.Conv2D(3, 2, activation="relu"))
    x = k.Input((6, 5, 4))
    h = kl.BatchNormalization()(base(kl.Dense(4)(x), training=False), training=False)
    h = kl.Dropout(0.2)(kl.Flatten()(h), training=False)
    check(k.Model(x, kl.Dense(2)(h)), isa, thread_count, batch)


def test_calls_that_always_train_are_refused():
    x = k.Input((6, 4))
    with pytest.raises(
        engine.Unsupported, match=r"layer 'd' \(Dropout\) is not supported by the engine with such argu"
    ):
        engine.lower(k.Model(x, kl.Dropout(0.5, name="d")(x, training=True)).graph, [])


def test_nested_models():
    inner = chain((6, 6, 3), kl.Conv2D(4, 3, activation="relu"), kl.MaxPooling2D())
    x = k.Input((6, 6, 1))
    model = k.Model(x, kl.Dense(2)(kl.Flatten()(inner(kl.Conv2D(3, 1)(x)))))
    assert len(engine.lower(model.graph, list(model.trainable_variables)).parameters) == 6


LOSSES = [
    ("sparse_categorical_crossentropy", "sparse", "softmax"),
    (k.losses.SparseCategoricalCrossentropy(from_logits=True), "sparse", None),
    ("categorical_crossentropy", "one_hot", "softmax"),
    (k.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1), "one_hot", None),
    ("binary_crossentropy", "binary", "sigmoid"),
    (k.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.2), "binary", None),
    ("mse", "number", None),
    ("mae", "number", "sigmoid"),
    ("mape", "number", None),
    ("msle", "binary", "softplus"),
    (k.losses.Huber(0.3), "number", None),
    ("log_cosh", "number", None),
    ("poisson", "binary", "softplus"),
    ("sparse_categorical_crossentropy", "sparse", "softplus"),
    (k.losses.CategoricalCrossentropy(label_smoothing=0.1), "one_hot", "sigmoid"),
    (k.losses.BinaryCrossentropy(label_smoothing=0.2), "binary", "softmax"),
]


@CASES
@given(isas, threads, batches, st.integers(2, 20))
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("loss", "kind", "ending"), LOSSES)
@pytest.mark.parametrize("shape", [(6,), (3, 4, 2)])
def test_losses(loss, kind, ending, shape, weighted, isa, thread_count, batch, classes):
    model = chain(shape, kl.Dense(5, activation="tanh"), kl.Dense(classes, activation=ending))
    weight = torch.linspace(0, 2, batch) if weighted else None
    check(model, isa, thread_count, batch, loss=loss, kind=kind, weight=weight)


@pytest.mark.parametrize("isa", ISAS)
def test_probabilities_that_go_on(isa):
    """A softmax whose result is moved, or used again, before the loss sees it."""
    x = k.Input((3, 4, 2))
    p = kl.Dense(3, activation="softmax")(x)
    outputs = [p, kl.Reshape((12, 3))(p), kl.Dense(1, activation="sigmoid")(p)]
    generator = np.random.default_rng(0)
    model = k.Model(x, outputs)
    randomize(model)
    kinds = [("sparse", "sparse_categorical_crossentropy"), ("one_hot", "categorical_crossentropy")]
    kinds.append(("binary", "binary_crossentropy"))
    y = [labels(kind, 20, out.shape[1:], generator) for (kind, _), out in zip(kinds, outputs, strict=True)]
    x = torch.as_tensor(generator.normal(size=(20, 3, 4, 2))).float()
    assert_gradients(model, [loss for _, loss in kinds], x, y, isa, 2)


@pytest.mark.parametrize("isa", ISAS)
def test_penalties(isa):
    dense = kl.Dense(4, kernel_regularizer=k.regularizers.L1L2(0.01, 0.02), bias_regularizer="l2")
    check(chain((6,), dense), isa, 2, 9)


@pytest.mark.parametrize("isa", ISAS)
def test_frozen_layers_are_left_alone(isa):
    model = chain((8, 8, 2), kl.Conv2D(3, 3), kl.Conv2D(4, 3, activation="relu"), kl.Flatten(), kl.Dense(2))
    model.layers[1].trainable = False
    check(model, isa, 2, 20)
