"""Random tensors: ``tf.random``, seeds, and generators.

The distributions are TensorFlow's, the numbers are torch's. ``set_seed`` makes all draws reproducible; a ``seed=`` of
one function starts a sequence of its own.
"""

from typing import Any

import torch

from convia import random
from convia.compat.tensorflow.door import api, given, number, numbers, torch_dtype, tracing
from convia.errors import explain
from convia.ops.door import tensor

_streams: dict[Any, random.SeedGenerator] = {}
_start = 0


def set_seed(seed: Any) -> None:
    """Start all sequences of random numbers anew: those of torch, NumPy and Python, and those of ``seed=``."""
    global _start
    _start = int(seed)
    _streams.clear()
    random.set_random_seed(_start % (1 << 32))


def stream(seed: Any) -> random.SeedGenerator | None:
    """Return the sequence that belongs to a ``seed=`` argument, None for none."""
    if seed is None:
        return None
    key = int(seed)
    return _streams.setdefault(key, random.SeedGenerator(_start + key))


def _fixed(seed: Any) -> int:
    """Return one number for a stateless seed (two numbers)."""
    high, low = (int(part) for part in numbers(seed))
    return (high * 1_000_003 + low) & 0x7FFFFFFF


def _float(dtype: Any) -> Any:
    return torch_dtype(dtype) or torch.float32


def _drawn(function: Any, shape: Any, dtype: Any, seed: Any) -> Any:
    """Draw, or only make a tensor of that shape while shapes are computed."""
    if tracing():
        return torch.zeros(numbers(shape), dtype=_float(dtype))
    return function(numbers(shape), dtype=_float(dtype), seed=seed)


def _normal(shape: Any, mean: Any, stddev: Any, dtype: Any, seed: Any, function: Any = random.normal) -> Any:
    noise = _drawn(function, shape, dtype, seed)
    return noise * tensor(stddev, noise.dtype) + tensor(mean, noise.dtype)


def _uniform(shape: Any, minval: Any, maxval: Any, dtype: Any, seed: Any, who: str = "tf.random.uniform") -> Any:
    kind = _float(dtype)
    if kind.is_floating_point:
        low, high = tensor(minval, kind), tensor(1 if maxval is None else maxval, kind)
        return _drawn(random.uniform, shape, kind, seed) * (high - low) + low
    if maxval is None:
        raise ValueError(explain(who, f"dtype={dtype} without maxval", "maxval, for whole numbers"))
    return random.randint(numbers(shape), number(minval), number(maxval), kind, seed)


@api(draws=True)
def normal(shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = "float32", seed: Any = None) -> Any:
    """Draw from the normal distribution."""
    return _normal(shape, mean, stddev, dtype, stream(seed))


@api(draws=True)
def uniform(shape: Any, minval: Any = 0, maxval: Any = None, dtype: Any = "float32", seed: Any = None) -> Any:
    """Draw evenly from [minval, maxval); whole numbers for an integer type.

    Raises:
        ValueError: whole numbers without maxval.
    """
    return _uniform(shape, minval, maxval, dtype, stream(seed))


@api(draws=True)
def truncated_normal(shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = "float32", seed: Any = None) -> Any:
    """Draw from the normal distribution, at most two standard deviations from its mean."""
    return _normal(shape, mean, stddev, dtype, stream(seed), random.truncated_normal)


@api(draws=True)
def shuffle(value: Any, seed: Any = None) -> Any:
    """Return the rows in random order."""
    value = given(value)
    if isinstance(value, torch.Tensor):
        return random.shuffle(value, seed=stream(seed))
    return value[random.shuffle(torch.arange(len(value)), seed=stream(seed))]


@api(draws=True)
def categorical(logits: Any, num_samples: Any, dtype: Any = "int64", seed: Any = None) -> Any:
    """Draw classes (N, num_samples) with probabilities softmax(logits)."""
    return random.categorical(given(logits), number(num_samples), torch_dtype(dtype) or torch.int64, stream(seed))


@api(draws=True)
def gamma(shape: Any, alpha: Any, beta: Any = None, dtype: Any = "float32", seed: Any = None) -> Any:
    """Draw from gamma distributions, samples of the given shape for each alpha and beta."""
    kind = _float(dtype)
    alpha, beta = torch.broadcast_tensors(given(alpha, kind), given(1.0 if beta is None else beta, kind))
    return random.gamma((*numbers(shape), *alpha.shape), alpha, kind, stream(seed)) / beta


@api(draws=True)
def poisson(shape: Any, lam: Any, dtype: Any = "float32", seed: Any = None) -> Any:
    """Draw from Poisson distributions, samples of the given shape for each rate."""
    rates = given(lam, "float32")
    source = random.generator(stream(seed), rates.device)
    return torch.poisson(rates.expand(*numbers(shape), *rates.shape), source).to(_float(dtype))


