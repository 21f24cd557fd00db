"""What other programs run: ONNX, OpenVINO's IR, torch's exported programs and TorchScript; written whole or not."""

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from convia import tree
from convia.errors import explain, nearest
from convia.export import onnx_graph
from convia.export.program import Flat, optional, quiet, signature, trace
from convia.saving import files

Arrays = list[np.ndarray]
_WHO = "model.export"


@dataclass(frozen=True)
class Format:
    """A format: the ending of its files, how a traced program is written, and how a file is run on arrays."""

    suffix: str
    write: Callable[["Job", Path], None]
    run: Callable[[Path, Arrays], Arrays]


@dataclass(frozen=True)
class Job:
    """What is to be written: a model as one function, the names of its inputs and outputs, the version of operators."""

    who: str
    flat: Flat
    inputs: list[str]
    outputs: list[str]
    opset: int


def export_model(
    model: Any,
    filepath: Any,
    format: str | None = None,
    verbose: bool | None = None,
    input_signature: Any = None,
    opset_version: int = onnx_graph.OPSET,
    **kwargs: Any,
) -> None:
    """Write a model's inference for other programs, for batches of any size.

    Args:
        model: built, or called once.
        filepath: where to; the ending tells the format.
        format: "onnx", "openvino" (``.xml`` and ``.bin``), "torch" (``.pt2``: ``torch.export.load`` reads it) or
            "torchscript" (``.pt``: ``torch.jit.load``); by default that of the ending.
        verbose: whether to print where the file is.
        input_signature: ``InputSpec``s, tensors or shapes, in the structure of the inputs, for sizes the model leaves
            open.
        opset_version: of ONNX's operators.

    Raises:
        ValueError: an unknown format, one that needs TensorFlow, or a model that cannot be traced.
        ImportError: the packages for a format are not installed: ``pip install 'convia[export]'``.
    """
    path = Path(os.fspath(filepath))
    found = FORMATS[format_of(path, format)]
    if kwargs:
        known = ["format", "input_signature", "opset_version", "verbose"]
        remedy = nearest(min(kwargs), known)
        raise ValueError(explain(_WHO, f"the unknown arguments {sorted(kwargs)}", f"some of {known}", remedy))
    specs = signature(_WHO, model, input_signature)
    inputs = _names([spec.name for spec in tree.flatten(specs)], "input")
    graph = getattr(model, "graph", None)
    outputs = _names(model.output_names if graph is not None else [], "output")
    path.parent.mkdir(parents=True, exist_ok=True)
    found.write(Job(_WHO, Flat(model, specs), inputs, outputs, opset_version), path)
    if verbose:
        print(f"Saved artifact at {str(path)!r}.")


def _names(given: list[str], kind: str) -> list[str]:
    """Names that are there and differ, else ``input_0``, …"""
    names = [str(name) for name in given]
    return names if len(set(names)) == len(names) else [f"{kind}_{number}" for number in range(len(names))]


def format_of(path: Path, format: str | None = None) -> str:
    """Return the name of the format that was asked for, by name or by a file's ending.

    Raises:
        ValueError: there is none, or none without TensorFlow.
    """
    asked = format or next((name for name, entry in FORMATS.items() if entry.suffix == path.suffix.lower()), None)
    if asked in FORMATS:
        return asked
    endings = ", ".join(f"{entry.suffix} ({name})" for name, entry in FORMATS.items())
    if asked in _TENSORFLOW or (asked is None and not path.suffix) or path.suffix.lower() in (".tflite", ".pb"):
        what = f"{str(path)!r}, " + _TENSORFLOW.get(asked or "", "a TensorFlow format")
        remedy = (
            "TensorFlow writes those: model.save('model.keras') here, then, where Keras 3 runs on TensorFlow, "
            "keras.models.load_model('model.keras').export(…). Most programs read ONNX as well."
        )
        raise ValueError(explain(_WHO, what, f"a format without TensorFlow: {endings}", remedy))
    if asked is None and path.suffix in (".keras", ".h5", ".hdf5"):
        remedy = f"Use model.save({path.name!r})."
    else:
        remedy = nearest(asked, FORMATS) if asked is not None else ""
    received = repr(str(path)) if asked is None else f"format={asked!r}"
    raise ValueError(explain(_WHO, received, endings, remedy))


