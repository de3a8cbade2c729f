"""``digits-edge evaluate`` as a user types it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from digits_edge.runtime import default_bundle
from digits_edge.trainer.datasets import Dataset
from digits_edge.trainer.runs import Run

Cli = Callable[..., "subprocess.CompletedProcess[str]"]
PICTURES = ["confusion", "corruptions", "misclassified", "non-digits", "reliability", "risk-coverage"]


@pytest.fixture
def data(few: Dataset, tmp_path: Path) -> Path:
    """400 images to train on, 200 to test on."""
    assert few.test is not None
    path = tmp_path / "few.npz"
    np.savez(
        path,
        x_train=few.train.images,
        y_train=few.train.labels,
        x_test=few.test.images,
        y_test=few.test.labels,
    )
    return path


def test_a_bundle(cli: Cli, data: Path, tmp_path: Path) -> None:
    place = tmp_path / "below" / "report"
    done = cli("evaluate", default_bundle(), "--data", data, "--out", place)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in place.iterdir()) == sorted(
        ["evaluation.json", *(f"{name}.png" for name in PICTURES)]
    )
    values = json.loads((place / "evaluation.json").read_text())
    assert values["data"] == {"name": str(data), "part": "test", "images": 200}
    assert "200 test images" in done.stdout
    assert f"{values['accuracy']['share']:.2%}" in done.stdout
    assert f"{values['corruptions']['mean']:.2%}" in done.stdout
    for row in (*values["corruptions"]["each"], *values["non_digits"]["kinds"]):
        assert row["name"] in done.stdout
    assert done.stdout.splitlines()[-1].startswith(f"{place}: evaluation.json, confusion.png")
    assert "occlusion" in done.stderr.splitlines()  # progress, a line a step where there is no terminal


@pytest.mark.slow
def test_seeds_of_two_series_do_not_overwrite_each_other(cli: Cli, data: Path, tmp_path: Path) -> None:
    there = f"import os; os.chdir({str(tmp_path)!r})"
    for name in ("strong/seed-0", "distill/seed-0"):
        shutil.copytree(default_bundle(), tmp_path / name)
        done = cli("evaluate", name, "--data", data, code=there)
        assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "evaluation").iterdir()} == {"strong-seed-0", "distill-seed-0"}


@pytest.mark.slow
def test_a_run_as_json(cli: Cli, finished: Run, data: Path, tmp_path: Path) -> None:
    done = cli("evaluate", finished.path, "--data", data, "--out", tmp_path / "report", "--json")
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)
    assert values == json.loads((tmp_path / "report" / "evaluation.json").read_text())
    assert (values["subject"]["kind"], values["subject"]["threshold"]) == ("run", None)
    assert values["accuracy"]["share"] == pytest.approx(finished.metrics()["test"]["accuracy"])


def refused(done: subprocess.CompletedProcess[str]) -> str:
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def test_refused_in_one_line_and_nothing_is_left(cli: Cli, few: Dataset, data: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(default_bundle(), damaged)
    (damaged / "model.onnx").write_bytes(b"not what the manifest says")
    unknown = tmp_path / "unknown.npz"
    np.savez(unknown, x_train=few.train.images, y_train=few.train.labels)
    place = tmp_path / "report"
    for arguments, code, complaint in (
        ([tmp_path / "gone"], 2, "neither a bundle"),
        ([damaged], 1, "model.onnx"),
        ([default_bundle(), "--data", tmp_path / "gone"], 2, "gone"),
        ([default_bundle(), "--data", unknown], 2, "known to be held out"),
    ):
        done = cli("evaluate", *arguments, "--out", place)
        assert done.returncode == code, (arguments, done.stderr)
        assert complaint in refused(done)
        assert not place.exists()
    place.touch()
    done = cli("evaluate", default_bundle(), "--data", data, "--out", place)
    assert done.returncode == 1
    assert str(place) in refused(done)


def test_without_matplotlib_there_is_a_hint(cli: Cli, tmp_path: Path) -> None:
    missing = "import importlib.util as u\nfind = u.find_spec\n"
    missing += "u.find_spec = lambda name, *rest: None if name == 'matplotlib' else find(name, *rest)"
    done = cli("evaluate", default_bundle(), "--out", tmp_path / "report", code=missing)
    assert done.returncode == 2
    assert 'pip install "digits-edge[train]"' in refused(done)
