"""Whole models in a file: architecture, weights, how they are trained and the state of training."""

import contextlib
import datetime
import json
import os
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import h5py

from convia import registry, tree
from convia.errors import explain
from convia.saving import configs, eras, files, kept, legacy, slots, state, weights
from convia.saving.files import BadFileError

_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_LEGACY = (".h5", ".hdf5")
_EXPECTED = "a model saved as .keras or .h5"


def save_model(model: Any, filepath: Any, overwrite: bool = True, zipped: bool | None = None, **kwargs: Any) -> None:
    """Write a model to a file: architecture, weights, the arguments of ``compile`` and the optimizer's state.

    Args:
        model: any model; a subclassed one is loaded again with its class in ``custom_objects``.
        filepath: ends in ``.keras``, or in ``.h5`` for the format of Keras 1 and 2; a name without an ending, or of a
            folder, gets ``.keras``, with a warning. An old file there is kept until the new one is complete.
        overwrite: if false, ask at the terminal before replacing a file.
        zipped: false writes a folder of the files that a ``.keras`` archive holds.
        include_optimizer: false leaves the optimizer out of an ``.h5`` file.

    An ``.h5`` file loads in Keras 3 and in tf.keras (2.15), with these exceptions: graphs with functions (``x + 1``,
    ``ops.relu(x)``), which tf.keras knows as TensorFlow's and Keras 3 as its own, load in Keras 3 alone; optimizers
    that tf.keras did not have before 2.11 (AdamW, Lion …) need ``compile=False`` there, and others' states
    begin anew. tf.keras reads a ``.weights.h5`` file into models that are not compiled, and no ``.keras`` file of
    Keras 3.

    Raises:
        ValueError: another ending, or a model that holds what cannot be written.
    """
    include_optimizer = kwargs.pop("include_optimizer", True)
    kwargs.pop("save_format", None)
    if kwargs:
        raise ValueError(explain("save_model", f"the unknown arguments {sorted(kwargs)}", "those of its signature"))
    if hasattr(filepath, "write"):
        _write_archive(model, filepath, Path())
        return
    path = Path(os.fspath(filepath))
    if not path.suffix and path.name and zipped is not False:
        path = _with_ending(path)
    ending = path.suffix
    if (zipped is not False and ending not in (".keras", *_LEGACY)) or (zipped is False and ending == ".keras"):
        wanted = (
            "a name that ends in .keras (or .h5)" if zipped is not False else "the name of a folder for zipped=False"
        )
        raise ValueError(explain("save_model", repr(str(path)), wanted, f"Try {path.stem + '.keras'!r}."))
    if not model.built:
        warnings.warn(f"Model {model.name!r} is saved before it is built: it has no weights yet.", stacklevel=3)
    if not files.may_write(path, overwrite):
        return
    if zipped is False:
        _write_folder(model, path)
        return
    with files.durable("save_model", path) as temporary:
        if ending in _LEGACY:
            _write_hdf5(model, temporary, include_optimizer)
        else:
            with temporary.open("wb") as stream:
                _write_archive(model, stream, temporary)


def _with_ending(path: Path) -> Path:
    """The name that a model without an ending is saved under: tf.keras made a folder, Keras 1 and 2 any file."""
    made = path.with_name(f"{path.name}.keras")
    received, expected = f"{str(path)!r}, a name without an ending", "a name that ends in .keras (or .h5)"
    warnings.warn(explain("save_model", received, expected, f"The model is written to {str(made)!r}."), stacklevel=4)
    return made


def load_model(
    filepath: Any, custom_objects: Mapping[str, Any] | None = None, compile: bool = True, safe_mode: bool = True
) -> Any:
    """Read a model that ``save_model`` of convia or of Keras wrote, ``.keras`` or ``.h5``.

    Args:
        filepath: a file; a folder that ``zipped=False`` wrote; or a name without its ending, ``.keras``.
        custom_objects: your own classes and functions by name; the function of a Lambda layer by the layer's name.
        compile: whether to compile it as it was, with the optimizer's state.
        safe_mode: accepted; code in files is never run.

    Raises:
        OSError: no such file, another format or a damaged file (a ValueError too).
        ValueError: an unknown class or function; code instead of a function; weights that do not fit.
    """
    if hasattr(filepath, "read"):
        return _read_archive("load_model", filepath, custom_objects, compile)
    path = Path(os.fspath(filepath))
    beside = path.with_name(f"{path.name}.keras") if path.name and not path.suffix else path
    if beside.is_file() and not path.is_file() and not (path / _CONFIG).is_file():
        path = beside
    who = f"load_model from {str(path)!r}"
    if not (path / _CONFIG).is_file():
        files.check_readable("load_model", path, _EXPECTED)
    with files.reading(who, path):
        if path.is_dir():
            return _read_folder(who, path, custom_objects, compile)
        if path.suffix == ".keras" or zipfile.is_zipfile(path):
            return _read_archive(who, path, custom_objects, compile)
        if path.suffix in _LEGACY:
            return _read_hdf5(who, path, custom_objects, compile)
    raise BadFileError(explain("load_model", repr(str(path)), _EXPECTED, "The ending of the name tells the format."))


