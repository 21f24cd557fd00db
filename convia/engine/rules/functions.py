"""Calls of functions in a graph: operators, ``convia.ops`` and the like of torch."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from convia import config, layout
from convia.engine.builder import Builder, three
from convia.engine.functions import ELEMENTWISE, Activation, activation_of, bound, limited
from convia.engine.plan import Shape, Unsupported
from convia.engine.rules.moving import mixed
from convia.engine.rules.norm import unit
from convia.symbolic import KerasTensor, substitute
from convia.variable import Variable


class Call(NamedTuple):
    """A function, by the engine's name for it, with its arguments and those of them that are symbolic."""

    name: str
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    inputs: list[KerasTensor]

    def given(self) -> dict[str, Any]:
        """Return the arguments by their names; the first is "x"."""
        return bound(self.function, self.args, self.kwargs)

    def run(self, *tensors: Tensor) -> Any:
        """Call the function on tensors in place of the symbolic ones."""
        places = dict(zip(map(id, self.inputs), tensors, strict=True))
        args, kwargs = substitute((self.args, dict(self.kwargs)), places)
        return self.function(*args, **kwargs)


FunctionRule = Callable[[Builder, Call, list[int], list[Shape]], list[int]]
"""Lowers a call, given its inputs and the shapes of its outputs as the user sees them; returns the outputs."""


def _element(to: Builder, call: Call, ins: list[int], shapes: list[Shape]) -> list[int]:
    _, *rest = call.args if call.args else (None,)
    return [to.activated(activation_of(call.function, *rest, **call.kwargs), ins[0])]


def _negative(to: Builder, call: Call, ins: list[int], shapes: list[Shape]) -> list[int]:
    return [to.affine(ins[0], -1.0, 0.0)]


def _same(to: Builder, call: Call, ins: list[int], shapes: list[Shape]) -> list[int]:
    return [ins[0]]


def _moved(to: Builder, call: Call, ins: list[int], shapes: list[Shape]) -> list[int]:
    names = dict(zip(map(id, call.inputs), ins, strict=True))  # a tensor may be given more than once
    once = call._replace(inputs=list({id(each): each for each in call.inputs}.values()))
    return to.move(once.run, list(names.values()), shapes)


# -- operators ------------------------------------------------------------------------------------------------------


def _operator(kind: str) -> FunctionRule:
    """Combine two tensors, or a tensor and numbers."""

    def rule(to: Builder, call: Call, ins: list[int], shapes: list[Shape]) -> list[int]:
        a, b, *others = call.given().values()
        if others:
            raise Unsupported("such arguments")
        if isinstance(a, KerasTensor) and isinstance(b, KerasTensor):
            if len(a.shape) != len(b.shape):
                raise Unsupported("operands of different ranks")
            first = ins[0] in to.first
            return [_of_tensors(to, kind, *(to.laid_out(part, first) for part in (ins[0], ins[-1])))]
        swapped = isinstance(b, KerasTensor)
        return [_with_numbers(to, kind, ins[0], _array(a if swapped else b, len(shapes[0])), swapped)]

    return rule


def _of_tensors(to: Builder, kind: str, a: int, b: int) -> int:
    to.channels_first = a in to.first
    if kind == "divide":
        kind, b = "multiply", to.activated(Activation("reciprocal"), b)
    return to.joined(kind, [a, b])


def _array(value: Any, rank: int) -> np.ndarray:
    """Return a constant operand without the batch's axis."""
    if isinstance(value, Variable) or (isinstance(value, Tensor) and value.requires_grad):
        raise Unsupported("a variable")
    try:
        array = np.asarray(value.cpu().float() if isinstance(value, Tensor) else value, np.float32)
    except (TypeError, ValueError):
        raise Unsupported("such an operand") from None
    if array.ndim > rank and array.shape[0] != 1:
        raise Unsupported("an array with a batch")
    return array[0] if array.ndim > rank else array


def _with_numbers(to: Builder, kind: str, x: int, c: np.ndarray, swapped: bool) -> int:
    if kind == "divide" and swapped:
        kind, x = "multiply", to.activated(Activation("reciprocal"), x)
    sign = -1.0 if swapped else 1.0
    if kind in ("maximum", "minimum"):
        if c.ndim:
            raise Unsupported("an array")
        limits = (float(c), None) if kind == "maximum" else (None, float(c))
        return to.activated(limited(*limits), x)
    rows = {
        "add": (1.0, c),
        "subtract": (sign, -sign * c),
        "multiply": (c, 0.0),
        "divide": (1.0 / c, 0.0),
    }
    return to.affine(x, *rows[kind])


def _power(to: Builder, call: Call, ins: list[int], shapes: list[Shape]) -> list[int]:
    _, exponent, *_ = call.given().values()
    known = {2: "square", 0.5: "root", -1: "reciprocal"}
    if not isinstance(exponent, (int, float)) or len(ins) > 1:
        raise Unsupported("such an exponent")
    if exponent in known:
        return [to.activated(Activation(known[exponent]), ins[0])]
    if exponent not in (1, 3, 4):
        raise Unsupported(f"the exponent {exponent}")
    to.channels_first = ins[0] in to.first
    return [to.joined("multiply", [ins[0]] * int(exponent))]


# -- along axes -----------------------------------------------------------------------------------------------------


def _axes(to: Builder, given: dict[str, Any], source: int) -> tuple[list[int], bool]:
    if given.get("dtype") is not None:
        raise Unsupported("a dtype")
    return to.axes(given.get("axis"), source), bool(given.get("keepdims", False))


