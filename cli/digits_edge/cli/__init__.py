"""The command line: one thin file a command."""

from digits_edge.cli.app import main

__all__ = ["main"]
