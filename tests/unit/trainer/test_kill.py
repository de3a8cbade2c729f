"""SIGKILL at any moment: a training goes on from its last epoch as if nothing had happened."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from digits_edge.runtime import default_bundle
from digits_edge.trainer.backend import start_keras
from digits_edge.trainer.runs import Run
from digits_edge.trainer.subject import load_model

KILLS = 10
PROGRAM = "from digits_edge.cli import main\nmain()"
SETTINGS = ("--arch", "edge", "--limit", "2000", "--epochs", "5", "--seed", "3", "--precision", "float32")
TEACHER = ("--recipe", "distill", "--teacher", str(default_bundle()))  # the recipe that leaves most behind


def training(run: Run) -> list[str]:
    """The command that begins the run, or goes on with it."""
    begun = run.config_file.is_file()
    arguments = ["--resume", str(run.path)] if begun else [*SETTINGS, *TEACHER, "--out", str(run.path)]
    return [sys.executable, "-c", PROGRAM, "train", *arguments]


def finish(run: Run) -> float:
    """Trains to the end and returns the seconds it took."""
    began = time.monotonic()
    done = subprocess.run(training(run), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return time.monotonic() - began


@pytest.mark.slow
def test_a_training_that_is_killed_ten_times_ends_as_an_unbroken_one(tmp_path: Path) -> None:
    unbroken, broken = Run(tmp_path / "unbroken" / "run"), Run(tmp_path / "broken" / "run")
    lasted = finish(unbroken)
    rng = np.random.default_rng(7)
    killed = 0
    while killed < KILLS:
        if broken.finished:  # it got through; once more from the beginning
            shutil.rmtree(broken.path)
        process = subprocess.Popen(training(broken), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=rng.uniform(0.2, 0.9) * lasted)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            killed += 1
    finish(broken)

    assert sorted(path.name for path in broken.path.iterdir()) == sorted(
        path.name for path in unbroken.path.iterdir()
    )
    one, other = unbroken.history(), broken.history()
    assert [row["epoch"] for row in other] == [1, 2, 3, 4, 5]
    for row, same in zip(one, other, strict=True):
        assert same["val_loss"] == pytest.approx(row["val_loss"], rel=0.02)
    metrics, same_metrics = unbroken.metrics(), broken.metrics()
    assert same_metrics["test"]["accuracy"] == pytest.approx(metrics["test"]["accuracy"], abs=0.003)
    assert json.loads(broken.config_file.read_text())["data_digest"]
    start_keras()
    assert load_model(broken).count_params() == 61_658
