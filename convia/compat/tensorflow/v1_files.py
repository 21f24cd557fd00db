"""``tf.train.Saver`` of TensorFlow 1: the variables of a graph, by name, in files of their own; never a pickle."""
# ruff: noqa: PTH119
# TensorFlow's files are named by texts.

import os
from pathlib import Path
from typing import Any

import numpy as np

from convia.compat.tensorflow import graphs, train
from convia.compat.tensorflow.files import NotFoundError, path_of
from convia.errors import explain


class Saver:
    """Writes and reads variables.

    Args:
        var_list: those to be saved, in a list or by name; None for all of the graph.
        max_to_keep: so many of the latest files stay.
    """

    def __init__(self, var_list: Any = None, reshape: bool = False, sharded: bool = False,
                 max_to_keep: int | None = 5, **ignored: Any) -> None:  # fmt: skip
        self._given, self._most = var_list, max_to_keep
        self._state = graphs.state()
        self.last_checkpoints: list[str] = []

    def _variables(self) -> dict[str, Any]:
        if isinstance(self._given, dict):
            return dict(self._given)
        listed = self._state.alive() if self._given is None else list(self._given)
        if not listed:
            raise ValueError(explain("tf.train.Saver", "no variables to save", "a graph with variables"))
        return {variable.path: variable for variable in listed}

    def save(self, sess: Any, save_path: Any, global_step: Any = None, **ignored: Any) -> str:
        """Write the variables, and return the path, to which the step's number is added.

        Raises:
            ValueError: there are no variables.
        """
        path = path_of(save_path) if global_step is None else f"{path_of(save_path)}-{int(global_step)}"
        train.write_arrays(path, {name: np.asarray(v.detach().cpu()) for name, v in self._variables().items()})
        self.last_checkpoints = [*(known for known in self.last_checkpoints if known != path), path]
        while self._most and len(self.last_checkpoints) > self._most:
            Path(self.last_checkpoints.pop(0) + train.SUFFIX).unlink(missing_ok=True)
        train.note_latest(path, [os.path.basename(known) for known in self.last_checkpoints])
        return path

    def restore(self, sess: Any, save_path: Any) -> None:
        """Read the variables of a file.

        Raises:
            NotFoundError: no such file, or a variable that it does not have. InvalidArgumentError: another shape.
        """
        path = path_of(save_path)
        arrays = train.read_arrays(path)
        for name, variable in self._variables().items():
            if name not in arrays:
                received = f"{name!r}, which {path} does not have"
                raise NotFoundError(None, None, explain("Saver.restore", received, f"one of {sorted(arrays)}"))
            train.set_variable(variable, arrays[name], name, path)


def import_meta_graph(meta_graph_or_file: Any, *args: Any, **kwargs: Any) -> Any:
    """Raise NotImplementedError: graphs are not saved, variables are."""
    remedy = "Build the network by its own code, then tf.train.Saver().restore(session, path)."
    raise NotImplementedError(explain("tf.train.import_meta_graph", repr(meta_graph_or_file), "no call of it", remedy))


__all__ = ["Saver", "import_meta_graph"]
