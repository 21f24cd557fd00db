"""One training shared by several processes, through torch.distributed (Gloo on CPUs, NCCL on GPUs).

``torchrun --nproc-per-node 4 script.py`` runs a script in four processes. Each holds all data and draws the same
batches; of each batch it computes the outputs for its own rows, and gets those of the others. Loss and metrics are
therefore those of the whole batch, whatever they are, in every process; gradients are averaged in one piece.
"""

from convia.distributed.parallel import agree, align, average, gradients, mean, moments, outputs, own_numbers, settle
from convia.distributed.processes import (
    any_of_us,
    begin,
    gather,
    is_first,
    join,
    meet,
    on_gpus,
    rank,
    share,
    size,
    sum_of,
    sum_up,
)
from convia.distributed.steps import at_once, fill, is_together, together

__all__ = [
    "agree",
    "align",
    "any_of_us",
    "at_once",
    "average",
    "begin",
    "fill",
    "gather",
    "gradients",
    "is_first",
    "is_together",
    "join",
    "mean",
    "meet",
    "moments",
    "on_gpus",
    "outputs",
    "own_numbers",
    "rank",
    "settle",
    "share",
    "size",
    "sum_of",
    "sum_up",
    "together",
]
