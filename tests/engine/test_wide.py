"""Channels as lanes: predictions and gradients equal to torch's, whatever the layers, the threads and the number of samples."""

import numpy as np
import pytest
import torch
from engine_harness import ISAS, flat, needs_engine, planned, targets_of
from engine_harness import by_torch as gradients_by_torch

import convia as keras
from convia import engine
from convia.engine.plan import KINDS
from convia.training import plans
from convia.training.frozen import split

pytestmark = needs_engine
L = keras.layers


def randomized(model):
    """Give every weight random numbers, variances positive ones."""
    for v in model.weights:
        numbers = (
            torch.rand(v.shape) * 0.5 + 0.75
            if "variance" in v.path or "gamma" in v.path
            else torch.randn(v.shape) * 0.2
        )
        v.assign(numbers)
    return model


def built(layers, shape):
    inputs = keras.Input(shape)
    return randomized(keras.Model(inputs, layers(inputs)))


def by_torch(model, x):
    keras.config.set_engine("torch")
    with torch.inference_mode():
        out = model(x, training=False)
    keras.config.set_engine("auto")
    return torch.as_tensor(out)


def run(network, x, shape, version=1):
    """Predict into memory that held something else."""
    out = torch.full((len(x), *shape), 9.0)
    network.run([(x.data_ptr(), x.dtype is torch.uint8)], [out.data_ptr()], 0, len(x), version)
    return out


def residual(x):
    y = L.BatchNormalization()(L.Conv2D(37, 3, padding="same")(x))
    return L.ReLU()(L.add([y, x]))


def projected(x):
    a = L.BatchNormalization()(L.Conv2D(64, 1, strides=2)(x))
    b = L.BatchNormalization(scale=False)(L.Conv2D(64, 3, strides=2, padding="same", use_bias=False)(x))
    return L.ReLU()(L.add([a, b]))


def joined(x):  # a sum of normalizations, one of which is frozen, and of inputs that others read within zeros, or later
    y = L.ReLU()(L.BatchNormalization()(L.Conv2D(32, 1)(x)))
    y = L.ReLU()(L.add([L.BatchNormalization()(L.Conv2D(32, 1)(y), training=False), y]))
    y = L.ReLU()(L.add([y, L.BatchNormalization()(L.Conv2D(32, 3, padding="same")(y))]))
    z = L.add([L.BatchNormalization()(L.Conv2D(32, 1)(y)), y])
    return L.add([L.Activation("silu")(z), L.BatchNormalization()(L.Conv2D(32, 1)(z)), y])


def strided_points(x):  # points that two convolutions read, one apart in another way, and the whole
    points = [L.Conv2D(c, 1, strides=2)(x) for c in (32, 20)]
    y = L.concatenate([*points, L.Conv2D(16, 1, strides=(2, 1))(L.Conv2D(16, 3, strides=(1, 2), padding="same")(x))])
    return L.add([L.Conv2D(8, 1)(y), L.AveragePooling2D(1, 2)(L.Conv2D(8, 1)(x))])


def excited(x):
    weights = L.Conv2D(33, 1, activation="sigmoid")(L.GlobalAveragePooling2D(keepdims=True)(x))
    return L.multiply([x, weights])


def inception(x):
    parts = [L.Conv2D(32, 3, padding="same")(x), L.Conv2D(24, 1)(x), L.MaxPooling2D(3, 1, padding="same")(x), x]
    return L.Conv2D(5, 3)(L.concatenate(parts))


def padded(x):  # zeros around what memory used before
    y = L.Conv2D(40, 3, activation="relu")(L.Conv2D(24, 3)(x))
    return L.MaxPooling2D(3, 2)(L.ZeroPadding2D(((2, 1), (0, 3)))(L.Conv2D(24, 3, padding="same")(y)))


