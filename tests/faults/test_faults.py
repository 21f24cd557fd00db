"""What a training meets with in the world: what the user is told, and what is kept."""

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import convia as keras
from convia import callbacks, config, errors, layers
from convia.callbacks import BackupAndRestore, CSVLogger, LambdaCallback, ModelCheckpoint, TerminateOnNaN, disk

ROOT = Path(__file__).parents[2]
X = np.random.default_rng(0).normal(size=(24, 6, 6, 1)).astype("float32")
Y = np.arange(24) % 2


def network(engine="torch", rate=0.01):
    keras.utils.set_random_seed(0)
    inner = [layers.Conv2D(2, 3, name="first"), layers.Flatten(), layers.Dense(2, activation="softmax", name="last")]
    model = keras.Sequential([layers.Input((6, 6, 1)), *inner])
    model.compile(keras.optimizers.SGD(rate), "sparse_categorical_crossentropy", metrics=["accuracy"], engine=engine)
    return model


def fit(model, *hooks, **named):
    given = {"epochs": 3, "batch_size": 4, "verbose": 0, "callbacks": list(hooks)} | named
    return model.fit(X, Y, **given)


def at(epoch, batch, action):
    """Do something after a batch of an epoch."""
    now = []
    return LambdaCallback(
        on_epoch_begin=lambda number, logs: now.append(number),
        on_train_batch_end=lambda number, logs: action() if (now[-1], number) == (epoch, batch) else None,
    )


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one.get_weights(), other.get_weights(), strict=True))


# -- signals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["torch", "auto"])
@pytest.mark.parametrize("number, ending", [(signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)])
@pytest.mark.parametrize("epoch, batch", [(0, 0), (1, 2), (1, 5), (2, 5)])
def test_signals_wait_for_the_batch_save_and_say_how_to_go_on(number, ending, epoch, batch, engine, tmp_path, capsys):
    whole = network(engine)
    fit(whole)
    before = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)]
    with pytest.raises(ending) as raised:
        kill = at(epoch, batch, lambda: os.kill(os.getpid(), number))
        fit(network(engine), BackupAndRestore(tmp_path / "b"), kill)
    assert number != signal.SIGTERM or raised.value.code == 143
    assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)] == before
    shown = capsys.readouterr().out
    last = batch == 5
    assert f"Interrupted; epoch {epoch + 1 + last} goes on with batch {1 if last else batch + 2}." in shown
    assert "run the same program again" in shown
    resumed = network(engine)
    keras.utils.set_random_seed(99)
    fit(resumed, BackupAndRestore(tmp_path / "b"))
    assert same(whole, resumed)
    assert not (tmp_path / "b").exists()


def test_without_a_backup_ctrl_c_ends_at_once():
    with pytest.raises(KeyboardInterrupt):
        fit(network(), at(0, 1, lambda: os.kill(os.getpid(), signal.SIGINT)))


def test_a_second_ctrl_c_does_not_wait(tmp_path):
    def twice():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    model, seen = network(), []
    hooks = [BackupAndRestore(tmp_path / "b"), at(0, 1, twice), LambdaCallback(on_train_end=seen.append)]
    with pytest.raises(KeyboardInterrupt):
        fit(model, *hooks)
    assert not seen


def test_sigterm_that_comes_twice_is_one(tmp_path):
    def twice():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(SystemExit) as raised:
        fit(network(), BackupAndRestore(tmp_path / "b"), at(1, 2, twice))
    assert raised.value.code == 143
    assert fit(network(), BackupAndRestore(tmp_path / "b")).epoch == [1, 2]


KILLED = """
import os, signal, sys
import numpy as np
import convia as keras
from convia.callbacks import LambdaCallback, ModelCheckpoint
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
model.compile("sgd", "mse")
def fall(epoch, logs):
    if epoch == 2 and keras.distributed.rank() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
x = np.zeros((64, 4), "float32")
model.fit(x, x[:, :2], epochs=9, verbose=2, callbacks=[ModelCheckpoint(sys.argv[1]), LambdaCallback(on_epoch_begin=fall)])
"""


