"""Programs of each era, run unchanged from first to last; their first lines say what must be printed."""

import re
from pathlib import Path

import pytest

from convia.compat import eras, programs

FOLDER = Path(__file__).parent / "programs"
PROGRAMS = sorted(path for path in FOLDER.rglob("*") if path.suffix in (".py", ".ipynb"))


def wanted(path: Path, key: str) -> list[str]:
    """The values of a key in a program's first comments: ``# expect: text``."""
    return re.findall(rf"^# {key}: (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_a_program_runs_unchanged(path, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    programs.run(path)
    out, err = capfd.readouterr()
    for text in wanted(path, "expect"):
        assert text in out
    for text in wanted(path, "translated"):
        assert text in err


@pytest.mark.parametrize("path", [path for path in PROGRAMS if path.suffix == ".py"], ids=lambda path: path.stem)
def test_the_era_of_a_program_is_found(path):
    assert eras.detect(path.read_text(encoding="utf-8"), path.parent) == (wanted(path, "era") or ["tfkeras"])[0]
