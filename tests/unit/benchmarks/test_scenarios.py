"""The order of turns."""

from __future__ import annotations

import pytest

from digits_edge.benchmarks.scenarios import BATCHES, FULL, LARGEST, QUICK, Case, Effort, cases, schedule
from digits_edge.benchmarks.subjects import Kind, Subject
from digits_edge.runtime import Format, Precision
from digits_edge.runtime.errors import InputError

A, B = (Subject(name, Kind.RUNTIME, name, Format.ONNX, Precision.INT8) for name in "AB")
KERAS = Subject("K", Kind.KERAS, "K", None, Precision.FLOAT32)
ONE, MANY, ALONE = Case(1), Case(1024), Case(1024, workers=1)


def test_rounds_take_every_case_and_cases_every_subject_back_and_forth() -> None:
    order = [(case, subject.name) for case, subject in schedule(3, [ONE, MANY], [A, B, KERAS])]
    there = [(ONE, "A"), (ONE, "B"), (ONE, "K"), (MANY, "A"), (MANY, "B"), (MANY, "K")]
    back = [(ONE, "K"), (ONE, "B"), (ONE, "A"), (MANY, "K"), (MANY, "B"), (MANY, "A")]
    assert order == there + back + there


def test_only_the_runtime_is_asked_for_workers() -> None:
    assert [subject.name for _, subject in schedule(1, [ALONE], [KERAS, A, B])] == ["A", "B"]


@pytest.mark.parametrize(
    ("processors", "workers"),
    [(1, []), (2, [1]), (4, [1, 2, 3]), (6, [1, 2, 3, 4]), (8, [1, 2, 3, 4]), (40, [1, 2, 3, 4, 8, 16, 32])],
)
def test_workers_from_one_to_fewer_than_there_are_processors(processors: int, workers: list[int]) -> None:
    found = cases(processors)
    assert found[: len(BATCHES)] == tuple(Case(batch) for batch in (1, 8, 32, 128, 1024))
    assert [(case.batch, case.workers) for case in found[len(BATCHES) :]] == [
        (LARGEST, count) for count in workers
    ]


def test_a_quick_look_is_shorter_in_everything() -> None:
    assert QUICK.rounds * QUICK.seconds < FULL.rounds * FULL.seconds / 5
    assert QUICK.starts < FULL.starts


def test_an_effort_of_nothing_is_refused() -> None:
    with pytest.raises(InputError):
        Effort("none", rounds=0, seconds=1, warm_up=0, starts=1, starts_budget=1, images=None)
