"""A share of ``tools/fuzz_files.py`` and ``tools/kill_training.py``, and what they found."""

import runpy
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import convia
from convia.models import load_model

TOOLS = Path(__file__).parents[2] / "tools"


def test_broken_files_load_or_are_refused() -> None:
    fuzz = runpy.run_path(str(TOOLS / "fuzz_files.py"))
    assert not fuzz["run"](200, 5)


def test_killed_training_ends_with_the_same_numbers() -> None:
    command = [sys.executable, str(TOOLS / "kill_training.py"), "6", "3"]  # it forks: a process without threads
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "all trainings ended with the same numbers" in run.stdout


@pytest.mark.parametrize("stride", [10**18, 2**31, 1e308, 65537])
def test_strides_beyond_any_image_are_refused(stride: float) -> None:
    config = convia.layers.Conv2D(2, 3, padding="same", name="wide").get_config() | {"strides": [stride, 1]}
    with pytest.raises(ValueError, match=r"Conv2D 'wide', argument 'strides': received .*; expected at most 65536"):
        convia.layers.Conv2D.from_config(config)


def test_weights_beyond_the_size_of_a_file_are_refused(tmp_path: Path) -> None:
    model = convia.Sequential([convia.Input((4,)), convia.layers.Dense(3, name="wide")])
    model.save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["config.json"] = members["config.json"].replace(b'"units": 3,', b'"units": 30000000,')
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        for name, value in members.items():
            archive.writestr(name, value)
    with pytest.raises(
        ValueError, match=r"m\.keras.*a weight of shape \(4, 30000000\); expected weights of [\d,]+ bytes"
    ):
        load_model(tmp_path / "m.keras")
