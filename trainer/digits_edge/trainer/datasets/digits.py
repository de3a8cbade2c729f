"""From what ``digits-edge predict`` was given to images with names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from digits_edge.runtime.errors import InputError
from digits_edge.trainer.datasets.dataset import Images, Labels
from digits_edge.trainer.datasets.files import is_directory
from digits_edge.trainer.datasets.idx import looks_like_idx, read_idx
from digits_edge.trainer.datasets.kaggle import read_kaggle
from digits_edge.trainer.datasets.pictures import find_pictures, read_picture
from digits_edge.trainer.errors import DataError

_ACCEPTED = "expected a picture, a directory of pictures, a Kaggle CSV or an IDX file of images"


@dataclass(frozen=True)
class Digits:
    """Images to be classified.

    Attributes:
        images: uint8 ``(N, 28, 28)``, 0 = background, 255 = ink; at least one.
        names: What to call each: the path of a picture; ``test.csv#1`` for the first one in a file of many.
        labels: uint8 ``(N,)`` where every source had a column of labels, else None.
    """

    images: Images
    names: tuple[str, ...]
    labels: Labels | None = None

    def __post_init__(self) -> None:
        shape, dtype = self.images.shape, self.images.dtype
        if dtype != np.uint8 or shape[1:] != (28, 28) or not shape[0]:
            raise InputError(f"images are {dtype} {shape}; expected uint8 (N, 28, 28), one at least")
        if len(self.names) != shape[0] or (self.labels is not None and len(self.labels) != shape[0]):
            raise InputError(f"{shape[0]} images; expected as many names, and as many labels or none")

    def __len__(self) -> int:
        return len(self.images)


def read_images(*sources: Path) -> Digits:
    """Reads images to classify.

    Args:
        sources: Each a picture file, a directory of pictures (in the order of names), a Kaggle CSV with or
            without labels, or an IDX file of images, gzipped or not.

    Returns:
        The images of all sources, in that order.

    Raises:
        InputError: No source was given.
        DataError: A source is none of these, or malformed; the message names the file.
        SetupError: There are pictures to read, and Pillow is not installed.
    """
    if not sources:
        raise InputError(f"nothing to read; {_ACCEPTED}")
    parts = [_read(source) for source in sources]
    labels = [part.labels for part in parts if part.labels is not None]
    return Digits(
        np.concatenate([part.images for part in parts]),
        tuple(name for part in parts for name in part.names),
        np.concatenate(labels) if len(labels) == len(parts) else None,
    )


def _read(source: Path) -> Digits:
    if is_directory(source, accepted=_ACCEPTED):
        return _read_directory(source)
    if source.suffix.lower() == ".csv":
        return _numbered(source, *read_kaggle(source))
    if looks_like_idx(source):
        return _numbered(source, read_idx(source, dimensions=3))
    return Digits(read_picture(source)[None], (str(source),))


def _read_directory(directory: Path) -> Digits:
    try:
        paths = find_pictures(directory)
    except OSError as error:
        raise DataError(f"{directory}: cannot be read ({error.strerror})") from error
    if not paths:
        raise DataError(f"{directory}: no pictures there; {_ACCEPTED}")
    return Digits(np.stack([read_picture(path) for path in paths]), tuple(map(str, paths)))


def _numbered(source: Path, images: Images, labels: Labels | None = None) -> Digits:
    if images.shape[1:] != (28, 28) or not len(images):
        raise DataError(f"{source}: images of shape {images.shape}; expected (N, 28, 28), one at least")
    return Digits(images, tuple(f"{source.name}#{number}" for number in range(1, len(images) + 1)), labels)
