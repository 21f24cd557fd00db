"""``keras`` itself: what its oldest versions had at the top."""

from convia import metrics, mixed_precision, models, optimizers, schedules
from convia.config import DTypePolicy as Policy

LinearModel = WideDeepModel = models.Model
global_policy = mixed_precision.dtype_policy
set_policy = mixed_precision.set_dtype_policy
LossScaleOptimizer = optimizers.LossScaleOptimizer
Mean = metrics.Mean
CosineDecay, CosineDecayRestarts = schedules.CosineDecay, schedules.CosineDecayRestarts

__all__ = [
    "CosineDecay",
    "CosineDecayRestarts",
    "LinearModel",
    "LossScaleOptimizer",
    "Mean",
    "Policy",
    "WideDeepModel",
    "global_policy",
    "set_policy",
]
