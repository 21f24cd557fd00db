"""What an optimizer notes for weights that processes share out: each process notes it for its own parts."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from convia.distributed.processes import sum_of
from convia.errors import explain

_OF_WHOLE_WEIGHTS = ("Adafactor", "Lamb", "LossScaleOptimizer", "MultiOptimizer", "Muon")


class Notes:
    """An optimizer of parts, which stands in for one of whole weights.

    Args:
        whole: the model's optimizer.
        variables: what it learns.
        learned: the same, but for parts where weights are shared out.

    Attributes:
        optimizer: the stand-in, with the other's count of steps and learning rate.

    Raises:
        ValueError: a rule that does not treat each element by itself.
    """

    def __init__(self, whole: Any, variables: Sequence[Any], learned: Sequence[Any]) -> None:
        parts = [each if hasattr(each, "shard") else None for each in learned]
        _check(whole, parts)
        self._whole, self._variables = whole, [*variables]
        own = self.optimizer = copy.copy(whole)
        own.built, own._added, own._slots, own._trainable_variables, own._index = False, [], [], [], {}
        excluded = {id(variable): each for variable, each in zip(variables, learned, strict=True)}
        own._excluded = [excluded.get(id(variable), variable) for variable in whole._excluded]
        if all(part is not None for part in parts):
            own._norms = _norms
        own.build(learned)
        self._owners = _owners(own, parts)
        if whole.built:
            for slot, mine, part in zip(whole._added, own._added, self._owners, strict=True):
                mine.assign(slot) if part is None else part.cut(slot, mine)
            self.let_go()

    def gather(self, wanted: bool) -> None:
        """Gather what the processes have noted; all take part, and those that want it keep it."""
        if wanted:
            self._whole.build(self._variables)
        mine = self.optimizer._added
        for slot, own, part in zip(self._whole._added if wanted else mine, mine, self._owners, strict=True):
            if part is not None:
                part.collect(slot if wanted else None, own)
            elif wanted:
                slot.assign(own)

    def let_go(self) -> None:
        """Free what is noted for whole weights."""
        for slot, part in zip(self._whole._added, self._owners, strict=False):
            if part is not None:
                part.let_go(slot)


def _owners(optimizer: Any, parts: Sequence[Any]) -> list[Any]:
    """Return for each thing that an optimizer of parts notes the part that it belongs to, None where that is none."""
    columns = [
        *zip(*optimizer._slots, strict=True),
        getattr(optimizer, "_averages", ()),
        getattr(optimizer, "_sums", ()),
    ]
    owners = {id(slot): part for column in columns for slot, part in zip(column, parts, strict=False)}
    return [owners.get(id(slot)) for slot in optimizer._added]


def _norms(gradients: Sequence[Tensor]) -> list[Tensor]:
    """Return the norms of the gradients that these are parts of."""
    return [*sum_of(torch.stack([gradient.square().sum() for gradient in gradients])).sqrt()]


def _check(optimizer: Any, parts: Sequence[Any]) -> None:
    """See that an optimizer can do with parts."""
    kinds = [kind.__name__ for kind in type(optimizer).__mro__ if kind.__name__ in _OF_WHOLE_WEIGHTS]
    clips = [name for name in ("clipnorm", "global_clipnorm") if getattr(optimizer, name)]
    if kinds or (clips and len({part is None for part in parts}) > 1):
        received = kinds[0] if kinds else f"{clips[0]}, and weights of which some are shared out"
        expected = "an optimizer that treats each element by itself, such as Adam"
        remedy = "In half precision use mixed_bfloat16, which needs no scaled loss."
        remedy = remedy if "LossScaleOptimizer" in kinds else "Or share the batches alone with DataParallel."
        raise ValueError(explain("fit with weights shared out among processes", received, expected, remedy))
