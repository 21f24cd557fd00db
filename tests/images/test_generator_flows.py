"""The iterators of ImageDataGenerator against Keras's: files listed, splits, orders, labels, batches."""

import os
import warnings
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import pandas as pd
import pytest
from keras.src.legacy.preprocessing import image as keras_image
from PIL import Image

import convia
from convia import config
from convia.images import flows, frame, iterators
from convia.preprocessing import image as ours

RNG = np.random.default_rng(0)
COUNTS = {"cat": 7, "Dog": 5, "bird": 6}
SIZE = {"target_size": (9, 11)}
MODULES = (ours, keras_image)
pytestmark = pytest.mark.filterwarnings("ignore:.*scipy.ndimage.*:DeprecationWarning", "ignore:.*subset.*:UserWarning")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos")
    for name, count in COUNTS.items():
        for number in range(count):
            folder = root / name / ("deeper" if number == 1 else "")
            folder.mkdir(parents=True, exist_ok=True)
            mode = ("RGB", "L", "RGBA")[number % 3]
            pixels = RNG.integers(0, 256, (9 + number, 11 if number else 13, len(mode)), dtype="uint8")
            ending = ("png", "BMP", "tif")[number % 3]
            Image.fromarray(pixels.squeeze()).save(folder / f"{number}.{ending}")
    (root / "cat" / "notes.txt").write_text("no image")
    (root / "list.txt").write_text("no class")
    (root / "empty").mkdir()
    return str(root)


def pair(make, options=None):
    """What ``make(generator)`` gives for our generator and for Keras's."""
    made = []
    for module in MODULES:
        np.random.seed(0)
        made.append(make(module.ImageDataGenerator(**(options or {}))))
    return made


def assert_same(mine, theirs):
    if isinstance(theirs, (tuple, list)):
        assert type(mine) is type(theirs)
        assert len(mine) == len(theirs)
        for a, b in zip(mine, theirs, strict=True):
            assert_same(a, b)
        return
    assert mine.shape == theirs.shape
    if theirs.dtype.kind == "f":
        assert mine.dtype == theirs.dtype
        assert np.abs(mine - theirs).max(initial=0) <= 2e-5 * max(np.ptp(theirs), 1) if theirs.size else True
    else:
        assert (mine == theirs).all()


def assert_same_flow(flow, true, batches=5):
    for name in ("samples", "n", "filenames", "filepaths", "image_shape", "batch_size", "num_classes", "class_indices"):
        assert getattr(flow, name, None) == getattr(true, name, None), name
    assert len(flow) == len(true)
    for _ in range(batches):
        assert_same(next(flow), next(true))
        assert (flow.index_array == true.index_array).all()
        assert flow.batch_index == true.batch_index
        assert flow.total_batches_seen == true.total_batches_seen
    flow.reset()
    true.reset()
    assert_same(next(flow), next(true))
    assert_same(flow[0], true[0])
    for one in (flow, true):
        np.random.seed(8)
        one.on_epoch_end()
    assert_same(flow[len(flow) - 1], true[len(true) - 1])


AUGMENTED = {
    "rotation_range": 30,
    "zoom_range": 0.2,
    "horizontal_flip": True,
    "fill_mode": "reflect",
    "rescale": 1 / 255,
}
FOLDERS = [
    {},
    {"class_mode": "sparse"},
    {"class_mode": "input"},
    {"class_mode": None},
    {"class_mode": "binary", "classes": ["cat", "Dog"]},
    {"classes": ["bird", "cat"]},
    {"color_mode": "grayscale"},
    {"color_mode": "rgba"},
    {"interpolation": "bilinear"},
    {"interpolation": "lanczos"},
    {"keep_aspect_ratio": True, "interpolation": "bicubic"},
    {"shuffle": False},
    {"shuffle": False, "seed": 4},
    {"seed": 9},
    {"seed": 9, "batch_size": 4},
    {"seed": 9, "batch_size": 18},
    {"seed": 9, "batch_size": 100},
    {"follow_links": True},
    {"subset": "training", "seed": 2},
    {"subset": "validation", "seed": 2},
    {"subset": "validation", "shuffle": False, "class_mode": "sparse"},
]


