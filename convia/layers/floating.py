"""Layers that compute with floating numbers only."""

from typing import Any

from torch import Tensor

from convia.layer import Layer


class _Floating(Layer):
    """Base of layers that take whole numbers, such as the bytes of an image, as numbers of their compute type."""

    def _converted(self, structure: Any) -> Any:
        value = super()._converted(structure)
        whole = isinstance(value, Tensor) and not value.is_floating_point() and not value.is_complex()
        return value.to(self._input_dtype) if whole else value
