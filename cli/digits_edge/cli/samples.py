"""``digits-edge samples``: something to classify."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def samples(
    out: Annotated[Path, typer.Argument(help="Directory to write to; made if missing.")] = Path("samples"),
    pictures: Annotated[int, typer.Option(min=1, help="How many picture files.")] = 12,
    rows: Annotated[int, typer.Option(min=1, help="How many rows of test.csv.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same samples.")] = 42,
    data: Annotated[
        Path | None,
        typer.Option(help="Data with a test part to draw from; the bundled MNIST if not given."),
    ] = None,
) -> None:
    """Write digits to try the toolkit on: a Kaggle test.csv and a few pictures.

    The pictures are test digits as a user would have them: some 28×28 as in MNIST, some like scans, some like
    photographs. The answers lie beside them in labels.csv and test-labels.csv.

    Example: digits-edge samples demo && digits-edge predict demo/pictures
    """
    from digits_edge.trainer.datasets import load_dataset, write_samples

    written = write_samples(out, load_dataset(data), pictures=pictures, rows=rows, seed=seed)
    typer.echo(f"{written.table}: {rows} rows without labels; the answers are in {written.table_labels.name}")
    typer.echo(f"{written.pictures}: {pictures} pictures; the answers are in {written.picture_labels}")
    typer.echo(f"classify them: digits-edge predict {written.pictures}")
