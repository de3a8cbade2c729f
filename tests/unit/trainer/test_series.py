"""Several seeds: a run each, resumed where one was broken off, and what they come to together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from digits_edge.trainer.datasets import Dataset
from digits_edge.trainer.errors import RunError
from digits_edge.trainer.runs import RunConfig, latest_run
from digits_edge.trainer.series import Series, accuracies, new_series, to_json, train_seed

Watch = Callable[..., Any]


@pytest.fixture(scope="module")
def short(config: RunConfig) -> RunConfig:
    return replace(config, epochs=1, limit=200)


@pytest.fixture(scope="module")
def series(few: Dataset, short: RunConfig, silent: Watch, tmp_path_factory: pytest.TempPathFactory) -> Series:
    """Two seeds; the second was killed on its way and resumed."""
    made = new_series(tmp_path_factory.mktemp("series") / "two", short, [4, 5], few.train)
    train_seed(made, 4, silent())
    with pytest.raises(KeyboardInterrupt):
        train_seed(made, 5, silent(stop_in_stage="evaluating"))
    with pytest.raises(RunError, match="not finished"):
        accuracies(made)
    train_seed(made, 5, silent())
    return made


def test_runs_differ_in_their_seed_alone(series: Series, short: RunConfig) -> None:
    four, five = (run.config() for run in series.runs().values())
    assert (four.seed, five.seed) == (4, 5)
    assert replace(five, seed=4, started=four.started) == four
    assert four.data_digest
    assert replace(four, data_digest="", versions={}, machine="", started="") == replace(short, seed=4)


def test_the_figures_are_those_of_the_runs(series: Series) -> None:
    each = [run.metrics()["test"]["accuracy"] for run in series.runs().values()]
    figures = accuracies(series)["test"]
    assert figures.each == tuple(each)
    assert figures.mean == pytest.approx(np.mean(each))
    assert figures.deviation == pytest.approx(np.std(each, ddof=1))
    assert to_json(series)["accuracy"]["test"]["each"] == each
    assert to_json(series)["seeds"] == [4, 5]


def test_a_finished_run_is_left_alone(series: Series, silent: Watch) -> None:
    before = series.runs()[4].model_file.stat().st_mtime_ns
    watcher = silent()
    train_seed(series, 4, watcher)
    assert watcher.epochs == []
    assert series.runs()[4].model_file.stat().st_mtime_ns == before


def test_the_run_that_finished_last_may_be_one_of_a_series(series: Series) -> None:
    assert latest_run(series.path.parent) == series.runs()[5]


@pytest.mark.parametrize("seeds", [[], [1], [1, 1], [1, -1]])
def test_seeds_that_make_no_series_are_refused(
    seeds: list[int], few: Dataset, short: RunConfig, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match="expected"):
        new_series(tmp_path / "series", short, seeds, few.train)
    assert not (tmp_path / "series").exists()


def test_a_place_that_is_taken_is_refused(few: Dataset, series: Series, short: RunConfig) -> None:
    with pytest.raises(RunError, match="trained into already"):
        new_series(series.path, short, [1, 2], few.train)
    with pytest.raises(RunError, match="trained into already"):
        new_series(series.runs()[4].path, short, [1, 2], few.train)


@pytest.mark.parametrize("text", ["", "{}", '{"seeds": [1, 2]}', '{"seeds": 3, "config": {}}'])
def test_a_damaged_series_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "series.json").write_text(text)
    with pytest.raises(RunError, match="not readable"):
        Series(tmp_path).runs()
    with pytest.raises(RunError, match="no series"):
        Series(tmp_path / "elsewhere").runs()
