"""``digits-edge results``: docs/results.md and README's table, from saved JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def results(
    bench: Annotated[list[Path], typer.Argument(help="Files saved by `digits-edge bench --save`.")],
    models: Annotated[Path, typer.Option(help="Directory with runs, bundles and evaluations/.")] = Path(
        "models"
    ),
    training: Annotated[
        Path | None, typer.Option(help="What pytest-benchmark saved of benchmarks/suites/test_training.py.")
    ] = None,
    exports: Annotated[
        Path | None, typer.Option(help="What pytest-benchmark saved of benchmarks/suites/test_export.py.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Markdown file to write.")] = Path("docs/results.md"),
    readme: Annotated[
        Path | None, typer.Option(help="README with `<!-- results -->` markers, to put the short table in.")
    ] = None,
) -> None:
    """Write down all figures, each with the command that made it.

    Example: digits-edge results models/bench-cnn.json models/bench-edge.json --readme README.md
    """
    from digits_edge.benchmarks import document, front
    from digits_edge.benchmarks.evaluations import read_evaluations
    from digits_edge.benchmarks.exports import exported, read_exports, read_sources
    from digits_edge.benchmarks.results import Results
    from digits_edge.trainer.figures import save

    trained, published = document.read_models(models)
    evaluations = read_evaluations(models / "evaluations")
    measured = [Results.load(path) for path in bench]
    steps = document.read_training_steps(training) if training is not None else []
    about = exported(read_exports(exports) if exports is not None else [], read_sources(models))
    text = document.document(trained, published, evaluations, measured, steps, about)
    document.write_document(text, out)
    if found := front.candidates(trained, published):
        save(front.front_figure(found), out.with_name(front.PICTURE))
    if readme is not None:
        document.write_headline(document.headline(published, measured), readme)
    typer.echo(f"written: {out}{f', {readme}' if readme else ''}")
