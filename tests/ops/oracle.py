"""Rows (name, arguments, keyword arguments) checked against Keras: values, types, and symbolic shapes."""

from typing import Any

import keras
import numpy as np
import torch

from convia import ops, tree
from convia.symbolic import KerasTensor

_random = np.random.default_rng(7)


def floats(*shape: int, dtype: str = "float32") -> np.ndarray:
    """Normal numbers."""
    return _random.normal(size=shape).astype(dtype)


def units(*shape: int) -> np.ndarray:
    """Numbers between 0.05 and 0.95."""
    return _random.uniform(0.05, 0.95, shape).astype("float32")


def ints(*shape: int, low: int = 1, high: int = 9, dtype: str = "int32") -> np.ndarray:
    """Whole numbers."""
    return _random.integers(low, high, shape).astype(dtype)


def bools(*shape: int) -> np.ndarray:
    """Truth values."""
    return _random.integers(0, 2, shape).astype(bool)


def holes(*shape: int) -> np.ndarray:
    """Normal numbers, some of them NaN, among them the first row."""
    x = floats(*shape)
    x[_random.uniform(size=shape) < 0.3] = np.nan
    x[0] = np.nan
    return x


def row_id(row: Any) -> str:
    """Name a row by function, shapes and options."""
    name, args, kwargs = row

    def text(value: Any) -> str:
        if isinstance(value, np.ndarray):
            return f"{value.dtype}{list(value.shape)}"
        return f"[{len(value)}]" if isinstance(value, list) and len(str(value)) > 20 else str(value)

    return "-".join([name, *map(text, args), *(f"{key}={text(value)}" for key, value in kwargs.items())])


def find(module: Any, name: str) -> Any:
    """Follow a dotted name."""
    for part in name.split("."):
        module = getattr(module, part, None) or getattr(module.image, part)
    return module


def call(module: Any, row: Any) -> Any:
    """Call a row's function on torch tensors."""
    name, args, kwargs = row
    args, kwargs = tree.map_structure(
        lambda leaf: torch.from_numpy(leaf.copy()) if isinstance(leaf, np.ndarray) else leaf, (list(args), kwargs)
    )
    return find(module, name)(*args, **kwargs)


def leaves(result: Any) -> list[Any]:
    """Flatten nested results, named tuples too."""
    if isinstance(result, (list, tuple)):
        return [leaf for item in result for leaf in leaves(item)]
    return [result]


def check_values(row: Any, tolerance: float = 1e-6, types: bool = True) -> None:
    """Values and types equal Keras's."""
    ours, theirs = leaves(call(ops, row)), leaves(call(keras.ops, row))
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        if not isinstance(mine, torch.Tensor):
            assert mine == other
            continue
        assert mine.shape == other.shape
        if types:
            assert mine.dtype == other.dtype
        np.testing.assert_allclose(
            mine.resolve_conj().float().numpy() if mine.dtype == torch.bfloat16 else mine.resolve_conj().numpy(),
            other.float().numpy() if other.dtype == torch.bfloat16 else other.resolve_conj().numpy(),
            rtol=tolerance,
            atol=tolerance,
        )


def symbolic(kind: Any, value: np.ndarray, batch: bool) -> Any:
    """A symbolic tensor of the shape of an array, the first dimension unknown if asked."""
    shape = (None, *value.shape[1:]) if batch and value.ndim else value.shape
    return kind(shape, dtype=str(value.dtype))


def check_symbolic(row: Any, batch: bool = False, types: bool = True) -> None:
    """Shapes and types of symbolic results equal Keras's, and one node is recorded."""
    name, args, kwargs = row
    results = []
    for module, kind in ((ops, KerasTensor), (keras.ops, keras.KerasTensor)):
        given = [
            symbolic(kind, arg, batch and index == 0) if isinstance(arg, np.ndarray) else arg
            for index, arg in enumerate(args)
        ]
        results.append(leaves(find(module, name)(*given, **kwargs)))
    ours, theirs = results
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        assert isinstance(mine, KerasTensor)
        assert mine.shape == tuple(other.shape)
        assert mine.dtype == other.dtype or not types
        assert mine.node is ours[0].node


def check_symbolic_like_eager(row: Any) -> None:
    """Shapes and types of symbolic results equal those of the computed ones."""
    name, args, kwargs = row
    given = [symbolic(KerasTensor, arg, False) if isinstance(arg, np.ndarray) else arg for arg in args]
    for mine, real in zip(leaves(find(ops, name)(*given, **kwargs)), leaves(call(ops, row)), strict=True):
        assert mine.shape == tuple(real.shape)
        assert mine.dtype == str(real.dtype).removeprefix("torch.")
