"""The picture of what an ImageDataGenerator does."""

import numpy as np
import pytest
from PIL import Image

from convia.preprocessing.image import ImageDataGenerator

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (12, 10, 3)).astype("uint8")


@pytest.mark.parametrize("kind", ["array", "path", "picture", "batch", "grey", "first"])
def test_kinds_of_images(kind, tmp_path):
    Image.fromarray(X).save(tmp_path / "x.png")
    given = {
        "array": X,
        "path": tmp_path / "x.png",
        "picture": Image.fromarray(X),
        "batch": np.stack([X, X[::-1]]),
        "grey": X[..., :1] / 255,
        "first": X.transpose(2, 0, 1),
    }[kind]
    data_format = "channels_first" if kind == "first" else "channels_last"
    made = ImageDataGenerator(rotation_range=30, horizontal_flip=True, contrast_range=0.5, data_format=data_format)
    figure = made.preview(given, n=7, seed=1)
    assert len(figure.axes) == 8
    shown = np.asarray(figure.axes[0].images[0].get_array())
    assert (shown == (X[..., 0] if kind == "grey" else X)).all()
    figure.savefig(tmp_path / "p.png")
    assert Image.open(tmp_path / "p.png").size[0] > 100


def test_what_is_shown_is_what_is_drawn():
    made = ImageDataGenerator(rotation_range=30, horizontal_flip=True, rescale=1 / 255)
    figure = made.preview(X, n=3, seed=4)
    np.random.seed(4)
    for axes in figure.axes[1:]:
        given = made.get_random_transform(X.shape)
        truth = np.clip(made.apply_transform(X.astype("float32"), given), 0, 255).astype("uint8")
        assert (np.asarray(axes.images[0].get_array()) == truth).all()
        assert f"{given['theta']:+.0f}°" in axes.get_title()
        assert ("flip" in axes.get_title()) == given["flip_horizontal"]


def test_the_global_generator_is_left_alone():
    np.random.seed(3)
    truth = np.random.random()
    np.random.seed(3)
    ImageDataGenerator(rotation_range=30, mixup_alpha=0.2).preview(np.stack([X, X]), n=2, seed=8)
    assert np.random.random() == truth


@pytest.mark.parametrize(
    "image, n, message", [(X[0], 3, "rank 3"), (X, 0, "n=0"), (np.zeros((0, 4, 4, 3)), 3, "0 images")]
)
def test_errors(image, n, message):
    with pytest.raises(ValueError, match=message):
        ImageDataGenerator().preview(image, n)
