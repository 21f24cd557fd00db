"""Errors of commands: one message and an exit code, unless the traceback is asked for."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of errors.")]
Language = Annotated[str | None, typer.Option("--lang", help="Of what is said: en or es. By default the locale's.")]
INTERRUPTED = 130  # as shells count Ctrl-C


@contextmanager
def reported(debug: bool, stopped: str = "Stopped. Nothing was written.") -> Iterator[None]:
    """Turn errors into a message on stderr and exit code 1, and Ctrl-C into 130.

    Args:
        debug: let errors through.
        stopped: what to say at Ctrl-C, where the exception has no note that says more.
    """
    try:
        yield
    except KeyboardInterrupt as interrupt:
        _say(getattr(interrupt, "__notes__", [stopped]))
        raise typer.Exit(INTERRUPTED) from None
    except SystemExit as end:  # SIGTERM, or a server that cannot begin and has said why
        _say(getattr(end, "__notes__", []))
        raise
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None
    except Exception as error:
        if debug or isinstance(error, (typer.Exit, typer.BadParameter)):
            raise
        known = isinstance(error, (ValueError, OSError)) or "; expected " in str(error)  # worded by errors.explain
        typer.secho(f"Error: {error if known else f'{type(error).__name__}: {error}'}", fg="red", err=True)
        if not known:
            typer.echo("Run the command again with --debug for the details.", err=True)
        raise typer.Exit(1) from None


def _say(lines: list[str]) -> None:
    for line in lines:
        typer.echo(line, err=True)
