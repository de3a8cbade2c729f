"""Is it still the same model? Paired statistics of two sets of answers, and the gate they must pass."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits_edge.export.errors import ParityError
from digits_edge.export.steadiness import Steadiness
from digits_edge.runtime import Precision
from digits_edge.trainer.confidence import Share, expected_calibration_error

# A probability that float32 has rounded to 0 has a logarithm all the same.
FLOOR = 1e-30


@dataclass(frozen=True)
class Parity:
    """How the exported model's answers compare with the original's, image by image.

    Attributes:
        images: How many were compared.
        held_out: Where they come from: ``test``, or ``validation`` where the data has no test images.
        accuracy_original: Part of the images that the original gets right.
        accuracy_exported: Part of the images that the exported model gets right.
        only_original_right: Images that the original alone gets right.
        only_exported_right: Images that the exported model alone gets right.
        mcnemar_p: Two-sided exact McNemar test of these two: how often chance alone would part them so far.
        disagreements: Images with another label.
        max_difference: Largest absolute difference of a probability.
        mean_difference: Mean absolute difference of a probability.
        p99_difference: 99th percentile of these differences.
        max_logit_difference: Largest absolute difference of a logit, each row's mean taken off: softmax does
            not see a constant.
        mean_logit_difference: Mean of these.
        p99_logit_difference: Their 99th percentile.
        max_kl: Largest Kullback-Leibler divergence of an image's answers, KL(original ‖ exported), in nats.
        mean_kl: Mean of these.
        ece_original: Expected calibration error of the original, 0 to 1.
        ece_exported: That of the exported model.
        recall_change: For each digit, the recall of the exported model less that of the original.
    """

    images: int
    held_out: str
    accuracy_original: float
    accuracy_exported: float
    only_original_right: int
    only_exported_right: int
    mcnemar_p: float
    disagreements: int
    max_difference: float
    mean_difference: float
    p99_difference: float
    max_logit_difference: float
    mean_logit_difference: float
    p99_logit_difference: float
    max_kl: float
    mean_kl: float
    ece_original: float
    ece_exported: float
    recall_change: tuple[float, ...]

    @property
    def agreement(self) -> float:
        """Part of the images with the same label."""
        return 1 - self.disagreements / self.images

    @property
    def same_label(self) -> Share:
        """The images with the same label; its interval is Wilson's."""
        return Share(self.images - self.disagreements, self.images)

    @property
    def drop(self) -> float:
        """Accuracy lost, in percentage points; negative where some was won."""
        # From the counts: a difference of two rounded fractions would be off in the last digit, at the gate.
        return 100 * (self.only_original_right - self.only_exported_right) / self.images

    def to_json(self) -> dict[str, Any]:
        """Plain values, for the manifest and ``parity.json``."""
        return {**asdict(self), "agreement": self.agreement, "drop_points": self.drop}


@dataclass(frozen=True)
class Gate:
    """What an exported model must reach to be published.

    Attributes:
        max_difference: No probability may differ by more; None where rounding is expected.
        max_drop: Percentage points of accuracy that may be lost.
        min_agreement: Part of the images that must get the same label.
        max_batch_difference: How far a probability of an image may move with the batch that it comes in; 0
            asks for the same bits.
    """

    max_difference: float | None
    max_drop: float
    min_agreement: float
    max_batch_difference: float

    def misses(self, parity: Parity, steadiness: Steadiness | None = None) -> list[str]:
        """What the model misses, each with the figure and the bar; empty if it passes.

        Args:
            parity: Its answers against the original's.
            steadiness: Its answers against its own; None where they were not looked at.
        """
        return [*self._parity_misses(parity), *(self._unsteady(steadiness) if steadiness else ())]

    def _parity_misses(self, parity: Parity) -> list[str]:
        misses = []
        # Written as "not better than" so that a NaN misses.
        if self.max_difference is not None and not parity.max_difference <= self.max_difference:
            misses.append(f"max |Δp| {parity.max_difference:.2g}, allowed {self.max_difference:.2g}")
        if not parity.drop <= self.max_drop:
            misses.append(f"accuracy drop {parity.drop:.2f} points, allowed {self.max_drop:.2f}")
        if not parity.agreement >= self.min_agreement:
            misses.append(f"agreement {parity.agreement:.2%}, at least {self.min_agreement:.2%}")
        return misses

    def _unsteady(self, steadiness: Steadiness) -> list[str]:
        allowed = self.max_batch_difference
        misses = [
            f"in a batch of {batch.size:,}, probabilities move by {batch.max_difference:.2g}, allowed "
            + (f"{allowed:.2g}" if allowed else "not one bit of a logit")
            for batch in steadiness.batches
            if not (batch.identical or 0 < allowed >= batch.max_difference)
        ]
        if not steadiness.repeats:
            misses.append("the same batch, answered twice, gets two answers")
        if not steadiness.reopens:
            misses.append("the same batch gets another answer when the file is opened anew")
        return misses


