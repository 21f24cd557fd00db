"""Training, measuring and predicting through the public API: the engine against the torch executor."""

import numpy as np
import pytest
import torch
from engine_harness import ISAS, needs_engine

import convia as k
from convia import config, engine
from convia import layers as kl
from convia.training import plans

pytestmark = needs_engine


@pytest.fixture(autouse=True)
def _auto():
    yield
    config.set_engine("auto")


def small(*extra, units=3, ending="softmax"):
    return k.Sequential(
        [
            k.Input((10, 9, 2)),
            kl.Conv2D(4, 3, activation="relu"),
            kl.MaxPooling2D(),
            *extra,
            kl.Flatten(),
            kl.Dense(units, activation=ending),
        ]
    )


def data(count=70, classes=3, seed=0):
    generator = np.random.default_rng(seed)
    x = generator.random((count, 10, 9, 2), dtype=np.float32)
    return x, generator.integers(0, classes, count)


def both(make, run):
    """Run the same with torch and with the engine, from the same seeds and weights."""
    results = []
    for choice in ("torch", "native"):
        config.set_engine(choice)
        k.utils.set_random_seed(3)
        model = make()
        results.append((run(model), model.get_weights()))
    return results


def assert_same(results, tolerance=1e-4):
    (theirs, their_weights), (ours, our_weights) = results
    for a, b in zip(their_weights, our_weights, strict=True):
        assert np.abs(a - b).max() <= tolerance
    if isinstance(theirs, k.callbacks.History):
        theirs, ours = theirs.history, ours.history
    if isinstance(theirs, dict):
        assert theirs.keys() == ours.keys()
        for name in theirs:
            assert np.allclose(theirs[name], ours[name], atol=2e-4), name
    else:
        assert np.allclose(theirs, ours, atol=1e-5)


OPTIMIZERS = [
    lambda: k.optimizers.SGD(0.1),
    lambda: k.optimizers.SGD(0.05, momentum=0.9),
    lambda: k.optimizers.SGD(0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
    lambda: k.optimizers.Adam(0.003),
    lambda: k.optimizers.Adam(0.003, amsgrad=True, clipvalue=0.01),
    lambda: k.optimizers.AdamW(0.003, weight_decay=0.1),
    lambda: k.optimizers.RMSprop(0.003),
    lambda: k.optimizers.RMSprop(0.003, momentum=0.5),
    lambda: k.optimizers.RMSprop(0.003, momentum=0.5, centered=True),
    lambda: k.optimizers.Adagrad(0.05),
    lambda: k.optimizers.SGD(0.1, clipnorm=0.1),
    lambda: k.optimizers.Adam(0.003, global_clipnorm=0.1),
    lambda: k.optimizers.SGD(k.optimizers.schedules.ExponentialDecay(0.1, 3, 0.5)),
    lambda: k.optimizers.RMSprop(0.003, centered=True),
    lambda: k.optimizers.RMSprop(k.optimizers.schedules.CosineDecay(0.003, 8), weight_decay=0.01, clipvalue=0.1),
    lambda: k.optimizers.Adagrad(0.05, global_clipnorm=0.1, initial_accumulator_value=0.2, epsilon=1e-3),
    lambda: k.optimizers.AdamW(0.003, amsgrad=True, clipnorm=0.1, beta_1=0.8),
    lambda: k.optimizers.SGD(0.1, nesterov=True, momentum=0.9, use_ema=True, ema_momentum=0.9),
    lambda: k.optimizers.Adam(0.003, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=3),
    lambda: k.optimizers.SGD(0.1, gradient_accumulation_steps=3, global_clipnorm=0.1),
    lambda: k.optimizers.Adam(0.01, gradient_accumulation_steps=2, weight_decay=0.1, use_ema=True),
    lambda: k.optimizers.Adam(0.003, loss_scale_factor=256.0),
]


@pytest.mark.parametrize("number", range(len(OPTIMIZERS)))
def test_ten_steps_of_every_optimizer(number):
    def make():
        model = small()
        model.compile(OPTIMIZERS[number](), "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    x, y = data()
    states = []

    def run(model):
        history = model.fit(x, y, 16, epochs=2, shuffle=False, verbose=0)
        states.append([v.numpy() for v in model.optimizer.variables])
        return history

    assert_same(both(make, run))
    for theirs, ours in zip(*states, strict=True):
        assert np.abs(theirs - ours).max() <= 1e-4


@pytest.mark.parametrize(
    ("options", "kwargs"),
    [
        ({}, {"validation_split": 0.2}),
        ({}, {"class_weight": {0: 1.0, 1: 3.0, 2: 0.5}}),
        ({}, {"sample_weight": np.linspace(0, 2, 70).astype("float32")}),
        ({"steps_per_execution": 3}, {"batch_size": 7}),
        ({}, {"shuffle": True}),
        ({}, {"shuffle": "batch", "batch_size": 8}),
    ],
)
def test_fit_is_the_same(options, kwargs):
    def make():
        model = small()
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], **options)
        return model

    x, y = data()
    assert_same(both(make, lambda model: model.fit(x, y, epochs=2, verbose=0, **({"shuffle": False} | kwargs))))


