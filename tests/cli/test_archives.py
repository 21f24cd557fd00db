"""``convia train`` on tar archives."""

import json

import pytest
import shard_files
from typer.testing import CliRunner

from convia.cli import app
from convia.cli.archived import load_archives

SHARES = {"validation": 0.2, "test": 0.2}


def test_training_from_end_to_end(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shard_files.write(tmp_path / "shards", label=".txt")
    (tmp_path / "shards" / "004.tar").write_bytes(b"damaged")
    words = ["train", "shards/{000..004}.tar", "--model", "course", "--epochs", "1", "--output", "run", "--lang", "en"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    facts = json.loads((tmp_path / "run" / "result.json").read_text())
    assert facts["class_names"] == ["a", "b", "c"]
    assert sum(facts["images"].values()) == 28
    assert "shards: 3 classes, colour images of 6×6" in result.output
    assert list(facts["unreadable"]) == ["shards/004.tar"]


def test_sizes_colours_and_split(tmp_path):
    images = load_archives(shard_files.write(tmp_path / "photos"), None, SHARES, 0, "skip")
    assert images.name == "photos" and images.class_names == ["0", "1", "2"]
    assert images.input_shape == (6, 6, 3)
    assert (images.training.images[:, 0, 0, 0] % 3 == images.training.labels).all()
    assert load_archives(str(tmp_path / "photos" / "*.tar"), 16, SHARES, 0, "skip").input_shape == (16, 16, 3)


def test_what_cannot_be_trained_on(tmp_path):
    one = tmp_path / "one.tar"
    one.write_bytes(
        shard_files.archive([("1.png", shard_files.png(1)), ("1.cls", b"0"), ("2.png", b"?"), ("2.cls", b"0")])
    )
    with pytest.raises(ValueError, match="images of one class"):
        load_archives(str(one), None, SHARES, 0, "skip")
    with pytest.raises(OSError, match="With --on-error skip"):
        load_archives(str(one), None, SHARES, 0, "raise")
    with pytest.raises(ValueError, match="skip or raise"):
        load_archives(str(one), None, SHARES, 0, "replace")
    one.write_bytes(shard_files.archive([("1.png", shard_files.png(1))]))
    with pytest.raises(OSError, match="no sample that can be read"):
        load_archives(str(one), None, SHARES, 0, "skip")
