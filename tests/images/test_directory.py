"""Folders of images: order and split against Keras's own listing, batches against the files."""

import os
import warnings
from copy import copy
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import pytest
import torch
from keras.src.utils import dataset_utils
from PIL import Image

from convia import images
from convia.images import directory

rng = np.random.default_rng(0)
TREE = {"cat": 5, "Dog": 4, "bird": 3}
MAKE = directory.image_dataset_from_directory


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos")
    for name, count in TREE.items():
        for number in range(count):
            folder = root / name / ("deeper" if number == 1 else "")
            folder.mkdir(parents=True, exist_ok=True)
            image = Image.fromarray(rng.integers(0, 256, (8 + number, 9, 3)).astype("uint8"))
            image.save(folder / f"{number}.{('png', 'PNG', 'bmp')[number % 3]}")
    (root / "cat" / "notes.txt").write_text("no image")
    (root / "list.txt").write_text("no class")
    return root


@pytest.mark.parametrize("labels", ["inferred", None, list(range(12))])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("class_names", [None, ["cat", "bird"]])
def test_order_equals_keras(tree, labels, shuffle, class_names):
    if class_names and labels != "inferred":
        return
    theirs = dataset_utils.index_directory(
        str(tree), copy(labels), directory.FORMATS, class_names, shuffle=shuffle, seed=42, verbose=False
    )
    listing = directory.list_images(tree, labels, class_names)
    listing = listing.shuffled(42) if shuffle else listing
    assert listing.paths == theirs[0]
    assert listing.class_names == theirs[2]
    if labels is not None:
        assert [*map(int, listing.labels)] == [*map(int, theirs[1])]


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5, 0.9])
def test_split_equals_keras(tree, fraction, capsys):
    parts = MAKE(tree, validation_split=fraction, subset="both", seed=7, image_size=4)
    paths, labels, _ = dataset_utils.index_directory(str(tree), "inferred", directory.FORMATS, seed=7, verbose=False)
    assert "Found 12 files belonging to 3 classes." in capsys.readouterr().out
    for part, subset in zip(parts, ("training", "validation"), strict=True):
        expected = dataset_utils.get_training_or_validation_split(paths, labels, fraction, subset)
        assert part.file_paths == expected[0]
        assert MAKE(tree, validation_split=fraction, subset=subset, seed=7).file_paths == expected[0]


def test_batches(tree):
    data = MAKE(tree, shuffle=False, batch_size=5, image_size=(6, 7))
    assert (len(data), data.class_names, len(data.file_paths)) == (3, ["Dog", "bird", "cat"], 12)
    batches = [*data]
    assert [tuple(x.shape) for x, _ in batches] == [(5, 6, 7, 3), (5, 6, 7, 3), (2, 6, 7, 3)]
    x, y = (torch.cat(parts) for parts in zip(*batches, strict=True))
    assert (x.dtype, y.dtype, y.tolist()) == (torch.float32, torch.int32, [0] * 4 + [1] * 3 + [2] * 5)
    for path, image in zip(data.file_paths, x, strict=True):
        expected = images.resize(images.img_to_array(images.load_img(path), dtype="uint8"), (6, 7))
        np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize(
    ("arguments", "shape", "y"),
    [
        ({"label_mode": "categorical"}, (3, 4, 4, 3), [[1, 0, 0]] * 3),
        ({"label_mode": "binary", "class_names": ["cat", "bird"]}, (3, 4, 4, 3), [[0]] * 3),
        ({"label_mode": None}, (3, 4, 4, 3), None),
        ({"labels": None}, (3, 4, 4, 3), None),
        ({"labels": list(range(12))}, (3, 4, 4, 3), [0, 1, 2]),
        ({"color_mode": "grayscale"}, (3, 4, 4, 1), [0, 0, 0]),
        ({"color_mode": "rgba"}, (3, 4, 4, 4), [0, 0, 0]),
        ({"data_format": "channels_first"}, (3, 3, 4, 4), [0, 0, 0]),
        ({"crop_to_aspect_ratio": True}, (3, 4, 4, 3), [0, 0, 0]),
        ({"pad_to_aspect_ratio": True, "interpolation": "lanczos3"}, (3, 4, 4, 3), [0, 0, 0]),
        ({"batch_size": None}, (4, 4, 3), 0),
        ({"format": "grain", "verbose": False}, (3, 4, 4, 3), [0, 0, 0]),
    ],
)
def test_arguments(tree, arguments, shape, y):
    data = MAKE(tree, **{"batch_size": 3, "shuffle": False, "image_size": (4, 4)} | arguments)
    first = next(iter(data))
    x, labels = first if isinstance(first, tuple) else (first, None)
    assert tuple(x.shape) == shape
    assert (None if labels is None else labels.tolist()) == y
    if arguments.get("label_mode") in ("binary", "categorical"):
        assert labels.dtype == torch.float32


