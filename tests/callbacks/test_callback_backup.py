import os
import random
import shutil
import signal

import numpy as np
import pytest
import torch
from callback_fakes import FakeModel

from convia import callbacks, layers, models, optimizers, utils
from convia.callbacks import BackupAndRestore
from convia.callbacks.random_state import random_state, seed_generators, set_random_state
from convia.random import SeedGenerator
from convia.variable import Variable

STEPS, EPOCHS = 5, 4


class _Interruption(Exception):
    pass


class _Noisy(torch.nn.Module):
    """A weight that walks at random: every way of drawing random numbers is part of its path."""

    built = True

    def __init__(self):
        super().__init__()
        self.weight = Variable(torch.zeros(3), name="weight")
        self.dropout = torch.nn.Module()
        self.dropout.seed_generator = SeedGenerator(7)
        self.optimizer = optimizers.Adam(0.1)
        self.stop_training = False

    @property
    def trainable_variables(self):
        return [self.weight]

    def get_weights(self):
        return [self.weight.numpy()]

    def set_weights(self, weights):
        self.weight.assign(weights[0])

    def train_step(self, sample):
        seed = int(self.dropout.seed_generator.next()[1])
        noise = [random.random(), float(np.random.rand()), sample + seed]
        self.optimizer.apply([torch.randn(3) + torch.tensor(noise)], [self.weight])


def _fit(model, backup, interrupt_at=None, order=None):
    """A loop as the trainer's: the order of the samples is drawn at the beginning of the epoch."""
    hooks = callbacks.CallbackList(backup, model=model, verbose=0, epochs=EPOCHS, steps=STEPS)
    hooks.on_train_begin()
    first, skip = getattr(model, "_resume_epoch", 0), getattr(model, "_resume_step", 0)
    for epoch in range(first, EPOCHS):
        hooks.on_epoch_begin(epoch)
        samples = torch.randperm(STEPS).tolist()
        for step in range(skip, STEPS):
            if (epoch, step) == interrupt_at:
                raise _Interruption
            hooks.on_train_batch_begin(step)
            model.train_step(samples[step])
            hooks.on_train_batch_end(step, {"loss": 1.0})
        skip = 0
        hooks.on_epoch_end(epoch, {"loss": 1.0})
    hooks.on_train_end()
    return model


def _seed(value):
    random.seed(value)
    np.random.seed(value)
    torch.manual_seed(value)


@pytest.mark.parametrize("freq", ["epoch", 1, 3, STEPS, 7])
@pytest.mark.parametrize("place", [(0, 0), (0, 3), (1, 0), (2, 4), (3, 2)])
def test_interrupted_training_ends_with_the_same_numbers(freq, place, tmp_path):
    _seed(1)
    whole = _fit(_Noisy(), [])
    _seed(1)
    folder = tmp_path / "backup"
    with pytest.raises(_Interruption):
        _fit(_Noisy(), BackupAndRestore(folder, freq), place)
    if folder.exists():
        _seed(99)
    else:  # interrupted before the first backup: training begins anew
        _seed(1)
    resumed = _fit(_Noisy(), BackupAndRestore(folder, freq))
    assert torch.equal(whole.weight, resumed.weight)
    for one, other in zip(whole.optimizer.variables, resumed.optimizer.variables, strict=True):
        assert np.array_equal(one.numpy(), other.numpy())
    assert not folder.exists()


@pytest.mark.parametrize(
    ("freq", "place", "resumes_at"),
    [("epoch", (2, 3), (2, 0)), (2, (0, 3), (0, 2)), (STEPS, (1, 0), (1, 0)), (1, (1, 4), (1, 4)), (3, (1, 1), (1, 1))],
)
def test_the_trainer_is_told_where_to_go_on(freq, place, resumes_at, tmp_path):
    with pytest.raises(_Interruption):
        _fit(_Noisy(), BackupAndRestore(tmp_path, freq), place)
    model = _Noisy()
    backup = BackupAndRestore(tmp_path, freq)
    backup.set_model(model)
    backup.on_train_begin()
    assert (model._resume_epoch, model._resume_step) == resumes_at
    backup.on_train_end()
    assert (model._resume_epoch, model._resume_step) == (0, 0)


