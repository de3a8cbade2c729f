"""What the user named: whether it is there, and its bytes. All readers here start from them."""

from __future__ import annotations

import stat
from pathlib import Path

from digits_edge.trainer.errors import DataError


def is_directory(path: Path, *, accepted: str) -> bool:
    """Whether a path leads to a directory.

    Args:
        path: What the user named.
        accepted: What could have been there, for the message.

    Raises:
        DataError: Nothing is there, or it cannot be looked at.
    """
    try:
        return stat.S_ISDIR(path.stat().st_mode)  # Path.is_dir raises for some of this, and hides the rest
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({_reason(error)}); {accepted}") from error


def read_bytes(path: Path, *, at_most: int = -1) -> bytes:
    """Reads a file at once, so that what is parsed cannot change in between.

    Args:
        path: The file.
        at_most: Only so many bytes from its start; -1 for all.

    Raises:
        DataError: The file is missing, empty, or may not be read.
    """
    try:
        with path.open("rb") as file:
            content = file.read(at_most)
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the name
        raise DataError(f"{path}: cannot be read ({_reason(error)}); expected a readable file") from error
    if not content:
        raise DataError(f"{path}: empty file; fetch or write it again")
    return content


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
