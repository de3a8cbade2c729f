"""What a confidence is worth: temperature, reject threshold, calibration, risk against coverage.

Temperatures and thresholds are chosen on validation data; the other figures report on data that chose
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from digits_edge.runtime.errors import InputError
from digits_edge.trainer.architectures import CLASSES

ERROR_RATE = 0.001  # of the accepted answers, unless another one is asked for
_EVEN = 0.5  # a median-unbiased estimate is as likely too high as too low
_TEMPERATURES = (0.01, 100.0)  # what a manifest takes
_HALVINGS = 60  # of an interval of log temperatures that is 9 wide: below what float64 tells apart


def fit_temperature(logits: ArrayLike, labels: ArrayLike) -> float:
    """The temperature that makes the logits' softmax most likely (temperature scaling, Guo et al. 2017).

    The mean negative log-likelihood is convex in the inverse of the temperature, so its derivative changes
    sign once at most and is bisected. Where every answer is right it never does: then the smallest
    temperature is returned.

    Args:
        logits: Floats ``(N, 10)``, finite.
        labels: Integers ``(N,)``, 0–9.

    Returns:
        What to divide the logits by, 0.01 to 100.

    Raises:
        InputError: There are no rows, shapes do not match, a logit is not finite, or a label is not 0–9.
    """
    scores, truth = _logits(logits, labels)
    scores = scores - scores.max(axis=1, keepdims=True)
    chosen = scores[np.arange(len(truth)), truth].mean()

    def too_sure(temperature: float) -> bool:
        odds = np.exp(scores / temperature)
        expected = (odds * scores).sum(axis=1) / odds.sum(axis=1)
        return bool(expected.mean() > chosen)

    low, high = np.log(_TEMPERATURES)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if too_sure(float(np.exp(middle))) else (low, middle)
    return float(np.clip(np.exp((low + high) / 2), *_TEMPERATURES))


def choose_threshold(confidence: ArrayLike, right: ArrayLike, error_rate: float = ERROR_RATE) -> float:
    """The lowest reject threshold at which errors among the accepted answers are estimated to be rare enough.

    An answer is accepted whose confidence is at least the threshold. A threshold suffices if so few errors as
    were seen would be seen every other time at most, were the true rate above ``error_rate``: then the
    median-unbiased estimate of the rate, an exact binomial bound at 50 % (Clopper & Pearson 1934), keeps to
    it. Unlike the share of errors it is not zero where none was seen: for a rate of 0.001 it takes 693
    accepted answers without an error, 1,679 with one, 5,670 with five. A bound at 90 %, as in selective
    classification with guaranteed risk (Geifman & El-Yaniv 2017), would allow two errors in 6,000 answers,
    and of MNIST's labels more than one in 3,000 is wrong itself: a good answer to such an image is an error.

    Thresholds are tried on the same answers without a correction for that, which is worth some 5 % of the
    rate, so the test data has the last word.

    Args:
        confidence: Floats ``(N,)``, 0 to 1; as float32 where a runtime is to compare with the threshold.
        right: Booleans ``(N,)``.
        error_rate: Above 0, below 1.

    Returns:
        One of the confidences, so that answers of equal confidence are accepted or rejected together, and
        nothing is accepted that is less sure than all that was seen. 1.0 where no threshold suffices: then
        only answers are accepted that rounding makes certain.

    Raises:
        InputError: There are no answers, shapes do not match, or a figure is out of its range.
    """
    from scipy.stats import binom

    if not 0 < error_rate < 1:
        raise InputError(f"error rate {error_rate}; expected above 0 and below 1")
    levels, accepted, errors = _levels(*_answers(confidence, right))
    enough = np.flatnonzero(binom.cdf(errors, accepted, error_rate) <= _EVEN)
    return float(levels[enough[-1]]) if len(enough) else 1.0


@dataclass(frozen=True)
class Bin:
    """Answers of like confidence.

    Attributes:
        low: The bin's lower end, not part of it.
        high: Its upper end.
        images: How many answers it holds.
        confidence: Their mean confidence; 0 where there are none.
        accuracy: The part of them that is right; 0 where there are none.
    """

    low: float
    high: float
    images: int
    confidence: float
    accuracy: float


def reliability(confidence: ArrayLike, right: ArrayLike, *, bins: int = 15) -> tuple[Bin, ...]:
    """Confidence against accuracy in bins of equal width; the first one holds 0 too.

    Args:
        confidence: Floats ``(N,)``, 0 to 1.
        right: Booleans ``(N,)``.
        bins: How many, 1 or more.

    Returns:
        All bins from 0 to 1, empty ones too.

    Raises:
        InputError: There are no answers, shapes do not match, or a figure is out of its range.
    """
    sure, correct = _answers(confidence, right)
    if bins < 1:
        raise InputError(f"{bins} bins; expected 1 or more")
    ends = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(ends, sure, side="left") - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    some = np.maximum(counts, 1)
    means = np.bincount(place, sure, minlength=bins) / some
    accuracies = np.bincount(place, correct, minlength=bins) / some
    return tuple(
        Bin(float(low), float(high), int(count), float(mean), float(accuracy))
        for low, high, count, mean, accuracy in zip(
            ends[:-1], ends[1:], counts, means, accuracies, strict=True
        )
    )


def expected_calibration_error(confidence: ArrayLike, right: ArrayLike, *, bins: int = 15) -> float:
    """How far confidence and accuracy are apart on average (ECE, Guo et al. 2017), 0 to 1.

    The bins are of equal width, 15 unless told otherwise, as in that paper; each counts by its answers.

    Args:
        confidence: Floats ``(N,)``, 0 to 1.
        right: Booleans ``(N,)``.
        bins: How many, 1 or more.

    Raises:
        InputError: There are no answers, shapes do not match, or a figure is out of its range.
    """
    rows = reliability(confidence, right, bins=bins)
    gaps = sum(row.images * abs(row.confidence - row.accuracy) for row in rows)
    return gaps / sum(row.images for row in rows)


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """What is gained by rejecting the least certain answers; a point for each confidence that occurs.

    Attributes:
        threshold: float64 ``(K,)``, falling; answers of at least that confidence are accepted.
        coverage: float64 ``(K,)``, the part of the answers that is accepted; rises to 1.
        risk: float64 ``(K,)``, the part of the accepted that is wrong.
        aurc: Area under risk over coverage: the mean risk over all coverages (Geifman et al. 2019).
    """

    threshold: NDArray[np.float64]
    coverage: NDArray[np.float64]
    risk: NDArray[np.float64]
    aurc: float


def risk_coverage(confidence: ArrayLike, right: ArrayLike) -> RiskCoverage:
    """The risk-coverage curve of answers, most confident first.

    Args:
        confidence: Floats ``(N,)``, 0 to 1.
        right: Booleans ``(N,)``.

    Returns:
        The curve. Answers of equal confidence are accepted together, so their order does not matter.

    Raises:
        InputError: There are no answers, shapes do not match, or a figure is out of its range.
    """
    levels, accepted, errors = _levels(*_answers(confidence, right))
    coverage, risk = accepted / accepted[-1], errors / accepted
    return RiskCoverage(levels, coverage, risk, float((risk * np.diff(coverage, prepend=0)).sum()))


def wilson(successes: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927).

    Args:
        successes: 0 to ``n``.
        n: How many were tried, 1 or more.
        z: Standard normal quantile; 1.96 gives 95 %.

    Returns:
        Its ends, 0 to 1.

    Raises:
        InputError: A count is out of its range.
    """
    if n < 1 or not 0 <= successes <= n:
        raise InputError(f"{successes} successes of {n}; expected 1 or more tried, and no more successes")
    part = successes / n
    middle = (part + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * float(np.sqrt(part * (1 - part) / n + z * z / (4 * n * n)))
    # At either end rounding would leave a bit more or less than what the formula gives there.
    return (0.0 if successes == 0 else middle - reach), (1.0 if successes == n else middle + reach)


@dataclass(frozen=True)
class Share:
    """A part of a whole, with its uncertainty.

    Attributes:
        count: How many.
        of: Of how many, 1 or more.
    """

    count: int
    of: int

    @classmethod
    def true(cls, array: NDArray[np.bool_]) -> Share:
        """The share of True."""
        return cls(int(array.sum()), len(array))

    @property
    def part(self) -> float:
        """0 to 1."""
        return self.count / self.of

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson interval."""
        return wilson(self.count, self.of)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        low, high = self.interval
        return {"count": self.count, "of": self.of, "share": self.part, "low": low, "high": high}


def _levels(
    confidence: NDArray[np.float64], right: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """The confidences that occur, falling; how many answers are as sure or surer, and how many err."""
    order = np.argsort(-confidence, kind="stable")
    sorted_confidence = confidence[order]
    last = np.flatnonzero(np.append(np.diff(sorted_confidence) != 0, True))
    errors = np.cumsum(~right[order], dtype=np.int64)
    return sorted_confidence[last], last + 1, errors[last]


def _answers(confidence: ArrayLike, right: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    sure, correct = np.asarray(confidence), np.asarray(right)
    if sure.ndim != 1 or sure.dtype.kind != "f":
        raise InputError(f"confidence is {sure.dtype} {sure.shape}; expected floats (N,)")
    if correct.shape != sure.shape or correct.dtype != np.bool_:
        raise InputError(f"right is {correct.dtype} {correct.shape}; expected bool {sure.shape}")
    if not len(sure):
        raise InputError("no answers; expected at least one")
    outside = ~((sure >= 0) & (sure <= 1))  # NaN too
    if outside.any():
        row = int(np.argmax(outside))
        raise InputError(f"confidence {sure[row]} at row {row}; expected 0 to 1")
    return sure.astype(np.float64), correct


def _logits(logits: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    scores, truth = np.asarray(logits), np.asarray(labels)
    if scores.ndim != 2 or scores.shape[1] != CLASSES or scores.dtype.kind != "f":
        raise InputError(f"logits are {scores.dtype} {scores.shape}; expected floats (N, {CLASSES})")
    if truth.shape != scores.shape[:1] or truth.dtype.kind not in "iu":
        raise InputError(f"labels are {truth.dtype} {truth.shape}; expected integers {scores.shape[:1]}")
    if not len(truth):
        raise InputError("no logits; expected at least one row")
    if not np.isfinite(scores).all():
        row = int(np.argmin(np.isfinite(scores).all(axis=1)))
        raise InputError(f"logits of row {row} are not finite: {scores[row]}")
    if truth.min() < 0 or truth.max() >= CLASSES:
        row = int(np.argmax((truth < 0) | (truth >= CLASSES)))
        raise InputError(f"label {truth[row]} at row {row}; expected 0-9")
    return scores.astype(np.float64), truth.astype(np.int64)