@api
def stateless_normal(shape: Any, seed: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = "float32") -> Any:
    """Draw from the normal distribution, the same for the same seed (two numbers)."""
    return _normal(shape, mean, stddev, dtype, _fixed(seed))


@api
def stateless_uniform(shape: Any, seed: Any, minval: Any = 0, maxval: Any = None, dtype: Any = "float32") -> Any:
    """Draw evenly from [minval, maxval), the same for the same seed (two numbers)."""
    return _uniform(shape, minval, maxval, dtype, _fixed(seed), "tf.random.stateless_uniform")


@api
def stateless_truncated_normal(
    shape: Any, seed: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = "float32"
) -> Any:
    """Draw from the normal distribution cut at two deviations, the same for the same seed (two numbers)."""
    return _normal(shape, mean, stddev, dtype, _fixed(seed), random.truncated_normal)


def split(seed: Any, num: int = 2) -> Any:
    """Return several stateless seeds (num, 2) made of one."""
    source = torch.Generator().manual_seed(_fixed(seed))
    return torch.randint(0, 2**31 - 1, (num, 2), generator=source, dtype=torch.int64, device="cpu")


class Generator:
    """A sequence of random numbers of its own.

    Args:
        state: the seed to start from.
    """

    def __init__(self, copy_from: Any = None, state: Any = None, alg: Any = None) -> None:
        self._seeds = random.SeedGenerator(None if state is None else int(tensor(state).reshape(-1)[0]))
        if copy_from is not None:
            self._seeds.state = copy_from._seeds.state

    @classmethod
    def from_seed(cls, seed: Any, alg: Any = None) -> "Generator":
        """Make a generator that always draws the same sequence."""
        return cls(state=seed)

    @classmethod
    def from_non_deterministic_state(cls, alg: Any = None) -> "Generator":
        """Make a generator that starts anywhere."""
        return cls()

    @property
    def state(self) -> Any:
        """Where the sequence stands."""
        return self._seeds.state

    def reset_from_seed(self, seed: Any) -> None:
        """Start the sequence of a seed."""
        self._seeds.state = [int(seed), 0]

    reset = reset_from_seed

    def make_seeds(self, count: int = 1) -> Any:
        """Return stateless seeds (2, count), other ones at every call."""
        return torch.stack([self._seeds.next().to(torch.int64) for _ in range(count)], -1)

    def split(self, count: int = 1) -> list["Generator"]:
        """Return several generators made of this one."""
        return [Generator(state=int(self._seeds.next().sum()) + 7919 * index) for index in range(count)]

    def normal(self, shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = "float32", name: Any = None) -> Any:
        """Draw from the normal distribution."""
        return _normal(shape, mean, stddev, dtype, self._seeds)

    def truncated_normal(
        self, shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = "float32", name: Any = None
    ) -> Any:
        """Draw from the normal distribution, cut at two deviations."""
        return _normal(shape, mean, stddev, dtype, self._seeds, random.truncated_normal)

    def uniform(self, shape: Any, minval: Any = 0, maxval: Any = None, dtype: Any = "float32", name: Any = None) -> Any:
        """Draw evenly from [minval, maxval)."""
        return _uniform(shape, minval, maxval, dtype, self._seeds, "Generator.uniform")


_global: list[Generator] = []


def get_global_generator() -> Generator:
    """Return the generator that all share."""
    if not _global:
        _global.append(Generator())
    return _global[0]


def set_global_generator(generator: Generator) -> None:
    """Replace the generator that all share."""
    _global[:] = [generator]


RANDOM = {
    "Generator": Generator, "categorical": categorical, "gamma": gamma, "get_global_generator": get_global_generator,
    "normal": normal, "poisson": poisson, "set_global_generator": set_global_generator, "set_seed": set_seed,
    "shuffle": shuffle, "split": split, "stateless_normal": stateless_normal,
    "stateless_truncated_normal": stateless_truncated_normal, "stateless_uniform": stateless_uniform,
    "truncated_normal": truncated_normal, "uniform": uniform,
}  # fmt: skip
EXPERIMENTAL = {name: RANDOM[name] for name in ("Generator", "get_global_generator", "set_global_generator")}
EXPERIMENTAL |= {"create_rng_state": lambda seed, alg=None: torch.tensor([int(seed), 0]), "stateless_split": split}
OLD = {  # TensorFlow 1
    "set_random_seed": set_seed, "random_normal": normal, "random_uniform": uniform, "random_shuffle": shuffle,
    "truncated_normal": truncated_normal, "multinomial": categorical,
}  # fmt: skip
__all__ = ["EXPERIMENTAL", "OLD", "RANDOM", "Generator", "set_seed", "stream"]
