"""``convia evaluate``, ``predict``, ``explain`` and ``summary``, from the words to what they print and write."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import convia
from convia.cli import app
from convia.cli.app import COMMANDS
from convia.cli.evaluate import measures
from convia.explain.anatomy import anatomy
from convia.layers import Conv2D, Conv2DTranspose, Dense, Flatten, GlobalAveragePooling2D, MaxPooling2D, Rescaling


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Bright and dark images, one broken, and a model that tells them apart by their mean."""
    monkeypatch.chdir(tmp_path)
    for name, level in (("bright", 200), ("dark", 20)):
        Path("photos", name).mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (10, 6), (level + number,) * 3).save(Path("photos", name, f"{number}.png"))
    model = convia.Sequential(
        [convia.Input((8, 8, 3)), Rescaling(1 / 255), Conv2D(2, 3, activation="relu", name="conv"),
         GlobalAveragePooling2D(), Dense(2, activation="softmax")]
    )  # fmt: skip
    model.layers[1].set_weights([np.full((3, 3, 3, 2), 1 / 27), np.zeros(2)])
    model.layers[-1].set_weights([np.array([[4.0, -4], [4, -4]]), np.array([-4.0, 4])])
    model.class_names = ["bright", "dark"]
    model.save("model.keras")
    return tmp_path


def test_predict(place):
    result = run("predict", "model.keras", "photos")
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["file", "class", "probability"]
    assert [row[:2] for row in lines[1:]] == [
        [f"photos/{name}/{number}.png", name] for name in ("bright", "dark") for number in range(3)
    ]
    level = 200 / 255
    expected = 1 / (1 + np.exp(-2 * (8 * level - 4)))
    assert lines[1][2] == f"{expected:.2%}"


def test_predict_for_programs(place):
    rows = json.loads(run("predict", "model.keras", "photos/dark", "--json", "--top", 2).stdout)
    assert [one["class"] for one in rows[0]["classes"]] == ["dark", "bright"]
    assert sum(one["probability"] for one in rows[0]["classes"]) == pytest.approx(1, abs=1e-5)
    result = run("predict", "model.keras", "photos/dark", "--csv", "--output", "out.csv", "--class-names", "b,d")
    table = list(csv.DictReader(io.StringIO(result.stdout)))
    assert Path("out.csv").read_text() == result.stdout
    assert (table[0]["file"], table[0]["class"], table[0]["error"]) == ("photos/dark/0.png", "d", "")


def test_bad_files_are_named(place):
    Path("photos/dark/broken.jpg").write_bytes(b"no image")
    result = run("predict", "model.keras", "photos")
    assert result.exit_code == 3
    assert "photos/dark/broken.jpg: not read." in result.stderr
    assert len(result.stdout.splitlines()) == 7
    result = run("evaluate", "model.keras", "photos")
    assert result.exit_code == 3
    assert "broken.jpg: not read." in result.stderr


def test_evaluate(place):
    Image.new("RGB", (8, 8), (250,) * 3).save("photos/dark/lamp.png")
    result = run("evaluate", "model.keras", "photos", "--json", "--output", "judged")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert facts["accuracy"] == pytest.approx(6 / 7)
    assert facts["classes"]["bright"] == {"images": 3, "right": 3, "precision": 0.75, "recall": 1.0, "f1": 0.857143}
    assert facts["mistakes"] == [{"is": "dark", "taken_for": "bright", "images": 1}]
    assert json.loads(Path("judged/evaluation.json").read_text()) == facts
    for name in ("confusion_matrix", "predictions"):
        Image.open(f"judged/{name}.png").verify()
    assert "accuracy   85.71%" in run("evaluate", "model.keras", "photos").stdout


def test_measures():
    scores = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.3, 0.4, 0.3]])
    facts = measures(scores, np.array([0, 1, 1]), ["a", "b", "c"])
    assert facts["accuracy"] == pytest.approx(2 / 3)
    assert facts["top_2_accuracy"] == 1.0
    assert facts["loss"] == pytest.approx(-np.log([0.5, 0.2, 0.4]).mean())
    assert facts["classes"]["c"]["recall"] is None


@pytest.mark.parametrize("method", ["grad-cam", "grad-cam++", "saliency", "smooth-grad", "occlusion"])
def test_explain(place, method):
    result = run("explain", "model.keras", "photos/dark/0.png", "--method", method, "--class", "bright", "-o", "why")
    assert result.exit_code == 0, result.output
    names = sorted(path.name for path in Path("why").iterdir())
    assert names == sorted([f"0-{method}.png", f"0-{method}-overlay.png"])
    for name in names:
        Image.open(Path("why", name)).verify()


def test_explain_all(place):
    result = run("explain", "model.keras", "photos/dark/0.png", "-m", "all", "--layer", "conv")
    assert result.exit_code == 0, result.output
    assert len(list(Path("explained").iterdir())) == 12


def test_summary(place):
    facts = json.loads(run("summary", "model.keras", "--json").stdout)
    assert [row["formula"] for row in facts["layers"]][1] == "(8 − 3 + 2·0)/1 + 1 = 6"
    assert facts["parameters"] == 3 * 3 * 3 * 2 + 2 + 2 * 2 + 2
    assert "because" in run("summary", "model.keras").stdout


