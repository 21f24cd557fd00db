"""Callbacks that keep, write or send what happens: History, LambdaCallback, CSVLogger, RemoteMonitor."""

import csv
import json
import os
import urllib.error
import urllib.parse
import urllib.request
import warnings
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch.nn.parallel import DistributedDataParallel

from convia.callbacks.base import Callback, Logs
from convia.callbacks.disk import survives
from convia.errors import explain

_TIMEOUT = 30  # seconds


class History(Callback):
    """What ``fit`` returns.

    ``model.history`` is a twin with the same values, which does not hold the model: so a model that nobody needs any
    more goes at once, and not with some later garbage collection.

    Attributes:
        history: name of a metric → its values, one per epoch.
        epoch: the numbers of the epochs, from 0.
    """

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []

    def set_model(self, model: Any) -> None:
        """Receive the model, before any other event."""
        self._held, self._model = model, weakref.ref(model)

    @property
    def model(self) -> Any:
        """The model; where it is wrapped for distributed training, the one inside."""
        model = None if self._model is None else self._model()
        return model.module if isinstance(model, DistributedDataParallel) else model

    def twin(self) -> "History":
        """Return a History that is the same, but for that it does not hold the model."""
        made = type(self).__new__(type(self))
        made.__dict__ = self.__dict__
        return made

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_model": None if self._model is None else self._model()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        model = state.pop("_model")
        self.__dict__.update(state)
        if model is not None:
            self.set_model(model)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, History) and self.__dict__ is other.__dict__

    def __hash__(self) -> int:
        return id(self.__dict__)

    def on_train_begin(self, logs: Logs = None) -> None:
        """Begin to count; values of earlier training are kept."""
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Append the epoch's values."""
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
        self.model.history = self.twin()


class LambdaCallback(Callback):
    """A callback made of functions.

    Args:
        on_epoch_begin, on_epoch_end: functions of (epoch, logs).
        on_train_begin, on_train_end: functions of (logs).
        on_train_batch_begin, on_train_batch_end: functions of (batch, logs).
        kwargs: functions for the other hooks of Callback, by name.
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        **kwargs: Any,
    ) -> None:
        hooks = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
        }
        self.__dict__.update(kwargs)
        self.__dict__.update({name: function for name, function in hooks.items() if function is not None})


class CSVLogger(Callback):
    """Writes a line per epoch: "epoch", then the metrics sorted by name; it is on disk when the epoch ends.

    Metrics that are missing in an epoch are "NA". If the first epoch has no validation, columns "val_…" are made for
    it nevertheless.

    Args:
        filename: the file.
        separator: between columns.
        append: go on in the file, without a second header, instead of beginning it anew.
    """

    first_process_only = True

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False) -> None:
        self.sep = separator
        self.filename = os.fspath(filename)
        self.append = append
        self.append_header = True
        self.keys: list[str] | None = None
        self.writer: Any = None
        self.csv_file: IO[str] | None = None

    def on_train_begin(self, logs: Logs = None) -> None:
        """Open the file."""
        self._close()
        path = Path(self.filename)
        if self.append and path.exists():
            self.append_header = path.stat().st_size == 0
        self.csv_file = path.open("a" if self.append else "w", newline="", encoding="utf-8")
        self.keys = None

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Write the epoch's line."""
        logs = logs or {}
        assert self.csv_file is not None
        if self.keys is None:
            names = sorted(logs)
            validated = any(name.startswith("val_") for name in names)
            self.keys = names if validated else names + [f"val_{name}" for name in names]
            self.writer = csv.DictWriter(self.csv_file, ["epoch", *self.keys], delimiter=self.sep)
            if self.append_header:
                self.writer.writeheader()
        row = {name: _cell(logs.get(name, "NA")) for name in self.keys}
        with survives("CSVLogger", self.filename, "Lines may be missing; training goes on."):
            self.writer.writerow({"epoch": epoch} | row)
            self.csv_file.flush()

    def on_train_end(self, logs: Logs = None) -> None:
        """Close the file."""
        self._close()

    def _close(self) -> None:
        if self.csv_file is not None:
            with survives("CSVLogger", self.filename, "Lines may be missing."):
                self.csv_file.close()
        self.writer = None


def _cell(value: Any) -> Any:
    return f'"[{", ".join(map(str, value))}]"' if np.ndim(value) else value


class RemoteMonitor(Callback):
    """Sends the logs of every epoch to a server as an HTTP POST; a server that cannot be reached is a warning.

    Args:
        root: the address of the server.
        path: where on the server.
        field: the field of the form that holds the logs as JSON.
        headers: further HTTP headers.
        send_as_json: send the JSON itself instead of a form.
    """

    first_process_only = True

    def __init__(
        self,
        root: str = "http://localhost:9000",
        path: str = "/publish/epoch/end/",
        field: str = "data",
        headers: Mapping[str, str] | None = None,
        send_as_json: bool = False,
    ) -> None:
        self.root = root
        self.path = path
        self.field = field
        self.headers = headers
        self.send_as_json = send_as_json

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Send "epoch" and the logs."""
        text = json.dumps({"epoch": epoch, **(logs or {})}, default=_json_value)
        body = text if self.send_as_json else urllib.parse.urlencode({self.field: text})
        kind = "application/json" if self.send_as_json else "application/x-www-form-urlencoded"
        headers = {"Content-Type": kind, **(self.headers or {})}
        try:
            request = urllib.request.Request(self.root + self.path, body.encode(), headers, method="POST")
            with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
                response.read()
        except urllib.error.HTTPError as error:
            error.close()  # the server was reached; what it makes of the data is its own affair
        except (OSError, ValueError) as error:
            text = explain("RemoteMonitor", f"no answer from {self.root} ({error})", "a server that takes the logs")
            warnings.warn(text, stacklevel=2)


def _json_value(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic, torch.Tensor)):
        return value.tolist()
    return str(value)
