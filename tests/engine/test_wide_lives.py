"""Tensors that are made again on the way back: the same bits, less memory, and nothing that has to be kept anyway."""

import numpy as np
import pytest
import torch
from engine_harness import ISAS, first, needs_engine, planned, targets_of

import convia as keras
from convia import engine
from convia.engine.plan import KINDS
from convia.training import plans

pytestmark = needs_engine
L = keras.layers


def convolved(x, filters, size=3, act="relu", **options):
    x = L.BatchNormalization(momentum=0.5)(L.Conv2D(filters, size, padding="same", **options)(x))
    return L.Activation(act)(x)


def residual(x):
    for _ in range(7):  # more sums than follow from one another
        y = L.BatchNormalization()(L.Conv2D(20, 3, padding="same")(convolved(x, 20)))
        x = L.ReLU()(L.add([y, x]))
    return x


def frozen(x):
    y = L.BatchNormalization(trainable=False)(L.Conv2D(20, 3)(convolved(x, 20)))
    y = L.BatchNormalization(trainable=False)(L.Conv2D(20, 3, trainable=False)(L.Activation("silu")(y)))
    return L.ReLU()(y)


def concatenated(x):
    for _ in range(3):
        x = L.concatenate([x, L.Conv2D(9, 3, padding="same")(L.ReLU()(L.BatchNormalization()(x)))])
    return L.concatenate(
        [L.MaxPooling2D(3, 1, padding="same")(x), convolved(x, 7, 1), L.AveragePooling2D(3, 1, "same")(x)]
    )


def depthwise(x):
    for _ in range(3):
        y = convolved(x, 60, 1, "relu6")
        y = L.ReLU(6)(L.BatchNormalization()(L.DepthwiseConv2D(3, padding="same")(y)))
        y = L.multiply([y, L.Conv2D(60, 1, activation="sigmoid")(L.GlobalAveragePooling2D(keepdims=True)(y))])
        x = L.add([x, L.BatchNormalization()(L.Conv2D(20, 1)(y))])
    return L.DepthwiseConv2D(3, strides=2, activation="swish")(x)


def noisy(x):
    x = L.GaussianNoise(0.1)(L.Dropout(0.3)(convolved(x, 20, act="gelu")))
    return L.SpatialDropout2D(0.2)(L.Conv2D(20, 3, dilation_rate=2)(x))


def padded(x):
    y = L.Conv2D(24, 3)(L.ZeroPadding2D(2)(L.MaxPooling2D(3, 2)(convolved(x, 20))))
    y = L.LayerNormalization()(L.ZeroPadding2D(((0, 1), (1, 0)))(L.ReLU()(L.BatchNormalization()(y))))
    return L.maximum([L.Conv2D(24, 5, strides=1, padding="same")(y), y])


def transposed(x):
    y = L.Permute((2, 1, 3))(convolved(x, 20))
    return L.Softmax()(L.UpSampling2D()(convolved(y, 20, groups=2)))


NETWORKS = [residual, frozen, concatenated, depthwise, noisy, padded, transposed]


def network(layers, mode="full", shape=(9, 12, 20), **options):
    """A network of a seed, the same with and without a scope; its first layer learns."""
    keras.utils.set_random_seed(5)
    inputs = keras.Input(shape)
    with keras.RematScope(mode, **options):
        x = layers(L.Conv2D(shape[-1], 1, name="before")(inputs))
        outputs = [L.Dense(3)(L.Flatten()(x)), x]  # the second one is read on the way back, too
    model = keras.Model(inputs, outputs)
    for v in model.weights:
        v.assign(v + torch.rand(v.shape) * 0.2 if "kernel" not in v.path else v)
    return model


def assembled(model, isa=ISAS[-1] if ISAS else "", threads=2, batch=5):
    """Return the native network of a model, its plan, and labels."""
    y = [torch.ones(batch, *tensor.shape[1:]) for tensor in model.outputs]
    plan, _ = planned(model, "mse", y if len(y) > 1 else y[0], optimizer=keras.optimizers.Adam(0.01))
    return plan.assemble_wide_training(engine.native(), isa, threads, batch), plan, y


