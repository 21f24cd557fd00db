"""Strategies of ``tf.distribute``: the processes that torchrun has started are the replicas.

``fit`` shares the work of processes in any case. In loops of a program's own, ``strategy.run`` calls a step on this
process's rows of a batch; optimizers then apply the sum of the replicas' gradients, and the states of metrics become
sums, moving statistics means over the replicas.
"""

import contextlib
import math
from collections.abc import Callable, Iterator
from functools import wraps
from itertools import islice
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from convia import distributed, ops, tree
from convia.optimizers import LossScaleOptimizer, Optimizer
from convia.variable import Variable

_MOVING = ("moving_mean", "moving_variance")
_kept: list[Any] = []  # states of metrics and moving statistics, in the order in which they were made
_inside: list["Strategy"] = []  # strategies whose ``run`` is under way
_scopes: list["Strategy"] = []  # strategies whose scope is open


class ReduceOp:
    """Ways to join the values of replicas."""

    SUM, MEAN = "SUM", "MEAN"


def _is_sum(reduce_op: Any) -> bool:
    return str(getattr(reduce_op, "value", reduce_op)).upper().endswith("SUM")


def replicas() -> int:
    """Return how many replicas share the step under way, or the work of the scope; 1 outside of both."""
    current = (_inside or _scopes or [_alone])[-1]
    return current.num_replicas_in_sync


class DistributedDataset:
    """This process's rows of every batch of a dataset, in all processes together each row once.

    Args:
        dataset: that all processes go through.
        own: yields this process's part of it.
        whole: makes a dataset of all replicas' batches together, which ``fit`` divides by itself.
    """

    def __init__(
        self, dataset: Any, own: Callable[[Any], Iterator[Any]], whole: Callable[[Any], Any] = lambda dataset: dataset
    ) -> None:
        self._dataset, self._own, self._whole = dataset, own, whole

    def whole_batches(self) -> Any:
        """Return what yields the batches of all replicas together."""
        return self._whole(self._dataset)

    def __iter__(self) -> Iterator[Any]:
        return self._own(self._dataset)

    def __len__(self) -> int:
        return len(self._dataset)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dataset, name)


def _rows(dataset: Any) -> Iterator[Any]:
    for batch in dataset:
        rows = distributed.share(len(tree.flatten(batch)[0]))
        yield tree.map_structure(lambda leaf, rows=rows: leaf[rows], batch)


def _turns(dataset: Any) -> Iterator[Any]:
    """Take turns with the other processes; whom the last turn leaves without a batch gets an empty one."""
    elements, own = iter(dataset), distributed.rank()
    while turn := [*islice(elements, distributed.size())]:
        yield turn[own] if own < len(turn) else tree.map_structure(lambda leaf: leaf[:0], turn[0])


class _Joined:
    """Batches of replicas, joined turn by turn."""

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset

    def __iter__(self) -> Iterator[Any]:
        elements = iter(self._dataset)
        while turn := [*islice(elements, distributed.size())]:
            yield tree.map_structure(lambda *leaves: torch.cat([*map(torch.as_tensor, leaves)]), *turn)

    def __len__(self) -> int:
        return math.ceil(len(self._dataset) / distributed.size())


class Strategy:
    """One device does all the work; the scope is there for programs that were written for more.

    Args:
        *args, **kwargs: devices, resolvers and options; accepted.
    """

    _shares = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.extended = SimpleNamespace(worker_devices=["/device:CPU:0"], parameter_devices=["/device:CPU:0"])
        self.cluster_resolver = None
        if self.num_replicas_in_sync > 1:
            _watch()
            distributed.begin()

    @property
    def num_replicas_in_sync(self) -> int:
        """How many processes share each batch."""
        return distributed.size() if self._shares else 1

    @contextlib.contextmanager
    def scope(self) -> Iterator["Strategy"]:
        """Make this the current strategy; what is drawn at random in the block is the same in all processes."""
        if self.num_replicas_in_sync > 1:
            distributed.begin()
        _scopes.append(self)
        try:
            yield self
        finally:
            _scopes.pop()

    def run(self, fn: Callable[..., Any], args: Any = (), kwargs: Any = None, options: Any = None) -> Any:
        """Call a function as one of the replicas."""
        if self.num_replicas_in_sync < 2 or _inside:
            return fn(*args, **(kwargs or {}))
        before = [variable.detach().clone() for variable in _kept]
        _inside.append(self)
        try:
            with distributed.own_numbers():
                result = fn(*args, **(kwargs or {}))
        finally:
            _inside.pop()
        _join_states(before)
        return result

    experimental_run_v2 = run

    def reduce(self, reduce_op: Any, value: Any, axis: Any = None) -> Any:
        """Return the sum or mean over the replicas' values, and along an axis of them."""
        if axis is None:
            return tree.map_structure(lambda leaf: self._over_replicas(leaf, _is_sum(reduce_op)), value)
        return tree.map_structure(lambda leaf: self._along(leaf, _is_sum(reduce_op), axis), value)

    def _over_replicas(self, value: Any, is_sum: bool) -> Any:
        count = self.num_replicas_in_sync
        if count < 2:
            return value
        total = distributed.sum_of(torch.as_tensor(value))
        return total if is_sum else total / count

    def _along(self, value: Any, is_sum: bool, axis: Any) -> Any:
        total = self._over_replicas(ops.sum(value, axis=axis), True)
        length = self._over_replicas(torch.tensor(float(value.shape[axis])), True)
        return total if is_sum else total / length

    def experimental_distribute_dataset(self, dataset: Any, options: Any = None) -> Any:
        """Return this replica's part of a dataset of global batches."""
        return dataset if self.num_replicas_in_sync < 2 else DistributedDataset(dataset, _rows)

    def distribute_datasets_from_function(self, dataset_fn: Callable[[Any], Any], options: Any = None) -> Any:
        """Return this replica's part of a dataset of replicas' batches, which a function makes."""
        count = self.num_replicas_in_sync
        share = SimpleNamespace(
            get_per_replica_batch_size=lambda size: int(size) // count,
            num_replicas_in_sync=count, num_input_pipelines=1, input_pipeline_id=0,
        )  # fmt: skip
        dataset = dataset_fn(share)
        return dataset if count < 2 else DistributedDataset(dataset, _turns, _Joined)

    experimental_distribute_datasets_from_function = distribute_datasets_from_function

    def experimental_local_results(self, value: Any) -> tuple[Any, ...]:
        """Return the values of this process's replicas: the one."""
        return (value,)

    def gather(self, value: Any, axis: int) -> Any:
        """Return the values of all replicas, joined along an axis."""
        if self.num_replicas_in_sync < 2:
            return value
        own = torch.as_tensor(value).movedim(axis, 0)
        lengths = torch.zeros(distributed.size(), dtype=torch.int64)
        lengths[distributed.rank()] = len(own)
        ends = distributed.sum_of(lengths).cumsum(0).tolist()
        whole = own.new_zeros(ends[-1], *own.shape[1:])
        whole[ends[distributed.rank()] - len(own) : ends[distributed.rank()]] = own
        return distributed.sum_of(whole).movedim(0, axis)


