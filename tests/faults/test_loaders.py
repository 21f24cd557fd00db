"""What loads the data goes wrong: network drives, threads and processes that read; homes that cannot be written to."""

import errno
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import convia as keras
from convia import layers
from convia.callbacks import BackupAndRestore, LambdaCallback, ModelCheckpoint
from convia.images import directory, flows

ROOT = Path(__file__).parents[2]
X, Y = np.random.default_rng(0).normal(size=(24, 4)).astype("float32"), np.arange(24) % 2


def network(shape=(4,)):
    model = keras.Sequential([layers.Input(shape), layers.Flatten(), layers.Dense(2, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def kept(folder):
    """Whether the model of the epochs before is there."""
    return keras.models.load_model(folder / "m.keras").count_params() > 0


# -- network drives ---------------------------------------------------------------------------------------------------


def as_flow(photos):
    generator = keras.preprocessing.image.ImageDataGenerator()
    return generator.flow_from_directory(photos, (8, 8), batch_size=2, class_mode="sparse", cache=None)


def as_dataset(photos):
    return keras.utils.image_dataset_from_directory(photos, batch_size=2, image_size=(8, 8), verbose=False)


READERS = {"flow": (as_flow, flows, "decode"), "dataset": (as_dataset, directory, "decode_bilinear")}


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT])
@pytest.mark.parametrize("kind", READERS)
def test_a_network_drive_that_is_lost_ends_the_training_and_the_last_model_is_kept(
    kind, number, photos, tmp_path, monkeypatch
):
    make, module, name = READERS[kind]

    def fail(path, *rest, **named):
        raise OSError(number, os.strerror(number), str(path))

    lose = LambdaCallback(on_epoch_begin=lambda epoch, logs: epoch == 1 and monkeypatch.setattr(module, name, fail))
    with pytest.warns(UserWarning), pytest.raises(OSError, match=f"12 files, none of which.*{os.strerror(number)}"):
        network((8, 8, 3)).fit(
            make(photos), epochs=3, verbose=0, callbacks=[lose, ModelCheckpoint(tmp_path / "m.keras")]
        )
    assert kept(tmp_path)


@pytest.mark.parametrize("kind", READERS)
def test_a_file_that_a_drive_cannot_give_is_named_and_left_out(kind, photos, monkeypatch):
    make, module, name = READERS[kind]
    whole = getattr(module, name)

    def fail(path, *rest, **named):
        if str(path).endswith("4.png"):
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return whole(path, *rest, **named)

    monkeypatch.setattr(module, name, fail)
    with pytest.warns(UserWarning, match=r"4\.png"):
        history = network((8, 8, 3)).fit(make(photos), epochs=2, verbose=0)
    assert history.epoch == [0, 1]


# -- threads and processes that read ----------------------------------------------------------------------------------


DEADLY = """
import os, signal, sys
from pathlib import Path
import numpy as np
import torch
import convia as keras
from convia.callbacks import LambdaCallback, ModelCheckpoint

FOLDER = Path(sys.argv[1])

class Deadly(torch.utils.data.Dataset):
    def __len__(self):
        return 24

    def __getitem__(self, index):
        if index == 20 and (FOLDER / "now").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return np.zeros(4, "float32"), 1

if __name__ == "__main__":
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    kill = LambdaCallback(on_epoch_end=lambda epoch, logs: (FOLDER / "now").touch())
    loader = torch.utils.data.DataLoader(Deadly(), batch_size=4, num_workers=1)
    model.fit(loader, epochs=3, verbose=0, callbacks=[ModelCheckpoint(FOLDER / "m.keras"), kill])
"""


def test_a_killed_loader_process_ends_the_training_and_the_last_model_is_kept(tmp_path):
    script = tmp_path / "deadly.py"  # torch raises in whatever runs when the signal comes: not here
    script.write_text(DEADLY)
    path = {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, script, tmp_path],
        env=os.environ | path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 1
    # where the process was just handing a batch over, what torch says is that of the broken connection
    assert re.search(r"DataLoader worker .*(killed by signal|exited unexpectedly)|ConnectionResetError", done.stderr)
    assert kept(tmp_path)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_an_error_in_a_loader_thread_is_the_users_own_and_no_thread_is_left(workers, tmp_path):
    class Fails(keras.utils.PyDataset):
        epoch = 0

        def __len__(self):
            return 6

        def __getitem__(self, index):
            if index == 3 and self.epoch:
                raise KeyError("row 12 of labels.csv")
            return X[index * 4 : index * 4 + 4], Y[index * 4 : index * 4 + 4]

        def on_epoch_end(self):
            self.epoch += 1

    before = {thread.name for thread in threading.enumerate()}
    with pytest.raises(KeyError, match=r"row 12 of labels\.csv"):
        network().fit(Fails(workers=workers), epochs=3, verbose=0, callbacks=[ModelCheckpoint(tmp_path / "m.keras")])
    assert kept(tmp_path)
    assert {thread.name for thread in threading.enumerate()} == before


def test_a_generator_that_ends_early_is_a_warning_and_the_epochs_so_far_count():
    def batches():
        for start in range(0, 24, 4):
            yield X[start : start + 4], Y[start : start + 4]

    with (
        pytest.warns(UserWarning, match="The data ended after 2 of 4 steps"),
        pytest.raises(ValueError, match="no batch"),
    ):
        network().fit(batches(), steps_per_epoch=4, epochs=3, verbose=0)


# -- a process that is killed, files that are damaged -------------------------------------------------------------------

PROGRAM = """
import os, signal, sys
import numpy as np
import convia as keras
from convia.callbacks import BackupAndRestore, LambdaCallback
keras.utils.set_random_seed(1)
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
model.compile("adam", "mse")
def fall(epoch, logs):
    if epoch == 2 and sys.argv[2] == "falls":
        os.kill(os.getpid(), signal.SIGKILL)
x = np.arange(256, dtype="float32").reshape(64, 4) / 256
history = model.fit(x, x[:, :2], epochs=4, verbose=0, callbacks=[BackupAndRestore(sys.argv[1]), LambdaCallback(on_epoch_begin=fall)])
print(history.epoch, model.get_weights()[0].tobytes().hex())
"""


def run(*words, **environment):
    changed = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    command = [sys.executable, "-c", PROGRAM, *map(str, words)]
    return subprocess.run(command, env=changed, capture_output=True, text=True, timeout=100, check=False)


def test_after_sigkill_the_same_program_goes_on_to_the_same_weights(tmp_path):
    whole = run(tmp_path / "a", "stays").stdout.split()[-1]
    assert run(tmp_path / "b", "falls").returncode == -signal.SIGKILL
    again = run(tmp_path / "b", "stays").stdout
    assert again.startswith("[2, 3]") and again.split()[-1] == whole


def test_where_no_backup_can_be_read_nothing_is_overwritten(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "latest.npz").write_bytes(b"PK half a file")
    with pytest.raises(OSError, match=r"latest.npz is damaged.*Delete the folder to begin anew"):
        network().fit(X, Y, verbose=0, callbacks=[BackupAndRestore(tmp_path / "b")])
    assert (tmp_path / "b" / "latest.npz").read_bytes() == b"PK half a file"


# -- homes ------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="/proc is what nobody, not even root, can write to")
def test_a_home_that_can_only_be_read_does_not_matter(tmp_path):
    done = run(tmp_path / "a", "stays", HOME="/proc", MPLCONFIGDIR=str(tmp_path / "plots"))
    assert (done.returncode, done.stdout[:12]) == (0, "[0, 1, 2, 3]"), done.stderr


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="/proc is what nobody, not even root, can write to")
def test_a_cache_that_can_only_be_read_is_told_by_the_download(tmp_path, monkeypatch):
    (tmp_path / "data.txt").write_text("text")
    monkeypatch.setenv("KERAS_HOME", "/proc")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    path = keras.utils.get_file("data.txt", (tmp_path / "data.txt").as_uri())
    assert Path(path).read_text() == "text" and Path(path).is_relative_to(tmp_path)
