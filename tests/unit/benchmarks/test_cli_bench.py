"""``digits-edge bench`` as a user types it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from digits_edge.benchmarks.results import Results


def bench(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    code = "from digits_edge.cli import main; main()"
    command = [sys.executable, "-c", code, "bench", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def complaint(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that a refused command prints."""
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def test_measure_save_draw_and_compare(bundles: dict[str, Path], tmp_path: Path) -> None:
    save, plot = tmp_path / "out" / "bench.json", tmp_path / "out" / "bench.png"
    done = bench(bundles["whole"], "--quick", "--save", save, "--plot", plot)
    assert done.returncode == 0, done.stderr
    assert "quick: a first look" in done.stdout
    assert "whole-onnx-float32" in done.stdout
    assert "answers checked on 2,000 test images of mnist" in done.stdout
    results = Results.load(save)
    assert results.subjects[0].accuracy > 0.8
    assert plot.read_bytes().startswith(b"\x89PNG")

    again = bench(bundles["whole"], "--quick", "--json", "--compare", save, "--fail-on-regression", "1000000")
    assert again.returncode == 0, again.stderr
    values = json.loads(again.stdout)
    assert values["subjects"][0]["sha256"] == results.subjects[0].sha256
    assert values["comparison"]["comparable"] is True
    assert {change["subject"] for change in values["comparison"]["changes"]} == {"whole-onnx-float32"}


@pytest.mark.parametrize(
    "quarrel", [["--fail-on-regression", "5"], ["--fail-on-regression", "-1"], ["--fast"]]
)
def test_options_that_make_no_sense_are_usage_errors(quarrel: list[str]) -> None:
    done = bench(*quarrel)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_bad_inputs_are_one_line_and_leave_nothing_behind(bundles: dict[str, Path], tmp_path: Path) -> None:
    whole, save = bundles["whole"], tmp_path / "never.json"
    (tmp_path / "text.json").write_text("[1, 2]")
    for arguments, code, said in (
        ([tmp_path / "gone"], 2, "no bundle there"),
        ([whole, whole], 2, "given twice"),
        ([whole, "--compare", tmp_path / "gone.json"], 2, "not readable"),
        ([whole, "--compare", tmp_path / "text.json"], 2, "this version reads 1"),
        ([whole, "--plot", tmp_path / "plot.jpg"], 2, "ends in .png"),
        ([whole, "--plot", tmp_path], 2, "a directory"),
        ([whole, "--run", tmp_path], 2, "no run directory"),
        ([whole, "--data", tmp_path], 2, "train"),
    ):
        done = bench(*arguments, "--save", save)
        assert done.returncode == code, (arguments, done.stderr)
        assert said in complaint(done)
        assert not save.exists()


def test_a_damaged_bundle_is_refused(bundles: dict[str, Path], tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(bundles["whole"], copy)
    (copy / "model.onnx").write_bytes(b"not what the manifest says")
    done = bench(copy, "--quick")
    assert done.returncode == 1
    assert "model.onnx" in complaint(done)
