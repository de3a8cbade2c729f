"""Several runs that differ in their seed alone: one network's figure may be luck, their mean is less so."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from digits_edge.trainer.datasets import Split
from digits_edge.trainer.errors import RunError
from digits_edge.trainer.fit import Watcher, split_rows
from digits_edge.trainer.runs import Run, RunConfig, write_json
from digits_edge.trainer.training import load_data, new_run, resume, train

_PARTS = ("valid", "test")


@dataclass(frozen=True)
class Series:
    """A directory with a run for each seed, ``seed-0`` and so on, and ``series.json``.

    Attributes:
        path: The directory.
    """

    path: Path

    @property
    def file(self) -> Path:
        return self.path / "series.json"

    def plan(self) -> tuple[RunConfig, tuple[int, ...]]:
        """What every run is trained by but for its seed, and the seeds in the order of training.

        Raises:
            RunError: There is no series, or its file is not readable.
        """
        try:
            values = json.loads(self.file.read_text())
            return RunConfig.from_json(values["config"]), tuple(map(int, values["seeds"]))
        except FileNotFoundError as error:
            raise RunError(f"{self.path}: no series of runs (series.json is missing)") from error
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{self.file}: not readable ({error!r}); start a new series") from error

    def runs(self) -> dict[int, Run]:
        """The run of each seed, begun or not."""
        return {seed: Run(self.path / f"seed-{seed}") for seed in self.plan()[1]}


def new_series(path: Path, config: RunConfig, seeds: Sequence[int], data: Split) -> Series:
    """Makes the directory of a series that is about to train on this data.

    Raises:
        InputError: There is too little data to be split.
        RunError: Fewer than two seeds, one of them twice or out of range, or trained into already.
    """
    if len(seeds) < 2 or len(set(seeds)) < len(seeds):
        raise RunError(f"seeds {', '.join(map(str, seeds))}; expected two at least, each once")
    for seed in seeds:
        replace(config, seed=seed)  # refuses one that is out of range
    split_rows(config, data)
    series = Series(path)
    if series.file.exists() or Run(path).config_file.exists():
        raise RunError(f"{path}: trained into already; go on with --resume {path}, or choose another --out")
    path.mkdir(parents=True, exist_ok=True)
    write_json(series.file, {"seeds": list(seeds), "config": config.to_json()})
    return series


def train_seed(series: Series, seed: int, watcher: Watcher, *, data: Path | None = None) -> Run:
    """Trains the run of one seed, goes on with it, or leaves it as it is if it has finished.

    Args:
        series: The series.
        seed: One of its seeds.
        watcher: Told how it goes.
        data: Where the data is now, if not where it was.

    Raises:
        RunError: The run is damaged, or was begun with other data.
        DataError: The data is malformed, or not where it was.
        DivergedError: The loss became infinite or NaN.
    """
    run = series.runs()[seed]
    if run.config_file.exists():
        return resume(run, watcher, data=data)
    config = replace(series.plan()[0], seed=seed)
    if data is not None:
        config = replace(config, data=str(data.absolute()))
    dataset = load_data(config)
    return train(config, dataset, new_run(run.path, config, dataset), watcher)


@dataclass(frozen=True)
class Spread:
    """One figure over all seeds.

    Attributes:
        mean: Its mean.
        deviation: Its standard deviation (of the sample, that is with N - 1).
        each: The figure of each seed, in their order.
    """

    mean: float
    deviation: float
    each: tuple[float, ...]


def accuracies(series: Series) -> Mapping[str, Spread]:
    """The accuracy on validation and test images over all seeds, where every run has it.

    Raises:
        RunError: A run has not finished.
    """
    metrics = [run.metrics() for run in series.runs().values()]
    return {
        part: spread([figures[part]["accuracy"] for figures in metrics])
        for part in _PARTS
        if all(part in figures for figures in metrics)
    }


def spread(figures: Sequence[float]) -> Spread:
    """Mean and deviation of two figures or more."""
    return Spread(mean(figures), stdev(figures), tuple(figures))


def to_json(series: Series) -> dict[str, Any]:
    """Plain values, for scripts."""
    return {
        "series": str(series.path),
        "seeds": list(series.runs()),
        "accuracy": {
            part: {"mean": figures.mean, "deviation": figures.deviation, "each": list(figures.each)}
            for part, figures in accuracies(series).items()
        },
    }
