"""``convia train`` from the words on the command line to the files in the run folder."""

import csv
import importlib.metadata
import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

import convia
from convia.applications import MobileNetV2
from convia.callbacks import Callback
from convia.cli import app
from convia.cli.train import Outcome, Settings, _threads, train

FILES = [
    "config.toml", "confusion_matrix.png", "feature_maps.png", "filters.png", "history.csv", "learning_curves.png", "model.keras",
    "predictions.png", "report", "report.html", "result.json",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def photos(tmp_path):
    """Bright and dark images of two classes, one file broken."""
    random = np.random.default_rng(0)
    for name, level in (("dark", 0), ("bright", 155)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(20):
            pixels = random.integers(level, level + 100, (8, 8, 3)).astype("uint8")
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    (tmp_path / "photos" / "dark" / "broken.jpg").write_bytes(b"\xff\xd8 no more")
    return tmp_path / "photos"


def test_a_folder_of_images(photos):
    result = run("train", photos, "--model", "course", "--epochs", 12, "--learning-rate", 0.02, "--output", "out/first")
    assert result.exit_code == 0, result.output
    text = result.output
    assert "photos: 2 classes, colour images of 8×8 (28 for training, 6 for validation, 6 for testing)" in text
    assert "1 file could not be read and is left out" in text
    assert "broken.jpg" in text
    assert "epoch  1/12" in text
    assert "results        out/first" in text
    folder = photos.parent / "out" / "first"
    assert sorted(path.name for path in folder.iterdir()) == FILES
    facts = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert facts["test"]["accuracy"] == 1.0
    assert facts["test"]["classes"] == {"bright": {"images": 3, "right": 3}, "dark": {"images": 3, "right": 3}}
    assert facts["class_names"] == ["bright", "dark"]
    assert facts["images"] == {"training": 28, "validation": 6, "testing": 6}
    assert facts["settings"]["model"] == "course"
    assert facts["settings"]["learning_rate"] == 0.02
    assert facts["seed"] == 0
    assert facts["versions"]["torch"].startswith(importlib.metadata.version("torch").split("+")[0])
    assert list(facts["unreadable"]) == [str(photos / "dark" / "broken.jpg")]
    assert facts["command"][0] == "convia"
    rows = list(csv.DictReader((folder / "history.csv").open()))
    assert len(rows) == facts["epochs"]["run"]
    best = min(rows, key=lambda row: float(row["val_loss"]))
    assert int(best["epoch"]) + 1 == facts["epochs"]["best"]
    for name in FILES:
        if name.endswith("png"):
            Image.open(folder / name).verify()


def test_the_saved_model_takes_the_images_as_they_are(photos):
    settings = Settings(str(photos), model="lenet", epochs=2, output="out")
    outcome = train(settings)
    again = convia.models.load_model(outcome.folder / "model.keras")
    images = outcome.images.test.images
    np.testing.assert_allclose(again.predict(images, verbose=0), outcome.probabilities, atol=1e-6)
    assert outcome.accuracy == np.mean(outcome.probabilities.argmax(1) == outcome.images.test.labels)
    assert type(again.layers[0]).__name__ == "Rescaling"
    assert again.layers[0].scale == pytest.approx(1 / 255)


def test_digits_with_few_epochs_twice():
    for expected in ("digits", "digits-2"):
        result = run("train", "digits", "--model", "lenet", "--epochs", 3, "--seed", 5)
        assert result.exit_code == 0, result.output
        assert f"runs/{expected}\n" in result.output
    first, second = (json.loads(Path("runs", name, "result.json").read_text()) for name in ("digits", "digits-2"))
    assert first["test"]["accuracy"] == second["test"]["accuracy"] > 0.8  # the seed decides everything


def test_digits_by_default_reach_97_percent():
    outcome = train(Settings("digits"))
    assert outcome.accuracy >= 0.97
    assert outcome.facts["settings"]["model"] == "deep"
    assert outcome.facts["epochs"]["best"] == 1 + int(np.argmin(outcome.history["val_loss"]))


def test_threads_are_given_back():
    before = torch.get_num_threads()
    with _threads(100):
        assert torch.get_num_threads() == 1
    with _threads(10**6):
        assert torch.get_num_threads() == before
    assert torch.get_num_threads() == before


def test_the_quick_network_for_many_images(monkeypatch):
    monkeypatch.setattr("convia.cli.train.MANY_IMAGES", 100)
    outcome = train(Settings("digits", epochs=1))
    assert outcome.facts["settings"]["model"] == outcome.model.name == "lenet"


def test_a_bar_on_a_terminal(capsys):
    console = Console(force_terminal=True, width=90)
    train(Settings("digits", model="course", epochs=2), console)
    shown = capsys.readouterr().out
    assert "epoch 2/2" in shown
    assert "validation accuracy" in shown
    assert "epoch 1/2   loss" not in shown


def test_many_classes_are_summed_up(monkeypatch, photos):
    monkeypatch.setattr("convia.cli.table._MOST_CLASSES", 1)
    result = run("train", photos, "--model", "course", "--epochs", 1)
    assert "the 10 worst of 2 classes" in result.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere/photos"], "DATA: received 'nowhere/photos'; expected a folder of images"),
        (["digitz"], "Did you mean 'digits'?"),
        (
            ["digits", "--model", "lenett"],
            "--model: received 'lenett'; expected a network's name. Did you mean 'lenet'?",
        ),
        (["digits", "--epochs", "0"], "--epochs: received 0; expected a whole number ≥ 1"),
        (["digits", "--batch-size", "0"], "--batch-size: received 0"),
        (["digits", "--patience", "0"], "--patience: received 0"),
        (["digits", "--image-size", "3"], "--image-size: received 3; expected a number of pixels ≥ 4"),
        (["digits", "--learning-rate", "0"], "--learning-rate: received 0.0; expected a number > 0"),
        (["digits", "--seed", "-1"], "--seed: received -1"),
        (["digits", "--test-split", "1"], "--test-split: received 1.0; expected a share between 0 and 1"),
        (["digits", "--test-split", "0.5", "--validation-split", "0.5"], "shares that leave"),
        (["digits", "--device", "abacus"], "set_device: received 'abacus'"),
    ],
)
def test_errors(words, message):
    result = run("train", *words)
    assert result.exit_code == 1
    assert message in result.stderr
    assert "Traceback" not in result.output + result.stderr