def begun_in_zeros(x):  # windows that begin in zeros which are nowhere
    y = L.Conv2D(32, 7, strides=2, activation="relu")(L.ZeroPadding2D(3)(x))
    y = L.MaxPooling2D(3, 2)(L.ZeroPadding2D(((0, 1), (1, 1)))(y))
    return L.DepthwiseConv2D(3, strides=2)(L.ZeroPadding2D(((0, 1), (0, 1)))(y))


def seen_zeros(x):  # zeros that are looked at, too
    y = L.ZeroPadding2D(1)(L.Conv2D(20, 3, activation="relu")(x))
    return L.add([L.Conv2D(20, 3, padding="same")(y), y, L.ZeroPadding2D(1)(L.MaxPooling2D(3, 1)(y))])


def tiled(x):  # a network of tiles, whose last ones are cut off
    y = L.BatchNormalization()(L.Conv2D(48, 3, padding="same", use_bias=False)(x))
    return L.ReLU()(L.add([L.Conv2D(48, 3, padding="same")(L.ReLU()(y)), y]))


CASES = {
    "valid": ((9, 11, 5), L.Conv2D(20, 3)),
    "same": ((9, 30, 32), L.Conv2D(64, 3, padding="same", activation="relu")),
    "tiles": ((13, 14, 32), tiled),
    "large tiles": ((29, 34, 16), L.Conv2D(32, 3, activation="gelu")),
    "many tiles": ((64, 62, 16), L.Conv2D(16, 3, padding="same")),
    "tiles of odd channels": ((25, 33, 20), L.Conv2D(37, 3, padding="same", activation="relu")),
    "few tiles": ((3, 4, 64), L.Conv2D(80, 3, padding="same", activation="relu")),
    "kernels of 5": ((35, 17, 32), L.Conv2D(32, 5, padding="same", activation="relu")),
    "rows of 7": ((9, 31, 64), lambda x: L.add([L.Conv2D(64, (1, 7), padding="same")(x), x])),
    "columns of 7": ((17, 12, 64), L.Conv2D(48, (7, 1), activation="gelu")),
    "rows of 3": ((11, 30, 32), L.Conv2D(64, (1, 3), padding="same")),
    "columns of 3": ((31, 11, 32), L.Conv2D(64, (3, 1), activation="relu")),
    "stride 2": ((9, 30, 37), L.Conv2D(37, 3, strides=2, padding="same")),
    "stride 3": ((9, 30, 37), L.Conv2D(37, (3, 5), strides=3, padding="same", activation="tanh")),
    "dilation": ((12, 13, 18), L.Conv2D(17, 3, dilation_rate=2, padding="same", activation="gelu")),
    "points": ((9, 30, 37), lambda x: L.Conv2D(37, 1)(L.Conv2D(40, 1)(x))),
    "many channels": ((3, 3, 800), L.Conv2D(70, 3, padding="same")),
    "dense": ((5, 7, 20), lambda x: L.Dense(50, "softmax")(L.Flatten()(x))),
    "softmax of pixels": ((4, 5, 9), lambda x: L.Softmax()(L.Conv2D(21, 1)(x))),
    "normalized after": ((9, 13, 37), lambda x: L.ReLU()(L.BatchNormalization()(L.Conv2D(37, 1)(x)))),
    "normalized before": ((9, 13, 37), lambda x: L.Conv2D(37, 1)(L.ReLU()(L.BatchNormalization()(x)))),
    "normalized after the rectifier": (
        (6, 5, 17),
        lambda x: L.BatchNormalization()(L.Conv2D(20, 3, activation="relu")(x)),
    ),
    "residual": ((9, 13, 37), residual),
    "projected": ((12, 12, 16), projected),
    "joined": ((9, 13, 32), joined),
    "strided points": ((9, 12, 24), strided_points),
    "few inputs": ((19, 22, 2), L.Conv2D(40, (3, 9), strides=2, padding="same", activation="relu")),
    "few dilated inputs": ((9, 12, 1), L.Conv2D(20, 3, dilation_rate=2, padding="same")),
    "added to itself": ((6, 6, 20), lambda x: L.add([y := L.Conv2D(20, 1)(x), y])),
    "depthwise": ((12, 33, 33), L.DepthwiseConv2D(3, strides=2, padding="same", activation="relu6")),
    "groups": ((9, 30, 64), L.Conv2D(96, 3, groups=2, padding="same", activation="relu")),
    "many groups": ((9, 13, 64), lambda x: L.BatchNormalization()(L.Conv2D(64, 3, strides=2, groups=16)(x))),
    "odd groups": ((6, 7, 15), L.Conv2D(9, 3, groups=3, padding="same", activation="gelu")),
    "multiplied depthwise": ((6, 7, 20), L.DepthwiseConv2D(3, depth_multiplier=3, padding="same")),
    "residual of groups": ((6, 7, 128), lambda x: L.add([L.Conv2D(128, 3, groups=4, padding="same")(x), x])),
    "normalized pixels": ((6, 7, 37), lambda x: L.Conv2D(20, 1)(L.LayerNormalization()(L.ReLU()(x)))),
    "root mean squares": ((6, 7, 16), lambda x: L.UnitNormalization()(L.RMSNormalization()(L.Conv2D(20, 1)(x)))),
    "transposed": ((6, 7, 18), L.Conv2DTranspose(20, 3, activation="relu")),
    "transposed with strides": (
        (6, 7, 32),
        lambda x: L.Conv2D(5, 3)(L.Conv2DTranspose(33, (4, 5), (2, 3), padding="same")(x)),
    ),
    "transposed sparsely": ((3, 5, 17), L.Conv2DTranspose(16, 2, 3, use_bias=False, activation="silu")),
    "transposed tiles": ((12, 13, 32), lambda x: L.BatchNormalization()(L.Conv2DTranspose(48, 3, padding="same")(x))),
    "transposed, dilated": ((8, 9, 3), L.Conv2DTranspose(20, (3, 7), dilation_rate=2, padding="same")),
    "transposed and added": ((5, 6, 16), lambda x: L.add([L.Conv2DTranspose(16, 5, padding="same")(x), x])),
    "transposed sequence": ((14, 17), L.Conv1DTranspose(20, 4, strides=2)),
    "transposed volume": ((3, 4, 5, 17), L.Conv3DTranspose(16, 3, strides=2, padding="same")),
    "separable": ((12, 13, 17), L.SeparableConv2D(33, 3, padding="same")),
    "pools": ((12, 13, 17), lambda x: L.AveragePooling2D(3, 2, padding="same")(L.Conv2D(20, 3, activation="silu")(x))),
    "global": ((12, 13, 17), lambda x: L.Dense(10)(L.GlobalMaxPooling2D()(L.Dropout(0.5)(x)))),
    "scaled": ((6, 7, 3), lambda x: L.Conv2D(8, 3)(L.Rescaling(1 / 127.5, -1)(x))),
    "inception": ((6, 7, 17), inception),
    "padded": ((14, 15, 3), padded),
    "begun in zeros": ((28, 31, 3), begun_in_zeros),
    "seen zeros": ((14, 15, 3), seen_zeros),
    "excited": ((6, 7, 33), excited),
    "sequence": ((14, 17), L.Conv1D(20, 3, padding="causal", dilation_rate=2)),
    "volume": ((4, 5, 6, 17), lambda x: L.MaxPooling3D()(L.Conv3D(20, 3, padding="same")(x))),
}


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("case", CASES)
def test_outputs_equal_torchs(case, isa):
    shape, layers = CASES[case]
    model = built(layers, shape)
    plan = engine.lower(model.graph, [])
    assert plan.wide_cost(16) < float("inf")
    for threads in (1, 2, 3):
        network = plan.assemble_wide(engine.native(), isa, threads)
        for count in (1, 2, 5, 20):
            x = torch.rand(count, *shape)
            want = by_torch(model, x)
            error = (run(network, x, want.shape[1:]) - want).abs().max()
            assert error <= 1e-5 * want.abs().max()


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("case", CASES)
def test_gradients_equal_torchs(case, isa):
    shape, layers = CASES[case]
    inputs = keras.Input(shape)
    before = L.Conv2D(shape[-1], 1, use_bias=False, name="before")(inputs) if len(shape) == 3 else inputs
    model = randomized(keras.Model(inputs, layers(before)))
    for layer in model.layers:
        if isinstance(layer, L.Dropout):
            layer.rate = 0.0
    for threads, count in ((1, 3), (3, 2)):
        x, y = torch.rand(count, *shape), torch.randn(count, *model.outputs[0].shape[1:])
        plan, objective = planned(model, "mse", y)
        kept = [weight.detach().clone() for weight in model.weights]  # statistics move with a step
        network = plan.assemble_wide_training(engine.native(), isa, threads, count)
        targets, _held = targets_of(plan, y)
        network.run(0, [(x.data_ptr(), False)], targets, [], 0, count, count, [0.0], 1, [])
        found = [torch.tensor(network.gradient(k)) if p.learns else None for k, p in enumerate(plan.parameters)]
        for weight, value in zip(model.weights, kept, strict=True):
            weight.data.copy_(value)
        _, wanted = gradients_by_torch(model, objective, x, y)
        for parameter, mine in zip(plan.parameters, found, strict=True):
            if mine is not None:
                theirs = flat(wanted[id(parameter.tensor)], parameter.tensor)
                assert (mine.double() - theirs).abs().max() <= 2e-5 * max(float(theirs.abs().max()), 1e-2)


