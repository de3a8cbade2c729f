"""A trained run becomes proved bundles, and the runtime gives their answers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from digits_edge.export.errors import UnsupportedLayerError
from digits_edge.export.jobs import Job, Several, jobs_for
from digits_edge.export.pipeline import Exported, export, request_for
from digits_edge.export.targets import TARGETS, TargetName
from digits_edge.runtime import Format, Precision, Recognizer
from digits_edge.trainer.datasets import Dataset
from digits_edge.trainer.errors import RunError
from digits_edge.trainer.fit import split_rows, to_input
from digits_edge.trainer.runs import Run

if TYPE_CHECKING:
    from tests.parity.conftest import Silent

    from digits_edge.export.micro import Micro

pytestmark = pytest.mark.filterwarnings("ignore:Statistics for quantized inputs were expected:UserWarning")

GENERIC = TARGETS[TargetName.GENERIC]
ALL: dict[str, Any] = {"jobs": jobs_for(tuple(Format), (Several.ALL,), GENERIC)}
ONE: dict[str, Any] = {"jobs": (Job(Format.ONNX, Precision.INT8),)}
FLOAT: dict[str, Any] = {"jobs": (Job(Format.ONNX, Precision.FLOAT32),)}


class Deaf:
    """Watches nothing."""

    def on_step(self, what: str, done: int, total: int) -> None:
        assert 0 <= done <= total

    def on_result(self, exported: Exported) -> None:
        assert exported.seconds > 0

    def on_sources(self, micro: Micro) -> None:
        assert micro.arena.total < micro.arena.recommended


@pytest.fixture(scope="module")
def exported(published_run: Run, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Exported]:
    """Every format and precision of the edge network."""
    out = tmp_path_factory.mktemp("bundles")
    request = request_for(published_run, out=out, **ALL)
    return {result.path.name: result for result in export(request, Deaf())}


def test_every_format_and_precision_is_published_and_nothing_else(exported: dict[str, Exported]) -> None:
    assert set(exported) == {
        *("edge-onnx-float32", "edge-onnx-int8", "edge-tflite-float32", "edge-tflite-float16"),
        *("edge-tflite-int8", "edge-tflite-weights8"),
    }
    (out,) = {result.path.parent for result in exported.values()}
    assert {path.name for path in out.iterdir()} == {*exported, "export.log"}


def test_every_test_image_was_compared_and_the_gates_were_passed(exported: dict[str, Exported]) -> None:
    for result in exported.values():
        parity = result.parity
        assert (parity.images, parity.held_out) == (10_000, "test")
        assert not result.misses
        assert parity.accuracy_original > 0.99
        if result.precision is Precision.FLOAT32:
            assert parity.max_difference <= 1e-5
            assert parity.disagreements == 0
        else:
            assert parity.drop <= 0.05
            assert parity.agreement >= 0.998
            assert parity.max_difference > 1e-4  # it is another arithmetic


def test_what_was_proved_is_what_a_device_gets(
    exported: dict[str, Exported], published_run: Run, mnist: Dataset
) -> None:
    """The figures come out again when a user loads the bundle and counts."""
    import keras

    assert mnist.test is not None
    model = keras.models.load_model(published_run.model_file, compile=False)
    original = model.predict(to_input(mnist.test.images), batch_size=500, verbose=0)
    for result in exported.values():
        with Recognizer.load(result.path) as recognizer:
            assert (recognizer.manifest.format, recognizer.manifest.precision) == (
                result.format,
                result.precision,
            )
            answers = recognizer.predict(mnist.test.images)
        assert (answers.labels == mnist.test.labels).mean() == result.parity.accuracy_exported
        assert (answers.labels != original.argmax(axis=1)).sum() == result.parity.disagreements
        # The proof compares models; a bundle's temperature makes its answers surer or less sure.
        plain = answers.probabilities.astype(np.float64) ** recognizer.manifest.temperature
        difference = np.abs(plain / plain.sum(axis=1, keepdims=True) - original).max()
        assert difference == pytest.approx(result.parity.max_difference, rel=0.2)


def test_a_bundle_says_how_it_was_made_and_proved(exported: dict[str, Exported], published_run: Run) -> None:
    for result in exported.values():
        manifest = json.loads((result.path / "manifest.json").read_text())
        assert manifest["parity"] == json.loads(json.dumps(result.parity.to_json()))
        assert json.loads((result.path / "parity.json").read_text())["parity"] == manifest["parity"]
        training = manifest["provenance"]["training"]
        assert (training["architecture"], training["recipe"], training["seed"]) == ("edge", "distill", 0)
        assert training["run"] == published_run.path.name
        assert training["data_digest"] == published_run.config().data_digest
        assert {"tensorflow", "keras", "onnxruntime"} <= manifest["provenance"]["versions"].keys()
        card = (result.path / "MODEL_CARD.md").read_text("utf-8")
        assert f"{result.parity.accuracy_exported:.2%}" in card
        assert f"{result.size:,} bytes" in card


def test_calibration_images_are_training_images_and_written_down(
    exported: dict[str, Exported], published_run: Run, mnist: Dataset
) -> None:
    train, valid = split_rows(published_run.config(), mnist.train)
    for name, result in exported.items():
        provenance = json.loads((result.path / "manifest.json").read_text())["provenance"]
        if result.precision is not Precision.INT8:
            assert "calibration" not in provenance, name
            continue
        rows = provenance["calibration"]["training_rows"]
        assert len(set(rows)) == 512
        assert set(rows) <= set(train.tolist())
        assert not set(rows) & set(valid.tolist())


def test_without_test_images_the_validation_images_prove_it(kaggle_run: Run, tmp_path: Path) -> None:
    request = request_for(kaggle_run, out=tmp_path / "bundles", **FLOAT)
    (result,) = export(request, Deaf())
    assert (result.parity.images, result.parity.held_out) == (300, "validation")
    assert "300 validation images" in (result.path / "MODEL_CARD.md").read_text("utf-8")


def test_a_bundle_does_not_tell_where_the_data_lay(kaggle_run: Run, tmp_path: Path) -> None:
    request = request_for(kaggle_run, out=tmp_path / "bundles", **FLOAT)
    (result,) = export(request, Deaf())
    assert (
        json.loads((result.path / "manifest.json").read_text())["provenance"]["training"]["data"]
        == "train.csv"
    )
    texts = [
        path.read_text("utf-8") for path in result.path.iterdir() if path.suffix in (".json", ".md", ".html")
    ]
    assert len(texts) == 4
    assert not any("secret-project" in text for text in texts)


def test_steps_are_told_from_beginning_to_end(run: Run, tmp_path: Path, watcher: Silent) -> None:
    export(request_for(run, out=tmp_path / "bundles", **ONE), watcher)
    steps = list(dict.fromkeys(what for what, _, _ in watcher.steps))
    assert steps == [
        "Keras answers, validation",
        "Keras answers",
        "trying onnx int8: min-max, per channel",
        "proving onnx int8",
        "other batches and engines, onnx int8",
        "confidence of onnx int8",
    ]
    for step in steps:
        _, done, total = [told for told in watcher.steps if told[0] == step][-1]
        assert done == total
    assert [result.path.name for result in watcher.results] == ["edge-onnx-int8"]


# What is refused before anything is published.


def test_other_data_than_it_was_trained_on_is_refused(kaggle_run: Run, tmp_path: Path) -> None:
    table = Path(kaggle_run.config().data or "")
    text = table.read_text()
    changed, count = re.subn(r"(?m)^\d,", "1,", text, count=5)
    assert count == 5
    table.write_text(changed)
    with pytest.raises(RunError, match=r"train\.csv is no longer the data that this run was trained on"):
        export(request_for(kaggle_run, out=tmp_path / "bundles", **ONE), Deaf())
    assert [path.name for path in (tmp_path / "bundles").iterdir()] == ["export.log"]


@pytest.mark.parametrize("damage", ["missing", "truncated", "other"])
def test_a_damaged_model_is_refused(damage: str, run: Run, tmp_path: Path) -> None:
    match damage:
        case "missing":
            run.model_file.unlink()
        case "truncated":
            run.model_file.write_bytes(run.model_file.read_bytes()[:5000])
        case "other":
            run.model_file.write_text("no zip file")
    with pytest.raises(RunError, match=r"model\.keras: not readable"):
        export(request_for(run, out=tmp_path / "bundles", **ONE), Deaf())


def test_a_network_that_cannot_be_folded_is_refused_before_it_answers(
    run: Run, tmp_path: Path, watcher: Silent
) -> None:
    import keras
    from keras import layers

    keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Flatten(),
            layers.Dense(9, "tanh", name="odd"),
            layers.Dense(10, "softmax"),
        ]
    ).save(run.model_file)
    with pytest.raises(UnsupportedLayerError, match="'tanh' of 'odd'"):
        export(request_for(run, out=tmp_path / "bundles", **ONE), watcher)
    assert not watcher.steps
