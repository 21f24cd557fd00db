"""From one format to another, and the proof: both are run on the same random inputs."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convia import saving, tree
from convia.errors import explain
from convia.export import formats, tensors
from convia.export.program import examples, signature
from convia.saving import files
from convia.symbolic import KerasTensor

_READ = (".keras", ".h5", ".hdf5", ".json")
_WRITTEN = (".keras", ".h5", ".hdf5", ".weights.h5", ".safetensors")


@dataclass(frozen=True)
class Converted:
    """What a conversion made.

    Attributes:
        path: the file.
        size: its bytes; OpenVINO's with those of the ``.bin`` beside it.
        difference: the largest between the outputs of the model and of the file, on random inputs; None unchecked.
        outputs: the largest absolute output, to compare with.
    """

    path: Path
    size: int
    difference: float | None
    largest: float


def convert(
    source: Any,
    target: Any,
    weights: Any = None,
    format: str | None = None,
    check: bool = True,
    tolerance: float = 1e-3,
    custom_objects: Any = None,
    image_size: int | None = None,
    **options: Any,
) -> Converted:
    """Write the model of a file in another format, and compare the two.

    Args:
        source: ``.keras``, ``.h5`` or ``.hdf5`` of any Keras; or an architecture, ``.json``, with ``weights``.
        target: ``.keras``, ``.h5``, ``.weights.h5``, ``.safetensors``, or what :func:`export_model` writes.
        weights: a file of weights, for an architecture.
        check: whether to run both on random inputs.
        tolerance: the largest difference allowed, in units of the largest output (at least 1).
        image_size: instead of the sizes besides the batch that the model leaves open.
        options: of :func:`export_model`.

    Raises:
        OSError: no such file, or one that cannot be read (a ValueError too).
        ValueError: an unknown ending; a file that computes something else. ``target`` is written only if all is well.
    """
    path = Path(target).expanduser()
    plain = format is None and _ending(path) in _WRITTEN
    if not plain and format is None and path.suffix not in ("", *_exported()):
        raise ValueError(explain("convert", repr(str(target)), "a name that ends in " + ", ".join(_written())))
    if not plain:
        formats.format_of(path, format)
    model = _read(Path(source).expanduser(), weights, custom_objects)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as folder:
        draft = Path(folder, path.name)
        specs = None if plain and not check else _inputs(model, image_size)
        if plain:
            _write(model, draft)
        else:
            formats.export_model(model, draft, format, input_signature=specs, **options)
        difference, largest = _compared(model, specs, draft, format, custom_objects) if check else (None, 0.0)
        if difference is not None and not difference <= tolerance * max(largest, 1.0):
            what = f"outputs that differ by {difference:.3g} from the model's (largest {largest:.3g})"
            raise ValueError(explain(f"convert to {path.name!r}", what, f"at most {tolerance:g} of the largest"))
        made = sorted(Path(folder).iterdir())
        for entry in made:
            with files.durable("convert", path.with_name(entry.name)) as temporary:
                shutil.copyfile(entry, temporary)
        return Converted(path, sum(entry.stat().st_size for entry in made), difference, largest)


def _ending(path: Path) -> str:
    return ".weights.h5" if path.name.endswith(".weights.h5") else path.suffix.lower()


def _read(path: Path, weights: Any, custom_objects: Any) -> Any:
    files.check_readable("convert", path, "a model: " + ", ".join(_READ))
    if path.suffix.lower() == ".json":
        if weights is None:
            remedy = "Name the file of weights: --weights model.weights.h5."
            raise ValueError(explain("convert", f"the architecture {str(path)!r} alone", "its weights too", remedy))
        text = path.read_text(encoding="utf-8")
        model = saving.model_from_json(text, custom_objects)
        _load_weights(model, Path(weights).expanduser())
        return model
    if weights is not None:
        raise ValueError(explain("convert", f"weights for {str(path)!r}", "weights only for an architecture (.json)"))
    if path.suffix.lower() not in _READ:
        remedy = "Exports hold no layers and cannot be converted back." if path.suffix in _exported() else ""
        raise ValueError(explain("convert", repr(str(path)), "a model: " + ", ".join(_READ), remedy))
    return saving.load_model(path, custom_objects)


def _exported() -> list[str]:
    return [entry.suffix for entry in formats.FORMATS.values()]


def _written() -> list[str]:
    return [*_WRITTEN, *_exported()]


def _load_weights(model: Any, path: Path) -> None:
    if path.suffix.lower() == ".safetensors":
        tensors.load_safetensors(model, path)
    else:
        saving.load_weights(model, path)


def _write(model: Any, path: Path) -> None:
    match _ending(path):
        case ".safetensors":
            tensors.save_safetensors(model, path)
        case ".weights.h5":
            saving.save_weights(model, path)
        case _:
            saving.save_model(model, path)


def _inputs(model: Any, size: int | None) -> Any:
    """The symbolic inputs of a model, sizes that it leaves open set."""

    def sized(spec: KerasTensor) -> KerasTensor:
        shape = (spec.shape[0], *(size if known is None else known for known in spec.shape[1:]))
        return KerasTensor(shape, spec.dtype, name=spec.name)

    return tree.map_structure(sized, signature("convert", model))


def _compared(model: Any, specs: Any, path: Path, format: str | None, custom_objects: Any) -> tuple[float, float]:
    """Return the largest difference between the outputs of a model and of a file, and the largest output."""
    inputs = examples(specs, batch=3, seed=1)  # another size than what was traced
    wanted = _outputs(model, specs, inputs)
    if _ending(path) in _WRITTEN and format is None:
        if _ending(path) in (".weights.h5", ".safetensors"):
            copy = type(model).from_config(model.get_config())
            _load_weights(copy, path)
        else:
            copy = saving.load_model(path, custom_objects)
        found = _outputs(copy, specs, inputs)
    else:
        found = formats.FORMATS[formats.format_of(path, format)].run(path, inputs)
    pairs = [*zip(wanted, found, strict=True)]
    difference = max(float(np.max(np.abs(a.astype(float) - b), initial=0.0)) for a, b in pairs)
    return difference, max(float(np.max(np.abs(a), initial=0.0)) for a, _ in pairs)


def _outputs(model: Any, specs: Any, inputs: list[np.ndarray]) -> list[np.ndarray]:
    found = model.predict_on_batch(tree.pack(specs, inputs))
    return [np.asarray(output) for output in tree.flatten(found)]


__all__ = ["Converted", "convert"]
