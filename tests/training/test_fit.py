"""The training loop against Keras on torch: the same weights and data give the same history."""

import keras
import numpy as np
import pytest
import torch

import convia
from convia.training import native

rng = np.random.default_rng(0)
X = rng.random((40, 8, 8, 1), dtype=np.float32)
Y = rng.integers(0, 3, 40)
ONE_HOT = np.eye(3, dtype="float32")[Y]


@pytest.fixture(autouse=True, params=["auto", "torch"])
def engine(request):
    """All of this is true of the native engine and of torch."""
    convia.config.set_engine(request.param)
    return request.param


def network(k, regularizer=None):
    return k.Sequential(
        [
            k.Input((8, 8, 1)),
            k.layers.Conv2D(4, 3, activation="relu", use_bias=False, kernel_regularizer=regularizer),
            k.layers.MaxPooling2D(),
            k.layers.BatchNormalization(),
            k.layers.Flatten(),
            k.layers.Dense(3, activation="softmax"),
        ]
    )


def twins(build=network, **kwargs):
    """A model of ours and Keras's with equal weights."""
    ours, theirs = build(convia, **kwargs), build(keras, **kwargs)
    ours.set_weights(theirs.get_weights())
    return ours, theirs


def assert_same_history(ours, theirs):
    assert set(ours.history) == set(theirs.history)
    for key, values in theirs.history.items():
        np.testing.assert_allclose(ours.history[key], values, rtol=2e-5, atol=1e-6, err_msg=key)


FITS = {
    "plain": {},
    "validation_split": {"validation_split": 0.25},
    "validation_data": {"validation_data": (X[:10], Y[:10])},
    "validation_freq": {"validation_split": 0.25, "validation_freq": 2},
    "class_weight": {"class_weight": {0: 1.0, 1: 3.0, 2: 0.5}},
    "sample_weight": {"sample_weight": np.linspace(0, 2, 40).astype("float32")},
    "odd batches": {"batch_size": 7},
    "steps": {"steps_per_epoch": 3, "batch_size": 8},
}


