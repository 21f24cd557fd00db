"""Weights files: ``.weights.h5`` in Keras 3's layout, in one file or in shards; and finding out a file's format."""

import io
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import h5py

from convia.errors import explain
from convia.saving import files, legacy, state
from convia.saving.files import BadFileError
from convia.saving.state import Arrays

_INSIDE = "model.weights.h5"
_GIBI = 1024**3
_RENAMED = (  # names of attributes today and in tf.keras 2
    ("layers", "_layer_checkpoint_dependencies"),
    ("/query_dense", "/_query_dense"),
    ("/key_dense", "/_key_dense"),
    ("/value_dense", "/_value_dense"),
    ("/output_dense", "/_output_dense"),
)


def save_weights(
    model: Any, filepath: Any, overwrite: bool = True, max_shard_size: float | None = None, **kwargs: Any
) -> None:
    """Write the weights of a model, and its optimizer's state, to a ``.weights.h5`` file.

    Args:
        model: a built model.
        filepath: where to; an old file there is kept until the new one is complete.
        overwrite: if false, ask at the terminal before replacing a file.
        max_shard_size: split into files of at most so many GiB; ``filepath``, their list, ends in ``.weights.json``.

    Raises:
        ValueError: another ending, a model without weights yet, or a weight larger than a shard.
    """
    skip = kwargs.pop("objects_to_skip", None) or ()
    _no_more("save_weights", kwargs)
    path = Path(os.fspath(filepath))
    wanted = ".weights.h5" if max_shard_size is None else ".weights.json"
    if not path.name.endswith(wanted) and not (max_shard_size and path.name.endswith("weights.h5")):
        raise ValueError(
            explain("save_weights", repr(str(path)), f"a name that ends in {wanted}", f"Try {_stem(path) + wanted!r}.")
        )
    _require_built("save_weights", model)
    if not files.may_write(path, overwrite):
        return
    if max_shard_size is not None:
        _write_shards(model, path.with_suffix(".json"), max_shard_size)
        return
    with files.durable("save_weights", path) as temporary:
        write(model, temporary, skip)


def as_bytes(model: Any) -> bytes:
    """Return the state of a model as an HDF5 file in memory."""
    stream = io.BytesIO()
    write(model, stream)
    return stream.getvalue()


def write(model: Any, path: Path | io.BytesIO, skip: Iterable[Any] = ()) -> None:
    """Write the state of a model to a new HDF5 file."""
    left_out = {id(item) for item in skip}
    paths = {path for path, item in state.saveables(model) if id(item) in left_out} if left_out else set()
    with h5py.File(path, "w") as file:
        for place, name, arrays in state.collect(model):
            if place not in paths:
                _write_entry(file, place, name, arrays)


def _write_entry(file: h5py.File, place: str, name: str | None, arrays: Arrays) -> None:
    if name is None and not arrays:
        return
    entry = file.require_group(f"{place}/vars" if place else "vars")
    if name is not None:
        entry.attrs["name"] = name
    for key, value in arrays.items():
        entry[key] = value


def load_weights(
    model: Any, filepath: Any, skip_mismatch: bool = False, by_name: bool | None = None, **kwargs: Any
) -> None:
    """Read weights into a built model from ``.weights.h5``, ``.keras``, ``.weights.json`` or a legacy ``.h5`` file.

    Args:
        model: has the architecture that the file was saved from.
        skip_mismatch: warn of layers that do not fit, and leave them, instead of raising.
        by_name: legacy files only: load into layers of the same names instead of in order.

    Raises:
        OSError: no such file, a folder, or a damaged file (a ValueError too).
        ValueError: weights of other layers, another number or other shapes; a model without weights yet.
    """
    skip = kwargs.pop("objects_to_skip", None) or ()
    _no_more("load_weights", kwargs)
    path = Path(os.fspath(filepath))
    who = f"load_weights of {model.name!r} from {str(path)!r}"
    _require_built("load_weights", model)
    with files.naming(who), _reader(path) as (kind, source):
        if kind == "legacy":
            legacy.read_weights(who, model, source, skip_mismatch, bool(by_name))
            return
        if by_name:
            raise ValueError(
                explain(who, "by_name=True", "a legacy .h5 file with it", "Keras 3's files hold no names of layers.")
            )
        state.restore(who, model, source, skip_mismatch, skip)


@contextmanager
def _reader(path: Path) -> Iterator[tuple[str, Any]]:
    """Open a file by its ending, look inside, and yield ("legacy", group) or ("paths", path → arrays)."""
    who, name = "load_weights", path.name
    if name.endswith(".keras"):
        with opened_archive(who, path) as get:
            yield "paths", get
    elif name.endswith(".weights.json"):
        with _shards(who, path) as get:
            yield "paths", get
    elif name.endswith((".h5", ".hdf5", ".keras.h5")):
        with files.open_hdf5(who, path) as file:
            place = legacy.weights_group(who, file)
            yield ("paths", reader(who, file)) if place is None else ("legacy", place)
    else:
        files.check_readable(who, path, "a file of weights")
        raise BadFileError(explain(who, repr(str(path)), "a name that ends in .weights.h5, .keras, .h5 or .hdf5"))


