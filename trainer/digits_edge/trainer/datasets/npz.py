"""Keras' ``mnist.npz``: a zip of the arrays x_train and y_train, and often x_test and y_test."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from digits_edge.trainer.datasets.dataset import Split
from digits_edge.trainer.datasets.files import read_bytes
from digits_edge.trainer.errors import DataError

_NAMES = frozenset({"x_train", "y_train", "x_test", "y_test"})
_LAYOUT = "expected x_train (N, 28, 28) and y_train (N,), and both or neither of x_test and y_test"

# What zipfile, zlib and numpy raise for damaged, encrypted, pickled and absurdly large members.
_DAMAGE = (ValueError, OSError, EOFError, KeyError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error)


def read_npz(path: Path) -> tuple[Split, Split | None]:
    """Reads an archive in the layout of ``keras.datasets.mnist``. Nothing is unpickled.

    Args:
        path: Images are uint8 ``(N, 28, 28)``; labels are any integers 0–9, ``(N,)``.

    Returns:
        The training part, and the test part or None.

    Raises:
        DataError: No zip archive, damaged, arrays missing, pickled, or of another type or shape.
    """
    raw = read_bytes(path)
    if not zipfile.is_zipfile(io.BytesIO(raw)):
        raise DataError(f"{path}: not an .npz archive (a zip of arrays); {_LAYOUT}")
    arrays = _read_arrays(raw, path)
    train = _split(arrays, "train", path)
    return train, _split(arrays, "test", path) if arrays.keys() & {"x_test", "y_test"} else None


def _read_arrays(raw: bytes, path: Path) -> dict[str, NDArray[np.generic]]:
    arrays = {}
    name = "archive"
    try:
        with np.load(io.BytesIO(raw), allow_pickle=False) as archive:
            for name in sorted(_NAMES.intersection(archive.files)):
                arrays[name] = np.asanyarray(archive[name])  # bytes, where a member is no array
    except _DAMAGE as error:
        raise DataError(f"{path}: {name} cannot be read ({error}); save it with numpy.savez") from error
    return arrays


def _split(arrays: dict[str, NDArray[np.generic]], part: str, path: Path) -> Split:
    for name in (f"x_{part}", f"y_{part}"):
        if name not in arrays:
            raise DataError(f"{path}: {name} missing; {_LAYOUT}")
    images, labels = arrays[f"x_{part}"], arrays[f"y_{part}"]
    if images.dtype != np.uint8:
        raise DataError(f"{path}: x_{part} is {images.dtype}; expected uint8, 0 = background, 255 = ink")
    if not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"{path}: y_{part} is {labels.dtype}; expected integers 0-9")
    # Looked for before the cast, which would wrap 256 to 0.
    outside = np.flatnonzero(~np.isin(labels, np.arange(10)))
    if outside.size:
        row = int(outside[0])
        raise DataError(f"{path}: y_{part} row {row + 1}: label {labels.flat[row]}; expected 0-9")
    return Split.of(f"{path}: {part} part", images.view(np.uint8), labels.astype(np.uint8))
