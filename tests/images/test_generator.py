"""ImageDataGenerator against Keras's own: the same draws, the same pixels."""

import inspect
import itertools
import os
import warnings

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import pytest
import scipy.ndimage
from keras.src.legacy.preprocessing import image as keras_image

from convia import config
from convia.images import generator, splines, transforms
from convia.preprocessing import image as ours

RNG = np.random.default_rng(0)
pytestmark = pytest.mark.filterwarnings("ignore:.*scipy.ndimage.*:DeprecationWarning")
IMAGES = RNG.integers(0, 256, (7, 12, 17, 3)).astype("float32")
SINGLE = [  # every argument alone
    {"samplewise_center": True},
    {"samplewise_center": True, "samplewise_std_normalization": True},
    {"rotation_range": 40},
    {"rotation_range": 180.0},
    {"width_shift_range": 0.3},
    {"width_shift_range": 3.5},
    {"width_shift_range": 4},
    {"width_shift_range": [0.1, 0.4]},
    {"width_shift_range": [-5, 0, 5]},
    {"width_shift_range": (1.5, 2.5)},
    {"height_shift_range": 0.3},
    {"height_shift_range": 2.0},
    {"height_shift_range": 5},
    {"height_shift_range": [0.2, 0.3]},
    {"height_shift_range": [1, 2, 3]},
    {"width_shift_range": np.float32(0), "height_shift_range": np.float64(0.2)},
    {"width_shift_range": 1, "height_shift_range": 1.0},
    {"brightness_range": (0.2, 1.9)},
    {"brightness_range": [0.5, 0.5]},
    {"shear_range": 25},
    {"shear_range": 0.2},
    {"zoom_range": 0.5},
    {"zoom_range": [0.4, 1.6]},
    {"zoom_range": (1, 1)},
    {"zoom_range": 1},
    {"channel_shift_range": 60.0},
    {"channel_shift_range": 0.1},
    {"horizontal_flip": True},
    {"vertical_flip": True},
    {"horizontal_flip": True, "vertical_flip": True},
    {"rescale": 1 / 255},
    {"preprocessing_function": lambda x: x * 2 - 1},
    {"preprocessing_function": lambda x: x + np.random.normal(size=x.shape)},
    {"dtype": "float64"},
    {"interpolation_order": 0},
]
GEOMETRY = {
    "rotation_range": 50,
    "width_shift_range": 0.4,
    "height_shift_range": 0.4,
    "shear_range": 20,
    "zoom_range": 0.4,
}
FILLS = [
    {**GEOMETRY, "fill_mode": mode, "cval": cval, "interpolation_order": order}
    for mode, cval in (("constant", 0.0), ("constant", 120.5), ("nearest", 0.0), ("reflect", 0.0), ("wrap", 0.0))
    for order in range(6)
]


def combined(seed):
    """A random configuration."""
    rng = np.random.default_rng(seed)
    chosen = {}
    for options in rng.permutation(np.array(SINGLE, dtype=object))[: rng.integers(2, 9)]:
        chosen |= options
    return chosen | {
        "fill_mode": str(rng.choice(["constant", "nearest", "reflect", "wrap"])),
        "cval": float(rng.integers(256)),
    }


