"""``convia train --model`` with a trained network: a new head, then fine-tuning; one history, also over interruptions."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from convia import applications, layers
from convia.cli import app
from convia.cli.progress import Timer
from convia.cli.settings import Settings
from convia.cli.stages import Learning
from convia.cli.train import train
from convia.random import set_random_seed
from convia.saving import load_model

SIDE, EPOCHS, MORE = 32, 3, 2
AT_THE_BORDER = EPOCHS - 1  # the last epoch of the head
BACKBONE = "mobilenetv3small"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with photographs of two classes, and a file of weights."""
    folder, random = tmp_path_factory.mktemp("transfer"), np.random.default_rng(0)
    for number in range(32):
        name = ("dark", "bright")[number % 2]
        (folder / "photos" / name).mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 160, (SIDE, SIDE, 3)) + 90 * (name == "bright")
        Image.fromarray(pixels.astype("uint8")).save(folder / "photos" / name / f"{number}.png")
    set_random_seed(0)
    network = applications.MobileNetV3Small(include_top=False, weights=None, input_shape=(SIDE, SIDE, 3))
    norms = [layer for layer in network.layers if isinstance(layer, layers.BatchNormalization)]
    for layer in norms:
        layer.momentum = 0.0
    network(random.uniform(0, 255, (16, SIDE, SIDE, 3)).astype("float32"), training=True)  # or features would vanish
    network.save_weights(folder / "trained.weights.h5")
    return folder


@pytest.fixture
def no_pictures(monkeypatch):
    """Pictures and the report are left out, which take most of the time."""
    monkeypatch.setattr("convia.cli.train._draw", lambda *args: None)
    monkeypatch.setattr("convia.report.write_html", lambda *args: None)


