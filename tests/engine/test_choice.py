"""Which models run on the engine, who decides it, and what is handed over batch by batch."""

import numpy as np
import pytest
import torch
from engine_harness import needs_engine
from test_training import assert_same, both, data, lambda_model, small

import convia as k
from convia import config, engine
from convia import layers as kl
from convia.training import native, plans

pytestmark = needs_engine


@pytest.fixture(autouse=True)
def _auto():
    yield
    config.set_engine("auto")


def compiled(*extra, metrics=("accuracy",), loss="sparse_categorical_crossentropy", model=None, **options):
    model = model or small(*extra)
    model.compile("adam", loss, metrics=list(metrics), **options)
    return model


# -- who decides ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "setting", "environment", "expected"),
    [
        (None, "auto", None, "native"),
        ("torch", "auto", None, "torch: chosen by compile"),
        ("torch", "native", None, "torch: chosen by compile"),
        ("native", "torch", None, "native"),
        ("auto", "torch", None, "native"),
        ("native", "auto", "off", "native"),
        (None, "auto", "off", "torch: chosen by set_engine or CONVIA_ENGINE"),
    ],
)
def test_compile_is_stronger_than_settings(own, setting, environment, expected, monkeypatch):
    if environment:
        monkeypatch.setenv("CONVIA_ENGINE", environment)
    config.set_engine(setting)
    model = compiled(engine=own)
    assert model.engine.startswith(expected)
    x, y = data()
    model.fit(x, y, verbose=0)
    assert (model in plans.networks) == expected.startswith("native")


def test_native_on_an_unsupported_model_is_an_error_at_once():
    with pytest.raises(ValueError, match=r"compile\(engine='native'\).*layer 'twice' \(Lambda\) is not supported"):
        compiled(model=lambda_model(), loss="mse", engine="native")


def test_native_on_an_unsupported_loss_is_an_error_in_fit():
    model = compiled(loss=lambda y, p: (p[:, :1] - y) ** 2, metrics=(), engine="native")
    with pytest.raises(ValueError, match=r"compile\(engine='native'\).*loss"):
        model.fit(*data(), verbose=0)


def test_an_unknown_engine_is_explained():
    with pytest.raises(ValueError, match="argument 'engine': received 'fast'; expected 'auto', 'native', 'torch'"):
        compiled(engine="fast")


def test_the_choice_is_not_saved():
    assert "engine" not in compiled(engine="torch").get_compile_config()


# -- metrics --------------------------------------------------------------------------------------------------------


