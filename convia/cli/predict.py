"""``convia predict``: the classes of image files, as a table, as CSV or as JSON."""

import csv
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from convia.cli.opened import ClassNames, ImageSize, ModelFile, Preprocess, Rescale, image_files, open_model
from convia.cli.reported import Debug, reported
from convia.errors import explain

UNREAD = 3  # the exit code where a file could not be read

EXAMPLES = f"""[bold]Examples[/bold]

convia predict runs/photos cat.jpg

convia predict model.keras holiday/ --top 3

convia predict model.keras holiday/ --output labels.csv

convia predict model.h5 *.png --json --class-names cat,dog --rescale 0.00392157

convia predict resnet50.keras elephant.jpg --preprocess resnet50


[bold]MODEL[/bold] says how its images are made where convia trained it: names of classes, size, colours. What it does
not say is taken from its run's result.json, from the shape of its input, or from the options.


[bold]Exit codes[/bold]  0: all is predicted. {UNREAD}: files that cannot be read are named, the others predicted. 1: an
error. 2: wrong usage. 130: stopped.
"""

Rows = list[dict[str, Any]]


def predict_command(
    model: ModelFile,
    files: Annotated[list[str], typer.Argument(metavar="FILES...", help="Image files, or folders of them.")],
    top: Annotated[int, typer.Option("--top", "-k", help="How many classes to name for each image.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV instead of a table.")] = False,
    output: Annotated[str | None, typer.Option("--output", "-o", help="Also write a file: .csv or .json.")] = None,
    batch_size: Annotated[int, typer.Option(help="Images at once.")] = 32,
    class_names: ClassNames = None,
    image_size: ImageSize = None,
    rescale: Rescale = None,
    preprocess: Preprocess = None,
    debug: Debug = False,
) -> None:
    """Name the classes of images."""
    with reported(debug):
        rows = predict(model, files, top, batch_size, output, (class_names, image_size, rescale, preprocess))
        if as_json:
            sys.stdout.write(as_text(rows, ".json"))
        elif as_csv:
            sys.stdout.write(as_text(rows, ".csv"))
        else:
            print_rows(rows)
    bad = [row for row in rows if row["error"]]
    for row in bad:
        reason = row["error"].removeprefix(f"{row['file']}: ")
        typer.secho(f"{row['file']}: not read. {reason}", fg="yellow", err=True)
    raise typer.Exit(UNREAD if bad else 0)


def predict(
    model: str, files: Sequence[str], top: int, batch_size: int, output: str | None, options: tuple[Any, ...] = ()
) -> Rows:
    """Return for each file its likeliest classes, best first: {"file", "classes": [{"class", "probability"}], "error"}.

    Raises:
        OSError, ValueError: no such model or files, or options that make no sense.
    """
    for name, value in (("--top", top), ("--batch-size", batch_size)):
        if value < 1:
            raise ValueError(explain(name, value, "a whole number ≥ 1"))
    if output is not None and Path(output).suffix not in (".csv", ".json"):
        raise ValueError(explain("--output", repr(output), "a name that ends in .csv or .json"))
    paths = image_files(files)
    opened = open_model(model, *options)
    rows: Rows = []
    for path, row, error in opened.walk(paths, batch_size):
        best = row.argsort()[::-1][:top] if row is not None else ()
        names = opened.names(len(row)) if row is not None else []
        classes = [{"class": names[index], "probability": round(float(row[index]), 6)} for index in best]  # type: ignore[index]
        rows.append({"file": path, "classes": classes, "error": str(error) if error else None})
    if output is not None:
        Path(output).write_text(as_text(rows, Path(output).suffix), encoding="utf-8")
    return rows


def as_text(rows: Rows, ending: str) -> str:
    """Return rows as ".json", or as ".csv" with a column per class named and one for errors."""
    if ending == ".json":
        return json.dumps(rows, indent=2, ensure_ascii=False) + "\n"
    most = max(len(row["classes"]) for row in rows)
    heading = [f"{what}{'' if rank == 0 else rank + 1}" for rank in range(most) for what in ("class", "probability")]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", *heading, "error"])
    for row in rows:
        cells = [cell for one in row["classes"] for cell in (one["class"], one["probability"])]
        writer.writerow([row["file"], *cells, *[""] * (len(heading) - len(cells)), row["error"] or ""])
    return text.getvalue()


def print_rows(rows: Rows) -> None:
    """Print file, classes and probabilities in columns; of unreadable files nothing."""
    table = [["file", *["class", "probability"] * max((len(row["classes"]) for row in rows), default=0)]]
    for row in rows:
        cells = [cell for one in row["classes"] for cell in (one["class"], f"{one['probability']:.2%}")]
        table += [[row["file"], *cells]] if cells else []
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        cells = [_aligned(cell, width, place) for place, (cell, width) in enumerate(zip(line, widths, strict=True))]
        typer.echo("   ".join(cells).rstrip())


def _aligned(cell: str, width: int, place: int) -> str:
    """Numbers, in every second column after the first, to the right."""
    return cell.rjust(width) if place and place % 2 == 0 else cell.ljust(width)
