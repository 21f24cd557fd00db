"""``keras.datasets.imdb``: 50,000 reviews of films as lists of word numbers, good (1) or bad (0)."""

from typing import Any

import numpy as np

from convia.compat.names import words
from convia.datasets import _sources

_SOURCE = words.source("imdb.npz", "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f", 17_464_789)


def load_data(path: str = "imdb.npz", num_words: int | None = None, skip_top: int = 0, maxlen: int | None = None,
              seed: int = 113, start_char: int | None = 1, oov_char: int | None = 2, index_from: int = 3,
              nb_words: int | None = None, **ignored: Any) -> Any:  # fmt: skip
    """Return ``(x_train, y_train), (x_test, y_test)``: arrays of lists of word numbers, labels (N,).

    Args:
        num_words: words this frequent only (``nb_words`` in Keras 1); others become ``oov_char``.
        skip_top: how many of the most frequent words are left out.
        maxlen: only shorter texts.
        seed: of their order.
    """
    arrays = _sources.load(_SOURCE, words.read, path)
    generator = np.random.RandomState(seed)
    parts = [words.shuffled(generator, arrays[f"x_{part}"], arrays[f"y_{part}"]) for part in ("train", "test")]
    limit = num_words or nb_words
    if not limit:
        limit = max(max(map(max, texts)) for texts, _ in parts) + index_from
    options = (limit, skip_top, maxlen, start_char, oov_char, index_from)
    (x, y), (x_test, y_test) = (words.chosen("imdb", texts, labels, *options) for texts, labels in parts)
    return (words.as_rows(x), y), (words.as_rows(x_test), y_test)


def get_word_index(path: str = "imdb_word_index.json") -> dict[str, int]:
    """Return word → number by frequency; in the texts ``index_from`` is added."""
    return words.index(path, "bfafd718b763782e994055a2d397834f")


__all__ = ["get_word_index", "load_data"]
