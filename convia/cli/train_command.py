"""``convia train``: its options."""

import sys
from typing import Annotated

import typer
from rich.console import Console

from convia.cli.data import KNOWN, RESIZED
from convia.cli.reported import Debug, reported
from convia.cli.table import print_outcome
from convia.cli.train import MANY_IMAGES, PUBLISHED, Settings, train

_NAMES = ", ".join(KNOWN)
EXAMPLES = f"""[bold]Examples[/bold]

convia train digits

convia train photos --model deep --image-size 64 --output runs/photos

convia train mnist --epochs 5 --seed 1

convia train photos --model resnet50


[bold]DATA[/bold] is a folder with a folder of images per class (also within train/ and test/), or one of {_NAMES}.
A folder that has the name of a data set is written ./digits.
"""


def train_command(
    data: Annotated[str, typer.Argument(metavar="DATA", help="A folder of images, or the name of a data set.")],
    model: Annotated[
        str | None,
        typer.Option(
            help=f"course, lenet or deep, or a trained network that gets a new head: {', '.join([*PUBLISHED][:4])}, …. "
            f"By default deep, but lenet for more than {MANY_IMAGES:,} images."
        ),
    ] = Settings.model,
    epochs: Annotated[int, typer.Option(help="How often to go through the images at most.")] = Settings.epochs,
    batch_size: Annotated[int, typer.Option(help="Images per step.")] = Settings.batch_size,
    image_size: Annotated[
        int | None,
        typer.Option(help=f"Make the images squares of this side. By default {RESIZED}; small ones stay as they are."),
    ] = Settings.image_size,
    learning_rate: Annotated[float, typer.Option(help="Size of Adam's steps.")] = Settings.learning_rate,
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
    on_error: Annotated[
        str,
        typer.Option(help="What to do about files that cannot be read: skip; replace by others of their class; raise."),
    ] = Settings.on_error,
    follow_links: Annotated[
        bool, typer.Option("--follow-links", help="Also read what links out of the folder lead to.")
    ] = False,
    weights: Annotated[
        str, typer.Option(help="Of a trained network: imagenet (downloaded once), none for random ones, or a file.")
    ] = Settings.weights,
    debug: Debug = False,
) -> None:
    """Train a network on images, test it, and write model, curves, confusion matrix and results to a folder."""
    with reported(debug):
        settings = Settings(
            data, model, epochs, batch_size, image_size, learning_rate, patience, seed, validation_split, test_split,
            output, device, on_error, follow_links, weights,
        )  # fmt: skip
        console = Console()
        print_outcome(console, train(settings, console, command=["convia", *sys.argv[1:]]))
