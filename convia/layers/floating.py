"""Layers that compute with floating numbers only."""

from typing import Any

from torch import Tensor

from convia import activations, symbolic
from convia.layer import Layer
from convia.layers.one_tensor import _OneTensor


class _Floating(_OneTensor, Layer):
    """Base of layers that take whole numbers, such as the bytes of an image, as numbers of their compute type."""

    def _converted(self, structure: Any) -> Any:
        value = super()._converted(structure)
        whole = isinstance(value, Tensor) and not value.is_floating_point() and not value.is_complex()
        return value.to(self._input_dtype) if whole else value

    @property
    def _active(self) -> bool:
        """Whether a layer that has an ``activation`` has to apply it; programs change it on finished layers."""
        function: Any = self.activation
        return function is not None and function is not activations.linear

    def _activated_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return a shape after the activation: ours keep it, but for the gated one; a user's is tried."""
        function: Any = getattr(self, "activation", None)
        ours = getattr(function, "__module__", None) == activations.__name__ and function is not activations.glu
        if function is None or ours:
            return shape
        return tuple(symbolic.infer(function, (symbolic.KerasTensor(shape),), {}).shape)
