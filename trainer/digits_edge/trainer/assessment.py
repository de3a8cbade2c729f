"""Everything that is asked of a trained network: right, calibrated, robust, and aware of what is no digit.

``evaluation.json``, schema 1. A share is an object ``{count, of, share, low, high}``; the last two are the
ends of its 95 % Wilson interval.

    schema          1
    subject         name, kind (bundle, run or ensemble), engine, threshold (null unless a bundle), and what
                    identifies it
    data            name, part (test or validation), images
    accuracy        share, of the answers that are right
    loss            mean cross-entropy in nats
    report          classes, confusion, errors: as in a run's metrics.json
    calibration     ece, and its bins: low, high, images, confidence, accuracy
    selection       aurc, and at_threshold (null without one): coverage and errors (null if none is
                    accepted), shares of all answers and of the accepted ones
    corruptions     seed, mean, and each: name, right (share)
    foreign         name, right (share)
    non_digits      seed, rejected (share; null without a threshold), and kinds: name, rejected, and
                    rejected_at_99, the share at the threshold that accepts 99 % of the held-out images
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits_edge.trainer.confidence import (
    Bin,
    RiskCoverage,
    Share,
    expected_calibration_error,
    reliability,
    risk_coverage,
)
from digits_edge.trainer.corruptions import Corruption, corrupt
from digits_edge.trainer.datasets import Images
from digits_edge.trainer.errors import SetupError
from digits_edge.trainer.evaluate import Evaluation, evaluate
from digits_edge.trainer.foreign import foreign_digits
from digits_edge.trainer.nondigits import NonDigit, non_digits
from digits_edge.trainer.subject import HeldOut, Subject

SCHEMA = 1
SEED = 2024  # of corruptions and non-digits: another one gives other figures, so it is fixed
NON_DIGITS = 1000  # of each kind
EXAMPLES = 20  # images that are kept for the pictures
_BATCH = 1000
_COVERAGE = 0.99

Watcher = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Operation:
    """The network with its reject threshold at work.

    Attributes:
        threshold: Answers with less confidence are rejected.
        coverage: The answers that are accepted.
        errors: Those of the accepted that are wrong; None where none is accepted.
    """

    threshold: float
    coverage: Share
    errors: Share | None


@dataclass(frozen=True, eq=False)
class Hardship:
    """Answers on corrupted images.

    Attributes:
        corruption: What was done to them.
        right: The right ones.
        examples: The first of the images, uint8 ``(K, 28, 28)``.
    """

    corruption: Corruption
    right: Share
    examples: Images = field(repr=False)


@dataclass(frozen=True, eq=False)
class Outsiders:
    """Answers on images of one kind that show no digit.

    Attributes:
        kind: What they show.
        rejected: Those rejected at the subject's threshold; None where it has none.
        rejected_at_99: Those rejected by the threshold that accepts 99 % of the held-out images.
        examples: The first of the images, uint8 ``(K, 28, 28)``.
        labels: The answers to these, 0–9.
        confidence: How sure they are, float32 ``(K,)``.
    """

    kind: NonDigit
    rejected: Share | None
    rejected_at_99: Share
    examples: Images = field(repr=False)
    labels: NDArray[np.int64] = field(repr=False)
    confidence: NDArray[np.float32] = field(repr=False)


@dataclass(frozen=True, eq=False)
class Assessment:
    """The whole of it; ``to_json`` gives the content of evaluation.json, documented above.

    Attributes:
        subject: What was evaluated.
        held_out: On which images.
        evaluation: Its answers to these.
        accuracy: The right ones.
        bins: Confidence against accuracy.
        ece: Expected calibration error.
        curve: Risk against coverage.
        operation: At the subject's threshold; None where it has none.
        corruptions: Each of the suite.
        foreign: Right answers to scikit-learn's digits.
        non_digits: Each kind.
    """

    subject: Subject
    held_out: HeldOut
    evaluation: Evaluation
    accuracy: Share
    bins: tuple[Bin, ...]
    ece: float
    curve: RiskCoverage
    operation: Operation | None
    corruptions: tuple[Hardship, ...]
    foreign: Share
    non_digits: tuple[Outsiders, ...]

    @property
    def corruption_mean(self) -> float:
        """Mean accuracy over the corruptions."""
        return float(np.mean([hardship.right.part for hardship in self.corruptions]))

    @property
    def rejected(self) -> Share | None:
        """Of all images that are no digit, those rejected at the subject's threshold."""
        return _total([outsiders.rejected for outsiders in self.non_digits])

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        subject, data = self.subject, self.held_out
        return {
            "schema": SCHEMA,
            "subject": {
                "name": subject.name,
                "kind": subject.kind,
                "engine": subject.engine,
                "threshold": subject.threshold,
                **subject.details,
            },
            "data": {"name": data.data, "part": data.part, "images": len(data.split)},
            "accuracy": self.accuracy.to_json(),
            "loss": self.evaluation.loss,
            "report": self.evaluation.details(),
            "calibration": {"ece": self.ece, "bins": [asdict(row) for row in self.bins]},
            "selection": {
                "aurc": self.curve.aurc,
                "at_threshold": None
                if self.operation is None
                else {
                    "coverage": self.operation.coverage.to_json(),
                    "errors": _plain(self.operation.errors),
                },
            },
            "corruptions": {
                "seed": SEED,
                "mean": self.corruption_mean,
                "each": [
                    {"name": hardship.corruption.value, "right": hardship.right.to_json()}
                    for hardship in self.corruptions
                ],
            },
            "foreign": {"name": "scikit-learn load_digits", "right": self.foreign.to_json()},
            "non_digits": {
                "seed": SEED,
                "rejected": _plain(self.rejected),
                "kinds": [
                    {
                        "name": outsiders.kind.value,
                        "rejected": _plain(outsiders.rejected),
                        "rejected_at_99": outsiders.rejected_at_99.to_json(),
                    }
                    for outsiders in self.non_digits
                ],
            },
        }


