"""Constructors that understand the arguments of older eras."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from convia import callbacks, constraints, graph, images, layers, losses, optimizers, regularizers
from convia.compat import arguments
from convia.compat.door import graft, wrap
from convia.compat.names import layers as older

_HOMES = (layers, optimizers, callbacks, regularizers, constraints, images, graph, older)


def _class(name: str) -> Any:
    return next((found for home in _HOMES if inspect.isclass(found := getattr(home, name, None))), None)


def _full(original: Callable[..., None]) -> Callable[..., None]:
    """``border_mode="full"``: k − 1 zeros on both sides, wherever a window and the input overlap."""

    @functools.wraps(original)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        is_full = kwargs.get("padding") == "full"
        if is_full:
            kwargs["padding"] = "valid"
        original(self, *args, **kwargs)
        if is_full:
            windows = zip(self.kernel_size, self.dilation_rate, strict=True)
            self.padding, self._padding = "full", tuple((k - 1) * d for k, d in windows)
            self._sides, self._smallest = [[(reach, reach)] for reach in self._padding], (1,) * self.rank

    return init


def install() -> None:
    """Wrap the constructors that the tables name; optimizers have their own in ``optimizers``."""
    for convolution in (layers.Conv1D, layers.Conv2D, layers.Conv3D):
        graft(convolution, "__init__", _full(convolution.__init__))
    tables = arguments.rows(arguments.LAYERS, arguments.CALLBACKS, arguments.OTHERS)
    for defaults in arguments.DEFAULTS.values():
        for name in defaults:
            tables.setdefault(name, {})
    for name in losses.__all__:
        if inspect.isclass(loss := getattr(losses, name)):
            wrap(loss, "__init__", name, {})
    others = {name for names, _ in arguments.OPTIMIZERS for name in names.split()}
    for name, table in tables.items():
        owner = _class(name)
        if owner is not None and name not in others | {"ModelCheckpoint"}:
            wrap(owner, "__init__", name, table)