def both(options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ours.ImageDataGenerator(**options), keras_image.ImageDataGenerator(**options)


def assert_equal(mine, theirs, within=1e-4):
    """Equal within a share of the range of values."""
    mine, theirs = np.asarray(mine), np.asarray(theirs)
    assert mine.shape == theirs.shape
    assert mine.dtype == theirs.dtype
    if theirs.dtype.kind in "fiu" and theirs.size:
        spread = max(float(np.ptp(theirs)), 1e-6)
        assert np.abs(mine.astype(float) - theirs.astype(float)).max() <= within * spread
    else:
        assert (mine == theirs).all()


def tolerance(options):
    return 1e-3 if options.get("interpolation_order", 1) > 1 else 2e-5


@pytest.mark.parametrize(
    "options", [*SINGLE, *FILLS, *map(combined, range(150))], ids=range(len(SINGLE) + len(FILLS) + 150)
)
def test_batches_equal_keras(options):
    mine, theirs = both(options)
    flows = [made.flow(IMAGES, np.arange(7), batch_size=3, seed=11) for made in (mine, theirs)]
    for _ in range(4):
        (x, y), (x_true, y_true) = (next(flow) for flow in flows)
        assert_equal(x, x_true, tolerance(options))
        assert (y == y_true).all()


@pytest.mark.parametrize("options", [*SINGLE, *map(combined, range(40))], ids=range(len(SINGLE) + 40))
def test_draws_equal_keras(options):
    mine, theirs = both(options)
    for seed in range(5):
        drawn = [
            ([*made.get_random_transform((12, 17, 3), seed).items()], np.random.random()) for made in (mine, theirs)
        ]
        assert drawn[0] == drawn[1]


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_formats_and_channels(channels, data_format):
    x = RNG.uniform(0, 255, (5, 9, 14, channels)).astype("float32")
    x = x if data_format == "channels_last" else np.moveaxis(x, 3, 1)
    options = {**GEOMETRY, "channel_shift_range": 30, "horizontal_flip": True, "data_format": data_format}
    mine, theirs = both(options)
    for k in range(5):
        assert_equal(mine.random_transform(x[k], seed=k), theirs.random_transform(x[k], seed=k), 1e-5)
        single = {"theta": 12.0, "flip_vertical": True}
        assert_equal(mine.apply_transform(x[k], single), theirs.apply_transform(x[k], single), 1e-5)


def test_brightness_of_channels_first():
    x = IMAGES[0].transpose(2, 0, 1)
    first = ours.ImageDataGenerator(data_format="channels_first").apply_transform(x, {"brightness": 1.3})
    last = ours.ImageDataGenerator().apply_transform(IMAGES[0], {"brightness": 1.3})
    assert (first.transpose(1, 2, 0) == last).all()


STATISTICS = [
    {"featurewise_center": True},
    {"featurewise_center": True, "featurewise_std_normalization": True},
    {"featurewise_std_normalization": True},
    {"zca_whitening": True, "zca_epsilon": 1e-3},
    {"featurewise_center": True, "rescale": 1 / 255, "samplewise_std_normalization": True},
]


@pytest.mark.parametrize("options", STATISTICS, ids=range(len(STATISTICS)))
@pytest.mark.parametrize("fit", [{}, {"augment": True, "rounds": 2, "seed": 3}], ids=["plain", "augmented"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_statistics_equal_keras(options, fit, data_format):
    x = RNG.uniform(0, 1, (30, 4, 5, 3)).astype("float32")
    x = x if data_format == "channels_last" else x.transpose(0, 3, 1, 2)
    pair = both({**options, "rotation_range": 20, "data_format": data_format})
    untouched = x.copy()
    for made in pair:
        made.fit(x, **fit)
    assert (x == untouched).all()
    for name in ("mean", "std", "zca_whitening_matrix"):
        mine, theirs = (getattr(made, name) for made in pair)
        assert (mine is None) == (theirs is None)
        if mine is not None:
            assert_equal(mine, theirs, 2e-3)
    assert_equal(pair[0].flow(x, seed=1)[0], pair[1].flow(x, seed=1)[0], 2e-3)
    assert_equal(pair[0].standardize(x[0].copy()), pair[1].standardize(x[0].copy()), 2e-3)


CALLS = {
    "random_rotation": {"rg": 60},
    "random_shift": {"wrg": 0.3, "hrg": 0.2},
    "random_shear": {"intensity": 30},
    "random_zoom": {"zoom_range": (0.5, 1.5)},
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 2, 0), (1, 0, 2), (2, 1, 0)])
@pytest.mark.parametrize(
    "more", [{}, {"fill_mode": "constant", "cval": 9.0, "interpolation_order": 0}, {"fill_mode": "wrap"}]
)
def test_random_functions_equal_keras(name, axes, more):
    x = RNG.uniform(0, 255, (6, 8, 7)).astype("float32")
    where = dict(zip(("row_axis", "col_axis", "channel_axis"), axes, strict=True))
    results = []
    for module in (ours, keras_image):
        np.random.seed(5)
        results.append(getattr(module, name)(x, **CALLS[name], **where, **more))
    assert_equal(*results, 1e-5)


@pytest.mark.parametrize("low, high", [(0, 255), (-1, 1), (0, 1), (-300, 900), (100, 120)])
@pytest.mark.parametrize("scale", [True, False])
def test_colors_equal_keras(low, high, scale):
    x = RNG.uniform(low, high, (6, 8, 3)).astype("float32")
    assert_equal(ours.apply_brightness_shift(x, 1.4, scale), keras_image.apply_brightness_shift(x, 1.4, scale), 1e-6)
    for axis in (0, 2):
        assert_equal(ours.apply_channel_shift(x, 0.4, axis), keras_image.apply_channel_shift(x, 0.4, axis), 1e-6)
    results = []
    for module in (ours, keras_image):
        np.random.seed(7)
        results.append((module.random_brightness(x, (0.3, 2.0), scale), module.random_channel_shift(x, 0.3, 2)))
    for mine, theirs in zip(*results, strict=True):
        assert_equal(mine, theirs, 1e-6)


@pytest.mark.parametrize("order, mode", [*itertools.product(range(6), splines.FILL_MODES)])
def test_warp_equals_scipy(order, mode):
    rng = np.random.default_rng(order)
    for case in range(8):
        small = 1 if case == 0 and order < 2 else 12
        x = rng.uniform(0, 255, (*rng.integers(small, 25, 2), 2)).astype("float32")
        matrix, offset = np.eye(2) + rng.normal(0, 0.5, (2, 2)), rng.normal(0, 9, 2)
        if case % 2:  # points between and beyond the pixels
            matrix, offset = np.round(matrix * 2) / 2, np.round(offset * 2) / 2
        if case == 7:
            x = x.astype("uint8")
        how = {"order": order, "mode": mode, "cval": 7.0}
        theirs = np.stack([scipy.ndimage.affine_transform(x[..., k], matrix, offset, **how) for k in range(2)], 2)
        mine = splines.warp(x[None], matrix[None], offset[None], order, mode, 7.0)[0]
        assert mine.dtype == theirs.dtype
        assert np.abs(mine.astype(float) - theirs.astype(float)).max() <= (1 if case == 7 else 0.02)


def test_a_batch_is_warped_as_its_images():
    made = ours.ImageDataGenerator(**GEOMETRY)
    drawn = [made.get_random_transform((12, 17, 3), seed) for seed in range(6)] + [{}]
    together = made.apply_transforms(IMAGES, drawn)
    for x, parameters, changed in zip(IMAGES, drawn, together, strict=True):
        assert (made.apply_transform(x, parameters) == changed).all()


NAMES = [
    name
    for name, thing in vars(keras_image).items()
    if hasattr(thing, "__module__") and thing.__module__ == keras_image.__name__
]


@pytest.mark.parametrize("name", sorted({*NAMES} & {*ours.__all__}))
def test_arguments_equal_keras(name):
    def named(thing):
        kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD,)
        return [(p.name, p.default) for p in inspect.signature(thing).parameters.values() if p.kind in kinds]

    mine, theirs = named(getattr(ours, name)), named(getattr(keras_image, name))
    assert mine[: len(theirs)] == theirs
    thing = getattr(keras_image, name)
    for method in (
        [m for m in vars(thing) if not m.startswith("_") and inspect.isfunction(vars(thing)[m])]
        if inspect.isclass(thing)
        else []
    ):
        if hasattr(getattr(ours, name), method):
            mine, theirs = named(getattr(getattr(ours, name), method)), named(vars(thing)[method])
            assert [n for n, _ in mine] == [n for n, _ in theirs] or method == "fit"


