"""Transfer learning from beginning to end, on photographs where there are some."""

from pathlib import Path

import numpy as np
import pytest
import torch

import convia
from convia import Input, Model, Sequential, applications, layers
from convia.images import ImageDataGenerator
from convia.random import set_random_seed
from convia.transfer import classifier, freeze

PHOTOS = Path(__file__).parents[2] / "shared" / "data" / "photos"
KIND = {"include_top": False, "weights": None, "input_shape": (64, 64, 3)}


def pictures():
    """24 photographs of three classes, or pictures with stripes in three directions."""
    if PHOTOS.is_dir():
        flow = ImageDataGenerator().flow_from_directory(
            PHOTOS,
            (64, 64),
            classes=["class_00", "class_04", "class_08"],
            class_mode="sparse",
            batch_size=60,
            shuffle=False,
        )
        x, y = flow[0]
        return x, y.astype("int64")
    y, ramp = np.arange(24) % 3, np.arange(64) % 8 * 32
    kinds = np.stack(np.broadcast_arrays(ramp[:, None], ramp[None], (ramp[:, None] + ramp[None]) // 2))
    return np.repeat(kinds[y][..., None], 3, -1) + np.random.rand(24, 64, 64, 3).astype("float32"), y


def small(**arguments):
    set_random_seed(1)
    return applications.MobileNetV2(**{**KIND, "alpha": 0.35, **arguments})


def attuned(model, x):
    """Give normalizations the statistics of some images, or features of random weights would all but vanish."""
    norms = [layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)]
    for layer in norms:
        layer.momentum = 0.0
    model(torch.as_tensor(x), training=True)
    for layer in norms:
        layer.momentum = 0.999
    return model


def test_the_recipe_from_beginning_to_end(capsys):
    x, y = pictures()
    model = convia.transfer(attuned(small(), x), 3, x, y, epochs=4, fine_tune_epochs=2, learning_rate=0.01, verbose=2)
    history = model.history
    assert history.epoch == list(range(6)) and len(history.history["loss"]) == 6
    assert history.history["loss"][3] < history.history["loss"][0]
    assert float(model.optimizer.learning_rate) == pytest.approx(0.001)
    assert f"features of {len(x)} images kept in memory" in capsys.readouterr().out
    learned = [weight.path for weight in model.trainable_variables]
    assert "predictions/kernel" in learned[-2] and not any("bn" in path.lower() for path in learned)
    assert 2 < len(learned) < len(model.weights) / 4


def test_the_cache_changes_no_number():
    x, y = pictures()
    found = [
        convia.transfer(small(), 3, x, np.eye(3)[y], epochs=2, fine_tune_epochs=1, cache_features=cache, verbose=0)
        for cache in (True, False)
    ]
    assert found[0].history.history == found[1].history.history
    assert all(np.array_equal(a, b) for a, b in zip(*(model.get_weights() for model in found), strict=True))


def test_pictures_are_prepared_as_the_network_wants_them():
    base = small()
    x = pictures()[0][:2]
    model = classifier(base, 3, dropout=0.0)
    middle = Model(model.input, model.layers[-2].output)
    expected = base.predict(applications.mobilenet_v2.preprocess_input(x), verbose=0).mean((1, 2))
    np.testing.assert_allclose(middle.predict(x, verbose=0), expected, rtol=1e-4, atol=1e-5)


def test_grey_pictures_of_another_scale():
    grey = np.random.randint(0, 17, (2, 64, 64, 1)).astype("float32")
    model = classifier(small(pooling="avg"), 3, augmentation=layers.RandomFlip(), largest=16.0, channels=1)
    colour = classifier(model.get_layer("mobilenetv2_0.35_64"), 3)
    colour.layers[-1].set_weights(model.layers[-1].get_weights())
    expected = colour.predict(np.repeat(grey, 3, -1) * 255 / 16, verbose=0)
    np.testing.assert_allclose(model.predict(grey, verbose=0), expected, rtol=1e-3)


def stack():
    return Sequential(
        [Input((4,)), *[layers.Dense(3, name=f"dense_{k}") for k in range(3)], layers.BatchNormalization(name="norm")]
    )


@pytest.mark.parametrize(
    ("until", "learns"),
    [(None, []), ("dense_0", ["dense_1", "dense_2"]), ("dense_2", []), ("norm", [])],
)
def test_freezing(until, learns):
    model = stack()
    freeze(model, until)
    assert [layer.name for layer in model.layers if layer.trainable] == learns
    assert len(model.trainable_weights) == 2 * len(learns)


def without_weights():
    inputs = Input((8, 8, 3))
    return Model(inputs, layers.Flatten()(inputs), name="empty")


def volume():
    inputs = Input((8, 8, 3))
    return Model(inputs, layers.Reshape((8, 24))(inputs))


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (lambda: freeze(stack(), "dense_7"), r"get_layer: received 'dense_7'; .*Did you mean 'dense_"),
        (
            lambda: classifier(applications.MobileNetV2(weights=None, input_shape=(32, 32, 3)), 3),
            r"transfer, argument 'backbone': received .* with its classifier; .*include_top=False",
        ),
        (lambda: classifier(volume(), 3), r"received an output of shape \(None, 8, 24\); expected a feature map"),
        (
            lambda: convia.transfer(without_weights(), 2, np.ones((2, 8, 8, 3)), np.arange(2), epochs=1, verbose=0),
            r"'empty' without weights",
        ),
    ],
)
def test_errors(work, message):
    with pytest.raises(ValueError, match=message):
        work()