def trained(model, isa, threads, batch=5, steps=3):
    """Return the weights after some steps and all sums that the engine has counted; and what it has made again."""
    net, plan, y = assembled(model, isa, threads, batch)
    net.profiling = True
    drawn = torch.Generator().manual_seed(1)
    tallies = []
    for step in range(1, steps + 1):
        for count in (batch, batch - 2):  # and a batch that is not full
            x = torch.rand(count, *model.inputs[0].shape[1:], generator=drawn)
            rows, _held = targets_of(plan, first(y, count))
            keys = [7 * step + count + k for k in range(len(plan.random_layers))]
            tallies.append(net.run(0, [(x.data_ptr(), False)], rows, [], 0, count, count, [0.01], step, keys))
    again = {
        (plan.names[plan.steps[k]["out"]], KINDS[plan.steps[k]["kind"]]) for p, k, *_ in net.timings if p == "again"
    }
    return [each.tensor.detach().clone() for each in plan.parameters], tallies, again


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("layers", NETWORKS, ids=lambda layers: layers.__name__)
def test_training_is_the_same_bit_for_bit(layers, isa):
    for threads in (1, 3):
        wanted, sums, none = trained(network(layers, None), isa, threads)
        found, same, again = trained(network(layers), isa, threads)
        assert again and not none and sums == same and np.isfinite(sums[-1][1])
        for mine, theirs in zip(found, wanted, strict=True):
            assert torch.equal(mine, theirs)


def bytes_of_sample(layers, mode, **options):
    model = network(layers, mode, (16, 16, 20), **options)
    sizes = [assembled(model, threads=1, batch=batch)[0].bytes for batch in (8, 16)]
    return (sizes[1] - sizes[0]) / 8


@pytest.mark.parametrize(("layers", "share"), [(residual, 0.75), (concatenated, 0.75), (depthwise, 0.75)])
def test_less_memory(layers, share):
    assert bytes_of_sample(layers, "full") <= share * bytes_of_sample(layers, None)


def made_again(mode, batch=4, **options):
    def layers(x):
        x = L.BatchNormalization(name="norm")(L.Conv2D(20, 3, activation="relu", name="conv")(x))
        x = L.Conv2D(20, 3, name="second")(L.ReLU(name="act")(x))
        return L.add([L.Conv2D(20, 1)(L.MaxPooling2D(3, 1, "same", name="pool")(x)), x])

    return {name for name, _ in trained(network(layers, mode, **options), ISAS[-1], 1, batch, 1)[2]}


def test_what_is_made_again():
    assert made_again(None) == set()
    assert made_again("full") == {"norm", "pool"}  # the normalization activates, too
    assert made_again("activations") == {"norm"}
    assert made_again("list_of_layers", layer_names=["pool", "conv"]) == {"pool"}
    assert made_again("list_of_layers", layer_names=["norm"]) == set()  # what its activation makes is kept
    numbers = 5 * 8 * 20  # of the pool's result
    assert made_again("larger_than", output_size_threshold=4 * numbers) == {"norm"}
    assert made_again("larger_than", output_size_threshold=4 * numbers - 1) == {"norm", "pool"}
    assert made_again("larger_than", output_size_threshold=4 * numbers, batch=5) == {"norm", "pool"}


def test_of_a_chain_one_is_kept():
    again = trained(network(residual), ISAS[-1], 1, 3, 1)[2]
    assert [kind for _, kind in again].count("norm_batch") == 13  # of 14, every second of which makes one of 7 sums


def test_fit_with_the_engine():
    weights = []
    for mode in (None, "full"):
        both = network(residual, mode)
        model = keras.Model(both.inputs, both.outputs[0])
        model.compile(keras.optimizers.SGD(1e-4, momentum=0.9), "mse", engine="native")
        x = np.random.default_rng(0).random((10, 9, 12, 20), np.float32)
        model.fit(x, np.ones((10, 3), np.float32), batch_size=4, epochs=2, shuffle=False, verbose=0)
        weights.append(model.get_weights())
    assert model.engine.startswith("native") and plans.networks[model][plans.TRAIN].wide
    for mine, theirs in zip(*weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)