@pytest.mark.parametrize("isa", ISAS)
def test_bytes_and_several_outputs(isa):
    inputs = keras.Input((7, 6, 3))
    y = L.Conv2D(18, 3, activation="relu")(inputs)
    model = randomized(keras.Model(inputs, [y, L.GlobalAveragePooling2D()(y)]))
    network = engine.lower(model.graph, []).assemble_wide(engine.native(), isa, 2)
    x = torch.randint(0, 256, (3, 7, 6, 3), dtype=torch.uint8)
    outs = [torch.empty(3, 5, 4, 18), torch.empty(3, 18)]
    network.run([(x.data_ptr(), True)], [out.data_ptr() for out in outs], 0, 3, 1)
    keras.config.set_engine("torch")
    wants = model(x.float(), training=False)
    keras.config.set_engine("auto")
    for out, want in zip(outs, wants, strict=True):
        torch.testing.assert_close(out, want.detach(), rtol=1e-4, atol=1e-4)


def test_samples_do_not_depend_on_their_number():
    model = built(residual, (9, 13, 37))
    network = engine.lower(model.graph, []).assemble_wide(engine.native(), ISAS[0], 2)
    x = torch.rand(21, 9, 13, 37)
    whole = run(network, x, (9, 13, 37))
    assert all(torch.equal(run(network, x[k : k + 1].clone(), (9, 13, 37))[0], whole[k]) for k in (0, 11, 20))