_TENSORFLOW = {"tf_saved_model": "a TensorFlow SavedModel", "tf": "a TensorFlow SavedModel", "litert": "a LiteRT model"}


# -- the formats ------------------------------------------------------------------------------------------------------


def _write_onnx(job: Job, path: Path) -> None:
    onnx_graph.require(job.who)
    program = trace(job.who, job.flat)
    number = len(program.graph_signature.user_outputs)
    outputs = job.outputs if len(job.outputs) == number else [f"output_{index}" for index in range(number)]
    made = onnx_graph.to_onnx(program, job.inputs, outputs, job.opset)
    with files.durable(job.who, path) as temporary:
        optional(job.who, "onnx_ir").save(made, temporary)


def _run_onnx(path: Path, inputs: Arrays) -> Arrays:
    runtime = optional("running an ONNX file", "onnxruntime")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]
    return [np.asarray(output) for output in session.run(None, dict(zip(names, inputs, strict=True)))]


def _write_openvino(job: Job, path: Path) -> None:
    openvino = optional(job.who, "openvino")
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as folder:
        source, made = Path(folder, "model.onnx"), Path(folder, "model.xml")
        _write_onnx(job, source)
        openvino.save_model(openvino.convert_model(source), made, compress_to_fp16=False)
        for part, target in ((made.with_suffix(".bin"), path.with_suffix(".bin")), (made, path)):
            with files.durable(job.who, target) as temporary:
                part.replace(temporary)


def _run_openvino(path: Path, inputs: Arrays) -> Arrays:
    openvino = optional("running an OpenVINO file", "openvino")
    exact = {"INFERENCE_PRECISION_HINT": "f32"}  # by default bfloat16 where the processor has it
    found = openvino.compile_model(str(path), "CPU", exact)(inputs)
    return [np.asarray(found[index]) for index in range(len(found))]


def _write_program(job: Job, path: Path) -> None:
    with files.durable(job.who, path) as temporary, quiet(), temporary.open("wb") as stream:
        torch.export.save(trace(job.who, job.flat), stream)


def _run_program(path: Path, inputs: Arrays) -> Arrays:
    with quiet(), path.open("rb") as stream:
        return _run_module(torch.export.load(stream).module(), inputs)


def _write_script(job: Job, path: Path) -> None:
    with files.durable(job.who, path) as temporary, quiet(), torch.no_grad():
        inputs = job.flat.inputs()
        job.flat(*inputs)  # what is made at the first call is not traced
        draft = temporary.with_name(f"{temporary.name}.draft")
        try:
            torch.jit.trace(job.flat, inputs, check_trace=False).save(str(draft))
            _copy_without_sources(draft, temporary)
        finally:
            draft.unlink(missing_ok=True)


def _copy_without_sources(source: Path, target: Path) -> None:
    """Leave out where each line of code came from: paths of this computer."""
    reader, writer = torch._C.PyTorchFileReader(str(source)), torch._C.PyTorchFileWriter(str(target))
    for name in reader.get_all_records():
        if not name.endswith(".debug_pkl") and name not in _WRITERS_OWN:
            record = reader.get_record(name)
            writer.write_record(name, record, len(record))
    writer.write_end_of_file()


_WRITERS_OWN = ("version", ".data/serialization_id")


def _run_script(path: Path, inputs: Arrays) -> Arrays:
    with quiet():
        return _run_module(torch.jit.load(str(path), map_location="cpu"), inputs)


def _run_module(module: Any, inputs: Arrays) -> Arrays:
    with torch.no_grad():
        outputs = module(*map(torch.from_numpy, inputs))
    return [output.cpu().numpy() for output in tree.flatten(outputs)]


FORMATS = {
    "onnx": Format(".onnx", _write_onnx, _run_onnx),
    "openvino": Format(".xml", _write_openvino, _run_openvino),
    "torch": Format(".pt2", _write_program, _run_program),
    "torchscript": Format(".pt", _write_script, _run_script),
}
"""Name → what writes and runs the format. ``.pt2`` and ``.pt`` are torch's own zip archives, to be loaded with
``torch.export.load`` and ``torch.jit.load``: the graph as JSON or code, tensors as raw bytes, and a pickle (of example
inputs, or of the tree of modules) that torch writes and may load without ``weights_only``: load no stranger's.
"""

__all__ = ["FORMATS", "Format", "Job", "export_model", "format_of"]
