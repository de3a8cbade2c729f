"""What a reader of the figures should keep in mind: a busy machine, restless figures, other networks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from digits_edge.benchmarks.results import Rate, SubjectResult

# Of a processor. Nothing of ours runs before the load is read, so this is others' work.
_BUSY = 0.5
# A figure whose rounds lie this far around their median is hardly one.
_RESTLESS = 0.10
# One worker alone keeps a processor busy all the time, unless others want it too.
_SHARE = 0.9


def notes(subjects: Sequence[SubjectResult], load_average: float | None) -> tuple[str, ...]:
    """Sentences about what may be wrong with the figures; none if nothing is."""
    return tuple(_notes(subjects, load_average))


def _notes(subjects: Sequence[SubjectResult], load_average: float | None) -> Iterator[str]:
    if load_average is not None and load_average > _BUSY:
        yield (
            f"the machine was busy when this began (load average {load_average:.1f}): absolute figures "
            "are too low, ratios hold better; measure again when it is idle"
        )
    measured = [(subject, rate) for subject in subjects for rate in subject.rates]
    restless = [(subject, rate) for subject, rate in measured if rate.images_per_second.spread > _RESTLESS]
    if restless:
        subject, worst = max(restless, key=lambda pair: pair[1].images_per_second.spread)
        yield (
            f"{len(restless)} of {len(measured)} throughputs vary by more than ±{_RESTLESS:.0%} between "
            f"rounds, most of all {subject.name} in batches of {worst.batch:,} "
            f"(±{worst.images_per_second.spread:.0%}): something else was probably running"
        )
    alone = [
        (subject, rate) for subject, rate in measured if rate.workers == 1 and _processors(rate) < _SHARE
    ]
    if alone:
        subject, rate = min(alone, key=lambda pair: _processors(pair[1]))
        share = f"{_processors(rate):.0%}"
        yield f"a single worker of {subject.name} got only {share} of a processor: it had to share"


def _processors(rate: Rate) -> float:
    """How many processors a case kept busy."""
    return rate.cpu_seconds_per_image.median * rate.images_per_second.median