def test_a_killed_process_ends_all_and_the_last_model_is_kept(tmp_path):
    (tmp_path / "program.py").write_text(KILLED)
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [sys.executable, *launch, str(tmp_path / "program.py"), str(tmp_path / "m.keras")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode != 0
    assert "Epoch 3/9" in done.stdout and "Epoch 4/9" not in done.stdout
    assert "SIGKILL" in done.stderr
    assert keras.models.load_model(tmp_path / "m.keras").count_params() == 10


# -- disks ----------------------------------------------------------------------------------------------------------


FULL = {  # callback → what the warning names, and a file that stays as it was
    "backup": (BackupAndRestore, "latest.npz"),
    "keras": (lambda folder: ModelCheckpoint(folder / "m.keras"), "m.keras"),
    "h5": (lambda folder: ModelCheckpoint(folder / "m.h5"), "m.h5"),
    "weights": (lambda folder: ModelCheckpoint(folder / "m.weights.h5", save_weights_only=True), "m.weights.h5"),
}


@pytest.mark.parametrize("kind", FULL)
def test_a_full_disk_is_a_warning_and_the_file_before_is_kept(kind, tmp_path, small_files):
    make, name = FULL[kind]
    model, kept = network(), []
    model.optimizer.build(model.trainable_variables)

    def note(*_):
        kept.append((tmp_path / name).read_bytes())

    with contextlib.ExitStack() as stack, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fill = LambdaCallback(on_epoch_begin=lambda epoch, logs: epoch == 1 and stack.enter_context(small_files(64)))
        look = LambdaCallback(on_epoch_begin=lambda epoch, logs: epoch and note(), on_train_end=note)
        history = fit(model, fill, look, make(tmp_path))
    told = [str(each.message) for each in caught if name in str(each.message)]
    assert len(told) == 2
    assert "File too large while writing" in told[0] and "training goes on" in told[0]
    assert history.epoch == [0, 1, 2]
    assert kept[0] == kept[1] == kept[2]


@pytest.mark.parametrize("number", sorted(errors._REFUSALS))
@pytest.mark.parametrize(
    "form", [lambda n: OSError(n, "text"), lambda n: RuntimeError(f"HDF5 failed (errno = {n}, …)")]
)
def test_errors_of_disks_are_survived(number, form):
    told = f"who: received {os.strerror(number)} while writing file; expected a disk"
    with pytest.warns(UserWarning, match=told), disk.survives("who", "file", "Go on."):
        raise form(number)


@pytest.mark.parametrize(
    "error", [PermissionError(errno.EACCES, "no"), FileNotFoundError(errno.ENOENT, "no"), RuntimeError("x")]
)
def test_other_errors_are_not(error):
    with pytest.raises(type(error)), disk.survives("who", "file", "Go on."):
        raise error


def test_a_full_disk_of_the_log_is_a_warning(tmp_path, small_files):
    with contextlib.ExitStack() as stack, pytest.warns(UserWarning, match=r"File too large while writing .*log.csv"):
        fill = LambdaCallback(on_epoch_begin=lambda epoch, logs: epoch == 1 and stack.enter_context(small_files(30)))
        log = CSVLogger(tmp_path / "log.csv")
        history = fit(network(), fill, log)
        stack.close()
    assert history.epoch == [0, 1, 2]


def test_a_vanished_backup_folder_is_made_again(tmp_path):
    def vanish(epoch, logs):
        if epoch == 1:
            (tmp_path / "b" / "latest.npz").unlink()
            (tmp_path / "b").rmdir()

    backup = BackupAndRestore(tmp_path / "b", delete_checkpoint=False)
    fit(network(), LambdaCallback(on_epoch_begin=vanish), backup)
    assert (tmp_path / "b" / "latest.npz").exists()


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: bytes(len(b))])
def test_a_damaged_backup_gives_way_to_the_one_before_and_says_so(damage, tmp_path):
    def fall(epoch, logs):
        if epoch == 2:
            raise InterruptedError

    hooks = [BackupAndRestore(tmp_path / "b", double_checkpoint=True), LambdaCallback(on_epoch_begin=fall)]
    with pytest.raises(InterruptedError):
        fit(network(), *hooks)
    latest = tmp_path / "b" / "latest.npz"
    latest.write_bytes(damage(latest.read_bytes()))
    with pytest.warns(UserWarning, match=r"latest.npz is damaged .*The one before it is used: .*previous.npz"):
        history = fit(network(), hooks[0])
    assert history.epoch == [1, 2]