def _mean(to: Builder, call: Call, ins: list[int], shapes: list[Shape]) -> list[int]:
    return [to.reduced("pool_average", ins[0], *_axes(to, call.given(), ins[0]))]


def _sum(to: Builder, call: Call, ins: list[int], shapes: list[Shape]) -> list[int]:
    axes, keepdims = _axes(to, call.given(), ins[0])
    count = float(np.prod([to.seen(ins[0])[axis] for axis in axes]))
    return [to.affine(to.reduced("pool_average", ins[0], axes, keepdims), count, 0.0)]


def _maximum(to: Builder, call: Call, ins: list[int], shapes: list[Shape]) -> list[int]:
    if call.given().get("initial") is not None:
        raise Unsupported("an initial value")
    return [to.reduced("pool_max", ins[0], *_axes(to, call.given(), ins[0]))]


def _minimum(to: Builder, call: Call, ins: list[int], shapes: list[Shape]) -> list[int]:
    negative = call._replace(name="max")
    return [to.affine(_maximum(to, negative, [to.affine(ins[0], -1.0, 0.0)], shapes)[0], -1.0, 0.0)]


def _variance(to: Builder, call: Call, ins: list[int], shapes: list[Shape]) -> list[int]:
    """The mean square of the differences from the mean."""
    axes, keepdims = _axes(to, call.given(), ins[0])
    source = to.laid_out(ins[0], False)
    mean = to.reduced("pool_average", source, axes, True)
    to.channels_first = False
    squares = to.activated(Activation("square"), to.joined("subtract", [source, mean]))
    return [to.reduced("pool_average", squares, axes, keepdims)]


def _deviation(to: Builder, call: Call, ins: list[int], shapes: list[Shape]) -> list[int]:
    return [to.activated(Activation("root"), _variance(to, call, ins, shapes)[0])]


def _normalized(to: Builder, call: Call, ins: list[int], shapes: list[Shape]) -> list[int]:
    given = call.given()
    if given["order"] != 2:
        raise Unsupported(f"order={given['order']}")
    epsilon = config.epsilon() if given["epsilon"] is None else given["epsilon"]
    to.channels_first = ins[0] in to.first
    return [unit(to, ins[0], given["axis"], epsilon)]


# -- of images ------------------------------------------------------------------------------------------------------


def _pool(to: Builder, call: Call, ins: list[int], shapes: list[Shape], kind: str) -> list[int]:
    given, rank = call.given(), len(shapes[0]) - 1
    first = config.standardize_data_format(given["data_format"]) == "channels_first"
    source = to.laid_out(ins[0], first)
    size, strides = (
        list(value) if isinstance(value, (list, tuple)) else [value] * rank
        for value in (given["pool_size"], given["pool_size"] if given["strides"] is None else given["strides"])
    )
    windows = zip(to.shape(source)[:-1], size, strides, strict=True)
    same = given["padding"].lower() == "same"
    before = [layout.same_padding(n, k, s)[0] if same else 0 for n, k, s in windows]
    to.channels_first = first
    shape = (*shapes[0][1:], shapes[0][0]) if first else shapes[0]
    return [to.add(kind, [source], shape, kernel=three(size, 1), strides=three(strides, 1), pad=three(before, 0))]


def _resize(to: Builder, call: Call, ins: list[int], shapes: list[Shape]) -> list[int]:
    """Interpolate, along the rows and along the columns."""
    given = call.given()
    if given["interpolation"] == "nearest":
        return _moved(to, call, ins, shapes)
    if given["crop_to_aspect_ratio"] or given["pad_to_aspect_ratio"] or len(shapes[0]) != 3:
        raise Unsupported("such arguments")
    first = config.standardize_data_format(given["data_format"]) == "channels_first"
    out, sizes = to.laid_out(ins[0], first), tuple(given["size"])
    for axis, size in enumerate(sizes):
        form = [2, 2]
        form[axis] = size
        more = {key: given[key] for key in ("interpolation", "antialias", "data_format")}
        out = mixed(to, lambda x, form=tuple(form), more=more: call.function(x, form, **more), out, axis, size)
    return [out]


MOVES = """
    _get_item broadcast_to cat chunk concat concatenate crop_images expand_dims flatten flip moveaxis movedim pad
    pad_images permute repeat reshape roll rot90 split squeeze stack swapaxes take tile transpose unsqueeze unstack
    depth_to_space space_to_depth hstack vstack dstack
"""
_OPERATORS = {
    "add": "add",
    "div": "divide",
    "divide": "divide",
    "maximum": "maximum",
    "minimum": "minimum",
    "mul": "multiply",
    "multiply": "multiply",
    "sub": "subtract",
    "subtract": "subtract",
    "true_divide": "divide",
}
FUNCTIONS: dict[str, FunctionRule] = {
    **dict.fromkeys(ELEMENTWISE, _element),
    **dict.fromkeys(MOVES.split(), _moved),
    **{name: _operator(kind) for name, kind in _OPERATORS.items()},
    **dict.fromkeys(("neg", "negative"), _negative),
    **dict.fromkeys(("pow", "power"), _power),
    **dict.fromkeys(("cast", "convert_to_tensor", "copy", "identity"), _same),
    **dict.fromkeys(("amax", "max"), _maximum),
    **dict.fromkeys(("amin", "min"), _minimum),
    "average_pool": partial(_pool, kind="pool_average"),
    "max_pool": partial(_pool, kind="pool_max"),
    "mean": _mean,
    "normalize": _normalized,
    "resize": _resize,
    "std": _deviation,
    "sum": _sum,
    "var": _variance,
}