class LargestScore(k.metrics.Metric):
    """A metric of one's own, whose value depends on every batch."""

    def __init__(self, name="largest", **kwargs):
        super().__init__(name=name, **kwargs)
        self.total = self.add_weight(name="total", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.total.assign_add(y_pred.max())

    def result(self):
        return self.total


METRICS = [
    lambda: {"metrics": ["accuracy", k.metrics.SparseTopKCategoricalAccuracy(2)]},
    lambda: {"metrics": [LargestScore()]},
    lambda: {"weighted_metrics": ["accuracy"]},
    lambda: {"metrics": ["accuracy"], "weighted_metrics": ["accuracy", "sparse_categorical_crossentropy"]},
    lambda: {"metrics": [lambda y, p: (p.argmax(-1) == y).float()]},
]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("number", range(len(METRICS)))
def test_any_metric_sees_the_predictions(number, weighted):
    def make():
        model = small(kl.BatchNormalization())
        model.compile("adam", "sparse_categorical_crossentropy", **METRICS[number]())
        return model

    x, y = data()
    more = {"sample_weight": np.linspace(0, 2, 70).astype("float32")} if weighted else {}
    assert_same(both(make, lambda m: m.fit(x, y, 16, 2, validation_data=(x, y), verbose=0, **more)))
    assert_same(both(make, lambda m: m.evaluate(x, y, 16, verbose=0, return_dict=True, **more)))


def test_accuracies_of_several_thresholds():
    def make():
        metrics = [k.metrics.BinaryAccuracy(name="a", threshold=0.4), k.metrics.BinaryAccuracy(name="b"), "AUC"]
        return compiled(model=small(units=1, ending="sigmoid"), loss="binary_crossentropy", metrics=metrics)

    x, y = data()
    assert_same(both(make, lambda m: m.fit(x, (y > 1)[:, None].astype("float32"), 16, verbose=0)))


def test_outputs_without_a_loss_may_have_metrics():
    def make():
        x = k.Input((10, 9, 2))
        h = kl.Flatten()(x)
        model = k.Model(x, {"a": kl.Dense(3, activation="softmax")(h), "b": kl.Dense(1)(h)})
        model.compile("sgd", {"a": "sparse_categorical_crossentropy"}, metrics={"a": ["accuracy"], "b": ["mae"]})
        return model

    x, y = data()
    targets = {"a": y, "b": np.ones((70, 1), "float32")}
    assert_same(both(make, lambda m: m.fit(x, targets, 16, shuffle=False, verbose=0)))


# -- what torch does between the steps ------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"steps_per_execution": 3}])
def test_constraints_are_applied_after_each_step(options):
    def make():
        head = kl.Dense(5, kernel_constraint=k.constraints.MaxNorm(0.3), bias_constraint="non_neg")
        return compiled(kl.Conv2D(3, 2, kernel_constraint="unit_norm"), kl.Flatten(), head, **options)

    x, y = data()
    assert_same(both(make, lambda m: m.fit(x, y, 16, 2, shuffle=False, verbose=0)))


def test_activity_penalties_count_in_the_loss():
    def make():
        layer = kl.Conv2D(3, 2, activation="relu", activity_regularizer=k.regularizers.L1L2(0.01, 0.02))
        return compiled(layer, kl.ActivityRegularization(l2=0.01), kl.Dense(3, kernel_regularizer="l2"))

    x, y = data()
    assert_same(both(make, lambda m: m.fit(x, y, 16, 2, validation_data=(x, y), shuffle=False, verbose=0)))
    assert_same(both(make, lambda m: m.evaluate(x, y, 16, verbose=0, return_dict=True)))


def test_statistics_learned_again_are_used():
    x = data()[0]
    normalization = kl.Normalization()
    model = compiled(model=k.Sequential([k.Input((10, 9, 2)), normalization, kl.Flatten()]), loss="mse", metrics=())
    normalization.adapt(x)
    model.predict(x, verbose=0)
    normalization.adapt(x * 3 + 1)
    assert np.allclose(model.predict(x * 3 + 1, verbose=0).mean(), 0, atol=1e-5)
    assert model.engine.startswith("native")


def _in_place(model):
    with torch.no_grad():
        model.layers[-1].bias.add_(1)


WAYS_TO_CHANGE_WEIGHTS = {
    "assigned": lambda model: model.layers[-1].bias.assign_add(torch.ones_like(model.layers[-1].bias)),
    "in place": _in_place,
    "other memory": lambda model: setattr(model.layers[-1].bias, "data", torch.ones_like(model.layers[-1].bias)),
    "another variable": lambda model: setattr(model.layers[-1], "bias", k.Variable(np.ones(2), dtype="float32")),
    "all": lambda model: model.set_weights([weight + 1 for weight in model.get_weights()]),
    "trained": lambda model: (
        model.compile("sgd", "mse"),
        model.fit(np.ones((4, 8, 8, 3)), np.ones((4, 2)), verbose=0),
    ),
}


@pytest.mark.parametrize("samples", [1, 40])  # channels are the lanes, or samples
@pytest.mark.parametrize("way", WAYS_TO_CHANGE_WEIGHTS)
def test_predictions_notice_whatever_changes_weights(way, samples):
    k.utils.set_random_seed(0)
    model = k.Sequential([kl.Input((8, 8, 3)), kl.Conv2D(4, 3), kl.Flatten(), kl.Dense(2)])
    x = np.random.default_rng(0).normal(size=(samples, 8, 8, 3)).astype("float32")
    config.set_engine("native")
    before = model.predict(x, verbose=0)
    WAYS_TO_CHANGE_WEIGHTS[way](model)
    after = model.predict(x, verbose=0)
    config.set_engine("torch")
    np.testing.assert_allclose(after, model.predict(x, verbose=0), rtol=1e-5, atol=1e-4)
    assert np.abs(after - before).max() > 0.01


# -- noise ----------------------------------------------------------------------------------------------------------

NOISES = {
    "GaussianNoise": (lambda: kl.GaussianNoise(0.3), 2.0, 0.09),
    "GaussianDropout": (lambda: kl.GaussianDropout(0.2), 2.0, 4 * 0.25),
    "AlphaDropout": (lambda: kl.AlphaDropout(0.3), None, None),
    "Dropout": (lambda: kl.Dropout(0.3), 2.0, 4 * 0.3 / 0.7),
    "Dropout of rows": (lambda: kl.Dropout(0.3, noise_shape=(None, 1, None, 1)), 2.0, 4 * 0.3 / 0.7),
}


def noisy_run(model, x, y):
    """Return the predictions that a metric sees in a step of training, and the loss."""
    seen = []

    class Seen(k.metrics.Metric):
        def update_state(self, y_true, y_pred, sample_weight=None):
            seen.append(y_pred.clone())

        def result(self):
            return torch.zeros(())

    model.compile(k.optimizers.SGD(0.0), "mse", metrics=[Seen()], engine="native")
    loss = model.fit(x, y, len(x), verbose=0, shuffle=False).history["loss"][0]
    return seen[-1].numpy(), loss


@pytest.mark.parametrize("name", NOISES)
def test_noise_has_the_mean_and_the_variance(name):
    make, mean, variance = NOISES[name]
    x = np.full((500, 6, 4, 10), 2.0, "float32")
    y, _ = noisy_run(k.Sequential([k.Input((6, 4, 10)), make(), kl.Activation("linear")]), x, x)
    if mean is None:  # of SELU's: mean and variance of a standard normal input are kept
        x = np.random.default_rng(0).normal(size=x.shape).astype("float32")
        y, _ = noisy_run(k.Sequential([k.Input((6, 4, 10)), make(), kl.Activation("linear")]), x, x)
        mean, variance = 0.0, 1.0
    assert y.mean() == pytest.approx(mean, abs=0.03)
    assert y.var() == pytest.approx(variance, rel=0.05)
    if "Gaussian" in name:
        tail = (np.abs(y - mean) > 2 * variance**0.5).mean()
        assert tail == pytest.approx(0.0455, abs=0.003)
        assert ((y - mean) ** 3).mean() / variance**1.5 == pytest.approx(0, abs=0.05)
    if "rows" in name:
        assert (y == y[:, :1, :, :1]).all()
        assert not (y == y[:, :, :1]).all()


@pytest.mark.parametrize("name", NOISES)
def test_noise_is_differentiated(name):
    """A step of SGD against the loss on both sides, with the same noise: differences of a square are exact."""
    x = np.random.default_rng(0).normal(size=(20, 3, 4, 2)).astype("float32")
    y = np.ones((20, 3, 4, 1), "float32")
    dense, layer = kl.Dense(2, use_bias=False), NOISES[name][0]()
    model = k.Sequential([k.Input((3, 4, 2)), dense, layer, kl.Dense(1)])
    start = np.array([[0.5, -0.3], [0.2, 0.7]], "float32")

    def fit(weights, rate):
        dense.set_weights([weights])
        layer.seed_generator = k.random.SeedGenerator(7)
        model.layers[-1].trainable = False
        model.compile(k.optimizers.SGD(rate), "mse", engine="native")
        return model.fit(x, y, 20, verbose=0, shuffle=False).history["loss"][0]

    fit(start, 1.0)
    gradient = start - dense.get_weights()[0]
    for place in np.ndindex(2, 2):
        step = np.zeros((2, 2), "float32")
        step[place] = 0.5
        difference = fit(start + step, 0.0) - fit(start - step, 0.0)
        assert gradient[place] == pytest.approx(difference, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("name", NOISES)
def test_noise_is_the_same_whatever_the_threads(name):
    """To the bit, as long as nothing has been learned: later, sums of gradients differ by round-off."""
    x = np.random.default_rng(0).normal(size=(70, 6, 4, 3)).astype("float32")
    seen = []
    for count in (1, 2, 3, 4):
        torch.set_num_threads(count)
        k.utils.set_random_seed(5)
        parts = [kl.Conv2D(4, 3), NOISES[name][0](), kl.LayerNormalization()]
        seen.append(noisy_run(k.Sequential([k.Input((6, 4, 3)), *parts]), x, np.zeros((70, 4, 2, 4), "float32"))[0])
    torch.set_num_threads(2)
    assert all((other == seen[0]).all() for other in seen[1:])


@pytest.mark.parametrize("name", NOISES)
def test_noise_is_for_training_only(name):
    x = data()[0]
    with_noise, without = compiled(NOISES[name][0]()), compiled()
    without.set_weights(with_noise.get_weights())
    assert (with_noise.predict(x, verbose=0) == without.predict(x, verbose=0)).all()


# -- batch by batch -------------------------------------------------------------------------------------------------


def batches(x, y, size=16):
    for start in range(0, len(x), size):
        yield x[start : start + size], y[start : start + size]


def loader(*arrays):
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*map(torch.as_tensor, arrays)), 16)


