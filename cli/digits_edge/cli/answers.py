"""How predictions look: a table of the first ones, a line about all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table

from digits_edge.cli.printing import plain

if TYPE_CHECKING:
    from rich.text import Text

    from digits_edge.runtime import Predictions
    from digits_edge.trainer.datasets import Digits


def answers_table(digits: Digits, predictions: Predictions, *, rows: int) -> Table:
    """The first answers, a row an image; true labels beside them where they are known."""
    table = Table()
    table.add_column("image")
    table.add_column("digit", justify="right")
    table.add_column("confidence", justify="right")
    if digits.labels is not None:
        table.add_column("label", justify="right")
    for row, (name, answer) in enumerate(zip(digits.names[:rows], predictions, strict=False)):
        cells: list[str | Text] = [
            plain(name),
            str(answer.label),
            f"{answer.confidence:.2%}" + (" rejected" if answer.rejected else ""),
        ]
        if digits.labels is not None:
            cells.append(str(digits.labels[row]))
        table.add_row(*cells)
    return table


def summary(digits: Digits, predictions: Predictions) -> str:
    """How many images, of which digits, how many rejected, how many right."""
    counts = "  ".join(f"{digit}: {int((predictions.labels == digit).sum()):,}" for digit in range(10))
    lines = [f"{len(digits):,} images   {counts}"]
    rejected = int(predictions.rejected.sum())
    if rejected:
        lines.append(f"{rejected:,} rejected: too little confidence")
    if digits.labels is not None:
        right = int((predictions.labels == digits.labels).sum())
        lines.append(f"{right:,} of {len(digits):,} right: {right / len(digits):.2%}")
    return "\n".join(lines)


def answers_json(digits: Digits, predictions: Predictions) -> list[dict[str, Any]]:
    """Every answer, in the order of the images."""
    return [
        {
            "image": name,
            "digit": answer.label,
            "confidence": round(answer.confidence, 6),
            "rejected": answer.rejected,
            **({"label": int(digits.labels[row])} if digits.labels is not None else {}),
        }
        for row, (name, answer) in enumerate(zip(digits.names, predictions, strict=True))
    ]
