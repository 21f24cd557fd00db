"""Functions of each element, or over the channels, by the names that ``activations``, ``ops`` and torch give them."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from convia.engine.plan import Unsupported
from convia.naming import uncounted
from convia.symbolic import FunctionCall, KerasTensor

_HOMES = ("convia.activations", "convia.ops", "convia.symbolic", "torch")  # modules whose functions are known by name
_SYNONYMS = {
    "abs": "absolute",
    "exp": "exponential",
    "hardsigmoid": "hard_sigmoid",
    "hardswish": "hard_silu",
    "hardtanh": "hard_tanh",
    "logsigmoid": "log_sigmoid",
    "tanhshrink": "tanh_shrink",
}
_NAMES = {"dim": "axis", "keepdim": "keepdims", "input": "x"}  # torch's names of arguments
_UNNAMED = {  # arguments of torch's functions without a signature, after the tensor
    **dict.fromkeys(("add", "div", "maximum", "minimum", "mul", "multiply", "pow", "sub", "subtract"), ("other",)),
    "celu": ("alpha",),
    "elu": ("alpha",),
    "glu": ("axis",),
    "hard_shrink": ("threshold",),
    "leaky_relu": ("negative_slope",),
    "log_softmax": ("axis",),
    "mean": ("axis", "keepdims"),
    "soft_shrink": ("threshold",),
    "softmax": ("axis",),
    "sum": ("axis", "keepdims"),
    "threshold": ("threshold", "default_value"),
}
_ACTS: dict[str, tuple[str, float | str]] = {  # the engine's name; its argument or the name of that
    **{
        name: (name, 0.0)
        for name in (
            "absolute",
            "exponential",
            "hard_sigmoid",
            "hard_silu",
            "hard_tanh",
            "linear",
            "log_sigmoid",
            "mish",
            "reciprocal",
            "selu",
            "sigmoid",
            "silu",
            "softplus",
            "softsign",
            "sparse_plus",
            "sparse_sigmoid",
            "square",
            "tanh",
            "tanh_shrink",
        )
    },
    "elu": ("elu", "alpha"),
    "hard_shrink": ("hard_shrink", "threshold"),
    "leaky_relu": ("leaky_relu", "negative_slope"),
    "log": ("logarithm", 0.0),
    "relu6": ("capped_relu", 6.0),
    "soft_shrink": ("soft_shrink", "threshold"),
    "sqrt": ("root", 0.0),
    "squareplus": ("squareplus", "b"),
}
OVER_AXIS = ("softmax", "log_softmax", "sparsemax", "glu")
_DEFAULTS = {"alpha": 1.0, "negative_slope": 0.01, "threshold": 0.5}  # of torch's functions without a signature


class Activation(NamedTuple):
    """A function as the engine knows it: its name, its argument, and for some more of them."""

    name: str
    alpha: float = 0.0
    details: Mapping[str, Any] = {}  # of a rectifier; the axis of those over one


def name_of(function: Any) -> str | None:
    """Return by what name a function of the library's or torch's is known here; None for any other one."""
    plain = inspect.unwrap(function) if callable(function) else None
    module, name = getattr(plain, "__module__", None) or "", getattr(plain, "__name__", "")
    home = any(module == each or module.startswith(f"{each}.") for each in _HOMES)
    return _SYNONYMS.get(name, name) if home else None


def bound(function: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    """Return the arguments of a call by their names, defaults included; the first is called "x"."""
    plain = inspect.unwrap(function)
    try:
        call = inspect.signature(plain).bind(*args, **kwargs)
    except ValueError:  # one of torch's, which has no signature
        names = ("x", *_UNNAMED.get(name_of(function) or "", ()))
        if len(args) > len(names):
            raise Unsupported("such arguments") from None
        return dict(zip(names, args, strict=False)) | {_NAMES.get(key, key): value for key, value in kwargs.items()}
    call.apply_defaults()
    first, *others = call.arguments.items()
    return {"x": first[1], **{_NAMES.get(key, key): value for key, value in others}}


def activation_of(function: Any, *args: Any, **kwargs: Any) -> Activation:
    """Return what the engine calls a function of one tensor, given the arguments after the tensor.

    Raises:
        Unsupported: another function, or such arguments.
    """
    name = name_of(function)
    if name is None and getattr(function, "__module__", "").startswith("convia."):
        call = _wrapped(function)
        return activation_of(call.operation.function, *call.args[1:], **call.kwargs)
    known = None if name is None else _SPECIAL.get(name) or (_plain if name in _ACTS else None)
    if name is None or known is None:
        raise Unsupported(f"the activation {getattr(function, '__name__', function)!r}")
    given = bound(function, (None, *args), kwargs)
    given.pop("x")
    given.pop("inplace", None)
    return known(name, given)


def _wrapped(function: Any) -> Any:
    """Return the only call that one of the library's functions makes, such as TensorFlow's ``tf.nn.relu`` here."""
    x = KerasTensor((None, 2))
    try:
        with uncounted():
            node = getattr(function(x), "node", None)
    except Exception:  # it wants a tensor, and may do anything with it
        node = None
    if node is None or not isinstance(node.operation, FunctionCall) or not node.args or node.args[0] is not x:
        raise Unsupported(f"the activation {getattr(function, '__name__', function)!r}")
    return node


def _plain(name: str, given: dict[str, Any]) -> Activation:
    act, argument = _ACTS[name]
    alpha = given.pop(argument, _DEFAULTS.get(argument)) if isinstance(argument, str) else argument
    usual = {"beta": 1, "threshold": 20, "min_val": -1, "max_val": 1}  # of softplus and hardtanh in torch
    if not isinstance(alpha, (int, float)) or any(usual.get(key) != value for key, value in given.items()):
        raise Unsupported(f"the function {name!r} with such arguments")
    return Activation(act, float(alpha))


def rectified(slope: float = 0.0, most: float | None = None, threshold: float = 0.0) -> Activation:
    """Return the activation that is ``most`` from there on, x above the threshold θ, and slope·(x − θ) below it."""
    if not threshold and most is None:
        return Activation("leaky_relu" if slope else "relu", float(slope))
    if not threshold and not slope:
        return Activation("capped_relu", float(most or 0.0))
    return limited(threshold, most, low=0.0, slope=slope)


def limited(threshold: float | None, most: float | None, low: float | None = None, slope: float = 0.0) -> Activation:
    """Return x between two limits, None for none of them; below, ``low`` (else the limit) + slope·(x − limit)."""
    least = float("-inf") if threshold is None else float(threshold)
    details = {
        "threshold": least,
        "most": float("inf") if most is None else float(most),
        "low": least if low is None else float(low),
        "slope": float(slope),
    }
    return Activation("rectifier", details=details)


def _relu(name: str, given: dict[str, Any]) -> Activation:
    return rectified(given.get("negative_slope", 0.0), given.get("max_value"), given.get("threshold", 0.0))


def _gelu(name: str, given: dict[str, Any]) -> Activation:
    return Activation("gelu_tanh" if given.get("approximate", False) in (True, "tanh") else "gelu")


def _celu(name: str, given: dict[str, Any]) -> Activation:
    if given.get("alpha", 1.0) != 1:
        raise Unsupported("celu with an alpha")
    return Activation("elu", 1.0)


def _threshold(name: str, given: dict[str, Any]) -> Activation:
    return limited(given["threshold"], None, low=given["default_value"])


def _clip(name: str, given: dict[str, Any]) -> Activation:
    if not all(isinstance(limit, (int, float)) for limit in (given["x_min"], given["x_max"])):
        raise Unsupported("limits that are not numbers")
    return limited(given["x_min"], given["x_max"])


def _over_axis(name: str, given: dict[str, Any]) -> Activation:
    return Activation(name, details={"axis": given.get("axis", -1)})


_SPECIAL: dict[str, Callable[[str, dict[str, Any]], Activation]] = {
    "celu": _celu,
    "clip": _clip,
    "gelu": _gelu,
    "relu": _relu,
    "threshold": _threshold,
    **dict.fromkeys(OVER_AXIS, _over_axis),
}
ELEMENTWISE = frozenset({*_ACTS, *_SPECIAL})
