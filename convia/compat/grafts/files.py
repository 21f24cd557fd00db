"""Models and weights in files as older eras named and called them: any ending, none, folders; positional arguments."""

import functools
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py

from convia import saving
from convia.compat import eras
from convia.compat.door import from_outside, graft
from convia.models import Model
from convia.saving import files, legacy, weights

_HDF5 = (".h5", ".hdf5")


def _save(original: Callable[..., None]) -> Callable[..., None]:
    """Names without an ending, and other endings, are files or folders as in their era."""

    @functools.wraps(original)
    def save(self: Any, filepath: Any, overwrite: bool = True, *args: Any, **kwargs: Any) -> None:
        asked = from_outside() or self.__dict__.get("_era_checkpoint", False)
        if not asked or hasattr(filepath, "write"):
            return original(self, filepath, overwrite, *args, **kwargs)
        kwargs = {key: value for key, value in kwargs.items() if key in ("zipped", "include_optimizer")}
        path = Path(os.fspath(filepath))
        if path.suffix in (".keras", *_HDF5):
            return original(self, path, overwrite, **kwargs)
        if eras.current() in eras.STANDALONE:
            return _under_name(lambda name: original(self, name, True, **kwargs), path, ".h5")
        kwargs.pop("zipped", None)
        return original(self, path, overwrite, zipped=False)

    return save


def _under_name(write: Callable[[Path], Any], path: Path, ending: str) -> None:
    """Write a file under a name with an ending that is known, and move it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        temporary = Path(folder) / f"file{ending}"
        write(temporary)
        temporary.replace(path)


def _save_weights(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def save_weights(self: Any, filepath: Any, overwrite: bool = True, *args: Any, **kwargs: Any) -> None:
        path = Path(os.fspath(filepath))
        if not from_outside() and not self.__dict__.get("_era_checkpoint", False):
            return original(self, filepath, overwrite, *args, **kwargs)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.name.endswith(".weights.h5") and eras.current() == "keras3":
            return original(self, path, overwrite)
        if not files.may_write(path, overwrite):
            return None

        def write(name: Path) -> None:
            with h5py.File(name, "w") as file:
                legacy.write_weights(file, self)

        if eras.current() == "tfkeras" and path.suffix not in _HDF5:  # by objects: layers may share a name
            _under_name(functools.partial(weights.write, self), path, ".h5")
            _note_checkpoint(path)
        else:
            _under_name(write, path, ".h5")
        return None

    return save_weights


def _note_checkpoint(path: Path) -> None:
    """Write the file that tells ``tf.train.latest_checkpoint`` which weights of a folder are the latest."""
    state, own = path.parent / "checkpoint", f'all_model_checkpoint_paths: "{path.name}"'
    known = state.read_text().splitlines()[1:] if state.is_file() else []
    lines = [f'model_checkpoint_path: "{path.name}"', *(line for line in known if line != own), own]
    state.write_text("\n".join(lines) + "\n")


def _load_weights(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def load_weights(self: Any, filepath: Any, *args: Any, **kwargs: Any) -> Any:
        if not from_outside():
            return original(self, filepath, *args, **kwargs)
        kwargs.pop("options", None)
        if args:
            by_name, *rest = args
            kwargs = {"by_name": by_name, **dict(zip(["skip_mismatch"], rest, strict=False)), **kwargs}
        path = Path(os.fspath(filepath))
        if path.suffix in (".keras", *_HDF5) or not path.is_file():
            return original(self, filepath, **kwargs)
        with tempfile.TemporaryDirectory() as folder:
            link = Path(folder) / "weights.h5"
            link.symlink_to(path.resolve())
            original(self, link, **kwargs)
        return LoadStatus()

    return load_weights


class LoadStatus:
    """What ``load_weights`` of a checkpoint returned: whatever it is asked, all weights were found."""

    def expect_partial(self) -> "LoadStatus":
        """Return the status."""
        return self

    assert_consumed = assert_existing_objects_matched = assert_nontrivial_match = expect_partial


def load_model(filepath: Any, custom_objects: Any = None, compile: bool = True, **kwargs: Any) -> Any:
    """Read a model file of any ending, or a folder."""
    path = filepath if hasattr(filepath, "read") else Path(os.fspath(filepath))
    if not isinstance(path, Path) or path.suffix in (".keras", *_HDF5) or not path.is_file():
        return saving.load_model(filepath, custom_objects, compile)
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / ("model.h5" if h5py.is_hdf5(path) else "model.keras")
        link.symlink_to(path.resolve())
        return saving.load_model(link, custom_objects, compile)


def save_model(
    model: Any, filepath: Any, overwrite: bool = True, include_optimizer: bool = True, **kwargs: Any
) -> None:
    """Write a model to a file, as ``model.save``."""
    chosen = _save(Model.save.__wrapped__)  # type: ignore[attr-defined]
    model.__dict__["_era_checkpoint"] = True
    try:
        chosen(model, filepath, overwrite, include_optimizer=include_optimizer)
    finally:
        del model.__dict__["_era_checkpoint"]


def install() -> None:
    """Lend them."""
    graft(Model, "save", _save(Model.save))
    graft(Model, "save_weights", _save_weights(Model.save_weights))
    graft(Model, "load_weights", _load_weights(Model.load_weights))


__all__ = ["install", "load_model", "save_model"]
