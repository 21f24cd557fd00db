"""Types of elements as objects: ``tf.float32`` equals "float32", torch's and NumPy's type of that name."""

import builtins
from typing import Any

import numpy as np
import torch

from convia.errors import explain, nearest

_ALIASES = {"half": "float16", "float": "float32", "double": "float64", "int": "int32", "str": "string"}
_PYTHON = {builtins.bool: "bool", int: "int32", float: "float32", complex: "complex128", str: "string", bytes: "string"}


class DType:
    """A type of elements.

    Args:
        type_value: its name, such as "float32".
    """

    def __init__(self, type_value: str) -> None:
        self.name = type_value
        self.torch: torch.dtype | None = getattr(torch, type_value, None)

    @property
    def as_numpy_dtype(self) -> Any:
        """NumPy's class of that name; bytes objects have NumPy's ``object``.

        Raises:
            TypeError: NumPy has no such type.
        """
        if self.torch is None:
            return np.object_
        if not hasattr(np, self.name):
            raise TypeError(explain(repr(self), "a question for its NumPy type", "a type that NumPy has"))
        return np.dtype(self.name).type

    @property
    def base_dtype(self) -> "DType":
        """The type itself: there are no references here."""
        return self

    @property
    def real_dtype(self) -> "DType":
        """The type of the real and imaginary part; of real types the type itself."""
        return {"complex64": float32, "complex128": float64}.get(self.name, self)

    @property
    def is_floating(self) -> bool:
        """Whether it holds real floating point numbers."""
        return self.torch is not None and self.torch.is_floating_point

    @property
    def is_complex(self) -> bool:
        """Whether it holds complex numbers."""
        return self.torch is not None and self.torch.is_complex

    @property
    def is_integer(self) -> bool:
        """Whether it holds whole numbers."""
        return "int" in self.name

    @property
    def is_bool(self) -> bool:
        """Whether it holds truth values."""
        return self.name == "bool"

    @property
    def is_numpy_compatible(self) -> bool:
        """Whether NumPy has it."""
        return self.torch is None or hasattr(np, self.name)

    @property
    def size(self) -> int:
        """Bytes per element."""
        return 1 if self.torch is None else self.torch.itemsize

    @property
    def min(self) -> Any:
        """The least finite number of the type."""
        return self.limits[0]

    @property
    def max(self) -> Any:
        """The greatest finite number of the type."""
        return self.limits[1]

    @property
    def limits(self) -> tuple[Any, Any]:
        """The least and the greatest finite number.

        Raises:
            TypeError: not a type of numbers.
        """
        if self.torch is None or self.is_bool or self.is_complex:
            raise TypeError(explain(repr(self), "a question for its limits", "a type of real numbers"))
        info = torch.finfo(self.torch) if self.is_floating else torch.iinfo(self.torch)
        return info.min, info.max

    @property
    def as_datatype_enum(self) -> int:
        """The number of the type in TensorFlow's protocol buffers."""
        return _NUMBERS[self.name]

    def is_compatible_with(self, other: Any) -> bool:
        """Whether the other is the same type."""
        return bool(self == other)

    def __eq__(self, other: object) -> bool:
        if other is self:
            return True
        try:
            return as_dtype(other).name == self.name
        except TypeError:
            return False

    def __hash__(self) -> int:
        return hash(self.torch or self.name)

    def __repr__(self) -> str:
        return f"tf.{self.name}"

    def __str__(self) -> str:
        return f"<dtype: {self.name!r}>"

    def __reduce__(self) -> Any:
        return as_dtype, (self.name,)


_NUMBERS = {  # tensorflow/core/framework/types.proto
    "float32": 1, "float64": 2, "int32": 3, "uint8": 4, "int16": 5, "int8": 6, "string": 7, "complex64": 8, "int64": 9,
    "bool": 10, "bfloat16": 14, "uint16": 17, "complex128": 18, "float16": 19, "uint32": 22, "uint64": 23,
}  # fmt: skip
TYPES = {name: DType(name) for name in _NUMBERS}
NAMES: dict[str, DType] = {**TYPES, "half": TYPES["float16"], "double": TYPES["float64"]}
float32, float64, string = TYPES["float32"], TYPES["float64"], TYPES["string"]


def as_dtype(type_value: Any) -> DType:
    """Return the type for a name, a type of torch, NumPy or Python, or a number of TensorFlow's protocol buffers.

    Raises:
        TypeError: no such type.
    """
    if isinstance(type_value, DType):
        return type_value
    if isinstance(type_value, int) and not isinstance(type_value, bool):
        type_value = next((name for name, number in _NUMBERS.items() if number == type_value), type_value)
    if isinstance(type_value, torch.dtype):
        name = str(type_value).removeprefix("torch.")
    elif isinstance(type_value, str):
        name = _ALIASES.get(type_value, type_value).removesuffix("_ref")
    else:
        name = _PYTHON.get(type_value) or _numpy_name(type_value)
    if name not in TYPES:
        raise TypeError(explain("tf.as_dtype", repr(type_value), "a type of tensors", nearest(name, TYPES)))
    return TYPES[name]


def _numpy_name(type_value: Any) -> str:
    try:
        dtype = np.dtype(type_value)
    except TypeError:
        return str(type_value)
    return "string" if dtype.kind in "OSU" else dtype.name


def torch_dtype(type_value: Any) -> torch.dtype | None:
    """Return torch's type for any way of naming one; None stays None.

    Raises:
        TypeError: no such type, or one of texts.
    """
    if type_value is None or isinstance(type_value, torch.dtype):
        return type_value
    dtype = as_dtype(type_value)
    if dtype.torch is None:
        raise TypeError(explain("dtype", repr(dtype), "a type of numbers"))
    return dtype.torch
