"""What can be done at the events of training: progress, history, checkpoints, early stopping, logs."""

from convia.callbacks.averages import SwapEMAWeights
from convia.callbacks.backup import BackupAndRestore
from convia.callbacks.base import Callback
from convia.callbacks.checkpoint import ModelCheckpoint
from convia.callbacks.container import CallbackList
from convia.callbacks.monitor import EarlyStopping, MonitorCallback, ReduceLROnPlateau, TerminateOnNaN
from convia.callbacks.progress import Progbar, ProgbarLogger
from convia.callbacks.rates import LearningRateScheduler
from convia.callbacks.records import CSVLogger, History, LambdaCallback, RemoteMonitor
from convia.callbacks.tensorboard import TensorBoard

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "MonitorCallback",
    "Progbar",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "RemoteMonitor",
    "SwapEMAWeights",
    "TensorBoard",
    "TerminateOnNaN",
]
