"""InputSpec: what a layer accepts."""

from typing import Any


class InputSpec:
    """What a layer accepts: rank, minimum rank, exact shape, or sizes of single axes (``axes={-1: 3}``)."""

    def __init__(
        self,
        dtype: Any = None,
        shape: Any = None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: dict[int, int | None] | None = None,
        allow_last_axis_squeeze: bool = False,
        name: str | None = None,
        optional: bool = False,
    ) -> None:
        self.dtype = dtype
        self.shape = None if shape is None else tuple(shape)
        self.ndim = len(self.shape) if self.shape is not None else ndim
        self.max_ndim, self.min_ndim, self.axes = max_ndim, min_ndim, dict(axes or {})
        self.allow_last_axis_squeeze, self.name, self.optional = allow_last_axis_squeeze, name, optional

    def complaint(self, shape: tuple[int | None, ...]) -> str | None:
        """Return what is wrong with a shape in words ("at least 4 dimensions"), None when it fits."""
        rank = len(shape)
        if self.ndim is not None and rank != self.ndim:
            return f"{self.ndim} dimensions (the batch's included)"
        if self.min_ndim is not None and rank < self.min_ndim:
            return f"at least {self.min_ndim} dimensions (the batch's included)"
        if self.max_ndim is not None and rank > self.max_ndim:
            return f"at most {self.max_ndim} dimensions (the batch's included)"
        wanted = dict(enumerate(self.shape)) if self.shape is not None else self.axes
        for axis, size in wanted.items():
            if size is not None and shape[axis] not in (size, None):
                return f"size {size} on axis {axis}"
        return None
