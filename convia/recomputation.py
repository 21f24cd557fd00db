"""Layers that compute their inner results again for the gradient instead of keeping them: memory traded for time.

Chen et al. 2016, "Training deep nets with sublinear memory cost".
"""

import functools
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, Self

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from convia import tree
from convia.errors import explain, nearest
from convia.random import SeedGenerator

_MODES = ("full", "activations", "larger_than", "list_of_layers")


def remat(f: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function, or a layer, that computes its inner results again for the gradient instead of keeping them."""

    @functools.wraps(f)
    def again(*args: Any, **kwargs: Any) -> Any:
        return checkpoint(f, *args, use_reentrant=False, **kwargs)

    return again


class RematScope:
    """Layers that are made within the block compute again what gradients need; results are the same.

    With torch a layer keeps its inputs, and makes again what lies between them and its output. In the engine, where
    layers keep no more than inputs and outputs anyway, outputs are made again where that saves memory, except those of
    convolutions and dense layers; small networks, which have samples as lanes, keep theirs. Statistics, masks and
    random numbers are those of the first time.

    Args:
        mode: which layers do: "full", all of them; "activations", those that have an activation, or are one;
            "larger_than", those whose output has more than ``output_size_threshold`` elements, batch included;
            "list_of_layers", those named in ``layer_names``; None, none.
        output_size_threshold: elements, for "larger_than".
        layer_names: for "list_of_layers".

    Raises:
        ValueError: another mode.
    """

    _around: list["RematScope"] = []  # noqa: RUF012

    def __init__(
        self, mode: str | None = "full", output_size_threshold: int = 1024, layer_names: Sequence[str] | None = None
    ) -> None:
        if mode is not None and mode not in _MODES:
            raise ValueError(explain("RematScope", f"mode={mode!r}", f"None or one of {_MODES}", nearest(mode, _MODES)))
        self.mode, self.output_size_threshold, self.layer_names = mode, output_size_threshold, layer_names or []

    def __enter__(self) -> Self:
        self._around.append(self)
        return self

    def __exit__(self, *exception: Any) -> None:
        self._around.pop()

    def takes(self, layer: Any, args: Any) -> bool:
        """Return whether a layer computes again what a call on these arguments needs."""
        if self.mode == "larger_than":
            shapes = (tuple(leaf.shape) for leaf in tree.flatten(args) if isinstance(leaf, Tensor))
            outputs = _output_shapes(layer, *shapes)
            return sum(map(math.prod, outputs)) > self.output_size_threshold
        return self._names(layer)

    def largest_kept(self, layer: Any, numbers: int) -> int:
        """Return how many samples a batch may have for which a layer keeps all, -1 for any.

        Args:
            layer: in the scope.
            numbers: how many its output for one sample has.
        """
        if self.mode == "larger_than":
            return self.output_size_threshold // numbers
        return 0 if self._names(layer) else -1

    def _names(self, layer: Any) -> bool:
        if self.mode == "list_of_layers":
            return layer.name in self.layer_names
        if self.mode == "activations":
            return hasattr(layer, "activation") or type(layer).__module__.endswith(".activation")
        return True


def current() -> RematScope | None:
    """Return the scope in which a layer is made, None for none that says anything."""
    scope = RematScope._around[-1] if RematScope._around else None
    return None if scope is None or scope.mode is None else scope


def _output_shapes(layer: Any, *shapes: tuple[int, ...]) -> list[tuple[int, ...]]:
    known = vars(layer).setdefault("_output_shapes", {})
    if shapes not in known:
        with torch.no_grad():
            found = layer.compute_output_shape(*shapes)
        known[shapes] = [found] if isinstance(found[0], int) else tree.flatten(found)
    return known[shapes]  # type: ignore[no-any-return]


class _Within(threading.local):
    on = False


_within = _Within()


def run(layer: Any, root: Any, call: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Call, and once more for the gradients, which leaves no trace; layers inside are not taken apart again."""
    if _within.on:
        return call(args, kwargs)

    def once(args: Any, kwargs: Any) -> Any:
        _within.on = True
        try:
            return call(args, kwargs)
        finally:
            _within.on = False

    contexts = functools.partial(_contexts, _Noted(layer, root))
    return checkpoint(once, args, kwargs, use_reentrant=False, context_fn=contexts)


def _contexts(before: "_Noted") -> Any:
    return nullcontext(), before.back()


class _Noted:
    """What calls of a layer leave behind: statistics, random numbers drawn, penalties."""

    def __init__(self, layer: Any, root: Any) -> None:
        layers = list(layer._flatten_layers())
        generators = (value for each in layers for value in vars(each).values() if isinstance(value, SeedGenerator))
        self._of = layer, root
        self._buffers = [(buffer, buffer.clone()) for buffer in layer.buffers()]
        self._generators = [(generator, generator._state) for generator in generators]
        self._penalties = [(books, list(books)) for books in (root._loss_layers, *(each._losses for each in layers))]

    @contextmanager
    def back(self) -> Iterator[None]:
        """Put everything back to where it was, and forward again in the end."""
        now = _Noted(*self._of)
        self._put()
        try:
            yield
        finally:
            now._put()

    def _put(self) -> None:
        with torch.no_grad():
            for buffer, values in self._buffers:
                buffer.copy_(values)
        for generator, state in self._generators:
            generator._state = state
        for books, entries in self._penalties:
            books[:] = entries
