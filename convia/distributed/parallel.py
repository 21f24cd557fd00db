"""A step shared by processes: rows of a batch, outputs gathered, gradients averaged.

With P processes, the gradient of the loss with regard to a process's own outputs is multiplied by P and parameters'
gradients are averaged, so that penalties of weights, which every process has in full, count once.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from convia import random, tree
from convia.distributed.processes import _messages, rank, share, size, sum_of, sum_up
from convia.errors import explain

_part = 1.0  # of the mean over processes, this one's; not 1 where batches cannot be divided evenly


class _Gathered(torch.autograd.Function):
    """(own rows, …) → (all rows, …); the gradient of the own rows comes back, times the number of processes."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, rows: slice, count: int) -> Tensor:
        ctx.rows = rows
        whole = own.new_zeros(count, *own.shape[1:])
        whole[rows] = own
        dist.all_reduce(whole)
        return whole

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return gradient[ctx.rows] * size(), None, None


class _Sum(torch.autograd.Function):
    """The sum over the processes, of the gradients too."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        return sum_of(own)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return sum_of(gradient)


def outputs(model: Any, x: Any, training: bool) -> Any:
    """Call the model on a batch: each process on its rows, and all get all outputs.

    A batch with fewer rows than there are processes is computed by each of them.
    """
    global _part
    _part = 1.0
    if size() < 2 or (count := len(tree.flatten(x)[0])) < size():
        return model(x, training=training)
    rows = share(count)
    own = tree.map_structure(lambda leaf: leaf if leaf is None else leaf[rows], x)
    _part = (rows.stop - rows.start) * size() / count
    with own_numbers():
        found = model(own, training=training)
    return tree.map_structure(lambda leaf: _gathered(leaf, rows, count), found)


def _gathered(leaf: Tensor, rows: slice, count: int) -> Tensor:
    if not leaf.ndim or len(leaf) != rows.stop - rows.start:
        return leaf
    whole: Tensor = _Gathered.apply(leaf, rows, count)  # type: ignore[no-untyped-call]
    mask = getattr(leaf, "_keras_mask", None)
    if mask is not None:
        whole._keras_mask = _Gathered.apply(mask.float(), rows, count).bool()  # type: ignore[attr-defined, no-untyped-call]
    return whole


_own_state: tuple[int, Tensor] | None = None


@contextmanager
def own_numbers() -> Iterator[None]:
    """Draw what is left to chance within the network from numbers of this process's own."""
    global _own_state
    shared, seed = torch.get_rng_state(), torch.initial_seed()
    if _own_state is None or _own_state[0] != seed:
        start = (seed + 0x9E3779B97F4A7C15 * (rank() + 1)) % 2**63
        _own_state = seed, torch.Generator().manual_seed(start).get_state()
    torch.set_rng_state(_own_state[1])
    try:
        with random.stream(rank()):
            yield
    finally:
        _own_state = seed, torch.get_rng_state()
        torch.set_rng_state(shared)


def mean(penalty: Any) -> Any:
    """Return the processes' mean of what a layer adds to the loss, weighted with their rows."""
    if size() < 2 or not isinstance(penalty, Tensor):
        return penalty
    own = penalty * _part
    return own + (sum_of(own) / size() - own.detach())


def average(gradients: Sequence[Tensor | None]) -> list[Tensor | None]:
    """Return the means of the processes' gradients, which travel in one piece."""
    present = [gradient for gradient in gradients if gradient is not None]
    if size() < 2 or not present:
        return list(gradients)
    bucket = torch.cat([gradient.flatten() for gradient in present])
    sum_up(bucket)
    bucket /= size()
    pieces = iter(bucket.split([gradient.numel() for gradient in present]))
    return [None if g is None else next(pieces).view(g.shape).to(g.dtype) for g in gradients]


def gradients(variables: Sequence[Any]) -> list[Tensor | None]:
    """Return the processes' mean gradients of variables, and of the own parts of those that they share out."""
    whole = [variable for variable in variables if not hasattr(variable, "shard")]
    means = iter(average([variable.grad for variable in whole]))
    return [variable.grad if hasattr(variable, "shard") else next(means) for variable in variables]


def moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and biased variance, each (C,), of the values (N, C) of all processes."""
    count = sum_of(values.new_tensor(float(len(values))))
    center = _Sum.apply(values.sum(0)) / count  # type: ignore[no-untyped-call]
    return center, _Sum.apply((values - center).square().sum(0)) / count  # type: ignore[no-untyped-call]


def agree(model: Any, batch: Any) -> None:
    """Give all processes the weights of the first, once a training begins, and see that they hold the same data.

    Raises:
        ValueError: they do not.
    """
    if size() < 2:
        return
    if not model.built:
        with torch.no_grad():
            model(tree.map_structure(lambda leaf: leaf if leaf is None else leaf[:1], batch[0]), training=False)
    if model._shares is None:
        align(model)
    marks = [_mark(leaf) for leaf in tree.flatten(batch) if isinstance(leaf, Tensor)]
    own = torch.tensor(marks, dtype=torch.float64, device=_messages()).flatten()
    first = own.clone()
    dist.broadcast(first, 0)
    differs = torch.tensor(float(not torch.equal(own.nan_to_num(), first.nan_to_num())), device=_messages())
    if bool(sum_of(differs)):
        raise ValueError(
            explain(
                f"fit of {model.name!r} by {size()} processes",
                "another first batch in some process than in the first one",
                "the same data in all: each computes its own rows of every batch",
                "Call set_random_seed(0) before the script splits or makes its data, and do not divide the data.",
            )
        )


def align(model: Any) -> None:
    """Give all processes the weights of the first, and what its optimizer has noted."""
    slots = model.optimizer.variables if model.optimizer is not None else []
    with torch.no_grad():
        for variable in [*model.variables, *slots]:
            if isinstance(variable, Tensor):
                dist.broadcast(variable.data, 0)


def _mark(leaf: Tensor) -> list[float]:
    return [float(leaf.numel()), float(leaf.double().sum())]


def settle(model: Any) -> None:
    """Average moving statistics, which each process has kept of its own rows."""
    if size() < 2:
        return
    parts = model._shares.parts if model._shares is not None else {}
    kept = [v for v in model.non_trainable_variables if isinstance(v, Tensor) and v.is_floating_point()]
    kept = [variable for variable in kept if id(variable) not in parts]
    with torch.no_grad():
        for variable in kept:
            variable.data.copy_(sum_of(variable) / size())
