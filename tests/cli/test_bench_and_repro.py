"""``convia bench`` and ``convia repro``: what they measure and compare, and their exit codes."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import convia as k
from convia import config
from convia.cli import app
from convia.cli.repro import Comparison
from convia.cli.settings import Settings
from convia.cli.train import train


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of two epochs."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    train(Settings("digits", "course", epochs=2, output=str(folder)))
    return folder


def test_bench(finished):
    before = config.engine()
    result = run("bench", finished, "--batch-size", 2, "--batch-size", 3, "--json")
    assert result.exit_code == 0, result.output
    measured = json.loads(result.stdout)["images_per_second"]
    assert [*measured] == ["predict 2", "train 2", "predict 3", "train 3"]
    assert all(rate > 0 for rates in measured.values() for rate in (rates["auto"], rates["torch"]))
    assert config.engine() == before
    table = run("bench", finished, "--batch-size", 1, "--no-training").stdout.splitlines()
    assert "images of 8×8" in table[0] and table[-1].startswith("predict 1 ") and table[-1].endswith("×")


def test_bench_refuses(finished, tmp_path):
    assert "--batch-size: received 0" in run("bench", finished, "--batch-size", 0).stderr
    any_size = k.Sequential([k.Input((None, None, 3)), k.layers.GlobalAveragePooling2D(), k.layers.Dense(2)])
    any_size.save(tmp_path / "any.keras")
    assert "Pass --image-size." in run("bench", tmp_path / "any.keras").stderr


def test_the_same_comes_out(finished):
    result = run("repro", finished)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == "verdict    the same"
    assert "history    the same" in result.stdout and "weights    the same" in result.stdout
    assert len([*finished.parent.iterdir()]) == 1  # nothing is left of the second run


def test_something_else_comes_out(finished, tmp_path):
    other = shutil.copytree(finished, tmp_path / "other")
    facts = json.loads((other / "result.json").read_text(encoding="utf-8"))
    facts["settings"]["seed"] += 1
    facts["versions"]["torch"] = "1.0"
    (other / "result.json").write_text(json.dumps(facts), encoding="utf-8")
    result = run("repro", other, "--output", tmp_path / "again")
    assert result.exit_code == 3
    assert "torch      1.0, now" in result.stdout and result.stdout.endswith("not the same\n")
    assert Path(tmp_path, "again", "result.json").is_file()
    assert "a share from 0 to 1" in run("repro", other, "--tolerance", 2).stderr
    assert "convia train makes one" in run("repro", tmp_path).stderr


def test_what_is_the_same():
    equal = Comparison((2, 2), 0.0, 0.0, (0.5, 0.5), {})
    assert equal.is_same(0.0) and equal.is_same(0.1)
    close = Comparison((2, 3), np.inf, 0.2, (0.5, 0.55), {})
    assert not close.is_same(0.0) and close.is_same(0.1) and not close.is_same(0.01)
