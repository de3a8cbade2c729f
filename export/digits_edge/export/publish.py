"""Writes bundles and the like: staged beside their place, flushed to disk, moved in by renaming."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from digits_edge.export.errors import ExportError
from digits_edge.runtime import FileEntry
from digits_edge.runtime.manifest import MANIFEST_FILE


@dataclass(frozen=True)
class Kind:
    """What is published.

    Attributes:
        mark: The file by which an older one is known for what it is, so that it may be replaced.
        called: What people call it.
    """

    mark: str
    called: str


BUNDLE = Kind(MANIFEST_FILE, "bundle")


def entry(name: str, content: bytes) -> FileEntry:
    """What the manifest says of a file."""
    return FileEntry(name, len(content), hashlib.sha256(content).hexdigest())


def stage(target: Path, files: Mapping[str, bytes], kind: Kind = BUNDLE) -> Path:
    """Writes a bundle's files into a hidden sibling of its place.

    Args:
        target: Where the bundle is to be.
        files: Content by file name, ``folder/name`` for one in a folder; the kind's mark among them.
        kind: What it is.

    Returns:
        The staging directory: a whole bundle, every byte on disk.

    Raises:
        ExportError: The place cannot be written to, or holds something that is no bundle.
    """
    if kind.mark not in files:
        raise ValueError(f"a {kind.called} without {kind.mark}")
    if os.path.lexists(target) and (target.is_symlink() or not (target / kind.mark).is_file()):
        raise ExportError(
            f"{target}: is there and no {kind.called}; move it away, or choose another --out or --name"
        )
    staging = _sibling(target, "new")
    discard(staging)  # what a killed export left
    with writing(target), ExitStack() as undo:
        undo.callback(discard, staging)
        staging.mkdir(parents=True)
        for name, content in files.items():
            (staging / name).parent.mkdir(exist_ok=True)
            with (staging / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        for directory in {(staging / name).parent for name in files} | {staging}:
            _flush_directory(directory)
        undo.pop_all()
    return staging


def publish(staging: Path, target: Path) -> None:
    """Moves a staged bundle to its place; an older one there is replaced.

    Killed in between, this leaves the old bundle, the new one, or none; never a part of one.

    Raises:
        ExportError: The place cannot be written to.
    """
    retired = _sibling(target, "old")
    discard(retired)
    with writing(target):
        if target.exists():
            target.rename(retired)
        staging.rename(target)
        _flush_directory(target.parent)
    discard(retired)


def discard(staging: Path) -> None:
    """Removes a staged bundle that is not to be published, or nothing."""
    shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Says in this project's words that the system refused to write.

    Raises:
        ExportError: It did.
    """
    try:
        yield
    except OSError as error:
        raise ExportError(f"{place}: cannot be written ({error.strerror}); choose another --out") from error


def _sibling(target: Path, kind: str) -> Path:
    return target.with_name(f".{target.name}.{kind}")


def _flush_directory(directory: Path) -> None:
    if os.name == "posix":  # elsewhere a directory cannot be opened
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
