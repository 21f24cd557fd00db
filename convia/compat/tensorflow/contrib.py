"""``tf.contrib`` and ``tf.examples`` of TensorFlow 1, as far as programs of convolutional networks use them.

Keras in ``tf.contrib.keras``, MNIST of the tutorials, initializers and regularizers, images turned and shifted.
"""

import gzip
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from convia import datasets, initializers, ops, regularizers
from convia.compat.tensorflow import control, data, replicas
from convia.compat.tensorflow.door import api, given
from convia.compat.tensorflow.extras import EXTRAS
from convia.compat.tensorflow.names import Namespace
from convia.compat.tensorflow.v1 import Proto

# -- MNIST as the tutorials had it ------------------------------------------------------------------------------------

_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
_HEADERS = (16, 8, 16, 8)  # bytes before the numbers


class DataSet:
    """A part of MNIST: ``images`` (N, 784) in 0…1, or (N, 28, 28, 1), and ``labels`` (N,) or one-hot (N, 10)."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, seed: int | None = None) -> None:
        self.images, self.labels = images, labels
        self.epochs_completed = 0
        self._random = np.random.default_rng(seed)
        self._order, self._place = np.arange(len(images)), 0

    @property
    def num_examples(self) -> int:
        """The number of images."""
        return len(self.images)

    def next_batch(self, batch_size: int, fake_data: bool = False, shuffle: bool = True) -> tuple[Any, Any]:
        """Return the next images and labels; one epoch follows the other, each in another order."""
        taken: list[np.ndarray] = []
        missing = batch_size
        while missing:
            if self._place == 0 and shuffle:
                self._order = self._random.permutation(self.num_examples)
            part = self._order[self._place : self._place + missing]
            taken.append(part)
            missing -= len(part)
            self._place += len(part)
            if self._place == self.num_examples:
                self._place, self.epochs_completed = 0, self.epochs_completed + 1
        chosen = np.concatenate(taken)
        return self.images[chosen], self.labels[chosen]


class DataSets:
    """``train``, ``validation`` and ``test``."""

    def __init__(self, train: DataSet, validation: DataSet, test: DataSet) -> None:
        self.train, self.validation, self.test = train, validation, test

    def __iter__(self) -> Any:
        return iter((self.train, self.validation, self.test))


def _arrays(folder: Path, source: str) -> list[np.ndarray]:
    """Images and labels of both parts: of a folder with the files of MNIST's kind, else from the cache."""
    paths = [next((p for p in (folder / f"{name}.gz", folder / name) if p.is_file()), None) for name in _FILES]
    if all(paths):
        found = []
        for path, header in zip(paths, _HEADERS, strict=True):
            content = path.read_bytes()  # type: ignore[union-attr]
            content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
            array = np.frombuffer(content, np.uint8, offset=header)
            found.append(array.reshape(-1, 28, 28) if header == 16 else array)
        return found
    module = datasets.fashion_mnist if "fashion" in f"{folder} {source}".lower() else datasets.mnist
    (x_train, y_train), (x_test, y_test) = module.load_data()
    return [x_train, y_train, x_test, y_test]


def read_data_sets(train_dir: Any = "", fake_data: bool = False, one_hot: bool = False, dtype: Any = "float32",
                   reshape: bool = True, validation_size: int = 5000, seed: int | None = None,
                   source_url: str = "", **ignored: Any) -> DataSets:  # fmt: skip
    """Return MNIST, or Fashion-MNIST where the folder or the address says so.

    Args:
        train_dir: a folder; files of MNIST's kind in it are read, else the cache of Keras is.
        one_hot: labels as rows (N, 10).
        reshape: images as rows (N, 784), else (N, 28, 28, 1).
        validation_size: so many of the first images for training are for validation.
    """
    x_train, y_train, x_test, y_test = _arrays(Path(train_dir), source_url)
    is_scaled = getattr(dtype, "name", str(dtype)).endswith("float32")

    def part(images: np.ndarray, labels: np.ndarray) -> DataSet:
        shaped = images.reshape(len(images), 784) if reshape else images[..., None]
        rows = np.eye(10)[labels] if one_hot else labels
        return DataSet(shaped.astype("float32") / 255 if is_scaled else shaped, rows, seed)

    size = min(validation_size, len(x_train))
    return DataSets(part(x_train[size:], y_train[size:]), part(x_train[:size], y_train[:size]), part(x_test, y_test))