# Sums of floats depend on their order, which may depend on the batch; those of integers do not.
_FLOATS, _INTEGERS = 1e-6, 0.0

GATES: Mapping[Precision, Gate] = {
    Precision.FLOAT32: Gate(1e-5, max_drop=0.0, min_agreement=1.0, max_batch_difference=_FLOATS),
    # A weight of 16 bits is off by 1 part in 2,048 at most.
    Precision.FLOAT16: Gate(None, max_drop=0.05, min_agreement=0.999, max_batch_difference=_FLOATS),
    Precision.INT8: Gate(None, max_drop=0.05, min_agreement=0.998, max_batch_difference=_INTEGERS),
    Precision.INT16X8: Gate(None, max_drop=0.05, min_agreement=0.998, max_batch_difference=_INTEGERS),
    Precision.WEIGHTS8: Gate(None, max_drop=0.05, min_agreement=0.998, max_batch_difference=_FLOATS),
}


def gate_for(precision: Precision, *, float_layers: bool = False) -> Gate:
    """What a file must reach.

    Args:
        precision: Its arithmetic.
        float_layers: Some of its layers compute in float all the same.
    """
    gate = GATES[precision]
    return replace(gate, max_batch_difference=_FLOATS) if float_layers else gate


def compare(
    original: NDArray[np.floating],
    exported: NDArray[np.floating],
    labels: NDArray[np.uint8],
    *,
    held_out: str,
    floor: float = FLOOR,
) -> Parity:
    """Compares two models' probabilities for the same images.

    Args:
        original: float ``(N, 10)``.
        exported: float ``(N, 10)``.
        labels: True digits ``(N,)``.
        held_out: Where the images come from.
        floor: Logarithms are those of this probability at least, on both sides: what lies below is not told
            apart from rounding.

    Raises:
        ParityError: No images, shapes that differ, or values that are not finite: nothing can be proved.
    """
    if original.shape != exported.shape or original.shape != (len(labels), 10) or not len(labels):
        raise ParityError(f"cannot compare {original.shape} with {exported.shape} for {len(labels)} labels")
    if not (np.isfinite(original).all() and np.isfinite(exported).all()):
        raise ParityError("cannot compare: some probabilities are not finite")
    first, second = original.argmax(axis=1), exported.argmax(axis=1)
    right, still_right = first == labels, second == labels
    before, after = original.astype(np.float64), exported.astype(np.float64)
    difference = np.abs(before - after)
    log_before, log_after = np.log(np.maximum(before, floor)), np.log(np.maximum(after, floor))
    logit_difference = np.abs(_centred(log_before) - _centred(log_after))
    # Rounded probabilities may add up to a bit less than 1, and their divergence to a bit less than 0.
    divergence = np.maximum((before * (log_before - log_after)).sum(axis=1), 0.0)
    lost, won = int((right & ~still_right).sum()), int((~right & still_right).sum())
    return Parity(
        images=len(labels),
        held_out=held_out,
        accuracy_original=float(right.mean()),
        accuracy_exported=float(still_right.mean()),
        only_original_right=lost,
        only_exported_right=won,
        mcnemar_p=mcnemar(lost, won),
        disagreements=int((first != second).sum()),
        max_difference=float(difference.max()),
        mean_difference=float(difference.mean()),
        p99_difference=float(np.quantile(difference, 0.99)),
        max_logit_difference=float(logit_difference.max()),
        mean_logit_difference=float(logit_difference.mean()),
        p99_logit_difference=float(np.quantile(logit_difference, 0.99)),
        max_kl=float(divergence.max()),
        mean_kl=float(divergence.mean()),
        ece_original=_calibration_error(before, right),
        ece_exported=_calibration_error(after, still_right),
        recall_change=tuple(_recall_change(labels == digit, right, still_right) for digit in range(10)),
    )


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact two-sided McNemar test (McNemar 1947, with the binomial distribution in place of χ²).

    Args:
        only_first: Cases that only the first model gets right.
        only_second: Cases that only the second model gets right.

    Returns:
        Probability that a fair coin, tossed once for each of these cases, splits them at least so unevenly.
    """
    tosses, fewer = only_first + only_second, min(only_first, only_second)
    ways = sum(math.comb(tosses, heads) for heads in range(fewer + 1))
    return float(min(1.0, 2 * ways / 2**tosses))


def _recall_change(
    of_digit: NDArray[np.bool_], right: NDArray[np.bool_], still_right: NDArray[np.bool_]
) -> float:
    count = int(of_digit.sum())
    return (int((still_right & of_digit).sum()) - int((right & of_digit).sum())) / count if count else 0.0


def _centred(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    centred: NDArray[np.float64] = logits - logits.mean(axis=1, keepdims=True)
    return centred


def _calibration_error(probabilities: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    confidence = probabilities.max(axis=1)
    # Rounding may leave a sure answer a bit more than 1; anything further off is refused.
    return expected_calibration_error(
        np.where(confidence < 1 + 1e-5, np.minimum(confidence, 1), confidence), right
    )
