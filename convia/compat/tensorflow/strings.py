"""Functions of texts: ``tf.strings``, as far as pipelines of files need them. Texts are UTF-8."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from convia.compat.tensorflow.control import InvalidArgumentError
from convia.compat.tensorflow.door import api, axes, given, torch_dtype
from convia.compat.tensorflow.texts import StringTensor
from convia.errors import explain


class RaggedRows:
    """Rows of texts of different lengths, as ``tf.strings.split`` returns them for several texts.

    Args:
        rows: lists of bytes.
    """

    def __init__(self, rows: list[list[bytes]]) -> None:
        self._rows = rows

    def to_list(self) -> list[list[bytes]]:
        """Return the rows as lists."""
        return self._rows

    def to_tensor(self, default_value: Any = b"", shape: Any = None, name: Any = None) -> StringTensor:
        """Return the rows filled up to the longest."""
        width = max(map(len, self._rows), default=0)
        return StringTensor([[*row, *[default_value] * (width - len(row))] for row in self._rows])

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, tuple) and isinstance(key[0], slice) and len(key) == 2:
            return StringTensor([row[key[1]] for row in self._rows[key[0]]])
        row = self._rows[key[0] if isinstance(key, tuple) else key]
        return StringTensor(row)[key[1]] if isinstance(key, tuple) else StringTensor(row)

    def __repr__(self) -> str:
        return f"<tf.RaggedTensor {self._rows}>"


def _text(function: Callable[[str], str]) -> Callable[..., Any]:
    def changed(input: Any, encoding: str = "") -> Any:
        return StringTensor(StringTensor(input).map(lambda text: function(text.decode()).encode()))

    return api(changed)


@api
def split(input: Any, sep: Any = None, maxsplit: int = -1) -> Any:
    """Return the parts of a text between separators, by default spaces; of several texts ragged rows."""
    texts = StringTensor(input)
    sep = None if sep is None else StringTensor(sep).array.item() or None
    rows = [text.split(sep, maxsplit) for text in np.atleast_1d(texts.array).ravel()]
    return StringTensor(rows[0]) if texts.ndim == 0 else RaggedRows(rows)


@api
def join(inputs: Any, separator: str = "") -> Any:
    """Return corresponding texts joined."""
    parts = np.broadcast_arrays(*(StringTensor(part).array for part in inputs))
    joined = [separator.encode().join(row) for row in zip(*(np.atleast_1d(p).ravel() for p in parts), strict=True)]
    return StringTensor(np.array(joined, dtype=object).reshape(parts[0].shape))


@api
def reduce_join(inputs: Any, axis: Any = None, keepdims: bool = False, separator: str = "") -> Any:
    """Return the texts along an axis, or all of them, joined."""
    array = StringTensor(inputs).array
    axis = axes(axis)
    array, place = (array.ravel(), 0) if axis is None else (array, axis)
    rows = np.moveaxis(array, place, -1)
    found = np.empty(rows.shape[:-1], dtype=object)
    for index in np.ndindex(found.shape):
        found[index] = separator.encode().join(rows[index])
    return StringTensor(np.expand_dims(found, place) if keepdims else found)


@api
def regex_replace(input: Any, pattern: Any, rewrite: Any, replace_global: bool = True) -> Any:
    r"""Return texts with what matches a pattern replaced; ``\1`` stands for the first group."""
    known, new = (StringTensor(part).array.item() for part in (pattern, rewrite))
    return StringTensor(
        StringTensor(input).map(lambda text: re.sub(known, new, text, count=0 if replace_global else 1))
    )


@api
def regex_full_match(input: Any, pattern: Any) -> Any:
    """Whether whole texts match a pattern."""
    known = re.compile(StringTensor(pattern).array.item())
    return torch.as_tensor(StringTensor(input).map(lambda text: known.fullmatch(text) is not None, bool))


@api
def length(input: Any, unit: str = "BYTE") -> Any:
    """Return the number of bytes, or of characters for ``unit="UTF8_CHAR"``."""
    count: Callable[[bytes], int] = len if unit == "BYTE" else lambda text: len(text.decode())
    return torch.as_tensor(StringTensor(input).map(count, np.int32))


@api
def to_number(input: Any, out_type: Any = "float32") -> Any:
    """Return the numbers that texts spell.

    Raises:
        InvalidArgumentError: a text that is no number.
    """
    kind = torch_dtype(out_type) or torch.float32
    try:
        return torch.as_tensor(StringTensor(input).map(float, float)).to(kind)
    except ValueError as error:
        raise InvalidArgumentError(
            None, None, explain("tf.strings.to_number", str(error), "texts that are numbers")
        ) from None


@api
def as_string(input: Any, precision: int = -1, **ignored: Any) -> Any:
    """Return numbers as texts; fractions with six decimals unless told otherwise."""
    x = given(input)
    if isinstance(x, StringTensor):
        return x
    form = (lambda v: f"{v:.{6 if precision < 0 else precision}f}") if x.is_floating_point() else _plain
    return StringTensor(np.vectorize(form, otypes=[object])(x.detach().cpu().numpy()))


def _plain(value: Any) -> str:
    return str(bool(value)).lower() if isinstance(value, bool | np.bool_) else str(value)


@api
def substr(input: Any, pos: Any, len: Any, unit: str = "BYTE") -> Any:
    """Return the part of texts from a position on, of a length."""
    first, count = int(pos), int(len)

    def part(text: bytes) -> bytes:
        begin = first if first >= 0 else max(text.__len__() + first, 0)
        return text[begin : begin + count]

    return StringTensor(StringTensor(input).map(part))


@api
def unicode_split(input: Any, input_encoding: str = "UTF-8", **ignored: Any) -> Any:
    """Return the characters of a text; of several texts ragged rows."""
    texts = StringTensor(input)
    rows = [[letter.encode() for letter in text.decode()] for text in np.atleast_1d(texts.array).ravel()]
    return StringTensor(rows[0]) if texts.ndim == 0 else RaggedRows(rows)


STRINGS = {
    "as_string": as_string, "format": lambda template, inputs, placeholder="{}": StringTensor(
        template.replace(placeholder, "{}").format(*(inputs if isinstance(inputs, (list, tuple)) else [inputs]))
    ),
    "join": join, "length": length, "lower": _text(str.lower), "reduce_join": reduce_join,
    "regex_full_match": regex_full_match, "regex_replace": regex_replace, "split": split, "strip": _text(str.strip),
    "substr": substr, "to_number": to_number, "unicode_split": unicode_split, "upper": _text(str.upper),
}  # fmt: skip
