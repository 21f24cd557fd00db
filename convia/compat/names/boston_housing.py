"""``keras.datasets.boston_housing``: 506 prices of houses by 13 features."""

from typing import Any

import numpy as np

from convia.compat.names import words
from convia.datasets import _sources

_SOURCE = words.source("boston_housing.npz", "f553886a1f8d56431e820c5b82552d9d95cfcb96d1e678153f8839538947dff5", 57_026)


def load_data(path: str = "boston_housing.npz", test_split: float = 0.2, seed: int = 113) -> Any:
    """Return ``(x_train, y_train), (x_test, y_test)``: features (N, 13) and prices (N,) in a seeded order."""
    arrays = _sources.load(_SOURCE, words.read, path)
    x, y = words.shuffled(np.random.RandomState(seed), arrays["x"], arrays["y"])
    end = int(len(x) * (1 - test_split))
    return (x[:end], y[:end]), (x[end:], y[end:])


__all__ = ["load_data"]
