"""A training small enough for a test, and the command line as a user has it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from digits_edge.trainer.architectures import Architecture
from digits_edge.trainer.datasets import Dataset, load_dataset
from digits_edge.trainer.recipes import RecipeName
from digits_edge.trainer.runs import Run, RunConfig
from digits_edge.trainer.training import new_run, train


class Silent:
    """Watches a training without a word; remembers the epochs and stops it where told to."""

    def __init__(self, *, stop_in_epoch: int | None = None, stop_in_stage: str | None = None) -> None:
        self.epochs: list[int] = []
        self._stop_in_epoch = stop_in_epoch
        self._stop_in_stage = stop_in_stage

    def on_epoch(self, epoch: int, epochs: int, steps: int) -> None:
        if epoch == self._stop_in_epoch:
            raise KeyboardInterrupt
        self.epochs.append(epoch)

    def on_step(self, step: int, loss: float, accuracy: float) -> None:
        assert loss > 0
        assert 0 <= accuracy <= 1

    def on_row(self, row: dict[str, float]) -> None:
        assert row["epoch"] == self.epochs[-1]

    def on_stage(self, stage: str) -> None:
        if stage == self._stop_in_stage:
            raise KeyboardInterrupt

    def on_progress(self, what: str, done: int, total: int) -> None:
        assert 0 < done <= total


@pytest.fixture(scope="session")
def silent() -> type[Silent]:
    return Silent


@pytest.fixture(scope="session")
def mnist() -> Dataset:
    return load_dataset()


@pytest.fixture(scope="session")
def few(mnist: Dataset) -> Dataset:
    """400 images to train on, 200 to test on, 45 without labels."""
    assert mnist.test is not None
    small = mnist.limited(400, seed=1)
    return Dataset("few", small.train, mnist.test.take(np.arange(200)), mnist.test.images[200:245])


@pytest.fixture(scope="session")
def config() -> RunConfig:
    return RunConfig(Architecture.EDGE, RecipeName.STRONG, epochs=3, batch_size=32)


@pytest.fixture(scope="session")
def finished(few: Dataset, config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run; look, don't touch."""
    run = new_run(tmp_path_factory.mktemp("runs") / "edge", config, few)
    return train(run.config(), few, run, Silent())


Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def cli() -> Cli:
    """Runs ``digits-edge`` in a process of its own."""

    def call(*arguments: str | Path, code: str = "") -> subprocess.CompletedProcess[str]:
        program = f"{code}\nfrom digits_edge.cli import main\nmain()"
        return subprocess.run(
            [sys.executable, "-c", program, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return call
