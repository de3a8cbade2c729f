"""What a proof asks of both models, and what one of them answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from digits_edge.export.sampling import evenly
from digits_edge.trainer.assessment import SEED
from digits_edge.trainer.corruptions import Corruption, corrupt
from digits_edge.trainer.datasets import Images, Split

# Of each kind. All held-out images by eleven kinds would cost ten times what the rest of an export does.
CORRUPTED = 500
_BATCH = 500


@dataclass(frozen=True, eq=False)
class Questions:
    """Held-out images as they are, and some of them corrupted.

    Attributes:
        data: Name of the data set.
        part: ``test``, or ``validation`` where the data has no test images.
        split: The images and their labels.
        corrupted: uint8 ``(M, 28, 28)`` for each corruption, of the same M images.
    """

    data: str
    part: str
    split: Split
    corrupted: Mapping[Corruption, Images]

    @classmethod
    def of(cls, split: Split, *, data: str, part: str) -> Questions:
        """Corrupts some of the images, evenly spread; the same images give the same questions."""
        some = split.images[evenly(len(split), CORRUPTED)]
        return cls(data, part, split, {kind: corrupt(some, kind, seed=SEED) for kind in Corruption})

    @property
    def corrupted_labels(self) -> NDArray[np.uint8]:
        """What the corrupted images show, uint8 ``(M,)``."""
        return self.split.labels[evenly(len(self.split), CORRUPTED)]

    @property
    def total(self) -> int:
        """Images in all."""
        return len(self.split) + sum(map(len, self.corrupted.values()))


@dataclass(frozen=True, eq=False)
class Answers:
    """A model's probabilities.

    Attributes:
        held_out: float ``(N, 10)``.
        corrupted: float ``(M, 10)`` for each corruption.
    """

    held_out: NDArray[np.floating]
    corrupted: Mapping[Corruption, NDArray[np.floating]]


def ask(
    questions: Questions,
    answer: Callable[[Images], NDArray[np.floating]],
    watch: Callable[[int, int], None],
) -> Answers:
    """Has a model answer everything.

    Args:
        questions: What to ask.
        answer: uint8 ``(N, 28, 28)`` to probabilities ``(N, 10)``.
        watch: Told how many images are answered, and of how many.
    """
    answered = 0

    def all_of(images: Images) -> NDArray[np.floating]:
        nonlocal answered
        parts = []
        for start in range(0, len(images), _BATCH):
            parts.append(answer(images[start : start + _BATCH]))
            answered += len(parts[-1])
            watch(answered, questions.total)
        return np.concatenate(parts)

    return Answers(
        all_of(questions.split.images), {kind: all_of(images) for kind, images in questions.corrupted.items()}
    )
