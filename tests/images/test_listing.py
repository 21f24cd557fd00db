"""Folders of many files: listed in Keras's order, once, in little memory."""

import os
import time
import tracemalloc

import numpy as np
import pytest

import convia as keras
from convia.images import listing
from convia.images.names import Names

COUNT = 2000


def expected(root):
    """All images in Keras's order, by the system's own walk."""
    found = []
    for top in sorted(entry.path for entry in os.scandir(root) if entry.is_dir()):
        for place, _, names in sorted(os.walk(top)):
            found += [f"{place}/{name}" for name in sorted(names) if name.lower().endswith(listing.FORMATS)]
    return found


def settle(root):
    """Make all folders look as if they had not been changed for a minute."""
    for place, *_ in os.walk(root):
        os.utime(place, (time.time() - 60,) * 2)


@pytest.fixture
def many(tmp_path, monkeypatch):
    """A folder of three classes, one of them with folders within."""
    monkeypatch.setattr(listing, "LEAST", COUNT)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    root = tmp_path / "images"
    places = [root / name / inner for name in ("á", "b") for inner in ("", "in0/deep", "in1/deep")]
    for place in places:
        place.mkdir(parents=True, exist_ok=True)
    for number in range(COUNT + 50):
        place = places[number * number % 6]
        os.close(os.open(f"{place}/{number * 7919 % 100003:05}.{'JPG' if number % 2 else 'png'}", os.O_CREAT))
    (root / "c").mkdir()
    (root / "b" / "text.txt").touch()
    (root / "b-in").mkdir()
    settle(root)
    return root


def kept():
    return sorted((keras.config.home() / "listings").glob("*.npz"))


def never(*args):
    raise AssertionError("listed again")


def test_the_order_is_that_of_few_files_and_the_second_time_nothing_is_listed(many, monkeypatch):
    first = listing.list_images(many)
    assert isinstance(first.paths, Names)
    assert first.paths == expected(many)
    assert first.class_names == ["b", "b-in", "c", "á"]
    assert np.bincount(first.labels).tolist() == [
        len([p for p in first.paths if f"/{n}/" in p]) for n in first.class_names
    ]
    monkeypatch.setattr(listing, "scan", never)
    second = listing.list_images(many)
    assert second.paths == first.paths
    np.testing.assert_array_equal(second.labels, first.labels)
    with pytest.raises(AssertionError):  # other folders, another listing
        listing.list_images(many, class_names=["b"])


CHANGES = {
    "another file": lambda root: (root / "b" / "00000.png").touch(),
    "one less": lambda root: next((root / "b" / "in0" / "deep").iterdir()).unlink(),
    "renamed": lambda root: next((root / "á").glob("*.png")).rename(root / "á" / "x.png"),
    "a folder within": lambda root: [(root / "c" / "new").mkdir(), (root / "c" / "new" / "y.png").touch()],
    "a folder less": lambda root: (root / "b-in").rmdir(),
}


@pytest.mark.parametrize("what", CHANGES)
def test_changes_are_seen(what, many):
    listing.list_images(many)
    assert kept()
    CHANGES[what](many)
    assert listing.list_images(many).paths == expected(many)


def test_what_has_just_changed_or_holds_links_is_not_kept(many):
    os.utime(many / "b")
    listing.list_images(many)
    assert not kept()
    settle(many)
    (many / "c" / "link.png").symlink_to(next((many / "b").glob("*.JPG")))
    settle(many)
    assert len(listing.list_images(many).paths) == COUNT + 51
    assert not kept()


def _rewritten(path, **changed):
    with np.load(path) as file:
        np.savez(path, **({name: file[name] for name in file.files} | changed))


def _with_slash(path):
    with np.load(path) as file:
        text = file["text"].copy()
    text[1] = ord("/")
    _rewritten(path, text=text)


DAMAGES = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:100]),
    "empty": lambda path: path.write_bytes(b""),
    "objects": lambda path: _rewritten(path, text=np.array([{}], object)),
    "lengths": lambda path: _rewritten(path, lengths=np.ones(3, "uint16")),
    "outside": lambda path: _rewritten(path, places=np.frombuffer(b"../x\0" * 7, "uint8")),
    "in another folder": _with_slash,
}


@pytest.mark.parametrize("what", DAMAGES)
def test_a_damaged_listing_is_made_again(what, many):
    before = [*listing.list_images(many).paths]
    (file,) = kept()
    DAMAGES[what](file)
    assert listing.list_images(many).paths == before


def test_without_a_home_files_are_listed(many, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "file"))
    assert listing.list_images(many).paths == expected(many)


def test_only_the_latest_listings_are_kept(many, monkeypatch):
    monkeypatch.setattr(listing, "_KEPT", 2)
    for formats in ((".png", ".jpg"), (".jpg", ".png"), (".png", ".jpg", ".bmp")):
        listing.list_images(many, formats=formats)
    assert len(kept()) == 2


def test_data_sets_and_flows_are_those_of_lists(many, monkeypatch):
    def found():
        made = keras.utils.image_dataset_from_directory(
            many, seed=1, verbose=False, validation_split=0.2, subset="both"
        )
        generator = keras.preprocessing.image.ImageDataGenerator(validation_split=0.25)
        flows = [generator.flow_from_directory(many, subset=subset, seed=2) for subset in ("training", "validation")]
        for data in made:
            rows = [*data.file_paths], data._labels.tolist(), [] if data._keys is None else data._keys.tolist()
            yield rows
            yield [*data.part([3, 1]).file_paths]
        for flow in flows:
            yield [*flow.filenames], [*flow.filepaths], flow.classes.tolist()

    with_names = [*found()]
    monkeypatch.setattr(listing, "LEAST", 10**9)
    assert with_names == [*found()]


def test_names_are_a_sequence_in_little_memory(many):
    names = listing.list_images(many).paths
    texts = [*names]
    assert (len(names), names[0], names[-1], names[7]) == (len(texts), texts[0], texts[-1], texts[7])
    assert names[5:20:3] == texts[5:20:3]
    assert names.take(np.array([4, 2])) == [texts[4], texts[2]]
    assert names.take(np.array([4, 2]))[1:] == [texts[2]]
    assert names.index(texts[9]) == 9
    assert texts[11] in names and "x" not in names
    assert names != texts[1:] and names != "x"
    with pytest.raises(IndexError, match="file 9999 of"):
        names[9999]
    tracemalloc.start()
    held = listing.list_images(many)
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert size / len(held.paths) < 64