def test_each_epoch_has_another_order_and_every_run_the_same(tree):
    def epochs(seed):
        data = MAKE(tree, seed=seed, labels=list(range(12)), batch_size=4, image_size=2)
        return [[int(label) for _, y in data for label in y] for _ in range(2)]

    first, second = epochs(1)
    assert first != second
    assert sorted(first) == sorted(second) == list(range(12))
    assert epochs(1) == [first, second]
    assert epochs(2) != [first, second]


def test_labels_follow_their_files(tree):
    data = MAKE(tree, seed=3, batch_size=12, image_size=(8, 9), interpolation="nearest")
    expected = set()
    for path in data.file_paths:
        label = data.class_names.index(Path(path).relative_to(tree).parts[0])
        pixels = images.resize(images.img_to_array(images.load_img(path)), (8, 9), "nearest")
        expected.add((label, round(float(pixels.sum()))))
    x, y = next(iter(data))
    assert {(int(label), round(float(image.double().sum()))) for image, label in zip(x, y, strict=True)} == expected


def test_unreadable_files_are_left_out_and_named_once(tree, tmp_path):
    for name, content in {"a/bad.png": b"no", "a/cut.jpg": b"\xff\xd8\xff\xe0", "b/empty.gif": b""}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    Image.new("RGB", (5, 5)).save(tmp_path / "b" / "good.png")
    data = MAKE(tmp_path, batch_size=2, image_size=4, shuffle=False)
    with pytest.warns(
        UserWarning, match=r"received 3 files that cannot be read \(.*bad\.png.*empty\.gif.*'unreadable'"
    ):
        batches = [*data]
    assert [(tuple(x.shape), y.tolist()) for x, y in batches] == [((1, 4, 4, 3), [1])]
    assert len(data.unreadable) == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len([*data]) == 1


def test_stopping_early_and_starting_again(tree):
    data = MAKE(tree, batch_size=2, image_size=4)
    for _ in range(2):
        assert next(iter(data))[0].shape[0] == 2
    assert len([*data]) == 6


def test_links_and_hidden_files(tmp_path):
    root, away = tmp_path / "root", tmp_path / "away"
    for folder in (root / "a", root / ".hidden", away):
        folder.mkdir(parents=True)
        Image.new("RGB", (5, 5)).save(folder / "x.png")
    (root / "a" / ".x.png").write_bytes(b"listed, as by Keras")
    (root / "a" / "inside.png").symlink_to(root / "a" / "x.png")
    (root / "a" / "outside.png").symlink_to(away / "x.png")
    (root / "a" / "folder").symlink_to(away)
    (root / "a" / "loop").symlink_to(root / "a")
    (root / "linked").symlink_to(away)
    with pytest.warns(UserWarning, match=r"received 3 links that lead out of the folder \(.*follow_links=True"):
        listing = directory.list_images(root)
    assert listing.class_names == ["a", "linked"]
    assert [os.path.relpath(path, root) for path in listing.paths] == ["a/.x.png", "a/inside.png", "a/x.png"]
    followed = directory.list_images(root, follow_links=True)
    assert [os.path.relpath(path, root) for path in followed.paths] == [
        "a/.x.png", "a/inside.png", "a/outside.png", "a/x.png", "a/folder/x.png", "linked/x.png"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": "guess"}, "argument 'labels': received 'guess'"),
        ({"labels": 3}, "argument 'labels': received int"),
        ({"labels": [1, 2]}, "received 2 labels for 12 files"),
        ({"labels": None, "class_names": ["cat"]}, "argument 'class_names'.*None unless"),
        ({"class_names": ["dog"]}, r"argument 'class_names': received 'dog'.*Did you mean 'Dog'"),
        ({"label_mode": "sparse"}, "argument 'label_mode': received 'sparse'"),
        ({"label_mode": "binary"}, "label_mode='binary': received the classes.*exactly 2"),
        ({"color_mode": "bgr"}, "argument 'color_mode'"),
        ({"image_size": (1, 2, 3)}, "argument 'image_size'"),
        ({"interpolation": "cubic"}, "argument 'interpolation'.*'bicubic'"),
        ({"format": "jax"}, "argument 'format'"),
        ({"validation_split": 2, "subset": "training", "seed": 1}, "received 2; expected a number between 0 and 1"),
        ({"validation_split": 0.2}, "validation_split=0.2 and subset=None; expected both or neither"),
        ({"subset": "training"}, "both or neither"),
        ({"subset": "test", "validation_split": 0.2}, "argument 'subset': received 'test'"),
        ({"subset": "both", "validation_split": 0.2}, "shuffle=True without a seed.*overlap"),
        ({"subset": "both", "validation_split": 0.01, "seed": 1}, "no validation images in"),
        ({"crop_to_aspect_ratio": True, "pad_to_aspect_ratio": True}, "only one of them"),
    ],
)
def test_messages(tree, arguments, message):
    with pytest.raises(ValueError, match=message):
        MAKE(tree, **arguments)


def test_no_folder_and_no_images(tmp_path):
    with pytest.raises(NotADirectoryError, match=r"absent.*expected a folder of images"):
        MAKE(tmp_path / "absent")
    with pytest.raises(ValueError, match=r"received no images in .*\.jpeg"):
        MAKE(tmp_path)
