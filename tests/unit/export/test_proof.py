"""A proof of real bundles on real digits: its counts can be counted again, its JSON is as documented."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from digits_edge.export import proof as module
from digits_edge.export.comparison import compare_models, without_temperature
from digits_edge.export.elsewhere import Elsewhere
from digits_edge.export.proof import FileProof, Proof
from digits_edge.export.questions import CORRUPTED, Questions, ask
from digits_edge.export.sampling import evenly
from digits_edge.export.steadiness import Steadiness
from digits_edge.runtime import InputError, Recognizer
from digits_edge.runtime.predictions import Predictions
from digits_edge.trainer.assessment import SEED
from digits_edge.trainer.corruptions import Corruption, corrupt
from digits_edge.trainer.datasets import Dataset

if TYPE_CHECKING:
    from tests.unit.export.conftest import ProofMaker

MODELS = Path(__file__).parents[3] / "models"
FIRST, SECOND = MODELS / "edge-onnx-int8", MODELS.parent / "tests" / "golden" / "tiny-tflite-int8"


class Silent:
    """Watches without a word."""

    def __init__(self) -> None:
        self.last: dict[str, tuple[int, int]] = {}

    def on_step(self, what: str, done: int, total: int) -> None:
        self.last[what] = (done, total)


@pytest.fixture(scope="module")
def watched() -> Silent:
    return Silent()


@pytest.fixture(scope="module")
def few(mnist: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """600 test images as an .npz, the hardest among them."""
    assert mnist.test is not None
    test = mnist.test
    with Recognizer.load(FIRST) as recognizer:
        order = np.argsort(recognizer.predict(test.images).confidence, kind="stable")[:600]
    path = tmp_path_factory.mktemp("few") / "few.npz"
    np.savez(
        path,
        x_train=mnist.train.images[:100],
        y_train=mnist.train.labels[:100],
        x_test=test.images[order],
        y_test=test.labels[order],
    )
    return path


@pytest.fixture(scope="module")
def found(few: Path, watched: Silent) -> Proof:
    return compare_models(FIRST, SECOND, few, watched)


def test_the_counts_are_those_of_whoever_counts_again(found: Proof, few: Path) -> None:
    with np.load(few) as data:
        images, truth = data["x_test"], data["y_test"]
    with Recognizer.load(FIRST) as one, Recognizer.load(SECOND) as other:
        first, second = one.predict(images), other.predict(images)
        rows = evenly(len(images), CORRUPTED)
        corrupted = corrupt(images[rows], Corruption.STROKE_GAP, seed=SEED)
        torn, torn_too = one.predict(corrupted).labels, other.predict(corrupted).labels
    parity = found.parity
    assert (parity.images, parity.held_out) == (600, "test")
    assert found.right[0].count == (first.labels == truth).sum() > 500
    assert found.right[1].count == (second.labels == truth).sum() > 400
    assert parity.disagreements == (first.labels != second.labels).sum() > 0
    (strain,) = [strain for strain in found.corruptions if strain.kind is Corruption.STROKE_GAP]
    assert strain.original.count == (torn == truth[rows]).sum()
    assert strain.exported.count == (torn_too == truth[rows]).sum()
    assert strain.agreement.count == (torn == torn_too).sum() < CORRUPTED
    assert {strain.kind for strain in found.corruptions} == set(Corruption)
    changed = np.flatnonzero(first.labels != second.labels)
    assert sorted(flip.row for flip in found.flips) == changed.tolist()
    for flip in found.flips:
        assert (flip.original, flip.exported) == (first.labels[flip.row], second.labels[flip.row])
        assert flip.label == truth[flip.row]
        assert np.array_equal(flip.image, images[flip.row])
    sureness = [flip.original_confidence + flip.exported_confidence for flip in found.flips]
    assert sureness == sorted(sureness, reverse=True)


def test_each_digit_has_its_own_row(found: Proof, few: Path) -> None:
    with np.load(few) as data:
        truth = data["y_test"]
    assert [row.images for row in found.classes] == np.bincount(truth, minlength=10).tolist()
    assert sum(row.changed for row in found.classes) == found.parity.disagreements
    for row, change in zip(found.classes, found.parity.recall_change, strict=True):
        assert change == pytest.approx((row.exported - row.original) / row.images)


def test_both_files_are_examined(found: Proof, watched: Silent) -> None:
    assert [file.name for file in found.files] == ["edge-onnx-int8", "tiny-tflite-int8"]
    assert all(file.steadiness.identical for file in found.files)
    assert [file.engines[0].engine.split()[0] for file in found.files] == ["onnxruntime", "litert"]
    assert list(watched.last) == [
        "asking edge-onnx-int8",
        "asking tiny-tflite-int8",
        "other batches and engines, edge-onnx-int8",
        "other batches and engines, tiny-tflite-int8",
    ]
    assert all(done == total for done, total in watched.last.values())


def test_the_json_is_what_the_module_documents(found: Proof) -> None:
    values: dict[str, Any] = json.loads(json.dumps(found.to_json(), allow_nan=False))
    lines = str(module.__doc__).partition("schema          1")[0::2]
    documented = [line.split()[0] for line in lines[1].splitlines() if line[:5].strip() and line[4:5] != " "]
    assert list(values) == ["schema", *documented]
    assert values["schema"] == 1
    assert values["agreement"]["count"] + values["parity"]["disagreements"] == 600
    assert values["gate"] is None
    assert values["misses"] == []
    assert values["exported"]["sha256"] == found.exported.details["sha256"]
    assert len(values["flips"]) == len(found.flips)
    assert "image" not in values["flips"][0]


def test_a_temperature_is_taken_off_again() -> None:
    logits = np.random.default_rng(0).normal(0, 6, (50, 10)).astype(np.float32)
    plain = Predictions.from_logits(logits, temperature=1.0, threshold=0.0).probabilities
    for temperature in (0.4, 2.5):
        changed = Predictions.from_logits(logits, temperature=temperature, threshold=0.0).probabilities
        assert np.abs(changed - plain).max() > 0.05
        np.testing.assert_allclose(without_temperature(changed, temperature), plain, atol=1e-6)


def test_two_bundles_of_one_network_are_alike_though_their_temperatures_are_not(few: Path) -> None:
    found = compare_models(FIRST, MODELS / "edge-tflite-float32", few, Silent())
    assert found.original.details["temperature"] != found.exported.details["temperature"]
    assert found.parity.mean_logit_difference < 0.1  # by their temperatures alone, the logits are 4 % apart


def test_a_model_is_not_compared_with_itself() -> None:
    with pytest.raises(InputError, match="compared with itself; expected two models"):
        compare_models(FIRST, MODELS / "." / "edge-onnx-int8", None, Silent())


def test_models_of_one_name_are_told_apart(few: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "elsewhere" / FIRST.name
    shutil.copytree(FIRST, copy)
    found = compare_models(FIRST, copy, few, Silent())
    assert (found.original.name, found.exported.name) == (
        "models/edge-onnx-int8",
        "elsewhere/edge-onnx-int8",
    )
    assert found.parity.max_difference == found.parity.max_logit_difference == 0.0


def test_questions_are_the_same_each_time_and_all_are_answered(mnist: Dataset) -> None:
    assert mnist.test is not None
    split = mnist.test.take(np.arange(30))
    questions, again = (Questions.of(split, data="mnist", part="test") for _ in range(2))
    assert all(np.array_equal(questions.corrupted[kind], again.corrupted[kind]) for kind in Corruption)
    told: list[tuple[int, int]] = []
    answers = ask(
        questions,
        lambda images: np.full((len(images), 10), images.mean(), np.float64),
        lambda *step: told.append(step),
    )
    assert told[-1] == (30 * 12, 30 * 12)
    assert len(answers.held_out) == 30
    assert answers.corrupted[Corruption.NOISE][0, 0] > answers.corrupted[Corruption.THINNER][0, 0]


def test_an_unsteady_file_misses_though_its_answers_agree(proof_with: ProofMaker) -> None:
    fickle = FileProof(
        "fickle", Steadiness(32, (), repeats=False, reopens=True), (Elsewhere("x", problem="y"),)
    )
    assert proof_with().misses == ()
    assert len(proof_with(files=(fickle,)).misses) == 1
    assert proof_with(files=(fickle,), gate=None).misses == ()
    assert len(proof_with(lost=3).misses) == 2
