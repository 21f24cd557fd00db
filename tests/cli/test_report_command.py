"""``convia report`` and ``convia serve``: words in, files and messages out."""

import builtins
import json
import shutil

import pytest
from typer.testing import CliRunner

from convia.cli.app import app
from convia.cli.train import Settings, train


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "digits"
    return train(Settings("digits", model="course", epochs=1, output=str(folder))).folder


def test_a_report_is_written_again(trained, tmp_path):
    result = run("report", trained, "--lang", "es", "-o", tmp_path / "informe.html")
    assert result.exit_code == 0, result.output
    text = (tmp_path / "informe.html").read_text()
    facts = json.loads((trained / "result.json").read_text())
    assert '<html lang="es">' in text and f"{facts['test']['accuracy']:.1%}" in text
    assert "The images have changed" not in result.output
    assert (tmp_path / "informe" / "loss.svg").is_file()


def test_other_results_than_then_are_told(trained, tmp_path):
    copy = shutil.copytree(trained, tmp_path / "run")
    facts = json.loads((copy / "result.json").read_text())
    facts["test"]["accuracy"] = 0.123
    (copy / "result.json").write_text(json.dumps(facts))
    result = run("report", copy, "--no-parts")
    assert (
        "of the test images are right, 12.30% when run was trained; expected the same. The images have" in result.output
    )
    assert (copy / "report.html").is_file()


def test_images_of_another_kind_are_refused(trained, tmp_path):
    copy = shutil.copytree(trained, tmp_path / "run")
    facts = json.loads((copy / "result.json").read_text())
    (copy / "result.json").write_text(json.dumps(facts | {"class_names": ["a", "b"]}))
    result = run("report", copy)
    assert result.exit_code == 1 and "expected those of the run, (8, 8, 1) of 2 classes. Say where" in result.output


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["report", "nowhere"], "a folder without what a training writes"),
        (["report", "{run}", "--lang", "xx"], "--lang: received 'xx'"),
        (["serve", "nowhere.keras"], "nowhere.keras"),
        (["serve", "{run}", "--batch", "0"], "Limits, argument 'batch': received 0"),
    ],
)
def test_wrong_words(trained, words, expected):
    result = run(*(word.replace("{run}", str(trained)) for word in words))
    assert result.exit_code == 1 and expected in result.output and "Traceback" not in result.output


@pytest.mark.parametrize("missing", ["fastapi", "uvicorn"])
def test_what_is_missing_is_named(trained, monkeypatch, missing):
    pytest.importorskip("fastapi", reason="the service needs FastAPI")
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.split(".")[0] == missing:
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    result = run("serve", trained)
    assert result.exit_code == 1
    assert "expected FastAPI and Uvicorn. Install them: pip install 'convia[serve]'." in result.output
