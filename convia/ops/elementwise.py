"""Functions of each element, or of each pair of elements after broadcasting."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from convia.errors import explain
from convia.ops.door import counting, floating, is_float, public, publish, result_dtype, tensor, together


def _of_one(function: Callable[..., Any], doc: str, prepare: Callable[[Tensor], Tensor] | None = None) -> Any:
    def _row(x: Any) -> Any:
        return function(prepare(x) if prepare else x)

    _row.__doc__ = doc
    return public(1)(_row)


def _of_two(function: Callable[..., Any], doc: str, prepare: Callable[..., Any] | None = None) -> Any:
    """Without ``prepare``, torch promotes the types."""

    def _row(x1: Any, x2: Any) -> Any:
        return function(*prepare(x1, x2)) if prepare else function(tensor(x1), tensor(x2))

    _row.__doc__ = doc
    return public(0)(_row)


def _of_bits(function: Callable[..., Any], doc: str) -> Any:
    def _row(x: Any, y: Any) -> Any:
        return function(x, y)

    _row.__doc__ = doc
    return public(2)(_row)


def _unless_bool(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda x: x if x.dtype == torch.bool else function(x)


def _wide(x: Tensor) -> Tensor:
    """int64 becomes float64, as NumPy has it."""
    return x.double() if x.dtype == torch.int64 else x


def _floats(x1: Any, x2: Any) -> list[Tensor]:
    return together(x1, x2, also=(float,))


def _wide_floats(x1: Any, x2: Any) -> list[Tensor]:
    return [floating(x) for x in together(x1, x2)]


def _counts(x1: Any, x2: Any) -> tuple[Tensor, Tensor]:
    return counting(tensor(x1)), counting(tensor(x2))


def _no_bools(x1: Any, x2: Any) -> tuple[Tensor, Tensor]:
    """torch subtracts no truth values; they take the other operand's type."""
    x1, x2 = tensor(x1), tensor(x2)
    x1 = x1.to(x2.dtype) if x1.dtype == torch.bool else x1
    return x1, x2.to(x1.dtype) if x2.dtype == torch.bool else x2


def _conjugate(x: Tensor) -> Tensor:
    return torch.conj(x).resolve_conj()


def _cube_root(x: Tensor) -> Tensor:
    return torch.sign(x) * torch.abs(x) ** (1 / 3)


absolute = _of_one(_unless_bool(torch.abs), "|x|.")
abs = absolute
angle = _of_one(torch.angle, "The argument of a complex number, in radians.")
arccos = _of_one(torch.arccos, "The angle in [0, π] whose cosine is x.")
arccosh = _of_one(torch.arccosh, "Inverse of cosh.")
arcsin = _of_one(torch.arcsin, "The angle in [−π/2, π/2] whose sine is x.")
arcsinh = _of_one(torch.arcsinh, "Inverse of sinh.")
arctan = _of_one(torch.arctan, "The angle in (−π/2, π/2) whose tangent is x.")
arctanh = _of_one(torch.arctanh, "Inverse of tanh.")
bitwise_not = _of_one(torch.bitwise_not, "Every bit inverted.")
bitwise_invert = bitwise_not
cbrt = _of_one(_cube_root, "∛x.", lambda x: _wide(counting(x)))
ceil = _of_one(torch.ceil, "The next whole number at or above x; a float.", floating)
conjugate = _of_one(_conjugate, "The complex conjugate.")
conj = conjugate
copy = _of_one(torch.clone, "A copy.")
cos = _of_one(torch.cos, "cos x, x in radians.")
cosh = _of_one(torch.cosh, "(eˣ + e⁻ˣ)/2.")
deg2rad = _of_one(torch.deg2rad, "Degrees to radians.", _wide)
exp = _of_one(torch.exp, "eˣ.", floating)
exp2 = _of_one(torch.exp2, "2ˣ.", floating)
expm1 = _of_one(torch.expm1, "eˣ − 1, exact also for small x.", floating)
fabs = _of_one(torch.abs, "|x| as a float.", floating)
floor = _of_one(torch.floor, "The next whole number at or below x; a float.", floating)
i0 = _of_one(torch.i0, "Modified Bessel function of the first kind, order 0.", lambda x: floating(_wide(x)))
imag = _of_one(torch.imag, "The imaginary part.")
isfinite = _of_one(torch.isfinite, "Whether neither infinite nor NaN.")
isinf = _of_one(torch.isinf, "Whether ±∞.")
isnan = _of_one(torch.isnan, "Whether not a number.")
isneginf = _of_one(torch.isneginf, "Whether −∞.")
isposinf = _of_one(torch.isposinf, "Whether +∞.")
isreal = _of_one(torch.isreal, "Whether the imaginary part is 0.")
log = _of_one(torch.log, "ln x.")
log10 = _of_one(torch.log10, "log₁₀ x.")
log1p = _of_one(torch.log1p, "ln(1 + x), exact also for small x.")
log2 = _of_one(torch.log2, "log₂ x.")
logical_not = _of_one(torch.logical_not, "Whether x is 0 or False.")
negative = _of_one(torch.negative, "−x.")
rad2deg = _of_one(torch.rad2deg, "Radians to degrees.", _wide)
real = _of_one(torch.real, "The real part.")
reciprocal = _of_one(torch.reciprocal, "1/x.")
sign = _of_one(torch.sign, "−1, 0 or 1.")
signbit = _of_one(torch.signbit, "Whether the sign bit is set; −0.0 has it.")
sin = _of_one(torch.sin, "sin x, x in radians.")
sinc = _of_one(torch.sinc, "sin(πx)/(πx), 1 at 0.")
sinh = _of_one(torch.sinh, "(eˣ − e⁻ˣ)/2.")
sqrt = _of_one(torch.sqrt, "√x.")
square = _of_one(torch.square, "x².", counting)
tan = _of_one(torch.tan, "tan x, x in radians.")
tanh = _of_one(torch.tanh, "(eˣ − e⁻ˣ)/(eˣ + e⁻ˣ).")
trunc = _of_one(_unless_bool(torch.trunc), "The fraction cut off, towards 0.")

