"""A run that plain int8 ruins: `export` repairs it, and says how."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from digits_edge.benchmarks.hard import loud_channel
from digits_edge.runtime import Recognizer
from digits_edge.trainer.datasets import Dataset
from digits_edge.trainer.runs import Run

if TYPE_CHECKING:
    from tests.parity.conftest import Done

pytestmark = pytest.mark.filterwarnings("ignore:Statistics for quantized inputs were expected:UserWarning")


BAD = ("accuracy drop", "agreement")


@pytest.fixture
def loud(run: Run) -> Run:
    """The published network, the same function, with one channel two hundred times louder than before."""
    import keras

    model = keras.models.load_model(run.model_file, compile=False)
    loud_channel(model)
    model.save(run.model_file)
    return run


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["int8", "auto"])
def test_what_was_made_hard_is_repaired_and_the_table_shows_how(
    loud: Run, tmp_path: Path, cli: Callable[..., Done], mnist: Dataset, precision: str
) -> None:
    out = tmp_path / "bundles"
    done = cli("export", loud.path, "--format", "all", "--precision", precision, "--out", out, "--json")
    assert done.code == 0
    for exported in json.loads(done.out):
        if exported["kind"] == "c":
            continue
        plain, *_, chosen = exported["tried"]
        assert plain["accuracy"] < 0.95
        assert "accuracy drop" in plain["verdict"]
        repaired = next(row for row in exported["tried"] if not row["verdict"].startswith(BAD))
        assert repaired["scheme"]["equalized"]
        assert chosen["verdict"] == "chosen"
        if repaired is chosen:
            assert exported["quantization"]["equalized"]
        else:  # what speed says is for the machine to say, not for a test
            assert precision == "auto"
            assert repaired["verdict"] == "passes, but is not faster than float32 on this machine"
            assert repaired["speed"]["ratio"] <= 1
        assert exported["parity"]["drop_points"] <= 0.05

        bundle = Path(exported["bundle"])
        manifest = json.loads((bundle / "manifest.json").read_text())
        assert manifest["provenance"]["tried"] == exported["tried"]
        assert "equalized" in (bundle / "parity.html").read_text("utf-8")
        assert mnist.test is not None
        with Recognizer.load(bundle) as recognizer:
            right = (recognizer.predict(mnist.test.images[:1000]).labels == mnist.test.labels[:1000]).mean()
        assert right > 0.99


def test_the_table_is_printed(loud: Run, tmp_path: Path, cli: Callable[..., Done]) -> None:
    done = cli("export", loud.path, "--out", tmp_path / "bundles")
    assert done.code == 0
    assert "what was tried, on 6,000 validation images" in done.out
    assert "equalized" in done.out
    assert "chosen" in done.out


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--precision", "weights8"), "no weights8 onnx: .*five times slower than float32"),
        (
            ("--target", "mcu", "--format", "onnx"),
            "the target mcu runs no onnx; ask for --format c or tflite",
        ),
        (
            ("--target", "mcu", "--format", "tflite", "--precision", "float32"),
            "the target mcu has no floats; ask for int8 or int16x8",
        ),
        (
            ("--format", "c", "--precision", "float32"),
            "C sources are made of the int8 TFLite model; use --precision int8",
        ),
        (("--error-rate", "1"), "error rate 1; expected a part above 0 and at most 0.1: 0.001 is 0.1 %"),
    ],
)
def test_what_cannot_be_had_is_refused_before_anything_is_computed(
    run: Run, tmp_path: Path, cli: Callable[..., Done], words: tuple[str, ...], complaint: str
) -> None:
    done = cli("export", run.path, *words, "--out", tmp_path / "bundles")
    assert done.code == 2
    (line,) = done.err.splitlines()
    assert line.startswith("error: ")
    assert re.search(complaint, line)


@pytest.mark.slow
def test_c_sources_come_with_the_bundle_they_are_made_of(
    run: Run, tmp_path: Path, cli: Callable[..., Done]
) -> None:
    pytest.importorskip("tflite_micro", reason="there is no TensorFlow Lite Micro for this platform")
    done = cli("export", run.path, "--target", "mcu", "--out", tmp_path / "bundles")
    assert done.code == 0
    assert "run in TensorFlow Lite Micro" in done.out
    made = {path.name for path in (tmp_path / "bundles").iterdir()}
    assert made == {"edge-tflite-int8", "edge-c-int8", "export.log"}
    told = json.loads((tmp_path / "bundles" / "edge-c-int8" / "micro.json").read_text())
    manifest = json.loads((tmp_path / "bundles" / "edge-tflite-int8" / "manifest.json").read_text())
    assert manifest["model"]["sha256"] in json.dumps(told)


@pytest.mark.slow
def test_c_sources_can_be_made_of_a_bundle_that_is_there(tmp_path: Path, cli: Callable[..., Done]) -> None:
    pytest.importorskip("tflite_micro", reason="there is no TensorFlow Lite Micro for this platform")
    bundle = Path(__file__).parents[2] / "models" / "edge-tflite-int8"
    done = cli("export", bundle, "--format", "c", "--format", "c", "--out", tmp_path, "--json")
    assert done.code == 0
    (told,) = json.loads(done.out)
    assert told["kind"] == "c"
    assert told["proof"]["agreement"] >= 0.999
    assert [path.name for path in tmp_path.iterdir()] == ["edge-c-int8"]
