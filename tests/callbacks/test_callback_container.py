import keras
import numpy as np
import pytest
import torch
from callback_fakes import FakeModel

from convia import callbacks
from convia.callbacks.container import plain_logs


class _Batches(callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        pass


class _OldBatches(callbacks.Callback):
    def on_batch_begin(self, batch, logs=None):
        pass


class _LoudCheckpoint(callbacks.ModelCheckpoint):
    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, logs)


WANTS = [  # callback, (train, test, predict)
    (None, (0, 0, 0)),
    (callbacks.Callback, (0, 0, 0)),
    (callbacks.ProgbarLogger, (0, 0, 0)),
    (lambda: [callbacks.History(), callbacks.EarlyStopping()], (0, 0, 0)),
    (lambda: callbacks.ModelCheckpoint("m.keras"), (0, 0, 0)),
    (lambda: callbacks.ModelCheckpoint("m.keras", save_freq=3), (1, 0, 0)),
    (lambda: _LoudCheckpoint("m.keras"), (1, 0, 0)),
    (lambda: callbacks.BackupAndRestore("b"), (0, 0, 0)),
    (lambda: callbacks.BackupAndRestore("b", save_freq=3), (1, 0, 0)),
    (lambda: callbacks.TensorBoard("b"), (0, 0, 0)),
    (lambda: callbacks.TensorBoard("b", update_freq="batch"), (1, 0, 0)),
    (callbacks.TerminateOnNaN, (1, 0, 0)),
    (lambda: callbacks.LambdaCallback(on_epoch_end=print), (0, 0, 0)),
    (lambda: callbacks.LambdaCallback(on_batch_end=print), (1, 0, 0)),
    (lambda: callbacks.LambdaCallback(on_train_batch_begin=print), (1, 0, 0)),
    (lambda: callbacks.LambdaCallback(on_test_batch_end=print), (0, 1, 0)),
    (lambda: callbacks.LambdaCallback(on_predict_batch_begin=print), (0, 0, 1)),
    (lambda: [_Batches()], (1, 0, 0)),
    (lambda: [callbacks.Callback(), [_OldBatches()]], (1, 0, 0)),
]


@pytest.mark.parametrize(("make", "wanted"), WANTS)
def test_batches_are_wanted_only_by_callbacks_that_look_at_them(make, wanted):
    several = callbacks.CallbackList(make() if make else None, add_history=True, add_progbar=True)
    found = (several.wants_train_batches, several.wants_test_batches, several.wants_predict_batches)
    assert found == tuple(map(bool, wanted))


HOOKS = [
    f"on_{loop}{what}_{moment}"
    for loop in ("train", "test", "predict")
    for what in ("", "_batch")
    for moment in ("begin", "end")
] + ["on_epoch_begin", "on_epoch_end", "on_batch_begin", "on_batch_end"]


def _events(module):
    """Every hook called once, with the arguments as they arrive."""
    seen = []

    def note(hook):
        return lambda self, *args, **kwargs: seen.append((hook, args, kwargs))

    hooks = {hook: note(hook) for hook in HOOKS if "batch" not in hook or hook.count("_") == 3}
    several = module.CallbackList([type("Noting", (module.Callback,), hooks)()], verbose=0, epochs=1, steps=1)
    logs = {"loss": torch.tensor(0.5), "b": {"acc": np.float32(0.25), "text": "x"}}
    for hook in ["on_train_begin", "on_test_begin", "on_predict_begin", *HOOKS]:
        if hook in ("on_batch_begin", "on_batch_end"):
            continue
        getattr(several, hook)(*([7] if "batch" in hook or "epoch" in hook else []), logs)
    return seen


def test_events_and_their_arguments_are_those_of_keras():
    assert _events(callbacks) == _events(keras.callbacks)


def test_older_names_of_the_batch_hooks_are_called():
    seen = []
    functions = {name: (lambda batch, logs=None, name=name: seen.append((name, batch, logs))) for name in HOOKS[-2:]}
    several = callbacks.CallbackList(callbacks.LambdaCallback(**functions))
    several.on_train_batch_begin(3)
    several.on_batch_end(3, {"loss": 1})
    assert seen == [("on_batch_begin", 3, {}), ("on_batch_end", 3, {"loss": 1.0})]


def test_logs_become_floats_in_alphabetical_order():
    logs = plain_logs({"loss": torch.tensor(2.0), "acc": np.float32(0.5), "outputs": torch.zeros(3), "a": {"z": 1}})
    assert list(logs) == ["z", "acc", "loss", "outputs"]
    assert [type(logs[name]) for name in ("z", "acc", "loss")] == [float] * 3
    assert logs["outputs"].shape == (3,)
    assert plain_logs(None) == {}


def test_what_a_callback_adds_to_the_logs_is_in_the_history():
    def add(epoch, logs):
        logs["more"] = epoch

    model = FakeModel()
    several = callbacks.CallbackList(callbacks.LambdaCallback(on_epoch_end=add), add_history=True, model=model)
    several.on_train_begin()
    for epoch in range(2):
        several.on_epoch_end(epoch, {"loss": epoch / 2})
    assert model.history.history == {"loss": [0.0, 0.5], "more": [0, 1]}
    assert model.history.epoch == [0, 1]
    assert model.history.model is model


def test_model_and_params_reach_the_callbacks_and_nothing_is_added_twice():
    own, bar = callbacks.History(), callbacks.ProgbarLogger()
    model = FakeModel()
    params = {"verbose": "auto", "epochs": 3, "steps": 5}
    several = callbacks.CallbackList((own, bar), add_history=True, add_progbar=True, model=model, **params)
    assert several.callbacks == [own, bar]
    assert (several.progress, several.history, model.history) == (bar, own, own)
    assert own.params == several.params == params
    assert (bar.verbose, bar.epochs, bar.target) == (1, 3, 5)
    assert several.model is own.model is model


def test_a_callback_added_later_sees_batches_from_the_next_beginning_on():
    seen = []
    several = callbacks.CallbackList()
    several.callbacks.append(callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch)))
    several.on_train_begin()
    several.on_train_batch_end(4)
    assert several.wants_train_batches
    assert seen == [4]


@pytest.mark.parametrize(
    ("wrong", "received", "remedy"),
    [
        (callbacks.EarlyStopping, "the class EarlyStopping", "Write EarlyStopping(...)."),
        (print, "<built-in function print>", "LambdaCallback"),
    ],
)
def test_what_is_no_callback_is_refused(wrong, received, remedy):
    with pytest.raises(TypeError) as error:
        callbacks.CallbackList([wrong])
    text = str(error.value)
    assert text.startswith(f"callbacks: received {received}; expected instances of keras.callbacks.Callback.")
    assert remedy in text


def test_callbacks_have_the_names_and_signatures_of_keras():
    import inspect

    for name in set(keras.callbacks.__dict__) & set(callbacks.__all__):
        own, theirs = (inspect.signature(getattr(module, name)) for module in (callbacks, keras.callbacks))
        expected = [(p.name, p.default, p.kind) for p in theirs.parameters.values()]
        assert [(p.name, p.default, p.kind) for p in own.parameters.values()] == expected, name
    missing = {name for name in dir(keras.callbacks) if name[0].isupper()} - set(callbacks.__all__)
    assert missing == {"OrbaxCheckpoint"}
    assert callbacks.__all__ == sorted(callbacks.__all__)
