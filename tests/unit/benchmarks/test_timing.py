"""A timed turn, with real subjects and sabotaged ones."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from digits_edge.benchmarks.errors import AnswersError
from digits_edge.benchmarks.subjects import Images, Labels, Opened, Subject, open_subject
from digits_edge.benchmarks.timing import Turn, answer_all, check_answers, timed_turn
from digits_edge.runtime.errors import BundleNotFoundError
from digits_edge.trainer.datasets import Split

BRIEF = {"seconds": 0.01, "warm_up": 0.0}


def turn_of(subject: Subject, images: Images, *, batch: int) -> Turn:
    opened = open_subject(subject)
    prepared = opened.prepare(images)
    return timed_turn(opened, prepared, answer_all(opened, prepared, batch=64), batch=batch, **BRIEF)


@pytest.mark.parametrize("batch", [1, 7, 100, 250])
def test_the_sums_add_up(batch: int, whole: Subject, test_data: Split) -> None:
    turn = turn_of(whole, test_data.images[:100], batch=batch)
    assert turn.calls >= 1
    assert turn.images == turn.calls * batch
    assert turn.seconds > 0
    assert turn.cpu_seconds >= 0
    assert 0 < turn.p50_us <= turn.p90_us <= turn.p99_us
    # The last call alone may go past the time asked for.
    assert turn.calls == 1 or (turn.calls - 1) * turn.p50_us / 1e6 < 10 * BRIEF["seconds"]


def test_a_baseline_gives_the_answers_of_the_bundle(whole: Subject, plain: Subject, test_data: Split) -> None:
    answers = []
    for subject in (whole, plain):
        opened = open_subject(subject)
        answers.append(answer_all(opened, opened.prepare(test_data.images), batch=1024))
    assert (answers[0] == answers[1]).mean() > 0.9999
    assert (answers[0] == test_data.labels).mean() > 0.8
    assert turn_of(plain, test_data.images[:100], batch=8).calls >= 1


def test_a_description_survives_the_way_to_another_process(whole: Subject) -> None:
    assert Subject.from_json(whole.to_json()) == whole


def test_what_cannot_be_opened_says_why(whole: Subject, tmp_path: Any) -> None:
    with pytest.raises(BundleNotFoundError):
        open_subject(Subject("gone", whole.kind, str(tmp_path), whole.format, whole.precision))


class Sabotaged:
    """Answers as another subject does, until it has done so for some calls."""

    def __init__(self, honest: Opened, *, honest_calls: int) -> None:
        self._honest, self._left = honest, honest_calls
        self.engine = honest.engine
        self.collecting: set[bool] = set()

    def prepare(self, images: Images) -> NDArray[Any]:
        return self._honest.prepare(images)

    def answer(self, prepared: NDArray[Any]) -> object:
        self._left -= 1
        self.collecting.add(gc.isenabled())
        return self._honest.answer(prepared)

    def labels(self, answer: Any) -> Labels:
        labels = self._honest.labels(answer)
        return labels if self._left >= 0 else (labels + 1) % 10


@pytest.mark.parametrize("batch", [1, 32])
def test_answers_that_change_while_timed_are_noticed(batch: int, whole: Subject, test_data: Split) -> None:
    opened = Sabotaged(open_subject(whole), honest_calls=1)
    prepared = opened.prepare(test_data.images[:64])
    expected = answer_all(opened, prepared, batch=64)
    with pytest.raises(AnswersError, match="changed while it was timed"):
        timed_turn(opened, prepared, expected, batch=batch, **BRIEF)


def test_garbage_is_collected_before_but_not_while_timing(whole: Subject, test_data: Split) -> None:
    opened = Sabotaged(open_subject(whole), honest_calls=1_000_000)
    prepared = opened.prepare(test_data.images[:8])
    expected = answer_all(opened, prepared, batch=8)
    assert opened.collecting == {True}
    timed_turn(opened, prepared, expected, batch=8, **BRIEF)
    assert opened.collecting == {True, False}
    assert gc.isenabled()


def test_one_image_on_the_edge_is_forgiven_two_are_not() -> None:
    expected = np.zeros(1000, np.int64)
    for different, fine in ((1, True), (2, False)):
        labels = expected.copy()
        labels[:different] = 3
        if fine:
            check_answers(labels, expected)
        else:
            with pytest.raises(AnswersError, match="2 of 1000"):
                check_answers(labels, expected)


def test_answers_that_are_missing_are_noticed() -> None:
    with pytest.raises(AnswersError, match="answered 9 of 10"):
        check_answers(np.zeros(9, np.int64), np.zeros(10, np.int64))
