"""How good a set of answers is: loss, accuracy, per-class figures, the confusion matrix and every error."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from digits_edge.runtime.errors import InputError
from digits_edge.trainer.architectures import CLASSES

# Keras clips probabilities here before the logarithm, so both report the same loss.
_EPSILON = 1e-7
_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class ClassScores:
    """The figures of one class; a ratio without a denominator is 0.

    Attributes:
        label: 0–9.
        precision: Of the images called so, the part that is.
        recall: Of the images that are, the part called so.
        f1: Harmonic mean of the two.
        support: Images that are.
    """

    label: int
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Mistake:
    """One wrong answer.

    Attributes:
        row: Number of the image in the data that it came from.
        true: Its label, 0–9.
        predicted: The answer, 0–9.
        confidence: The answer's probability.
    """

    row: int
    true: int
    predicted: int
    confidence: float


@dataclass(frozen=True)
class Evaluation:
    """Answers held against labels.

    Attributes:
        images: How many were evaluated.
        loss: Mean categorical cross-entropy, in nats.
        accuracy: Part of the answers that is right.
        classes: A row a class, 0 to 9.
        confusion: 10 × 10 counts; a row is a true label, a column an answer.
        errors: Every wrong answer, in the order of the images.
    """

    images: int
    loss: float
    accuracy: float
    classes: tuple[ClassScores, ...]
    confusion: tuple[tuple[int, ...], ...]
    errors: tuple[Mistake, ...]

    def summary(self) -> dict[str, Any]:
        """The figures that fit a line, as plain values."""
        return {
            "images": self.images,
            "loss": self.loss,
            "accuracy": self.accuracy,
            "errors": len(self.errors),
        }

    def details(self) -> dict[str, Any]:
        """Per-class figures, confusion matrix and errors, as plain values."""
        return {
            "classes": [asdict(scores) for scores in self.classes],
            "confusion": [list(row) for row in self.confusion],
            "errors": [asdict(mistake) for mistake in self.errors],
        }


def evaluate(probabilities: ArrayLike, labels: ArrayLike, *, rows: ArrayLike | None = None) -> Evaluation:
    """Holds probabilities against labels.

    Args:
        probabilities: Float ``(N, 10)``, each row a distribution over the digits.
        labels: Integers ``(N,)``, 0–9.
        rows: Integers ``(N,)``, what to call the images in ``errors``; counted from 0 unless given.

    Returns:
        The evaluation. Per-class figures are scikit-learn's.

    Raises:
        InputError: There are no images, shapes do not match, a label is not 0–9, or a row is no distribution.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    answers, truth = _checked(probabilities, labels)
    names = np.arange(len(truth)) if rows is None else np.asarray(rows)
    if names.shape != truth.shape:
        raise InputError(f"row numbers of shape {names.shape}; expected {truth.shape}, one an image")

    predicted = answers.argmax(axis=1)
    chosen = answers[np.arange(len(truth)), truth]
    digits = np.arange(CLASSES)
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, predicted, labels=digits, zero_division=0.0
    )
    wrong = np.flatnonzero(predicted != truth)
    return Evaluation(
        images=len(truth),
        loss=float(-np.log(np.clip(chosen, _EPSILON, 1 - _EPSILON)).mean()),
        accuracy=(len(truth) - len(wrong)) / len(truth),
        classes=tuple(
            ClassScores(
                label, float(precision[label]), float(recall[label]), float(f1[label]), int(support[label])
            )
            for label in range(CLASSES)
        ),
        confusion=tuple(tuple(map(int, row)) for row in confusion_matrix(truth, predicted, labels=digits)),
        errors=tuple(
            Mistake(int(names[i]), int(truth[i]), int(predicted[i]), float(answers[i, predicted[i]]))
            for i in wrong
        ),
    )


def _checked(probabilities: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    answers, truth = np.asarray(probabilities), np.asarray(labels)
    if answers.ndim != 2 or answers.shape[1] != CLASSES or answers.dtype.kind != "f":
        raise InputError(f"probabilities are {answers.dtype} {answers.shape}; expected floats (N, {CLASSES})")
    if truth.shape != answers.shape[:1] or truth.dtype.kind not in "iu":
        raise InputError(f"labels are {truth.dtype} {truth.shape}; expected integers {answers.shape[:1]}")
    if not len(truth):
        raise InputError("nothing to evaluate: no images; expected at least one")
    if truth.min() < 0 or truth.max() >= CLASSES:
        row = int(np.argmax((truth < 0) | (truth >= CLASSES)))
        raise InputError(f"label {truth[row]} at row {row}; expected 0-9")
    answers = answers.astype(np.float64)
    # Written so that NaN, which compares false with everything, is caught too.
    bad = ~((answers >= 0).all(axis=1) & (np.abs(answers.sum(axis=1) - 1) <= _SUM_TOLERANCE))
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(f"row {row} is no distribution: {answers[row]}; expected 0-1, adding up to 1")
    return answers, truth.astype(np.int64)