def test_nan_stays_with_its_sample():
    model = built(projected, (12, 12, 16))
    network = engine.lower(model.graph, []).assemble_wide(engine.native(), ISAS[0], 2)
    x = torch.rand(5, 12, 12, 16)
    x[2] = float("nan")
    for _ in range(2):
        out = run(network, x, (6, 6, 64))
        assert out[2].isnan().all() and not out[[0, 1, 3, 4]].isnan().any()
    assert not run(network, torch.rand(5, 12, 12, 16), (6, 6, 64)).isnan().any()


def large():
    """A network for which a few samples are predicted with channels as lanes."""
    inputs = keras.Input((32, 32, 3))
    x = L.Conv2D(64, 3, padding="same", activation="relu")(inputs)
    for _ in range(3):
        x = residual_block(x)
    return randomized(keras.Model(inputs, L.Dense(7)(L.GlobalAveragePooling2D()(x))))


def residual_block(x):
    return L.ReLU()(L.add([L.BatchNormalization()(L.Conv2D(64, 3, padding="same")(x)), x]))


def uses_wide(model):
    return plans.WIDE in plans.networks.get(model, {})


def expect(model, x):
    assert uses_wide(model)
    np.testing.assert_allclose(model.predict(x, verbose=0), by_torch(model, torch.from_numpy(x)), rtol=2e-4, atol=2e-4)


