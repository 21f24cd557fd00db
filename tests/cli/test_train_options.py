"""What ``convia train`` can do beside training: going on, finding the rate, augmentation, configuration, events."""

import json
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from convia.cli import app
from convia.cli.data import Part
from convia.cli.fitting import AUGMENT, class_weights, imbalance
from convia.cli.settings_file import read_settings, write_settings

QUICK = ("train", "digits", "--model", "course", "--output", "out")


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def facts(folder="out"):
    return json.loads(Path(folder, "result.json").read_text(encoding="utf-8"))


def test_class_weights_and_imbalance():
    part = Part(np.zeros((6, 1, 1, 1)), np.array([0, 0, 0, 0, 1, 1]))
    assert class_weights(part, 2) == {0: 6 / (2 * 4), 1: 6 / (2 * 2)}
    assert imbalance(part, ["cats", "dogs"]) == "cats has 4 images for training, dogs only 2"
    assert imbalance(part.take([0, 1, 4, 5]), ["cats", "dogs"]) == ""


def test_an_interrupted_training_goes_on(monkeypatch):
    from convia.cli.progress import Timer

    whole, calls = Timer.on_epoch_end, []

    def stop(self, epoch, logs=None):
        whole(self, epoch, logs)
        calls.append(epoch)
        if epoch == 2 and len(calls) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Timer, "on_epoch_end", stop)
    first = run(*QUICK, "--epochs", 4)
    assert first.exit_code == 130
    assert first.stderr.splitlines() == ["Stopped. The same command with --resume goes on from there."]
    assert "written" not in first.output
    assert "received other values of batch_size" in run(*QUICK, "--epochs", 4, "--batch-size", 8, "--resume").stderr
    second = run(*QUICK, "--epochs", 4, "--resume")
    assert second.exit_code == 0, second.output
    assert "goes on at epoch 3" in second.output
    assert calls == [0, 1, 2, 2, 3]
    assert len(Path("out", "history.csv").read_text().splitlines()) == 5
    assert not Path(".out-backup").exists()
    assert run(*QUICK[:-1], "straight", "--epochs", 4).exit_code == 0
    assert facts()["test"]["loss"] == pytest.approx(facts("straight")["test"]["loss"], rel=1e-4)


def test_learning_rate_and_augmentation():
    result = run(*QUICK, "--epochs", 1, "--lr", "auto", "--augment", "strong", "--class-weights")
    assert result.exit_code == 0, result.output
    for name in ("learning_rate.png", "augmentation.png"):
        Image.open(Path("out", name)).verify()
    assert 1e-6 < facts()["learning_rate"] < 1
    assert "found by a range test" in result.output


def test_the_configuration_repeats_the_run(monkeypatch):
    monkeypatch.setattr("sys.argv", ["convia", "train", "digits", "--seed", "3"])  # what the run writes as its command
    assert run(*QUICK, "--epochs", 2, "--seed", 3).exit_code == 0
    config = Path("out", "config.toml")
    written = tomllib.loads(config.read_text())
    assert (written["epochs"], written["seed"], written["model"], written["data"]) == (2, 3, "course", "digits")
    assert config.read_text().startswith("# convia train digits --seed 3\n")
    assert run("train", "--config", config, "--output", "again").exit_code == 0
    assert facts("again")["test"] == facts()["test"]
    assert run("train", "--config", config, "--output", "other", "--epochs", 1).exit_code == 0
    assert facts("other")["epochs"]["run"] == 1


def test_events_for_programs():
    result = run(*QUICK, "--epochs", 2, "--json")
    assert result.exit_code == 0, result.output
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert [event["event"] for event in events] == ["start", "epoch", "epoch", "end"]
    assert events[1]["images_per_second"] > 0
    assert events[-1]["test"]["accuracy"] == facts()["test"]["accuracy"]


@pytest.mark.parametrize(
    ("error", "code", "epoch", "said"),
    [
        (KeyboardInterrupt, 130, 1, {"resume": True, "reason": "KeyboardInterrupt"}),
        (KeyboardInterrupt, 130, 0, {"resume": False, "reason": "KeyboardInterrupt"}),
        (lambda: OSError("disk full"), 1, 1, {"resume": True, "reason": "OSError: disk full"}),
    ],
)
def test_events_of_an_interrupted_run_stay_json(monkeypatch, error, code, epoch, said):
    from convia.cli.progress import Timer

    def stop(self, number, logs=None):
        if number == epoch:
            raise error()

    monkeypatch.setattr(Timer, "on_epoch_begin", stop)
    result = run(*QUICK, "--epochs", 3, "--json")
    assert result.exit_code == code
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert [event["event"] for event in events] == ["start", *["epoch"] * epoch, "stopped"]
    assert events[-1] == {"event": "stopped", **said}
    assert Path(".out-backup").exists() == said["resume"]


