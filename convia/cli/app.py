"""The command line: a table of commands, each in a module that is imported when the command is called."""

import gc
import importlib
import re
from importlib import metadata
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from convia.errors import nearest

_HELP = {"help_option_names": ["-h", "--help"]}
COMMANDS = {  # name → module and function; the module's EXAMPLES end the help, its CONTEXT are settings of the parser
    "train": "convia.cli.train_command:train_command",
    "evaluate": "convia.cli.evaluate:evaluate_command",
    "predict": "convia.cli.predict:predict_command",
    "explain": "convia.cli.explain:explain_command",
    "summary": "convia.cli.summary:summary_command",
    "bench": "convia.cli.bench:bench_command",
    "report": "convia.cli.report:report_command",
    "repro": "convia.cli.repro:repro_command",
    "serve": "convia.cli.serve:serve_command",
    "card": "convia.cli.card:card_command",
    "convert": "convia.cli.convert:convert_command",
    "doctor": "convia.cli.doctor:doctor_command",
    "run": "convia.cli.run:run_command",
    "version": "convia.cli.version:version_command",
}


class Commands(TyperGroup):
    """Commands that are imported when they are called: predicting does not wait for what only training needs."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names in the order of the table."""
        return [*COMMANDS, *super().list_commands(ctx)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command by name, None if there is none."""
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        module_name, function = COMMANDS[cmd_name].split(":")
        module = importlib.import_module(module_name)
        alone = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)
        settings = _HELP | getattr(module, "CONTEXT", {})
        alone.command(cmd_name, epilog=_flowing(module.EXAMPLES), context_settings=settings)(getattr(module, function))
        return typer.main.get_command(alone)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that the words begin with; beside a wrong one, say which may be meant."""
        known = self.list_commands(ctx)
        if args and args[0] not in known and not args[0].startswith("-"):
            ctx.fail(f"No such command {args[0]!r}. {nearest(args[0], known)}")
        return super().resolve_command(ctx, args)


def _flowing(text: str) -> str:
    """Return paragraphs without line breaks of their own: the terminal's width decides."""
    return re.sub(r"(?<=[^\n])\n(?=[^\n])", " ", text)


app = typer.Typer(
    name="convia",
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings=_HELP,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"convia {metadata.version('convia')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Train convolutional neural networks on images, ask them, and look into them."""


def main() -> None:
    """Run the command line."""
    gc.freeze()  # what is imported stays until the end: no search for garbage, the last one included, need look at it
    app()
