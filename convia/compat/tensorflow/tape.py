"""``tf.GradientTape`` on torch's autograd, which records whatever depends on a variable or a watched tensor.

Within a tape torch records, as always. What differs from torch is the end: a tape that is used up lets go of the graph
behind the results it was asked for, unless another tape still needs it, so losses can be summed up for ever.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any
from weakref import ReferenceType, WeakSet, ref

import torch
from torch import Tensor

from convia import tree
from convia.compat import busy
from convia.compat.tensorflow import thaw
from convia.compat.tensorflow.door import given
from convia.errors import explain
from convia.layer import _call
from convia.symbolic import tracing


class UnconnectedGradients(Enum):
    """What the gradient of a source is that the target does not depend on."""

    NONE = "none"
    ZERO = "zero"


_recording: list["GradientTape"] = []  # those whose blocks are open, the innermost last
_unused: WeakSet["GradientTape"] = WeakSet()  # those that may be asked for gradients yet
_results: list[ReferenceType[Tensor]] = []  # targets whose graph is to be dropped when no tape needs it


def is_recording() -> bool:
    """Whether a tape's block is open."""
    return bool(_recording)


class GradientTape:
    """Record what is computed, to ask for gradients afterwards.

    Args:
        persistent: whether gradients may be asked for more than once.
        watch_accessed_variables: whether variables are watched without :meth:`watch`.
    """

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True) -> None:
        self._persistent, self._watches_all = persistent, watch_accessed_variables
        self._used = False
        self._marked: list[Tensor] = []  # tensors that it made differentiable
        self._watched: dict[int, Tensor] = {}
        self._modes: list[bool] = []

    def __enter__(self) -> "GradientTape":
        self._modes.append(torch.is_grad_enabled())
        torch.set_grad_enabled(True)
        _recording.append(self)
        busy.begin()
        thaw.begin()
        _unused.add(self)
        return self

    def __exit__(self, *error: Any) -> None:
        _recording.remove(self)
        busy.end()
        thaw.end()
        torch.set_grad_enabled(self._modes.pop())

    def watch(self, tensor: Any) -> None:
        """Make gradients with respect to a tensor, or tensors, available.

        Raises:
            ValueError: not a tensor.
        """
        for leaf in tree.flatten(tensor):
            if not isinstance(leaf, Tensor):
                received = type(leaf).__name__
                raise ValueError(explain("GradientTape.watch", received, "a tensor", "Use tf.constant or tf.Variable."))
            self._watched[id(leaf)] = leaf
            if not leaf.requires_grad and leaf.is_floating_point():
                leaf.requires_grad_()
                self._marked.append(leaf)

    def watched_variables(self) -> tuple[Any, ...]:
        """Return the variables that were given to :meth:`watch`."""
        return tuple(leaf for leaf in self._watched.values() if hasattr(leaf, "assign"))

    @contextmanager
    def stop_recording(self) -> Iterator[None]:
        """Compute within the block without recording."""
        with torch.no_grad():
            yield

    def reset(self) -> None:
        """Forget what was recorded so far."""
        self._release()
        self._used = False
        _unused.add(self)

    def gradient(
        self,
        target: Any,
        sources: Any,
        output_gradients: Any = None,
        unconnected_gradients: Any = UnconnectedGradients.NONE,
    ) -> Any:
        """Return the gradients of the sum of the target's elements, in the structure of the sources.

        A source that the target does not depend on gets None, or zeros for ``UnconnectedGradients.ZERO``.

        Raises:
            RuntimeError: asked a second time without ``persistent=True``.
        """
        self._use()
        flat = tree.flatten(sources)
        weights = tree.flatten(output_gradients) if output_gradients is not None else None
        targets = [leaf for leaf in tree.flatten(target) if isinstance(leaf, Tensor)]
        with thaw.differentiable(flat):
            found = self._derivatives(targets, flat, weights)
        if UnconnectedGradients(getattr(unconnected_gradients, "value", unconnected_gradients)).value == "zero":
            found = [torch.zeros_like(s) if g is None else g for s, g in zip(flat, found, strict=True)]
        self._finish(targets)
        return tree.pack(sources, found) if tree.is_nested(sources) else found[0]

    def _use(self) -> None:
        if self._used:
            raise RuntimeError(
                explain(
                    "GradientTape",
                    "a second question for gradients",
                    "one, of a tape that is not persistent",
                    "Use tf.GradientTape(persistent=True).",
                )
            )
        self._used = not self._persistent

    def _derivatives(self, targets: list[Tensor], sources: list[Any], weights: list[Any] | None = None) -> list[Any]:
        wanted = [index for index, source in enumerate(sources) if self._follows(source)]
        pairs = [
            (t, torch.ones_like(t) if weights is None or weights[i] is None else given(weights[i]).expand_as(t))
            for i, t in enumerate(targets)
            if t.requires_grad
        ]
        if tracing():
            return [torch.empty_like(source) for source in sources]
        found: list[Any] = [None] * len(sources)
        if not pairs or not wanted:
            return found
        recorded = self._is_recorded()
        gradients = torch.autograd.grad(
            [t for t, _ in pairs],
            [sources[index] for index in wanted],
            [weight.to(t.dtype) for t, weight in pairs],
            retain_graph=recorded or self._persistent or len(_unused) > 1,
            create_graph=recorded,
            allow_unused=True,
        )
        for index, gradient in zip(wanted, gradients, strict=True):
            found[index] = gradient
        return found

    def _follows(self, source: Any) -> bool:
        known = isinstance(source, Tensor) and source.requires_grad
        return known and (self._watches_all or not hasattr(source, "assign") or id(source) in self._watched)

    def _is_recorded(self) -> bool:
        """Whether a tape records the computation of gradients; of its own only a persistent one does."""
        return any(tape is not self or self._persistent for tape in _recording)

    def _finish(self, targets: list[Tensor]) -> None:
        """Let go of what nobody can ask for any more."""
        if self._persistent:
            return
        self._release()
        _results.extend(ref(target) for target in targets if target.grad_fn is not None and not target._is_view())
        if not _unused and not self._is_recorded() and _call.root is None:
            for reference in _results:
                target = reference()
                if target is not None:
                    target.detach_()
            _results.clear()

    def _release(self) -> None:
        _unused.discard(self)
        for leaf in self._marked:
            if leaf.is_leaf:
                leaf.requires_grad_(False)
        self._marked.clear()
        self._watched.clear()

    def __del__(self) -> None:
        if self._marked:
            self._release()

    def jacobian(
        self,
        target: Any,
        sources: Any,
        unconnected_gradients: Any = UnconnectedGradients.NONE,
        parallel_iterations: Any = None,
        experimental_use_pfor: bool = True,
    ) -> Any:
        """Return the derivative of each element of the target: shapes (*target, *source)."""
        self._use()
        flat = tree.flatten(sources)
        rows = [self._row(element, flat) for element in self._elements(target)]
        shape = tuple(target.shape)
        found = [self._stacked([row[i] for row in rows], s, shape) for i, s in enumerate(flat)]
        if UnconnectedGradients(getattr(unconnected_gradients, "value", unconnected_gradients)).value == "zero":
            found = [s.new_zeros((*shape, *s.shape)) if g is None else g for s, g in zip(flat, found, strict=True)]
        self._finish([target])
        return tree.pack(sources, found) if tree.is_nested(sources) else found[0]

    def batch_jacobian(
        self,
        target: Any,
        source: Any,
        unconnected_gradients: Any = UnconnectedGradients.NONE,
        parallel_iterations: Any = None,
        experimental_use_pfor: bool = True,
    ) -> Any:
        """Return the derivative of each row of the target by the same row of the source: (N, *target, *source).

        Raises:
            ValueError: different numbers of rows.
        """
        if target.shape[:1] != source.shape[:1]:
            received = f"shapes {tuple(target.shape)} and {tuple(source.shape)}"
            raise ValueError(explain("GradientTape.batch_jacobian", received, "the same first size"))
        self._use()
        per_row = target.reshape(len(target), -1).sum(0) if target.requires_grad else []
        rows = [self._row(element, [source])[0] for element in per_row]
        filled = [torch.zeros_like(source) if row is None else row for row in rows]
        count = math.prod(target.shape[1:])
        zeros = [torch.zeros_like(source)] * count
        self._finish([target])
        return torch.stack(filled or zeros, 1).reshape(*target.shape, *source.shape[1:])

    def _elements(self, target: Tensor) -> list[Tensor]:
        with torch.enable_grad():
            return list(target.reshape(-1))

    def _row(self, element: Tensor, sources: list[Any]) -> list[Any]:
        wanted = [source for source in sources if self._follows(source)]
        if not element.requires_grad or not wanted:
            return [None] * len(sources)
        found = torch.autograd.grad(
            element, wanted, retain_graph=True, create_graph=self._is_recorded(), allow_unused=True
        )
        by_id = {id(source): gradient for source, gradient in zip(wanted, found, strict=True)}
        return [by_id.get(id(source)) for source in sources]

    @staticmethod
    def _stacked(rows: list[Any], source: Tensor, shape: tuple[int, ...]) -> Any:
        if all(row is None for row in rows):
            return None
        filled = [torch.zeros_like(source) if row is None else row for row in rows]
        return torch.stack(filled).reshape(*shape, *source.shape)