def test_a_folder_in_place_of_the_file(tmp_path):
    (tmp_path / "m.keras").mkdir()
    with pytest.raises(IsADirectoryError, match=r"m.keras.*Name a file in it"):
        fit(network(), ModelCheckpoint(tmp_path / "m.keras"))


def test_a_log_folder_that_cannot_be_written_to_is_told_before_training(tmp_path):
    pytest.importorskip("tensorboard")
    (tmp_path / "logs").write_text("a file")
    seen = []
    with pytest.raises(OSError, match="logs"):
        fit(network(), callbacks.TensorBoard(tmp_path / "logs"), LambdaCallback(on_train_begin=seen.append))
    assert not seen


# -- two at a time, and others than before ----------------------------------------------------------------------------


def test_a_folder_is_for_one_run(tmp_path):
    folder = tmp_path / "b"
    hold = "import sys; from pathlib import Path; from convia.callbacks import disk; disk.lock('x', Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", hold, str(folder)], cwd=ROOT, stdin=-1, stdout=-1) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(RuntimeError, match=r"BackupAndRestore.*another process is using.*take another folder"):
            fit(network(), BackupAndRestore(folder))
        other.kill()
    fit(network(), BackupAndRestore(folder))  # what is killed leaves no lock
    assert list(tmp_path.iterdir()) == []


def test_other_data_begin_the_epoch_anew(tmp_path):
    with pytest.raises(SystemExit):
        fit(network(), BackupAndRestore(tmp_path / "b"), at(1, 2, lambda: os.kill(os.getpid(), signal.SIGTERM)))
    with pytest.warns(UserWarning, match=r"epochs of 3 batches, and a backup within one of 6.*Epoch 2 begins anew"):
        history = fit(network(), BackupAndRestore(tmp_path / "b"), batch_size=8)
    assert history.epoch == [1, 2]


def test_another_network_is_refused(tmp_path):
    with pytest.raises(SystemExit):
        fit(network(), BackupAndRestore(tmp_path / "b"), at(1, 2, lambda: os.kill(os.getpid(), signal.SIGTERM)))
    other = keras.Sequential([layers.Input((6, 6, 1)), layers.Flatten(), layers.Dense(2)])
    other.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"a backup with weights of shapes.*another model"):
        fit(other, BackupAndRestore(tmp_path / "b"))


# -- numbers ----------------------------------------------------------------------------------------------------------


class Fails(layers.Layer):
    """Gives NaN from the third batch on."""

    calls = 0

    def call(self, inputs):
        self.calls += 1
        return inputs * (float("nan") if self.calls > 2 else 1.0)


def broken(kind):
    """A network, its data from the third batch on broken; or a layer of it."""
    x = X.copy()
    if kind == "data":
        x[9, 2, 2] = np.nan
    keras.utils.set_random_seed(0)
    inputs = layers.Input((6, 6, 1))
    y = layers.Conv2D(2, 3, name="first")(inputs)
    y = Fails(name="culprit")(y) if kind == "layer" else y
    model = keras.Model(inputs, layers.Dense(2, activation="softmax", name="last")(layers.Flatten()(y)))
    for layer in model.layers:
        layer.calls = 0
    model.compile("sgd", "sparse_categorical_crossentropy", engine="torch")
    return model, x


CAUSES = {
    "data": "x holds NaN or infinity in row 1 of the batch: sample 9.",
    "layer": "not finite is 'culprit'; the batch is made of sample 8, sample 9, sample 10, sample 11.",
}


