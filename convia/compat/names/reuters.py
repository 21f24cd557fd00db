"""``keras.datasets.reuters``: 11,228 news as lists of word numbers, of 46 subjects."""

from typing import Any

import numpy as np

from convia.compat.names import words
from convia.datasets import _sources

_SOURCE = words.source("reuters.npz", "d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916", 2_110_848)


def load_data(path: str = "reuters.npz", num_words: int | None = None, skip_top: int = 0, maxlen: int | None = None,
              test_split: float = 0.2, seed: int = 113, start_char: int | None = 1, oov_char: int | None = 2,
              index_from: int = 3, nb_words: int | None = None, **ignored: Any) -> Any:  # fmt: skip
    """Return ``(x_train, y_train), (x_test, y_test)``: arrays of lists of word numbers, labels (N,).

    Args:
        num_words: words this frequent only (``nb_words`` in Keras 1); others become ``oov_char``.
        skip_top: how many of the most frequent words are left out.
        maxlen: only shorter texts.
        test_split: the share of the texts for testing.
        seed: of their order.
    """
    arrays = _sources.load(_SOURCE, words.read, path)
    texts, labels = words.shuffled(np.random.RandomState(seed), arrays["x"], arrays["y"])
    options = (num_words or nb_words, skip_top, maxlen, start_char, oov_char, index_from)
    rows, labels = words.chosen("reuters", texts, labels, *options)
    end = int(len(rows) * (1 - test_split))
    return (words.as_rows(rows[:end]), labels[:end]), (words.as_rows(rows[end:]), labels[end:])


def get_word_index(path: str = "reuters_word_index.json") -> dict[str, int]:
    """Return word → number by frequency; in the texts ``index_from`` is added."""
    return words.index(path, "4d44cc38712099c9e383dc6e5f11a921")


__all__ = ["get_word_index", "load_data"]