add = _of_two(torch.add, "x1 + x2.")
arctan2 = _of_two(torch.arctan2, "The angle of the point (x2, x1), in (−π, π].", _floats)
bitwise_and = _of_bits(torch.bitwise_and, "The bits set in both.")
bitwise_or = _of_bits(torch.bitwise_or, "The bits set in either.")
bitwise_xor = _of_bits(torch.bitwise_xor, "The bits set in one only.")
bitwise_left_shift = _of_bits(torch.bitwise_left_shift, "x·2ʸ.")
left_shift = bitwise_left_shift
bitwise_right_shift = _of_bits(torch.bitwise_right_shift, "⌊x/2ʸ⌋.")
right_shift = bitwise_right_shift
divide = _of_two(torch.divide, "x1/x2.")
true_divide = divide
equal = _of_two(torch.eq, "Whether x1 = x2.")
fmax = _of_two(torch.fmax, "The greater one, ignoring NaN.", together)
fmin = _of_two(torch.fmin, "The smaller one, ignoring NaN.", together)
fmod = _of_two(torch.fmod, "Remainder of x1/x2 with the sign of x1.", _counts)
gcd = _of_two(torch.gcd, "Greatest common divisor.")
greater = _of_two(torch.gt, "Whether x1 > x2.")
greater_equal = _of_two(torch.ge, "Whether x1 ≥ x2.")
heaviside = _of_two(torch.heaviside, "0 for x1 < 0, x2 at 0, 1 for x1 > 0.", _wide_floats)
hypot = _of_two(torch.hypot, "√(x1² + x2²).", _wide_floats)
lcm = _of_two(torch.lcm, "Least common multiple.")
less = _of_two(torch.lt, "Whether x1 < x2.")
less_equal = _of_two(torch.le, "Whether x1 ≤ x2.")
logaddexp = _of_two(torch.logaddexp, "ln(eˣ¹ + eˣ²).", _floats)
logaddexp2 = _of_two(torch.logaddexp2, "log₂(2ˣ¹ + 2ˣ²).", _floats)
logical_and = _of_two(torch.logical_and, "Whether both are true.")
logical_or = _of_two(torch.logical_or, "Whether either is true.")
logical_xor = _of_two(torch.logical_xor, "Whether exactly one is true.")
maximum = _of_two(torch.maximum, "The greater of x1 and x2; NaN if either is.", together)
minimum = _of_two(torch.minimum, "The smaller of x1 and x2; NaN if either is.", together)
mod = _of_two(torch.remainder, "Remainder of x1/x2 with the sign of x2.", _counts)
multiply = _of_two(torch.multiply, "x1·x2.")
not_equal = _of_two(torch.ne, "Whether x1 ≠ x2.")
power = _of_two(torch.pow, "x1 to the power of x2.")
subtract = _of_two(torch.subtract, "x1 − x2.", _no_bools)


