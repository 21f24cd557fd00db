"""Callbacks and histories of older eras: acc or accuracy, lr, checkpoints of any ending and every so many epochs."""

import functools
import warnings
from collections.abc import Callable
from typing import Any

from convia import callbacks
from convia.callbacks import container, tensorboard
from convia.callbacks.monitor import MonitorCallback
from convia.compat import eras
from convia.compat.door import from_outside, graft
from convia.compat.report import note

_TWINS = {"acc": "accuracy", "accuracy": "acc", "lr": "learning_rate"}


class Logs(dict[str, Any]):
    """Results by name; ``acc`` and ``accuracy`` are found under each other's name, ``lr`` under ``learning_rate``."""

    def _twin(self, key: Any) -> Any:
        if not isinstance(key, str):
            return None
        if key in ("lr", "learning_rate"):
            other = "lr" if key == "learning_rate" else "learning_rate"
        else:
            head, _, last = key.rpartition("_")
            swapped = _TWINS.get(last, last)
            other = f"{head}_{swapped}" if head else swapped
        return other if other != key and dict.__contains__(self, other) else None

    def __setitem__(self, key: Any, value: Any) -> None:
        renamed = key == "learning_rate" and eras.current() in eras.OLD
        dict.__setitem__(self, "lr" if renamed else key, value)

    def __missing__(self, key: Any) -> Any:
        other = self._twin(key)
        if other is None:
            raise KeyError(key)
        note(key, other)
        return dict.__getitem__(self, other)

    def __contains__(self, key: Any) -> bool:
        return dict.__contains__(self, key) or self._twin(key) is not None

    def get(self, key: Any, default: Any = None) -> Any:
        """Return a value, or the default."""
        return self[key] if key in self else default  # noqa: SIM401  # dict.get knows no other spelling

    def __reduce__(self) -> Any:
        return dict, (dict(self),)


def _logs(original: Callable[[Any], dict[str, Any]]) -> Callable[[Any], dict[str, Any]]:
    @functools.wraps(original)
    def plain(logs: Any) -> dict[str, Any]:
        return Logs(original(logs))

    return plain


def _history(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def init(self: Any) -> None:
        original(self)
        self.history = Logs()

    return init


def _checkpoint(original: Callable[..., None]) -> Callable[..., None]:
    """Any ending, and ``period=`` epochs between files."""

    @functools.wraps(original)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        if not from_outside():
            original(self, *args, **kwargs)
            return
        names = ["filepath", "monitor", "verbose", "save_best_only", "save_weights_only", "mode", "period"]
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        period, path = int(given.pop("period", 1)), str(given["filepath"])
        for name in ("load_weights_on_restart", "options"):
            given.pop(name, None)
        ending = ".weights.h5" if given.get("save_weights_only") else ".keras"
        original(
            self, **{**given, "filepath": path if path.endswith((ending, ".h5" * (ending == ".keras"))) else ending}
        )
        self.filepath = path
        self.__dict__["_era_period"] = period
        if period > 1:
            note("period", "save_freq")

    return init


def _of_keras1(original: Callable[..., Any]) -> Callable[..., Any]:
    """Whether this epoch is one to be saved at; files are written as the program itself would."""

    @functools.wraps(original)
    def save(self: Any, epoch: int, batch: int | None, logs: Any) -> Any:
        if batch is None and (epoch + 1) % self.__dict__.get("_era_period", 1):
            return None
        self.model.__dict__["_era_checkpoint"] = True
        try:
            return original(self, epoch, batch, logs)
        finally:
            del self.model.__dict__["_era_checkpoint"]

    return save


def _direction(original: Callable[..., Any]) -> Callable[..., Any]:
    """Older eras guessed: what is called acc, or starts with fmeasure, is better the greater, the rest the smaller."""

    @functools.wraps(original)
    def direction(self: Any) -> Any:
        try:
            return original(self)
        except ValueError:
            if eras.current() not in eras.OLD:
                raise
            return container.np.less

    return direction


class _NoWriter:
    """Stands for a writer of TensorBoard's files where that is not installed."""

    def __init__(self, *args: Any) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: self


def _writer_class(original: Callable[[], Any]) -> Callable[[], Any]:
    """A program runs to its end without TensorBoard, which it only tells about itself."""

    @functools.wraps(original)
    def found() -> Any:
        try:
            return original()
        except ImportError as error:
            warnings.warn(f"{error} The program runs on without it.", stacklevel=2)
            return _NoWriter

    return found


def _graph_summary(original: Callable[[str], Any]) -> Callable[[str], Any]:
    @functools.wraps(original)
    def summary(text: str) -> Any:
        try:
            return original(text)
        except ImportError:
            return None

    return summary


def install() -> None:
    """Lend them."""
    graft(container, "plain_logs", _logs(container.plain_logs))
    graft(callbacks.History, "__init__", _history(callbacks.History.__init__))
    graft(callbacks.ModelCheckpoint, "__init__", _checkpoint(callbacks.ModelCheckpoint.__init__))
    graft(callbacks.ModelCheckpoint, "_save", _of_keras1(callbacks.ModelCheckpoint._save))
    graft(tensorboard, "_writer_class", _writer_class(tensorboard._writer_class))
    graft(tensorboard, "_graph_summary", _graph_summary(tensorboard._graph_summary))
    graft(MonitorCallback, "_direction", _direction(MonitorCallback._direction))
