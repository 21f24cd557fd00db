"""convia train beside files that cannot be read, and links out of the folder; links in every listing."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from convia import images
from convia.cli import data
from convia.cli.app import app

runner = CliRunner()


def write(folder, count, start=0):
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(start, start + count):
        Image.fromarray(np.full((8, 8, 3), 5 * number, "uint8")).save(folder / f"{number}.png")


@pytest.fixture
def photos(tmp_path):
    for start, name in ((0, "dark"), (30, "bright")):
        write(tmp_path / "photos" / name, 10, start)
    for number in range(7):
        (tmp_path / "photos" / "dark" / f"broken_{number}.jpg").write_bytes(b"\xff\xd8 no more")
    return tmp_path / "photos"


def train(photos, *words):
    return runner.invoke(
        app,
        ["train", str(photos), "--model", "course", "--epochs", "1", "--output", str(photos.parent / "run"), *words],
    )


@pytest.mark.parametrize(("on_error", "trained"), [("skip", 2 * (10 - 2 - 2)), ("replace", 2 * (10 - 2 - 2) + 7)])
def test_the_broken_are_counted_and_named_at_the_end(photos, on_error, trained):
    result = train(photos, "--on-error", on_error)
    assert result.exit_code == 0, result.output
    (line,) = (line for line in result.stdout.splitlines() if line.startswith("unreadable"))
    assert line.startswith(f"unreadable     7 ({on_error}): {photos}/dark/broken_0.jpg, ")
    assert line.endswith("broken_4.jpg and 2 more")
    facts = json.loads((photos.parent / "run" / "result.json").read_text())
    assert len(facts["unreadable"]) == 7
    assert facts["images"]["training"] == trained


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--on-error", "raise"], r"broken_0.jpg: received"),
        (["--on-error", "raise"], r"With --on-error skip it is left out."),
        (["--on-error", "ignore"], "--on-error: received 'ignore'; expected one of ['skip', 'replace', 'raise']"),
    ],
)
def test_stopping(photos, words, message):
    result = train(photos, *words)
    assert result.exit_code == 1
    assert message in result.stderr


def test_a_part_that_is_a_link_out_of_the_folder(tmp_path):
    for name in ("cat", "dog"):
        write(tmp_path / "away" / name, 8)
    root = tmp_path / "photos"
    root.mkdir()
    (root / "train").symlink_to(tmp_path / "away")
    with pytest.raises(OSError, match=r"train: received a link that leads out of the folder.*--follow-links"):
        data.load(str(root))
    assert len(data.load(str(root), follow_links=True).training) == 12


LISTINGS = {
    "flow": lambda root, follow: images.DirectoryIterator(root, None, follow_links=follow).filepaths,
    "data set": lambda root, follow: images.image_dataset_from_directory(root, follow_links=follow).file_paths,
    "command": lambda root, follow: [
        path for listing in data.list_parts(root, follow).values() for path in listing.paths
    ],
    "doctor": lambda root, follow: [facts.path for facts in images.examine(root, follow).files],
}


@pytest.mark.filterwarnings("ignore:.*links that lead out.*")
@pytest.mark.parametrize("kind", LISTINGS)
def test_links_leave_no_folder_unless_asked(tmp_path, kind):
    root = tmp_path / "photos"
    for name in ("cat", "dog"):
        write(root / name, 2)
    write(tmp_path / "away" / "deep", 3)
    (root / "cat" / "inside.png").symlink_to(root / "dog" / "1.png")
    (root / "cat" / "out.png").symlink_to(tmp_path / "away" / "deep" / "0.png")
    (root / "cat" / "folder").symlink_to(tmp_path / "away")
    (root / "emu").symlink_to(tmp_path / "away")
    (root / "dog" / "loop").symlink_to(root)
    found = LISTINGS[kind](root, False)
    assert sorted(str(path).rsplit("/", 2)[-2] + "/" + str(path).rsplit("/", 1)[-1] for path in found) == [
        "cat/0.png", "cat/1.png", "cat/inside.png", "dog/0.png", "dog/1.png"
    ]  # fmt: skip
    followed = [str(path) for path in LISTINGS[kind](root, True)]
    assert any(path.endswith("cat/folder/deep/2.png") for path in followed)
    assert any(path.endswith("cat/out.png") for path in followed)
    assert any(path.endswith("emu/deep/1.png") for path in followed)


def test_flows_warn_of_links(tmp_path):
    write(tmp_path / "photos" / "cat", 1)
    write(tmp_path / "away", 1)
    (tmp_path / "photos" / "cat" / "out.png").symlink_to(tmp_path / "away" / "0.png")
    with pytest.warns(UserWarning, match=r"1 links that lead out of the folder \(.*out\.png\).*follow_links=True"):
        images.ImageDataGenerator().flow_from_directory(tmp_path / "photos")
