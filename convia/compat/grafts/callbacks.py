"""Callbacks and histories of older eras: acc or accuracy, lr, checkpoints of any ending and every so many epochs.

Results came in the order of the metrics there, the loss first; Keras 1 and 2 put those of validation before them, but
not in the progress bar.
"""

import functools
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from convia import callbacks
from convia.callbacks import container, tensorboard
from convia.callbacks.monitor import MonitorCallback
from convia.compat import arguments, eras
from convia.compat.door import from_outside, graft
from convia.compat.report import note
from convia.training import trainer

_PAIRS = {"acc": "accuracy", **arguments.METRICS}  # short → long; either is found under the other
_TWINS = {**_PAIRS, **{long: short for short, long in _PAIRS.items()}}


class Logs(dict[str, Any]):
    """Results by name; ``acc`` and ``accuracy`` are found under each other's name, ``lr`` under ``learning_rate``."""

    def _twin(self, key: Any) -> Any:
        if not isinstance(key, str):
            return None
        if key in ("lr", "learning_rate"):
            other = "lr" if key == "learning_rate" else "learning_rate"
        else:
            last = max((name for name in _TWINS if f"_{key}".endswith(f"_{name}")), key=len, default="")
            other = key.removesuffix(last) + _TWINS.get(last, "")
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
        found = original(logs)
        if eras.current() not in eras.OLD:
            return Logs(found)
        names = [*(name for name in logs or {} if name in found), *found]
        return Logs({name: found[name] for name in _validation_at(names, last=eras.current() not in eras.STANDALONE)})

    return plain


def _validation_at(names: Any, last: bool) -> list[str]:
    return sorted(names, key=lambda name: name.startswith("val_") == last)


def _numbers(original: Callable[[Any], dict[str, Any]]) -> Callable[[Any], dict[str, Any]]:
    @functools.wraps(original)
    def numbers(logs: Any) -> dict[str, Any]:
        found = original(logs)
        return {name: found[name] for name in logs if name in found} if eras.current() in eras.OLD else found

    return numbers


def _finish(original: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    @functools.wraps(original)
    def finish(self: Any, logs: Any) -> None:
        original(self, {name: logs[name] for name in _validation_at(logs, last=True)} if logs else logs)

    return finish


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
        endings = (".weights.h5",) if given.get("save_weights_only") else (".keras", ".h5")
        original(self, **{**given, "filepath": path if path.endswith(endings) else endings[0]})
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
            return np.less

    return direction


def _watchers(original: Callable[[Any], None]) -> Callable[[Any], None]:
    """Keras 1 and 2 told callbacks each batch's number and size."""

    @functools.wraps(original)
    def find(self: Any) -> None:
        original(self)
        if eras.current() in eras.STANDALONE:
            for watchers in self._watchers.values():
                watchers[:] = [_with_size(self, watch) for watch in watchers]

    return find


def _with_size(owner: Any, watch: Callable[..., None]) -> Callable[..., None]:
    def call(batch: int, logs: Any = None) -> None:
        params = owner.params or {}
        samples, size = params.get("samples") or math.inf, params.get("batch_size") or 32
        last = (batch + 1) * size > samples
        watch(batch, Logs({**(logs or {}), "batch": batch, "size": samples - batch * size if last else size}))

    return call


def _of_batch(name: str, original: Callable[..., None]) -> Callable[..., None]:
    """Keras 1 and 2 passed on the batch and its logs by their places, so a program may call them what it likes."""

    @functools.wraps(original)
    def hook(self: Any, batch: int, logs: Any = None) -> None:
        if eras.current() in eras.STANDALONE:
            getattr(self, name)(batch, logs)
        else:
            original(self, batch, logs)

    return hook


def _params(original: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """What callbacks of Keras 1 and 2 were told besides: how many samples, which metrics, the validation data."""

    @functools.wraps(original)
    def set_params(self: Any, params: Any) -> None:
        model: Any = getattr(self, "_model", None)
        known = vars(model).get("_era_fit", {}) if model is not None else {}
        if not params or "epochs" not in params or eras.current() not in eras.STANDALONE or not known:
            original(self, params)
            return
        names = list(model.metrics_names)
        names += [f"val_{name}" for name in names] if known["validation"] is not None else []
        more = {
            "samples": known["samples"],
            "nb_sample": known["samples"],
            "nb_epoch": params["epochs"],
            "batch_size": known["batch_size"],
            "metrics": names,
            "do_validation": known["validation"] is not None,
        }
        original(self, {**params, **more})
        for item in self.callbacks:
            item.validation_data = known["validation"]

    return set_params


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
    graft(trainer, "_numbers", _numbers(trainer._numbers))
    graft(callbacks.ProgbarLogger, "_finish", _finish(callbacks.ProgbarLogger._finish))
    graft(container.CallbackList, "_find_watchers", _watchers(container.CallbackList._find_watchers))
    graft(container.CallbackList, "set_params", _params(container.CallbackList.set_params))
    for name in ("on_batch_begin", "on_batch_end"):
        hook = name.replace("on_", "on_train_")
        graft(callbacks.Callback, hook, _of_batch(name, getattr(callbacks.Callback, hook)))
    graft(callbacks.History, "__init__", _history(callbacks.History.__init__))
    graft(callbacks.ModelCheckpoint, "__init__", _checkpoint(callbacks.ModelCheckpoint.__init__))
    graft(callbacks.ModelCheckpoint, "_save", _of_keras1(callbacks.ModelCheckpoint._save))
    graft(tensorboard, "_writer_class", _writer_class(tensorboard._writer_class))
    graft(tensorboard, "_graph_summary", _graph_summary(tensorboard._graph_summary))
    graft(MonitorCallback, "_direction", _direction(MonitorCallback._direction))
