"""Signs a bundle as a whole: every file, manifest and input contract included, by OpenSSF model-signing."""

from __future__ import annotations

import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path

from digits_edge.export.errors import ExportError
from digits_edge.runtime import InputError, read_bundle
from digits_edge.runtime.signature import SIGNATURE_FILE, read_key
from digits_edge.trainer.errors import SetupError


def sign(bundle: Path, key: Path) -> str:
    """Signs a bundle; ``model.sig`` in it is replaced.

    A copy is signed, and read back as a device reads it, before the bundle itself is touched. The signature
    holds for the bytes of that copy: if the bundle changes meanwhile, no device will take it.

    Args:
        bundle: The bundle's directory.
        key: Private key: a PEM file, unencrypted; an elliptic-curve key on P-256, P-384 or P-521.

    Returns:
        The fingerprint of its public key, 64 hexadecimal digits.

    Raises:
        BundleError: There is no bundle, or it is one that a device would refuse.
        InputError: The key is none.
        SetupError: The package ``model-signing`` is not installed.
        ExportError: The bundle holds links or other odd files, or cannot be written to.
    """
    _require_model_signing()
    public = _public_half(key)
    read_bundle(bundle)
    place = bundle.resolve()
    try:
        odd = [file.name for file in place.iterdir() if file.is_symlink() or not file.is_file()]
        if odd:
            raise ExportError(
                f"{bundle}: {odd[0]!r} is no regular file; a bundle holds nothing else, take it out"
            )
        with tempfile.TemporaryDirectory(prefix=f".{place.name}.", dir=place.parent) as folder:
            # Under its own name: the signature's statement is about a model of that name.
            copy = Path(folder) / place.name
            shutil.copytree(place, copy, symlinks=True, ignore=shutil.ignore_patterns(SIGNATURE_FILE))
            trusted = Path(folder) / f"{place.name}.pub"
            trusted.write_bytes(public)
            _write_signature(copy, key)
            read_bundle(copy, trusted_key=trusted)
            (copy / SIGNATURE_FILE).replace(place / SIGNATURE_FILE)
            return read_key(trusted).fingerprint
    except OSError as error:
        raise ExportError(f"{bundle}: cannot be signed ({error}); free what is in the way") from error


def _write_signature(bundle: Path, key: Path) -> None:
    import OpenSSL  # noqa: F401  # model-signing 1.1 needs it and does not ask for it
    from model_signing import hashing, signing

    # By default model-signing leaves git's files out; a device refuses what was not signed.
    files = hashing.Config()  # type: ignore[no-untyped-call]  # its __init__ alone has no types
    files.set_ignored_paths(paths=[SIGNATURE_FILE], ignore_git_paths=False)
    signer = signing.Config()  # type: ignore[no-untyped-call]
    signer.use_elliptic_key_signer(private_key=key).set_hashing_config(files)
    signer.sign(bundle, bundle / SIGNATURE_FILE)


def _require_model_signing() -> None:
    # model-signing 1.1 imports pyOpenSSL (OpenSSL) without asking for it.
    missing = [name for name in ("cryptography", "model_signing", "OpenSSL") if find_spec(name) is None]
    if missing:
        raise SetupError(
            f"signing needs {', '.join(missing)}, which is not installed; "
            'install it with: pip install "digits-edge[sign]"'
        )


def _public_half(key: Path) -> bytes:
    """The PEM form of the public key that goes with a private one.

    Raises:
        InputError: It is no private key that model-signing takes.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        private = serialization.load_pem_private_key(key.read_bytes(), password=None)
    except OSError as error:
        raise InputError(f"key {key}: not readable ({error.strerror}); expected a private key") from error
    except TypeError as error:  # cryptography's word for a missing password
        raise InputError(
            f"key {key}: encrypted; expected a plain one (openssl ec -in {key} -out plain.pem)"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputError(
            f"key {key}: no private key in PEM form; "
            "make one with: openssl ecparam -name prime256v1 -genkey -noout -out key.pem"
        ) from error
    if not isinstance(private, ec.EllipticCurvePrivateKey) or not isinstance(
        private.curve, ec.SECP256R1 | ec.SECP384R1 | ec.SECP521R1
    ):
        raise InputError(f"key {key}: expected an elliptic-curve key on P-256, P-384 or P-521")
    return private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