@pytest.mark.parametrize("options", FOLDERS, ids=range(len(FOLDERS)))
@pytest.mark.parametrize(
    "changes",
    [{}, AUGMENTED, {"data_format": "channels_first", "dtype": "float64"}],
    ids=["plain", "augmented", "first"],
)
def test_folders_equal_keras(tree, options, changes, capsys):
    changes = changes | {"validation_split": 0.4}
    flow, true = pair(lambda g: g.flow_from_directory(tree, **{**SIZE, "batch_size": 5, **options}), changes)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == said[1]
    assert said[0].startswith(f"Found {flow.samples} images belonging to {flow.num_classes} classes.")
    assert (flow.classes == true.classes).all()
    assert flow.classes.dtype == true.classes.dtype
    np.random.seed(1)
    a = [next(flow) for _ in range(3)]
    np.random.seed(1)
    assert_same(a, [next(true) for _ in range(3)])
    if options.get("seed") is not None:
        assert_same_flow(flow, true)


@pytest.mark.parametrize("share", [0.1, 0.2, 0.33, 0.5, 0.9])
@pytest.mark.parametrize("subset", ["training", "validation"])
def test_splits_equal_keras(tree, share, subset):
    flow, true = pair(lambda g: g.flow_from_directory(tree, subset=subset, **SIZE), {"validation_split": share})
    assert flow.filenames == true.filenames
    assert [*flow.classes] == [*true.classes]


def table(tree):
    names = sorted(str(p.relative_to(tree)) for p in Path(tree).rglob("*.*") if p.suffix != ".txt")
    kinds = [Path(name).parts[0] for name in names]
    rows = range(len(names))
    return {
        "filename": names,
        "class": kinds,
        "many": [[kind, "animal"] if k % 2 else (kind,) for k, kind in enumerate(kinds)],
        "pair": ["ab"[k % 2] for k in rows],
        "age": [k / 2 for k in rows],
        "legs": [*rows],
        "box": [[k, k + 1.0] for k in rows],
    }


TABLES = [
    {},
    {"class_mode": "sparse"},
    {"class_mode": "binary", "y_col": "pair"},
    {"class_mode": "categorical", "y_col": "many"},
    {"class_mode": "categorical", "y_col": "many", "classes": ["animal", "cat"]},
    {"class_mode": "sparse", "classes": ["cat", "bird", "cat"]},
    {"class_mode": "raw", "y_col": "age"},
    {"class_mode": "raw", "y_col": ["age", "legs"]},
    {"class_mode": "multi_output", "y_col": ["age", "box"]},
    {"class_mode": "input"},
    {"class_mode": None},
    {"weight_col": "age"},
    {"weight_col": "legs", "class_mode": "raw", "y_col": "age", "subset": "training"},
    {"subset": "validation", "batch_size": 3},
    {"validate_filenames": False, "color_mode": "grayscale"},
    {"shuffle": False, "class_mode": "sparse", "batch_size": 4},
]


@pytest.mark.parametrize("options", TABLES, ids=range(len(TABLES)))
@pytest.mark.parametrize("changes", [{}, AUGMENTED], ids=["plain", "augmented"])
@pytest.mark.parametrize("kind", ["frame", "dict"])
def test_tables_equal_keras(tree, options, changes, kind, capsys):
    columns = table(tree)
    options = {"batch_size": 5, "seed": 3, **SIZE, **options}
    makers = iter((columns if kind == "dict" else pd.DataFrame(columns), pd.DataFrame(columns)))
    flow, true = pair(
        lambda g: g.flow_from_dataframe(next(makers), tree, **options), changes | {"validation_split": 0.3}
    )
    said = capsys.readouterr().out.splitlines()
    assert said[0] == said[1]
    assert_same_flow(flow, true)
    if options.get("class_mode") not in ("input", None):
        assert_same([np.array(v) for v in flow.labels], [np.array(v) for v in true.labels])


