"""What the READMEs say is true: their code runs, their pictures, files and commands exist, both say the same."""

import re
from pathlib import Path

import pytest

from convia.callbacks import History
from convia.cli.data import KNOWN
from convia.datasets import digits
from convia.models import Model

ROOT = Path(__file__).parent.parent
TEXTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.es.md")}
EACH = pytest.mark.parametrize("name", TEXTS)


def blocks(name, language):
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", TEXTS[name], re.M | re.S)
    return [text for kind, text in fenced if kind == language]


@EACH
def test_python_runs(name, monkeypatch, tmp_path):
    (x, y), (x_test, y_test) = digits.load_data()
    monkeypatch.setattr(digits, "load_data", lambda: ((x[:64], y[:64]), (x_test[:32], y_test[:32])))
    monkeypatch.chdir(tmp_path)
    code = [block.replace("epochs=20", "epochs=1, verbose=0") for block in blocks(name, "python")]
    assert len(code) == 2
    names = {}
    for block in code:
        exec(block, names)
    assert isinstance(names["model"], Model)
    assert isinstance(names["history"], History)
    assert {"digits.keras", "predictions.png"} == {path.name for path in tmp_path.iterdir()}


@EACH
def test_files_exist_and_pictures_are_small(name):
    links = re.findall(r"\]\(([^)]+)\)", TEXTS[name])
    assert len(links) >= 8
    for link in links:
        assert (ROOT / link).is_file(), link
        assert (ROOT / link).stat().st_size < 80_000


@EACH
def test_commands_exist(name):
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"(?:^|`)make (\w+)", TEXTS[name], re.M):
        assert re.search(rf"^{target}:", makefile, re.M), target
    assert ", ".join(["digits", "mnist", "fashion_mnist", "cifar10", "cifar100"]) in TEXTS[name]
    assert len(KNOWN) == 5


def test_both_languages_show_the_same():
    def essence(name):
        code = [re.sub(r" *#.*", "", block) for language in ("python", "sh", "") for block in blocks(name, language)]
        return code, re.findall(r"^#+ ", TEXTS[name], re.M), re.findall(r"docs/pictures/\w+.png", TEXTS[name])

    assert essence("README.md") == essence("README.es.md")