@pytest.mark.parametrize("case", FITS)
def test_history_equals_keras(case):
    ours, theirs = twins()
    for model in (ours, theirs):
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    kwargs = {"epochs": 2, "batch_size": 8, "shuffle": False, "verbose": 0, **FITS[case]}
    if case == "steps":  # Keras goes on where it stopped, convia starts every epoch anew: one epoch is the same
        kwargs["epochs"] = 1
    assert_same_history(ours.fit(X, Y, **kwargs), theirs.fit(X, Y, **kwargs))
    for mine, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ours.evaluate(X, Y, verbose=0), theirs.evaluate(X, Y, verbose=0), rtol=2e-5)
    np.testing.assert_allclose(ours.predict(X, verbose=0), theirs.predict(X, verbose=0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("regularizer", ["l2", "l1"])
def test_regularizers_count_in_the_loss(regularizer):
    ours, theirs = twins(regularizer=regularizer)
    for model in (ours, theirs):
        model.compile("sgd", "categorical_crossentropy", metrics=["acc"])
    kwargs = {"epochs": 2, "batch_size": 8, "shuffle": False, "verbose": 0}
    assert_same_history(ours.fit(X, ONE_HOT, **kwargs), theirs.fit(X, ONE_HOT, **kwargs))


def two_outputs(k):
    image, number = k.Input((8, 8, 1), name="image"), k.Input((2,), name="number")
    x = k.layers.concatenate([k.layers.Flatten()(image), number])
    x = k.layers.Dense(5, activation="relu")(x)
    return k.Model(
        [image, number], [k.layers.Dense(3, activation="softmax", name="kind")(x), k.layers.Dense(1, name="size")(x)]
    )


SIZES = rng.random((40, 1), dtype=np.float32)
NUMBERS = rng.random((40, 2), dtype=np.float32)
COMPILES = {
    "lists": {"loss": ["sparse_categorical_crossentropy", "mse"], "metrics": [["accuracy"], ["mae"]]},
    "dicts": {
        "loss": {"kind": "sparse_categorical_crossentropy", "size": "mse"},
        "metrics": {"kind": "accuracy", "size": ["mae", "mse"]},
        "loss_weights": {"kind": 1.0, "size": 0.3},
    },
    "weighted": {"loss": ["sparse_categorical_crossentropy", "mse"], "loss_weights": [2.0, 0.5]},
}


@pytest.mark.parametrize("case", COMPILES)
def test_several_inputs_and_outputs(case):
    ours, theirs = twins(two_outputs)
    for model in (ours, theirs):
        model.compile("adam", **COMPILES[case])
    kwargs = {"epochs": 2, "batch_size": 8, "shuffle": False, "verbose": 0}
    inputs, targets = [X, NUMBERS], [Y, SIZES]
    assert_same_history(ours.fit(inputs, targets, **kwargs), theirs.fit(inputs, targets, **kwargs))
    np.testing.assert_allclose(
        ours.evaluate(inputs, targets, verbose=0), theirs.evaluate(inputs, targets, verbose=0), rtol=2e-5
    )
    named = {"image": X, "number": NUMBERS}
    for mine, other in zip(ours.predict(named, verbose=0), theirs.predict(inputs, verbose=0), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-5)


class Batches(convia.utils.PyDataset):
    def __len__(self):
        return 5

    def __getitem__(self, index):
        return X[index * 8 : index * 8 + 8], Y[index * 8 : index * 8 + 8]


def generator():
    while True:
        for index in range(5):
            yield X[index * 8 : index * 8 + 8], Y[index * 8 : index * 8 + 8]


def loader():
    pairs = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    return torch.utils.data.DataLoader(pairs, batch_size=8)


SOURCES = {
    "PyDataset": (Batches, {}),
    "PyDataset with workers": (lambda: Batches(workers=3), {}),
    "generator": (generator, {"steps_per_epoch": 5}),
    "DataLoader": (loader, {}),
}


@pytest.mark.parametrize("source", SOURCES)
def test_every_kind_of_data_trains_alike(source):
    make, kwargs = SOURCES[source]
    ours, reference = network(convia), network(convia)
    ours.set_weights(reference.get_weights())
    for model in (ours, reference):
        model.compile("sgd", "sparse_categorical_crossentropy")
    expected = reference.fit(X, Y, batch_size=8, epochs=2, shuffle=False, verbose=0).history
    assert ours.fit(make(), epochs=2, shuffle=False, verbose=0, **kwargs).history["loss"] == pytest.approx(
        expected["loss"], rel=1e-6
    )
    with_steps = {"steps": 5} if "steps_per_epoch" in kwargs else {}
    np.testing.assert_allclose(
        ours.predict(make(), verbose=0, **with_steps), reference.predict(X, verbose=0), rtol=1e-5
    )
    assert ours.evaluate(make(), verbose=0, **with_steps) == pytest.approx(
        reference.evaluate(X, Y, verbose=0), rel=1e-6
    )


def test_results_come_in_the_order_of_compile():
    ours, theirs = twins()
    for model in (ours, theirs):
        model.compile("sgd", "categorical_crossentropy", metrics=["mse", "accuracy", "mae"])
    np.testing.assert_allclose(ours.evaluate(X, ONE_HOT, verbose=0), theirs.evaluate(X, ONE_HOT, verbose=0), rtol=2e-5)
    assert ours.metrics_names == ["loss", "mse", "accuracy", "mae"]


def test_shuffling_draws_from_the_seed():
    histories = []
    for _ in range(2):
        convia.utils.set_random_seed(3)
        model = network(convia)
        model.compile("sgd", "sparse_categorical_crossentropy")
        histories.append(model.fit(X, Y, batch_size=8, epochs=2, verbose=0).history["loss"])
    assert histories[0] == histories[1]


def test_train_test_and_predict_on_batch_equal_keras():
    ours, theirs = twins()
    for model in (ours, theirs):
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    for _ in range(2):
        assert ours.train_on_batch(X, Y) == pytest.approx(theirs.train_on_batch(X, Y), rel=2e-5)
    assert ours.test_on_batch(X, Y) == pytest.approx(theirs.test_on_batch(X, Y), rel=2e-5)
    assert ours.train_on_batch(X, Y, return_dict=True).keys() == theirs.train_on_batch(X, Y, return_dict=True).keys()
    np.testing.assert_allclose(ours.predict_on_batch(X), theirs.predict_on_batch(X), rtol=1e-4, atol=1e-5)


def test_a_custom_train_step_replaces_the_loop_body():
    class Halving(convia.Model):
        def __init__(self):
            super().__init__()
            self.dense = convia.layers.Dense(1)
            self.tracker = convia.metrics.Mean(name="error")

        def call(self, inputs):
            return self.dense(inputs)

        def train_step(self, data):
            x, y = data
            loss = ((self(x, training=True) - y) ** 2).mean()
            self.zero_grad()
            loss.backward()
            with torch.no_grad():
                self.optimizer.apply([v.grad for v in self.trainable_weights], self.trainable_weights)
            self.tracker.update_state(loss)
            return {"error": self.tracker.result()}

        @property
        def metrics(self):
            return [self.tracker]

    model = Halving()
    model.compile("adam")
    history = model.fit(NUMBERS, SIZES, batch_size=40, epochs=5, verbose=0).history
    assert list(history) == ["error"] and history["error"][-1] < history["error"][0]


def test_stop_training_and_initial_epoch():
    class Stop(convia.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch >= 3

    model = network(convia)
    model.compile("sgd", "sparse_categorical_crossentropy")
    assert model.fit(X, Y, epochs=9, initial_epoch=2, callbacks=[Stop()], verbose=0).epoch == [2, 3]


def test_a_stop_within_an_epoch_ends_the_training_after_that_batch():
    class Stop(convia.callbacks.Callback):
        batches = 0

        def on_train_batch_end(self, batch, logs=None):
            self.batches += 1
            self.model.stop_training = batch == 2

    model, stop = network(convia), Stop()
    model.compile("sgd", "sparse_categorical_crossentropy")
    assert model.fit(X, Y, batch_size=8, epochs=4, callbacks=[stop], verbose=0).epoch == [0]
    assert stop.batches == 3


@pytest.mark.skipif(convia.engine.native() is None, reason="the engine was not built")
def test_the_engine_is_handed_many_steps_at_once(monkeypatch, engine):
    alone = []
    monkeypatch.setattr(native, "step", lambda *args: alone.append(args))
    model = network(convia)
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(X, Y, batch_size=8, verbose=0)
    assert len(alone) == (0 if engine == "auto" else 5)


def test_evaluate_and_predict_after_a_stop_see_all_batches():
    model = network(convia)
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.stop_training = True
    assert model.predict(X, batch_size=8, verbose=0).shape == (40, 3)
    assert model.evaluate(X, Y, batch_size=8, verbose=0) == pytest.approx(
        model.evaluate(X, Y, batch_size=40, verbose=0), rel=1e-5
    )


def test_what_is_shown(capsys):
    model = network(convia)
    model.compile("sgd", "sparse_categorical_crossentropy")
    shown = {}
    for verbose in (0, 1, 2, "auto"):
        model.fit(X, Y, batch_size=8, epochs=2, verbose=verbose)
        shown[verbose] = capsys.readouterr().out
    assert shown[0] == ""
    assert shown[2].count("\n") == 4 and "5/5" in shown[2] and "━" not in shown[2]
    for verbose in (1, "auto"):
        assert shown[verbose].count("5/5") == 2 and "━" in shown[verbose]


def test_the_history_of_fit_outlives_evaluate_and_predict():
    model = network(convia)
    model.compile("sgd", "sparse_categorical_crossentropy")
    history = model.fit(X, Y, verbose=0)
    model.evaluate(X, Y, verbose=0)
    model.predict(X, verbose=0)
    assert model.history.history == history.history and list(history.history) == ["loss"]


def test_a_container_of_callbacks_is_taken_as_it_is():
    seen = []
    model = network(convia)
    model.compile("sgd", "sparse_categorical_crossentropy")
    note = convia.callbacks.LambdaCallback(on_train_begin=seen.append)
    hooks = convia.callbacks.CallbackList([note], add_history=True, model=model)
    assert model.fit(X, Y, epochs=2, verbose=0, callbacks=hooks).epoch == [0, 1]
    assert len(seen) == 1


def test_frozen_layers_do_not_learn_and_normalize_with_their_statistics():
    model = network(convia)
    model.layers[2].trainable = False
    model.compile("sgd", "sparse_categorical_crossentropy")
    before = [w.copy() for w in model.layers[2].get_weights()]
    model.fit(X, Y, epochs=1, verbose=0)
    for old, new in zip(before, model.layers[2].get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert all(v.grad is None for v in model.layers[2].weights)


ERRORS = [
    (lambda m: m.fit(X, Y[:-1]), ValueError, "x: 40, y: 39"),
    (lambda m: m.fit(X, Y + 1), ValueError, "label 3"),
    (lambda m: m.fit(X, ONE_HOT), ValueError, "categorical_crossentropy"),
    (lambda m: m.fit(X[:, :7], Y), ValueError, r"\(None, 8, 8, 1\)"),
    (lambda m: m.fit(X[..., 0].transpose(1, 0, 2), Y[:8]), ValueError, "40"),
    (lambda m: m.fit(np.full_like(X, np.nan), Y), ValueError, "NaN or infinity"),
    (lambda m: m.fit(X), ValueError, "no targets"),
    (lambda m: m.fit(X, Y, validation_split=1.5), ValueError, "between 0 and 1"),
    (lambda m: m.fit(iter([]), steps_per_epoch=2), ValueError, "no batch"),
    (lambda m: m.fit(Batches(), Y), ValueError, "within the batches"),
    (lambda m: m.fit(Batches(), validation_split=0.2), ValueError, "validation_data"),
    (lambda m: m.fit(X, Y, batch_size=0), ValueError, "batch_size"),
    (lambda m: m.fit(np.array(["a", "b"]), np.zeros(2)), ValueError, "class indices"),
    (lambda m: m.fit(3.5, Y), ValueError, "x: 1, y: 40"),
    (lambda m: m.fit(object(), Y), TypeError, "PyDataset"),
]


@pytest.mark.parametrize("action, kind, text", ERRORS, ids=[row[2] for row in ERRORS])
def test_errors_name_both_sides_and_the_remedy(action, kind, text):
    model = network(convia)
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(kind, match=text):
        action(model)


def test_fit_before_compile_says_so():
    with pytest.raises(ValueError, match="compile"):
        network(convia).fit(X, Y)


def test_a_dataset_that_ends_early_is_reported():
    model = network(convia)
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.warns(UserWarning, match="after 1 of 4 steps"):
        model.fit(iter([(X, Y)]), steps_per_epoch=4, verbose=0)


def test_nan_later_in_training_warns():
    model = network(convia)
    model.compile(convia.optimizers.SGD(1e30), "sparse_categorical_crossentropy")
    with pytest.warns(UserWarning, match="NaN"):
        model.fit(X, Y, epochs=2, batch_size=8, verbose=0)


def test_compute_loss_and_metrics_may_be_replaced():
    class Doubled(convia.Sequential):
        seen = 0

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
            return 2 * super().compute_loss(x, y, y_pred, sample_weight)

        def compute_metrics(self, x, y, y_pred, sample_weight=None):
            self.seen += len(x)
            return super().compute_metrics(x, y, y_pred, sample_weight)

    layers = [convia.Input((8, 8, 1)), convia.layers.Flatten(), convia.layers.Dense(3, activation="softmax")]
    doubled, plain = Doubled(layers), convia.Sequential(layers)
    for model in (doubled, plain):
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    assert doubled.evaluate(X, Y, verbose=0)[0] == pytest.approx(2 * plain.evaluate(X, Y, verbose=0)[0])
    assert doubled.seen == 40


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "bfloat16", "float64"])
def test_dtype_policies_train(policy):
    convia.config.set_dtype_policy(policy)
    model = network(convia)
    model.compile("adam", "sparse_categorical_crossentropy")
    losses = model.fit(X, Y, batch_size=8, epochs=4, verbose=0).history["loss"]
    kept = torch.float32 if policy.startswith("mixed") else getattr(torch, policy)
    assert losses[-1] < losses[0] and all(w.dtype is kept for w in model.trainable_weights)
    assert model(X[:2]).dtype is getattr(torch, policy.removeprefix("mixed_"))
