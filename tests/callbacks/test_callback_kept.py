"""What callbacks and metrics have noted survives an interruption."""

import numpy as np
import pytest

import convia
from convia import callbacks, layers
from convia.callbacks import BackupAndRestore
from convia.callbacks.kept import callbacks_state, set_callbacks_state


class _InterruptionError(Exception):
    pass


def _interrupt(epoch, batch):
    """A callback that raises at a batch, before it is learned from."""

    def look(step, logs):
        if (int(model_epoch[0]), step) == (epoch, batch):
            raise _InterruptionError

    model_epoch = [0]
    return callbacks.LambdaCallback(
        on_epoch_begin=lambda number, logs: model_epoch.__setitem__(0, number), on_train_batch_begin=look
    )


def _fit(others, engine="torch", epochs=12):
    convia.utils.set_random_seed(1)
    inner = [layers.Conv2D(3, 3), layers.Flatten(), layers.Dropout(0.2), layers.Dense(2, activation="softmax")]
    model = convia.Sequential([layers.Input((6, 6, 1)), *inner])
    metrics = ["accuracy", convia.metrics.F1Score(), convia.metrics.AUC(num_thresholds=10, name="auc")]
    optimizer = convia.optimizers.Adam(0.02, use_ema=True)
    model.compile(optimizer, "categorical_crossentropy", metrics=metrics, engine=engine)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 6, 6, 1)).astype("float32"), np.eye(2, dtype="float32")[rng.integers(0, 2, 12)]
    deciding = [
        callbacks.SwapEMAWeights(swap_on_epoch=True),
        callbacks.ReduceLROnPlateau("loss", patience=1, factor=0.5, min_delta=0.25, cooldown=1),
        callbacks.EarlyStopping("loss", patience=2, min_delta=0.25, restore_best_weights=True),
    ]
    hooks = [*others, *deciding]
    history = model.fit(x, y, epochs=epochs, batch_size=3, verbose=0, callbacks=hooks, validation_data=(x[:5], y[:5]))
    return model, history


@pytest.mark.parametrize("engine", ["torch", "auto"])
@pytest.mark.parametrize("freq", ["epoch", 1, 3])
@pytest.mark.parametrize("place", [(2, 2), (3, 0)])
def test_decisions_are_those_of_a_training_that_ran_through(place, freq, engine, tmp_path):
    whole, history = _fit([], engine)
    assert len(set(history.history["learning_rate"])) > 1 and len(history.epoch) < 12  # there are decisions
    backup = tmp_path / "backup"
    with pytest.raises(_InterruptionError):
        _fit([BackupAndRestore(backup, freq), _interrupt(*place)], engine)
    resumed, rest = _fit([BackupAndRestore(backup, freq)], engine)
    begin = rest.epoch[0]
    assert rest.epoch == history.epoch[begin:] and begin >= 2
    for key, values in history.history.items():
        np.testing.assert_array_equal(values[begin:], rest.history[key], key)
    for one, other in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_training_that_was_stopped_is_at_its_end(tmp_path):
    class Killed(callbacks.Callback):
        def on_train_end(self, logs=None):
            raise _InterruptionError

    whole, history = _fit([])
    with pytest.raises(_InterruptionError):
        _fit([Killed(), BackupAndRestore(tmp_path / "b", delete_checkpoint=False)])
    resumed, rest = _fit([BackupAndRestore(tmp_path / "b", delete_checkpoint=False)])
    assert rest.epoch == []
    for one, other in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    _, more = _fit([BackupAndRestore(tmp_path / "b")])  # after its regular end it may go on
    assert more.epoch[0] == history.epoch[-1] + 1


class _Counting(callbacks.Callback):
    kept = ("seen", "table", "nothing")

    def __init__(self):
        self.seen, self.table, self.nothing = np.float32(0), {}, None


def test_own_callbacks_say_what_they_keep():
    first, second = _Counting(), _Counting()
    first.seen, first.table = np.float32(0.25), {"a": [np.arange(3), "text"], "b": {}}
    second.nothing = float("inf")
    state = callbacks_state([first, callbacks.Callback(), second])
    assert not any(array.dtype.hasobject for array in state.values())
    one, other = _Counting(), _Counting()
    set_callbacks_state([callbacks.Callback(), one, other, _Counting()], state)
    assert one.seen == 0.25 and one.table["b"] == {} and one.table["a"][1] == "text"
    assert one.table["a"][0].tolist() == [0, 1, 2] and one.nothing is None
    assert other.nothing == float("inf")


def test_what_has_no_plain_form_cannot_be_kept():
    item = _Counting()
    item.nothing = object()
    with pytest.raises(
        ValueError, match=r"BackupAndRestore, _Counting, attributes to keep: received seen, table, noth"
    ):
        callbacks_state([item])
