"""Processes that are measured in turns, and what comes of one that fails."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from digits_edge.benchmarks.errors import SubjectError
from digits_edge.benchmarks.measure import measure
from digits_edge.benchmarks.processes import Worker, run_quietly, start_cold
from digits_edge.benchmarks.scenarios import BATCHES, Effort
from digits_edge.benchmarks.subjects import Kind, Subject
from digits_edge.runtime import Format, Precision, Recognizer
from digits_edge.runtime.plan import available_processors
from digits_edge.trainer.datasets import Split

BRIEF = Effort("brief", rounds=3, seconds=0.002, warm_up=0, starts=2, starts_budget=60, images=None)


def test_every_subject_is_measured_in_every_case(
    whole: Subject, plain: Subject, test_data: Split, tmp_path: Path
) -> None:
    steps: list[tuple[str, int, int]] = []
    images = test_data.images[:200]
    results = measure([whole, plain], images, BRIEF, tmp_path, lambda *step: steps.append(step))

    with Recognizer.load(whole.path) as recognizer:
        expected = recognizer.predict(images).labels
    for subject, measured in zip((whole, plain), results, strict=True):
        assert measured.engine.startswith("onnxruntime ")
        assert (measured.labels == expected).all()
        assert [len(turns) for turns in measured.turns.values()] == [BRIEF.rounds] * len(measured.turns)
        assert {case.batch for case in measured.turns if case.workers is None} == set(BATCHES)
        asked = {case.workers for case in measured.turns} - {None}
        assert bool(asked) is (subject is whole and available_processors() > 1)
        assert len(measured.starts) == BRIEF.starts
        for start in measured.starts:
            assert (start.labels == expected).all()
            assert 0 < start.load_ms < start.ready_ms
            assert 0 < start.first_ms < start.ready_ms
            assert start.libraries_ms > 1
            assert (start.own_ms > 0.1) is (subject is whole)
            assert start.peak_bytes is None or start.peak_bytes > 1 << 20
    phases = dict.fromkeys(what.split()[0] for what, _, _ in steps)
    assert list(phases) == ["starting", "answering:", "timing"]
    assert all(0 <= done < total for _, done, total in steps)


def test_a_slow_starter_is_started_twice_only(whole: Subject, test_data: Split, tmp_path: Path) -> None:
    patient = dataclasses.replace(BRIEF, rounds=1, starts=5, starts_budget=1e-6)
    (measured,) = measure([whole], test_data.images[:20], patient, tmp_path, lambda *_: None)
    assert len(measured.starts) == 2


@pytest.fixture
def damaged(whole: Subject, tmp_path: Path) -> Subject:
    copy = tmp_path / "damaged"
    shutil.copytree(whole.path, copy)
    model = copy / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"?")
    return dataclasses.replace(whole, name="damaged", path=str(copy))


@pytest.fixture
def images(test_data: Split, tmp_path: Path) -> Path:
    np.save(tmp_path / "images.npy", test_data.images[:20])
    return tmp_path / "images.npy"


def test_what_refuses_to_load_says_so_through_the_process(
    damaged: Subject, images: Path, tmp_path: Path
) -> None:
    with pytest.raises(SubjectError, match=r"damaged: .*SHA-256"):
        start_cold(damaged, images, tmp_path / "log")
    with pytest.raises(SubjectError, match=r"damaged: .*SHA-256"):
        Worker(damaged, images, tmp_path / "log")


def test_a_process_that_dies_is_reported_with_its_last_words(images: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.onnx"
    empty.write_bytes(b"")
    broken = Subject("broken", Kind.ONNXRUNTIME, str(empty), Format.ONNX, Precision.FLOAT32)
    with pytest.raises(SubjectError, match=r"broken: its process ended \(exit code 1\): .*empty.onnx"):
        start_cold(broken, images, tmp_path / "log")


def test_a_converter_that_fails_is_reported_with_its_last_words(tmp_path: Path) -> None:
    code = "import sys; print('chatter'); sys.exit('no such layer')"
    with pytest.raises(SubjectError, match=r"converting failed: .*no such layer"):
        run_quietly(["-c", code], what="converting", log=tmp_path / "log")
