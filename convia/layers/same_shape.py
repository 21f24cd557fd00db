"""Layers whose output is of their input's shape and type, which need no trial to find that out."""

from typing import Any

from convia.layers.one_tensor import _OneTensor
from convia.symbolic import KerasTensor


class _SameShape(_OneTensor):
    """Base of such layers: for a trial on tensors without numbers, torch would import its compiler."""

    compute_dtype: Any

    def _keeps_shape(self, given: KerasTensor) -> bool:
        """Return whether this very layer does; one whose function is the user's may not."""
        return bool(given.dtype == self.compute_dtype) and given.known is None

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Return symbolic outputs for symbolic inputs."""
        given = args[0] if args else kwargs.get("inputs")
        if isinstance(given, KerasTensor) and self._keeps_shape(given):
            return KerasTensor(given.shape, given.dtype)
        return super().compute_output_spec(*args, **kwargs)  # type: ignore[misc]
