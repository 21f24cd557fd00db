"""The engine in a training shared by processes: it hands out gradients, torch adds them up and updates the weights.

So it does in one process where the loss is scaled: the optimizer's scale depends on the gradients.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from convia import distributed
from convia.engine import Plan, Unsupported
from convia.engine.plan import RULES
from convia.optimizers import LossScaleOptimizer

_NEVER = 1 << 62  # steps of which the engine only adds up gradients
Tallies = list[tuple[float, float]]


@dataclass
class Gradients:
    """What a step leaves behind, in one piece: gradients, then the sums for losses and metrics.

    Attributes:
        bucket: all of it, one axis.
        parts: the gradients, each with its variable's shape and order of memory.
        tail: (loss, hits) of each output, the penalty, and how many processes want to stop.
    """

    bucket: Tensor
    parts: list[Tensor]
    tail: Tensor


def hands_out(model: Any) -> bool:
    """Whether the engine leaves the update of the weights to torch."""
    return distributed.size() > 1 or type(model.optimizer) is LossScaleOptimizer


def collect(plan: Plan, learned: Sequence[Any]) -> Gradients:
    """Let the steps of a plan add their gradients to a tensor, and leave the weights as they are.

    Raises:
        Unsupported: a variable that is not in the plan, or of which numbers are left out or repeated in memory.
    """
    sizes = [variable.numel() for variable in learned]
    bucket = torch.zeros(sum(sizes) + 2 * len(plan.losses) + 2)
    *pieces, tail = bucket.split([*sizes, len(bucket) - sum(sizes)])
    known = {id(parameter.tensor): parameter for parameter in plan.parameters}
    parts = []
    for variable, piece in zip(learned, pieces, strict=True):
        parameter = known.get(id(variable))
        if parameter is None:
            raise Unsupported(f"a weight outside the graph ({variable.path}) is not supported by the engine")
        if not _is_dense(variable):
            raise Unsupported(f"the order of {variable.path} in memory")
        parameter.sum = piece.as_strided(variable.shape, variable.stride(), piece.storage_offset())
        parts.append(parameter.sum)
    plan.optimizer = {"rule": RULES.index("sgd"), "every": _NEVER}
    return Gradients(bucket, parts, tail)


def _is_dense(tensor: Tensor) -> bool:
    return 1 + sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride(), strict=True)) == math.prod(
        tensor.shape
    )


def agreed(make: Callable[[], Any]) -> Any:
    """Return what ``make`` gives, if the engine can do it in all processes; else no random number counts as drawn.

    Raises:
        Unsupported: it cannot, in this one or in another.
    """
    if distributed.size() < 2:
        return make()
    made, reason, state = None, None, torch.get_rng_state()
    try:
        made = make()
    except Unsupported as error:
        reason = error
    if distributed.any_of_us(reason is not None):
        torch.set_rng_state(state)
        raise reason or Unsupported("the engine of another process cannot do it")
    return made


def own_rows(count: int) -> tuple[slice, float]:
    """Return which of ``count`` rows this process computes, and their weight in the sum over the processes.

    Of fewer rows than there are processes each computes all.
    """
    processes = distributed.size()
    if count < processes:
        return slice(0, count), 1 / processes
    rows = distributed.share(count)
    return rows, (rows.stop - rows.start) / count


def own_keys(keys: Sequence[int]) -> list[int]:
    """Return the keys of random masks of this process."""
    return [(key + 0x9E3779B97F4A7C15 * distributed.rank()) % 2**64 for key in keys]


def add_up(
    gradients: Gradients, tallies: Tallies, penalty: float, weight: float, repeats: bool, stop: bool
) -> tuple[Tallies, float, bool]:
    """Make the mean of the processes' gradients; return the sums of their tallies and penalties, and whether to stop.

    Args:
        gradients: of this process's rows, which become those of the whole batch.
        tallies, penalty: of this process's rows.
        weight: of this process in the mean.
        repeats: whether all processes have computed the same rows.
        stop: whether this process wants to.
    """
    gradients.bucket.mul_(weight)
    _put(gradients.tail[:-1], tallies, penalty, weight if repeats else 1.0)
    gradients.tail[-1] = float(stop)
    distributed.sum_up(gradients.bucket)
    *numbers, stops = gradients.tail.tolist()
    return *_taken(numbers), stops > 0


def sums(tallies: Tallies, penalty: float, weight: float, repeats: bool) -> tuple[Tallies, float]:
    """Return the sums of the processes' tallies and penalties."""
    tail = torch.zeros(2 * len(tallies) + 1, dtype=torch.float64)
    _put(tail, tallies, penalty, weight if repeats else 1.0)
    distributed.sum_up(tail)
    return _taken(tail.tolist())


def _put(tail: Tensor, tallies: Tallies, penalty: float, factor: float) -> None:
    tail.copy_(torch.tensor([*(number for pair in tallies for number in pair), penalty], dtype=tail.dtype) * factor)


def _taken(numbers: list[float]) -> tuple[Tallies, float]:
    *pairs, penalty = numbers
    return list(zip(pairs[::2], pairs[1::2], strict=True)), penalty


def fill(whole: Tensor, rows: slice) -> None:
    """Get the other processes' rows of an array (N, …), of which only this process's rows are there."""
    whole[: rows.start].zero_()
    whole[rows.stop :].zero_()
    distributed.sum_up(whole)


def require(model: Any) -> None:
    """See that the engine can do this process's part of a model.

    Raises:
        Unsupported: normalizations over the rows of all processes; other processes that are reached through a GPU.
    """
    if distributed.on_gpus():
        raise Unsupported("processes that exchange numbers between GPUs")
    if any(getattr(layer, "synchronized", False) for layer in model._flatten_layers()):
        raise Unsupported(f"statistics of {distributed.size()} processes")
