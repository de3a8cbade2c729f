"""The command line: one thin file a command."""

from digits_edge.cli.app import app, main

__all__ = ["app", "main"]
