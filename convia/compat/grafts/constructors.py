"""Constructors that understand the arguments of older eras."""

import inspect
from typing import Any

from convia import callbacks, constraints, graph, images, layers, optimizers, regularizers
from convia.compat import arguments
from convia.compat.door import wrap

_HOMES = (layers, optimizers, callbacks, regularizers, constraints, images, graph)


def _class(name: str) -> Any:
    return next((found for home in _HOMES if inspect.isclass(found := getattr(home, name, None))), None)


def install() -> None:
    """Wrap the constructors that the tables name; optimizers have their own in ``optimizers``."""
    tables = arguments.rows(arguments.LAYERS, arguments.CALLBACKS, arguments.OTHERS)
    for defaults in arguments.DEFAULTS.values():
        for name in defaults:
            tables.setdefault(name, {})
    others = {name for names, _ in arguments.OPTIMIZERS for name in names.split()}
    for name, table in tables.items():
        owner = _class(name)
        if owner is not None and name not in others | {"ModelCheckpoint"}:
            wrap(owner, "__init__", name, table)
