"""Masking of steps, and layers around a layer: at every step of a sequence, and in both directions of time."""

from typing import Annotated, Any

import torch
from torch import Tensor

from convia import masks, registry
from convia.args import converter
from convia.layer import Layer

__all__ = ["Masking"]


class Masking(Layer):
    """Skip the steps whose features all are ``mask_value``: layers after this one that support masks pass over them.

    Inputs (batch, steps, …, features) are returned with 0 in those steps.
    """

    _makes_masks = True
    mask_value: Annotated[Any, converter(registry.deserialize)] = 0.0

    def call(self, inputs: Tensor) -> Tensor:
        """Put 0 into the skipped steps, and attach the mask."""
        mask = self.compute_mask(inputs)
        return masks.attach(torch.where(mask[..., None], inputs, 0), mask)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Return where any feature differs from ``mask_value``, shape (batch, steps, …)."""
        return torch.any(torch.ne(inputs, self.mask_value), -1)
