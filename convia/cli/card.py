"""``convia card``: what a model is, what it costs, what it was trained on and how well it does."""

from pathlib import Path
from typing import Annotated

import typer

from convia.cli.opened import ModelFile, model_path
from convia.cli.reported import Debug, reported
from convia.export import card
from convia.saving import load_model
from convia.saving.files import durable

EXAMPLES = """[bold]Examples[/bold]

convia card model.keras

convia card runs/photos --json

convia card model.h5 --output MODEL_CARD.md


[bold]Exit codes[/bold]  0: done. 1: an error. 2: wrong usage. 130: stopped.
"""


def card_command(
    model: ModelFile,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of Markdown.")] = False,
    output: Annotated[str | None, typer.Option("--output", "-o", help="Write a file: .md or .json.")] = None,
    debug: Debug = False,
) -> None:
    """Print a model's card: layers, parameters, multiply-adds, memory, classes, preprocessing, results."""
    with reported(debug):
        found = card(load_model(model_path(model), compile=False))
        as_json = as_json or (output is not None and output.endswith(".json"))
        text = f"{found.json()}\n" if as_json else found.markdown
        if output is None:
            typer.echo(text, nl=False)
        else:
            with durable("card", Path(output).expanduser()) as temporary:
                temporary.write_text(text, encoding="utf-8")
