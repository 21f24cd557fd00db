"""Masks: which steps of a sequence count. A mask (batch, steps) travels with its tensor from layer to layer.

A layer that makes masks (``Masking``, ``Embedding(mask_zero=True)``) attaches one to its output. The next layer finds
it there, hands it to ``call`` if that has an argument ``mask``, and passes it on if it ``supports_masking``. Until the
first mask is made none of this happens: see ``in_use``.
"""

import warnings
from typing import Any

from torch import Tensor

from convia import tree
from convia.losses.base import mask_of
from convia.symbolic import KerasTensor

__all__ = ["attach", "carry", "fill", "mask_of", "masks_of", "pass_on"]

in_use = False  # whether any mask was ever attached; layers look at it instead of at every tensor


def attach(tensor: Any, mask: Any) -> Any:
    """Let a mask (true where values count) travel with a tensor, and return the tensor."""
    global in_use
    in_use = True
    tensor._keras_mask = mask
    return tensor


def carry(source: Any, target: Any) -> Any:
    """Let the mask of one tensor, if it has one, travel with another too, and return the latter."""
    mask = mask_of(source)
    return target if mask is None or target is source else attach(target, mask)


def masks_of(structure: Any) -> Any:
    """Return the masks of nested tensors in the same structure, None for those without."""
    return tree.map_structure(mask_of, structure)


def _is_tensors(value: Any) -> bool:
    """Whether an argument is a tensor, or a container of nothing but tensors and None."""
    if isinstance(value, (Tensor, KerasTensor)):
        return True
    return (
        tree.is_nested(value)
        and len(value) > 0
        and all(leaf is None or isinstance(leaf, (Tensor, KerasTensor)) for leaf in tree.flatten(value))
    )


def fill(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Put the inputs' masks into those mask arguments of a layer's ``call`` that were left out of ``kwargs``.

    The mask of the only tensor goes to ``mask``; the masks of several tensors ``a``, ``b`` to ``a_mask``, ``b_mask``.

    Returns:
        The masks that the outputs may inherit: ``mask`` if there is one, else those of the first argument.
    """
    global in_use
    in_use = in_use or any(mask_of(value) is not None for value in args)  # the user may have set one by hand
    if not in_use and (not layer._takes_mask or (args and isinstance(args[0], Tensor))):
        return None
    names = layer._call_names
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    tensors = {name: value for name, value in given.items() if _is_tensors(value)}
    wanted = {"mask" if len(tensors) == 1 else f"{name}_mask": value for name, value in tensors.items()}
    for name, value in wanted.items():
        if name in names[len(args) :] and given.get(name) is None:
            kwargs[name] = masks_of(value)
    return kwargs["mask"] if kwargs.get("mask") is not None else masks_of(_first(args, kwargs))


def _first(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return args[0] if args else next(iter(kwargs.values()), None)


def pass_on(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: Any, previous: Any) -> None:
    """Attach to the outputs of a layer the masks that its ``compute_mask`` makes of its inputs' masks.

    Outputs that have a mask keep it. A layer that does not support masking loses the masks, and a warning says so.
    """
    if all(mask_of(output) is not None for output in tree.flatten(outputs)):
        return
    if layer.supports_masking:
        masks = layer.compute_mask(_first(args, kwargs), previous)
        if masks is None:
            return
        for output, mask in zip(tree.flatten(outputs), tree.flatten(masks), strict=False):
            if mask is not None and isinstance(output, (Tensor, KerasTensor)) and mask_of(output) is None:
                attach(output, mask)
    elif any(mask is not None for mask in tree.flatten(previous)):
        warnings.warn(
            f"{type(layer).__name__} layer {layer.name!r}: the input has a mask, which this layer does not pass on. "
            "Layers after it see all steps.",
            stacklevel=4,
        )
