"""``convia summary``: what a model is made of, how its sizes come about and what it costs."""

import json
import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from convia.cli.opened import ImageSize, ModelFile, Opened, open_model
from convia.cli.reported import Debug, reported
from convia.errors import explain
from convia.explain.anatomy import Anatomy, Row, Sizes, anatomy, seconds_per_image

_TRAINING = 3  # passes: forward, and back to the inputs and to the weights
EXAMPLES = """[bold]Examples[/bold]

convia summary runs/photos

convia summary model.keras --batch-size 64

convia summary vgg16.h5 --json | jq .parameters


For each layer: the shape of its output and how it comes about, (n − k + 2·p)/s + 1 of a size n, a window k, padding p
and stride s; its parameters; multiplications and additions for one image; the receptive field, in pixels of the image.
Time is measured here, memory is estimated.


[bold]Exit codes[/bold]  0: done. 1: an error. 2: wrong usage. 130: stopped.
"""


def summary_command(
    model: ModelFile,
    batch_size: Annotated[int, typer.Option(help="Images per step, for the estimates.")] = 32,
    image_size: ImageSize = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    debug: Debug = False,
) -> None:
    """Show a model's layers: shapes and how they come about, parameters, FLOPs, receptive fields; memory and time."""
    with reported(debug):
        if batch_size < 1:
            raise ValueError(explain("--batch-size", batch_size, "a whole number ≥ 1"))
        opened = open_model(model, image_size=image_size)
        shape = _shape(opened)
        found = anatomy(opened.model, shape)
        facts = _facts(opened, found, shape, batch_size)
        if as_json:
            sys.stdout.write(json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
        else:
            _print(Console(), found, facts)


def _shape(opened: Opened) -> Sizes:
    size = opened.preprocessing.image_size
    if size is None:
        remedy = "Pass --image-size."
        raise ValueError(explain("MODEL", "a model that takes images of any size", "a size to reckon with", remedy))
    return (*size, opened.model.input_shape[-1])


def _facts(opened: Opened, found: Anatomy, shape: Sizes, batch_size: int) -> dict[str, Any]:
    alone, together = (seconds_per_image(opened.model, shape, size) for size in (1, batch_size))
    return {
        "name": opened.model.name,
        "input_shape": list(shape),
        "classes": list(opened.class_names),
        "preprocessing": str(opened.preprocessing),
        "layers": [asdict(row) for row in found.rows],
        "parameters": found.parameters,
        "trainable_parameters": found.trainable,
        "operations": found.operations,
        "weight_bytes": found.weight_bytes,
        "activation_bytes": found.activation_bytes,
        "batch_size": batch_size,
        "training_bytes": found.training_bytes(batch_size),
        "seconds_per_image": {"alone": alone, "in_batches": together},
        "training_seconds_per_image": _TRAINING * together,
    }


def _print(console: Console, found: Anatomy, facts: dict[str, Any]) -> None:
    table = Table(title=facts["name"], title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for name, justify in (("layer", "left"), ("output", "left"), ("because", "left"), ("parameters", "right"),
                          ("FLOPs", "right"), ("field", "right")):  # fmt: skip
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    table.add_row("input", _times(tuple(facts["input_shape"])), "", "0", "0", "1×1")
    for row in found.rows:
        cells = (f"{row.path} ({row.kind})", _times(row.output_shape), row.formula, f"{row.parameters:,}",
                 readable(row.operations), _field(row))  # fmt: skip
        table.add_row(*map(Text, cells))
    console.print(table)
    seconds = facts["seconds_per_image"]
    frozen = facts["parameters"] - facts["trainable_parameters"]
    batch = facts["batch_size"]
    for name, text in (
        ("parameters", f"{facts['parameters']:,}, of which {frozen:,} do not learn"),
        ("operations", f"{readable(facts['operations'])} for an image, multiplications and additions counted each"),
        ("memory", f"{_bytes(facts['weight_bytes'])} of weights, {_bytes(facts['activation_bytes'])} per image"),
        ("", f"about {_bytes(facts['training_bytes'])} to train on {batch} images at once with Adam"),
        ("time", f"{seconds['alone'] * 1e3:.3g} ms for one image, {seconds['in_batches'] * 1e3:.3g} ms in batches"),
        ("", f"of {batch}; learning takes about {facts['training_seconds_per_image'] * 1e3:.3g} ms per image"),
        ("images", facts["preprocessing"]),
        ("classes", _some(facts["classes"])),
    ):
        console.print(f"{name:<11} {text}", highlight=False, markup=False, soft_wrap=True)


def _some(names: list[str], most: int = 10) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "") or "not known"


def _times(shape: Sizes) -> str:
    return "×".join(map(str, shape))


def _field(row: Row) -> str:
    return _times(row.field) if row.field else "all"


def readable(number: float) -> str:
    """Return a number in three digits: "1.23 M"."""
    for unit in ("", " k", " M", " G"):
        if number < 1000 or unit == " G":
            return f"{number:.3g}{unit}" if unit else f"{number:.0f}"
        number /= 1000
    raise AssertionError


def _bytes(number: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if number < 1024 or unit == "GB":
            return f"{number:.3g} {unit}"
        number /= 1024
    raise AssertionError