def _load_mnist(train_dir: Any = "MNIST-data") -> DataSets:
    return read_data_sets(train_dir)


def _load_dataset(name: str, *args: Any, **kwargs: Any) -> DataSets:
    return read_data_sets("fashion" if "fashion" in name else "", **kwargs)


# -- layers -----------------------------------------------------------------------------------------------------------


@api(record=("inputs",))
def flatten(inputs: Any) -> Tensor:
    """Return (N, …) as (N, the rest)."""
    flat: Tensor = given(inputs).flatten(1)
    return flat


def _xavier(uniform: bool = True, seed: Any = None, dtype: Any = None) -> Any:
    return (initializers.GlorotUniform if uniform else initializers.GlorotNormal)(seed=seed)


def _variance_scaling(factor: float = 2.0, mode: str = "FAN_IN", uniform: bool = False, seed: Any = None,
                      dtype: Any = None) -> Any:  # fmt: skip
    distribution = "uniform" if uniform else "truncated_normal"
    return initializers.VarianceScaling(scale=factor, mode=mode.lower(), distribution=distribution, seed=seed)


def _penalty(kind: Any, share: float) -> Any:
    """TensorFlow halves squares, Keras does not."""
    return lambda scale, scope=None: kind(scale * share)


# -- images -----------------------------------------------------------------------------------------------------------


@api
def angles_to_projective_transforms(angles: Any, image_height: Any, image_width: Any) -> Tensor:
    """Return rows (N, 8) that turn images around their middle, counterclockwise, by angles in radians."""
    angles = given(angles, "float32").reshape(-1)
    height, width = given(image_height, "float32") - 1, given(image_width, "float32") - 1
    cos, sin, none = torch.cos(angles), torch.sin(angles), torch.zeros_like(angles)
    x = (width - (cos * width - sin * height)) / 2
    y = (height - (sin * width + cos * height)) / 2
    return torch.stack([cos, -sin, x, sin, cos, y, none, none], -1)


@api
def translations_to_projective_transforms(translations: Any) -> Tensor:
    """Return rows (N, 8) that shift images by (x, y) pixels."""
    shifts = given(translations, "float32").reshape(-1, 2)
    one, none = torch.ones(len(shifts)), torch.zeros(len(shifts))
    return torch.stack([one, none, -shifts[:, 0], none, one, -shifts[:, 1], none, none], -1)


@api
def compose_transforms(*transforms: Any) -> Tensor:
    """Return the rows (N, 8) of transforms one after the other."""
    composed = None
    for rows in (given(item, "float32").reshape(-1, 8) for item in transforms):
        matrix = torch.nn.functional.pad(rows, (0, 1), value=1.0).reshape(-1, 3, 3)
        composed = matrix if composed is None else composed @ matrix
    assert composed is not None
    return (composed / composed[:, 2:, 2:]).flatten(1)[:, :8]


@api
def transform(images: Any, transforms: Any, interpolation: str = "NEAREST", **ignored: Any) -> Tensor:
    """Return images whose pixel (x, y) is read at (a₀x + a₁y + a₂, b₀x + b₁y + b₂); outside is 0."""
    images, rows = given(images), given(transforms, "float32").reshape(-1, 8)
    found = ops.image.affine_transform(images.float(), rows.squeeze(0) if images.ndim == 3 else rows,
                                       interpolation.lower(), data_format="channels_last")  # fmt: skip
    read: Tensor = found.to(images.dtype)
    return read


