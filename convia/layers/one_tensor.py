"""What type checkers and editors know of layers with one output."""

from typing import TYPE_CHECKING, Any, overload

from torch import Tensor

from convia.symbolic import KerasTensor


class _OneTensor:
    """Base of such layers: a call returns a symbolic tensor for symbolic inputs, else one with numbers."""

    if TYPE_CHECKING:

        @overload
        def __call__(
            self, inputs: KerasTensor | list[KerasTensor] | tuple[KerasTensor, ...], *args: Any, **kwargs: Any
        ) -> KerasTensor: ...
        @overload
        def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Tensor: ...
        def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any: ...