def test_predictions_follow_the_weights():
    model, x = large(), np.random.default_rng(0).random((3, 32, 32, 3), np.float32)
    model.predict(x, verbose=0)
    expect(model, x)
    model.layers[1].kernel.assign(model.layers[1].kernel * 0.5)
    expect(model, x)
    model.layers[1].kernel.data.mul_(1.5)  # the tensor's own counter does not see this
    expect(model, x)
    model.set_weights([weight + 0.01 for weight in model.get_weights()])
    expect(model, x)
    for chosen in ("torch", "native"):
        model.compile(keras.optimizers.SGD(0.01), "mse", engine=chosen)
        model.fit(np.repeat(x, 12, 0), np.zeros((36, 7), np.float32), verbose=0)
        model.compile("sgd", "mse")
        expect(model, x)


def test_small_networks_keep_samples_as_lanes():
    inputs = keras.Input((28, 28, 1))
    model = keras.Model(inputs, L.Dense(10)(L.Flatten()(L.MaxPooling2D()(L.Conv2D(8, 3)(inputs)))))
    model.predict(np.zeros((64, 28, 28, 1), np.float32), verbose=0)
    assert set(plans.networks[model]) == {plans.PREDICT}


@pytest.mark.parametrize(
    "layers",
    [
        lambda x: L.multiply([x, L.Conv2D(1, 1)(x)]),
        L.LayerNormalization(axis=(1, 2)),
    ],
)
def test_what_the_layout_lacks(layers):
    assert engine.lower(built(layers, (6, 6, 16)).graph, []).wide_cost(16) == float("inf")


def test_zeros_are_copied_only_where_they_are_looked_at():
    def copies(layers):
        plan = engine.lower(built(layers, (28, 31, 3)).graph, [])
        return sum(KINDS[step["kind"]] == "copy" for step in plan.steps)

    assert copies(begun_in_zeros) == 0
    assert copies(seen_zeros) == 2
    assert copies(lambda x: L.MaxPooling2D(3)(L.ZeroPadding2D(1)(x))) == 1  # zeros may be the largest
    assert copies(lambda x: L.AveragePooling2D(3)(L.ZeroPadding2D(1)(L.ReLU()(x)))) == 1  # they count
    assert copies(lambda x: L.Conv2D(4, 1)(L.ZeroPadding2D(1)(x))) == 1  # some windows see nothing else
    assert copies(lambda x: L.Conv2D(4, 3, padding="same")(L.ZeroPadding2D(1)(x))) == 1
    assert copies(L.ZeroPadding2D(1)) == 1


@pytest.mark.parametrize("name", ["ResNet50", "MobileNetV2", "EfficientNetB0"])
def test_published_networks(name):
    model = getattr(keras.applications, name)(
        weights=None, input_shape=(64, 64, 3), classes=10, classifier_activation=None
    )
    randomized_softly(model)
    x = np.random.default_rng(0).random((2, 64, 64, 3), np.float32)
    got = model.predict(x, verbose=0)
    assert uses_wide(model)
    want = by_torch(model, torch.from_numpy(x)).numpy()
    assert np.abs(got - want).max() <= 1e-4 * np.abs(want).max()


def randomized_softly(model):
    for v in model.weights:
        if "moving_variance" in v.path:
            v.assign(torch.rand(v.shape) * 0.5 + 0.75)
        elif "moving_mean" in v.path or "beta" in v.path:
            v.assign(torch.randn(v.shape) * 0.1)


