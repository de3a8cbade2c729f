"""``digits-edge compare``: are two models the same?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="A bundle, or the directory of a finished run.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another.")],
    data: Annotated[
        Path | None,
        typer.Option(
            help="Data whose test images are used; a run's own, or the bundled MNIST if not given. Without "
            "test images, those that the training validated on."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Directory for parity.json and parity.html; comparison/A-and-B if not given."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Compare two bundles or runs, image by image, as an export is compared with the model it was made from.

    Agreement and accuracy with their intervals, McNemar's test, differences of probabilities and logits,
    damaged digits, every image that gets another label; for a bundle also other batches and other engines.
    Both answer at temperature 1. Nothing is asked of either, so the exit code is 0 however they differ.

    Example: digits-edge compare models/edge-onnx-int8 models/edge-tflite-int8

    Example: digits-edge compare runs/edge bundles/edge-onnx-int8 --out report
    """
    from digits_edge.cli.contrast import contrast_tables
    from digits_edge.cli.places import made, place_name
    from digits_edge.cli.printing import print_json, print_table
    from digits_edge.cli.steps import StepProgress
    from digits_edge.export.comparison import compare_models
    from digits_edge.export.parity_page import parity_page
    from digits_edge.export.verdict import verdict
    from digits_edge.trainer.runs import write_atomically, write_json

    place = out or Path("comparison") / f"{place_name(first)}-and-{place_name(second)}"
    with made(place), StepProgress() as progress:
        proof = compare_models(first, second, data, progress)
        write_json(place / "parity.json", proof.to_json())
        write_atomically(place / "parity.html", parity_page(proof).encode())
    if as_json:
        print_json(proof.to_json())
        return
    for table in contrast_tables(proof):
        print_table(table)
    for finding in verdict(proof):
        typer.echo(f"{finding.question} {finding.answer}")
    typer.echo(f"{place}: parity.html, parity.json")
