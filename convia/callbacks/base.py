"""Callback: what can be done at the events of training, evaluation and prediction."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from torch.nn.parallel import DistributedDataParallel

Logs = dict[str, Any] | None
Hook = TypeVar("Hook", bound=Callable[..., None])


def needed_if(condition: Callable[[Any], Any]) -> Callable[[Hook], Hook]:
    """Mark a hook that has work to do only if ``condition(callback)`` holds, so that a loop may skip the call."""

    def mark(hook: Hook) -> Hook:
        hook._needed_if = condition  # type: ignore[attr-defined]
        return hook

    return mark


def after_others(hook: Hook) -> Hook:
    """Mark a hook that is called after those of all other callbacks, wherever it stands in the list."""
    hook._after_others = True  # type: ignore[attr-defined]
    return hook


def in_turn(callbacks: Iterable[Any], hook: str) -> list[Any]:
    """Return callbacks in the order in which their hooks are called."""
    return sorted(callbacks, key=lambda item: getattr(getattr(item, hook, None), "_after_others", False))


def needs(callback: Any, hook: str) -> bool:
    """Return whether a callback has something to do at a hook such as "on_train_batch_end"."""
    function = getattr(callback, hook, None)
    condition = getattr(function, "_needed_if", None)
    return function is not None and (condition is None or bool(condition(callback)))


def never(callback: Any) -> bool:
    """The condition of hooks that do nothing."""
    return False


class Callback:
    """Base of callbacks: override the methods of the events that you want to see.

    ``epoch`` and ``batch`` count from 0. ``logs`` holds the metrics as floats: at the end of a batch, of this epoch so
    far; at the end of an epoch, of the epoch, those of validation with the prefix "val_". What a callback adds to the
    logs of an epoch is seen by those after it and by the history.

    Attributes:
        params: "verbose", "epochs" and "steps" of the loop that runs.
        model: the model that the loop works on; set ``model.stop_training = True`` to end the training.
        first_process_only: whether only the first of several processes that share a training calls it, as it writes.
        kept: names of attributes that BackupAndRestore backs up and restores, so that a callback goes on as if nothing
            had happened: numbers, texts, arrays, or lists and dictionaries of them.
    """

    kept: tuple[str, ...] = ()
    params: Any = None
    first_process_only = False
    _model: Any = None

    def set_params(self, params: Any) -> None:
        """Receive the parameters of the loop."""
        self.params = params

    def set_model(self, model: Any) -> None:
        """Receive the model, before any other event."""
        self._model = model

    @property
    def model(self) -> Any:
        """The model; where it is wrapped for distributed training, the one inside."""
        return self._model.module if isinstance(self._model, DistributedDataParallel) else self._model

    @needed_if(never)
    def on_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """The older name of ``on_train_batch_begin``."""

    @needed_if(never)
    def on_batch_end(self, batch: int, logs: Logs = None) -> None:
        """The older name of ``on_train_batch_end``."""

    @needed_if(never)
    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """An epoch of training begins."""

    @needed_if(never)
    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """An epoch of training has ended, its validation included."""

    @needed_if(lambda self: needs(self, "on_batch_begin"))
    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """A batch of training begins."""
        self.on_batch_begin(batch, logs=logs)

    @needed_if(lambda self: needs(self, "on_batch_end"))
    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """A batch of training has ended."""
        self.on_batch_end(batch, logs=logs)

    @needed_if(never)
    def on_test_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """A batch of evaluation, or of validation within training, begins."""

    @needed_if(never)
    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        """A batch of evaluation, or of validation within training, has ended."""

    @needed_if(never)
    def on_predict_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """A batch of prediction begins."""

    @needed_if(never)
    def on_predict_batch_end(self, batch: int, logs: Logs = None) -> None:
        """A batch of prediction has ended; ``logs["outputs"]`` holds its result."""

    @needed_if(never)
    def on_train_begin(self, logs: Logs = None) -> None:
        """Training begins."""

    @needed_if(never)
    def on_resumption(self, batch: int) -> None:
        """A restored training has passed over the batches of its epoch up to this one, which comes next."""

    @needed_if(never)
    def on_interruption(self, epoch: int, batch: int) -> None:
        """SIGTERM or Ctrl-C ends the training: it would go on with this batch; only ``on_train_end`` follows."""

    @needed_if(never)
    def on_train_end(self, logs: Logs = None) -> None:
        """Training has ended; the logs are those of the last epoch."""

    @needed_if(never)
    def on_test_begin(self, logs: Logs = None) -> None:
        """Evaluation, or validation within training, begins."""

    @needed_if(never)
    def on_test_end(self, logs: Logs = None) -> None:
        """Evaluation, or validation within training, has ended."""

    @needed_if(never)
    def on_predict_begin(self, logs: Logs = None) -> None:
        """Prediction begins."""

    @needed_if(never)
    def on_predict_end(self, logs: Logs = None) -> None:
        """Prediction has ended."""
