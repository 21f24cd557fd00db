"""The CPU engine: graphs of layers become plans for the native kernels."""

from convia.engine.loading import (
    chosen_engine,
    instruction_set,
    lanes,
    native,
    reason_for_absence,
    threads,
)
from convia.engine.lowering import Part, lower, lower_part
from convia.engine.plan import Plan, Unsupported
from convia.engine.training import add_losses, add_optimizer, rule

__all__ = [
    "Part",
    "Plan",
    "Unsupported",
    "add_losses",
    "add_optimizer",
    "chosen_engine",
    "instruction_set",
    "lanes",
    "lower",
    "lower_part",
    "native",
    "reason_for_absence",
    "rule",
    "threads",
]
