"""Images changed by torch on a device are those that the processor's threads make; the device here is the processor."""

import numpy as np
import pytest
import torch
from PIL import Image

import convia
from convia.images import ahead, device
from convia.images.iterators import NumpyArrayIterator
from convia.preprocessing.image import ImageDataGenerator

RNG = np.random.default_rng(0)
CHANGES = {
    "nothing": {},
    "rotation": {"rotation_range": 90},
    "shifts": {"width_shift_range": 0.3, "height_shift_range": [1, 2, 5]},
    "shear": {"shear_range": 30},
    "zoom": {"zoom_range": (0.4, 1.6)},
    "stretch": {"stretch_range": 0.5},
    "flips": {"horizontal_flip": True, "vertical_flip": True},
    "channel shift": {"channel_shift_range": 60},
    "brightness": {"brightness_range": (0.3, 2)},
    "rescale": {"rescale": 1 / 255},
    "sample by sample": {"samplewise_center": True, "samplewise_std_normalization": True},
    "all": {
        "rotation_range": 40,
        "width_shift_range": 0.2,
        "shear_range": 20,
        "zoom_range": 0.2,
        "channel_shift_range": 30,
        "brightness_range": (0.5, 1.5),
        "horizontal_flip": True,
        "rescale": 0.5,
    },
}
FILLS = [("nearest", 1), ("constant", 1), ("reflect", 1), ("wrap", 1), ("reflect", 0), ("constant", 0)]


def batches(x, options, **how):
    flow = ImageDataGenerator(**options).flow(x, np.arange(len(x)), batch_size=4, seed=3, **how)
    return [flow[k] for k in range(len(flow))] + [next(flow)]


def assert_same(mine, theirs):
    for (x, y), (x_true, y_true) in zip(mine, theirs, strict=True):
        assert isinstance(x, torch.Tensor)
        assert x.dtype == torch.float32
        np.testing.assert_array_equal(y, y_true)
        assert np.abs(x.numpy() - x_true).max() <= 1e-4 * max(np.ptp(x_true), 1)