def test_scipy_is_not_needed():
    for module in (generator, splines, transforms):
        assert "import scipy" not in inspect.getsource(module)
        assert "from scipy" not in inspect.getsource(module)


def test_shifts_may_be_arrays():
    listed, arrays = (ours.ImageDataGenerator(width_shift_range=kind([1, 2, 5])) for kind in (list, np.array))
    assert (listed.flow(IMAGES, seed=1)[0] == arrays.flow(IMAGES, seed=1)[0]).all()


def test_subclasses_may_change_everything():
    class Noisy(ours.ImageDataGenerator):
        def standardize(self, x):
            return super().standardize(x) + np.random.normal()

    made = Noisy(rotation_range=10)
    assert not made.draws_ahead
    assert ours.ImageDataGenerator(rotation_range=10).draws_ahead
    assert (made.flow(IMAGES, seed=1)[0] == made.flow(IMAGES, seed=1)[0]).all()


ERRORS = [
    (lambda: ours.ImageDataGenerator(zoom_range=[1, 2, 3]), "zoom_range"),
    (lambda: ours.ImageDataGenerator(zoom_range="a lot"), "zoom_range"),
    (lambda: ours.ImageDataGenerator(brightness_range=0.3), "brightness_range.*two numbers"),
    (lambda: ours.ImageDataGenerator(validation_split=1.2), "validation_split.*between 0 and 1"),
    (lambda: ours.ImageDataGenerator(data_format="channels_lst"), "channels_l"),
    (lambda: ours.ImageDataGenerator(fill_mode="neares"), "Did you mean 'nearest'"),
    (lambda: ours.ImageDataGenerator(interpolation_order=7), "from 0 to 5"),
    (lambda: ours.ImageDataGenerator().fit(IMAGES[0]), "rank 4"),
    (lambda: ours.random_zoom(IMAGES[0], (1, 2, 3)), "random_zoom.*two numbers"),
    (lambda: ours.random_brightness(IMAGES[0], 0.5), "random_brightness.*two numbers"),
    (lambda: ours.apply_affine_transform(IMAGES, 3), r"batch\[0\]"),
    (lambda: ours.apply_affine_transform(IMAGES[0], 3, row_axis=1, col_axis=1), "0, 1 and 2"),
    (lambda: ours.apply_affine_transform(IMAGES[0], 3, row_axis=0, col_axis=2, channel_axis=1), "first or last"),
]


