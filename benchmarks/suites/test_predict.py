"""Answers, one at a time and in batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from digits_edge.benchmarks.scenarios import BATCHES, LARGEST, cases
from digits_edge.benchmarks.subjects import Labels
from digits_edge.runtime import Recognizer
from digits_edge.runtime.plan import available_processors
from digits_edge.trainer.datasets import Split

WORKERS = [case.workers for case in cases(available_processors()) if case.workers is not None]


@pytest.mark.benchmark(group="one image")
def test_one_image(recognizer: Recognizer, noted: Any, labels: Labels, test_data: Split) -> None:
    answer = noted(recognizer.predict, test_data.images[:1])

    assert answer.labels.tolist() == labels[:1].tolist()


@pytest.mark.benchmark(group="batch")
@pytest.mark.parametrize("batch", BATCHES[1:])
def test_batch(batch: int, recognizer: Recognizer, noted: Any, labels: Labels, test_data: Split) -> None:
    noted.extra_info["batch"] = batch

    answers = noted(recognizer.predict, test_data.images[:batch])

    assert (answers.labels == labels[:batch]).all()


@pytest.mark.benchmark(group=f"{LARGEST} images by workers")
@pytest.mark.parametrize("workers", [*WORKERS, None])
def test_workers(workers: int | None, bundle: Path, noted: Any, labels: Labels, test_data: Split) -> None:
    with Recognizer.load(bundle, workers=workers) as recognizer:
        noted.extra_info.update(batch=LARGEST, workers=recognizer.plan.workers)

        answers = noted(recognizer.predict, test_data.images[:LARGEST])

    assert (answers.labels == labels[:LARGEST]).all()
