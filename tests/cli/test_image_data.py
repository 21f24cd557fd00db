"""Reading folders and data sets: sizes, colours, parts, the split, and what is wrong with a folder."""

import numpy as np
import pytest
from PIL import Image

from convia.cli import data
from convia.datasets import cifar10


def write(folder, count, size=(9, 7), mode="RGB", kind="png", start=0):
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(start, start + count):
        shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
        Image.fromarray(np.full(shape, number % 256, "uint8")).convert(mode).save(folder / f"{number}.{kind}")


@pytest.fixture
def photos(tmp_path):
    for number, name in enumerate(("cat", "dog", "emu")):
        write(tmp_path / name, 10 + 10 * number, start=100 * number // 2)
    return tmp_path


def counts(images):
    return {part: np.bincount(getattr(images, part).labels).tolist() for part in ("training", "validation", "test")}


def test_every_class_in_every_part(photos):
    images = data.load(str(photos), validation_split=0.1, test_split=0.2)
    assert images.class_names == ["cat", "dog", "emu"]
    assert counts(images) == {"training": [7, 14, 21], "validation": [1, 2, 3], "test": [2, 4, 6]}
    assert images.input_shape == (7, 9, 3)
    assert images.name == photos.name
    parts = [images.training, images.validation, images.test]
    assert all(part.images.dtype == np.uint8 for part in parts)
    shown = [
        f"{label}/{image[0, 0, 0]}" for part in parts for image, label in zip(part.images, part.labels, strict=True)
    ]
    assert len(set(shown)) == 60  # each image is in one part


def test_the_seed_decides(photos):
    first, again, other = (data.load(str(photos), seed=seed).test.images for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize(
    ("sizes", "chosen", "shape"),
    [
        (((9, 7), (9, 7)), None, (7, 9)),
        (((9, 7), (7, 9)), None, (48, 48)),
        (((90, 70), (90, 70)), None, (48, 48)),
        (((9, 7), (9, 7)), 20, (20, 20)),
    ],
)
def test_sizes(tmp_path, sizes, chosen, shape):
    for name, size in zip("ab", sizes, strict=True):
        write(tmp_path / name, 3, size)
    assert data.load(str(tmp_path), image_size=chosen).input_shape == (*shape, 3)


@pytest.mark.parametrize(
    ("modes", "channels"),
    [(("L", "L"), 1), (("L", "1"), 1), (("L", "RGB"), 3), (("P", "L"), 3), (("RGBA", "RGB"), 3)],
)
def test_colours(tmp_path, modes, channels):
    for name, mode in zip("ab", modes, strict=True):
        write(tmp_path / name, 3, mode=mode)
    assert data.load(str(tmp_path)).input_shape[2] == channels


def test_sixteen_bits(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        for number in range(3):
            Image.fromarray(np.full((5, 5), 65535, "uint16")).save(tmp_path / name / f"{number}.png")
    assert data.load(str(tmp_path)).training.images.max() == 255


def test_unreadable_files_are_left_out_and_named(photos):
    (photos / "cat" / "broken.jpg").write_bytes(b"no image")
    (photos / "dog" / "empty.png").touch()
    whole = (photos / "emu" / "100.png").read_bytes()
    (photos / "emu" / "short.png").write_bytes(whole[: len(whole) // 2])
    (photos / "emu" / "notes.txt").write_text("not listed")
    images = data.load(str(photos))
    assert {path.rsplit("/")[-1] for path in images.unreadable} == {"broken.jpg", "empty.png", "short.png"}
    assert sum(map(sum, counts(images).values())) == 60


@pytest.mark.parametrize("names", [("train", "test"), ("training", "val", "testing"), ("train", "valid")])
def test_parts_that_are_there_stay(tmp_path, names):
    for size, name in enumerate(names):
        for class_name in ("cat", "dog"):
            write(tmp_path / name / class_name, 20 - size)
    (tmp_path / names[0] / "empty").mkdir()
    found = counts(data.load(str(tmp_path), validation_split=0.2, test_split=0.1))
    expected = {
        ("train", "test"): {"training": [16, 16], "validation": [4, 4], "test": [19, 19]},
        ("training", "val", "testing"): {"training": [20, 20], "validation": [19, 19], "test": [18, 18]},
        ("train", "valid"): {"training": [18, 18], "validation": [19, 19], "test": [2, 2]},
    }
    assert found == expected[names]


def test_digits():
    images = data.load("digits", validation_split=0.2)
    assert images.input_shape == (8, 8, 1)
    assert images.class_names == list("0123456789")
    assert images.largest == images.training.images.max() == 16
    assert (len(images.training), len(images.validation), len(images.test)) == (1151, 287, 359)
    assert data.load("digits", image_size=12).input_shape == (12, 12, 1)


def test_other_data_sets(monkeypatch):
    fake = (np.zeros((30, 32, 32, 3), "uint8"), np.arange(30)[:, None] % 10)
    monkeypatch.setitem(data.KNOWN, "cifar10", data._Known(lambda: (fake, fake), cifar10.CLASS_NAMES))
    images = data.load("cifar10", image_size=16)
    assert images.input_shape == (16, 16, 3)
    assert counts(images)["validation"] == [1] * 10
    assert {name: len(known.class_names) for name, known in data.KNOWN.items()} == {
        "cifar10": 10, "cifar100": 100, "digits": 10, "fashion_mnist": 10, "mnist": 10
    }  # fmt: skip


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("digit", r"received 'digit'; expected a folder of images, or the name of a data set. Did you mean 'digits'\?"),
        ("xyz", "Known: cifar10, cifar100, digits, fashion_mnist, mnist"),
        ("some/where", "Data sets with a name: cifar10"),
    ],
)
def test_nothing_there(source, message):
    with pytest.raises(NotADirectoryError, match=message):
        data.load(source)


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        ({}, "no folders with images in them; expected a folder of images for each of at least 2 classes"),
        ({"cat": 5}, r"images of one class \(cat\).*/dogs/1.jpg"),
        ({"cat": 5, "dog": 0}, r"images of one class \(cat\)"),
        ({"cat": 5, "dog": 1}, r"class 'dog': received 1 readable image; expected at least 3: one each for training"),
        ({"cat": 5, "dog": 2}, r"class 'dog': received 2 readable images; expected at least 3"),
        ({"train/cat": 5, "train/dog": 5, "test/cow": 1}, r"test: received the class 'cow'; expected .*: cat, dog"),
    ],
)
def test_what_is_wrong_with_a_folder(tmp_path, folders, message):
    for name, count in folders.items():
        write(tmp_path / name, count)
    with pytest.raises(ValueError, match=message):
        data.load(str(tmp_path))


def test_shares_that_leave_nothing(photos):
    with pytest.raises(
        ValueError, match=r"class 'cat': received 10 readable images; expected enough for shares of 50%, 49%"
    ):
        data.load(str(photos), validation_split=0.5, test_split=0.49)


def test_nothing_can_be_read(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").write_text("no image")
    with pytest.raises(OSError, match=r"received 2 files, none of which can be read; expected files ending in \.bmp"):
        data.load(str(tmp_path))
