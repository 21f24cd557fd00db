"""Networks of mixed policies, which the engine computes in float32, beside float32, torch and Keras."""

import numpy as np
import pytest
import torch
from engine_harness import ISAS, needs_engine

import convia as k

import keras  # isort: skip
from convia import config, ops
from convia import layers as kl
from convia.training import frozen, plans

pytestmark = needs_engine

POLICY, OTHER = "mixed_bfloat16", "mixed_float16"
NEAR = 0.03  # torch and Keras round to 8 bits, again and again
X = np.random.default_rng(0).normal(size=(50, 10, 9, 3)).astype("float32")
Y = np.random.default_rng(1).integers(0, 4, 50)
WEIGHTS = np.linspace(0, 2, 50, dtype="float32")


def chain(k, kl, ops):
    """A Sequential network."""
    parts = [kl.Conv2D(6, 3, activation="relu"), kl.MaxPooling2D(), kl.Flatten(), kl.Dropout(0.2)]
    return k.Sequential([k.Input((10, 9, 3)), *parts, kl.Dense(4, activation="softmax")])


def residual(k, kl, ops):
    """Blocks with normalizations, whose probabilities are float32, as mixed precision is usually set up."""
    x = k.Input((10, 9, 3))
    h = kl.Conv2D(8, 3, padding="same", use_bias=False)(x)
    h = kl.ReLU()(kl.BatchNormalization()(h))
    s = kl.BatchNormalization()(kl.Conv2D(8, 3, padding="same", use_bias=False)(h))
    h = kl.Activation("relu")(kl.Add()([h, s]))
    h = kl.Dense(4)(kl.GlobalAveragePooling2D()(h))
    return k.Model(x, kl.Activation("softmax", dtype="float32")(h))


def with_casts(k, kl, ops):
    """Functions and operators of both types, and casts between them."""
    x = k.Input((10, 9, 3))
    h = kl.Conv2D(6, 3, activation="tanh")(x)
    h = ops.cast(h * 2.0 - 1.0, "float32") + kl.Conv2D(6, 3, dtype="float32")(x)
    h = ops.cast(ops.relu(h), "bfloat16")
    h = ops.concatenate([h, ops.mean(h, axis=(1, 2), keepdims=True) * h], axis=-1)
    h = kl.Rescaling(0.5)(kl.AveragePooling2D(2)(h))
    return k.Model(x, kl.Dense(4, activation="softmax")(kl.Flatten()(h)))


def half_an_input(k, kl, ops):
    """An input that is bfloat16 itself."""
    x = k.Input((10, 9, 3), dtype="bfloat16")
    return k.Model(x, kl.Dense(4, activation="softmax")(kl.Flatten()(x)))


NETWORKS = [chain, residual, with_casts, half_an_input]


