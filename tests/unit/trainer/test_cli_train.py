"""``digits-edge train`` as a user meets it: what it prints, how it refuses, how it survives."""

from __future__ import annotations

import csv
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from digits_edge.trainer.runs import Run

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


def test_a_small_training(cli: Cli, tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    small = ("--arch", "edge", "--limit", "300", "--epochs", "2", "--batch-size", "64", "--seed", "5")
    done = cli("train", *small, "--out", run.path)
    assert done.returncode == 0, done.stderr
    metrics = run.metrics()
    for part in ("train", "valid", "test"):
        assert f"{metrics[part]['accuracy']:.2%}" in done.stdout
    assert f"digits-edge export {run.path}" in done.stdout
    config = run.config()
    # Progress, and nothing else: neither a warning nor what the native libraries say.
    lines = done.stderr.splitlines()
    assert lines[0] == f"{run.path}: edge by strong, {config.precision.value}, 300 labelled images"
    assert [line[:8] for line in lines[1:]] == ["epoch  1", "epoch  2", "evaluati", "drawing"]
    assert not run.predictions_file.exists()  # the bundled MNIST leaves nothing to predict
    assert (config.limit, config.epochs, config.batch_size, config.seed) == (300, 2, 64, 5)

    again = cli("train", "--resume", run.path, "--json")
    assert again.returncode == 0, again.stderr
    shown = json.loads(again.stdout)
    assert shown.pop("run") == str(run.path)
    assert shown == {name: value for name, value in metrics.items() if name != "report"}


def refused(done: subprocess.CompletedProcess[str], *, code: int = 2) -> str:
    """The complaint, once it is known to be one."""
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return done.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--epochs", "0"], "epochs 0"),
        (["--batch-size", "0"], "batch size 0"),
        (["--limit", "5"], "expected 20 to 60000"),
        (["--limit", "20", "--stratify"], "do not split"),
        (["--data", "nowhere"], "nowhere"),
        (["--seed", "99999999999"], "seeds 99999999999"),
        (["--resume", "nowhere"], "no run directory"),
        (["--seeds", "1"], "expected two at least"),
        (["--seeds", "1,2", "--limit", "10"], "expected 20 to 60000"),
        (["--arch", "edge", "--widths", "4,8,1,8"], "expected 4 numbers of 2 at least"),
        (["--widths", "4,8,8,8"], "for cnn"),
        (["--recipe", "distill"], "named with --teacher"),
        (["--recipe", "distill", "--teacher", "nowhere"], "no bundle there"),
    ],
)
def test_refused_in_one_line(cli: Cli, tmp_path: Path, arguments: list[str], complaint: str) -> None:
    place = [] if "--resume" in arguments else ["--out", str(tmp_path / "run")]
    message = refused(cli("train", *arguments, *place))
    assert message.startswith("error: ")
    assert message.count("\n") == 1
    assert complaint in message
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--arch", "resnet"], "resnet"),
        (["--epochs", "many"], "--epochs"),
        (["--seed", "-1"], "--seed"),
        (["--depth", "3"], "--depth"),
        (["--seeds", "1,two"], "--seeds"),
        (["--seeds", "1,2", "--seed", "3"], "leave out --seed"),
        (["leftover"], "leftover"),
    ],
)
def test_usage_errors(cli: Cli, arguments: list[str], complaint: str) -> None:
    assert complaint in refused(cli("train", *arguments))


def test_a_malformed_csv_names_its_row_and_leaves_nothing(cli: Cli, tmp_path: Path) -> None:
    table = tmp_path / "train.csv"
    header = ["label", *(f"pixel{number}" for number in range(784))]
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([header, [3, *[0] * 784], [4, 256, *[0] * 783]])
    message = refused(cli("train", "--data", table, "--out", tmp_path / "run"))
    assert str(table) in message
    assert "256" in message
    assert not (tmp_path / "run").exists()


def test_a_place_that_cannot_be_written_to(cli: Cli, finished: Run, tmp_path: Path) -> None:
    assert "holds a run already" in refused(cli("train", "--limit", "100", "--out", finished.path))
    (tmp_path / "file").touch()
    assert "choose another --out" in refused(
        cli("train", "--limit", "100", "--out", tmp_path / "file" / "run")
    )


def test_a_resumed_run_keeps_its_settings(cli: Cli, finished: Run) -> None:
    message = refused(cli("train", "--resume", finished.path, "--epochs", "9", "--seed", "1"))
    assert "--epochs" in message
    assert "--seed" in message


def test_without_tensorflow_there_is_a_hint(cli: Cli, tmp_path: Path) -> None:
    missing = "import sys; sys.modules['tensorflow'] = None"
    message = refused(cli("train", "--out", tmp_path / "run", code=missing))
    assert 'pip install "digits-edge[train]"' in message
    assert not (tmp_path / "run").exists()


def test_a_reader_that_leaves_early_is_no_failure(finished: Run) -> None:
    program = "from digits_edge.cli import main\nmain()"
    training = subprocess.Popen(
        [sys.executable, "-c", program, "train", "--resume", str(finished.path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert training.stdout is not None
    assert training.stderr is not None
    training.stdout.close()
    assert training.stderr.read() == ""
    training.stderr.close()
    training.wait(60)


def started(path: Path, *, epochs: int) -> subprocess.Popen[str]:
    """A training in a process of its own, past its first epoch."""
    program = "from digits_edge.cli import main\nmain()"
    settings = ["--arch", "edge", "--limit", "400", "--batch-size", "32", "--epochs", str(epochs)]
    training = subprocess.Popen(
        [sys.executable, "-c", program, "train", *settings, "--out", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 120
    while not Run(path).state_file.exists():
        assert training.poll() is None, training.communicate()
        assert time.monotonic() < until, "no epoch in two minutes"
        time.sleep(0.05)
    return training


@pytest.mark.slow
def test_an_interrupted_training_says_how_to_go_on(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    training = started(run.path, epochs=500)
    training.send_signal(signal.SIGINT)
    _, errors = training.communicate(timeout=60)
    assert training.returncode == 130
    assert "Traceback" not in errors
    assert errors.endswith(f"stopped; go on with: digits-edge train --resume {run.path}\n")
    assert not run.finished


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_a_training_killed_at_any_moment_is_finished_by_resume(cli: Cli, tmp_path: Path, seed: int) -> None:
    run = Run(tmp_path / "run")
    training = started(run.path, epochs=12)
    time.sleep(random.Random(seed).uniform(0, 4))
    training.kill()
    training.communicate(timeout=60)

    done = cli("train", "--resume", run.path)
    assert done.returncode == 0, done.stderr
    assert [row["epoch"] for row in run.history()] == list(range(1, 13))
    metrics = run.metrics()
    assert metrics["epochs"] == 12
    assert metrics["test"]["images"] == 10_000
    assert sorted(path.name for path in run.path.iterdir()) == [
        "history.csv",
        "metrics.json",
        "model.keras",
        "pictures",
        "run.json",
    ]
    import keras

    keras.models.load_model(run.model_file)