@pytest.mark.parametrize("options", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("fill, order", FILLS, ids=str)
def test_pixels_are_those_of_the_processors_threads(options, fill, order):
    options = options | {"fill_mode": fill, "interpolation_order": order, "cval": 7.0}
    x = RNG.integers(0, 256, (7, 9, 12, 3)).astype("uint8")
    assert_same(batches(x, options, device="cpu"), batches(x, options))


@pytest.mark.parametrize("name", ["all", "brightness"])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("low, high", [(0, 255), (-300, 300), (9, 9)])
def test_colours(name, channels, low, high):
    x = RNG.uniform(low, high, (5, 8, 10, channels)).astype("float32")
    mine, theirs = (batches(x, CHANGES[name], **how) for how in ({"device": "cpu"}, {}))
    for (a, _), (b, _) in zip(mine, theirs, strict=True):  # values that are cut to whole ones may differ by one
        difference = np.abs(a.numpy() - b)
        assert difference.max() <= 1e-3 * (high - low) + 2.6
        assert (difference > 1e-3).mean() < 0.02


def test_channels_may_come_first():
    x = RNG.integers(0, 256, (5, 3, 8, 10)).astype("uint8")
    options = CHANGES["all"] | {"data_format": "channels_first"}
    assert_same(batches(x, options, device="cpu"), batches(x, options))


@pytest.mark.parametrize("name", ["featurewise_center", "featurewise_std_normalization", "zca_whitening"])
@pytest.mark.filterwarnings("ignore:.*with featurewise_center=False.*")
def test_statistics_of_fit(name):
    x = RNG.uniform(0, 1, (9, 4, 5, 3)).astype("float32")
    made = ImageDataGenerator(**{name: True})
    made.fit(x)
    mine, theirs = (made.flow(x, batch_size=9, shuffle=False, **how)[0] for how in ({"device": "cpu"}, {}))
    np.testing.assert_allclose(mine.numpy(), theirs, rtol=1e-3, atol=1e-3)


@pytest.fixture
def folder(tmp_path):
    for k in range(8):
        (tmp_path / "ab"[k % 2]).mkdir(exist_ok=True)
        Image.fromarray(RNG.integers(0, 256, (9, 11, 3)).astype("uint8")).save(tmp_path / "ab"[k % 2] / f"{k}.png")
    Image.fromarray(RNG.integers(0, 2**16, (9, 11)).astype("uint16")).save(tmp_path / "a" / "9.png")
    (tmp_path / "b" / "broken.png").write_bytes(b"no image")
    return tmp_path


@pytest.mark.filterwarnings("ignore:.*cannot be read.*")
@pytest.mark.parametrize("on_error", ["skip", "replace"])
@pytest.mark.parametrize("color_mode", ["rgb", "rgba", "grayscale"])
@pytest.mark.parametrize("class_mode", ["categorical", "input", None])
def test_folders(folder, on_error, color_mode, class_mode):
    made = ImageDataGenerator(rotation_range=20, horizontal_flip=True, rescale=1 / 255)
    how = {"color_mode": color_mode, "class_mode": class_mode, "on_error": on_error, "batch_size": 3, "seed": 1}
    found = []
    for more in ({"device": "cpu"}, {}):
        np.random.seed(0)
        flow = made.flow_from_directory(folder, (6, 7), **how, **more)
        found.append([])
        for _ in range(2):
            found[-1] += [part for k in range(len(flow)) for part in (flow[k] if class_mode else (flow[k],))]
            flow.on_epoch_end()
    for mine, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(np.asarray(mine), theirs, atol=2e-4 * max(np.ptp(theirs), 1))


@pytest.mark.filterwarnings("ignore:.*cannot be read.*")
def test_training_and_prediction(folder):
    flow = ImageDataGenerator(rotation_range=9, rescale=1 / 255).flow_from_directory(folder, (6, 7), device="cpu")
    model = convia.Sequential([convia.layers.Flatten(), convia.layers.Dense(2, activation="softmax")])
    model.compile("sgd", "categorical_crossentropy")
    model.fit(flow, epochs=2, verbose=0)
    assert len(convia.images.rows(model, flow)) == 9


class Own(ImageDataGenerator):
    def random_transform(self, x, seed=None):
        return x


@pytest.mark.parametrize(
    "made, words",
    [
        (ImageDataGenerator(preprocessing_function=abs), "preprocessing_function"),
        (ImageDataGenerator(blur_range=1, mixup_alpha=0.2), "blur_range, mixup_alpha"),
        (ImageDataGenerator(interpolation_order=3), "interpolation_order=3"),
        (ImageDataGenerator(fill_mode="mirror"), "fill_mode='mirror'"),
        (Own(), "methods of Own's own"),
    ],
)
def test_what_needs_the_processor_is_refused(made, words, folder):
    message = rf"argument 'device': received {words}; expected an ImageDataGenerator without.*Leave out device"
    with pytest.raises(ValueError, match=message):
        made.flow(np.zeros((2, 4, 4, 3)), np.eye(2), device="cpu")
    with pytest.raises(ValueError, match=message):
        made.flow_from_directory(folder, device="cpu")


def test_batches_for_a_gpu_lie_in_pinned_memory(monkeypatch):
    asked, empty = [], torch.empty

    def remember(*shape, pin_memory=False, **how):
        asked.append(pin_memory)
        return empty(*shape, **how)

    monkeypatch.setattr(torch, "empty", remember)
    assert isinstance(device.buffer((2, 3), "float32"), np.ndarray)
    assert not asked
    monkeypatch.setattr(device, "pins", lambda: True)
    assert device.buffer((2, 3), np.uint8).dtype == np.uint8
    flow = NumpyArrayIterator(np.zeros((3, 4, 4, 3)), None, None, prefetch=0)
    batch = ahead.Batch(None, np.arange(3), flow.x, (4, 4, 3), "float32")
    assert batch.pixels.dtype == np.float32
    assert asked == [True, True]