def made(network, policy=POLICY, engine=None, seed=3):
    """Make a compiled network whose layers have a policy; weights depend on the seed alone."""
    k.utils.set_random_seed(seed)
    config.set_dtype_policy(policy)
    model = network(k, kl, ops)
    config.set_dtype_policy(None)
    model.compile(k.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"], engine=engine)
    return model


def work(model):
    """Everything that a network is used for; numbers in one list."""
    history = model.fit(X, Y, 16, epochs=3, sample_weight=WEIGHTS, validation_data=(X[:20], Y[:20]), verbose=0).history
    return [
        *history.values(),
        model.evaluate(X, Y, 16, verbose=0),
        model.evaluate(X, Y, 16, sample_weight=WEIGHTS, verbose=0),
        model.train_on_batch(X[:16], Y[:16]),
        model.test_on_batch(X[:1], Y[:1]),
        model.predict(X, verbose=0),
        model.predict(X[:1], verbose=0),
        model.predict_on_batch(X),
        *model.get_weights(),
    ]


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("network", NETWORKS)
def test_on_the_engine_it_is_float32_to_the_bit(network, isa, monkeypatch):
    monkeypatch.setenv("CONVIA_ISA", isa)
    half, single = (work(made(network, policy, "native")) for policy in (POLICY, "float32"))
    assert all(np.array_equal(a, b) for a, b in zip(half, single, strict=True))


@pytest.mark.parametrize("network", NETWORKS)
def test_it_is_near_what_torch_computes_in_bfloat16(network):
    ours, theirs = (made(network, engine=engine) for engine in ("native", "torch"))
    assert ours.evaluate(X, Y, verbose=0)[0] == pytest.approx(theirs.evaluate(X, Y, verbose=0)[0], rel=NEAR)
    assert np.abs(ours.predict(X, verbose=0) - theirs.predict(X, verbose=0)).max() < NEAR
    if network is chain:
        ours.layers[3].rate = theirs.layers[3].rate = 0  # its masks are others
    losses = [model.fit(X, Y, 16, 4, shuffle=False, verbose=0).history["loss"] for model in (ours, theirs)]
    assert losses[0] == pytest.approx(losses[1], rel=2 * NEAR)
    assert losses[0][-1] < losses[0][0]


@pytest.mark.parametrize("network", [chain, residual, with_casts])
def test_it_is_near_what_keras_computes(network):
    keras.config.set_dtype_policy(POLICY)
    try:
        theirs = network(keras, keras.layers, keras.ops)
    finally:
        keras.config.set_dtype_policy("float32")
    theirs.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    ours = made(network, engine="native")
    ours.set_weights(theirs.get_weights())
    assert [tensor.dtype for tensor in ours.outputs] == [tensor.dtype for tensor in theirs.outputs]
    assert np.abs(ours.predict(X, verbose=0) - theirs.predict(X, verbose=0)).max() < NEAR
    assert ours.evaluate(X, Y, verbose=0)[0] == pytest.approx(theirs.evaluate(X, Y, verbose=0)[0], rel=NEAR)


@pytest.mark.parametrize("policy", [POLICY, OTHER])
def test_types_are_those_that_the_user_sees_without_the_engine(policy):
    seen, half = [], policy.removeprefix("mixed_")
    for engine in ("native", "torch"):
        model = made(chain, policy, engine)
        found = [
            model.predict(X, verbose=0),
            model.predict_on_batch(X),
            model.predict((X[:4] for _ in "12"), verbose=0),
        ]
        assert model.layers[0].output.dtype == half and model(X[:2]).dtype is getattr(torch, half)
        assert all(weight.dtype is torch.float32 for weight in model.weights)
        numbers = [model.evaluate(X, Y, verbose=0), model.train_on_batch(X, Y)]
        seen.append([array.dtype for array in found] + [type(each) for row in numbers for each in row])
    assert seen[0] == seen[1]


def test_what_computes_is_told():
    assert made(chain).engine == f"{made(chain, 'float32').engine[:-1]}, bfloat16 computed in float32)"
    assert made(residual, engine="torch").engine == "torch: chosen by compile"


@pytest.mark.parametrize("policy", ["bfloat16", "float16", "float64"])
def test_weights_of_other_types_stay_with_torch(policy):
    reason = f"layer 'conv2d' (Conv2D) has the policy {policy!r}, which the engine does not know"
    model = made(chain, policy)
    assert model.engine == f"torch: {reason}"
    assert model.predict(X, verbose=0).shape == (50, 4)
    with pytest.raises(ValueError, match=r"compile\(engine='native'\) of .*has the policy"):
        made(chain, policy, engine="native")


def scaled_work(model):
    """Train and measure; numbers, and what the optimizer has counted."""
    history = model.fit(X, Y, 16, epochs=3, sample_weight=WEIGHTS, validation_data=(X[:20], Y[:20]), verbose=0).history
    scores = [model.evaluate(X, Y, 16, verbose=0), model.train_on_batch(X[:16], Y[:16])]
    return [*history.values(), *scores, *model.get_weights()], model.optimizer


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("network", [chain, residual])
def test_float16_learns_as_float32_does(network, isa, monkeypatch):
    """The loss is scaled by powers of two, which the optimizer counts as it does with torch."""
    monkeypatch.setenv("CONVIA_ISA", isa)
    (half, scaled), (single, _) = (scaled_work(made(network, policy, "native")) for policy in (OTHER, "float32"))
    assert all(np.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in zip(half, single, strict=True))
    assert type(scaled) is k.optimizers.LossScaleOptimizer
    assert (scaled.step_counter.number, int(scaled.iterations)) == (13, 13)
    assert scaled.dynamic_scale.number == scaled.initial_scale


def test_float16_is_near_what_torch_computes():
    ours, theirs = (made(residual, OTHER, engine) for engine in ("native", "torch"))
    losses = [model.fit(X, Y, 16, 3, shuffle=False, verbose=0).history["loss"] for model in (ours, theirs)]
    assert losses[0] == pytest.approx(losses[1], rel=NEAR)
    assert np.abs(ours.predict(X, verbose=0) - theirs.predict(X, verbose=0)).max() < NEAR
    assert ours.engine.endswith("float16 computed in float32)")


def test_masks_of_float16_change_from_step_to_step():
    model = k.Sequential([k.Input((40,), dtype="float16"), kl.Dropout(0.5, dtype=OTHER), kl.Dense(1, dtype=OTHER)])
    model.compile(k.optimizers.LossScaleOptimizer(k.optimizers.SGD(0.0)), "mse", engine="native")
    losses = [model.train_on_batch(np.ones((8, 40)), np.ones((8, 1))) for _ in range(3)]
    assert len(set(losses)) == 3


def steep(x):
    """A network whose loss is finite and whose gradient at 0 is not."""
    return k.ops.sqrt(kl.Dense(1, use_bias=False, kernel_initializer="ones")(x))


@pytest.mark.parametrize("engine", ["native", "torch"])
def test_gradients_that_are_not_finite_halve_the_scale(engine):
    x = k.Input((2,))
    model = k.Model(x, steep(x))
    model.compile(k.optimizers.LossScaleOptimizer(k.optimizers.SGD(0.1)), "mse", engine=engine)
    before = model.get_weights()[0]
    assert np.isfinite(model.train_on_batch(np.zeros((4, 2)), np.ones((4, 1))))
    assert np.array_equal(model.get_weights()[0], before)
    scaled = model.optimizer
    assert (scaled.dynamic_scale.number, scaled.step_counter.number, int(scaled.iterations)) == (2.0**14, 0, 0)
    model.train_on_batch(np.ones((4, 2)), np.zeros((4, 1)))
    assert (model.get_weights()[0] < before).all() and scaled.step_counter.number == 1


def test_files_keep_the_policy(tmp_path):
    model = made(residual, engine="native")
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "model.keras")
    again = k.models.load_model(tmp_path / "model.keras")
    assert [layer.dtype_policy for layer in again.layers] == [layer.dtype_policy for layer in model.layers]
    assert again.engine.endswith("bfloat16 computed in float32)")
    for other in (again, keras.models.load_model(tmp_path / "model.keras")):
        tolerance = 0 if other is again else NEAR
        assert np.abs(other.predict(X, verbose=0) - model.predict(X, verbose=0)).max() <= tolerance


