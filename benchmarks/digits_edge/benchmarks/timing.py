"""One timed turn of one subject: warm up, time, check that it still gave the right answers."""

from __future__ import annotations

import gc
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits_edge.benchmarks.errors import AnswersError
from digits_edge.benchmarks.estimates import quantile
from digits_edge.benchmarks.subjects import Labels, Opened

# An image on the edge between two digits may fall to the other side when a batch of another size adds up in
# another order. More than this part of the images, and more than one, is a fault.
_MAY_DIFFER = 0.001
_CALLS_CHECKED = 4


@dataclass(frozen=True)
class Turn:
    """What one timed turn gave.

    Attributes:
        calls: Timed calls.
        images: Images answered in them.
        seconds: Wall time.
        cpu_seconds: Processor time of all threads of the process.
        p50_us: Half of the calls took no longer, in microseconds.
        p90_us: Nine tenths of them.
        p99_us: 99 of 100; of less than 100 calls nearly the slowest.
    """

    calls: int
    images: int
    seconds: float
    cpu_seconds: float
    p50_us: float
    p90_us: float
    p99_us: float


def answer_all(opened: Opened, prepared: NDArray[Any], *, batch: int) -> Labels:
    """The subject's answers for all images, by the calls that are timed later: int64 ``(N,)``."""
    parts = [prepared[start : start + batch] for start in range(0, len(prepared), batch)]
    return np.concatenate([opened.labels(opened.answer(part)) for part in parts])


def timed_turn(
    opened: Opened, prepared: NDArray[Any], expected: Labels, *, batch: int, seconds: float, warm_up: float
) -> Turn:
    """Times calls of one batch size, with garbage collection off.

    Args:
        opened: The subject.
        prepared: ``(N, …)``, images in the subject's form; calls go through them, batch after batch.
        expected: The subject's own answers for them, ``(N,)``.
        batch: Images a call.
        seconds: Calls go on until so much time has passed; the last one is finished.
        warm_up: The same for untimed calls before; one at least.

    Raises:
        AnswersError: The answers of the last timed calls are not those expected.
    """
    if batch > len(prepared):  # then a batch repeats the data
        order = np.resize(np.arange(len(prepared)), batch)
        prepared, expected = prepared[order], expected[order]
    batches = [prepared[start : start + batch] for start in range(0, len(prepared) - batch + 1, batch)]
    _calls(opened, batches, warm_up)
    with _no_garbage_collection():
        cpu = time.process_time_ns()
        durations, kept = _calls(opened, batches, seconds)
        cpu = time.process_time_ns() - cpu
    check_answers(
        np.concatenate([opened.labels(answer) for _, answer in kept]),
        np.concatenate([expected[number * batch : (number + 1) * batch] for number, _ in kept]),
    )
    each = [duration / 1e3 for duration in durations]
    p50, p90, p99 = (quantile(each, fraction) for fraction in (0.5, 0.9, 0.99))
    calls = len(durations)
    return Turn(calls, calls * batch, sum(durations) / 1e9, cpu / 1e9, p50, p90, p99)


def check_answers(labels: Labels, expected: Labels) -> None:
    """Compares answers with the same subject's earlier answers for the same images.

    Raises:
        AnswersError: They differ by more than rounding explains.
    """
    if labels.shape != expected.shape:
        raise AnswersError(f"answered {len(labels)} of {len(expected)} images while it was timed")
    different = int((labels != expected).sum())
    if different > max(1, _MAY_DIFFER * len(expected)):
        raise AnswersError(
            f"{different} of {len(expected)} answers changed while it was timed; the figures would be "
            "of something else: its engine is not safe to run like this"
        )


def _calls(
    opened: Opened, batches: list[NDArray[Any]], seconds: float
) -> tuple[list[int], deque[tuple[int, object]]]:
    """Calls until the time is over; each duration in ns, and the last answers with their batch's number."""
    durations: list[int] = []
    kept: deque[tuple[int, object]] = deque(maxlen=_CALLS_CHECKED)
    answer, clock = opened.answer, time.perf_counter_ns
    end = clock() + int(seconds * 1e9)
    while True:
        number = len(durations) % len(batches)
        batch = batches[number]
        began = clock()
        answered = answer(batch)
        finished = clock()
        durations.append(finished - began)
        kept.append((number, answered))
        if finished >= end:
            return durations, kept


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    gc.collect()
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
