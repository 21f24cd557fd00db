"""What programs find where they run: a cache with small data sets, folders of pictures, tables.

The pictures are drawn here, from a fixed seed; the digits of ``mnist.npz`` and the others are convia's own ``digits``,
made larger.
"""

import csv
import pickle
from pathlib import Path

import cv2
import numpy as np

from convia.datasets import digits

_CLASSES = ("cats", "dogs")
_PARTS = {"train": 8, "validation": 4}


def _picture(random: np.random.Generator, kind: int, size: int = 32) -> np.ndarray:
    """A noisy picture with a disc (0) or a square (1), uint8 (size, size, 3)."""
    image = random.integers(0, 90, (size, size, 3)).astype(np.uint8)
    middle, radius = (int(random.integers(12, 20)), int(random.integers(12, 20))), 8
    colour = tuple(int(value) for value in random.integers(150, 255, 3))
    if kind == 0:
        cv2.circle(image, middle, radius, colour, -1)
    else:
        corners = ((middle[0] - radius, middle[1] - radius), (middle[0] + radius, middle[1] + radius))
        cv2.rectangle(image, *corners, colour, -1)
    return image


def _write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)


def pictures(folder: Path) -> None:
    """Fill ``data``: train, validation and test with cats and dogs, pairs for segmentation, tables of names."""
    random = np.random.default_rng(0)
    rows = []
    for part, count in _PARTS.items():
        for kind, name in enumerate(_CLASSES):
            for number in range(count):
                path = folder / part / name / f"{name[:-1]}.{number}.jpg"
                _write(path, _picture(random, kind))
                rows.append((f"{part}/{name}/{path.name}", name, kind))
    for number in range(4):
        _write(folder / "test" / "unknown" / f"{number}.jpg", _picture(random, number % 2))
    for name in ("content.jpg", "style.jpg", "elephant.jpg"):
        _write(folder / name, _picture(random, 0, 40))
    for number in range(6):
        image = _picture(random, 0)
        _write(folder / "seg" / "images" / f"{number}.png", image)
        _write(folder / "seg" / "masks" / f"{number}.png", (image.max(-1) > 130).astype(np.uint8) * 255)
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("filename", "label", "target"), *rows])
    (x, y), _ = digits.load_data()
    with (folder / "train.csv").open("w", newline="") as file:
        header = ["label", *(f"pixel{i}" for i in range(64))]
        table = np.column_stack([y[:60], x[:60].reshape(60, 64)])
        csv.writer(file).writerows([header, *table.tolist()])


def cache(folder: Path) -> None:
    """Fill ``datasets`` of a cache with a small MNIST, CIFAR-10 and CIFAR-100."""
    (x_train, y_train), (x_test, y_test) = digits.load_data()
    place = folder / "datasets"
    place.mkdir(parents=True)

    def scaled(images: np.ndarray, size: int) -> np.ndarray:
        images = images.reshape(-1, 8, 8).astype(np.float32)
        return np.stack([cv2.resize(image * (255 / 16), (size, size)) for image in images]).clip(0, 255).astype("uint8")

    x, y = scaled(x_train[:60], 28), y_train[:60].astype("uint8")
    tests = {"x_test": scaled(x_test[:20], 28), "y_test": y_test[:20].astype("uint8")}
    np.savez(place / "mnist.npz", x_train=x, y_train=y, **tests)
    colours = scaled(x_train[:60], 32)[:, None].repeat(3, 1).reshape(60, -1)
    for name, files in (
        ("cifar-10-batches-py", [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]),
        ("cifar-100-python", ["train", "test"]),
    ):
        home = place / f"{name}-target" / name
        home.mkdir(parents=True)
        for number, file in enumerate(files):
            part = slice(number * 10, number * 10 + 10) if len(files) > 2 else slice(number * 30, number * 30 + 30)
            numbers = y_train[:60][part].tolist()
            content = {b"data": colours[part], b"labels": numbers, b"fine_labels": numbers, b"coarse_labels": numbers}
            (home / file).write_bytes(pickle.dumps(content, protocol=4))
