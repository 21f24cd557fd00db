import keras
import numpy as np
import pytest
import torch
from oracle import against_keras, assert_close, compare_config, compare_layer, compare_symbolic, random_inputs

from convia import config
from convia.layers import preprocessing

PIXELS = np.random.default_rng(0).uniform(0, 255, (2, 9, 7, 3)).astype("float32")
FIRST = np.ascontiguousarray(PIXELS.transpose(0, 3, 1, 2))
RESIZING = [
    {"height": 5, "width": 4},
    {"height": 12, "width": 15, "interpolation": "nearest"},
    {"height": 12, "width": 4, "interpolation": "bicubic"},
    {"height": 4, "width": 3, "antialias": True},
    {"height": 4, "width": 3, "antialias": True, "interpolation": "nearest"},
    {"height": 6, "width": 6, "crop_to_aspect_ratio": True},
    {"height": 4, "width": 10, "crop_to_aspect_ratio": True},
    {"height": 6, "width": 6, "pad_to_aspect_ratio": True, "fill_value": 3.0},
    {"height": 10, "width": 4, "pad_to_aspect_ratio": True},
]
CROPS = [{"height": 4, "width": 5}, {"height": 9, "width": 7}, {"height": 12, "width": 5}, {"height": 12, "width": 14}]
IMAGE_CASES = [("Resizing", case) for case in RESIZING] + [("CenterCrop", case) for case in CROPS]


def both(name, arguments):
    return tuple(getattr(module, name)(**arguments, name="it") for module in (preprocessing, keras.layers))


@against_keras(("name", "arguments"), IMAGE_CASES)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_image_layers_equal_keras(name, arguments, data_format):
    ours, theirs = both(name, {**arguments, "data_format": data_format})
    x = PIXELS if data_format == "channels_last" else FIRST
    compare_config(ours, theirs)
    for training in (False, True):
        compare_layer(ours, theirs, x, training=training)
    assert_close(ours(x[0]), theirs(torch.tensor(x[0])))
    compare_symbolic(ours, theirs, (None, *x.shape[1:]))
    compare_symbolic(ours, theirs, (None, None, None, 3) if data_format == "channels_last" else (None, 3, None, None))


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest", "bicubic"])
def test_whole_numbers_are_rounded(interpolation):
    ours, theirs = both("Resizing", {"height": 5, "width": 11, "interpolation": interpolation})
    x = PIXELS.astype("uint8")
    assert ours(x).dtype == torch.uint8
    assert_close(ours(x), theirs(torch.tensor(x)))


def test_masks_are_resized_without_mixing():
    data = {"images": PIXELS, "labels": np.arange(2), "segmentation_masks": (PIXELS[..., :1] > 99).astype("uint8")}
    ours, theirs = (layer({**data}) for layer in both("Resizing", {"height": 4, "width": 5}))
    assert ours.keys() == theirs.keys()
    for key in data:
        assert_close(ours[key], theirs[key], key)


@pytest.mark.parametrize(
    "arguments",
    [{"scale": 1 / 255}, {"scale": 2.0, "offset": -1}, {"scale": [0.1, 0.2, 0.3], "offset": [1.0, 2.0, 3.0]}],
)
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_rescaling(arguments, dtype):
    ours, theirs = both("Rescaling", arguments)
    compare_config(ours, theirs)
    compare_layer(ours, theirs, PIXELS.astype(dtype))
    compare_symbolic(ours, theirs, (None, None, None, 3), dtype=dtype)


def test_rescaling_by_arrays_and_channels_first():
    layer = preprocessing.Rescaling(np.array([1.0, 2.0, 3.0], "float32"))
    again = preprocessing.Rescaling.from_config(layer.get_config())
    config.set_image_data_format("channels_first")
    assert_close(again(FIRST), FIRST * np.array([1, 2, 3]).reshape(3, 1, 1))