@contextmanager
def opened_archive(who: str, path: Path) -> Iterator[Callable[[str], Arrays | None]]:
    """Open the weights inside a ``.keras`` file and yield the function from path to arrays."""
    with files.open_zip(who, path, "a .keras file") as archive, from_archive(who, archive) as get:
        yield get


@contextmanager
def from_archive(who: str, archive: Any) -> Iterator[Callable[[str], Arrays | None]]:
    """Open the weights inside an open archive."""
    data = io.BytesIO(files.member(who, archive, _INSIDE))
    with files.open_hdf5(who, data, f"{archive.filename}/{_INSIDE}") as file:
        yield reader(who, file)


def reader(who: str, file: h5py.File) -> Callable[[str], Arrays | None]:
    """Return the function from a path to its arrays, None where the file has none."""

    def get(path: str) -> Arrays | None:
        entry = files.group(who, file, f"{path}/vars")
        for today, before in _RENAMED:
            if entry is None and today in path:
                entry = files.group(who, file, f"{path.replace(today, before)}/vars")
        return None if entry is None else {key: files.array(who, entry, key) for key in entry}

    return get


# -- shards -----------------------------------------------------------------------------------------------------------


def _write_shards(model: Any, path: Path, size: float) -> None:
    """Write shards under new names' temporary files, then the list of what is where."""
    shards: list[str] = []
    places: dict[str, list[str]] = {}
    limit, total = size * _GIBI, 0
    stem = path.name.removesuffix(".json").replace(".weights", "")
    filled = limit + 1.0
    with ExitStack() as stack:
        listing = stack.enter_context(files.durable("save_weights", path))  # takes its name last
        for place, name, arrays in state.collect(model):
            for key, value in arrays.items() or [(None, None)]:
                bytes_ = 0 if value is None else value.nbytes
                if bytes_ > limit:
                    what = f"{place}/{key} of {bytes_ / _GIBI:.3g} GiB"
                    raise ValueError(explain("save_weights", what, f"at most max_shard_size={size:g}"))
                if filled + bytes_ > limit:
                    shards.append(f"{stem}_{len(shards):05}.weights.h5")
                    file = _new_shard(stack, path.with_name(shards[-1]))
                    filled = 0.0
                filled, total = filled + bytes_, total + bytes_
                _write_entry(file, place, name, {} if value is None else {key: value})  # type: ignore[dict-item]
                used = places.setdefault(f"/{place}/vars" if place else "/vars", [])
                if value is not None and shards[-1] not in used:
                    used.append(shards[-1])
        listed = {place: used[0] if len(used) == 1 else used for place, used in places.items() if used}
        listing.write_text(json.dumps({"metadata": {"total_size": total}, "weight_map": listed}, indent=4))


def _new_shard(stack: ExitStack, path: Path) -> h5py.File:
    temporary = stack.enter_context(files.durable("save_weights", path))
    return stack.enter_context(h5py.File(temporary, "w"))


@contextmanager
def _shards(who: str, path: Path) -> Iterator[Callable[[str], Arrays | None]]:
    files.check_readable(who, path, "the list of a model's shards")
    try:
        places = {place: _listed(names) for place, names in json.loads(path.read_bytes())["weight_map"].items()}
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise BadFileError(explain(who, f"{str(path)!r} ({error})", "the list of a model's shards")) from error
    with ExitStack() as stack:
        opened: dict[str, h5py.File] = {}
        for name in sorted({name for names in places.values() for name in names}):
            if Path(name).name != name:
                raise BadFileError(explain(who, f"the shard {name!r}", "a file beside the list"))
            opened[name] = stack.enter_context(files.open_hdf5(who, path.with_name(name)))

        def get(place: str) -> Arrays | None:
            names = places.get(f"/{place}/vars" if place else "/vars")
            found = [reader(who, opened[name])(place) or {} for name in names or ()]
            return {key: value for arrays in found for key, value in arrays.items()} if names else None

        yield get


def _listed(names: Any) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _require_built(method: str, model: Any) -> None:
    parts = model._flatten_layers(include_self=False)
    if not model.built and not (parts and all(part.built for part in parts)):
        raise ValueError(
            explain(
                f"{method} of {model.name!r}",
                "a model that is not built, whose weights do not exist yet",
                "a built one",
                "Call it on data, or build(input_shape) it.",
            )
        )


def _stem(path: Path) -> str:
    return path.name.split(".")[0] or "model"


def _no_more(method: str, kwargs: dict[str, Any]) -> None:
    if kwargs:
        raise ValueError(explain(method, f"the unknown arguments {sorted(kwargs)}", "those of its signature"))


__all__ = ["as_bytes", "from_archive", "load_weights", "reader", "save_weights", "write"]