@pytest.mark.parametrize("kind", CAUSES)
def test_nan_stops_names_its_source_and_keeps_the_weights(kind, capsys):
    model, x = broken(kind)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(x, Y, batch_size=4, epochs=3, verbose=0, shuffle=False, callbacks=[TerminateOnNaN()])
    shown = capsys.readouterr().out
    assert "Batch 2: Invalid loss, terminating training" in shown
    assert CAUSES[kind] in shown
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    assert int(model.optimizer.iterations) == 2
    assert not model._stops_at_nan


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_nan_on_the_engine_stops_and_puts_the_weights_back(optimizer, capsys):
    """The engine has learned from a batch before its loss is seen."""

    def trained(x, **named):
        model = network("native")
        model.compile(optimizer, "sparse_categorical_crossentropy", engine="native")
        model.fit(x, Y[: len(x)], batch_size=4, verbose=0, shuffle=False, **named)
        return model

    x = X.copy()
    x[9, 2, 2] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = trained(x, callbacks=[TerminateOnNaN()])
    assert CAUSES["data"] in capsys.readouterr().out
    before = trained(X[:8])
    assert same(before, model)
    assert int(model.optimizer.iterations) == 2
    np.testing.assert_array_equal(model.predict(X, verbose=0), before.predict(X, verbose=0))
    for after in (model, before):
        after.fit(X, Y, batch_size=4, verbose=0, shuffle=False)  # what the optimizer has noted is as before, too
    assert same(before, model)


@pytest.mark.parametrize("engine", ["native", "torch"])
def test_nan_leaves_no_trace_in_statistics(engine):
    model = keras.Sequential([layers.Input((6, 6, 1)), layers.BatchNormalization(), layers.Flatten(), layers.Dense(2)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), engine=engine)
    x = X.copy()
    x[9, 2, 2] = np.nan
    model.fit(x, Y, batch_size=4, verbose=0, shuffle=False, callbacks=[TerminateOnNaN()])
    assert int(model.optimizer.iterations) == 2
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    with pytest.raises(ValueError, match="in the first step"):
        model.fit(x[8:], Y[8:], batch_size=4, verbose=0, shuffle=False)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_nan_of_weights_that_an_earlier_batch_has_spoiled(capsys):
    model = network()
    spoil = at(0, 1, lambda: model.layers[-1].kernel.assign(np.full((32, 2), np.nan, "float32")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit(model, TerminateOnNaN(), spoil)
    assert "'last', whose weights are not: gradients of an earlier batch were not finite" in capsys.readouterr().out


def test_nan_in_a_train_step_of_ones_own_is_explained_too():
    class Own(keras.Sequential):
        def train_step(self, data):
            return super().train_step(data) | {"loss": float("nan")}

    model = Own([layers.Input((6, 6, 1)), layers.Flatten(), layers.Dense(2, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(RuntimeError, match=r"nan at batch 0 .the outputs of all layers are finite, the loss is not;"):
        fit(model, TerminateOnNaN(raise_error=True))


def test_nan_of_the_first_batch_is_an_error_that_says_whose_it_is():
    with pytest.raises(
        ValueError, match=r"a loss of nan in the first step .x holds NaN or infinity in rows 0, 1, 2.*: sample \d+,"
    ):
        network().fit(X * np.nan, Y, verbose=0)


def test_nan_without_a_callback_is_a_warning():
    model, x = broken("data")
    with pytest.warns(UserWarning, match=r"a loss of NaN.*TerminateOnNaN"):
        model.fit(x, Y, batch_size=4, verbose=0, shuffle=False)


# -- surroundings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("leap", [-3600.0, 3600.0 * 24 * 400])
def test_a_clock_that_is_changed_changes_nothing(leap, monkeypatch, capsys):
    model, clock = network(), time.time
    leaps = at(0, 2, lambda: monkeypatch.setattr(time, "time", lambda: clock() + leap))
    history = fit(model, leaps, verbose=1)
    assert history.epoch == [0, 1, 2]
    assert "-1" not in capsys.readouterr().out.split("Epoch 1/3")[1].split("accuracy")[0]


PROGRAM = """
import sys
import numpy as np
import convia as keras
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
model.compile("sgd", "mse")
model.fit(np.zeros((64, 4), "float32"), np.zeros((64, 2), "float32"), epochs=400, batch_size=32, verbose=2)
model.save(sys.argv[1])
print("end", file=sys.stderr)
"""

HOMES = {
    "none": lambda folder: {"HOME": None},
    "a file": lambda folder: {"HOME": str(ROOT / "LICENSE")},  # nothing can be written below it
}


@pytest.mark.parametrize("home", HOMES)
def test_without_a_home_and_with_nobody_who_reads(home, tmp_path):
    """A pipe is closed after its first line, as by ``| head -1``; training goes on, silently, to the end."""
    changed = {**os.environ, "PYTHONPATH": str(ROOT), "MPLCONFIGDIR": str(tmp_path / "plots"), **HOMES[home](tmp_path)}
    environment = {name: value for name, value in changed.items() if value is not None}
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "m.keras")]
    with subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=-1, stderr=-1, text=True) as process:
        assert process.stdout.readline().strip() == "Epoch 1/400"
        process.stdout.close()
        told = process.stderr.read()
    assert (process.returncode, told.strip().splitlines()[-1]) == (0, "end"), told
    assert keras.models.load_model(tmp_path / "m.keras").count_params() == 10


def test_settings_of_a_home_that_cannot_be_found(monkeypatch):
    monkeypatch.delenv("KERAS_HOME", raising=False)
    monkeypatch.setenv("HOME", "/nobody")
    assert config.device() is not None


# -- images -----------------------------------------------------------------------------------------------------------


def small():
    model = keras.Sequential([layers.Input((8, 8, 3)), layers.Flatten(), layers.Dense(2, activation="softmax")])
    model.compile("sgd", "categorical_crossentropy")
    return model


SPOILED = {
    "deleted": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:50]),
    "no image": lambda path: path.write_text("text"),
}


