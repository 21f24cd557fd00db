"""Run folders: whole or not at all, and never over an earlier one."""

import json

import pytest

from convia.cli import runs


def make(wanted, text="x"):
    with runs.new_run(wanted) as run:
        (run.draft / "file").write_text(text)
    return run.folder


def test_numbers_after_the_first(tmp_path):
    wanted = tmp_path / "runs" / "digits"
    assert [make(wanted, text).name for text in "abc"] == ["digits", "digits-2", "digits-3"]
    assert (wanted / "file").read_text() == "a"
    assert sorted(path.name for path in wanted.parent.iterdir()) == ["digits", "digits-2", "digits-3"]


def test_a_file_is_in_the_way(tmp_path):
    (tmp_path / "digits").write_text("mine")
    assert make(tmp_path / "digits").name == "digits-2"
    assert (tmp_path / "digits").read_text() == "mine"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_nothing_is_left_of_a_failure(tmp_path, error):
    with pytest.raises(error), runs.new_run(tmp_path / "digits") as run:
        (run.draft / "file").write_text("half")
        raise error
    assert not list(tmp_path.iterdir())


def test_the_folder_cannot_be_made(tmp_path):
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(OSError), runs.new_run(tmp_path / "runs" / "digits"):
        pass


def test_json(tmp_path):
    runs.write_json(tmp_path / "a.json", {"name": "été", "path": tmp_path})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert "été" in text
    assert json.loads(text)["path"] == str(tmp_path)