@pytest.mark.parametrize("call, message", ERRORS, ids=range(len(ERRORS)))
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_an_unknown_argument_names_the_nearest():
    with pytest.raises(TypeError, match="'rotation_range'"):
        ours.ImageDataGenerator(rotation_rnage=3)


WARNINGS = [
    (lambda: ours.ImageDataGenerator(zca_whitening=True), "featurewise_center=True"),
    (lambda: ours.ImageDataGenerator(samplewise_std_normalization=True), "samplewise_center=True"),
    (lambda: ours.ImageDataGenerator(featurewise_center=True).standardize(IMAGES[0].copy()), "fit\\(images\\) first"),
    (lambda: ours.ImageDataGenerator().fit(np.zeros((2, 3, 3, 2))), "2 channels"),
]


@pytest.mark.parametrize("call, message", WARNINGS, ids=range(len(WARNINGS)))
def test_warnings(call, message):
    with pytest.warns(UserWarning, match=message):
        call()


def test_settings_of_the_library_are_the_defaults():
    config.set_image_data_format("channels_first")
    config.set_floatx("float64")
    made = generator.ImageDataGenerator()
    assert (made.data_format, made.dtype, made.channel_axis) == ("channels_first", "float64", 1)
    assert transforms.flip_axis(np.arange(3), 0).tolist() == [2, 1, 0]