@pytest.mark.parametrize(
    ("layer", "formula", "field"),
    [
        (lambda: Conv2D(8, 3), "(28 − 3 + 2·0)/1 + 1 = 26", (3, 3)),
        (lambda: Conv2D(8, 5, padding="same"), "(28 − 5 + 2·2)/1 + 1 = 28", (5, 5)),
        (lambda: Conv2D(8, 3, strides=2), "⌊(28 − 3 + 2·0)/2⌋ + 1 = 13", (3, 3)),
        (lambda: Conv2D(8, 3, dilation_rate=2), "(28 − 2·(3 − 1) − 1 + 2·0)/1 + 1 = 24", (5, 5)),
        (lambda: Conv2D(8, (3, 1)), "(28 − 3 + 2·0)/1 + 1 = 26 × (28 − 1 + 2·0)/1 + 1 = 28", (3, 1)),
        (lambda: MaxPooling2D(2), "(28 − 2 + 2·0)/2 + 1 = 14", (2, 2)),
        (lambda: Conv2DTranspose(8, 2, strides=2), "(28 − 1)·2 + 2 = 56", (1, 1)),
        (Flatten, "28·28·3 = 2352", None),
        (GlobalAveragePooling2D, "28·28 → 1", None),
    ],
)
def test_formulas_and_fields(layer, formula, field):
    row = anatomy(convia.Sequential([convia.Input((28, 28, 3)), layer()])).rows[0]
    assert (row.formula, row.field) == (formula, field)


def test_operations_and_receptive_fields():
    model = convia.Sequential(
        [convia.Input((12, 12, 3)), Conv2D(4, 3), MaxPooling2D(2), Conv2D(5, 3), Flatten(), Dense(2)]
    )
    rows = anatomy(model).rows
    expected = [10 * 10 * 4 * (2 * 27 + 1), 5 * 5 * 4 * 4, 3 * 3 * 5 * (2 * 36 + 1), 0, 2 * (2 * 45 + 1)]
    assert [row.operations for row in rows] == expected
    assert [row.field for row in rows] == [(3, 3), (4, 4), (8, 8), None, None]


def test_what_the_file_does_not_say(place):
    model = convia.models.load_model("model.keras", compile=False)
    model.class_names = None
    Path("run").mkdir()
    model.save("run/model.keras")
    assert "   1  " in run("predict", "run", "photos/dark").stdout
    Path("run/result.json").write_text(json.dumps({"class_names": ["hell", "dunkel"]}))
    assert "dunkel" in run("predict", "run", "photos/dark").stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["predict", "none.keras", "photos"], "none.keras"),
        (["predict", "photos", "photos"], "MODEL: received 'photos'; expected a model, or a folder with model.keras"),
        (["predict", "model.keras", "nothing"], "FILES: received 'nothing'; expected image files"),
        (["predict", "model.keras", "empty"], "FILES: received 'empty'; expected images: files ending in .jpg"),
        (["predict", "model.keras", "photos", "--top", "0"], "--top: received 0; expected a whole number ≥ 1"),
        (["predict", "model.keras", "photos", "-o", "x.txt"], "--output: received 'x.txt'; expected a name that ends"),
        (["predict", "model.keras", "photos", "--class-names", "a"], "--class-names: received 1 names"),
        (["predict", "model.keras", "photos", "--image-size", "9"], "--image-size: received (9, 9); expected 8x8"),
        (["predict", "model.keras", "photos", "--image-size", "x"], "--image-size: received 'x'; expected a number"),
        (["predict", "model.keras", "photos", "--preprocess", "vgg17"], "--preprocess: received 'vgg17'"),
        (["evaluate", "model.keras", "none"], "FOLDER: received 'none'; expected a folder"),
        (["evaluate", "model.keras", "photos", "--part", "test"], "--part: received 'test'; expected one of"),
        (["evaluate", "model.keras", "photos", "--class-names", "x,y"], "FOLDER: received the class 'bright'"),
        (["explain", "model.keras", "photos/dark/0.png", "-m", "gradcam"], "Did you mean 'grad-cam'?"),
        (["explain", "model.keras", "photos/dark/0.png", "--class", "dusk"], "--class: received 'dusk'"),
        (["explain", "model.keras", "photos/dark/0.png", "--layer", "konv"], "Did you mean 'conv'?"),
        (["summary", "model.keras", "--batch-size", "0"], "--batch-size: received 0"),
    ],
)
def test_errors(place, words, message):
    Path("empty").mkdir()
    result = run(*words)
    assert result.exit_code == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert run(*words, "--debug").exception is not None


def test_the_folder_of_a_run_stands_for_its_model(place):
    Path("run").mkdir()
    Path("model.keras").rename("run/model.keras")
    for words in (["card", "run"], ["summary", "run"], ["convert", "run", "copy.h5"]):
        assert run(*words).exit_code == 0, words
    assert (
        convia.models.load_model("copy.h5").count_params() == convia.models.load_model("run/model.keras").count_params()
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    result = run(command, "--help")
    assert result.exit_code == 0
    assert "Examples" in result.stdout and f"convia {command}" in result.stdout.partition("Examples")[2]
    assert "Exit codes" in result.stdout


def test_words_flow_to_the_width_of_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "90")
    lines = run("summary", "--help").stdout.partition("Examples")[2].partition("Exit codes")[0].splitlines()
    about = [line.strip() for line in lines if line.strip() and "convia summary" not in line]
    assert len(about) > 2 and min(map(len, about[:-1])) > 70, about


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("convia tr", ["train"]),
        ("convia train --augment m", ["medium"]),
        ("convia explain model.keras 1.png --method f", ["feature-maps", "filters"]),
    ],
)
def test_the_shell_completes(words, offered):
    """As the function does that --install-completion writes for bash."""
    asked = {"_CONVIA_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    program = "import sys; from convia.cli import app; app(prog_name='convia')"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=os.environ | asked, check=False
    )
    assert done.stdout.split() == offered, done.stderr
