"""How an assessment looks in a terminal: three tables, and whom the figures are of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from digits_edge.trainer.assessment import Assessment
    from digits_edge.trainer.confidence import Share


def headline(assessment: Assessment) -> str:
    """What was evaluated, by what, on what."""
    subject, data = assessment.subject, assessment.held_out
    text = f"{subject.name} ({subject.kind}, {subject.engine}) on {len(data.split):,} {data.part} images"
    text += f" of {data.data}"
    if data.part == "validation":
        text += "\nthe training chose by these images, so their figures flatter it; there are no test images"
    return text


def figures_table(assessment: Assessment) -> Table:
    """Accuracy, calibration, rejection, robustness: a row a figure."""
    table = Table()
    table.add_column("figure")
    for name in ("", "95 % interval", "of"):
        table.add_column(name, justify="right")

    def row(name: str, share: Share | None, digits: int = 2) -> None:
        if share is None:
            table.add_row(name, "none", "", "")
            return
        low, high = (f"{end:.{digits}%}" for end in share.interval)
        table.add_row(name, f"{share.part:.{digits}%}", f"{low} – {high}", f"{share.of:,}")

    row("accuracy", assessment.accuracy)
    table.add_row("calibration error (ECE)", f"{assessment.ece:.2%}", "", "")
    table.add_row("area under risk-coverage", f"{assessment.curve.aurc:.2e}", "", "")
    if (at := assessment.operation) is not None:
        table.add_section()
        row(f"accepted at threshold {at.threshold:.4g}", at.coverage)
        row("wrong among the accepted", at.errors, 3)
    table.add_section()
    for hardship in assessment.corruptions:
        row(f"corrupted: {hardship.corruption.value}", hardship.right)
    table.add_row("corrupted: mean", f"{assessment.corruption_mean:.2%}", "", "")
    row("scikit-learn's load_digits", assessment.foreign)
    return table


def classes_table(assessment: Assessment) -> Table:
    """The per-class report."""
    table = Table()
    for name in ("digit", "precision", "recall", "F1", "images", "taken for"):
        table.add_column(name, justify="right" if name != "taken for" else "left")
    for scores in assessment.evaluation.classes:
        wrong = [
            (count, digit)
            for digit, count in enumerate(assessment.evaluation.confusion[scores.label])
            if count and digit != scores.label
        ]
        table.add_row(
            str(scores.label),
            f"{scores.precision:.2%}",
            f"{scores.recall:.2%}",
            f"{scores.f1:.2%}",
            f"{scores.support:,}",
            "  ".join(f"{digit}: {count}" for count, digit in sorted(wrong, reverse=True)),
        )
    return table


def non_digits_table(assessment: Assessment) -> Table:
    """How many images that show no digit are rejected."""
    threshold = assessment.subject.threshold
    table = Table()
    table.add_column("no digit")
    table.add_column("rejected" if threshold is None else f"rejected at {threshold:.4g}", justify="right")
    table.add_column("rejected if 99 % of the digits are accepted", justify="right")
    table.add_column("images", justify="right")
    for kind in assessment.non_digits:
        share = kind.rejected
        table.add_row(
            kind.kind.value,
            "no threshold" if share is None else f"{share.part:.1%}",
            f"{kind.rejected_at_99.part:.1%}",
            f"{kind.rejected_at_99.of:,}",
        )
    if (total := assessment.rejected) is not None:
        table.add_section()
        table.add_row("all", f"{total.part:.1%}", "", f"{total.of:,}")
    return table
