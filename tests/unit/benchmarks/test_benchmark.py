"""The whole job on real bundles, and how it refuses."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from digits_edge.benchmarks.baselines import usable_run
from digits_edge.benchmarks.benchmark import Request, run_benchmark
from digits_edge.benchmarks.results import Results
from digits_edge.benchmarks.scenarios import BATCHES, LARGEST, QUICK, Effort
from digits_edge.benchmarks.subjects import Kind
from digits_edge.runtime import BundleNotFoundError, InputError, Precision, Recognizer
from digits_edge.trainer.architectures import Architecture, build
from digits_edge.trainer.datasets import Split, load_dataset
from digits_edge.trainer.errors import DataError, RunError
from digits_edge.trainer.recipes import RecipeName
from digits_edge.trainer.runs import Run, RunConfig, create_run, write_json

BRIEF = Effort("quick", rounds=2, seconds=0.002, warm_up=0, starts=1, starts_budget=60, images=300)


def quiet(what: str, done: int, total: int) -> None:
    assert what
    assert 0 <= done <= total


def test_two_bundles_against_each_other(bundles: dict[str, Path], test_data: Split, tmp_path: Path) -> None:
    results = run_benchmark(Request((bundles["upper"], bundles["whole"]), effort=BRIEF), quiet)

    upper, whole = results.subjects
    assert (upper.name, whole.name) == ("upper-onnx-float32", "whole-onnx-float32")
    drawn = test_data.take(np.linspace(0, len(test_data) - 1, BRIEF.images or 0).astype(np.int64))
    assert results.data.sha256 == drawn.digest()
    for subject, path in ((upper, bundles["upper"]), (whole, bundles["whole"])):
        with Recognizer.load(path) as recognizer:
            right = recognizer.predict(drawn.images).labels == drawn.labels
            assert subject.sha256 == recognizer.manifest.model.sha256
        assert subject.accuracy == pytest.approx(right.mean())
        assert subject.bytes == (path / "model.onnx").stat().st_size
        assert not subject.is_baseline
        assert all(rate.images_per_second.median > 0 for rate in subject.rates)
    assert upper.accuracy < whole.accuracy
    assert {(it.subject, it.baseline) for it in results.ratios()} == {(whole.name, upper.name)}
    assert {it.batch for it in results.ratios()} == set(BATCHES)

    results.save(tmp_path / "save.json")
    assert Results.load(tmp_path / "save.json") == results


def test_bundles_of_one_name_are_told_apart_by_their_place(bundles: dict[str, Path], tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(bundles["whole"], copy)
    effort = dataclasses.replace(BRIEF, rounds=1, images=50)
    results = run_benchmark(Request((bundles["whole"], copy), effort=effort), quiet)
    assert [subject.name for subject in results.subjects] == [
        str(bundles["whole"].resolve()),
        str(copy.resolve()),
    ]


def test_what_cannot_be_measured_is_refused_before_anything_runs(
    bundles: dict[str, Path], tmp_path: Path
) -> None:
    def nothing_runs(what: str, done: int, total: int) -> None:
        raise AssertionError(what)

    whole = bundles["whole"]
    link = tmp_path / "link"
    link.symlink_to(whole)
    untested = tmp_path / "untested.npz"
    digits = load_dataset().train.take(np.arange(50))
    np.savez(untested, x_train=digits.images, y_train=digits.labels)
    for request, error in (
        (Request((tmp_path,)), BundleNotFoundError),
        (Request((whole, link)), InputError),
        (Request((whole,), data=untested), InputError),
        (Request((whole,), data=tmp_path / "gone.npz"), DataError),
        (Request((whole,), run=tmp_path), RunError),
    ):
        with pytest.raises(error):
            run_benchmark(request, nothing_runs)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run of an untrained edge network: enough to make baselines from."""
    pytest.importorskip("keras")
    config = RunConfig(Architecture.EDGE, RecipeName.STRONG, epochs=1, batch_size=32, limit=200)
    run = create_run(tmp_path / "run", config)
    build(Architecture.EDGE).save(run.model_file)
    return run


@pytest.mark.slow
def test_a_run_that_has_not_finished_gives_no_baselines(run: Run) -> None:
    with pytest.raises(RunError, match="not finished"):
        usable_run(run.path)
    write_json(run.metrics_file, {})
    assert usable_run(run.path) == run
    run.model_file.unlink()
    with pytest.raises(RunError, match=r"model\.keras: missing"):
        usable_run(run.path)


@pytest.mark.slow
def test_baselines_are_measured_in_the_same_rounds(bundles: dict[str, Path], run: Run) -> None:
    write_json(run.metrics_file, {})
    effort = dataclasses.replace(BRIEF, images=40)
    results = run_benchmark(Request((bundles["whole"],), run=run.path, effort=effort), quiet)

    whole, *baselines = results.subjects
    assert [(subject.name, subject.kind, subject.precision) for subject in baselines] == [
        ("Keras predict", Kind.KERAS, Precision.FLOAT32),
        ("naive ONNX float32", Kind.ONNXRUNTIME, Precision.FLOAT32),
        ("naive ONNX int8", Kind.ONNXRUNTIME, Precision.INT8),
        ("naive TFLite int8", Kind.LITERT, Precision.INT8),
    ]
    keras, onnx, *_ = baselines
    assert keras.accuracy == onnx.accuracy  # the same network, the same answers
    assert keras.bytes == run.model_file.stat().st_size
    assert all(subject.start.own_ms is None and subject.default_workers is None for subject in baselines)
    assert {(it.baseline, it.batch) for it in results.ratios()} == {
        (subject.name, batch) for subject in baselines for batch in BATCHES
    }
    for ratio in results.ratios():
        mine, its = (
            subject.rate(ratio.batch)
            for name in (ratio.subject, ratio.baseline)
            for subject in results.subjects
            if subject.name == name
        )
        assert mine is not None
        assert its is not None
        first = mine.images_per_second.rounds[0] / its.images_per_second.rounds[0]
        assert ratio.ratio.rounds[0] == pytest.approx(first)
    assert any("compare networks" in note for note in results.notes)
    assert whole.rate(LARGEST) is not None


def test_a_quick_look_takes_part_of_the_images_only() -> None:
    assert QUICK.images is not None
    assert QUICK.images < 10_000
