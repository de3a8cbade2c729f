"""The command line's skeleton: which commands there are, and how they fail."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from digits_edge.cli.bench import bench
from digits_edge.cli.compare import compare
from digits_edge.cli.evaluate import evaluate
from digits_edge.cli.export import export
from digits_edge.cli.inspect import inspect
from digits_edge.cli.predict import predict
from digits_edge.cli.printing import printable
from digits_edge.cli.results import results
from digits_edge.cli.samples import samples
from digits_edge.cli.sign import sign
from digits_edge.cli.train import train
from digits_edge.cli.verify import verify

app = typer.Typer(
    name="digits-edge",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # a fault of ours shows Python's own traceback
    context_settings={"help_option_names": ["-h", "--help"]},
)
_COMMANDS: tuple[Callable[..., None], ...] = (
    train,
    evaluate,
    inspect,
    compare,
    export,
    sign,
    verify,
    predict,
    bench,
    samples,
    results,
)
for _command in _COMMANDS:
    # Typer would keep the line breaks of a docstring; the terminal has its own.
    _paragraphs = str(_command.__doc__).split("\n\n")
    app.command(help="\n\n".join(" ".join(paragraph.split()) for paragraph in _paragraphs))(_command)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"digits-edge {_version('digits-edge')}, runtime {_version('digits-edge-runtime')}")
        raise typer.Exit


def _version(distribution: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the versions and exit."),
    ] = False,
) -> None:
    """Train a digit CNN, export it quantized, with proof, and run it fast on x86-64 and 64-bit ARM CPUs."""


def main() -> None:
    """Runs the command line and ends the process: 0 done, 1 refused, 2 asked for wrongly, 130 interrupted."""
    try:
        app(prog_name="digits-edge")
    except Exception as error:  # noqa: BLE001 (what is not ours to explain is raised again)
        sys.exit(_explain(error))


def _explain(error: Exception) -> int:
    """Prints what a user can do something about as one line and returns the exit code; anything else goes on.

    The error tree is imported only now: it would bring NumPy into every ``--help``.
    """
    from digits_edge.runtime.errors import DigitsEdgeError

    if isinstance(error, DigitsEdgeError):
        code = error.exit_code
    elif isinstance(error, OSError):  # a full disk, a directory without permission
        code = 1
    else:
        raise error
    print("error:", printable(" ".join(str(error).split())), file=sys.stderr)  # noqa: T201
    return code
