"""``convia convert``: a model's file in another format, with the proof that it computes the same."""

from pathlib import Path
from typing import Annotated

import typer

from convia.cli.opened import model_path
from convia.cli.quantized import quantized
from convia.cli.reported import Debug, reported
from convia.errors import explain
from convia.export import Converted, convert

EXAMPLES = """[bold]Examples[/bold]

convia convert model.h5 model.keras

convia convert runs/photos photos.onnx

convia convert model.keras model.xml

convia convert architecture.json model.keras --weights model.weights.h5

convia convert model.keras weights.safetensors

convia convert old.h5 model.pt2 --image-size 64

convia convert runs/photos quick.keras --int8 photos


[bold]IN[/bold] is a .keras, .h5 or .hdf5 file of any version of Keras, or an architecture (.json) with --weights, or
the folder of a run.

[bold]OUT[/bold] ends in .keras, .h5, .weights.h5 (weights alone), .safetensors (weights alone), .onnx, .xml (OpenVINO),
.pt2 or .pt (PyTorch). ONNX and OpenVINO need more packages: pip install 'convia\\[export]'.


[bold]Exit codes[/bold]  0: written, and both compute the same for random inputs. 1: an error; nothing is written.
2: wrong usage. 130: stopped.
"""


def convert_command(
    source: Annotated[
        str, typer.Argument(metavar="IN", help="A file with a model, or the folder of a run that has one.")
    ],
    target: Annotated[str, typer.Argument(metavar="OUT", help="The file to write; its ending tells the format.")],
    weights: Annotated[str | None, typer.Option(help="A file of weights, where IN is an architecture (.json).")] = None,
    format: Annotated[
        str | None, typer.Option(help="onnx, openvino, torch or torchscript. By default that of OUT's ending.")
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Side of the images, where the model takes any; for .onnx and such.")
    ] = None,
    opset: Annotated[int | None, typer.Option(help="Version of ONNX's operators.")] = None,
    check: Annotated[bool, typer.Option("--check/--no-check", help="Run both files on random inputs.")] = True,
    int8: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Let the CPU engine compute in 8 bits, in ranges that the images of FOLDER show (a folder per class); "
            "print what accuracy is lost. OUT ends in .keras or .h5.",
        ),
    ] = None,
    debug: Debug = False,
) -> None:
    """Write a model in another format: between the versions of Keras, for ONNX, OpenVINO, PyTorch; in 8 bits."""
    with reported(debug):
        if int8 is not None:
            typer.echo(quantized(source, target, int8))
            return
        given = {"opset_version": opset, "image_size": image_size}
        options = {name: value for name, value in given.items() if value is not None}
        if image_size is not None and image_size < 1:
            raise ValueError(explain("--image-size", str(image_size), "a number of pixels ≥ 1"))
        print_result(convert(str(model_path(source)), target, weights, format, check, **options))


def print_result(made: Converted) -> None:
    """Print one line: the file, its size and the proof."""
    size = made.size / 1e6 if made.size >= 1e5 else made.size / 1e3
    proof = (
        "not checked"
        if made.difference is None
        else f"largest difference {made.difference:.2g} on random inputs (largest output {made.largest:.3g})"
    )
    typer.echo(f"{Path(made.path)}: {size:,.1f} {'MB' if made.size >= 1e5 else 'kB'}, {proof}")
