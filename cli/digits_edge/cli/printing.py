"""Results on standard output: tables for people, JSON for scripts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text


def output() -> Console:
    """Standard output; a pipe or file has no width to fit into, and gets one that cuts no figure off."""
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=160)


def print_table(table: Table) -> None:
    """Prints a table."""
    output().print(table)


def print_json(value: object) -> None:
    """Prints JSON."""
    typer.echo(json.dumps(value, indent=2))


def printable(text: str) -> str:
    """Text from outside, as a name or a message: no control character of it reaches the terminal."""
    return "\n".join("".join(c if c.isprintable() else "?" for c in line) for line in text.split("\n"))


def plain(text: str) -> Text:
    """Text from outside for a table: what looks like markup is none, and control characters are gone."""
    from rich.text import Text

    return Text(printable(text))
