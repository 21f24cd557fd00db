"""``convia report``: the HTML report of a run, written again from its model and its images."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from convia import saving
from convia.cli import data
from convia.cli.reported import Debug, reported
from convia.errors import explain
from convia.report.html import read_run, write_html

_CLOSE = 0.5  # images that may be classified otherwise on another machine

EXAMPLES = """[bold]Examples[/bold]

convia report runs/digits

convia report runs/photos --lang es --output informe.html

convia report runs/photos --data /elsewhere/photos


The report is one file: it needs no network, prints well, and works on a phone. Its charts lie beside it as SVG and PNG.


[bold]Exit codes[/bold]  0: written. 1: an error. 2: wrong usage. 130: stopped.
"""


def report_command(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The folder of a run.")],
    source: Annotated[str | None, typer.Option("--data", help="Where the images are now, if they were moved.")] = None,
    lang: Annotated[str | None, typer.Option(help="en or es. By default the language of the locale.")] = None,
    output: Annotated[str | None, typer.Option("--output", "-o", help="The file. By default RUN/report.html.")] = None,
    parts: Annotated[bool, typer.Option("--parts/--no-parts", help="Write the charts as files, too.")] = True,
    debug: Debug = False,
) -> None:
    """Write the report of a run as one HTML file."""
    with reported(debug):
        typer.echo(report(run, source=source, lang=lang, output=output, parts=parts))


def report(
    folder: str, *, source: str | None = None, lang: str | None = None, output: str | None = None, parts: bool = True
) -> Path:
    """Read a run's model and images again, and write its report.

    Args:
        folder: of the run.
        source: where the images are now, if they were moved.
        lang: "en" or "es"; by default that of the locale.
        output: the file; by default report.html in the folder.
        parts: whether to write the charts as files of their own, too.

    Raises:
        ValueError: no run's folder, or other images than the run was tested on. OSError: no images.
    """
    run = Path(folder).expanduser()
    facts, _ = read_run(run)
    settings: dict[str, Any] = facts["settings"]
    height, width, _ = facts["input_shape"]
    images = data.load(
        source or settings["data"],
        settings["image_size"] or (height if height == width else None),
        settings["validation_split"],
        settings["test_split"],
        settings["seed"],
        settings.get("on_error", "skip"),
        settings.get("follow_links", False),
    )
    model = saving.load_model(run / "model.keras")
    _check(run, facts, images)
    probabilities = np.asarray(model.predict(images.test.images, verbose=0))
    path = write_html(run, model, images, probabilities, lang, output, parts)
    _compare(run, facts, images, probabilities)
    return path


def _check(run: Path, facts: dict[str, Any], images: data.ImageData) -> None:
    if list(images.class_names) != list(facts["class_names"]) or list(images.input_shape) != list(facts["input_shape"]):
        received = f"images of {images.input_shape} of {len(images.class_names)} classes"
        expected = f"those of the run, {tuple(facts['input_shape'])} of {len(facts['class_names'])} classes"
        raise ValueError(explain(f"report of {run}", received, expected, "Say where they are now by --data."))


def _compare(run: Path, facts: dict[str, Any], images: data.ImageData, probabilities: Any) -> None:
    """Say so where the images are not those that the run was tested on."""
    right = float((probabilities.argmax(1) == images.test.labels).sum()) if probabilities.shape[1] > 1 else None
    told = facts.get("test", {}).get("accuracy")
    if right is not None and told is not None and abs(right - told * len(images.test)) > _CLOSE:
        text = f"{right / len(images.test):.2%} of the test images are right, {told:.2%} when {run.name} was trained"
        message = explain(f"report of {run}", text, "the same", "The images have changed since.")
        typer.secho(message, fg="yellow", err=True)
