"""Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Row = Sequence[str]


def table(rows: Iterable[Row]) -> str:
    """A Markdown table; the first row is the head, all columns but the first are figures."""
    head, *body = rows
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *body))
