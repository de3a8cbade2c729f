"""What a recognizer answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Prediction:
    """The answer for one image.

    Attributes:
        label: The digit, 0–9.
        confidence: Its probability, 0 to 1.
        rejected: Whether the confidence is below the bundle's threshold.
    """

    label: int
    confidence: float
    rejected: bool


@dataclass(frozen=True, eq=False)
class Predictions:
    """The answers for a batch.

    Attributes:
        labels: int64 ``(N,)``, the most probable digit of each image.
        probabilities: float32 ``(N, 10)``, rows sum to 1.
        confidence: float32 ``(N,)``, the probability of the label.
        rejected: bool ``(N,)``, True where the confidence is below the bundle's threshold, or not a number.

    A recognizer's answers are read-only arrays.
    """

    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    confidence: NDArray[np.float32]
    rejected: NDArray[np.bool_]

    @classmethod
    def from_logits(cls, logits: NDArray[np.float32], *, temperature: float, threshold: float) -> Predictions:
        """Softmax at a temperature, and the rejection rule.

        Args:
            logits: float32 ``(N, 10)``.
            temperature: Divides the logits first (Guo et al. 2017); above 1 it lowers confidence.
            threshold: Answers with less confidence are rejected.
        """
        labels = logits.argmax(axis=1)
        scaled = logits - logits.max(axis=1, keepdims=True)
        if temperature != 1.0:
            scaled /= np.float32(temperature)
        probabilities = np.exp(scaled)
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        confidence = probabilities.max(axis=1)
        rejected = ~(confidence >= threshold)  # written so that NaN is rejected
        for array in (labels, probabilities, confidence, rejected):
            array.setflags(write=False)
        return cls(labels, probabilities, confidence, rejected)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> Prediction:
        return Prediction(int(self.labels[row]), float(self.confidence[row]), bool(self.rejected[row]))

    def __iter__(self) -> Iterator[Prediction]:
        return (self[row] for row in range(len(self)))
