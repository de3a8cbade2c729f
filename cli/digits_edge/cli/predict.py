"""``digits-edge predict``: digits from pictures, CSV or IDX files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_SHOWN = 30  # rows of the table; a Kaggle file has 28,000


def predict(
    inputs: Annotated[
        list[Path],
        typer.Argument(help="Pictures, directories of pictures, Kaggle CSV files or IDX files of images."),
    ],
    bundle: Annotated[
        Path | None, typer.Option(help="Bundle to use.  [default: the one that ships with the runtime]")
    ] = None,
    submission: Annotated[Path | None, typer.Option(help="Write Kaggle's ImageId,Label here.")] = None,
    workers: Annotated[int | None, typer.Option(help="Threads.  [default: one a processor]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print every answer as JSON.")] = False,
) -> None:
    """Recognize digits.

    Pictures may be of any size, dark ink on light paper or the reverse, one digit each; they are cropped,
    scaled and centred as MNIST was. 28×28 pictures with light ink on black are taken as they are.

    Example: digits-edge predict photo.png scans/

    Example: digits-edge predict test.csv --submission submission.csv
    """
    from digits_edge.cli.answers import answers_json, answers_table, summary
    from digits_edge.cli.printing import print_json, print_table
    from digits_edge.runtime import Recognizer
    from digits_edge.trainer.datasets import read_images, write_submission

    digits = read_images(*inputs)
    with Recognizer.load(bundle, workers=workers) as recognizer:
        predictions = recognizer.predict(digits.images)
    if submission is not None:
        write_submission(submission, predictions.labels)
    if as_json:
        print_json(answers_json(digits, predictions))
        return
    print_table(answers_table(digits, predictions, rows=_SHOWN))
    typer.echo(summary(digits, predictions))
    if submission is not None:
        typer.echo(f"written: {submission}")
