"""An assessment of real networks on real digits: its figures against those worked out here."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from digits_edge.runtime import Recognizer, default_bundle
from digits_edge.runtime.errors import InputError
from digits_edge.trainer import charts
from digits_edge.trainer.assessment import EXAMPLES, NON_DIGITS, SEED, Assessment, assess
from digits_edge.trainer.confidence import Share
from digits_edge.trainer.corruptions import Corruption, corrupt
from digits_edge.trainer.datasets import Dataset, Split
from digits_edge.trainer.nondigits import NonDigit
from digits_edge.trainer.runs import Run
from digits_edge.trainer.subject import HeldOut, Subject, TrainedOn, held_out, open_ensemble, open_subject

if TYPE_CHECKING:
    from matplotlib.figure import Figure

THRESHOLD = 0.95


def unwatched(what: str, done: int, total: int) -> None:
    assert what
    assert 0 <= done <= total


def part(split: Split) -> HeldOut:
    return HeldOut("few", "test", split, np.arange(len(split)), split.images)


@pytest.fixture(scope="module")
def digits(mnist: Dataset) -> Split:
    assert mnist.test is not None
    return mnist.test.take(np.arange(2000, 2300))  # some of them are hard


@pytest.fixture(scope="module")
def bundle(digits: Split) -> Assessment:
    """The network inside the runtime, as if 0.95 had been chosen for it."""
    with open_subject(default_bundle()) as subject:
        return assess(replace(subject, threshold=THRESHOLD), part(digits), unwatched)


@pytest.fixture(scope="module")
def unsure(digits: Split) -> Assessment:
    """A run's: no threshold, and every answer a 3 that it is 60 % sure of."""
    distribution = np.full(10, 0.4 / 9, np.float32)
    distribution[3] = 0.6
    subject = Subject(
        "threes", "run", "none", {}, None, None, lambda images: np.tile(distribution, (len(images), 1))
    )
    return assess(subject, part(digits), unwatched)


def test_figures_are_those_of_the_runtime(bundle: Assessment, digits: Split) -> None:
    with Recognizer.load(workers=1) as recognizer:
        answers = recognizer.predict(digits.images)
        noisy = recognizer.predict(corrupt(digits.images, Corruption.NOISE, seed=SEED))
    right = answers.labels == digits.labels
    assert bundle.accuracy == Share(int(right.sum()), 300)
    assert not right.all()
    assert [error.row for error in bundle.evaluation.errors] == np.flatnonzero(~right).tolist()
    accepted = answers.confidence >= THRESHOLD
    assert bundle.operation is not None
    assert bundle.operation.coverage == Share(int(accepted.sum()), 300)
    assert bundle.operation.errors == Share(int((~right)[accepted].sum()), int(accepted.sum()))
    (noise,) = (row for row in bundle.corruptions if row.corruption is Corruption.NOISE)
    assert noise.right == Share(int((noisy.labels == digits.labels).sum()), 300)


def test_the_whole_suite_is_there(bundle: Assessment) -> None:
    assert [row.corruption for row in bundle.corruptions] == list(Corruption)
    assert bundle.corruption_mean == pytest.approx(np.mean([row.right.part for row in bundle.corruptions]))
    assert 0.85 < bundle.corruption_mean < bundle.accuracy.part
    assert bundle.foreign.of == 1797
    assert bundle.foreign.part > 0.9
    assert [row.kind for row in bundle.non_digits] == list(NonDigit)
    examples = [row.examples for row in bundle.corruptions] + [row.examples for row in bundle.non_digits]
    assert all(len(images) == EXAMPLES for images in examples)


def test_non_digits_are_less_sure_than_digits(bundle: Assessment) -> None:
    assert bundle.rejected is not None
    assert bundle.rejected.of == NON_DIGITS * len(NonDigit)
    assert bundle.rejected.count == sum(row.rejected.count for row in bundle.non_digits if row.rejected)
    assert bundle.operation is not None
    assert bundle.rejected.part > 0.3 > 1 - bundle.operation.coverage.part
    for row in bundle.non_digits:
        assert row.rejected is not None
        # The shown are the first of the counted ones.
        assert (row.confidence < THRESHOLD).sum() <= row.rejected.count


def test_a_run_has_no_threshold_to_reject_by(unsure: Assessment, digits: Split) -> None:
    assert unsure.operation is None
    assert unsure.rejected is None
    assert unsure.accuracy == Share(int((digits.labels == 3).sum()), 300)
    assert unsure.ece == pytest.approx(0.6 - unsure.accuracy.part, abs=1e-6)
    # All confidences are equal: no threshold parts digits from what is none.
    assert {row.rejected_at_99.count for row in unsure.non_digits} == {0}


