"""The whole job of ``digits-edge bench``: bundles and baselines measured against each other, one result."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from digits_edge.benchmarks.baselines import make_baselines, usable_run
from digits_edge.benchmarks.estimates import Estimate
from digits_edge.benchmarks.machine import library_version, load_average, this_machine
from digits_edge.benchmarks.measure import Measured, Watcher, measure
from digits_edge.benchmarks.notes import notes
from digits_edge.benchmarks.results import Data, Latency, Rate, Results, Start, SubjectResult
from digits_edge.benchmarks.scenarios import BATCHES, FULL, Case, Effort
from digits_edge.benchmarks.subjects import Kind, Subject
from digits_edge.runtime import FileEntry, Format, Manifest, default_bundle, read_bundle
from digits_edge.runtime.errors import InputError
from digits_edge.runtime.plan import available_processors
from digits_edge.trainer.datasets import Split, load_dataset
from digits_edge.trainer.errors import SetupError
from digits_edge.trainer.runs import Run

_MIB = 1 << 20


@dataclass(frozen=True)
class Request:
    """What to measure.

    Attributes:
        bundles: Bundle directories; the runtime's own where there are none.
        run: A finished run to make baselines from, or None for no baselines.
        data: Data with test images, or None for the bundled MNIST.
        effort: How long.
    """

    bundles: tuple[Path, ...] = ()
    run: Path | None = None
    data: Path | None = None
    effort: Effort = FULL


@dataclass(frozen=True)
class _Entry:
    """A subject and its model file."""

    subject: Subject
    file: FileEntry


def run_benchmark(request: Request, watcher: Watcher) -> Results:
    """Measures bundles, and baselines if there is a run to make them from.

    Args:
        request: What to measure.
        watcher: Is told how it goes.

    Raises:
        BundleError: A bundle was refused.
        InputError: Two bundles are the same, or the data has no test images.
        DataError: The data is malformed.
        RunError: The run is not usable.
        SetupError: Baselines need a package that is not installed.
        SubjectError: Something failed while it was measured.
        AnswersError: Something answered otherwise while it was measured.
    """
    load = load_average()  # before any work of ours adds to it
    manifests = _manifests(request.bundles or (default_bundle(),))
    run = None if request.run is None else usable_run(request.run)
    name, test = _test_images(request.data, most=request.effort.images)
    with tempfile.TemporaryDirectory(prefix="digits-edge-bench-") as folder:
        directory = Path(folder)
        entries = [_bundle_entry(name, path, manifest) for name, (path, manifest) in manifests.items()]
        if run is not None:
            watcher("converting baselines", 0, 1)
            entries += [
                _baseline_entry(made) for made in make_baselines(run, directory, directory / "convert.log")
            ]
        measured = measure(
            [entry.subject for entry in entries], test.images, request.effort, directory, watcher
        )
    results = Results(
        toolkit=library_version("digits-edge"),
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        effort=request.effort.name,
        machine=this_machine(),
        load_average=load,
        data=Data(name, len(test), test.digest()),
        subjects=tuple(_summary(entry, found, test) for entry, found in zip(entries, measured, strict=True)),
    )
    strangers = () if run is None else tuple(_strangers(manifests, run))
    return replace(results, notes=notes(results.subjects, load) + strangers)


def _manifests(paths: Sequence[Path]) -> dict[str, tuple[Path, Manifest]]:
    """The bundles by name: what the manifest says, or the path where two would share that."""
    places = [path.resolve() for path in paths]
    twice = [str(path) for path, count in Counter(places).items() if count > 1]
    if twice:
        raise InputError(f"bundle {twice[0]} is given twice; expected each once")
    manifests = {path: read_bundle(path).manifest for path in places}
    if any(it.format is Format.TFLITE for it in manifests.values()) and find_spec("ai_edge_litert") is None:
        raise SetupError('TFLite bundles need LiteRT; install it with: pip install "digits-edge[bench]"')
    names = {path: f"{it.name}-{it.format.value}-{it.precision.value}" for path, it in manifests.items()}
    shared = Counter(names.values())
    return {name if shared[name] == 1 else str(path): (path, manifests[path]) for path, name in names.items()}


def _bundle_entry(name: str, path: Path, manifest: Manifest) -> _Entry:
    return _Entry(Subject(name, Kind.RUNTIME, str(path), manifest.format, manifest.precision), manifest.model)


def _baseline_entry(subject: Subject) -> _Entry:
    content = Path(subject.path).read_bytes()
    return _Entry(
        subject, FileEntry(Path(subject.path).name, len(content), hashlib.sha256(content).hexdigest())
    )


def _test_images(source: Path | None, *, most: int | None) -> tuple[str, Split]:
    """Labelled held-out images, drawn evenly: MNIST's first half is easier than its second."""
    dataset = load_dataset(source)
    if dataset.test is None:
        raise InputError(
            f"{dataset.name} has no labelled test images; expected some to check answers with, see --data"
        )
    if most is None or most >= len(dataset.test):
        return dataset.name, dataset.test
    return dataset.name, dataset.test.take(np.linspace(0, len(dataset.test) - 1, most).astype(np.int64))


def _summary(entry: _Entry, measured: Measured, test: Split) -> SubjectResult:
    subject = entry.subject
    is_bundle = subject.kind is Kind.RUNTIME
    single = measured.turns[Case(BATCHES[0])]
    return SubjectResult(
        name=subject.name,
        kind=subject.kind,
        format=subject.format,
        precision=subject.precision,
        engine=measured.engine,
        sha256=entry.file.sha256,
        bytes=entry.file.size,
        accuracy=float((measured.labels == test.labels).mean()),
        default_workers=available_processors() if is_bundle else None,
        start=_start(measured, is_bundle=is_bundle),
        latency=Latency(
            calls=sum(turn.calls for turn in single),
            p50_us=Estimate.of([turn.p50_us for turn in single]),
            p90_us=Estimate.of([turn.p90_us for turn in single]),
            p99_us=Estimate.of([turn.p99_us for turn in single]),
        ),
        rates=tuple(
            Rate(
                batch=case.batch,
                workers=case.workers,
                images_per_second=Estimate.of([turn.images / turn.seconds for turn in turns]),
                cpu_seconds_per_image=Estimate.of([turn.cpu_seconds / turn.images for turn in turns]),
            )
            for case, turns in measured.turns.items()
        ),
    )


def _start(measured: Measured, *, is_bundle: bool) -> Start:
    starts = measured.starts
    peaks = [start.peak_bytes / _MIB for start in starts if start.peak_bytes is not None]
    return Start(
        libraries_ms=Estimate.of([start.libraries_ms for start in starts]),
        own_ms=Estimate.of([start.own_ms for start in starts]) if is_bundle else None,
        load_ms=Estimate.of([start.load_ms for start in starts]),
        first_ms=Estimate.of([start.first_ms for start in starts]),
        ready_ms=Estimate.of([start.ready_ms for start in starts]),
        peak_mib=Estimate.of(peaks) if peaks else None,
    )


def _strangers(manifests: dict[str, tuple[Path, Manifest]], run: Run) -> Iterator[str]:
    """Bundles that were made from another network than the baselines."""
    architecture = run.config().architecture.value
    for name, (_, manifest) in manifests.items():
        training = manifest.provenance.get("training")
        theirs = training.get("architecture") if isinstance(training, dict) else None
        if theirs != architecture:
            yield (
                f"{name} is a network {theirs or 'of unknown kind'}, the baselines are {architecture}: "
                "their ratios compare networks, not ways to run one"
            )