class _Custom(torch.autograd.Function):
    """Calls a function that returns its result and the function of its gradients."""

    @staticmethod
    def forward(ctx: Any, function: Callable[..., Any], *args: Any) -> Any:
        result, ctx.gradient = function(*args)
        ctx.count = len(args)
        return result.clone() if isinstance(result, Tensor) and any(result is arg for arg in args) else result

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> Any:
        gradients = ctx.gradient(*upstream)
        flat = list(gradients) if isinstance(gradients, (list, tuple)) else [gradients]
        return (None, *(flat + [None] * ctx.count)[: ctx.count])


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a function that returns its result and a function from upstream gradients to those of its arguments."""

    def decorated(*args: Any, **kwargs: Any) -> Any:
        return _Custom.apply(lambda *tensors: f(*tensors, **kwargs), *map(given, args))  # type: ignore[no-untyped-call]

    return decorated


def recompute_grad(f: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a function whose intermediate results are computed again for its gradient, to save memory."""

    def decorated(*args: Any, **kwargs: Any) -> Any:
        return torch.utils.checkpoint.checkpoint(f, *args, use_reentrant=False, **kwargs)

    return decorated


@contextmanager
def quiet() -> Iterator[None]:
    """Compute without recording where no tape and no call of a layer is in progress."""
    if _recording or _call.root is not None or not torch.is_grad_enabled():
        yield
    else:
        with torch.no_grad():
            yield
