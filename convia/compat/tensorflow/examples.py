"""``tf.train.Example``: what the records of TFRecord files hold, read and written without protobuf's library.

In protobuf's wire format (https://protobuf.dev/programming-guides/encoding) field 1 of Example is Features; its field 1
is, repeated, a map entry of a name (1) and a Feature (2), and that has one of bytes_list (1), float_list (2) and
int64_list (3), whose values are field 1 of each, packed or not.
"""

import struct
from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch

from convia.compat.tensorflow.dtypes import as_dtype, string
from convia.compat.tensorflow.texts import StringTensor
from convia.errors import explain

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(content)) + content


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _fields(data: bytes) -> Iterator[tuple[int, int, Any]]:
    """Yield (number, wire type, content) of each field of a message."""
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        kind, size = key & 7, {_FIXED64: 8, _FIXED32: 4}.get(key & 7, 0)
        if kind == _VARINT:
            content, at = _read_varint(data, at)
            yield key >> 3, kind, content
            continue
        if kind == _BYTES:
            size, at = _read_varint(data, at)
        if at + size > len(data) or not (size or kind == _BYTES):
            raise IndexError("cut short, or of another format")
        yield key >> 3, kind, data[at : at + size]
        at += size


class _Values:
    """A list of values of one type: the attribute ``value``."""

    number: ClassVar[int]

    def __init__(self, value: Any = ()) -> None:
        self.value: list[Any] = [*value]

    def _encoded(self) -> bytes:
        raise NotImplementedError

    def _decode(self, kind: int, content: Any) -> None:
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.value})"


class BytesList(_Values):
    """Texts or files' contents."""

    number = 1

    def __init__(self, value: Any = ()) -> None:
        super().__init__(item.encode() if isinstance(item, str) else bytes(item) for item in value)

    def _encoded(self) -> bytes:
        return b"".join(_field(1, item) for item in self.value)

    def _decode(self, kind: int, content: Any) -> None:
        self.value.append(content)


class FloatList(_Values):
    """Numbers, stored as float32."""

    number = 2

    def __init__(self, value: Any = ()) -> None:
        super().__init__(np.asarray([float(item) for item in value], np.float32).tolist())

    def _encoded(self) -> bytes:
        return _field(1, struct.pack(f"<{len(self.value)}f", *self.value)) if self.value else b""

    def _decode(self, kind: int, content: Any) -> None:
        self.value.extend(struct.unpack(f"<{len(content) // 4}f", content))


class Int64List(_Values):
    """Whole numbers."""

    number = 3

    def __init__(self, value: Any = ()) -> None:
        super().__init__(int(item) for item in value)

    def _encoded(self) -> bytes:
        return _field(1, b"".join(map(_varint, self.value))) if self.value else b""

    def _decode(self, kind: int, content: Any) -> None:
        found, at = [content] if kind == _VARINT else [], 0
        while kind == _BYTES and at < len(content):
            value, at = _read_varint(content, at)
            found.append(value)
        self.value.extend(value - (1 << 64) if value >> 63 else value for value in found)


_LISTS = {"bytes_list": BytesList, "float_list": FloatList, "int64_list": Int64List}


class Feature:
    """One of ``bytes_list``, ``float_list`` and ``int64_list``."""

    def __init__(self, bytes_list: Any = None, float_list: Any = None, int64_list: Any = None) -> None:
        given = {"bytes_list": bytes_list, "float_list": float_list, "int64_list": int64_list}
        self.kind = next((name for name, value in given.items() if value is not None), None)
        for name, make in _LISTS.items():
            setattr(self, name, given[name] if given[name] is not None else make())

    def WhichOneof(self, name: str = "kind") -> str | None:  # noqa: N802
        """Return which of the three it is."""
        return self.kind

    def values(self) -> list[Any]:
        """Return the values."""
        return getattr(self, self.kind).value if self.kind else []

    def _encoded(self) -> bytes:
        values = getattr(self, self.kind) if self.kind else None
        return _field(values.number, values._encoded()) if values is not None else b""

    @staticmethod
    def _decoded(data: bytes) -> "Feature":
        feature = Feature()
        for number, _, content in _fields(data):
            feature.kind = [*_LISTS][number - 1]
            for _, kind, value in _fields(content):
                getattr(feature, feature.kind)._decode(kind, value)
        return feature


class Features:
    """Features by name: the attribute ``feature``."""

    def __init__(self, feature: Any = None) -> None:
        self.feature: dict[str, Feature] = dict(feature or {})


