"""CIFAR-10: colour photographs of ten kinds of things, 32×32 (Krizhevsky, 2009)."""

from pathlib import Path

import numpy as np

from convia.datasets._cifar import in_order, read_batch
from convia.datasets._sources import CIFAR10, Arrays, Split, load

CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def load_data() -> Split:
    """Return ``(x_train, y_train), (x_test, y_test)``: 50,000 and 10,000 images as uint8 (N, 32, 32, 3), labels (N, 1).

    With the data format channels_first the images are (N, 3, 32, 32).

    Raises:
        ConnectionError: not in the cache, and no source can be reached; the message says what to put where.
    """
    return load(CIFAR10, _read)


def _read(path: Path) -> Split:
    folder = path / "cifar-10-batches-py"
    train = _join([folder / f"data_batch_{number}" for number in range(1, 6)])
    return train, _join([folder / "test_batch"])


def _join(files: list[Path]) -> tuple[Arrays, Arrays]:
    images, labels = zip(*map(read_batch, files), strict=True)
    return in_order(np.concatenate(images)), np.concatenate(labels).astype(np.uint8)[:, None]
