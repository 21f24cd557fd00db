import copy
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import torch
from keras.src.layers.preprocessing.image_preprocessing import aug_mix
from oracle import GRADIENT_TOLERANCE, against_keras, assert_close

from convia import layers, symbolic
from convia.layers import augmentation

PIXELS = np.random.default_rng(0).uniform(0, 255, (6, 12, 10, 3)).astype("float32")
SMALL = {"value_range": (0, 1)}
FIRST = {"data_format": "channels_first"}
CASES = [
    ("RandomFlip", {}),
    ("RandomFlip", {"mode": "horizontal"}),
    ("RandomFlip", {"mode": "vertical", **FIRST}),
    ("RandomRotation", {"factor": 0.3}),
    ("RandomRotation", {"factor": (0.25, 0.25)}),
    ("RandomRotation", {"factor": (0.1, 0.1), "fill_mode": "constant", "fill_value": 9.0, **FIRST}),
    ("RandomRotation", {"factor": (-0.1, 0.4), "fill_mode": "wrap"}),
    ("RandomRotation", {"factor": 0.3, "fill_mode": "nearest", "interpolation": "nearest"}),
    ("RandomZoom", {"height_factor": 0.4}),
    ("RandomZoom", {"height_factor": (0.3, 0.5), "width_factor": (-0.4, -0.1), "fill_mode": "constant"}),
    ("RandomZoom", {"height_factor": (0.5, 0.5), "width_factor": 0.2, "fill_mode": "wrap", **FIRST}),
    ("RandomTranslation", {"height_factor": 0.4, "width_factor": (0.1, 0.3)}),
    ("RandomTranslation", {"height_factor": (-0.9, -0.5), "width_factor": 0.9, "fill_mode": "wrap", **FIRST}),
    ("RandomTranslation", {"height_factor": 0.4, "width_factor": 0.4, "fill_mode": "constant", "fill_value": 3.0}),
    ("RandomShear", {"x_factor": 0.3, "y_factor": (0.1, 0.2)}),
    ("RandomShear", {"x_factor": 0.5, "fill_mode": "constant", "fill_value": 8.0, "interpolation": "nearest"}),
    ("RandomShear", {"y_factor": 0.4, "fill_mode": "wrap", **FIRST}),
    ("RandomPerspective", {"scale": 0.4}),
    ("RandomPerspective", {"factor": 0.5, "scale": 0.2, "interpolation": "nearest", "fill_value": 4.0}),
    ("RandomPerspective", {"factor": (0.2, 0.9), "scale": 0.3, **FIRST}),
    ("RandomCrop", {"height": 5, "width": 6}),
    ("RandomCrop", {"height": 15, "width": 10}),
    ("RandomCrop", {"height": 12, "width": 4, **FIRST}),
    ("RandomBrightness", {"factor": 0.3}),
    ("RandomBrightness", {"factor": (0.2, 0.2), **SMALL}),
    ("RandomBrightness", {"factor": (-0.9, -0.1), **FIRST}),
    ("RandomContrast", {"factor": 0.5}),
    ("RandomContrast", {"factor": (0.4, 0.2), **SMALL}),
    ("RandomContrast", {"factor": (0.1, 0.9), **FIRST}),
    ("RandomHue", {"factor": 0.8}),
    ("RandomHue", {"factor": (0.3, 0.3), **SMALL}),
    ("RandomHue", {"factor": (0.1, 0.6), **FIRST}),
    ("RandomSaturation", {"factor": 0.8}),
    ("RandomSaturation", {"factor": (0.1, 0.4), **SMALL}),
    ("RandomSaturation", {"factor": (0.6, 0.9), **FIRST}),
    ("RandomColorDegeneration", {"factor": 0.7}),
    ("RandomColorDegeneration", {"factor": (0.2, 0.5), **SMALL}),
    ("RandomColorDegeneration", {"factor": (1.0, 1.0), **FIRST}),
    ("RandomSharpness", {"factor": 1.0}),
    ("RandomSharpness", {"factor": (0.1, 0.3), **SMALL}),
    ("RandomSharpness", {"factor": (0.6, 0.9), **FIRST}),
    ("RandomPosterization", {"factor": 4}),
    ("RandomPosterization", {"factor": (3, 3), **SMALL}),
    ("RandomPosterization", {"factor": (1, 7), **FIRST}),
    ("RandomGrayscale", {"factor": 0.5}),
    ("RandomGrayscale", {"factor": 1.0}),
    ("RandomGrayscale", {"factor": 0.2, **FIRST}),
    ("RandomInvert", {"factor": 0.5}),
    ("RandomInvert", {"factor": (0.2, 0.9), **SMALL}),
    ("RandomInvert", {**FIRST}),
    ("RandomGaussianBlur", {"factor": 0.6, "kernel_size": 5}),
    ("RandomGaussianBlur", {"sigma": (0.5, 0.9)}),
    ("RandomGaussianBlur", {"kernel_size": 7, "factor": (0.3, 0.8), **SMALL, **FIRST}),
    ("RandomErasing", {"fill_value": 7.0}),
    ("RandomErasing", {"factor": 0.5, "scale": (0.3, 0.5), "fill_value": 300}),
    ("RandomErasing", {"factor": (0.4, 0.8), "scale": 0.6, "fill_value": 0.5, **SMALL, **FIRST}),
    ("RandomColorJitter", {"brightness_factor": 0.3, "contrast_factor": 0.3, "saturation_factor": 0.4}),
    ("RandomColorJitter", {"hue_factor": (0.2, 0.2)}),
    ("RandomColorJitter", {"brightness_factor": (0.1, 0.2), "hue_factor": 0.3, **SMALL}),
    ("Solarization", {"addition_factor": 0.2, "threshold_factor": (0.1, 0.6)}),
    ("Solarization", {"addition_factor": (0.3, 0.3), "threshold_factor": 0.5, **SMALL}),
    ("Solarization", {"threshold_factor": 0.9, **FIRST}),
    ("CutMix", {"factor": 0.8}),
    ("CutMix", {"factor": (0.2, 0.5)}),
    ("CutMix", {**FIRST}),
    ("MixUp", {"alpha": 0.4}),
    ("MixUp", {"alpha": 2.0}),
    ("MixUp", {**FIRST}),
]
FIXED = [
    ("AutoContrast", {}),
    ("AutoContrast", SMALL),
    ("AutoContrast", {"value_range": (-100, 400)}),  # Keras takes channels for rows in channels_first
    ("Equalization", {}),
    ("Equalization", {"bins": 32, **SMALL}),
    ("Equalization", {"bins": 100, **FIRST}),
]
POLICIES = [
    ("RandAugment", {}),
    ("RandAugment", {"num_ops": 4, "factor": 0.3, **SMALL}),
    ("RandAugment", {"num_ops": 3, "factor": (0.1, 0.6), "interpolation": "nearest"}),
    ("AugMix", {}),
    ("AugMix", {"num_chains": 2, "all_ops": False, **SMALL}),
    ("AugMix", {"chain_depth": 4, "alpha": 0.5, "factor": 0.5, "interpolation": "nearest"}),
    ("RandomElasticTransform", {}),
    ("RandomElasticTransform", {"scale": (0.4, 0.5), "fill_mode": "mirror"}),
    ("RandomElasticTransform", {"factor": (0.5, 0.7), "scale": (0.6, 0.9), "interpolation": "nearest", **FIRST}),
]
NOISE = [("RandomErasing", {}), ("RandomErasing", {"scale": (0.3, 0.5), **SMALL})]  # drawn in the order of the axes
SEEDLESS = {"AutoContrast", "Equalization"}


