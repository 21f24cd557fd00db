"""First values of weights: functions of a shape, in Keras's order of axes, (kernel…, in, out).

Glorot, He and LeCun initializers keep the variance of signals from layer to layer. They are
:class:`VarianceScaling` with Var(w) = scale/n, where n is the number of inputs (fan in), of outputs (fan out) or
their mean. A seed is None, a whole number or a SeedGenerator, see ``random.py``.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from convia import config, random, registry
from convia.args import Configured, Convert, one_of
from convia.errors import explain

__all__ = [
    "STFT",
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "IdentityInitializer",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "OrthogonalInitializer",
    "RandomNormal",
    "RandomUniform",
    "STFTInitializer",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "constant",
    "deserialize",
    "get",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "identity",
    "lecun_normal",
    "lecun_uniform",
    "ones",
    "orthogonal",
    "random_normal",
    "random_uniform",
    "serialize",
    "stft",
    "truncated_normal",
    "variance_scaling",
    "zeros",
]

_NAMESPACE = "keras.initializers"
_TRUNCATED_STDDEV = 0.87962566103423978  # of a standard normal distribution cut at ±2
_WINDOWS = ("bartlett", "blackman", "cosine", "hamming", "hann", "nuttall")  # those of torch without parameters
Shape = Sequence[int]
Axes = Sequence[int] | None


def _kind(dtype: Any) -> dict[str, Any]:
    return {"dtype": config.torch_dtype(dtype or config.floatx()), "device": config.device()}


class Initializer(Configured):
    """Base class: a subclass defines ``__call__(shape, dtype=None)`` → tensor."""

    _namespace = _NAMESPACE

    def __call__(self, shape: Shape, dtype: Any = None) -> Tensor:
        """Return a tensor of the shape, of the default float type unless one is given."""
        raise NotImplementedError(explain(type(self).__name__, "no __call__", "__call__(shape, dtype=None) → tensor"))

    def clone(self) -> Self:
        """Return a copy."""
        return self.from_config(self.get_config())


class Zeros(Initializer):
    """All 0."""

    def __call__(self, shape: Shape, dtype: Any = None) -> Tensor:
        return torch.zeros(tuple(shape), **_kind(dtype))


class Ones(Initializer):
    """All 1."""

    def __call__(self, shape: Shape, dtype: Any = None) -> Tensor:
        return torch.ones(tuple(shape), **_kind(dtype))


class Constant(Initializer):
    """All ``value``: a number, or an array that is broadcast to the shape."""

    value: Annotated[Any, Convert(lambda value, owner, name: registry.deserialize(value))] = 0.0

    def __call__(self, shape: Shape, dtype: Any = None) -> Tensor:
        return torch.as_tensor(self.value, **_kind(dtype)).expand(tuple(shape)).clone()


class Identity(Initializer):
    """``gain`` on the diagonal of a matrix, 0 elsewhere.

    Raises:
        ValueError: the shape is not that of a matrix.
    """

    gain: float = 1.0

    def __call__(self, shape: Shape, dtype: Any = None) -> Tensor:
        if len(shape) != 2:
            raise ValueError(explain("Identity", f"shape {tuple(shape)}", "the shape of a matrix"))
        return self.gain * torch.eye(*shape, **_kind(dtype))


class RandomNormal(Initializer):
    """Normally distributed."""

    mean: float = 0.0
    stddev: float = 0.05
    seed: random.Seed = None

    def __call__(self, shape: Shape, dtype: Any = None) -> Tensor:
        return random.normal(shape, self.mean, self.stddev, dtype, self.seed)


class TruncatedNormal(Initializer):
    """Normally distributed, without what is more than two ``stddev`` from the mean."""

    mean: float = 0.0
    stddev: float = 0.05
    seed: random.Seed = None

    def __call__(self, shape: Shape, dtype: Any = None) -> Tensor:
        return random.truncated_normal(shape, self.mean, self.stddev, dtype, self.seed)


class RandomUniform(Initializer):
    """Evenly distributed over [minval, maxval)."""

    minval: float = -0.05
    maxval: float = 0.05
    seed: random.Seed = None

    def __call__(self, shape: Shape, dtype: Any = None) -> Tensor:
        return random.uniform(shape, self.minval, self.maxval, dtype, self.seed)


def fans(shape: Shape, input_axes: Axes = None, output_axes: Axes = None) -> tuple[int, int]:
    """Return (fan in, fan out): how many inputs an output sums over, how many outputs an input goes to.

    The last two axes are inputs and outputs and those before the receptive field, unless both sets of axes are given.
    """
    if input_axes is not None and output_axes is not None:
        return math.prod(shape[axis] for axis in input_axes), math.prod(shape[axis] for axis in output_axes)
    if len(shape) < 2:
        return (math.prod(shape),) * 2
    *field, inputs, outputs = shape
    return math.prod(field) * inputs, math.prod(field) * outputs


def _positive(value: Any, owner: Any, name: str) -> Any:
    if not value > 0:
        raise ValueError(explain(f"{type(owner).__name__}, argument {name!r}", repr(value), "a number > 0"))
    return value


_distribution = one_of("truncated_normal", "untruncated_normal", "uniform")


def _fold_normal(value: Any, owner: Any, name: str) -> str:
    is_short = isinstance(value, str) and value.lower() == "normal"
    function: str = _distribution.function("truncated_normal" if is_short else value, owner, name)
    return function


class VarianceScaling(Initializer):
    """Mean 0 and variance scale/n.

    Args:
        scale: 1 for linear and tanh, 2 for ReLU, which discards half of the signal.
        mode: n is "fan_in", "fan_out" or their mean, "fan_avg".
        distribution: "truncated_normal" (or "normal"), "untruncated_normal" or "uniform", which is over ±√(3·scale/n).
        seed: see ``random.py``.
        input_axes, output_axes: which axes of the shape count as inputs and outputs, when not the last two.
    """

    scale: Annotated[float, Convert(_positive)] = 1.0
    mode: Annotated[str, one_of("fan_in", "fan_out", "fan_avg", fold=False)] = "fan_in"
    distribution: Annotated[str, Convert(_fold_normal)] = "truncated_normal"
    seed: random.Seed = None
    input_axes: Axes = None
    output_axes: Axes = None

    def __call__(self, shape: Shape, dtype: Any = None) -> Tensor:
        fan_in, fan_out = fans(shape, self.input_axes, self.output_axes)
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        stddev = math.sqrt(self.scale / max(1.0, n))
        if self.distribution == "uniform":
            limit = math.sqrt(3) * stddev
            return random.uniform(shape, -limit, limit, dtype, self.seed)
        if self.distribution == "untruncated_normal":
            return random.normal(shape, 0.0, stddev, dtype, self.seed)
        return random.truncated_normal(shape, 0.0, stddev / _TRUNCATED_STDDEV, dtype, self.seed)


class _Named(VarianceScaling):
    _law: ClassVar[tuple[float, str, str]]

    def __init__(self, seed: Any = None, input_axes: Axes = None, output_axes: Axes = None) -> None:
        super().__init__(*self._law, seed, input_axes, output_axes)


class GlorotUniform(_Named, init=False):
    """Var(w) = 2/(fan in + fan out), uniform. Glorot & Bengio 2010, equation 16."""

    _law = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Named, init=False):
    """Var(w) = 2/(fan in + fan out), truncated normal. Glorot & Bengio 2010, equation 12."""

    _law = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_Named, init=False):
    """Var(w) = 2/fan in, uniform: for ReLU. He et al. 2015, equation 10."""

    _law = (2.0, "fan_in", "uniform")


class HeNormal(_Named, init=False):
    """Var(w) = 2/fan in, truncated normal: for ReLU. He et al. 2015, equation 10."""

    _law = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_Named, init=False):
    """Var(w) = 1/fan in, uniform. LeCun et al. 1998, "Efficient backprop", equation 16."""

    _law = (1.0, "fan_in", "uniform")


class LecunNormal(_Named, init=False):
    """Var(w) = 1/fan in, truncated normal. LeCun et al. 1998; needed by selu (Klambauer et al. 2017)."""

    _law = (1.0, "fan_in", "truncated_normal")


class Orthogonal(Initializer):
    """A random matrix (all axes but the last, the last) of orthonormal columns, or rows, times ``gain``.

    Saxe et al. 2014, "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks". It is Q of
    a normal matrix's QR decomposition, with the signs of R's diagonal, which makes it evenly distributed.

    Raises:
        ValueError: the shape has fewer than two axes.
    """

    gain: float = 1.0
    seed: random.Seed = None

    def __call__(self, shape: Shape, dtype: Any = None) -> Tensor:
        if len(shape) < 2:
            raise ValueError(explain("Orthogonal", f"shape {tuple(shape)}", "a shape of at least two axes"))
        rows, columns = math.prod(shape[:-1]), shape[-1]
        wanted = config.torch_dtype(dtype or config.floatx())
        exact = torch.promote_types(wanted, torch.float32)  # QR needs more than half precision
        draw = random.normal((max(rows, columns), min(rows, columns)), dtype=exact, seed=self.seed)
        q, r = torch.linalg.qr(draw)
        q = q * r.diagonal().sign()
        matrix: Tensor = (self.gain * (q.T if rows < columns else q).reshape(tuple(shape))).to(wanted)
        return matrix


def _window(window: Any, length: int, periodic: bool) -> Tensor:
    if not isinstance(window, str):
        values = torch.as_tensor(np.asarray(window), dtype=torch.float64)
        if values.shape != (length,):
            raise ValueError(explain("STFT", f"a window of shape {tuple(values.shape)}", f"shape ({length},)"))
        return values
    if window in _WINDOWS:
        weights: Tensor = getattr(torch.signal.windows, window)(length, sym=not periodic, dtype=torch.float64)
        return weights
    try:
        from scipy.signal import get_window
    except ImportError:
        raise ValueError(
            explain("STFT", f"window={window!r}", f"one of {list(_WINDOWS)}", "Others need SciPy: pip install scipy.")
        ) from None
    return torch.from_numpy(get_window(window, length, periodic))


def _check_window(value: Any, owner: Any, name: str) -> Any:
    if isinstance(value, str):
        _window(value, 1, False)
        return value
    return registry.deserialize(value)


class STFT(Initializer):
    """Kernels (T, 1, F/2 + 1) of a convolution that is a short-time Fourier transform: cos or sin(−2π·t·f/F)·window.

    Args:
        side: "real" (cos) or "imag" (sin).
        window: a name such as "hann", the T values themselves, or None.
        scaling: divide by the window's root of summed squares ("density") or sum ("spectrum"); None for neither.
        periodic: whether the window is one period of a periodic function.
    """

    side: Annotated[str, one_of("real", "imag", fold=False)] = "real"
    window: Annotated[Any, Convert(_check_window)] = "hann"
    scaling: Annotated[str | None, one_of(None, "density", "spectrum", fold=False)] = "density"
    periodic: bool = False

    def __call__(self, shape: Shape, dtype: Any = None) -> Tensor:
        length, _, frequencies = shape
        time, frequency = (torch.arange(count, dtype=torch.float64) for count in (length, frequencies))
        angle = -math.pi / max(frequencies - 1, 1) * time[:, None, None] * frequency
        kernel = angle.cos() if self.side == "real" else angle.sin()
        if self.window is not None:
            window = _window(self.window, length, self.periodic)
            norms = {"density": 2, "spectrum": 1}
            scale = window.norm(norms[self.scaling]) if self.scaling else 1
            kernel = kernel * window[:, None, None] / scale
        return kernel.to(**_kind(dtype))


constant, zeros, ones = Constant, Zeros, Ones
identity = IdentityInitializer = Identity
orthogonal = OrthogonalInitializer = Orthogonal
stft = STFTInitializer = STFT
random_normal, random_uniform, truncated_normal = RandomNormal, RandomUniform, TruncatedNormal
variance_scaling = VarianceScaling
glorot_normal, glorot_uniform = GlorotNormal, GlorotUniform
he_normal, he_uniform = HeNormal, HeUniform
lecun_normal, lecun_uniform = LecunNormal, LecunUniform

for _class, _alias in (
    (Identity, "IdentityInitializer"),
    (Orthogonal, "OrthogonalInitializer"),
    (STFT, "STFTInitializer"),
    (RandomNormal, "normal"),
    (RandomUniform, "uniform"),
    (Ones, "one"),
    (Zeros, "zero"),
):
    registry.register(_NAMESPACE, _class, _alias)


def _given(values: Any) -> Callable[..., Tensor]:
    def given(shape: Shape, dtype: Any = None) -> Tensor:
        if tuple(shape) != tuple(values.shape):
            received = f"a weight of shape {tuple(shape)}"
            raise ValueError(explain("initializer", received, f"{tuple(values.shape)}, the shape of the given values"))
        return Constant(values)(shape, dtype)

    return given


def get(identifier: Any) -> Any:
    """Return the initializer for a name, a config, a class, a function of (shape, dtype), or an array of values.

    Raises:
        ValueError: an unknown name. TypeError: nothing of these.
    """
    if isinstance(identifier, (np.ndarray, np.generic, Tensor)):
        return _given(identifier)
    return registry.find(_NAMESPACE, identifier, "initializers.get")


def serialize(initializer: Any) -> Any:
    """Return the initializer's config."""
    return registry.serialize(initializer)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Return the initializer that ``serialize`` described."""
    return registry.deserialize(config, custom_objects, _NAMESPACE)