def test_a_threshold_that_accepts_nothing(unsure: Assessment, digits: Split) -> None:
    strict = assess(replace(unsure.subject, threshold=0.7), part(digits), unwatched)
    assert strict.operation is not None
    assert strict.operation.coverage.count == 0
    assert strict.operation.errors is None
    assert strict.rejected is not None
    assert strict.rejected.part == 1
    charts.risk_coverage(strict)


def test_the_document(bundle: Assessment, unsure: Assessment) -> None:
    values = json.loads(json.dumps(bundle.to_json(), allow_nan=False))
    assert values["schema"] == 1
    assert values["subject"]["threshold"] == THRESHOLD
    assert values["subject"]["precision"] == "int8"
    assert values["data"] == {"name": "few", "part": "test", "images": 300}
    low, high = bundle.accuracy.interval
    assert values["accuracy"] == {
        "count": bundle.accuracy.count,
        "of": 300,
        "share": bundle.accuracy.part,
        "low": low,
        "high": high,
    }
    assert low < bundle.accuracy.part < high
    assert sum(map(sum, values["report"]["confusion"])) == 300
    assert sum(row["images"] for row in values["calibration"]["bins"]) == 300
    assert [row["name"] for row in values["corruptions"]["each"]] == [kind.value for kind in Corruption]
    assert values["non_digits"]["rejected"]["of"] == 4 * NON_DIGITS
    nothing = unsure.to_json()
    assert nothing["selection"]["at_threshold"] is None
    assert nothing["non_digits"]["rejected"] is None


def words(figure: Figure) -> str:
    from matplotlib.text import Text

    return "\n".join(text.get_text() for text in figure.findobj(Text))


def test_pictures_say_what_was_found(bundle: Assessment, unsure: Assessment, tmp_path: Path) -> None:
    from PIL import Image

    paths = charts.draw(bundle, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in paths)
    assert len(paths) == 6
    for path in paths:
        with Image.open(path) as picture:
            assert picture.width > 1000
            assert picture.height > 200
            assert len(np.unique(np.asarray(picture.convert("L")))) > 10
    assert bundle.operation is not None
    assert f"{100 * bundle.operation.coverage.part:.2f} % accepted" in words(charts.risk_coverage(bundle))
    assert "% accepted" not in words(charts.risk_coverage(unsure))
    shown = words(charts.corruptions(bundle))
    assert f"{100 * bundle.corruption_mean:.2f} % right on average" in shown
    assert all(f"{100 * row.right.part:.2f} %" in shown for row in bundle.corruptions)
    assert "rejected by the threshold of 0.95" in words(charts.non_digits(bundle))
    assert "accepts 99 % of the digits" in words(charts.non_digits(unsure))
    assert f"{100 * bundle.ece:.2f} points off" in words(charts.reliability(bundle))


def test_a_run_answers_in_keras(finished: Run, few: Dataset) -> None:
    with open_subject(finished.path) as subject:
        assert (subject.kind, subject.threshold) == ("run", None)
        assert few.test is not None
        answers = subject.answer(few.test.images)
        right = float((answers.argmax(axis=1) == few.test.labels).mean())
    assert right == pytest.approx(finished.metrics()["test"]["accuracy"])


@pytest.fixture
def without_test(few: Dataset, tmp_path: Path) -> Path:
    path = tmp_path / "train-only.npz"
    np.savez(path, x_train=few.train.images, y_train=few.train.labels)
    return path


def trained_on(data: Split, *, limit: int | None = None) -> TrainedOn:
    return TrainedOn(None, data.digest(), limit, 0.1, 42, False)


def test_test_images_are_taken_where_there_are_any(unsure: Assessment) -> None:
    found = held_out(unsure.subject, None)
    assert (found.data, found.part, len(found.split)) == ("mnist", "test", 10_000)
    np.testing.assert_array_equal(found.source[found.rows], found.split.images)


def test_else_the_images_that_validated(unsure: Assessment, few: Dataset, without_test: Path) -> None:
    found = held_out(replace(unsure.subject, trained_on=trained_on(few.train)), without_test)
    assert (found.part, len(found.split)) == ("validation", 40)
    np.testing.assert_array_equal(found.source[found.rows], found.split.images)
    np.testing.assert_array_equal(few.train.labels[found.rows], found.split.labels)
    from digits_edge.trainer.fit import split_rows
    from digits_edge.trainer.training import configure

    train, valid = split_rows(configure(), few.train)
    assert set(found.rows) == set(valid)
    assert not set(found.rows) & set(train)


