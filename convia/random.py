"""Random numbers: seeds, and draws from the usual distributions.

A seed is None (torch's global generator, so ``torch.manual_seed`` and ``set_random_seed`` reproduce the draw), a whole
number (the same values at every call), or a :class:`SeedGenerator` (other values at every call, the same sequence in
every run). Seeded draws on a CPU equal those of Keras on its torch backend.
"""

import math
import random as python_random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from numbers import Integral
from typing import Annotated, Any
from weakref import WeakValueDictionary

import numpy as np
import torch
from torch import Tensor

from convia import config, registry
from convia.args import Configured, Convert
from convia.errors import explain

__all__ = [
    "SeedGenerator",
    "beta",
    "binomial",
    "categorical",
    "dropout",
    "gamma",
    "normal",
    "randint",
    "shuffle",
    "truncated_normal",
    "uniform",
]

Shape = Sequence[int]

_TRUNCATED_CHUNK = 1 << 22  # elements; four candidates of each are in memory at a time


class SeedGenerator(Configured):
    """A sequence of seeds: every draw that is given this object advances it.

    Args:
        seed: a whole number, or None for one taken from Python's generator.
        name: a label.

    Raises:
        ValueError: the seed is not a whole number.
    """

    _namespace = "keras.random"
    seed: int | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        self.name = self.name or "seed_generator"
        if self.seed is not None and not isinstance(self.seed, Integral):
            raise ValueError(explain("SeedGenerator, argument 'seed'", repr(self.seed), "a whole number or None"))
        self._state = [python_random.randint(1, 10**9) if self.seed is None else int(self.seed), 0]
        _living[next(_numbers)] = self

    @property
    def state(self) -> Tensor:
        """The start and the number of draws so far, shape (2,); may be set, as when a model is loaded."""
        return torch.tensor(self._state)

    @state.setter
    def state(self, value: Any) -> None:
        self._state = [int(part) for part in value]

    def next(self, ordered: bool = True) -> Tensor:
        """Return the state, shape (2,), and advance: by counting, or for ``ordered=False`` by scrambling."""
        global _draws
        _draws += 1
        state = self.state
        start, count = self._state
        self._state = [start, count + 1] if ordered else [(part + 1) * 5387 % 933199 for part in (start, count)]
        return state

    def _next_seed(self) -> int:
        global _draws
        _draws += 1
        start, count = self._state
        self._state = [start, count + 1]
        return start + count + _offset


_numbers = count()
_living: WeakValueDictionary[int, SeedGenerator] = WeakValueDictionary()  # by how many were made before
_is_seeded = False
_draws = 0  # from generators of layers
_offset = 0  # added to the seeds of generators


def living() -> dict[int, SeedGenerator]:
    """Return the seed generators that are in use, by how many were made before: the same in each run of a program."""
    return dict(_living)


@contextmanager
def stream(number: int) -> Iterator[None]:
    """Let seed generators give other seeds than they do for other numbers, as for one of several processes."""
    global _offset
    _offset = number * 0x9E3779B9
    try:
        yield
    finally:
        _offset = 0


SeedLike = int | SeedGenerator | None


def check_seed(value: Any, owner: Any = "seed", name: str = "seed") -> Any:
    """Check a seed argument: None, a whole number, a SeedGenerator or the config of one.

    Raises:
        ValueError: anything else.
    """
    if value is None or isinstance(value, SeedGenerator):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, dict):
        return registry.deserialize(value)
    who = owner if isinstance(owner, str) else f"{type(owner).__name__}, argument {name!r}"
    raise ValueError(explain(who, repr(value), "a whole number, a SeedGenerator or None"))


Seed = Annotated[Any, Convert(check_seed)]


def generator(seed: SeedLike, device: torch.device) -> torch.Generator | None:
    """Return a torch generator for one draw on a device, None where torch's global one is to be used.

    Raises:
        ValueError: the seed is neither None, a whole number nor a SeedGenerator.
    """
    if seed is None or device.type == "meta":
        return None
    start = seed._next_seed() if isinstance(seed, SeedGenerator) else check_seed(seed)
    return torch.Generator(device).manual_seed(start & 0xFFFFFFFF)


