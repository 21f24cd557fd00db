"""A step whose loss is no finite number: where that comes from, which files were in the batch, what is put back."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from convia import tree
from convia.layer import hooked
from convia.training.data import Batch, Batches

_NAMED = 5  # samples that a message names
_LETTERS = 200  # of a name, which may be a whole text
_ROWS = 10  # rows that a message names


class Reading:
    """Which batch a loop has come to.

    Attributes:
        batches: that it goes through; None outside a loop.
        number: of the batch, from 0.
        batch: (x, y, sample_weight), None where the engine takes whole arrays.
    """

    def __init__(self, batches: Batches | None = None, number: int = 0) -> None:
        self.batches, self.number = batches, number
        self.batch: Batch | None = None

    def names(self) -> Sequence[str]:
        """Return the files in the batch, or its samples' places in arrays; nothing where neither is known."""
        return () if self.batches is None else self.batches.names(self.number)


def cause(model: Any, x: Any, reading: Reading) -> str:
    """Say where values that are not finite first come up, and what the batch is made of."""
    names = reading.names()
    broken = _broken_input(x)
    if broken:
        rows = ", ".join(map(str, broken[:_ROWS])) + (", …" if len(broken) > _ROWS else "")
        guilty = [names[row] for row in broken if row < len(names)]
        return f"x holds NaN or infinity in row{'s' * (len(broken) > 1)} {rows} of the batch{_listed(guilty)}"
    return _first_layer(model, x) + (f"; the batch is made of{_listed(names)[1:]}" if len(names) else "")


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(name if len(name) <= _LETTERS else f"{name[:_LETTERS]}…" for name in names[:_NAMED])
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f": {shown}{more}" if len(names) else ""


def _broken_input(x: Any) -> list[int]:
    """Return the rows of a batch that hold values which are not finite."""
    given = x if isinstance(x, (Tensor, dict, list, tuple)) else getattr(x, "values", x)  # those of Features
    leaves = [leaf for leaf in tree.flatten(given) if isinstance(leaf, Tensor)]
    return sorted({row for leaf in leaves if leaf.is_floating_point() for row in _broken_rows(leaf)})


@contextmanager
def watched(model: Any, look: Callable[[Any, Any, Any], None]) -> Iterator[None]:
    """Show what the layers inside are given and return, for calls that leave no trace: statistics are put back."""
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    inner = [layer for layer in model._flatten_layers(include_self=False) if layer is not model]
    try:
        with hooked(inner, look):
            yield
    finally:
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)


def _first_layer(model: Any, x: Any) -> str:
    """Run the batch again, and name the first layer whose output is not finite."""
    found: list[Any] = []

    def look(layer: Any, given: Any, outputs: Any) -> None:
        if not found and any(isinstance(leaf, Tensor) and _broken_rows(leaf) for leaf in tree.flatten(outputs)):
            found.append(layer)

    with watched(model, look), torch.no_grad():
        model(x, training=True)
    if not found:
        return "the outputs of all layers are finite, the loss is not"
    layer = found[0]
    spoiled = any(_broken_rows(weight) for weight in layer.weights if weight.is_floating_point())
    why = ", whose weights are not: gradients of an earlier batch were not finite" if spoiled else ""
    return f"the first layer whose output is not finite is {layer.name!r}{why}"


def _broken_rows(leaf: Tensor) -> list[int]:
    finite = torch.isfinite(leaf)
    if bool(finite.all()):
        return []
    return (~finite.flatten(1).all(1)).nonzero()[:, 0].tolist() if leaf.ndim > 1 else [0]


class Kept:
    """Tensors as they are before a step."""

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        self._pairs = [(tensor, tensor.detach().clone()) for tensor in tensors]

    def restored(self, unless: bool) -> bool:
        """Put them back, unless told not to; return whether that was done."""
        if not unless:
            with torch.no_grad():
                for tensor, before in self._pairs:
                    tensor.copy_(before)
        return not unless