@public(0)
def floor_divide(x1: Any, x2: Any) -> Any:
    """⌊x1/x2⌋, in the type of the operands."""
    x1, x2 = together(x1, x2)
    return torch.floor_divide(x1, x2).to(x1.dtype)


@public(0)
def divide_no_nan(x1: Any, x2: Any) -> Any:
    """x1/x2, but 0 where x2 is 0."""
    x1, x2 = _floats(x1, x2)
    nothing = x2 == 0
    return torch.where(nothing, 0, x1 / torch.where(nothing, 1, x2))


@public(2)
def ldexp(x1: Any, x2: Any) -> Any:
    """x1·2ˣ²; x2 must be of an integer type."""
    if is_float(x2) or x2.dtype == torch.bool:
        raise TypeError(explain("ldexp, argument 'x2'", f"type {x2.dtype}", "whole numbers"))
    return torch.ldexp(x1, x2).to(result_dtype(x1.dtype, x2.dtype, float))


@public(2)
def nextafter(x1: Any, x2: Any) -> Any:
    """The next float64 after x1 in the direction of x2, rounded to the operands' type."""
    return torch.nextafter(x1.double(), x2.double()).to(result_dtype(x1.dtype, x2.dtype, float))


@public(2)
def isclose(x1: Any, x2: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """Whether |x1 − x2| ≤ atol + rtol·|x2|."""
    x1, x2 = together(x1, x2)
    return torch.isclose(x1, x2, rtol, atol, equal_nan) if is_float(x1) else x1 == x2


@public(2)
def allclose(x1: Any, x2: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """Whether all elements are close."""
    return isclose(x1, x2, rtol, atol, equal_nan).all()


@public(3)
def clip(x: Any, x_min: Any, x_max: Any) -> Any:
    """x limited to [x_min, x_max]."""
    return torch.clip(counting(x), x_min, x_max)


@public(1)
def round(x: Any, decimals: int = 0) -> Any:
    """The nearest number with so many decimals; halves go to the even neighbour."""
    if is_float(x):
        return torch.round(x, decimals=decimals)
    return x if decimals >= 0 or x.dtype == torch.bool else torch.round(floating(x), decimals=decimals).to(x.dtype)


@public(1)
def nan_to_num(x: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Any:
    """NaN and ±∞ replaced; ±∞ by default by the greatest and least finite number."""
    return torch.nan_to_num(x, nan, posinf, neginf)


@public(1)
def view(x: Any, dtype: Any = None) -> Any:
    """The same memory read as another type."""
    return x if dtype is None else x.view(tensor(0, dtype).dtype)


@public(0)
def where(condition: Any, x1: Any = None, x2: Any = None) -> Any:
    """x1 where the condition holds, else x2; with the condition alone, the indices of what is true, (ndim, count).

    Raises:
        ValueError: only one of x1 and x2.
    """
    if (x1 is None) != (x2 is None):
        raise ValueError(explain("where", "only one of x1 and x2", "both or neither"))
    condition = tensor(condition, torch.bool)
    if x1 is None:
        return torch.stack(torch.where(condition))
    return torch.where(condition, tensor(x1), tensor(x2))


@public(0)
def select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    """For each element the choice of the first condition that holds, else the default.

    Raises:
        ValueError: not two lists with something in them.
    """
    for name, given in (("condlist", condlist), ("choicelist", choicelist)):
        if not isinstance(given, (list, tuple)) or not given:
            raise ValueError(explain(f"select, argument {name!r}", repr(given), "a list of tensors, not empty"))
    result = tensor(default)
    for condition, choice in reversed(list(zip(condlist, choicelist, strict=True))):
        result = torch.where(tensor(condition), tensor(choice), result)
    return result


publish(globals())