def plain(arguments):
    return {key: value for key, value in arguments.items() if key != "data_format"}


def arguments_of(name, arguments, **more):
    seed = {} if name in SEEDLESS else {"seed": 7}
    return {**arguments, **seed, **more, "name": "it"}


def both(name, arguments, **more):
    given = arguments_of(name, arguments, **more)
    return getattr(layers, name)(**given), getattr(keras.layers, name)(**given)


def images(arguments):
    x = PIXELS / 255 if arguments.get("value_range") == (0, 1) else PIXELS
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2)) if "data_format" in arguments else x


@pytest.fixture
def no_side_effects(monkeypatch):
    """Keras on torch changes images and matrices in place, also those of changes that RandAugment did not choose."""
    for name in ("RandomBrightness", "RandomRotation", "RandomShear", "RandomTranslation"):
        cls = getattr(keras.layers, name)

        def on_copies(self, images, transformation, transform=cls.transform_images, **options):
            return transform(self, images.clone(), copy.deepcopy(transformation), **options)

        monkeypatch.setattr(cls, "transform_images", on_copies)


def same_chance(name, ours, theirs, monkeypatch):
    """Let Keras draw from the seed where it does not: Python's generator chooses for AugMix, torch's moves pixels."""
    if name == "RandomElasticTransform":
        torch.manual_seed(ours.generator.state.sum() + 3)
    if name == "AugMix":
        source = torch.Generator().manual_seed(int(theirs.generator.next().sum()))
        picks = torch.randint(len(theirs._augment_layers) + 1, (ours.num_chains * ours.chain_depth,), generator=source)
        numbers = iter(picks.tolist())
        monkeypatch.setattr(aug_mix, "py_random", SimpleNamespace(choice=lambda names: names[next(numbers)]))


