"""Mixed precision under its older names: ``mixed_precision.set_global_policy("mixed_bfloat16")``."""

from convia.config import DTypePolicy
from convia.config import DTypePolicy as Policy
from convia.config import dtype_policy as global_policy
from convia.config import set_dtype_policy as set_global_policy
from convia.optimizers import LossScaleOptimizer

dtype_policy = global_policy
set_dtype_policy = set_global_policy

__all__ = [
    "DTypePolicy",
    "LossScaleOptimizer",
    "Policy",
    "dtype_policy",
    "global_policy",
    "set_dtype_policy",
    "set_global_policy",
]
