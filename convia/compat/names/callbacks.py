"""Callbacks that only older eras had."""

from typing import Any

from convia.callbacks import Callback, CallbackList, ModelCheckpoint


class BaseLogger(Callback):
    """Does nothing: the means of metrics over an epoch are always in the logs."""

    def __init__(self, stateful_metrics: Any = None) -> None:
        super().__init__()


SidecarEvaluatorModelExport = ModelCheckpoint

__all__ = [
    "BaseLogger",
    "CallbackList",
    "SidecarEvaluatorModelExport",
]
