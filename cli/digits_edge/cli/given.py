"""Which options stood on the command line, and which of them do not belong there."""

from __future__ import annotations

from collections.abc import Collection

import typer


def was_given(context: typer.Context, name: str) -> bool:
    """Whether a parameter, by its name in Python, was given, be it with its default's value."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def refuse_given(context: typer.Context, *, but: Collection[str], why: str, hint: str) -> None:
    """Refuses options that would be ignored.

    Args:
        context: The command's.
        but: Names of the parameters that apply.
        why: What rules the others out.
        hint: The parameter that does, as a user writes it.

    Raises:
        typer.BadParameter: There are some; it names them.
    """
    given = [name for name in context.params if was_given(context, name) and name not in but]
    if given:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise typer.BadParameter(f"{why}; leave out {options}", param_hint=hint)