def test_names_of_no_files_are_left_out(tree):
    columns = table(tree)
    columns["filename"][2] = "gone.png"
    columns["filename"][3] = "list.txt"
    with pytest.warns(UserWarning, match=r"2 names of no image file .*gone\.png"):
        flow = ours.ImageDataGenerator().flow_from_dataframe(columns, tree)
    with pytest.warns(UserWarning):
        true = keras_image.ImageDataGenerator().flow_from_dataframe(pd.DataFrame(columns), tree)
    assert flow.filenames == true.filenames


X = RNG.integers(0, 256, (11, 8, 8, 3)).astype("uint8")
Y = np.arange(11) % 2
ARRAYS = [
    {},
    {"y": Y},
    {"y": np.eye(2)[Y]},
    {"y": [*Y], "sample_weight": np.arange(11.0)},
    {"y": Y, "shuffle": False},
    {"y": Y, "subset": "training"},
    {"y": Y, "subset": "validation"},
    {"y": np.arange(11), "subset": "validation", "ignore_class_split": True},
    {"x": (X, np.arange(11)), "y": Y},
    {"x": [X, [np.arange(11), np.ones((11, 2))]], "y": Y, "subset": "training"},
    {"x": (X, [np.arange(11)])},
]


@pytest.mark.parametrize("options", ARRAYS, ids=range(len(ARRAYS)))
@pytest.mark.parametrize(
    "changes",
    [{}, AUGMENTED, {"preprocessing_function": lambda x: x + np.random.normal()}],
    ids=["plain", "augmented", "drawing"],
)
def test_arrays_equal_keras(options, changes):
    options = {"x": X, "batch_size": 3, "seed": 6, **options}
    flow, true = pair(lambda g: g.flow(**options), changes | {"validation_split": 0.4})
    assert_same_flow(flow, true)


def test_without_a_seed_the_draws_are_those_of_numpys_generator():
    mine, theirs = pair(lambda g: [next(flow) for flow in [g.flow(X, batch_size=4)] for _ in range(5)], AUGMENTED)
    assert_same(mine, theirs)


@pytest.mark.parametrize("kind", ["array", "folder"])
def test_saved_pictures_equal_keras(tree, tmp_path, kind):
    names = []
    for module, place in zip(MODULES, ("mine", "theirs"), strict=True):
        (tmp_path / place).mkdir()
        made = module.ImageDataGenerator(horizontal_flip=True)
        how = {
            "batch_size": 4,
            "seed": 2,
            "save_to_dir": str(tmp_path / place),
            "save_prefix": "p",
            "save_format": "png",
        }
        next(made.flow(X, **how) if kind == "array" else made.flow_from_directory(tree, **how, **SIZE))
        names.append(sorted(path.name for path in (tmp_path / place).iterdir()))
    assert names[0] == names[1]
    assert len(names[0]) == 4
    assert (
        np.asarray(Image.open(tmp_path / "mine" / names[0][0]))
        == np.asarray(Image.open(tmp_path / "theirs" / names[0][0]))
    ).all()


def test_next_of_keras_1_and_endless_iteration(tree):
    flow = ours.ImageDataGenerator().flow(X, batch_size=4, shuffle=False)
    assert (flow.next() == X[:4]).all()
    assert (next(iter(flow)) == X[4:8]).all()
    assert (flow[-1] == X[8:]).all()
    with pytest.raises(ValueError, match=r"index 3.*below 3"):
        flow[3]


