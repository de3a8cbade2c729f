"""How a comparison of two models looks in a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.table import Table

from digits_edge.cli.printing import plain

if TYPE_CHECKING:
    from digits_edge.export.proof import Proof
    from digits_edge.trainer.confidence import Share


def contrast_tables(proof: Proof) -> Iterator[Table]:
    """The two side by side, then how far they are apart."""
    yield _sides(proof)
    yield _distances(proof)


def _sides(proof: Proof) -> Table:
    parity, (before, after) = proof.parity, proof.right
    table = Table(
        title=plain(f"{parity.images:,} {parity.held_out} images of {proof.data}"), title_justify="left"
    )
    table.add_column("")
    for side in (proof.original, proof.exported):
        table.add_column(plain(side.name), justify="right")
    table.add_row("engine", proof.original.engine, proof.exported.engine)
    table.add_row("accuracy", _share(before), _share(after))
    table.add_row(
        "images only it gets right", str(parity.only_original_right), str(parity.only_exported_right)
    )
    table.add_row("calibration error (ECE)", f"{parity.ece_original:.2%}", f"{parity.ece_exported:.2%}")
    table.add_section()
    for strain in proof.corruptions:
        table.add_row(
            f"damaged: {strain.kind.value}", f"{strain.original.part:.1%}", f"{strain.exported.part:.1%}"
        )
    return table


def _distances(proof: Proof) -> Table:
    parity = proof.parity
    table = Table("between the two")
    table.add_column("", justify="right")
    table.add_row("same label", _share(parity.same_label))
    table.add_row("exact McNemar test, p", f"{parity.mcnemar_p:.3g}")
    table.add_row(
        "probability: largest, 99 %, mean",
        _spread(parity.max_difference, parity.p99_difference, parity.mean_difference),
    )
    table.add_row(
        "logit: largest, 99 %, mean",
        _spread(parity.max_logit_difference, parity.p99_logit_difference, parity.mean_logit_difference),
    )
    table.add_row("KL divergence: largest, mean", _spread(parity.max_kl, parity.mean_kl))
    for file in proof.files:
        table.add_section()
        table.add_row(
            plain(f"{file.name}: in any batch"), "same bits" if file.steadiness.identical else "other bits"
        )
        for other in file.engines:
            told = _share(other.same_label) if other.same_label else str(other.problem)
            table.add_row(plain(f"{file.name}: {other.engine}"), plain(told))
    return table


def _share(share: Share) -> str:
    low, high = share.interval
    return f"{share.part:.2%} ({low:.2%} – {high:.2%})"


def _spread(*figures: float) -> str:
    return "  ".join(f"{figure:.2g}" for figure in figures)
