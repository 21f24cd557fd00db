"""CIFAR-100: colour photographs of 100 kinds of things in 20 groups, 32×32 (Krizhevsky, 2009)."""

from pathlib import Path

import numpy as np

from convia.datasets._cifar import in_order, read_batch
from convia.datasets._sources import CIFAR100, Arrays, Split, load
from convia.errors import explain


def load_data(label_mode: str = "fine") -> Split:
    """Return ``(x_train, y_train), (x_test, y_test)``: 50,000 and 10,000 images as uint8 (N, 32, 32, 3), labels (N, 1).

    Args:
        label_mode: "fine" for the 100 classes, "coarse" for the 20 groups.

    Raises:
        ValueError: another label_mode.
        ConnectionError: not in the cache, and no source can be reached; the message says what to put where.
    """
    if label_mode not in ("fine", "coarse"):
        raise ValueError(explain("cifar100.load_data, argument 'label_mode'", repr(label_mode), "'fine' or 'coarse'"))

    def read(path: Path) -> Split:
        return _part(path / "cifar-100-python" / "train"), _part(path / "cifar-100-python" / "test")

    def _part(file: Path) -> tuple[Arrays, Arrays]:
        images, labels = read_batch(file, f"{label_mode}_labels")
        return in_order(images), np.array(labels)[:, None]

    return load(CIFAR100, read)
