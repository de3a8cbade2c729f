"""How sure a bundle's answers are said to be, and below which confidence it rejects them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits_edge.runtime import Predictions
from digits_edge.trainer.confidence import choose_threshold, fit_temperature

_SMALLEST = np.float32(1e-30)  # a probability that float32 has rounded to 0 has a logarithm all the same


@dataclass(frozen=True)
class Sureness:
    """A temperature and a reject threshold, chosen on validation images.

    Attributes:
        temperature: Divides the logits.
        reject_threshold: Answers with less confidence are rejected.
        error_rate: Part of the accepted answers that may be wrong.
        images: Validation images that both were chosen on.
        accepted: How many of them are accepted.
        errors: How many of these are wrong.
    """

    temperature: float = 1.0
    reject_threshold: float = 0.0
    error_rate: float = 0.0
    images: int = 0
    accepted: int = 0
    errors: int = 0

    @property
    def coverage(self) -> float:
        """Part of the validation images that is accepted."""
        return self.accepted / self.images if self.images else 1.0

    def to_json(self) -> dict[str, Any]:
        """Plain values, for the manifest."""
        return asdict(self)


# The model's own softmax; nothing is rejected.
UNCHOSEN = Sureness()


def choose_sureness(
    probabilities: NDArray[np.float32], labels: NDArray[np.uint8], *, error_rate: float
) -> Sureness:
    """Fits the temperature, then chooses the threshold for the confidence that it gives.

    Each bundle is given its own: quantization shifts confidence, too.

    Args:
        probabilities: float32 ``(N, 10)``, a bundle's answers at temperature 1 to validation images.
        labels: uint8 ``(N,)``.
        error_rate: Part of the accepted answers that may be wrong, above 0.

    Returns:
        What was chosen. Where every answer is right there is nothing to fit a temperature to: it stays 1.
        Where no threshold is known to keep to the error rate, too few images among the reasons, it is 1.
    """
    logits = np.log(np.maximum(probabilities, _SMALLEST))  # but for a constant, which softmax does not see
    right = logits.argmax(axis=1) == labels
    temperature = 1.0 if right.all() else fit_temperature(logits, labels)
    confidence = Predictions.from_logits(logits, temperature=temperature, threshold=0.0).confidence
    threshold = choose_threshold(confidence, right, error_rate)
    accepted = confidence >= threshold
    return Sureness(
        temperature=temperature,
        reject_threshold=threshold,
        error_rate=error_rate,
        images=len(labels),
        accepted=int(accepted.sum()),
        errors=int((accepted & ~right).sum()),
    )
