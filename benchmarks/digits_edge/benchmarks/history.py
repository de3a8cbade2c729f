"""A result held against a saved one: what changed by more than the noise, where that means something."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from digits_edge.benchmarks.errors import RegressionError
from digits_edge.benchmarks.estimates import Estimate
from digits_edge.benchmarks.results import Results, SubjectResult
from digits_edge.benchmarks.scenarios import BATCHES, LARGEST
from digits_edge.runtime.errors import InputError

# Some figures, memory above all, have next to no spread; a new build of a library moves them this far.
_HARDLY = 0.02


class Verdict(str, Enum):
    """What became of a figure.

    Attributes:
        SAME: No more than noise: the spreads touch, or the medians are hardly apart.
        BETTER: More than that, the right way.
        WORSE: More than that, the wrong way.
    """

    SAME = "same"
    BETTER = "better"
    WORSE = "worse"


@dataclass(frozen=True)
class Change:
    """One figure then and now.

    Attributes:
        subject: Whose it is.
        figure: What it is, in words.
        then: In the saved result.
        now: In the new one.
        more_is_better: Whether a larger one is better.
        counts: Whether it may be called a regression of this project.
    """

    subject: str
    figure: str
    then: Estimate
    now: Estimate
    more_is_better: bool
    counts: bool

    @property
    def ratio(self) -> float:
        """Now over then, of the medians; above 0."""
        return self.now.median / self.then.median

    @property
    def low(self) -> float:
        """The ratio at its least: the low end of now over the high end of then."""
        return self.now.low / self.then.high

    @property
    def high(self) -> float:
        """The ratio at its most: the high end of now over the low end of then."""
        return self.now.high / self.then.low

    @property
    def verdict(self) -> Verdict:
        """What became of it."""
        if self.low <= 1 <= self.high or abs(self.ratio - 1) < _HARDLY:
            return Verdict.SAME
        return Verdict.BETTER if (self.ratio > 1) is self.more_is_better else Verdict.WORSE

    @property
    def loss(self) -> float:
        """How much worse, in per cent of then; below 0 where better."""
        return 100 * (1 - self.ratio if self.more_is_better else self.ratio - 1)


@dataclass(frozen=True)
class Comparison:
    """Two results, figure by figure.

    Attributes:
        reasons: Why nothing in it may be called better or worse; empty where the two are comparable.
        changes: Figures that both have.
    """

    reasons: tuple[str, ...]
    changes: tuple[Change, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        changes = [
            {
                **asdict(change),
                "ratio": change.ratio,
                "low": change.low,
                "high": change.high,
                "verdict": change.verdict,
            }
            for change in self.changes
        ]
        return {"comparable": self.comparable, "reasons": self.reasons, "changes": changes}

    @property
    def comparable(self) -> bool:
        """Whether differences are the project's, not the machine's."""
        return not self.reasons

    def require_no_regression(self, percent: float) -> None:
        """Fails where a figure that counts is worse by more than the noise and more than allowed.

        Args:
            percent: How much worse one may be, in per cent.

        Raises:
            InputError: ``percent`` is below 0 or not a number.
            RegressionError: One is; or the results are not comparable, so that nobody can tell.
        """
        if not percent >= 0:
            raise InputError(f"{percent} % allowed; expected 0 or more")
        if not self.comparable:
            raise RegressionError(f"cannot tell whether anything got worse: {'; '.join(self.reasons)}")
        worse = [
            change
            for change in self.changes
            if change.counts and change.verdict is Verdict.WORSE and change.loss > percent
        ]
        if worse:
            worst = max(worse, key=lambda change: change.loss)
            raise RegressionError(
                f"{len(worse)} figures are worse than before by more than {percent:g} % and the noise; "
                f"most of all {worst.subject}, {worst.figure}: "
                f"{worst.then.median:,.4g} then, {worst.now.median:,.4g} now"
            )


def compare(then: Results, now: Results) -> Comparison:
    """Compares every figure that two results share.

    Speed drifts from hour to hour on shared machines; its ratio to a baseline measured in the same minutes
    hardly does. Where both results have a baseline for a subject, of its speeds only these ratios count as
    regressions.
    """
    before = {subject.name: subject for subject in then.subjects}
    shared = [(before[subject.name], subject) for subject in now.subjects if subject.name in before]
    ratios = tuple(_ratios(then, now))
    has_ratio = {change.subject for change in ratios}
    figures = [
        change
        for old, new in shared
        for change in _figures(old, new, counts=not new.is_baseline and new.name not in has_ratio)
    ]
    return Comparison(tuple(_reasons(then, now, shared)), (*ratios, *figures))


def _reasons(then: Results, now: Results, shared: list[tuple[SubjectResult, SubjectResult]]) -> Iterator[str]:
    if differences := then.machine.differences(now.machine):
        yield f"another machine ({'; '.join(differences)})"
    if not shared:
        yield f"no subject in common ({', '.join(subject.name for subject in then.subjects)} then)"
    for old, new in shared:
        if old.engine != new.engine:
            yield f"{new.name} ran on {old.engine} then, {new.engine} now"
        if old.default_workers != new.default_workers:
            yield f"{new.name} had {old.default_workers} workers then, {new.default_workers} now"


def _ratios(then: Results, now: Results) -> Iterator[Change]:
    baselines = {subject.name for subject in now.subjects if subject.is_baseline}
    before = {(ratio.subject, ratio.baseline, ratio.batch): ratio.ratio for ratio in then.ratios()}
    for ratio in now.ratios():
        old = before.get((ratio.subject, ratio.baseline, ratio.batch))
        if old is not None and ratio.baseline in baselines and ratio.batch in (BATCHES[0], LARGEST):
            figure = f"images/s ÷ {ratio.baseline}, batch {ratio.batch:,}"
            yield Change(ratio.subject, figure, old, ratio.ratio, more_is_better=True, counts=True)


def _figures(old: SubjectResult, new: SubjectResult, *, counts: bool) -> Iterator[Change]:
    for rate in new.rates:
        was = old.rate(rate.batch, rate.workers)
        if was is not None:
            workers = "" if rate.workers is None else f", workers {rate.workers}"
            figure = f"images/s, batch {rate.batch:,}{workers}"
            yield Change(new.name, figure, was.images_per_second, rate.images_per_second, True, counts)
    times = (
        ("one image p50, µs", old.latency.p50_us, new.latency.p50_us),
        ("one image p90, µs", old.latency.p90_us, new.latency.p90_us),
        ("one image p99, µs", old.latency.p99_us, new.latency.p99_us),
        ("own import, ms", old.start.own_ms, new.start.own_ms),
        ("load, ms", old.start.load_ms, new.start.load_ms),
        ("first call, ms", old.start.first_ms, new.start.first_ms),
    )
    for figure, then, now in times:
        if then is not None and now is not None:
            yield Change(new.name, figure, then, now, more_is_better=False, counts=counts)
    if old.start.peak_mib is not None and new.start.peak_mib is not None:
        # Memory does not drift as time does.
        counts = not new.is_baseline
        yield Change(new.name, "peak memory, MiB", old.start.peak_mib, new.start.peak_mib, False, counts)