def test_training_equals_torchs():
    weights = {}
    for chosen in ("torch", "native"):
        keras.utils.set_random_seed(3)
        model = large()
        keras.utils.set_random_seed(4)
        for v in model.weights:
            v.assign(torch.rand(v.shape) * 0.1 + 0.5 if "variance" in v.path else torch.randn(v.shape) * 0.05)
        model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "mse", engine=chosen)
        x = np.random.default_rng(0).random((10, 32, 32, 3), np.float32)
        model.fit(x, np.ones((10, 7), np.float32), batch_size=4, epochs=2, shuffle=False, verbose=0)
        weights[chosen] = model.get_weights()
    assert plans.networks[model][plans.TRAIN].wide
    for mine, theirs in zip(weights["native"], weights["torch"], strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)


def test_measuring_follows_predictions():
    x, y = np.random.default_rng(0).random((11, 32, 32, 3), np.float32), np.arange(11) % 7
    weight, found = np.linspace(0.5, 2, 11, dtype=np.float32), {}
    model = large()
    for chosen in ("torch", "native"):
        metrics = ["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(3)]
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")
        model.compile("sgd", loss, metrics=metrics, weighted_metrics=["accuracy"], engine=chosen)
        found[chosen] = [
            model.evaluate(x, y, 4, verbose=0, sample_weight=weight),
            model.test_on_batch(x[:3], y[:3]),
        ]
    assert uses_wide(model) and plans.TEST not in plans.networks[model]
    for mine, theirs in zip(found["native"], found["torch"], strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=2e-4)


def test_validation_follows_predictions():
    model, x = large(), np.random.default_rng(0).random((6, 32, 32, 3), np.float32)
    model.compile(keras.optimizers.SGD(0.0), "mse", engine="native")
    y = np.ones((6, 7), np.float32)
    history = model.fit(x, y, validation_data=(x, y), verbose=0).history
    assert history["val_loss"][0] == pytest.approx(((model.predict(x, verbose=0) - y) ** 2).mean(), rel=1e-5)
    assert plans.TEST not in plans.networks[model] or "network" not in vars(plans.networks[model][plans.TEST])


def test_frozen_features_have_channels_as_lanes():
    found, x = {}, np.random.default_rng(0).random((20, 32, 32, 3), np.float32)
    base = large()
    base.trainable = False
    for chosen in ("torch", "auto"):
        keras.config.set_engine(chosen)
        inputs = keras.Input((32, 32, 3))
        model = keras.Model(inputs, L.Dense(2, "softmax", kernel_initializer="ones")(base(inputs, training=False)))
        model.compile("sgd", "sparse_categorical_crossentropy")
        parts = split(model)
        found[chosen] = parts.features(x)[0]
        assert (parts._wide[1] is not None) == (chosen == "auto")
        base.layers[1].kernel.assign(base.layers[1].kernel * 1.0)
    torch.testing.assert_close(found["auto"], found["torch"], rtol=2e-4, atol=2e-4)
    base.layers[1].kernel.data = base.layers[1].kernel.data.clone() * 0.5  # elsewhere in memory
    assert (parts.features(x)[0] - found["auto"]).abs().max() > 1e-2


def test_training_keeps_only_what_the_way_back_reads():
    model, sizes = large(), []
    for learns in (True, False):
        for layer in model.layers[:-1]:
            layer.trainable = learns
        plan, _ = planned(model, "mse", torch.zeros(8, 7))
        sizes.append(plan.assemble_wide_training(engine.native(), ISAS[0], 2, 8).bytes)
    assert sizes[1] < sizes[0] / 2


def test_what_is_left_to_torch_takes_no_memory():
    inputs = keras.Input((4, 4, 256))
    x = L.BatchNormalization()(L.Conv2D(512, 3, padding="same")(inputs))  # more weights than one sample is worth
    model = keras.Model(inputs, L.Dense(7)(L.GlobalAveragePooling2D()(x)))
    model.compile("sgd", "mse")
    model.fit(np.zeros((1, 4, 4, 256), np.float32), np.zeros((1, 7), np.float32), batch_size=1, verbose=0)
    assert "network" not in vars(plans.networks[model][plans.TRAIN])