# -- .keras -----------------------------------------------------------------------------------------------------------


def _texts(model: Any) -> dict[str, str]:
    with registry.object_sharing():
        config = configs.only_shared_ids(configs.serialize_keras_object(model))
    now = datetime.datetime.now().strftime("%Y-%m-%d@%H:%M:%S")
    metadata = {"keras_version": legacy.KERAS_VERSION, "date_saved": now}
    known = kept.as_text(model)
    extra = {} if known is None else {kept.MEMBER: known}
    return {_METADATA: json.dumps(metadata), _CONFIG: json.dumps(config), **extra}


def _write_archive(model: Any, stream: Any, beside: Path) -> None:
    """Write a zip archive to an open file; the weights pass through a file beside it, or through memory."""
    with zipfile.ZipFile(stream, "w") as archive:
        for name, text in _texts(model).items():
            archive.writestr(name, text)
        part = beside.with_name(f"{beside.name}.h5") if beside.name else None
        try:
            if part is not None:
                weights.write(model, part)
                archive.write(part, _WEIGHTS)
            else:
                archive.writestr(_WEIGHTS, weights.as_bytes(model))
        finally:
            if part is not None:
                part.unlink(missing_ok=True)


def _read_archive(who: str, source: Path | BinaryIO, custom_objects: Any, compile: bool) -> Any:
    with files.open_zip(who, source, "a .keras archive") as archive:
        era = _era(files.member(who, archive, _METADATA)) if _METADATA in archive.namelist() else 3
        text = files.member(who, archive, _CONFIG)
        model = _from_text(who, text, custom_objects, compile, era)
        former = eras.former_classes(configs.parsed(who, text)) if era < 3 else {}
        with weights.from_archive(who, archive) as get, _under_former_names(model, former):
            _restore(who, model, get, era)
        if kept.MEMBER in archive.namelist():
            kept.read(who, model, files.member(who, archive, kept.MEMBER))
    return model


def _era(metadata: bytes) -> int:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return eras.major(str(json.loads(metadata)["keras_version"]))
    return 3


@contextlib.contextmanager
def _under_former_names(model: Any, former: Mapping[str, str]) -> Iterator[None]:
    """Paths of weights hold the names of classes, those of the file's time."""
    renamed = [layer for layer in model._flatten_layers() if layer.name in former] if former else []
    for layer in renamed:
        vars(layer)["_former_class"] = former[layer.name]
    try:
        yield
    finally:
        for layer in renamed:
            del vars(layer)["_former_class"]


def _restore(who: str, model: Any, get: Any, era: int) -> None:
    """Set the weights; an optimizer's state of older Keras is arranged in another way."""
    optimizer = getattr(model, "optimizer", None) if era < 3 else None
    skip = [optimizer, getattr(optimizer, "inner_optimizer", None)]
    state.restore(who, model, get, skip=skip, count_seen=era > 2)
    saved = get("optimizer")
    if saved and optimizer is not None:
        slots.read(who, optimizer, [], [saved[str(place)] for place in range(len(saved))])


def _from_text(who: str, text: str | bytes, custom_objects: Any, compile: bool, era: int = 3) -> Any:
    config = configs.parsed(who, text)
    if not compile:
        config["compile_config"] = None
    if era < 3:
        with registry.custom_object_scope(custom_objects or {}):
            config = eras.from_legacy(config, era)
            config["compile_config"] = eras.todays_compile_config(config.get("compile_config"), era)
    with registry.object_sharing():
        return configs.deserialize_keras_object(configs.with_lost_ids(config), custom_objects)