def test_weights_of_float32_predict_in_bfloat16_where_it_is_asked_for():
    learned = made(residual, "float32")
    learned.fit(X, Y, verbose=0)
    asked, rounded = made(residual), made(residual, engine="torch")
    for model in (asked, rounded):
        model.set_weights(learned.get_weights())
    expected = learned.predict(X, verbose=0)
    assert np.array_equal(asked.predict(X, verbose=0), expected)
    assert 0 < np.abs(rounded.predict(X, verbose=0) - expected).max() < NEAR


@pytest.mark.parametrize("engine", ["native", "torch"])
def test_layers_of_a_finished_network_may_get_the_policy(engine):
    model, theirs = made(residual, "float32", engine), residual(keras, keras.layers, keras.ops)
    theirs.set_weights(model.get_weights())
    expected = model.predict(X, verbose=0)
    for layer in (*model.layers, *theirs.layers):
        layer.dtype_policy = POLICY
    found, weights = model.predict(X, verbose=0), model.weights
    assert model.layers[1].compute_dtype == "bfloat16" and all(each.dtype is torch.float32 for each in weights)
    assert np.array_equal(found, expected) == (engine == "native")
    assert np.abs(found - theirs.predict(X, verbose=0)).max() < NEAR
    assert np.isfinite(model.fit(X, Y, verbose=0).history["loss"][0])


