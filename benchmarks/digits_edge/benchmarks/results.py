"""A whole result as frozen values, and as JSON: what ``digits-edge bench --save`` writes.

    schema          1; a reader refuses any other
    toolkit         version of digits-edge that measured
    created         ISO time, UTC
    effort          "full" or "quick"
    machine         processor, instructions, processors, quota, governor, system, python, libraries
    load_average    the minute before, or null
    data            name, images (answered for the accuracy), sha256 (of images and labels)
    subjects[]      name, kind, format, precision, engine, sha256 and bytes of the file, accuracy,
                    default_workers (null for baselines)
      start         libraries_ms, own_ms (null for baselines), load_ms, first_ms, ready_ms, peak_mib or null
      latency       calls (in all), p50_us, p90_us, p99_us of single images
      rates[]       batch, workers (null: the subject's default), images_per_second, cpu_seconds_per_image
    notes[]         what to keep in mind, as sentences
    ratios[]        subject, baseline, batch, ratio (of images a second); derived, not read back

A measured figure is an object: ``median``, ``low`` and ``high`` (10 % and 90 % quantiles), and ``rounds``, a
value a round. ``_ms``, ``_us`` and ``_mib`` are milliseconds, microseconds and 2²⁰ bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from digits_edge.benchmarks.decode import decode
from digits_edge.benchmarks.errors import SaveError
from digits_edge.benchmarks.estimates import Estimate
from digits_edge.benchmarks.machine import Machine
from digits_edge.benchmarks.subjects import Kind
from digits_edge.runtime import Format, Precision
from digits_edge.runtime.errors import InputError
from digits_edge.trainer.runs import write_json

SCHEMA = 1


@dataclass(frozen=True)
class Start:
    """From a fresh process to the first answer.

    Attributes:
        libraries_ms: Importing NumPy and the engine.
        own_ms: Importing digits_edge.runtime on top of these; None for a baseline.
        load_ms: From the file to being ready.
        first_ms: The first call, one image.
        ready_ms: From starting Python to that call's answer.
        peak_mib: The most memory held, after a call with the largest batch; None where the system does not
            tell.
    """

    libraries_ms: Estimate
    own_ms: Estimate | None
    load_ms: Estimate
    first_ms: Estimate
    ready_ms: Estimate
    peak_mib: Estimate | None


@dataclass(frozen=True)
class Latency:
    """One image at a time.

    Attributes:
        calls: How many were timed, in all rounds.
        p50_us: A round's median, in microseconds.
        p90_us: Nine of ten calls of a round took no longer.
        p99_us: 99 of 100 calls of a round.
    """

    calls: int
    p50_us: Estimate
    p90_us: Estimate
    p99_us: Estimate


@dataclass(frozen=True)
class Rate:
    """A batch size, and perhaps a number of workers.

    Attributes:
        batch: Images a call.
        workers: Threads asked for, or None for the subject's default.
        images_per_second: Throughput.
        cpu_seconds_per_image: Processor time of all threads, an image.
    """

    batch: int
    workers: int | None
    images_per_second: Estimate
    cpu_seconds_per_image: Estimate

    def __post_init__(self) -> None:
        if self.batch < 1 or (self.workers is not None and self.workers < 1):
            raise InputError(f"batch {self.batch}, workers {self.workers}; expected 1 or more")


@dataclass(frozen=True)
class SubjectResult:
    """Everything about one subject.

    Attributes:
        name: What it is called, unlike the others.
        kind: What ran it.
        format: File format of the model; None for Keras' own.
        precision: Arithmetic.
        engine: Name and version of what computed.
        sha256: Digest of the model file.
        bytes: Size of the model file.
        accuracy: Part of the images answered right, by the calls that were timed.
        default_workers: Threads that the runtime chose; None for a baseline.
        start: Cold start.
        latency: One image at a time.
        rates: Throughput.
    """

    name: str
    kind: Kind
    format: Format | None
    precision: Precision
    engine: str
    sha256: str
    bytes: int
    accuracy: float
    default_workers: int | None
    start: Start
    latency: Latency
    rates: tuple[Rate, ...]

    def __post_init__(self) -> None:
        if not 0 <= self.accuracy <= 1 or self.bytes < 1:
            raise InputError(
                f"{self.name}: accuracy {self.accuracy}, {self.bytes} bytes; expected 0 to 1, 1 or more"
            )
        if len({(rate.batch, rate.workers) for rate in self.rates}) != len(self.rates):
            raise InputError(f"{self.name}: two rates for one batch size and number of workers")

    @property
    def is_baseline(self) -> bool:
        """Whether it is something that this project is compared with."""
        return self.kind is not Kind.RUNTIME

    def rate(self, batch: int, workers: int | None = None) -> Rate | None:
        """The throughput of one case, if it was measured."""
        return next((rate for rate in self.rates if (rate.batch, rate.workers) == (batch, workers)), None)


@dataclass(frozen=True)
class Data:
    """What was answered.

    Attributes:
        name: What the user would call it.
        images: How many test images were answered for the accuracy.
        sha256: Digest of these images and their labels.
    """

    name: str
    images: int
    sha256: str


@dataclass(frozen=True)
class Ratio:
    """How many times the throughput of another.

    Attributes:
        subject: Name of the one.
        baseline: Name of the other.
        batch: Images a call, of both.
        ratio: Images a second over images a second, round by round.
    """

    subject: str
    baseline: str
    batch: int
    ratio: Estimate


@dataclass(frozen=True)
class Results:
    """One run of the benchmark; the module's head describes each field."""

    toolkit: str
    created: str
    effort: str
    machine: Machine
    load_average: float | None
    data: Data
    subjects: tuple[SubjectResult, ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [subject.name for subject in self.subjects]
        if not names or len(set(names)) != len(names):
            raise InputError(f"subjects {names}; expected one at least, each name once")

    def ratios(self) -> tuple[Ratio, ...]:
        """Each bundle over each baseline; without baselines, each further bundle over the first one."""
        return tuple(self._ratios())

    def _ratios(self) -> Iterator[Ratio]:
        baselines = [subject for subject in self.subjects if subject.is_baseline] or list(self.subjects[:1])
        for subject in self.subjects:
            if subject in baselines:
                continue
            for baseline in baselines:
                for mine in subject.rates:
                    its = baseline.rate(mine.batch, mine.workers)
                    if its is not None and mine.workers is None:
                        ratio = mine.images_per_second.over(its.images_per_second)
                        yield Ratio(subject.name, baseline.name, mine.batch, ratio)

    def to_json(self) -> dict[str, Any]:
        """Plain values, as described at the module's head."""
        return {"schema": SCHEMA, **asdict(self), "ratios": [asdict(ratio) for ratio in self.ratios()]}

    def save(self, path: Path) -> None:
        """Writes the JSON atomically."""
        write_json(path, self.to_json())

    @classmethod
    def load(cls, path: Path) -> Results:
        """Reads a saved result.

        Raises:
            SaveError: There is no such file, or it is not a result of this schema version; the message says
                where.
        """
        try:
            values = json.loads(path.read_text("utf-8"))
        except OSError as error:
            raise SaveError(
                f"{path}: not readable ({error.strerror}); expected a file made by --save"
            ) from error
        except (ValueError, RecursionError) as error:
            raise SaveError(f"{path}: not JSON ({error}); expected a file made by --save") from error
        schema = values.get("schema") if isinstance(values, dict) else None
        if schema != SCHEMA:
            raise SaveError(
                f"{path}: schema {schema!r}; this version reads {SCHEMA}, measure again with --save"
            )
        stored = {name: value for name, value in values.items() if name not in ("schema", "ratios")}
        try:
            return decode(cls, stored)
        except InputError as error:
            raise SaveError(f"{path}: {error}; measure again with --save") from error
