"""The processes that share a training: how many there are, which this one is, what is its part."""

import atexit
import os
import random as python_random
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from convia import config

_LAUNCHED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # what torchrun and its like set

_of_values: Any = None  # the group of ``gather``


def size() -> int:
    """Return the number of processes, 1 where nothing is shared."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_world_size()
    return int(os.environ["WORLD_SIZE"]) if all(name in os.environ for name in _LAUNCHED) else 1


def rank() -> int:
    """Return the number of this process, from 0."""
    return int(os.environ["RANK"]) if size() > 1 and not dist.is_initialized() else dist.get_rank() if size() > 1 else 0


def is_first() -> bool:
    """Return whether this is the process that writes files and prints."""
    return rank() == 0


def join() -> bool:
    """Meet the other processes, unless that was done; return whether there are others.

    The device is :func:`convia.config.device`'s; NCCL needs a GPU for each process of a machine, Gloo does not.
    """
    if size() < 2:
        return False
    if not dist.is_initialized():
        here = int(os.environ.get("LOCAL_WORLD_SIZE", size()))
        own_gpus = config.device().type == "cuda" and torch.cuda.device_count() >= here
        dist.init_process_group("nccl" if own_gpus else "gloo")
        atexit.register(_leave)
    return True


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def begin() -> None:
    """Meet the others and take over the first one's random generators, from which the order of the data is drawn."""
    if not join():
        return
    states: list[Any] = [python_random.getstate(), np.random.get_state(), torch.get_rng_state()]
    dist.broadcast_object_list(states, 0, device=_messages())
    python_random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])
    if config.device().type == "cuda":  # where only masks are drawn, which each process has its own of
        torch.cuda.manual_seed(torch.initial_seed() + rank())


def _messages() -> torch.device:
    """Where tensors have to be that are sent."""
    return config.device() if dist.get_backend() == "nccl" else torch.device("cpu")


def sum_of(tensor: torch.Tensor) -> torch.Tensor:
    """Return the sum of the processes' tensors."""
    total = tensor.detach().contiguous().clone()
    dist.all_reduce(total)
    return total


def sum_up(tensor: torch.Tensor) -> None:
    """Replace a tensor by the sum of the processes' tensors."""
    if size() > 1:
        dist.all_reduce(tensor)


def on_gpus() -> bool:
    """Return whether what is sent has to be on GPUs."""
    return dist.is_available() and dist.is_initialized() and dist.get_backend() == "nccl"


def any_of_us(flag: bool) -> bool:
    """Return whether the flag is set in any process."""
    return flag if size() < 2 else bool(sum_of(torch.tensor(float(flag), device=_messages())))


def meet() -> None:
    """Wait until all processes have come to this point."""
    any_of_us(False)


def gather(value: Any) -> list[Any]:
    """Return the values of all processes, in their order.

    They travel in a group of their own, so threads that prepare data do not get between the steps of a training.
    """
    if size() < 2:
        return [value]
    found: list[Any] = [None] * size()
    dist.all_gather_object(found, value, group=group_of_values())
    return found


def group_of_values() -> Any:
    """Return the group of processes in which data travels; all of them have to ask for it first at the same time."""
    global _of_values
    if _of_values is None:
        join()
        _of_values = dist.new_group(backend="gloo")
    return _of_values


def share(count: int, place: int | None = None) -> slice:
    """Return which of ``count`` rows are a process's, this one's unless told; parts differ by one row at most."""
    place = rank() if place is None else place
    return slice(count * place // size(), count * (place + 1) // size())
