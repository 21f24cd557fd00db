"""Digits: 1797 handwritten digits of 8×8 pixels, which come with the library (see NOTICE.md for their origin)."""

from pathlib import Path

import numpy as np

from convia.datasets._sources import Split
from convia.errors import explain


def load_data(test_split: float = 0.2, seed: int = 113) -> Split:
    """Return ``(x_train, y_train), (x_test, y_test)``: uint8 images (N, 8, 8) of values 0…16, uint8 labels (N,).

    The split is the same on every machine, and each digit has the same share in both parts.

    Args:
        test_split: the share of the test part, at least 0 and below 1.
        seed: decides the order and the split.

    Raises:
        ValueError: a share outside [0, 1).
    """
    if not 0 <= test_split < 1:
        raise ValueError(explain("digits.load_data, argument 'test_split'", repr(test_split), "a number in [0, 1)"))
    with np.load(Path(__file__).with_name("digits.npz"), allow_pickle=False) as file:
        x, y = file["x"], file["y"]
    order = np.random.RandomState(seed).permutation(len(y))  # RandomState's numbers never change, unlike Generator's
    x, y = x[order], y[order]
    is_test = np.zeros(len(y), dtype=bool)
    for digit in range(10):
        of_digit = np.flatnonzero(y == digit)
        is_test[of_digit[: round(test_split * len(of_digit))]] = True
    return (x[~is_test], y[~is_test]), (x[is_test], y[is_test])
