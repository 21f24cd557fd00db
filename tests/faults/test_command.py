"""``convia train`` on numbers that go astray, beside another one, and on a disk that is full."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import convia as keras
from convia.cli import app, train

ROOT = Path(__file__).parents[2]
QUICK = ["train", "digits", "--model", "course", "--epochs", "1", "--output", "out"]


def test_the_command_stops_at_nan_and_names_layer_and_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for number in range(20):
        path = tmp_path / "photos" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (16, 16, 3), np.uint8)).save(path)
    for augment in ("none", "light"):
        words = ["train", "photos", "--model", "deep", "--lr", "1e30", "--epochs", "3", "--json", "--augment", augment]
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 1
        last = json.loads(done.stdout.splitlines()[-1])
        assert last["event"] == "stopped"
        assert "the loss nan at batch" in last["reason"]
        assert "the first layer whose output is not finite is" in last["reason"]
        assert "the batch is made of photos/" in last["reason"].replace("\\", "/")


def test_two_commands_do_not_share_a_folder(tmp_path, monkeypatch):
    """The second is refused before it touches anything; the first, and a later one, come to their end."""
    monkeypatch.chdir(tmp_path)
    program = [sys.executable, "-m", "convia", *QUICK]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen([*program, "--epochs", "3"], env=environment, stdout=-1, text=True) as first:
        for line in first.stdout:
            if line.startswith("epoch 1/3"):
                break
        first.send_signal(signal.SIGSTOP)  # so that it has not ended before the second begins
        done = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
        first.send_signal(signal.SIGCONT)
        shown = first.stdout.read()
    assert done.returncode == 1
    assert "convia train: received the folder out, which another process is using; expected" in done.stderr
    assert first.returncode == 0 and "epoch 3/3" in shown
    assert CliRunner().invoke(app, QUICK).exit_code == 0
    assert {path.name for path in tmp_path.iterdir()} == {"out", "out-2"}


def test_a_command_on_a_full_disk_says_what_and_how_to_go_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(train, "write_json", full)
        done = CliRunner().invoke(app, QUICK)
    assert done.exit_code == 1
    received = (
        "convia train: received No space left on device while writing out; expected a disk that can be written to"
    )
    assert f"Error: {received}. Make room, or choose another --output." in done.stderr
    assert "The same command with --resume goes on" in done.output
    assert CliRunner().invoke(app, [*QUICK, "--resume"]).exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.weights.h5"])
def test_a_model_that_a_full_disk_does_not_take_is_named(name, tmp_path, small_files):
    model = keras.Sequential([keras.Input((100,)), keras.layers.Dense(100)])
    save = model.save_weights if "weights" in name else model.save
    save(tmp_path / name)
    before = (tmp_path / name).read_bytes()
    with (
        small_files(64),
        pytest.raises(OSError, match=rf"received File too large while writing .*{name}; expected") as e,
    ):
        save(tmp_path / name)
    assert e.value.errno == errno.EFBIG
    assert (tmp_path / name).read_bytes() == before and len(list(tmp_path.iterdir())) == 1