def assess(subject: Subject, data: HeldOut, watcher: Watcher) -> Assessment:
    """Puts a network through everything.

    Args:
        subject: The network.
        data: Images that its training never saw.
        watcher: Told what is being answered, how many images are, and of how many.

    Raises:
        EngineError: The engine failed.
        SetupError: scikit-learn is not installed.
    """
    require_packages()
    split = data.split

    def answered(what: str, images: Images) -> NDArray[np.float32]:
        parts = []
        for start in range(0, len(images), _BATCH):
            watcher(what, start, len(images))
            parts.append(subject.answer(images[start : start + _BATCH]))
        watcher(what, len(images), len(images))
        return np.concatenate(parts)

    probabilities = answered(f"{data.part} images", split.images)
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == split.labels
    floor = float(np.quantile(confidence, 1 - _COVERAGE, method="lower"))

    def hardship(corruption: Corruption) -> Hardship:
        images = corrupt(split.images, corruption, seed=SEED)
        answers = answered(corruption.value, images).argmax(axis=1)
        return Hardship(corruption, Share.true(answers == split.labels), images[:EXAMPLES])

    def outsiders(kind: NonDigit) -> Outsiders:
        images = non_digits(kind, split, NON_DIGITS, seed=SEED)
        answers = answered(kind.value, images)
        sure = answers.max(axis=1)
        return Outsiders(
            kind,
            None if subject.threshold is None else Share.true(~(sure >= subject.threshold)),
            Share.true(~(sure >= floor)),
            images[:EXAMPLES],
            answers[:EXAMPLES].argmax(axis=1),
            sure[:EXAMPLES],
        )

    elsewhere = foreign_digits()
    return Assessment(
        subject=subject,
        held_out=data,
        evaluation=evaluate(probabilities, split.labels, rows=data.rows),
        accuracy=Share.true(right),
        bins=reliability(confidence, right),
        ece=expected_calibration_error(confidence, right),
        curve=risk_coverage(confidence, right),
        operation=_operation(subject.threshold, confidence, right),
        corruptions=tuple(map(hardship, Corruption)),
        foreign=Share.true(answered("load_digits", elsewhere.images).argmax(axis=1) == elsewhere.labels),
        non_digits=tuple(map(outsiders, NonDigit)),
    )


def require_packages() -> None:
    """Checks that what an evaluation needs is installed, without importing it.

    Raises:
        SetupError: Something is not.
    """
    missing = [name for name in ("sklearn", "matplotlib") if find_spec(name) is None]
    if missing:
        raise SetupError(
            f"evaluation needs {', '.join(missing)}, which is not installed; "
            'install it with: pip install "digits-edge[train]"'
        )


def _operation(
    threshold: float | None, confidence: NDArray[np.float32], right: NDArray[np.bool_]
) -> Operation | None:
    if threshold is None:
        return None
    accepted = confidence >= threshold
    return Operation(
        threshold, Share.true(accepted), Share.true(~right[accepted]) if accepted.any() else None
    )


def _total(shares: Sequence[Share | None]) -> Share | None:
    known = [share for share in shares if share is not None]
    return Share(sum(share.count for share in known), sum(share.of for share in known)) if known else None


def _plain(share: Share | None) -> dict[str, Any] | None:
    return None if share is None else share.to_json()
