"""What each epoch of a training shows: images and targets, the same ones whenever it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from digits_edge.trainer.architectures import CLASSES
from digits_edge.trainer.datasets import Split
from digits_edge.trainer.deform import deform
from digits_edge.trainer.recipes import Deformation

Shown = tuple[NDArray[np.uint8], NDArray[np.float32]]


class Epochs(Protocol):
    """Images uint8 ``(N, 28, 28)`` and targets float32 ``(N, 10)``, each a distribution, by epoch."""

    def __len__(self) -> int:
        """Images an epoch."""

    def show(self, epoch: int) -> Shown:
        """The images and targets of an epoch, counted from 0."""


@dataclass(frozen=True)
class Plain:
    """The images as they are, every epoch."""

    split: Split

    def __len__(self) -> int:
        return len(self.split)

    def show(self, epoch: int) -> Shown:
        return self.split.images, one_hot(self.split.labels)


@dataclass(frozen=True)
class Deformed:
    """Each image deformed anew each epoch."""

    split: Split
    deformation: Deformation
    seed: int

    def __len__(self) -> int:
        return len(self.split)

    def show(self, epoch: int) -> Shown:
        rng = np.random.default_rng((self.seed, epoch))
        return deform(self.split.images, self.deformation, rng), one_hot(self.split.labels)


def one_hot(labels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Labels as distributions: float32 ``(N, 10)``."""
    return np.eye(CLASSES, dtype=np.float32)[labels]