@pytest.mark.parametrize("isa", ISAS)
def test_batch_normalization_and_penalties(isa, monkeypatch):
    monkeypatch.setenv("CONVIA_ISA", isa)

    def make():
        model = small(kl.BatchNormalization(), kl.Conv2D(3, 2, kernel_regularizer="l2"))
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    x, y = data()
    assert_same(both(make, lambda model: model.fit(x, y, 20, epochs=3, shuffle=False, verbose=0)))


def test_several_outputs():
    def make():
        x = k.Input((10, 9, 2))
        h = kl.Flatten()(kl.Conv2D(4, 3, activation="relu")(x))
        outputs = [kl.Dense(3, activation="softmax", name="kind")(h), kl.Dense(1, name="size")(h)]
        model = k.Model(x, outputs)
        model.compile(
            "sgd", ["sparse_categorical_crossentropy", "mse"], loss_weights=[1, 0.3], metrics=[["accuracy"], []]
        )
        return model

    x, y = data()
    targets = [y, np.linspace(-1, 1, 70).astype("float32")]
    assert_same(both(make, lambda model: model.fit(x, targets, 16, shuffle=False, verbose=0)))
    assert_same(both(make, lambda model: model.evaluate(x, targets, verbose=0, return_dict=True)))
    assert_same(both(make, lambda model: model.predict(x, verbose=0)[1]))


@pytest.mark.parametrize(
    ("loss", "units", "ending", "metrics"),
    [
        ("binary_crossentropy", 1, "sigmoid", ["accuracy"]),
        ("binary_crossentropy", 3, "sigmoid", ["binary_accuracy"]),
        ("categorical_crossentropy", 3, "softmax", ["accuracy"]),
        ("mse", 3, None, []),
        ("mae", 3, "tanh", []),
    ],
)
def test_losses_and_metrics(loss, units, ending, metrics):
    def make():
        model = small(units=units, ending=ending)
        model.compile("sgd", loss, metrics=metrics)
        return model

    x, y = data()
    y = np.eye(3, dtype="float32")[y] if units == 3 else (y > 1).astype("float32")[:, None]
    assert_same(both(make, lambda model: model.fit(x, y, 16, validation_data=(x, y), shuffle=False, verbose=0)))
    assert_same(both(make, lambda model: model.evaluate(x, y, verbose=0, return_dict=True)))


def test_bytes_and_missing_channel_axis():
    x = np.random.default_rng(0).integers(0, 256, (50, 12, 12), dtype=np.uint8)
    y = np.arange(50) % 4

    def make():
        model = k.Sequential(
            [
                k.Input((12, 12, 1)),
                kl.Rescaling(1 / 255),
                kl.Conv2D(3, 3),
                kl.GlobalAveragePooling2D(),
                kl.Dense(4, activation="softmax"),
            ]
        )
        model.compile("adam", "sparse_categorical_crossentropy")
        return model

    assert_same(both(make, lambda model: model.fit(x, y, 16, shuffle=False, verbose=0)))
    assert_same(both(make, lambda model: model.predict(x, verbose=0)))


def test_dropout_depends_on_the_seed_alone():
    x, y = data()
    histories = []
    for threads in (1, 2, 1, 3, 2):
        torch.set_num_threads(threads)
        k.utils.set_random_seed(5)
        model = small(kl.Dropout(0.4), kl.SpatialDropout2D(0.3))
        model.compile("adam", "sparse_categorical_crossentropy")
        histories.append(model.fit(x, y, 32, epochs=3, verbose=0).history["loss"])
    torch.set_num_threads(2)
    assert histories[0] == histories[2]
    assert histories[1] == histories[4]
    assert np.allclose(histories[:1], histories, atol=1e-5)  # sums of gradients are added in another order
    assert model.engine.startswith("native")


def test_dropout_keeps_the_share_and_the_mean():
    layer = k.Sequential([k.Input((1000,)), kl.Dropout(0.3), kl.Dense(1, use_bias=False)])
    layer.layers[1].set_weights([np.ones((1000, 1)) / 1000])
    layer.compile(k.optimizers.SGD(0.0), "mse")
    loss = layer.fit(np.ones((400, 1000), "float32"), np.ones((400, 1), "float32"), 100, verbose=0).history["loss"][0]
    assert loss == pytest.approx(0.3 / 0.7 / 1000, rel=0.25)  # the variance of the mean of 1000 masked ones


