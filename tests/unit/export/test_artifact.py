"""What lies beside a model file, and what must be known before it is made."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from digits_edge.export.artifact import Artifact, golden_answers
from digits_edge.export.calibrate import calibration_rows
from digits_edge.export.errors import ExportError
from digits_edge.export.jobs import FOR_C, Job
from digits_edge.export.pipeline import Request, request_for
from digits_edge.export.publish import publish, stage
from digits_edge.export.selection import convert
from digits_edge.export.targets import TARGETS, TargetName
from digits_edge.runtime import Format, InputError, Precision, Recognizer, read_bundle
from digits_edge.trainer.architectures import Architecture
from digits_edge.trainer.datasets import Dataset
from digits_edge.trainer.errors import RunError, SetupError
from digits_edge.trainer.fit import split_rows
from digits_edge.trainer.recipes import RecipeName
from digits_edge.trainer.runs import Run, RunConfig, create_run

if TYPE_CHECKING:
    import keras
    from tests.unit.export.conftest import ProofMaker

Chain = Callable[..., "keras.Model"]


@pytest.fixture(scope="module")
def artifact(chain: Chain, calibration: NDArray[np.uint8]) -> Artifact:
    from keras import layers

    model = chain(layers.Conv2D(4, 5, strides=3), layers.Flatten(), layers.Dense(10, activation="softmax"))
    content = convert(model, Format.ONNX, Precision.FLOAT32, calibration)
    training = {"architecture": "small", "recipe": "none", "seed": 7, "data": None}
    return Artifact("small", Format.ONNX, Precision.FLOAT32, content, {"training": training})


def sure_of(labels: NDArray[np.integer], confidence: float = 0.95) -> NDArray[np.float32]:
    rest = (1 - confidence) / 9
    return np.where(np.eye(10, dtype=bool)[labels], confidence, rest).astype(np.float32)


def test_golden_answers_are_the_file_s_own_for_four_sure_images_of_each_digit(
    artifact: Artifact, mnist: Dataset
) -> None:
    assert mnist.test is not None
    held_out = mnist.test.take(np.arange(200))
    original = sure_of(held_out.labels)
    original[:50] = sure_of(held_out.labels[:50], confidence=0.85)
    golden = golden_answers(artifact, held_out.images, original)
    where = {image.tobytes(): row for row, image in enumerate(held_out.images)}
    rows = np.array([where[image.tobytes()] for image in golden.images])
    assert rows.min() >= 50  # of those it was less sure of, none
    assert np.bincount(held_out.labels[rows]).tolist() == [4] * 10
    assert not np.array_equal(
        golden.logits.argmax(axis=1), held_out.labels[rows]
    )  # the file's, not the truth


def test_a_network_that_is_never_sure_gets_no_golden_answers(artifact: Artifact, mnist: Dataset) -> None:
    assert mnist.test is not None
    held_out = mnist.test.take(np.arange(200))
    unsure = sure_of(held_out.labels)
    unsure[held_out.labels == 7] = 0.1
    with pytest.raises(ExportError, match=r"200 held-out images .*7: 0[,;].*4 each.*train the network"):
        golden_answers(artifact, held_out.images, unsure)


def test_too_few_images_get_no_golden_answers_however_sure_it_is(artifact: Artifact, mnist: Dataset) -> None:
    assert mnist.test is not None
    few = mnist.test.take(np.arange(30))
    with pytest.raises(ExportError, match=r"too few .* from 30 held-out images .*give more data, or train"):
        golden_answers(artifact, few.images, sure_of(few.labels))


def test_a_published_artifact_is_a_bundle_that_tells_what_was_proved(
    artifact: Artifact, mnist: Dataset, proof_with: ProofMaker, tmp_path: Path
) -> None:
    assert mnist.test is not None
    held_out = mnist.test.take(np.arange(200))
    original = sure_of(held_out.labels)
    proof = proof_with()
    target = tmp_path / artifact.directory
    files = artifact.files(golden_answers(artifact, held_out.images, original), proof)
    publish(stage(target, files), target)
    assert target.name == "small-onnx-float32"
    bundle = read_bundle(target)
    assert bundle.model == artifact.model
    assert bundle.manifest.parity["accuracy_exported"] == 1.0
    assert bundle.manifest.safe_on == ("any",)
    card = (target / "MODEL_CARD.md").read_text("utf-8")
    assert "Compared with the Keras model on 400 test images" in card
    assert "| accuracy | 100.00% | 100.00% |" in card
    assert bundle.manifest.model.sha256 in card
    assert json.loads((target / "parity.json").read_text("utf-8"))["parity"] == json.loads(
        json.dumps(bundle.manifest.parity)
    )
    assert bundle.manifest.model.sha256 in (target / "parity.html").read_text("utf-8")
    with Recognizer.load(target) as recognizer:
        assert len(recognizer.predict(held_out.images)) == 200


def test_a_bundle_says_on_which_processors_it_is_exact(
    artifact: Artifact, mnist: Dataset, tmp_path: Path
) -> None:
    assert mnist.test is not None
    held_out = mnist.test.take(np.arange(200))
    golden = golden_answers(artifact, held_out.images, sure_of(held_out.labels))
    for told in (("any",), ("x86-vnni", "arm64")):
        staging = stage(tmp_path / "bundle", replace(artifact, safe_on=told).files(golden))
        assert read_bundle(staging).manifest.safe_on == told


# Calibration.


@pytest.mark.parametrize("stratify", [False, True])
@pytest.mark.parametrize("count", [32, 512, 100_000])
def test_calibration_rows_are_training_rows_only(stratify: bool, count: int, mnist: Dataset) -> None:
    few = mnist.limited(2_000, seed=3).train
    config = RunConfig(
        Architecture.EDGE, RecipeName.STRONG, epochs=1, batch_size=8, split_seed=5, stratify=stratify
    )
    train, valid = split_rows(config, few)
    rows = calibration_rows(config, few, count=count, seed=1)
    assert len(rows) == min(count, len(train))
    assert (np.diff(rows) > 0).all()
    assert not set(rows.tolist()) & set(valid.tolist())
    np.testing.assert_array_equal(rows, calibration_rows(config, few, count=count, seed=1))
    if count < len(train):
        assert not np.array_equal(rows, calibration_rows(config, few, count=count, seed=2))


# Requests.


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run that says it has finished."""
    run = create_run(
        tmp_path / "run", RunConfig(Architecture.EDGE, RecipeName.STRONG, epochs=1, batch_size=8)
    )
    run.metrics_file.write_text("{}")
    return run