class Pieces(k.utils.PyDataset):
    def __init__(self):
        super().__init__()
        self.parts = list(batches(*data()))

    def __len__(self):
        return len(self.parts)

    def __getitem__(self, index):
        return self.parts[index]


def endless():
    while True:
        yield from batches(*data())


@pytest.mark.parametrize(
    ("source", "options"),
    [
        (Pieces, {}),
        (endless, {"steps_per_epoch": 4}),
        (lambda: loader(*data()), {}),
        (lambda: loader(*data(), np.linspace(0, 1, 70)), {}),
    ],
)
def test_data_that_comes_in_batches(source, options):
    def run(model):
        calls = []
        run_steps = native._call
        native._call = lambda *args, **kwargs: calls.append(1) or run_steps(*args, **kwargs)
        try:
            history = model.fit(source(), epochs=2, verbose=0, shuffle=False, **options)
        finally:
            native._call = run_steps
        assert bool(calls) == (config.engine() == "native")
        return history

    assert_same(both(compiled, run))


def small_network(shape, filters, kernel, pools):
    x = inputs = k.Input(shape)
    for count in filters:
        x = kl.Conv2D(count, kernel, activation="relu", padding="same")(x)
        x = kl.MaxPooling2D()(x) if pools else x
    return k.Model(inputs, kl.Dense(10)(kl.Dense(128)(kl.Flatten()(x))))


