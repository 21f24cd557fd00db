"""``convia run``: a program of any era of Keras, unchanged."""

import importlib
import traceback
from pathlib import Path
from types import TracebackType
from typing import Annotated

import typer

CONTEXT = {"ignore_unknown_options": True, "allow_interspersed_args": False}
EXAMPLES = """[bold]Examples[/bold]

convia run mnist_cnn.py

convia run --era keras1 lesson.ipynb

convia run train.py --epochs 5


Keras and TensorFlow need not be installed: convia answers to their names. The era is found out from the program.


[bold]Exit codes[/bold]  The program's own. 1: it failed, with its traceback, or there is no such program. 2: wrong
usage.
"""


def run_command(
    program: Annotated[str, typer.Argument(metavar="PROGRAM", help="A .py file or an .ipynb notebook.")],
    arguments: Annotated[list[str] | None, typer.Argument(metavar="[ARGUMENTS]...", help="The program's own.")] = None,
    era: Annotated[str | None, typer.Option(help="keras1, keras2, tfkeras or keras3. By default found out.")] = None,
) -> None:
    """Run a program written for any Keras or tf.keras, unchanged."""
    # by name: importing the eras makes `keras` mean convia, which no other command wants
    programs = importlib.import_module("convia.compat.programs")
    try:
        programs.run(program, arguments or (), era)
    except Exception as error:
        if isinstance(error, (FileNotFoundError, ValueError)) and str(error).startswith(("convia run:", "set_era:")):
            typer.echo(f"Error: {error}", err=True)
            raise typer.Exit(1) from None
        traceback.print_exception(error.with_traceback(_of_program(error.__traceback__, program)))
        raise typer.Exit(1) from None


def _of_program(trace: TracebackType | None, program: str) -> TracebackType | None:
    """What a traceback says from the program's own first line on; all of it where no line is the program's."""
    own, name = trace, Path(program).name
    while own is not None:
        file = own.tb_frame.f_code.co_filename
        if file == program or Path(file).name == name or file.startswith(f"{name}, cell"):
            return own
        own = own.tb_next
    return trace
