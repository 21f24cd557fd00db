"""The commands: ``convia train digits``."""

from convia.cli.app import app, main

__all__ = ["app", "main"]
