"""``convia train`` on numbers that go astray."""

import json

import numpy as np
from PIL import Image
from typer.testing import CliRunner

from convia.cli import app


def test_the_command_stops_at_nan_and_names_layer_and_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for number in range(20):
        path = tmp_path / "photos" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (16, 16, 3), np.uint8)).save(path)
    for augment in ("none", "light"):
        words = ["train", "photos", "--model", "deep", "--lr", "1e30", "--epochs", "3", "--json", "--augment", augment]
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 1
        last = json.loads(done.stdout.splitlines()[-1])
        assert last["event"] == "stopped"
        assert "the loss nan at batch" in last["reason"]
        assert "the first layer whose output is not finite is" in last["reason"]
        assert "the batch is made of photos/" in last["reason"].replace("\\", "/")
