"""Programs of each era, run unchanged from first to last; their first lines say what must be printed.

``# expect:`` is a text that must be printed, ``# translated:`` one of the report of what was translated, ``# args:`` the
program's arguments, ``# era:`` its era, where neither its folder nor ``tfkeras`` says so. ``python
tests/compat/test_era_programs.py [name …]`` runs some of them and shows what they say.
"""

import os
import re
import shutil
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

import pytest

from convia.compat import eras, programs

sys.path.insert(0, str(Path(__file__).parent))
import stage

FOLDER = Path(__file__).parent / "programs"
PROGRAMS = sorted(path for path in FOLDER.rglob("*") if path.suffix in (".py", ".ipynb"))
NAMES = [str(path.relative_to(FOLDER).with_suffix("")) for path in PROGRAMS]


def wanted(path: Path, key: str) -> list[str]:
    """The values of a key in a program's first comments: ``# expect: text``."""
    found = re.findall(rf'^\s*"?# {key}: (.*?)(?:\\n",?)?$', path.read_text(encoding="utf-8"), re.MULTILINE)
    return [text.encode().decode("unicode_escape") if path.suffix == ".ipynb" else text for text in found]


def era_of(path: Path) -> str:
    """The era that a program is of, by its own word or its folder's."""
    folder = path.parent.name if path.parent.name in eras.ERAS else path.stem.partition("_")[0]
    return (wanted(path, "era") or [folder])[0]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """A folder with data for programs, and a cache with small data sets."""
    folder = tmp_path_factory.mktemp("stage")
    stage.pictures(folder / "data")
    stage.cache(folder / "keras")
    return folder


def _marked(path: Path) -> Any:
    """A program as a case; one with ``# known failure: reason`` is expected to fail."""
    reasons = wanted(path, "known failure")
    marks = [pytest.mark.xfail(reason=reasons[0], strict=True)] if reasons else []
    return pytest.param(path, id=str(path.relative_to(FOLDER).with_suffix("")), marks=marks)


def run_apart(path: Path, arguments: list[str]) -> int:
    """Run a program in a copy of this process, which it may leave as it likes; return the copy's exit code."""
    sys.stdout.flush()
    process = os.fork()
    if not process:
        code = 1
        try:
            programs.run(path, arguments)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


@pytest.mark.parametrize("path", [*map(_marked, PROGRAMS)])
def test_a_program_runs_unchanged(path, prepared, tmp_path, monkeypatch, capfd):
    shutil.copytree(prepared / "data", tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_HOME", str(prepared / "keras"))
    code = run_apart(path, " ".join(wanted(path, "args")).split())
    out, err = capfd.readouterr()
    assert code == 0, err
    for text in wanted(path, "expect"):
        assert text in out
    for text in wanted(path, "translated"):
        assert text in err


@pytest.mark.parametrize("path", PROGRAMS, ids=NAMES)
def test_the_era_of_a_program_is_found(path):
    assert eras.detect(programs.read(path), path.parent) == (wanted(path, "detected") or [era_of(path)])[0]


def show(names: list[str]) -> int:
    """Run programs here and now, and return how many fail; the failures' tracebacks are shown."""
    home, failed = Path(tempfile.mkdtemp()), []
    stage.pictures(home / "data")
    stage.cache(home / "keras")
    os.environ["KERAS_HOME"] = str(home / "keras")
    for name, path in zip(NAMES, PROGRAMS, strict=True):
        if names and not any(part in name for part in names):
            continue
        place = home / name.replace("/", "_")
        shutil.copytree(home / "data", place / "data")
        os.chdir(place)
        try:
            programs.run(path, " ".join(wanted(path, "args")).split())
        except (Exception, SystemExit):
            failed.append(name)
            print(f"=== {name}", traceback.format_exc(limit=-14), file=sys.stderr)
    print("failed:", *failed or ["none"], file=sys.stderr)
    return len(failed)


if __name__ == "__main__":
    sys.exit(show(sys.argv[1:]))
