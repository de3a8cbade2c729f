"""The whole job of ``digits-edge train``: fit, evaluate, draw, predict; a finished run directory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from digits_edge.runtime import read_bundle
from digits_edge.trainer.architectures import Architecture, Precision
from digits_edge.trainer.backend import start_keras
from digits_edge.trainer.datasets import Dataset, Images, Split, load_dataset
from digits_edge.trainer.evaluate import Evaluation, evaluate
from digits_edge.trainer.fit import Fitted, Watcher, fastest_precision, fit, split_rows, to_input
from digits_edge.trainer.recipes import RecipeName, default_recipe, recipe
from digits_edge.trainer.runs import Run, RunConfig, create_run, write_csv, write_json

if TYPE_CHECKING:
    import keras

# The training loss is a figure to compare with, not one to rely on; all rows would take longer than the rest.
TRAIN_ROWS = 10_000
_BATCH = 500


def configure(
    *,
    architecture: Architecture = Architecture.CNN,
    recipe_name: RecipeName | None = None,
    precision: Precision | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    seed: int = 42,
    split_seed: int = 42,
    stratify: bool = False,
    teachers: Sequence[Path] = (),
    widths: tuple[int, ...] | None = None,
    data: Path | None = None,
    limit: int | None = None,
) -> RunConfig:
    """Fills in what was not asked for: the architecture's recipe, the recipe's figures, fast arithmetic.

    Raises:
        RunError: A number is out of range, or recipe and teachers do not go together.
        BundleError: A teacher was refused.
    """
    recipe_name = recipe_name or default_recipe(architecture)
    plan = recipe(recipe_name, architecture)
    return RunConfig(
        architecture=architecture,
        recipe=recipe_name,
        epochs=plan.epochs if epochs is None else epochs,
        batch_size=plan.batch_size if batch_size is None else batch_size,
        seed=seed,
        split_seed=split_seed,
        stratify=stratify,
        precision=precision or fastest_precision(),
        teachers={str(teacher): read_bundle(teacher).manifest.model.sha256 for teacher in teachers},
        widths=widths,
        data=None if data is None else str(data.absolute()),
        limit=limit,
    )


def load_data(config: RunConfig) -> Dataset:
    """Reads the data that a run is trained on, with ``limit`` applied.

    Raises:
        DataError: The data is malformed.
        InputError: There is less data than ``limit``.
    """
    dataset = load_dataset(Path(config.data) if config.data else None)
    return dataset if config.limit is None else dataset.limited(config.limit, seed=config.split_seed)


def new_run(path: Path, config: RunConfig, dataset: Dataset) -> Run:
    """Makes the directory of a run that is about to train on this data.

    Raises:
        InputError: The data is too small to be split.
        RunError: There is a run already, or the place cannot be written to.
    """
    split_rows(config, dataset.train)
    return create_run(path, config.stamped(data_digest=dataset.train.digest()))


def train(config: RunConfig, dataset: Dataset, run: Run, watcher: Watcher, *, resume: bool = False) -> Run:
    """Trains a network and leaves a finished run directory; killed at any moment, it can be resumed.

    ``metrics.json`` is written last and makes the run count as finished.

    Args:
        config: What to train, as in the run's ``run.json``.
        dataset: What to train on. Test images are looked at once, after the last decision.
        run: Where.
        watcher: Told how it goes.
        resume: Go on from what the run directory holds.

    Raises:
        RunError: The run cannot be resumed with this data, or is damaged.
        DivergedError: The loss became infinite or NaN.
        SetupError: A package that training needs is not installed.
    """
    start_keras()
    fitted = fit(run, config, dataset.train, watcher, resume=resume)
    watcher.on_stage("evaluating")
    _save_model(fitted.model, run.model_file)
    write_csv(run.history_file, fitted.history)
    metrics, subject, images, evaluation = _evaluate(fitted, dataset)
    watcher.on_stage("drawing")
    _draw(run, fitted, dataset, subject=subject, images=images, evaluation=evaluation)
    if dataset.unlabelled is not None:
        watcher.on_stage("predicting")
        _predict(run, fitted.model, dataset.unlabelled)
    write_json(run.metrics_file, metrics)
    _remove_leftovers(run)
    return run


def resume(run: Run, watcher: Watcher, *, data: Path | None = None) -> Run:
    """Goes on with a run from its last finished epoch; one that has finished is left as it is.

    Args:
        run: The run.
        watcher: Told how it goes.
        data: Where its data is now, if not where it was.

    Raises:
        DataError: The data is malformed, or not where it was.
        RunError: The run is missing or damaged, or was begun with other data.
    """
    config = run.config()
    if run.finished:
        _remove_leftovers(run)
        return run
    dataset = load_data(config if data is None else replace(config, data=str(data)))
    return train(config, dataset, run, watcher, resume=True)


def _save_model(model: keras.Model, path: Path) -> None:
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp.keras")  # Keras goes by the suffix
    model.save(temporary)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


def _evaluate(fitted: Fitted, dataset: Dataset) -> tuple[dict[str, Any], str, Images, Evaluation]:
    """The content of metrics.json, and the evaluation that is reported in full with the images it is of."""
    train_rows = fitted.train_rows[:TRAIN_ROWS]  # train_test_split has shuffled them
    parts = {
        "train": _evaluate_rows(fitted.model, dataset.train, train_rows),
        "valid": _evaluate_rows(fitted.model, dataset.train, fitted.valid_rows),
    }
    reported, subject, images = "valid", "validation images", dataset.train.images
    if dataset.test is not None:
        parts["test"] = _evaluate_rows(fitted.model, dataset.test, np.arange(len(dataset.test)))
        reported, subject, images = "test", "test images", dataset.test.images
    metrics: dict[str, Any] = {
        "kept_epoch": fitted.kept_epoch,
        "epochs": len(fitted.history),
        "seconds": sum(row["seconds"] for row in fitted.history),
        "parameters": {
            "total": fitted.model.count_params(),
            "trainable": sum(int(np.prod(variable.shape)) for variable in fitted.model.trainable_variables),
        },
        **{name: part.summary() for name, part in parts.items()},
        "report": {"split": reported, **parts[reported].details()},
    }
    metrics["train"]["of"] = len(fitted.train_rows)
    return metrics, subject, images, parts[reported]


def _evaluate_rows(model: keras.Model, data: Split, rows: NDArray[np.int64]) -> Evaluation:
    part = data.take(rows)
    return evaluate(_probabilities(model, part.images), part.labels, rows=rows)


def _probabilities(model: keras.Model, images: Images) -> NDArray[np.float32]:
    answers: NDArray[np.float32] = model.predict(to_input(images), batch_size=_BATCH, verbose=0)
    return answers


def _draw(
    run: Run, fitted: Fitted, dataset: Dataset, *, subject: str, images: Images, evaluation: Evaluation
) -> None:
    from digits_edge.trainer import diagram, figures

    run.pictures.mkdir(exist_ok=True)
    for name, figure in (
        ("samples", figures.samples(dataset.train)),
        ("architecture", diagram.architecture(fitted.model)),
        ("curves", figures.curves(fitted.history, kept_epoch=fitted.kept_epoch)),
        ("confusion", figures.confusion(evaluation, subject=subject)),
        ("misclassified", figures.misclassified(images, evaluation, subject=subject)),
    ):
        figures.save(figure, run.pictures / f"{name}.png")


def _predict(run: Run, model: keras.Model, images: Images) -> None:
    from digits_edge.trainer import figures

    probabilities = _probabilities(model, images)
    labels, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    rows = zip(labels.tolist(), confidence.tolist(), strict=True)
    write_csv(
        run.predictions_file,
        (
            {"ImageId": i, "Label": label, "Confidence": round(sure, 6)}
            for i, (label, sure) in enumerate(rows, 1)
        ),
    )
    figures.save(figures.predictions(images, labels, confidence), run.pictures / "predictions.png")


def _remove_leftovers(run: Run) -> None:
    """Removes what only an unfinished training needs, and what killed ones have left."""
    for pattern in ("state.json", "checkpoint-*.keras", "kept-*.keras", ".*.tmp", ".*.tmp.keras"):
        for file in run.path.glob(pattern):
            file.unlink()
