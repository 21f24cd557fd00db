"""Broken files: every one is named, training goes on, and the good come out as they would without the broken."""

import io
import os
import shutil
import warnings
from pathlib import Path

import broken_images
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import convia
from convia import images
from convia.cli import data as cli_data
from convia.images.examine_files import look

BROKEN, ODD = broken_images.broken(), broken_images.odd()
SIZE = (8, 8)
GOOD = 10
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")


def write_good(root):
    for k, name in enumerate("ab"):
        (root / name).mkdir(parents=True)
        for number in range(GOOD):
            (root / name / f"good_{number:02}.png").write_bytes(broken_images.encoded("PNG", 100 * k + number))
    return root


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder with all that is broken, and the same without."""
    pure = write_good(tmp_path_factory.mktemp("pure"))
    mixed = tmp_path_factory.mktemp("mixed")
    shutil.copytree(pure, mixed, dirs_exist_ok=True)
    for k, (name, content) in enumerate(BROKEN.items()):
        (mixed / "ab"[k % 2] / name).write_bytes(content)
    (mixed / "a" / "dangling.png").symlink_to(mixed / "a" / "nowhere.png")
    os.mkfifo(mixed / "a" / "pipe.png")
    return pure, mixed


def bad_names(is_flow=False):
    """Flows leave GIFs aside, as Keras's do."""
    return {name for name in (*BROKEN, "dangling.png", "pipe.png") if not (is_flow and name.endswith(".gif"))}


def names(paths):
    return {Path(path).name for path in paths}


def table(root):
    found = sorted(path for path in root.rglob("*.*") if path.suffix != ".gif")
    return {"filename": [str(path) for path in found], "class": [path.parent.name for path in found]}


def flow(root, kind, **how):
    made = images.ImageDataGenerator(rescale=1 / 255)
    how = {"target_size": SIZE, "class_mode": "sparse", "shuffle": False} | how
    if kind == "directory":
        return made.flow_from_directory(root, **how)
    return made.flow_from_dataframe(table(root), validate_filenames=False, **how)


def dataset(root, **how):
    return images.image_dataset_from_directory(root, image_size=SIZE, **{"shuffle": False, "batch_size": 8} | how)