def output_and_gradient(layer, x, **options):
    leaf = torch.tensor(x, requires_grad=True)
    y = layer(leaf, **options)
    weights = torch.linspace(-1, 1, y.numel()).reshape(y.shape)
    return y, torch.autograd.grad((y * weights).sum(), leaf)[0] if y.requires_grad else torch.zeros(())


@against_keras(("name", "arguments"), CASES + FIXED + POLICIES + NOISE)
def test_the_same_seed_gives_keras_s_images(name, arguments, no_side_effects, monkeypatch):
    x = images(arguments)
    ours, theirs = both(name, arguments)
    calls = (True, False) if name == "RandomElasticTransform" else (True, True, False)  # Keras miscounts its draws
    for training in calls:
        same_chance(name, ours, theirs, monkeypatch)
        mine, other = (output_and_gradient(layer, x, training=training) for layer in (ours, theirs))
        if training or name != "RandomCrop":  # of which Keras documents a crop in inference, and makes none
            assert_close(mine[0], other[0])
            assert_close(mine[1], other[1], "gradient", GRADIENT_TOLERANCE)


@pytest.mark.parametrize(("name", "arguments"), CASES + FIXED)
def test_a_single_image_equals_keras_s(name, arguments):
    ours, theirs = both(name, arguments)
    x = images(arguments)[0]
    expected = theirs(torch.tensor(x))
    assert_close(ours(x), expected[0] if expected.ndim == 4 else expected)