@pytest.mark.parametrize(
    ("arguments", "wide"),
    [
        (((28, 28, 1), (32, 64), 3, True), False),
        (((28, 28, 3), (16, 16, 32), 3, False), False),
        (((28, 28, 1), (32, 64), 5, True), True),
        (((28, 28, 3), (64, 64, 64), 3, False), True),
        (((64, 64, 3), (32, 32), 7, True), True),
    ],
)
def test_predictions_have_the_layout_that_was_measured_as_quicker(arguments, wide):
    narrow_cost, wide_cost = engine.lower(small_network(*arguments).graph, []).prediction_costs(16)
    assert (wide_cost < narrow_cost) == wide


def test_single_batches():
    x, y = data()

    def run(model):
        losses = [model.train_on_batch(x[a : a + 20], y[a : a + 20], return_dict=True) for a in (0, 20, 40, 60)]
        losses.append(model.test_on_batch(x, y, sample_weight=np.linspace(0, 1, 70), return_dict=True))
        losses.append(model.train_on_batch(x, y, class_weight={0: 1.0, 1: 2.0, 2: 0.0}, return_dict=True))
        return [value for logs in losses for value in logs.values()]

    assert_same(both(compiled, run))
    assert_same(both(compiled, lambda m: m.predict_on_batch(x)))
    assert_same(both(compiled, lambda m: m.predict(batch[0] for batch in batches(x, y))))


def test_a_batch_that_does_not_fit_goes_to_torch():
    x = k.Input((None, 8))
    model = k.Model(x, kl.Dense(1)(x))
    model.compile("sgd", "mse")
    assert "shape" in model.engine
    assert model.train_on_batch(np.ones((2, 3, 8)), np.ones((2, 3, 1))) > 0


def test_a_refusal_is_remembered(monkeypatch):
    model = compiled(model=lambda_model(), loss="mse", metrics=())
    model.train_on_batch(np.ones((2, 3)), np.ones((2, 1)))
    monkeypatch.setattr("convia.engine.lower", lambda *args: pytest.fail("it is lowered again"))
    model.train_on_batch(np.ones((2, 3)), np.ones((2, 1)))


@pytest.mark.parametrize("name", ["Add", "Multiply", "Maximum"])
@pytest.mark.parametrize("shape", [(5, 1, 3), (2, 3, 1, 4), (1, 4, 2)])
def test_joins_of_narrow_tensors(name, shape):
    x, z = k.Input(shape), k.Input(shape)
    model = k.Model([x, z], getattr(kl, name)()([kl.Dense(shape[-1])(x), z]))
    a, b = (np.random.rand(20, *shape).astype("float32") for _ in range(2))
    expected = model([torch.from_numpy(a), torch.from_numpy(b)]).detach().numpy()
    assert model.engine.startswith("native")
    np.testing.assert_allclose(model.predict([a, b], verbose=0), expected, rtol=1e-5, atol=1e-6)