@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("engine", ["torch", "auto"])
def test_a_signal_within_an_epoch_costs_no_metrics_and_no_random_numbers(engine, every, tmp_path):
    x = np.random.default_rng(0).normal(size=(24, 4)).astype("float32")
    y = x[:, :1]

    def fit(*hooks):
        utils.set_random_seed(3)
        model = models.Sequential([layers.Input((4,)), layers.Dropout(0.5), layers.Dense(1)])
        model.compile("sgd", "mse", metrics=["mae"], engine=engine, steps_per_execution=every)
        history = model.fit(x, y, batch_size=4, epochs=4, validation_data=(x, y), verbose=0, callbacks=list(hooks))
        return history.history, model.get_weights()

    class Stops(callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch

        def on_train_batch_begin(self, batch, logs=None):
            if (self.epoch, batch) == (1, 2):
                os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(SystemExit):
        fit(BackupAndRestore(tmp_path / "b"), Stops())
    history, weights = fit(BackupAndRestore(tmp_path / "b"))
    whole, expected = fit()
    for name, values in history.items():
        np.testing.assert_allclose(values, whole[name][1:], rtol=1e-6, err_msg=name)
    for one, other in zip(weights, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_fit_goes_on_where_it_was_interrupted(tmp_path):
    def make():
        model = models.Sequential([layers.Input((4,)), layers.Dense(3), layers.Dropout(0.3), layers.Dense(1)])
        model.compile(optimizers.Adam(0.01), "mse")
        return model

    x = np.random.default_rng(0).normal(size=(20, 4)).astype("float32")

    def interrupt(epoch, logs):
        if epoch == 2:
            raise _Interruption

    _seed(3)
    first = make()
    start = first.get_weights()
    first.fit(x, x[:, :1], epochs=4, batch_size=5, verbose=0)
    _seed(3)
    second = make()
    second.set_weights(start)
    with pytest.raises(_Interruption):
        stop = callbacks.LambdaCallback(on_epoch_begin=interrupt)
        second.fit(x, x[:, :1], epochs=4, batch_size=5, verbose=0, callbacks=[BackupAndRestore(tmp_path / "b"), stop])
    _seed(8)
    third = make()
    history = third.fit(x, x[:, :1], epochs=4, batch_size=5, verbose=0, callbacks=[BackupAndRestore(tmp_path / "b")])
    assert history.epoch == [2, 3]
    for one, other in zip(first.get_weights(), third.get_weights(), strict=True):
        assert np.array_equal(one, other)


def _interrupted(folder, **options):
    with pytest.raises(_Interruption):
        _fit(_Noisy(), BackupAndRestore(folder, **options), (3, 0))


def _resume(folder, model=None):
    backup = BackupAndRestore(folder)
    backup.set_model(model or _Noisy())
    backup.on_train_begin()
    return backup.model._resume_epoch


DAMAGES = {
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-300]),
    "empty": lambda path: path.write_bytes(b""),
    "no archive": lambda path: path.write_bytes(b"x" * 4000),
    "one bit": lambda path: path.write_bytes(_with_a_bit_changed(path.read_bytes())),
    "without its state": lambda path: np.savez(path, a=np.zeros(3)),
}


def _with_a_bit_changed(content):
    place = len(content) // 2
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_backup_gives_way_to_the_one_before(damage, tmp_path):
    _interrupted(tmp_path, double_checkpoint=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest.npz", "previous.npz"]
    DAMAGES[damage](tmp_path / "latest.npz")
    with pytest.warns(UserWarning) as caught:
        assert _resume(tmp_path) == 2
    text = str(caught[0].message)
    assert text.startswith(f"BackupAndRestore: received {tmp_path / 'latest.npz'} is damaged (")
    assert text.endswith(f"expected a whole backup. The one before it is used: {tmp_path / 'previous.npz'}")


def test_a_backup_that_vanished_gives_way_to_the_one_before(tmp_path):
    _interrupted(tmp_path, double_checkpoint=True)
    (tmp_path / "latest.npz").unlink()
    assert _resume(tmp_path) == 2


def test_without_a_backup_that_can_be_read_training_does_not_begin_anew(tmp_path):
    _interrupted(tmp_path)
    DAMAGES["cut off"](tmp_path / "latest.npz")
    with pytest.raises(OSError) as error:
        _resume(tmp_path)
    text = str(error.value)
    assert text.startswith(f"BackupAndRestore: received {tmp_path / 'latest.npz'} is damaged (")
    assert text.endswith("Delete the folder to begin anew; double_checkpoint=True keeps a second backup.")


def test_an_interruption_while_writing_leaves_the_backup_before(tmp_path, monkeypatch):
    _interrupted(tmp_path)

    def fail(file, **arrays):
        file.write(b"half")
        raise _Interruption

    monkeypatch.setattr(np, "savez", fail)
    backup = BackupAndRestore(tmp_path)
    backup.set_model(_Noisy())
    backup.on_train_begin()
    with pytest.raises(_Interruption):
        backup.on_epoch_end(3)
    assert _resume(tmp_path) == 3


def test_backups_of_another_model_are_refused(tmp_path):
    _interrupted(tmp_path)
    other = _Noisy()
    other.weight = Variable(torch.zeros(4), name="weight")
    with pytest.raises(ValueError) as error:
        _resume(tmp_path, other)
    assert str(error.value) == (
        "BackupAndRestore: received a backup with weights of shapes [(3,)]; expected the model's weights, of shapes "
        f"[(4,)]. It is of another model; delete the folder {tmp_path}, or use another."
    )
    other = _Noisy()
    other.optimizer = optimizers.SGD(0.1)
    with pytest.raises(ValueError, match="received a backup with optimizer variables of shapes"):
        _resume(tmp_path, other)


def test_only_backups_are_deleted(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    _fit(_Noisy(), BackupAndRestore(tmp_path, double_checkpoint=True))
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    _fit(_Noisy(), BackupAndRestore(tmp_path / "kept", delete_checkpoint=False))
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["latest.npz"]
    shutil.rmtree(tmp_path / "kept")


def test_a_model_without_weights_is_refused(tmp_path):
    model = FakeModel()
    model.built = False
    with pytest.raises(ValueError, match=r"BackupAndRestore: received a model without weights; expected a built model"):
        _resume(tmp_path, model)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"backup_dir": ""}, "BackupAndRestore, argument 'backup_dir': received ''; expected a folder"),
        (
            {"backup_dir": "b", "save_freq": "batch"},
            "BackupAndRestore, argument 'save_freq': received 'batch'; expected",
        ),
    ],
)
def test_wrong_arguments_are_explained(arguments, text):
    with pytest.raises(ValueError, match=text):
        BackupAndRestore(**arguments)


def test_random_states_survive_plain_arrays():
    model = _Noisy()
    assert seed_generators(model) == [model.dropout.seed_generator]

    def draw():
        normal = (random.gauss(0, 1), np.random.normal(), float(torch.randn(1)))
        return normal, model.dropout.seed_generator.next().tolist()

    draw()  # leaves half a pair of normal numbers in Python's and NumPy's generators
    state = random_state(model)
    assert not any(array.dtype.hasobject for array in state.values())
    expected = [draw() for _ in range(3)]
    _seed(5)
    set_random_state(state, model)
    assert [draw() for _ in range(3)] == expected