def test_an_iterator_of_ones_own():
    class Numbers(ours.Iterator):
        def _get_batches_of_transformed_samples(self, index_array):
            return index_array * 10

    assert [next(flow).tolist() for flow in [Numbers(3, 2, False, None)] for _ in range(3)] == [[0, 10], [20], [0, 10]]
    assert Numbers(3, 2, False, None, workers=2).workers == 2
    with pytest.raises(NotImplementedError, match="_get_batches_of_transformed_samples"):
        next(ours.Iterator(3, 2, False, None))


def test_without_a_generator(tree):
    plain = ours.DirectoryIterator(tree, None, batch_size=18, shuffle=False, **SIZE)
    assert_same(plain[0], ours.ImageDataGenerator().flow_from_directory(tree, batch_size=18, shuffle=False, **SIZE)[0])


def test_logging_can_be_off(tree, capsys):
    config.disable_interactive_logging()
    ours.ImageDataGenerator().flow_from_directory(tree)
    config.enable_interactive_logging()
    assert not capsys.readouterr().out


@pytest.fixture
def damaged(tmp_path):
    for kind in "ab":
        (tmp_path / kind).mkdir()
        for number in range(6):
            Image.fromarray(np.full((8, 8, 3), 20 * number, "uint8")).save(tmp_path / kind / f"{number}.png")
    (tmp_path / "a" / "1.png").write_bytes(b"")
    (tmp_path / "a" / "2.png").write_bytes((tmp_path / "b" / "2.png").read_bytes()[:45])
    (tmp_path / "b" / "5.png").write_text("no image")
    return tmp_path


