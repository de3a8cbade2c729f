"""IDX, the format MNIST was published in: a magic number, big-endian dimensions, raw bytes; often gzipped."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from digits_edge.trainer.datasets.dataset import Split
from digits_edge.trainer.datasets.files import read_bytes
from digits_edge.trainer.errors import DataError

_GZIP = b"\x1f\x8b"
_UNSIGNED_BYTE = 0x08
_IDX = bytes((0, 0, _UNSIGNED_BYTE))

# "train-images.idx3-ubyte" is how some archives of MNIST unpack; the published name has a hyphen.
_SPELLINGS = ("{}-{}-idx{}-ubyte", "{}-{}.idx{}-ubyte")


def read_idx(path: Path, *, dimensions: int) -> NDArray[np.uint8]:
    """Reads one IDX file of unsigned bytes, gzipped or not.

    The format is described on MNIST's page: two zero bytes, a type code (0x08 = unsigned byte), the number of
    dimensions, each dimension as a big-endian 32-bit integer, then the data.

    Args:
        path: The file. Whether it is gzipped is read off its first bytes, not its name.
        dimensions: 3 for images, 1 for labels.

    Returns:
        A read-only uint8 array of the shape that the header gives.

    Raises:
        DataError: The file is empty, truncated, too long, or has another magic number.
    """
    raw = read_bytes(path)
    if raw.startswith(_GZIP):
        try:
            raw = gzip.decompress(raw)
        except (EOFError, OSError, zlib.error) as error:
            raise DataError(f"{path}: damaged gzip file ({error}); fetch it again") from error

    magic = _IDX + bytes((dimensions,))
    if raw[:4] != magic:
        raise DataError(
            f"{path}: magic number {raw[:4].hex() or 'missing'}; "
            f"expected {magic.hex()} (IDX, unsigned bytes, {dimensions} dimensions)"
        )
    header = 4 + 4 * dimensions
    if len(raw) < header:
        raise DataError(f"{path}: truncated in the header: {len(raw)} bytes; expected at least {header}")
    shape = struct.unpack(f">{dimensions}I", raw[4:header])
    expected = header + math.prod(shape)
    if len(raw) != expected:
        row = (len(raw) - header) // max(1, math.prod(shape[1:])) + 1
        what = f"truncated in row {row}" if len(raw) < expected else "too long"
        raise DataError(f"{path}: {what}: {len(raw)} bytes; expected {expected} by its header {shape}")
    return np.frombuffer(raw, np.uint8, offset=header).reshape(shape)


def looks_like_idx(path: Path) -> bool:
    """Whether a file's first bytes are those of an IDX file or of a gzip file."""
    start = read_bytes(path, at_most=len(_IDX))
    return start.startswith(_GZIP) or start == _IDX


def find_idx(directory: Path, part: str, kind: str) -> Path | None:
    """Finds one of the four published files in a directory, under any of the names it goes by.

    Args:
        directory: Where to look.
        part: ``train`` or ``t10k``.
        kind: ``images`` or ``labels``.

    Returns:
        The file, or None where it is not there; the uncompressed one where both are.
    """
    dimensions = {"images": 3, "labels": 1}[kind]
    for spelling in _SPELLINGS:
        for suffix in ("", ".gz"):
            path = directory / (spelling.format(part, kind, dimensions) + suffix)
            if path.is_file():
                return path
    return None


def read_idx_split(directory: Path, part: str) -> Split:
    """Reads the images and labels of ``train`` or ``t10k`` from a directory.

    Raises:
        DataError: A file is missing or malformed, the two differ in length, or a label is not 0–9.
    """
    paths = {kind: find_idx(directory, part, kind) for kind in ("images", "labels")}
    images, labels = paths["images"], paths["labels"]
    if images is None or labels is None:
        missing = " and ".join(kind for kind, path in paths.items() if path is None)
        raise DataError(
            f"{directory}: {missing} of the {part} part missing; expected {part}-images-idx3-ubyte and "
            f"{part}-labels-idx1-ubyte, gzipped (.gz) or not"
        )
    source = f"{images} and {labels.name}"
    return Split.of(source, read_idx(images, dimensions=3), read_idx(labels, dimensions=1))