def set_random_seed(seed: int) -> None:
    """Seed Python, NumPy and torch (all devices), from which every unseeded draw comes.

    Raises:
        ValueError: not a whole number from 0 to 2³² − 1.
    """
    if not isinstance(seed, Integral) or not 0 <= seed < 1 << 32:
        raise ValueError(explain("set_random_seed", repr(seed), "a whole number from 0 to 2³² − 1"))
    global _is_seeded
    _is_seeded = True
    python_random.seed(int(seed))
    np.random.seed(int(seed))
    torch.manual_seed(int(seed))


def marks() -> Any:
    """Return what changes with every number that is drawn at random, where a seed was set; None where none was.

    What draws has to be called in order, and not by threads that come to it sooner or later, for a seed to repeat it.
    """
    if not _is_seeded:
        return None
    state: Any = np.random.get_state()
    _, keys, *place = state
    return torch.get_rng_state().numpy().tobytes(), keys.tobytes(), place, python_random.getstate(), _draws


def _setting(dtype: Any, seed: SeedLike) -> dict[str, Any]:
    device = config.device()
    return {
        "dtype": config.torch_dtype(dtype or config.floatx()),
        "device": device,
        "generator": generator(seed, device),
    }


def _check_kind(who: str, dtype: Any, floating: bool) -> None:
    if dtype and config.torch_dtype(dtype).is_floating_point != floating:
        kind = "floating point" if floating else "integer"
        raise ValueError(explain(who, f"dtype={dtype!r}", f"{'a' if floating else 'an'} {kind} type"))


def normal(shape: Shape, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: SeedLike = None) -> Tensor:
    """Draw from the normal distribution N(mean, stddev²)."""
    return torch.normal(mean, stddev, tuple(shape), **_setting(dtype, seed))


def uniform(shape: Shape, minval: float = 0.0, maxval: float = 1.0, dtype: Any = None, seed: SeedLike = None) -> Tensor:
    """Draw evenly from [minval, maxval).

    Raises:
        ValueError: the type is not a floating point type.
    """
    _check_kind("random.uniform", dtype, floating=True)
    return torch.rand(tuple(shape), **_setting(dtype, seed)).mul_(maxval - minval).add_(minval)


def randint(shape: Shape, minval: int, maxval: int, dtype: Any = "int32", seed: SeedLike = None) -> Tensor:
    """Draw whole numbers evenly from minval, …, maxval − 1.

    Raises:
        ValueError: the type is not an integer type.
    """
    _check_kind("random.randint", dtype, floating=False)
    return torch.randint(minval, maxval, tuple(shape), **_setting(dtype or "int32", seed))


def truncated_normal(
    shape: Shape, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: SeedLike = None
) -> Tensor:
    """Draw from N(mean, stddev²), taking again what is more than two standard deviations from the mean.

    Each element is the first of four candidates within the bounds; the few (4·10⁻⁶) without one are set to the bound.
    """
    setting = _setting(dtype, seed)
    source = setting.pop("generator")
    result = torch.empty(math.prod(shape), **setting)
    for chunk in result.split(_TRUNCATED_CHUNK):
        candidates = torch.empty(len(chunk), 4, **setting).normal_(generator=source)
        chosen = candidates[:, 0]
        for column in range(1, 4):
            chosen = torch.where(chosen.abs() < 2, chosen, candidates[:, column])
        torch.clamp(chosen, -2, 2, out=chunk)
    return result.mul_(stddev).add_(mean).view(tuple(shape))


def _draw(function: Callable[..., Tensor], parameters: Sequence[Any], shape: Shape, dtype: Any, seed: Any) -> Tensor:
    """Call ``function`` with one set of parameters per element, in at least float32 as torch's samplers want."""
    wanted, device = config.torch_dtype(dtype or config.floatx()), config.device()
    exact = torch.promote_types(wanted, torch.float32)
    given = [torch.as_tensor(p, dtype=exact, device=device).expand(tuple(shape)).contiguous() for p in parameters]
    return function(*given, generator=generator(seed, device)).to(wanted)


