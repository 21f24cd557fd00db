"""Layers that make one tensor of several: sums, products, extremes, joined channels, dot products."""

from collections.abc import Sequence
from functools import reduce
from typing import Annotated, Any, ClassVar

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from convia import config, masks
from convia.args import Convert
from convia.errors import explain
from convia.layer import Layer
from convia.layers.one_tensor import _OneTensor

__all__ = [
    "Add",
    "Average",
    "Concatenate",
    "Dot",
    "Maximum",
    "Minimum",
    "Multiply",
    "Subtract",
    "add",
    "average",
    "concatenate",
    "dot",
    "maximum",
    "minimum",
    "multiply",
    "subtract",
]

Shape = tuple[int | None, ...]


class _Merge(_OneTensor, Layer):
    """Base of layers of several inputs: checks their number and shapes before torch sees them."""

    supports_masking = True
    _count: ClassVar[int | None] = None  # how many inputs, None for any number

    def build(self, input_shape: Any) -> None:
        """Check the inputs' shapes; there are no weights."""
        self.compute_output_shape(input_shape)
        sizes = {shape[0] for shape in input_shape if shape} - {None}
        if len(sizes) > 1:
            raise self._mistake(input_shape, "one batch size")
        self._mixed_ranks = len({len(shape) for shape in input_shape}) > 1

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """Return the output's shape for a list of shapes (batch included).

        Raises:
            ValueError: not a list, the wrong number of shapes, or shapes that do not fit together.
        """
        if not isinstance(input_shape, (list, tuple)) or not all(isinstance(s, (list, tuple)) for s in input_shape):
            raise ValueError(
                explain(
                    self._who,
                    f"a single tensor of shape {input_shape}",
                    "a list of tensors",
                    f"Call it as {type(self).__name__}()([x, y]).",
                )
            )
        if not input_shape or self._count not in (None, len(input_shape)):
            wanted = f"exactly {self._count}" if self._count else "at least 1"
            raise self._mistake(input_shape, f"{wanted} in the list")
        return self._join([tuple(shape) for shape in input_shape])

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the layer, on the short way when the inputs are plain tensors of the compute type."""
        if self._simple and len(args) == 1 and not kwargs and type(args[0]) in (list, tuple):
            plain, dtype = True, self._input_dtype
            for x in args[0]:
                plain = plain and type(x) is Tensor and x.dtype is dtype
            if plain and not (masks.in_use and any(masks.mask_of(x) is not None for x in args[0])):
                try:
                    return self.call(args[0])
                except (RuntimeError, IndexError, TypeError):
                    return super().forward(*args, **kwargs)  # it fails again, and finds the words
        return super().forward(*args, **kwargs)

    def _join(self, shapes: list[Shape]) -> Shape:
        raise NotImplementedError

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Return where any input counts, None when one of them has no mask."""
        return None if mask is None or any(each is None for each in mask) else reduce(torch.logical_or, mask)

    def _check_inputs(self, args: tuple[Any, ...]) -> None:
        if args and isinstance(args[0], (list, tuple)):
            self.compute_output_shape([tuple(x.shape) for x in args[0]])

    @property
    def _who(self) -> str:
        return f"{type(self).__name__} layer {self.name!r}"

    def _mistake(self, shapes: Sequence[Any], expected: str, remedy: str = "") -> ValueError:
        return ValueError(
            explain(
                self._who,
                f"{len(shapes)} tensors of shapes {', '.join(map(str, map(tuple, shapes)))}",
                expected,
                remedy,
            )
        )


