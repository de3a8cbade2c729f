"""What a training leaves behind."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from digits_edge.runtime.errors import InputError
from digits_edge.trainer.architectures import Architecture, Precision
from digits_edge.trainer.datasets import Dataset
from digits_edge.trainer.errors import RunError
from digits_edge.trainer.fit import fastest_precision, split_rows, to_input
from digits_edge.trainer.recipes import RecipeName
from digits_edge.trainer.runs import Run, RunConfig
from digits_edge.trainer.training import configure, load_data, new_run, resume, train

FILES = ["history.csv", "metrics.json", "model.keras", "pictures", "predictions.csv", "run.json"]
PICTURES = ["architecture", "confusion", "curves", "misclassified", "samples"]
Watch = Callable[..., Any]


def answers(run: Run, images: np.ndarray) -> np.ndarray:
    import keras

    model = keras.models.load_model(run.model_file)
    return np.asarray(model.predict(to_input(images), verbose=0))


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_a_finished_run_holds_what_it_should_and_nothing_else(finished: Run) -> None:
    assert names(finished.path) == FILES
    assert names(finished.pictures) == sorted(f"{name}.png" for name in [*PICTURES, "predictions"])
    assert finished.finished


def test_run_json_says_what_was_done(finished: Run, few: Dataset, config: RunConfig) -> None:
    values = json.loads(finished.config_file.read_text())
    assert values["data_digest"] == few.train.digest()
    assert {"keras", "numpy", "scikit-learn"} <= set(values["versions"])
    assert (values["architecture"], values["epochs"], values["seed"]) == ("edge", 3, 42)
    known = finished.config()
    assert config == replace(known, data_digest="", versions={}, machine="", started="")


def test_the_metrics_are_the_saved_models(finished: Run, few: Dataset, config: RunConfig) -> None:
    metrics = finished.metrics()
    assert few.test is not None
    train_rows, valid_rows = split_rows(config, few.train)
    for part, data in (
        ("train", few.train.take(train_rows)),
        ("valid", few.train.take(valid_rows)),
        ("test", few.test),
    ):
        right = answers(finished, data.images).argmax(axis=1) == data.labels
        assert metrics[part]["images"] == len(data)
        assert metrics[part]["accuracy"] == pytest.approx(right.mean())
        assert metrics[part]["errors"] == (~right).sum()
    assert metrics["train"]["of"] == 360
    report = metrics["report"]
    assert report["split"] == "test"
    predicted = answers(finished, few.test.images).argmax(axis=1)
    wrong = np.flatnonzero(predicted != few.test.labels)
    assert [error["row"] for error in report["errors"]] == wrong.tolist()
    assert [error["predicted"] for error in report["errors"]] == predicted[wrong].tolist()
    assert np.trace(report["confusion"]) == len(few.test) - len(wrong)
    assert [row["support"] for row in report["classes"]] == np.bincount(few.test.labels).tolist()


def test_the_metrics_agree_with_the_history(finished: Run) -> None:
    metrics, history = finished.metrics(), finished.history()
    kept = history[-1]  # by a recipe that keeps the last
    assert metrics["kept_epoch"] == metrics["epochs"] == len(history) == 3
    assert metrics["seconds"] == pytest.approx(sum(row["seconds"] for row in history))
    assert metrics["valid"]["loss"] == pytest.approx(kept["val_loss"], rel=1e-3)
    assert metrics["valid"]["accuracy"] == pytest.approx(kept["val_accuracy"], abs=1e-6)
    assert metrics["parameters"] == {"total": 61_658, "trainable": 61_306}


def test_the_predictions_are_the_saved_models(finished: Run, few: Dataset) -> None:
    with finished.predictions_file.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert few.unlabelled is not None
    expected = answers(finished, few.unlabelled)
    assert [int(row["ImageId"]) for row in rows] == list(range(1, 46))
    assert [int(row["Label"]) for row in rows] == expected.argmax(axis=1).tolist()
    np.testing.assert_allclose([float(row["Confidence"]) for row in rows], expected.max(axis=1), atol=1e-4)


@pytest.fixture(scope="module")
def kaggle(few: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory as Kaggle gives it: no labelled test images."""
    directory = tmp_path_factory.mktemp("kaggle")
    assert few.unlabelled is not None
    pixels = ",".join(f"pixel{number}" for number in range(784))
    train = np.column_stack([few.train.labels, few.train.images.reshape(-1, 784)])
    test = few.unlabelled.reshape(-1, 784)
    np.savetxt(directory / "train.csv", train, "%d", ",", header=f"label,{pixels}", comments="")
    np.savetxt(directory / "test.csv", test, "%d", ",", header=pixels, comments="")
    return directory


