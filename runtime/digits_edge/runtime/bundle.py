"""The artifact: opened once, verified, and handed on as bytes."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from digits_edge.runtime.errors import BundleError, BundleNotFoundError, IntegrityError, SignatureError
from digits_edge.runtime.manifest import MANIFEST_FILE, FileEntry, Format, Manifest
from digits_edge.runtime.modelfile import check_onnx, check_tflite

if TYPE_CHECKING:
    from zipfile import ZipInfo

# Far above anything this project makes, and low enough that a hostile file cannot fill a device's memory.
_LARGEST_MANIFEST = 1 << 20
_LARGEST_MODEL = 256 << 20
_LARGEST_GOLDEN = 4 << 20
_LARGEST_SIGNATURE = 1 << 20
_LARGEST_OTHER = 64 << 20  # a signed file that the runtime has no use for
_GOLDEN_MEMBERS = ["images.npy", "logits.npy"]
_STORED, _DEFLATED = 0, 8  # zip's numbers of the two methods that numpy writes


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
            raise IntegrityError(
                f"golden images are {self.images.dtype} {self.images.shape}; expected uint8 (G, 28, 28)"
            )
        if self.logits.dtype != np.float32 or self.logits.shape != (len(self.images), 10):
            raise IntegrityError(
                f"golden logits are {self.logits.dtype} {self.logits.shape}; expected float32 (G, 10)"
            )
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
        import zipfile  # here and not above: it would cost as much as the rest of this package's import

        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                _check_members(archive.infolist())
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                images, logits = np.asarray(arrays["images"]), np.asarray(arrays["logits"])
        except IntegrityError:
            raise
        except (
            Exception
        ) as error:  # zipfile, zlib and numpy share no base class for what damage runs them into
            raise IntegrityError(f"golden answers are not readable ({error})") from error
        return cls(images, logits)


def _check_members(members: list[ZipInfo]) -> None:
    """Refuses an archive of anything but two arrays of modest size; other methods than numpy's among it."""
    names = sorted(member.filename for member in members)[:3]
    if names != _GOLDEN_MEMBERS:
        raise IntegrityError(
            f"golden answers hold {', '.join(names)[:80]!r}; expected {', '.join(_GOLDEN_MEMBERS)}"
        )
    if any(member.compress_type not in (_STORED, _DEFLATED) for member in members):
        raise IntegrityError("golden answers are packed with a rare method; expected deflate")
    # zipfile reads no more of a member than these sizes say, whatever it unpacks to.
    unpacked = sum(member.file_size for member in members)
    if unpacked > _LARGEST_GOLDEN:
        raise IntegrityError(f"golden answers unpack to {unpacked} bytes; expected {_LARGEST_GOLDEN} at most")


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
    return Path(__file__).with_name("models") / "default"


def read_bundle(path: str | os.PathLike[str], *, trusted_key: str | os.PathLike[str] | None = None) -> Bundle:
    """Reads and verifies a bundle; no inference engine has seen a byte of it when this returns.

    Args:
        path: The bundle's directory.
        trusted_key: Public key, a PEM file, that the whole bundle must be signed with; by default signatures
            are not looked at.

    Raises:
        BundleNotFoundError: There is no bundle.
        InputError: ``trusted_key`` is no public key.
        SignatureError: The bundle is not, file for file and byte for byte, what the key's owner signed.
        ManifestError: The manifest is malformed.
        IntegrityError: A file is missing, a link, or differs from the manifest in size or SHA-256.
        UnsafeModelError: The model asks for more than its own bytes.
    """
    directory = Path(path)
    # os.path says no where Path.is_dir raises: to a name that is too long, a folder that may not be entered.
    if not os.path.isdir(directory) or not os.path.lexists(directory / MANIFEST_FILE):  # noqa: PTH112
        raise BundleNotFoundError(
            f"{directory}: no bundle there ({MANIFEST_FILE} is missing); make one with `digits-edge export`"
        )
    try:
        return _read(directory, None if trusted_key is None else _signed(directory, trusted_key))
    except BundleError as error:
        raise type(error)(f"{directory}: {error}") from error


