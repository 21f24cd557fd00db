"""The command line: arguments in, exit codes out; what the commands do is in modules of its own."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import torch
import typer
from rich.console import Console

from convia import config
from convia.cli import doctor
from convia.cli.data import KNOWN, RESIZED
from convia.cli.run import EPILOG as RUN_EPILOG
from convia.cli.run import run_command
from convia.cli.table import print_outcome
from convia.cli.train import MANY_IMAGES, PUBLISHED, Settings, train, versions

app = typer.Typer(
    name="convia",
    help="Train convolutional neural networks on images.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_INTERRUPTED = 130  # as shells count Ctrl-C

_NAMES = ", ".join(KNOWN)
_EXAMPLES = f"""[bold]Examples[/bold]

convia train digits

convia train photos --model deep --image-size 64 --output runs/photos

convia train mnist --epochs 5 --seed 1

convia train photos --model resnet50


[bold]DATA[/bold] is a folder with a folder of images per class (also within train/ and test/), or one of {_NAMES}.
A folder that has the name of a data set is written ./digits.
"""


@contextmanager
def _reported(debug: bool) -> Iterator[None]:
    """Turn errors into one message and an exit code, unless their traceback is asked for."""
    try:
        yield
    except KeyboardInterrupt:
        Console(stderr=True).print("Stopped. Nothing was written.", highlight=False)
        raise typer.Exit(_INTERRUPTED) from None
    except Exception as error:
        if debug:
            raise
        console = Console(stderr=True)
        known = isinstance(error, (ValueError, OSError))
        console.print(f"Error: {error if known else f'{type(error).__name__}: {error}'}", style="red", highlight=False,
                      markup=False, soft_wrap=True)  # fmt: skip
        if not known:
            console.print("Run the command again with --debug for the details.", highlight=False)
        raise typer.Exit(1) from None


@app.command("train", epilog=_EXAMPLES)
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
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of errors.")] = False,
) -> None:
    """Train a network on images, test it, and write model, curves, confusion matrix and results to a folder."""
    with _reported(debug):
        settings = Settings(
            data, model, epochs, batch_size, image_size, learning_rate, patience, seed, validation_split, test_split,
            output, device, on_error, follow_links, weights,
        )  # fmt: skip
        console = Console()
        print_outcome(console, train(settings, console, command=["convia", *sys.argv[1:]]))


@app.command("doctor", epilog=doctor.EXAMPLES)
def doctor_command(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="A folder of images.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    output: Annotated[
        str | None, typer.Option(help="Folder for report.json, quarantine.csv and .txt, and the pictures.")
    ] = None,
    quarantine: Annotated[
        str | None,
        typer.Option(help="File for the list of images to leave out: .csv with reasons, else a path per line."),
    ] = None,
    follow_links: Annotated[
        bool, typer.Option("--follow-links", help="Also read what links out of the folder lead to.")
    ] = False,
    alike: Annotated[
        bool, typer.Option("--alike/--no-alike", help="Look for images that look alike, too, not only for equal files.")
    ] = True,
    most: Annotated[int, typer.Option(help="How many findings of each kind to name in the table.")] = 5,
    workers: Annotated[
        int | None, typer.Option(help="How many files to read at once. By default as many as there are processors.")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of errors.")] = False,
) -> None:
    """Look for what is wrong with a folder of images: broken files, duplicates, leaks between the parts, and more."""
    with _reported(debug):
        code = doctor.doctor(
            folder, as_json=as_json, output=output, quarantine=quarantine, follow_links=follow_links, alike=alike,
            most=most, workers=workers,
        )  # fmt: skip
    raise typer.Exit(code)


app.command(
    "run",
    epilog=RUN_EPILOG,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)(run_command)


@app.command("version")
def version_command() -> None:
    """Print the versions of convia, PyTorch and Python, and the device."""
    found = versions()
    typer.echo(f"convia {found['convia']}")
    typer.echo(f"PyTorch {torch.__version__}, NumPy {found['numpy']}, Python {found['python']}")
    typer.echo(f"{found['platform']}; device {config.device()}")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"convia {versions()['convia']}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Train convolutional neural networks on images."""


def main() -> None:
    """Run the command line."""
    app()