def test_damaged_files_are_left_out_counted_and_named(damaged):
    flow = ours.ImageDataGenerator(rotation_range=10).flow_from_directory(damaged, (8, 8), batch_size=4, shuffle=False)
    with pytest.warns(UserWarning, match=r"2 that cannot be read: .*1\.png.*2\.png"):
        x, y = flow[0]
    assert x.shape == (2, 8, 8, 3)
    assert y.shape == (2, 2)
    with pytest.warns(UserWarning, match=r"b.5\.png"):
        flow[2]
    with pytest.warns(UserWarning, match=r"3 of 12 files in all"):
        flow.on_epoch_end()
    assert sorted(Path(path).name for path in flow.unreadable) == ["1.png", "2.png", "5.png"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(flow[0][0]) == 2
        flow.on_epoch_end()


def test_the_good_are_changed_alike_beside_the_damaged(damaged):
    made = ours.ImageDataGenerator(**AUGMENTED)
    flow = made.flow_from_directory(damaged, (8, 8), batch_size=12, seed=3)
    with pytest.warns(UserWarning, match="cannot be read"):
        x, _ = flow[0]
    for path in flow.unreadable:
        Image.fromarray(np.zeros((8, 8, 3), "uint8")).save(path)
    whole, _ = made.flow_from_directory(damaged, (8, 8), batch_size=12, seed=3)[0]
    good = [k for k, j in enumerate(flow.index_array) if flow.filepaths[j] not in flow.unreadable]
    assert len(good) == 9
    assert (whole[good] == x).all()


@pytest.mark.filterwarnings("ignore:.*cannot be read.*")
def test_beside_the_damaged_evaluate_and_predict_say_what_they_would_without(damaged):
    def flow():
        made = ours.ImageDataGenerator(rescale=1 / 255)
        return made.flow_from_directory(damaged, (8, 8), batch_size=5, shuffle=False)

    network = model(2)
    beside = flow()
    scores, outputs = network.evaluate(beside, verbose=0), network.predict(beside, verbose=0)
    rows = convia.images.rows(network, beside)
    assert (beside.samples, len(beside), len(outputs)) == (12, 3, 9)
    for path in beside.unreadable:
        Path(path).unlink()
    without = flow()
    assert without.samples == 9
    np.testing.assert_allclose(scores, network.evaluate(without, verbose=0), rtol=1e-5)
    np.testing.assert_allclose(outputs, network.predict(without, verbose=0), rtol=1e-5)
    assert [row.path for row in rows] == without.filepaths
    np.testing.assert_allclose([row.probabilities for row in rows], outputs, rtol=1e-5)


def test_damaged_files_can_stop_the_training(damaged):
    flow = ours.ImageDataGenerator().flow_from_directory(damaged, (8, 8), on_error="raise")
    with pytest.raises(OSError, match=r"\.png"):
        flow[0]


@pytest.mark.filterwarnings("ignore:.*cannot be read.*")
def test_a_batch_is_never_empty(damaged):
    flow = ours.ImageDataGenerator().flow_from_directory(
        damaged, (8, 8), batch_size=1, shuffle=False, class_mode="sparse"
    )
    assert [flow[k][0].max() for k in range(4)] == [0, 60, 60, 60]
    for path in flow.filepaths:
        Path(path).write_bytes(b"")
    with pytest.raises(OSError, match="none of which can be read"):
        ours.ImageDataGenerator().flow_from_directory(damaged, (8, 8))[0]


@pytest.mark.parametrize(
    "memory, cache, times",
    [(10, "memory", 18 + 8), (18, "auto", 18), (17, "auto", 18), (0, "disk", 18), (0, "memory", 36), (99, None, 36)],
)
def test_decoded_images_are_kept(tree, monkeypatch, memory, cache, times):
    opened = []
    decode = flows.decode
    monkeypatch.setattr(flows, "decode", lambda path, *rest, **how: opened.append(path) or decode(path, *rest, **how))
    flow = ours.ImageDataGenerator(rescale=2).flow_from_directory(
        tree, batch_size=1, shuffle=False, memory=memory * 9 * 11 * 3, cache=cache, **SIZE
    )
    epochs = [[flow[k][0] for k in range(18)] for _ in range(2)]
    assert len(opened) == times
    assert_same(*epochs)


def model(classes):
    made = convia.Sequential([convia.layers.Flatten(), convia.layers.Dense(classes, activation="softmax")])
    made.compile("sgd", "categorical_crossentropy", metrics=["accuracy"])
    return made


def test_fit_evaluate_and_predict_take_iterators(tree):
    made = ours.ImageDataGenerator(rotation_range=10, rescale=1 / 255, validation_split=0.4)
    train, test = (
        made.flow_from_directory(tree, (8, 8), batch_size=4, subset=part, seed=1) for part in ("training", "validation")
    )
    network = model(4)
    history = network.fit(train, epochs=3, validation_data=test, verbose=0)
    assert len(history.history["val_loss"]) == 3
    assert train.total_batches_seen == 3 * len(train)
    network.fit(train, epochs=2, steps_per_epoch=2, validation_data=test, validation_steps=1, verbose=0)
    assert train.total_batches_seen == 3 * len(train) + 4
    ordered = made.flow_from_directory(tree, (8, 8), class_mode=None, shuffle=False)
    assert network.predict(ordered, verbose=0).shape == (18, 4)
    assert len(network.evaluate(test, verbose=0)) == 2


def test_fit_takes_arrays_with_weights():
    flow = ours.ImageDataGenerator(horizontal_flip=True).flow(
        X / 255, np.eye(2)[Y], sample_weight=np.ones(11), batch_size=4
    )
    assert model(2).fit(flow, epochs=2, verbose=0).history["loss"][-1] > 0


MAKE = ours.ImageDataGenerator
ERRORS = [
    (ValueError, "class_mode.*'sparse'", lambda t: MAKE().flow_from_directory(t, class_mode="sparce")),
    (ValueError, "color_mode.*'rgb'", lambda t: MAKE().flow_from_directory(t, color_mode="bgr")),
    (ValueError, "interpolation.*'bilinear'", lambda t: MAKE().flow_from_directory(t, interpolation="linear")),
    (ValueError, "on_error", lambda t: MAKE().flow_from_directory(t, on_error="ignore")),
    (ValueError, "subset.*'validation'", lambda t: MAKE().flow_from_directory(t, subset="valid")),
    (ValueError, "batch_size=0", lambda t: MAKE().flow_from_directory(t, batch_size=0)),
    (FileNotFoundError, "gone.*a folder of images", lambda t: MAKE().flow_from_directory(t + "/gone")),
    (ValueError, "x: 11, y: 3", lambda t: MAKE().flow(X, [1, 2, 3])),
    (ValueError, "sample_weight: 2", lambda t: MAKE().flow(X, sample_weight=[1, 2])),
    (ValueError, r"x\[1\]\[0\]: 1", lambda t: MAKE().flow((X, [1, 2]))),
    (ValueError, r"x\[..., None\]", lambda t: MAKE().flow(X[..., 0])),
    (ValueError, "ignore_class_split", lambda t: MAKE(validation_split=0.5).flow(X, np.arange(11), subset="training")),
    (KeyError, "'clas'.*Did you mean 'class'", lambda t: MAKE().flow_from_dataframe(table(t), t, y_col="clas")),
    (
        TypeError,
        "must|numbers use|raw",
        lambda t: MAKE().flow_from_dataframe(table(t), t, y_col="legs", class_mode="sparse"),
    ),
    (TypeError, "str or list or tuple", lambda t: MAKE().flow_from_dataframe(table(t), t, y_col="legs")),
    (TypeError, "file names as texts", lambda t: MAKE().flow_from_dataframe(table(t), t, x_col="legs")),
    (TypeError, "a list of columns", lambda t: MAKE().flow_from_dataframe(table(t), t, class_mode="multi_output")),
    (TypeError, "expected numbers", lambda t: MAKE().flow_from_dataframe(table(t), t, weight_col="class")),
    (ValueError, "3 classes; expected 2", lambda t: MAKE().flow_from_dataframe(table(t), t, class_mode="binary")),
    (ValueError, "class_mode", lambda t: MAKE().flow_from_dataframe(table(t), t, class_mode="one-hot")),
]


@pytest.mark.parametrize("error, message, call", ERRORS, ids=range(len(ERRORS)))
def test_errors(tree, error, message, call):
    with pytest.raises(error, match=message):
        call(tree)


WARNINGS = [
    (UserWarning, "no images", lambda t: MAKE().flow_from_directory(t, classes=["cats", "Dog"])),
    (
        UserWarning,
        "classes is ignored",
        lambda t: MAKE().flow_from_dataframe(table(t), t, classes=["cat"], class_mode=None),
    ),
    (UserWarning, "2 channels", lambda t: MAKE().flow(X[..., :2])),
    (DeprecationWarning, "'has_ext'", lambda t: MAKE().flow_from_dataframe(table(t), t, has_ext=True)),
    (DeprecationWarning, "'raw'", lambda t: MAKE().flow_from_dataframe(table(t), t, y_col="age", class_mode="other")),
]


@pytest.mark.parametrize("kind, message, call", WARNINGS, ids=range(len(WARNINGS)))
def test_warnings(tree, kind, message, call):
    with pytest.warns(kind, match=message):
        call(tree)


@pytest.mark.filterwarnings("default:.*subset.*:UserWarning")
def test_validation_images_that_are_changed_or_missing_are_warned_of(tree):
    with pytest.warns(UserWarning, match="changes images at random"):
        MAKE(horizontal_flip=True, validation_split=0.5).flow_from_directory(tree, subset="validation")
    with pytest.warns(UserWarning, match="without a split"):
        MAKE().flow_from_directory(tree, subset="training")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MAKE(rescale=2, validation_split=0.5).flow_from_directory(tree, subset="validation")


def test_names():
    assert flows.FORMATS == iterators.Iterator.white_list_formats == keras_image.Iterator.white_list_formats
    assert frame.DataFrameIterator is ours.DataFrameIterator