def _signed(directory: Path, trusted_key: str | os.PathLike[str]) -> dict[str, str]:
    """What was signed, SHA-256 by file name: exactly the files that lie in the directory."""
    from digits_edge.runtime.signature import SIGNATURE_FILE, read_key, signed_digests  # loads OpenSSL

    key = read_key(trusted_key)
    try:
        present = {file.name for file in directory.iterdir()}
    except OSError as error:
        raise SignatureError(f"its files cannot be listed ({error.strerror}); allow it to be read") from error
    if SIGNATURE_FILE not in present:
        raise SignatureError(
            f"not signed ({SIGNATURE_FILE} is missing); sign it where it was made: digits-edge sign"
        )
    signed = signed_digests(_read_file(directory / SIGNATURE_FILE, largest=_LARGEST_SIGNATURE), key)
    for names, what in (
        (present - {SIGNATURE_FILE} - signed.keys(), "was not signed; take it out, or sign again"),
        (signed.keys() - present, "was signed and is missing; copy the bundle again"),
    ):
        if names:
            raise SignatureError(f"{min(names)[:80]!r} {what}")
    return signed


def _read(directory: Path, signed: Mapping[str, str] | None) -> Bundle:
    content = _read_file(directory / MANIFEST_FILE, largest=_LARGEST_MANIFEST, signed=signed)
    manifest = Manifest.from_json(content)
    model = _read_entry(directory, manifest.model, signed, largest=_LARGEST_MODEL)
    golden = Golden.from_npz(_read_entry(directory, manifest.golden, signed, largest=_LARGEST_GOLDEN))
    for name in set(signed or ()) - {MANIFEST_FILE, manifest.model.path, manifest.golden.path}:
        _read_file(directory / name, largest=_LARGEST_OTHER, signed=signed)
    (check_onnx if manifest.format is Format.ONNX else check_tflite)(model)
    return Bundle(manifest, model, golden)


def _read_entry(
    directory: Path, entry: FileEntry, signed: Mapping[str, str] | None, *, largest: int
) -> bytes:
    if entry.size > largest:
        raise IntegrityError(f"{entry.path}: {entry.size} bytes by the manifest; expected {largest} at most")
    content = _read_file(directory / entry.path, largest=entry.size, signed=signed)
    if len(content) != entry.size:
        raise IntegrityError(f"{entry.path}: {len(content)} bytes; the manifest says {entry.size}")
    digest = _sha256(content)
    if digest != entry.sha256:
        raise IntegrityError(
            f"{entry.path}: SHA-256 {digest[:12]}…; the manifest says {entry.sha256[:12]}…; "
            "the file was changed or damaged, copy the bundle again"
        )
    return content


def _sha256(content: bytes) -> str:
    import hashlib  # here and not above: it loads OpenSSL

    return hashlib.sha256(content).hexdigest()


def _read_file(path: Path, *, largest: int, signed: Mapping[str, str] | None = None) -> bytes:
    """Reads a regular file through one descriptor; links, devices and oversized files are refused.

    Where there is a signature, the very bytes that are returned are those that were signed.
    """
    # Opening without O_NONBLOCK would hang for ever on a named pipe that nobody writes to.
    flags = (
        os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    )
    try:
        descriptor = os.open(path, flags)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise IntegrityError(
                    f"{path.name}: not a regular file; a bundle holds no links, folders or devices"
                )
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                content = file.read(largest + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise IntegrityError(
            f"{path.name}: not readable ({error.strerror}); a bundle holds regular files only"
        ) from error
    if len(content) > largest:
        raise IntegrityError(f"{path.name}: more than {largest} bytes; expected as many at most")
    if signed is not None and _sha256(content) != signed.get(path.name):
        raise SignatureError(f"{path.name}: not what was signed; it was changed, or swapped with another's")
    return content
