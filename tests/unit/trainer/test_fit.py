"""Training: what it may look at, and that a killed one goes on as if nothing had happened."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from digits_edge.runtime.errors import InputError
from digits_edge.trainer.architectures import Architecture, build
from digits_edge.trainer.backend import start_keras
from digits_edge.trainer.datasets import Dataset, Split
from digits_edge.trainer.epochs import Plain
from digits_edge.trainer.errors import DivergedError, RunError
from digits_edge.trainer.evaluate import evaluate
from digits_edge.trainer.fit import Fitted, fit, split_rows, to_input
from digits_edge.trainer.recipes import RecipeName
from digits_edge.trainer.runs import Run, RunConfig
from digits_edge.trainer.training import new_run

if TYPE_CHECKING:
    import keras

Watch = Callable[..., Any]


@pytest.fixture(scope="module", autouse=True)
def keras_is_up() -> None:
    start_keras()


def fitted(run: Run, data: Dataset, watcher: Any, *, resume: bool = False) -> Fitted:
    return fit(run, run.config(), data.train, watcher, resume=resume)


def interrupted(run: Run, data: Dataset, watcher: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        fitted(run, data, watcher)


@pytest.fixture(scope="module")
def noise(few: Dataset) -> Dataset:
    """Digits under labels that mean nothing: the validation loss soon stops falling."""
    labels = np.random.default_rng(0).integers(0, 10, 200).astype(np.uint8)
    return Dataset("noise", Split(few.train.images[:200], labels))


@pytest.fixture(scope="module")
def noise_config(config: RunConfig) -> RunConfig:
    return replace(config, recipe=RecipeName.NOTEBOOK, epochs=30)


@pytest.fixture(scope="module")
def noise_run(
    noise: Dataset, noise_config: RunConfig, silent: Watch, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Run, Fitted]:
    run = new_run(tmp_path_factory.mktemp("noise") / "run", noise_config, noise)
    return run, fitted(run, noise, silent())


@pytest.fixture(scope="module")
def stopped_run(
    few: Dataset, config: RunConfig, silent: Watch, tmp_path_factory: pytest.TempPathFactory
) -> Run:
    run = new_run(tmp_path_factory.mktemp("stopped") / "run", config, few)
    interrupted(run, few, silent(stop_in_epoch=2))
    return run


@pytest.fixture
def stopped(stopped_run: Run, tmp_path: Path) -> Run:
    """A run that was killed in its second epoch of three."""
    return Run(Path(shutil.copytree(stopped_run.path, tmp_path / "stopped")))


def without_times(history: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in history]


def assert_same_training(one: Fitted, history: list[dict[str, float]], model: keras.Model) -> None:
    assert len(one.history) == len(history)
    for row, same in zip(without_times(one.history), without_times(history), strict=True):
        assert row == pytest.approx(same, rel=1e-3, abs=1e-4)
    for weight, same_weight in zip(one.model.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(weight, same_weight, atol=1e-4)


def test_validation_rows_are_never_trained_on(
    few: Dataset, config: RunConfig, silent: Watch, tmp_path: Path
) -> None:
    config = replace(config, epochs=1)
    train_rows, valid_rows = split_rows(config, few.train)
    assert len(train_rows) == 360
    assert len(valid_rows) == 40
    assert sorted([*train_rows, *valid_rows]) == list(range(400))

    def spoiled(rows: np.ndarray) -> Dataset:
        images, labels = few.train.images.copy(), few.train.labels.copy()
        images[rows], labels[rows] = 255 - images[rows], (labels[rows] + 1) % 10
        return Dataset("spoiled", Split(images, labels))

    def weights(name: str, data: Dataset) -> list[np.ndarray]:
        found = fitted(new_run(tmp_path / name, config, data), data, silent())
        np.testing.assert_array_equal(found.valid_rows, valid_rows)
        np.testing.assert_array_equal(found.train_rows, train_rows)
        return list(found.model.get_weights())

    plain = weights("plain", few)
    for one, other in zip(plain, weights("validation spoiled", spoiled(valid_rows)), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    one_row = weights("one training row spoiled", spoiled(train_rows[:1]))
    assert max(np.abs(one - other).max() for one, other in zip(plain, one_row, strict=True)) > 1e-3


def test_each_epoch_brings_all_images_in_an_order_of_its_own(few: Dataset) -> None:
    from digits_edge.trainer._callbacks import Batches, Draws

    batches = Batches(Plain(few.train), batch_size=64, seed=1)
    draws = Draws(batches)
    draws.set_model(build(Architecture.EDGE, augment=True))

    def epoch(number: int) -> np.ndarray:
        draws.on_epoch_begin(number)
        parts = [batches[step] for step in range(len(batches))]
        assert [len(labels) for _, labels in parts] == [64] * 6 + [16]
        for _, labels in parts:
            assert (labels.sum(axis=1) == 1).all()
        return np.concatenate([images for images, _ in parts])[..., 0] * 255

    first, second, second_again = epoch(0), epoch(1), epoch(1)
    np.testing.assert_array_equal(second, second_again)
    assert not np.array_equal(first, second)
    everything = np.sort(few.train.images.reshape(400, -1), axis=0)
    for images in (first, second):
        np.testing.assert_allclose(np.sort(images.reshape(400, -1), axis=0), everything, atol=1e-4)


def test_a_resumed_training_ends_as_an_unbroken_one(
    few: Dataset, finished: Run, stopped: Run, silent: Watch
) -> None:
    import keras

    watcher = silent()
    resumed = fitted(stopped, few, watcher, resume=True)
    assert watcher.epochs == [2, 3]
    assert [row["epoch"] for row in resumed.history] == [1, 2, 3]
    assert stopped.history() == resumed.history
    assert_same_training(resumed, finished.history(), keras.models.load_model(finished.model_file))


@pytest.mark.slow
def test_a_training_killed_before_its_first_epoch_begins_again(
    few: Dataset, config: RunConfig, finished: Run, silent: Watch, tmp_path: Path
) -> None:
    import keras

    run = new_run(tmp_path / "run", config, few)
    interrupted(run, few, silent(stop_in_epoch=1))
    resumed = fitted(run, few, silent(), resume=True)
    assert_same_training(resumed, finished.history(), keras.models.load_model(finished.model_file))


def test_plateau_and_early_stop_remember(
    noise: Dataset, noise_config: RunConfig, noise_run: tuple[Run, Fitted], silent: Watch, tmp_path: Path
) -> None:
    _, whole = noise_run
    cut = next(place for place, row in enumerate(whole.history) if row["learning_rate"] < 5e-4)
    assert len(whole.history) == whole.kept_epoch + 5 < 30  # stopped by its patience

    run = new_run(tmp_path / "run", noise_config, noise)
    interrupted(run, noise, silent(stop_in_epoch=cut + 1))
    state = json.loads(run.state_file.read_text())
    plateau, early_stop = state["callbacks"]
    losses = [row["val_loss"] for row in state["history"]]
    assert plateau["best"] == early_stop["best"] == pytest.approx(min(losses))
    assert (plateau["cooldown_counter"], early_stop["wait"]) == (1, 3)
    resumed = fitted(run, noise, silent(), resume=True)
    assert resumed.kept_epoch == whole.kept_epoch
    assert_same_training(resumed, whole.history, whole.model)


def test_a_training_that_stopped_by_itself_is_not_trained_on(
    noise: Dataset, noise_run: tuple[Run, Fitted], silent: Watch
) -> None:
    run, first = noise_run
    watcher = silent()
    again = fitted(run, noise, watcher, resume=True)
    assert watcher.epochs == []
    assert_same_training(again, first.history, first.model)


def test_the_notebook_keeps_its_best_epoch(noise: Dataset, noise_run: tuple[Run, Fitted]) -> None:
    _, found = noise_run
    losses = [row["val_loss"] for row in found.history]
    assert found.kept_epoch == int(np.argmin(losses)) + 1 < len(losses)
    valid = noise.train.take(found.valid_rows)
    loss = evaluate(found.model.predict(to_input(valid.images), verbose=0), valid.labels).loss
    assert loss == pytest.approx(min(losses), rel=1e-3)
    assert {layer.compute_dtype for layer in found.model.layers} == {"float32"}


def test_a_checkpoint_that_was_being_written_does_no_harm(few: Dataset, stopped: Run, silent: Watch) -> None:
    (stopped.path / "checkpoint-0002.keras").write_bytes(b"half a file")
    (stopped.path / ".state.json.123.tmp").write_bytes(b"{")
    watcher = silent(stop_in_epoch=3)
    with pytest.raises(KeyboardInterrupt):
        fitted(stopped, few, watcher, resume=True)
    assert watcher.epochs == [2]
    assert [file.name for file in stopped.path.glob("checkpoint-*.keras")] == ["checkpoint-0002.keras"]
    assert (stopped.path / "checkpoint-0002.keras").stat().st_size > 100_000


def test_other_data_is_refused(few: Dataset, stopped: Run, silent: Watch) -> None:
    other = Split(few.train.images, np.roll(few.train.labels, 1))
    before = stopped.state_file.read_bytes()
    with pytest.raises(RunError, match="same --data"):
        fit(stopped, stopped.config(), other, silent(), resume=True)
    assert stopped.state_file.read_bytes() == before


def test_damaged_state_is_refused(few: Dataset, stopped: Run, silent: Watch) -> None:
    state = stopped.state_file.read_text()
    for damaged in ("", "[]", '{"epoch": 1}', state.replace("checkpoint-0001", "checkpoint-0009")):
        stopped.state_file.write_text(damaged)
        with pytest.raises(RunError):
            fitted(stopped, few, silent(), resume=True)


def test_a_schedule_that_ends_at_zero_keeps_its_last_epoch(
    noise: Dataset, noise_config: RunConfig, silent: Watch, tmp_path: Path
) -> None:
    config = replace(noise_config, recipe=RecipeName.STRONG, epochs=12)
    found = fitted(new_run(tmp_path / "run", config, noise), noise, silent())
    losses = [row["val_loss"] for row in found.history]
    assert found.kept_epoch == 12 != int(np.argmin(losses)) + 1
    valid = noise.train.take(found.valid_rows)
    loss = evaluate(found.model.predict(to_input(valid.images), verbose=0), valid.labels).loss
    assert loss == pytest.approx(losses[-1], rel=1e-3)


@pytest.mark.parametrize(
    "logs", [{"loss": float("nan"), "val_loss": 1.0}, {"loss": 1.0, "val_loss": float("inf")}]
)
def test_a_diverged_training_ends_and_keeps_its_last_good_epoch(
    few: Dataset, config: RunConfig, tmp_path: Path, logs: dict[str, float]
) -> None:
    from digits_edge.trainer._callbacks import Journal

    run = new_run(tmp_path / "run", config, few)
    with pytest.raises(DivergedError, match="epoch 1"):
        Journal(run, resumable=[], keep_last=False, state=None).on_epoch_end(0, logs)
    assert not run.state_file.exists()


@pytest.mark.parametrize(("count", "stratify"), [(1, False), (20, True)])
def test_data_that_cannot_be_split_makes_no_run(
    few: Dataset, config: RunConfig, tmp_path: Path, count: int, stratify: bool
) -> None:
    small = Dataset("small", few.train.take(np.arange(count)))
    with pytest.raises(InputError, match="labelled images do not split"):
        new_run(tmp_path / "run", replace(config, stratify=stratify), small)
    assert not (tmp_path / "run").exists()
