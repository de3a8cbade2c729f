"""What is measured, and in which order: every subject has its turn in every round."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from digits_edge.benchmarks.subjects import Kind, Subject
from digits_edge.runtime.errors import InputError

BATCHES = (1, 8, 32, 128, 1024)
LARGEST = BATCHES[-1]


@dataclass(frozen=True)
class Effort:
    """How long to measure.

    Attributes:
        name: What to call it.
        rounds: Turns of each subject in each case.
        seconds: Shortest duration of a timed turn; one call at least is timed.
        warm_up: Shortest duration of the untimed calls before it. They also outlast the threads of the
            subject before, which with ONNX Runtime's default options go on spinning for 40 to 50 ms.
        starts: Fresh processes of each subject.
        starts_budget: Seconds after which a subject that starts slowly is started no more, once it was twice.
        images: At most so many test images are answered for the accuracy; None for all.
    """

    name: str
    rounds: int
    seconds: float
    warm_up: float
    starts: int
    starts_budget: float
    images: int | None

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.starts < 1 or not self.seconds > 0 or not self.warm_up >= 0:
            raise InputError(f"{self}; expected a round, a start and a duration at least")


FULL = Effort("full", rounds=15, seconds=0.25, warm_up=0.06, starts=9, starts_budget=30, images=None)
QUICK = Effort("quick", rounds=5, seconds=0.05, warm_up=0.06, starts=3, starts_budget=5, images=2000)


@dataclass(frozen=True)
class Case:
    """A way of calling a subject.

    Attributes:
        batch: Images a call.
        workers: Threads of the runtime, or None for what the subject does by itself.
    """

    batch: int
    workers: int | None = None

    def suits(self, subject: Subject) -> bool:
        """Whether the subject can be called so: only the runtime takes a number of workers."""
        return self.workers is None or subject.kind is Kind.RUNTIME


def cases(processors: int) -> tuple[Case, ...]:
    """All cases for a machine: batch sizes left to the subject, then the largest by workers.

    Args:
        processors: How many there are to use. By itself the runtime has a worker for each, so only fewer are
            cases of their own: every number up to four, above that doublings.
    """
    counts = [1, 2, 3, 4]
    while counts[-1] * 2 < processors:
        counts.append(counts[-1] * 2)
    fewer = [Case(LARGEST, workers) for workers in counts if workers < processors]
    return (*(Case(batch) for batch in BATCHES), *fewer)


def schedule(
    rounds: int, cases: Sequence[Case], subjects: Sequence[Subject]
) -> Iterator[tuple[Case, Subject]]:
    """The order of turns: round by round, in each every case, in each of these every subject.

    So the subjects of a case are measured within seconds of each other, and what slows the machine for longer
    slows them alike. Every other round the subjects come in the opposite order: none is always the one after
    the slowest.
    """
    for number in range(rounds):
        for case in cases:
            suited = [subject for subject in subjects if case.suits(subject)]
            for subject in suited if number % 2 == 0 else reversed(suited):
                yield case, subject
