"""``digits-edge train``: a network from labelled digits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from digits_edge.cli.given import refuse_given, was_given
from digits_edge.trainer.architectures import Architecture, Precision
from digits_edge.trainer.recipes import RecipeName

if TYPE_CHECKING:
    from digits_edge.trainer.runs import Run
    from digits_edge.trainer.series import Series

# What may be said of a run that exists already.
_WITH_RESUME = {"resume", "data", "as_json"}


class Arithmetic(str, Enum):
    """A ``Precision``, or the faster one here."""

    AUTO = "auto"
    FLOAT32 = "float32"
    MIXED_BFLOAT16 = "mixed_bfloat16"


def train(
    context: typer.Context,
    arch: Annotated[
        Architecture,
        typer.Option(
            help="cnn: the reference, 1,029,160 parameters. edge: small, for devices. m7: without pooling, "
            "to teach beside the reference."
        ),
    ] = Architecture.CNN,
    recipe: Annotated[
        RecipeName | None,
        typer.Option(
            help="notebook: RMSprop, rate cut on plateaus, stops early. strong: AdamW on digits deformed "
            "anew each epoch. distill: the same, learning the answers of --teacher, on worn digits and on "
            "images of no digit too. If not given: notebook for cnn, strong for the others."
        ),
    ] = None,
    teacher: Annotated[
        list[Path] | None,
        typer.Option(
            help="Bundle to learn from; several are averaged. With distill. Their answers are kept beside "
            "the run, in pool-*, for the next seed."
        ),
    ] = None,
    widths: Annotated[
        str | None, typer.Option(help="Filters of edge's four convolutions; 16,32,64,64 if not given.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Directory of IDX files, Kaggle directory or train.csv, or .npz; bundled MNIST if not given."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Run directory to make; a new one below --runs if not given.")
    ] = None,
    runs: Annotated[Path, typer.Option(help="Where run directories are kept.")] = Path("runs"),
    epochs: Annotated[int | None, typer.Option(help="At most so many; the recipe's if not given.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a step; the recipe's if not given.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seeds weights, augmentation, dropout and order.")] = 42,
    seeds: Annotated[
        str | None, typer.Option(help="Several, as 0,1,2: a run for each; mean and deviation are reported.")
    ] = None,
    split_seed: Annotated[int, typer.Option(min=0, help="Seeds --limit and the 90/10 split.")] = 42,
    stratify: Annotated[bool, typer.Option("--stratify", help="Split each digit 90/10 by itself.")] = False,
    limit: Annotated[int | None, typer.Option(help="Use only so many labelled images.")] = None,
    precision: Annotated[
        Arithmetic, typer.Option(help="Arithmetic of training. auto: bfloat16 where it is faster.")
    ] = Arithmetic.AUTO,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with this run from its last epoch; it keeps its settings.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Train a network on labelled digits and keep everything about it in a run directory.

    The directory holds the model, settings, history, metrics and pictures. A training that was stopped
    goes on from its last epoch with --resume.

    Example: digits-edge train --arch edge --epochs 5

    Example: digits-edge train --data kaggle/ --out runs/kaggle

    Example: digits-edge train --arch cnn --recipe strong --seeds 0,1,2 --out runs/strong

    Example: digits-edge train --arch edge --recipe distill --teacher models/cnn-strong-onnx-int8
    """
    from digits_edge.cli.progress import EpochProgress
    from digits_edge.trainer import training
    from digits_edge.trainer.backend import require_packages
    from digits_edge.trainer.runs import Run, new_run_path
    from digits_edge.trainer.series import Series, new_series

    require_packages()
    if seeds is not None and was_given(context, "seed"):
        raise typer.BadParameter("leave out --seed, or give one seed only", param_hint="--seeds")
    if resume is not None:
        refuse_given(context, but=_WITH_RESUME, why="a resumed run keeps its settings", hint="--resume")
        if Series(resume).file.exists():
            _train_series(Series(resume), data=data, as_json=as_json)
            return
        with EpochProgress() as watcher, _resumable(resume):
            training.resume(Run(resume), watcher, data=data)
        _show(Run(resume), as_json=as_json)
        return
    config = training.configure(
        architecture=arch,
        recipe_name=recipe,
        precision=None if precision is Arithmetic.AUTO else Precision(precision.value),
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
        split_seed=split_seed,
        stratify=stratify,
        teachers=teacher or (),
        widths=None if widths is None else tuple(_numbers(widths, "--widths")),
        data=data,
        limit=limit,
    )
    path = out or new_run_path(runs, config)
    dataset = training.load_data(config)
    if seeds is not None:
        series = new_series(path, config, _numbers(seeds, "--seeds"), dataset.train)
        _train_series(series, data=None, as_json=as_json)
        return
    run = training.new_run(path, config, dataset)
    with EpochProgress() as watcher, _resumable(path):
        plan = f"{config.architecture.value} by {config.recipe.value}, {config.precision.value}"
        watcher.say(f"{path}: {plan}, {len(dataset.train):,} labelled images")
        training.train(run.config(), dataset, run, watcher)
    _show(run, as_json=as_json)


def _numbers(text: str, option: str) -> list[int]:
    try:
        return [int(number) for number in text.split(",")]
    except ValueError as error:
        raise typer.BadParameter(f"{text!r}; expected numbers, as 0,1,2", param_hint=option) from error


def _train_series(series: Series, *, data: Path | None, as_json: bool) -> None:
    from digits_edge.cli.printing import print_json
    from digits_edge.cli.progress import EpochProgress
    from digits_edge.trainer.series import accuracies, to_json, train_seed

    for seed, run in series.runs().items():
        with EpochProgress() as watcher, _resumable(series.path):
            if not run.finished:
                watcher.say(f"{run.path}: seed {seed}")
            train_seed(series, seed, watcher, data=data)
        if not as_json:
            _show(run, as_json=False)
    if as_json:
        print_json(to_json(series))
        return
    for part, figures in accuracies(series).items():
        each = ", ".join(f"{accuracy:.2%}" for accuracy in figures.each)
        typer.echo(f"{part}: {figures.mean:.3%} ± {figures.deviation:.3%} ({each})")


@contextmanager
def _resumable(path: Path) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"stopped; go on with: digits-edge train --resume {path}", err=True)
        raise


def _show(run: Run, *, as_json: bool) -> None:
    from datetime import timedelta

    from rich import box
    from rich.table import Table

    from digits_edge.cli.printing import print_json, print_table

    metrics = run.metrics()
    if as_json:
        figures = {name: value for name, value in metrics.items() if name != "report"}
        print_json({"run": str(run.path), **figures})
        return
    table = Table("", "images", "loss", "accuracy", "errors", box=box.SIMPLE_HEAD)
    for column in table.columns[1:]:
        column.justify = "right"
    for name, label in (("train", "training"), ("valid", "validation"), ("test", "test")):
        if part := metrics.get(name):
            images, errors = f"{part['images']:,}", f"{part['errors']:,}"
            table.add_row(label, images, f"{part['loss']:.4f}", f"{part['accuracy']:.2%}", errors)
    print_table(table)
    lasted = timedelta(seconds=round(metrics["seconds"]))
    typer.echo(f"epoch {metrics['kept_epoch']} of {metrics['epochs']} was kept; training took {lasted}")
    typer.echo(
        f"{run.path}: {run.model_file.name}, {run.metrics_file.name}, {run.history_file.name}, pictures/"
    )
    typer.echo(f"next: digits-edge export {run.path}")