class _Elementwise(_Merge):
    """Combines elements at the same place. Sizes of 1 are stretched; missing axes are put after the batch's."""

    _function: ClassVar[Any]  # of two tensors

    def _join(self, shapes: list[Shape]) -> Shape:
        rank = max(map(len, shapes))
        batch = next((shape[0] for shape in shapes if shape and shape[0] is not None), None)
        padded = [(1,) * (rank - len(shape)) + shape[1:] for shape in shapes]
        joined: list[int | None] = [batch] if rank else []
        for sizes in zip(*padded, strict=True):
            known = {size for size in sizes if size not in (1, None)}
            if len(known) > 1:
                raise self._mistake(
                    shapes,
                    "sizes that are equal or 1 on every axis but the batch's",
                    "Use a Dense or a 1×1 Conv layer, Cropping or padding to make them equal, or Concatenate.",
                )
            joined.append(None if None in sizes else next(iter(known), 1))
        return tuple(joined)

    def call(self, inputs: list[Tensor]) -> Tensor:
        """Combine the inputs from left to right."""
        return reduce(self._function, _of_one_rank(inputs) if self._mixed_ranks else inputs)


def _of_one_rank(inputs: list[Tensor]) -> list[Tensor]:
    rank = max(x.ndim for x in inputs)
    return [x.reshape(x.shape[0], *(1,) * (rank - x.ndim), *x.shape[1:]) if x.ndim < rank else x for x in inputs]


class Add(_Elementwise):
    """The sum of the inputs."""

    _function = staticmethod(torch.add)


class Subtract(_Elementwise):
    """The first input minus the second."""

    _count = 2
    _function = staticmethod(torch.sub)


class Multiply(_Elementwise):
    """The product of the inputs, element by element."""

    _function = staticmethod(torch.mul)


class Maximum(_Elementwise):
    """The largest of the inputs, element by element."""

    _function = staticmethod(torch.maximum)


class Minimum(_Elementwise):
    """The smallest of the inputs, element by element."""

    _function = staticmethod(torch.minimum)


class Average(Add):
    """The mean of the inputs, element by element."""

    def call(self, inputs: list[Tensor]) -> Tensor:
        """Add the inputs and divide by their number."""
        return super().call(inputs) / len(inputs)


