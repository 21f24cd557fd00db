"""Texts and series: the parts of ``keras.preprocessing`` that programs with images meet."""

import collections
import hashlib
import math
from typing import Any

import numpy as np

from convia.compat.names.utils import Sequence

_FILTERS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'


def text_to_word_sequence(text: str, filters: str = _FILTERS, lower: bool = True, split: str = " ") -> list[str]:
    """Return the words of a text."""
    text = (text.lower() if lower else text).translate(str.maketrans(filters, split * len(filters)))
    return [word for word in text.split(split) if word]


def one_hot(text: str, n: int, filters: str = _FILTERS, lower: bool = True, split: str = " ") -> list[int]:
    """Return a number from 1 to n − 1 for each word; different words may share one."""
    return hashing_trick(text, n, hash, filters, lower, split)


def hashing_trick(
    text: str, n: int, hash_function: Any = None, filters: str = _FILTERS, lower: bool = True, split: str = " "
) -> list[int]:
    """Return a number from 1 to n − 1 for each word, by a hash function: None for Python's, "md5", or one's own."""

    def md5(word: str) -> int:
        return int(hashlib.md5(word.encode(), usedforsecurity=False).hexdigest(), 16)

    number = {None: hash, "md5": md5}.get(hash_function, hash_function)
    return [number(word) % (n - 1) + 1 for word in text_to_word_sequence(text, filters, lower, split)]


class Tokenizer:
    """Numbers words by how often they occur, from 1.

    Args:
        num_words: keep only the most frequent, numbers below this.
        oov_token: stands for unknown words and has number 1.
    """

    def __init__(self, num_words: int | None = None, filters: str = _FILTERS, lower: bool = True, split: str = " ",
                 char_level: bool = False, oov_token: str | None = None, **kwargs: Any) -> None:  # fmt: skip
        num_words = num_words or kwargs.get("nb_words")
        self.num_words, self.filters, self.lower, self.split = num_words, filters, lower, split
        self.char_level, self.oov_token = char_level, oov_token
        self.word_counts: collections.OrderedDict[str, int] = collections.OrderedDict()
        self.word_index: dict[str, int] = {}
        self.index_word: dict[int, str] = {}
        self.document_count = 0

    def _words(self, text: Any) -> list[str]:
        if self.char_level or isinstance(text, list):
            return [item.lower() if self.lower else item for item in text]
        return text_to_word_sequence(text, self.filters, self.lower, self.split)

    def fit_on_texts(self, texts: Any) -> None:
        """Count the words of texts."""
        for text in texts:
            self.document_count += 1
            for word in self._words(text):
                self.word_counts[word] = self.word_counts.get(word, 0) + 1
        ordered = sorted(self.word_counts, key=lambda word: -self.word_counts[word])
        first = [self.oov_token] if self.oov_token else []
        self.word_index = {word: number for number, word in enumerate([*first, *ordered], 1)}
        self.index_word = {number: word for word, number in self.word_index.items()}

    def texts_to_sequences(self, texts: Any) -> list[list[int]]:
        """Return the numbers of the words of each text."""
        limit, unknown = self.num_words or len(self.word_index) + 1, self.word_index.get(self.oov_token or "")
        found = []
        for text in texts:
            numbers = [self.word_index.get(word) for word in self._words(text)]
            known = [number if number is not None and number < limit else unknown for number in numbers]
            found.append([number for number in known if number is not None])
        return found

    def texts_to_matrix(self, texts: Any, mode: str = "binary") -> np.ndarray:
        """Return (texts, words): whether, or how often, each word occurs."""
        return self.sequences_to_matrix(self.texts_to_sequences(texts), mode)

    def sequences_to_matrix(self, sequences: Any, mode: str = "binary") -> np.ndarray:
        """Return (texts, words) from word numbers: whether, or how often, each occurs."""
        size = self.num_words or len(self.word_index) + 1
        matrix = np.zeros((len(sequences), size))
        for row, numbers in zip(matrix, sequences, strict=True):
            for number in (number for number in numbers if number < size):
                row[number] = 1 if mode == "binary" else row[number] + 1
        return matrix / np.maximum(matrix.sum(1, keepdims=True), 1) if mode == "freq" else matrix


class TimeseriesGenerator(Sequence):
    """Windows of a series: ``length`` steps and the target that follows."""

    def __init__(self, data: Any, targets: Any, length: int, sampling_rate: int = 1, stride: int = 1,
                 start_index: int = 0, end_index: int | None = None, shuffle: bool = False, reverse: bool = False,
                 batch_size: int = 128) -> None:  # fmt: skip
        super().__init__()
        self.data, self.targets, self.length, self.rate = np.asarray(data), np.asarray(targets), length, sampling_rate
        end = len(data) - 1 if end_index is None else end_index
        self.rows = np.arange(start_index + length, end + 1, stride)
        self.shuffle, self.reverse, self.batch_size = shuffle, reverse, batch_size

    def __len__(self) -> int:
        return math.ceil(len(self.rows) / self.batch_size)

    def __getitem__(self, index: int) -> Any:
        first = index * self.batch_size
        rows = (
            np.random.choice(self.rows, self.batch_size) if self.shuffle else self.rows[first : first + self.batch_size]
        )
        x = np.array([self.data[row - self.length : row : self.rate] for row in rows])
        return x[:, ::-1] if self.reverse else x, self.targets[rows]


__all__ = ["TimeseriesGenerator", "Tokenizer", "hashing_trick", "one_hot", "text_to_word_sequence"]
