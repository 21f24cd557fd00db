"""``convia train --devices 2``: two processes train as one, and write one run folder."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from convia.cli.launch import require_devices
from convia.cli.settings import Settings
from convia.config import set_device
from convia.saving import load_model

ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
ENVIRONMENT |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
TRAIN = [sys.executable, "-m", "convia", "train", "digits", "--model", "course", "--seed", "3"]


def start(folder, *words):
    words = [*TRAIN, *map(str, words)]
    return subprocess.Popen(
        words, cwd=folder, env=ENVIRONMENT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def run(folder, *words, code=0):
    done = start(folder, *words)
    out, err = done.communicate(timeout=120)
    assert done.returncode == code, (done.returncode, out[-1500:], err[-3000:])
    return out, err


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of one process, and one of two that is killed after an epoch, and goes on."""
    folder = tmp_path_factory.mktemp("runs")
    run(folder, "--epochs", 4, "--output", "one")
    killed = start(folder, "--epochs", 4, "--output", "two", "--devices", 2, "--json")
    lines = []
    for line in killed.stdout:
        lines.append(json.loads(line))
        if lines[-1]["event"] == "epoch":
            killed.send_signal(signal.SIGTERM)
            break
    lines += [json.loads(line) for line in killed.stdout if line.startswith("{")]
    killed.stderr.read()
    goes_on = run(folder, "--epochs", 4, "--output", "two", "--devices", 2, "--resume")
    return folder, killed.wait(60), lines, goes_on


def test_sigterm_ends_all_processes_and_is_heard_once(runs):
    _, code, lines, _ = runs
    assert code == 128 + signal.SIGTERM
    assert [line["event"] for line in lines].count("start") == 1
    assert 1 <= sum(line["event"] == "epoch" for line in lines) < 4


def test_two_processes_that_were_interrupted_give_what_one_does(runs):
    folder, _, _, (out, err) = runs
    assert "goes on at epoch" in out
    assert err == ""
    one, two = (np.genfromtxt(folder / name / "history.csv", delimiter=",", names=True) for name in ("one", "two"))
    for name in one.dtype.names:
        np.testing.assert_allclose(two[name], one[name], atol=1e-4, err_msg=name)
    weights = [load_model(folder / name / "model.keras").get_weights() for name in ("one", "two")]
    for other, weight in zip(*weights, strict=True):
        np.testing.assert_allclose(weight, other, atol=1e-4)


def test_one_run_folder_is_written_and_nothing_else_left(runs):
    folder = runs[0]
    assert sorted(path.name for path in folder.iterdir()) == ["one", "two"]
    assert {path.name for path in (folder / "one").iterdir()} == {path.name for path in (folder / "two").iterdir()}
    assert json.loads((folder / "two" / "result.json").read_text())["settings"]["devices"] == 2


def test_mistakes_are_said_once(tmp_path):
    (tmp_path / "empty").mkdir()
    words = [*TRAIN[:4], "./empty", "--devices", "2"]
    done = subprocess.run(words, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.count("received no images in empty") == 1
    assert "Traceback" not in done.stderr


def test_a_worker_that_dies_ends_the_training_and_says_how_to_go_on(tmp_path):
    running = start(tmp_path, "--epochs", 500, "--patience", 500, "--devices", 2)
    while "epoch" not in running.stdout.readline():
        pass
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    os.kill(int(children[1]), signal.SIGKILL)
    out, err = running.communicate(timeout=60)
    assert running.returncode not in (0, None)
    assert "--resume goes on after the last whole epoch" in out
    assert err
    time.sleep(0.1)
    assert not any(Path(f"/proc/{child}").exists() for child in children)


@pytest.mark.parametrize(
    "choice, said", [({"devices": 0}, "whole number ≥ 1"), ({"devices": 2, "device": "cuda:1"}, "Each takes one")]
)
def test_choices_that_make_no_sense(choice, said):
    with pytest.raises(ValueError, match=said):
        Settings("digits", **choice)


def test_a_gpu_for_each_process(monkeypatch):
    set_device("cpu")
    require_devices(64)
    monkeypatch.setattr("convia.config._settings", {"device": type("Device", (), {"type": "cuda"})()})
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    require_devices(2)
    with pytest.raises(ValueError, match="at most 2, the number of GPUs"):
        require_devices(3)