def test_a_folder_is_checked_first(tmp_path):
    random = np.random.default_rng(0)
    for name, count in (("a", 12), ("b", 4)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(count):
            pixels = random.integers(0, 255, (8, 8, 3)).astype("uint8")
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    (tmp_path / "photos" / "a" / "empty.png").touch()
    words = ("train", "photos", "--model", "course", "--epochs", 1)
    result = run(*words)
    assert result.exit_code == 0, result.output
    assert "1  files without content" in result.output
    assert "a has 8 images for training, b only 2: see --class-weights" in result.output
    assert "checked" not in run(*words, "--no-check").output
    assert "weighted by 0.62 to 2.50" in run(*words, "--class-weights").output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["digits", "--lr", "fast"], "--learning-rate: received 'fast'; expected a number > 0, or auto"),
        (["digits", "--augment", "much"], f"--augment: received 'much'; expected one of {[*AUGMENT]}"),
        (["digits", "--precision", "float8"], "--precision: received 'float8'; expected one of ['float32', "),
        (["--config", "none.toml"], "none.toml"),
        (["--config", "wrong.toml"], "--config: received the setting 'epoch' in wrong.toml; expected known ones"),
        (["--config", "broken.toml"], "which is not TOML"),
        (["--config", "text.toml"], "--epochs: received 'five'; expected a whole number."),
        (["--config", "half.toml"], "--batch-size: received 2.5; expected a whole number."),
        (["--config", "list.toml"], "--data: received ['digits']; expected a text."),
        (["--config", "yes.toml"], "--class-weights: received 'yes'; expected true or false."),
        (["--config", "true.toml"], "--learning-rate: received True; expected a number or a text."),
    ],
)
def test_errors(words, message):
    Path("wrong.toml").write_text('data = "digits"\nepoch = 3\n')
    Path("broken.toml").write_text("epochs is 3")
    Path("text.toml").write_text('data = "digits"\nepochs = "five"')
    Path("half.toml").write_text('data = "digits"\nbatch_size = 2.5')
    Path("list.toml").write_text('data = ["digits"]')
    Path("yes.toml").write_text('data = "digits"\nclass-weights = "yes"')
    Path("true.toml").write_text('data = "digits"\nlearning-rate = true')
    result = run("train", *words)
    assert result.exit_code == 1
    assert message in result.stderr


def test_a_loss_that_is_no_number_stops_and_is_named():
    result = run(*QUICK, "--epochs", 2, "--lr", "1e30")
    assert result.exit_code == 1
    assert "Error: TerminateOnNaN: received the loss nan at batch" in result.stderr
    assert "the first layer whose output is not finite is" in result.stderr and "--debug" not in result.stderr
    assert not Path("out").exists() and not Path(".out-backup").exists()


def test_settings_as_toml(tmp_path):
    values = {"data": 'a "b" ü', "epochs": 3, "learning_rate": 1e-05, "check": True, "output": None}
    write_settings(tmp_path / "s.toml", values, ["convia", "train"])
    assert read_settings(str(tmp_path / "s.toml"), values) == {name: v for name, v in values.items() if v is not None}


def test_half_precision():
    assert run(*QUICK, "--epochs", 1, "--precision", "mixed_bfloat16").exit_code == 0
    assert facts()["settings"]["precision"] == "mixed_bfloat16"


@pytest.mark.skipif(os.name != "posix", reason="signals are sent")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_events_of_a_run_that_a_signal_stops_stay_json(number):
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from convia.cli import main; main()"
    )
    words = [sys.executable, "-c", program, *QUICK, "--epochs", "500", "--patience", "500", "--json"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    events = []
    for line in process.stdout:
        events.append(json.loads(line))
        if events[-1].get("epoch") == 2:
            process.send_signal(number)
    assert events[-1]["event"] == "stopped" and events[-1]["resume"]
    assert process.stderr.read() == "Stopped. The same command with --resume goes on from there.\n"
    assert process.wait() == 128 + number
    process.stderr.close()


@pytest.mark.skipif(os.name != "posix", reason="processes are killed")
def test_a_killed_training_goes_on_and_leaves_nothing():
    """As often as it is killed, the same comes out as without: every epoch once, and no folder but the run's."""
    words = [sys.executable, "-m", "convia", *QUICK, "--epochs", "6", "--patience", "6"]
    done = subprocess.run([*words, "--output", "whole"], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("epoch 3/6"):
            process.send_signal(signal.SIGKILL)
            break
    process.communicate()
    assert not Path("out").exists()
    history = Path(".out-backup", "history.csv")
    history.write_bytes(history.read_bytes() + b"99,0,0,0,0,0\r\n9")  # written after the state was, and cut short
    done = subprocess.run([*words, "--resume"], check=False, capture_output=True, text=True)
    assert done.returncode == 0 and "goes on at epoch" in done.stdout, done.stderr
    assert {path.name for path in Path().iterdir()} == {"out", "whole"}
    assert Path("out", "history.csv").read_bytes() == Path("whole", "history.csv").read_bytes()
