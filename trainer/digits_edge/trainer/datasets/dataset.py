"""What training needs to know of its data, as frozen values."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from digits_edge.runtime.errors import InputError
from digits_edge.trainer.errors import DataError

Images = NDArray[np.uint8]
Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class Split:
    """Images and their labels.

    Attributes:
        images: uint8 ``(N, 28, 28)``, 0 = background, 255 = ink.
        labels: uint8 ``(N,)``, 0–9.
    """

    images: Images
    labels: Labels

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.ndim != 3 or self.images.shape[1:] != (28, 28):
            raise DataError(f"images are {self.images.dtype} {self.images.shape}; expected uint8 (N, 28, 28)")
        if self.labels.dtype != np.uint8 or self.labels.ndim != 1:
            raise DataError(f"labels are {self.labels.dtype} {self.labels.shape}; expected uint8 (N,)")
        if len(self.images) != len(self.labels):
            raise DataError(f"{len(self.images)} images but {len(self.labels)} labels; expected as many")
        if not len(self.labels):
            raise DataError("no images; expected at least one")
        if self.labels.max() > 9:
            row = int(np.argmax(self.labels > 9))
            raise DataError(f"row {row + 1}: label {self.labels[row]}; expected 0-9")

    @classmethod
    def of(cls, source: str, images: Images, labels: Labels) -> Split:
        """A split whose complaints name the file it was read from.

        Raises:
            DataError: Wrong type or shape, different lengths, no images, or a label above 9.
        """
        try:
            return cls(images, labels)
        except DataError as error:
            raise DataError(f"{source}: {error}") from error

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: NDArray[np.integer]) -> Split:
        """The split made of these rows, in this order."""
        return Split(self.images[rows], self.labels[rows])

    def digest(self) -> str:
        """SHA-256 over images, then labels: the same data has the same digest whatever file it came in."""
        sha = hashlib.sha256(np.ascontiguousarray(self.images).data)
        sha.update(np.ascontiguousarray(self.labels).data)
        return sha.hexdigest()


@dataclass(frozen=True)
class Dataset:
    """Labelled training data, and whatever else lay beside it.

    Attributes:
        name: What the user would call it: ``mnist``, or the path it was read from.
        train: Labelled images; validation images are split off from these.
        test: Labelled held-out images, or None where the source has none (Kaggle's).
        unlabelled: uint8 ``(N, 28, 28)`` images to predict, or None.
    """

    name: str
    train: Split
    test: Split | None = None
    unlabelled: Images | None = None

    def limited(self, count: int, *, seed: int) -> Dataset:
        """The same data with only ``count`` training images, drawn with ``seed``.

        Raises:
            InputError: ``count`` is less than 20 or more than there are.
        """
        if not 20 <= count <= len(self.train):
            raise InputError(f"{count} training images asked for; expected 20 to {len(self.train)}")
        rows = np.random.default_rng(seed).permutation(len(self.train))[:count]
        return Dataset(self.name, self.train.take(np.sort(rows)), self.test, self.unlabelled)


def split_validation(
    labels: Labels, *, fraction: float = 0.1, seed: int = 42, stratify: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Splits rows into training and validation as the notebook does (scikit-learn's ``train_test_split``).

    Args:
        labels: uint8 ``(N,)``.
        fraction: Part that goes to validation, between 0 and 1.
        seed: ``random_state`` of the split.
        stratify: Keep the class proportions equal in both parts.

    Returns:
        Row numbers for training and for validation; disjoint, together all rows.
    """
    from sklearn.model_selection import train_test_split

    rows = np.arange(len(labels))
    train, valid = train_test_split(
        rows, test_size=fraction, random_state=seed, stratify=labels if stratify else None
    )
    return train, valid
