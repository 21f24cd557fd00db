"""Checkpoints: ``tf.train.Checkpoint``, ``CheckpointManager``, ``latest_checkpoint``, for files of their own.

A checkpoint ``prefix-3`` is a file ``prefix-3.index``: a NumPy archive of arrays by path ("model/dense/kernel",
"optimizer/2"), never a pickle. Checkpoints that TensorFlow wrote are another format and are refused.
"""
# ruff: noqa: PTH105, PTH107, PTH110, PTH118, PTH119, PTH123
# TensorFlow's files are named by texts, and may be left open.

import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from convia.compat.tensorflow.control import InvalidArgumentError
from convia.compat.tensorflow.files import NotFoundError, path_of
from convia.compat.tensorflow.variables import Module
from convia.errors import explain
from convia.layer import Layer
from convia.optimizers import Optimizer
from convia.variable import Variable

SUFFIX = ".index"
_STATE = "checkpoint"  # the file that lists the checkpoints of a folder, as TensorFlow names it


def _variables(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The variables of an object, by path."""
    if isinstance(value, Variable) or (isinstance(value, torch.Tensor) and hasattr(value, "assign")):
        yield name, value
    elif isinstance(value, Layer):
        for number, variable in enumerate(value.weights):
            yield f"{name}/{number}/{variable.name}", variable
    elif isinstance(value, Optimizer):
        for number, variable in enumerate(value.variables):
            yield f"{name}/{number}", variable
    elif isinstance(value, Mapping):
        for key in value:
            yield from _variables(f"{name}/{key}", value[key])
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from _variables(f"{name}/{number}", item)
    elif isinstance(value, Checkpoint):
        yield from _variables(name, value._objects)
    elif isinstance(value, Module):
        yield from _variables(name, {key: v for key, v in vars(value).items() if not key.startswith("_")})
    elif hasattr(value, "variables"):
        yield from _variables(name, list(value.variables))


class Status:
    """What a restoration found; TensorFlow's programs ask it to be complete.

    Args:
        missing: variables that the file does not have.
        unused: what the file has besides.
    """

    def __init__(self, missing: list[str], unused: list[str]) -> None:
        self._missing, self._unused = missing, unused

    def expect_partial(self) -> "Status":
        """Accept that something was not used."""
        return self

    def assert_existing_objects_matched(self) -> "Status":
        """Raise AssertionError if a variable was not in the file."""
        if self._missing:
            raise AssertionError(explain("Checkpoint", f"a file without {self._missing[:5]}", "all variables in it"))
        return self

    def assert_consumed(self) -> "Status":
        """Raise AssertionError unless the file and the objects have the same variables."""
        if self._unused:
            raise AssertionError(explain("Checkpoint", f"a file with {self._unused[:5]} too", "objects for all of it"))
        return self.assert_existing_objects_matched()

    assert_nontrivial_match = assert_existing_objects_matched
    run_restore_ops = initialize_or_restore = lambda self, session=None: None


class Checkpoint:
    """Objects whose variables are saved together: ``Checkpoint(model=model, optimizer=optimizer)``.

    Args:
        root: an object whose attributes, or a model whose weights, are saved.
        **kwargs: models, optimizers, variables, datasets' iterators (of which nothing is saved), lists of them.
    """

    def __init__(self, root: Any = None, **kwargs: Any) -> None:
        self._objects: dict[str, Any] = {**({} if root is None else {"root": root}), **kwargs}
        self.save_counter = Variable(np.int64(0), dtype="int64", trainable=False, name="save_counter")
        self._waiting: dict[str, np.ndarray] = {}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self._objects:
            raise AttributeError(
                explain("Checkpoint", repr(name), f"one of {sorted(self.__dict__.get('_objects', ()))}")
            )
        return self._objects[name]

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_") or name == "save_counter":
            object.__setattr__(self, name, value)
        else:
            self._objects[name] = value

    def _all(self) -> dict[str, Any]:
        found = dict(pair for name, value in self._objects.items() for pair in _variables(name, value))
        return {**found, "save_counter": self.save_counter}

    def write(self, file_prefix: Any, options: Any = None) -> str:
        """Write the variables under exactly this name."""
        path = path_of(file_prefix)
        write_arrays(path, {name: np.asarray(variable.numpy()) for name, variable in self._all().items()})
        return path

    def save(self, file_prefix: Any, options: Any = None) -> str:
        """Write the variables under the name and a running number; return both."""
        self.save_counter.assign(int(self.save_counter) + 1)
        path = self.write(f"{path_of(file_prefix)}-{int(self.save_counter)}")
        note_latest(path)
        return path

    def read(self, save_path: Any, options: Any = None) -> Status:
        """Read the variables that :meth:`write` wrote.

        Raises:
            NotFoundError: no such checkpoint. InvalidArgumentError: other shapes, or another format.
        """
        path = path_of(save_path)
        arrays = read_arrays(path)
        known = self._all()
        self._waiting = {}
        for name, variable in known.items():
            if name in arrays:
                set_variable(variable, arrays[name], name, path)
        for value in self._objects.values():  # an optimizer's state, and a model's weights, may come only later
            _await(value, arrays, known)
        missing = sorted(set(known) - set(arrays))
        return Status(missing, sorted(set(arrays) - set(known)))

    def restore(self, save_path: Any, options: Any = None) -> Status:
        """Read the variables of a checkpoint; of None nothing."""
        return Status([], []) if save_path is None else self.read(save_path)

    def sync(self) -> None:
        """Do nothing: writing is never delayed."""


def _await(value: Any, arrays: dict[str, np.ndarray], known: dict[str, Any]) -> None:
    """An optimizer that has not been built yet is, as soon as its file's state is complete, given it when built."""
    if not isinstance(value, Optimizer) or value.built:
        return
    name = next((n.rpartition("/")[0] for n, v in known.items() if any(v is own for own in value.variables)), None)
    state = {key: array for key, array in arrays.items() if name is not None and key.startswith(f"{name}/")}
    if len(state) <= len(value.variables):
        return
    build = value.build

    def built(variables: Any) -> None:
        build(variables)
        del value.build
        for number, variable in enumerate(value.variables):
            if f"{name}/{number}" in state:
                set_variable(variable, state[f"{name}/{number}"], f"{name}/{number}", "checkpoint")

    value.build = built  # type: ignore[method-assign]


def set_variable(variable: Any, array: np.ndarray, name: str, path: str) -> None:
    """Give a variable what a file has.

    Raises:
        InvalidArgumentError: another shape.
    """
    if tuple(variable.shape) != array.shape:
        received = f"{name!r} of shape {array.shape} in {path}"
        raise InvalidArgumentError(None, None, explain("Checkpoint", received, f"shape {tuple(variable.shape)}"))
    variable.assign(array if array.ndim else array.item())


def write_arrays(path: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Write the file of a checkpoint, whole or not at all."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    temporary = f"{path}.tmp"
    with open(temporary, "wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    os.replace(temporary, path + SUFFIX)


def read_arrays(path: str) -> dict[str, np.ndarray]:
    """Return what the file of a checkpoint has.

    Raises:
        NotFoundError: no such file. InvalidArgumentError: another format.
    """
    name = path if path.endswith(SUFFIX) else path + SUFFIX
    if not os.path.exists(name):
        raise NotFoundError(None, None, explain("Checkpoint", path, "an existing checkpoint"))
    if not zipfile.is_zipfile(name):
        remedy = "Save the weights as .h5 or .keras with TensorFlow, and load that."
        raise InvalidArgumentError(
            None, None, explain("Checkpoint", f"{name}, of TensorFlow", "one of its own", remedy)
        )
    with np.load(name, allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def note_latest(path: str, names: list[str] | None = None) -> None:
    """Write which checkpoint of a folder is the latest, and which there are."""
    folder = Path(path).parent
    own = os.path.basename(path)
    all_names = [n for n in checkpoints_of(folder) if n != own] + [own] if names is None else names
    lines = [f'model_checkpoint_path: "{own}"', *(f'all_model_checkpoint_paths: "{name}"' for name in all_names)]
    (folder / _STATE).write_text("\n".join(lines) + "\n")


def checkpoints_of(folder: Any) -> list[str]:
    """Return the names of a folder's checkpoints, the latest last, of those that are still there."""
    state = Path(folder) / _STATE
    if not state.exists():
        return []
    listed = re.findall(r'^all_model_checkpoint_paths: "(.*)"$', state.read_text(), re.MULTILINE)
    return [name for name in listed if any((Path(folder) / (name + end)).exists() for end in (SUFFIX, ""))]


def latest_checkpoint(checkpoint_dir: Any, latest_filename: str | None = None) -> str | None:
    """Return the path of a folder's latest checkpoint, None if there is none."""
    names = checkpoints_of(path_of(checkpoint_dir))
    return os.path.join(path_of(checkpoint_dir), names[-1]) if names else None


class CheckpointManager:
    """Saves a checkpoint again and again, and deletes the oldest ones.

    Args:
        checkpoint: what is saved.
        directory: where.
        max_to_keep: how many checkpoints stay; None for all.
        checkpoint_name: the beginning of the files' names.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        directory: Any,
        max_to_keep: int | None,
        keep_checkpoint_every_n_hours: float | None = None,
        checkpoint_name: str = "ckpt",
        step_counter: Any = None,
        checkpoint_interval: int | None = None,
        init_fn: Any = None,
    ) -> None:
        self.checkpoint, self.directory = checkpoint, path_of(directory)
        self._most, self._name, self._init = max_to_keep, checkpoint_name, init_fn
        self._step, self._every, self._saved_at = step_counter, checkpoint_interval, -(10**18)

    @property
    def checkpoints(self) -> list[str]:
        """The paths of the checkpoints, the latest last."""
        return [os.path.join(self.directory, name) for name in checkpoints_of(self.directory)]

    @property
    def latest_checkpoint(self) -> str | None:
        """The path of the latest one, None if there is none."""
        return latest_checkpoint(self.directory)

    def save(self, checkpoint_number: Any = None, check_interval: bool = True, options: Any = None) -> str | None:
        """Save, and delete what is too old; return the path, None where the interval is not over."""
        if check_interval and self._every and int(self._step) - self._saved_at < self._every:
            return None
        if self._step is not None:
            self._saved_at = int(self._step)
        counter = self.checkpoint.save_counter
        counter.assign(int(counter) + 1)
        number = int(counter) if checkpoint_number is None else int(checkpoint_number)
        path = self.checkpoint.write(os.path.join(self.directory, f"{self._name}-{number}"))
        own = os.path.basename(path)
        names = [name for name in checkpoints_of(self.directory) if name != own] + [own]
        kept = names if self._most is None else names[-self._most :]
        for name in set(names) - set(kept):
            os.remove(os.path.join(self.directory, name + SUFFIX))
        note_latest(path, kept)
        return path

    def restore_or_initialize(self) -> str | None:
        """Restore the latest checkpoint and return its path; without one call ``init_fn`` and return None."""
        path = self.latest_checkpoint
        if path is not None:
            self.checkpoint.restore(path)
        elif self._init is not None:
            self._init()
        return path


def list_variables(ckpt_dir_or_file: Any) -> list[tuple[str, list[int]]]:
    """Return names and shapes of a checkpoint's variables."""
    path = path_of(ckpt_dir_or_file)
    arrays = read_arrays(latest_checkpoint(path) or path)
    return [(name, list(array.shape)) for name, array in sorted(arrays.items())]


__all__ = ["Checkpoint", "CheckpointManager", "latest_checkpoint", "list_variables"]
