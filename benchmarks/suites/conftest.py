"""What the benchmarks share: bundles to measure, images to answer, and notes beside each figure.

pytest benchmarks/suites [--bundle models/cnn-strong-onnx-int8]... [--benchmark-json FILE]
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from digits_edge.benchmarks.machine import this_machine
from digits_edge.benchmarks.subjects import Labels
from digits_edge.runtime import Recognizer, default_bundle
from digits_edge.trainer.datasets import Split, load_dataset


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--bundle",
        action="append",
        type=Path,
        metavar="DIRECTORY",
        help="Bundle to measure; may be given more than once. The one inside the runtime if not given.",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "bundle" in metafunc.fixturenames:
        bundles: list[Path] = metafunc.config.getoption("--bundle") or [default_bundle()]
        missing = pytest.mark.skip(reason="no bundle there; name some with --bundle")
        metafunc.parametrize(
            "bundle",
            [pytest.param(path, id=path.name, marks=() if path.is_dir() else missing) for path in bundles],
            scope="session",
        )


@pytest.fixture(scope="session")
def test_data() -> Split:
    """MNIST's 10,000 test images."""
    data = load_dataset().test
    assert data is not None
    return data


@pytest.fixture(scope="session")
def recognizer(bundle: Path) -> Iterator[Recognizer]:
    with Recognizer.load(bundle) as loaded:
        yield loaded


@pytest.fixture(scope="session")
def labels(recognizer: Recognizer, test_data: Split) -> Labels:
    """The bundle's answers for all test images: int64 ``(10000,)``."""
    answers = recognizer.predict(test_data.images).labels
    assert (answers == test_data.labels).mean() > 0.9, "not worth timing"
    return answers


@pytest.fixture
def noted(benchmark: Any, recognizer: Recognizer, labels: Labels, test_data: Split) -> Any:
    """The benchmark, with machine, bundle and accuracy noted beside its figures."""
    manifest = recognizer.manifest
    benchmark.extra_info.update(
        machine=str(this_machine()),
        bundle=f"{manifest.name}-{manifest.format.value}-{manifest.precision.value}",
        sha256=manifest.model.sha256,
        engine=recognizer.engine,
        accuracy=float((labels == test_data.labels).mean()),
        images=len(test_data),
    )
    return benchmark