@pytest.mark.parametrize("axis", [-1, None, 1, (1, 2), (1, 2, 3), (0, 3)])
@pytest.mark.parametrize("invert", [False, True])
def test_adapted_normalization(axis, invert):
    ours, theirs = both("Normalization", {"axis": axis, "invert": invert})
    for layer in (ours, theirs):
        layer.adapt(PIXELS)
    compare_config(ours, theirs)
    assert [(v.name, tuple(v.shape), v.dtype) for v in ours.weights] == [
        (v.name, tuple(v.shape), v.value.dtype) for v in theirs.weights
    ]
    assert_close(ours.get_weights(), theirs.get_weights())
    assert_close(ours.mean, theirs.mean)
    assert_close(ours.variance, theirs.variance)
    assert_close(ours(PIXELS), theirs(torch.tensor(PIXELS)))


@pytest.mark.parametrize(
    ("axis", "mean", "variance", "shape"),
    [
        (-1, 3.0, 2.0, (4, 3)),
        (-1, [1.0, 2.0, 3.0], [4.0, 5.0, 6.0], (4, 5, 3)),
        (None, 3.0, 0.0, (4, 3)),
        ((1, 2), [1.0, 2.0, 3.0], [4.0, 5.0, 6.0], (4, 5, 3)),
        (1, [1.0, 2.0, 3.0], [4.0, 5.0, 6.0], (4, 3, 5)),
    ],
)
def test_given_statistics(axis, mean, variance, shape):
    ours, theirs = both("Normalization", {"axis": axis, "mean": mean, "variance": variance})
    compare_config(ours, theirs)
    compare_layer(ours, theirs, *random_inputs(shape))
    compare_symbolic(ours, theirs, (None, *shape[1:]))


class Sequence:
    """Like keras.utils.PyDataset: batches by number."""

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return PIXELS[:, index * 3 : (index + 1) * 3], np.zeros(2)


@pytest.mark.parametrize(
    "batches",
    [
        lambda: [PIXELS[:, :4], PIXELS[:, 4:]],
        lambda: ((torch.tensor(PIXELS[:, i : i + 1]), 0) for i in range(9)),
        Sequence,
        lambda: torch.tensor(PIXELS),
        lambda: torch.utils.data.DataLoader([(image, 1) for image in PIXELS], batch_size=1),
    ],
)
def test_adapt_to_batches(batches):
    layer = preprocessing.Normalization()
    layer.adapt(batches())
    assert_close(layer.get_weights()[:2], [PIXELS.mean((0, 1, 2)), PIXELS.var((0, 1, 2))])


def test_adapted_weights_travel():
    layer = preprocessing.Normalization()
    layer.adapt(PIXELS)
    copy = preprocessing.Normalization.from_config(layer.get_config())
    copy.build_from_config(layer.get_build_config())
    copy.set_weights(layer.get_weights())
    assert torch.equal(layer(PIXELS), copy(PIXELS))


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda: preprocessing.Normalization(mean=1.0), ValueError, "both or neither"),
        (lambda: preprocessing.Normalization(mean=[1.0], variance=[1.0, 2.0]), ValueError, "of one shape"),
        (lambda: preprocessing.Normalization(axis=5)(torch.zeros(2, 3)), ValueError, r"known sizes on the axes \(5,\)"),
        (lambda: preprocessing.Normalization().adapt([]), ValueError, "no data"),
        (lambda: preprocessing.Normalization().adapt([1, 2]), TypeError, "an element 1"),
        (lambda: preprocessing.Normalization().adapt(3), TypeError, "an iterable of batches"),
        (lambda: preprocessing.Normalization().adapt([PIXELS, FIRST]), ValueError, r"\(2, 3, 9, 7\).*None, 3\)"),
        (lambda: preprocessing.Resizing(0, 3), ValueError, "Resizing, argument 'height'"),
        (lambda: preprocessing.Resizing(3, 3, "lanczos5"), ValueError, "argument 'interpolation'.*bicubic"),
        (
            lambda: preprocessing.Resizing(3, 3, crop_to_aspect_ratio=True, pad_to_aspect_ratio=True),
            ValueError,
            "at most one",
        ),
        (lambda: preprocessing.CenterCrop(3, 3)(torch.zeros(4, 4)), ValueError, r"shape \(4, 4\).*\(H, W, C\)"),
        (
            lambda: preprocessing.CenterCrop(3, 3)({"images": torch.zeros(4, 4, 3), "bounding_boxes": {}}),
            ValueError,
            "bounding_boxes",
        ),
    ],
)
def test_mistakes(make, kind, words):
    with pytest.raises(kind, match=words):
        make()
