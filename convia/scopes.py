"""Settings that hold for a block: device, names of weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from convia import config
from convia import layer as layers
from convia.errors import explain

__all__ = ["device", "name_scope"]


@contextmanager
def device(device_name: str) -> Iterator[torch.device]:
    """Make new weights and tensors on a device within the block: "cpu", "gpu:0", "cuda:1", "mps".

    Raises:
        ValueError: the device does not exist here.
    """
    before = config._settings["device"]
    config.set_device(device_name)
    try:
        yield config.device()
    finally:
        config._settings["device"] = before


class name_scope:  # noqa: N801
    """Within the block the paths of weights of new layers start with a name: "encoder/dense/kernel".

    Args:
        name: without "/".
        caller: whose scope it is; entering one's own scope of the same name again changes nothing.
        deduplicate: whether that is so.
        override_parent: the path to start from instead of that of the scopes around.

    Raises:
        ValueError: a name that is no text, or has "/" in it.
    """

    _callers: list[tuple[Any, str]] = []  # noqa: RUF012

    def __init__(
        self, name: str, caller: Any = None, deduplicate: bool = True, override_parent: str | None = None
    ) -> None:
        if not isinstance(name, str) or "/" in name:
            raise ValueError(explain("name_scope", f"name={name!r}", "a text without '/'"))
        self.name, self.caller, self.deduplicate, self.override_parent = name, caller, deduplicate, override_parent

    def __enter__(self) -> "name_scope":
        call = layers._call
        self._before = call.path
        own = self.caller is not None and self._callers[-1:] == [(self.caller, self.name)]
        self._callers.append((self.caller, self.name))
        if not (self.deduplicate and own):
            start = call.path if self.override_parent is None else "".join(f"{p}/" for p in self._parts())
            call.path = f"{start}{self.name}/"
        return self

    def _parts(self) -> list[str]:
        return [part for part in (self.override_parent or "").split("/") if part]

    def __exit__(self, *exception: Any) -> None:
        self._callers.pop()
        layers._call.path = self._before
