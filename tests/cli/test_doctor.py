"""convia doctor: tables, JSON, files, exit codes."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from convia.cli.app import app

runner = CliRunner()


@pytest.fixture
def photos(tmp_path):
    for k, name in enumerate(("cat", "dog")):
        (tmp_path / name).mkdir()
        for number in range(12):
            pixels = np.random.RandomState(100 * k + number).randint(0, 256, (5, 5, 3)).astype("uint8")
            Image.fromarray(pixels).resize((32, 32), Image.BICUBIC).save(tmp_path / name / f"{number}.png")
    return tmp_path


@pytest.fixture
def ill(photos):
    (photos / "cat" / "cut.png").write_bytes((photos / "cat" / "1.png").read_bytes()[:300])
    (photos / "dog" / "copy.png").write_bytes((photos / "cat" / "2.png").read_bytes())
    return photos


def run(*words):
    return runner.invoke(app, ["doctor", *map(str, words)])


def test_a_healthy_folder(photos):
    result = run(photos)
    assert result.exit_code == 0
    assert "24 that can be read, 0 that cannot" in result.stdout
    assert "0 problems, 0 notes" in result.stdout
    assert "nothing" in result.stdout


def test_tables(ill):
    result = run(ill)
    assert result.exit_code == 3
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["cat", "12"] in lines and ["dog", "13"] in lines and ["all", "25"] in lines
    assert "cat/cut.png" in result.stdout and "cat/2.png" in result.stdout and "dog/copy.png" in result.stdout
    assert "2 problems, 0 notes" in result.stdout
    assert "3 files (--quarantine FILE lists them)" in result.stdout


def test_many_findings_are_counted(ill):
    for number in range(9):
        (ill / "dog" / f"empty_{number}.png").touch()
    result = run(ill, "--most", 2)
    assert "empty_1.png" in result.stdout and "empty_2.png" not in result.stdout
    assert "… and 7 more" in result.stdout


def test_json(ill, tmp_path_factory):
    listed = tmp_path_factory.mktemp("out") / "bad.txt"
    result = run(ill, "--json", "--quarantine", listed)
    told = json.loads(result.stdout)
    assert result.exit_code == 3
    assert [finding["kind"] for finding in told["findings"]] == ["truncated", "conflict"]
    assert listed.read_text().split() == ["cat/2.png", "cat/cut.png", "dog/copy.png"]
    assert "3 files named in" in result.stderr


def test_files(ill, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "deep" / "er"
    result = run(ill, "--output", out)
    assert result.exit_code == 3
    assert sorted(path.name for path in out.iterdir()) == [
        "class_counts.png", "duplicates.png", "problems.png", "quarantine.csv", "quarantine.txt", "report.json"
    ]  # fmt: skip
    assert json.loads((out / "report.json").read_text())["files"] == 26
    for name in ("class_counts", "duplicates", "problems"):
        assert np.asarray(Image.open(out / f"{name}.png")).std() > 5


def test_without_what_looks_alike_and_with_links(photos, tmp_path_factory):
    away = tmp_path_factory.mktemp("away") / "more.png"
    Image.open(photos / "cat" / "1.png").resize((64, 64)).save(away)
    (photos / "cat" / "link.png").symlink_to(away)
    kinds = {}
    for words in ((), ("--follow-links",), ("--follow-links", "--no-alike")):
        kinds[words] = [finding["kind"] for finding in json.loads(run(photos, "--json", *words).stdout)["findings"]]
    assert [*kinds.values()] == [["outside"], ["near_duplicate"], []]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["gone"], 1, "expected a folder of images"),
        (["."], 1, "no images in"),
        ([], 2, "Missing argument"),
        ([".", "--most", "many"], 2, "--most"),
    ],
)
def test_wrong_use(tmp_path, monkeypatch, words, code, message):
    monkeypatch.chdir(tmp_path)
    result = run(*words)
    assert result.exit_code == code
    assert message in result.stderr


def test_help():
    result = run("--help")
    assert result.exit_code == 0
    for words in ("convia doctor photos --json", "Exit codes", "3: something", "--quarantine", "moved or deleted"):
        assert words in " ".join(result.stdout.split())
