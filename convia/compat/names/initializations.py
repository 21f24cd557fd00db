"""``keras.initializations`` of Keras 1: functions of a shape that return a variable."""

from collections.abc import Callable
from typing import Any

from convia import backend, initializers


def _maker(kind: Any, scaled: str | None = None, default: float = 0.05) -> Callable[..., Any]:
    def make(shape: Any, scale: float = default, name: str | None = None, dim_ordering: str = "tf") -> Any:
        options = {} if scaled is None else {scaled: scale}
        if scaled == "maxval":
            options["minval"] = -scale
        return backend.variable(kind(**options)(tuple(shape)), name=name)

    return make


normal = _maker(initializers.RandomNormal, "stddev")
uniform = _maker(initializers.RandomUniform, "maxval")
zero = _maker(initializers.Zeros)
one = _maker(initializers.Ones)
orthogonal = _maker(initializers.Orthogonal, "gain", 1.1)
identity = _maker(initializers.Identity, "gain", 1.0)
lecun_uniform = _maker(initializers.LecunUniform)
glorot_uniform, glorot_normal = _maker(initializers.GlorotUniform), _maker(initializers.GlorotNormal)
he_uniform, he_normal = _maker(initializers.HeUniform), _maker(initializers.HeNormal)


def get(identifier: Any, **kwargs: Any) -> Any:
    """Return a function by name, or a callable as it is."""
    return identifier if callable(identifier) else globals()[identifier]


for _name, _function in list(globals().items()):
    if getattr(_function, "__name__", "") == "make":
        _function.__name__ = _name  # what programs write into their configs

__all__ = [
    "get",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "identity",
    "lecun_uniform",
    "normal",
    "one",
    "orthogonal",
    "uniform",
    "zero",
]
