"""Finished runs to export: the published ones, copied, and ones made from their parts."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from digits_edge.trainer.backend import start_keras
from digits_edge.trainer.datasets import Dataset, load_dataset
from digits_edge.trainer.runs import Run, create_run

if TYPE_CHECKING:
    import keras

    from digits_edge.export.micro import Micro
    from digits_edge.export.pipeline import Exported

MODELS = Path(__file__).parents[2] / "models"


@pytest.fixture(scope="session", autouse=True)
def _keras() -> None:
    start_keras()


@pytest.fixture(scope="session")
def mnist() -> Dataset:
    return load_dataset()


@pytest.fixture(scope="session")
def published_run() -> Run:
    """The edge network as it was trained for publication; look, don't touch."""
    return Run(MODELS / "edge-distill" / "seed-0")


@pytest.fixture(scope="session")
def reference() -> keras.Model:
    """The reference CNN, trained by the notebook's settings."""
    import keras

    return keras.models.load_model(MODELS / "cnn-notebook" / "model.keras", compile=False)


@pytest.fixture
def run(published_run: Run, tmp_path: Path) -> Run:
    """A copy to break."""
    copy = Run(tmp_path / "run")
    copy.path.mkdir()
    for file in (published_run.config_file, published_run.metrics_file, published_run.model_file):
        shutil.copy(file, copy.path)
    return copy


@pytest.fixture
def kaggle_run(published_run: Run, mnist: Dataset, tmp_path: Path) -> Run:
    """The same model as if trained on 3,000 digits of a train.csv; only validation images are held out."""
    few = mnist.limited(3_000, seed=2).train
    table = tmp_path / "secret-project" / "train.csv"
    table.parent.mkdir()
    np.savetxt(
        table,
        np.hstack([few.labels[:, None], few.images.reshape(-1, 784)]),
        fmt="%d",
        delimiter=",",
        header="label," + ",".join(f"pixel{index}" for index in range(784)),
        comments="",
    )
    config = replace(published_run.config(), data=str(table), data_digest=few.digest())
    run = create_run(tmp_path / "kaggle", config)
    shutil.copy(published_run.model_file, run.model_file)
    shutil.copy(published_run.metrics_file, run.metrics_file)
    return run


class Silent:
    """Watches an export without a word; remembers what it was told."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, int, int]] = []
        self.results: list[Exported] = []
        self.sources: list[Micro] = []

    def on_step(self, what: str, done: int, total: int) -> None:
        self.steps.append((what, done, total))

    def on_result(self, exported: Exported) -> None:
        self.results.append(exported)

    def on_sources(self, micro: Micro) -> None:
        self.sources.append(micro)


@pytest.fixture
def watcher() -> Silent:
    return Silent()


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Runs ``digits-edge`` in this process, which has loaded TensorFlow."""
    from digits_edge.cli import main

    def call(*arguments: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["digits-edge", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        return Done(code if isinstance(code, int) else 0, *capfd.readouterr())

    return call
