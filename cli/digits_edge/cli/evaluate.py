"""``digits-edge evaluate``: how right, how sure, how robust."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from digits_edge.trainer.assessment import Assessment


def evaluate(
    subjects: Annotated[
        list[Path],
        typer.Argument(
            metavar="BUNDLE|RUN...",
            help="A bundle, or the directory of a finished run; of several, the mean of their answers.",
        ),
    ],
    data: Annotated[
        Path | None,
        typer.Option(
            help="Data whose test images are used; a run's own, or the bundled MNIST if not given. Without "
            "test images, those that the training validated on."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Directory for evaluation.json and the pictures; evaluation/NAME if not given."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Evaluate a bundle or a run: accuracy, calibration, rejection, robustness, with pictures.

    Held-out images are answered as they are and by a fixed suite of corruptions; scikit-learn's digits come
    from other writers; images that show no digit should be rejected. A bundle answers in the runtime, a run
    in Keras.

    Example: digits-edge evaluate models/edge-onnx-int8

    Example: digits-edge evaluate runs/kaggle --data kaggle/ --out report

    Example: digits-edge evaluate runs/strong/seed-0 runs/strong/seed-1
    """
    from digits_edge.cli.places import place_name
    from digits_edge.cli.printing import print_json
    from digits_edge.cli.steps import StepProgress
    from digits_edge.trainer import charts
    from digits_edge.trainer.assessment import assess, require_packages
    from digits_edge.trainer.runs import write_json
    from digits_edge.trainer.subject import held_out, open_ensemble, open_subject

    require_packages()
    opening = open_subject(subjects[0]) if len(subjects) == 1 else open_ensemble(subjects)
    with StepProgress() as progress, opening as opened:
        images = held_out(opened, data)
        place = out or Path("evaluation") / (place_name(subjects[0]) if len(subjects) == 1 else opened.name)
        place.mkdir(parents=True, exist_ok=True)  # before the minutes, not after them
        assessment = assess(opened, images, progress.on_step)
        progress.on_step("drawing", 0, 1)
        pictures = charts.draw(assessment, place)
        write_json(place / "evaluation.json", assessment.to_json())
    if as_json:
        print_json(assessment.to_json())
        return
    _print(assessment)
    typer.echo(f"{place}: evaluation.json, {', '.join(picture.name for picture in pictures)}")


def _print(assessment: Assessment) -> None:
    from digits_edge.cli.findings import classes_table, figures_table, headline, non_digits_table
    from digits_edge.cli.printing import print_table

    typer.echo(headline(assessment))
    for table in (figures_table, non_digits_table, classes_table):
        print_table(table(assessment))
