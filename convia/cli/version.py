"""``convia version``, and the versions that results depend on."""

import platform
from importlib import metadata

import typer

from convia import config

EXAMPLES = """[bold]Examples[/bold]

convia version


[bold]Exit codes[/bold]  0: done. 2: wrong usage.
"""


def versions() -> dict[str, str]:
    """Return the versions of what decides the results."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in ("convia", "torch", "numpy"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # a source tree that is not installed
            found[name] = "not installed"
    return found


def version_command() -> None:
    """Print the versions of convia, PyTorch and Python, and the device."""
    found = versions()
    typer.echo(f"convia {found['convia']}")
    typer.echo(f"PyTorch {found['torch']}, NumPy {found['numpy']}, Python {found['python']}")
    typer.echo(f"{found['platform']}; device {config.device()}")
