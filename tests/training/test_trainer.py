"""What fit, evaluate and predict call, count, cut short and return; their numbers are compared elsewhere."""

import re
import warnings

import keras
import numpy as np
import pytest
import torch

import convia
from convia import layers

X = np.linspace(-1, 1, 30, dtype="float32").reshape(10, 3)
Y = X[:, :1] ** 2


@pytest.fixture(autouse=True, params=["auto", "torch"])
def engine(request):
    """All of this is true of the native engine and of torch."""
    convia.config.set_engine(request.param)
    return request.param


def network(k=convia, optimizer="sgd", **arguments):
    model = k.Sequential([k.Input((3,)), k.layers.Dense(1)])
    model.compile(optimizer, "mse", **arguments)
    return model


class Events(convia.callbacks.Callback):
    """Names of all calls, batches with their numbers."""

    def __init__(self):
        super().__init__()
        self.seen, self.logs = [], []
        for loop in ("train", "test", "predict"):
            for moment in ("begin", "end"):
                setattr(self, f"on_{loop}_batch_{moment}", self.batch(f"{loop} {moment}"))

    def batch(self, what):
        def note(batch, logs=None):
            self.seen.append(f"{what} {batch}")
            self.logs.append(logs)

        return note

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(f"epoch {epoch}{' measured' * ('val_loss' in logs)}")


@pytest.mark.parametrize(
    ("frequency", "measured"), [(1, [0, 1, 2, 3, 4, 5]), (2, [1, 3, 5]), (3, [2, 5]), ([1, 4], [0, 3]), ({6}, [5])]
)
def test_after_which_epochs_it_is_measured(frequency, measured):
    events = Events()
    model = network()
    model.fit(X, Y, epochs=6, verbose=0, validation_data=(X, Y), validation_freq=frequency, callbacks=events)
    assert [event for event in events.seen if event.startswith("epoch")] == [
        f"epoch {epoch}{' measured' * (epoch in measured)}" for epoch in range(6)
    ]


@pytest.mark.parametrize("k", [convia, keras])
def test_the_end_of_a_training_is_told_the_logs_of_its_last_epoch(k):
    ends = []
    end = k.callbacks.LambdaCallback(on_train_end=ends.append)
    history = network(k).fit(X, Y, epochs=2, verbose=0, validation_data=(X, Y), callbacks=[end]).history
    assert ends == [{"loss": history["loss"][-1], "val_loss": history["val_loss"][-1]}]


BATCHES = {
    1: "begin 0, end 0, begin 1, end 1, begin 2, end 2, begin 3, end 3, begin 4, end 4",
    2: "begin 0, end 1, begin 2, end 3, begin 4, end 4",
    3: "begin 0, end 2, begin 3, end 4",
    9: "begin 0, end 4",
}


@pytest.mark.parametrize("every", BATCHES)
@pytest.mark.parametrize("loop", ["train", "test", "predict"])
def test_callbacks_see_the_first_and_the_last_batch_of_an_execution(every, loop):
    events, model = Events(), network(steps_per_execution=every)
    call = {"train": model.fit, "test": model.evaluate, "predict": model.predict}[loop]
    call(*(X, Y)[: 1 if loop == "predict" else 2], batch_size=2, verbose=0, callbacks=[events])
    expected = [f"{loop} {event}" for event in BATCHES[every].split(", ")]
    assert [event for event in events.seen if not event.startswith("epoch")] == expected


@pytest.mark.parametrize("every", [1, 2, 5])
def test_a_callback_sees_the_outputs_of_its_batches(every):
    events, model = Events(), network(steps_per_execution=every)
    found = model.predict(X, batch_size=4, verbose=0, callbacks=[events])
    shown = [torch.as_tensor(logs["outputs"]).numpy() for logs in events.logs if logs]
    assert [len(one) for one in shown] == {1: [4, 4, 2], 2: [8, 2], 5: [10]}[every]
    np.testing.assert_array_equal(np.concatenate(shown), found)


def test_a_callback_sees_the_means_so_far():
    events, model = Events(), network(metrics=["mae"])
    errors = np.abs(model.predict(X, verbose=0) - Y)
    loss, mae = model.evaluate(X, Y, batch_size=4, verbose=0, callbacks=[events])
    ends = [logs for logs in events.logs if logs]
    assert [logs["mae"] for logs in ends] == pytest.approx([errors[:n].mean() for n in (4, 8, 10)], rel=1e-5)
    assert (ends[-1]["loss"], ends[-1]["mae"]) == pytest.approx((loss, mae))


