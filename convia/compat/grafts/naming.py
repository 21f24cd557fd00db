"""Names as each era gave them: ``conv2d_1`` first in Keras 2, ``convolution2d_1`` in Keras 1, ``dense/kernel:0``."""

import functools
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from convia import naming
from convia.books import Books
from convia.compat import eras
from convia.compat.door import from_outside, graft
from convia.layer import Layer
from convia.models import sequential
from convia.variable import Variable

_RENAMED = {"InputLayer": "input", "Functional": "model", "Model": "model"}
_MERGES = dict.fromkeys(("Add", "Multiply", "Concatenate", "Average", "Maximum", "Dot"), "merge")
_KERAS1 = _MERGES | {f"Conv{rank}D": f"convolution{rank}d" for rank in (1, 2, 3)} | {
    "Conv2DTranspose": "deconvolution2d", "SeparableConv2D": "separableconvolution2d"
}  # fmt: skip
_firsts: list[str] = []  # the first layer of each Sequential that is at work on its layers
_WEIGHTS = {
    "kernel": "W",
    "bias": "b",
    "embeddings": "W",
    "moving_mean": "running_mean",
    "moving_variance": "running_std",
}


class _FromOne(Counter[str]):
    """Numbers of names: Keras 1 and 2 began with 1, tf.keras with none but for inputs."""

    def __missing__(self, key: str) -> int:
        return int(eras.current() in eras.STANDALONE or (key == "input" and eras.current() in eras.OLD))


def _prefix(original: Callable[[str], str]) -> Callable[[str], str]:
    def prefix(name: str) -> str:
        if eras.current() not in eras.OLD:
            return original(name)
        name = _RENAMED.get(name, name)
        return re.sub(r"\W+", "", _KERAS1.get(name, name)).lower() if eras.current() == "keras1" else original(name)

    return prefix


def _of_layer(original: Any) -> property:
    """Names of layers may have slashes, which Keras 3 refuses: ``fire2/squeeze1x1``."""

    def put(self: Any, value: Any) -> None:
        if isinstance(value, str) and "/" in value and eras.current() in eras.OLD:
            object.__setattr__(self, "_name", value)
        else:
            original.fset(self, value)

    return property(original.fget, put, doc=original.__doc__)


def _of_variable(original: Any) -> property:
    def get(self: Any) -> str:
        if eras.current() not in eras.OLD or not from_outside():
            return original.fget(self)  # type: ignore[no-any-return]
        if eras.current() != "keras1":
            return f"{self.path}:0"
        owner, _, last = self.path.rpartition("/")
        return "_".join(filter(None, (owner.replace("/", "_"), _WEIGHTS.get(last, last))))

    return property(get, original.fset, doc=original.__doc__)


def _first(original: Callable[..., None]) -> Callable[..., None]:
    """The input of a Sequential model was named after its first layer: ``conv2d_input``."""

    @functools.wraps(original)
    def call(self: Any, *args: Any, **kwargs: Any) -> None:
        layers = [*self._stack, *args]
        _firsts.append(layers[0].name if layers and isinstance(layers[0], Layer) else "")
        try:
            original(self, *args, **kwargs)
        finally:
            _firsts.pop()

    return call


def _input(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def made(*args: Any, **kwargs: Any) -> Any:
        if _firsts and _firsts[-1] and eras.current() in eras.OLD:
            kwargs.setdefault("name", f"{_firsts[-1]}_input")
        return original(*args, **kwargs)

    return made


def install() -> None:
    """Lend them; numbers begin anew."""
    graft(sequential, "Input", _input(vars(sequential)["Input"]))
    for method in ("_push", "build"):
        graft(sequential.Sequential, method, _first(vars(sequential.Sequential)[method]))
    graft(naming, "_used", _FromOne())
    graft(naming, "snake_case", _prefix(naming.snake_case))
    graft(Books, "name", _of_layer(vars(Books)["name"]))
    graft(Variable, "name", _of_variable(vars(Variable)["name"]))
