"""What rules build a plan with: tensors and their layouts, weights, and the steps that several layers are made of."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from convia import tree
from convia.engine.functions import OVER_AXIS, Activation, activation_of
from convia.engine.plan import ACTS, IN_PLACE, JOINS, Parameter, Plan, Shape, Unsupported
from convia.regularizers import L1, L1L2, L2


class Builder:
    """A plan in the making.

    Shapes are channels last here, whatever the model's data format: a tensor that the user sees channels first is only
    noted as such, in ``first``. So rules need not know of it, except those that number elements as the user does.

    Args:
        learned: the variables that learn.
    """

    def __init__(self, learned: list[Any]) -> None:
        self.plan = Plan()
        self.first: set[int] = set()
        self.channels_first = False  # whether the layer at hand works channels first
        self.ends_here = False  # whether its output is one of the model's
        self.frozen = False  # whether it is called with training=False
        self.around: list[tuple[int, int]] | None = None  # zeros before and after its input, along the spatial axes
        self._learned = {id(variable) for variable in learned}
        self._parameters: dict[int, int] = {}
        self._turned: dict[tuple[int, bool], int] = {}

    # -- tensors ------------------------------------------------------------------------------------------------

    def tensor(self, shape: Shape) -> int:
        """Add a tensor in the layout of the layer at hand and return its number."""
        number = self.plan.tensor(shape)
        if self.channels_first and len(shape) > 1:
            self.first.add(number)
        return number

    def shape(self, tensor: int) -> Shape:
        """Return the shape of a tensor as the engine sees it: channels last."""
        return self.plan.shapes[tensor]

    def seen(self, tensor: int) -> Shape:
        """Return the shape of a tensor as the user sees it."""
        shape = self.shape(tensor)
        return (shape[-1], *shape[:-1]) if tensor in self.first else shape

    def numbers(self, tensor: int) -> np.ndarray:
        """Return the engine's number (channel by channel) of each element, in the user's order and shape."""
        *spatial, channels = self.shape(tensor)
        numbers = np.arange(np.prod(self.shape(tensor), dtype=int)).reshape(channels, *spatial)
        return numbers if tensor in self.first else np.moveaxis(numbers, 0, -1)

    def over_channels(self, axis: Any, tensor: int) -> bool:
        """Return whether an axis of the user's (batch included) is that of the channels."""
        rank = len(self.shape(tensor))
        return isinstance(axis, int) and axis % (rank + 1) == (1 if tensor in self.first else rank)

    def laid_out(self, tensor: int, channels_first: bool) -> int:
        """Return the tensor in a layout, a copy where it has the other one."""
        if len(self.shape(tensor)) == 1 or (tensor in self.first) == channels_first:
            return tensor
        if (tensor, channels_first) not in self._turned:
            seen, before = self.seen(tensor), self.channels_first
            self.channels_first = channels_first
            out = self.tensor((*seen[1:], seen[0]) if channels_first else seen)
            self.channels_first = before
            self.copy(tensor, out, self.numbers(tensor), self.numbers(out))
            self._turned[tensor, channels_first] = out
        return self._turned[tensor, channels_first]

    def is_rectified(self, tensor: int) -> bool:
        """Return whether a tensor has just been made by an activation that cuts negative numbers off."""
        acts = (step.get("act", 0) for step in reversed(self.plan.steps) if step["out"] == tensor)
        return ACTS[next(acts, 0)] in ("relu", "capped_relu")

    # -- weights ------------------------------------------------------------------------------------------------

    def parameter(self, tensor: Any, order: tuple[int, ...] | None = None) -> int:
        """Return the number of a weight; its memory must run in the given order of axes."""
        if tensor is None:
            return -1
        if id(tensor) in self._parameters:
            return self._parameters[id(tensor)]
        data = tensor.detach()
        view = data if order is None else data.permute(order)
        if data.dtype is not torch.float32 or data.device.type != "cpu" or not view.is_contiguous():
            raise Unsupported("weights of another type, order or device")
        learns = id(tensor) in self._learned
        penalty = penalty_of(getattr(tensor, "regularizer", None)) if learns else (0.0, 0.0)
        self.plan.parameters.append(Parameter(tensor, learns, *penalty))
        if learns and getattr(tensor, "constraint", None) is not None:
            self.plan.constrained.append(tensor)
        self._parameters[id(tensor)] = len(self.plan.parameters) - 1
        return self._parameters[id(tensor)]

    def constant(self, value: Any, size: int) -> int:
        """Return the number of a parameter that never changes."""
        data = torch.tensor(value, dtype=torch.float32).expand(size).contiguous()
        self.plan.parameters.append(Parameter(data, False))
        return len(self.plan.parameters) - 1

    # -- steps --------------------------------------------------------------------------------------------------

    def add(self, kind: str, ins: list[int], shape: Shape, **details: Any) -> int:
        """Add a step and the tensor that it makes; return the latter's number."""
        out = self.tensor(shape)
        self.plan.step(kind, ins, out, **details)
        return out

    def copy(self, source: int, out: int, numbers: np.ndarray, places: np.ndarray) -> None:
        """Copy elements, by the engine's numbers."""
        count = int(np.prod(self.shape(source)))
        once = numbers.size == count and len(np.unique(numbers)) == count
        self.plan.step("copy", [source], out, runs=runs_of(numbers.ravel(), places.ravel()), covers=once)

    def move(self, run: Callable[..., Any], sources: list[int], shapes: list[Shape]) -> list[int]:
        """Copy elements as a function of tensors (batch first) moves them; what it pads with must be 0.

        It is run on the numbers of the elements of two samples, both of which it must treat alike.

        Raises:
            Unsupported: it does something else.
        """
        counts = [int(np.prod(self.shape(source))) for source in sources]
        starts, total = np.cumsum([1, *counts]), sum(counts)
        parts = [self.numbers(source) + start for source, start in zip(sources, starts, strict=False)]
        kind = torch.float32 if 2 * total < 2**24 else torch.float64
        samples = [torch.from_numpy(np.stack([part, part + total])).to(kind) for part in parts]
        outs = []
        for result, shape in zip(tree.flatten(run(*samples)), shapes, strict=True):
            out = self.tensor(shape)
            if tuple(result.shape) != (2, *self.seen(out)):
                raise Unsupported("elements that move from sample to sample")
            first, second = result.long().numpy()
            if (second != np.where(first > 0, first + total, 0)).any():
                raise Unsupported("other values than its inputs' elements and 0")
            for source, start, count in zip(sources, starts, counts, strict=False):
                here = (first >= start) & (first < start + count)
                if here.any():
                    self.copy(source, out, first[here] - start, self.numbers(out)[here])
            outs.append(out)
        return outs

    def rows(self, source: int, axes: list[int], turned: bool = False) -> int:
        """Copy to a table: a row per place on all other axes, a column per place on some of the user's (no batch)."""
        self.channels_first = False
        others = [axis for axis in range(len(self.seen(source))) if axis not in axes]
        numbers = self.numbers(source).transpose(*others, *axes)
        table = numbers.reshape(int(np.prod(numbers.shape[: len(others)], dtype=int)), -1)
        table = table.T if turned else table
        out = self.tensor(table.shape)
        self.copy(source, out, table, self.numbers(out))
        return out

    def activation(self, function: Any) -> Activation:
        """Return what the engine calls an activation function."""
        return activation_of(function)

    def activated(self, act: Activation, source: int) -> int:
        """Add an activation as a step of its own."""
        if act.name == "linear":
            return source
        if act.name in OVER_AXIS:
            return self.over_axes(act.name, source, act.details.get("axis", -1))
        self.channels_first = source in self.first
        if act.name == "rectifier":
            return self.add("rectifier", [source], self.shape(source), **act.details)
        return self.add("unary", [source], self.shape(source), act=ACTS.index(act.name), alpha=act.alpha)

    def activated_inside(self, act: Activation, make: Callable[[dict[str, Any]], int]) -> int:
        """Make a step that activates in place where the derivative allows and nobody looks; else activate after it."""
        inside = act.name in IN_PLACE and not self.ends_here
        out = make({"act": ACTS.index(act.name), "alpha": act.alpha} if inside else {})
        return out if inside else self.activated(act, out)

    def axes(self, axis: Any, source: int) -> list[int]:
        """Return some of the user's axes (batch included) as numbers without the batch.

        Raises:
            Unsupported: the batch is among them.
        """
        rank = len(self.shape(source)) + 1
        given = range(rank) if axis is None else [axis] if isinstance(axis, int) else axis
        found = [int(each) % rank - 1 for each in given]
        if -1 in found:
            raise Unsupported(f"axis={axis}")
        return found

    def over_axes(self, kind: str, source: int, axis: Any) -> int:
        """Add a softmax, its logarithm, a sparsemax or a gate over some of the user's axes (batch included)."""
        axes = self.axes(axis, source)
        if kind == "glu":
            return self._gated(source, axes[0])
        if self.over_channels(axes[0] + 1, source) and len(axes) == 1:
            self.channels_first = source in self.first
            return self.add(kind, [source], self.shape(source))
        table = self.rows(source, axes)
        return self._back(self.add(kind, [table], self.shape(table)), source, axes)

    def _back(self, table: int, source: int, axes: list[int]) -> int:
        """Undo ``rows``."""
        self.channels_first = source in self.first
        out = self.tensor(self.shape(source))
        others = [axis for axis in range(len(self.seen(source))) if axis not in axes]
        self.copy(table, out, self.numbers(table), self.numbers(out).transpose(*others, *axes))
        return out

    def _gated(self, source: int, axis: int) -> int:
        """a·σ(b), a and b the halves along an axis."""
        seen, self.channels_first = self.seen(source), False
        if seen[axis] % 2:
            raise Unsupported("an odd axis")
        half = tuple(size // 2 if place == axis else size for place, size in enumerate(seen))
        a, b = self.move(lambda x: torch.chunk(x, 2, axis + 1), [source], [half, half])
        return self.joined("multiply", [a, self.activated(Activation("sigmoid"), b)])

    def joined(self, kind: str, parts: list[int]) -> int:
        """Combine tensors element by element; sizes of 1 are stretched, missing axes are put after the batch's."""
        if kind in ("maximum", "minimum") and len(parts) > 2:
            return self.joined(kind, [self.joined(kind, parts[:2]), *parts[2:]])
        if len(parts) < 2:
            return parts[0]
        rank = max(len(self.shape(part)) for part in parts)
        sizes = zip(*((1,) * (rank - len(self.shape(part))) + self.shape(part) for part in parts), strict=True)
        return self.add("join", parts, tuple(map(max, sizes)), join=JOINS.index(kind))

    def affine(self, source: int, scale: Any, offset: Any) -> int:
        """Add x·scale + offset with numbers, or arrays that can be stretched to a sample as the user sees it."""
        seen = self.seen(source)
        try:
            values = [np.broadcast_to(np.asarray(value, np.float32), seen) for value in (scale, offset)]
        except ValueError:
            raise Unsupported("an array of such a shape") from None
        last = [np.moveaxis(value, 0, -1) if source in self.first else value for value in values]
        tables = [value.reshape(-1, value.shape[-1]) for value in last]
        if all((table == table[:1]).all() for table in tables):  # one number per channel
            self.channels_first = source in self.first
            return self._scaled(source, *(table[0] for table in tables))
        axes = list(range(len(seen)))
        line = self._scaled(self.rows(source, axes), *(value.ravel() for value in values))
        return self._back(line, source, axes)

    def _scaled(self, source: int, scale: np.ndarray, offset: np.ndarray) -> int:
        shape = self.shape(source)
        params = [self.constant(value, shape[-1]) for value in (scale, offset, 0.0, 1.0)]
        return self.add("norm_frozen", [source], shape, params=params)

    def reduced(self, kind: str, source: int, axes: list[int], keepdims: bool) -> int:
        """Add the maximum or the average ("pool_max", "pool_average") over some of the user's axes."""
        seen = self.seen(source)
        kept = tuple(size for axis, size in enumerate(seen) if axis not in axes)
        spatial = list(range(1, len(seen)) if source in self.first else range(len(seen) - 1))
        if sorted(axes) != spatial:
            source = self.rows(source, axes, turned=True)
        self.channels_first = False
        window = three(self.shape(source)[:-1], 1)
        out = self.add(kind, [source], self.shape(source)[-1:], kernel=window, strides=window, pad=[0, 0, 0])
        shape = tuple(1 if axis in axes else size for axis, size in enumerate(seen)) if keepdims else kept
        return self.move(lambda x: x.reshape(2, *shape), [out], [shape])[0] if shape != self.shape(out) else out

    def penalized(self, regularizer: Any, source: int) -> int:
        """Add a penalty on a tensor to the loss."""
        l1, l2 = penalty_of(regularizer)
        self.channels_first = source in self.first
        return self.add("penalty", [source], self.shape(source), alpha=l1, rate=l2)


def penalty_of(regularizer: Any) -> tuple[float, float]:
    """Return the factors l1 and l2 of a regularizer, zeros for None."""
    if regularizer is None:
        return 0.0, 0.0
    if type(regularizer) not in (L1, L2, L1L2):
        raise Unsupported(f"the regularizer {type(regularizer).__name__}")
    return float(getattr(regularizer, "l1", 0.0)), float(getattr(regularizer, "l2", 0.0))


def three(values: Any, filler: int) -> list[int]:
    """Return numbers of the spatial axes as those of depth, height and width."""
    return [*[filler] * (3 - len(values)), *map(int, values)]


def runs_of(numbers: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return what is copied from numbers to places as rows (first number, first place, how many follow)."""
    breaks = (np.diff(numbers) != 1) | (np.diff(places) != 1)
    starts = np.flatnonzero(np.concatenate([[True], breaks]))
    counts = np.diff(np.append(starts, len(numbers)))
    return np.stack([numbers[starts], places[starts], counts], 1)


Rule = Callable[[Builder, Any, list[int], Shape], int]
"""Lowers one call of a layer, given its inputs and the shape of its output (channels last); returns the output."""