@pytest.fixture(scope="module")
def straight(place):
    """History and test loss of a run that was not interrupted."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("convia.cli.train._draw", lambda *args: None)
        patched.setattr("convia.report.write_html", lambda *args: None)
        result = run(*given(place), "--output", place / "straight")
    assert result.exit_code == 0, result.output
    return Path(place, "straight", "history.csv").read_text(), facts(place / "straight")["test"]["loss"]


def given(place):
    chosen = {"model": BACKBONE, "weights": place / "trained.weights.h5", "image-size": SIDE, "epochs": EPOCHS,
              "fine-tune": MORE, "lr": 0.01, "output": "out"}  # fmt: skip
    pairs = [word for key, value in chosen.items() for word in (f"--{key}", value)]
    return ["train", place / "photos", "--no-check", *pairs]


@pytest.fixture
def words(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return given(place)


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def facts(folder="out"):
    return json.loads(Path(folder, "result.json").read_text(encoding="utf-8"))


def test_head_and_fine_tuning_are_one_history(words):
    result = run(*words)
    assert result.exit_code == 0, result.output
    assert "Warning" not in result.stderr
    assert "stays as it is while its new head learns at 0.01\nepoch 1/3" in result.output.replace("head: ", "")
    assert "fine-tuning: the top " in result.output and "learn, too, at 0.001\nfine-tuning: epoch 4/5" in result.output
    rows = Path("out", "history.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows[1:]] == ["0", "1", "2", "3", "4"]
    head, top = facts()["stages"]
    assert (head["name"], head["epochs"], head["learning_rate"]) == ("head", EPOCHS, 0.01)
    assert (top["name"], top["epochs"], top["learning_rate"]) == ("fine_tuning", MORE, pytest.approx(0.001))
    assert head["trainable_parameters"] == 2 * 576 + 2 < top["trainable_parameters"] < facts()["parameters"]
    assert "fine_tune = 2\n" in Path("out", "config.toml").read_text()
    page = Path("out", "report.html").read_text()
    assert page.count(">fine-tuning</text>") >= 2 and "Fine-tuning begins with epoch 4." in page
    model = load_model("out/model.keras")
    learned = [weight.path for weight in model.trainable_variables]
    assert len(learned) > 2 and not any("bn" in path.lower() for path in learned)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.001)


def test_fine_tuning_may_be_left_out(words):
    result = run(*words, "--fine-tune", 0, "--lang", "es")
    assert result.exit_code == 0, result.output
    assert "queda como está mientras su nueva cabeza aprende" in result.output and "ajuste fino" not in result.output
    assert [stage["name"] for stage in facts()["stages"]] == ["head"]
    assert "Fine-tuning" not in Path("out", "report.html").read_text()


def test_random_weights_learn_all_together(place, tmp_path, no_pictures):
    options = {"image_size": SIDE, "weights": "none", "epochs": 1, "output": str(tmp_path / "run"), "check": False}
    outcome = train(Settings(str(place / "photos"), BACKBONE, **options))
    assert [stage["name"] for stage in outcome.facts["stages"]] == ["whole"]
    assert outcome.facts["stages"][0]["trainable_parameters"] > 900_000
    statistics = [w for w in outcome.model.weights if w.path.endswith("moving_mean")]
    assert any(np.abs(weight.numpy()).max() > 0 for weight in statistics)


def test_events_tell_the_stage(words, no_pictures):
    result = run(*words, "--json")
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert [event["event"] for event in events] == ["start", *["epoch"] * EPOCHS, "stage", *["epoch"] * MORE, "end"]
    assert [event["stage"] for event in events if event["event"] == "epoch"] == ["head"] * 3 + ["fine_tuning"] * 2
    stage = events[1 + EPOCHS]
    assert stage["learning_rate"] == pytest.approx(0.001) and stage["layers"]


@pytest.mark.parametrize("epoch", [1, AT_THE_BORDER, 3])
def test_an_interrupted_run_goes_on_in_its_stage(words, straight, no_pictures, monkeypatch, epoch):
    """In the head's stage, at the border, and within fine-tuning: the same comes out as without."""
    whole, fine_tune, calls = Timer.on_epoch_end, Learning._fine_tune, []

    def stop(self, number, logs=None):
        whole(self, number, logs)
        calls.append(number)
        if [number] == calls[epoch:] and epoch != AT_THE_BORDER:
            raise KeyboardInterrupt

    def stop_at_the_border(self, done):
        if epoch == AT_THE_BORDER and len(calls) == EPOCHS:
            raise KeyboardInterrupt
        return fine_tune(self, done)

    monkeypatch.setattr(Timer, "on_epoch_end", stop)
    monkeypatch.setattr(Learning, "_fine_tune", stop_at_the_border)
    first = run(*words)
    assert first.exit_code == 130 and "--resume goes on" in first.output
    calls.append("resumed")
    second = run(*words, "--resume")
    assert second.exit_code == 0, second.output
    assert calls[calls.index("resumed") + 1 :] == [*range(epoch + (epoch == AT_THE_BORDER), EPOCHS + MORE)]
    assert (Path("out", "history.csv").read_text(), facts()["test"]["loss"]) == straight
    assert [stage["epochs"] for stage in facts()["stages"]] == [EPOCHS, MORE]
    assert not Path(".out-backup").exists()


def test_the_rate_that_was_found_is_remembered(words, no_pictures, monkeypatch):
    def stop(self, done):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Learning, "_fine_tune", stop)
        first = run(*words, "--lr", "auto")
    found = next(line for line in first.output.splitlines() if "found by a range test" in line)
    second = run(*words, "--lr", "auto", "--resume")
    assert second.exit_code == 0 and found in second.output
    assert f"learning rate {facts()['learning_rate']:g}" in found
    assert facts()["stages"][1]["learning_rate"] == pytest.approx(facts()["learning_rate"] / 10)
    Image.open("out/learning_rate.png").verify()


def test_wrong_numbers_of_epochs(words):
    result = run(*words, "--fine-tune", -1)
    assert result.exit_code == 1
    assert "--fine-tune: received -1; expected a number of epochs, or 0 for none" in result.stderr