WANTED: dict[str, Any] = {"jobs": (Job(Format.ONNX, Precision.INT8),)}


def test_a_request_is_named_after_the_architecture_and_makes_place_for_the_log(
    run: Run, tmp_path: Path
) -> None:
    request = request_for(run, out=tmp_path / "deep" / "out", **WANTED)
    assert request.name == "edge"
    assert request.log.parent.is_dir()
    assert request_for(run, out=tmp_path, name="mine-1.0", **WANTED).name == "mine-1.0"


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden", "a b", "-dash", "ü", "a\n"])
def test_a_name_is_a_plain_file_name(name: str, run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected letters"):
        request_for(run, out=tmp_path / "out", name=name, **WANTED)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("missing", [{"jobs": ()}, {"calibration_images": 0}])
def test_a_request_for_nothing_is_refused(missing: dict[str, Any], run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to export"):
        Request(run, tmp_path, "cnn", **{**WANTED, **missing})


@pytest.mark.parametrize("rate", [0, -0.001, 0.5, 1, float("nan")])
def test_an_error_rate_is_a_part_and_a_small_one(rate: float, run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a part above 0 and at most 0\.1: 0\.001 is 0\.1 %"):
        Request(run, tmp_path, "cnn", **WANTED, error_rate=rate)
    assert Request(run, tmp_path, "cnn", **WANTED, error_rate=0.1).error_rate == 0.1


def test_only_what_c_sources_are_made_of_has_no_layer_in_float(run: Run, tmp_path: Path) -> None:
    onnx = Job(Format.ONNX, Precision.INT8)
    wanted: dict[str, Any] = {"jobs": (onnx, FOR_C), "float_layers": 2}
    with_sources = Request(run, tmp_path, "cnn", **wanted, c_sources=True)
    assert (with_sources.float_layers_of(onnx), with_sources.float_layers_of(FOR_C)) == (2, 0)
    assert Request(run, tmp_path, "cnn", **wanted).float_layers_of(FOR_C) == 2


def test_on_a_processor_that_saturates_seven_bits_are_made_and_told(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "", "", "", "riscv64")))
    request = request_for(run, out=tmp_path, **WANTED)
    assert request.target is TARGETS[TargetName.X86_AVX2]
    (note,) = request.notes
    assert note.endswith("int8 ONNX is made by --target x86-avx2, of 7 bits")
    with pytest.raises(SetupError, match="cannot be proved on this processor"):
        request_for(run, out=tmp_path, **WANTED, target=TARGETS[TargetName.ARM64])


def test_a_run_that_is_none_or_not_finished_is_told_apart(run: Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"nowhere: no run directory \(run\.json is missing\)"):
        request_for(Run(tmp_path / "nowhere"), out=tmp_path / "out", **WANTED)
    run.metrics_file.unlink()
    with pytest.raises(RunError, match=r"run: not finished; .*--resume"):
        request_for(run, out=tmp_path / "out", **WANTED)
    assert not (tmp_path / "out").exists()


def test_an_output_directory_that_cannot_be_is_an_error_with_a_way_out(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ExportError, match=r"cannot be written .*choose another --out"):
            request_for(run, out=out, **WANTED)