@pytest.mark.parametrize(("name", "arguments"), CASES + FIXED + POLICIES)
def test_channels_first_is_the_same_transposed(name, arguments):
    arguments = plain(arguments)
    x = images(arguments)
    last = getattr(layers, name)(**arguments_of(name, arguments, data_format="channels_last"))
    first = getattr(layers, name)(**arguments_of(name, arguments, data_format="channels_first"))
    y = first(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
    assert_close(y.permute(0, 2, 3, 1), last(x))


@pytest.mark.parametrize(("name", "arguments"), CASES + FIXED + POLICIES)
def test_configs_equal_keras_s(name, arguments):
    ours, theirs = (layer.get_config() for layer in both(name, arguments))
    again = getattr(layers, name).from_config(ours)
    assert again.get_config() == ours
    listed = [{k: list(v) if isinstance(v, tuple) else v for k, v in each.items()} for each in (ours, theirs)]
    for key in theirs.keys() - {"dtype"}:
        assert listed[0][key] == listed[1][key], key
    assert ours.keys() - theirs.keys() <= {"seed"}
    assert getattr(layers, name).from_config(theirs).get_config().keys() == ours.keys()


@pytest.mark.parametrize(("name", "arguments"), CASES + FIXED + POLICIES)
def test_symbolic_shapes(name, arguments):
    ours, theirs = both(name, arguments)
    for batch in (None, 4):
        shape = (batch, *images(arguments).shape[1:])
        assert ours(symbolic.KerasTensor(shape)).shape == tuple(theirs(keras.KerasTensor(shape)).shape)


@pytest.mark.parametrize(("name", "arguments"), CASES + POLICIES)
def test_inference_passes_images_on(name, arguments):
    layer = getattr(layers, name)(**arguments_of(name, plain(arguments)))
    if name == "RandomCrop":
        size = arguments["height"], arguments["width"]
        whole = keras.layers.CenterCrop(*size) if size[0] > 12 else None
        y = layer(PIXELS, training=False)
        assert y.shape == (6, *size, 3)
        if whole:
            assert_close(y, whole(torch.tensor(PIXELS)))
        return
    assert torch.equal(layer(PIXELS, training=False), torch.tensor(PIXELS))
    layer.eval()
    assert torch.equal(layer(PIXELS), torch.tensor(PIXELS))


@pytest.mark.parametrize(("name", "arguments"), CASES + POLICIES)
def test_seeds(name, arguments):
    given = {**arguments, "seed": 5}
    one, two = (getattr(layers, name)(**given) for _ in range(2))
    x = images(arguments)
    assert torch.equal(one(x), two(x))
    free = getattr(layers, name)(**{**given, "seed": None})
    values = []
    for _ in range(2):
        torch.manual_seed(3)
        values.append(free(x))
    assert torch.equal(*values)


@pytest.mark.parametrize(("name", "arguments"), POLICIES)
def test_policies_change_images_within_the_range(name, arguments):
    x = images(arguments)
    layer = getattr(layers, name)(**arguments, seed=1)
    low, high = layer.value_range
    changed = 0
    for _ in range(5):
        y = layer(x)
        assert y.shape == x.shape
        assert torch.isfinite(y).all()
        if name != "RandAugment":
            assert y.min() >= low
            assert y.max() <= high
        changed += not torch.equal(y, torch.tensor(x))
    assert changed >= 4


@pytest.mark.parametrize("name", ["RandomRotation", "RandomFlip", "RandomCrop", "CutMix", "RandAugment"])
def test_masks_move_with_the_images(name):
    arguments = {"RandomRotation": {"factor": 0.4, "interpolation": "nearest"}, "RandomCrop": {"height": 7, "width": 7}}
    layer = getattr(layers, name)(**arguments.get(name, {}), seed=3)
    if name == "RandAugment":
        layer._choices = layer._choices[:3]
        for choice in layer._choices:
            choice.interpolation = "nearest"
    mask = (PIXELS > 128).astype("float32")
    y = layer({"images": mask, "segmentation_masks": mask.astype("int32")})
    assert y["segmentation_masks"].dtype == torch.int32
    assert_close(y["segmentation_masks"], y["images"])


@pytest.mark.parametrize(("name", "arguments"), [("CutMix", {"factor": 0.8}), ("MixUp", {"alpha": 0.4})])
def test_labels_are_mixed(name, arguments):
    data = {"images": PIXELS, "labels": np.eye(6, dtype="float32")}
    ours, theirs = both(name, arguments)
    expected = theirs({key: torch.tensor(value) for key, value in data.items()})
    mixed = ours(data)
    assert_close(mixed["labels"], expected["labels"])
    assert_close(mixed["images"], expected["images"])
    assert_close(mixed["labels"].sum(1), torch.ones(6))


def test_labels_of_single_images_stay():
    y = layers.RandomFlip()({"images": PIXELS[0], "labels": 3})
    assert y["labels"] == 3
    assert y["images"].shape == PIXELS.shape[1:]


def test_a_turn_by_a_quarter():
    square = PIXELS[:, :10]
    y = layers.RandomRotation((0.25, 0.25))(square)
    assert_close(y, np.rot90(square, 1, (1, 2)), tolerance=1e-4)


def test_whole_numbers_become_floats():
    assert layers.RandomBrightness(0.1)(PIXELS.astype("uint8")).dtype == torch.float32


def test_pipeline():
    steps = [layers.Rescaling(1 / 255), layers.RandomFlip(seed=1), layers.RandomBrightness(0.2, (0, 1), seed=2)]
    pipeline = layers.Pipeline(steps)
    theirs = keras.layers.Pipeline(
        [
            keras.layers.Rescaling(1 / 255),
            keras.layers.RandomFlip(seed=1),
            keras.layers.RandomBrightness(0.2, (0, 1), seed=2),
        ]
    )
    again = layers.Pipeline.from_config(pipeline.get_config())
    assert again.get_config() == pipeline.get_config()
    assert_close(pipeline(PIXELS), theirs(torch.tensor(PIXELS)))
    assert_close(pipeline(PIXELS, training=False), PIXELS / 255)
    assert pipeline.get_config().keys() == theirs.get_config().keys()
    assert pipeline(symbolic.KerasTensor((None, 8, 8, 3))).shape == (None, 8, 8, 3)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: layers.RandomFlip("diagonal"), "RandomFlip, argument 'mode'"),
        (lambda: layers.RandomRotation(2), "RandomRotation, argument 'factor'.*from -1 to 1"),
        (lambda: layers.RandomZoom((0, 1, 2)), "argument 'height_factor'.*a pair"),
        (lambda: layers.RandomTranslation("x", 0.1), "argument 'height_factor'"),
        (lambda: layers.RandomRotation(0.1, fill_mode="x"), "argument 'fill_mode'"),
        (lambda: layers.RandomBrightness(0.1, value_range=3), "argument 'value_range'.*two numbers"),
        (lambda: layers.RandomGaussianBlur(kernel_size=4), "argument 'kernel_size'.*odd numbers"),
        (lambda: layers.RandomErasing(fill_value=(1, 2)), "argument 'fill_value'"),
        (lambda: layers.RandomGrayscale(2), "argument 'factor'.*from 0 to 1"),
        (lambda: layers.RandomFlip()(torch.zeros(3, 3)), r"images of shape \(3, 3\)"),
    ],
)
def test_mistakes(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_ranges():
    assert augmentation.factor_range(-1, 1)(0.2, None, "x") == (-0.2, 0.2)
    assert augmentation.factor_range(0, 1)(0.2, None, "x") == (0, 0.2)
    assert augmentation.factor_range(1, 8)(4, None, "x") == (1, 4)
    assert augmentation.factor_range(0, 1, mirrored=False)([0.5, 0.2], None, "x") == (0.2, 0.5)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@against_keras(
    ("name", "arguments", "dtype"),
    [
        ("ContrastLimitedAdaptiveHistogramEqualization", arguments, dtype)
        for arguments, dtype in (
            ({}, "float32"),
            ({}, "int32"),
            ({"tile_grid_size": (3, 2), "clip_limit": 0.0}, "float32"),
            ({"tile_grid_size": (4, 30), "clip_limit": 1.5}, "float32"),
            ({"value_range": (0, 1)}, "float32"),
        )
    ],
)
def test_contrast_limited_equalization(name, arguments, dtype, data_format, monkeypatch):
    rng = np.random.default_rng(0)
    images = (rng.random((2, 19, 26, 3)) ** 3 * arguments.get("value_range", (0, 255))[1]).astype(dtype)
    images = images if data_format == "channels_last" else np.moveaxis(images, -1, 1).copy()
    given = {**arguments, "data_format": data_format, "name": "it"}
    ours, theirs = getattr(layers, name)(**given), getattr(keras.layers, name)(**given)
    backend = (
        theirs.backend
    )  # on torch, other than elsewhere, Keras rounds the limit down, and does not mirror the edge
    one_hot = backend.nn.one_hot
    monkeypatch.setattr(backend.nn, "one_hot", lambda *args: one_hot(*args).float())
    monkeypatch.setattr(backend.numpy, "pad", lambda x, *args, mode: torch.as_tensor(np.pad(x, *args, mode=mode)))
    for x in (images, images[0]):
        expected = theirs(x)
        for training in (True, False):
            result = ours(x, training=training)
            assert result.dtype == expected.dtype
            np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-3 if dtype == "float32" else 1)
    assert ours.get_config().keys() == theirs.get_config().keys()


@against_keras(("name", "count"), [("MaxNumBoundingBoxes", count) for count in (1, 3, 5)])
@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_max_num_bounding_boxes(name, count, batched, training):
    rng = np.random.default_rng(0)
    boxes = {"boxes": rng.random((2, count, 4), "float32"), "labels": rng.integers(0, 9, (2, count))}
    data = {"images": rng.random((2, 8, 8, 3), "float32"), "bounding_boxes": boxes}
    if not batched:
        data = keras.tree.map_structure(lambda value: value[0], data)
    given = {"max_number": 3, "fill_value": -2, "bounding_box_format": "xyxy"}
    ours = getattr(layers, name)(**given)(keras.tree.map_structure(np.copy, data), training=training)
    theirs = getattr(keras.layers, name)(**given)(data, training=training)
    keras.tree.map_structure(np.testing.assert_array_equal, ours, theirs)


def test_bounding_boxes_need_a_format():
    data = {"images": torch.zeros(8, 8, 3), "bounding_boxes": {"boxes": torch.zeros(1, 4), "labels": torch.zeros(1)}}
    with pytest.raises(ValueError, match="expected a bounding_box_format"):
        layers.MaxNumBoundingBoxes(3)(data)