def test_callbacks_see_every_batch_and_may_stop():
    seen, rates = [], []

    class Watch(k.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            self.model.optimizer.learning_rate = 0.01 * (batch + 1)

        def on_train_batch_end(self, batch, logs=None):
            seen.append(batch)
            rates.append(logs["loss"])
            self.model.stop_training = batch == 2

    x, y = data()
    model = small()
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y, 16, epochs=5, callbacks=[Watch()], verbose=0)
    assert seen == [0, 1, 2]
    assert all(np.isfinite(rates))
    assert int(model.optimizer.iterations.numpy()) == 3


def test_training_goes_on_after_weights_are_set_moved_or_frozen():
    x, y = data()

    def run(model):
        model.fit(x, y, 16, shuffle=False, verbose=0)
        model.set_weights([w * 0.5 for w in model.get_weights()])
        model.layers[0].trainable = False
        model.compile("sgd", "sparse_categorical_crossentropy")
        model.fit(x, y, 16, shuffle=False, verbose=0)
        for v in model.weights:
            v.data = v.data.clone(memory_format=torch.preserve_format)
        return model.fit(x, y, 16, shuffle=False, verbose=0)

    def make():
        model = small()
        model.compile("adam", "sparse_categorical_crossentropy")
        return model

    assert_same(both(make, run))


def lambda_model():
    return k.Sequential([k.Input((3,)), kl.Lambda(lambda x: x * 2, name="twice"), kl.Dense(1)])


def test_the_reason_for_torch_can_be_read():
    assert small().engine.startswith("native (")
    assert lambda_model().engine == "torch: layer 'twice' (Lambda) is not supported by the engine"
    renormalized = k.Sequential([k.Input((8, 8, 2)), kl.BatchNormalization(renorm=True, name="b")])
    assert "layer 'b' (BatchNormalization): renorm, which the engine does not know" in renormalized.engine
    config.set_engine("torch")
    assert small().engine == "torch: chosen by set_engine or CONVIA_ENGINE"


def test_what_is_left_to_torch_is_named():
    model, (x, y) = small(), (np.ones((2, *small().input_shape[1:]), "float32"), np.zeros(2))
    model.compile("lion", "sparse_categorical_crossentropy")
    assert model.engine.endswith("); training by torch: optimizer Lion is not supported by the engine")
    model.compile("adam", lambda true, predicted: predicted.sum())
    assert model.engine.endswith(")")  # not known before the loss has been used
    model.fit(x, y, verbose=0)
    assert model.engine.count(" by torch: loss ") == 2
    assert "; training by torch: " in model.engine and "; measuring by torch: " in model.engine


def test_what_was_left_to_torch_is_said_until_it_no_longer_is(monkeypatch):
    model, (x, y) = small(), (np.ones((2, *small().input_shape[1:]), "float32"), np.zeros(2))
    model.compile("adam", "sparse_categorical_crossentropy")
    with monkeypatch.context() as patch:
        patch.setattr("convia.training.plans._TORCH_CALL", 0)
        patch.setattr("convia.training.plans._TORCH_SLOWER", 0)
        model.fit(x, y, verbose=0)
        assert model.engine.endswith("); last training by torch: a few samples of a large network")
        model.predict(x, verbose=0)
        assert "; last predictions by torch: a few samples of a large network" in model.engine
    model.predict(x, verbose=0)
    model.fit(x, y, verbose=0)
    assert "torch" not in model.engine


def test_the_environment_switches_it_off(monkeypatch):
    monkeypatch.setenv("CONVIA_ENGINE", "off")
    assert small().engine.startswith("torch:")


def test_native_on_an_unsupported_model_is_an_error():
    config.set_engine("native")
    model = lambda_model()
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"layer 'twice' \(Lambda\) is not supported"):
        model.fit(np.ones((4, 3)), np.ones((4, 1)), verbose=0)


def test_wrong_settings_are_explained(monkeypatch):
    with pytest.raises(ValueError, match="set_engine"):
        config.set_engine("fast")
    monkeypatch.setenv("CONVIA_ISA", "mmx")
    with pytest.raises(ValueError, match="CONVIA_ISA"):
        engine.instruction_set()


def test_unsupported_models_still_train():
    model = lambda_model()
    model.compile("sgd", "mse")
    assert model.fit(np.ones((4, 3)), np.ones((4, 1)), verbose=0).history["loss"]


def test_the_first_loss_is_checked():
    x, y = data()
    model = small()
    model.compile("sgd", "sparse_categorical_crossentropy")
    x[0, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="first step"):
        model.fit(x, y, shuffle=False, verbose=0)


def test_networks_of_a_deleted_model_are_freed():
    model = small()
    model.predict(data()[0], verbose=0)
    assert model in plans.networks
    count = len(plans.networks)
    del model
    import gc

    gc.collect()
    assert len(plans.networks) < count