class Example:
    """Features of one sample, as a record holds them."""

    def __init__(self, features: Features | None = None) -> None:
        self.features = features or Features()

    def SerializeToString(self) -> bytes:  # noqa: N802
        """Return the bytes of a record."""
        entries = sorted(self.features.feature.items())
        return _field(1, b"".join(_field(1, _field(1, name.encode()) + _field(2, feature._encoded()))
                                  for name, feature in entries))  # fmt: skip

    def ParseFromString(self, serialized: Any) -> int:  # noqa: N802
        """Read a record, and return how many bytes it has.

        Raises:
            ValueError: the bytes are no Example.
        """
        data = bytes(StringTensor(serialized).array.item())
        try:
            found = {}
            for _, _, features in _fields(data):
                for _, _, entry in _fields(features):
                    parts = {number: content for number, _, content in _fields(entry)}
                    found[parts[1].decode()] = Feature._decoded(parts.get(2, b""))
        except (IndexError, KeyError, TypeError, AttributeError, struct.error, UnicodeDecodeError) as error:
            received = f"{len(data)} bytes that are none ({error})"
            raise ValueError(explain("tf.train.Example", received, "a serialized Example")) from None
        self.features = Features(found)
        return len(data)

    @staticmethod
    def FromString(serialized: Any) -> "Example":  # noqa: N802
        """Return the Example that a record holds."""
        example = Example()
        example.ParseFromString(serialized)
        return example


class FixedLenFeature(NamedTuple):
    """A feature with so many values: its shape, its type, and what stands for it where it is missing."""

    shape: Any
    dtype: Any
    default_value: Any = None


class VarLenFeature(NamedTuple):
    """A feature with any number of values."""

    dtype: Any


class FixedLenSequenceFeature(NamedTuple):
    """A feature with any number of values of one shape."""

    shape: Any
    dtype: Any
    allow_missing: bool = False
    default_value: Any = None


def _as_tensor(values: Any, dtype: Any, shape: Any) -> Any:
    if as_dtype(dtype) == string:
        texts = StringTensor(np.asarray([*np.ravel(np.asarray(values, dtype=object))] or [], dtype=object))
        texts.array = texts.array.reshape(shape)
        return texts
    return torch.tensor(np.asarray(values).tolist(), dtype=as_dtype(dtype).torch).reshape(shape)


def _parsed(name: str, spec: Any, feature: Feature | None) -> Any:
    values = feature.values() if feature is not None else []
    if not isinstance(spec, FixedLenFeature):
        return _as_tensor(values, spec.dtype, (-1, *(getattr(spec, "shape", None) or ())))
    shape = tuple(int(size) for size in spec.shape)
    count = int(np.prod(shape, dtype=int))
    if not values and spec.default_value is not None:
        return _as_tensor(np.broadcast_to(np.asarray(spec.default_value), shape), spec.dtype, shape)
    if len(values) != count:
        received = f"feature {name!r} with {len(values)} values"
        remedy = "Describe it by VarLenFeature, or give FixedLenFeature a default_value."
        raise ValueError(explain("tf.io.parse_single_example", received, f"{count}, for the shape {shape}", remedy))
    return _as_tensor(values, spec.dtype, shape)


def parse_single_example(serialized: Any, features: Any, name: str | None = None, example_names: Any = None) -> Any:
    """Return the described features of a record as tensors; those of any length are dense, of rank 1.

    Args:
        serialized: a record.
        features: name → FixedLenFeature, VarLenFeature or FixedLenSequenceFeature.

    Raises:
        ValueError: the bytes are no Example; a feature is missing or has another number of values.
    """
    found = Example.FromString(serialized).features.feature
    return {key: _parsed(key, spec, found.get(key)) for key, spec in features.items()}


def parse_example(serialized: Any, features: Any, name: str | None = None, example_names: Any = None) -> Any:
    """Return the described features of several records, stacked; those of any length are filled up with 0."""
    rows = [parse_single_example(item, features) for item in StringTensor(serialized).array.ravel()]
    return {key: _stacked([row[key] for row in rows]) for key in features}


def _stacked(parts: list[Any]) -> Any:
    if isinstance(parts[0], StringTensor):
        return StringTensor(np.stack([part.array for part in parts]))
    if len({part.shape for part in parts}) == 1:
        return torch.stack(parts)
    return torch.nn.utils.rnn.pad_sequence(parts, batch_first=True)


TRAIN = {
    "BytesList": BytesList, "Example": Example, "Feature": Feature, "Features": Features, "FloatList": FloatList,
    "Int64List": Int64List,
}  # fmt: skip
IO = {
    "FixedLenFeature": FixedLenFeature, "FixedLenSequenceFeature": FixedLenSequenceFeature,
    "VarLenFeature": VarLenFeature, "parse_example": parse_example, "parse_single_example": parse_single_example,
}  # fmt: skip
__all__ = ["IO", "TRAIN", "Example", "Feature", "Features", "FixedLenFeature", "VarLenFeature", "parse_example",
           "parse_single_example"]  # fmt: skip
