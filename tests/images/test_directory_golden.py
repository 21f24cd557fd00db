"""Folders of images against what tf.keras 2.15 made of the same one: listing, splits, labels, pixels, sizes.

``golden/directory.json`` was written by tf.keras 2.15.1 for the folder that ``make`` makes. Keras 3 differs in three
things, and so does convia: class names are texts, there are none without labels, and classes that are given are listed
in the given order. Two things are Keras 3's own with its other format, "grain": grey values are Pillow's, not libpng's,
and images are float32 also after interpolation="nearest".
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from convia.images import image_dataset_from_directory

GOLDEN = json.loads((Path(__file__).parent / "golden" / "directory.json").read_text())


def make(root):
    """Pictures in three classes: folders within folders, capitals, a hidden file, a hidden folder, other files."""
    counts = {"cat": 5, "Dog": 4, "bird": 2}
    places = [f"{name}/{k}.{('png', 'PNG')[k % 2]}" for name, count in counts.items() for k in range(count)]
    places += ["cat/deep/z.png", "cat/deep/er/a.png", "Dog/.hidden.png"]
    for number, place in enumerate([*places, ".secret/x.png"]):
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        y, x, c = np.mgrid[: 8 + number, : 21 - number, :3]
        Image.fromarray(((y * (7 + number) + x * x * 3 + c * 50) % 256).astype("uint8")).save(path)
    (root / "cat" / "notes.txt").write_text("no image")
    return root


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return make(tmp_path_factory.mktemp("photos"))


def described(golden):
    return "-".join(f"{name}={value}" for name, value in golden["args"].items() if name != "labels") or "defaults"


@pytest.mark.parametrize("golden", GOLDEN, ids=described)
def test_equal_to_tf_keras(tree, golden):
    arguments = {"image_size": (6, 7), "shuffle": False, "batch_size": 5} | golden["args"]
    if arguments.get("subset") == "both":
        arguments |= {"subset": "both"}
        index = [g for g in GOLDEN if g["args"] == golden["args"]].index(golden)
        data = image_dataset_from_directory(tree, **arguments)[index]
    else:
        data = image_dataset_from_directory(tree, **arguments)
    in_order = sorted if "class_names" in golden["args"] else list
    assert in_order(Path(path).relative_to(tree).as_posix() for path in data.file_paths) == in_order(
        golden["file_paths"]
    )
    has_labels = golden["y_dtype"] is not None
    assert data.class_names == ([*map(str, golden["class_names"])] if has_labels else None)
    assert len(data) == int(data.cardinality()) == golden["cardinality"]
    elements = [element if isinstance(element, tuple) else (element, None) for element in data]
    assert [[*x.shape] for x, _ in elements] == golden["shapes"]
    together = torch.stack if arguments["batch_size"] is None else torch.cat
    x = together([x for x, _ in elements])
    assert x.dtype == torch.float32
    if has_labels:
        y = together([y for _, y in elements])
        assert str(y.dtype) == f"torch.{golden['y_dtype']}"
    if arguments["shuffle"]:
        return
    if has_labels:
        assert in_order(y.tolist()) == in_order(golden["y"])
    if in_order is sorted or golden["args"].get("color_mode") == "grayscale":
        return
    np.testing.assert_allclose(x.double().reshape(len(x), -1).sum(1), golden["sums"], rtol=1e-5, atol=1)
    np.testing.assert_allclose(x[3].reshape(-1)[:12], golden["first"], atol=0.01)


def test_shuffled_labels_go_with_their_files(tree):
    for golden in GOLDEN:
        if golden["args"].get("shuffle") and golden["args"].get("subset") != "both":
            data = image_dataset_from_directory(tree, image_size=4, batch_size=99, **golden["args"])
            expected = [golden["class_names"].index(path.split("/")[0]) for path in golden["file_paths"]]
            assert data._labels.tolist() == expected