def test_a_limited_training_validated_on_what_it_was_limited_to(
    unsure: Assessment, few: Dataset, without_test: Path
) -> None:
    used = few.limited(100, seed=42).train
    found = held_out(replace(unsure.subject, trained_on=trained_on(used, limit=100)), without_test)
    assert len(found.split) == 10
    assert {image.tobytes() for image in found.split.images} <= {image.tobytes() for image in used.images}


def test_what_training_may_have_seen_is_refused(unsure: Assessment, few: Dataset, without_test: Path) -> None:
    other = trained_on(few.train.take(np.arange(100)))
    for subject in (unsure.subject, replace(unsure.subject, trained_on=other)):
        with pytest.raises(InputError, match="nothing in it is known to be held out"):
            held_out(subject, without_test)


def test_a_bundle_tells_what_it_was_trained_on(mnist: Dataset) -> None:
    with open_subject(default_bundle()) as subject:
        assert subject.trained_on is not None
        assert subject.trained_on.digest == mnist.train.digest()


def test_a_bundle_that_tells_nothing_is_evaluated_all_the_same(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(default_bundle(), copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    for told in ("long ago", {}, {**manifest["provenance"]["training"], "limit": "many"}):
        manifest["provenance"]["training"] = told
        (copy / "manifest.json").write_text(json.dumps(manifest))
        with open_subject(copy) as subject:
            assert subject.trained_on is None
            assert held_out(subject, None).part == "test"


def as_if_trained_on(data: Split, name: str, place: Path) -> Path:
    """The bundle inside the runtime, with another story of its training."""
    shutil.copytree(default_bundle(), place)
    manifest = json.loads((place / "manifest.json").read_text("utf-8"))
    manifest["provenance"]["training"] |= {"data": name, "data_digest": data.digest(), "limit": None}
    (place / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    return place


def test_mnist_is_no_test_of_what_was_trained_on_other_data(
    few: Dataset, without_test: Path, tmp_path: Path
) -> None:
    """Kaggle's train.csv holds images of MNIST's test part."""
    paths = [as_if_trained_on(few.train, "kaggle", tmp_path / name) for name in ("one", "other")]
    for opening in (open_subject(paths[0]), open_ensemble(paths)):
        with opening as subject:
            with pytest.raises(InputError, match="trained on kaggle, which may hold any image"):
                held_out(subject, None)
            assert held_out(subject, without_test).part == "validation"


def test_an_ensemble_of_a_run_and_a_bundle_of_it_knows_the_data_of_the_run(
    finished: Run, few: Dataset, without_test: Path, tmp_path: Path
) -> None:
    run = Run(shutil.copytree(finished.path, tmp_path / "run"))
    config = json.loads(run.config_file.read_text("utf-8"))
    run.config_file.write_text(json.dumps(config | {"data": str(without_test)}), "utf-8")
    bundle = as_if_trained_on(few.train, without_test.name, tmp_path / "bundle")
    with open_ensemble([bundle, run.path]) as ensemble:
        assert held_out(ensemble, None).part == "validation"


def test_an_ensemble_answers_with_the_mean(few: Dataset) -> None:
    models = Path(__file__).parents[3] / "models"
    paths = [models / "edge-onnx-int8", models / "cnn-strong-onnx-int8"]
    images = few.train.images[:50]
    each = []
    for path in paths:
        with open_subject(path) as member:
            each.append(member.answer(images))
    with open_ensemble(paths) as ensemble:
        np.testing.assert_allclose(ensemble.answer(images), np.mean(each, axis=0), atol=1e-6)
        assert (ensemble.kind, ensemble.threshold) == ("ensemble", None)
        assert ensemble.details == {"members": ["edge-onnx-int8", "cnn-strong-onnx-int8"]}
        name = ensemble.name
    with open_ensemble(paths) as again, open_ensemble([*paths[:1], *paths[:1]]) as other:
        assert name == again.name != other.name  # each has a directory of its own to be evaluated in
        assert name.startswith("ensemble-of-2")
    stranger = models / "cnn-notebook-onnx-int8"  # saw what the others validated on
    with pytest.raises(InputError, match="trained on different data"), open_ensemble([*paths, stranger]):
        pass


def test_ensembles_of_runs_that_are_called_alike_have_names_of_their_own() -> None:
    models = Path(__file__).parents[3] / "models"
    names = set()
    for series in ("edge-distill", "edge-wide-distill"):  # other widths; recipe and seeds are the same
        with open_ensemble([models / series / "seed-0", models / series / "seed-1"]) as ensemble:
            names.add(ensemble.name)
    assert len(names) == 2


def test_neither_a_bundle_nor_a_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither a bundle"), open_subject(tmp_path):
        pytest.fail("opened")