def test_a_single_image_of_a_class(photos):
    (photos / "rare").mkdir()
    Image.new("RGB", (8, 8)).save(photos / "rare" / "1.png")
    result = run("train", photos)
    assert result.exit_code == 1
    assert "class 'rare': received 1 readable image; expected at least 3" in result.stderr
    assert "Add images, or take the class away." in result.stderr


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (RuntimeError("[a] bug"), 1, "Error: RuntimeError: [a] bug\nRun the command again with --debug"),
        (OSError("disk full"), 1, "Error: disk full"),
        (KeyboardInterrupt(), 130, "Stopped. Nothing was written."),
    ],
)
def test_failures_leave_nothing_behind(monkeypatch, tmp_path, error, code, message):
    def fail(self, epoch, logs=None):
        raise error

    monkeypatch.setattr("convia.cli.progress.Timer.on_epoch_end", fail)
    result = run("train", "digits", "--model", "course", "--epochs", 1)
    assert result.exit_code == code
    assert message in result.stderr
    assert not list((tmp_path / "runs").iterdir())
    if code == 1:
        assert run("train", "digits", "--model", "course", "--epochs", 1, "--debug").exception is error


def test_the_best_weights_are_kept(monkeypatch):
    class Spoil(Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                self.model.set_weights([weight * 0 for weight in self.model.get_weights()])

    monkeypatch.setattr("convia.cli.stages.EpochLines", lambda *args: Spoil())
    outcome = train(Settings("digits", model="lenet", epochs=4))
    best = outcome.history["val_accuracy"][outcome.facts["epochs"]["best"] - 1]
    assert outcome.facts["epochs"]["best"] == 2
    assert abs(outcome.accuracy - best) < 0.15


def test_versions():
    for words in (["--version"], ["version"]):
        result = run(*words)
        assert result.exit_code == 0
        assert result.output.startswith("convia ")
    assert "PyTorch" in result.output


@pytest.mark.parametrize(
    ("words", "code", "shown"),
    [
        (["--help"], 0, ["train", "version"]),
        ([], 2, ["train", "version"]),
        (
            ["train", "--help"],
            0,
            ["--validation-split", "convia train digits", "cifar10, cifar100, digits", "Examples"],
        ),
        (["train"], 2, ["DATA"]),
        (["train", "digits", "--epochs", "many"], 2, ["--epochs"]),
        (["trian"], 2, ["train"]),
    ],
)
def test_help_and_usage(words, code, shown):
    result = run(*words)
    assert result.exit_code == code
    assert all(word in result.output + result.stderr for word in shown)


def test_as_a_module():
    done = subprocess.run([sys.executable, "-m", "convia", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("convia ")


def test_outcome_is_public():
    assert Outcome.__doc__
    assert Settings("digits").output is None


def test_a_trained_network_gets_a_new_head(tmp_path):
    for number, name in itertools.product(range(8), ("dark", "bright")):
        (tmp_path / "photos" / name).mkdir(parents=True, exist_ok=True)
        image = Image.new("RGB", (40, 40), (number * 5 + 170 * (name == "bright"),) * 3)
        image.save(tmp_path / "photos" / name / f"{number}.png")
    weights = tmp_path / "trained.weights.h5"
    MobileNetV2(include_top=False, weights=None, input_shape=(32, 32, 3)).save_weights(weights)
    options = {"image_size": 32, "weights": str(weights), "epochs": 2, "fine_tune": 0, "output": str(tmp_path / "runs")}
    outcome = train(Settings(str(tmp_path / "photos"), "mobilenetv2", **options))
    assert outcome.model.name == "mobilenetv2_1.00_32_transfer"
    assert len(outcome.model.trainable_weights) == 2
    assert outcome.facts["settings"]["weights"] == str(weights)
    assert {path.name for path in outcome.folder.iterdir()} >= {"predictions.png", "model.keras", "result.json"}
