"""An export of everything, and the repair of a network made hard on purpose: how long, and to what end."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from digits_edge.benchmarks.hard import LOUDER, loud_channel
from digits_edge.benchmarks.machine import this_machine
from digits_edge.export.jobs import FOR_C, Job, Several, jobs_for
from digits_edge.export.pipeline import export, request_for
from digits_edge.export.targets import TARGETS, TargetName
from digits_edge.export.tflm import installed
from digits_edge.runtime import Format, Precision
from digits_edge.trainer.backend import quiet, start_keras
from digits_edge.trainer.runs import Run

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from digits_edge.export.micro import Micro
    from digits_edge.export.pipeline import Exported

MODELS = Path(__file__).parents[2] / "models"
GENERIC = TARGETS[TargetName.GENERIC]


class Counter:
    """Counts what is made."""

    def __init__(self) -> None:
        self.files = 0

    def on_step(self, what: str, done: int, total: int) -> None: ...

    def on_result(self, exported: Exported) -> None:
        self.files += 1

    def on_sources(self, micro: Micro) -> None:
        self.files += 1


@pytest.fixture(autouse=True)
def _keras() -> None:
    pytest.importorskip("keras")
    start_keras()


@pytest.mark.parametrize("name", ["cnn-strong", "edge-distill"])
def test_everything(name: str, tmp_path: Path, benchmark: BenchmarkFixture) -> None:
    jobs = jobs_for(tuple(Format), (Several.ALL,), GENERIC)
    c_sources = FOR_C in jobs and installed()
    request = request_for(Run(MODELS / name / "seed-0"), out=tmp_path / "out", jobs=jobs, c_sources=c_sources)
    counter = Counter()

    def run() -> None:
        with quiet(request.log):
            export(request, counter)

    benchmark.pedantic(run, rounds=1)  # type: ignore[no-untyped-call]  # pytest-benchmark leaves it untyped
    machine = this_machine()
    benchmark.extra_info.update(
        run=f"models/{name}/seed-0",
        files=counter.files,
        machine=f"{machine.processor}, {machine.processors} processors",
    )
    assert counter.files == len(jobs) + c_sources


@pytest.mark.parametrize("kind", list(Format), ids=lambda kind: kind.value)
def test_repair(kind: Format, tmp_path: Path, benchmark: BenchmarkFixture) -> None:
    import keras

    source, hard = Run(MODELS / "edge-distill" / "seed-0"), Run(tmp_path / "hard")
    hard.path.mkdir()
    for file in (source.config_file, source.metrics_file):
        shutil.copy(file, hard.path)
    model = keras.models.load_model(source.model_file, compile=False)
    loud_channel(model)
    model.save(hard.model_file)
    request = request_for(hard, out=tmp_path / "out", jobs=(Job(kind, None),))

    def run() -> tuple[Exported, ...]:
        with quiet(request.log):
            return export(request, Counter())

    (exported,) = benchmark.pedantic(run, rounds=1)  # type: ignore[no-untyped-call]  # as above
    plain, *_, chosen = exported.selection.tried
    assert plain.misses
    assert not chosen.misses
    assert chosen.precision is Precision.INT8
    assert chosen.speed is not None
    assert chosen.speed.faster
    machine = this_machine()
    benchmark.extra_info.update(
        format=kind.value,
        factor=LOUDER,
        tried=[candidate.to_json() for candidate in exported.selection.tried],
        original=exported.parity.accuracy_original,
        exported=exported.parity.accuracy_exported,
        images=exported.parity.images,
        validation=exported.selection.tried[0].parity.images,
        machine=f"{machine.processor}, {machine.processors} processors",
    )