class MirroredStrategy(Strategy):
    """A copy of the model per process, of which torchrun starts one per GPU."""

    _shares = True


class MultiWorkerMirroredStrategy(MirroredStrategy):
    """Copies on several machines, which torchrun brings together."""


class OneDeviceStrategy(Strategy):
    """One device."""


class CentralStorageStrategy(MirroredStrategy):
    """Variables in one place; here a copy per process."""


class TPUStrategy(Strategy):
    """TPUs; here one device."""


def _watch() -> None:
    """From now on note the variables of which replicas hold parts, and sum up gradients within ``run``."""
    if getattr(Variable.__init__, "is_watched", False):
        return

    def note(self: Any, *args: Any, **kwargs: Any) -> None:
        if self.aggregation == "sum" or self.name in _MOVING:
            _kept.append(self)

    note.is_watched = True  # type: ignore[attr-defined]
    Variable.__init__ = note  # type: ignore[method-assign]
    for kind in (Optimizer, LossScaleOptimizer):
        kind.apply = _summed(kind.apply)  # type: ignore[method-assign]


def _summed(apply: Callable[..., None]) -> Callable[..., None]:
    @wraps(apply)
    def shared(self: Any, grads: Any, *args: Any, **kwargs: Any) -> None:
        if not _inside:
            return apply(self, grads, *args, **kwargs)
        strategy = _inside.pop()  # an optimizer within this one gets sums already
        try:
            means = distributed.average(list(grads))
            sums = [None if mean is None else mean * distributed.size() for mean in means]
            return apply(self, sums, *args, **kwargs)
        finally:
            _inside.append(strategy)

    return shared


def _join_states(before: list[Tensor]) -> None:
    """Add up what the replicas have added to metrics' states, and take the means of moving statistics."""
    firsts = [*before, *(torch.zeros_like(state) for state in _kept[len(before) :])]
    if not _kept:
        return
    changes = [(state.detach() - first).flatten().double() for state, first in zip(_kept, firsts, strict=True)]
    sums = distributed.sum_of(torch.cat(changes)).split([len(change) for change in changes])
    for state, first, total in zip(_kept, firsts, sums, strict=True):
        change = total / distributed.size() if state.name in _MOVING else total
        state.data.copy_(first + change.view(state.shape).to(first.dtype))


def _context() -> Any:
    current = (_inside or [_alone])[-1]
    return SimpleNamespace(
        all_reduce=current.reduce,
        num_replicas_in_sync=current.num_replicas_in_sync,
        replica_id_in_sync_group=distributed.rank() if current.num_replicas_in_sync > 1 else 0,
        strategy=current,
    )


_alone = Strategy()
STRATEGIES = {
    cls.__name__: cls
    for cls in (Strategy, MirroredStrategy, MultiWorkerMirroredStrategy, OneDeviceStrategy, TPUStrategy)
}
DISTRIBUTE: dict[str, Any] = {
    **STRATEGIES,
    "DistributedDataset": DistributedDataset,
    "HierarchicalCopyAllReduce": SimpleNamespace,
    "InputContext": SimpleNamespace,
    "NcclAllReduce": SimpleNamespace,
    "ReduceOp": ReduceOp,
    "ReductionToOneDevice": SimpleNamespace,
    "RunOptions": dict,
    "get_replica_context": _context,
    "get_strategy": lambda: (_inside or _scopes or [_alone])[-1],
    "has_strategy": lambda: bool(_inside or _scopes),
    "in_cross_replica_context": lambda: not _inside,
}
EXPERIMENTAL_DISTRIBUTE = {
    "CentralStorageStrategy": CentralStorageStrategy,
    "CollectiveCommunication": SimpleNamespace(AUTO="AUTO", RING="RING", NCCL="NCCL"),
    "MultiWorkerMirroredStrategy": MultiWorkerMirroredStrategy,
    "TPUStrategy": TPUStrategy,
}

__all__ = ["DISTRIBUTE", "EXPERIMENTAL_DISTRIBUTE", "STRATEGIES", "replicas"]
