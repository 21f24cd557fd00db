"""Layers of tf.keras that number words and classes: lookups, vectors of texts, one-hot and multi-hot rows.

They work on texts, which torch has no tensors of, so they stand in data pipelines and loops, not within graphs.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from convia import config
from convia.compat.tensorflow.control import InvalidArgumentError
from convia.compat.tensorflow.texts import StringTensor
from convia.errors import explain
from convia.layer import Layer

_PUNCTUATION = re.compile(r"[!\"#$%&()*+,\-./:;<=>?@\[\\\]^_`{|}~']")


def encoded(numbers: Tensor, count: int, mode: str, weights: Any = None) -> Tensor:
    """Return class numbers as rows of ``count`` columns.

    Args:
        numbers: whole numbers (…, m); a scalar gives one row.
        mode: "one_hot" makes a row of each number (a last axis of size 1 goes), "multi_hot" of each m numbers which
            of them occur, "count" how often.
        weights: what an occurrence counts, in the shape of ``numbers``.
    """
    dtype = config.torch_dtype(config.floatx())
    if mode == "one_hot":
        numbers = numbers.squeeze(-1) if numbers.ndim and numbers.shape[-1] == 1 else numbers
        return torch.nn.functional.one_hot(numbers, count).to(dtype)
    numbers = numbers.reshape(1) if not numbers.ndim else numbers
    each = torch.ones(numbers.shape, dtype=dtype) if weights is None else torch.as_tensor(weights, dtype=dtype)
    sums = torch.zeros(*numbers.shape[:-1], count, dtype=dtype).scatter_add_(-1, numbers, each)
    return sums.clamp(max=1) if mode == "multi_hot" else sums


class CategoryEncoding(Layer):
    """Class numbers to one-hot, multi-hot or counting rows."""

    num_tokens: Any = None
    output_mode: str = "multi_hot"

    def call(self, inputs: Any, count_weights: Any = None) -> Any:
        """Encode."""
        return encoded(torch.as_tensor(inputs).long(), self.num_tokens, self.output_mode, count_weights)


class _Lookup(Layer):
    """Numbers for values: first the mask, then unknown values, then the vocabulary."""

    _unknown: Any = None

    def __init__(self, max_tokens: Any = None, num_oov_indices: int = 1, mask_token: Any = None, oov_token: Any = None,
                 vocabulary: Any = None, invert: bool = False, output_mode: str = "int",
                 **kwargs: Any) -> None:  # fmt: skip
        super().__init__(name=kwargs.get("name"))
        self.max_tokens, self.num_oov_indices, self.invert = max_tokens, num_oov_indices, invert
        self.mask_token, self.output_mode = mask_token, output_mode
        self.oov_token = self._unknown if oov_token is None else oov_token
        is_masking = mask_token is not None and output_mode == "int"
        self._start = [*([mask_token] if is_masking else []), *[self.oov_token] * num_oov_indices]
        self._values = list(self._start)
        if vocabulary is not None:
            self.set_vocabulary(vocabulary)

    def _plain(self, value: Any) -> Any:
        raise NotImplementedError

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Set the values: a sequence, or a file with one in each line; it may begin with the mask and the unknown."""
        if isinstance(vocabulary, str):
            with open(vocabulary, encoding="utf-8") as file:  # noqa: PTH123  # a path, or a file's number
                vocabulary = file.read().splitlines()
        values = [self._plain(value) for value in _leaves(vocabulary)]
        start = [self._plain(value) for value in self._start]
        self._values = values if start and values[: len(start)] == start else [*self._start, *values]

    def adapt(self, data: Any, batch_size: Any = None, steps: Any = None) -> None:
        """Take the values of the data: the most frequent first, of equals the later in the alphabet."""
        counts: dict[Any, int] = {}
        for value in self._of(data):
            counts[value] = counts.get(value, 0) + 1
        counts.pop(self.mask_token, None)
        found = sorted(counts, key=lambda value: (counts[value], value), reverse=True)
        room = None if self.max_tokens is None else self.max_tokens - len(self._start)
        self.set_vocabulary(found[:room])

    def _of(self, data: Any) -> Iterator[Any]:
        return (self._plain(value) for value in _leaves(data))

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Any]:
        """Return the values in the order of their numbers."""
        return list(self._values) if include_special_tokens else self._values[len(self._start) :]

    def vocabulary_size(self) -> int:
        """Return how many there are."""
        return len(self._values)

    vocab_size = vocabulary_size

    def _numbers(self, values: np.ndarray) -> Tensor:
        places = {self._plain(value): number for number, value in reversed(list(enumerate(self._values)))}
        first = len(self._start) - self.num_oov_indices
        plain = [self._plain(value) for value in values.ravel()]
        unknown = [value for value in plain if value not in places]
        if unknown and not self.num_oov_indices:
            remedy = "Give num_oov_indices=1, or all values as vocabulary."
            received = f"{unknown[:3]}, not in the vocabulary"
            raise InvalidArgumentError(None, None, explain(type(self).__name__, received, "its values", remedy))
        numbers = [places.get(value, first) for value in plain]
        return torch.tensor(numbers, dtype=torch.int64).reshape(values.shape)

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Look values up, or numbers with ``invert``: lists, arrays and tensors of any shape.

        Raises:
            InvalidArgumentError: an unknown value, where ``num_oov_indices`` is 0.
        """
        if self.invert:
            places = np.asarray(inputs.detach().cpu() if isinstance(inputs, Tensor) else inputs)
            unknown = self._plain(self.oov_token)
            found = [self._values[n] if 0 <= n < len(self._values) else unknown for n in places.ravel().astype(int)]
            return self._returned(found, places.shape)
        numbers = self._numbers(_array(inputs))
        return numbers if self.output_mode == "int" else encoded(numbers, len(self._values), self.output_mode)

    def _returned(self, values: list[Any], shape: tuple[int, ...]) -> Any:
        return torch.tensor(values, dtype=torch.int64).reshape(shape)


class StringLookup(_Lookup, init=False):
    """Words to numbers, or numbers to words with ``invert``."""

    _unknown = "[UNK]"

    def _plain(self, value: Any) -> str:
        return value.decode() if isinstance(value, bytes) else str(value)

    def _returned(self, values: list[Any], shape: tuple[int, ...]) -> Any:
        texts = np.empty(len(values), dtype=object)
        texts[:] = values
        return StringTensor(texts.reshape(shape))


class IntegerLookup(_Lookup, init=False):
    """Whole numbers to their places in a vocabulary, or back with ``invert``."""

    _unknown = -1

    def _plain(self, value: Any) -> int:
        return int(value)


class TextVectorization(StringLookup):
    """Texts to the numbers of their words (N, length), or to rows that say which words occur.

    Args:
        standardize: "lower_and_strip_punctuation", "lower", "strip_punctuation", a function of texts, or None.
        split: "whitespace", "character", a function of texts, or None.
        output_sequence_length: rows are cut or filled with 0 to this length; None takes that of the longest.
    """

    def __init__(self, max_tokens: Any = None, standardize: Any = "lower_and_strip_punctuation",
                 split: Any = "whitespace", ngrams: Any = None, output_mode: str = "int",
                 output_sequence_length: Any = None, pad_to_max_tokens: bool = False, vocabulary: Any = None,
                 **kwargs: Any) -> None:  # fmt: skip
        if ngrams is not None:
            raise NotImplementedError(explain("TextVectorization", f"ngrams={ngrams!r}", "single words: ngrams=None"))
        super().__init__(max_tokens, mask_token="", vocabulary=vocabulary, output_mode=output_mode, **kwargs)
        self.standardize, self.split, self.output_sequence_length = standardize, split, output_sequence_length

    def _words(self, text: Any) -> list[str]:
        text = self._plain(text)
        if callable(self.standardize):
            text = self._plain(StringTensor(self.standardize(StringTensor(text))).array.item())
        elif self.standardize is not None:
            text = text.lower() if self.standardize.startswith("lower") else text
            text = _PUNCTUATION.sub("", text) if self.standardize.endswith("punctuation") else text
        if callable(self.split):
            return [self._plain(word) for word in _leaves(self.split(StringTensor(text)))]
        return text.split() if self.split == "whitespace" else [*text] if self.split == "character" else [text]

    def _of(self, data: Any) -> Iterator[str]:
        return (word for text in _leaves(data) for word in self._words(text))

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Number the words of texts: one, or (N,) or (N, 1) of them."""
        texts = _array(inputs)
        rows = [self._numbers(np.array(self._words(text), dtype=object)) for text in texts.ravel()]
        if self.output_mode != "int":
            found = torch.stack([encoded(row, len(self._values), self.output_mode) for row in rows])
        else:
            length = self.output_sequence_length or max(map(len, rows), default=0)
            found = torch.stack(
                [torch.nn.functional.pad(row[:length], (0, length - len(row[:length]))) for row in rows]
            )
        return found if texts.ndim else found[0]


def _array(values: Any) -> np.ndarray:
    if isinstance(values, StringTensor):
        return values.array
    values = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
    return np.asarray(values, dtype=None if isinstance(values, np.ndarray) else object)


def _leaves(data: Any) -> Iterator[Any]:
    """Yield the values of nested lists, arrays, tensors and data sets."""
    if isinstance(data, (str, bytes)):
        yield data
    elif isinstance(data, (np.ndarray, Tensor, StringTensor)):
        yield from _array(data).ravel()
    elif isinstance(data, Sequence) or hasattr(data, "__iter__"):
        for item in data:
            yield from _leaves(item)
    else:
        yield data


__all__ = ["CategoryEncoding", "IntegerLookup", "StringLookup", "TextVectorization", "encoded"]
