"""``convia train``: its options."""

import sys
from dataclasses import fields
from typing import Annotated

import typer
from rich.console import Console

from convia import distributed
from convia.applications import MODELS
from convia.cli.completion import among
from convia.cli.data import KNOWN, RESIZED
from convia.cli.fitting import AUGMENT
from convia.cli.launch import launch
from convia.cli.reported import Debug, reported
from convia.cli.settings import PRECISIONS, PUBLISHED, Settings
from convia.cli.settings_file import read_settings
from convia.cli.table import print_outcome
from convia.cli.train import MANY_IMAGES, train
from convia.config import set_device
from convia.errors import explain
from convia.images.directory import ON_ERROR
from convia.texts import LANGUAGES

_NAMES = ", ".join(KNOWN)
EXAMPLES = f"""[bold]Examples[/bold]

convia train digits

convia train photos --model deep --image-size 64 --output runs/photos

convia train mnist --epochs 5 --seed 1

convia train photos --model resnet50 --epochs 20 --fine-tune 5

convia train photos --augment medium --lr auto --class-weights

convia train photos --resume

convia train photos --devices 4

convia train --config runs/photos/config.toml --seed 2


[bold]DATA[/bold] is a folder with a folder of images per class (also within train/ and test/), or one of {_NAMES};
or tar archives such as shards/{{000..009}}.tar, also at addresses, with a label beside each image: 1.jpg, 1.cls.
A folder that has the name of a data set is written ./digits.


[bold]Exit codes[/bold]  0: done. 1: an error. 2: wrong usage. 130, 143: stopped by Ctrl-C, by SIGTERM; with --resume
the same command goes on, also after a crash or kill -9.
"""


def train_command(
    ctx: typer.Context,
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA",
            help="A folder of images, tar archives, or the name of a data set.",
            autocompletion=among(KNOWN),
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help=f"course, lenet or deep, or a trained network that gets a new head: {', '.join([*PUBLISHED][:4])}, …. "
            f"By default deep, but lenet for more than {MANY_IMAGES:,} images.",
            autocompletion=among([*MODELS, *PUBLISHED]),
        ),
    ] = Settings.model,
    epochs: Annotated[int, typer.Option(help="How often to go through the images at most.")] = Settings.epochs,
    fine_tune: Annotated[
        int,
        typer.Option(
            help="Of a trained network: for so many epochs more at most, its top learns too, at a tenth of the rate; "
            "0: only the new head learns."
        ),
    ] = Settings.fine_tune,
    batch_size: Annotated[int, typer.Option(help="Images per step.")] = Settings.batch_size,
    image_size: Annotated[
        int | None,
        typer.Option(help=f"Make the images squares of this side. By default {RESIZED}; small ones stay as they are."),
    ] = Settings.image_size,
    learning_rate: Annotated[
        str, typer.Option("--learning-rate", "--lr", help="Size of Adam's steps; auto finds it by a range test.")
    ] = str(Settings.learning_rate),
    patience: Annotated[
        int, typer.Option(help="Stop after so many epochs without a better validation loss.")
    ] = Settings.patience,
    seed: Annotated[int, typer.Option(help="Decides the split and the first weights.")] = Settings.seed,
    validation_split: Annotated[
        float, typer.Option(help="Share of each class that decides which epoch was the best.")
    ] = Settings.validation_split,
    test_split: Annotated[
        float, typer.Option(help="Share of each class that is only tested on, where DATA has no test images.")
    ] = Settings.test_split,
    output: Annotated[
        str | None, typer.Option(help="Folder for the results. By default runs/NAME; earlier runs are kept.")
    ] = Settings.output,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 or mps. By default the fastest.")] = None,
    devices: Annotated[
        int, typer.Option(help="So many processes share the training: one per GPU, or of the processor's cores.")
    ] = Settings.devices,
    on_error: Annotated[
        str,
        typer.Option(
            help="What to do about files that cannot be read: skip; replace by others of their class; raise.",
            autocompletion=among(ON_ERROR),
        ),
    ] = Settings.on_error,
    follow_links: Annotated[
        bool, typer.Option("--follow-links", help="Also read what links out of the folder lead to.")
    ] = False,
    weights: Annotated[
        str, typer.Option(help="Of a published network: imagenet (downloaded once), a file, or none: all of it learns.")
    ] = Settings.weights,
    augment: Annotated[
        str,
        typer.Option(
            help=f"Change images at random: {', '.join(AUGMENT)}. A preview is written.", autocompletion=among(AUGMENT)
        ),
    ] = Settings.augment,
    class_weights: Annotated[
        bool, typer.Option("--class-weights", help="Have images of small classes count more.")
    ] = False,
    precision: Annotated[
        str, typer.Option(help=f"{', '.join(PRECISIONS)}.", autocompletion=among(PRECISIONS))
    ] = Settings.precision,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Look for what is wrong with a folder first.")
    ] = True,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the same command was interrupted.")] = False,
    config: Annotated[
        str | None, typer.Option(help="A TOML file with these options, such as a run's config.toml; options win.")
    ] = None,
    lang: Annotated[
        str | None,
        typer.Option(
            help="Of what is said, and of the report: en or es. By default the locale's.",
            autocompletion=among(LANGUAGES),
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON per event, for programs.")] = False,
    debug: Debug = False,
) -> None:
    """Train a network on images, test it, and write model, curves, confusion matrix and results to a folder."""
    with reported(debug, "Stopped."):
        names = [field.name for field in fields(Settings)]
        given = {name: ctx.params[name] for name in names if _was_given(ctx, name)}
        values = (read_settings(config, names) if config else {}) | given
        if not values.get("data"):
            raise typer.BadParameter("Missing; a folder of images, or the name of a data set.", param_hint="DATA")
        if isinstance(rate := values.get("learning_rate"), str) and rate != "auto":
            values["learning_rate"] = _number(rate)
        settings = Settings(**values)
        if settings.devices > 1 and distributed.size() < 2:
            if settings.device is not None:
                set_device(settings.device)
            raise typer.Exit(launch(sys.argv[1:], settings.devices))
        console = Console(quiet=settings.as_json)
        outcome = train(settings, console, command=["convia", *sys.argv[1:]])
        print_outcome(console, outcome)


def _was_given(ctx: typer.Context, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not None and source.name not in ("DEFAULT", "DEFAULT_MAP")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(explain("--learning-rate", repr(text), "a number > 0, or auto")) from None