def model():
    convia.utils.set_random_seed(1)
    made = convia.Sequential([convia.layers.Rescaling(1 / 255), convia.layers.Flatten(), convia.layers.Dense(2)])
    made.compile("sgd", convia.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    made.build((None, *SIZE, 3))
    return made


def test_there_are_many_kinds():
    assert len(BROKEN) > 40


@pytest.mark.parametrize("name", BROKEN)
def test_each_is_refused_by_name(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(BROKEN[name])
    with pytest.raises((OSError, Image.DecompressionBombError), match=rf"{name}: received .*; expected "):
        images.load_img(path)
    facts = look(str(path))
    assert facts.bad in ("empty", "not_an_image", "truncated", "damaged", "huge")
    assert facts.reason
    assert facts.bad == "huge" or "bomb" not in name
    with pytest.raises((OSError, Image.DecompressionBombError)):
        cli_data.load_img(path)


@pytest.mark.parametrize("name", ODD)
def test_the_odd_are_read(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(ODD[name])
    assert images.load_img(path).size == (broken_images.SIDE,) * 2
    assert look(str(path)).bad == ""


@pytest.mark.parametrize("kind", ["directory", "dataframe"])
def test_flows_name_the_broken_and_keep_the_good(folders, kind):
    pure, mixed = folders
    expected, found = flow(pure, kind, batch_size=GOOD), flow(mixed, kind, batch_size=7)
    batches = [found[k] for k in range(len(found))]
    x, y = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    whole = [expected[k] for k in range(2)]
    good = y.tolist().count(0), y.tolist().count(1)
    assert names(found.unreadable) == bad_names(is_flow=True)
    assert min(good) >= GOOD  # a batch of broken files alone becomes a good image
    distinct, places = np.unique(x, axis=0, return_index=True)
    reference = np.concatenate([part[0] for part in whole])
    assert (distinct == np.unique(reference, axis=0)).all()
    labels = {image.tobytes(): label for image, label in zip(reference, np.repeat([0, 1], GOOD), strict=True)}
    assert all(labels[x[k].tobytes()] == y[k] for k in places)
    with pytest.warns(
        UserWarning, match=rf"{len(bad_names(is_flow=True))} of {2 * GOOD + len(bad_names(is_flow=True))} files in all"
    ):
        found.on_epoch_end()


@pytest.mark.parametrize("kind", ["directory", "dataframe"])
def test_flows_train_beside_the_broken_as_without(folders, kind):
    weights = []
    for root in folders:
        network = model()
        network.fit(flow(root, kind, batch_size=200), epochs=3, verbose=0)
        weights.append(network.get_weights())
    assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(*weights, strict=True))


@pytest.mark.parametrize("kind", ["directory", "dataframe"])
def test_flows_replace_the_broken(folders, kind):
    found = flow(folders[1], kind, batch_size=8, on_error="replace")
    batches = [found[k] for k in range(len(found))]
    assert [len(x) for x, _ in batches[:-1]] == [8] * (len(found) - 1)
    assert sum(len(y) for _, y in batches) == found.n
    assert names(found.unreadable) == bad_names(is_flow=True)
    reference = {image.tobytes(): label for k in range(2) for image, label in zip(*flow(folders[0], kind, batch_size=GOOD)[k], strict=True)}  # fmt: skip
    for x, y in batches:
        assert [reference[image.tobytes()] for image in x] == y.tolist()
    with pytest.warns(UserWarning, match="They are replaced by others"):
        model().fit(found, epochs=1, verbose=0)


@pytest.mark.parametrize("kind", ["directory", "dataframe"])
def test_flows_stop_at_the_broken(folders, kind):
    with pytest.raises((OSError, Image.DecompressionBombError), match="received"):
        [*zip(range(99), flow(folders[1], kind, on_error="raise"), strict=False)]


@pytest.mark.parametrize("shuffle", [False, True])
def test_data_sets_train_beside_the_broken_bit_by_bit_as_without(folders, shuffle):
    weights, batches = [], []
    for root in folders:
        network, source = model(), dataset(root, shuffle=shuffle, seed=5)
        network.fit(source, epochs=3, verbose=0)
        weights.append(network.get_weights())
        batches.append([*source])
        assert len(source) == len(batches[-1]) == 3  # as is known by now
    for (x, y), (x_mixed, y_mixed) in zip(*batches, strict=True):
        assert torch.equal(x, x_mixed)
        assert torch.equal(y, y_mixed)
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)
    assert names(source.unreadable) == bad_names()


def test_data_sets_name_the_broken_at_the_end(folders):
    source = dataset(folders[1])
    expected = (
        rf"received {len(bad_names())} files that cannot be read \(.*and {len(bad_names()) - 10} more\).*left out"
    )
    with pytest.warns(UserWarning, match=expected):
        model().fit(source, epochs=1, verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model().fit(source, epochs=1, verbose=0)


def test_data_sets_end_early_without_another_warning(folders):
    network = model()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        network.evaluate(dataset(folders[1]), verbose=0)
        network.fit(dataset(folders[1]), validation_data=dataset(folders[1]), epochs=2, verbose=0)
    assert not [str(warning.message) for warning in caught if "The data ended" in str(warning.message)]
    with pytest.warns(UserWarning, match="The data ended after 3 of 9 steps"):
        network.evaluate(dataset(folders[1]), steps=9, verbose=0)


def test_data_sets_replace_the_broken(folders):
    source = dataset(folders[1], on_error="replace")
    with pytest.warns(UserWarning, match="replaced by others"):
        batches = [*source]
    assert len(batches) == len(source)
    assert sum(len(x) for x, _ in batches) == len(source.file_paths) == 2 * GOOD + len(bad_names())
    labels = {image.numpy().tobytes(): int(y) for x, ys in dataset(folders[0]) for image, y in zip(x, ys, strict=True)}
    for x, ys in batches:
        assert [labels[image.numpy().tobytes()] for image in x] == ys.tolist()


def test_data_sets_stop_at_the_broken(folders):
    with pytest.raises((OSError, Image.DecompressionBombError), match="received"):
        [*dataset(folders[1], on_error="raise")]


@pytest.mark.parametrize("on_error", ["skip", "replace"])
def test_a_folder_of_nothing_but_broken_files(tmp_path, on_error):
    for name, content in [*BROKEN.items()][:5]:
        (tmp_path / "a").mkdir(exist_ok=True)
        (tmp_path / "a" / name).write_bytes(content)
    with pytest.raises(OSError, match="received 5 files, none of which can be read"):
        [*dataset(tmp_path, on_error=on_error)]
    with pytest.raises(OSError, match="5 files, none of which can be read"):
        flow(tmp_path, "directory", on_error=on_error)[0]


def test_the_command_trains_beside_the_broken_as_without(folders):
    pure, mixed = (cli_data.load(str(root), seed=3) for root in folders)
    for part in ("training", "validation", "test"):
        np.testing.assert_array_equal(getattr(pure, part).images, getattr(mixed, part).images)
        np.testing.assert_array_equal(getattr(pure, part).labels, getattr(mixed, part).labels)
    assert names(mixed.unreadable) == bad_names()
    assert all("received" in reason or "No such file" in reason for reason in mixed.unreadable.values())


def test_the_command_replaces_or_stops(folders):
    pure, refilled = (cli_data.load(str(root), seed=3, on_error="replace") for root in folders)
    assert len(refilled.training) == len(pure.training) + len(bad_names())
    np.testing.assert_array_equal(refilled.training.images[: len(pure.training)], pure.training.images)
    known = {image.tobytes(): label for image, label in zip(pure.training.images, pure.training.labels, strict=True)}
    assert all(known[x.tobytes()] == y for x, y in zip(refilled.training.images, refilled.training.labels, strict=True))
    np.testing.assert_array_equal(refilled.test.images, pure.test.images)
    with pytest.raises(OSError, match="With --on-error skip it is left out"):
        cli_data.load(str(folders[1]), on_error="raise")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    for read in (images.load_img, lambda path: cli_data.header(str(path))):
        with pytest.raises(OSError, match=r"pipe\.png: received a pipe or a device; expected a file"):
            read(tmp_path / "pipe.png")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP"])
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True))
def test_cut_anywhere_an_image_is_refused_or_whole(kind, share, tmp_path):
    content = broken_images.encoded(kind, 3)
    whole = np.asarray(images.load_img(io.BytesIO(content)))
    path = tmp_path / f"cut.{kind.lower()}"
    path.write_bytes(content[: int(share * len(content))])
    try:
        pixels = np.asarray(images.load_img(path))
    except OSError as error:
        assert path.name in str(error)
        assert look(str(path)).bad
    else:
        np.testing.assert_array_equal(pixels, whole)
        assert not look(str(path)).bad


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"])
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_wrong_bit_is_refused_or_an_image(kind, place, bit, tmp_path):
    content = bytearray(broken_images.encoded(kind, 4))
    content[int(place * len(content))] ^= 1 << bit
    path = tmp_path / "bit.png"
    path.write_bytes(content)
    try:
        assert images.load_img(path).mode == "RGB"
    except (OSError, Image.DecompressionBombError) as error:
        assert "bit.png" in str(error)
