"""What the commands say, in Spanish, too."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from convia.cli import app
from convia.cli.words import WORDS, words


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    """Two unequal classes, an image that is none."""
    monkeypatch.chdir(tmp_path)
    for name, count in (("cats", 20), ("dogs", 8)):
        Path("photos", name).mkdir(parents=True)
        for number in range(count):
            pixels = np.random.default_rng(number + len(name) * count).integers(0, 255, (8, 8, 3), "uint8")
            Image.fromarray(pixels).save(Path("photos", name, f"{number}.png"))
    Path("photos", "cats", "broken.png").write_bytes(b"no image")


def run(*some):
    return CliRunner().invoke(app, [str(word) for word in some])


@pytest.mark.parametrize("key", WORDS)
def test_both_languages_fill_in_the_same(key):
    english, spanish = (sorted(re.findall(r"\{(\w+)\}", text)) for text in WORDS[key])
    assert english == spanish and WORDS[key][1]


def test_training_speaks_spanish(monkeypatch):
    monkeypatch.setenv("LC_ALL", "es_ES.UTF-8")
    result = run("train", "photos", "--model", "course", "--epochs", 1, "--output", "out")
    assert result.exit_code == 0, result.output
    for text in (
        "revisado: 1 problemas", "archivos que no son imágenes", "photos: 2 clases, imágenes en color de 8×8",
        "tiene 14 imágenes para entrenar", "1 archivo no se pudo leer", "época 1/1   pérdida", "exactitud de validación",
        "Exactitud con las imágenes de prueba", "mejor época    1 de 1", "resultados     out",
    ):  # fmt: skip
        assert text in result.output, result.output
    assert 'lang="es"' in Path("out", "report.html").read_text(encoding="utf-8")
    told = run("evaluate", "out", "photos").stdout
    for text in ("aciertos", "exhaustividad", "entre las 1 más probables", "entropía cruzada"):
        assert text in told, told
    english = run("evaluate", "out", "photos", "--lang", "en").stdout
    assert "recall" in english


def test_the_doctor_speaks_spanish():
    result = run("doctor", "photos", "--lang", "es", "--quarantine", "bad.txt")
    assert result.exit_code == 3
    for text in ("Imágenes en photos", "Hallazgos", "problema", "28 legibles, 1 ilegibles", "1 archivos nombrados en"):
        assert text in result.stdout, result.stdout
    assert json.loads(run("doctor", "photos", "--json", "--lang", "es").stdout)["root"] == "photos"


def test_a_language_that_is_not_spoken():
    assert "--lang: received 'xx'" in run("train", "photos", "--lang", "xx").stderr
    assert words("en")("epoch") == "epoch" and words("es")("epoch") == "época"
