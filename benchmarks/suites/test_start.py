"""From nothing to the first answer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest

from digits_edge.benchmarks.processes import ColdStart, start_cold
from digits_edge.benchmarks.subjects import Kind, Labels, Subject
from digits_edge.runtime import Recognizer
from digits_edge.trainer.datasets import Split

FRESH = {"rounds": 9, "warmup_rounds": 1}


@pytest.mark.benchmark(group="cold import")
@pytest.mark.parametrize("own", ["", ", digits_edge.runtime"], ids=["libraries", "libraries and runtime"])
def test_cold_import(own: str, benchmark: Any) -> None:
    code = f"import sys, numpy, onnxruntime{own}\nprint(*sys.modules)"

    def start() -> str:
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    modules = benchmark.pedantic(start, **FRESH).split()

    assert {"numpy", "onnxruntime"} <= set(modules)
    assert ("digits_edge.runtime" in modules) is bool(own)


@pytest.mark.benchmark(group="fresh process")
def test_first_answer(
    bundle: Path, recognizer: Recognizer, noted: Any, labels: Labels, test_data: Split, tmp_path: Path
) -> None:
    manifest = recognizer.manifest
    subject = Subject(bundle.name, Kind.RUNTIME, str(bundle), manifest.format, manifest.precision)
    np.save(tmp_path / "images.npy", test_data.images[:1024])
    starts: list[ColdStart] = []

    def start() -> None:
        starts.append(start_cold(subject, tmp_path / "images.npy", tmp_path / "log"))

    noted.pedantic(start, **FRESH)

    for figure in ("libraries_ms", "own_ms", "load_ms", "first_ms", "ready_ms"):
        noted.extra_info[figure] = median(getattr(done, figure) for done in starts[1:] or starts)
    noted.extra_info["peak_bytes"] = starts[-1].peak_bytes
    assert all((done.labels == labels[:1024]).all() for done in starts)


@pytest.mark.benchmark(group="load")
def test_load(bundle: Path, noted: Any, labels: Labels, test_data: Split) -> None:
    loaded = noted(Recognizer.load, bundle)

    assert (loaded.predict(test_data.images[:100]).labels == labels[:100]).all()


@pytest.mark.benchmark(group="first call")
def test_first_call(bundle: Path, noted: Any, labels: Labels, test_data: Split) -> None:
    image = test_data.images[:1]

    def loaded() -> tuple[tuple[Recognizer], dict[str, Any]]:
        return (Recognizer.load(bundle),), {}

    answer = noted.pedantic(lambda recognizer: recognizer.predict(image), setup=loaded, rounds=30)

    assert answer.labels.tolist() == labels[:1].tolist()