def _rotate(images: Any, angles: Any, interpolation: str = "NEAREST", **ignored: Any) -> Any:
    height, width = images.shape[-3:-1]
    return transform(images, angles_to_projective_transforms(angles, height, width), interpolation)


def _translate(images: Any, translations: Any, interpolation: str = "NEAREST", **ignored: Any) -> Any:
    return transform(images, translations_to_projective_transforms(translations), interpolation)


# -- namespaces -------------------------------------------------------------------------------------------------------


def _space(name: str, **members: Any) -> Namespace:
    return Namespace(f"tensorflow.{name}", f"tf.{name}, as far as convia has it.", members)


class _Contrib(Namespace):
    """``tf.contrib``, where Keras of the program's era is, too."""

    def __getattr__(self, name: str) -> Any:
        return sys.modules["convia.compat.tensorflow"].keras if name == "keras" else super().__getattr__(name)


def _ignored(*args: Any, **kwargs: Any) -> None:
    """Accept what means nothing here."""


def _learn() -> Namespace:
    names = {"DataSet": DataSet, "load_mnist": _load_mnist, "read_data_sets": read_data_sets}
    mnist = _space("contrib.learn.python.learn.datasets.mnist", **names)
    sets = _space("contrib.learn.python.learn.datasets", mnist=mnist, load_dataset=_load_dataset)
    inner = _space("contrib.learn.python.learn", datasets=sets)
    return _space(
        "contrib.learn",
        ModeKeys=Proto(TRAIN="train", EVAL="eval", INFER="infer"),
        datasets=_space("contrib.learn.datasets", mnist=mnist, load_dataset=_load_dataset),
        python=_space("contrib.learn.python", learn=inner),
    )


def _contrib() -> Namespace:
    projector = _space("contrib.tensorboard.plugins.projector", ProjectorConfig=Proto, visualize_embeddings=_ignored)
    plugins = _space("contrib.tensorboard.plugins", projector=projector)
    strategies = {name: value for name, value in replicas.DISTRIBUTE.items() if name.endswith("Strategy")}
    members = {
        "data": _space("contrib.data", **data.DATA),
        "distribute": _space("contrib.distribute", **strategies),
        "eager": _space("contrib.eager", defun=control.function),
        "image": _space(
            "contrib.image",
            angles_to_projective_transforms=angles_to_projective_transforms,
            compose_transforms=compose_transforms,
            rotate=_rotate,
            transform=transform,
            translate=_translate,
            translations_to_projective_transforms=translations_to_projective_transforms,
        ),
        "layers": _space(
            "contrib.layers",
            flatten=flatten,
            l1_regularizer=_penalty(regularizers.L1, 1.0),
            l2_regularizer=_penalty(regularizers.L2, 0.5),
            variance_scaling_initializer=_variance_scaling,
            xavier_initializer=_xavier,
            xavier_initializer_conv2d=_xavier,
        ),
        "learn": _learn(),
        "lite": EXTRAS["lite"],
        "tensorboard": _space("contrib.tensorboard", plugins=plugins),
    }
    return _Contrib("tensorflow.contrib", "tf.contrib, as far as convia has it.", members)


def _examples() -> Namespace:
    names = {"DataSet": DataSet, "read_data_sets": read_data_sets}
    mnist = _space("examples.tutorials.mnist", input_data=_space("examples.tutorials.mnist.input_data", **names))
    return _space("examples", tutorials=_space("examples.tutorials", mnist=mnist))


CONTRIB: dict[str, Any] = {"contrib": _contrib(), "examples": _examples()}
__all__ = ["CONTRIB", "DataSet", "DataSets", "angles_to_projective_transforms", "compose_transforms", "flatten",
           "read_data_sets", "transform", "translations_to_projective_transforms"]  # fmt: skip