def on_a_base(k, kl, ops):
    """A head on a frozen base of float32, behind a scale that makes bfloat16 of the images."""
    before = config.dtype_policy()
    config.set_dtype_policy("float32")
    inputs = k.Input((10, 9, 3))
    h = kl.BatchNormalization()(kl.Conv2D(16, 3, activation="relu")(inputs))
    base = k.Model(inputs, kl.Conv2D(16, 3, activation="relu")(h), trainable=False)
    config.set_dtype_policy(before)
    x = k.Input((10, 9, 3))
    h = base(kl.Rescaling(0.5)(x), training=False)
    return k.Model(x, kl.Dense(4, activation="softmax")(kl.GlobalAveragePooling2D()(h)))


@pytest.mark.parametrize("expensive", [False, True])
def test_a_frozen_base_may_have_another_policy(expensive, monkeypatch):
    """Where the base is expensive the engine computes what it makes of images, once, and torch what learns."""
    counts = []
    if expensive:
        monkeypatch.setattr(frozen, "_LEAST", 0)
        monkeypatch.setattr(frozen, "_DEARER", 0)
        monkeypatch.setattr(plans, "predicts_wide", lambda plan, samples: True)
        whole = plans.wide_pass
        monkeypatch.setattr(plans, "wide_pass", lambda plan: counts.append(plan) or whole(plan))
    half, single = (made(on_a_base, policy) for policy in (POLICY, "float32"))
    losses = [model.fit(X, Y, 16, 4, shuffle=False, verbose=0).history["loss"] for model in (half, single)]
    assert losses[0] == pytest.approx(losses[1], rel=NEAR if expensive else 0)
    assert len(counts) == 2 * expensive
    assert np.abs(half.predict(X, verbose=0) - single.predict(X, verbose=0)).max() <= NEAR * expensive


def test_features_have_the_types_of_the_network(monkeypatch):
    monkeypatch.setattr(plans, "predicts_wide", lambda plan, samples: True)
    monkeypatch.setattr(frozen, "_LEAST", 0)
    monkeypatch.setattr(frozen, "_DEARER", 0)
    for policy, dtype in ((POLICY, torch.bfloat16), (OTHER, torch.float16), ("float32", torch.float32)):
        model = made(residual, policy)
        for layer in model.layers[:-2]:
            layer.trainable = False
        parts = frozen.split(model)
        found = parts.features(torch.from_numpy(X))
        assert parts._wide[1] is not None and [value.dtype for value in found] == [dtype]


def test_features_that_differ_too_much_are_left_to_torch(monkeypatch):
    monkeypatch.setattr(plans, "predicts_wide", lambda plan, samples: True)
    monkeypatch.setattr(frozen, "_LEAST", 0)
    monkeypatch.setattr(frozen, "_DEARER", 0)
    monkeypatch.setattr(frozen, "_HALF_TOLERANCE", 0.0)
    model = made(residual)
    model.layers[1].trainable = False
    parts = frozen.split(model)
    assert parts.features(torch.from_numpy(X))[0].dtype is torch.bfloat16 and parts._wide[1] is None


def test_int8_starts_from_either_policy():
    single = made(residual, "float32", "native")
    half = made(residual, engine="native")
    for model in (single, half):
        model.quantize("int8", calibration_data=X)
    assert np.array_equal(half.predict(X, verbose=0), single.predict(X, verbose=0))


def test_an_array_of_bfloat16_may_be_an_operand():
    x = k.Input((4,), dtype="bfloat16")
    offset = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.bfloat16)
    model = k.Model(x, x * 0.5 + offset)
    model.compile("sgd", "mse", engine="native")
    assert np.array_equal(model.predict(np.ones((2, 4)), verbose=0)[1], [1.5, 2.5, 3.5, 4.5])
