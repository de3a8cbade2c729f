"""Does a file give an image the same answer, whatever else is in the batch, and whenever it is asked?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits_edge.runtime import Format
from digits_edge.runtime.engines import Engine, open_engine

ALONE = 32  # images that are asked one by one
BATCHES = (2, 7, 64, 1000)
_REPEATED = 64  # images that are asked again


@dataclass(frozen=True)
class BatchAnswers:
    """The images' answers inside batches of one size, against those that they get alone.

    Attributes:
        size: Images in a batch.
        identical: Whether every bit of every logit is the same.
        max_difference: Largest difference of a probability.
        max_logit_difference: Largest difference of a logit.
    """

    size: int
    identical: bool
    max_difference: float
    max_logit_difference: float


@dataclass(frozen=True)
class Steadiness:
    """A file's answers against its own.

    Attributes:
        images: How many were asked alone.
        batches: The same images inside batches, by size.
        repeats: A batch that is answered twice gets the same bits.
        reopens: An engine that opens the file anew gives the same bits.
    """

    images: int
    batches: tuple[BatchAnswers, ...]
    repeats: bool
    reopens: bool

    @property
    def identical(self) -> bool:
        """Nothing moved a bit."""
        return self.repeats and self.reopens and all(batch.identical for batch in self.batches)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def examine(format: Format, model: bytes, images: NDArray[np.uint8]) -> Steadiness:
    """Asks a file for the same images alone, in batches, again, and opened anew.

    The engine is asked, not a recognizer: that one cuts a large batch into chunks, and would hide what an
    engine does with it.

    Args:
        format: File format.
        model: The verified bytes of the file.
        images: uint8 ``(N, 28, 28)``, one at least; where they are fewer than a batch holds, they come again.

    Raises:
        EngineError: The engine failed.
    """
    engine = open_engine(format, model)
    few = images[:ALONE]
    alone = np.concatenate([engine.logits(image[None]) for image in few])
    batches = tuple(_batch_answers(engine, images, alone, size) for size in BATCHES)
    some = images[:_REPEATED]
    once = engine.logits(some)
    return Steadiness(
        images=len(few),
        batches=batches,
        repeats=_same_bits(once, engine.logits(some)),
        reopens=_same_bits(once, open_engine(format, model).logits(some)),
    )


def _batch_answers(
    engine: Engine, images: NDArray[np.uint8], alone: NDArray[np.float32], size: int
) -> BatchAnswers:
    count = -(-len(alone) // size) * size  # the last batch is filled up with further images
    asked = images[np.arange(count) % len(images)]
    answers = np.concatenate([engine.logits(asked[start : start + size]) for start in range(0, count, size)])
    answers = answers[: len(alone)]
    return BatchAnswers(
        size=size,
        identical=_same_bits(alone, answers),
        max_difference=float(np.abs(_softmax(alone) - _softmax(answers)).max()),
        max_logit_difference=float(np.abs(alone.astype(np.float64) - answers).max()),
    )


def _same_bits(first: NDArray[np.float32], second: NDArray[np.float32]) -> bool:
    return first.tobytes() == second.tobytes()


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    probabilities: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return probabilities
