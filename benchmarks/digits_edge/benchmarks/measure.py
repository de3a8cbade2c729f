"""Measures subjects in turns: cold starts first, then round after round of timed calls."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from digits_edge.benchmarks.processes import ColdStart, Worker, start_cold
from digits_edge.benchmarks.scenarios import LARGEST, Case, Effort, cases, schedule
from digits_edge.benchmarks.subjects import Images, Labels, Subject
from digits_edge.benchmarks.timing import Turn, check_answers
from digits_edge.runtime.plan import available_processors

# Is told what is being done, how many steps of it are done, and of how many.
Watcher = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Measured:
    """What one subject gave.

    Attributes:
        engine: Name and version of what computed.
        labels: int64 ``(N,)``, its answers for all images.
        starts: Cold starts.
        turns: A turn a round, for each case that suits it.
    """

    engine: str
    labels: Labels
    starts: tuple[ColdStart, ...]
    turns: Mapping[Case, tuple[Turn, ...]]


def measure(
    subjects: Sequence[Subject], images: Images, effort: Effort, directory: Path, watcher: Watcher
) -> tuple[Measured, ...]:
    """Measures subjects against each other.

    Args:
        subjects: What to measure.
        images: uint8 ``(N, 28, 28)``, answered by each.
        effort: How long.
        directory: An empty one, for what the processes need and print.
        watcher: Is told how it goes.

    Returns:
        As many as subjects, in their order.

    Raises:
        SubjectError: A subject failed, or its answers changed while it was timed.
        AnswersError: A cold start answered otherwise.
    """
    np.save(directory / "images.npy", images)
    np.save(directory / "some.npy", images[:LARGEST])
    logs = {subject: directory / f"{number}.log" for number, subject in enumerate(subjects)}
    starts = _start_all(subjects, directory / "some.npy", effort, logs, watcher)
    with ExitStack() as stack:
        workers: dict[Subject, Worker] = {}
        for number, subject in enumerate(subjects):
            watcher(f"answering: {subject.name}", number, len(subjects))
            workers[subject] = stack.enter_context(Worker(subject, directory / "images.npy", logs[subject]))
            for start in starts[subject]:
                check_answers(start.labels, workers[subject].labels[: len(start.labels)])
        turns = _time_all(workers, effort, watcher)
    return tuple(
        Measured(
            workers[subject].engine,
            workers[subject].labels,
            tuple(starts[subject]),
            {case: tuple(taken) for case, taken in turns[subject].items()},
        )
        for subject in subjects
    )


def _start_all(
    subjects: Sequence[Subject], images: Path, effort: Effort, logs: Mapping[Subject, Path], watcher: Watcher
) -> dict[Subject, list[ColdStart]]:
    """Fresh processes in turns; a first round only fills the disk cache and Python's compiled files."""
    starts: dict[Subject, list[ColdStart]] = {subject: [] for subject in subjects}
    for number in range(effort.starts + 1):
        for subject in subjects if number % 2 == 0 else reversed(subjects):
            done = starts[subject]
            spent = sum(start.ready_ms for start in done) / 1e3
            if len(done) < 2 or spent < effort.starts_budget:
                watcher(f"starting cold: {subject.name}", number, effort.starts + 1)
                start = start_cold(subject, images, logs[subject])
                if number:
                    done.append(start)
    return starts


def _time_all(
    workers: Mapping[Subject, Worker], effort: Effort, watcher: Watcher
) -> dict[Subject, defaultdict[Case, list[Turn]]]:
    order = list(schedule(effort.rounds, cases(available_processors()), list(workers)))
    turns: dict[Subject, defaultdict[Case, list[Turn]]] = {subject: defaultdict(list) for subject in workers}
    for number, (case, subject) in enumerate(order):
        watcher(f"timing batches of {case.batch}: {subject.name}", number, len(order))
        turns[subject][case].append(workers[subject].turn(case, effort))
    return turns