class Concatenate(_Merge):
    """Puts the inputs one after another along an axis; all other sizes must be equal.

    Args:
        axis: the batch's counts as 0; −1, the default, is the channels' in channels_last.
    """

    axis: int = -1

    def _join(self, shapes: list[Shape]) -> Shape:
        first = shapes[0]
        if len({len(shape) for shape in shapes}) > 1 or not -len(first) <= self.axis < len(first):
            raise self._mistake(shapes, f"the same number of dimensions, axis {self.axis} among them")
        axis = self.axis % len(first)
        joined: list[int | None] = []
        for position, sizes in enumerate(zip(*shapes, strict=True)):
            known = {size for size in sizes if size is not None}
            if position == axis:
                joined.append(None if None in sizes else sum(sizes))
            elif len(known) > 1:
                raise self._mistake(shapes, f"equal sizes on every axis but {self.axis}")
            else:
                joined.append(next(iter(known), None))
        return tuple(joined)

    def build(self, input_shape: Any) -> None:
        """Check the inputs' shapes; there are no weights."""
        self.compute_output_shape(input_shape)

    def call(self, inputs: list[Tensor]) -> Tensor:
        """Join the inputs."""
        return torch.cat(inputs, self.axis)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Return the joined masks, or where any of the joined features counts; all do in inputs without a mask."""
        if mask is None or all(each is None for each in mask):
            return None
        whole = [_spread(each, x) for each, x in zip(mask, inputs, strict=True)]
        return torch.any(torch.cat(whole, self.axis), -1)


def _spread(mask: Any, x: Any) -> Any:
    """Return a mask of all elements of x."""
    if mask is None:
        return torch.ones_like(x, dtype=torch.bool)
    return mask if mask.ndim == x.ndim else torch.logical_or(mask[..., None], torch.zeros_like(x, dtype=torch.bool))


def _dot_axes(value: Any, owner: Any, name: str) -> Any:
    given = [value] if isinstance(value, int) else value
    if not isinstance(given, (list, tuple)) or not all(isinstance(axis, int) for axis in given):
        raise TypeError(explain(f"Dot, argument {name!r}", repr(value), "a whole number or two of them"))
    if len(given) != 2 and given is value:
        raise ValueError(explain(f"Dot, argument {name!r}", repr(value), "a whole number or two of them"))
    if 0 in given:
        raise ValueError(explain(f"Dot, argument {name!r}", repr(value), "axes other than 0, which is the batch's"))
    return value


class Dot(_Merge):
    """The dot product of two inputs along one axis of each: z[n, a…, b…] = Σₖ x[n, a…, k]·y[n, b…, k].

    Args:
        axes: one axis for both inputs, or one for each.
        normalize: whether to divide the vectors by their length first: the cosine of their angle.

    Raises:
        ValueError: axis 0; more or fewer than two axes. TypeError: axes that are not whole numbers.
    """

    supports_masking = True
    _count = 2
    axes: Annotated[Any, Convert(_dot_axes)]
    normalize: bool = False

    def _axes_of(self, ranks: tuple[int, ...]) -> tuple[int, ...]:
        axes = (self.axes, self.axes) if isinstance(self.axes, int) else self.axes
        return tuple(axis % rank if axis < 0 else axis for axis, rank in zip(axes, ranks, strict=True))

    def _join(self, shapes: list[Shape]) -> Shape:
        axes = self._axes_of(tuple(map(len, shapes)))
        if any(axis >= len(shape) for axis, shape in zip(axes, shapes, strict=True)):
            raise self._mistake(shapes, f"tensors that have the axes {self.axes}")
        summed = {shape[axis] for axis, shape in zip(axes, shapes, strict=True)} - {None}
        if len(summed) > 1:
            raise self._mistake(shapes, f"equal sizes on axis {axes[0]} of the first and axis {axes[1]} of the second")
        x, y = (shape[:axis] + shape[axis + 1 :] for axis, shape in zip(axes, shapes, strict=True))
        return x + y[1:] if len(x + y) > 2 else (x[0], 1)

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """Return None: the summed axis is gone."""

    def call(self, inputs: list[Tensor]) -> Tensor:
        """Multiply and sum."""
        x, y = inputs
        axes = self._axes_of((x.ndim, y.ndim))
        if self.normalize:
            x, y = (F.normalize(each, dim=axis, eps=config.epsilon()) for each, axis in zip(inputs, axes, strict=True))
        x, y = x.movedim(axes[0], -1), y.movedim(axes[1], 1)  # (N, a…, K), (N, K, b…)
        rest = (*x.shape[1:-1], *y.shape[2:]) or (1,)
        return (
            (x.flatten(1, -2) if x.ndim > 2 else x[:, None])
            .matmul(y.flatten(2) if y.ndim > 2 else y[..., None])
            .reshape(-1, *rest)
        )


def add(inputs: Any, **kwargs: Any) -> Any:
    """Return the sum of a list of tensors, as ``Add(**kwargs)(inputs)``."""
    return Add(**kwargs)(inputs)


def subtract(inputs: Any, **kwargs: Any) -> Any:
    """Return the first of two tensors minus the second, as ``Subtract(**kwargs)(inputs)``."""
    return Subtract(**kwargs)(inputs)


def multiply(inputs: Any, **kwargs: Any) -> Any:
    """Return the product of a list of tensors, as ``Multiply(**kwargs)(inputs)``."""
    return Multiply(**kwargs)(inputs)


def average(inputs: Any, **kwargs: Any) -> Any:
    """Return the mean of a list of tensors, as ``Average(**kwargs)(inputs)``."""
    return Average(**kwargs)(inputs)


def maximum(inputs: Any, **kwargs: Any) -> Any:
    """Return the largest elements of a list of tensors, as ``Maximum(**kwargs)(inputs)``."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Any, **kwargs: Any) -> Any:
    """Return the smallest elements of a list of tensors, as ``Minimum(**kwargs)(inputs)``."""
    return Minimum(**kwargs)(inputs)


def concatenate(inputs: Any, axis: int = -1, **kwargs: Any) -> Any:
    """Join a list of tensors along an axis, as ``Concatenate(axis, **kwargs)(inputs)``."""
    return Concatenate(axis, **kwargs)(inputs)


def dot(inputs: Any, axes: Any = -1, **kwargs: Any) -> Any:
    """Return the dot product of two tensors for every sample, as ``Dot(axes, **kwargs)(inputs)``."""
    return Dot(axes, **kwargs)(inputs)
