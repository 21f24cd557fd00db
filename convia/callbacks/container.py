"""CallbackList: several callbacks as one, and which of them have to be called at every batch."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from convia import distributed, tree
from convia.callbacks.base import Callback, Logs, in_turn, needs
from convia.callbacks.progress import ProgbarLogger
from convia.callbacks.records import History
from convia.errors import explain

_LOOPS = ("train", "test", "predict")


def plain_logs(logs: Logs) -> dict[str, Any]:
    """Return logs sorted by name, nested dictionaries merged in, numbers and scalar tensors as floats."""
    result: dict[str, Any] = {}
    for name, value in sorted((logs or {}).items()):
        if isinstance(value, dict):
            result.update(plain_logs(value))
        else:
            result[name] = _plain(value)
    return result


def _plain(value: Any) -> Any:
    is_array = isinstance(value, (np.ndarray, torch.Tensor))
    try:
        return value if is_array and value.ndim else float(value)
    except (TypeError, ValueError):
        return value


class CallbackList(Callback):
    """Calls several callbacks, in their order, then the history and the progress bar; last what backs all that up.

    The hooks of batches are called only on callbacks that override them, under their present names or the older
    ``on_batch_begin`` and ``on_batch_end``. A loop that asks ``wants_train_batches`` first need not compute logs that
    nobody reads. The progress bar is apart: ``progress.due(batch)`` says when it wants to draw.

    Args:
        callbacks: a callback, or a list of them.
        add_history: add a History unless there is one.
        add_progbar: add a ProgbarLogger unless there is one.
        model: the model, given to every callback.
        params: "verbose", "epochs", "steps", given to every callback.

    Attributes:
        progress: the progress bar, or None.
        wants_train_batches, wants_test_batches, wants_predict_batches: whether a callback other than the progress bar
            looks at single batches.
        inside_fit: whether training runs, so that evaluation is its validation.

    Raises:
        TypeError: something in the list is not a callback.
    """

    inside_fit = False

    def __init__(
        self,
        callbacks: Any = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Any = None,
        **params: Any,
    ) -> None:
        self.callbacks: list[Any] = [_checked(item) for item in tree.flatten(callbacks)] if callbacks else []
        if not distributed.is_first():
            self.callbacks = [item for item in self.callbacks if not getattr(item, "first_process_only", False)]
        if add_history and not any(isinstance(item, History) for item in self.callbacks):
            self.callbacks.append(History())
        if add_progbar and not any(isinstance(item, ProgbarLogger) for item in self.callbacks):
            self.callbacks.append(ProgbarLogger())
        self.progress = next((item for item in self.callbacks if isinstance(item, ProgbarLogger)), None)
        self.history = next((item for item in self.callbacks if isinstance(item, History)), None)
        for item in self.callbacks:
            if hasattr(item, "_companions"):
                item._companions = [other for other in self.callbacks if other is not item]
        self._find_watchers()
        self.set_model(model)
        self.set_params(params)

    def _find_watchers(self) -> None:
        """Find out, once per loop, who wants to be called at every batch."""
        self._watchers = {
            (loop, moment): self._watching(f"on_{loop}_batch_{moment}")
            for loop in _LOOPS
            for moment in ("begin", "end")
        }
        self.wants_train_batches, self.wants_test_batches, self.wants_predict_batches = (
            bool(self._watchers[loop, "begin"] or self._watchers[loop, "end"]) for loop in _LOOPS
        )

    def _watching(self, hook: str) -> list[Callable[..., None]]:
        items = [item for item in in_turn(self.callbacks, hook) if item is not self.progress]
        return [getattr(item, hook) for item in items if needs(item, hook)]

    def set_params(self, params: Any) -> None:
        """Give the parameters of the loop to all callbacks."""
        self.params = params
        if params:
            for item in self.callbacks:
                item.set_params(params)

    def set_model(self, model: Any) -> None:
        """Give the model to all callbacks, and the history to the model."""
        if model is None:
            return
        self._model = model
        for item in self.callbacks:
            item.set_model(model)
        if self.history is not None:
            model.history = self.history.twin()

    def set_sources(self, sources: Sequence[Any]) -> None:
        """Give the data sets of a training to what backs up how far they have been gone through."""
        for item in self.callbacks:
            if hasattr(item, "_sources"):
                item._sources = sources

    def on_resumption(self, batch: int) -> None:
        """Tell all callbacks that a restored training goes on within an epoch."""
        for item in self.callbacks:
            if hasattr(item, "on_resumption"):
                item.on_resumption(batch)

    def on_interruption(self, epoch: int, batch: int) -> None:
        """Tell all callbacks of a signal."""
        for item in self.callbacks:
            if hasattr(item, "on_interruption"):
                item.on_interruption(epoch, batch)

    def on_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """The older name of ``on_train_batch_begin``."""
        self.on_train_batch_begin(batch, logs)

    def on_batch_end(self, batch: int, logs: Logs = None) -> None:
        """The older name of ``on_train_batch_end``."""
        self.on_train_batch_end(batch, logs)


def _checked(item: Any) -> Any:
    if isinstance(item, type) or not hasattr(item, "set_model"):
        name = item.__name__ if isinstance(item, type) else type(item).__name__
        received = f"the class {name}" if isinstance(item, type) else repr(item)
        remedy = f"Write {name}(...)." if isinstance(item, type) else "Functions are wrapped by LambdaCallback."
        raise TypeError(explain("callbacks", received, "instances of keras.callbacks.Callback", remedy))
    return item


def _at_loop(loop: str, moment: str) -> Callable[..., None]:
    hook = f"on_{loop}_{moment}"

    def call(self: CallbackList, logs: Logs = None) -> None:
        logs = plain_logs(logs)
        for item in in_turn(self.callbacks, hook):
            getattr(item, hook)(logs)
        if moment == "begin":  # by then a backup has been restored, which may be of the middle of an epoch
            self._find_watchers()

    return call


def _at_epoch(moment: str) -> Callable[..., None]:
    hook = f"on_epoch_{moment}"

    def call(self: CallbackList, epoch: int, logs: Logs = None) -> None:
        logs = plain_logs(logs)
        for item in in_turn(self.callbacks, hook):
            getattr(item, hook)(epoch, logs)

    return call


def _at_batch(loop: str, moment: str) -> Callable[..., None]:
    key, hook = (loop, moment), f"on_{loop}_batch_{moment}"

    def call(self: CallbackList, batch: int, logs: Logs = None) -> None:
        logs = plain_logs(logs)
        for watch in self._watchers[key]:
            watch(batch, logs=logs)
        if moment == "end" and self.progress is not None and self.progress.due(batch):
            getattr(self.progress, hook)(batch, logs)

    return call


for _moment in ("begin", "end"):
    setattr(CallbackList, f"on_epoch_{_moment}", _at_epoch(_moment))
    for _loop in _LOOPS:
        setattr(CallbackList, f"on_{_loop}_{_moment}", _at_loop(_loop, _moment))
        setattr(CallbackList, f"on_{_loop}_batch_{_moment}", _at_batch(_loop, _moment))