def _write_folder(model: Any, path: Path) -> None:
    path.mkdir(parents=True, exist_ok=True)
    for name, text in _texts(model).items():
        with files.durable("save_model", path / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    with files.durable("save_model", path / _WEIGHTS) as temporary:
        weights.write(model, temporary)


def _read_folder(who: str, path: Path, custom_objects: Any, compile: bool) -> Any:
    model = _from_text(who, (path / _CONFIG).read_bytes(), custom_objects, compile)
    with files.open_hdf5(who, path / _WEIGHTS) as file:
        state.restore(who, model, weights.reader(who, file))
    if (path / kept.MEMBER).is_file():
        kept.read(who, model, (path / kept.MEMBER).read_bytes())
    return model


# -- .h5 --------------------------------------------------------------------------------------------------------------


def _write_hdf5(model: Any, path: Path, include_optimizer: bool) -> None:
    config = eras.to_legacy(configs.to_keras(registry.serialize(model)))
    with h5py.File(path, "w") as file:
        file.attrs["backend"], file.attrs["keras_version"] = "torch", legacy.KERAS_VERSION
        file.attrs["model_config"] = json.dumps(config).encode()
        known = kept.as_text(model)
        if known is not None:
            file.attrs[kept.ATTRIBUTE] = known
        if include_optimizer and getattr(model, "compiled", False):
            training = configs.to_keras(model.get_compile_config())
            optimizer = eras.to_legacy(training.pop("optimizer"))
            training["loss"] = tree.map_structure(_full_name, training["loss"])
            file.attrs["training_config"] = json.dumps({**training, "optimizer_config": optimizer}).encode()
        legacy.write_weights(file.create_group("model_weights"), model)
        if include_optimizer and getattr(model, "optimizer", None) is not None:
            legacy.write_optimizer(file, model.optimizer)


def _full_name(loss: Any) -> Any:
    """Keras cannot read a short name such as "mse" from an ``.h5`` file."""
    found = registry.registered("keras.losses").get(loss) if isinstance(loss, str) else None
    return registry.home(found)[1] if found and registry.home(found) else loss  # type: ignore[index]


def _read_hdf5(who: str, path: Path, custom_objects: Any, compile: bool) -> Any:
    with files.open_hdf5(who, path) as file, registry.custom_object_scope(custom_objects or {}):
        text = files.text(file, "model_config")
        if text is None:
            remedy = "If it holds weights alone, build the model and call its load_weights."
            raise BadFileError(explain(who, "a file without a model's architecture", _EXPECTED, remedy))
        era = eras.major(files.text(file, "keras_version"))
        model = registry.deserialize(eras.from_legacy(configs.parsed(who, text), era))
        place = files.group(who, file, "model_weights")
        if place is not None:
            legacy.read_weights(who, model, place)
        kept.read(who, model, files.text(file, kept.ATTRIBUTE))
        training = files.text(file, "training_config")
        if compile and training is not None:
            model.compile(**eras.legacy_compile_arguments(json.loads(training), era))
            model.optimizer.build(model.trainable_variables)
            legacy.read_optimizer(who, file, model.optimizer)
    return model


# -- JSON -------------------------------------------------------------------------------------------------------------


def to_json(model: Any, **kwargs: Any) -> str:
    """Return the architecture of a model, without weights, as JSON; ``kwargs`` go to ``json.dumps``."""
    return json.dumps(configs.serialize_keras_object(model), **kwargs)


def model_from_json(json_string: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Make a model, with new weights, from what ``to_json`` of convia or of Keras returned.

    Raises:
        ValueError: not such a text, or an unknown class in it.
    """
    config = configs.parsed("model_from_json", json_string)
    return _made(config, custom_objects)


def model_from_yaml(yaml_string: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Make a model, with new weights, from what ``to_yaml`` of Keras 1 and 2 returned.

    Raises:
        ImportError: PyYAML is not installed.
        ValueError: not such a text, Python objects in it, or an unknown class.
    """
    return _made(configs.parsed_yaml("model_from_yaml", yaml_string), custom_objects)


def _made(config: Any, custom_objects: Mapping[str, Any] | None) -> Any:
    era = eras.major(config.get("keras_version")) if "keras_version" in config or "module" not in config else 3
    if "module" in config and era == 3:
        return configs.deserialize_keras_object(config, custom_objects)
    with registry.custom_object_scope(custom_objects or {}):
        return registry.deserialize(eras.from_legacy(config, era))


__all__ = ["load_model", "model_from_json", "model_from_yaml", "save_model", "to_json"]