@pytest.mark.parametrize("what", SPOILED)
def test_images_that_vanish_or_break_while_training_are_named_and_left_out(what, photos):
    generator = keras.preprocessing.image.ImageDataGenerator()
    flow = generator.flow_from_directory(photos, (8, 8), batch_size=2, shuffle=False)
    spoil = LambdaCallback(on_train_begin=lambda logs: [SPOILED[what](path) for path in photos.rglob("[3-5].png")])
    with pytest.warns(UserWarning, match=r"received 6 of 12 files in all that cannot be read: .*3\.png"):
        history = small().fit(flow, epochs=2, verbose=0, callbacks=[spoil])
    assert history.epoch == [0, 1]


def test_a_folder_of_images_that_vanishes_ends_the_training_and_the_last_model_is_kept(photos, tmp_path):
    generator = keras.preprocessing.image.ImageDataGenerator()
    flow = generator.flow_from_directory(photos, (8, 8), batch_size=2, shuffle=False)
    flow.cache = None  # read from the disk in every epoch
    gone = LambdaCallback(on_epoch_begin=lambda epoch, logs: epoch == 1 and shutil.rmtree(photos))
    with warnings.catch_warnings(), pytest.raises((OSError, ValueError), match="photos"):
        warnings.simplefilter("ignore")
        small().fit(flow, epochs=3, verbose=0, callbacks=[ModelCheckpoint(tmp_path / "m.keras"), gone])
    assert keras.models.load_model(tmp_path / "m.keras").count_params() == 386


def bright(pixels):
    """Scale pictures to a mean of 1, as a user's function may; of one that is black, that is 0 / 0."""
    return pixels / pixels.mean()


@pytest.mark.parametrize("kind", ["flow", "pipeline", "mapped"])
@pytest.mark.parametrize("place", [0, 5])
def test_nan_names_the_file(kind, place, photos, capsys):
    for path in photos.glob("*/0.png"):  # they are black
        path.write_bytes(path.with_name("1.png").read_bytes())
    guilty = photos / "b" / f"{place}.png"
    Image.new("RGB", (8, 8)).save(guilty)
    if kind == "flow":
        generator = keras.preprocessing.image.ImageDataGenerator(preprocessing_function=bright)
        data = generator.flow_from_directory(photos, (8, 8), batch_size=3)
    else:
        options = {"image_size": (8, 8), "label_mode": "categorical", "verbose": False}
        data = keras.utils.image_dataset_from_directory(photos, batch_size=None if kind == "mapped" else 3, **options)
        data = data.map(lambda x, y: (x / x.mean((-3, -2, -1), keepdim=True), y))
        data = data.batch(3).prefetch(2) if kind == "mapped" else data
    try:
        small().fit(data, verbose=0, callbacks=[TerminateOnNaN()])
    except ValueError as error:  # where it was in the first batch
        print(error)
    assert f"of the batch: {guilty}" in capsys.readouterr().out