@pytest.fixture(scope="module")
def killed_late(
    kaggle: Path, config: RunConfig, silent: Watch, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Run, Dataset]:
    """A run that was killed after its last epoch, then again in each later stage, then finished."""
    settings = replace(config, data=str(kaggle), epochs=1)
    data = load_data(settings)
    run = new_run(tmp_path_factory.mktemp("killed") / "run", settings, data)
    with pytest.raises(KeyboardInterrupt):
        train(run.config(), data, run, silent(stop_in_stage="evaluating"))
    for stage in ("drawing", "predicting"):
        with pytest.raises(KeyboardInterrupt):
            resume(run, silent(stop_in_stage=stage))
        assert not run.finished
        with pytest.raises(RunError, match="--resume"):
            run.metrics()
    watcher = silent()
    resume(run, watcher)
    assert watcher.epochs == []
    return run, data


def test_a_run_killed_after_its_last_epoch_is_finished_without_training(
    killed_late: tuple[Run, Dataset],
) -> None:
    run, _ = killed_late
    assert run.metrics()["epochs"] == len(run.history()) == 1
    assert names(run.path) == FILES
    assert names(run.pictures) == sorted(f"{name}.png" for name in [*PICTURES, "predictions"])


def test_without_test_images_the_validation_images_are_reported(
    killed_late: tuple[Run, Dataset], config: RunConfig
) -> None:
    run, data = killed_late
    metrics = run.metrics()
    assert "test" not in metrics
    assert metrics["report"]["split"] == "valid"
    assert sum(map(sum, metrics["report"]["confusion"])) == 40
    _, valid_rows = split_rows(config, data.train)
    rows = [error["row"] for error in metrics["report"]["errors"]]
    assert rows
    assert set(rows) <= set(valid_rows.tolist())
    assert [error["true"] for error in metrics["report"]["errors"]] == data.train.labels[rows].tolist()


def test_resuming_a_finished_run_changes_nothing(finished: Run, silent: Watch) -> None:
    before = {name: (finished.path / name).stat().st_mtime_ns for name in names(finished.path)}
    watcher = silent()
    resume(finished, watcher)
    assert watcher.epochs == []
    assert {name: (finished.path / name).stat().st_mtime_ns for name in names(finished.path)} == before


def test_a_second_run_in_the_same_place_is_refused(finished: Run, few: Dataset, config: RunConfig) -> None:
    before = finished.config_file.read_bytes()
    with pytest.raises(RunError, match="holds a run already"):
        new_run(finished.path, config, few)
    assert finished.config_file.read_bytes() == before


def test_what_was_not_asked_for_is_filled_in() -> None:
    reference = configure()
    assert (reference.architecture, reference.recipe) == (Architecture.CNN, RecipeName.NOTEBOOK)
    assert (reference.epochs, reference.batch_size, reference.seed, reference.split_seed) == (50, 128, 42, 42)
    assert (reference.validation, reference.stratify, reference.data) == (0.1, False, None)
    edge = configure(architecture=Architecture.EDGE)
    assert (edge.recipe, edge.precision, edge.batch_size) == (RecipeName.STRONG, fastest_precision(), 256)
    asked = configure(precision=Precision.FLOAT32, epochs=3, batch_size=7, seed=1, data=Path("digits"))
    assert (asked.precision, asked.epochs, asked.batch_size, asked.seed) == (Precision.FLOAT32, 3, 7, 1)
    assert asked.data == str(Path("digits").absolute())


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"batch_size": 0}, {"seed": -1}, {"split_seed": 2**31}])
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(RunError, match="expected"):
        configure(**wrong)


def test_a_limit_draws_the_same_images_again(config: RunConfig) -> None:
    limited = replace(config, limit=100)
    data = load_data(limited)
    assert len(data.train) == 100
    assert data.test is not None
    assert len(data.test) == 10_000
    assert load_data(limited).train.digest() == data.train.digest()
    with pytest.raises(InputError, match="expected 20 to 60000"):
        load_data(replace(config, limit=60_001))
