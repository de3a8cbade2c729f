"""The artifact: opened once, verified, and handed on as bytes."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import zipfile
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from digits_edge.runtime.errors import BundleNotFoundError, IntegrityError, ManifestError
from digits_edge.runtime.manifest import MANIFEST_FILE, FileEntry, Format, Manifest
from digits_edge.runtime.modelfile import check_onnx, check_tflite

# Far above anything this project makes, and low enough that a hostile file cannot fill a device's memory.
_LARGEST_MANIFEST = 1 << 20
_LARGEST_MODEL = 256 << 20
_LARGEST_GOLDEN = 4 << 20


@dataclass(frozen=True, eq=False)
class Golden:
    """Inputs and the answers that the exporter got.

    Attributes:
        images: uint8 ``(G, 28, 28)``.
        logits: float32 ``(G, 10)``.
    """

    images: NDArray[np.uint8]
    logits: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.shape[1:] != (28, 28) or not len(self.images):
            raise IntegrityError(f"golden images are {self.images.dtype} {self.images.shape}; expected uint8 (G, 28, 28)")
        if self.logits.dtype != np.float32 or self.logits.shape != (len(self.images), 10):
            raise IntegrityError(f"golden logits are {self.logits.dtype} {self.logits.shape}; expected float32 (G, 10)")
        if not np.isfinite(self.logits).all():
            raise IntegrityError("golden logits are not finite")

    def to_npz(self) -> bytes:
        """The bytes of ``golden.npz``."""
        file = io.BytesIO()
        np.savez_compressed(file, images=self.images, logits=self.logits)
        return file.getvalue()

    @classmethod
    def from_npz(cls, content: bytes) -> Golden:
        """Parses ``golden.npz``.

        Raises:
            IntegrityError: It is no such file, or unpacks to more than 4 MiB.
        """
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                unpacked = sum(entry.file_size for entry in archive.infolist())
            if unpacked > _LARGEST_GOLDEN:
                raise IntegrityError(f"golden answers unpack to {unpacked} bytes; expected {_LARGEST_GOLDEN} at most")
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                return cls(images=arrays["images"], logits=arrays["logits"])
        except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise IntegrityError(f"golden answers are not readable ({error})") from error


@dataclass(frozen=True, eq=False)
class Bundle:
    """A verified bundle, in memory.

    Attributes:
        manifest: What it says of itself.
        model: The bytes of the model file: those whose digest was checked, not a path that could change.
        golden: Golden answers.
    """

    manifest: Manifest
    model: bytes
    golden: Golden


def default_bundle() -> Path:
    """Where the bundle that ships with this package lies."""
    return Path(str(files("digits_edge.runtime") / "models" / "default"))


def read_bundle(path: str | os.PathLike[str]) -> Bundle:
    """Reads and verifies a bundle; no native code has seen a byte of it when this returns.

    Args:
        path: The bundle's directory.

    Raises:
        BundleNotFoundError: There is no bundle.
        ManifestError: The manifest is malformed.
        IntegrityError: A file is missing, a link, or differs from the manifest in size or SHA-256.
        UnsafeModelError: The model asks for more than its own bytes.
    """
    directory = Path(path)
    if not directory.is_dir() or not os.path.lexists(directory / MANIFEST_FILE):
        raise BundleNotFoundError(f"{directory}: no bundle there ({MANIFEST_FILE} is missing); make one with `digits-edge export`")
    try:
        text = _read_file(directory / MANIFEST_FILE, largest=_LARGEST_MANIFEST)
        manifest = Manifest.from_json(text)
        model = _read_entry(directory, manifest.model, largest=_LARGEST_MODEL)
        golden = Golden.from_npz(_read_entry(directory, manifest.golden, largest=_LARGEST_GOLDEN))
    except ManifestError as error:
        raise ManifestError(f"{directory}: {error}") from error
    (check_onnx if manifest.format is Format.ONNX else check_tflite)(model)
    return Bundle(manifest, model, golden)


def _read_entry(directory: Path, entry: FileEntry, *, largest: int) -> bytes:
    content = _read_file(directory / entry.path, largest=min(largest, entry.size))
    if len(content) != entry.size:
        raise IntegrityError(f"{directory / entry.path}: {len(content)} bytes; the manifest says {entry.size}")
    digest = hashlib.sha256(content).hexdigest()
    if digest != entry.sha256:
        raise IntegrityError(
            f"{directory / entry.path}: SHA-256 {digest[:12]}…; the manifest says {entry.sha256[:12]}…; "
            "the file was changed or damaged, copy the bundle again"
        )
    return content


def _read_file(path: Path, *, largest: int) -> bytes:
    """Reads a regular file through one descriptor; links, devices and oversized files are refused."""
    # Opening without O_NONBLOCK would hang for ever on a named pipe that nobody writes to.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        raise IntegrityError(f"{path}: not readable ({error.strerror}); a bundle holds regular files only") from error
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise IntegrityError(f"{path}: not a regular file")
        content = file.read(largest + 1)
    if len(content) > largest:
        raise IntegrityError(f"{path}: more than {largest} bytes, as many as there should be at most")
    return content