@pytest.mark.parametrize(("given", "size"), [(None, 2), (4, 4)])
def test_validation_has_a_size_of_batches_of_its_own(given, size):
    events = Events()
    network().fit(
        X, Y, batch_size=2, validation_data=(X, Y), validation_batch_size=given, verbose=0, callbacks=[events]
    )
    assert sum(event.startswith("test end") for event in events.seen) == -(-10 // size)


WEIGHTS = np.linspace(0, 2, 10).astype("float32")


@pytest.mark.parametrize("kind", [tuple, list])
def test_validation_data_may_have_weights(kind):
    model = network()
    history = model.fit(X, Y, validation_data=kind([X, Y, WEIGHTS]), verbose=0).history
    expected = np.mean(WEIGHTS * np.mean((model.predict(X, verbose=0) - Y) ** 2, axis=1))
    assert history["val_loss"] == pytest.approx([expected], rel=1e-5)
    history = model.fit(X, Y, validation_data=kind([X, Y]), validation_steps=1, validation_batch_size=3, verbose=0)
    expected = np.mean((model.predict(X[:3], verbose=0) - Y[:3]) ** 2)
    assert history.history["val_loss"] == pytest.approx([expected], rel=1e-5)


@pytest.mark.parametrize(("most", "epochs"), [(None, 3), (2, 2), (3, 3), (4, 3)])
def test_a_trial_cuts_epochs(most, epochs):
    convia.config.set_max_epochs(most)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert network().fit(X, Y, epochs=3, verbose=0).epoch == list(range(epochs))
    assert ["cut to 2 epochs" in str(one.message) for one in caught] == [True] * (epochs == 2)


class Numbered(convia.utils.PyDataset):
    """Batches of two samples; counts the ends of epochs."""

    ended = 0

    def __len__(self):
        return 5

    def __getitem__(self, index):
        return X[2 * index : 2 * index + 2], Y[2 * index : 2 * index + 2]

    def on_epoch_end(self):
        self.ended += 1


@pytest.mark.parametrize(("at", "ended", "batches"), [(1, 0, 2), (4, 1, 5)])
def test_a_stop_at_the_last_batch_lets_the_epoch_end(at, ended, batches):
    class Stop(Events):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == at

    data, stop, model = Numbered(), Stop(), network()
    del stop.on_train_batch_end  # that of the instance
    assert model.fit(data, epochs=3, verbose=0, callbacks=[stop]).epoch == [0]
    assert data.ended == ended and int(model.optimizer.iterations) == batches


@pytest.mark.filterwarnings("error")
def test_a_stop_is_no_end_of_the_data():
    class Stop(convia.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = True

    network().fit(Numbered(), epochs=2, verbose=0, callbacks=[Stop()])


def test_averages_of_weights_take_their_place_at_the_end():
    ours, theirs = (network(k, k.optimizers.SGD(0.5, use_ema=True, ema_momentum=0.5)) for k in (convia, keras))
    ours.set_weights(theirs.get_weights())
    start = ours.get_weights()
    ours.fit(X, Y, epochs=0, verbose=0)
    np.testing.assert_array_equal(ours.get_weights()[0], start[0])
    for model in (ours, theirs):
        model.fit(X, Y, batch_size=4, epochs=2, shuffle=False, verbose=0)
    for mine, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-6)


def test_a_batch_alone_counts_classes_and_forgets_those_before():
    kinds = np.arange(10) % 2
    model = convia.Sequential([convia.Input((3,)), layers.Dense(2, activation="softmax")])
    model.compile(convia.optimizers.SGD(0.0), "sparse_categorical_crossentropy", metrics=["accuracy"])
    losses = -np.log(model.predict(X, verbose=0)[np.arange(10), kinds])
    for _ in range(2):
        loss, accuracy = model.train_on_batch(X, kinds, class_weight={0: 3.0, 1: 0.5}, sample_weight=WEIGHTS)
        assert loss == pytest.approx(np.mean(losses * np.where(kinds, 0.5, 3.0) * WEIGHTS), rel=1e-5)
    assert model.train_on_batch(X, kinds)[0] == pytest.approx(np.mean(losses), rel=1e-5)
    one = model.test_on_batch(X[:1], kinds[:1], return_dict=True)
    assert one["accuracy"] == (losses[0] < np.log(2)) and accuracy != one["accuracy"]


def test_one_number_is_returned_as_it_is_and_several_in_a_list():
    model = network()
    for found in (model.evaluate(X, Y, verbose=0), model.train_on_batch(X, Y), model.test_on_batch(X, Y)):
        assert isinstance(found, float)
    model = network(metrics=["mae"])
    for found in (model.evaluate(X, Y, verbose=0), model.train_on_batch(X, Y), model.test_on_batch(X, Y)):
        assert isinstance(found, list) and len(found) == 2


def test_a_step_of_ones_own_names_what_is_returned():
    class Own(convia.Sequential):
        def test_step(self, data):
            x, y = data
            return {"worst": (self(x) - y).abs().max(), "all": torch.arange(3), "best": np.float32(0.5)}

    model = Own([convia.Input((3,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    found = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert list(found) == ["all", "best", "worst"] and found["all"].tolist() == [0, 1, 2]
    assert isinstance(found["worst"], float) and type(found["best"]) is float
    assert found["worst"] == pytest.approx(np.abs(model.predict(X, verbose=0) - Y).max(), rel=1e-5)
    values = model.evaluate(X, Y, verbose=0)
    assert values[1:] == [0.5, found["worst"]]
    assert model.test_on_batch(X, Y)[1:] == [0.5, found["worst"]]


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "bfloat16"])
def test_predictions_in_bfloat16_are_single_in_numpy(policy):
    convia.config.set_dtype_policy(policy)
    model = convia.Sequential([convia.Input((3,)), layers.Dense(1)])
    for found in (model.predict(X, verbose=0), model.predict_on_batch(X)):
        assert found.dtype == np.float32 and found.shape == (10, 1)


def test_predictions_have_the_structure_of_the_outputs():
    x = convia.Input((3,))
    model = convia.Model(x, {"a": layers.Dense(2)(x), "b": [layers.Dense(1)(x)]})
    found = model.predict(X, batch_size=4, verbose=0)
    assert found["a"].shape == (10, 2) and found["b"][0].shape == (10, 1)
    for mine, other in ((found, model.predict_on_batch(X)), (found, model(X))):
        np.testing.assert_allclose(mine["a"], np.asarray(torch.as_tensor(other["a"]).detach()), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("stops", "told"), [(False, 1), (True, 0)])
def test_a_loss_of_nan_is_told_once_an_epoch_unless_it_stops_the_training(stops, told):
    model = network(optimizer=convia.optimizers.SGD(1e30))
    callbacks = [convia.callbacks.TerminateOnNaN()] if stops else []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        epochs = model.fit(X, Y, batch_size=2, epochs=1, verbose=0, callbacks=callbacks).epoch
    assert sum("received a loss of NaN; expected a finite loss" in str(one.message) for one in caught) == told
    assert epochs == [0]


@pytest.mark.parametrize("broken", ["sample", "weights"])
def test_where_a_loss_of_nan_comes_from_in_steps_of_ones_own(broken, capsys):
    class Own(convia.Sequential):
        def train_step(self, data):
            x, y = data
            return {"loss": ((self(x) - y) ** 2).mean()}

    model = Own([convia.Input((3,)), layers.Dense(1, name="only")])
    model.compile("sgd", "mse")
    x = X.copy()
    x[7, 0] = np.nan if broken == "sample" else 0
    if broken == "weights":
        model.set_weights([np.full((3, 1), np.nan), np.zeros(1)])
    model.fit(x, Y, batch_size=4, shuffle=False, verbose=0, callbacks=[convia.callbacks.TerminateOnNaN()])
    cause = {
        "sample": "Batch 1: .*x holds NaN or infinity in row 3 of the batch: sample 7",
        "weights": "Batch 0: .*the first layer whose output is not finite is 'only', whose weights are not.*sample 0,",
    }[broken]
    assert re.search(cause, capsys.readouterr().out, re.DOTALL)


def test_outside_of_a_training_nothing_is_known_of_where_nan_comes_from(capsys):
    model, stop = network(), convia.callbacks.TerminateOnNaN()
    stop.set_model(model)
    stop.on_batch_end(3, {"loss": float("nan")})
    assert capsys.readouterr().out == "Batch 3: Invalid loss, terminating training\n" and model.stop_training


class Unnumbered:
    """Five batches of two samples; how many there are only their end tells."""

    def __iter__(self):
        return (Numbered()[index] for index in range(5))


class KilledError(Exception):
    """In place of a signal that leaves no time."""


class Killed(convia.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        raise KilledError


@pytest.mark.parametrize("measured", [False, True])
@pytest.mark.parametrize("every", [2, 5])
def test_an_epoch_that_goes_on_has_the_metrics_of_its_batches_before(every, measured, tmp_path):
    def trained(*callbacks):
        convia.utils.set_random_seed(1)
        model = network(metrics=["mae"], weighted_metrics=["mse"])
        if measured:  # metrics know already what they are
            model.evaluate(X, Y, verbose=0)
        history = model.fit(Unnumbered(), epochs=2, verbose=0, callbacks=callbacks).history
        return history, [metric.name for metric in model.metrics]

    backup = convia.callbacks.BackupAndRestore(tmp_path / "backup", save_freq=every)
    with pytest.raises(KilledError):
        trained(backup, Killed())
    assert trained(backup) == trained()