def _gamma(alpha: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch._standard_gamma(alpha, generator).clamp_(min=torch.finfo(alpha.dtype).tiny)


def _beta(alpha: Tensor, beta: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch._sample_dirichlet(torch.stack([alpha, beta], -1), generator)[..., 0]


def gamma(shape: Shape, alpha: Any, dtype: Any = None, seed: SeedLike = None) -> Tensor:
    """Draw from the gamma distribution of concentration ``alpha`` (a number or broadcastable) and rate 1."""
    return _draw(_gamma, [alpha], shape, dtype, seed)


def beta(shape: Shape, alpha: Any, beta: Any, dtype: Any = None, seed: SeedLike = None) -> Tensor:
    """Draw from the beta distribution of concentrations ``alpha``, ``beta`` (numbers or broadcastable)."""
    return _draw(_beta, [alpha, beta], shape, dtype, seed)


def binomial(shape: Shape, counts: Any, probabilities: Any, dtype: Any = None, seed: SeedLike = None) -> Tensor:
    """Draw how many of ``counts`` trials succeed, each with the given probability (numbers or broadcastable)."""
    return _draw(torch.binomial, [counts, probabilities], shape, dtype, seed)


def categorical(logits: Any, num_samples: int, dtype: Any = "int32", seed: SeedLike = None) -> Tensor:
    """Draw class numbers, shape (N, num_samples), with probabilities softmax(logits), logits of shape (N, classes).

    Raises:
        ValueError: the logits are not two-dimensional.
    """
    logits = torch.as_tensor(logits, device=config.device())
    if logits.ndim != 2:
        received = f"logits of shape {tuple(logits.shape)}"
        raise ValueError(explain("random.categorical", received, "shape (batch size, number of classes)"))
    draw = torch.multinomial(logits.softmax(-1), num_samples, True, generator=generator(seed, logits.device))
    return draw.to(config.torch_dtype(dtype))


def shuffle(x: Any, axis: int = 0, seed: SeedLike = None) -> Tensor:
    """Permute the elements along an axis: one permutation for axis 0, else one per index of the axes before it."""
    x = torch.as_tensor(x, device=config.device())
    axis %= x.ndim
    keys = torch.rand(x.shape[: axis + 1], generator=generator(seed, x.device), device=x.device)
    index = keys.argsort(axis)[(..., *[None] * (x.ndim - axis - 1))]
    shuffled: Tensor = x.gather(axis, index.expand(x.shape))
    return shuffled


def dropout(inputs: Any, rate: float, noise_shape: Sequence[int | None] | None = None, seed: SeedLike = None) -> Tensor:
    """Set a fraction ``rate`` of the elements to 0 and divide the rest by 1 − rate, which keeps the mean.

    Srivastava et al. 2014, "Dropout: A simple way to prevent neural networks from overfitting".

    Args:
        inputs: any shape.
        rate: from 0 to 1.
        noise_shape: the shape of the mask, broadcast to that of the inputs; None stands for the inputs' size.
        seed: see the top of this module.
    """
    x = inputs if isinstance(inputs, Tensor) else torch.as_tensor(inputs, device=config.device())
    if rate == 0:
        return x
    if rate == 1:
        return torch.zeros_like(x)
    if seed is None and noise_shape is None:
        if x.device.type == "cpu" and x.is_floating_point() and x.is_contiguous():
            return x * _kept(x, rate)
        return torch.nn.functional.dropout(x, rate)
    sizes = zip(noise_shape or x.shape, x.shape, strict=True)
    keep = torch.full([size if own is None else own for own, size in sizes], 1 - rate, device=x.device)
    mask = torch.bernoulli(keep, generator=generator(seed, x.device)).bool()
    return torch.where(mask, x / (1 - rate), 0)


def _kept(inputs: Tensor, rate: float) -> Tensor:
    """Return 0 with probability ``rate``, to 2⁻³², and 1 / (1 − rate) elsewhere, from torch's global generator.

    Comparing the halves of whole random words takes a third of the time of torch's draws of floats.
    """
    words = torch.empty((inputs.numel() + 1) // 2, dtype=torch.int64).random_(-(1 << 63), None)
    halves = words.view(torch.int32)[: inputs.numel()].view(inputs.shape)
    kept = torch.empty_like(inputs, requires_grad=False)
    threshold = min(round(rate * (1 << 32)), (1 << 32) - 1) - (1 << 31)
    return torch.ge(halves, threshold, out=kept).mul_(1 / (1 - rate))
