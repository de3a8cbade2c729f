"""``digits-edge export`` as a user has it: exit codes, one line an error, JSON for scripts."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from digits_edge.export.tflm import installed
from digits_edge.runtime import read_bundle
from digits_edge.trainer.runs import Run

if TYPE_CHECKING:
    from tests.parity.conftest import Done

Cli = Callable[..., "Done"]


def assert_refused(done: Done, code: int, *words: str) -> None:
    """One line that says so, no traceback, nothing on standard output."""
    assert done.code == code, done
    assert done.out == ""
    (line,) = [line for line in done.err.splitlines() if line.startswith("error: ")]
    for word in words:
        assert word in line
    assert "Traceback" not in done.err


def test_a_run_becomes_a_bundle_and_a_table(run: Run, tmp_path: Path, cli: Cli) -> None:
    done = cli("export", run.path, "--out", tmp_path / "bundles")
    assert done.code == 0, done.err
    assert "10,000 test images" in done.out
    assert "edge-onnx-int8" in done.out
    assert "proved" in done.out
    assert "digits-edge predict --bundle" in done.out
    assert read_bundle(tmp_path / "bundles" / "edge-onnx-int8").manifest.name == "edge"


def test_json_is_all_there_is_on_standard_output(run: Run, tmp_path: Path, cli: Cli) -> None:
    out = tmp_path / "bundles"
    done = cli("export", run.path, "--out", out, "--name", "mine", "--precision", "all", "--json")
    assert done.code == 0, done.err
    first, second = json.loads(done.out)
    assert [Path(proof["bundle"]).name for proof in (first, second)] == [
        "mine-onnx-float32",
        "mine-onnx-int8",
    ]
    for proof in (first, second):
        assert proof["bytes"] == (Path(proof["bundle"]) / "model.onnx").stat().st_size
        assert proof["misses"] == []
        assert proof["parity"]["images"] == 10_000


def test_the_newest_finished_run_is_the_default(run: Run, tmp_path: Path, cli: Cli) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(run.path, runs / "first")
    os.utime(runs / "first" / "metrics.json", (1, 1))
    shutil.copytree(run.path, runs / "second")
    done = cli("export", "--runs", runs, "--out", tmp_path / "bundles", "--json")
    assert done.code == 0, done.err
    (proof,) = json.loads(done.out)
    provenance = read_bundle(Path(proof["bundle"])).manifest.provenance
    assert provenance["training"]["run"] == "second"


def in_a_process(*arguments: str | Path) -> list[str]:
    """The command line that runs ``digits-edge`` with these arguments."""
    return [sys.executable, "-c", "from digits_edge.cli import main; main()", *map(str, arguments)]


@pytest.mark.slow
def test_the_converters_chatter_is_in_the_log(run: Run, tmp_path: Path) -> None:
    """In a process of its own: native libraries say some things once a process."""
    command = in_a_process("export", run.path, "--format", "all", "--out", tmp_path / "bundles")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    steps = {"starting TensorFlow", "Keras answers, validation", "Keras answers"}
    for kind in ("onnx", "tflite"):
        steps |= {f"trying {kind} int8: min-max, per channel", f"other batches and engines, {kind} int8"}
        steps |= {f"{verb} {kind} int8" for verb in ("proving", "confidence of")}
    if installed():
        steps.add("proving C sources in TFLM")
    else:
        steps.add("no C sources: tflite-micro is not installed (Linux on x86-64 only)")
    assert set(done.stderr.splitlines()) == steps
    assert (tmp_path / "bundles" / "export.log").read_text()


# What is refused.


BUNDLE = Path(__file__).parents[2] / "models" / "edge-tflite-int8"


@pytest.mark.parametrize(
    "words", ["", "--format tflite", "--format c --format onnx", "--format c --layout triton"]
)
def test_a_bundle_where_a_run_belongs(words: str, tmp_path: Path, cli: Cli) -> None:
    done = cli("export", BUNDLE, *words.split(), "--out", tmp_path)
    assert_refused(done, 2, "a bundle; expected the run", "--layout triton or --format c alone")
    assert not list(tmp_path.iterdir())


def test_options_that_a_bundle_would_ignore(tmp_path: Path, cli: Cli) -> None:
    ignored = ("--precision", "int8", "--name", "mine", "--error-rate", "0.01", "--float-layers", "3")
    done = cli("export", BUNDLE, "--format", "c", *ignored, "--out", tmp_path)
    assert done.code == 2
    for option in ignored[::2]:
        assert option in done.err
    assert "Traceback" not in done.err
    assert not list(tmp_path.iterdir())


def test_what_is_left_out_or_made_otherwise_is_told_first(
    run: Run, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tflite_micro", None)
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "", "", "", "riscv64")))
    run.model_file.unlink()
    done = cli("export", run.path, "--format", "all", "--out", tmp_path / "bundles")
    assert_refused(done, 2, "model.keras: not readable")
    assert done.err.splitlines()[:2] == [
        "no C sources: tflite-micro is not installed (Linux on x86-64 only)",
        "this processor is inexact with weights of 8 bits: int8 ONNX is made by --target x86-avx2, of 7 bits",
    ]


def test_no_run(tmp_path: Path, cli: Cli) -> None:
    assert_refused(cli("export", tmp_path / "no"), 2, "no run directory", "digits-edge train")
    assert_refused(cli("export", "--runs", tmp_path), 2, "no finished run there", "digits-edge train")


def test_an_unfinished_run(run: Run, cli: Cli) -> None:
    run.metrics_file.unlink()
    assert_refused(cli("export", run.path), 2, "not finished", f"--resume {run.path}")


def test_a_name_that_is_none(run: Run, tmp_path: Path, cli: Cli) -> None:
    done = cli("export", run.path, "--name", "../up", "--out", tmp_path / "bundles")
    assert_refused(done, 2, "'../up'", "expected letters")
    assert not (tmp_path / "bundles").exists()


def test_a_layer_that_the_export_does_not_know(run: Run, tmp_path: Path, cli: Cli) -> None:
    import keras
    from keras import layers

    tail = [layers.Flatten(), layers.Dense(10, "softmax")]
    keras.Sequential([keras.Input((28, 28, 1)), layers.AveragePooling2D(2, name="mean"), *tail]).save(
        run.model_file
    )
    done = cli("export", run.path, "--out", tmp_path / "bundles")
    assert_refused(done, 1, "layer 'mean' is a AveragePooling2D")
    assert [path.name for path in (tmp_path / "bundles").iterdir()] == ["export.log"]


def test_data_that_has_changed_since_training(kaggle_run: Run, tmp_path: Path, cli: Cli) -> None:
    table = Path(kaggle_run.config().data or "")
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:-1]))
    done = cli("export", kaggle_run.path, "--out", tmp_path / "bundles")
    assert_refused(done, 2, "train.csv is no longer the data", "put that data back")
    table.unlink()
    assert_refused(cli("export", kaggle_run.path, "--out", tmp_path / "bundles"), 2, "train.csv")


def test_a_place_that_holds_something_else(run: Run, tmp_path: Path, cli: Cli) -> None:
    out = tmp_path / "bundles"
    (out / "edge-onnx-int8").mkdir(parents=True)
    (out / "edge-onnx-int8" / "notes.txt").write_text("mine")
    assert_refused(cli("export", run.path, "--out", out), 1, "is there and no bundle", "--out")
    assert (out / "edge-onnx-int8" / "notes.txt").read_text() == "mine"
    assert_refused(cli("export", run.path, "--out", run.config_file), 1, "cannot be written", "--out")


@pytest.mark.parametrize(
    ("package", "kind"),
    [("tf2onnx", "onnx"), ("onnx", "all"), ("ai_edge_litert", "tflite"), ("sklearn", "onnx")],
)
def test_a_package_that_is_not_installed(
    package: str, kind: str, run: Run, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)  # how Python marks what it cannot import
    done = cli("export", run.path, "--format", kind, "--out", tmp_path / "bundles")
    assert_refused(done, 2, f"this export needs {package}", 'pip install "digits-edge[')
    assert not (tmp_path / "bundles").exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGINT")
def test_interrupted_it_leaves_the_old_bundle_and_nothing_half_written(
    run: Run, tmp_path: Path, cli: Cli
) -> None:
    out = tmp_path / "bundles"
    assert cli("export", run.path, "--out", out).code == 0
    before = (out / "edge-onnx-int8" / "manifest.json").read_bytes()
    command = in_a_process("export", run.path, "--out", out)
    with subprocess.Popen(command, stderr=subprocess.PIPE) as exporter:
        while not (out / ".edge-onnx-int8.new").exists():
            assert exporter.poll() is None
            time.sleep(0.001)
        exporter.send_signal(signal.SIGINT)
        _, errors = exporter.communicate()
    assert exporter.returncode == 130, errors
    assert b"Traceback" not in errors
    assert sorted(path.name for path in out.iterdir()) == ["edge-onnx-int8", "export.log"]
    assert (out / "edge-onnx-int8" / "manifest.json").read_bytes() == before
